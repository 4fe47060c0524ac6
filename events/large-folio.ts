// Faults that settle several pages of a large folio at once: where they have entries of their own, and copies of whole huge pages.
import type { ShapesOf } from './shapes.js';

/**
 * `do_anonymous_page()` with a folio of more than one page: a fresh large folio, all of whose pages became visible at once, on the LRU
 * where `lru` is 1. `runs` is one [vpn, pfn, pages], `flags` those of the entries.
 */
export interface AnonPagesMapped {
  readonly type: 'AnonPagesMapped';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly flags: number;
  readonly anonVma: number;
  readonly index: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly rssAnon: number;
  readonly lru: number;
}
/** A write fault kept a row of pages of a large folio (behaviour wp-reuse-range). `exclusive` 1 sets the flag of each. */
export interface PagesReused {
  readonly type: 'PagesReused';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly exclusive: number;
}
/**
 * A write fault copied several pages of a large folio at once (behaviour wp-copy-range): `runs` is one [vpn, page that was there, pages],
 * `pfn` the first page of the folio that is there now, the other fields as in AnonPagesMapped.
 */
export interface CowPagesMapped {
  readonly type: 'CowPagesMapped';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly oldMapcount: number;
  readonly pfn: number;
  readonly flags: number;
  readonly anonVma: number;
  readonly index: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly lru: number;
}

/** `do_huge_pmd_wp_page()` up to 5.7: a huge page was copied whole, and the huge entry leads to the copy. `vpn` and `entry` as in HugePageMapped. */
export interface CowHugePageMapped {
  readonly type: 'CowHugePageMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly oldPfn: number;
  readonly oldEntireMapcount: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly lru: number;
}

export type LargeFolioEvent = AnonPagesMapped | PagesReused | CowPagesMapped | CowHugePageMapped;

/** Their part of the catalogue. */
export const LARGE_FOLIO_SHAPES: ShapesOf<LargeFolioEvent> = {
  AnonPagesMapped: {
    opcode: 200,
    fields: {
      mm: 'mm',
      runs: 'pteRuns3',
      flags: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      lru: 'int',
    },
  },
  PagesReused: { opcode: 201, fields: { mm: 'mm', runs: 'pteRuns4', exclusive: 'int' } },
  CowPagesMapped: {
    opcode: 202,
    fields: {
      mm: 'mm',
      runs: 'pteRuns3',
      oldMapcount: 'int',
      pfn: 'pfn',
      flags: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      lru: 'int',
    },
  },
  CowHugePageMapped: {
    opcode: 203,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      oldPfn: 'pfn',
      oldEntireMapcount: 'int',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      lru: 'int',
    },
  },
};
