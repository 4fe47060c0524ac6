// exit: kernel/exit.c, and the end of an address space: exit_mmap() of mm/mmap.c.
import { mmAt } from '../../reducers/state.js';
import { VM_ACCOUNT, VM_LOCKED, isHugetlb } from '../../reducers/vma.js';
import { exitFiles } from './fput.js';
import { hugetlbClose } from './hugetlb/file.js';
import type { Kernel } from './kernel.js';
import { currentTask } from './kernel.js';
import { ksmExit } from './ksm.js';
import { flushGather, freePgtables, updateHiwaterRss, zapPageRange } from './memory/zap.js';
import { unlinkAnonVmas } from './rmap.js';
import { shmemPut } from './shmem-truncate.js';
import { abandonUserfault } from './userfault.js';
import { abandonEvents } from './uffd-events.js';

/**
 * `do_exit()`: the task leaves its address space, which is taken down with its last user. With `deferFlush` the references of its pages
 * stay in the gather until finishExit(): a recording tells that moment apart.
 */
export function doExit(k: Kernel, tid: number, deferFlush = false): void {
  const { mm, cpu, tgid } = currentTask(k, tid);
  abandonUserfault(k, tid);
  const child = abandonEvents(k, tid);
  if (child !== null) {
    mmput(k, child.mm, cpu);
    exitFiles(k, child.tgid, cpu);
  }
  k.emit({ type: 'TaskExited', tid, mm });
  if (mm !== 0) mmput(k, mm, cpu, deferFlush);
  if (!Object.values(k.view.tasks).some((each) => each.tgid === tgid && each.exited === 0)) exitFiles(k, tgid, cpu);
}

/** `do_group_exit()`: every thread of the group goes, the caller first. */
export function doGroupExit(k: Kernel, tid: number): void {
  const { tgid } = currentTask(k, tid);
  const group = Object.values(k.view.tasks).filter((task) => task.tgid === tgid && task.exited === 0);
  const tids = group.map((task) => task.tid);
  for (const each of [tid, ...tids.filter((other) => other !== tid)]) doExit(k, each);
}

/** `mmput()` on `cpu`: one user less; the last one takes the address space along. */
export function mmput(k: Kernel, mm: number, cpu: number, deferFlush = false): void {
  k.emit({ type: 'MmUsersChanged', mm, users: -1 });
  if (mmAt(k.view, mm).users > 0) return;
  ksmExit(k, mm);
  const files = new Set(mmAt(k.view, mm).vmas.map(({ inode }) => inode));
  exitMmap(k, mm, cpu);
  if (!deferFlush) finishExit(k, mm);
  for (const inode of files) shmemPut(k, inode, cpu);
}

/** `exit_mmap()` up to the TLB flush: entries, tables and VMAs go; pages still wait for their references. */
function exitMmap(k: Kernel, mm: number, cpu: number): void {
  updateHiwaterRss(k, mm);
  const { vmas } = mmAt(k.view, mm);
  const gone = vmas.map((vma) => ({ ...vma }));
  for (const { start, end, flags } of gone) zapPageRange(k, mm, flags, start, end, cpu, 'drop');
  let committed = 0;
  let locked = 0;
  for (const { start, end, flags, anonVma, chain } of gone) {
    k.emit({ type: 'VmaRemoved', mm, start });
    if (anonVma !== 0) unlinkAnonVmas(k, anonVma, chain);
    const pages = (end - start) / 4096;
    if ((flags & VM_ACCOUNT) !== 0) committed += pages;
    if ((flags & VM_LOCKED) !== 0) locked += pages;
  }
  freePgtables(k, mm, 0);
  const { totalVm, dataVm, stackVm, execVm } = mmAt(k.view, mm);
  k.emit({
    type: 'VmAccounted',
    mm,
    total: -totalVm,
    data: -dataVm,
    stack: -stackVm,
    exec: -execVm,
    locked: -locked,
    committed: -committed,
  });
  const hugetlb = gone.filter(isHugetlb);
  if (hugetlb.length === 0) return;
  // Their pages come back before what they reserved.
  flushGather(k, mm);
  for (const vma of hugetlb) hugetlbClose(k, mm, vma);
}

/** `tlb_finish_mmu()` at the end of `exit_mmap()`, and `__mmdrop()`. */
export function finishExit(k: Kernel, mm: number): void {
  if (k.view.mms[mm] === null) return;
  flushGather(k, mm);
  k.emit({ type: 'MmFreed', mm });
}

/** `wait_task_zombie()`: the zombie is collected. */
export function reap(k: Kernel, tid: number): void {
  const task = k.view.tasks[tid];
  if (task === undefined || task.exited === 0) return;
  finishPending(k, task.exitMm);
  k.emit({ type: 'TaskReaped', tid });
}

/** A teardown whose flush is still due is finished: nothing can be collected before. */
function finishPending(k: Kernel, mm: number): void {
  const now = mm === 0 ? null : k.view.mms[mm];
  if (now && now.users === 0) finishExit(k, mm);
}
