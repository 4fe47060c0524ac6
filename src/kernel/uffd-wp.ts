// Write protection by userfaultfd: mwriteprotect_range() and uffd_wp_range() of mm/userfaultfd.c, and what mm/mprotect.c does for them.
import {
  PTE_UFFD_WP,
  PTE_WRITE,
  PTRS_PER_PTE,
  UFFD_WP_MARKER,
  isSwapPte,
  isUffdWpPteMarker,
  leafAt,
  nextTable,
  pteFlags,
  pteIndex,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  tableEnd,
  withFlags,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import { PG_ANON_EXCLUSIVE, folioHead, mmAt, pageAt } from '../../reducers/state.js';
import { VM_WRITE, userfaultfdWp, vmasIn } from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';
import { ENOENT, PAGE_SIZE } from './kernel.js';
import { splitHugePmd } from './memory/huge.js';
import { pteAlloc } from './memory/tables.js';
import { append4 } from './memory/zap.js';
import { canChangePteWritable } from './memory/writable.js';
import { appendRun } from './page-alloc.js';

const UFFD_FEATURE_WP_UNPOPULATED = 1 << 13;
const UFFD_FEATURE_WP_ASYNC = 1 << 15;

/** `userfaultfd_wp_use_markers()`: are empty entries protected as well? Of files always, their page may be there; of anonymous memory if asked for, by WP_ASYNC too. */
function usesMarkers(k: Kernel, { uffd, inode }: VmaView): boolean {
  if (inode !== 0) return true;
  const features = uffd === undefined ? 0 : (k.view.uffds[uffd]?.features ?? 0);
  return (features & (UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC)) !== 0;
}

/**
 * `mwriteprotect_range()` of [start, end) bytes: entries are protected, or no longer are, VMA by VMA; the first one that is not watched for writes ends it
 * with -ENOENT, those before stay changed. mmap_lock held for read.
 */
export function mwriteprotectRange(k: Kernel, { mm }: UffdView, start: number, end: number, enable: boolean): number {
  let error = -ENOENT;
  for (const vma of vmasIn(mmAt(k.view, mm), start, end)) {
    if (!userfaultfdWp(vma)) return -ENOENT;
    uffdWpRange(k, mm, vma, Math.max(vma.start, start), Math.min(vma.end, end), enable);
    error = 0;
  }
  return error;
}

/**
 * `uffd_wp_range()`, `change_protection()` with MM_CP_UFFD_WP or MM_CP_UFFD_WP_RESOLVE: [start, end) bytes of one VMA. What is protected no more becomes
 * writable where no fault could have anything to do.
 */
export function uffdWpRange(k: Kernel, mm: number, vma: VmaView, start: number, end: number, enable: boolean): void {
  const { flags, inode } = vma;
  const markers = enable && usesMarkers(k, vma);
  const last = end / PAGE_SIZE;
  const next = (vpn: number): number => (markers ? (vpn < last ? vpn : -1) : nextTable(mmAt(k.view, mm), vpn, last));
  for (let vpn = next(start / PAGE_SIZE); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    const leaf = leafAt(mmAt(k.view, mm), vpn);
    // `pgtable_split_needed()`: of a file a huge entry goes, and markers in its place say what is protected.
    const stays = stop - vpn === PTRS_PER_PTE && !(enable && inode !== 0);
    if (leaf !== 0 && stays) changeHugePmdWp(k, mm, vpn, flags, enable);
    else {
      if (leaf !== 0) splitHugePmd(k, mm, vpn);
      if (markers) pteAlloc(k, mm, vpn);
      changeTable(k, mm, vpn, stop, { flags, inode, enable, markers });
    }
    vpn = next(stop);
  }
  k.emit({ type: 'UffdRangeProtected', mm, addr: start, end, enable: enable ? 1 : 0 });
}

interface Change {
  /** VM_* of the mapping. */
  readonly flags: number;
  readonly inode: number;
  readonly enable: boolean;
  /** Empty entries become markers. */
  readonly markers: boolean;
}

/** `change_pte_range()` of entries [from, to) of one table. */
function changeTable(k: Kernel, mm: number, from: number, to: number, change: Change): void {
  const { flags, inode, enable, markers } = change;
  // Up to 5.17 nothing was marked that could not be written to anyway.
  const marks = enable && ((flags & VM_WRITE) !== 0 || k.behaviours['uffd-wp-marks-readonly']);
  const table = pteTable(mmAt(k.view, mm), from) as readonly number[];
  const runs: number[] = [];
  const marked: number[] = [];
  const emptied: number[] = [];
  const swapped: number[] = [];
  const base = from - pteIndex(from);
  for (let vpn = from; vpn < to; vpn++) {
    const old = table[vpn - base] as number;
    if (ptePresent(old)) {
      const plain = withFlags(old, marks ? PTE_UFFD_WP : 0, PTE_WRITE | (enable ? 0 : PTE_UFFD_WP));
      const upgrades = !enable && (flags & VM_WRITE) !== 0 && canChangePteWritable(k, plain, flags, inode);
      const now = upgrades ? withFlags(plain, PTE_WRITE, 0) : plain;
      if (now !== old) append4(runs, vpn, ptePfn(now), pteFlags(now), 1);
    } else if (isSwapPte(old)) swapped.push(vpn);
    else if (old === 0 && markers) appendRun(marked, vpn);
    else if (isUffdWpPteMarker(old) && !enable) appendRun(emptied, vpn);
  }
  if (runs.length > 0) k.emit({ type: 'UffdWpChanged', mm, runs });
  if (marked.length > 0) k.emit({ type: 'UffdMarkersSet', mm, runs: marked, entry: UFFD_WP_MARKER });
  if (emptied.length > 0) k.emit({ type: 'UffdMarkersSet', mm, runs: emptied, entry: 0 });
  for (const vpn of swapped) {
    const old = (pteTable(mmAt(k.view, mm), from) as readonly number[])[vpn - base] as number;
    const entry = withFlags(old, enable ? PTE_UFFD_WP : 0, enable ? 0 : PTE_UFFD_WP);
    // Until the series was merged entries without a page were passed over.
    if (entry !== old && k.behaviours['uffd-wp-handles-swap-entries']) k.emit({ type: 'PteFlagsSet', mm, vpn, entry });
  }
}

/** `change_huge_pmd()` of a huge entry that lies in the range as a whole. */
function changeHugePmdWp(k: Kernel, mm: number, vpn: number, flags: number, enable: boolean): void {
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  const own = !pteSpecial(leaf) && (pageAt(k.view, folioHead(k.view, ptePfn(leaf))).flags & PG_ANON_EXCLUSIVE) !== 0;
  const upgrades = !enable && (flags & VM_WRITE) !== 0 && own && k.behaviours['mprotect-upgrades-exclusive'];
  const set = (enable ? PTE_UFFD_WP : 0) | (upgrades ? PTE_WRITE : 0);
  const entry = withFlags(leaf, set, PTE_WRITE | (enable ? 0 : PTE_UFFD_WP));
  if (entry !== leaf) k.emit({ type: 'PmdProtected', mm, vpn, entry });
}
