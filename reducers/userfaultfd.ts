// Reducers for events/userfaultfd.ts.
import type { UserfaultfdEvent } from '../events/index.js';
import type { Reducers } from './index.js';
import { mkPte, setPmd, setPte } from './pte.js';
import type { KernelState, Mm } from './state.js';
import type { Uffd } from './uffd-state.js';
import { HPAGE_PMD_NR, pageOf } from './state.js';
import { UFFD_EVENT, UFFD_WAITER, emptyQueues } from './uffd-state.js';
import { findVmaIndex } from './vma.js';

const mmOf = (state: KernelState, id: number): Mm | null => state.mms[id] ?? null;
const uffdOf = (state: KernelState, id: number): Uffd | null => state.uffds[id] ?? null;

/** `list` with `tid` once more, or once less. */
function count(list: number[], tid: number, by: number): void {
  const at = list.indexOf(tid);
  if (by > 0) list.push(tid);
  else if (at >= 0) list.splice(at, 1);
}

/** Takes the waiter `tid` out of `queue`; its numbers, or none. */
function takeWaiter(queue: number[], tid: number): number[] {
  for (let at = 0; at + UFFD_WAITER <= queue.length; at += UFFD_WAITER)
    if (queue[at] === tid) return queue.splice(at, UFFD_WAITER);
  return [];
}

export const userfaultfdReducers: Reducers<UserfaultfdEvent['type']> = {
  UffdCreated(state, { uffd, inode, mm, flags, features }) {
    if (uffd < 1) return;
    while (state.uffds.length <= uffd) state.uffds.push(null);
    state.uffds[uffd] = { id: uffd, inode, mm, flags, features, released: 0, ...emptyQueues() };
  },
  UffdFeaturesSet(state, { uffd, features }) {
    const context = uffdOf(state, uffd);
    if (context) context.features = features;
  },
  UffdVmaSet(state, { mm, start, uffd, flags }) {
    const target = mmOf(state, mm);
    const vma = target?.vmas[findVmaIndex(target, start)];
    if (vma === undefined || vma.start !== start) return;
    vma.flags = flags;
    if (uffd === 0) delete vma.uffd;
    else vma.uffd = uffd;
  },
  UffdFaultQueued(state, { uffd, tid, addr, flags, ptid }) {
    uffdOf(state, uffd)?.pending.push(tid, addr, flags, ptid);
  },
  UffdFaultRead(state, { uffd, tid }) {
    const context = uffdOf(state, uffd);
    if (context) context.read.push(...takeWaiter(context.pending, tid));
  },
  UffdFaultsWoken(state, { uffd, tids }) {
    const context = uffdOf(state, uffd);
    if (!context) return;
    for (const tid of tids) {
      takeWaiter(context.pending, tid);
      takeWaiter(context.read, tid);
    }
  },
  UffdReleased(state, { uffd }) {
    const context = uffdOf(state, uffd);
    if (context) context.released = 1;
  },
  UffdWpChanged(state, { mm, runs }) {
    const target = mmOf(state, mm);
    if (!target) return;
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) {
        // Entries that lead to no frame of their own (the zero page) have runs of one.
        setPte(target, runs[i]! + j, mkPte(runs[i + 1]! + j, runs[i + 3]!));
      }
  },
  UffdRangeProtected() {
    // It says that the entries were written, which other events told.
  },
  UffdMarkersSet(state, { mm, runs, entry }) {
    const target = mmOf(state, mm);
    if (!target) return;
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < runs[i + 1]!; j++) setPte(target, runs[i]! + j, entry);
  },
  MmCounterChanged(state, { mm, counter, pages }) {
    const rss = mmOf(state, mm)?.rss;
    if (rss?.[counter] !== undefined) rss[counter] += pages;
  },
  UffdEntryMoved(state, { mm, vpn, newVpn, pfn, entry, anonVma, index }) {
    const target = mmOf(state, mm);
    if (target) {
      setPte(target, vpn, 0);
      setPte(target, newVpn, entry);
    }
    const page = pfn < 0 ? undefined : pageOf(state, pfn);
    if (!page) return;
    page.mapping = anonVma;
    page.index = index;
  },
  UffdPmdMoved(state, { mm, vpn, newVpn, pfn, entry, anonVma, index }) {
    const target = mmOf(state, mm);
    if (target) {
      setPmd(target, vpn, null);
      setPmd(target, newVpn, entry);
    }
    const pages = pfn < 0 ? 0 : HPAGE_PMD_NR;
    for (let i = 0; i < pages; i++) {
      const page = pageOf(state, pfn + i);
      if (!page) continue;
      page.mapping = anonVma;
      page.index = index + i;
    }
  },
  UffdMmapChanging(state, { uffd, tid, count: by }) {
    const context = uffdOf(state, uffd);
    if (context) count(context.changing, tid, by);
  },
  UffdEventQueued(state, { uffd, tid, event, from, to, length }) {
    uffdOf(state, uffd)?.events.push(tid, event, from, to, length);
  },
  UffdEventRemoved(state, { uffd, tid }) {
    const events = uffdOf(state, uffd)?.events ?? [];
    for (let at = 0; at + UFFD_EVENT <= events.length; at += UFFD_EVENT)
      if (events[at] === tid) {
        events.splice(at, UFFD_EVENT);
        return;
      }
  },
  UffdInodeSet(state, { uffd, inode }) {
    const context = uffdOf(state, uffd);
    if (context) context.inode = inode;
  },
  UffdReaderWaits(state, { uffd, tid, count: by }) {
    const context = uffdOf(state, uffd);
    if (context) count(context.readers, tid, by);
  },
};
