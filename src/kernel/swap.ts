// LRU batches: mm/swap.c. A new page waits in its CPU's batch, with a reference, until the batch is full or drained.
import { cpuAt, pageAt } from '../../reducers/state.js';
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
  k.emit({ type: 'LruAddDrained', cpu, ref: -1, freed: freedWithBatch(k, batch) });
}

/** `lru_lazyfree()` over the batch: pages lose swapbacked. */
export function drainLruLazyfree(k: Kernel, cpu: number): void {
  const batch = cpuAt(k.view, cpu).lruLazyfree;
  if (batch.length === 0) return;
  k.emit({ type: 'LruLazyfreeDrained', cpu, ref: -1, freed: freedWithBatch(k, batch) });
}

/** `lru_add_drain_cpu()`. */
export function lruAddDrainCpu(k: Kernel, cpu: number): void {
  drainLruAdd(k, cpu);
  drainLruLazyfree(k, cpu);
}

/** `lru_add_drain_all()`. */
export function lruAddDrainAll(k: Kernel): void {
  for (let cpu = 0; cpu < k.view.cpus.length; cpu++) lruAddDrainCpu(k, cpu);
}

function freedWithBatch(k: Kernel, batch: readonly number[]): number[] {
  const freed: number[] = [];
  for (const pfn of batch) if (pageAt(k.view, pfn).ref === 1) appendRun(freed, pfn);
  return freed;
}
