// Rules on pages that are held from outside of page tables: pins, pipes, registered buffers.
import { isHugePte, isMigrationPte, ptePfn, pteWrite } from '../../reducers/pte.js';
import { HPAGE_PMD_NR, PG_ANON, PG_ANON_EXCLUSIVE, folioAt, pageAt } from '../../reducers/state.js';
import type { HeldPage, HolderFacts } from '../facts/facts.js';
import { FrameKind } from '../facts/frames.js';
import type { Audited, EventInvariant, Report } from './invariant.js';

const rule = {
  about: 'event',
  since: 'all',
  aliases: [],
  needs: [],
  knownBroken: [],
  at: 'event',
  severity: 1,
} as const;

const FOLL_LONGTERM = 0x100;
const FOLL_PIN = 0x80000;
const isPin = ({ flags }: HolderFacts): boolean => (flags & FOLL_PIN) !== 0;

/** Pins of `pfn` that must see what `mm` sees there: of anonymous memory all, of others those for long. */
function pinsThrough({ facts }: Audited, pfn: number, mm: number): number {
  let pins = 0;
  for (const [, holder, page] of facts.holdersOf(pfn)) if (page.mm === mm && mustSee(facts, holder, page)) pins++;
  return pins;
}

const mustSee = ({ frames }: Audited['facts'], holder: HolderFacts, page: HeldPage): boolean =>
  isPin(holder) && (isAnon(frames, page.pfn) || (holder.flags & FOLL_LONGTERM) !== 0);

/** Of pages of the hugetlb pool only what they are mapped as tells. */
const isAnon = (frames: Audited['facts']['frames'], pfn: number): boolean =>
  frames.kind[pfn] === FrameKind.anon || (frames.kind[pfn] === FrameKind.hugetlb && frames.anonVma[pfn] !== 0);

/** The huge page at `old`, which `mm` had from `vpn` on, was copied. */
function hugePageCopied(mm: number, vpn: number, old: number, audited: Audited, report: Report): void {
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    const pins = pinsThrough(audited, old + i, mm);
    if (pins > 0)
      report(
        { kind: 'entry', mm, vpn: vpn + i },
        { expected: `the page that ${pins} pins hold`, found: 'a copy of it' },
      );
  }
}

/** fork gave a child the huge page at `pfn` that `mm` has from `vpn` on. */
function hugePageShared(mm: number, vpn: number, pfn: number, { facts }: Audited, report: Report): void {
  for (const holder of facts.holders.values())
    for (const page of holder.pages)
      if (isPin(holder) && page.mm === mm && facts.frames.head(page.pfn) === pfn)
        report(
          { kind: 'entry', mm, vpn: vpn + page.pfn - pfn },
          { expected: 'a copy for the child', found: 'the pinned page mapped in both' },
        );
}

/** An entry of `mm` was made writable without a copy. */
function reusedAlone(
  { mm, vpn, pfn }: { readonly mm: number; readonly vpn: number; readonly pfn: number },
  { facts }: Audited,
  report: Report,
): void {
  for (const [id, , page] of facts.holdersOf(pfn))
    if (page.mm !== 0 && page.mm !== mm)
      report(
        { kind: 'entry', mm, vpn },
        { expected: 'a copy', found: `the page that holder ${id} has through mm ${page.mm}` },
      );
}

/** Numbers of one page in `Holder.pages`. */
const HELD = 6;
const PAGE_SIZE = 4096;

/** The bytes begin in page `pfn`, and may go on to the end of its folio. */
function coversMore(
  { pfn, offset, length }: { readonly pfn: number; readonly offset: number; readonly length: number },
  { frames }: Audited['facts'],
  report: Report,
): void {
  const pages = pfn < 0 ? 1 : frames.head(pfn) + 2 ** (frames.order[pfn] ?? 0) - pfn;
  if (offset + length <= pages * PAGE_SIZE) return;
  report(
    { kind: 'frame', pfn },
    { expected: `bytes up to ${pages * PAGE_SIZE}`, found: `bytes up to ${offset + length}` },
  );
}

/** Frame `pfn` takes the place of a migration entry: nobody may have pinned the frame in it through this address space. */
function movedUnderPins(audited: Audited, report: Report, mm: number, vpn: number, pfn: number): void {
  const { mappings } = audited.facts;
  const space = mappings.of(mm);
  const old = space === undefined ? 0 : mappings.at(space, vpn);
  const from = isMigrationPte(old) ? ptePfn(old) : pfn;
  const pins = from === pfn ? 0 : pinsThrough(audited, from, mm);
  if (pins === 0) return;
  report({ kind: 'entry', mm, vpn }, { expected: `the page that ${pins} pins hold`, found: 'another frame' });
}

export const gupInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    name: 'pinned-anon-is-exclusive',
    aliases: ['pin-implies-exclusive'],
    formula: 'FOLL_PIN is taken on exclusive anonymous pages only',
    source: 'follow_page_pte(), gup_must_unshare(); sanity_check_pinned_pages()',
    since: '5.19',
    needs: ['anon-exclusive'],
    after: {
      PageGrabbed({ holder, pfn, mm, vpn }, { view, facts }, report) {
        const held = facts.holders.get(holder);
        if (pfn < 0 || held === undefined || !isPin(held)) return;
        const space = facts.mappings.of(mm);
        // Below a huge entry the flag of the first page speaks for all.
        const huge = space !== undefined && isHugePte(facts.mappings.at(space, vpn));
        const { flags } = huge ? folioAt(view, pfn) : pageAt(view, pfn);
        if ((flags & PG_ANON) === 0 || (flags & PG_ANON_EXCLUSIVE) !== 0) return;
        report({ kind: 'entry', mm, vpn }, { expected: 'an exclusive page', found: 'a page that may be shared' });
      },
    },
  },
  {
    ...rule,
    name: 'pin-oracle',
    aliases: ['pin-stability'],
    formula:
      'while a FOLL_PIN pin (of a file’s page: with FOLL_LONGTERM) is held, neither a write fault nor migration gives its mapping another page',
    source: 'Documentation/core-api/pin_user_pages.rst; the COW contract',
    since: '5.19',
    before: {
      CowPageMapped({ mm, vpn, oldPfn }, audited, report) {
        const pins = oldPfn < 0 ? 0 : pinsThrough(audited, oldPfn, mm);
        if (pins === 0) return;
        report({ kind: 'entry', mm, vpn }, { expected: `the page that ${pins} pins hold`, found: 'a copy of it' });
      },
      CowPagesMapped({ mm, runs }, audited, report) {
        const [vpn = 0, old = 0, pages = 0] = runs;
        for (let i = 0; i < pages; i++) {
          const pins = pinsThrough(audited, old + i, mm);
          if (pins === 0) continue;
          report(
            { kind: 'entry', mm, vpn: vpn + i },
            { expected: `the page that ${pins} pins hold`, found: 'a copy of it' },
          );
        }
      },
      CowHugePageMapped: ({ mm, vpn, oldPfn }, audited, report) => hugePageCopied(mm, vpn, oldPfn, audited, report),
      HugetlbCowMapped: ({ mm, vpn, oldPfn }, audited, report) => hugePageCopied(mm, vpn, oldPfn, audited, report),
      MigrationPteRemoved: ({ mm, vpn, pfn }, audited, report) => movedUnderPins(audited, report, mm, vpn, pfn),
      MigrationPtesRemoved({ mm, runs }, audited, report) {
        for (let i = 0; i + 3 < runs.length; i += 4)
          for (let j = 0; j < (runs[i + 2] as number); j++)
            movedUnderPins(audited, report, mm, (runs[i] as number) + j, (runs[i + 1] as number) + j);
      },
      PmdMigrationRemoved({ mm, vpn, pfn }, audited, report) {
        for (let i = 0; i < HPAGE_PMD_NR; i++) movedUnderPins(audited, report, mm, vpn + i, pfn + i);
      },
    },
  },
  {
    ...rule,
    name: 'pin-covers-pinned-frames-only',
    formula: 'who holds a page has it for bytes of that page’s folio only',
    source: 'CVE-2023-2598; io_sqe_buffer_register()',
    after: {
      PageGrabbed: (event, { facts }, report) => coversMore(event, facts, report),
      HeldBytesChanged({ holder, at, offset, length }, { view, facts }, report) {
        const pfn = view.holders[holder]?.pages[at * HELD];
        if (pfn !== undefined) coversMore({ pfn, offset, length }, facts, report);
      },
    },
  },
  {
    ...rule,
    name: 'pinned-page-shared-by-fork',
    aliases: ['pinned-never-shared'],
    formula: 'fork does not map an anonymous page that its parent has pinned (FOLL_PIN) in the child',
    source: 'copy_present_page(), folio_try_dup_anon_rmap_pte()',
    since: '5.9',
    after: {
      PtesCopied({ mm, anon }, { facts }, report) {
        for (let i = 0; i + 4 < anon.length; i += 5)
          for (let j = 0; j < (anon[i + 2] as number); j++)
            for (const [, holder, page] of facts.holdersOf((anon[i + 1] as number) + j))
              if (isPin(holder) && page.mm === mm)
                report(
                  { kind: 'entry', mm, vpn: (anon[i] as number) + j },
                  { expected: 'a copy for the child', found: 'the pinned page mapped in both' },
                );
      },
      PmdCopied({ mm, vpn, pfn }, audited, report) {
        if (pfn >= 0) hugePageShared(mm, vpn, pfn, audited, report);
      },
      HugetlbEntryCopied({ mm, vpn, pfn, exclusive }, audited, report) {
        if (exclusive === 0) hugePageShared(mm, vpn, pfn, audited, report);
      },
    },
  },
  {
    ...rule,
    name: 'reuse-has-no-foreign-reference',
    formula: 'a write fault that keeps the page finds no reference that was taken through another address space',
    source: 'CVE-2020-29374; wp_can_reuse_anon_folio()',
    knownBroken: [
      '2.6.36 and later: hugetlb_wp() keeps a huge page of the pool that nobody else maps, whoever holds it',
    ],
    after: {
      PageReused: reusedAlone,
      PagesReused({ mm, runs }, audited, report) {
        for (let i = 0; i + 3 < runs.length; i += 4)
          for (let j = 0; j < runs[i + 2]!; j++)
            reusedAlone({ mm, vpn: runs[i]! + j, pfn: runs[i + 1]! + j }, audited, report);
      },
      PmdReused({ mm, vpn, pfn }, audited, report) {
        for (let i = 0; i < HPAGE_PMD_NR; i++) reusedAlone({ mm, vpn: vpn + i, pfn: pfn + i }, audited, report);
      },
      PageSwappedIn(event, audited, report) {
        if (pteWrite(event.entry)) reusedAlone(event, audited, report);
      },
    },
  },
];
