// Folding events into Facts. What reducers/ do to the state, done again from the events' entries, runs and flags alone.
import { PTE_SWP_EXCLUSIVE, PTE_WRITE, TABLE_BYTES } from '../../reducers/pte.js';
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER, InodeKind, PG_DIRTY, PG_SWAPBACKED } from '../../reducers/state.js';
import type { Projection } from '../projection.js';
import type { Facts } from './facts.js';
import { heldPages } from './facts.js';
import { fileHugeHandlers } from './file-huge-handlers.js';
import { hugetlbHandlers } from './hugetlb-handlers.js';
import { markerHandlers, writeFlags } from './marker-handlers.js';
import { vmaHandlers } from './vma-handlers.js';
import { FRAME_DIRTY, FRAME_EXCLUSIVE, FRAME_KSM, FRAME_SWAPBACKED, FrameKind } from './frames.js';

/** Calls `visit` for each frame of runs that begin `from` numbers into each `stride`, with the count behind it. */
function forEachFrame(runs: readonly number[], stride: number, from: number, visit: (pfn: number) => void): void {
  for (let i = 0; i + stride <= runs.length; i += stride)
    for (let j = 0; j < (runs[i + from + 1] as number); j++) visit((runs[i + from] as number) + j);
}

/** How each event changes the facts. */
export const factHandlers: Projection<Facts>['on'] = {
  ...vmaHandlers,
  ...fileHugeHandlers,
  ...hugetlbHandlers,
  ...markerHandlers,
  MmCreated(facts, { mm }) {
    facts.mappings.create(mm);
    facts.vmas.create(mm);
    facts.gathers.set(mm, []);
  },
  MmFreed(facts, { mm }) {
    facts.mappings.drop(mm);
    facts.vmas.drop(mm);
    dropGather(facts, mm);
    facts.gathers.delete(mm);
  },
  PageTableAllocated({ mappings }, { mm, vpn, bytes }) {
    const space = mappings.of(mm);
    if (space) mappings.addTables(space, vpn, bytes / TABLE_BYTES);
  },
  PageTablesFreed({ mappings }, { mm, vpn, vpnEnd }) {
    const space = mappings.of(mm);
    if (space) mappings.dropTables(space, vpn, vpnEnd);
  },
  ZeroPageMapped: writeOne,
  SpecialPfnMapped: writeOne,
  PteFlagsSet: writeOne,
  AnonPageMapped(facts, event) {
    facts.becomesAnon(event.pfn, event.anonVma, event.exclusive === 1);
    writeOne(facts, event);
    facts.enterBatch(facts.lruAdd, event.lruCpu, event.pfn);
  },
  CowPageMapped(facts, event) {
    facts.becomesAnon(event.pfn, event.anonVma, event.exclusive === 1);
    writeOne(facts, event);
    facts.enterBatch(facts.lruAdd, event.lruCpu, event.pfn);
  },
  PageReused(facts, event) {
    const { pfn, exclusive, anonVma } = event;
    if (facts.frames.has(pfn)) {
      if (exclusive === 1) facts.frames.flags[pfn]! |= FRAME_EXCLUSIVE;
      if (anonVma !== 0) facts.mappings.setAnonVma(pfn, anonVma);
    }
    writeOne(facts, event);
  },
  FilePagesMapped(facts, { mm, runs, flags }) {
    const space = facts.mappings.of(mm);
    if (!space) return;
    for (let i = 0; i + 2 < runs.length; i += 3) facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, flags, 1);
  },
  PtesCopied(facts, { mm, child, anon, file, special, exclusive }) {
    const from = facts.mappings.of(mm);
    const to = facts.mappings.of(child);
    if (!from || !to) return;
    // Before the entries: whoever watches them sees the frame as it is after the commit.
    if (exclusive === 0)
      forEachFrame(anon, 5, 1, (pfn) => {
        if (facts.frames.has(pfn)) facts.frames.flags[pfn]! &= ~FRAME_EXCLUSIVE;
      });
    const copy = (runs: readonly number[], step: number): void => {
      for (let i = 0; i + 4 < runs.length; i += 5) {
        facts.writeRun(to, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, step);
        facts.writeRun(from, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 4]!, step);
      }
    };
    copy(anon, 1);
    copy(file, 1);
    copy(special, 0);
  },
  PtesProtected: (facts, { mm, runs }) => writeFlags(facts, mm, runs),
  SoftDirtyChanged: (facts, { mm, runs }) => writeFlags(facts, mm, runs),
  PtesZapped(facts, { mm, runs, special }) {
    const space = facts.mappings.of(mm);
    const gather = facts.gathers.get(mm);
    if (!space || !gather) return;
    const clear = (list: readonly number[]): void => {
      for (let i = 0; i + 3 < list.length; i += 4)
        for (let j = 0; j < (list[i + 2] as number); j++) facts.mappings.write(space, (list[i] as number) + j, 0);
    };
    forEachFrame(runs, 4, 1, (pfn) => {
      if (!facts.frames.has(pfn)) return;
      gather.push(pfn);
      facts.frames.gathered[pfn]!++;
    });
    clear(runs);
    clear(special);
  },
  GatherFlushed(facts, { mm, freed }) {
    dropGather(facts, mm);
    facts.freeRuns(freed);
  },
  PtesMoved({ mappings }, { mm, vpn, newVpn, runs }) {
    const space = mappings.of(mm);
    if (!space) return;
    const entries: number[] = [];
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < (runs[i + 1] as number); j++) {
        const from = vpn + (runs[i] as number) + j;
        entries.push(mappings.at(space, from));
        mappings.write(space, from, 0);
      }
    let next = 0;
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < (runs[i + 1] as number); j++)
        mappings.write(space, newVpn + (runs[i] as number) + j, entries[next++] as number);
  },
  PagesLazyfreed(facts, { mm, runs, lruCpu }) {
    const space = facts.mappings.of(mm);
    if (!space) return;
    forEachFrame(runs, 4, 1, (pfn) => {
      if (facts.frames.has(pfn)) facts.frames.flags[pfn]! &= ~FRAME_DIRTY;
      facts.enterBatch(facts.lruLazyfree, lruCpu, pfn);
    });
    for (let i = 0; i + 3 < runs.length; i += 4)
      facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, 1);
  },

  LargeFolioAllocated: (facts, { pfn, order }) => facts.joins(pfn, order),
  HugePageMapped(facts, event) {
    const { pfn, anonVma, exclusive } = event;
    for (let i = 0; i < HPAGE_PMD_NR; i++) facts.becomesAnon(pfn + i, anonVma, i === 0 && exclusive === 1);
    writeBlock(facts, event);
  },
  AnonPagesMapped(facts, { mm, runs, flags, anonVma, exclusive }) {
    forEachFrame(runs, 3, 1, (pfn) => facts.becomesAnon(pfn, anonVma, exclusive === 1));
    const space = facts.mappings.of(mm);
    if (!space) return;
    for (let i = 0; i + 2 < runs.length; i += 3) facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, flags, 1);
  },
  PagesReused(facts, { mm, runs, exclusive }) {
    if (exclusive === 1) forEachFrame(runs, 4, 1, (pfn) => setFlags(facts, pfn, FRAME_EXCLUSIVE, 0));
    const space = facts.mappings.of(mm);
    if (!space) return;
    for (let i = 0; i + 3 < runs.length; i += 4)
      facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, 1);
  },
  CowPagesMapped(facts, { mm, runs, pfn, flags, anonVma, exclusive }) {
    const [vpn = 0, , pages = 0] = runs;
    for (let i = 0; i < pages; i++) facts.becomesAnon(pfn + i, anonVma, exclusive === 1);
    const space = facts.mappings.of(mm);
    if (space) facts.writeRun(space, vpn, pfn, pages, flags, 1);
  },
  CowHugePageMapped(facts, event) {
    const { pfn, anonVma, exclusive } = event;
    for (let i = 0; i < HPAGE_PMD_NR; i++) facts.becomesAnon(pfn + i, anonVma, i === 0 && exclusive === 1);
    writeBlock(facts, event);
  },
  HugeZeroMapped: writeBlock,
  PmdSplit(facts, event) {
    const { pfn, exclusive, dirty } = event;
    if (pfn >= 0) {
      const exclusives = exclusive === 1 ? HPAGE_PMD_NR : 0;
      for (let i = 0; i < exclusives; i++) setFlags(facts, pfn + i, FRAME_EXCLUSIVE, 0);
      if (dirty === 1) setFlags(facts, facts.frames.head(pfn), FRAME_DIRTY, 0);
    }
    writeBlock(facts, event);
  },
  PmdZapped(facts, { mm, vpn, pfn }) {
    const gather = facts.gathers.get(mm);
    if (!gather) return;
    if (pfn >= 0 && facts.frames.has(pfn)) {
      gather.push(pfn);
      facts.frames.gathered[pfn]!++;
    }
    writeBlock(facts, { mm, vpn, entry: 0 });
  },
  PmdCopied(facts, event) {
    const { mm, child, vpn, pfn, childEntry, exclusive } = event;
    if (!facts.mappings.of(mm) || !facts.mappings.of(child)) return;
    if (pfn >= 0 && exclusive === 0) setFlags(facts, facts.frames.head(pfn), 0, FRAME_EXCLUSIVE);
    writeBlock(facts, { mm: child, vpn, entry: childEntry });
    writeBlock(facts, event);
  },
  PmdProtected: writeBlock,
  PmdFlagsSet: writeBlock,
  PmdMoved({ mappings }, { mm, vpn, newVpn, entry }) {
    const space = mappings.of(mm);
    if (space) mappings.moveBlock(space, vpn, newVpn, entry);
  },
  PmdReused(facts, event) {
    const { pfn, exclusive, anonVma } = event;
    if (exclusive === 1) setFlags(facts, pfn, FRAME_EXCLUSIVE, 0);
    if (anonVma !== 0)
      for (let i = 0; i < HPAGE_PMD_NR; i++) if (facts.frames.has(pfn + i)) facts.mappings.setAnonVma(pfn + i, anonVma);
    writeBlock(facts, event);
  },
  HugePageCollapsed(facts, event) {
    const { mm, pfn, anonVma, exclusive, runs } = event;
    for (let i = 0; i < HPAGE_PMD_NR; i++) facts.becomesAnon(pfn + i, anonVma, i === 0 && exclusive === 1);
    forEachFrame(runs, 4, 1, (old) => {
      if (!facts.frames.has(old)) return;
      facts.gathers.get(mm)?.push(old);
      facts.frames.gathered[old]!++;
    });
    writeBlock(facts, event);
  },
  PmdCollapsedInPlace(facts, event) {
    const { pfn, exclusive, tails } = event;
    if (exclusive === 1) setFlags(facts, pfn, FRAME_EXCLUSIVE, 0);
    if (tails === 0) for (let i = 1; i < HPAGE_PMD_NR; i++) setFlags(facts, pfn + i, 0, FRAME_EXCLUSIVE);
    writeBlock(facts, event);
  },
  FoliosPutBack: (facts, { cpu, runs }) => forEachFrame(runs, 2, 0, (pfn) => facts.enterBatch(facts.lruAdd, cpu, pfn)),
  PmdSplitFrozen(facts, event) {
    const { pfn, exclusive, dirty } = event;
    setFlags(facts, pfn, dirty === 1 ? FRAME_DIRTY : 0, exclusive === 0 ? FRAME_EXCLUSIVE : 0);
    writeBlock(facts, event);
  },
  PmdMigrationSet(facts, event) {
    const { pfn, exclusive, dirty } = event;
    setFlags(facts, pfn, dirty === 1 ? FRAME_DIRTY : 0, exclusive === 0 ? FRAME_EXCLUSIVE : 0);
    writeBlock(facts, event);
  },
  PmdMigrationRemoved(facts, event) {
    setFlags(facts, event.pfn, event.exclusive === 1 ? FRAME_EXCLUSIVE : 0, 0);
    writeBlock(facts, event);
  },
  LargeFolioMigrated(facts, { pfn, from, order, flags, fromFlags, anonVma, slot }) {
    if (!(order >= 1 && order <= HPAGE_PMD_ORDER)) return;
    for (let i = 0; i < 2 ** order; i++) {
      facts.becomesAnon(pfn + i, anonVma, false);
      if (slot >= 0) facts.cacheSwap(slot + i, pfn + i);
    }
    copyFlags(facts, pfn, flags);
    copyFlags(facts, from, fromFlags);
  },
  MigrationPtesSet(facts, { mm, pfn, runs, exclusive, dirty }) {
    const space = facts.mappings.of(mm);
    if (!space) return;
    if (dirty === 1) setFlags(facts, pfn, FRAME_DIRTY, 0);
    for (let i = 0; i + 3 < runs.length; i += 4) {
      const gone = exclusive === 0 && (runs[i + 3]! & (PTE_WRITE | PTE_SWP_EXCLUSIVE)) !== 0 ? FRAME_EXCLUSIVE : 0;
      for (let j = 0; j < runs[i + 2]!; j++) setFlags(facts, runs[i + 1]! + j, 0, gone);
      facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, 1);
    }
  },
  FolioSplit(facts, { pfn, order, flags, anonVma }) {
    const { frames } = facts;
    if (!(order >= 1 && order <= HPAGE_PMD_ORDER) || pfn < 0 || !frames.has(pfn + 2 ** order - 1)) return;
    for (let page = pfn; page < pfn + 2 ** order; page++) {
      frames.order[page] = 0;
      if (page === pfn) continue;
      copyFlags(facts, page, flags);
      setFlags(facts, page, 0, FRAME_EXCLUSIVE);
      facts.mappings.setAnonVma(page, anonVma);
    }
  },
  MigrationPtesRemoved(facts, { mm, runs, special, exclusivePages }) {
    const space = facts.mappings.of(mm);
    if (!space) return;
    forEachFrame(exclusivePages, 2, 0, (pfn) => setFlags(facts, pfn, FRAME_EXCLUSIVE, 0));
    for (let i = 0; i + 3 < runs.length; i += 4)
      facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, 1);
    for (let i = 0; i + 3 < special.length; i += 4)
      facts.writeRun(space, special[i]!, special[i + 1]!, special[i + 2]!, special[i + 3]!, 0);
  },
  FoliosReleased: (facts, { freed }) => facts.freeRuns(freed),
  LargeFolioLazyfreed(facts, { mm, vpn, pfn, entry, runs, swapbacked }) {
    const space = facts.mappings.of(mm);
    if (!space || !facts.frames.has(pfn)) return;
    setFlags(facts, pfn, 0, FRAME_DIRTY);
    if (swapbacked === 0)
      for (let i = 0; i < 2 ** facts.frames.order[pfn]!; i++) setFlags(facts, pfn + i, 0, FRAME_SWAPBACKED);
    if (entry !== 0) writeBlock(facts, { mm, vpn, entry });
    for (let i = 0; i + 3 < runs.length; i += 4)
      facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, 1);
  },
  LargeFolioDiscarded(facts, { mm, pfn, runs }) {
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < runs[i + 2]!; j++) writeOne(facts, { mm, vpn: runs[i]! + j, entry: 0 });
    facts.free(pfn);
  },
  FolioAllocated: (facts, { pfn }) => facts.free(pfn),
  FolioReleased(facts, { pfn, freed }) {
    if (freed === 1) facts.free(pfn);
  },
  FolioCleaned({ frames }, { pfn }) {
    if (frames.has(pfn)) frames.flags[pfn]! &= ~FRAME_DIRTY;
  },
  FolioDirtied({ frames }, { pfn }) {
    if (frames.has(pfn)) frames.flags[pfn]! |= FRAME_DIRTY;
  },
  LruAddDrained(facts, { cpu, freed }) {
    facts.drainBatch(facts.lruAdd, cpu);
    facts.freeRuns(freed);
  },
  LruLazyfreeDrained(facts, { cpu, freed }) {
    facts.drainBatch(facts.lruLazyfree, cpu, (pfn) => (facts.frames.flags[pfn]! &= ~FRAME_SWAPBACKED));
    facts.freeRuns(freed);
  },
  MlockBatched: (facts, { cpu, runs }) => forEachFrame(runs, 2, 0, (pfn) => facts.enterBatch(facts.mlock, cpu, pfn)),
  MlockBatchDrained(facts, { cpu, freed }) {
    facts.drainBatch(facts.mlock, cpu);
    facts.freeRuns(freed);
  },
  HolderCreated(facts, { holder, kind, flags }) {
    if (holder < 1) return;
    dropHolder(facts, holder);
    facts.holders.set(holder, { kind, flags, pages: [] });
  },
  HolderRemoved: (facts, { holder }) => dropHolder(facts, holder),
  PageGrabbed: (facts, { holder, pfn, mm, vpn, offset, length, bias }) =>
    facts.hold(holder, { pfn, mm, vpn, bias, pages: heldPages(offset, length) }),
  HeldBytesChanged: (facts, { holder, at, offset, length }) => facts.widen(holder, at, heldPages(offset, length)),
  HeldPageReleased(facts, { holder, at, pfn, freed }) {
    if (!facts.holders.has(holder) || at < 0) return;
    facts.release(holder, at);
    if (freed === 1) facts.free(pfn);
  },
  FolioSwapAllocated(facts, { slot, pfn }) {
    facts.cacheSwap(slot, pfn);
    setFlags(facts, pfn, FRAME_DIRTY, 0);
  },
  LargeFolioSwapAllocated(facts, { slot, pfn, order }) {
    if (!(order >= 1 && order <= HPAGE_PMD_ORDER)) return;
    for (let i = 0; i < 2 ** order; i++) facts.cacheSwap(slot + i, pfn + i);
    setFlags(facts, pfn, FRAME_DIRTY, 0);
  },
  PagesSwappedOut(facts, { mm, pfn, slot, runs, exclusive, dirty }) {
    if (dirty === 1) setFlags(facts, pfn, FRAME_DIRTY, 0);
    const space = facts.mappings.of(mm);
    for (let i = 0; i + 3 < runs.length; i += 4) {
      const [vpn, first, n, flags] = [runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!];
      if (exclusive === 0) for (let j = 0; j < n; j++) setFlags(facts, first + j, 0, FRAME_EXCLUSIVE);
      if (space) facts.writeRun(space, vpn, slot + first - pfn, n, flags, 1);
    }
  },
  LargeSwapWritten: (facts, { pfn }) => setFlags(facts, pfn, 0, FRAME_DIRTY),
  LargeSwapCacheRemoved(facts, { slot, pfn, order, dirty, freed }) {
    if (!(order >= 1 && order <= HPAGE_PMD_ORDER)) return;
    for (let i = 0; i < 2 ** order; i++) facts.uncacheSwap(slot + i);
    if (freed === 1) facts.free(pfn);
    else if (dirty === 1) setFlags(facts, pfn, FRAME_DIRTY, 0);
  },
  PagesSwappedIn(facts, { mm, runs, exclusive }) {
    const space = facts.mappings.of(mm);
    for (let i = 0; i + 3 < runs.length; i += 4) {
      if (exclusive === 1) for (let j = 0; j < runs[i + 2]!; j++) setFlags(facts, runs[i + 1]! + j, FRAME_EXCLUSIVE, 0);
      if (space) facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, 1);
    }
  },
  PageSwappedOut(facts, event) {
    const { pfn, exclusive, dirty } = event;
    setFlags(facts, pfn, dirty === 1 ? FRAME_DIRTY : 0, exclusive === 0 ? FRAME_EXCLUSIVE : 0);
    writeOne(facts, event);
  },
  SwapWritten: (facts, { pfn }) => setFlags(facts, pfn, 0, FRAME_DIRTY),
  SwapRead(facts, { slot, pfn, lruCpu }) {
    facts.cacheSwap(slot, pfn);
    setFlags(facts, pfn, FRAME_SWAPBACKED, 0);
    facts.enterBatch(facts.lruAdd, lruCpu, pfn);
  },
  SwapCacheRemoved(facts, { slot, pfn, dirty, freed }) {
    facts.uncacheSwap(slot);
    if (freed === 1) facts.free(pfn);
    else if (dirty === 1) setFlags(facts, pfn, FRAME_DIRTY, 0);
  },
  PageSwappedIn(facts, event) {
    const { slot, pfn, exclusive, anonVma, uncached } = event;
    if (anonVma !== 0) facts.becomesAnon(pfn, anonVma, false);
    setFlags(facts, pfn, (exclusive === 1 ? FRAME_EXCLUSIVE : 0) | (uncached === 1 ? FRAME_DIRTY : 0), 0);
    if (uncached === 1) facts.uncacheSwap(slot);
    writeOne(facts, event);
  },
  SwapEntryCopied(facts, event) {
    writeOne(facts, event);
    writeOne(facts, { ...event, mm: event.child });
  },
  SwapEntryFreed: (facts, { mm, vpn }) => writeOne(facts, { mm, vpn, entry: 0 }),
  LazyfreeDiscarded(facts, { mm, vpn, pfn, freed }) {
    writeOne(facts, { mm, vpn, entry: 0 });
    if (freed === 1) facts.free(pfn);
  },
  KsmItemAdded: ({ ksm }, { mm, vpn }) => ksm.add(mm, vpn),
  KsmItemRemoved: ({ ksm }, { mm, vpn }) => ksm.remove(mm, vpn),
  KsmItemUnstable: ({ ksm }, { mm, vpn, unstable }) => ksm.setUnstable(mm, vpn, unstable === 1),
  KsmItemLinked: ({ ksm }, { mm, vpn, node }) => ksm.link(mm, vpn, node),
  KsmItemUnlinked: ({ ksm }, { mm, vpn }) => ksm.link(mm, vpn, 0),
  KsmPageProtected(facts, event) {
    setFlags(facts, event.pfn, event.dirty === 1 ? FRAME_DIRTY : 0, event.exclusive === 0 ? FRAME_EXCLUSIVE : 0);
    writeOne(facts, event);
  },
  KsmPageMade(facts, { pfn }) {
    if (!facts.frames.has(pfn)) return;
    facts.mappings.setAnonVma(pfn, 0);
    setFlags(facts, pfn, FRAME_KSM | FRAME_DIRTY, 0);
  },
  KsmNodeMoved({ mappings, frames }, { pfn }) {
    if (!frames.has(pfn)) return;
    mappings.setKind(pfn, FrameKind.anon);
    mappings.setAnonVma(pfn, 0);
    frames.flags[pfn]! |= FRAME_KSM;
  },
  KsmPageReplaced: writeOne,
  LazyfreeRevoked(facts, { pfn }) {
    setFlags(facts, pfn, FRAME_SWAPBACKED | FRAME_DIRTY, 0);
    const order = facts.frames.order[pfn] ?? 0;
    for (let i = 1; i < 2 ** order; i++) setFlags(facts, pfn + i, FRAME_SWAPBACKED, 0);
  },
  MigrationPteSet(facts, event) {
    const { pfn, exclusive, dirty } = event;
    setFlags(facts, pfn, dirty === 1 ? FRAME_DIRTY : 0, exclusive === 0 ? FRAME_EXCLUSIVE : 0);
    writeOne(facts, event);
  },
  FolioMigrated(facts, { pfn, from, flags, fromFlags, anonVma, inode, cache, slot }) {
    const file = facts.inodes.get(inode);
    if (anonVma !== 0) facts.becomesAnon(pfn, anonVma, false);
    else if (file?.kind === InodeKind.shmem && facts.frames.has(pfn)) facts.mappings.setKind(pfn, FrameKind.shmem);
    copyFlags(facts, pfn, flags);
    copyFlags(facts, from, fromFlags);
    const [index] = cache;
    if (file && index !== undefined) facts.cache(file, index, pfn);
    if (slot >= 0) facts.cacheSwap(slot, pfn);
  },
  FolioLruAdded: (facts, { pfn, lruCpu }) => facts.enterBatch(facts.lruAdd, lruCpu, pfn),
  MigrationPteRemoved(facts, event) {
    setFlags(facts, event.pfn, event.exclusive === 1 ? FRAME_EXCLUSIVE : 0, 0);
    writeOne(facts, event);
  },
  InodeCreated: (facts, { inode, name, kind, size }) => facts.addInode(inode, name, kind, size),
  InodeResized({ inodes }, { inode, size }) {
    const target = inodes.get(inode);
    if (target) target.size = size;
  },
  ShmemInodeInitialised: ({ shmem }, { inode, sb, noreserve }) =>
    void shmem.set(inode, { sb, noreserve: noreserve === 1, dropped: new Set(), swapped: new Map() }),
  ShmemInodeEvicted(facts, { inode }) {
    for (const index of [...(facts.shmem.get(inode)?.swapped.keys() ?? [])]) facts.setSwapped(inode, index, -1);
    facts.shmem.delete(inode);
  },
  ShmemFolioAdded(facts, { inode, runs }) {
    const [index = -1, pfn = -1] = runs;
    const target = facts.inodes.get(inode);
    if (!target || !facts.frames.has(pfn)) return;
    facts.cache(target, index, pfn);
    facts.shmem.get(inode)?.dropped.delete(index);
    facts.mappings.setKind(pfn, FrameKind.shmem);
    setFlags(facts, pfn, FRAME_SWAPBACKED, 0);
  },
  ShmemPageSwapped(facts, { inode, runs, slot }) {
    leavesCache(facts, { inode, runs, freed: [] });
    facts.setSwapped(inode, runs[0] as number, slot);
  },
  ShmemPageSwappedIn(facts, { inode, runs, slot }) {
    const [index = -1, pfn = -1] = runs;
    const target = facts.inodes.get(inode);
    facts.setSwapped(inode, index, -1);
    facts.uncacheSwap(slot);
    if (!target || !facts.frames.has(pfn)) return;
    facts.cache(target, index, pfn);
    facts.mappings.setKind(pfn, FrameKind.shmem);
    setFlags(facts, pfn, FRAME_DIRTY, 0);
  },
  ShmemSwapFreed: (facts, { inode, runs }) => facts.setSwapped(inode, runs[0] as number, -1),
  PageCacheAdded(facts, { inode, runs, swapbacked, lruCpu }) {
    const target = facts.inodes.get(inode);
    if (!target) return;
    const kind = target.kind === InodeKind.shmem ? FrameKind.shmem : FrameKind.file;
    for (let i = 0; i + 2 < runs.length; i += 3)
      for (let j = 0; j < (runs[i + 2] as number); j++) {
        const pfn = (runs[i + 1] as number) + j;
        facts.free(pfn);
        facts.cache(target, (runs[i] as number) + j, pfn);
        facts.shmem.get(inode)?.dropped.delete((runs[i] as number) + j);
        if (!facts.frames.has(pfn)) continue;
        facts.mappings.setKind(pfn, kind);
        if (swapbacked === 1) facts.frames.flags[pfn]! |= FRAME_SWAPBACKED;
        facts.enterBatch(facts.lruAdd, lruCpu, pfn);
      }
  },
  PageCacheHolesNoted(facts, { inode, runs }) {
    const target = facts.inodes.get(inode);
    if (target && target.pages.size > 0) forEachFrame(runs, 2, 0, (index) => facts.uncache(target, index));
    const file = facts.shmem.get(inode);
    if (file) forEachFrame(runs, 2, 0, (index) => file.dropped.delete(index));
  },
  FilePageUnmapped(facts, { mm, vpn, pfn, dirty }) {
    writeOne(facts, { mm, vpn, entry: 0 });
    if (dirty === 1) setFlags(facts, pfn, FRAME_DIRTY, 0);
  },
  PageCacheReclaimed(facts, event) {
    leavesCache(facts, event);
    const file = facts.shmem.get(event.inode);
    if (file)
      for (let i = 0; i + 2 < event.runs.length; i += 3)
        for (let j = 0; j < (event.runs[i + 2] as number); j++) file.dropped.add((event.runs[i] as number) + j);
  },
  PageCacheRemoved: (facts, event) => leavesCache(facts, event),
};

function leavesCache(
  facts: Facts,
  {
    inode,
    runs,
    freed,
  }: { readonly inode: number; readonly runs: readonly number[]; readonly freed: readonly number[] },
): void {
  const target = facts.inodes.get(inode);
  for (let i = 0; i + 2 < runs.length; i += 3)
    for (let j = 0; j < (runs[i + 2] as number); j++) {
      if (target) facts.uncache(target, (runs[i] as number) + j);
      const pfn = (runs[i + 1] as number) + j;
      if (facts.frames.has(pfn) && facts.frames.kind[pfn] === FrameKind.shmem)
        facts.mappings.setKind(pfn, FrameKind.file);
    }
  facts.freeRuns(freed);
}

function writeOne(facts: Facts, event: { readonly mm: number; readonly vpn: number; readonly entry: number }): void {
  const space = facts.mappings.of(event.mm);
  if (space) facts.mappings.write(space, event.vpn, event.entry);
}

function writeBlock(facts: Facts, event: { readonly mm: number; readonly vpn: number; readonly entry: number }): void {
  const space = facts.mappings.of(event.mm);
  if (space) facts.mappings.writeBlock(space, event.vpn, event.entry);
}

function dropHolder(facts: Facts, holder: number): void {
  while ((facts.holders.get(holder)?.pages.length ?? 0) > 0) facts.release(holder, 0);
  facts.holders.delete(holder);
}

function setFlags({ frames }: Facts, pfn: number, set: number, clear: number): void {
  if (frames.has(pfn)) frames.flags[pfn] = (frames.flags[pfn]! & ~clear) | set;
}

/** A frame's flags are `flags` of the state now, but for exclusivity. */
function copyFlags(facts: Facts, pfn: number, flags: number): void {
  const set = ((flags & PG_DIRTY) !== 0 ? FRAME_DIRTY : 0) | ((flags & PG_SWAPBACKED) !== 0 ? FRAME_SWAPBACKED : 0);
  setFlags(facts, pfn, set, FRAME_DIRTY | FRAME_SWAPBACKED);
}

function dropGather({ gathers, frames }: Facts, mm: number): void {
  for (const pfn of gathers.get(mm) ?? []) frames.gathered[pfn]!--;
  gathers.set(mm, []);
}
