// What happened to large folios of the page cache, and to the huge entries that map them: mm/huge_memory.c, do_set_pmd() of mm/memory.c, collapse_file() of
// mm/khugepaged.c. `vpn` of a huge entry is that of the first of the 512 pages; `ref`, `mapcount`, `entireMapcount` and `rss*` are differences. No table
// lies ready for a split: such an entry goes whole, and comes back with the next fault.
import type { ShapesOf } from './shapes.js';

/**
 * `shmem_add_to_page_cache()` and `folio_add_lru()`: a fresh large folio is the file's. `runs` is [index, first page, pages]; `ref` are the references of the cache, one for
 * each page. `lru` 1: it is on the LRU at once.
 */
export interface LargeFolioCached {
  readonly type: 'LargeFolioCached';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly swapbacked: number;
  readonly ref: number;
  readonly lru: number;
}
/** `do_set_pmd()`: a huge entry maps the folio of 512 pages that begins at `pfn`. */
export interface FilePmdMapped {
  readonly type: 'FilePmdMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly rssFile: number;
  readonly rssShmem: number;
}
/**
 * The huge entry of a file is gone. `gather` 1: `zap_huge_pmd()`, its reference waits in the mm's gather; 0: `__split_huge_pmd_locked()`, or
 * `try_to_unmap_one()`, which drop it (`ref`). `dirty` 1: what the entry knew of writes the folio does now.
 */
export interface FilePmdCleared {
  readonly type: 'FilePmdCleared';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly rssFile: number;
  readonly rssShmem: number;
  readonly gather: number;
  readonly dirty: number;
}
/**
 * `try_to_unmap_one()`, or step 2 of `collapse_pte_mapped_thp()`: the entries of `runs` [vpn, pfn, n, flags]* are empty, and each page lost a mapping and a reference.
 * `dirty` 1: one of them was dirty, now the folio is.
 */
export interface FilePtesUnmapped {
  readonly type: 'FilePtesUnmapped';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly ref: number;
  readonly mapcount: number;
  readonly dirty: number;
  readonly rssFile: number;
  readonly rssShmem: number;
}
/**
 * `__split_unmapped_folio()` of a folio of the page cache: the 2^order pages from `pfn` on are folios of `orders`, one after the other, each with the cache's references
 * (`cacheRef` for a page) and `flags`. What else the folio had of references its first page keeps.
 */
export interface FileFolioSplit {
  readonly type: 'FileFolioSplit';
  readonly pfn: number;
  readonly order: number;
  readonly orders: readonly number[];
  readonly flags: number;
  readonly cacheRef: number;
}
/**
 * `collapse_file()`, the commit: the fresh huge page that begins at `pfn` is the file's from page `index` on, filled, dirty where `dirty` is 1, with the bytes of the pages of `runs`
 * [index, pfn, n]*, which the cache has no more (`oldRef`), and zeros between. `ref` are the cache's references to the new one.
 */
export interface FileCollapsed {
  readonly type: 'FileCollapsed';
  readonly inode: number;
  readonly index: number;
  readonly pfn: number;
  readonly runs: readonly number[];
  readonly swapbacked: number;
  readonly dirty: number;
  readonly ref: number;
  readonly oldRef: number;
  readonly freed: readonly number[];
}

export type FileHugeEvent =
  | LargeFolioCached
  | FilePmdMapped
  | FilePmdCleared
  | FilePtesUnmapped
  | FileFolioSplit
  | FileCollapsed;

/** Opcodes and kinds of fields. */
export const FILE_HUGE_SHAPES: ShapesOf<FileHugeEvent> = {
  LargeFolioCached: {
    opcode: 77,
    fields: { inode: 'inode', runs: 'cacheRuns', swapbacked: 'int', ref: 'int', lru: 'int' },
  },
  FilePmdMapped: {
    opcode: 78,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      entireMapcount: 'int',
      rssFile: 'int',
      rssShmem: 'int',
    },
  },
  FilePmdCleared: {
    opcode: 79,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      ref: 'int',
      entireMapcount: 'int',
      rssFile: 'int',
      rssShmem: 'int',
      gather: 'int',
      dirty: 'int',
    },
  },
  FilePtesUnmapped: {
    opcode: 113,
    fields: {
      mm: 'mm',
      runs: 'pteRuns4',
      ref: 'int',
      mapcount: 'int',
      dirty: 'int',
      rssFile: 'int',
      rssShmem: 'int',
    },
  },
  FileFolioSplit: {
    opcode: 114,
    fields: { pfn: 'pfn', order: 'int', orders: 'ints', flags: 'int', cacheRef: 'int' },
  },
  FileCollapsed: {
    opcode: 115,
    fields: {
      inode: 'inode',
      index: 'int',
      pfn: 'pfn',
      runs: 'cacheRuns',
      swapbacked: 'int',
      dirty: 'int',
      ref: 'int',
      oldRef: 'int',
      freed: 'pfnRuns',
    },
  },
};
