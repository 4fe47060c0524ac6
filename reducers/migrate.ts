// Reducers for events/migrate.ts: pages that get another frame.
import type { MigrateEvent } from '../events/index.js';
import { enterLruBatch } from './folio.js';
import type { Reducers } from './index.js';
import { setPte } from './pte.js';
import { MLOCK_COUNT_SHIFT, PG_ANON_EXCLUSIVE, PG_DIRTY, PG_LRU, pageOf, setCacheSlot } from './state.js';

/** All flags without the count of mlocks behind them. */
const FLAGS = (1 << MLOCK_COUNT_SHIFT) - 1;

export const migrateReducers: Reducers<MigrateEvent['type']> = {
  FolioIsolated(state, { pfn, ref }) {
    const page = pageOf(state, pfn);
    if (!page) return;
    page.flags &= FLAGS & ~PG_LRU;
    page.ref += ref;
  },
  MigrationPteSet(state, { mm, vpn, pfn, entry, ref, mapcount, exclusive, dirty }) {
    const target = state.mms[mm];
    if (target) setPte(target, vpn, entry);
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    page.mapcount += mapcount;
    if (exclusive === 0) page.flags &= ~PG_ANON_EXCLUSIVE;
    if (dirty === 1) page.flags |= PG_DIRTY;
  },
  FolioMigrated(state, { pfn, from, flags, fromFlags, anonVma, inode, index, cache, slot, ref, fromRef }) {
    const old = pageOf(state, from);
    if (old) {
      old.flags = fromFlags;
      old.ref += fromRef;
      // Anonymous memory stays so until it is freed.
      if (inode !== 0) old.mapping = 0;
    }
    const page = pageOf(state, pfn);
    if (page) {
      page.flags = flags;
      page.ref += ref;
      page.mapping = anonVma === 0 ? inode : anonVma;
      page.index = index;
    }
    const file = state.inodes[inode];
    if (file && cache[0] !== undefined) setCacheSlot(file, cache[0], pfn + 1);
    const found = state.swap[slot];
    if (!found) return;
    delete state.swapCache[from];
    state.swapCache[pfn] = slot;
    found.pfn = pfn;
  },
  FolioLruAdded(state, { pfn, flags, ref, lruCpu }) {
    const page = pageOf(state, pfn);
    if (!page) return;
    page.flags = flags;
    page.ref += ref;
    enterLruBatch(state, page, pfn, lruCpu);
  },
  MigrationPteRemoved(state, { mm, vpn, pfn, entry, ref, mapcount, exclusive }) {
    const target = state.mms[mm];
    if (target) setPte(target, vpn, entry);
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    page.mapcount += mapcount;
    if (exclusive === 1) page.flags |= PG_ANON_EXCLUSIVE;
  },
};
