// Rules on single page frames: their counters and flags against who really leads to them.
import { PG_ANON, PG_ANON_EXCLUSIVE, pageMapcount } from '../../reducers/state.js';
import type { FrameInvariant } from './invariant.js';

const rule = { about: 'frame', since: 'all', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;

export const frameInvariants: readonly FrameInvariant[] = [
  {
    ...rule,
    name: 'mapcount-equals-rmap',
    aliases: ['mapcount-from-tables'],
    formula:
      '_mapcount + 1 (and _entire_mapcount + 1 of a large folio) == present entries of all address spaces that lead to the page',
    source: 'mm/rmap.c',
    severity: 2,
    check(pfn, _page, free, { facts, view }) {
      const mappers = facts.frames.mappers[pfn] as number;
      const found = pageMapcount(view, pfn);
      return free || found === mappers ? null : { expected: mappers, found };
    },
  },
  {
    ...rule,
    name: 'exclusive-has-one-mapper',
    aliases: ['exclusive-single-map'],
    formula: 'PG_anon_exclusive implies at most one present mapping over all address spaces',
    source: '__folio_add_anon_rmap(): VM_WARN',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    check(pfn, page, _free, { facts }) {
      const mappers = facts.frames.mappers[pfn] as number;
      if ((page.flags & PG_ANON_EXCLUSIVE) === 0 || mappers <= 1) return null;
      return { expected: '1 mapping', found: `${mappers} mappings` };
    },
  },
  {
    ...rule,
    name: 'W-single-owner',
    formula: 'an anonymous page with a writable mapping is mapped by nobody else',
    source: 'the COW contract',
    severity: 1,
    check(pfn, page, _free, { facts }) {
      const mappers = facts.frames.mappers[pfn] as number;
      if (mappers <= 1 || facts.frames.writers[pfn] === 0 || (page.flags & PG_ANON) === 0) return null;
      return { expected: '1 mapping', found: `${mappers} mappings, ${facts.frames.writers[pfn]} of them writable` };
    },
  },
  {
    ...rule,
    name: 'frame-freed-while-reachable',
    formula:
      'a free frame has no mapping, no place in the page cache, in an LRU batch or in a gather, and nobody holds it',
    source: 'free_pages_prepare(): bad_page()',
    severity: 1,
    check(pfn, _page, free, { facts }) {
      if (!free) return null;
      if (facts.frames.holders(pfn) > 0)
        return { expected: 'nothing leads to it', found: holdersText(facts.frames, pfn) };
      const raw = facts.mappedByNumber(pfn);
      return raw === 0 ? null : { expected: 'nothing leads to it', found: `${raw} mapping by its number` };
    },
  },
  {
    ...rule,
    name: 'LRU-batch-bound',
    formula: 'references from LRU batches, but for those of mlock, <= kinds of batch * CPUs',
    source: 'mm/swap.c',
    severity: 3,
    since: '5.x',
    check(pfn, _page, _free, { facts, view }) {
      let batched = facts.frames.batched[pfn] as number;
      const bound = 2 * view.cpus.length;
      // That of mlock may hold a page as often as it was locked and unlocked.
      if (batched > bound)
        for (const batch of facts.mlock.values()) batched -= batch.filter((each) => each === pfn).length;
      return batched <= bound ? null : { expected: `at most ${bound}`, found: batched };
    },
  },
];

/** `2 mappings, 1 in the page cache`. */
export function holdersText(
  frames: {
    readonly mappers: Int32Array;
    readonly cached: Int32Array;
    readonly batched: Int32Array;
    readonly gathered: Int32Array;
    readonly held: Int32Array;
  },
  pfn: number,
): string {
  const of = (n: number | undefined, what: string): string => ((n ?? 0) === 0 ? '' : `${n} ${what}`);
  return [
    of(frames.mappers[pfn], 'mappings'),
    of(frames.cached[pfn], 'in the page cache'),
    of(frames.batched[pfn], 'in LRU batches'),
    of(frames.gathered[pfn], 'in gathers'),
    of(frames.held[pfn], 'of pins and pipes'),
  ]
    .filter((part) => part !== '')
    .join(', ');
}
