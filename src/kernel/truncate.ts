// Sizes of files: ftruncate, fallocate, and what they do to pages. mm/truncate.c, mm/shmem.c, and fs/ext4/inode.c as far as memory sees it.
import { forEachPte, isHugePte, ptePfn, ptePresent, pteSpecial } from '../../reducers/pte.js';
import { wasWritten } from '../../reducers/disk.js';
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { HPAGE_PMD_NR, InodeKind, PG_ANON, PG_DIRTY, cachedPfn, folioAt, mmAt, pageAt } from '../../reducers/state.js';
import { vmaPages } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call } from './call.js';
import { cIntArg } from './call.js';
import { grabPage, isTakenAsCached, markDirty, onDisk, removeCachedPages } from './filemap.js';
import { fileArg, isWritable, maxBytes, offsetArg } from './files.js';
import { hugetlbFallocate } from './hugetlb/truncate.js';
import type { Kernel } from './kernel.js';
import { EBADF, EFBIG, EINVAL, ENOSPC, EOPNOTSUPP, EPERM, PAGE_SIZE, currentTask } from './kernel.js';
import { flushGather, updateHiwaterRss, zapPageRange } from './memory/zap.js';
import { F_SEAL } from './seals.js';
import { mayHaveLargeFolios } from './shmem-huge.js';
import { shmemGetFolio, shmemInfo } from './shmem.js';
import { shmemUndoRange } from './shmem-truncate.js';
import { lruAddDrainIfMlock } from './swap.js';

/** ftruncate(2): `do_sys_ftruncate()`. A descriptor that may not write is EINVAL here, unlike elsewhere. */
export function doFtruncate(k: Kernel, call: Call): number {
  const size = offsetArg(call, 1);
  if (size < 0) return -EINVAL;
  const file = fileArg(k, call, 0);
  if (file === null) return -EBADF;
  if (!isWritable(file)) return -EINVAL;
  const inode = k.view.inodes[file.inode] as InodeView;
  if (size > maxBytes(inode) && size > inode.size) return -EFBIG;
  if (size > Number.MAX_SAFE_INTEGER) throw new NotModelledError('files of 2^53 bytes and more');
  // shmem_setattr().
  const seals = shmemInfo(k, file.inode)?.seals ?? 0;
  if ((size < inode.size && (seals & F_SEAL.SHRINK) !== 0) || (size > inode.size && (seals & F_SEAL.GROW) !== 0))
    return -EPERM;
  truncateInode(k, file.inode, size, currentTask(k, call.tid).cpu, call.recorded);
  return 0;
}

/** FALLOC_FL_* of fallocate(2). */
export const FALLOC_FL = { KEEP_SIZE: 1, PUNCH_HOLE: 2 } as const;
/** Those that say what is done; one at most. */
const FALLOC_MODES: ReadonlySet<number> = new Set([0, 2, 8, 16, 32, 64, 128]);
/** FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_WRITE_ZEROES: they know no FALLOC_FL_KEEP_SIZE. */
const CHANGES_SIZE: ReadonlySet<number> = new Set([8, 32, 128]);

/** fallocate(2). */
export function doFallocate(k: Kernel, call: Call): number {
  const file = fileArg(k, call, 0);
  if (file === null) return -EBADF;
  const { cpu } = currentTask(k, call.tid);
  return vfsFallocate(k, file, cIntArg(call, 1), offsetArg(call, 2), offsetArg(call, 3), cpu);
}

/**
 * `vfs_fallocate()` on an open file. @returns 0 or a negative errno.
 * @throws NotModelledError for files of disks with a mode, for more than there is memory.
 */
export function vfsFallocate(
  k: Kernel,
  file: OpenFile,
  mode: number,
  offset: number,
  length: number,
  cpu: number,
): number {
  if (offset < 0 || length <= 0) return -EINVAL;
  const what = mode & ~FALLOC_FL.KEEP_SIZE;
  const keeps = (mode & FALLOC_FL.KEEP_SIZE) !== 0;
  if (!FALLOC_MODES.has(what) || (what === FALLOC_FL.PUNCH_HOLE && !keeps)) return -EOPNOTSUPP;
  if (CHANGES_SIZE.has(what) && keeps) return -EOPNOTSUPP;
  if (!isWritable(file)) return -EBADF;
  const inode = k.view.inodes[file.inode] as InodeView;
  if (offset + length > maxBytes(inode) || offset + length >= 2 ** 63) return -EFBIG;
  if (offset + length > Number.MAX_SAFE_INTEGER) throw new NotModelledError('files of 2^53 bytes and more');
  if (inode.kind === InodeKind.hugetlbfs && !k.behaviours['hugetlb-fallocate']) return -EOPNOTSUPP;
  if (inode.kind === InodeKind.hugetlbfs) return hugetlbFallocate(k, file.inode, mode, offset, offset + length);
  if (inode.kind === InodeKind.shmem) return shmemFallocate(k, file.inode, mode, offset, offset + length, cpu);
  if (mode !== 0) throw new NotModelledError('fallocate with a mode on a file of a disk');
  if (length / PAGE_SIZE > k.machine.totalPages) throw new NotModelledError('fallocate of more than there is memory');
  extendFile(k, file.inode, offset + length, cpu);
  return 0;
}

/** ext4's fallocate(2) makes a file longer; its blocks are not modelled. */
function extendFile(k: Kernel, id: number, end: number, cpu: number): void {
  const inode = k.view.inodes[id] as InodeView;
  const grows = end > inode.size;
  if (grows) zeroBlock(k, id, inode.size, cpu, end);
  growTo(k, id, end);
  // The blocks of a new last page are looked at by the way; its page is left unread.
  const last = Math.floor(end / PAGE_SIZE);
  const partial = grows && end % PAGE_SIZE !== 0 && inode.kind === InodeKind.file;
  if (partial && isHole(k, inode, last)) leaveUnread(k, id, last, cpu);
}

/**
 * `shmem_fallocate()` of bytes [offset, end): makes a hole there, or gives it pages, which are dirty, so that they are swapped rather than dropped. New ones are
 * not filled: nothing maps them unasked. Those that an earlier fallocate made are filled now.
 */
function shmemFallocate(k: Kernel, id: number, mode: number, offset: number, end: number, cpu: number): number {
  if ((mode & ~(FALLOC_FL.KEEP_SIZE | FALLOC_FL.PUNCH_HOLE)) !== 0) return -EOPNOTSUPP;
  const { size } = k.view.inodes[id] as InodeView;
  const seals = shmemInfo(k, id)?.seals ?? 0;
  if ((mode & FALLOC_FL.PUNCH_HOLE) !== 0) {
    if ((seals & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) !== 0) return -EPERM;
    const [first, last] = [Math.ceil(offset / PAGE_SIZE), Math.floor(end / PAGE_SIZE)];
    // A hole that ends inside the first page has its last whole byte at -1, and all behind it is unmapped: measured on 6.18.44.
    if (last > first || last === 0)
      unmapMappingRange(k, id, first, last === 0 ? Number.MAX_SAFE_INTEGER : last, false, cpu);
    shmemUndoRange(k, id, offset, end, cpu);
    return 0;
  }
  if ((seals & F_SEAL.GROW) !== 0 && end > size) return -EPERM;
  const start = Math.floor(offset / PAGE_SIZE);
  const wanted = Math.ceil(end / PAGE_SIZE) - start;
  // What never has room is not even begun.
  const max = k.view.tmpfs[shmemInfo(k, id)?.sb ?? -1]?.maxBlocks ?? 0;
  if (max > 0 && wanted > max) return -ENOSPC;
  if (wanted > k.machine.totalPages) throw new NotModelledError('fallocate of more than there is memory');
  const keeps = (mode & FALLOC_FL.KEEP_SIZE) !== 0;
  if (keeps && end > size && mayHaveLargeFolios(k, id))
    throw new NotModelledError('FALLOC_FL_KEEP_SIZE behind the end of a file that may have large folios');
  for (let index = start; index * PAGE_SIZE < end;) {
    const found = shmemGetFolio(k, id, index, 'falloc', cpu, { writeEnd: end });
    if (typeof found === 'number') {
      if (index > start) shmemUndoRange(k, id, start * PAGE_SIZE, index * PAGE_SIZE, cpu, true);
      return found;
    }
    markDirty(k, found.pfn);
    const head = folioAt(k.view, found.pfn);
    index = head.index + 2 ** head.order;
  }
  if (!keeps) growTo(k, id, end);
  return 0;
}

/** `i_size_write()` where a file may only get longer. Its disk holds no more than before. */
export function growTo(k: Kernel, inode: number, size: number): void {
  const now = k.view.inodes[inode] as InodeView;
  if (now.size >= 0 && size > now.size) k.emit({ type: 'InodeResized', inode, size, data: now.data });
}

/**
 * `notify_change()` with a size: `shmem_setattr()`, `ext4_setattr()`. Mappings and cached pages beyond the end go, private copies as
 * well; the rest of the last page becomes zeros, also where the size stays as it is.
 */
export function truncateInode(k: Kernel, inode: number, size: number, cpu: number, recorded: boolean): void {
  const before = k.view.inodes[inode];
  if (!before) return;
  const grows = before.size >= 0 && size > before.size;
  // ext4_setattr(): what a mapping stored behind the old end must not show in the longer file.
  if (grows) zeroBlock(k, inode, before.size, cpu);
  if (size !== before.size) {
    // Of a recording the disk's part is not known to have stayed as it was.
    const data = !recorded && (grows || (before.data >= 0 && before.data <= size)) ? before.data : size;
    k.emit({ type: 'InodeResized', inode, size, data });
  }
  if (grows) return;
  const firstGone = Math.ceil(size / PAGE_SIZE);
  unmapMappingRange(k, inode, firstGone, Number.MAX_SAFE_INTEGER, true, cpu);
  if (before.kind === InodeKind.shmem) return shmemUndoRange(k, inode, size, Infinity, cpu);
  // folio_batch_release() of what was found.
  if (removeCachedPages(k, inode, firstGone, Number.MAX_SAFE_INTEGER)) lruAddDrainIfMlock(k, cpu);
  // What is absent now comes in with its neighbours again; of a recording only what it says is absent is so.
  if (!recorded) forgetHoles(k, inode, firstGone);
  const offset = size % PAGE_SIZE;
  if (offset === 0) return;
  const pfn = cachedPfn(k.view.inodes[inode] as InodeView, firstGone - 1);
  if (pfn >= 0) zeroRest(k, pfn, offset);
  // ext4_block_truncate_page() dirties the page of the block.
  zeroBlock(k, inode, size, cpu);
}

/** `folio_zero_segment()`: the page from `offset` on. */
const zeroRest = (k: Kernel, pfn: number, offset: number): void =>
  k.emit({ type: 'PageWritten', pfn, offset, length: PAGE_SIZE - offset, byte: 0 });

/**
 * `ext4_block_truncate_page()`: the block that holds byte `from` is zeros from there on, at most to byte `to`, in the cache, and dirty. A hole stays one, but
 * its page is in the cache now, unread. Shared memory has no blocks.
 */
export function zeroBlock(k: Kernel, inode: number, from: number, cpu: number, to = Number.MAX_SAFE_INTEGER): void {
  const offset = from % PAGE_SIZE;
  const index = Math.floor(from / PAGE_SIZE);
  const file = k.view.inodes[inode] as InodeView;
  if (offset === 0 || file.kind !== InodeKind.file || from < 0) return;
  if (isHole(k, file, index)) return leaveUnread(k, inode, index, cpu);
  const cached = cachedPfn(file, index) >= 0 || isTakenAsCached(file, index);
  const pfn = grabPage(k, inode, index, cpu);
  // `ext4_load_tail_bh()` reads the block, which does not make a page of one block uptodate.
  if (!cached) k.emit({ type: 'FolioUptodateSet', pfn, uptodate: 0 });
  k.emit({ type: 'PageWritten', pfn, offset, length: Math.min(to - from, PAGE_SIZE - offset), byte: 0 });
  markDirty(k, pfn);
}

/** `__filemap_get_folio(FGP_CREAT)` of a page that nobody then reads. */
function leaveUnread(k: Kernel, inode: number, index: number, cpu: number): void {
  if (cachedPfn(k.view.inodes[inode] as InodeView, index) >= 0) return;
  k.emit({ type: 'FolioUptodateSet', pfn: grabPage(k, inode, index, cpu), uptodate: 0 });
}

/** Has page `index` no block on the disk, nor one reserved (`buffer_delay()`)? What was written back since has bytes. */
export function isHole(k: Kernel, inode: InodeView, index: number): boolean {
  if (onDisk(inode, index) || wasWritten(k.view, inode.id, index)) return false;
  const pfn = cachedPfn(inode, index);
  if (pfn < 0) return true;
  const page = pageAt(k.view, pfn);
  return (page.flags & PG_DIRTY) === 0 && page.content === null;
}

/** Slots from `first` on that were cached or known to be absent: not known again. */
function forgetHoles(k: Kernel, inode: number, first: number): void {
  const { pages } = k.view.inodes[inode] as InodeView;
  if (pages.length * 512 > first)
    k.emit({ type: 'PageCacheHolesForgotten', inode, runs: [first, pages.length * 512 - first] });
}

/** `unmap_mapping_pages()`: every mapping of pages [first, last) of the file; with `evenCows` private copies as well. */
export function unmapMappingRange(
  k: Kernel,
  inode: number,
  first: number,
  last: number,
  evenCows: boolean,
  cpu: number,
): void {
  for (let id = 1; id < k.view.mms.length; id++) {
    const mm = k.view.mms[id];
    if (!mm) continue;
    for (const vma of mm.vmas) {
      if (vma.inode !== inode) continue;
      const from = Math.max(0, first - vma.pgoff);
      const to = Math.min(vmaPages(vma), last - vma.pgoff);
      if (from >= to) continue;
      const start = vma.start + from * PAGE_SIZE;
      const end = vma.start + to * PAGE_SIZE;
      updateHiwaterRss(k, id);
      if (evenCows) zapPageRange(k, id, vma.flags, start, end, cpu, 'keep');
      else
        for (const [from, to] of cachedMappings(k, id, start, end))
          zapPageRange(k, id, vma.flags, from, to, cpu, 'keep');
    }
    flushGather(k, id);
  }
}

/** Ranges of bytes in [start, end) that map pages of the cache: a page each, or what lies there of a huge entry. */
function cachedMappings(k: Kernel, mm: number, start: number, end: number): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  forEachPte(mmAt(k.view, mm), start / PAGE_SIZE, end / PAGE_SIZE, (vpn, entry) => {
    if (!ptePresent(entry) || pteSpecial(entry) || (pageAt(k.view, ptePfn(entry)).flags & PG_ANON) !== 0) return;
    const pages = isHugePte(entry) ? HPAGE_PMD_NR - (vpn % HPAGE_PMD_NR) : 1;
    const last = found.at(-1);
    if (last === undefined || last[1] <= vpn * PAGE_SIZE)
      found.push([vpn * PAGE_SIZE, Math.min(end, (vpn + pages) * PAGE_SIZE)]);
  });
  return found;
}
