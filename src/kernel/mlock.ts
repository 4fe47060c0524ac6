// mlock(2) and its kin: mm/mlock.c; msync(2); mincore(2), which only checks.
import type { VmaView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import {
  VM_IO,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_PFNMAP,
  VM_SHARED,
  VM_SPECIAL,
  findVmaIndex,
  vmaLookup,
  vmaPages,
  vmasIn,
} from '../../reducers/vma.js';
import { mmPopulate, populateVmaPageRange } from './gup.js';
import type { Kernel, KernelThread } from './kernel.js';
import {
  EBUSY,
  EINVAL,
  ENOMEM,
  PAGE_SIZE,
  currentTask,
  isPageAligned,
  pageAlign,
  pageAlignWrapped,
  pageDown,
} from './kernel.js';
import { modifyVmas } from './vma.js';
import { writeAndWait } from './writeback.js';
import { mlockVmaPagesRange } from './memory/mlocked.js';

const MLOCK_ONFAULT = 1;
const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;
const LOCK_MASK = VM_LOCKED | VM_LOCKONFAULT;

/** `do_mlock()`: mlock(2), mlock2(2). Locks the VMAs, then faults their pages in. */
export function* doMlock(k: Kernel, tid: number, start: number, length: number, flags: number): KernelThread<number> {
  if ((flags & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  const from = pageDown(start);
  const bytes = pageAlignWrapped(length + (start - from));
  const { mm, cpu } = currentTask(k, tid);
  const limit = k.machine.memlockLimit;
  if (limit >= 0 && mmAt(k.view, mm).lockedVm * PAGE_SIZE + bytes > limit) return -ENOMEM;
  const lock = VM_LOCKED | ((flags & MLOCK_ONFAULT) !== 0 ? VM_LOCKONFAULT : 0);
  const error = applyVmaLockFlags(k, mm, from, bytes, lock, cpu);
  if (error !== 0) return error;
  return bytes === 0 ? 0 : yield* populateLocked(k, tid, mm, from, from + bytes);
}

/** Faults locked pages in; what cannot be accessed is -ENOMEM: `__mm_populate()` with `__mlock_posix_error_return()`. */
function* populateLocked(k: Kernel, tid: number, mm: number, start: number, end: number): KernelThread<number> {
  for (const { start: each } of [...vmasIn(mmAt(k.view, mm), start, end)]) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, Math.max(each, start))] as VmaView;
    if ((vma.flags & (VM_IO | VM_PFNMAP)) !== 0 || (vma.flags & VM_LOCKONFAULT) !== 0) continue;
    const to = Math.min(vma.end, end);
    const error = yield* populateVmaPageRange(k, tid, mm, vma.flags, Math.max(vma.start, start), to);
    if (error !== 0) return -ENOMEM;
  }
  return 0;
}

/** munlock(2). */
export function doMunlock(k: Kernel, tid: number, start: number, length: number): number {
  const from = pageDown(start);
  const { mm, cpu } = currentTask(k, tid);
  return applyVmaLockFlags(k, mm, from, pageAlignWrapped(length + (start - from)), 0, cpu);
}

/** `apply_vma_lock_flags()`: a hole stops it with -ENOMEM; what came before stays changed. */
function applyVmaLockFlags(k: Kernel, mm: number, start: number, bytes: number, lock: number, cpu: number): number {
  const end = start + bytes;
  if (end >= 2 ** 64) return -EINVAL;
  if (end === start) return 0;
  const first = mmAt(k.view, mm).vmas[findVmaIndex(mmAt(k.view, mm), start)];
  if (first === undefined || first.start > start) return -ENOMEM;
  let next = start;
  for (const { start: each } of [...vmasIn(mmAt(k.view, mm), start, end)]) {
    const from = Math.max(each, start);
    if (from !== next) return -ENOMEM;
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, from)] as VmaView;
    const to = Math.min(vma.end, end);
    const error = mlockFixup(k, mm, vma, from, to, lock, cpu);
    if (error !== 0) return error;
    next = to;
  }
  return next < end ? -ENOMEM : 0;
}

/** `mlock_fixup()`: special mappings are never locked. */
function mlockFixup(k: Kernel, mm: number, vma: VmaView, from: number, to: number, lock: number, cpu: number): number {
  const wanted = (vma.flags & ~LOCK_MASK) | lock;
  if (wanted === vma.flags || (vma.flags & VM_SPECIAL) !== 0) return 0;
  return modifyVmas(k, mm, from, to, (each) => {
    const { start, flags } = each;
    const change = (lock !== 0 ? 1 : 0) - ((flags & VM_LOCKED) !== 0 ? 1 : 0);
    const pages = vmaPages(each);
    k.emit({ type: 'VmaFlagsChanged', mm, start, flags: (flags & ~LOCK_MASK) | lock });
    if (change !== 0)
      k.emit({ type: 'VmAccounted', mm, total: 0, data: 0, stack: 0, exec: 0, locked: change * pages, committed: 0 });
    if (change !== 0) mlockVmaPagesRange(k, mm, vmaLookup(mmAt(k.view, mm), start) as VmaView, cpu);
  });
}

/** mlockall(2), and munlockall(2) with `flags` 0 from doMunlockall(). */
export function* doMlockall(k: Kernel, tid: number, flags: number): KernelThread<number> {
  if (flags === 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0 || flags === MCL_ONFAULT) return -EINVAL;
  const { mm, cpu } = currentTask(k, tid);
  const limit = k.machine.memlockLimit;
  if ((flags & MCL_CURRENT) !== 0 && limit >= 0 && mmAt(k.view, mm).totalVm * PAGE_SIZE > limit) return -ENOMEM;
  const lock = VM_LOCKED | ((flags & MCL_ONFAULT) !== 0 ? VM_LOCKONFAULT : 0);
  setDefFlags(k, mm, (flags & MCL_FUTURE) !== 0 ? lock : 0);
  if ((flags & MCL_CURRENT) === 0) return 0;
  lockAll(k, mm, lock, cpu);
  if ((flags & MCL_ONFAULT) === 0) {
    const { vmas } = mmAt(k.view, mm);
    for (const { start, end } of vmas.map((vma) => ({ start: vma.start, end: vma.end })))
      yield* mmPopulate(k, tid, start, end);
  }
  return 0;
}

/** munlockall(2). */
export function doMunlockall(k: Kernel, tid: number): number {
  const { mm, cpu } = currentTask(k, tid);
  setDefFlags(k, mm, 0);
  lockAll(k, mm, 0, cpu);
  return 0;
}

function setDefFlags(k: Kernel, mm: number, lock: number): void {
  const { defFlags } = mmAt(k.view, mm);
  const wanted = (defFlags & ~LOCK_MASK) | lock;
  if (wanted !== defFlags) k.emit({ type: 'DefFlagsSet', mm, defFlags: wanted });
}

function lockAll(k: Kernel, mm: number, lock: number, cpu: number): void {
  for (const { start } of [...mmAt(k.view, mm).vmas]) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, start)] as VmaView;
    if (vma.start <= start) mlockFixup(k, mm, vma, Math.max(start, vma.start), vma.end, lock, cpu);
  }
}

const MS_ASYNC = 1;
const MS_INVALIDATE = 2;
const MS_SYNC = 4;

/** msync(2): writes back in Linux; here only what it returns. Locked pages cannot be invalidated. */
export function doMsync(k: Kernel, tid: number, start: number, length: number, flags: number): number {
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0 || !isPageAligned(start)) return -EINVAL;
  if ((flags & MS_ASYNC) !== 0 && (flags & MS_SYNC) !== 0) return -EINVAL;
  const end = start + pageAlignWrapped(length);
  if (end >= 2 ** 64) return -ENOMEM;
  let next = start;
  let hole = false;
  for (const vma of vmasIn(mmAt(k.view, currentTask(k, tid).mm), start, end)) {
    if (vma.start > next) {
      if (flags === MS_ASYNC) return -ENOMEM;
      hole = true;
    }
    if ((flags & MS_INVALIDATE) !== 0 && (vma.flags & VM_LOCKED) !== 0) return -EBUSY;
    if ((flags & MS_SYNC) !== 0 && vma.inode !== 0 && (vma.flags & VM_SHARED) !== 0) {
      const page = (addr: number): number => vma.pgoff + (addr - vma.start) / PAGE_SIZE;
      writeAndWait(k, vma.inode, page(Math.max(start, vma.start)), page(Math.min(end, vma.end)));
    }
    next = vma.end;
  }
  return hole || next < end ? -ENOMEM : 0;
}

/** mincore(2), as far as errors go. */
export function doMincore(k: Kernel, tid: number, start: number, length: number): number {
  if (!isPageAligned(start)) return -EINVAL;
  const end = start + pageAlign(length);
  return isCovered(k, tid, start, end) ? 0 : -ENOMEM;
}

/** Is every byte of [start, end) mapped? */
function isCovered(k: Kernel, tid: number, start: number, end: number): boolean {
  let next = start;
  for (const vma of vmasIn(mmAt(k.view, currentTask(k, tid).mm), start, end)) {
    if (vma.start > next) return false;
    next = vma.end;
  }
  return next >= end;
}
