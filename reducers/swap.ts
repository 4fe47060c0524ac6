// Reducers for events/swap.ts: slots, the swap cache, swap entries.
import type { SwapEvent } from '../events/index.js';
import { readFromSlot } from './content.js';
import { countCached, enterLruBatch, freePage } from './folio.js';
import type { Reducers } from './index.js';
import { setPte } from './pte.js';
import type { KernelState, Mm, SwapSlot } from './state.js';
import {
  FREE_SLOT,
  MM_ANONPAGES,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  MM_SWAPENTS,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_RECLAIM,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  RECLAIMED,
  folioOf,
  pageOf,
  setCacheSlot,
} from './state.js';

export const mmOf = (state: KernelState, id: number): Mm | null => state.mms[id] ?? null;

/** The slot, made if it never was used; undefined for a number that none has. */
function takeSlot(state: KernelState, slot: number): SwapSlot | undefined {
  if (slot < 0) return undefined;
  while (state.swap.length <= slot) state.swap.push({ count: FREE_SLOT, pfn: -1, content: null });
  const found = state.swap[slot]!;
  if (state.swapFree === slot) state.swapFree = found.pfn;
  return found;
}

export function freeSlot(state: KernelState, slot: number): void {
  const found = state.swap[slot];
  if (!found) return;
  found.count = FREE_SLOT;
  found.content = null;
  found.pfn = state.swapFree;
  state.swapFree = slot;
}

export function addCount(state: KernelState, slot: number, count: number): void {
  const found = state.swap[slot];
  if (found) found.count += count;
}

export function addRss(mm: Mm, anon: number, swap: number): void {
  mm.rss[MM_ANONPAGES]! += anon;
  mm.rss[MM_SWAPENTS]! += swap;
}

/** The page is no longer in the cache. */
export function uncache(state: KernelState, slot: number, pfn: number): void {
  delete state.swapCache[pfn];
  const found = state.swap[slot];
  if (found) found.pfn = -1;
  const page = pageOf(state, pfn);
  if (page) page.flags &= ~PG_SWAPCACHE;
}

export const swapReducers: Reducers<SwapEvent['type']> = {
  FolioSwapAllocated(state, { slot, pfn, ref }) {
    const taken = takeSlot(state, slot);
    if (!taken) return;
    taken.count = 0;
    taken.pfn = pfn;
    taken.content = null;
    state.swapCache[pfn] = slot;
    const page = pageOf(state, pfn);
    if (!page) return;
    page.flags |= PG_SWAPCACHE | PG_DIRTY;
    page.ref += ref;
  },
  PageSwappedOut(state, { mm, vpn, pfn, slot, entry, count, ref, mapcount, exclusive, dirty, rssAnon, rssSwap }) {
    addCount(state, slot, count);
    const target = mmOf(state, mm);
    if (target) {
      setPte(target, vpn, entry);
      addRss(target, rssAnon, rssSwap);
    }
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    page.mapcount += mapcount;
    if (exclusive === 0) page.flags &= ~PG_ANON_EXCLUSIVE;
    if (dirty === 1) page.flags |= PG_DIRTY;
  },
  SwapWritten(state, { slot, pfn }) {
    const page = pageOf(state, pfn);
    const found = state.swap[slot];
    if (!page || !found) return;
    found.content = page.content;
    page.flags &= ~PG_DIRTY;
  },
  SwapRead(state, { slot, pfn, ref, lruCpu }) {
    const found = state.swap[slot];
    const page = pageOf(state, pfn);
    if (!found || !page) return;
    found.pfn = pfn;
    state.swapCache[pfn] = slot;
    page.flags |= PG_SWAPCACHE | PG_SWAPBACKED;
    page.ref += ref;
    page.content = readFromSlot(found.content);
    enterLruBatch(state, page, pfn, lruCpu);
  },
  SwapCacheRemoved(state, { slot, pfn, ref, dirty, freed, slotFreed }) {
    uncache(state, slot, pfn);
    if (slotFreed === 1) freeSlot(state, slot);
    if (freed === 1) return freePage(state, pfn);
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    if (dirty === 1) page.flags |= PG_DIRTY;
  },
  PageSwappedIn(state, event) {
    const { mm, vpn, pfn, slot, entry, count, uncached, ref, mapcount, exclusive, anonVma, index } = event;
    addCount(state, slot, count);
    const target = mmOf(state, mm);
    if (target) {
      setPte(target, vpn, entry);
      addRss(target, event.rssAnon, event.rssSwap);
    }
    const page = pageOf(state, pfn);
    if (page) {
      page.ref += ref;
      page.mapcount += mapcount;
      if (exclusive === 1) page.flags |= PG_ANON_EXCLUSIVE;
      if (anonVma !== 0) {
        page.flags |= PG_ANON;
        page.mapping = anonVma;
        page.index = index;
      }
      if (uncached === 1) page.flags |= PG_DIRTY;
    }
    if (uncached !== 1) return;
    uncache(state, slot, pfn);
    freeSlot(state, slot);
  },
  SwapEntryCopied(state, { mm, child, vpn, slot, entry, count, rssSwap }) {
    addCount(state, slot, count);
    const from = mmOf(state, mm);
    const to = mmOf(state, child);
    if (from) setPte(from, vpn, entry);
    if (!to) return;
    setPte(to, vpn, entry);
    addRss(to, 0, rssSwap);
  },
  SwapEntryFreed(state, { mm, vpn, slot, count, rssSwap, slotFreed }) {
    const target = mmOf(state, mm);
    if (target) {
      setPte(target, vpn, 0);
      addRss(target, 0, rssSwap);
    }
    if (slotFreed === 1) freeSlot(state, slot);
    else addCount(state, slot, count);
  },
  LazyfreeDiscarded(state, { mm, vpn, pfn, ref, mapcount, rssAnon, freed }) {
    const target = mmOf(state, mm);
    if (target) {
      setPte(target, vpn, 0);
      addRss(target, rssAnon, 0);
    }
    if (freed === 1) return freePage(state, pfn);
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    page.mapcount += mapcount;
  },
  FilePageUnmapped(state, { mm, vpn, pfn, ref, mapcount, dirty, rssFile, rssShmem }) {
    const target = mmOf(state, mm);
    if (target) {
      setPte(target, vpn, 0);
      target.rss[MM_FILEPAGES]! += rssFile;
      target.rss[MM_SHMEMPAGES]! += rssShmem;
    }
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    page.mapcount += mapcount;
    if (dirty === 1) page.flags |= PG_DIRTY;
  },
  FolioReclaimSet(state, { pfn, reclaim }) {
    const page = pageOf(state, pfn);
    if (page) page.flags = reclaim === 1 ? page.flags | PG_RECLAIM : page.flags & ~PG_RECLAIM;
  },
  PageCacheReclaimed(state, { inode, runs, ref, freed }) {
    const target = state.inodes[inode];
    for (let i = 0; i + 2 < runs.length; i += 3)
      for (let j = 0; j < runs[i + 2]!; j++) {
        if (target) setCacheSlot(target, runs[i]! + j, RECLAIMED);
        const page = pageOf(state, runs[i + 1]! + j);
        if (!page) continue;
        (page.order === 0 ? page : folioOf(state, runs[i + 1]! + j)!).ref += ref;
        if ((page.flags & PG_ANON) === 0) page.mapping = 0;
      }
    countCached(state, inode, runs, -1);
    for (let i = 0; i + 1 < freed.length; i += 2)
      for (let j = 0; j < freed[i + 1]!; j++) freePage(state, freed[i]! + j);
  },
  LazyfreeRevoked(state, { pfn }) {
    const page = pageOf(state, pfn);
    if (!page) return;
    page.flags |= PG_SWAPBACKED | PG_DIRTY;
    for (let i = 1; i < 2 ** page.order; i++) {
      const tail = pageOf(state, pfn + i);
      if (tail) tail.flags |= PG_SWAPBACKED;
    }
  },
};
