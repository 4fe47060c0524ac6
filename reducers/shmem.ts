// Reducers for events/shmem.ts: accounting of files in memory, seals.
import type { ShmemEvent } from '../events/index.js';
import type { Reducers } from './index.js';

export const shmemReducers: Reducers<ShmemEvent['type']> = {
  ShmemInodeInitialised(state, { inode, noreserve, seals, mode, committed }) {
    state.shmem[inode] = { nrpages: 0, alloced: 0, swapped: 0, blocks: 0, seals, noreserve, mode };
    state.committed += committed;
  },
  ShmemAccounted(state, { inode, alloced, swapped, blocks, committed }) {
    state.committed += committed;
    const info = state.shmem[inode];
    if (!info) return;
    info.alloced += alloced;
    info.swapped += swapped;
    info.blocks += blocks;
  },
  ShmemInodeEvicted(state, { inode, committed }) {
    delete state.shmem[inode];
    state.committed += committed;
  },
  SealsAdded(state, { inode, seals }) {
    const info = state.shmem[inode];
    if (info) info.seals = seals;
  },
};
