// mremap(2): mm/mremap.c. mmap_lock held for write.
import { nextTable, pteTable, tableEnd, PTRS_PER_PTE, missingTableBytes } from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import {
  VM_ACCOUNT,
  VM_DONTEXPAND,
  VM_LOCKED,
  VM_MAYSHARE,
  VM_PFNMAP,
  VM_SHARED,
  vmaIsAnonymous,
  vmaLookup,
  vmasIn,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { mmPopulate } from './gup.js';
import type { Kernel, KernelThread } from './kernel.js';
import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOMEM,
  PAGE_SIZE,
  TASK_SIZE,
  currentTask,
  isPageAligned,
  pageAlign,
} from './kernel.js';
import { enoughMemory, getUnmappedArea, lockLimitError, spaceLimitError } from './mmap.js';
import { accountVma, anonPgoff, doMunmap, insertVma, mergeVma } from './vma.js';

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

/** `do_mremap()`. Returns the new address or a negative errno. */
export function* doMremap(k: Kernel, tid: number, call: MremapCall): KernelThread<number> {
  const { addr, flags } = call;
  const oldLength = pageAlign(call.oldLength);
  const newLength = pageAlign(call.newLength);
  const fixed = (flags & MREMAP_FIXED) !== 0;
  const dontUnmap = (flags & MREMAP_DONTUNMAP) !== 0;
  const mayMove = (flags & MREMAP_MAYMOVE) !== 0;
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) return -EINVAL;
  if (!isPageAligned(addr) || newLength === 0) return -EINVAL;
  if (newLength > TASK_SIZE) return -EINVAL;
  if ((fixed || dontUnmap) && !mayMove) return -EINVAL;
  if (dontUnmap && oldLength !== newLength) return -EINVAL;
  if (fixed) {
    if (!isPageAligned(call.newAddr) || call.newAddr > TASK_SIZE - newLength) return -EINVAL;
    if (addr + oldLength > call.newAddr && call.newAddr + newLength > addr) return -EINVAL;
  }
  const mm = currentTask(k, tid).mm;
  const vma = vmaLookup(mmAt(k.view, mm), addr);
  if (vma === null) return -EFAULT;
  if (oldLength === 0 && (vma.flags & (VM_SHARED | VM_MAYSHARE)) === 0) return -EINVAL;
  if (dontUnmap && (vma.flags & (VM_DONTEXPAND | VM_PFNMAP)) !== 0) return -EINVAL;
  const crosses = oldLength > vma.end - addr;
  const moveOnly = (fixed || dontUnmap) && oldLength === newLength;
  if (crosses && moveOnly) throw new NotModelledError('mremap of several VMAs at once');

  if (!fixed && !dontUnmap && newLength < oldLength) {
    const error = doMunmap(k, mm, addr + newLength, addr + oldLength);
    return error < 0 ? error : addr;
  }
  if (!fixed && !dontUnmap && newLength === oldLength) return crosses ? -EFAULT : addr;
  let length = oldLength;
  if (fixed && newLength < oldLength) {
    const error = doMunmap(k, mm, addr + newLength, addr + oldLength);
    if (error < 0) return error;
    length = newLength;
  }
  const grown = newLength - length;
  if (crosses && grown >= 0 && length > vma.end - addr) return -EFAULT;
  if (grown > 0) {
    if ((vma.flags & (VM_DONTEXPAND | VM_PFNMAP)) !== 0) return -EFAULT;
    if (lockLimitError(k, mm, vma.flags, grown) !== 0) return -EAGAIN;
    if (spaceLimitError(k, mm, grown) !== 0) return -ENOMEM;
  }
  const locked = (vma.flags & VM_LOCKED) !== 0;
  if (!fixed && !dontUnmap && length === vma.end - addr && canExpand(k, mm, vma.end, grown)) {
    if ((vma.flags & VM_ACCOUNT) !== 0 && !enoughMemory(k, grown / PAGE_SIZE)) return -ENOMEM;
    const { start, end, pgoff, flags: vmFlags } = vma;
    k.emit({ type: 'VmaResized', mm, start, newStart: start, newEnd: end + grown, newPgoff: pgoff });
    accountVma(k, mm, vmFlags, grown / PAGE_SIZE, 1);
    mergeVma(k, mm, start);
    if (locked) yield* mmPopulate(k, tid, end, end + grown);
    return addr;
  }
  if (!mayMove) return -ENOMEM;
  let target = call.newAddr;
  if (fixed) {
    const error = doMunmap(k, mm, target, target + newLength);
    if (error < 0) return error;
  } else {
    target = yield* getUnmappedArea(k, mm, dontUnmap ? call.newAddr : 0, newLength, 'mremap');
    if (target < 0) return target;
  }
  const error = moveVma(k, mm, addr, length, target, newLength, dontUnmap);
  if (error < 0) return error;
  if (locked && grown > 0) yield* mmPopulate(k, tid, target + length, target + newLength);
  return target;
}

/** `vma_expandable()`: nothing behind the VMA for `grown` bytes. */
function canExpand(k: Kernel, mm: number, end: number, grown: number): boolean {
  return end + grown <= TASK_SIZE && vmasIn(mmAt(k.view, mm), end, end + grown).length === 0;
}

/**
 * `move_vma()`: a copy of the VMA at `target`, entries moved as they are, the old range unmapped (or left empty: DONTUNMAP).
 * The copy keeps its page offset, so that anonymous pages keep their index, unless nothing was ever faulted.
 */
function moveVma(
  k: Kernel,
  mm: number,
  addr: number,
  length: number,
  target: number,
  newLength: number,
  keep: boolean,
): number {
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  const { flags, inode, anonVma } = vma;
  const chain = [...vma.chain];
  const neverFaulted = vmaIsAnonymous(vma) && anonVma === 0;
  const pgoff = neverFaulted ? anonPgoff(target) : vma.pgoff + (addr - vma.start) / PAGE_SIZE;
  if (mmAt(k.view, mm).vmas.length >= k.machine.maxMapCount - 3) return -ENOMEM;
  if ((flags & VM_ACCOUNT) !== 0 && !enoughMemory(k, newLength / PAGE_SIZE)) return -ENOMEM;
  insertVma(k, mm, { start: target, end: target + newLength, flags, pgoff, inode, anonVma, chain });
  accountVma(k, mm, flags, newLength / PAGE_SIZE, 1);
  movePageTables(k, mm, addr, target, length);
  if (length === 0) return 0;
  if (!keep) return doMunmap(k, mm, addr, addr + length);
  // DONTUNMAP: the source stays mapped, empty, and no longer locked.
  return 0;
}

/** `move_page_tables()`: entries of [from, from + length) bytes go to `to`, one event for each source table. */
export function movePageTables(k: Kernel, mm: number, from: number, to: number, length: number): void {
  const last = (from + length) / PAGE_SIZE;
  const delta = (to - from) / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), from / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    const table = pteTable(mmAt(k.view, mm), vpn) as readonly number[];
    const runs: number[] = [];
    for (let at = vpn; at < stop; at++) {
      if (table[at % PTRS_PER_PTE] === 0) continue;
      const lastRun = runs.length - 2;
      const offset = at - vpn;
      if (lastRun >= 0 && (runs[lastRun] as number) + (runs[lastRun + 1] as number) === offset)
        runs[lastRun + 1] = (runs[lastRun + 1] as number) + 1;
      else runs.push(offset, 1);
    }
    if (runs.length > 0) {
      for (const end of [vpn, stop - 1]) {
        const bytes = missingTableBytes(mmAt(k.view, mm), end + delta);
        if (bytes > 0) k.emit({ type: 'PageTableAllocated', mm, vpn: end + delta, bytes });
      }
      k.emit({ type: 'PtesMoved', mm, vpn, newVpn: vpn + delta, runs });
    }
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
}
