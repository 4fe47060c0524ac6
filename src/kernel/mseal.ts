// mseal(2): mm/mseal.c. mmap_lock held for write. What a seal refuses is asked where it is refused, by `vmaIsSealed()` (vma.ts, mprotect.ts,
// mremap.ts, madvise.ts).
import type { VmaView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import {
  VM_SEALED,
  VM_SHARED,
  VM_WRITE,
  findVmaIndex,
  vmaIsAnonymous,
  vmaIsSealed,
  vmasIn,
} from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';
import { EINVAL, ENOMEM, ENOSYS, currentTask, isPageAligned, pageAlignWrapped } from './kernel.js';
import { modifyVmas } from './vma.js';

/** `do_mseal()`. All of the range must be mapped, or nothing is sealed. Returns 0 or a negative errno; -ENOSYS before 6.10. */
export function doMseal(k: Kernel, tid: number, start: number, length: number, flags: number): number {
  if (!k.behaviours.mseal) return -ENOSYS;
  if (flags !== 0 || !isPageAligned(start)) return -EINVAL;
  const bytes = pageAlignWrapped(length);
  const end = start + bytes;
  if (end >= 2 ** 64 || (bytes === 0 && length !== 0)) return -EINVAL;
  if (end === start) return 0;
  const { mm } = currentTask(k, tid);
  if (hasGap(mmAt(k.view, mm).vmas.slice(findVmaIndex(mmAt(k.view, mm), start)), start, end)) return -ENOMEM;
  for (const { start: each } of [...vmasIn(mmAt(k.view, mm), start, end)]) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, Math.max(each, start))] as VmaView;
    if (vmaIsSealed(vma)) continue;
    const error = modifyVmas(
      k,
      mm,
      Math.max(vma.start, start),
      Math.min(vma.end, end),
      ({ start: at, flags: old }) => k.emit({ type: 'VmaFlagsChanged', mm, start: at, flags: old | VM_SEALED }),
      false,
    );
    if (error !== 0) return error;
  }
  return 0;
}

/** `range_contains_unmapped()`. */
function hasGap(vmas: readonly VmaView[], start: number, end: number): boolean {
  let next = start;
  for (const vma of vmas) {
    if (vma.start > next || next >= end) break;
    next = vma.end;
  }
  return next < end;
}

/**
 * `can_madvise_modify()`: may advice that discards be given? Not on sealed anonymous memory that its owner cannot write to. Mappings of files may lose
 * their pages, private ones too, whatever was written to them.
 */
export function canMadviseModify(k: Kernel, vma: VmaView): boolean {
  if (!vmaIsSealed(vma) || (vma.flags & VM_WRITE) !== 0) return true;
  if (vmaIsAnonymous(vma)) return false;
  return (vma.flags & VM_SHARED) !== 0 || !k.behaviours['mseal-covers-private-file'];
}
