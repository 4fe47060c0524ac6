// What a large folio counts as a whole when its pages are mapped and unmapped: the large half of mm/rmap.c and of include/linux/rmap.h.
//
// Two address spaces that map a folio are known by name, with how often they do; of further ones only the sum is known. That decides
// whether a write fault may keep a page: the folio must be mapped by one address space, and nobody else may hold it.
import { PTE_DIRTY, PTE_SOFT_DIRTY, PTE_WRITE, pteAt, pteFlags, ptePfn, tableEnd } from '../../reducers/pte.js';
import type { LargeFolio } from '../../reducers/state.js';
import {
  PG_ANON,
  PG_HUGETLB,
  PG_SWAPCACHE,
  folioHead,
  folioStart,
  mmAt,
  pageAt,
  pageMapcount,
} from '../../reducers/state.js';
import type { Kernel } from './kernel.js';
import { GUP_PIN_COUNTING_BIAS } from './kernel.js';

/** Mappings that came (or, below zero, went), by the first page of each large folio. */
export type Mappings = Map<number, number>;

/** Counts page `pfn` of a folio of `order` in `mappings`; nothing is made for pages of their own. */
export function countLarge(mappings: Mappings | null, pfn: number, order: number, n: number): Mappings | null {
  if (order === 0) return mappings;
  const counted = mappings ?? new Map<number, number>();
  const head = folioStart(pfn, order);
  counted.set(head, (counted.get(head) ?? 0) + n);
  return counted;
}

/** `folio_add_return_large_mapcount()`: `n` mappings more by address space `mm`. A fresh folio's go through here as well. */
function added(folio: LargeFolio, mm: number, n: number): void {
  const before = folio.largeMapcount;
  folio.largeMapcount += n;
  if (folio.mm0 === mm) folio.count0 += n;
  else if (folio.mm1 === mm) folio.count1 += n;
  else {
    if (folio.mm0 === 0) [folio.mm0, folio.count0] = [mm, n];
    else if (folio.mm1 === 0) [folio.mm1, folio.count1] = [mm, n];
    else return;
    if (before > 0) folio.mappedShared = 1;
  }
}

/** `folio_sub_return_large_mapcount()`: `n` mappings less. What an owner had before it got its slot is not counted there: it may come below zero. */
function removed(folio: LargeFolio, mm: number, n: number): void {
  folio.largeMapcount -= n;
  if (folio.mm0 === mm) {
    folio.count0 -= n;
    if (folio.count0 > 0) return;
    [folio.mm0, folio.count0] = [0, 0];
  } else if (folio.mm1 === mm) {
    folio.count1 -= n;
    if (folio.count1 > 0) return;
    [folio.mm1, folio.count1] = [0, 0];
  }
  const { largeMapcount, count0, count1 } = folio;
  if (count0 === largeMapcount || count1 === largeMapcount) folio.mappedShared = 0;
}

/**
 * `__folio_remove_rmap()`: some pages of the folio are mapped, others are not, and no huge entry maps it: it waits to be split
 * (`deferred_split_folio()`, which leaves folios in the swap cache to reclaim, and those of files to truncation).
 */
function partiallyMapped(k: Kernel, head: number, { order, entireMapcount, largeMapcount }: LargeFolio): boolean {
  if (entireMapcount > 0 || largeMapcount === 0) return false;
  const { flags } = pageAt(k.view, head);
  if ((flags & PG_SWAPCACHE) !== 0 || (flags & PG_ANON) === 0) return false;
  for (let i = 0; i < 2 ** order; i++) if (pageAt(k.view, head + i).mapcount === 0) return true;
  return false;
}

/**
 * Tells what the folios count that address space `mm` maps more or less often since the last event: [first page, mappings]*, in order. `onTheWay`: the
 * first page of one that was partially mapped in between, as its entries went one by one.
 */
export function folioMappingsChanged(
  k: Kernel,
  mm: number,
  changes: Iterable<readonly [number, number]>,
  onTheWay = -1,
): void {
  const after = new Map<number, LargeFolio>();
  const lost = new Set<number>();
  for (const [head, n] of changes) {
    let folio = after.get(head);
    if (folio === undefined) after.set(head, (folio = { ...(k.view.largeFolios[head] as LargeFolio) }));
    if (n > 0) added(folio, mm, n);
    else removed(folio, mm, -n);
    if (n < 0) lost.add(head);
    // Before 6.15 nobody knew the owners.
    if (!k.behaviours['large-folio-owner-slots'])
      Object.assign(folio, { mm0: 0, count0: 0, mm1: 0, count1: 0, mappedShared: 0 });
  }
  for (const head of lost) {
    const folio = after.get(head) as LargeFolio;
    if (head === onTheWay || partiallyMapped(k, head, folio)) folio.partiallyMapped = 1;
  }
  emitCounted(k, after);
}

function emitCounted(k: Kernel, folios: ReadonlyMap<number, LargeFolio>): void {
  const numbers: number[] = [];
  for (const [head, folio] of folios) {
    const { largeMapcount, mm0, count0, mm1, count1, mappedShared, partiallyMapped: queued, pincount } = folio;
    numbers.push(head, largeMapcount, mm0, count0, mm1, count1, mappedShared, queued, pincount);
  }
  k.emit({ type: 'LargeFoliosCounted', folios: numbers });
}

/** The folio that begins at `head` has another place on the queue of those to be split, see LargeFolio. */
export function setQueued(k: Kernel, head: number, queued: number): void {
  const folio = k.view.largeFolios[head] as LargeFolio;
  if (folio.partiallyMapped !== queued) emitCounted(k, new Map([[head, { ...folio, partiallyMapped: queued }]]));
}

/** `_pincount` of the folio that `pfn` belongs to, which has one: `n` FOLL_PINs more or less. */
export function pincountChanged(k: Kernel, pfn: number, n: number): void {
  const head = folioHead(k.view, pfn);
  const folio = { ...(k.view.largeFolios[head] as LargeFolio) };
  folio.pincount += n;
  emitCounted(k, new Map([[head, folio]]));
}

/** `_large_mapcount` of a page of the hugetlb pool, of which nobody counts owners: `n` mappings more or less. */
export function hugetlbMapcountChanged(k: Kernel, head: number, n: number): void {
  const folio = { ...(k.view.largeFolios[head] as LargeFolio) };
  folio.largeMapcount += n;
  emitCounted(k, new Map([[head, folio]]));
}

/** Are pages of the folio mapped by single entries only, more than one of them? Taking those away one by one, it is partially mapped on the way. */
export function mappedInParts(k: Kernel, head: number): boolean {
  const { order, entireMapcount } = k.view.largeFolios[head] as LargeFolio;
  if (entireMapcount > 0 || (pageAt(k.view, head).flags & PG_SWAPCACHE) !== 0) return false;
  let mapped = 0;
  for (let i = 0; i < 2 ** order && mapped < 2; i++) if (pageAt(k.view, head + i).mapcount > 0) mapped++;
  return mapped > 1;
}

/** `page_trans_huge_mapcount()` of the folio that `pfn` belongs to is 1: nobody maps any of its pages a second time. */
export function everyPageMappedOnce(k: Kernel, pfn: number): boolean {
  const head = folioHead(k.view, pfn);
  for (let i = 0; i < 2 ** pageAt(k.view, head).order; i++) if (pageMapcount(k.view, head + i) > 1) return false;
  return true;
}

/** `folio_has_pincount()`: pins are counted apart from other references, and each is one. */
export const hasPincount = (k: Kernel, pfn: number): boolean => pageAt(k.view, pfn).order > 0;

/** `folio_maybe_dma_pinned()` of the folio that `pfn` belongs to. */
export function maybePinned(k: Kernel, pfn: number): boolean {
  const { order, ref } = pageAt(k.view, pfn);
  if (order === 0) return ref >= GUP_PIN_COUNTING_BIAS;
  const head = folioHead(k.view, pfn);
  return (k.view.largeFolios[head]?.pincount ?? 0) > 0;
}

/** `folio_maybe_mapped_shared()`: may others than one address space map the folio? */
export function maybeMappedShared(k: Kernel, pfn: number): boolean {
  const { order, mapcount, flags } = pageAt(k.view, pfn);
  if (order === 0) return mapcount > 1;
  const folio = k.view.largeFolios[folioHead(k.view, pfn)] as LargeFolio;
  return folio.largeMapcount > 1 && (folio.mappedShared !== 0 || (flags & PG_HUGETLB) !== 0);
}

/**
 * `folio_pte_batch()`: how many entries from `vpn` on, before `last` and below one table, map one page of the large folio after the other;
 * whether they are dirty, soft-dirty or writable does not matter, but for the flags of `respected` (FPB_RESPECT_WRITE, FPB_RESPECT_SOFT_DIRTY).
 */
export function folioPteBatch(k: Kernel, mm: number, vpn: number, last: number, respected = 0): number {
  const space = mmAt(k.view, mm);
  const first = pteAt(space, vpn);
  const pfn = ptePfn(first);
  const ignored = (PTE_DIRTY | PTE_SOFT_DIRTY | PTE_WRITE) & ~respected;
  const kind = pteFlags(first) & ~ignored;
  const max = Math.min(last, tableEnd(vpn)) - vpn;
  const left = folioHead(k.view, pfn) + 2 ** pageAt(k.view, pfn).order - pfn;
  let n = 1;
  for (; n < Math.min(max, left); n++) {
    const entry = pteAt(space, vpn + n);
    if (ptePfn(entry) !== pfn + n || (pteFlags(entry) & ~ignored) !== kind) break;
  }
  return n;
}
