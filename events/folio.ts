// What happened to page frames, their bytes, the page cache and the LRU batches. Mirrors mm/page_alloc.c, mm/filemap.c, mm/swap.c.
import type { ShapesOf } from './shapes.js';

/** A frame left the free list with one reference: `folio_alloc()`. Its bytes are zero. */
export interface FolioAllocated {
  readonly type: 'FolioAllocated';
  readonly pfn: number;
}
/** `__wp_page_copy_user()`: the bytes of `from` now also stand in `pfn`. */
export interface PageCopied {
  readonly type: 'PageCopied';
  readonly pfn: number;
  readonly from: number;
}
/** `folio_put()`: a reference was dropped; `freed` 1 if it was the last one and the frame went back to the free list. */
export interface FolioReleased {
  readonly type: 'FolioReleased';
  readonly pfn: number;
  readonly ref: number;
  readonly freed: number;
}
/** `length` bytes of value `byte` were written at `offset` in the page; -1: bytes the model does not know (read(2) from a file). */
export interface PageWritten {
  readonly type: 'PageWritten';
  readonly pfn: number;
  readonly offset: number;
  readonly length: number;
  readonly byte: number;
}
/**
 * `copy_folio_from_iter_atomic()`, `copy_folio_to_iter()`: read(2) or write(2) brought `length` bytes that stand at `fromOffset` of frame
 * `from` (-1: the zero page) to `offset` of `pfn`.
 */
export interface BytesCopied {
  readonly type: 'BytesCopied';
  readonly pfn: number;
  readonly offset: number;
  readonly from: number;
  readonly fromOffset: number;
  readonly length: number;
}
/**
 * PG_uptodate, where it is not what it always is. 0: fallocate(2) made the page of shared memory, or ext4 looked at the end of a file
 * that is a hole there, and nobody filled the page yet: fault-around passes it over. 1: `folio_mark_uptodate()`, the first use did.
 */
export interface FolioUptodateSet {
  readonly type: 'FolioUptodateSet';
  readonly pfn: number;
  readonly uptodate: number;
}
/** `folio_mark_dirty()`. */
export interface FolioDirtied {
  readonly type: 'FolioDirtied';
  readonly pfn: number;
}
/**
 * Pages [pfn, n]* entered `cpu`'s mlock batch, in this order, each with a reference more: `mlock_folio()`, `mlock_new_folio()`,
 * `munlock_folio()` by `kind`, one of reducers/state.ts MlockKind. `set` are the page flags that are set at once: PG_MLOCKED, or none.
 */
export interface MlockBatched {
  readonly type: 'MlockBatched';
  readonly cpu: number;
  readonly kind: number;
  readonly runs: readonly number[];
  readonly set: number;
  readonly ref: number;
}
/**
 * `mlock_folio_batch()`: a CPU's mlock batch was worked off. `pages` [pfn, flags]* are those whose flags, with the count of mlocks, became
 * others, and what they are now: only what concerns the LRU and mlock is taken from there. The batch's references go, one for each place in it; `freed` [pfn, n]* had no other.
 */
export interface MlockBatchDrained {
  readonly type: 'MlockBatchDrained';
  readonly cpu: number;
  readonly ref: number;
  readonly pages: readonly number[];
  readonly freed: readonly number[];
}
/** `lru_add()`: pages [pfn, n]* that were mlocked before they came to the LRU are unevictable, by no mlock counted yet. */
export interface FoliosUnevictable {
  readonly type: 'FoliosUnevictable';
  readonly runs: readonly number[];
}
/** `folio_clear_dirty_for_io()`: the page goes to its disk, which has its bytes from now on; the entries that mapped it for writing were protected before. */
export interface FolioCleaned {
  readonly type: 'FolioCleaned';
  readonly pfn: number;
}
/** A CPU's batch of new pages moved to the LRU: `folio_batch_move_lru(lru_add)`. The batch's references go; `freed` [pfn, n]* had no other. */
export interface LruAddDrained {
  readonly type: 'LruAddDrained';
  readonly cpu: number;
  readonly ref: number;
  readonly freed: readonly number[];
}
/** A CPU's batch of lazily freed pages was worked off: swapbacked is cleared: `lru_lazyfree()`. References go; `freed` as above. */
export interface LruLazyfreeDrained {
  readonly type: 'LruLazyfreeDrained';
  readonly cpu: number;
  readonly ref: number;
  readonly freed: readonly number[];
}
/** A file or shared memory object came into view. `resident` 1: pages below its size are taken as cached until known otherwise. */
export interface InodeCreated {
  readonly type: 'InodeCreated';
  readonly inode: number;
  readonly name: string;
  /** One of reducers/state.ts InodeKind. */
  readonly kind: number;
  /** Bytes; -1 where the recording does not tell. */
  readonly size: number;
  readonly resident: number;
}
/**
 * `i_size_write()`. `data` is up to where the file on its disk is as it came into view: no truncation went below. What lies behind reads
 * as zeros when it is brought in. -1: not known to have an end.
 */
export interface InodeResized {
  readonly type: 'InodeResized';
  readonly inode: number;
  readonly size: number;
  readonly data: number;
}
/**
 * A file descriptor of a process leads to a file: open, dup, memfd_create. `flags` are the O_* it was opened with, `file` is the open
 * file description (`struct file`), which dup and fork share: a new one has the number of those there were before.
 */
export interface FdInstalled {
  readonly type: 'FdInstalled';
  readonly tgid: number;
  readonly fd: number;
  readonly inode: number;
  readonly flags: number;
  readonly file: number;
}
/** `file->f_pos`: where the open file description `file` is read and written next, in bytes. */
export interface FilePositionSet {
  readonly type: 'FilePositionSet';
  readonly file: number;
  readonly position: number;
}
/** close(2). */
export interface FdClosed {
  readonly type: 'FdClosed';
  readonly tgid: number;
  readonly fd: number;
}
/** `copy_files()`: fork gave the child process the parent's descriptors. */
export interface FdTableCopied {
  readonly type: 'FdTableCopied';
  readonly tgid: number;
  readonly from: number;
}
/** Pages a recording says are not in the page cache ([index, n]*): `record` saw so with mincore, or they were added later. */
export interface PageCacheHolesNoted {
  readonly type: 'PageCacheHolesNoted';
  readonly inode: number;
  readonly runs: readonly number[];
}
/** Pages noted as holes ([index, n]*) that are cached after all: read or written by calls the recording does not follow. */
export interface PageCacheHolesForgotten {
  readonly type: 'PageCacheHolesForgotten';
  readonly inode: number;
  readonly runs: readonly number[];
}
/**
 * `filemap_add_folio()`, `shmem_add_to_page_cache()`: frames [index, pfn, n]* from the free list now belong to the file.
 * `ref` is each frame's count afterwards: the cache's, and one more where `lruCpu`'s batch holds it (-1: on the LRU since long).
 */
export interface PageCacheAdded {
  readonly type: 'PageCacheAdded';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly swapbacked: number;
  readonly ref: number;
  readonly lruCpu: number;
}
/** `filemap_remove_folio()`: [index, pfn, n]* left the cache; `freed` [pfn, n]* had no other reference. */
export interface PageCacheRemoved {
  readonly type: 'PageCacheRemoved';
  readonly inode: number;
  readonly runs: readonly number[];
  readonly ref: number;
  readonly freed: readonly number[];
}

export type FolioEvent =
  | FolioAllocated
  | PageCopied
  | FolioReleased
  | PageWritten
  | BytesCopied
  | FolioUptodateSet
  | FolioDirtied
  | FolioCleaned
  | MlockBatched
  | MlockBatchDrained
  | FoliosUnevictable
  | LruAddDrained
  | LruLazyfreeDrained
  | InodeCreated
  | InodeResized
  | FdInstalled
  | FilePositionSet
  | FdClosed
  | FdTableCopied
  | PageCacheHolesNoted
  | PageCacheHolesForgotten
  | PageCacheAdded
  | PageCacheRemoved;

/** Opcodes and kinds of fields. */
export const FOLIO_SHAPES: ShapesOf<FolioEvent> = {
  FolioAllocated: { opcode: 41, fields: { pfn: 'pfn' } },
  PageCopied: { opcode: 42, fields: { pfn: 'pfn', from: 'pfn' } },
  FolioReleased: { opcode: 43, fields: { pfn: 'pfn', ref: 'int', freed: 'int' } },
  PageWritten: {
    opcode: 44,
    fields: { pfn: 'pfn', offset: 'int', length: 'int', byte: 'int' },
  },
  FolioDirtied: { opcode: 45, fields: { pfn: 'pfn' } },
  FolioCleaned: { opcode: 58, fields: { pfn: 'pfn' } },
  MlockBatched: { opcode: 64, fields: { cpu: 'cpu', kind: 'int', runs: 'pfnRuns', set: 'int', ref: 'int' } },
  MlockBatchDrained: { opcode: 65, fields: { cpu: 'cpu', ref: 'int', pages: 'ints', freed: 'pfnRuns' } },
  FoliosUnevictable: { opcode: 66, fields: { runs: 'pfnRuns' } },
  LruAddDrained: { opcode: 46, fields: { cpu: 'cpu', ref: 'int', freed: 'pfnRuns' } },
  LruLazyfreeDrained: { opcode: 47, fields: { cpu: 'cpu', ref: 'int', freed: 'pfnRuns' } },
  InodeCreated: {
    opcode: 48,
    fields: { inode: 'inode', name: 'text', kind: 'int', size: 'int', resident: 'int' },
  },
  InodeResized: { opcode: 49, fields: { inode: 'inode', size: 'int', data: 'int' } },
  PageCacheHolesNoted: { opcode: 50, fields: { inode: 'inode', runs: 'ints' } },
  PageCacheAdded: {
    opcode: 51,
    fields: { inode: 'inode', runs: 'cacheRuns', swapbacked: 'int', ref: 'int', lruCpu: 'cpu' },
  },
  PageCacheRemoved: {
    opcode: 52,
    fields: { inode: 'inode', runs: 'cacheRuns', ref: 'int', freed: 'pfnRuns' },
  },
  FdInstalled: {
    opcode: 53,
    fields: { tgid: 'tid', fd: 'int', inode: 'inode', flags: 'int', file: 'int' },
  },
  FdClosed: { opcode: 54, fields: { tgid: 'tid', fd: 'int' } },
  PageCacheHolesForgotten: { opcode: 57, fields: { inode: 'inode', runs: 'ints' } },
  BytesCopied: {
    opcode: 59,
    fields: { pfn: 'pfn', offset: 'int', from: 'pfn', fromOffset: 'int', length: 'int' },
  },
  FolioUptodateSet: { opcode: 60, fields: { pfn: 'pfn', uptodate: 'int' } },
  FilePositionSet: { opcode: 61, fields: { file: 'int', position: 'int' } },
  FdTableCopied: { opcode: 55, fields: { tgid: 'tid', from: 'tid' } },
};
