// Rules on swapped memory: slots, the swap cache, swap entries.
import { PTE_DIRTY, pteSwpExclusive, swpOffset } from '../../reducers/pte.js';
import { FREE_SLOT, HPAGE_PMD_ORDER, PG_ANON_EXCLUSIVE } from '../../reducers/state.js';
import { VM_LOCKED } from '../../reducers/vma.js';
import { FRAME_DIRTY, FRAME_EXCLUSIVE, FRAME_SWAPBACKED } from '../facts/frames.js';
import type { Audited, EntryInvariant, EventInvariant, FrameInvariant, Report } from './invariant.js';

const rule = { since: 'all', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;

export const swapEntryInvariants: readonly EntryInvariant[] = [
  {
    ...rule,
    about: 'entry',
    name: 'swap-excl-single',
    formula: 'an exclusive swap entry is the only one of its slot',
    source: 'copy_nonpresent_pte(); do_swap_page()',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    of: 'swap',
    check({ entry }, { facts }) {
      const { entries, exclusive } = facts.mappings.slotUse(swpOffset(entry));
      if (entries <= 1 || exclusive === 0) return null;
      const which = pteSwpExclusive(entry) ? 'this one exclusive' : 'another one exclusive';
      return { expected: '1 entry', found: `${entries} entries, ${which}` };
    },
  },
];

export const swapFrameInvariants: readonly FrameInvariant[] = [
  {
    ...rule,
    about: 'frame',
    name: 'no-AE-in-swap',
    formula:
      'a page in the swap cache that nothing maps, and whose slot a swap entry leads to, has no PG_anon_exclusive',
    source: 'do_swap_page(): BUG_ON',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    check(pfn, page, _free, { facts }) {
      if ((page.flags & PG_ANON_EXCLUSIVE) === 0 || !facts.slotOfFrame.has(pfn)) return null;
      // What was given up keeps its flag until it is freed.
      if (facts.mappings.slotUse(facts.slotOfFrame.get(pfn)!).entries === 0) return null;
      return facts.frames.mappers[pfn]! > 0 ? null : { expected: 'no PG_anon_exclusive', found: 'PG_anon_exclusive' };
    },
  },
  {
    ...rule,
    about: 'frame',
    name: 'W-owner-has-no-swap-entry',
    formula: 'no swap entry leads to the slot of an anonymous page with a writable mapping',
    source: 'the COW contract; do_swap_page()',
    severity: 1,
    check(pfn, _page, _free, { facts }) {
      if (facts.frames.writers[pfn] === 0) return null;
      const slot = facts.slotOfFrame.get(pfn);
      const entries = slot === undefined ? 0 : facts.mappings.slotUse(slot).entries;
      return entries === 0 ? null : { expected: '0 swap entries', found: entries };
    },
  },
];

/** The counts of the slots of pages in `runs`. */
function slotsCounted(
  { slot, pfn, runs }: { readonly slot: number; readonly pfn: number; readonly runs: readonly number[] },
  audited: Audited,
  report: Report,
): void {
  for (const [, page] of eachPage(runs)) slotCounted({ slot: slot + page - pfn }, audited, report);
}

/** [vpn, pfn, flags] of each page of [vpn, pfn, n, flags]*. */
function* eachPage(runs: readonly number[]): Generator<readonly [vpn: number, pfn: number, flags: number]> {
  for (let i = 0; i + 3 < runs.length; i += 4)
    for (let j = 0; j < runs[i + 2]!; j++) yield [runs[i]! + j, runs[i + 1]! + j, runs[i + 3]!];
}

/** The count of `slot` against the entries that lead there. */
function slotCounted({ slot }: { readonly slot: number }, { view, facts }: Audited, report: Report): void {
  const count = view.swap[slot]?.count ?? FREE_SLOT;
  const entries = facts.slotCount(slot);
  const subject = { kind: 'machine', what: `swap slot ${slot}` } as const;
  if (Math.max(count, 0) !== entries) report(subject, { expected: entries, found: count });
  const cached = facts.swapCache.has(slot);
  if ((count !== FREE_SLOT) !== (entries > 0 || cached))
    report(subject, { expected: count === FREE_SLOT ? 'a slot in use' : 'a free slot', found: `count ${count}` });
}

export const swapEventInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    about: 'event',
    name: 'swap-count',
    formula:
      'a slot’s count == swap entries, and places in files in memory, that lead to it; it is free if there are none and the swap cache has no page for it',
    source: 'mm/swapfile.c',
    severity: 2,
    after: {
      PageSwappedOut: slotCounted,
      PageSwappedIn: slotCounted,
      SwapEntryCopied: slotCounted,
      SwapEntryFreed: slotCounted,
      SwapCacheRemoved: slotCounted,
      ShmemPageSwapped: slotCounted,
      ShmemPageSwappedIn: slotCounted,
      ShmemSwapFreed: slotCounted,
      PagesSwappedOut: slotsCounted,
      PagesSwappedIn: slotsCounted,
      LargeSwapCacheRemoved({ slot, order }, audited, report) {
        for (let i = 0; i < 2 ** Math.min(order, HPAGE_PMD_ORDER); i++)
          slotCounted({ slot: slot + i }, audited, report);
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'swapbacked-cache',
    formula: 'an entry becomes a swap entry only if its page is swapbacked and in the swap cache at that slot',
    source: 'try_to_unmap_one(): WARN_ON_ONCE',
    severity: 2,
    after: {
      PageSwappedOut({ pfn, slot }, { facts }, report) {
        const backed = (facts.frames.flags[pfn] ?? 0) & FRAME_SWAPBACKED;
        if (backed === 0 || facts.swapCache.get(slot) !== pfn)
          report({ kind: 'frame', pfn }, { expected: `a page of slot ${slot}`, found: 'one that is not' });
      },
      PagesSwappedOut({ pfn, slot, runs }, { facts }, report) {
        for (const [, page] of eachPage(runs)) {
          const backed = (facts.frames.flags[page] ?? 0) & FRAME_SWAPBACKED;
          if (backed === 0 || facts.swapCache.get(slot + page - pfn) !== page)
            report(
              { kind: 'frame', pfn: page },
              { expected: `a page of slot ${slot + page - pfn}`, found: 'one that is not' },
            );
        }
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'mlocked-not-reclaimed',
    formula: 'a page of a VMA with VM_LOCKED is not swapped out',
    source: 'try_to_unmap_one()',
    severity: 3,
    after: {
      PageSwappedOut({ mm, vpn }, { facts }, report) {
        if (((facts.vmas.at(mm, vpn * 4096)?.flags ?? 0) & VM_LOCKED) !== 0)
          report({ kind: 'entry', mm, vpn }, { expected: 'a present page', found: 'a swap entry in locked memory' });
      },
      PagesSwappedOut({ mm, runs }, { facts }, report) {
        for (const [vpn] of eachPage(runs))
          if (((facts.vmas.at(mm, vpn * 4096)?.flags ?? 0) & VM_LOCKED) !== 0)
            report({ kind: 'entry', mm, vpn }, { expected: 'a present page', found: 'a swap entry in locked memory' });
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'exclusive-survives-swap',
    aliases: ['swap-keeps-exclusive'],
    formula: 'the entry of an exclusive page becomes an exclusive swap entry',
    source: 'try_to_unmap_one(); 1493a1913e34',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    before: {
      PageSwappedOut({ mm, vpn, pfn, entry }, { facts }, report) {
        if ((facts.frames.flags[pfn]! & FRAME_EXCLUSIVE) !== 0 && !pteSwpExclusive(entry))
          report({ kind: 'entry', mm, vpn }, { expected: 'an exclusive swap entry', found: 'one that may be shared' });
      },
      PagesSwappedOut({ mm, runs }, { facts }, report) {
        for (const [vpn, pfn, flags] of eachPage(runs))
          if (((facts.frames.flags[pfn] ?? 0) & FRAME_EXCLUSIVE) !== 0 && !pteSwpExclusive(flags))
            report(
              { kind: 'entry', mm, vpn },
              { expected: 'an exclusive swap entry', found: 'one that may be shared' },
            );
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'referenced-page-not-discarded',
    formula: 'a page given up by MADV_FREE is not dropped while somebody holds it from outside of page tables',
    source: '6c8e2a256915; try_to_unmap_one()',
    severity: 1,
    before: {
      LazyfreeDiscarded({ mm, vpn, pfn }, { facts }, report) {
        for (const [id] of facts.holdersOf(pfn))
          report({ kind: 'entry', mm, vpn }, { expected: `the page that holder ${id} has`, found: 'nothing' });
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'clean-page-equals-backing',
    formula: 'MADV_FREE makes a page clean only if no other entry maps it: its bytes stand nowhere else',
    source: 'madvise_free_pte_range()',
    severity: 1,
    before: {
      PagesLazyfreed({ mm, runs }, { facts }, report) {
        for (let i = 0; i + 3 < runs.length; i += 4)
          for (let j = 0; j < (runs[i + 2] as number); j++) {
            const pfn = (runs[i + 1] as number) + j;
            const mappers = facts.frames.mappers[pfn] ?? 0;
            if (mappers > 1 && ((facts.frames.flags[pfn] ?? 0) & FRAME_DIRTY) !== 0)
              report(
                { kind: 'entry', mm, vpn: (runs[i] as number) + j },
                { expected: 'a page that stays dirty', found: `a clean one with ${mappers} mappings` },
              );
          }
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'lazyfree-clean-drop',
    formula: 'a page given up by MADV_FREE is dropped only if neither it nor its entry is dirty',
    source: 'try_to_unmap_one()',
    severity: 1,
    before: {
      LazyfreeDiscarded({ mm, vpn, pfn }, { facts }, report) {
        const space = facts.mappings.of(mm);
        const entry = space === undefined ? 0 : facts.mappings.at(space, vpn);
        if ((entry & PTE_DIRTY) !== 0 || (facts.frames.flags[pfn]! & FRAME_DIRTY) !== 0)
          report({ kind: 'entry', mm, vpn }, { expected: 'a clean page', found: 'a dirty one' });
      },
    },
  },
];
