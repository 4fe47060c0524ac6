// Reducers for events/ksm.ts: processes that are scanned, rmap items, the stable tree, merged pages.
import type { KsmEvent } from '../events/index.js';
import type { Reducers } from './index.js';
import { setPte } from './pte.js';
import type { KsmItem, KsmSlot } from './ksm-state.js';
import type { KernelState } from './state.js';
import { MM_ANONPAGES, PG_ANON_EXCLUSIVE, PG_DIRTY, ksmMapping, pageOf } from './state.js';

/** Indices in `Ksm.counters`. */
const MERGING = 0;
const ITEMS = 1;
const ZERO_PAGES = 2;

const slotOf = (state: KernelState, mm: number): KsmSlot | undefined => state.ksm.slots.find((each) => each.mm === mm);
const itemOf = (state: KernelState, mm: number, vpn: number): KsmItem | undefined =>
  slotOf(state, mm)?.items.find((each) => each.vpn === vpn);

/** Adds to a process's counter; where all are 0 nothing is kept. */
function count(state: KernelState, mm: number, which: number, n: number): void {
  if (n === 0) return;
  const counters = (state.ksm.counters[mm] ??= [0, 0, 0]);
  counters[which]! += n;
  if (counters.every((each) => each === 0)) delete state.ksm.counters[mm];
}

export const ksmReducers: Reducers<KsmEvent['type']> = {
  KsmMmEntered({ ksm }, { mm }) {
    ksm.slots.push({ mm, exited: 0, items: [] });
  },
  KsmMmExited({ ksm }, { mm }) {
    const at = ksm.slots.findIndex((each) => each.mm === mm);
    if (at < 0) return;
    const [slot] = ksm.slots.splice(at, 1) as [KsmSlot];
    slot.exited = 1;
    ksm.slots.unshift(slot);
  },
  KsmMmLeft({ ksm }, { mm }) {
    const at = ksm.slots.findIndex((each) => each.mm === mm);
    if (at >= 0) ksm.slots.splice(at, 1);
  },
  KsmCountersInherited(state, { mm, merging, items, zeroPages, allZeroPages }) {
    count(state, mm, MERGING, merging);
    count(state, mm, ITEMS, items);
    count(state, mm, ZERO_PAGES, zeroPages);
    state.ksm.zeroPages += allZeroPages;
  },
  KsmItemAdded(state, { mm, vpn, items }) {
    const list = slotOf(state, mm)?.items;
    if (list) {
      const at = list.findIndex((each) => each.vpn >= vpn);
      list.splice(at < 0 ? list.length : at, 0, {
        vpn,
        node: 0,
        anonVma: 0,
        unstable: 0,
        checked: 0,
        content: null,
      });
    }
    count(state, mm, ITEMS, items);
  },
  KsmItemRemoved(state, { mm, vpn, items }) {
    const list = slotOf(state, mm)?.items;
    const at = list?.findIndex((each) => each.vpn === vpn) ?? -1;
    if (at >= 0) list?.splice(at, 1);
    count(state, mm, ITEMS, items);
  },
  KsmItemChecked(state, { mm, vpn, pfn }) {
    const item = itemOf(state, mm, vpn);
    if (!item) return;
    item.checked = 1;
    const page = pageOf(state, pfn);
    item.content = page?.content ?? null;
  },
  KsmItemUnstable(state, { mm, vpn, unstable, unshared }) {
    const item = itemOf(state, mm, vpn);
    if (item) item.unstable = unstable;
    state.ksm.pagesUnshared += unshared;
  },
  KsmItemLinked: (state, event) => link(state, event, event.node, event.anonVma),
  KsmItemUnlinked: (state, event) => link(state, event, 0, 0),
  KsmNodeInserted(state, { node, pfn }) {
    state.ksm.nodes.unshift({ id: node, pfn });
    state.ksm.lastNode = Math.max(state.ksm.lastNode, node);
    const page = pageOf(state, pfn);
    if (page) page.mapping = ksmMapping(node);
  },
  KsmNodeMoved(state, { node, pfn, from }) {
    const found = state.ksm.nodes.find((each) => each.id === node);
    if (found) found.pfn = pfn;
    const page = pageOf(state, pfn);
    if (page) page.mapping = ksmMapping(node);
    const old = pageOf(state, from);
    if (old) old.mapping = ksmMapping(0);
  },
  KsmNodeRemoved({ ksm }, { node }) {
    const at = ksm.nodes.findIndex((each) => each.id === node);
    if (at >= 0) ksm.nodes.splice(at, 1);
  },
  KsmPageProtected(state, { mm, vpn, pfn, entry, exclusive, dirty }) {
    const space = state.mms[mm];
    if (space) setPte(space, vpn, entry);
    const page = pageOf(state, pfn);
    if (!page) return;
    if (exclusive === 0) page.flags &= ~PG_ANON_EXCLUSIVE;
    if (dirty === 1) page.flags |= PG_DIRTY;
  },
  KsmPageMade(state, { pfn }) {
    const page = pageOf(state, pfn);
    if (!page) return;
    page.mapping = ksmMapping(0);
    page.flags |= PG_DIRTY;
  },
  KsmPageReplaced(state, { mm, vpn, pfn, mapcount, kpfn, kref, kmapcount, entry, rssAnon }) {
    const space = state.mms[mm];
    if (space) {
      setPte(space, vpn, entry);
      space.rss[MM_ANONPAGES]! += rssAnon;
    }
    const page = pageOf(state, pfn);
    if (page) page.mapcount += mapcount;
    const kept = kpfn < 0 ? undefined : pageOf(state, kpfn);
    if (!kept) return;
    kept.ref += kref;
    kept.mapcount += kmapcount;
  },
  KsmZeroPagesChanged(state, { mm, zeroPages, allZeroPages }) {
    count(state, mm, ZERO_PAGES, zeroPages);
    state.ksm.zeroPages += allZeroPages;
  },
  KsmScanEnded({ ksm }, { scans }) {
    ksm.scans += scans;
  },
  KsmUseZeroPagesSet({ ksm }, { on }) {
    ksm.useZeroPages = on;
  },
};

interface Linking {
  readonly mm: number;
  readonly vpn: number;
  readonly merging: number;
  readonly shared: number;
  readonly sharing: number;
}

function link(state: KernelState, event: Linking, node: number, anonVma: number): void {
  const { mm, vpn, merging, shared, sharing } = event;
  const item = itemOf(state, mm, vpn);
  if (item) {
    item.node = node;
    item.anonVma = anonVma;
  }
  count(state, mm, MERGING, merging);
  state.ksm.pagesShared += shared;
  state.ksm.pagesSharing += sharing;
}
