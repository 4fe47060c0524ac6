// Reducers for events/large-folio.ts: faults that settle several pages of a large folio at once.
import type { EventOf, LargeFolioEvent } from '../events/index.js';
import type { Reducers } from './index.js';
import { mkPte, setPmd, setPte } from './pte.js';
import type { KernelState, Mm } from './state.js';
import {
  HPAGE_PMD_NR,
  MM_ANONPAGES,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_LRU,
  PG_SWAPBACKED,
  folioOf,
  pageOf,
} from './state.js';

/** Pages of a large folio, which nothing mapped before, get entries, and are anonymous. */
function mapFresh(
  state: KernelState,
  target: Mm | null,
  {
    runs,
    flags,
    anonVma,
    index,
    ref,
    mapcount,
    exclusive,
    lru,
  }: Omit<EventOf<'AnonPagesMapped'>, 'type' | 'mm' | 'rssAnon'>,
): void {
  const [vpn = 0, pfn = -1, pages = 0] = runs;
  for (let i = 0; i < pages; i++) {
    if (target) setPte(target, vpn + i, mkPte(pfn + i, flags));
    const page = pageOf(state, pfn + i);
    if (!page) continue;
    page.flags |= PG_ANON | PG_SWAPBACKED | (exclusive === 1 ? PG_ANON_EXCLUSIVE : 0);
    page.mapping = anonVma;
    page.index = index + i;
    page.mapcount += mapcount;
  }
  const head = pages > 0 ? folioOf(state, pfn) : undefined;
  if (!head) return;
  head.ref += ref;
  if (lru === 1) head.flags |= PG_LRU;
}

export const largeFolioReducers: Reducers<LargeFolioEvent['type']> = {
  AnonPagesMapped(state, event) {
    const target = state.mms[event.mm] ?? null;
    if (target) target.rss[MM_ANONPAGES]! += event.rssAnon;
    mapFresh(state, target, event);
  },
  PagesReused(state, { mm, runs, exclusive }) {
    const target = state.mms[mm];
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) {
        const pfn = runs[i + 1]! + j;
        if (target) setPte(target, runs[i]! + j, mkPte(pfn, runs[i + 3]!));
        const page = pageOf(state, pfn);
        if (page && exclusive === 1) page.flags |= PG_ANON_EXCLUSIVE;
      }
  },
  CowPagesMapped(state, event) {
    const [vpn = 0, old = 0, pages = 0] = event.runs;
    mapFresh(state, state.mms[event.mm] ?? null, { ...event, runs: [vpn, event.pfn, pages] });
    for (let i = 0; i < pages; i++) {
      const page = pageOf(state, old + i);
      if (page) page.mapcount += event.oldMapcount;
    }
  },
  CowHugePageMapped(state, event) {
    const { mm, vpn, entry, pfn, anonVma, index, exclusive, lru, oldPfn } = event;
    const target = state.mms[mm];
    if (target) setPmd(target, vpn, entry);
    for (let i = 0; i < HPAGE_PMD_NR; i++) {
      const page = pageOf(state, pfn + i);
      if (!page) continue;
      page.flags |= PG_ANON | PG_SWAPBACKED;
      page.mapping = anonVma;
      page.index = index + i;
    }
    const head = pageOf(state, pfn);
    if (head) head.flags |= (exclusive === 1 ? PG_ANON_EXCLUSIVE : 0) | (lru === 1 ? PG_LRU : 0);
    const [fresh, old] = [state.largeFolios[pfn], state.largeFolios[oldPfn]];
    if (fresh) fresh.entireMapcount += event.entireMapcount;
    if (old) old.entireMapcount += event.oldEntireMapcount;
  },
};
