// Pages of locked mappings: mm/mlock.c, and where mm/rmap.c and folio_add_lru_vma() call it. A page is flagged at once; whether it is
// counted, and unflagged, is settled when the CPU's mlock batch is drained (swap.ts).
import { forEachPte, ptePfn, ptePresent, pteSpecial } from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { MlockKind, PG_MLOCKED, cpuAt, mmAt } from '../../../reducers/state.js';
import { VM_LOCKED, VM_SPECIAL } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { appendRun } from '../page-alloc.js';
import { PAGEVEC_SIZE, drainMlock, lruAddDrainCpu, lruBatchAdded } from '../swap.js';

/** Does a VMA with `flags` keep its pages from reclaim? Then a new one does not go to the batch of new pages, but to that of mlock. */
export const locksPages = (flags: number): boolean => (flags & (VM_LOCKED | VM_SPECIAL)) === VM_LOCKED;

/** `folio_add_lru_vma()`: new page `pfn` was mapped, and put in `cpu`'s batch of new pages unless the VMA is `locked`. */
export function folioAddedLruVma(k: Kernel, locked: boolean, pfn: number, cpu: number): void {
  if (locked) enterBatch(k, cpu, MlockKind.mlockNew, [pfn]);
  else lruBatchAdded(k, cpu);
}

/** `mlock_vma_folio()`: `vma` now maps the pages of `pfns`, which were there before. */
export function mlockVmaPages(k: Kernel, vma: VmaView, pfns: readonly number[], cpu: number): void {
  if (locksPages(vma.flags)) enterBatch(k, cpu, MlockKind.mlock, pfns);
}

/** `munlock_vma_folio()`: a VMA with `flags` no longer maps the pages of `pfns`. */
export function munlockVmaPages(k: Kernel, flags: number, pfns: readonly number[], cpu: number): void {
  if ((flags & VM_LOCKED) !== 0) enterBatch(k, cpu, MlockKind.munlock, pfns);
}

/** `mlock_vma_pages_range()`: a VMA of address space `mm` became locked, or unlocked. */
export function mlockVmaPagesRange(k: Kernel, mm: number, vma: VmaView, cpu: number): void {
  const pfns: number[] = [];
  forEachPte(mmAt(k.view, mm), vma.start / PAGE_SIZE, vma.end / PAGE_SIZE, (_vpn, entry) => {
    if (ptePresent(entry) && !pteSpecial(entry)) pfns.push(ptePfn(entry));
  });
  const kind = locksPages(vma.flags) ? MlockKind.mlock : MlockKind.munlock;
  lruAddDrainCpu(k, cpu);
  enterBatch(k, cpu, kind, pfns);
  lruAddDrainCpu(k, cpu);
}

/** Puts pages in `cpu`'s mlock batch, which is drained whenever it is full. */
function enterBatch(k: Kernel, cpu: number, kind: number, pfns: readonly number[]): void {
  for (let next = 0; next < pfns.length;) {
    const runs: number[] = [];
    const end = Math.min(pfns.length, next + PAGEVEC_SIZE - cpuAt(k.view, cpu).mlock.length / 2);
    while (next < end) appendRun(runs, pfns[next++] as number);
    k.emit({ type: 'MlockBatched', cpu, kind, runs, set: kind === MlockKind.munlock ? 0 : PG_MLOCKED, ref: 1 });
    if (cpuAt(k.view, cpu).mlock.length >= 2 * PAGEVEC_SIZE) drainMlock(k, cpu);
  }
}
