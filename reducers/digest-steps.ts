// What single types of events add to the rolling digest, beyond what the kinds of their fields tell.
import type { EventType } from '../events/index.js';
import type { SubjectHash } from './digest.js';
import { HPAGE_PMD_ORDER } from './state.js';

/** One call on SubjectHash; arguments are names of fields, or numbers as they are. */
export interface Step {
  readonly method: Exclude<keyof SubjectHash, 'hash' | 'startBatch'>;
  readonly args: readonly (string | number)[];
}

const SHMEM: Step = { method: 'shmem', args: ['inode'] };
const UFFD: Step = { method: 'uffd', args: ['uffd'] };
const KSM: Step = { method: 'ksm', args: [] };
const KSM_ITEM: Step = { method: 'ksmItem', args: ['mm', 'vpn'] };

const POOL: Step = { method: 'hugetlb', args: [] };
const HUGE_PAGE: Step = { method: 'hugePage', args: ['pfn'] };
const BLOCK: Step = { method: 'block', args: ['mm', 'vpn'] };

/** What kinds of fields do not tell: numbers that are runs, descriptors. */
export const EXTRA_STEPS: Partial<Record<EventType, readonly Step[]>> = {
  MmCreated: [{ method: 'tablesRemade', args: ['mm'] }],
  MmFreed: [{ method: 'tablesRemade', args: ['mm'] }],
  PageTablesFreed: [{ method: 'tablesRemade', args: ['mm'] }],
  PtesMoved: [
    { method: 'entriesFrom', args: ['mm', 'vpn', 'runs'] },
    { method: 'entriesFrom', args: ['mm', 'newVpn', 'runs'] },
  ],
  MlockBatchDrained: [{ method: 'framesOfPairs', args: ['pages'] }],
  PageCacheHolesNoted: [{ method: 'slots', args: ['inode', 'runs', 2] }],
  PageCacheHolesForgotten: [{ method: 'slots', args: ['inode', 'runs', 2] }],
  FdInstalled: [
    { method: 'file', args: ['tgid', 'fd'] },
    { method: 'position', args: ['file'] },
  ],
  FilePositionSet: [{ method: 'position', args: ['file'] }],
  FdClosed: [{ method: 'file', args: ['tgid', 'fd'] }],
  FdTableCopied: [{ method: 'files', args: ['tgid'] }],
  TaskReaped: [{ method: 'files', args: ['tid'] }],
  HolderCreated: [{ method: 'holder', args: ['holder'] }],
  HolderRemoved: [{ method: 'holder', args: ['holder'] }],
  PageGrabbed: [{ method: 'holder', args: ['holder'] }],
  HeldBytesChanged: [{ method: 'holder', args: ['holder'] }],
  HeldPageReleased: [{ method: 'holder', args: ['holder'] }],
  MmHasPinnedSet: [{ method: 'hasPinned', args: [] }],
  WriteProtectSeqRaised: [{ method: 'writeProtectSeq', args: ['mm'] }],
  FolioSwapAllocated: [
    { method: 'slot', args: ['slot'] },
    { method: 'cachedAt', args: ['pfn'] },
  ],
  PageSwappedOut: [{ method: 'slot', args: ['slot'] }],
  SwapWritten: [{ method: 'slot', args: ['slot'] }],
  SwapRead: [
    { method: 'slot', args: ['slot'] },
    { method: 'cachedAt', args: ['pfn'] },
  ],
  SwapCacheRemoved: [
    { method: 'slot', args: ['slot'] },
    { method: 'cachedAt', args: ['pfn'] },
  ],
  PageSwappedIn: [
    { method: 'slot', args: ['slot'] },
    { method: 'cachedAt', args: ['pfn'] },
  ],
  LargeFolioSwapAllocated: [{ method: 'slotRow', args: ['slot', 'pfn', 'order'] }],
  PagesSwappedOut: [{ method: 'slotsOfPages', args: ['slot', 'pfn', 'runs'] }],
  LargeSwapWritten: [{ method: 'slotRow', args: ['slot', 'pfn', 'order'] }],
  LargeSwapCacheRemoved: [
    { method: 'slotRow', args: ['slot', 'pfn', 'order'] },
    { method: 'splitPages', args: ['pfn', 'order'] },
  ],
  PagesSwappedIn: [{ method: 'slotsOfPages', args: ['slot', 'pfn', 'runs'] }],
  LargeFolioAllocated: [{ method: 'freshFolio', args: ['pfn', 'order'] }],
  LargeFoliosCounted: [{ method: 'counted', args: ['folios'] }],
  HugePageMapped: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  AnonPagesMapped: [{ method: 'foliosOf', args: ['runs'] }],
  CowPagesMapped: [{ method: 'copiedFolio', args: ['pfn', 'runs'] }],
  CowHugePageMapped: [
    { method: 'hugePage', args: ['oldPfn'] },
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  HugeZeroMapped: [{ method: 'block', args: ['mm', 'vpn'] }],
  PmdSplit: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  PmdZapped: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  PmdCopied: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
    { method: 'block', args: ['child', 'vpn'] },
  ],
  PmdMoved: [
    { method: 'block', args: ['mm', 'vpn'] },
    { method: 'block', args: ['mm', 'newVpn'] },
  ],
  PmdProtected: [{ method: 'block', args: ['mm', 'vpn'] }],
  PmdFlagsSet: [{ method: 'block', args: ['mm', 'vpn'] }],
  PmdReused: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  HugePageCollapsed: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  PmdCollapsedInPlace: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  PmdSplitFrozen: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  PmdMigrationSet: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  PmdMigrationRemoved: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  LargeFolioMigrated: [
    { method: 'splitPages', args: ['pfn', 'order'] },
    { method: 'splitPages', args: ['from', 'order'] },
    { method: 'slotRow', args: ['slot', 'pfn', 'order'] },
    { method: 'slotRow', args: ['slot', 'from', 'order'] },
  ],
  FolioSplit: [{ method: 'splitPages', args: ['pfn', 'order'] }],
  LargeFolioLazyfreed: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
  ],
  LargeFolioDiscarded: [{ method: 'hugePage', args: ['pfn'] }],
  TmpfsMounted: [{ method: 'tmpfs', args: ['sb'] }],
  ShmemInodeInitialised: [SHMEM],
  ShmemAccounted: [SHMEM],
  ShmemInodeEvicted: [SHMEM],
  SealsAdded: [SHMEM],
  ShmemFolioAdded: [SHMEM],
  ShmemPageSwapped: [SHMEM, { method: 'slot', args: ['slot'] }],
  ShmemPageSwappedIn: [SHMEM, { method: 'slot', args: ['slot'] }],
  ShmemSwapFreed: [
    { method: 'slots', args: ['inode', 'runs', 2] },
    { method: 'slot', args: ['slot'] },
  ],
  SettingWritten: [{ method: 'setting', args: ['name'] }],
  SwapEntryCopied: [{ method: 'slot', args: ['slot'] }],
  SwapEntryFreed: [{ method: 'slot', args: ['slot'] }],
  FolioMigrated: [
    { method: 'slot', args: ['slot'] },
    { method: 'cachedAt', args: ['pfn'] },
    { method: 'cachedAt', args: ['from'] },
  ],
  DirectWritten: [{ method: 'onDisk', args: ['inode', 'index'] }],
  UffdCreated: [UFFD],
  UffdFeaturesSet: [UFFD],
  UffdFaultQueued: [UFFD],
  UffdFaultRead: [UFFD],
  UffdFaultsWoken: [UFFD],
  UffdReleased: [UFFD],
  UffdPmdMoved: [
    { method: 'hugePage', args: ['pfn'] },
    { method: 'block', args: ['mm', 'vpn'] },
    { method: 'block', args: ['mm', 'newVpn'] },
  ],
  UffdMmapChanging: [UFFD],
  UffdEventQueued: [UFFD],
  UffdEventRemoved: [UFFD],
  UffdInodeSet: [UFFD],
  UffdReaderWaits: [UFFD],
  KsmMmEntered: [KSM],
  KsmMmExited: [KSM],
  KsmMmLeft: [KSM],
  KsmCountersInherited: [KSM, { method: 'ksmItem', args: ['mm', -1] }],
  KsmItemAdded: [KSM_ITEM],
  KsmItemRemoved: [KSM_ITEM],
  KsmItemChecked: [KSM_ITEM],
  KsmItemUnstable: [KSM, KSM_ITEM],
  KsmItemLinked: [KSM, KSM_ITEM],
  KsmItemUnlinked: [KSM, KSM_ITEM],
  KsmNodeInserted: [KSM],
  KsmNodeMoved: [KSM],
  KsmNodeRemoved: [KSM],
  KsmZeroPagesChanged: [KSM, { method: 'ksmItem', args: ['mm', -1] }],
  KsmScanEnded: [KSM],
  KsmUseZeroPagesSet: [KSM],
  LargeFolioCached: [SHMEM],
  FilePmdMapped: [HUGE_PAGE, BLOCK],
  FilePmdCleared: [HUGE_PAGE, BLOCK],
  FileFolioSplit: [{ method: 'splitPages', args: ['pfn', 'order'] }],
  FileCollapsed: [SHMEM, HUGE_PAGE, { method: 'hugeSlots', args: ['inode', 'index'] }],
  HugetlbPageAdded: [POOL, { method: 'freshFolio', args: ['pfn', HPAGE_PMD_ORDER] }],
  HugetlbPageEnqueued: [POOL],
  HugetlbPageDequeued: [POOL],
  HugetlbPageRemoved: [POOL, { method: 'splitPages', args: ['pfn', HPAGE_PMD_ORDER] }],
  HugetlbPoolCounted: [POOL],
  HugetlbRestoreSet: [POOL],
  HugetlbPageZeroed: [HUGE_PAGE],
  HugetlbPageCopied: [HUGE_PAGE],
  HugetlbPageMapped: [POOL, HUGE_PAGE, BLOCK],
  HugetlbCowMapped: [POOL, { method: 'hugePage', args: ['oldPfn'] }, HUGE_PAGE, BLOCK],
  HugetlbEntryCopied: [HUGE_PAGE, BLOCK, { method: 'block', args: ['child', 'vpn'] }],
  HugetlbEntryZapped: [HUGE_PAGE, BLOCK],
  HugetlbPageFreed: [POOL, HUGE_PAGE],
  HugetlbFileSet: [POOL],
  HugetlbfsMounted: [POOL],
  HugetlbSubpoolCounted: [POOL],
  HugetlbSubpoolSet: [POOL],
  HugetlbfsUnmounted: [POOL],
  HugetlbPageCached: [POOL, HUGE_PAGE, { method: 'hugeSlots', args: ['inode', 'index'] }],
  HugetlbPageUncached: [HUGE_PAGE, { method: 'hugeSlots', args: ['inode', 'index'] }],
  HugetlbPageMigrated: [
    POOL,
    HUGE_PAGE,
    { method: 'hugePage', args: ['from'] },
    { method: 'hugeSlots', args: ['inode', 'index'] },
  ],
  ResvMapCreated: [POOL],
  ResvMapReferenced: [POOL],
  ResvMapFreed: [POOL],
  ResvRegionsSet: [POOL],
  HugetlbVmaSet: [POOL],
};
