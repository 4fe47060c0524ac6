// Reducers for events/split.ts: large folios that fall apart, or are given up whole.
import type { SplitEvent } from '../events/index.js';
import { freePage } from './folio.js';
import type { Reducers } from './index.js';
import { PTE_SWP_EXCLUSIVE, PTE_WRITE, PTRS_PER_PTE, leafPart, mkPte, setPmd, setPte } from './pte.js';
import type { KernelState, Page } from './state.js';
import { HPAGE_PMD_ORDER, MM_ANONPAGES, PG_ANON_EXCLUSIVE, PG_DIRTY, PG_SWAPBACKED, folioOf, pageOf } from './state.js';

/** Calls `visit` for each page of runs of [vpn, pfn, n, flags]. */
function forEachEntry(runs: readonly number[], visit: (vpn: number, pfn: number, flags: number) => void): void {
  for (let i = 0; i + 3 < runs.length; i += 4)
    for (let j = 0; j < runs[i + 2]!; j++) visit(runs[i]! + j, runs[i + 1]! + j, runs[i + 3]!);
}

/** Calls `visit` for each page of runs of [pfn, n] that there is. */
function forEachPage(state: KernelState, runs: readonly number[], visit: (page: Page, pfn: number) => void): void {
  for (let i = 0; i + 1 < runs.length; i += 2)
    for (let j = 0; j < runs[i + 1]!; j++) {
      const page = pageOf(state, runs[i]! + j);
      if (page) visit(page, runs[i]! + j);
    }
}

/** Calls `visit` for each page of the folio that begins at `pfn`. */
function forEachOfFolio(state: KernelState, pfn: number, visit: (page: Page, index: number) => void): void {
  const order = pageOf(state, pfn)?.order ?? 0;
  for (let i = 0; i < 2 ** order; i++) {
    const page = pageOf(state, pfn + i);
    if (page) visit(page, i);
  }
}

export const splitReducers: Reducers<SplitEvent['type']> = {
  PmdSplitFrozen(state, { mm, vpn, pfn, entry, ref, entireMapcount, exclusive, dirty }) {
    const target = state.mms[mm];
    if (target)
      setPmd(
        target,
        vpn,
        Array.from({ length: PTRS_PER_PTE }, (_, i) => leafPart(entry, i)),
      );
    const head = folioOf(state, pfn);
    const folio = state.largeFolios[pfn];
    if (folio) folio.entireMapcount += entireMapcount;
    if (!head) return;
    head.ref += ref;
    if (exclusive === 0) head.flags &= ~PG_ANON_EXCLUSIVE;
    if (dirty === 1) head.flags |= PG_DIRTY;
  },
  MigrationPtesSet(state, { mm, pfn, runs, ref, mapcount, exclusive, dirty }) {
    const target = state.mms[mm];
    const head = folioOf(state, pfn);
    if (head && dirty === 1) head.flags |= PG_DIRTY;
    forEachEntry(runs, (vpn, each, flags) => {
      if (target) setPte(target, vpn, mkPte(each, flags));
      if (head) head.ref += ref;
      const page = pageOf(state, each);
      if (!page) return;
      page.mapcount += mapcount;
      if (exclusive === 0 && (flags & (PTE_WRITE | PTE_SWP_EXCLUSIVE)) !== 0) page.flags &= ~PG_ANON_EXCLUSIVE;
    });
  },
  FolioSplit(state, { pfn, order, flags, anonVma, ref, cacheRef }) {
    const head = pageOf(state, pfn);
    if (!head || !(order >= 1 && order <= HPAGE_PMD_ORDER)) return;
    delete state.largeFolios[pfn];
    const { index } = head;
    // What the cache had of the whole folio.
    head.ref -= cacheRef * 2 ** order;
    for (let i = 0; i < 2 ** order; i++) {
      const page = pageOf(state, pfn + i);
      if (!page) continue;
      page.order = 0;
      page.ref += ref + cacheRef;
      if (i === 0) continue;
      page.flags = flags;
      page.mapping = anonVma;
      page.index = index + i;
      page.lruCpu = -1;
    }
  },
  MigrationPtesRemoved(state, { mm, runs, special, exclusivePages, ref, mapcount, rssAnon }) {
    const target = state.mms[mm];
    if (target) {
      target.rss[MM_ANONPAGES]! += rssAnon;
      for (let i = 0; i + 3 < special.length; i += 4)
        for (let j = 0; j < special[i + 2]!; j++)
          setPte(target, special[i]! + j, mkPte(special[i + 1]!, special[i + 3]!));
    }
    forEachEntry(runs, (vpn, pfn, flags) => {
      if (target) setPte(target, vpn, mkPte(pfn, flags));
      const page = pageOf(state, pfn);
      if (page) page.mapcount += mapcount;
      const head = folioOf(state, pfn);
      if (head) head.ref += ref;
    });
    forEachPage(state, exclusivePages, (page) => {
      page.flags |= PG_ANON_EXCLUSIVE;
    });
  },
  FoliosReleased(state, { runs, ref, freed }) {
    forEachPage(state, runs, (page) => {
      page.ref += ref;
    });
    forEachPage(state, freed, (_page, pfn) => freePage(state, pfn));
  },
  LargeFolioLazyfreed(state, { mm, vpn, pfn, entry, runs, swapbacked }) {
    const target = state.mms[mm];
    if (target && entry !== 0) setPmd(target, vpn, entry);
    forEachEntry(runs, (at, each, flags) => {
      if (target) setPte(target, at, mkPte(each, flags));
    });
    forEachOfFolio(state, pfn, (page, i) => {
      if (i === 0) page.flags &= ~PG_DIRTY;
      if (swapbacked === 0) page.flags &= ~PG_SWAPBACKED;
    });
  },
  LargeFolioDiscarded(state, { mm, pfn, runs, rssAnon }) {
    const target = state.mms[mm];
    if (target) target.rss[MM_ANONPAGES]! += rssAnon;
    forEachEntry(runs, (at) => {
      if (target) setPte(target, at, 0);
    });
    freePage(state, pfn);
  },
};
