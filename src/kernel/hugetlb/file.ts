// Files of hugetlbfs: what stands behind every mapping of it. fs/hugetlbfs/inode.c.
import type { InodeView, KernelView, OpenFile } from '../../../reducers/state.js';
import { InodeKind } from '../../../reducers/state.js';
import { hugetlbFileAt, inodeResvMap } from '../../../reducers/hugetlb-state.js';
import { VM_WRITE } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { EINVAL, PAGE_SIZE } from '../kernel.js';
import { HUGE_PAGE_SIZE, isHugeAligned } from './pool.js';
import type { HugetlbMapping } from './reservations.js';
import { allocResvMap, reservePages, unreservePages, vmaWasClosed } from './reservations.js';
import { NO_SUBPOOL } from './subpool.js';
import { removeCached } from './truncate.js';

/** `vm_file` of what no descriptor leads to. */
const NO_FILE = -1;

/** Is `inode` a file of hugetlbfs? */
export const isHugetlbfs = (view: KernelView, inode: number): boolean =>
  view.inodes[inode]?.kind === InodeKind.hugetlbfs;

/** `hugetlb_file_setup()`: a file without a name in any directory, of `size` bytes, with its reservation map. */
export function hugetlbFileSetup(k: Kernel, name: string, size: number): number {
  const inode = k.view.inodes.length;
  k.emit({ type: 'InodeCreated', inode, name, kind: InodeKind.hugetlbfs, size, resident: 0 });
  allocResvMap(k, inode);
  return inode;
}

/** What `hugetlbfs_file_mmap()` is asked for: `length` bytes, aligned, at `start`. `file` null: MAP_HUGETLB without a descriptor. */
export interface HugetlbMmap {
  readonly start: number;
  readonly length: number;
  /** VM_*. */
  readonly flags: number;
  readonly file: OpenFile | null;
  /** Bytes. */
  readonly offset: number;
}

/**
 * `hugetlbfs_file_mmap()`: the mapping, with what it reserves. A writable one makes the file as long as it reaches. Returns 0, -EINVAL for an
 * offset within a page, or -ENOMEM for want of pages to reserve.
 */
export function hugetlbMmap(k: Kernel, mm: number, { start, length, flags, file, offset }: HugetlbMmap): number {
  const from = file === null ? 0 : offset;
  if (!isHugeAligned(from)) return -EINVAL;
  const inode = file === null ? hugetlbFileSetup(k, '/anon_hugepage (deleted)', length) : file.inode;
  const own = reservePages(k, inode, from / HUGE_PAGE_SIZE, (from + length) / HUGE_PAGE_SIZE, flags);
  if (typeof own === 'number') {
    evictUnreachable(k, inode);
    return own;
  }
  if ((flags & VM_WRITE) !== 0 && (k.view.inodes[inode] as InodeView).size < from + length)
    k.emit({ type: 'InodeResized', inode, size: from + length, data: from + length });
  const end = start + length;
  const opened = file === null ? NO_FILE : file.file;
  const pgoff = from / PAGE_SIZE;
  k.emit({ type: 'VmaInserted', mm, start, end, flags, pgoff, inode, file: opened, anonVma: 0, chain: [] });
  if (own !== null) k.emit({ type: 'HugetlbVmaSet', mm, start, ...own });
  return 0;
}

/** Does a descriptor or a mapping of anybody lead to the file? */
export function isReachable({ files, mms }: KernelView, inode: number): boolean {
  const opened = Object.values(files).some((table) => Object.values(table).some((file) => file.inode === inode));
  return opened || mms.some((mm) => mm?.vmas.some((vma) => vma.inode === inode));
}

/** `iput()` of a descriptor or mapping that just went: with the last that led to a file without a name it is evicted. */
export function evictUnreachable(k: Kernel, inode: number): void {
  const named = (hugetlbFileAt(k.view, inode)?.sb ?? NO_SUBPOOL) >= 0;
  if (isHugetlbfs(k.view, inode) && !named && !isReachable(k.view, inode)) evict(k, inode);
}

/** `hugetlbfs_evict_inode()`: its pages and reservations go. */
export function evict(k: Kernel, inode: number): void {
  const map = inodeResvMap(k.view, inode);
  if (map === null) return;
  const { id } = map;
  unreservePages(k, inode, 0, Infinity, removeCached(k, inode, 0, Infinity));
  k.emit({ type: 'ResvMapFreed', map: id });
}

/** `hugetlb_vm_op_close()` and `fput()` of a mapping that is gone: reservations it did not use, and (not `keepFile`) the file if nothing else leads to it. */
export function hugetlbClose(k: Kernel, mm: number, vma: HugetlbMapping, keepFile = false): void {
  const { inode } = vma;
  vmaWasClosed(k, mm, vma);
  if (!keepFile) evictUnreachable(k, inode);
}
