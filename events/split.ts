// What happened when large folios were split to pages of their own, or given up whole: __folio_split() of mm/huge_memory.c and the half of
// mm/rmap.c that it calls. While a folio is split all its entries are migration entries. `ref`, `mapcount` and `rss*` are differences.
import type { ShapesOf } from './shapes.js';

/**
 * `__split_huge_pmd_locked()` with freezing: the huge entry became 512 migration entries, `entry` the first of them, and the folio has one
 * reference and one entire mapping less. `exclusive` 0: PG_anon_exclusive of the first page is cleared (-1: it had none). `dirty` 1: the
 * folio is dirty now.
 */
export interface PmdSplitFrozen {
  readonly type: 'PmdSplitFrozen';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly dirty: number;
}
/**
 * `try_to_migrate_one()` of a large folio that begins at `pfn`: entries of one table became migration entries. `runs` are
 * [vpn, pfn, n, flags of the migration entry]*. Pages with the flags of an exclusive one lose PG_anon_exclusive if `exclusive` is 0. `dirty` 1: the
 * folio is dirty now.
 */
export interface MigrationPtesSet {
  readonly type: 'MigrationPtesSet';
  readonly mm: number;
  readonly pfn: number;
  readonly runs: readonly number[];
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly dirty: number;
}
/**
 * `__split_unmapped_folio()`: the folio that begins at `pfn` became 2^order pages, each of which whoever split it has a reference to (`ref`).
 * All but the first have `flags` now, and belong to `anonVma` as the first does. `cacheRef` 1: the folio was in the swap cache, and each page is,
 * with a reference; 0: it was not.
 */
export interface FolioSplit {
  readonly type: 'FolioSplit';
  readonly pfn: number;
  readonly order: number;
  readonly flags: number;
  readonly anonVma: number;
  readonly ref: number;
  readonly cacheRef: number;
}
/**
 * `remove_migration_ptes()` over entries of one table: `runs` are [vpn, pfn, n, flags]* that lead to pages of the folio again, or, if it
 * was split, to its former pages, of which those of `exclusivePages` ([pfn, n]*) are exclusive. `special` are entries to the zero page in the
 * place of pages that hold nothing but zeros ([vpn, pfn, n, flags]*, without a frame): `try_to_map_unused_to_zeropage()`.
 */
export interface MigrationPtesRemoved {
  readonly type: 'MigrationPtesRemoved';
  readonly mm: number;
  readonly pfn: number;
  readonly runs: readonly number[];
  readonly special: readonly number[];
  readonly exclusivePages: readonly number[];
  readonly ref: number;
  readonly mapcount: number;
  readonly rssAnon: number;
}
/** `free_folio_and_swap_cache()` of the pages of `runs` ([pfn, n]*): who split their folio lets go of them; those of `freed` are free. */
export interface FoliosReleased {
  readonly type: 'FoliosReleased';
  readonly runs: readonly number[];
  readonly ref: number;
  readonly freed: readonly number[];
}
/**
 * `madvise_free_huge_pmd()`, or `madvise_free_pte_range()` of all entries of a large folio: they are clean, and so is the folio, which
 * begins at `pfn`. `swapbacked` 0: it is given up at once, without waiting in a batch (-1: it is not on the LRU). `entry` is its huge entry at `vpn` (0: `runs`,
 * [vpn, pfn, n, flags]*).
 */
export interface LargeFolioLazyfreed {
  readonly type: 'LargeFolioLazyfreed';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly runs: readonly number[];
  readonly swapbacked: number;
}
/**
 * `try_to_unmap_one()` of all entries of a large folio that MADV_FREE gave up (`runs`, [vpn, pfn, n, flags]*): reclaim dropped it, and it is free.
 * `scanned`: the rows of entries that were read to find how far the folio goes, [vpn, n]*.
 */
export interface LargeFolioDiscarded {
  readonly type: 'LargeFolioDiscarded';
  readonly mm: number;
  readonly pfn: number;
  readonly runs: readonly number[];
  readonly scanned: readonly number[];
  readonly rssAnon: number;
}

export type SplitEvent =
  | PmdSplitFrozen
  | MigrationPtesSet
  | FolioSplit
  | MigrationPtesRemoved
  | FoliosReleased
  | LargeFolioLazyfreed
  | LargeFolioDiscarded;

/** Their part of the catalogue. */
export const SPLIT_SHAPES: ShapesOf<SplitEvent> = {
  PmdSplitFrozen: {
    opcode: 210,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
    },
  },
  MigrationPtesSet: {
    opcode: 211,
    fields: { mm: 'mm', pfn: 'pfn', runs: 'pteRuns4', ref: 'int', mapcount: 'int', exclusive: 'int', dirty: 'int' },
  },
  FolioSplit: {
    opcode: 212,
    fields: { pfn: 'pfn', order: 'int', flags: 'int', anonVma: 'anonVma', ref: 'int', cacheRef: 'int' },
  },
  MigrationPtesRemoved: {
    opcode: 213,
    fields: {
      mm: 'mm',
      pfn: 'pfn',
      runs: 'pteRuns4',
      special: 'pteRuns4',
      exclusivePages: 'pfnRuns',
      ref: 'int',
      mapcount: 'int',
      rssAnon: 'int',
    },
  },
  FoliosReleased: { opcode: 214, fields: { runs: 'pfnRuns', ref: 'int', freed: 'pfnRuns' } },
  LargeFolioLazyfreed: {
    opcode: 215,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', runs: 'pteRuns4', swapbacked: 'int' },
  },
  LargeFolioDiscarded: {
    opcode: 216,
    fields: { mm: 'mm', pfn: 'pfn', runs: 'pteRuns4', scanned: 'vpnRuns', rssAnon: 'int' },
  },
};
