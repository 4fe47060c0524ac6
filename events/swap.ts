// What happened to swapped memory: slots of the swap area, the swap cache, and the entries that lead to slots. Mirrors mm/swapfile.c,
// mm/swap_state.c, and where mm/rmap.c, mm/vmscan.c and mm/memory.c call them. `count` is the difference of a slot's count of entries.
import type { ShapesOf } from './shapes.js';

/** `folio_alloc_swap()`: anonymous page `pfn` got the free slot and is in the swap cache, with a reference (`ref`), and dirty: not written yet. */
export interface FolioSwapAllocated {
  readonly type: 'FolioSwapAllocated';
  readonly slot: number;
  readonly pfn: number;
  readonly ref: number;
}
/**
 * `try_to_unmap_one()`: the entry at `vpn` no longer leads to the page but to its slot. The page loses PG_anon_exclusive (`exclusive` 0;
 * -1 where the kernel has no such flag); `entry` says whether it was set. `dirty` 1: the entry was dirty, now the page is.
 */
export interface PageSwappedOut {
  readonly type: 'PageSwappedOut';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly slot: number;
  readonly entry: number;
  readonly count: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly dirty: number;
  readonly rssAnon: number;
  readonly rssSwap: number;
}
/** `swap_writeout()`: the page's bytes stand in the slot as well (zeros as a note that it is zero), and it is clean. */
export interface SwapWritten {
  readonly type: 'SwapWritten';
  readonly slot: number;
  readonly pfn: number;
}
/** `__read_swap_cache_async()`: the slot's bytes in new page `pfn`, in the swap cache. It waits in `lruCpu`'s batch. */
export interface SwapRead {
  readonly type: 'SwapRead';
  readonly slot: number;
  readonly pfn: number;
  readonly ref: number;
  readonly lruCpu: number;
}
/**
 * `folio_free_swap()` (the page stays, `dirty` 1) or `__remove_mapping()` (reclaimed, `freed` 1): the page left the swap cache.
 * `slotFreed` 1: no entry leads to the slot, it is free.
 */
export interface SwapCacheRemoved {
  readonly type: 'SwapCacheRemoved';
  readonly slot: number;
  readonly pfn: number;
  readonly ref: number;
  readonly dirty: number;
  readonly freed: number;
  readonly slotFreed: number;
}
/**
 * `do_swap_page()`, the commit: the entry leads to the page again. `exclusive` 1 sets PG_anon_exclusive; `anonVma` is 0 for a page that
 * was anonymous before, otherwise it becomes so at `index`. `uncached` 1: it left the swap cache at the same time, dirty, and the slot is free.
 * A copy that ksm_might_need_to_copy() made was never there (`ref` 0: that of its allocation is the mapping's).
 */
export interface PageSwappedIn {
  readonly type: 'PageSwappedIn';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly slot: number;
  readonly entry: number;
  readonly count: number;
  readonly uncached: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly anonVma: number;
  readonly index: number;
  readonly rssAnon: number;
  readonly rssSwap: number;
}
/** `copy_nonpresent_pte()`, `swap_duplicate()`: fork gave the child the entry as well; it is exclusive on neither side. */
export interface SwapEntryCopied {
  readonly type: 'SwapEntryCopied';
  readonly mm: number;
  readonly child: number;
  readonly vpn: number;
  readonly slot: number;
  readonly entry: number;
  readonly count: number;
  readonly rssSwap: number;
}
/** `zap_nonpresent_ptes()`, `free_swap_and_cache()`: an entry that led to a slot is empty. `slotFreed` 1: nothing else led there. */
export interface SwapEntryFreed {
  readonly type: 'SwapEntryFreed';
  readonly mm: number;
  readonly vpn: number;
  readonly slot: number;
  readonly count: number;
  readonly rssSwap: number;
  readonly slotFreed: number;
}
/** `try_to_unmap_one()` of a page given up by MADV_FREE that nobody wrote to since: its entry is empty, its reference gone (`freed` 1: the last). */
export interface LazyfreeDiscarded {
  readonly type: 'LazyfreeDiscarded';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly rssAnon: number;
  readonly freed: number;
}
/** `try_to_unmap_one()` of a page given up by MADV_FREE that was written to: it is swapbacked again, and dirty. */
export interface LazyfreeRevoked {
  readonly type: 'LazyfreeRevoked';
  readonly pfn: number;
}
/**
 * `try_to_unmap_one()` of a page of the page cache: its entry is empty. `dirty` 1: the entry was dirty, now the page is, and it stays in the
 * cache.
 */
export interface FilePageUnmapped {
  readonly type: 'FilePageUnmapped';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly dirty: number;
  readonly rssFile: number;
  readonly rssShmem: number;
}
/**
 * `__remove_mapping()`, `folio_unmap_invalidate()`: clean pages [index, pfn, n]* left the page cache, as reclaim or direct writing has it; `freed` [pfn, n]* had no other reference. Of a
 * file they are read again when they are asked for.
 */
export interface PageCacheReclaimed {
  readonly type: 'PageCacheReclaimed';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly ref: number;
  readonly freed: readonly number[];
}
/** `folio_set_reclaim()` (`reclaim` 1) of a dirty page of a file that was to be reclaimed, `folio_clear_reclaim()` (0). */
export interface FolioReclaimSet {
  readonly type: 'FolioReclaimSet';
  readonly pfn: number;
  readonly reclaim: number;
}

export type SwapEvent =
  | FolioSwapAllocated
  | PageSwappedOut
  | SwapWritten
  | SwapRead
  | SwapCacheRemoved
  | PageSwappedIn
  | SwapEntryCopied
  | SwapEntryFreed
  | LazyfreeDiscarded
  | LazyfreeRevoked
  | FolioReclaimSet
  | FilePageUnmapped
  | PageCacheReclaimed;

/** Opcodes and kinds of fields. */
export const SWAP_SHAPES: ShapesOf<SwapEvent> = {
  FolioSwapAllocated: { opcode: 80, fields: { slot: 'int', pfn: 'pfn', ref: 'int' } },
  PageSwappedOut: {
    opcode: 81,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      slot: 'int',
      entry: 'int',
      count: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
      rssAnon: 'int',
      rssSwap: 'int',
    },
  },
  SwapWritten: { opcode: 82, fields: { slot: 'int', pfn: 'pfn' } },
  SwapRead: { opcode: 83, fields: { slot: 'int', pfn: 'pfn', ref: 'int', lruCpu: 'cpu' } },
  SwapCacheRemoved: {
    opcode: 84,
    fields: { slot: 'int', pfn: 'pfn', ref: 'int', dirty: 'int', freed: 'int', slotFreed: 'int' },
  },
  PageSwappedIn: {
    opcode: 85,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      slot: 'int',
      entry: 'int',
      count: 'int',
      uncached: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      anonVma: 'anonVma',
      index: 'int',
      rssAnon: 'int',
      rssSwap: 'int',
    },
  },
  SwapEntryCopied: {
    opcode: 86,
    fields: { mm: 'mm', child: 'mm', vpn: 'vpn', slot: 'int', entry: 'int', count: 'int', rssSwap: 'int' },
  },
  SwapEntryFreed: {
    opcode: 87,
    fields: { mm: 'mm', vpn: 'vpn', slot: 'int', count: 'int', rssSwap: 'int', slotFreed: 'int' },
  },
  LazyfreeDiscarded: {
    opcode: 88,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', ref: 'int', mapcount: 'int', rssAnon: 'int', freed: 'int' },
  },
  LazyfreeRevoked: { opcode: 89, fields: { pfn: 'pfn' } },
  FilePageUnmapped: {
    opcode: 160,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      ref: 'int',
      mapcount: 'int',
      dirty: 'int',
      rssFile: 'int',
      rssShmem: 'int',
    },
  },
  FolioReclaimSet: { opcode: 162, fields: { pfn: 'pfn', reclaim: 'int' } },
  PageCacheReclaimed: {
    opcode: 161,
    fields: { inode: 'inode', runs: 'cacheRuns', ref: 'int', freed: 'pfnRuns' },
  },
};
