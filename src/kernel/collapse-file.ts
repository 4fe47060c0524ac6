// Collapse of files in memory: collapse_file(), hpage_collapse_scan_file(), collapse_pte_mapped_thp() and retract_page_tables() of mm/khugepaged.c.
//
// The page cache comes first: the pages of 2 MiB, holes among them, give way to one huge page, and all their entries go. Then the page tables below which
// they stood are taken away, so that the next fault brings a huge entry; MADV_COLLAPSE puts one there itself. Locks: every page's, i_mmap_rwsem for read.
import {
  TABLE_BYTES,
  isUffdWpPteMarker,
  pmdNone,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
} from '../../reducers/pte.js';
import type { InodeView, VmaView } from '../../reducers/state.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  PG_LRU,
  PG_NOT_UPTODATE,
  cachedPfn,
  folioAt,
  folioHead,
  mmAt,
  pageAt,
  swapSlot,
} from '../../reducers/state.js';
import {
  VM_LOCKED,
  linearPageIndex,
  userfaultfdMissing,
  userfaultfdWp,
  vmaLookup,
  vmaPages,
} from '../../reducers/vma.js';
import type { Control, ScanResult } from './collapse-control.js';
import { findPmd, hasNoOtherUser, limit, putBack } from './collapse-control.js';
import { unmapFileFolio } from './file-split.js';
import { appendPteRun } from './filemap.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';
import { folioMappingsChanged } from './large-folio.js';
import { doSetPmd, fileRss, maySetPmd } from './memory/file-huge.js';
import { munlockVmaPages } from './memory/mlocked.js';
import { append4, updateHiwaterRss } from './memory/zap.js';
import { allocLargeFolio, appendRun, putPage } from './page-alloc.js';
import { shmemGetFolio, shmemHasRoom, shmemRecalcInode } from './shmem.js';
import { drainLruAdd, lruAddDrainCpu } from './swap.js';

/** `hpage_collapse_scan_file()`: are the 512 pages of file `id` from page `start` on worth it? If so they are collapsed. */
export function scanFile(k: Kernel, id: number, start: number, control: Control): ScanResult {
  const inode = k.view.inodes[id] as InodeView;
  let [present, swapped] = [0, 0];
  for (let index = start; index < start + HPAGE_PMD_NR;) {
    const pfn = cachedPfn(inode, index);
    if (pfn < 0) {
      if (swapSlot(inode, index) >= 0 && ++swapped > limit(k, control, 'swap')) return 'EXCEED_SWAP_PTE';
      index++;
      continue;
    }
    const { order, flags } = folioAt(k.view, pfn);
    if (order === HPAGE_PMD_ORDER) return 'PTE_MAPPED_HUGEPAGE';
    if ((flags & PG_LRU) === 0) return 'PAGE_LRU';
    if (!hasNoOtherUser(k, pfn)) return 'PAGE_COUNT';
    present += 2 ** order;
    index += 2 ** order;
  }
  if (control.isKhugepaged && present < HPAGE_PMD_NR - limit(k, control, 'none')) return 'EXCEED_NONE_PTE';
  return collapseFile(k, id, start, control);
}

/** `collapse_file()`. What failed stays as it is, but that its entries are gone, and that it waits for the LRU. */
function collapseFile(k: Kernel, id: number, start: number, control: Control): ScanResult {
  const fresh = allocLargeFolio(k, HPAGE_PMD_ORDER);
  const taken: number[] = [];
  let result = takeFolios(k, id, start, control, taken);
  const holes = HPAGE_PMD_NR - taken.reduce((sum, pfn) => sum + 2 ** pageAt(k.view, pfn).order, 0);
  // shmem_charge().
  if (result === 'SUCCEED' && holes > 0) {
    if (!shmemHasRoom(k, id, holes)) result = 'FAIL';
    else if (k.behaviours['collapse-respects-uffd-missing'] && isWatched(k, id, start)) result = 'EXCEED_NONE_PTE';
  }
  if (result !== 'SUCCEED') {
    putBack(k, taken, control.cpu);
    putPage(k, fresh);
    return result;
  }
  const runs: number[] = [];
  const freed: number[] = [];
  for (const head of taken) {
    const { order, index, ref } = pageAt(k.view, head);
    appendPteRun(runs, index, head, 2 ** order);
    if (ref === 2 ** order) appendRun(freed, head);
  }
  const references = { ref: HPAGE_PMD_NR, oldRef: -1, freed };
  k.emit({ type: 'FileCollapsed', inode: id, index: start, pfn: fresh, runs, swapbacked: 1, dirty: 1, ...references });
  putPage(k, fresh);
  if (holes > 0) shmemRecalcInode(k, id, holes, 0, holes);
  drainLruAdd(k, control.cpu);
  retractPageTables(k, id, start);
  return control.isKhugepaged ? 'SUCCEED' : 'PTE_MAPPED_HUGEPAGE';
}

/** The folios of the range, one after the other, into `taken`: brought in, filled, off the LRU, and mapped by nobody. Ends at the first that cannot be had. */
function takeFolios(k: Kernel, id: number, start: number, { cpu }: Control, taken: number[]): ScanResult {
  const end = start + HPAGE_PMD_NR;
  for (let index = start; index < end;) {
    const inode = k.view.inodes[id] as InodeView;
    const isThere = (at: number): boolean => cachedPfn(inode, at) >= 0 || swapSlot(inode, at) >= 0;
    if (!isThere(index)) {
      if (index === start && !Array.from({ length: HPAGE_PMD_NR }, (_, i) => start + i).some(isThere))
        return 'TRUNCATED';
      index++;
      continue;
    }
    const cached = cachedPfn(inode, index);
    if (cached < 0 || (folioAt(k.view, cached).flags & PG_NOT_UPTODATE) !== 0) {
      const found = shmemGetFolio(k, id, index, 'noalloc', cpu);
      if (typeof found === 'number') return 'FAIL';
      lruAddDrainCpu(k, cpu);
    }
    const pfn = folioHead(k.view, cachedPfn(k.view.inodes[id] as InodeView, index));
    const { order } = pageAt(k.view, pfn);
    if (order === HPAGE_PMD_ORDER) return 'PTE_MAPPED_HUGEPAGE';
    if ((pageAt(k.view, pfn).flags & PG_LRU) === 0) return 'DEL_PAGE_LRU';
    unmapFileFolio(k, pfn, cpu);
    if (pageAt(k.view, pfn).ref !== 2 ** order) {
      putBack(k, [pfn], cpu);
      return 'PAGE_COUNT';
    }
    taken.push(pfn);
    index += 2 ** order;
  }
  return 'SUCCEED';
}

/** The VMAs that have pages [start, start + n) of file `id`, with their address spaces. */
function* vmasOf(k: Kernel, id: number, start: number, n: number): Generator<readonly [number, VmaView]> {
  for (const space of k.view.mms)
    for (const vma of space?.vmas ?? [])
      if (vma.inode === id && vma.pgoff < start + n && vma.pgoff + vmaPages(vma) > start) yield [space!.id, vma];
}

/** Would a userfaultfd hear of a missing page of the range? */
function isWatched(k: Kernel, id: number, start: number): boolean {
  for (const [, vma] of vmasOf(k, id, start, HPAGE_PMD_NR)) if (userfaultfdMissing(vma)) return true;
  return false;
}

/**
 * `retract_page_tables()`: the tables below which the range was mapped go, empty as they are, but for those of mappings with pages of their own or that a userfaultfd
 * protects.
 */
function retractPageTables(k: Kernel, id: number, start: number): void {
  for (const [mm, vma] of vmasOf(k, id, start, 1)) {
    if (vma.anonVma !== 0 || userfaultfdWp(vma)) continue;
    const addr = vma.start + (start - vma.pgoff) * PAGE_SIZE;
    const vpn = addr / PAGE_SIZE;
    if (vpn % HPAGE_PMD_NR !== 0 || vma.end < addr + HPAGE_PMD_NR * PAGE_SIZE) continue;
    if (findPmd(k, mm, addr) === 'SUCCEED') freeTable(k, mm, vpn);
  }
}

const freeTable = (k: Kernel, mm: number, vpn: number): void =>
  k.emit({ type: 'PageTablesFreed', mm, vpn, vpnEnd: vpn + HPAGE_PMD_NR, bytes: TABLE_BYTES });

/**
 * `collapse_pte_mapped_thp()`: entries of pages of the one huge page that the file has at `addr` give way to a huge entry; khugepaged leaves that to the next fault. `isAllowed`: huge
 * pages may be in the VMA.
 */
export function collapsePteMappedThp(
  k: Kernel,
  mm: number,
  addr: number,
  { isKhugepaged, cpu }: Control,
  isAllowed: boolean,
): ScanResult {
  const vma = vmaLookup(mmAt(k.view, mm), addr);
  if (vma === null || vma.end < addr + HPAGE_PMD_NR * PAGE_SIZE) return 'VMA_CHECK';
  const found = findPmd(k, mm, addr);
  if (found === 'PMD_MAPPED') return found;
  if (!isAllowed) return 'VMA_CHECK';
  if (userfaultfdWp(vma)) return 'PTE_UFFD_WP';
  const pfn = cachedPfn(k.view.inodes[vma.inode] as InodeView, linearPageIndex(vma, addr));
  if (pfn < 0) return 'PAGE_NULL';
  if (pageAt(k.view, pfn).order !== HPAGE_PMD_ORDER) return 'PAGE_COMPOUND';
  // Where no table is, of whatever level, the tables above are made (measured on 6.18.44).
  const vpn = addr / PAGE_SIZE;
  if (found === 'SUCCEED') {
    const result = clearEntries(k, mm, vma, vpn, pfn, cpu);
    if (result !== 'SUCCEED') return result;
    freeTable(k, mm, vpn);
  }
  if (isKhugepaged) return 'SUCCEED';
  if (!maySetPmd(vma, addr) || !pmdNone(mmAt(k.view, mm), vpn)) return 'FAIL';
  return doSetPmd(k, { mm, addr, cpu }, vma, pfn, false) ? 'SUCCEED' : 'FAIL';
}

/** Steps 1 to 3: all 512 entries from `vpn` on are empty or lead to their page of the huge page at `pfn`; then they go. */
function clearEntries(k: Kernel, mm: number, vma: VmaView, vpn: number, pfn: number, cpu: number): ScanResult {
  const table = pteTable(mmAt(k.view, mm), vpn) as readonly number[];
  const runs: number[] = [];
  let gone = 0;
  for (const [i, entry] of table.entries()) {
    if (entry === 0) continue;
    if (!ptePresent(entry) || isUffdWpPteMarker(entry)) return 'PTE_NON_PRESENT';
    if (pteSpecial(entry) || ptePfn(entry) !== pfn + i) return 'FAIL';
    append4(runs, vpn + i, pfn + i, pteFlags(entry), 1);
    gone++;
  }
  if (gone === 0) return 'SUCCEED';
  updateHiwaterRss(k, mm);
  k.emit({ type: 'FilePtesUnmapped', mm, runs, ref: -1, mapcount: -1, dirty: 0, ...fileRss(k, pfn, -gone) });
  folioMappingsChanged(k, mm, [[pfn, -gone]]);
  if ((vma.flags & VM_LOCKED) !== 0) munlockVmaPages(k, vma.flags, [pfn], cpu);
  return 'SUCCEED';
}
