// Pages of locked mappings: PG_mlocked, as mm/mlock.c sets it and mm/rmap.c takes it back.
//
// Linux counts in a page of the unevictable list by how many locked VMAs it is mapped; here that is asked of the VMAs themselves when one
// of them lets go of it.
import { forEachPte, ptePfn, ptePresent, pteSpecial } from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { PG_MLOCKED, mmAt, pageAt } from '../../../reducers/state.js';
import { VM_LOCKED, VM_SPECIAL } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { appendRun } from '../page-alloc.js';
import { rmapWalk } from '../rmap.js';

/** Does a VMA with `flags` keep its pages from reclaim? */
const locks = (flags: number): boolean => (flags & (VM_LOCKED | VM_SPECIAL)) === VM_LOCKED;
const isMlocked = (k: Kernel, pfn: number): boolean => (pageAt(k.view, pfn).flags & PG_MLOCKED) !== 0;

/** `mlock_vma_folio()`, `mlock_new_folio()`: `vma` now maps the pages of `pfns`. */
export function mlockVmaPages(k: Kernel, vma: VmaView, pfns: Iterable<number>): void {
  if (!locks(vma.flags)) return;
  const runs: number[] = [];
  for (const pfn of pfns) if (!isMlocked(k, pfn)) appendRun(runs, pfn);
  if (runs.length > 0) k.emit({ type: 'FoliosMlocked', runs });
}

/** `munlock_vma_folio()`: a VMA with `flags` no longer maps the pages of `pfns`. */
export function munlockVmaPages(k: Kernel, flags: number, pfns: readonly number[]): void {
  if (pfns.length > 0 && locks(flags)) munlockPages(k, pfns);
}

/** `munlock_folio()`: those that no locked VMA maps any more are evictable again. */
function munlockPages(k: Kernel, pfns: Iterable<number>): void {
  const runs: number[] = [];
  for (const pfn of pfns)
    if (isMlocked(k, pfn) && !rmapWalk(k, pfn).some(({ vma }) => locks(vma.flags))) appendRun(runs, pfn);
  if (runs.length > 0) k.emit({ type: 'FoliosMunlocked', runs });
}

/** `mlock_vma_pages_range()`: a VMA of address space `mm` became locked, or unlocked. */
export function mlockVmaPagesRange(k: Kernel, mm: number, vma: VmaView): void {
  const pfns = new Set<number>();
  forEachPte(mmAt(k.view, mm), vma.start / PAGE_SIZE, vma.end / PAGE_SIZE, (_vpn, entry) => {
    if (ptePresent(entry) && !pteSpecial(entry)) pfns.add(ptePfn(entry));
  });
  if (locks(vma.flags)) mlockVmaPages(k, vma, pfns);
  else munlockPages(k, pfns);
}
