// Reducers for events/large-swap.ts: rows of slots, and large folios in the swap cache.
import type { LargeSwapEvent } from '../events/index.js';
import { writtenToSlot } from './content.js';
import { freePage } from './folio.js';
import type { Reducers } from './index.js';
import { mkPte, setPte } from './pte.js';
import type { KernelState, SwapSlot } from './state.js';
import { FREE_SLOT, HPAGE_PMD_ORDER, PG_ANON_EXCLUSIVE, PG_DIRTY, PG_SWAPCACHE, folioOf, pageOf } from './state.js';
import { addCount, addRss, freeSlot, mmOf } from './swap.js';

/** Pages of a folio of `order`; 0 for an order that none has. */
const pagesOf = (order: number): number => (order >= 1 && order <= HPAGE_PMD_ORDER ? 2 ** order : 0);

/** Takes slots [slot, slot + n) from the list of free ones; those between it and the last that was ever used become free. */
function takeRow(state: KernelState, slot: number, n: number): void {
  if (slot < 0) return;
  while (state.swap.length < slot + n) {
    const fresh = state.swap.length;
    state.swap.push({ count: FREE_SLOT, pfn: -1, content: null });
    if (fresh < slot) freeSlot(state, fresh);
  }
  // A row that lies before the end: its slots are somewhere in the list.
  let before: SwapSlot | null = null;
  for (let [at, steps] = [state.swapFree, 0]; at >= 0 && steps < state.swap.length; steps++) {
    const found: SwapSlot | undefined = state.swap[at];
    if (!found) return;
    const next = found.pfn;
    if (at < slot || at >= slot + n) before = found;
    else if (before === null) state.swapFree = next;
    else before.pfn = next;
    at = next;
  }
}

export const largeSwapReducers: Reducers<LargeSwapEvent['type']> = {
  LargeFolioSwapAllocated(state, { slot, pfn, order, ref }) {
    const n = pagesOf(order);
    takeRow(state, slot, n);
    for (let i = 0; i < n; i++) {
      const found = state.swap[slot + i];
      if (!found) continue;
      Object.assign(found, { count: 0, pfn: pfn + i, content: null });
      state.swapCache[pfn + i] = slot + i;
    }
    const head = pageOf(state, pfn);
    if (!head) return;
    head.flags |= PG_SWAPCACHE | PG_DIRTY;
    head.ref += ref;
  },
  PagesSwappedOut(state, { mm, pfn, slot, runs, count, ref, mapcount, exclusive, dirty, rssAnon, rssSwap }) {
    const target = mmOf(state, mm);
    if (target) addRss(target, rssAnon, rssSwap);
    const head = folioOf(state, pfn);
    if (head && dirty === 1) head.flags |= PG_DIRTY;
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) {
        const each = runs[i + 1]! + j;
        addCount(state, slot + each - pfn, count);
        if (target) setPte(target, runs[i]! + j, mkPte(slot + each - pfn, runs[i + 3]!));
        if (head) head.ref += ref;
        const page = pageOf(state, each);
        if (!page) continue;
        page.mapcount += mapcount;
        if (exclusive === 0) page.flags &= ~PG_ANON_EXCLUSIVE;
      }
  },
  LargeSwapWritten(state, { slot, pfn, order, zeros }) {
    for (let i = 0; i < pagesOf(order); i++) {
      const [page, found] = [pageOf(state, pfn + i), state.swap[slot + i]];
      if (page && found) found.content = zeros === 1 ? page.content : writtenToSlot(page.content);
    }
    const head = pageOf(state, pfn);
    if (head) head.flags &= ~PG_DIRTY;
  },
  LargeSwapCacheRemoved(state, { slot, pfn, order, ref, dirty, freed, slots }) {
    for (let i = 0; i < pagesOf(order); i++) {
      delete state.swapCache[pfn + i];
      const found = state.swap[slot + i];
      if (found) found.pfn = -1;
    }
    for (let i = 0; i + 1 < slots.length; i += 2)
      for (let j = 0; j < slots[i + 1]!; j++) freeSlot(state, slots[i]! + j);
    const head = pageOf(state, pfn);
    if (head) head.flags &= ~PG_SWAPCACHE;
    if (freed === 1) return freePage(state, pfn);
    if (!head) return;
    head.ref += ref;
    if (dirty === 1) head.flags |= PG_DIRTY;
  },
  PagesSwappedIn(state, { mm, pfn, slot, runs, count, ref, mapcount, exclusive, rssAnon, rssSwap }) {
    const target = mmOf(state, mm);
    if (target) addRss(target, rssAnon, rssSwap);
    const head = folioOf(state, pfn);
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) {
        const each = runs[i + 1]! + j;
        addCount(state, slot + each - pfn, count);
        if (target) setPte(target, runs[i]! + j, mkPte(each, runs[i + 3]!));
        if (head) head.ref += ref;
        const page = pageOf(state, each);
        if (!page) continue;
        page.mapcount += mapcount;
        if (exclusive === 1) page.flags |= PG_ANON_EXCLUSIVE;
      }
  },
};
