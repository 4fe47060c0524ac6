// Collapse: 512 entries of anonymous memory give way to one huge entry; of shared memory see collapse-file.ts. mm/khugepaged.c, for MADV_COLLAPSE and for khugepaged.
//
// Linux always copies: what the entries led to goes into a fresh huge page, which is this process's own, and whoever shares the old pages
// keeps them. Locks: mmap_lock for write, the VMA's and the anon_vma's; the level-2 entry is cleared and flushed before a page is looked at,
// so nobody can take a reference through this address space.
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_UFFD_WP,
  PTE_WRITE,
  isKsmZeroPte,
  isSwapPte,
  isUffdWpPteMarker,
  isZeroPte,
  mkPte,
  pteFlags,
  ptePfn,
  ptePresent,
  pteTable,
  pteWrite,
  swpOffset,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  InodeKind,
  PG_ANON_EXCLUSIVE,
  PG_LRU,
  PG_SWAPBACKED,
  folioAt,
  folioHead,
  mmAt,
  pageAt,
} from '../../reducers/state.js';
import {
  VM_ACCESS,
  VM_HUGEPAGE,
  VM_NOHUGEPAGE,
  VM_SPECIAL,
  VM_WRITE,
  linearPageIndex,
  userfaultfdArmed,
  vmaIsAnonymous,
  vmaLookup,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Control, ScanResult } from './collapse-control.js';
import { GOES_ON, collapseErrno, findPmd, hasNoOtherUser, limit, putBack } from './collapse-control.js';
import { collapsePteMappedThp, scanFile } from './collapse-file.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EINVAL, PAGE_SIZE } from './kernel.js';
import type { Mappings } from './large-folio.js';
import { countLarge, folioMappingsChanged, maybeMappedShared } from './large-folio.js';
import { collapseInPlace } from './memory/huge.js';
import { folioAddedLruVma, locksPages, munlockVmaPages } from './memory/mlocked.js';
import { doSwapPage } from './memory/swapin.js';
import { append4, flushGather } from './memory/zap.js';
import { allocLargeFolio, putPage } from './page-alloc.js';
import { shmemAllowableOrders } from './shmem-huge.js';
import { lruAddDrainAll, lruAddDrainCpu } from './swap.js';
import { mustBeRead, readSwapCache } from './swapfile.js';
import { HPAGE_PMD_SIZE, SHMEM_ENABLED, hugePageFits, hugePageWanted, settingOf } from './thp.js';

const roundUp = (addr: number): number => Math.ceil(addr / HPAGE_PMD_SIZE) * HPAGE_PMD_SIZE;
const roundDown = (addr: number): number => Math.floor(addr / HPAGE_PMD_SIZE) * HPAGE_PMD_SIZE;

/**
 * `thp_vma_allowable_order()` as collapse asks it: may huge pages be in the VMA at all? khugepaged asks the settings too.
 * @throws NotModelledError for shared memory of a recording.
 */
function allowable(k: Kernel, vma: VmaView, { isKhugepaged }: Control): boolean {
  if ((vma.flags & (VM_NOHUGEPAGE | VM_SPECIAL)) !== 0) return false;
  if (roundUp(vma.start) + HPAGE_PMD_SIZE > vma.end) return false;
  if (!vmaIsAnonymous(vma)) return fileAllowable(k, vma, isKhugepaged);
  return (!isKhugepaged || hugePageWanted(k, vma)) && vma.anonVma !== 0;
}

/**
 * The same of a file. That of a disk may not: this kernel has no huge pages of files that are only read (CONFIG_READ_ONLY_THP_FOR_FS).
 * @throws NotModelledError for shared memory of a recording.
 */
function fileAllowable(k: Kernel, vma: VmaView, isKhugepaged: boolean): boolean {
  const inode = k.view.inodes[vma.inode];
  if (inode?.kind !== InodeKind.shmem || (vma.start / PAGE_SIZE - vma.pgoff) % HPAGE_PMD_NR !== 0) return false;
  if (k.view.shmem[vma.inode] === undefined)
    throw new NotModelledError('collapse of shared memory that others may have');
  return (shmemAllowableOrders(k, inode, vma, vma.pgoff, 0, !isKhugepaged) & (1 << HPAGE_PMD_ORDER)) !== 0;
}

/**
 * `madvise_collapse()` on [from, to) bytes of one VMA: every whole block of 2 MiB in it becomes a huge page. Returns 0 or a negative errno,
 * that of the last block that failed; blocks before and, after most failures, behind it are collapsed all the same.
 */
export function* madviseCollapse(
  k: Kernel,
  { tid, mm, cpu }: { readonly tid: number; readonly mm: number; readonly cpu: number },
  vma: VmaView,
  from: number,
  to: number,
): KernelThread<number> {
  const control = { isKhugepaged: false, tid, cpu };
  if (!allowable(k, vma, control)) return -EINVAL;
  lruAddDrainAll(k);
  const [first, end] = [roundUp(from), roundDown(to)];
  let done = 0;
  let failed: ScanResult = 'FAIL';
  for (let addr = first; addr < end; addr += HPAGE_PMD_SIZE) {
    const result = vmaIsAnonymous(vma) ? yield* scanPmd(k, mm, addr, control) : collapseFileBlock(k, mm, addr, control);
    if (result === 'SUCCEED' || result === 'PMD_MAPPED') done++;
    else {
      failed = result;
      if (!GOES_ON.has(result)) break;
    }
  }
  return done * HPAGE_PMD_SIZE === end - first ? 0 : collapseErrno(failed);
}

/** `hpage_collapse_scan_file()` of the block at `addr`, and, once one huge page is there, `collapse_pte_mapped_thp()`. */
function collapseFileBlock(k: Kernel, mm: number, addr: number, control: Control): ScanResult {
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  const result = scanFile(k, vma.inode, linearPageIndex(vma, addr), control);
  if (result !== 'PTE_MAPPED_HUGEPAGE') return result;
  const now = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  return collapsePteMappedThp(k, mm, addr, control, allowable(k, now, { ...control, isKhugepaged: false }));
}

/** Where khugepaged runs, and that it is no task of the workload. */
const KHUGEPAGED: Control = { isKhugepaged: true, tid: 0, cpu: 0 };

/**
 * `khugepaged_do_scan()` until every address space was scanned once (`full_scans`): what its settings allow is collapsed. Whether an entry was
 * used lately (its accessed bit) is not modelled: every present one counts as used, but for those that fork gave a child, which begin unused.
 * @throws NotModelledError where nothing else could be told from, which is where a child has none but such entries.
 */
export function* khugepagedFullScan(k: Kernel): KernelThread {
  lruAddDrainAll(k);
  for (const mm of k.view.mms) {
    if (mm === null) continue;
    for (const { start } of mm.vmas) {
      const vma = vmaLookup(mmAt(k.view, mm.id), start) as VmaView;
      if (!allowable(k, vma, KHUGEPAGED)) continue;
      for (let addr = roundUp(vma.start); addr + HPAGE_PMD_SIZE <= vma.end; addr += HPAGE_PMD_SIZE)
        if (vmaIsAnonymous(vma)) yield* scanPmd(k, mm.id, addr, KHUGEPAGED);
        else if (isKnown(k, mm.id)) collapseFileBlock(k, mm.id, addr, KHUGEPAGED);
        else
          throw new NotModelledError(
            'huge pages of files: khugepaged in an address space that it may not have heard of',
          );
    }
  }
  // The next scan begins so.
  lruAddDrainAll(k);
}

const isNoneOrZero = (entry: number): boolean => entry === 0 || isZeroPte(entry);

/** `hpage_collapse_scan_pmd()`: is the block at `addr` worth it? If so it is collapsed. mmap_lock held for read, the table's lock around the look. */
function* scanPmd(k: Kernel, mm: number, addr: number, control: Control): KernelThread<ScanResult> {
  const found = findPmd(k, mm, addr);
  if (found !== 'SUCCEED') return found;
  const table = pteTable(mmAt(k.view, mm), addr / PAGE_SIZE) as readonly number[];
  let [none, unmapped, shared, referenced] = [0, 0, 0, 0];
  let writable = false;
  // Each page that comes is to be heard of.
  const armed = userfaultfdArmed(vmaLookup(mmAt(k.view, mm), addr) as VmaView);
  for (const entry of table) {
    if (!ptePresent(entry) && !isNoneOrZero(entry)) {
      // A swap entry, or a marker, which only shows when it is to be brought in.
      if (++unmapped > limit(k, control, 'swap')) return 'EXCEED_SWAP_PTE';
      if ((entry & PTE_UFFD_WP) !== 0 || isUffdWpPteMarker(entry)) return 'PTE_UFFD_WP';
      continue;
    }
    if (isNoneOrZero(entry)) {
      if (armed || ++none > limit(k, control, 'none')) return 'EXCEED_NONE_PTE';
      continue;
    }
    if ((entry & PTE_UFFD_WP) !== 0) return 'PTE_UFFD_WP';
    if (pteWrite(entry)) writable = true;
    const pfn = ptePfn(entry);
    if (maybeMappedShared(k, pfn) && ++shared > limit(k, control, 'shared')) return 'EXCEED_SHARED_PTE';
    if ((folioAt(k.view, pfn).flags & PG_LRU) === 0) return 'PAGE_LRU';
    if (!hasNoOtherUser(k, pfn)) return 'PAGE_COUNT';
    referenced++;
  }
  if (!writable && !k.behaviours['collapse-without-writable-pte']) return 'PAGE_RO';
  if (control.isKhugepaged && (referenced === 0 || (unmapped > 0 && referenced < HPAGE_PMD_NR / 2)))
    return 'LACK_REFERENCED_PAGE';
  const counts = (entry: number): boolean => !isGivenUp(k, entry) && (!isForked(k, mm) || isOwn(k, entry));
  if (control.isKhugepaged && !table.some((entry) => ptePresent(entry) && !isZeroPte(entry) && counts(entry)))
    throw new NotModelledError('khugepaged where fork gave or MADV_FREE took all entries: which were used since');
  if (k.behaviours['collapse-in-place']) {
    const result = collapseInPlace(k, mm, addr / PAGE_SIZE);
    if (result !== 'no') return result === 'done' ? 'SUCCEED' : 'FAIL';
  }
  return yield* collapseHugePage(k, mm, addr, unmapped > 0, control);
}

/** Is it an entry to a page that MADV_FREE gave up, which has the entry begin anew as unused? */
const isGivenUp = (k: Kernel, entry: number): boolean =>
  ptePresent(entry) && !isZeroPte(entry) && (folioAt(k.view, ptePfn(entry)).flags & PG_SWAPBACKED) === 0;

/** Did the address space come by fork? */
const isForked = (k: Kernel, mm: number): boolean =>
  !Object.values(k.view.tasks).some((task) => (task.mm === mm || task.exitMm === mm) && task.parent === 0);

/** Is it an entry to a page that nobody else may have: made after any fork? */
const isOwn = (k: Kernel, entry: number): boolean =>
  ptePresent(entry) && !isZeroPte(entry) && (pageAt(k.view, ptePfn(entry)).flags & PG_ANON_EXCLUSIVE) !== 0;

/** `hugepage_vma_revalidate()`: mmap_lock was dropped, and the VMA may be another. */
function revalidate(k: Kernel, mm: number, addr: number, control: Control): ScanResult {
  const vma = vmaLookup(mmAt(k.view, mm), addr);
  if (vma === null || !hugePageFits(vma, addr)) return 'ADDRESS_RANGE';
  return allowable(k, vma, control) ? 'SUCCEED' : 'VMA_CHECK';
}

/** `collapse_huge_page()`. mmap_lock was let go for the allocation: all is looked at again. */
function* collapseHugePage(
  k: Kernel,
  mm: number,
  addr: number,
  unmapped: boolean,
  control: Control,
): KernelThread<ScanResult> {
  const pfn = allocLargeFolio(k, HPAGE_PMD_ORDER);
  const result = yield* tryCollapse(k, mm, addr, pfn, unmapped, control);
  if (result !== 'SUCCEED') putPage(k, pfn);
  return result;
}

function* tryCollapse(
  k: Kernel,
  mm: number,
  addr: number,
  pfn: number,
  unmapped: boolean,
  control: Control,
): KernelThread<ScanResult> {
  if (k.interleaved) yield { op: 'preempt', at: 'collapse:allocated' };
  let result = revalidate(k, mm, addr, control);
  if (result === 'SUCCEED') result = findPmd(k, mm, addr);
  if (result === 'SUCCEED' && unmapped) result = yield* swapIn(k, mm, addr, control);
  if (result !== 'SUCCEED') return result;
  if (k.interleaved) yield { op: 'preempt', at: 'collapse:swapped-in' };
  result = revalidate(k, mm, addr, control);
  if (result === 'SUCCEED') result = findPmd(k, mm, addr);
  if (result !== 'SUCCEED') return result;
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  result = isolate(k, mm, addr, control);
  if (result === 'SUCCEED') copyAndMap(k, mm, vma, addr, pfn, control.cpu);
  return result;
}

/**
 * Does khugepaged surely have the address space on its list (`khugepaged_enter_vma()`)? MADV_HUGEPAGE of anonymous memory with pages puts it there, and mapping a file that
 * may have huge pages; MADV_HUGEPAGE of a file does not, as it asks before the advice stands (measured on 6.18.44).
 */
const isKnown = (k: Kernel, mm: number): boolean =>
  settingOf(k, SHMEM_ENABLED) === 'always' ||
  mmAt(k.view, mm).vmas.some(
    (vma) =>
      vmaIsAnonymous(vma) &&
      vma.anonVma !== 0 &&
      (vma.flags & VM_HUGEPAGE) !== 0 &&
      roundUp(vma.start) + HPAGE_PMD_SIZE <= vma.end &&
      hugePageWanted(k, vma),
  );

/**
 * `__collapse_huge_page_swapin()`: what is swapped out is brought in, page by page; at a guard it fails, and what is in stays. So it does at the first page
 * that has to be read: that is locked until it is there, and found in the swap cache by the next attempt.
 * @throws NotModelledError for khugepaged at such a page: how often it looks in one round decides.
 */
function* swapIn(k: Kernel, mm: number, addr: number, { isKhugepaged, tid, cpu }: Control): KernelThread<ScanResult> {
  const first = addr / PAGE_SIZE;
  for (let vpn = first; vpn < first + HPAGE_PMD_NR; vpn++) {
    const entry = (pteTable(mmAt(k.view, mm), vpn) as readonly number[])[vpn - first] as number;
    if (ptePresent(entry) || isNoneOrZero(entry)) continue;
    if (!isSwapPte(entry)) return 'FAIL';
    if (mustBeRead(k, swpOffset(entry))) {
      if (isKhugepaged) throw new NotModelledError('khugepaged where pages have to be read from the swap area');
      readSwapCache(k, swpOffset(entry), cpu);
      return 'PAGE_LOCK';
    }
    const fault = { tid, cpu, mm, vpn, addr: vpn * PAGE_SIZE, access: 'read' } as const;
    yield* doSwapPage(k, fault);
  }
  // Brought in they wait for the LRU with a reference.
  lruAddDrainCpu(k, cpu);
  return 'SUCCEED';
}

/**
 * `__collapse_huge_page_isolate()`: every page is locked and taken off the LRU, unless somebody uses it. Those that were taken by then go
 * back.
 */
function isolate(k: Kernel, mm: number, addr: number, control: Control): ScanResult {
  const taken = new Set<number>();
  const giveBack = (result: ScanResult): ScanResult => {
    putBack(k, [...taken].toReversed(), control.cpu);
    return result;
  };
  let [none, shared] = [0, 0];
  let writable = false;
  const armed = userfaultfdArmed(vmaLookup(mmAt(k.view, mm), addr) as VmaView);
  for (const entry of pteTable(mmAt(k.view, mm), addr / PAGE_SIZE) as readonly number[]) {
    if (isNoneOrZero(entry)) {
      if (armed || ++none > limit(k, control, 'none')) return giveBack('EXCEED_NONE_PTE');
      continue;
    }
    if (!ptePresent(entry)) return giveBack('PTE_NON_PRESENT');
    if ((entry & PTE_UFFD_WP) !== 0) return giveBack('PTE_UFFD_WP');
    const pfn = folioHead(k.view, ptePfn(entry));
    if (maybeMappedShared(k, pfn) && ++shared > limit(k, control, 'shared')) return giveBack('EXCEED_SHARED_PTE');
    if (pteWrite(entry)) writable = true;
    if (taken.has(pfn)) continue;
    if (!hasNoOtherUser(k, pfn)) return giveBack('PAGE_COUNT');
    if ((folioAt(k.view, pfn).flags & PG_LRU) === 0) return giveBack('PAGE_LRU');
    taken.add(pfn);
  }
  return writable || k.behaviours['collapse-without-writable-pte'] ? 'SUCCEED' : giveBack('PAGE_RO');
}

/** `__collapse_huge_page_copy()` and what follows it: the bytes move, the old entries go, the huge one comes. */
function copyAndMap(k: Kernel, mm: number, vma: VmaView, addr: number, pfn: number, cpu: number): void {
  const first = addr / PAGE_SIZE;
  const table = pteTable(mmAt(k.view, mm), first) as readonly number[];
  const runs: number[] = [];
  const pages: number[] = [];
  const heads = new Set<number>();
  let [filled, ksmZero] = [0, 0];
  let large: Mappings | null = null;
  table.forEach((entry, i) => {
    if (isNoneOrZero(entry)) {
      filled++;
      if (isKsmZeroPte(entry)) ksmZero++;
      return;
    }
    const old = ptePfn(entry);
    append4(runs, first + i, old, pteFlags(entry), 1);
    pages.push(old);
    heads.add(folioHead(k.view, old));
    large = countLarge(large, old, pageAt(k.view, old).order, -1);
  });
  const locked = locksPages(vma.flags);
  const present = (vma.flags & VM_ACCESS) !== 0 ? PTE_PRESENT : PTE_PROTNONE;
  const writable = (vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0;
  k.emit({
    type: 'HugePageCollapsed',
    mm,
    vpn: first,
    pfn,
    entry: mkPte(pfn, present | PTE_HUGE | PTE_DIRTY | writable),
    anonVma: vma.anonVma,
    index: linearPageIndex(vma, addr),
    ref: 0,
    entireMapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    runs,
    mapcount: -1,
    rssAnon: filled,
    lru: locked ? 0 : 1,
  });
  if (ksmZero > 0) k.emit({ type: 'KsmZeroPagesChanged', mm, zeroPages: -ksmZero, allZeroPages: -ksmZero });
  folioMappingsChanged(k, mm, [...((large as Mappings | null) ?? []), [pfn, 1]]);
  putBack(k, [...heads], cpu);
  munlockVmaPages(k, vma.flags, pages, cpu);
  flushGather(k, mm);
  folioAddedLruVma(k, locked, pfn, cpu);
}
