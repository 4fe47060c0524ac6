// The swap area and the swap cache: mm/swapfile.c, mm/swap_state.c. One area, pages of anonymous memory only; shared memory is not swapped.
//
// A slot is in use as long as an entry leads to it or the swap cache holds a page for it. Reads and writes are done at once: no page is
// ever seen under writeback. Nothing is read ahead (vm.page-cluster 0).
import type { PageView, SwapSlotView } from '../../reducers/state.js';
import { FREE_SLOT, PG_SWAPCACHE, pageAt } from '../../reducers/state.js';
import type { Kernel } from './kernel.js';
import { allocPage } from './page-alloc.js';
import { lruBatchAdded } from './swap.js';

/** Slot `slot`, which is in use. */
export const slotAt = (k: Kernel, slot: number): SwapSlotView => k.view.swap[slot] as SwapSlotView;

export const inSwapCache = (page: PageView): boolean => (page.flags & PG_SWAPCACHE) !== 0;

/** The slot of page `pfn`, which is in the swap cache: `folio->swap`. */
export const slotOf = (k: Kernel, pfn: number): number => k.view.swapCache[pfn] as number;

/** `folio_swapped()`: entries lead to the slot of page `pfn`. */
const folioSwapped = (k: Kernel, pfn: number): boolean => slotAt(k, slotOf(k, pfn)).count > 0;

/** Slots in use. */
function slotsInUse(k: Kernel): number {
  return k.view.swap.reduce((sum, { count }) => (count === FREE_SLOT ? sum : sum + 1), 0);
}

/** `vm_swap_full()`: half of the area is in use; pages that were read then give their slot back. */
export function vmSwapFull(k: Kernel): boolean {
  const total = k.machine.swapPages;
  if (k.view.swap.length * 2 <= total) return false;
  return (total - slotsInUse(k)) * 2 < total;
}

/** `folio_alloc_swap()`: a slot for page `pfn`, which enters the swap cache. False if there is none. */
export function folioAllocSwap(k: Kernel, pfn: number): boolean {
  const slot = k.view.swapFree >= 0 ? k.view.swapFree : k.view.swap.length;
  if (slot >= k.machine.swapPages) return false;
  k.emit({ type: 'FolioSwapAllocated', slot, pfn, ref: 1 });
  return true;
}

/** `folio_free_swap()`: takes page `pfn` out of the swap cache if no entry leads to its slot. False if it stays. */
export function folioFreeSwap(k: Kernel, pfn: number): boolean {
  const page = pageAt(k.view, pfn);
  if (!inSwapCache(page) || folioSwapped(k, pfn)) return false;
  const freed = page.ref === 1 ? 1 : 0;
  k.emit({ type: 'SwapCacheRemoved', slot: slotOf(k, pfn), pfn, ref: -1, dirty: 1, freed, slotFreed: 1 });
  return true;
}

/** `free_swap_cache()`: the same for a page that nothing maps any more; its user is about to drop it. */
export function freeSwapCache(k: Kernel, pfn: number): void {
  const page = pageAt(k.view, pfn);
  if (inSwapCache(page) && page.mapcount === 0) folioFreeSwap(k, pfn);
}

/** `free_swap_and_cache()` for the entry at `vpn` of `mm`: it is emptied; a page of the cache that nobody uses goes. */
export function freeSwapAndCache(k: Kernel, mm: number, vpn: number, slot: number): void {
  const { count, pfn } = slotAt(k, slot);
  const slotFreed = count === 1 && pfn < 0 ? 1 : 0;
  k.emit({ type: 'SwapEntryFreed', mm, vpn, slot, count: -1, rssSwap: -1, slotFreed });
  if (count === 1 && pfn >= 0 && (pageAt(k.view, pfn).mapcount === 0 || vmSwapFull(k))) folioFreeSwap(k, pfn);
}

/** `read_swap_cache_async()`: the page of `slot` in the swap cache, brought there if need be. Says whether it had to be read. */
export function readSwapCache(k: Kernel, slot: number, cpu: number): { readonly pfn: number; readonly read: boolean } {
  const cached = slotAt(k, slot).pfn;
  if (cached >= 0) return { pfn: cached, read: false };
  const pfn = allocPage(k);
  // The reference of the allocation stays with the cache; the batch has another.
  k.emit({ type: 'SwapRead', slot, pfn, ref: 1, lruCpu: cpu });
  lruBatchAdded(k, cpu);
  return { pfn, read: true };
}
