// Reducers for events/large-migrate.ts: large folios that get other frames as a whole.
import type { LargeMigrateEvent } from '../events/index.js';
import type { Reducers } from './index.js';
import { setPmd } from './pte.js';
import { HPAGE_PMD_ORDER, PG_ANON, PG_ANON_EXCLUSIVE, PG_DIRTY, PG_SWAPBACKED, folioOf, pageOf } from './state.js';

export const largeMigrateReducers: Reducers<LargeMigrateEvent['type']> = {
  FolioGot(state, { pfn, ref }) {
    const head = folioOf(state, pfn);
    if (head) head.ref += ref;
  },
  PmdMigrationSet(state, { mm, vpn, pfn, entry, ref, entireMapcount, exclusive, dirty }) {
    const target = state.mms[mm];
    if (target) setPmd(target, vpn, entry);
    const folio = state.largeFolios[pfn];
    if (folio) folio.entireMapcount += entireMapcount;
    const head = folioOf(state, pfn);
    if (!head) return;
    head.ref += ref;
    if (exclusive === 0) head.flags &= ~PG_ANON_EXCLUSIVE;
    if (dirty === 1) head.flags |= PG_DIRTY;
  },
  PmdMigrationRemoved(state, { mm, vpn, pfn, entry, ref, entireMapcount, exclusive }) {
    const target = state.mms[mm];
    if (target) setPmd(target, vpn, entry);
    const folio = state.largeFolios[pfn];
    if (folio) folio.entireMapcount += entireMapcount;
    const head = folioOf(state, pfn);
    if (!head) return;
    head.ref += ref;
    if (exclusive === 1) head.flags |= PG_ANON_EXCLUSIVE;
  },
  LargeFolioMigrated(state, { pfn, from, order, flags, fromFlags, anonVma, index, slot, ref, fromRef }) {
    if (!(order >= 1 && order <= HPAGE_PMD_ORDER)) return;
    for (let i = 0; i < 2 ** order; i++) {
      const [page, old] = [pageOf(state, pfn + i), pageOf(state, from + i)];
      if (page) {
        page.flags = PG_ANON | PG_SWAPBACKED;
        page.mapping = anonVma;
        page.index = index + i;
        page.content = old?.content ?? null;
      }
      const found = slot < 0 ? undefined : state.swap[slot + i];
      if (!found) continue;
      delete state.swapCache[from + i];
      state.swapCache[pfn + i] = slot + i;
      found.pfn = pfn + i;
    }
    const [head, oldHead] = [pageOf(state, pfn), pageOf(state, from)];
    if (head) {
      head.flags = flags;
      head.ref += ref;
    }
    if (!oldHead) return;
    oldHead.flags = fromFlags;
    oldHead.ref += fromRef;
  },
};
