// Sizes of files of hugetlbfs, holes in them, and pages made ahead of use: hugetlbfs_setattr(), hugetlbfs_fallocate() of fs/hugetlbfs/inode.c.
//
// Locks: the inode's for all of it, i_mmap's for write while mappings lose pages, the fault mutex of each page that goes or comes.
import { hugetlbFileAt } from '../../../reducers/hugetlb-state.js';
import type { InodeView } from '../../../reducers/state.js';
import { HPAGE_PMD_NR, cachedPfn } from '../../../reducers/state.js';
import { VM_HUGETLB, VM_MAYSHARE, VM_SHARED, vmaPages } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { EINVAL, ENOSPC, EOPNOTSUPP, EPERM, PAGE_SIZE } from '../kernel.js';
import { F_SEAL } from '../seals.js';
import { flushGather } from '../memory/zap.js';
import { NO_PAGE, allocHugetlbFolio } from './fault.js';
import { HUGE_PAGE_SIZE, hugeAlign, isHugeAligned, putHugePage } from './pool.js';
import { unreservePages } from './reservations.js';
import { unmapHugepageRange } from './unmap.js';

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/** F_SEAL_* of the file: one that nobody can seal is sealed against that. */
const sealsOf = (k: Kernel, inode: number): number => hugetlbFileAt(k.view, inode)?.seals ?? F_SEAL.SEAL;

/**
 * `remove_inode_hugepages()`: pages of huge pages [from, to) leave the cache, with those references that it has. In a hole (`to` not Infinity) each takes along its entry in
 * the map, so that whoever faults there next has no reservation. Returns how many went.
 */
export function removeCached(k: Kernel, inode: number, from: number, to: number): number {
  const pages = (k.view.inodes[inode] as InodeView).pages.length;
  let freed = 0;
  for (let at = from; at < Math.min(to, pages); at++) {
    const index = at * HPAGE_PMD_NR;
    const pfn = cachedPfn(k.view.inodes[inode] as InodeView, index);
    if (pfn < 0) continue;
    k.emit({ type: 'HugetlbPageUncached', inode, index, pfn, ref: 1 - HPAGE_PMD_NR });
    putHugePage(k, pfn);
    freed++;
    if (to !== Infinity) unreservePages(k, inode, at, at + 1, 1);
  }
  return freed;
}

/**
 * `hugetlb_vmtruncate()`: the file has `size` bytes; what lies beyond goes, private copies as well, and so do reservations beyond, which a mapping that may not be
 * written to has made there. Returns 0, -EINVAL for a part of a page, or -EPERM where the file is sealed.
 */
export function hugetlbTruncate(k: Kernel, inode: number, size: number): number {
  if (!isHugeAligned(size)) return -EINVAL;
  const before = (k.view.inodes[inode] as InodeView).size;
  const seals = sealsOf(k, inode);
  if ((size < before && (seals & F_SEAL.SHRINK) !== 0) || (size > before && (seals & F_SEAL.GROW) !== 0)) return -EPERM;
  if (size !== before) k.emit({ type: 'InodeResized', inode, size, data: size });
  unmapFile(k, inode, size / PAGE_SIZE, Infinity);
  const from = size / HUGE_PAGE_SIZE;
  unreservePages(k, inode, from, Infinity, removeCached(k, inode, from, Infinity));
  return 0;
}

/** `hugetlb_vmdelete_list()`: every mapping of pages (of 4 KiB) [first, last) of the file. */
function unmapFile(k: Kernel, inode: number, first: number, last: number): void {
  for (let id = 1; id < k.view.mms.length; id++) {
    const mm = k.view.mms[id];
    if (!mm) continue;
    for (const vma of mm.vmas) {
      const from = Math.max(0, first - vma.pgoff);
      const to = Math.min(vmaPages(vma), last - vma.pgoff);
      if (vma.inode === inode && from < to)
        unmapHugepageRange(k, id, vma.start + from * PAGE_SIZE, vma.start + to * PAGE_SIZE);
    }
    flushGather(k, id);
  }
}

/**
 * `hugetlbfs_fallocate()` of bytes [offset, end): makes a hole there, of whole pages, with zeros in those that it begins and ends in; or gives the file
 * pages of zeros, with the reservations that it has or, like a mapping without any, with what is free. Those made before the pool ran dry stay. Returns 0 or a
 * negative errno.
 */
export function hugetlbFallocate(k: Kernel, inode: number, mode: number, offset: number, end: number): number {
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) !== 0) return -EOPNOTSUPP;
  if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) return punchHole(k, inode, offset, end);
  const { size } = k.view.inodes[inode] as InodeView;
  if ((sealsOf(k, inode) & F_SEAL.GROW) !== 0 && end > size) return -EPERM;
  const flags = VM_HUGETLB | VM_MAYSHARE | VM_SHARED;
  for (let at = Math.floor(offset / HUGE_PAGE_SIZE); at * HUGE_PAGE_SIZE < end; at++) {
    const index = at * HPAGE_PMD_NR;
    if (cachedPfn(k.view.inodes[inode] as InodeView, index) >= 0) continue;
    // Of the mapping that the allocation is told of there is only the file.
    const pfn = allocHugetlbFolio(k, 0, { start: 0, flags, pgoff: 0, inode }, at, false);
    if (pfn === NO_PAGE) return -ENOSPC;
    k.emit({ type: 'HugetlbPageZeroed', pfn });
    k.emit({ type: 'HugetlbPageCached', inode, index, pfn, ref: HPAGE_PMD_NR, restore: 0 });
    putHugePage(k, pfn);
  }
  if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > size) k.emit({ type: 'InodeResized', inode, size: end, data: end });
  return 0;
}

/** `hugetlbfs_punch_hole()`. */
function punchHole(k: Kernel, inode: number, offset: number, end: number): number {
  if ((sealsOf(k, inode) & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) !== 0) return -EPERM;
  const [start, stop] = [hugeAlign(offset), end - (end % HUGE_PAGE_SIZE)];
  if (offset < start) zeroPartial(k, inode, offset, Math.min(end, start));
  if (stop > start) unmapFile(k, inode, start / PAGE_SIZE, stop / PAGE_SIZE);
  if (end > stop && end > start) zeroPartial(k, inode, stop, end);
  if (stop > start) removeCached(k, inode, start / HUGE_PAGE_SIZE, stop / HUGE_PAGE_SIZE);
  return 0;
}

/** `hugetlbfs_zero_partial_page()`: bytes [from, to), which lie in one huge page, are zeros if it is cached. */
function zeroPartial(k: Kernel, inode: number, from: number, to: number): void {
  for (let at = from; at < to;) {
    const offset = at % PAGE_SIZE;
    const length = Math.min(to - at, PAGE_SIZE - offset);
    const pfn = cachedPfn(k.view.inodes[inode] as InodeView, Math.floor(at / PAGE_SIZE));
    if (pfn >= 0) k.emit({ type: 'PageWritten', pfn, offset, length, byte: 0 });
    at += length;
  }
}
