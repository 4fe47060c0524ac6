// Faults that wait for the monitor of a userfaultfd: handle_userfault() of fs/userfaultfd.c, and waking who waits. What contexts are and what
// they watch is in userfaultfd.ts.
//
// A fault that a context is to hear of puts its task to sleep (a `wait` of the driver) until somebody wakes it; then the fault begins anew.
import {
  PTE_UFFD_WP,
  isMigrationPte,
  isPteMarker,
  isSwapPte,
  pteAt,
  ptePresent,
  pteWrite,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import { mmAt } from '../../reducers/state.js';
import { UFFD_EVENT, UFFD_WAITER } from '../../reducers/uffd-state.js';
import { VM_UFFD_MINOR, VM_UFFD_WP, userfaultfdWp, vmaLookup } from '../../reducers/vma.js';
import type { Kernel, KernelThread } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';
import type { Fault, FaultResult } from './memory/fault.js';

/** Flag of userfaultfd(2): faults that the kernel takes are not to be heard of. */
export const UFFD_USER_MODE_ONLY = 1;

/** UFFD_FEATURE_*. */
export const UFFD_FEATURE_EVENT_FORK = 1 << 1;
export const UFFD_FEATURE_EVENT_REMAP = 1 << 2;
export const UFFD_FEATURE_EVENT_REMOVE = 1 << 3;
export const UFFD_FEATURE_EVENT_UNMAP = 1 << 6;
export const UFFD_FEATURE_SIGBUS = 1 << 7;
export const UFFD_FEATURE_THREAD_ID = 1 << 8;
export const UFFD_FEATURE_EXACT_ADDRESS = 1 << 11;
export const UFFD_FEATURE_WP_UNPOPULATED = 1 << 13;
export const UFFD_FEATURE_WP_ASYNC = 1 << 15;

/** Flags of messages. */
const UFFD_PAGEFAULT_FLAG_WRITE = 1;
const UFFD_PAGEFAULT_FLAG_WP = 2;
const UFFD_PAGEFAULT_FLAG_MINOR = 4;

/** What messages call the reason of a fault; one that misses its page has no word. */
const REASON_FLAGS: ReadonlyMap<number, number> = new Map([
  [VM_UFFD_WP, UFFD_PAGEFAULT_FLAG_WP],
  [VM_UFFD_MINOR, UFFD_PAGEFAULT_FLAG_MINOR],
]);

/** Was the feature asked for in the handshake? */
export const hasFeature = ({ features }: UffdView, feature: number): boolean =>
  features >= 0 && (features & feature) !== 0;

/** Context `id`, which must exist. */
export const uffdAt = (k: Kernel, id: number): UffdView => k.view.uffds[id] as UffdView;

/** The context that watches `vma`; null for none. */
export const contextOf = (k: Kernel, { uffd }: VmaView): UffdView | null =>
  uffd === undefined ? null : uffdAt(k, uffd);

/** `userfaultfd_wp_async()`: write-protect faults in `vma` resolve themselves. */
export function userfaultfdWpAsync(k: Kernel, vma: VmaView): boolean {
  const context = contextOf(k, vma);
  return context !== null && hasFeature(context, UFFD_FEATURE_WP_ASYNC);
}

/** `userfaultfd_pte_wp()`: must a write through `entry` in `vma` be heard of? */
export const userfaultfdPteWp = (vma: VmaView, entry: number): boolean =>
  userfaultfdWp(vma) && (entry & PTE_UFFD_WP) !== 0;

/** Tasks and addresses of a queue, the last that came first: as the kernel goes through it to wake. */
function newestFirst(queue: readonly number[]): readonly (readonly [tid: number, addr: number])[] {
  const found: (readonly [number, number])[] = [];
  for (let at = queue.length - UFFD_WAITER; at >= 0; at -= UFFD_WAITER)
    found.push([queue[at] as number, queue[at + 1] as number]);
  return found;
}

/** `wake_userfault()`: who waits for an address in [start, start + length), anywhere with length 0, tries again. */
export function wakeUserfault(k: Kernel, { id, pending, read }: UffdView, start: number, length: number): void {
  const tids = [...newestFirst(pending), ...newestFirst(read)]
    .filter(([, addr]) => length === 0 || (addr >= start && addr < start + length))
    .map(([tid]) => tid);
  if (tids.length > 0) k.emit({ type: 'UffdFaultsWoken', uffd: id, tids });
}

/** Does task `tid` wait for a userfaultfd: for its fault to be seen to, for its event to be read of, or for something to read? */
export const waitsForUserfault = ({ view }: Kernel, tid: number): boolean =>
  view.uffds.some((each) => each !== null && waitsFor(each, tid));

function waitsFor({ pending, read, events, readers, released }: UffdView, tid: number): boolean {
  if (isIn(pending, tid) || isIn(read, tid)) return true;
  if (released === 0 && events.some((each, i) => i % UFFD_EVENT === 0 && each === tid)) return true;
  return readers.includes(tid) && pending.length === 0 && events.length === 0;
}

function isIn(queue: readonly number[], tid: number): boolean {
  for (let at = 0; at < queue.length; at += UFFD_WAITER) if (queue[at] === tid) return true;
  return false;
}

/** A task that waits is killed: its entry goes with its stack. */
export function abandonUserfault(k: Kernel, tid: number): void {
  for (const each of k.view.uffds) {
    if (each === null) continue;
    if (isIn(each.pending, tid) || isIn(each.read, tid))
      k.emit({ type: 'UffdFaultsWoken', uffd: each.id, tids: [tid] });
    if (each.readers.includes(tid)) k.emit({ type: 'UffdReaderWaits', uffd: each.id, tid, count: -1 });
  }
}

/**
 * `handle_userfault()`: the task waits until somebody has seen to its fault, which then begins anew (`retry`); `sigbus` where nobody is to hear of it.
 * Enter with the VMA lock or mmap_lock held for read, which is dropped before the wait; `reason` is one of VM_UFFD_*.
 */
export function* handleUserfault(k: Kernel, fault: Fault, reason: number): KernelThread<FaultResult> {
  const { tid, addr } = fault;
  const vma = vmaLookup(mmAt(k.view, fault.mm), addr);
  const context = vma === null ? null : contextOf(k, vma);
  if (context === null || hasFeature(context, UFFD_FEATURE_SIGBUS)) return 'sigbus';
  if (fault.user !== true && (context.flags & UFFD_USER_MODE_ONLY) !== 0) return 'sigbus';
  if (fault.mayRetry === false) return 'sigbus';
  if (context.released === 1) return 'retry';
  const exact = hasFeature(context, UFFD_FEATURE_EXACT_ADDRESS);
  const write = fault.access === 'write' ? UFFD_PAGEFAULT_FLAG_WRITE : 0;
  k.emit({
    type: 'UffdFaultQueued',
    uffd: context.id,
    tid,
    addr: exact ? addr : addr - (addr % PAGE_SIZE),
    flags: write | (REASON_FLAGS.get(reason) ?? 0),
    ptid: hasFeature(context, UFFD_FEATURE_THREAD_ID) ? tid : 0,
  });
  if (k.interleaved) yield { op: 'preempt', at: 'uffd:must-wait' };
  // Who resolved the fault before it was queued has woken nobody.
  if (mustWait(k, fault, reason)) yield { op: 'wait', tid };
  else abandonUserfault(k, tid);
  return 'retry';
}

/** `userfaultfd_must_wait()`: looked at without lock, is there anything to wait for still? */
function mustWait(k: Kernel, { mm, vpn }: Fault, reason: number): boolean {
  const entry = pteAt(mmAt(k.view, mm), vpn);
  if (entry === 0 || isPteMarker(entry)) return true;
  if (isSwapPte(entry) || isMigrationPte(entry)) return false;
  return ptePresent(entry) && reason === VM_UFFD_WP && !pteWrite(entry);
}
