// Page frames: mm/page_alloc.c and the reference half of mm/swap.c.
import type { KernelView } from '../../reducers/state.js';
import { folioHead, nextFreeLarge, nextFreePfn, pageAt } from '../../reducers/state.js';
import type { Kernel } from './kernel.js';

/** `folio_alloc()`, order 0: takes the next free frame, with one reference. */
export function allocPage(k: Kernel): number {
  const pfn = nextFreePfn(k.view);
  k.emit({ type: 'FolioAllocated', pfn });
  return pfn;
}

/** `folio_alloc()`, order 1 to 9: the first page of the next free block, with one reference. */
export function allocLargeFolio(k: Kernel, order: number): number {
  const pfn = nextFreeLarge(k.view, order);
  k.emit({ type: 'LargeFolioAllocated', pfn, order });
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

/** `folio_put()` of the folio that `page` belongs to: drops one reference, and the frames with the last one. */
export function putPage(k: Kernel, page: number): void {
  const pfn = folioHead(k.view, page);
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
