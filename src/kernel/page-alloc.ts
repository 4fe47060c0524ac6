// Page frames: mm/page_alloc.c and the reference half of mm/swap.c.
import type { KernelView } from '../../reducers/state.js';
import { nextFreePfn, pageAt } from '../../reducers/state.js';
import type { Kernel } from './kernel.js';

/** `folio_alloc()`, order 0: takes the next free frame, with one reference. */
export function allocPage(k: Kernel): number {
  const pfn = nextFreePfn(k.view);
  k.emit({ type: 'FolioAllocated', pfn });
  return pfn;
}

/** The next `count` frames the allocator would give, in order. */
export function nextFreePfns(view: KernelView, count: number): number[] {
  const pfns: number[] = [];
  let free = view.freeHead;
  while (pfns.length < count && free >= 0) {
    pfns.push(free);
    free = pageAt(view, free).index;
  }
  for (let pfn = view.maxPfn; pfns.length < count; pfn++) pfns.push(pfn);
  return pfns;
}

/** `folio_put()`: drops one reference, and the frame with the last one. */
export function putPage(k: Kernel, pfn: number): void {
  const freed = pageAt(k.view, pfn).ref === 1 ? 1 : 0;
  k.emit({ type: 'FolioReleased', pfn, ref: -1, freed });
}

/** Appends `pfn` to runs of [pfn, n]. */
export function appendRun(runs: number[], pfn: number): void {
  const last = runs.length - 2;
  if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === pfn)
    runs[last + 1] = (runs[last + 1] as number) + 1;
  else runs.push(pfn, 1);
}
