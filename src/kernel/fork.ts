// fork, vfork, clone, clone3: kernel/fork.c, with dup_mmap().
import { mmAt, rssPages } from '../../reducers/state.js';
import type { VmaView } from '../../reducers/state.js';
import {
  VM_ACCOUNT,
  VM_DONTCOPY,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_UFFD,
  VM_UFFD_WP,
  VM_WIPEONFORK,
  isHugetlb,
  vmaPages,
} from '../../reducers/vma.js';
import { exitFiles } from './fput.js';
import { mmput } from './exit.js';
import { copyHugetlbPageRange } from './hugetlb/copy.js';
import { hugetlbDupVmaPrivate } from './hugetlb/reservations.js';
import type { Kernel, KernelThread } from './kernel.js';
import { currentTask } from './kernel.js';
import { ksmFork } from './ksm.js';
import { copyPageRange, vmaNeedsCopy } from './memory/copy.js';
import { anonVmaFork } from './rmap.js';
import { UFFD_EVENT_FORK, endChanging, eventWaitCompletion, raiseChanging, releaseNewContext } from './uffd-events.js';
import { UFFD_FEATURE_EVENT_FORK, contextOf, hasFeature, uffdAt } from './userfault.js';
import { vmaSums } from './vma.js';

export const CLONE_VM = 0x100;
export const CLONE_FILES = 0x400;
export const CLONE_VFORK = 0x4000;
export const CLONE_THREAD = 0x10000;

/**
 * `copy_process()`: task `child` comes into being; it shares the address space with CLONE_VM and gets a copy otherwise. Returns 0, or -ENOMEM where that cannot
 * be made: then there is no task.
 */
export function* copyProcess(k: Kernel, tid: number, child: number, flags: number): KernelThread<number> {
  const parent = currentTask(k, tid);
  const { mm: parentMm, cpu, tgid } = parent;
  const thread = (flags & CLONE_THREAD) !== 0;
  // Descriptors come first: one that a monitor gets of the fork is not the child's.
  if (!thread) k.emit({ type: 'FdTableCopied', tgid: child, from: tgid });
  let mm = parentMm;
  if ((flags & CLONE_VM) !== 0) k.emit({ type: 'MmUsersChanged', mm, users: 1 });
  else mm = yield* dupMm(k, { tid, child, cpu }, parentMm);
  if (mm < 0) {
    if (!thread) exitFiles(k, child, cpu);
    return mm;
  }
  k.emit({ type: 'TaskCreated', tid: child, tgid: thread ? tgid : child, parent: tid, mm, cpu });
  return 0;
}

/** `dup_mm()`, `dup_mmap()`: takes both mmap_locks for write, the child's from birth. Returns the copy, or -ENOMEM; what there was of it then is gone. */
function* dupMm(
  k: Kernel,
  { tid, child: number, cpu }: { readonly tid: number; readonly child: number; readonly cpu: number },
  parent: number,
): KernelThread<number> {
  if (k.interleaved) yield { op: 'acquire', lock: `mmap_lock(${parent}):write` };
  const child = k.view.mms.length;
  const { mmapBase, startBrk, brk, foreignLayout } = mmAt(k.view, parent);
  k.emit({ type: 'MmCreated', mm: child, parent, mmapBase, startBrk, brk, defFlags: 0, foreignLayout });
  ksmFork(k, parent, child);
  const now = mmAt(k.view, parent);
  const sums = { total: now.totalVm, data: now.dataVm, stack: now.stackVm, exec: now.execVm, committed: 0 };
  // Contexts of the child by those of the parent: `struct userfaultfd_fork_ctx`.
  const contexts = new Map<number, number>();
  let error = 0;
  for (let i = 0; error === 0 && i < mmAt(k.view, parent).vmas.length; i++) {
    const vma = mmAt(k.view, parent).vmas[i] as VmaView;
    if ((vma.flags & VM_DONTCOPY) !== 0) {
      const { total, data, stack, exec } = vmaSums(vma.flags, vmaPages(vma));
      sums.total -= total;
      sums.data -= data;
      sums.stack -= stack;
      sums.exec -= exec;
      continue;
    }
    if ((vma.flags & VM_ACCOUNT) !== 0) sums.committed += vmaPages(vma);
    const uffd = dupUserfaultfd(k, tid, child, vma, contexts);
    error = yield* dupVma(k, parent, child, vma, cpu, uffd);
  }
  k.emit({ type: 'VmAccounted', mm: child, ...sums, locked: 0 });
  // Up to 6.11 monitors were told of a child all the same.
  if (error === 0 || !k.behaviours['uffd-no-event-on-fork-error'])
    for (const [uffd, from] of contexts)
      yield* eventWaitCompletion(k, tid, uffd, { event: UFFD_EVENT_FORK, from, to: number, length: 0 });
  else for (const [uffd, made] of contexts) dupUserfaultfdFail(k, tid, uffd, made);
  if (error !== 0) {
    mmput(k, child, cpu);
    return error;
  }
  k.emit({ type: 'HiwaterRssRaised', mm: child, pages: rssPages(mmAt(k.view, child)) });
  return child;
}

/** `dup_userfaultfd_fail()`: nobody hears of a child that will not be. */
function dupUserfaultfdFail(k: Kernel, tid: number, uffd: number, made: number): void {
  endChanging(k, uffd, tid);
  releaseNewContext(k, uffdAt(k, made));
}

/**
 * `dup_userfaultfd()`: the context that watches the child's copy of `vma`, made when the first VMA of the parent's is met. 0 where the parent's does not
 * hear of forks.
 */
function dupUserfaultfd(k: Kernel, tid: number, child: number, vma: VmaView, contexts: Map<number, number>): number {
  const context = contextOf(k, vma);
  if (context === null || !hasFeature(context, UFFD_FEATURE_EVENT_FORK)) return 0;
  const known = contexts.get(context.id);
  if (known !== undefined) return known;
  const made = k.view.uffds.length;
  const { id, flags, features } = context;
  k.emit({ type: 'UffdCreated', uffd: made, inode: 0, mm: child, flags, features });
  raiseChanging(k, id, tid);
  contexts.set(id, made);
  return made;
}

/** One VMA: locks are not inherited, MADV_WIPEONFORK memory starts empty, what faults cannot restore is copied. */
function* dupVma(
  k: Kernel,
  parent: number,
  child: number,
  vma: VmaView,
  cpu: number,
  uffd: number,
): KernelThread<number> {
  const { start, end, pgoff, inode, file } = vma;
  const wipe = (vma.flags & VM_WIPEONFORK) !== 0;
  const link = wipe ? { anonVma: 0, chain: [] } : anonVmaFork(k, vma);
  const unwatched = vma.flags & ~(VM_LOCKED | VM_LOCKONFAULT | VM_UFFD);
  const flags = uffd === 0 ? unwatched : unwatched | (vma.flags & VM_UFFD);
  k.emit({ type: 'VmaInserted', mm: child, start, end, flags, pgoff, inode, file, ...link });
  if (isHugetlb(vma)) hugetlbDupVmaPrivate(k, parent, child, vma);
  if (uffd !== 0) k.emit({ type: 'UffdVmaSet', mm: child, start, uffd, flags });
  // What is write-protected for a monitor of the child cannot be found again by a fault.
  if (wipe || !(vmaNeedsCopy(vma) || (flags & VM_UFFD_WP) !== 0)) return 0;
  if (isHugetlb(vma)) return copyHugetlbPageRange(k, parent, child, vma);
  yield* copyPageRange(k, { parent, child, cpu }, vma);
  return 0;
}
