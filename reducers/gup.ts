// Reducers for events/gup.ts: who holds which pages, and for which bytes.
import type { GupEvent } from '../events/index.js';
import { freePage } from './folio.js';
import type { Reducers } from './index.js';
import { folioOf } from './state.js';

export const gupReducers: Reducers<GupEvent['type']> = {
  HolderCreated(state, { holder, kind, owner, flags }) {
    if (holder < 1) return;
    while (state.holders.length <= holder) state.holders.push(null);
    state.holders[holder] = { id: holder, kind, owner, flags, pages: [] };
  },
  HolderRemoved(state, { holder }) {
    if (state.holders[holder]) state.holders[holder] = null;
  },
  PageGrabbed(state, { holder, pfn, mm, vpn, offset, length, ref, bias }) {
    const pages = state.holders[holder]?.pages;
    if (!pages) return;
    pages.push(pfn, mm, vpn, offset, length, bias);
    const page = pfn < 0 ? undefined : folioOf(state, pfn);
    if (page) page.ref += ref;
  },
  HeldBytesChanged(state, { holder, at, offset, length }) {
    const pages = state.holders[holder]?.pages;
    if (!pages || at < 0 || (at + 1) * HELD > pages.length) return;
    pages[at * HELD + 3] = offset;
    pages[at * HELD + 4] = length;
  },
  HeldPageReleased(state, { holder, at, pfn, ref, freed }) {
    const pages = state.holders[holder]?.pages;
    if (!pages || at < 0) return;
    pages.splice(at * HELD, HELD);
    if (pfn < 0) return;
    if (freed === 1) return freePage(state, pfn);
    const page = folioOf(state, pfn);
    if (page) page.ref += ref;
  },
  MmHasPinnedSet(state, { mm }) {
    if (!state.hasPinned.includes(mm)) state.hasPinned.push(mm);
  },
  WriteProtectSeqRaised(state, { mm, seq }) {
    state.writeProtectSeq[mm] = seq;
  },
};

/** Numbers of one page in `Holder.pages`. */
const HELD = 6;
