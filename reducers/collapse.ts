// Reducers for events/collapse.ts: 512 entries that gave way to one huge entry.
import type { CollapseEvent } from '../events/index.js';
import { enterLruBatch } from './folio.js';
import { addEntireMapcount, makeHugeAnon } from './huge.js';
import type { Reducers } from './index.js';
import { setPmd } from './pte.js';
import { HPAGE_PMD_NR, MLOCK_FLAGS, MM_ANONPAGES, PG_ANON_EXCLUSIVE, PG_MLOCKED, pageOf } from './state.js';

export const collapseReducers: Reducers<CollapseEvent['type']> = {
  HugePageCollapsed(state, event) {
    const { mm, vpn, pfn, entry, runs, mapcount, rssAnon } = event;
    const target = state.mms[mm];
    if (target) {
      setPmd(target, vpn, entry);
      target.rss[MM_ANONPAGES]! += rssAnon;
    }
    makeHugeAnon(state, event);
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) {
        const old = pageOf(state, runs[i + 1]! + j);
        const at = runs[i]! + j - vpn;
        const page = at >= 0 && at < HPAGE_PMD_NR ? pageOf(state, pfn + at) : undefined;
        target?.gather.push(runs[i + 1]! + j);
        if (!old) continue;
        if (page) page.content = old.content;
        old.mapcount += mapcount;
      }
  },
  PmdCollapsedInPlace(state, { mm, vpn, pfn, entry, ref, mapcount, entireMapcount, exclusive, tails }) {
    const target = state.mms[mm];
    if (target) setPmd(target, vpn, entry);
    for (let i = 0; i < HPAGE_PMD_NR; i++) {
      const page = pageOf(state, pfn + i);
      if (!page) continue;
      page.mapcount += mapcount;
      if (i > 0 && tails === 0) page.flags &= ~PG_ANON_EXCLUSIVE;
    }
    const head = pageOf(state, pfn);
    if (head) {
      head.ref += ref;
      if (exclusive === 1) head.flags |= PG_ANON_EXCLUSIVE;
    }
    addEntireMapcount(state, pfn, entireMapcount);
  },
  FoliosPutBack(state, { cpu, runs, ref }) {
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < runs[i + 1]!; j++) {
        const page = pageOf(state, runs[i]! + j);
        if (!page) continue;
        // What keeps it from reclaim is settled anew with the batch.
        page.flags &= ~MLOCK_FLAGS | PG_MLOCKED;
        page.ref += ref;
        enterLruBatch(state, page, runs[i]! + j, cpu);
      }
  },
};
