// Reducers for events/folio.ts: frames, bytes, page cache, LRU batches.
import type { FolioEvent } from '../events/index.js';
import { copiedContent, writtenContent } from './content.js';
import { cutDisk, writeBack } from './disk.js';
import type { Reducers } from './index.js';
import { noLargeFolio } from './large-count.js';
import type { KernelState, OpenFile, Page } from './state.js';
import {
  MLOCK_FLAGS,
  PG_ANON,
  PG_DIRTY,
  PG_FREE,
  PG_LRU,
  PG_NOT_UPTODATE,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  SECTION,
  cachedPfn,
  folioOf,
  newCpu,
  pageOf,
  setCacheSlot,
} from './state.js';

/** Puts a frame back on the free list; the first page of a large folio with all of it. */
export function freePage(state: KernelState, pfn: number): void {
  const page = pageOf(state, pfn);
  if (!page) return;
  if (page.order !== 0) return freeLargeFolio(state, pfn, page.order);
  clearPage(page);
  page.flags = PG_FREE;
  page.index = state.freeHead;
  state.freeHead = pfn;
}

/** All pages of the folio that `pfn` belongs to go to the free blocks of its order, which they keep. */
function freeLargeFolio(state: KernelState, pfn: number, order: number): void {
  const pages = 2 ** order;
  const head = pfn - (pfn % pages);
  delete state.largeFolios[head];
  for (let i = 0; i < pages; i++) {
    const page = pageOf(state, head + i);
    if (!page) continue;
    clearPage(page);
    page.flags = PG_FREE;
    page.order = order;
  }
  while (state.freeLarge.length <= order) state.freeLarge.push(-1);
  const first = pageOf(state, head);
  if (first) first.index = state.freeLarge[order]!;
  state.freeLarge[order] = head;
}

/** `mapping->nrpages` of an accounted file changes with the pages [index, pfn, n]* that enter its cache (`sign` 1) or leave it. */
export function countCached(state: KernelState, inode: number, runs: readonly number[], sign: number): void {
  const info = state.shmem[inode];
  if (info) for (let i = 2; i < runs.length; i += 3) info.nrpages += sign * runs[i]!;
}

/** As a page comes from the allocator, without its reference. */
function clearPage(page: Page): void {
  page.flags = 0;
  page.ref = 0;
  page.mapcount = 0;
  page.mapping = 0;
  page.index = 0;
  page.lruCpu = -1;
  page.content = null;
  page.order = 0;
}

/** The frames of a large folio leave the free blocks, or are new; frames that alignment skips can be had one by one. */
export function takeLargeFolio(state: KernelState, head: number, order: number): void {
  const pages = 2 ** order;
  const known = state.maxPfn;
  if (state.freeLarge[order] === head) state.freeLarge[order] = pageOf(state, head)?.index ?? -1;
  takePage(state, head + pages - 1);
  for (let pfn = Math.min(head, state.maxPfn) - 1; pfn >= known; pfn--) freePage(state, pfn);
  for (let i = 0; i < pages; i++) {
    const page = pageOf(state, head + i)!;
    clearPage(page);
    page.order = order;
  }
  pageOf(state, head)!.ref = 1;
  state.largeFolios[head] = noLargeFolio(order);
}

function takePage(state: KernelState, pfn: number): Page {
  while (state.maxPfn <= pfn) {
    const section = Math.floor(state.maxPfn / SECTION);
    while (state.memMap.length <= section) state.memMap.push([]);
    state.memMap[section]!.push({
      flags: 0,
      ref: 0,
      mapcount: 0,
      mapping: 0,
      index: 0,
      lruCpu: -1,
      content: null,
      order: 0,
    });
    state.maxPfn++;
  }
  const page = pageOf(state, pfn)!;
  if (state.freeHead === pfn) state.freeHead = page.index;
  return page;
}

/** A new page waits in the batch of `cpu` (-1: in none). */
export function enterLruBatch(state: KernelState, page: Page, pfn: number, cpu: number): void {
  page.lruCpu = cpu;
  if (cpu < 0) return;
  while (state.cpus.length <= cpu) state.cpus.push(newCpu());
  state.cpus[cpu]!.lruAdd.push(pfn);
}

function drainReferences(state: KernelState, batch: readonly number[], ref: number, freed: readonly number[]): void {
  for (const pfn of batch) {
    const page = folioOf(state, pfn);
    if (page) page.ref += ref;
  }
  for (let i = 0; i + 1 < freed.length; i += 2) for (let j = 0; j < freed[i + 1]!; j++) freePage(state, freed[i]! + j);
}

export const folioReducers: Reducers<FolioEvent['type']> = {
  FolioAllocated(state, { pfn }) {
    const page = takePage(state, pfn);
    clearPage(page);
    page.ref = 1;
  },
  PageCopied(state, { pfn, from }) {
    const page = pageOf(state, pfn);
    if (page) page.content = pageOf(state, from)?.content ?? null;
  },
  FolioReleased(state, { pfn, ref, freed }) {
    if (freed === 1) return freePage(state, pfn);
    const page = folioOf(state, pfn);
    if (page) page.ref += ref;
  },
  PageWritten(state, { pfn, offset, length, byte }) {
    const page = pageOf(state, pfn);
    if (page) page.content = writtenContent(page.content, offset, length, byte);
  },
  BytesCopied(state, { pfn, offset, from, fromOffset, length }) {
    const page = pageOf(state, pfn);
    const source = from < 0 ? null : (pageOf(state, from)?.content ?? null);
    if (page) page.content = copiedContent(page.content, offset, source, fromOffset, length);
  },
  FolioUptodateSet(state, { pfn, uptodate }) {
    const page = pageOf(state, pfn);
    if (page) page.flags = uptodate === 1 ? page.flags & ~PG_NOT_UPTODATE : page.flags | PG_NOT_UPTODATE;
  },
  MlockBatched(state, { cpu, kind, runs, set, ref }) {
    if (cpu < 0) return;
    while (state.cpus.length <= cpu) state.cpus.push(newCpu());
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < runs[i + 1]!; j++) {
        const page = pageOf(state, runs[i]! + j);
        if (!page) continue;
        page.flags |= set;
        page.ref += ref;
        state.cpus[cpu]!.mlock.push(runs[i]! + j, kind);
      }
  },
  MlockBatchDrained(state, { cpu, ref, pages, freed }) {
    const batches = state.cpus[cpu];
    if (!batches) return;
    for (let i = 0; i + 1 < pages.length; i += 2) {
      const page = pageOf(state, pages[i]!);
      if (page) page.flags = (page.flags & ~MLOCK_FLAGS) | (pages[i + 1]! & MLOCK_FLAGS);
    }
    const batch = batches.mlock.filter((_, i) => i % 2 === 0);
    batches.mlock = [];
    drainReferences(state, batch, ref, freed);
  },
  FoliosUnevictable(state, { runs }) {
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < runs[i + 1]!; j++) {
        const page = pageOf(state, runs[i]! + j);
        if (page) page.flags |= PG_UNEVICTABLE;
      }
  },
  FolioCleaned(state, { pfn }) {
    const page = pageOf(state, pfn);
    if (page) page.flags &= ~PG_DIRTY;
    writeBack(state, pfn);
  },
  FolioDirtied(state, { pfn }) {
    const page = pageOf(state, pfn);
    if (page) page.flags |= PG_DIRTY;
  },
  LruAddDrained(state, { cpu, ref, freed }) {
    const batches = state.cpus[cpu];
    if (!batches) return;
    const batch = batches.lruAdd;
    for (const pfn of batch) {
      const page = pageOf(state, pfn);
      if (!page) continue;
      page.flags |= PG_LRU;
      page.lruCpu = -1;
    }
    batches.lruAdd = [];
    drainReferences(state, batch, ref, freed);
  },
  LruLazyfreeDrained(state, { cpu, ref, freed }) {
    const batches = state.cpus[cpu];
    if (!batches) return;
    const batch = batches.lruLazyfree;
    for (const pfn of batch) {
      const page = pageOf(state, pfn);
      if (page) page.flags = (page.flags & ~PG_SWAPBACKED) | PG_LRU;
    }
    batches.lruLazyfree = [];
    drainReferences(state, batch, ref, freed);
  },
  InodeCreated(state, { inode, name, kind, size, resident }) {
    while (state.inodes.length <= inode) state.inodes.push(null);
    state.inodes[inode] = { id: inode, name, kind, size, data: size, resident, pages: [] };
    state.inodeByName[name] = inode;
  },
  InodeResized(state, { inode, size, data }) {
    const target = state.inodes[inode];
    if (!target) return;
    if (size < target.size) cutDisk(state, inode, size);
    target.size = size;
    target.data = data;
  },
  FdInstalled(state, { tgid, fd, inode, flags, file }) {
    (state.files[tgid] ??= {})[fd] = { inode, flags, file };
    while (state.positions.length <= file) state.positions.push(0);
  },
  FilePositionSet(state, { file, position }) {
    if (file >= 0 && file < state.positions.length) state.positions[file] = position;
  },
  FdClosed(state, { tgid, fd }) {
    const table = state.files[tgid];
    if (table) delete table[fd];
  },
  FdTableCopied(state, { tgid, from }) {
    const copy: Record<number, OpenFile> = {};
    for (const [fd, file] of Object.entries(state.files[from] ?? {})) copy[Number(fd)] = { ...file };
    state.files[tgid] = copy;
  },
  PageCacheHolesNoted(state, { inode, runs }) {
    const target = state.inodes[inode];
    if (!target) return;
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < runs[i + 1]!; j++) setCacheSlot(target, runs[i]! + j, -1);
  },
  PageCacheHolesForgotten(state, { inode, runs }) {
    const target = state.inodes[inode];
    if (!target) return;
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < runs[i + 1]!; j++)
        if ([-1, -2, -3].includes(cachedPfn(target, runs[i]! + j))) setCacheSlot(target, runs[i]! + j, 0);
  },
  PageCacheAdded(state, { inode, runs, swapbacked, ref, lruCpu }) {
    const target = state.inodes[inode];
    if (!target) return;
    for (let i = 0; i + 2 < runs.length; i += 3) {
      for (let j = 0; j < runs[i + 2]!; j++) {
        const index = runs[i]! + j;
        const pfn = runs[i + 1]! + j;
        const page = takePage(state, pfn);
        page.flags = (lruCpu < 0 ? PG_LRU : 0) | (swapbacked === 1 ? PG_SWAPBACKED : 0);
        page.ref = ref;
        page.mapcount = 0;
        page.mapping = inode;
        page.index = index;
        enterLruBatch(state, page, pfn, lruCpu);
        const written = state.disks[inode]?.[index];
        page.content = swapbacked === 1 ? null : written === undefined ? { fill: 0, inode, index, runs: [] } : written;
        setCacheSlot(target, index, pfn + 1);
      }
    }
    countCached(state, inode, runs, 1);
  },
  PageCacheRemoved(state, { inode, runs, ref, freed }) {
    const target = state.inodes[inode];
    for (let i = 0; i + 2 < runs.length; i += 3) {
      for (let j = 0; j < runs[i + 2]!; j++) {
        if (target) setCacheSlot(target, runs[i]! + j, -1);
        const page = pageOf(state, runs[i + 1]! + j);
        if (!page) continue;
        (page.order === 0 ? page : folioOf(state, runs[i + 1]! + j)!).ref += ref;
        if ((page.flags & PG_ANON) === 0) page.mapping = 0;
      }
    }
    countCached(state, inode, runs, -1);
    for (let i = 0; i + 1 < freed.length; i += 2)
      for (let j = 0; j < freed[i + 1]!; j++) freePage(state, freed[i]! + j);
  },
};
