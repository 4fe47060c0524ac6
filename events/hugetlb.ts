// What happened to hugetlb pages: the pool, who has reserved what of it, and the entries that map its pages. Mirrors mm/hugetlb.c.
// `pfn` is the first of the 512 frames of a page, `vpn` that of the first of the 512 pages its entry maps. Pages of files count in units
// of 4 KiB where `index` says so, reservation maps in huge pages. `total`, `free`, `resv`, `surplus`, `max`, `overcommit`, `ref`,
// `refs` and `mapcount` are differences. `restore` is the folio's restore_reserve flag from now on: its last reference gives back a reservation.
import type { ShapesOf } from './shapes.js';

/** `alloc_fresh_hugetlb_folio()`: 512 frames left the allocator for the pool; in nobody's hand unless `ref` is 1. */
export interface HugetlbPageAdded {
  readonly type: 'HugetlbPageAdded';
  readonly pfn: number;
  readonly ref: number;
  readonly total: number;
  readonly surplus: number;
}
/** `enqueue_hugetlb_folio()`: the page is the first of the free list. */
export interface HugetlbPageEnqueued {
  readonly type: 'HugetlbPageEnqueued';
  readonly pfn: number;
  readonly free: number;
}
/** `dequeue_hugetlb_folio_node_exact()`: the page left the free list, with one reference. */
export interface HugetlbPageDequeued {
  readonly type: 'HugetlbPageDequeued';
  readonly pfn: number;
  readonly ref: number;
  readonly free: number;
}
/** `remove_hugetlb_folio()`: the page, which nobody uses, left the pool for the allocator. */
export interface HugetlbPageRemoved {
  readonly type: 'HugetlbPageRemoved';
  readonly pfn: number;
  readonly total: number;
  readonly free: number;
  readonly surplus: number;
}
/** Counters of the pool: `hugetlb_acct_memory()`, `adjust_pool_surplus()`, `set_max_huge_pages()`, a write of nr_overcommit_hugepages. */
export interface HugetlbPoolCounted {
  readonly type: 'HugetlbPoolCounted';
  readonly resv: number;
  readonly surplus: number;
  readonly max: number;
  readonly overcommit: number;
}
/** `folio_set_hugetlb_restore_reserve()`, or the flag's end. */
export interface HugetlbRestoreSet {
  readonly type: 'HugetlbRestoreSet';
  readonly pfn: number;
  readonly restore: number;
}
/** `folio_zero_user()`: all bytes of the page are zero. */
export interface HugetlbPageZeroed {
  readonly type: 'HugetlbPageZeroed';
  readonly pfn: number;
}
/** `copy_user_large_folio()`: the bytes of `from` now also stand in `pfn`. */
export interface HugetlbPageCopied {
  readonly type: 'HugetlbPageCopied';
  readonly pfn: number;
  readonly from: number;
}
/**
 * `hugetlb_no_page()`, the commit: the page became visible. `anonVma` 0: a page of the file. `ref` 0: the mapping has the reference that the
 * allocation gave.
 */
export interface HugetlbPageMapped {
  readonly type: 'HugetlbPageMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly restore: number;
}
/** `hugetlb_wp()`, the commit: the entry leads to the private copy, `oldPfn` lost this mapping and keeps its reference for the moment. */
export interface HugetlbCowMapped {
  readonly type: 'HugetlbCowMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly oldPfn: number;
  readonly oldMapcount: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly restore: number;
}
/** `copy_hugetlb_page_range()`: fork gave the child the entry; the parent's is now `entry`. `exclusive` 0 clears the flag. */
export interface HugetlbEntryCopied {
  readonly type: 'HugetlbEntryCopied';
  readonly mm: number;
  readonly child: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly childEntry: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
}
/** `__unmap_hugepage_range()`: the entry is gone, its reference waits in the mm's gather. `dirty` 1: the page is dirty now. */
export interface HugetlbEntryZapped {
  readonly type: 'HugetlbEntryZapped';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly mapcount: number;
  readonly dirty: number;
}
/** `folio_put()` of a reference that kernel code had. */
export interface HugetlbPageReleased {
  readonly type: 'HugetlbPageReleased';
  readonly pfn: number;
  readonly ref: number;
}
/** `free_huge_folio()`: nobody has the page any more; `resv` reservations came back with it. It goes to the free list or out of the pool next. */
export interface HugetlbPageFreed {
  readonly type: 'HugetlbPageFreed';
  readonly pfn: number;
  readonly resv: number;
}
/** `hugetlb_add_to_page_cache()`: the page belongs to the file from page `index` (of 4 KiB) on, and is dirty. */
export interface HugetlbPageCached {
  readonly type: 'HugetlbPageCached';
  readonly inode: number;
  readonly index: number;
  readonly pfn: number;
  readonly ref: number;
  readonly restore: number;
}
/** `hugetlb_delete_from_page_cache()`. */
export interface HugetlbPageUncached {
  readonly type: 'HugetlbPageUncached';
  readonly inode: number;
  readonly index: number;
  readonly pfn: number;
  readonly ref: number;
}
/** `resv_map_alloc()`: a reservation map, with one reference: of file `inode`, or (0) of a private mapping. */
export interface ResvMapCreated {
  readonly type: 'ResvMapCreated';
  readonly map: number;
  readonly inode: number;
}
/** `kref_get()` and `kref_put()` of a private mapping's map, which VMAs share that were one. */
export interface ResvMapReferenced {
  readonly type: 'ResvMapReferenced';
  readonly map: number;
  readonly refs: number;
}
/** `resv_map_release()`. */
export interface ResvMapFreed {
  readonly type: 'ResvMapFreed';
  readonly map: number;
}
/** `region_add()`, `region_del()`: the regions [from, to)* of the map as they are now, in huge pages. */
export interface ResvRegionsSet {
  readonly type: 'ResvRegionsSet';
  readonly map: number;
  readonly regions: readonly number[];
}
/**
 * `vm_private_data` of the private mapping that begins at `start`: its reservation map (0: none), HPAGE_RESV_* of reducers/hugetlb-state.ts, and how many
 * pages it has reserved where that is counted in the mapping. All 0: nothing.
 */
export interface HugetlbVmaSet {
  readonly type: 'HugetlbVmaSet';
  readonly mm: number;
  readonly start: number;
  readonly map: number;
  readonly flags: number;
  readonly reserved: number;
}

/**
 * `hugetlbfs_get_inode()`, `memfd_add_seals()`: what file `inode` of hugetlbfs is from now on: in mount `sb` (-1: in the kernel's own, where nothing has a name), with
 * F_SEAL_* `seals` and the bits of rights to execute (0111) `mode`. Of one that this was never said of: -1, F_SEAL_SEAL, 0.
 */
export interface HugetlbFileSet {
  readonly type: 'HugetlbFileSet';
  readonly inode: number;
  readonly sb: number;
  readonly seals: number;
  readonly mode: number;
}

/**
 * `hugetlbfs_fill_super()`: hugetlbfs number `sb` is mounted at `name`, with room for `max` pages and `min` reserved for it (`hugepage_new_subpool()`); -1: without
 * that bound.
 */
export interface HugetlbfsMounted {
  readonly type: 'HugetlbfsMounted';
  readonly sb: number;
  readonly name: string;
  readonly max: number;
  readonly min: number;
}
/** `hugepage_subpool_get_pages()`, `hugepage_subpool_put_pages()`: `used` and `rsv` are differences of used_hpages and rsv_hpages of mount `sb`. */
export interface HugetlbSubpoolCounted {
  readonly type: 'HugetlbSubpoolCounted';
  readonly sb: number;
  readonly used: number;
  readonly rsv: number;
}
/** `hugetlb_set_folio_subpool()`: mount `sb` is told when nobody has the page any more. */
export interface HugetlbSubpoolSet {
  readonly type: 'HugetlbSubpoolSet';
  readonly pfn: number;
  readonly sb: number;
}
/** `hugetlbfs_put_super()`: no name leads to mount `sb` any more. */
export interface HugetlbfsUnmounted {
  readonly type: 'HugetlbfsUnmounted';
  readonly sb: number;
}

export type HugetlbEvent =
  | HugetlbPageAdded
  | HugetlbPageEnqueued
  | HugetlbPageDequeued
  | HugetlbPageRemoved
  | HugetlbPoolCounted
  | HugetlbRestoreSet
  | HugetlbPageZeroed
  | HugetlbPageCopied
  | HugetlbPageMapped
  | HugetlbCowMapped
  | HugetlbEntryCopied
  | HugetlbEntryZapped
  | HugetlbPageReleased
  | HugetlbPageFreed
  | HugetlbPageCached
  | HugetlbPageUncached
  | ResvMapCreated
  | ResvMapReferenced
  | ResvMapFreed
  | ResvRegionsSet
  | HugetlbVmaSet
  | HugetlbFileSet
  | HugetlbfsMounted
  | HugetlbSubpoolCounted
  | HugetlbSubpoolSet
  | HugetlbfsUnmounted;

/** Types that change the pool's counters, reservation maps, or who owns one. */
export const HUGETLB_POOL_EVENTS = [
  'HugetlbPageAdded',
  'HugetlbPageEnqueued',
  'HugetlbPageDequeued',
  'HugetlbPageRemoved',
  'HugetlbPoolCounted',
  'HugetlbRestoreSet',
  'HugetlbPageMapped',
  'HugetlbCowMapped',
  'HugetlbPageFreed',
  'HugetlbPageCached',
  'HugetlbPageUncached',
  'ResvMapCreated',
  'ResvMapReferenced',
  'ResvMapFreed',
  'ResvRegionsSet',
  'HugetlbVmaSet',
  'HugetlbfsMounted',
  'HugetlbSubpoolCounted',
  'HugetlbfsUnmounted',
] as const;

/** Opcodes and kinds of fields. */
export const HUGETLB_SHAPES: ShapesOf<HugetlbEvent> = {
  HugetlbPageAdded: { opcode: 90, fields: { pfn: 'pfn', ref: 'int', total: 'int', surplus: 'int' } },
  HugetlbPageEnqueued: { opcode: 91, fields: { pfn: 'pfn', free: 'int' } },
  HugetlbPageDequeued: { opcode: 92, fields: { pfn: 'pfn', ref: 'int', free: 'int' } },
  HugetlbPageRemoved: { opcode: 93, fields: { pfn: 'pfn', total: 'int', free: 'int', surplus: 'int' } },
  HugetlbPoolCounted: { opcode: 94, fields: { resv: 'int', surplus: 'int', max: 'int', overcommit: 'int' } },
  HugetlbRestoreSet: { opcode: 95, fields: { pfn: 'pfn', restore: 'int' } },
  HugetlbPageZeroed: { opcode: 96, fields: { pfn: 'pfn' } },
  HugetlbPageCopied: { opcode: 97, fields: { pfn: 'pfn', from: 'pfn' } },
  HugetlbPageMapped: {
    opcode: 98,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      restore: 'int',
    },
  },
  HugetlbCowMapped: {
    opcode: 99,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      oldPfn: 'pfn',
      oldMapcount: 'int',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      mapcount: 'int',
      exclusive: 'int',
      restore: 'int',
    },
  },
  HugetlbEntryCopied: {
    opcode: 100,
    fields: {
      mm: 'mm',
      child: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      childEntry: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
    },
  },
  HugetlbEntryZapped: {
    opcode: 101,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', mapcount: 'int', dirty: 'int' },
  },
  HugetlbPageReleased: { opcode: 102, fields: { pfn: 'pfn', ref: 'int' } },
  HugetlbPageFreed: { opcode: 103, fields: { pfn: 'pfn', resv: 'int' } },
  HugetlbPageCached: {
    opcode: 104,
    fields: { inode: 'inode', index: 'int', pfn: 'pfn', ref: 'int', restore: 'int' },
  },
  HugetlbPageUncached: { opcode: 105, fields: { inode: 'inode', index: 'int', pfn: 'pfn', ref: 'int' } },
  ResvMapCreated: { opcode: 106, fields: { map: 'int', inode: 'inode' } },
  ResvMapReferenced: { opcode: 107, fields: { map: 'int', refs: 'int' } },
  ResvMapFreed: { opcode: 108, fields: { map: 'int' } },
  ResvRegionsSet: { opcode: 109, fields: { map: 'int', regions: 'ints' } },
  HugetlbVmaSet: {
    opcode: 112,
    fields: { mm: 'mm', start: 'addr', map: 'int', flags: 'int', reserved: 'int' },
  },
  HugetlbfsMounted: { opcode: 166, fields: { sb: 'int', name: 'text', max: 'int', min: 'int' } },
  HugetlbSubpoolCounted: { opcode: 167, fields: { sb: 'int', used: 'int', rsv: 'int' } },
  HugetlbSubpoolSet: { opcode: 168, fields: { pfn: 'pfn', sb: 'int' } },
  HugetlbfsUnmounted: { opcode: 169, fields: { sb: 'int' } },
  HugetlbFileSet: { opcode: 165, fields: { inode: 'inode', sb: 'int', seals: 'int', mode: 'int' } },
};
