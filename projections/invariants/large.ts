// Rules on large folios and huge entries: what a folio counts as a whole, where a huge entry may stand, and whose a page is that is kept.
import { COUNTED } from '../../reducers/huge.js';
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER } from '../../reducers/state.js';
import type { Facts } from '../facts/facts.js';
import { FRAME_EXCLUSIVE, FrameKind } from '../facts/frames.js';
import type { Audited, EntryInvariant, EventInvariant, Report } from './invariant.js';
import { PTRS_PER_PTE, isHugePte } from '../../reducers/pte.js';

const rule = { about: 'event', since: 'all', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;

/** A write fault in `mm` keeps the page of a large folio at `pfn`, which was not exclusive before: nobody else may have any page of the folio. */
function keptOfLarge(
  { facts }: Audited,
  report: Report,
  { mm, vpn }: { readonly mm: number; readonly vpn: number },
  pfn: number,
): void {
  const { frames, mappings } = facts;
  const order = frames.has(pfn) ? (frames.order[pfn] as number) : 0;
  if (order === 0 || (frames.flags[pfn]! & FRAME_EXCLUSIVE) !== 0) return;
  const head = frames.head(pfn);
  const others = new Set<number>();
  for (let page = head; page < head + 2 ** order; page++)
    mappings.forEachMapper(page, (mapper) => {
      if (mapper !== mm) others.add(mapper);
    });
  if (others.size > 0)
    report(
      { kind: 'entry', mm, vpn },
      { expected: 'a folio of one address space', found: `mm ${[...others].join(', ')} maps it too` },
    );
}

export const largeEntryInvariants: readonly EntryInvariant[] = [
  {
    ...rule,
    about: 'entry',
    name: 'huge-entry-maps-whole-folio',
    aliases: ['LEAF-aligned'],
    formula: 'a huge entry maps the 512 pages of one folio, at an address that is a multiple of 2 MiB, in one VMA',
    source: '__split_huge_pmd_locked(): VM_BUG_ON',
    severity: 1,
    of: 'anon',
    check({ entry, vpn, pfn, vma }, { facts }) {
      if (!isHugePte(entry)) return null;
      const from = (vpn - (vpn % HPAGE_PMD_NR)) * 4096;
      if (vma !== null && (vma.start > from || vma.end < from + HPAGE_PMD_NR * 4096))
        return { expected: 'a VMA around all of it', found: 'one that has a part' };
      // The entry of each page is shown, with the page's own frame.
      const order = facts.frames.order[pfn];
      if (order === HPAGE_PMD_ORDER && pfn % HPAGE_PMD_NR === vpn % HPAGE_PMD_NR) return null;
      return {
        expected: `page ${vpn % HPAGE_PMD_NR} of a folio of order 9`,
        found: `frame ${pfn} of order ${order ?? 0}`,
      };
    },
  },
];

export const largeEventInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    name: 'large-mapcount-sum',
    formula: '_large_mapcount + 1 == entries that map the folio’s pages, a huge one counted once',
    source: '__folio_rmap_sanity_checks(), folio_large_mapcount()',
    severity: 2,
    since: '6.10',
    after: {
      LargeFoliosCounted: ({ folios }, { facts }, report) =>
        forEachCounted(folios, (pfn, [largeMapcount]) => {
          const expected = facts.frames.largeMapcount(pfn);
          if (largeMapcount !== expected) report({ kind: 'frame', pfn }, { expected, found: largeMapcount });
        }),
    },
  },
  {
    ...rule,
    name: 'mm-id-counts',
    formula: 'an owner slot of a large folio counts no more mappings than the folio has; neither do both together',
    source: '__folio_large_mapcount_sanity_checks()',
    severity: 2,
    since: '6.15',
    needs: ['large-folio-owner-slots'],
    after: {
      LargeFoliosCounted: ({ folios }, _audited, report) =>
        forEachCounted(folios, (pfn, [largeMapcount, mm0, count0, mm1, count1]) => {
          const counted = (mm0 === 0 ? 0 : count0) + (mm1 === 0 ? 0 : count1);
          if (counted > largeMapcount || (mm0 !== 0 && mm0 === mm1))
            report(
              { kind: 'frame', pfn },
              {
                expected: `two owners with ${largeMapcount} at most`,
                found: `mm ${mm0} ${count0}, mm ${mm1} ${count1}`,
              },
            );
        }),
    },
  },
  {
    ...rule,
    name: 'not-shared-has-one-owner',
    formula: 'a folio that is not said to be mapped by several is mapped by one address space at most',
    source: 'folio_maybe_mapped_shared()',
    severity: 1,
    since: '6.15',
    needs: ['large-folio-owner-slots'],
    after: {
      LargeFoliosCounted: ({ folios }, { facts }, report) =>
        forEachCounted(folios, (pfn, [largeMapcount, , , , , mappedShared]) => {
          // Of pages of the hugetlb pool nobody counts owners.
          if (mappedShared !== 0 || largeMapcount < 2 || facts.frames.kind[pfn] === FrameKind.hugetlb) return;
          const owners = new Set<number>();
          const end = pfn + 2 ** (facts.frames.order[pfn] ?? 0);
          for (let page = pfn; page < end; page++) facts.mappings.forEachMapper(page, (mm) => owners.add(mm));
          if (owners.size > 1) report({ kind: 'frame', pfn }, { expected: '1 owner', found: `${owners.size} owners` });
        }),
    },
  },
  {
    ...rule,
    name: 'pincount-of-holders',
    formula: '_pincount == FOLL_PINs of the folio’s pages that are not given back',
    source: 'try_grab_folio(), gup_put_folio()',
    severity: 2,
    after: {
      LargeFoliosCounted: ({ folios }, { facts }, report) =>
        forEachCounted(folios, (pfn, [, , , , , , , pincount]) => {
          const expected = pinsOf(facts, pfn);
          if (pincount !== expected) report({ kind: 'frame', pfn }, { expected, found: pincount });
        }),
    },
  },
  {
    ...rule,
    name: 'large-reuse-has-one-owner',
    aliases: ['reuse-large-sane'],
    formula:
      'a write fault that keeps a page of a large folio, which was not exclusive, finds no page of the folio mapped by others',
    source: '__wp_can_reuse_large_anon_folio(): VM_WARN',
    severity: 1,
    since: '6.15',
    needs: ['large-folio-owner-slots', 'anon-exclusive'],
    before: {
      PageReused: ({ mm, vpn, pfn }, audited, report) => keptOfLarge(audited, report, { mm, vpn }, pfn),
    },
  },
  {
    ...rule,
    name: 'page-table-walk-stays-in-table',
    formula: 'who reads a row of entries reads those of one page table',
    source: 'folio_unmap_pte_batch(): pmd_addr_end()',
    severity: 1,
    after: {
      LargeFolioDiscarded({ mm, scanned }, _audited, report) {
        for (let i = 0; i + 1 < scanned.length; i += 2) {
          const [vpn, n] = [scanned[i]!, scanned[i + 1]!];
          const room = PTRS_PER_PTE - (vpn % PTRS_PER_PTE);
          if (n > room) report({ kind: 'entry', mm, vpn }, { expected: `at most ${room} entries`, found: n });
        }
      },
    },
  },
  {
    ...rule,
    name: 'large-mapcount-below-refcount',
    aliases: ['L<=ref'],
    formula: 'a large folio has at least as many references as mappings',
    source: '__wp_can_reuse_large_anon_folio(): VM_WARN',
    severity: 2,
    since: '6.15',
    needs: ['large-folio-owner-slots'],
    after: {
      LargeFoliosCounted: ({ folios }, { view }, report) =>
        forEachCounted(folios, (pfn, [largeMapcount]) => {
          const ref = view.memMap[pfn >>> 8]?.[pfn & 255]?.ref ?? 0;
          if (ref < largeMapcount)
            report({ kind: 'frame', pfn }, { expected: `at least ${largeMapcount} references`, found: ref });
        }),
    },
  },
];

const FOLL_PIN = 0x80000;

type Counted = readonly [number, number, number, number, number, number, number, number];

/** Calls `visit` with each folio of LargeFoliosCounted: its first page, and what follows it there. */
function forEachCounted(folios: readonly number[], visit: (pfn: number, counted: Counted) => void): void {
  for (let i = 0; i + COUNTED <= folios.length; i += COUNTED)
    visit(folios[i] as number, folios.slice(i + 1, i + COUNTED) as unknown as Counted);
}

/** Pins that are held of the pages of the folio that begins at `pfn`. */
function pinsOf({ frames, holders }: Facts, pfn: number): number {
  let pins = 0;
  for (const { flags, pages } of holders.values())
    if ((flags & FOLL_PIN) !== 0) for (const page of pages) if (frames.head(page.pfn) === pfn) pins += page.bias;
  return pins;
}
