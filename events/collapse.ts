// What happened to 512 entries that gave way to one huge entry. Mirrors mm/khugepaged.c. `vpn` is that of the first of the 512 pages, `entry` the
// huge entry; `ref`, `mapcount`, `entireMapcount` and `rss*` are differences.
import type { ShapesOf } from './shapes.js';

/**
 * `collapse_huge_page()`: the 512 entries from `vpn` on gave way to a huge one that maps a fresh huge page, its bytes copied from theirs and
 * zeros where they had none. `runs` are the entries that led to pages, [vpn, pfn, n, flags]*: those lost a mapping each (`mapcount`), and
 * the references wait in the mm's gather. The table is put in store. `rssAnon` counts entries that were empty or led to the zero page.
 */
export interface HugePageCollapsed {
  readonly type: 'HugePageCollapsed';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly runs: readonly number[];
  readonly mapcount: number;
  readonly rssAnon: number;
  readonly lru: number;
}
/**
 * A collapse that Linux does not have: the 512 entries from `vpn` on led to the pages of the one huge page `pfn`, and a huge entry maps it
 * now. `exclusive` 1 sets the first page's flag, 0 leaves it; `tails` 0 clears that of the other pages, 1 leaves them.
 */
export interface PmdCollapsedInPlace {
  readonly type: 'PmdCollapsedInPlace';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly tails: number;
}
/**
 * `__collapse_huge_page_isolate()` and, in the end, `release_pte_folio()`: the folios of `runs` left the LRU and were put back, which is to say
 * that they wait in `cpu`'s batch of new pages, with a reference. Their counts of mlocks are forgotten.
 */
export interface FoliosPutBack {
  readonly type: 'FoliosPutBack';
  readonly cpu: number;
  readonly runs: readonly number[];
  readonly ref: number;
}

export type CollapseEvent = HugePageCollapsed | PmdCollapsedInPlace | FoliosPutBack;

/** Their shapes in the catalogue (events/index.ts). */
export const COLLAPSE_SHAPES: ShapesOf<CollapseEvent> = {
  HugePageCollapsed: {
    opcode: 190,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      runs: 'pteRuns4',
      mapcount: 'int',
      rssAnon: 'int',
      lru: 'int',
    },
  },
  PmdCollapsedInPlace: {
    opcode: 191,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      mapcount: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      tails: 'int',
    },
  },
  FoliosPutBack: { opcode: 192, fields: { cpu: 'cpu', runs: 'pfnRuns', ref: 'int' } },
};
