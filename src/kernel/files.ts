// Descriptors and files, as far as memory management sees them: open, close, dup, memfd_create, sizes.
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { InodeKind, PG_ANON, cachedPfn, mmAt, nextFreePfn, pageAt } from '../../reducers/state.js';
import { forEachPte, ptePfn, pteSpecial } from '../../reducers/pte.js';
import { vmaPages } from '../../reducers/vma.js';
import { isFd } from '../workload/operation.js';
import type { Call } from './call.js';
import { NotModelledError } from '../lib/errors.js';
import { cIntArg, intArg } from './call.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EBADF, EFBIG, EINVAL, PAGE_SIZE, currentTask } from './kernel.js';
import { flushGather, updateHiwaterRss, zapPageRange } from './memory/zap.js';
import { appendRun } from './page-alloc.js';
import { lruBatchAdded } from './swap.js';

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_RDWR = 2;

/** Names under which shared memory objects appear in recordings. */
const SHMEM_NAME = /^\/(memfd:|dev\/shm\/|dev\/zero \(deleted\)|SYSV)/;

/** The inode called `name`, created on first sight: shared memory by its name, else a file whose pages are taken as cached. */
export function inodeNamed(k: Kernel, name: string): number {
  const known = k.view.inodeByName[name];
  if (known !== undefined) return known;
  const shmem = SHMEM_NAME.test(name);
  return createInode(k, name, shmem ? InodeKind.shmem : InodeKind.file, -1, shmem ? 0 : 1);
}

/** A new inode. `size` bytes, -1 unknown. */
export function createInode(k: Kernel, name: string, kind: number, size: number, resident: number): number {
  const inode = k.view.inodes.length;
  k.emit({ type: 'InodeCreated', inode, name, kind, size, resident });
  return inode;
}

/**
 * What argument `i`, a descriptor, leads to; null if to nothing. A recording may use descriptors whose origin it does not show
 * (inherited, received, opened by calls that were not traced): those get a file of their own.
 */
export function fileArg(k: Kernel, call: Call, i: number): OpenFile | null {
  const value = call.args[i];
  if (value !== undefined && value !== null && isFd(value)) return { inode: inodeNamed(k, value.path), flags: O_RDWR };
  const fd = intArg(call, i) | 0;
  const { tgid } = currentTask(k, call.tid);
  const file = k.view.files[tgid]?.[fd];
  if (file) return { inode: file.inode, flags: file.flags };
  if (!call.recorded || fd < 0) return null;
  const inode = createInode(k, `fd ${fd} of ${tgid}, file ${k.view.inodes.length}`, InodeKind.file, -1, 1);
  k.emit({ type: 'FdInstalled', tgid, fd, inode, flags: O_RDWR });
  return { inode, flags: O_RDWR };
}

/** Installs `inode` at the descriptor that the recording tells, or the lowest free one from 3 up. */
export function* installFd(k: Kernel, tid: number, inode: number, flags: number, atLeast = 3): KernelThread<number> {
  const { tgid } = currentTask(k, tid);
  let fd = yield { op: 'place', what: 'fd' };
  if (fd < 0) for (fd = atLeast; k.view.files[tgid]?.[fd] !== undefined;) fd++;
  k.emit({ type: 'FdInstalled', tgid, fd, inode, flags });
  return fd;
}

/** close(2). Null for a descriptor that a recording does not show the origin of: nothing can be said of it. */
export function closeFd(k: Kernel, call: Call): number | null {
  const fd = intArg(call, 0) | 0;
  const { tgid } = currentTask(k, call.tid);
  if (k.view.files[tgid]?.[fd] === undefined) return call.recorded ? null : -EBADF;
  k.emit({ type: 'FdClosed', tgid, fd });
  return 0;
}

/** dup, dup2, dup3, fcntl(F_DUPFD): `target` -1 for the lowest free descriptor from `atLeast` up. */
export function* dupFd(k: Kernel, call: Call, target: number, atLeast = 0): KernelThread<number> {
  const { tgid } = currentTask(k, call.tid);
  const fd = intArg(call, 0) | 0;
  const known = k.view.files[tgid]?.[fd];
  if (known === undefined && !call.recorded) return -EBADF;
  if (known === undefined) {
    const told = yield { op: 'place', what: 'fd' };
    return target >= 0 ? target : Math.max(told, 0);
  }
  const { inode, flags } = known;
  if (target < 0) return yield* installFd(k, call.tid, inode, flags, Math.max(atLeast, 3));
  k.emit({ type: 'FdInstalled', tgid, fd: target, inode, flags });
  return target;
}

/** Argument `i` as an loff_t, 64 bits and signed. As an unsigned number -1 would lose its last bits. */
function offsetArg(call: Call, i: number): number {
  const value = call.args[i];
  if (typeof value === 'bigint') return Number(BigInt.asIntN(64, value));
  return typeof value === 'number' ? value : intArg(call, i);
}

const isWritable = (file: OpenFile): boolean => (file.flags & O_ACCMODE) !== O_RDONLY;

/** ftruncate(2): `do_sys_ftruncate()`. A descriptor that may not write is EINVAL here, unlike elsewhere. */
export function doFtruncate(k: Kernel, call: Call): number {
  const size = offsetArg(call, 1);
  if (size < 0) return -EINVAL;
  const file = fileArg(k, call, 0);
  if (file === null) return -EBADF;
  if (!isWritable(file)) return -EINVAL;
  if (size > Number.MAX_SAFE_INTEGER) throw new NotModelledError('files of 2^53 bytes and more');
  truncateInode(k, file.inode, size);
  return 0;
}

/** fallocate(2) that neither punches holes nor keeps the size: `vfs_fallocate()`. */
export function doFallocate(k: Kernel, call: Call): number {
  const file = fileArg(k, call, 0);
  if (file === null) return -EBADF;
  const [offset, length] = [offsetArg(call, 2), offsetArg(call, 3)];
  if (offset < 0 || length <= 0) return -EINVAL;
  if (cIntArg(call, 1) !== 0) throw new NotModelledError('fallocate with a mode');
  if (!isWritable(file)) return -EBADF;
  if (offset + length >= 2 ** 63) return -EFBIG;
  if (length / PAGE_SIZE > k.machine.totalPages) throw new NotModelledError('fallocate of more than there is memory');
  if (offset + length > Number.MAX_SAFE_INTEGER) throw new NotModelledError('files of 2^53 bytes and more');
  return extendFile(k, file.inode, offset, length, currentTask(k, call.tid).cpu, true);
}

/**
 * ftruncate(2), as `i_size_write()` and `truncate_pagecache()`: mappings and cached pages beyond the new size go, the rest of the last
 * page becomes zeros.
 */
export function truncateInode(k: Kernel, inode: number, size: number): void {
  const now = k.view.inodes[inode];
  if (!now) return;
  const shrinks = now.size < 0 || size < now.size;
  k.emit({ type: 'InodeResized', inode, size });
  if (!shrinks) return;
  const firstGone = Math.ceil(size / PAGE_SIZE);
  unmapMappingRange(k, inode, firstGone, Number.MAX_SAFE_INTEGER, true);
  removeCachedPages(k, inode, firstGone, Number.MAX_SAFE_INTEGER);
  const offset = size % PAGE_SIZE;
  const pfn = offset === 0 ? -1 : cachedPfn(k.view.inodes[inode] as InodeView, firstGone - 1);
  if (pfn >= 0) k.emit({ type: 'PageWritten', pfn, offset, length: PAGE_SIZE - offset, byte: 0 });
}

/** `unmap_mapping_pages()`: every mapping of pages [first, last) of the file; with `evenCows` private copies as well. */
export function unmapMappingRange(k: Kernel, inode: number, first: number, last: number, evenCows: boolean): void {
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
      if (evenCows) zapPageRange(k, id, start, end);
      else for (const addr of cachedMappings(k, id, start, end)) zapPageRange(k, id, addr, addr + PAGE_SIZE);
    }
    flushGather(k, id);
  }
}

function cachedMappings(k: Kernel, mm: number, start: number, end: number): number[] {
  const found: number[] = [];
  forEachPte(mmAt(k.view, mm), start / PAGE_SIZE, end / PAGE_SIZE, (vpn, entry) => {
    if (!pteSpecial(entry) && (pageAt(k.view, ptePfn(entry)).flags & PG_ANON) === 0) found.push(vpn * PAGE_SIZE);
  });
  return found;
}

/** `truncate_inode_pages_range()`, `filemap_remove_folio()`: pages [first, last) leave the cache. */
export function removeCachedPages(k: Kernel, inode: number, first: number, last: number): void {
  const now = k.view.inodes[inode];
  if (!now) return;
  const runs: number[] = [];
  const freed: number[] = [];
  const limit = Math.min(last, now.pages.length * 512);
  for (let index = first; index < limit; index++) {
    const pfn = cachedPfn(now, index);
    if (pfn < 0) continue;
    runs.push(index, pfn, 1);
    if (pageAt(k.view, pfn).ref === 1) appendRun(freed, pfn);
  }
  if (runs.length > 0) k.emit({ type: 'PageCacheRemoved', inode, runs, ref: -1, freed });
}

/** fallocate(2) without punching holes, write(2): the file covers [offset, offset + length) bytes; shared memory gets its pages. */
export function extendFile(
  k: Kernel,
  inode: number,
  offset: number,
  length: number,
  cpu: number,
  allocate: boolean,
): number {
  const now = k.view.inodes[inode];
  if (!now || length <= 0) return -EINVAL;
  if (now.size >= 0 && offset + length > now.size) k.emit({ type: 'InodeResized', inode, size: offset + length });
  if (!allocate || now.kind !== InodeKind.shmem) return 0;
  for (let index = Math.floor(offset / PAGE_SIZE); index * PAGE_SIZE < offset + length; index++) {
    addShmemPage(k, inode, index, cpu);
  }
  return 0;
}

/** `shmem_get_folio()`: shared memory has a page at `index`, the one it has or a new one of zeros. */
export function addShmemPage(k: Kernel, inode: number, index: number, cpu: number): void {
  const now = k.view.inodes[inode];
  if (!now || cachedPfn(now, index) >= 0) return;
  const pfn = nextFreePfn(k.view);
  k.emit({ type: 'PageCacheAdded', inode, runs: [index, pfn, 1], swapbacked: 1, ref: 2, lruCpu: cpu });
  lruBatchAdded(k, cpu);
}
