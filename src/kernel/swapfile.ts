// The swap area and the swap cache: mm/swapfile.c, mm/swap_state.c. One area.
//
// A slot is in use as long as an entry leads to it or the swap cache holds a page for it. Reads and writes are done at once: no page is
// ever seen under writeback. Nothing is read ahead (vm.page-cluster 0). A large folio takes a row of slots, page after page, if the area
// is a block device; of a row it leaves the cache as a whole, or not at all.
import type { LargeFolioView, PageView, SwapSlotView } from '../../reducers/state.js';
import { FREE_SLOT, PG_SWAPCACHE, folioAt, folioHead, pageAt } from '../../reducers/state.js';
import type { Kernel } from './kernel.js';
import { allocPage, appendRun } from './page-alloc.js';
import { lruBatchAdded } from './swap.js';

/** Slot `slot`, which is in use. */
export const slotAt = (k: Kernel, slot: number): SwapSlotView => k.view.swap[slot] as SwapSlotView;

export const inSwapCache = (page: PageView): boolean => (page.flags & PG_SWAPCACHE) !== 0;

/** The slot of page `pfn`, which is in the swap cache: `folio->swap`, and of a large folio's others what follows. */
export const slotOf = (k: Kernel, pfn: number): number => k.view.swapCache[pfn] as number;

/** What the area is: a file, where pages go one by one, or a block device. */
export const SWAP_AREAS: readonly string[] = ['file', 'block'];
/** The setting that says it; that of the machine the model was measured on where no line of a workload did. */
export const SWAP_AREA = 'swapon';
export const isBlockDevice = (k: Kernel): boolean => k.view.settings[SWAP_AREA] === 'block';

/** References that the swap cache has to the folio at `pfn`: one for each page. */
export function cacheReferences(k: Kernel, pfn: number): number {
  const folio = folioAt(k.view, pfn);
  return inSwapCache(folio) ? 2 ** folio.order : 0;
}

/** `folio_mapped()`. */
function folioMapped(k: Kernel, pfn: number): boolean {
  const { order, mapcount } = pageAt(k.view, pfn);
  if (order === 0) return mapcount > 0;
  return (k.view.largeFolios[folioHead(k.view, pfn)] as LargeFolioView).largeMapcount > 0;
}

/** `folio_swapped()`: entries lead to a slot of the folio that begins at `pfn`. */
function folioSwapped(k: Kernel, pfn: number): boolean {
  const slot = slotOf(k, pfn);
  for (let i = 0; i < 2 ** pageAt(k.view, pfn).order; i++) if (slotAt(k, slot + i).count > 0) return true;
  return false;
}

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

/**
 * Where a row of `n` free slots begins, aligned to as many; -1 for none. What never was used comes first. The first page of the area is its
 * header, and has no slot. Linux keeps clusters of 512 slots for one order each, and may find none a little earlier.
 */
function freeRow(k: Kernel, n: number): number {
  const { swap } = k.view;
  const aligned = (slot: number): number => Math.ceil((slot + 1) / n) * n - 1;
  const fresh = aligned(swap.length);
  if (fresh + n <= k.machine.swapPages) return fresh;
  for (let slot = aligned(0); slot + n <= k.machine.swapPages; slot += n) {
    let free = 0;
    while (free < n && (swap[slot + free]?.count ?? FREE_SLOT) === FREE_SLOT) free++;
    if (free === n) return slot;
  }
  return -1;
}

/**
 * `folio_alloc_swap()`: a slot for page `pfn`, or for each page of the large folio that begins there, which enters the swap cache. False if
 * there is none, or no row of them.
 */
export function folioAllocSwap(k: Kernel, pfn: number): boolean {
  const { order } = pageAt(k.view, pfn);
  if (order !== 0) {
    const whole = k.behaviours['swap-out-large-folios'] || (k.view.largeFolios[pfn]?.entireMapcount ?? 0) > 0;
    const row = whole && isBlockDevice(k) ? freeRow(k, 2 ** order) : -1;
    if (row < 0) return false;
    k.emit({ type: 'LargeFolioSwapAllocated', slot: row, pfn, order, ref: 2 ** order });
    return true;
  }
  const slot = k.view.swapFree >= 0 ? k.view.swapFree : k.view.swap.length;
  if (slot >= k.machine.swapPages) return false;
  k.emit({ type: 'FolioSwapAllocated', slot, pfn, ref: 1 });
  return true;
}

/** `folio_free_swap()`: takes the folio of page `of` out of the swap cache if no entry leads to a slot of it. False if it stays. */
export function folioFreeSwap(k: Kernel, of: number): boolean {
  const pfn = folioHead(k.view, of);
  const page = pageAt(k.view, pfn);
  if (!inSwapCache(page) || folioSwapped(k, pfn)) return false;
  if (page.order !== 0) {
    removeLarge(k, pfn, 1);
    return true;
  }
  const freed = page.ref === 1 ? 1 : 0;
  k.emit({ type: 'SwapCacheRemoved', slot: slotOf(k, pfn), pfn, ref: -1, dirty: 1, freed, slotFreed: 1 });
  return true;
}

/**
 * The large folio that begins at `pfn` leaves the swap cache, and its slots to which no entry leads are free. `dirty` 0: it is reclaimed, and
 * goes if nobody else has it.
 */
export function removeLarge(k: Kernel, pfn: number, dirty: number): void {
  const { order, ref } = pageAt(k.view, pfn);
  const slot = slotOf(k, pfn);
  const slots: number[] = [];
  for (let i = 0; i < 2 ** order; i++) if (slotAt(k, slot + i).count === 0) appendRun(slots, slot + i);
  const freed = ref === 2 ** order ? 1 : 0;
  k.emit({ type: 'LargeSwapCacheRemoved', slot, pfn, order, ref: -(2 ** order), dirty, freed, slots });
}

/** `free_swap_cache()`: the same for a folio that nothing maps any more; the user of page `pfn` is about to drop it. */
export function freeSwapCache(k: Kernel, pfn: number): void {
  if (inSwapCache(folioAt(k.view, pfn)) && !folioMapped(k, pfn)) folioFreeSwap(k, pfn);
}

/** `free_swap_and_cache()` for the entry at `vpn` of `mm`: it is emptied; a page of the cache that nobody uses goes. */
export function freeSwapAndCache(k: Kernel, mm: number, vpn: number, slot: number): void {
  const { count, pfn } = slotAt(k, slot);
  const slotFreed = count === 1 && pfn < 0 ? 1 : 0;
  k.emit({ type: 'SwapEntryFreed', mm, vpn, slot, count: -1, rssSwap: -1, slotFreed });
  if (count === 1 && pfn >= 0 && (!folioMapped(k, pfn) || vmSwapFull(k))) folioFreeSwap(k, pfn);
}

/** Will the page of `slot` have to be read from the area? It is not in the swap cache, and not only noted to be zeros (zeromap). */
export const mustBeRead = (k: Kernel, slot: number): boolean => {
  const { pfn, content } = slotAt(k, slot);
  return pfn < 0 && content !== null;
};

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
