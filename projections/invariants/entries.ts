// Rules on single page-table entries.
import { isGuardPteMarker, isHugePte, isZeroPte, pteSoftDirty, pteWrite } from '../../reducers/pte.js';
import { PG_ANON, PG_ANON_EXCLUSIVE, folioAt, isKsm } from '../../reducers/state.js';
import { VM_MAYBE_GUARD, VM_SHARED, VM_SOFTDIRTY, VM_WRITE, linearPageIndex } from '../../reducers/vma.js';
import type { EntryInvariant } from './invariant.js';

const rule = { about: 'entry', since: 'all', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;

export const entryInvariants: readonly EntryInvariant[] = [
  {
    ...rule,
    name: 'writable-anon-is-exclusive',
    aliases: ['W-implies-exclusive'],
    formula: 'private mapping, anonymous page: a writable entry implies PG_anon_exclusive',
    source: 'do_swap_page(), try_to_migrate_one(), wp_page_reuse(): VM_BUG_ON',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    of: 'writable',
    check({ page, vma, pfn, entry }, { view }) {
      if (page === null || (page.flags & PG_ANON) === 0) return null;
      // Below a huge entry the flag of its first page speaks for all.
      const marked = isHugePte(entry) ? folioAt(view, pfn) : page;
      if ((marked.flags & PG_ANON_EXCLUSIVE) !== 0) return null;
      if (vma !== null && (vma.flags & VM_SHARED) !== 0) return null;
      return { expected: 'an exclusive page', found: 'a page that may be shared' };
    },
  },
  {
    ...rule,
    name: 'private-write-stays-private',
    aliases: ['file-private-RO'],
    formula: 'a private mapping of a page-cache page is not writable',
    source: 'the COW contract; do_wp_page()',
    severity: 1,
    of: 'writable',
    check({ page, vma }) {
      if (page === null || vma === null || (vma.flags & VM_SHARED) !== 0 || (page.flags & PG_ANON) !== 0) return null;
      return { expected: 'a read-only entry', found: 'a private writable entry to a page of a file' };
    },
  },
  {
    ...rule,
    name: 'vma-permission',
    formula: 'an entry is writable only where its VMA is',
    source: 'maybe_mkwrite(), change_pte_range()',
    severity: 1,
    of: 'writable',
    check({ vma }) {
      if (vma === null || (vma.flags & VM_WRITE) !== 0) return null;
      return { expected: 'a read-only entry', found: 'a writable entry in a VMA that is not' };
    },
  },
  {
    ...rule,
    name: 'soft-dirty-covers-writes',
    formula: 'where soft-dirty tracks writes, an entry that may be written to without a fault is soft-dirty already',
    source: 'pte_needs_soft_dirty_wp(), vma_wants_writenotify()',
    severity: 2,
    needs: ['soft-dirty'],
    of: 'writable',
    check({ entry, vma }) {
      if (vma === null || (vma.flags & VM_SOFTDIRTY) !== 0 || pteSoftDirty(entry)) return null;
      return { expected: 'a read-only entry', found: 'a writable one, whose next write nobody would see' };
    },
  },
  {
    ...rule,
    name: 'zero-RO',
    formula: 'an entry to the zero page is not writable and has no reverse mapping',
    source: 'wp_page_reuse(): VM_WARN; rmap checks',
    severity: 1,
    of: 'special',
    check({ entry }) {
      if (!isZeroPte(entry) || !pteWrite(entry)) return null;
      return { expected: 'a read-only entry', found: 'a writable entry to the zero page' };
    },
  },
  {
    ...rule,
    name: 'anon-needs-anon_vma',
    formula: 'a VMA that maps an anonymous page has an anon_vma',
    source: '__folio_set_anon(): BUG_ON',
    severity: 1,
    of: 'anon',
    check({ vma }) {
      return vma === null || vma.anonVma !== 0 ? null : { expected: 'an anon_vma', found: 'none' };
    },
  },
  {
    ...rule,
    name: 'anon_vma-live',
    formula: 'the anon_vma of a mapped anonymous page exists',
    source: 'rmap checks (6.18.y)',
    severity: 1,
    of: 'anon',
    check({ page }, { view }) {
      if (page === null || isKsm(page)) return null;
      const id = page.mapping;
      return view.anonVmas[id] ? null : { expected: 'a live anon_vma', found: `anon_vma ${id}, which is none` };
    },
  },
  {
    ...rule,
    name: 'root-match',
    formula: 'root of the page’s anon_vma == root of the VMA’s',
    source: '__page_check_anon_rmap(): VM_BUG_ON',
    severity: 1,
    of: 'anon',
    check({ page, vma }, { view }) {
      const own = view.anonVmas[page?.mapping ?? 0];
      const other = view.anonVmas[vma?.anonVma ?? 0];
      if (!own || !other || own.root === other.root) return null;
      return { expected: `root ${other.root}`, found: `root ${own.root}` };
    },
  },
  {
    ...rule,
    name: 'rmap-complete',
    formula: 'a VMA that maps an anonymous page is linked to the page’s anon_vma: reverse mapping finds it',
    source: 'anon_vma_clone(), anon_vma_fork(); rmap_walk_anon()',
    severity: 1,
    of: 'anon',
    check({ page, vma }) {
      if (page === null || vma === null || isKsm(page) || vma.chain.includes(page.mapping)) return null;
      return { expected: `anon_vma ${page.mapping} among those it is linked to`, found: vma.chain.join(', ') };
    },
  },
  {
    ...rule,
    name: 'index-address',
    formula: 'linear_page_index(vma, address) == index of the anonymous page',
    source: '__page_check_anon_rmap(): VM_BUG_ON',
    severity: 2,
    of: 'anon',
    check({ page, vma, vpn }) {
      if (page === null || vma === null || isKsm(page)) return null;
      const index = linearPageIndex(vma, vpn * 4096);
      return index === page.index ? null : { expected: index, found: page.index };
    },
  },
  {
    ...rule,
    name: 'anon-map-once',
    formula: 'an anonymous page that KSM did not merge is mapped at most once in an address space',
    source: 'uses of folio->index in mm/rmap.c',
    severity: 2,
    of: 'anon',
    check({ mm, pfn, page }, { facts }) {
      if (page === null || isKsm(page) || facts.frames.mappers[pfn]! < 2) return null;
      const times = facts.mappings.timesMapped(pfn, mm);
      return times < 2 ? null : { expected: 1, found: times };
    },
  },
  {
    ...rule,
    name: 'guard-copied-by-fork',
    formula: 'a VMA with a guard marker has an anon_vma or VM_MAYBE_GUARD, by which fork knows to copy it',
    source: 'madvise_guard_install(), vma_needs_copy()',
    severity: 1,
    since: '6.13',
    of: 'special',
    check({ entry, vma }) {
      if (!isGuardPteMarker(entry) || vma === null) return null;
      if (vma.anonVma !== 0 || (vma.flags & VM_MAYBE_GUARD) !== 0) return null;
      return { expected: 'an anon_vma or VM_MAYBE_GUARD', found: 'neither' };
    },
  },
  {
    ...rule,
    name: 'entry-inside-vma',
    formula: 'every entry lies in a VMA',
    source: 'unmap_vmas() before free_pgtables()',
    severity: 1,
    of: 'any',
    check: ({ vma }) => (vma === null ? { expected: 'a VMA', found: 'none' } : null),
  },
];
