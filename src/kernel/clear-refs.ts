// write(2) to /proc/PID/clear_refs: clear_refs_write() of fs/proc/task_mmu.c. mmap_lock held for write.
import {
  PTE_SOFT_DIRTY,
  PTE_WRITE,
  isPteMarker,
  nextTable,
  pteAt,
  pteClearSoftDirty,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
  tableEnd,
  withFlags,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import { mmAt, pageAt } from '../../reducers/state.js';
import { VM_PFNMAP, VM_SOFTDIRTY, isCowMapping } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EINVAL, ENOENT, GUP_PIN_COUNTING_BIAS, PAGE_SIZE } from './kernel.js';
import { append4 } from './memory/zap.js';

const CLEAR_REFS_ALL = 1;
const CLEAR_REFS_SOFT_DIRTY = 4;
const CLEAR_REFS_MM_HIWATER_RSS = 5;

/**
 * Writes the number `type` to the file of task `pid`. With 4 all that its address space has counts as not written to from now on: VM_SOFTDIRTY goes,
 * and every entry loses its soft-dirty bit and the write bit. A kernel without the configuration takes 4 and does nothing.
 * @returns bytes written, which is 1, -EINVAL for other than 1 to 5, or -ENOENT where there is no such task.
 * @throws NotModelledError for 1, 2, 3 (accessed bits) and 5 (the high water mark).
 */
export function* doClearRefs(k: Kernel, pid: number, type: number): KernelThread<number> {
  const task = k.view.tasks[pid];
  if (task === undefined) return -ENOENT;
  if (type < CLEAR_REFS_ALL || type > CLEAR_REFS_MM_HIWATER_RSS) return -EINVAL;
  if (type !== CLEAR_REFS_SOFT_DIRTY) throw new NotModelledError(`clear_refs with ${type}`);
  const { mm } = task;
  if (mm === 0 || !k.behaviours['soft-dirty']) return 1;
  if (k.interleaved) yield { op: 'acquire', lock: `mmap_lock(${mm}):write` };
  for (const { start, flags } of [...mmAt(k.view, mm).vmas])
    if ((flags & VM_SOFTDIRTY) !== 0) k.emit({ type: 'VmaFlagsChanged', mm, start, flags: flags & ~VM_SOFTDIRTY });
  for (const vma of [...mmAt(k.view, mm).vmas]) clearVma(k, mm, vma);
  return 1;
}

/** `walk_page_range()` of one VMA; raw frames are left alone (`clear_refs_test_walk()`). */
function clearVma(k: Kernel, mm: number, { start, end, flags }: VmaView): void {
  if ((flags & VM_PFNMAP) !== 0) return;
  const last = end / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    for (let from = vpn; from < stop; from += k.batchMax)
      clearRange(k, mm, flags, from, Math.min(from + k.batchMax, stop));
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
}

/** `clear_refs_pte_range()`, `clear_soft_dirty()`: what is not present keeps its rights for when it comes back. */
function clearRange(k: Kernel, mm: number, vmFlags: number, from: number, to: number): void {
  const runs: number[] = [];
  for (let vpn = from; vpn < to; vpn++) {
    const old = pteAt(mmAt(k.view, mm), vpn);
    if (old === 0) continue;
    if (!ptePresent(old)) {
      const entry = isPteMarker(old) ? old : pteClearSoftDirty(old);
      if (entry !== old) k.emit({ type: 'PteFlagsSet', mm, vpn, entry });
    } else if (!pteIsPinned(k, mm, vmFlags, old)) {
      const entry = withFlags(old, 0, PTE_WRITE | PTE_SOFT_DIRTY);
      if (entry !== old) append4(runs, vpn, ptePfn(entry), pteFlags(entry), 1);
    }
  }
  if (runs.length > 0) k.emit({ type: 'SoftDirtyChanged', mm, runs });
}

/**
 * `pte_is_pinned()`: a page of one's own that may be pinned stays as it is: were it write-protected, kernels that count references would copy it at the
 * next write and leave the pin behind.
 */
function pteIsPinned(k: Kernel, mm: number, vmFlags: number, entry: number): boolean {
  if (!k.behaviours['clear-refs-skips-pinned'] || !pteWrite(entry) || !isCowMapping(vmFlags)) return false;
  if (!k.view.hasPinned.includes(mm) || pteSpecial(entry)) return false;
  return pageAt(k.view, ptePfn(entry)).ref >= GUP_PIN_COUNTING_BIAS;
}
