// What happened to files in memory: tmpfs, memfd, shared anonymous memory. Mirrors mm/shmem.c and mm/memfd.c. Only files whose blocks are
// accounted have such events: those that a workload makes; of a recording it is not known what others did to them.
import type { ShapesOf } from './shapes.js';

/** `shmem_fill_super()`: tmpfs number `sb` is mounted at `name`. `maxBlocks` pages have room in it, 0: no limit. */
export interface TmpfsMounted {
  readonly type: 'TmpfsMounted';
  readonly sb: number;
  readonly name: string;
  readonly maxBlocks: number;
}
/**
 * `__shmem_get_inode()`: the blocks of file `inode` are accounted from now on. `noreserve` 1: it pays for each page, otherwise its size was paid for
 * at once (`shmem_acct_size()`, pages `committed`). `sb` is the tmpfs that it lies in, under its name, so that it stays; -1: the kernel's own mount. `seals` are F_SEAL_*, `mode` the bits of rights to execute (0111).
 */
export interface ShmemInodeInitialised {
  readonly type: 'ShmemInodeInitialised';
  readonly inode: number;
  readonly sb: number;
  readonly noreserve: number;
  readonly seals: number;
  readonly mode: number;
  readonly committed: number;
}
/**
 * `shmem_inode_acct_blocks()`, `shmem_inode_unacct_blocks()` and `shmem_recalc_inode()`, as differences in pages: `alloced` and `swapped` of the file,
 * `blocks` of i_blocks (a page is 8 sectors), `used` of the blocks of its tmpfs, `committed` of what is charged against the commit limit.
 */
export interface ShmemAccounted {
  readonly type: 'ShmemAccounted';
  readonly inode: number;
  readonly alloced: number;
  readonly swapped: number;
  readonly blocks: number;
  readonly used: number;
  readonly committed: number;
}
/** `shmem_evict_inode()`: nothing leads to the file any more. Its pages went before; `committed` pages of its size are paid back. */
export interface ShmemInodeEvicted {
  readonly type: 'ShmemInodeEvicted';
  readonly inode: number;
  readonly committed: number;
}
/**
 * `shmem_add_to_page_cache()` by `shmem_mfill_atomic_pte()`: page [index, pfn, 1], which a userfaultfd's monitor filled before, is the file's; the cache has a
 * reference (`ref`) to it.
 */
export interface ShmemFolioAdded {
  readonly type: 'ShmemFolioAdded';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly ref: number;
}
/** `memfd_add_seals()`: all the seals that the file has now. */
export interface SealsAdded {
  readonly type: 'SealsAdded';
  readonly inode: number;
  readonly seals: number;
}

/**
 * `shmem_delete_from_page_cache()` by `shmem_writeout()`: page [index, pfn, 1] of the file is in the swap cache alone (`ref` -1), and its place in the file leads to
 * `slot`, which counts one more (`count`).
 */
export interface ShmemPageSwapped {
  readonly type: 'ShmemPageSwapped';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly slot: number;
  readonly ref: number;
  readonly count: number;
}
/**
 * `shmem_swapin_folio()`, the commit: page [index, pfn, 1] of the swap cache is the file's again, dirty, and out of the swap cache, whose reference the page cache
 * takes over (`ref` 0). Its slot counts one less (`count`) and is free.
 */
export interface ShmemPageSwappedIn {
  readonly type: 'ShmemPageSwappedIn';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly slot: number;
  readonly ref: number;
  readonly count: number;
}
/** `shmem_free_swap()`: the place [index, 1] in the file, which led to a slot, is a hole. `slotFreed` 1: the swap cache has no page of it either. */
export interface ShmemSwapFreed {
  readonly type: 'ShmemSwapFreed';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly slot: number;
  readonly count: number;
  readonly slotFreed: number;
}

export type ShmemEvent =
  | TmpfsMounted
  | ShmemInodeInitialised
  | ShmemAccounted
  | ShmemInodeEvicted
  | SealsAdded
  | ShmemFolioAdded
  | ShmemPageSwapped
  | ShmemPageSwappedIn
  | ShmemSwapFreed;

/** Opcodes and kinds of fields. */
export const SHMEM_SHAPES: ShapesOf<ShmemEvent> = {
  ShmemInodeInitialised: {
    opcode: 230,
    fields: { inode: 'inode', sb: 'int', noreserve: 'int', seals: 'int', mode: 'int', committed: 'int' },
  },
  ShmemAccounted: {
    opcode: 231,
    fields: { inode: 'inode', alloced: 'int', swapped: 'int', blocks: 'int', used: 'int', committed: 'int' },
  },
  ShmemInodeEvicted: { opcode: 232, fields: { inode: 'inode', committed: 'int' } },
  ShmemPageSwapped: {
    opcode: 234,
    fields: { inode: 'inode', runs: 'cacheRuns', slot: 'int', ref: 'int', count: 'int' },
  },
  ShmemPageSwappedIn: {
    opcode: 235,
    fields: { inode: 'inode', runs: 'cacheRuns', slot: 'int', ref: 'int', count: 'int' },
  },
  ShmemSwapFreed: {
    opcode: 236,
    fields: { inode: 'inode', runs: 'ints', slot: 'int', count: 'int', slotFreed: 'int' },
  },
  ShmemFolioAdded: { opcode: 117, fields: { inode: 'inode', runs: 'cacheRuns', ref: 'int' } },
  TmpfsMounted: { opcode: 237, fields: { sb: 'int', name: 'text', maxBlocks: 'int' } },
  SealsAdded: { opcode: 233, fields: { inode: 'inode', seals: 'int' } },
};
