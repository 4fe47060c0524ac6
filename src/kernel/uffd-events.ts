// Events of userfaultfd: fs/userfaultfd.c. Whoever forks, moves, discards or unmaps what a monitor watches sleeps until the monitor has read of it;
// until it runs again nobody fills.
import type { UffdView } from '../../reducers/uffd-state.js';
import { mmAt } from '../../reducers/state.js';
import type { VmaView } from '../../reducers/state.js';
import { UFFD_EVENT } from '../../reducers/uffd-state.js';
import { VM_UFFD } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel, KernelThread } from './kernel.js';
import { UFFD_FEATURE_EVENT_REMOVE, UFFD_FEATURE_EVENT_UNMAP, hasFeature, uffdAt } from './userfault.js';

/** UFFD_EVENT_*. */
export const UFFD_EVENT_FORK = 0x13;
export const UFFD_EVENT_REMAP = 0x14;
export const UFFD_EVENT_REMOVE = 0x15;
export const UFFD_EVENT_UNMAP = 0x16;

/** What a monitor is told: three numbers (events/userfaultfd.ts). */
export interface UffdEvent {
  readonly event: number;
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

/** `mmap_changing` of context `uffd` goes up: task `tid` changes what it watches. */
export const raiseChanging = (k: Kernel, uffd: number, tid: number): void =>
  k.emit({ type: 'UffdMmapChanging', uffd, tid, count: 1 });

/** And down. */
export const endChanging = (k: Kernel, uffd: number, tid: number): void =>
  k.emit({ type: 'UffdMmapChanging', uffd, tid, count: -1 });

/** May nobody fill now? */
export const isChanging = (k: Kernel, { id }: UffdView): boolean => uffdAt(k, id).changing.length > 0;

/** The event that task `tid` waits with; null for none. */
export function queuedEvent({ events }: UffdView, tid: number): UffdEvent | null {
  for (let at = 0; at < events.length; at += UFFD_EVENT)
    if (events[at] === tid) {
      const [event = 0, from = 0, to = 0, length = 0] = events.slice(at + 1, at + UFFD_EVENT);
      return { event, from, to, length };
    }
  return null;
}

/**
 * `userfaultfd_event_wait_completion()`: task `tid`, which raised `mmap_changing`, waits until somebody has read of `event`, or nobody can any more.
 * mmap_lock is not held.
 */
export function* eventWaitCompletion(k: Kernel, tid: number, uffd: number, event: UffdEvent): KernelThread {
  k.emit({ type: 'UffdEventQueued', uffd, tid, ...event });
  if (uffdAt(k, uffd).released === 0) yield { op: 'wait', tid };
  withdrawEvent(k, uffdAt(k, uffd), tid);
  endChanging(k, uffd, tid);
}

/** An event that nobody read of goes with whoever waited. A child's context that no monitor took is none. */
export function withdrawEvent(k: Kernel, context: UffdView, tid: number): void {
  const left = queuedEvent(context, tid);
  if (left === null) return;
  k.emit({ type: 'UffdEventRemoved', uffd: context.id, tid, read: 0 });
  if (left.event === UFFD_EVENT_FORK) releaseNewContext(k, uffdAt(k, left.from));
}

/**
 * `userfaultfd_release_new()`: nobody watches the child. Its VMAs stay apart, and what was write-protected keeps the bit, which nothing asks for any
 * more.
 */
export function releaseNewContext(k: Kernel, { id, mm }: UffdView): void {
  k.emit({ type: 'UffdReleased', uffd: id });
  if (!k.view.mms[mm]) return;
  for (const { start, flags, uffd } of [...mmAt(k.view, mm).vmas])
    if (uffd === id) k.emit({ type: 'UffdVmaSet', mm, start, uffd: 0, flags: flags & ~VM_UFFD });
}

/**
 * Task `tid`, which changes what monitors watch, is killed: its events go with it. A child that it was about to have is none.
 * @returns the child's number and address space, which are to be taken down; null for none.
 * @throws NotModelledError where what it was about to do is done all the same, in an address space that others have as well.
 */
export function abandonEvents(k: Kernel, tid: number): { readonly tgid: number; readonly mm: number } | null {
  let child: { readonly tgid: number; readonly mm: number } | null = null;
  for (const context of k.view.uffds) {
    if (context === null || !context.changing.includes(tid)) continue;
    const event = queuedEvent(context, tid);
    if (event?.event === UFFD_EVENT_FORK) child = { tgid: event.to, mm: uffdAt(k, event.from).mm };
    if (event?.event === UFFD_EVENT_REMOVE) throw new NotModelledError('killing who waits to discard memory');
    withdrawEvent(k, context, tid);
    for (let n = context.changing.filter((each) => each === tid).length; n > 0; n--) endChanging(k, context.id, tid);
  }
  // Of its contexts those were not queued yet that nobody has a descriptor of.
  for (const context of k.view.uffds)
    if (child !== null && context?.mm === child.mm && context.inode === 0 && context.released === 0)
      releaseNewContext(k, context);
  return child;
}

/** `userfaultfd_remove()` of [start, end) of `vma`: before it goes. True if mmap_lock was not dropped: everything is as it was. */
export function* userfaultfdRemove(
  k: Kernel,
  tid: number,
  { uffd }: VmaView,
  start: number,
  end: number,
): KernelThread<boolean> {
  if (uffd === undefined || !hasFeature(uffdAt(k, uffd), UFFD_FEATURE_EVENT_REMOVE)) return true;
  raiseChanging(k, uffd, tid);
  yield* eventWaitCompletion(k, tid, uffd, { event: UFFD_EVENT_REMOVE, from: start, to: end, length: 0 });
  return false;
}

/** What is to be told of ranges that a call unmaps, once the locks are dropped: `LIST_HEAD(uf)`. */
export interface UnmapNotices {
  readonly tid: number;
  readonly ranges: { readonly uffd: number; readonly start: number; readonly end: number }[];
}

/** None yet, of a call by task `tid`. */
export const unmapNotices = (tid: number): UnmapNotices => ({ tid, ranges: [] });

/** `userfaultfd_unmap_prep()` of one VMA of [start, end): once for each context, whatever it has there. */
export function userfaultfdUnmapPrep(
  k: Kernel,
  { uffd }: VmaView,
  start: number,
  end: number,
  { tid, ranges }: UnmapNotices,
): void {
  if (uffd === undefined || !hasFeature(uffdAt(k, uffd), UFFD_FEATURE_EVENT_UNMAP)) return;
  if (ranges.some((each) => each.uffd === uffd && each.start === start && each.end === end)) return;
  raiseChanging(k, uffd, tid);
  ranges.push({ uffd, start, end });
}

/** `userfaultfd_unmap_complete()`: each is waited for in turn. */
export function* userfaultfdUnmapComplete(k: Kernel, { tid, ranges }: UnmapNotices): KernelThread {
  for (const { uffd, start, end } of ranges)
    yield* eventWaitCompletion(k, tid, uffd, { event: UFFD_EVENT_UNMAP, from: start, to: end, length: 0 });
}
