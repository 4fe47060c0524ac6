// mremap(2): mm/mremap.c. mmap_lock held for write.
import type { VmaView } from '../../reducers/state.js';
import { InodeKind, mmAt } from '../../reducers/state.js';
import {
  VM_ACCOUNT,
  VM_DONTEXPAND,
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MERGEABLE,
  VM_MAYSHARE,
  VM_PFNMAP,
  VM_SHARED,
  VM_UFFD,
  findVmaIndex,
  isHugetlb,
  userfaultfdArmed,
  vmaIsAnonymous,
  vmaIsSealed,
  vmaLookup,
  vmasIn,
} from '../../reducers/vma.js';
import { mmPopulate } from './gup.js';
import { hugeAlign, isHugeAligned } from './hugetlb/pool.js';
import { moveHugetlb } from './hugetlb/move.js';
import type { Kernel, KernelThread } from './kernel.js';
import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOMEM,
  EPERM,
  PAGE_SIZE,
  TASK_SIZE,
  currentTask,
  isPageAligned,
  pageAlignWrapped,
} from './kernel.js';
import { unmergeKsmPages } from './ksm.js';
import { movePageTables } from './memory/move.js';
import { enoughMemory, getUnmappedArea, lockLimitError, spaceLimitError } from './mmap.js';
import { unlinkAnonVmas } from './rmap.js';
import type { UnmapNotices } from './uffd-events.js';
import {
  UFFD_EVENT_REMAP,
  endChanging,
  eventWaitCompletion,
  raiseChanging,
  unmapNotices,
  userfaultfdUnmapComplete,
} from './uffd-events.js';
import { UFFD_FEATURE_EVENT_REMAP, hasFeature, uffdAt } from './userfault.js';
import { accountVma, anonPgoff, doMunmap, insertVma, mergeWithFollowing, splitVma } from './vma.js';

const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const MREMAP_DONTUNMAP = 4;

/** Arguments of mremap(2). */
export interface MremapCall {
  readonly addr: number;
  readonly oldLength: number;
  readonly newLength: number;
  readonly flags: number;
  readonly newAddr: number;
}

/** A mremap under way: `struct vma_remap_struct`, aligned lengths. */
interface Remap {
  readonly addr: number;
  readonly oldLength: number;
  readonly newLength: number;
  readonly newAddr: number;
  readonly fixed: boolean;
  readonly dontUnmap: boolean;
  readonly mayMove: boolean;
  /** Who asks, and where it runs. */
  readonly tid: number;
  readonly cpu: number;
  readonly notices: Notices;
}

/** What monitors are told when mmap_lock is dropped: of what was at the new place, of the move, of what is left behind. */
interface Notices {
  readonly early: UnmapNotices;
  readonly late: UnmapNotices;
  /** Context that hears of the move, and what moved; null for none. */
  moved: { readonly uffd: number; readonly from: number; readonly length: number } | null;
}

/** The caller names the place: `vrm_implies_new_addr()`. */
const impliesNewAddr = (remap: Remap): boolean => remap.fixed || remap.dontUnmap;

/** `do_mremap()`. Returns the new address or a negative errno. Monitors hear of what was unmapped, whatever came of it: `notify_uffd()`. */
export function* doMremap(k: Kernel, tid: number, call: MremapCall): KernelThread<number> {
  const notices: Notices = { early: unmapNotices(tid), late: unmapNotices(tid), moved: null };
  const to = yield* remapLocked(k, tid, call, notices);
  yield* userfaultfdUnmapComplete(k, notices.early);
  const { moved } = notices;
  if (moved !== null && to < 0) endChanging(k, moved.uffd, tid);
  else if (moved !== null) yield* eventWaitCompletion(k, tid, moved.uffd, { event: UFFD_EVENT_REMAP, to, ...moved });
  yield* userfaultfdUnmapComplete(k, notices.late);
  return to;
}

function* remapLocked(k: Kernel, tid: number, call: MremapCall, notices: Notices): KernelThread<number> {
  const { flags } = call;
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) return -EINVAL;
  const { mm, cpu } = currentTask(k, tid);
  const remap: Remap = {
    addr: call.addr,
    oldLength: pageAlignWrapped(call.oldLength),
    newLength: pageAlignWrapped(call.newLength),
    newAddr: call.newAddr,
    fixed: (flags & MREMAP_FIXED) !== 0,
    dontUnmap: (flags & MREMAP_DONTUNMAP) !== 0,
    mayMove: (flags & MREMAP_MAYMOVE) !== 0,
    tid,
    cpu,
    notices,
  };
  const error = paramsError(k, mm, remap);
  if (error !== 0) return error;
  if (remap.fixed && remap.oldLength === remap.newLength) return yield* remapMove(k, mm, remap);
  const aligned = alignHugetlb(k, mm, remap);
  if (typeof aligned === 'number') return aligned;
  const invalid = prepError(k, mm, aligned);
  if (invalid !== 0) return invalid;
  const { flags: vmFlags } = vmaLookup(mmAt(k.view, mm), aligned.addr) as VmaView;
  const to = impliesNewAddr(aligned) ? yield* mremapTo(k, mm, aligned) : yield* mremapAt(k, mm, aligned);
  const grows = aligned.newLength > aligned.oldLength;
  if (to >= 0 && grows && (vmFlags & VM_LOCKED) !== 0)
    yield* mmPopulate(k, tid, to + aligned.oldLength, to + aligned.newLength);
  return to;
}

/** `check_mremap_params()`: what is wrong whatever is mapped. */
function paramsError(k: Kernel, mm: number, remap: Remap): number {
  const { addr, oldLength, newLength, newAddr } = remap;
  if (!isPageAligned(addr) || newLength === 0 || newLength > TASK_SIZE) return -EINVAL;
  if (!impliesNewAddr(remap)) return 0;
  if (!isPageAligned(newAddr) || newAddr > TASK_SIZE - newLength) return -EINVAL;
  if (!remap.mayMove || (remap.dontUnmap && oldLength !== newLength)) return -EINVAL;
  if (addr + oldLength > newAddr && newAddr + newLength > addr) return -EINVAL;
  return mmAt(k.view, mm).vmas.length + 2 >= k.machine.maxMapCount - 3 ? -ENOMEM : 0;
}

/**
 * `align_hugetlb()`: where huge pages of the pool are mapped at the address, lengths are rounded up to whole ones; -EINVAL for addresses within one, and for growing. Before 5.16 such
 * mappings do not move.
 */
function alignHugetlb(k: Kernel, mm: number, remap: Remap): Remap | number {
  const vma = vmaLookup(mmAt(k.view, mm), remap.addr);
  if (vma === null || !isHugetlb(vma)) return remap;
  if (vmaIsSealed(vma)) return -EPERM;
  const oldLength = hugeAlign(remap.oldLength);
  const newLength = hugeAlign(remap.newLength);
  if (!k.behaviours['hugetlb-mremap'] || !isHugeAligned(remap.addr) || !isHugeAligned(remap.newAddr)) return -EINVAL;
  return newLength > oldLength ? -EINVAL : { ...remap, oldLength, newLength };
}

/** `check_prep_vma()`: may what is mapped at `addr` be moved or grown? Only the start need be mapped where it merely shrinks. */
function prepError(k: Kernel, mm: number, remap: Remap): number {
  const { addr, oldLength, newLength } = remap;
  const vma = vmaLookup(mmAt(k.view, mm), addr);
  if (vma === null) return -EFAULT;
  if (vmaIsSealed(vma)) return -EPERM;
  if (!impliesNewAddr(remap) && newLength <= oldLength) return 0;
  const duplicates = oldLength === 0 && (vma.flags & (VM_SHARED | VM_MAYSHARE)) === 0;
  if (duplicates && k.behaviours['mremap-duplicates-shared-only']) return -EINVAL;
  const unmovable = (vma.flags & (VM_DONTEXPAND | VM_PFNMAP)) !== 0;
  if (remap.dontUnmap && unmovable) return -EINVAL;
  // What a shrinking move leaves behind may reach beyond the VMA.
  if (Math.min(oldLength, newLength) > vma.end - addr) return -EFAULT;
  if (newLength <= oldLength) return 0;
  if (unmovable) return -EFAULT;
  const delta = Math.abs(newLength - oldLength);
  if (lockLimitError(k, mm, vma.flags, delta) !== 0) return -EAGAIN;
  return spaceLimitError(k, mm, delta) !== 0 ? -ENOMEM : 0;
}

/**
 * `remap_move()`: a move to a given place without a change of size takes along every VMA of the range, and the gaps between them (6.17; before, more than
 * one was -EFAULT). It stops at the first that cannot move; those before it have moved.
 */
function* remapMove(k: Kernel, mm: number, remap: Remap): KernelThread<number> {
  const { addr: start, oldLength } = remap;
  const end = start + oldLength;
  let target = remap.newAddr;
  let lastEnd = -1;
  let result = -EFAULT;
  for (let at = start; ;) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, at)];
    if (vma === undefined || at >= end || vma.start >= end) return result;
    if (lastEnd < 0 && vma.start > start) return -EFAULT;
    if (lastEnd < 0 && vma.end < end && !k.behaviours['mremap-moves-several']) return -EFAULT;
    // A monitor is told of one move at a time, without the lock.
    if (userfaultfdArmed(vma) && (lastEnd >= 0 || vma.end < end)) return -EFAULT;
    const { end: vmaEnd } = vma;
    const addr = Math.max(vma.start, start);
    const length = Math.min(end, vmaEnd) - addr;
    const newAddr = target + (lastEnd < 0 ? 0 : vma.start - lastEnd);
    const part = alignHugetlb(k, mm, { ...remap, addr, newAddr, oldLength: length, newLength: length });
    if (typeof part === 'number') return part;
    const error = prepError(k, mm, part);
    if (error !== 0) return error;
    const moved = yield* mremapTo(k, mm, part);
    if (moved < 0) return moved;
    if (lastEnd < 0) result = moved;
    lastEnd = vmaEnd;
    target = moved + length;
    at = addr + length;
  }
}

/** `mremap_to()`: the target is unmapped first, then the source shrunk if it is to, then moved. */
function* mremapTo(k: Kernel, mm: number, remap: Remap): KernelThread<number> {
  const { addr, oldLength, newLength, newAddr } = remap;
  if (remap.fixed) {
    const error = doMunmap(k, mm, newAddr, newAddr + newLength, remap.cpu, { notices: remap.notices.early });
    if (error < 0) return error;
    if (vmaLookup(mmAt(k.view, mm), addr) === null) return -EFAULT;
  }
  let length = oldLength;
  if (newLength < oldLength) {
    const error = shrink(k, mm, remap);
    if (error < 0) return error;
    length = newLength;
  }
  if (remap.dontUnmap && spaceLimitError(k, mm, oldLength) !== 0) return -ENOMEM;
  let target = newAddr;
  if (!remap.fixed) {
    target = yield* getUnmappedArea(k, mm, newAddr, newLength, 'mremap');
    if (target < 0) return target;
  }
  // `io_uring_get_unmapped_area()` takes no address that a program names.
  const { inode } = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  if (remap.fixed && k.view.inodes[inode]?.kind === InodeKind.ring) return -EINVAL;
  return yield* moveVma(k, mm, { ...remap, oldLength: length, newAddr: target });
}

/** `mremap_at()`: the size changes in place if it can. */
function* mremapAt(k: Kernel, mm: number, remap: Remap): KernelThread<number> {
  const { addr, oldLength, newLength } = remap;
  if (newLength === oldLength) return addr;
  if (newLength < oldLength) {
    const error = shrink(k, mm, remap);
    return error < 0 ? error : addr;
  }
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  const grown = newLength - oldLength;
  if (oldLength === vma.end - addr && canExpand(k, mm, vma.end, grown)) {
    const { start, end, pgoff, flags } = vma;
    if ((flags & VM_ACCOUNT) !== 0 && !enoughMemory(k, grown / PAGE_SIZE)) return -ENOMEM;
    k.emit({ type: 'VmaResized', mm, start, newStart: start, newEnd: end + grown, newPgoff: pgoff });
    accountVma(k, mm, flags, grown / PAGE_SIZE, 1);
    mergeWithFollowing(k, mm, start);
    return addr;
  }
  if (!remap.mayMove) return -ENOMEM;
  const target = yield* getUnmappedArea(k, mm, 0, newLength, 'mremap');
  return target < 0 ? target : yield* moveVma(k, mm, { ...remap, newAddr: target });
}

/** `shrink_vma()`: what is beyond the new length goes, whatever is mapped there. */
function shrink(k: Kernel, mm: number, { addr, oldLength, newLength, cpu, notices }: Remap): number {
  const start = addr + newLength;
  if (oldLength - newLength > TASK_SIZE - start) return -EINVAL;
  return doMunmap(k, mm, start, addr + oldLength, cpu, { notices: notices.late });
}

/** `vma_expandable()`: nothing behind the VMA for `grown` bytes. */
function canExpand(k: Kernel, mm: number, end: number, grown: number): boolean {
  return end + grown <= TASK_SIZE && vmasIn(mmAt(k.view, mm), end, end + grown).length === 0;
}

/**
 * `move_vma()`: a copy of the VMA at the new address, entries moved as they are, the old range unmapped (or left empty: DONTUNMAP).
 * The copy keeps its page offset, so that anonymous pages keep their index, unless nothing was ever faulted.
 */
function* moveVma(k: Kernel, mm: number, remap: Remap): KernelThread<number> {
  const { addr, oldLength, newLength, newAddr, dontUnmap } = remap;
  if (k.behaviours['hugetlb-mremap-spares-rest'] && isHugetlb(vmaLookup(mmAt(k.view, mm), addr) as VmaView)) {
    splitVma(k, mm, addr);
    splitVma(k, mm, addr + oldLength);
  }
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  const { flags, inode, file, anonVma, uffd } = vma;
  const chain = [...vma.chain];
  const neverFaulted = vmaIsAnonymous(vma) && anonVma === 0;
  const pgoff = neverFaulted ? anonPgoff(newAddr) : vma.pgoff + (addr - vma.start) / PAGE_SIZE;
  if (mmAt(k.view, mm).vmas.length >= k.machine.maxMapCount - 3) return -ENOMEM;
  // Merged pages would turn up where they could be taken for others that were merged there.
  if ((flags & VM_MERGEABLE) !== 0) yield* unmergeKsmPages(k, remap.tid, mm, addr, addr + oldLength);
  const charged = dontUnmap ? newLength : newLength - oldLength;
  if ((flags & VM_ACCOUNT) !== 0 && !enoughMemory(k, charged / PAGE_SIZE)) return -ENOMEM;
  const end = newAddr + newLength;
  insertVma(k, mm, { start: newAddr, end, flags, pgoff, inode, file, anonVma, chain, ...(uffd && { uffd }) });
  accountVma(k, mm, flags, newLength / PAGE_SIZE, 1);
  const loses = uffd !== undefined && !hasFeature(uffdAt(k, uffd), UFFD_FEATURE_EVENT_REMAP);
  if ((flags & VM_HUGETLB) !== 0) moveHugetlb(k, mm, vma.start, addr, newAddr, oldLength);
  else movePageTables(k, mm, addr, newAddr, oldLength, true, loses);
  if (loses) mremapUserfaultfdPrep(k, mm, newAddr);
  else if (uffd !== undefined) {
    raiseChanging(k, uffd, remap.tid);
    remap.notices.moved = { uffd, from: addr, length: oldLength };
  }
  if (oldLength === 0) return newAddr;
  if (!dontUnmap) {
    const error = doMunmap(k, mm, addr, addr + oldLength, remap.cpu, { notices: remap.notices.late });
    return error < 0 ? error : newAddr;
  }
  completeDontUnmap(k, mm, addr, oldLength);
  return newAddr;
}

/** `mremap_userfaultfd_prep()` of a context that does not hear of moves: what the mapping became is watched no more, with all that it merged with. */
function mremapUserfaultfdPrep(k: Kernel, mm: number, addr: number): void {
  const { start, flags } = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  k.emit({ type: 'UffdVmaSet', mm, start, uffd: 0, flags: flags & ~VM_UFFD });
}

/**
 * `dontunmap_complete()`: the source stays mapped, empty. It is no longer locked, all of it, even if only a part has moved, and if it
 * has moved as a whole no page belongs to it any more, so it loses its anon_vma.
 */
function completeDontUnmap(k: Kernel, mm: number, addr: number, length: number): void {
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  const { start, end, flags, anonVma, chain } = vma;
  const locked = VM_LOCKED | VM_LOCKONFAULT;
  if ((flags & locked) !== 0) k.emit({ type: 'VmaFlagsChanged', mm, start, flags: flags & ~locked });
  if (start !== addr || end !== addr + length || anonVma === 0) return;
  k.emit({ type: 'VmaAnonVmaSet', mm, start, anonVma: 0, chain: [] });
  unlinkAnonVmas(k, anonVma, chain);
}
