// Folding events of large folios of the page cache into Facts.
import { arePartsOf } from '../../reducers/file-huge.js';
import { HPAGE_PMD_NR, InodeKind, PG_DIRTY, PG_SWAPBACKED } from '../../reducers/state.js';
import type { Projection } from '../projection.js';
import type { Facts } from './facts.js';
import { FRAME_DIRTY, FRAME_SWAPBACKED, FrameKind } from './frames.js';

/** Pages [index, index + n) of file `inode` are the frames from `pfn` on, which were nothing before. */
function enterCache(facts: Facts, inode: number, index: number, pfn: number, n: number, swapbacked: number): void {
  const target = facts.inodes.get(inode);
  if (!target || index < 0) return;
  const kind = target.kind === InodeKind.shmem ? FrameKind.shmem : FrameKind.file;
  for (let i = 0; i < n; i++) {
    facts.cache(target, index + i, pfn + i);
    facts.shmem.get(inode)?.dropped.delete(index + i);
    if (!facts.frames.has(pfn + i)) continue;
    facts.mappings.setKind(pfn + i, kind);
    if (swapbacked === 1) facts.frames.flags[pfn + i]! |= FRAME_SWAPBACKED;
  }
}

function setDirty({ frames }: Facts, pfn: number): void {
  if (frames.has(pfn)) frames.flags[frames.head(pfn)]! |= FRAME_DIRTY;
}

export const fileHugeHandlers: Projection<Facts>['on'] = {
  LargeFolioCached(facts, { inode, runs, swapbacked }) {
    const [index = -1, pfn = -1, n = 0] = runs;
    enterCache(facts, inode, index, pfn, n, swapbacked);
  },
  FilePmdMapped(facts, { mm, vpn, entry }) {
    const space = facts.mappings.of(mm);
    if (space) facts.mappings.writeBare(space, vpn, entry);
  },
  FilePmdCleared(facts, { mm, vpn, pfn, gather, dirty }) {
    if (dirty === 1) setDirty(facts, pfn);
    if (gather === 1 && facts.frames.has(pfn)) {
      facts.gathers.get(mm)?.push(pfn);
      facts.frames.gathered[pfn]!++;
    }
    const space = facts.mappings.of(mm);
    if (space) facts.mappings.writeBare(space, vpn, 0);
  },
  FilePtesUnmapped(facts, { mm, runs, dirty }) {
    const space = facts.mappings.of(mm);
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) {
        if (dirty === 1) setDirty(facts, runs[i + 1]! + j);
        if (space) facts.mappings.write(space, runs[i]! + j, 0);
      }
  },
  FileFolioSplit({ frames }, { pfn, order, orders, flags }) {
    if (!arePartsOf(pfn, order, orders) || !frames.has(pfn + 2 ** order - 1)) return;
    const set = ((flags & PG_DIRTY) !== 0 ? FRAME_DIRTY : 0) | ((flags & PG_SWAPBACKED) !== 0 ? FRAME_SWAPBACKED : 0);
    let at = pfn;
    for (const each of orders) {
      for (let i = 0; i < 2 ** each; i++) {
        frames.order[at + i] = each;
        frames.flags[at + i] = (frames.flags[at + i]! & ~(FRAME_DIRTY | FRAME_SWAPBACKED)) | set;
      }
      at += 2 ** each;
    }
  },
  FileCollapsed(facts, { inode, index, pfn, runs, swapbacked, dirty, freed }) {
    const target = facts.inodes.get(inode);
    for (let i = 0; i + 2 < runs.length; i += 3)
      for (let j = 0; j < runs[i + 2]!; j++) {
        if (target) facts.uncache(target, runs[i]! + j);
        const old = runs[i + 1]! + j;
        if (facts.frames.has(old) && facts.frames.kind[old] === FrameKind.shmem)
          facts.mappings.setKind(old, FrameKind.file);
      }
    facts.freeRuns(freed);
    enterCache(facts, inode, index, pfn, HPAGE_PMD_NR, swapbacked);
    if (dirty === 1) setDirty(facts, pfn);
  },
};
