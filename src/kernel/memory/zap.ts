// Taking entries away: zap_pte_range(), unmap_vmas(), free_pgtables() of mm/memory.c, and the gather of mm/mmu_gather.c.
//
// Unmapping has two phases. First entries, mapcounts and counters go, under the table's lock; the references wait in the
// mmu_gather until the TLB is flushed, and only then are pages freed. Between the two another process sees an unmapped page with a
// reference, and copies where it could have reused.
import {
  PTE_DIRTY,
  PTE_UFFD_WP,
  UFFD_WP_MARKER,
  isGuardPteMarker,
  isKsmZeroPte,
  isPteMarker,
  isUffdWpPteMarker,
  PTRS_PER_PTE,
  isSwapPte,
  leafAt,
  pmdNone,
  pteAt,
  pteIndex,
  droppableTableBytes,
  nextTable,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  swpOffset,
  tableEnd,
} from '../../../reducers/pte.js';
import type { MmView } from '../../../reducers/state.js';
import { InodeKind, PG_ANON, folioHead, mmAt, pageAt, rssPages } from '../../../reducers/state.js';
import { VM_HUGETLB, VM_LOCKED, VM_UFFD_WP, findVmaIndex, vmaLookup } from '../../../reducers/vma.js';
import { freeHugePage, isHugetlbPage } from '../hugetlb/pool.js';
import { unmapHugepageRange } from '../hugetlb/unmap.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE, TASK_SIZE } from '../kernel.js';
import type { Mappings } from '../large-folio.js';
import { countLarge, folioMappingsChanged } from '../large-folio.js';
import { appendRun } from '../page-alloc.js';
import { freeSwapAndCache, freeSwapCache } from '../swapfile.js';
import { markDirty } from '../filemap.js';
import { splitHugePmd, zapHugePmd } from './huge.js';
import { munlockVmaPages } from './mlocked.js';

/** Pages a gather holds before it must be flushed: the on-stack bundle of 8 and 19 batches of 510. */
const MAX_GATHER_PAGES = 8 + 19 * 510;

/** `update_hiwater_rss()`, which comes before every decrease. */
export function updateHiwaterRss(k: Kernel, mm: number): void {
  const now = mmAt(k.view, mm);
  const pages = rssPages(now);
  if (pages > now.hiwaterRss) k.emit({ type: 'HiwaterRssRaised', mm, pages });
}

/** What becomes of guard markers: they go with their mapping (ZAP_FLAG_DROP_MARKER), and stay where only the memory goes. Others go with either. */
export type Markers = 'drop' | 'keep';

/**
 * `zap_page_range_single()`, one VMA of `unmap_vmas()`: clears the entries of [start, end) bytes, which lie in one VMA with `flags`. Pages stay in the
 * mm's gather until flushGather(); those of a locked VMA wait in `cpu`'s mlock batch as well. mmap_lock held (for read suffices where the
 * VMA stays).
 */
export function zapPageRange(
  k: Kernel,
  mm: number,
  flags: number,
  start: number,
  end: number,
  cpu: number,
  markers: Markers,
): void {
  if ((flags & VM_HUGETLB) !== 0) return unmapHugepageRange(k, mm, start, end);
  const last = end / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    if (leafAt(mmAt(k.view, mm), vpn) !== 0) {
      if (stop - vpn === PTRS_PER_PTE) {
        zapHugePmd(k, mm, flags, vpn, cpu);
        vpn = nextTable(mmAt(k.view, mm), stop, last);
        continue;
      }
      splitHugePmd(k, mm, vpn);
      if (pmdNone(mmAt(k.view, mm), vpn)) {
        vpn = nextTable(mmAt(k.view, mm), stop, last);
        continue;
      }
    }
    for (let from = vpn; from < stop; from += k.batchMax)
      zapPteRange(k, mm, flags, from, Math.min(from + k.batchMax, stop), cpu, markers);
    if (mmAt(k.view, mm).gather.length >= MAX_GATHER_PAGES) flushGather(k, mm);
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
}

function zapPteRange(
  k: Kernel,
  mm: number,
  vmFlags: number,
  from: number,
  to: number,
  cpu: number,
  markers: Markers,
): void {
  const table = pteTable(mmAt(k.view, mm), from) as readonly number[];
  const runs: number[] = [];
  const special: number[] = [];
  const dirtied: number[] = [];
  const locked = (vmFlags & VM_LOCKED) !== 0;
  const mlocked: number[] = [];
  const swapped: number[] = [];
  let file = 0;
  let anon = 0;
  let shmem = 0;
  let ksmZero = 0;
  let large: Mappings | null = null;
  const base = from - pteIndex(from);
  // Of a file the entries say alone what is protected (`zap_install_uffd_wp_if_needed()`).
  const ofFile = markers === 'keep' && (vmaLookup(mmAt(k.view, mm), from * PAGE_SIZE)?.inode ?? 0) !== 0;
  const remembered: number[] = [];
  for (let vpn = from; vpn < to; vpn++) {
    const entry = table[vpn - base] as number;
    if (entry === 0 || (markers === 'keep' && isGuardPteMarker(entry))) continue;
    if (ofFile && isUffdWpPteMarker(entry)) continue;
    if (ofFile && (vmFlags & VM_UFFD_WP) !== 0 && !isPteMarker(entry) && (entry & PTE_UFFD_WP) !== 0)
      appendRun(remembered, vpn);
    if (isSwapPte(entry)) {
      swapped.push(vpn);
      continue;
    }
    const flags = pteFlags(entry);
    const pfn = ptePfn(entry);
    if (pteSpecial(entry)) {
      append4(special, vpn, pfn, flags, 0);
      if (isKsmZeroPte(entry)) ksmZero++;
      continue;
    }
    append4(runs, vpn, pfn, flags, 1);
    const page = pageAt(k.view, pfn);
    if (page.order !== 0) {
      large = countLarge(large, pfn, page.order, -1);
      if (locked && (pfn % 2 ** page.order === 0 || !continuesFolio(table, vpn, from, base))) mlocked.push(pfn);
    } else if (locked) mlocked.push(pfn);
    if ((page.flags & PG_ANON) !== 0) anon++;
    else {
      if (k.view.inodes[page.mapping]?.kind === InodeKind.shmem) shmem++;
      else file++;
      if ((flags & PTE_DIRTY) !== 0) dirtied.push(pfn);
    }
  }
  for (const vpn of swapped) freeSwapAndCache(k, mm, vpn, swpOffset(pteAt(mmAt(k.view, mm), vpn)));
  if (runs.length + special.length > 0) {
    for (const pfn of dirtied) markDirty(k, pfn);
    k.emit({
      type: 'PtesZapped',
      mm,
      runs,
      special,
      mapcount: -1,
      rssFile: -file,
      rssAnon: -anon,
      rssShmem: -shmem,
    });
  }
  if (remembered.length > 0) k.emit({ type: 'UffdMarkersSet', mm, runs: remembered, entry: UFFD_WP_MARKER });
  if (ksmZero > 0) k.emit({ type: 'KsmZeroPagesChanged', mm, zeroPages: -ksmZero, allZeroPages: -ksmZero });
  if (large !== null) folioMappingsChanged(k, mm, large);
  munlockVmaPages(k, vmFlags, mlocked, cpu);
}

/** `folio_pte_batch()`: is the entry at `vpn` one more of a row of pages of one folio? Such a row is unmapped, and unlocked, as one. */
function continuesFolio(table: readonly number[], vpn: number, from: number, base: number): boolean {
  if (vpn === from) return false;
  const [before, entry] = [table[vpn - 1 - base] as number, table[vpn - base] as number];
  return ptePresent(before) && !pteSpecial(before) && ptePfn(before) + 1 === ptePfn(entry);
}

/** Appends to runs of [vpn, pfn, n, flags]. */
export function append4(runs: number[], vpn: number, pfn: number, flags: number, step: number): void {
  const last = runs.length - 4;
  if (last >= 0) {
    const n = runs[last + 2] as number;
    if (
      (runs[last] as number) + n === vpn &&
      (runs[last + 1] as number) + n * step === pfn &&
      runs[last + 3] === flags
    ) {
      runs[last + 2] = n + 1;
      return;
    }
  }
  runs.push(vpn, pfn, 1, flags);
}

/** `tlb_finish_mmu()`: the TLB is flushed, the gathered references go, and pages without any other are freed. */
export function flushGather(k: Kernel, mm: number): void {
  const { gather } = mmAt(k.view, mm);
  if (gather.length === 0) return;
  // `free_pages_and_swap_cache()`: pages that nobody maps need no slot.
  for (const pfn of gather) freeSwapCache(k, pfn);
  const runs: number[] = [];
  const freed: number[] = [];
  const huge: number[] = [];
  const dropped = new Map<number, number>();
  for (const page of gather) {
    appendRun(runs, page);
    const pfn = folioHead(k.view, page);
    const times = (dropped.get(pfn) ?? 0) + 1;
    dropped.set(pfn, times);
    if (pageAt(k.view, pfn).ref !== times) continue;
    if (isHugetlbPage(k, pfn)) huge.push(pfn);
    else appendRun(freed, pfn);
  }
  k.emit({ type: 'GatherFlushed', mm, ref: -1, runs, freed });
  for (const pfn of huge) freeHugePage(k, pfn);
}

/** `free_pgtables()` after a range from `start` on was unmapped: tables that no VMA reaches any more, between the neighbours left. */
export function freePgtables(k: Kernel, mm: number, start: number): void {
  const now: MmView = mmAt(k.view, mm);
  const at = findVmaIndex(now, start);
  const floor = now.vmas[at - 1]?.end ?? 0;
  const ceiling = now.vmas[at]?.start ?? TASK_SIZE;
  const vpn = Math.ceil(floor / PAGE_SIZE);
  const vpnEnd = ceiling === TASK_SIZE ? 2 ** 35 : Math.floor(ceiling / PAGE_SIZE);
  const bytes = droppableTableBytes(now, vpn, vpnEnd);
  if (bytes > 0) k.emit({ type: 'PageTablesFreed', mm, vpn, vpnEnd, bytes });
}
