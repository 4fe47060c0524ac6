// fork's half of mm/memory.c: copy_page_range() and below.
// Locks: both mmap_locks for write, the parent's VMA write-locked, both tables' locks around each table.
import {
  PTE_DIRTY,
  PTE_SWP_EXCLUSIVE,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTRS_PER_PTE,
  TABLE_BYTES,
  isSwapPte,
  missingTableBytes,
  pteIndex,
  pteFlags,
  ptePfn,
  pteSpecial,
  pteTable,
  swpOffset,
  withFlags,
} from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { InodeKind, PG_ANON, mmAt, pageAt } from '../../../reducers/state.js';
import { VM_PFNMAP, VM_SHARED, isCowMapping } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { pmdAlloc, pteAlloc, pudAlloc } from './tables.js';

/** `vma_needs_copy()`: does the child need this VMA's entries, or will its own faults do? */
export const vmaNeedsCopy = (vma: VmaView): boolean => vma.anonVma !== 0 || (vma.flags & VM_PFNMAP) !== 0;

/** `copy_page_range()`: gives the child the parent's entries of `vma`, table by table. */
export function copyPageRange(k: Kernel, parent: number, child: number, vma: VmaView): void {
  const { start, end, flags } = vma;
  const last = end / PAGE_SIZE;
  for (let vpn = start / PAGE_SIZE; vpn < last;) {
    // The child gets a table for every table of the parent, of each level, even if nothing in this VMA's part of it is present.
    const missing = missingTableBytes(mmAt(k.view, parent), vpn) / TABLE_BYTES;
    if (missing === 0) pteAlloc(k, child, vpn);
    else if (missing === 1) pmdAlloc(k, child, vpn);
    else if (missing === 2) pudAlloc(k, child, vpn);
    const span = PTRS_PER_PTE ** Math.max(1, missing);
    const stop = Math.min(vpn - (vpn % span) + span, last);
    if (missing === 0)
      for (let from = vpn; from < stop; from += k.batchMax)
        copyPteRange(k, parent, child, flags, vma.inode, from, Math.min(from + k.batchMax, stop));
    vpn = stop;
  }
}

/**
 * `copy_pte_range()`, `copy_present_ptes()`: anonymous pages become shared (no longer exclusive, write-protected on both sides), page-cache
 * pages get another mapping. The flags decide nothing: what was writable in a private mapping no longer is.
 */
function copyPteRange(
  k: Kernel,
  parent: number,
  child: number,
  vmFlags: number,
  inode: number,
  from: number,
  to: number,
): void {
  const table = pteTable(mmAt(k.view, parent), from) as readonly number[];
  const cow = isCowMapping(vmFlags);
  const shared = (vmFlags & VM_SHARED) !== 0;
  const anon: number[] = [];
  const file: number[] = [];
  const special: number[] = [];
  const swapped: number[] = [];
  let anonPages = 0;
  let filePages = 0;
  const base = from - pteIndex(from);
  for (let vpn = from; vpn < to; vpn++) {
    const entry = table[vpn - base] as number;
    if (entry === 0) continue;
    if (isSwapPte(entry)) {
      swapped.push(vpn, withFlags(entry, 0, PTE_SWP_EXCLUSIVE | PTE_UFFD_WP));
      continue;
    }
    const old = pteFlags(entry);
    const parentFlags = cow ? old & ~PTE_WRITE : old;
    const childFlags = shared ? parentFlags & ~PTE_DIRTY : parentFlags;
    const pfn = ptePfn(entry);
    if (pteSpecial(entry)) append5(special, vpn, pfn, childFlags, parentFlags, 0);
    else if ((pageAt(k.view, pfn).flags & PG_ANON) !== 0) {
      append5(anon, vpn, pfn, childFlags, parentFlags, 1);
      anonPages++;
    } else {
      append5(file, vpn, pfn, childFlags, parentFlags, 1);
      filePages++;
    }
  }
  for (let i = 0; i < swapped.length; i += 2) {
    const [vpn, entry] = [swapped[i] as number, swapped[i + 1] as number];
    k.emit({ type: 'SwapEntryCopied', mm: parent, child, vpn, slot: swpOffset(entry), entry, count: 1, rssSwap: 1 });
  }
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
