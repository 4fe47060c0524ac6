// What happened to large folios in the swap area: they take a row of slots, one for each page, and are in the swap cache as a whole. Mirrors
// the same functions as events/swap.ts. Page i of the folio has slot `slot` + i; `pfn` is the first page, `ref`, `count` and `rss*` are differences.
import type { ShapesOf } from './shapes.js';

/** `folio_alloc_swap()`: the folio of 2^order pages got the free slots from `slot` on, is in the swap cache, and dirty. `ref`: one for each page. */
export interface LargeFolioSwapAllocated {
  readonly type: 'LargeFolioSwapAllocated';
  readonly slot: number;
  readonly pfn: number;
  readonly order: number;
  readonly ref: number;
}
/**
 * `try_to_unmap_one()`: entries of one table no longer lead to pages of the folio but to their slots. `runs` are [vpn, pfn, n, flags of the
 * swap entry]*. The pages lose PG_anon_exclusive (`exclusive` 0; -1 where the kernel has no such flag). `dirty` 1: the folio is dirty now.
 */
export interface PagesSwappedOut {
  readonly type: 'PagesSwappedOut';
  readonly mm: number;
  readonly pfn: number;
  readonly slot: number;
  readonly runs: readonly number[];
  readonly count: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly dirty: number;
  readonly rssAnon: number;
  readonly rssSwap: number;
}
/**
 * `swap_writeout()`: the bytes of all pages stand in the slots as well, and the folio is clean. `zeros` 1: all of it is zeros, which are noted and not
 * written (zeromap); 0: its bytes are written, pages of zeros among them too.
 */
export interface LargeSwapWritten {
  readonly type: 'LargeSwapWritten';
  readonly slot: number;
  readonly pfn: number;
  readonly order: number;
  readonly zeros: number;
}
/**
 * `folio_free_swap()` (the folio stays, `dirty` 1) or `__remove_mapping()` (reclaimed, `freed` 1): the folio left the swap cache. `slots`
 * are those to which no entry leads, and which are free: [slot, n]*.
 */
export interface LargeSwapCacheRemoved {
  readonly type: 'LargeSwapCacheRemoved';
  readonly slot: number;
  readonly pfn: number;
  readonly order: number;
  readonly ref: number;
  readonly dirty: number;
  readonly freed: number;
  readonly slots: readonly number[];
}
/**
 * `do_swap_page()`, the commit, where a large folio is in the swap cache: entries of one table lead to its pages again, all of them or one.
 * `runs` are [vpn, pfn, n, flags]*. `exclusive` 1 sets PG_anon_exclusive of each.
 */
export interface PagesSwappedIn {
  readonly type: 'PagesSwappedIn';
  readonly mm: number;
  readonly pfn: number;
  readonly slot: number;
  readonly runs: readonly number[];
  readonly count: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly rssAnon: number;
  readonly rssSwap: number;
}

export type LargeSwapEvent =
  | LargeFolioSwapAllocated
  | PagesSwappedOut
  | LargeSwapWritten
  | LargeSwapCacheRemoved
  | PagesSwappedIn;

/** Opcodes and kinds of fields. */
export const LARGE_SWAP_SHAPES: ShapesOf<LargeSwapEvent> = {
  LargeFolioSwapAllocated: { opcode: 220, fields: { slot: 'int', pfn: 'pfn', order: 'int', ref: 'int' } },
  PagesSwappedOut: {
    opcode: 221,
    fields: {
      mm: 'mm',
      pfn: 'pfn',
      slot: 'int',
      runs: 'pteRuns4',
      count: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
      rssAnon: 'int',
      rssSwap: 'int',
    },
  },
  LargeSwapWritten: { opcode: 222, fields: { slot: 'int', pfn: 'pfn', order: 'int', zeros: 'int' } },
  LargeSwapCacheRemoved: {
    opcode: 223,
    fields: { slot: 'int', pfn: 'pfn', order: 'int', ref: 'int', dirty: 'int', freed: 'int', slots: 'ints' },
  },
  PagesSwappedIn: {
    opcode: 224,
    fields: {
      mm: 'mm',
      pfn: 'pfn',
      slot: 'int',
      runs: 'pteRuns4',
      count: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      rssSwap: 'int',
    },
  },
};
