// Reducers for events/huge.ts: huge entries, and what large folios count.
import type { HugeEvent } from '../events/index.js';
import { takeLargeFolio } from './folio.js';
import type { Reducers } from './index.js';
import { PTRS_PER_PTE, leafPart, setPmd } from './pte.js';
import type { KernelState, Mm } from './state.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  MM_ANONPAGES,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_LRU,
  PG_SWAPBACKED,
  folioOf,
  pageOf,
} from './state.js';

const mmOf = (state: KernelState, id: number): Mm | null => state.mms[id] ?? null;

export function addEntireMapcount(state: KernelState, pfn: number, difference: number): void {
  const folio = state.largeFolios[pfn];
  if (folio) folio.entireMapcount += difference;
}

/** Numbers of one folio in LargeFoliosCounted. */
export const COUNTED = 9;

export const hugeReducers: Reducers<HugeEvent['type']> = {
  LargeFolioAllocated(state, { pfn, order }) {
    const sound = Number.isInteger(order) && order >= 1 && order <= HPAGE_PMD_ORDER && pfn >= 0;
    if (sound && pfn % 2 ** order === 0) takeLargeFolio(state, pfn, order);
  },
  LargeFoliosCounted(state, { folios }) {
    for (let i = 0; i + COUNTED <= folios.length; i += COUNTED) {
      const folio = state.largeFolios[folios[i]!];
      if (!folio) continue;
      folio.largeMapcount = folios[i + 1]!;
      folio.mm0 = folios[i + 2]!;
      folio.count0 = folios[i + 3]!;
      folio.mm1 = folios[i + 4]!;
      folio.count1 = folios[i + 5]!;
      folio.mappedShared = folios[i + 6]!;
      folio.partiallyMapped = folios[i + 7]!;
      folio.pincount = folios[i + 8]!;
    }
  },
  HugePageMapped(state, event) {
    const target = mmOf(state, event.mm);
    if (target) {
      setPmd(target, event.vpn, event.entry);
      target.tableBytes += event.bytes;
      target.rss[MM_ANONPAGES]! += event.rssAnon;
    }
    makeHugeAnon(state, event);
  },
  HugeZeroMapped(state, { mm, vpn, entry, bytes }) {
    const target = mmOf(state, mm);
    if (!target) return;
    setPmd(target, vpn, entry);
    target.tableBytes += bytes;
  },
  PmdSplit(state, { mm, vpn, pfn, entry, ref, mapcount, entireMapcount, exclusive, dirty }) {
    const target = mmOf(state, mm);
    if (target)
      setPmd(
        target,
        vpn,
        Array.from({ length: PTRS_PER_PTE }, (_, i) => leafPart(entry, i)),
      );
    if (pfn < 0) return;
    for (let i = 0; i < HPAGE_PMD_NR; i++) {
      const page = pageOf(state, pfn + i);
      if (!page) continue;
      page.mapcount += mapcount;
      if (exclusive === 1) page.flags |= PG_ANON_EXCLUSIVE;
    }
    const head = folioOf(state, pfn);
    if (head) {
      head.ref += ref;
      if (dirty === 1) head.flags |= PG_DIRTY;
    }
    addEntireMapcount(state, pfn, entireMapcount);
  },
  PmdZapped(state, { mm, vpn, pfn, entireMapcount, rssAnon, bytes }) {
    const target = mmOf(state, mm);
    if (!target) return;
    setPmd(target, vpn, null);
    target.tableBytes += bytes;
    target.rss[MM_ANONPAGES]! += rssAnon;
    if (pfn < 0) return;
    target.gather.push(pfn);
    addEntireMapcount(state, pfn, entireMapcount);
  },
  PmdCopied(state, { mm, child, vpn, pfn, entry, childEntry, ref, entireMapcount, exclusive, rssAnon, bytes }) {
    const from = mmOf(state, mm);
    const to = mmOf(state, child);
    if (!from || !to) return;
    setPmd(from, vpn, entry);
    setPmd(to, vpn, childEntry);
    to.tableBytes += bytes;
    to.rss[MM_ANONPAGES]! += rssAnon;
    if (pfn < 0) return;
    const head = folioOf(state, pfn);
    if (head) {
      head.ref += ref;
      if (exclusive === 0) head.flags &= ~PG_ANON_EXCLUSIVE;
    }
    addEntireMapcount(state, pfn, entireMapcount);
  },
  PmdProtected: setEntry,
  PmdFlagsSet: setEntry,
  PmdMoved(state, { mm, vpn, newVpn, entry }) {
    const target = mmOf(state, mm);
    if (!target) return;
    setPmd(target, vpn, null);
    setPmd(target, newVpn, entry);
  },
  PmdReused(state, event) {
    setEntry(state, event);
    const { pfn, exclusive, anonVma } = event;
    const head = pageOf(state, pfn);
    if (head && exclusive === 1) head.flags |= PG_ANON_EXCLUSIVE;
    if (anonVma === 0) return;
    for (let i = 0; i < HPAGE_PMD_NR; i++) {
      const page = pageOf(state, pfn + i);
      if (page) page.mapping = anonVma;
    }
  },
  SettingWritten(state, { name, value }) {
    // Another object, so that what was worked out from the settings can be kept with them.
    state.settings = { ...state.settings, [name]: value };
  },
};

/** `folio_add_new_anon_rmap()` of 512 pages that one entry maps. */
export function makeHugeAnon(
  state: KernelState,
  event: {
    readonly pfn: number;
    readonly anonVma: number;
    readonly index: number;
    readonly ref: number;
    readonly entireMapcount: number;
    readonly exclusive: number;
    readonly lru: number;
  },
): void {
  for (let i = 0; i < HPAGE_PMD_NR; i++) {
    const page = pageOf(state, event.pfn + i);
    if (!page) continue;
    page.flags |= PG_ANON | PG_SWAPBACKED;
    page.mapping = event.anonVma;
    page.index = event.index + i;
  }
  const head = pageOf(state, event.pfn);
  if (head) {
    head.flags |= (event.exclusive === 1 ? PG_ANON_EXCLUSIVE : 0) | (event.lru === 1 ? PG_LRU : 0);
    head.ref += event.ref;
  }
  addEntireMapcount(state, event.pfn, event.entireMapcount);
}

function setEntry(
  state: KernelState,
  { mm, vpn, entry }: { readonly mm: number; readonly vpn: number; readonly entry: number },
): void {
  const target = mmOf(state, mm);
  if (target) setPmd(target, vpn, entry);
}
