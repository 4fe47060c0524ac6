// Files in memory: how many pages of each are accounted, recomputed from the page cache, and how many entries map them.
import { FrameKind } from './facts/frames.js';
import { Facts } from './facts/facts.js';
import { factsOf } from './facts/from-state.js';
import { factHandlers } from './facts/handlers.js';
import { shmemCommitted } from './facts/shmem.js';
import type { StateProjection } from './projection.js';

/** One file; sizes in pages, but for `size` and `blocks`. */
export interface ShmemAccounts {
  readonly inode: number;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly cached: number;
  readonly swapped: number;
  /** Clean holes that reclaim dropped, accounted until somebody counts. */
  readonly dropped: number;
  /** i_blocks as the pages add up to it: sectors of 512 bytes. */
  readonly blocks: number;
  /** Charged against the commit limit. */
  readonly committed: number;
  /** Cached pages that entries map, and how many entries. */
  readonly mapped: number;
  readonly mappings: number;
}

export const shmem: StateProjection<Facts> = {
  name: 'shmem',
  init: () => new Facts(),
  on: factHandlers,
  fromState: factsOf,
  read(facts): readonly ShmemAccounts[] {
    return [...facts.shmem]
      .sort(([a], [b]) => a - b)
      .flatMap(([id, file]) => {
        const inode = facts.inodes.get(id);
        if (inode === undefined) return [];
        const mappers = [...inode.pages.values()]
          .filter((pfn) => facts.frames.kind[pfn] === FrameKind.shmem)
          .map((pfn) => facts.frames.mappers[pfn] as number);
        return {
          inode: id,
          name: inode.name,
          size: inode.size,
          cached: inode.pages.size,
          swapped: file.swapped.size,
          dropped: file.dropped.size,
          blocks: facts.shmemPages(id) * 8,
          committed: shmemCommitted(file, inode),
          mapped: mappers.filter((n) => n > 0).length,
          mappings: mappers.reduce((sum, n) => sum + n, 0),
        };
      });
  },
};
