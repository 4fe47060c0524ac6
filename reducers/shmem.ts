// Reducers for events/shmem.ts: accounting of files in memory, seals, their pages in the swap area.
import type { ShmemEvent } from '../events/index.js';
import { countCached } from './folio.js';
import type { Reducers } from './index.js';
import { PG_DIRTY, PG_SWAPBACKED, pageOf, setCacheSlot, swappedAt } from './state.js';
import { addCount, freeSlot, uncache } from './swap.js';

export const shmemReducers: Reducers<ShmemEvent['type']> = {
  TmpfsMounted(state, { sb, name, maxBlocks }) {
    if (sb === state.tmpfs.length) state.tmpfs.push({ name, maxBlocks, usedBlocks: 0 });
  },
  ShmemInodeInitialised(state, { inode, sb, noreserve, seals, mode, committed }) {
    state.shmem[inode] = { sb, nrpages: 0, alloced: 0, swapped: 0, blocks: 0, seals, noreserve, mode };
    state.committed += committed;
  },
  ShmemAccounted(state, { inode, alloced, swapped, blocks, used, committed }) {
    state.committed += committed;
    const info = state.shmem[inode];
    if (!info) return;
    info.alloced += alloced;
    info.swapped += swapped;
    info.blocks += blocks;
    const sb = state.tmpfs[info.sb];
    if (sb) sb.usedBlocks += used;
  },
  ShmemInodeEvicted(state, { inode, committed }) {
    delete state.shmem[inode];
    state.committed += committed;
  },
  ShmemFolioAdded(state, { inode, runs, ref }) {
    const [index = -1, pfn = -1, pages = 0] = runs;
    const target = state.inodes[inode];
    const page = pageOf(state, pfn);
    if (!target || !page || index < 0 || pages < 1) return;
    setCacheSlot(target, index, pfn + 1);
    countCached(state, inode, runs, 1);
    page.ref += ref;
    page.mapping = inode;
    page.index = index;
    page.flags |= PG_SWAPBACKED;
  },
  ShmemPageSwapped(state, { inode, runs, slot, ref, count }) {
    const [index = -1, pfn = -1, pages = 0] = runs;
    const target = state.inodes[inode];
    if (!target || index < 0 || slot < 0 || pages < 1) return;
    setCacheSlot(target, index, swappedAt(slot));
    countCached(state, inode, runs, -1);
    addCount(state, slot, count);
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    page.mapping = 0;
  },
  ShmemPageSwappedIn(state, { inode, runs, slot, ref, count }) {
    const [index = -1, pfn = -1, pages = 0] = runs;
    const target = state.inodes[inode];
    if (!target || index < 0 || pages < 1) return;
    setCacheSlot(target, index, pfn + 1);
    countCached(state, inode, runs, 1);
    addCount(state, slot, count);
    uncache(state, slot, pfn);
    freeSlot(state, slot);
    const page = pageOf(state, pfn);
    if (!page) return;
    page.ref += ref;
    page.mapping = inode;
    page.index = index;
    page.flags |= PG_DIRTY;
  },
  ShmemSwapFreed(state, { inode, runs, slot, count, slotFreed }) {
    const [index = -1, pages = 0] = runs;
    const target = state.inodes[inode];
    if (!target || index < 0 || pages < 1) return;
    setCacheSlot(target, index, -1);
    if (slotFreed === 1) freeSlot(state, slot);
    else addCount(state, slot, count);
  },
  SealsAdded(state, { inode, seals }) {
    const info = state.shmem[inode];
    if (info) info.seals = seals;
  },
};
