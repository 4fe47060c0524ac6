// Rules on events: what one commit may do to what it meets.
import { PTE_WRITE, PTRS_PER_PTE, isGuardPteMarker, mkPte, pteFlags } from '../../reducers/pte.js';
import type { InodeView } from '../../reducers/state.js';
import { PG_ANON, PG_ANON_EXCLUSIVE, pageAt, rssPages } from '../../reducers/state.js';
import { VM_SHARED } from '../../reducers/vma.js';
import { FrameKind } from '../facts/frames.js';
import type { Audited, EventInvariant, Report } from './invariant.js';

const rule = { about: 'event', since: 'all', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;

/** Pages in one LRU batch: PAGEVEC_SIZE. */
const BATCH_PAGES = 31;

/** Runs of [vpn, pfn, n, child's flags, parent's flags] of which neither side may be writable. */
function readOnlyBothSides(
  { mm, child }: { readonly mm: number; readonly child: number },
  runs: readonly number[],
  { facts }: Audited,
  report: Report,
): void {
  for (let i = 0; i + 4 < runs.length; i += 5) {
    const vpn = runs[i] as number;
    const sides = [
      [child, runs[i + 3] as number],
      [mm, runs[i + 4] as number],
    ] as const;
    for (const [side, flags] of sides) {
      if ((flags & PTE_WRITE) === 0) continue;
      const vma = facts.vmas.at(side, vpn * 4096);
      if (vma !== undefined && (vma.flags & VM_SHARED) !== 0) continue;
      report({ kind: 'entry', mm: side, vpn }, { expected: 'a read-only entry', found: 'a writable one after fork' });
    }
  }
}

function batchBound(batches: ReadonlyMap<number, readonly number[]>, cpu: number, report: Report): void {
  const pages = batches.get(cpu)?.length ?? 0;
  if (pages > BATCH_PAGES) report({ kind: 'cpu', cpu }, { expected: `at most ${BATCH_PAGES} pages`, found: pages });
}

/** FAULT_FLAG_UNSHARE: the operation `fault(addr, U)`. */
function isUnshare({ operation }: Audited): boolean {
  const access = operation?.name === 'fault' ? operation.args[1] : null;
  return typeof access === 'object' && access !== null && 'word' in access && access.word === 'U';
}

/** Pages of a file by its size; what nothing is known of bounds nothing. */
const filePages = (inode: InodeView): number =>
  inode.size < 0 ? Number.MAX_SAFE_INTEGER : Math.ceil(inode.size / 4096);

/** Calls that get a page ready before they make the file longer: SGP_WRITE, FGP_WRITEBEGIN. */
const WRITES: ReadonlySet<string> = new Set(['write', 'pwrite64', 'fallocate']);

/** Calls that take memory away and no mapping. */
const KEEPS_MAPPINGS: ReadonlySet<string> = new Set(['madvise', 'ftruncate', 'fallocate']);
/** Pages that left the cache. */
function removedUnmapped(
  { inode, runs }: { readonly inode: number; readonly runs: readonly number[] },
  { facts }: Audited,
  report: Report,
): void {
  for (let i = 0; i + 2 < runs.length; i += 3)
    for (let j = 0; j < (runs[i + 2] as number); j++) {
      const pfn = (runs[i + 1] as number) + j;
      const mappers = facts.frames.mappers[pfn] ?? 0;
      if (mappers > 0 && facts.frames.kind[pfn] !== FrameKind.anon)
        report(
          { kind: 'inode', id: inode, index: (runs[i] as number) + j },
          { expected: 'no mapping', found: mappers },
        );
    }
}

/** Page `pfn` gives way to a copy at `at`. */
function replacedByCow(
  { view }: Audited,
  report: Report,
  { mm, vpn }: { readonly mm: number; readonly vpn: number },
  pfn: number,
): void {
  if (pfn < 0 || pfn >= view.maxPfn) return;
  const { flags } = pageAt(view, pfn);
  if ((flags & PG_ANON) !== 0 && (flags & PG_ANON_EXCLUSIVE) !== 0)
    report({ kind: 'entry', mm, vpn }, { expected: 'the exclusive page', found: 'a copy of it' });
}

/** A page was added to the cache. */
function addedBelowEnd(
  { inode, runs }: { readonly inode: number; readonly runs: readonly number[] },
  { view, operation }: Audited,
  report: Report,
): void {
  const file = view.inodes[inode];
  // The size follows the page there, and does not if no byte of the buffer can be had.
  if (!file || WRITES.has(operation?.name ?? '')) return;
  for (let i = 0; i + 2 < runs.length; i += 3) {
    const index = (runs[i] as number) + (runs[i + 2] as number) - 1;
    if (index >= filePages(file))
      report({ kind: 'inode', id: inode, index }, { expected: `below ${filePages(file)}`, found: index });
  }
}

export const eventInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    name: 'fork-both-RO',
    formula: 'after fork copied an entry of a private mapping, neither parent nor child may write through theirs',
    source: 'copy_present_ptes(); contract in include/linux/rmap.h',
    severity: 1,
    after: {
      PtesCopied(event, audited, report) {
        readOnlyBothSides(event, event.anon, audited, report);
        readOnlyBothSides(event, event.file, audited, report);
      },
      PmdCopied(event, audited, report) {
        const { vpn, pfn, childEntry, entry } = event;
        readOnlyBothSides(event, [vpn, pfn, 1, pteFlags(childEntry), pteFlags(entry)], audited, report);
      },
    },
  },
  {
    ...rule,
    name: 'unshare-RO',
    formula: 'a fault that asked to unshare without writing leaves the entry read-only',
    source: 'wp_page_copy(): BUG_ON',
    severity: 1,
    since: '5.19',
    after: {
      CowPageMapped({ mm, vpn, entry }, audited, report) {
        if ((entry & PTE_WRITE) !== 0 && isUnshare(audited))
          report({ kind: 'entry', mm, vpn }, { expected: 'a read-only entry', found: 'a writable one' });
      },
    },
  },
  {
    ...rule,
    name: 'merge-anon_vma',
    formula: 'VMAs that merge had the same anon_vma, or one of them none',
    source: 'anon_vma_merge(): VM_BUG_ON',
    severity: 1,
    before: {
      VmaMerged({ mm, start, anonVma }, { facts }, report) {
        const [low, high] = facts.vmas.pair(mm, start);
        const [a, b] = [low?.anonVma ?? 0, high?.anonVma ?? 0];
        if (a !== 0 && b !== 0 && a !== b)
          report({ kind: 'vma', mm, start }, { expected: `anon_vma ${a}`, found: `anon_vma ${b}` });
        else if (anonVma !== Math.max(a, b))
          report({ kind: 'vma', mm, start }, { expected: `anon_vma ${Math.max(a, b)}`, found: `anon_vma ${anonVma}` });
      },
    },
  },
  {
    ...rule,
    name: 'anon_vma-free',
    formula: 'an anon_vma is freed only when no VMA is linked to it and none of its pages is mapped',
    source: 'unlink_anon_vmas(): VM_WARN',
    severity: 1,
    since: '6.0',
    before: {
      AnonVmaFreed({ anonVma }, { facts }, report) {
        const links = facts.vmas.links.get(anonVma) ?? 0;
        const mapped = facts.mappings.anonMapped[anonVma] ?? 0;
        if (links !== 0 || mapped !== 0)
          report(
            { kind: 'anon_vma', id: anonVma },
            { expected: 'no VMA, no mapped page', found: `${links} VMAs, ${mapped} pages` },
          );
      },
    },
  },
  {
    ...rule,
    name: 'rss-zero-at-exit',
    formula: 'when an address space is freed nothing is mapped in it any more',
    source: 'check_mm()',
    severity: 2,
    before: {
      MmFreed({ mm }, { facts }, report) {
        const rss = facts.mappings.of(mm)?.rss;
        const pages = rss === undefined ? 0 : rss[0]! + rss[1]! + rss[2]!;
        if (pages !== 0) report({ kind: 'mm', mm, what: 'rss' }, { expected: 0, found: pages });
      },
    },
  },
  {
    ...rule,
    name: 'nr_ptes-zero-at-exit',
    formula: 'when an address space is freed its page tables are gone',
    source: 'check_mm()',
    severity: 2,
    before: {
      MmFreed({ mm }, { facts }, report) {
        const space = facts.mappings.of(mm);
        const bytes = space === undefined ? 0 : facts.mappings.tableBytes(space);
        if (bytes !== 0) report({ kind: 'mm', mm, what: 'page_tables' }, { expected: 0, found: bytes });
      },
    },
  },
  {
    ...rule,
    name: 'page-table-freed-while-used',
    formula: 'a page table is freed only when all its entries are empty',
    source: 'free_pgtables() after unmap_vmas()',
    severity: 1,
    before: {
      PageTablesFreed({ mm, vpn, vpnEnd }, { facts }, report) {
        const space = facts.mappings.of(mm);
        if (space === undefined) return;
        const from = Math.ceil(vpn / PTRS_PER_PTE) * PTRS_PER_PTE;
        const to = Math.floor(vpnEnd / PTRS_PER_PTE) * PTRS_PER_PTE;
        facts.mappings.forEachEntry(space, from, to, (found) => {
          report({ kind: 'entry', mm, vpn: found }, { expected: 'an empty entry', found: 'one that is not' });
          return false;
        });
      },
    },
  },
  {
    ...rule,
    name: 'guard-stays',
    aliases: ['guard-sticky'],
    formula:
      'giving up memory or cutting a file leaves guard markers where they are: only unmapping and MADV_GUARD_REMOVE take them away',
    source: 'zap_nonpresent_ptes(); madvise(2)',
    severity: 1,
    since: '6.13',
    before: {
      PtesZapped({ mm, special }, { operation }, report) {
        if (!KEEPS_MAPPINGS.has(operation?.name ?? '')) return;
        for (let i = 0; i + 3 < special.length; i += 4)
          if (isGuardPteMarker(mkPte(special[i + 1] as number, special[i + 3] as number)))
            report(
              { kind: 'entry', mm, vpn: special[i] as number },
              { expected: 'a guard marker', found: 'none any more' },
            );
      },
    },
  },
  {
    ...rule,
    name: 'hiwater',
    formula: 'the high-water mark is never lowered, and reaches what was resident before pages go',
    source: 'update_hiwater_rss()',
    severity: 3,
    before: {
      PtesZapped({ mm, rssFile, rssAnon, rssShmem }, { view }, report) {
        const now = view.mms[mm];
        const before = now ? rssPages(now) - rssFile - rssAnon - rssShmem : 0;
        if (now && now.hiwaterRss < before)
          report({ kind: 'mm', mm, what: 'hiwater_rss' }, { expected: `at least ${before}`, found: now.hiwaterRss });
      },
      PmdZapped({ mm, rssAnon }, { view }, report) {
        const now = view.mms[mm];
        const before = now ? rssPages(now) - rssAnon : 0;
        if (now && now.hiwaterRss < before)
          report({ kind: 'mm', mm, what: 'hiwater_rss' }, { expected: `at least ${before}`, found: now.hiwaterRss });
      },
    },
  },
  {
    ...rule,
    name: 'LRU-batch-size',
    formula: `a CPU's batch holds at most ${BATCH_PAGES} pages`,
    source: 'PAGEVEC_SIZE; folio_batch_add()',
    severity: 3,
    after: {
      AnonPageMapped: ({ lruCpu }, { facts }, report) => batchBound(facts.lruAdd, lruCpu, report),
      CowPageMapped: ({ lruCpu }, { facts }, report) => batchBound(facts.lruAdd, lruCpu, report),
      PageCacheAdded: ({ lruCpu }, { facts }, report) => batchBound(facts.lruAdd, lruCpu, report),
      PagesLazyfreed: ({ lruCpu }, { facts }, report) => batchBound(facts.lruLazyfree, lruCpu, report),
      MlockBatched: ({ cpu }, { facts }, report) => batchBound(facts.mlock, cpu, report),
    },
  },
  {
    ...rule,
    name: 'removed-page-is-unmapped',
    formula: 'a page leaves the page cache only when nothing maps it',
    source: 'filemap_unaccount_folio(): VM_BUG_ON',
    severity: 1,
    after: {
      PageCacheRemoved: removedUnmapped,
      PageCacheReclaimed: removedUnmapped,
    },
  },
  {
    ...rule,
    name: 'no-page-beyond-eof',
    formula:
      'no page is added to the cache beyond the end of its file, except to be written, or where fallocate(2) asks for it',
    source: 'filemap_fault(), shmem_get_folio_gfp(): SIGBUS',
    severity: 2,
    after: {
      PageCacheAdded: addedBelowEnd,
      ShmemFolioAdded: addedBelowEnd,
    },
  },
  {
    ...rule,
    name: 'allocated-frame-was-free',
    formula: 'the allocator gives only frames that nothing leads to',
    source: 'check_new_page()',
    severity: 1,
    before: {
      FolioAllocated({ pfn }, { facts }, report) {
        const holders = pfn < facts.frames.size ? facts.frames.holders(pfn) : 0;
        if (holders !== 0)
          report({ kind: 'frame', pfn }, { expected: 'nothing leads to it', found: `${holders} holders` });
      },
    },
  },
  {
    ...rule,
    name: 'exclusive-page-not-replaced-by-cow',
    formula: 'a write fault replaces no anonymous page that is exclusive: GUP-fast may pin it at any moment',
    source: 'do_wp_page(), gup_must_unshare()',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    before: {
      CowPageMapped({ mm, vpn, oldPfn }, audited, report) {
        replacedByCow(audited, report, { mm, vpn }, oldPfn);
      },
      CowPagesMapped({ mm, runs: [vpn = 0, old = 0, pages = 0] }, audited, report) {
        for (let i = 0; i < pages; i++) replacedByCow(audited, report, { mm, vpn: vpn + i }, old + i);
      },
      CowHugePageMapped: ({ mm, vpn, oldPfn }, audited, report) => replacedByCow(audited, report, { mm, vpn }, oldPfn),
    },
  },
  {
    ...rule,
    name: 'reuse-has-no-foreign-mapping',
    formula: 'a write fault that keeps the page finds no other mapping of it',
    source: 'wp_can_reuse_anon_folio()',
    severity: 1,
    after: {
      PagesReused({ mm, runs }, { facts }, report) {
        for (let i = 0; i + 3 < runs.length; i += 4)
          for (let j = 0; j < runs[i + 2]!; j++) {
            const mappers = facts.frames.mappers[runs[i + 1]! + j] ?? 0;
            if (mappers > 1)
              report({ kind: 'entry', mm, vpn: runs[i]! + j }, { expected: '1 mapping', found: `${mappers} mappings` });
          }
      },
      PageReused({ mm, vpn, pfn }, { facts, view }, report) {
        const mappers = facts.frames.mappers[pfn] ?? 0;
        const page = view.memMap[pfn >>> 8]?.[pfn & 255];
        if (mappers > 1 && page !== undefined && (page.flags & PG_ANON) !== 0)
          report({ kind: 'entry', mm, vpn }, { expected: '1 mapping', found: `${mappers} mappings` });
      },
      PmdReused({ mm, vpn, pfn }, { facts }, report) {
        const mappings = facts.frames.largeMapcount(pfn);
        if (mappings > 1) report({ kind: 'entry', mm, vpn }, { expected: '1 mapping', found: `${mappings} mappings` });
      },
    },
  },
];
