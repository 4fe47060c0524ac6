// Reducers for events/file-huge.ts: large folios of the page cache, and their huge entries.
import type { FileHugeEvent } from '../events/index.js';
import { countCached, freePage } from './folio.js';
import { addEntireMapcount } from './huge.js';
import type { Reducers } from './index.js';
import { noLargeFolio } from './large-count.js';
import { setPmd, setPte } from './pte.js';
import type { KernelState, Mm } from './state.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  PG_DIRTY,
  PG_LRU,
  PG_SWAPBACKED,
  folioOf,
  pageOf,
  setCacheSlot,
} from './state.js';

function addRss(mm: Mm, file: number, shmem: number): void {
  mm.rss[MM_FILEPAGES]! += file;
  mm.rss[MM_SHMEMPAGES]! += shmem;
}

/** Pages [index, index + n) of file `inode` are the frames from `pfn` on. */
function enterCache(state: KernelState, inode: number, index: number, pfn: number, n: number, flags: number): void {
  const target = state.inodes[inode];
  for (let i = 0; i < n; i++) {
    const page = pageOf(state, pfn + i);
    if (!page) continue;
    page.flags |= flags;
    page.mapping = inode;
    page.index = index + i;
    if (target && index >= 0) setCacheSlot(target, index + i, pfn + i + 1);
  }
}

/** May the 2^order pages from `pfn` on be folios of `orders`, one after the other? */
export function arePartsOf(pfn: number, order: number, orders: readonly number[]): boolean {
  if (!(order >= 1 && order <= HPAGE_PMD_ORDER) || pfn < 0 || orders.length > HPAGE_PMD_NR) return false;
  let at = pfn;
  for (const each of orders) {
    if (!(Number.isInteger(each) && each >= 0 && each < order) || at % 2 ** each !== 0) return false;
    at += 2 ** each;
  }
  return at === pfn + 2 ** order;
}

export const fileHugeReducers: Reducers<FileHugeEvent['type']> = {
  LargeFolioCached(state, { inode, runs, swapbacked, ref, lru }) {
    const [index = -1, pfn = -1, n = 0] = runs;
    const head = pageOf(state, pfn);
    if (!head || index < 0 || n < 1) return;
    enterCache(state, inode, index, pfn, n, swapbacked === 1 ? PG_SWAPBACKED : 0);
    head.ref += ref;
    if (lru === 1) head.flags |= PG_LRU;
    countCached(state, inode, runs, 1);
  },
  FilePmdMapped(state, { mm, vpn, pfn, entry, ref, entireMapcount, rssFile, rssShmem }) {
    const target = state.mms[mm];
    if (target) {
      setPmd(target, vpn, entry);
      addRss(target, rssFile, rssShmem);
    }
    const head = folioOf(state, pfn);
    if (head) head.ref += ref;
    addEntireMapcount(state, pfn, entireMapcount);
  },
  FilePmdCleared(state, { mm, vpn, pfn, ref, entireMapcount, rssFile, rssShmem, gather, dirty }) {
    const target = state.mms[mm];
    if (target) {
      setPmd(target, vpn, null);
      addRss(target, rssFile, rssShmem);
      if (gather === 1) target.gather.push(pfn);
    }
    const head = folioOf(state, pfn);
    if (head) {
      head.ref += ref;
      if (dirty === 1) head.flags |= PG_DIRTY;
    }
    addEntireMapcount(state, pfn, entireMapcount);
  },
  FilePtesUnmapped(state, { mm, runs, ref, mapcount, dirty, rssFile, rssShmem }) {
    const target = state.mms[mm];
    if (target) addRss(target, rssFile, rssShmem);
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) {
        if (target) setPte(target, runs[i]! + j, 0);
        const page = pageOf(state, runs[i + 1]! + j);
        const head = folioOf(state, runs[i + 1]! + j);
        if (page) page.mapcount += mapcount;
        if (!head) continue;
        head.ref += ref;
        if (dirty === 1) head.flags |= PG_DIRTY;
      }
  },
  FileFolioSplit(state, { pfn, order, orders, flags, cacheRef }) {
    const head = pageOf(state, pfn);
    if (!head || !arePartsOf(pfn, order, orders)) return;
    delete state.largeFolios[pfn];
    head.ref -= cacheRef * 2 ** order;
    let at = pfn;
    for (const each of orders) {
      const first = pageOf(state, at);
      if (first) first.ref += cacheRef * 2 ** each;
      if (first && at !== pfn) first.flags = flags;
      for (let i = 0; i < 2 ** each; i++) {
        const page = pageOf(state, at + i);
        if (page) page.order = each;
      }
      if (each > 0) state.largeFolios[at] = noLargeFolio(each);
      at += 2 ** each;
    }
  },
  FileCollapsed(state, { inode, index, pfn, runs, swapbacked, dirty, ref, oldRef, freed }) {
    for (let i = 0; i + 2 < runs.length; i += 3)
      for (let j = 0; j < runs[i + 2]!; j++) {
        const old = pageOf(state, runs[i + 1]! + j);
        const at = runs[i]! + j - index;
        const page = at >= 0 && at < HPAGE_PMD_NR ? pageOf(state, pfn + at) : undefined;
        if (!old) continue;
        if (page) page.content = old.content;
        folioOf(state, runs[i + 1]! + j)!.ref += oldRef;
        old.mapping = 0;
      }
    countCached(state, inode, runs, -1);
    enterCache(state, inode, index, pfn, HPAGE_PMD_NR, swapbacked === 1 ? PG_SWAPBACKED : 0);
    countCached(state, inode, [index, pfn, HPAGE_PMD_NR], 1);
    const head = pageOf(state, pfn);
    if (head) {
      head.ref += ref;
      head.flags |= PG_LRU | (dirty === 1 ? PG_DIRTY : 0);
    }
    for (let i = 0; i + 1 < freed.length; i += 2)
      for (let j = 0; j < freed[i + 1]!; j++) freePage(state, freed[i]! + j);
  },
};
