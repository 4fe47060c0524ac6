// LRU batches: mm/swap.c and the batch of mm/mlock.c. A new page waits in its CPU's batch, with a reference, until the batch is full or
// drained; so do pages that are to be locked or unlocked.
import {
  MLOCK_COUNT_SHIFT,
  MlockKind,
  PG_LRU,
  PG_MLOCKED,
  PG_UNEVICTABLE,
  cpuAt,
  pageAt,
} from '../../reducers/state.js';
import type { Kernel } from './kernel.js';
import { appendRun } from './page-alloc.js';

/** `PAGEVEC_SIZE`: pages in one batch. */
export const PAGEVEC_SIZE = 31;

/** `folio_add_lru()` has just put a page in `cpu`'s batch: a full one is moved to the LRU. */
export function lruBatchAdded(k: Kernel, cpu: number): void {
  if (cpuAt(k.view, cpu).lruAdd.length >= PAGEVEC_SIZE) drainLruAdd(k, cpu);
}

/** `folio_batch_move_lru(lru_add)`: the batch's pages go to the LRU, its references go. */
export function drainLruAdd(k: Kernel, cpu: number): void {
  const batch = cpuAt(k.view, cpu).lruAdd;
  if (batch.length === 0) return;
  const freed: number[] = [];
  const unevictable: number[] = [];
  for (const pfn of batch) {
    const { ref, flags } = pageAt(k.view, pfn);
    if (ref === 1) appendRun(freed, pfn);
    else if ((flags & PG_MLOCKED) !== 0) appendRun(unevictable, pfn);
  }
  k.emit({ type: 'LruAddDrained', cpu, ref: -1, freed });
  if (unevictable.length > 0) k.emit({ type: 'FoliosUnevictable', runs: unevictable });
}

/** `lru_lazyfree()` over the batch: pages lose swapbacked. */
export function drainLruLazyfree(k: Kernel, cpu: number): void {
  const batch = cpuAt(k.view, cpu).lruLazyfree;
  if (batch.length === 0) return;
  const freed: number[] = [];
  for (const pfn of batch) if (pageAt(k.view, pfn).ref === 1) appendRun(freed, pfn);
  k.emit({ type: 'LruLazyfreeDrained', cpu, ref: -1, freed });
}

/** `mlock_folio_batch()`: what was asked for is done page by page, in order; the batch's references go. */
export function drainMlock(k: Kernel, cpu: number): void {
  const { mlock: batch } = cpuAt(k.view, cpu);
  if (batch.length === 0) return;
  const after = new Map<number, number>();
  const places = new Map<number, number>();
  for (let i = 0; i < batch.length; i += 2) {
    const pfn = batch[i] as number;
    const flags = after.get(pfn) ?? pageAt(k.view, pfn).flags;
    after.set(pfn, STEPS[batch[i + 1] as number]!(flags));
    places.set(pfn, (places.get(pfn) ?? 0) + 1);
  }
  const pages: number[] = [];
  const freed: number[] = [];
  for (const [pfn, flags] of after) {
    const page = pageAt(k.view, pfn);
    if (page.ref === places.get(pfn)) appendRun(freed, pfn);
    else if (page.flags !== flags) pages.push(pfn, flags);
  }
  k.emit({ type: 'MlockBatchDrained', cpu, ref: -1, pages, freed });
}

const COUNTED_ONCE = 1 << MLOCK_COUNT_SHIFT;
const evictable = (flags: number): number => flags & (COUNTED_ONCE - 1) & ~PG_UNEVICTABLE;

/** What becomes of a page's flags and count, by MlockKind: `__munlock_folio()`, `__mlock_folio()`, `__mlock_new_folio()`. */
const STEPS: Readonly<Record<number, (flags: number) => number>> = {
  [MlockKind.munlock](flags) {
    const counted = (flags & PG_LRU) !== 0 && (flags & PG_UNEVICTABLE) !== 0;
    if (counted && flags >>> MLOCK_COUNT_SHIFT > 1) return flags - COUNTED_ONCE;
    // Not on the LRU, or not counted there: it is taken for the last.
    return counted ? evictable(flags & ~PG_MLOCKED) : flags & ~PG_MLOCKED;
  },
  [MlockKind.mlock](flags) {
    if ((flags & PG_LRU) === 0) return flags;
    // Unlocked again in the meantime, and left so: the mapping that locks it has lost it.
    if ((flags & PG_MLOCKED) === 0) return evictable(flags);
    return (flags | PG_UNEVICTABLE) + COUNTED_ONCE;
  },
  [MlockKind.mlockNew]: (flags) =>
    (flags & PG_MLOCKED) === 0 ? flags | PG_LRU : (flags | PG_LRU | PG_UNEVICTABLE) + COUNTED_ONCE,
};

/** `lru_add_drain_cpu()` and `mlock_drain_local()`: all of `lru_add_drain()` on `cpu`. */
export function lruAddDrainCpu(k: Kernel, cpu: number): void {
  drainLruAdd(k, cpu);
  drainLruLazyfree(k, cpu);
  drainMlock(k, cpu);
}

/**
 * `lru_add_drain()` on the kernel's way, where pages wait to be locked or unlocked. Where none do nothing happens: when the other batches
 * are emptied is told by recordings.
 */
export function lruAddDrainIfMlock(k: Kernel, cpu: number): void {
  if (cpuAt(k.view, cpu).mlock.length > 0) lruAddDrainCpu(k, cpu);
}

/** `lru_add_drain_all()`. */
export function lruAddDrainAll(k: Kernel): void {
  for (let cpu = 0; cpu < k.view.cpus.length; cpu++) lruAddDrainCpu(k, cpu);
}
