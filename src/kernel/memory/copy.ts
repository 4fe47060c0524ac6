// fork's half of mm/memory.c: copy_page_range() and below.
// Locks: both mmap_locks for write, the parent's VMA write-locked, both tables' locks around each table.
import {
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_SWP_EXCLUSIVE,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTRS_PER_PTE,
  TABLE_BYTES,
  isSwapPte,
  isUffdWpPteMarker,
  leafAt,
  missingTableBytes,
  mkPte,
  pteAt,
  pteIndex,
  pteFlags,
  ptePfn,
  pteSpecial,
  pteTable,
  swpOffset,
  withFlags,
} from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { InodeKind, PG_ANON, PG_ANON_EXCLUSIVE, mmAt, pageAt } from '../../../reducers/state.js';
import {
  VM_ACCESS,
  VM_MAYBE_GUARD,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_SHARED,
  VM_WRITE,
  isCowMapping,
  linearPageIndex,
  userfaultfdWp,
  vmaLookup,
} from '../../../reducers/vma.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import type { Mappings } from '../large-folio.js';
import { countLarge, folioMappingsChanged, maybePinned } from '../large-folio.js';
import { allocPage } from '../page-alloc.js';
import { dirtyFlags } from '../soft-dirty.js';
import { lruBatchAdded } from '../swap.js';
import { copyHugePmd } from './huge.js';
import { pmdAlloc, pteAlloc, pudAlloc } from './tables.js';

/** `vma_needs_copy()`: does the child need this VMA's entries, or will its own faults do? */
export const vmaNeedsCopy = (vma: VmaView): boolean =>
  vma.anonVma !== 0 || (vma.flags & (VM_PFNMAP | VM_MIXEDMAP | VM_MAYBE_GUARD)) !== 0;

/** Between which address spaces entries are copied, and where. */
interface Forking {
  readonly parent: number;
  readonly child: number;
  readonly cpu: number;
}

/**
 * `copy_page_range()`: gives the child the parent's entries of `vma`, table by table. While those of a private mapping are write-protected the
 * sequence count is odd, so that GUP-fast, which takes no lock, hears of it.
 */
export function* copyPageRange(k: Kernel, forking: Forking, vma: VmaView): KernelThread {
  const counted = k.interleaved && k.behaviours['write-protect-seq'] && isCowMapping(vma.flags);
  if (k.interleaved) yield { op: 'preempt', at: 'fork:K0' };
  if (counted) raiseSeq(k, forking.parent);
  yield* copyTables(k, forking, vma);
  if (k.interleaved) yield { op: 'preempt', at: 'fork:K8' };
  if (counted) raiseSeq(k, forking.parent);
}

/** `userfaultfd_wp(dst_vma)`. */
function isWatchedForWrites(k: Kernel, child: number, vpn: number): boolean {
  const vma = vmaLookup(mmAt(k.view, child), vpn * PAGE_SIZE);
  return vma !== null && userfaultfdWp(vma);
}

const raiseSeq = (k: Kernel, mm: number): void =>
  k.emit({ type: 'WriteProtectSeqRaised', mm, seq: (k.view.writeProtectSeq[mm] ?? 0) + 1 });

function* copyTables(k: Kernel, forking: Forking, vma: VmaView): KernelThread {
  const { parent, child } = forking;
  const { start, end, flags, inode } = vma;
  const last = end / PAGE_SIZE;
  for (let vpn = start / PAGE_SIZE; vpn < last;) {
    // The child gets a table for every table of the parent, of each level, even if nothing in this VMA's part of it is present.
    const missing = missingTableBytes(mmAt(k.view, parent), vpn) / TABLE_BYTES;
    if (missing === 0 && leafAt(mmAt(k.view, parent), vpn) !== 0 && copyHugePmd(k, forking, vpn)) {
      vpn += PTRS_PER_PTE;
      continue;
    }
    if (missing === 0) pteAlloc(k, child, vpn);
    else if (missing === 1) pmdAlloc(k, child, vpn);
    else if (missing === 2) pudAlloc(k, child, vpn);
    const span = PTRS_PER_PTE ** Math.max(1, missing);
    const stop = Math.min(vpn - (vpn % span) + span, last);
    if (missing === 0)
      for (let from = vpn; from < stop; from += k.batchMax)
        yield* copyPteRange(k, forking, flags, inode, from, Math.min(from + k.batchMax, stop));
    vpn = stop;
  }
}

/**
 * `copy_pte_range()`, `copy_present_ptes()`: anonymous pages become shared (no longer exclusive, write-protected on both sides), page-cache
 * pages get another mapping. The flags decide nothing: what was writable in a private mapping no longer is.
 */
function* copyPteRange(
  k: Kernel,
  forking: Forking,
  vmFlags: number,
  inode: number,
  from: number,
  to: number,
): KernelThread {
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${forking.parent},${from})` };
  const { parent } = forking;
  const table = pteTable(mmAt(k.view, parent), from) as readonly number[];
  const cow = isCowMapping(vmFlags);
  // Where nobody watches the child for writes its entries are not protected.
  const keepsWp = isWatchedForWrites(k, forking.child, from);
  const shared = (vmFlags & VM_SHARED) !== 0;
  const anon: number[] = [];
  const file: number[] = [];
  const special: number[] = [];
  const swapped: number[] = [];
  let anonPages = 0;
  let filePages = 0;
  let large: Mappings | null = null;
  const base = from - pteIndex(from);
  for (let vpn = from; vpn < to; vpn++) {
    const entry = table[vpn - base] as number;
    if (entry === 0) continue;
    if (isSwapPte(entry)) {
      swapped.push(vpn, withFlags(entry, 0, PTE_SWP_EXCLUSIVE));
      continue;
    }
    const old = pteFlags(entry);
    const parentFlags = cow ? old & ~PTE_WRITE : old;
    const childFlags = (shared ? parentFlags & ~PTE_DIRTY : parentFlags) & ~(keepsWp ? 0 : PTE_UFFD_WP);
    const pfn = ptePfn(entry);
    if (isUffdWpPteMarker(entry) && !keepsWp) continue;
    if (pteSpecial(entry)) append5(special, vpn, pfn, childFlags, parentFlags, 0);
    else if ((pageAt(k.view, pfn).flags & PG_ANON) !== 0) {
      if (k.interleaved) yield { op: 'preempt', at: 'fork:K3' };
      if (needsCowForDma(k, parent, pfn)) {
        // The locks are dropped for the allocation: what was done so far can be seen, the rest begins anew behind this page.
        copySwapped(k, forking, swapped);
        share(k, forking, inode, { anon, file, special }, anonPages, filePages);
        if (large !== null) folioMappingsChanged(k, forking.child, large);
        copyPresentPage(k, forking, vpn, pfn);
        if (vpn + 1 < to) yield* copyPteRange(k, forking, vmFlags, inode, vpn + 1, to);
        return;
      }
      append5(anon, vpn, pfn, childFlags, parentFlags, 1);
      large = countLarge(large, pfn, pageAt(k.view, pfn).order, 1);
      anonPages++;
    } else {
      append5(file, vpn, pfn, childFlags, parentFlags, 1);
      large = countLarge(large, pfn, pageAt(k.view, pfn).order, 1);
      filePages++;
    }
  }
  if (k.interleaved && anonPages > 0) yield { op: 'preempt', at: 'fork:K4' };
  copySwapped(k, forking, swapped);
  share(k, forking, inode, { anon, file, special }, anonPages, filePages);
  if (large !== null) folioMappingsChanged(k, forking.child, large);
}

/** `folio_needs_cow_for_dma()`: may the parent have pinned the page? Since 5.19 only pages that are its own are asked about. */
function needsCowForDma(k: Kernel, parent: number, pfn: number): boolean {
  if (!k.behaviours['fork-copies-pinned'] || !k.view.hasPinned.includes(parent)) return false;
  if (!maybePinned(k, pfn)) return false;
  const { flags } = pageAt(k.view, pfn);
  return !k.behaviours['anon-exclusive'] || (flags & PG_ANON_EXCLUSIVE) !== 0;
}

/** `copy_present_page()`: the child gets a page of its own at once, the parent keeps its as it is. */
function copyPresentPage(k: Kernel, { parent, child, cpu }: Forking, vpn: number, from: number): void {
  const addr = vpn * PAGE_SIZE;
  const vma = vmaLookup(mmAt(k.view, child), addr) as VmaView;
  const pfn = allocPage(k);
  k.emit({ type: 'PageCopied', pfn, from });
  const accessible = (vma.flags & VM_ACCESS) !== 0;
  const isProtected = userfaultfdWp(vma) && (pteAt(mmAt(k.view, parent), vpn) & PTE_UFFD_WP) !== 0;
  const writable = isProtected || (vma.flags & VM_WRITE) === 0 ? 0 : PTE_WRITE;
  k.emit({
    type: 'AnonPageMapped',
    mm: child,
    vpn,
    pfn,
    entry: mkPte(
      pfn,
      (accessible ? PTE_PRESENT | writable : PTE_PROTNONE) | dirtyFlags(k) | (isProtected ? PTE_UFFD_WP : 0),
    ),
    anonVma: vma.anonVma,
    index: linearPageIndex(vma, addr),
    ref: 1,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    rssAnon: 1,
    lruCpu: cpu,
  });
  lruBatchAdded(k, cpu);
}

/** `copy_nonpresent_pte()` of swap entries, [vpn, entry]*: they are exclusive on neither side. */
function copySwapped(k: Kernel, { parent, child }: Forking, swapped: readonly number[]): void {
  for (let i = 0; i < swapped.length; i += 2) {
    const [vpn, entry] = [swapped[i] as number, swapped[i + 1] as number];
    k.emit({ type: 'SwapEntryCopied', mm: parent, child, vpn, slot: swpOffset(entry), entry, count: 1, rssSwap: 1 });
    if ((entry & PTE_UFFD_WP) !== 0 && !isWatchedForWrites(k, child, vpn))
      k.emit({ type: 'PteFlagsSet', mm: child, vpn, entry: withFlags(entry, 0, PTE_UFFD_WP) });
  }
}

/** The entries that both have now. */
function share(
  k: Kernel,
  { parent, child }: Forking,
  inode: number,
  { anon, file, special }: { readonly anon: number[]; readonly file: number[]; readonly special: number[] },
  anonPages: number,
  filePages: number,
): void {
  if (anon.length + file.length + special.length === 0) return;
  const shmem = inode !== 0 && k.view.inodes[inode]?.kind === InodeKind.shmem;
  k.emit({
    type: 'PtesCopied',
    mm: parent,
    child,
    anon,
    file,
    special,
    ref: 1,
    mapcount: 1,
    exclusive: 0,
    rssFile: shmem ? 0 : filePages,
    rssAnon: anonPages,
    rssShmem: shmem ? filePages : 0,
  });
}

/** Appends to runs of [vpn, pfn, n, flags, flags]; `step` 0 where all entries of a run have the same pfn. */
function append5(runs: number[], vpn: number, pfn: number, flags: number, flags2: number, step: number): void {
  const last = runs.length - 5;
  if (last >= 0) {
    const n = runs[last + 2] as number;
    if (
      (runs[last] as number) + n === vpn &&
      (runs[last + 1] as number) + n * step === pfn &&
      runs[last + 3] === flags &&
      runs[last + 4] === flags2
    ) {
      runs[last + 2] = n + 1;
      return;
    }
  }
  runs.push(vpn, pfn, 1, flags, flags2);
}
