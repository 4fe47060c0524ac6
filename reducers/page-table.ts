// Reducers for events/page-table.ts: they write the entries and apply the differences the event carries, and derive nothing.
import type { PageTableEvent } from '../events/index.js';
import { enterLruBatch, freePage } from './folio.js';
import type { Reducers } from './index.js';
import { TABLE_BYTES, addMissingTables, addTables, dropTables, mkPte, setPte } from './pte.js';
import type { KernelState, Mm, Page } from './state.js';
import {
  MM_ANONPAGES,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_LRU,
  PG_SWAPBACKED,
  folioOf,
  newCpu,
  pageOf,
} from './state.js';

const mmOf = (state: KernelState, id: number): Mm | null => state.mms[id] ?? null;

function addRss(mm: Mm, file: number, anon: number, shmem: number): void {
  if (file !== 0) mm.rss[MM_FILEPAGES]! += file;
  if (anon !== 0) mm.rss[MM_ANONPAGES]! += anon;
  if (shmem !== 0) mm.rss[MM_SHMEMPAGES]! += shmem;
}

/** `folio_add_new_anon_rmap()` and `folio_add_lru_vma()` as one event tells them. */
function makeAnon(
  state: KernelState,
  page: Page,
  pfn: number,
  event: {
    readonly anonVma: number;
    readonly index: number;
    readonly ref: number;
    readonly mapcount: number;
    readonly exclusive: number;
    readonly lruCpu: number;
  },
): void {
  page.flags |= PG_ANON | PG_SWAPBACKED | (event.exclusive === 1 ? PG_ANON_EXCLUSIVE : 0);
  page.mapping = event.anonVma;
  page.index = event.index;
  page.ref += event.ref;
  page.mapcount += event.mapcount;
  enterLruBatch(state, page, pfn, event.lruCpu);
}

export const pageTableReducers: Reducers<PageTableEvent['type']> = {
  PageTableAllocated(state, { mm, vpn, bytes }) {
    const target = mmOf(state, mm);
    if (!target) return;
    addMissingTables(target, vpn, bytes / TABLE_BYTES);
    target.tableBytes += bytes;
  },
  PageTablesFreed(state, { mm, vpn, vpnEnd, bytes }) {
    const target = mmOf(state, mm);
    if (!target) return;
    dropTables(target, vpn, vpnEnd);
    target.tableBytes -= bytes;
  },
  ZeroPageMapped(state, { mm, vpn, entry }) {
    const target = mmOf(state, mm);
    if (target) setPte(target, vpn, entry);
  },
  SpecialPfnMapped(state, { mm, vpn, entry }) {
    const target = mmOf(state, mm);
    if (target) setPte(target, vpn, entry);
  },
  AnonPageMapped(state, event) {
    const target = mmOf(state, event.mm);
    if (target) {
      setPte(target, event.vpn, event.entry);
      if (event.rssAnon !== 0) target.rss[MM_ANONPAGES]! += event.rssAnon;
    }
    const page = pageOf(state, event.pfn);
    if (page) makeAnon(state, page, event.pfn, event);
  },
  CowPageMapped(state, event) {
    const target = mmOf(state, event.mm);
    if (target) {
      setPte(target, event.vpn, event.entry);
      addRss(target, event.rssFile, event.rssAnon, event.rssShmem);
    }
    const page = pageOf(state, event.pfn);
    if (page) makeAnon(state, page, event.pfn, event);
    const old = event.oldPfn < 0 ? undefined : pageOf(state, event.oldPfn);
    if (old) old.mapcount += event.oldMapcount;
  },
  PageReused(state, { mm, vpn, pfn, entry, exclusive, anonVma }) {
    const target = mmOf(state, mm);
    if (target) setPte(target, vpn, entry);
    const page = pageOf(state, pfn);
    if (!page) return;
    if (exclusive === 1) page.flags |= PG_ANON_EXCLUSIVE;
    if (anonVma !== 0) page.mapping = anonVma;
  },
  PteFlagsSet(state, { mm, vpn, entry }) {
    const target = mmOf(state, mm);
    if (target) setPte(target, vpn, entry);
  },
  FilePagesMapped(state, { mm, runs, flags, ref, mapcount, rssFile, rssShmem }) {
    const target = mmOf(state, mm);
    if (!target) return;
    for (let i = 0; i + 2 < runs.length; i += 3) {
      const vpn = runs[i]!;
      const pfn = runs[i + 1]!;
      const n = runs[i + 2]!;
      for (let j = 0; j < n; j++) {
        setPte(target, vpn + j, mkPte(pfn + j, flags));
        const page = pageOf(state, pfn + j);
        if (!page) continue;
        if (page.order === 0) page.ref += ref;
        else folioOf(state, pfn + j)!.ref += ref;
        page.mapcount += mapcount;
      }
    }
    addRss(target, rssFile, 0, rssShmem);
  },
  PtesCopied(state, { mm, child, anon, file, special, ref, mapcount, exclusive, rssFile, rssAnon, rssShmem }) {
    const from = mmOf(state, mm);
    const to = mmOf(state, child);
    if (!from || !to) return;
    const copy = (runs: readonly number[], counted: boolean, isAnon: boolean): void => {
      for (let i = 0; i + 4 < runs.length; i += 5) {
        const vpn = runs[i]!;
        const pfn = runs[i + 1]!;
        const n = runs[i + 2]!;
        const childFlags = runs[i + 3]!;
        const parentFlags = runs[i + 4]!;
        for (let j = 0; j < n; j++) {
          const frame = counted ? pfn + j : pfn;
          setPte(to, vpn + j, mkPte(frame, childFlags));
          setPte(from, vpn + j, mkPte(frame, parentFlags));
          const page = counted ? pageOf(state, frame) : undefined;
          if (!page) continue;
          if (page.order === 0) page.ref += ref;
          else folioOf(state, frame)!.ref += ref;
          page.mapcount += mapcount;
          if (isAnon && exclusive === 0) page.flags &= ~PG_ANON_EXCLUSIVE;
        }
      }
    };
    copy(anon, true, true);
    copy(file, true, false);
    copy(special, false, false);
    addRss(to, rssFile, rssAnon, rssShmem);
  },
  PtesProtected(state, { mm, runs }) {
    writeFlags(mmOf(state, mm), runs);
  },
  SoftDirtyChanged(state, { mm, runs }) {
    writeFlags(mmOf(state, mm), runs);
  },
  PtesZapped(state, { mm, runs, special, mapcount, rssFile, rssAnon, rssShmem }) {
    const target = mmOf(state, mm);
    if (!target) return;
    for (let i = 0; i + 3 < runs.length; i += 4) {
      const vpn = runs[i]!;
      const pfn = runs[i + 1]!;
      const n = runs[i + 2]!;
      for (let j = 0; j < n; j++) {
        setPte(target, vpn + j, 0);
        target.gather.push(pfn + j);
        const page = pageOf(state, pfn + j);
        if (page) page.mapcount += mapcount;
      }
    }
    for (let i = 0; i + 3 < special.length; i += 4) {
      const vpn = special[i]!;
      for (let j = 0; j < special[i + 2]!; j++) setPte(target, vpn + j, 0);
    }
    addRss(target, rssFile, rssAnon, rssShmem);
  },
  GatherFlushed(state, { mm, ref, runs, freed }) {
    const target = mmOf(state, mm);
    if (target) target.gather = [];
    for (let i = 0; i + 1 < runs.length; i += 2) {
      for (let j = 0; j < runs[i + 1]!; j++) {
        const page = folioOf(state, runs[i]! + j);
        if (page) page.ref += ref;
      }
    }
    for (let i = 0; i + 1 < freed.length; i += 2)
      for (let j = 0; j < freed[i + 1]!; j++) freePage(state, freed[i]! + j);
  },
  PtesMoved(state, { mm, vpn, newVpn, runs }) {
    const target = mmOf(state, mm);
    if (!target) return;
    // Taken out first, so that overlapping moves by stack relocation do not read what they wrote.
    const entries: number[] = [];
    for (let i = 0; i + 1 < runs.length; i += 2) {
      for (let j = 0; j < runs[i + 1]!; j++) {
        const offset = runs[i]! + j;
        entries.push(takePte(target, vpn + offset));
      }
    }
    let next = 0;
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < runs[i + 1]!; j++) setPte(target, newVpn + runs[i]! + j, entries[next++]!);
  },
  PagesLazyfreed(state, { mm, runs, ref, lruCpu }) {
    const target = mmOf(state, mm);
    if (!target) return;
    while (state.cpus.length <= lruCpu) state.cpus.push(newCpu());
    for (let i = 0; i + 3 < runs.length; i += 4) {
      const vpn = runs[i]!;
      const pfn = runs[i + 1]!;
      for (let j = 0; j < runs[i + 2]!; j++) {
        setPte(target, vpn + j, mkPte(pfn + j, runs[i + 3]!));
        const page = pageOf(state, pfn + j);
        if (!page) continue;
        page.flags &= ~PG_DIRTY;
        if (lruCpu < 0) continue;
        page.flags &= ~PG_LRU;
        page.ref += ref;
        state.cpus[lruCpu]!.lruLazyfree.push(pfn + j);
      }
    }
  },
  GuardMarkersInstalled(state, { mm, runs, entry }) {
    writeRuns(mmOf(state, mm), runs, entry);
  },
  GuardMarkersRemoved(state, { mm, runs }) {
    writeRuns(mmOf(state, mm), runs, 0);
  },
};

/** Entries of runs of [vpn, pfn, n, flags]. */
function writeFlags(mm: Mm | null, runs: readonly number[]): void {
  if (!mm) return;
  for (let i = 0; i + 3 < runs.length; i += 4) {
    const vpn = runs[i]!;
    const pfn = runs[i + 1]!;
    const n = runs[i + 2]!;
    const flags = runs[i + 3]!;
    for (let j = 0; j < n; j++) setPte(mm, vpn + j, mkPte(pfn + j, flags));
  }
}

/** Every entry of runs of [vpn, n] is `entry`. */
function writeRuns(mm: Mm | null, runs: readonly number[], entry: number): void {
  if (!mm) return;
  for (let i = 0; i + 1 < runs.length; i += 2) for (let j = 0; j < runs[i + 1]!; j++) setPte(mm, runs[i]! + j, entry);
}

function takePte(mm: Mm, vpn: number): number {
  const table = addTables(mm, vpn);
  const entry = table[vpn % 512]!;
  table[vpn % 512] = 0;
  return entry;
}
