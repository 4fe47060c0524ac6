// What goes of files in memory: truncation, holes, fallocates that fail, and the end of a file. mm/shmem.c.
import type { InodeView, ShmemInodeView } from '../../reducers/state.js';
import { PG_NOT_UPTODATE, cachedPfn, folioAt, folioHead, pageAt, swapSlot } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import { truncatePartialFolio } from './file-split.js';
import { filePages, markDirty, removeCachedPages } from './filemap.js';
import { hasEnd } from './holders.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';
import { shmemFreeSwap, shmemInfo, shmemRecalcInode, shmemSwapinFolio } from './shmem.js';
import { lruAddDrainIfMlock } from './swap.js';

/**
 * `shmem_undo_range()`: bytes [from, to) of file `id` are gone: its whole folios leave the cache, of those at both ends the part becomes zeros, and
 * they dirty; large ones are split there. With `unfalloc` a fallocate that failed takes back the folios that it made: those that nobody filled.
 */
export function shmemUndoRange(k: Kernel, id: number, from: number, to: number, cpu: number, unfalloc = false): void {
  const range = { first: Math.ceil(from / PAGE_SIZE), end: Math.floor(to / PAGE_SIZE) };
  const added = (pfn: number): boolean => (folioAt(k.view, pfn).flags & PG_NOT_UPTODATE) !== 0;
  // folio_batch_release() of what was found.
  if (removeCachedPages(k, id, range.first, range.end, unfalloc ? added : undefined)) lruAddDrainIfMlock(k, cpu);
  const freed = unfalloc ? 0 : shmemFreeSwap(k, id, range.first, range.end);
  if (!unfalloc) {
    const atStart = partialFolio(k, id, Math.floor(from / PAGE_SIZE), cpu);
    const sameFolio =
      atStart >= 0 ? to <= folioEnd(k, atStart) : Math.floor(from / PAGE_SIZE) === Math.floor((to - 1) / PAGE_SIZE);
    if (atStart >= 0 && !truncatePartial(k, atStart, from, to, cpu)) {
      range.first = folioEnd(k, atStart) / PAGE_SIZE;
      if (sameFolio) range.end = pageAt(k.view, atStart).index;
    }
    const atEnd = sameFolio || to === Infinity ? -1 : partialFolio(k, id, Math.floor((to - 1) / PAGE_SIZE), cpu);
    if (atEnd >= 0 && !truncatePartial(k, atEnd, from, to, cpu)) range.end = pageAt(k.view, atEnd).index;
    if (removeCachedPages(k, id, range.first, range.end)) lruAddDrainIfMlock(k, cpu);
  } else undoPartly(k, id, range);
  shmemRecalcInode(k, id, 0, -freed);
}

/** What a fallocate that failed had made and that reaches over the ends of its range goes as well. */
function undoPartly(k: Kernel, id: number, { first, end }: { readonly first: number; readonly end: number }): void {
  const inode = k.view.inodes[id] as InodeView;
  for (const index of [first, end - 1]) {
    const pfn = cachedPfn(inode, index);
    if (pfn >= 0 && pageAt(k.view, pfn).order !== 0 && (folioAt(k.view, pfn).flags & PG_NOT_UPTODATE) !== 0)
      throw new NotModelledError('a fallocate that fails with a large folio at its end');
  }
}

/** The byte behind the folio that begins at `head`. */
const folioEnd = (k: Kernel, head: number): number =>
  (pageAt(k.view, head).index + 2 ** pageAt(k.view, head).order) * PAGE_SIZE;

/** `shmem_get_partial_folio()`: the first page of the folio of page `index`, -1 for none. A page that fallocate made is no hole here; one that is swapped out is brought back if any of it is inside the file. */
function partialFolio(k: Kernel, id: number, index: number, cpu: number): number {
  const inode = k.view.inodes[id] as InodeView;
  const swapped = swapSlot(inode, index) >= 0 && index < filePages(inode);
  const pfn = swapped ? shmemSwapinFolio(k, id, index, cpu).pfn : cachedPfn(inode, index);
  return pfn < 0 ? -1 : folioHead(k.view, pfn);
}

/** It is dirty, and `truncate_inode_partial_folio()`. */
function truncatePartial(k: Kernel, head: number, from: number, to: number, cpu: number): boolean {
  markDirty(k, head);
  return truncatePartialFolio(k, head, from, to, cpu);
}

/** `iput()` of file `inode`, which a descriptor or a mapping led to: with the last of them it is evicted, if blocks of it are accounted, and no name leads there. */
export function shmemPut(k: Kernel, inode: number, cpu: number): void {
  const info = shmemInfo(k, inode);
  if (info === undefined || info.sb >= 0 || hasEnd(k, inode, () => true)) return;
  if (k.view.mms.some((mm) => mm?.vmas.some((vma) => vma.inode === inode))) return;
  shmemEvictInode(k, inode, cpu);
}

/** `shmem_evict_inode()`: all pages go, and what was accounted. */
function shmemEvictInode(k: Kernel, id: number, cpu: number): void {
  const { size } = k.view.inodes[id] as InodeView;
  const { noreserve } = shmemInfo(k, id) as ShmemInodeView;
  if (size !== 0) k.emit({ type: 'InodeResized', inode: id, size: 0, data: 0 });
  shmemUndoRange(k, id, 0, Infinity, cpu);
  k.emit({ type: 'ShmemInodeEvicted', inode: id, committed: noreserve === 1 ? 0 : -Math.ceil(size / PAGE_SIZE) });
}
