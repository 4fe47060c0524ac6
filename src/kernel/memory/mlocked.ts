// Pages of locked mappings: mm/mlock.c, and where mm/rmap.c and folio_add_lru_vma() call it. A page is flagged at once; whether it is
// counted, and unflagged, is settled when the CPU's mlock batch is drained (swap.ts).
import { forEachPte, pteAt, ptePfn, ptePresent, pteSpecial, tableEnd } from '../../../reducers/pte.js';
import type { MmView, VmaView } from '../../../reducers/state.js';
import { MlockKind, PG_MLOCKED, cpuAt, folioHead, mmAt, pageAt } from '../../../reducers/state.js';
import { VM_LOCKED, VM_SPECIAL } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { appendRun } from '../page-alloc.js';
import { PAGEVEC_SIZE, drainLruAdd, drainMlock, lruAddDrainCpu, lruBatchAdded } from '../swap.js';

/** Does a VMA with `flags` keep its pages from reclaim? Then a new one does not go to the batch of new pages, but to that of mlock. */
export const locksPages = (flags: number): boolean => (flags & (VM_LOCKED | VM_SPECIAL)) === VM_LOCKED;

/** `folio_add_lru_vma()`: new page `pfn` was mapped, and put in `cpu`'s batch of new pages unless the VMA is `locked`. */
export function folioAddedLruVma(k: Kernel, locked: boolean, pfn: number, cpu: number): void {
  if (locked) enterBatch(k, cpu, MlockKind.mlockNew, [pfn]);
  // A large folio goes to the LRU at once, and takes along those that wait.
  else if (pageAt(k.view, pfn).order !== 0) drainLruAdd(k, cpu);
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
  const kind = locksPages(vma.flags) ? MlockKind.mlock : MlockKind.munlock;
  const pfns: number[] = [];
  const last = vma.end / PAGE_SIZE;
  // Pages up to here were told with the first of their row.
  let told = 0;
  forEachPte(mmAt(k.view, mm), vma.start / PAGE_SIZE, last, (vpn, entry) => {
    if (vpn < told || !ptePresent(entry) || pteSpecial(entry)) return;
    const pfn = ptePfn(entry);
    const { order } = pageAt(k.view, pfn);
    if (order !== 0) {
      const row = rowOfFolio(mmAt(k.view, mm), vpn, Math.min(last, vpn + 2 ** order - (pfn % 2 ** order)), pfn);
      // A large folio is locked where all of it is mapped in a row; a mere part is left to reclaim.
      told = kind === MlockKind.mlock && row < 2 ** order ? vpn + 1 : vpn + row;
      if (kind === MlockKind.mlock && row < 2 ** order) return;
    }
    pfns.push(pfn);
  });
  lruAddDrainCpu(k, cpu);
  enterBatch(k, cpu, kind, pfns);
  lruAddDrainCpu(k, cpu);
}

/** `folio_mlock_step()`: how many entries from `vpn` on, below one table and before `last`, map one page of a large folio after the other; `last` is not behind the folio's own end. */
function rowOfFolio(mm: MmView, vpn: number, last: number, pfn: number): number {
  const end = Math.min(last, tableEnd(vpn));
  let next = vpn + 1;
  for (; next < end; next++) {
    const entry = pteAt(mm, next);
    if (!ptePresent(entry) || pteSpecial(entry) || ptePfn(entry) !== pfn + next - vpn) break;
  }
  return next - vpn;
}

/** Puts pages in `cpu`'s mlock batch, which is drained whenever it is full. */
function enterBatch(k: Kernel, cpu: number, kind: number, pfns: readonly number[]): void {
  for (let next = 0; next < pfns.length;) {
    const runs: number[] = [];
    const end = Math.min(pfns.length, next + PAGEVEC_SIZE - cpuAt(k.view, cpu).mlock.length / 2);
    let large = false;
    // A large folio has the batch drained at once.
    while (next < end && !large) {
      const pfn = pfns[next++] as number;
      large = pageAt(k.view, pfn).order !== 0;
      appendRun(runs, folioHead(k.view, pfn));
    }
    k.emit({ type: 'MlockBatched', cpu, kind, runs, set: kind === MlockKind.munlock ? 0 : PG_MLOCKED, ref: 1 });
    if (large || cpuAt(k.view, cpu).mlock.length >= 2 * PAGEVEC_SIZE) drainMlock(k, cpu);
  }
}
