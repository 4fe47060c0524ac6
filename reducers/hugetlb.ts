// Reducers for events/hugetlb.ts.
import type { HugetlbEvent } from '../events/index.js';
import { freePage, takeLargeFolio } from './folio.js';
import type { HugetlbVma } from './hugetlb-state.js';
import type { Reducers } from './index.js';
import { setPmd } from './pte.js';
import type { KernelState, Page } from './state.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_HUGETLB,
  pageOf,
  setCacheSlot,
} from './state.js';

/** Calls `visit` with each page of the huge page at `pfn`. */
function forEachPage(state: KernelState, pfn: number, visit: (page: Page, i: number) => void): void {
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    const page = pageOf(state, pfn + i);
    if (page) visit(page, i);
  }
}

/** `_entire_mapcount` and `_large_mapcount`: every mapping is of the whole page. */
function addMapcount(state: KernelState, pfn: number, difference: number): void {
  const folio = state.largeFolios[pfn];
  if (!folio) return;
  folio.entireMapcount += difference;
  folio.largeMapcount += difference;
}

function addRef(state: KernelState, pfn: number, difference: number): void {
  const head = pageOf(state, pfn);
  if (head) head.ref += difference;
}

function setRestore({ hugetlb }: KernelState, pfn: number, restore: number): void {
  const at = hugetlb.restore.indexOf(pfn);
  if (restore === 1 && at < 0) hugetlb.restore.push(pfn);
  if (restore !== 1 && at >= 0) hugetlb.restore.splice(at, 1);
}

function leaveFreeList({ hugetlb }: KernelState, pfn: number): void {
  const at = hugetlb.freeList.indexOf(pfn);
  if (at >= 0) hugetlb.freeList.splice(at, 1);
}

function setEntry(state: KernelState, mm: number, vpn: number, entry: number | null): void {
  const target = state.mms[mm];
  if (target) setPmd(target, vpn, entry);
}

/** `hugetlb_add_new_anon_rmap()`. */
function becomesAnon(
  state: KernelState,
  event: { readonly pfn: number; readonly anonVma: number; readonly index: number; readonly exclusive: number },
): void {
  forEachPage(state, event.pfn, (page, i) => {
    page.flags |= PG_ANON | (i === 0 && event.exclusive === 1 ? PG_ANON_EXCLUSIVE : 0);
    page.mapping = event.anonVma;
    page.index = event.index + i;
  });
}

export const hugetlbReducers: Reducers<HugetlbEvent['type']> = {
  HugetlbPageAdded(state, { pfn, ref, total, surplus }) {
    state.hugetlb.total += total;
    state.hugetlb.surplus += surplus;
    if (!(pfn >= 0) || pfn % HPAGE_PMD_NR !== 0) return;
    takeLargeFolio(state, pfn, HPAGE_PMD_ORDER);
    forEachPage(state, pfn, (page, i) => {
      page.flags = PG_HUGETLB;
      if (i === 0) page.ref = ref;
    });
  },
  HugetlbPageEnqueued({ hugetlb }, { pfn, free }) {
    if (!hugetlb.freeList.includes(pfn)) hugetlb.freeList.unshift(pfn);
    hugetlb.free += free;
  },
  HugetlbPageDequeued(state, { pfn, ref, free }) {
    leaveFreeList(state, pfn);
    state.hugetlb.free += free;
    addRef(state, pfn, ref);
  },
  HugetlbPageRemoved(state, { pfn, total, free, surplus }) {
    const { hugetlb } = state;
    leaveFreeList(state, pfn);
    hugetlb.total += total;
    hugetlb.free += free;
    hugetlb.surplus += surplus;
    freePage(state, pfn);
  },
  HugetlbPoolCounted({ hugetlb }, { resv, surplus, max, overcommit }) {
    hugetlb.resv += resv;
    hugetlb.surplus += surplus;
    hugetlb.max += max;
    hugetlb.overcommit += overcommit;
  },
  HugetlbRestoreSet(state, { pfn, restore }) {
    setRestore(state, pfn, restore);
  },
  HugetlbPageZeroed(state, { pfn }) {
    forEachPage(state, pfn, (page) => (page.content = null));
  },
  HugetlbPageCopied(state, { pfn, from }) {
    forEachPage(state, pfn, (page, i) => (page.content = pageOf(state, from + i)?.content ?? null));
  },
  HugetlbPageMapped(state, event) {
    const { mm, vpn, pfn, entry, anonVma, ref, mapcount, restore } = event;
    setEntry(state, mm, vpn, entry);
    if (anonVma !== 0) becomesAnon(state, event);
    addRef(state, pfn, ref);
    addMapcount(state, pfn, mapcount);
    setRestore(state, pfn, restore);
  },
  HugetlbCowMapped(state, event) {
    const { mm, vpn, oldPfn, oldMapcount, pfn, entry, mapcount, restore } = event;
    setEntry(state, mm, vpn, entry);
    becomesAnon(state, event);
    addMapcount(state, pfn, mapcount);
    addMapcount(state, oldPfn, oldMapcount);
    setRestore(state, pfn, restore);
  },
  HugetlbEntryCopied(state, { mm, child, vpn, pfn, entry, childEntry, ref, mapcount, exclusive }) {
    if (!state.mms[mm] || !state.mms[child]) return;
    setEntry(state, mm, vpn, entry);
    setEntry(state, child, vpn, childEntry);
    addRef(state, pfn, ref);
    addMapcount(state, pfn, mapcount);
    const head = pageOf(state, pfn);
    if (head && exclusive === 0) head.flags &= ~PG_ANON_EXCLUSIVE;
  },
  HugetlbEntryZapped(state, { mm, vpn, pfn, mapcount, dirty }) {
    const target = state.mms[mm];
    if (!target) return;
    setPmd(target, vpn, null);
    target.gather.push(pfn);
    addMapcount(state, pfn, mapcount);
    const head = pageOf(state, pfn);
    if (head && dirty === 1) head.flags |= PG_DIRTY;
  },
  HugetlbPageReleased(state, { pfn, ref }) {
    addRef(state, pfn, ref);
  },
  HugetlbPageFreed(state, { pfn, resv }) {
    state.hugetlb.resv += resv;
    const stuck = state.hugetlb.unmovable.indexOf(pfn);
    if (stuck >= 0) state.hugetlb.unmovable.splice(stuck, 1);
    setRestore(state, pfn, 0);
    const charged = state.hugetlb.charged.findIndex((each) => each.pfn === pfn);
    if (charged >= 0) state.hugetlb.charged.splice(charged, 1);
    forEachPage(state, pfn, (page) => {
      page.flags &= ~(PG_ANON | PG_ANON_EXCLUSIVE);
      page.mapping = 0;
      page.index = 0;
    });
  },
  HugetlbPageCached(state, { inode, index, pfn, ref, restore }) {
    const target = state.inodes[inode];
    if (!target || index < 0) return;
    forEachPage(state, pfn, (page, i) => {
      page.mapping = inode;
      page.index = index + i;
      if (i === 0) page.flags |= PG_DIRTY;
      setCacheSlot(target, index + i, pfn + i + 1);
    });
    addRef(state, pfn, ref);
    setRestore(state, pfn, restore);
  },
  HugetlbPageUncached(state, { inode, index, pfn, ref }) {
    const target = state.inodes[inode];
    if (!target || index < 0) return;
    forEachPage(state, pfn, (page, i) => {
      page.mapping = 0;
      if (i === 0) page.flags &= ~PG_DIRTY;
      setCacheSlot(target, index + i, -1);
    });
    addRef(state, pfn, ref);
  },
  ResvMapCreated({ hugetlb }, { map, inode }) {
    if (map < 1) return;
    while (hugetlb.maps.length <= map) hugetlb.maps.push(null);
    hugetlb.maps[map] = { id: map, inode, refs: 1, regions: [] };
  },
  ResvMapReferenced({ hugetlb }, { map, refs }) {
    const target = hugetlb.maps[map];
    if (target) target.refs += refs;
  },
  ResvMapFreed({ hugetlb }, { map }) {
    const inode = hugetlb.maps[map]?.inode ?? 0;
    const file = inode === 0 ? -1 : hugetlb.files.findIndex((each) => each.inode === inode);
    if (file >= 0) hugetlb.files.splice(file, 1);
    if (map > 0 && map < hugetlb.maps.length) hugetlb.maps[map] = null;
  },
  ResvRegionsSet({ hugetlb }, { map, regions }) {
    const target = hugetlb.maps[map];
    if (target) target.regions = [...regions];
  },
  HugetlbVmaSet({ hugetlb }, { mm, start, map, flags, reserved }) {
    const at = hugetlb.vmas.findIndex((each) => each.mm === mm && each.start === start);
    const now: HugetlbVma = { mm, start, map, flags, reserved };
    const empty = map === 0 && flags === 0 && reserved === 0;
    if (at < 0 && !empty) hugetlb.vmas.push(now);
    else if (at >= 0 && empty) hugetlb.vmas.splice(at, 1);
    else if (at >= 0) hugetlb.vmas[at] = now;
  },
  HugetlbfsMounted({ hugetlb }, { sb, name, max, min }) {
    if (sb === hugetlb.subpools.length) hugetlb.subpools.push({ name, max, min, used: 0, rsv: Math.max(min, 0) });
  },
  HugetlbSubpoolCounted({ hugetlb }, { sb, used, rsv }) {
    const subpool = hugetlb.subpools[sb];
    if (!subpool) return;
    subpool.used += used;
    subpool.rsv += rsv;
  },
  HugetlbSubpoolSet({ hugetlb }, { pfn, sb }) {
    hugetlb.charged.push({ pfn, sb });
  },
  HugetlbfsUnmounted({ hugetlb }, { sb }) {
    const subpool = hugetlb.subpools[sb];
    if (subpool) subpool.name = '';
  },
  HugetlbFileSet({ hugetlb }, { inode, sb, seals, mode }) {
    const at = hugetlb.files.findIndex((each) => each.inode === inode);
    hugetlb.files[at < 0 ? hugetlb.files.length : at] = { inode, sb, seals, mode };
  },
};
