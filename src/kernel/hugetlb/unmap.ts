// Entries of mappings of hugetlbfs that go or change their rights: mm/hugetlb.c where it walks tables. What fork copies is in copy.ts.
import {
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_WRITE,
  leafAt,
  mkPte,
  pteFlags,
  ptePfn,
} from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { HPAGE_PMD_NR, PG_ANON, PG_DIRTY, largeFolioAt, mmAt, pageAt } from '../../../reducers/state.js';
import { VM_ACCESS, VM_SHARED, VM_WRITE, vmaLookup } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { addReservation, hugeIndex, isOwner, needsReservation } from './reservations.js';

/** Calls `visit` with the first page of every 2 MiB of [start, end) bytes. */
export function forEachBlock(start: number, end: number, visit: (vpn: number) => void): void {
  for (let vpn = start / PAGE_SIZE; vpn < end / PAGE_SIZE; vpn += HPAGE_PMD_NR) visit(vpn);
}

/**
 * `__unmap_hugepage_range()` of [start, end) bytes, which lie in one mapping: pages stay in the mm's gather until it is flushed. Where an owner loses a page of its own the reservation is there
 * again, and the page gives it back to the pool when its last reference goes, whoever has that.
 */
export function unmapHugepageRange(k: Kernel, mm: number, start: number, end: number): void {
  forEachBlock(start, end, (vpn) => {
    if (leafAt(mmAt(k.view, mm), vpn) !== 0) unmapEntry(k, mm, vpn);
  });
}

/** The same of the entry at page `vpn`, which there is. */
export function unmapEntry(k: Kernel, mm: number, vpn: number): void {
  const addr = vpn * PAGE_SIZE;
  const vma = { ...(vmaLookup(mmAt(k.view, mm), addr) as VmaView) };
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  const pfn = ptePfn(leaf);
  const { flags } = pageAt(k.view, pfn);
  const dirty = (leaf & PTE_DIRTY) !== 0 && (flags & PG_DIRTY) === 0 ? 1 : 0;
  k.emit({ type: 'HugetlbEntryZapped', mm, vpn, pfn, mapcount: -1, dirty });
  if (!k.behaviours['hugetlb-restore-on-unmap'] || (flags & PG_ANON) === 0) return;
  if (k.view.hugetlb.surplus > 0 || !isOwner(k, mm, vma)) return;
  const last = largeFolioAt(k.view, pfn)?.entireMapcount === 0;
  if (k.behaviours['hugetlb-restore-on-last-unmap'] && !last) return;
  k.emit({ type: 'HugetlbRestoreSet', pfn, restore: 1 });
  const index = hugeIndex(vma, addr);
  if (needsReservation(k, mm, vma, index)) addReservation(k, mm, vma, index);
}

/** `hugetlb_change_protection()` of [start, end) bytes: private entries become read-only, and writable again by faults only. */
export function hugetlbChangeProtection(k: Kernel, mm: number, start: number, end: number, vmFlags: number): void {
  const accessible = (vmFlags & VM_ACCESS) !== 0;
  const shared = (vmFlags & (VM_SHARED | VM_WRITE)) === (VM_SHARED | VM_WRITE);
  forEachBlock(start, end, (vpn) => {
    const leaf = leafAt(mmAt(k.view, mm), vpn);
    if (leaf === 0) return;
    const kept = pteFlags(leaf) & ~(PTE_PRESENT | PTE_PROTNONE | PTE_WRITE);
    const flags = kept | (accessible ? PTE_PRESENT : PTE_PROTNONE) | (accessible && shared ? PTE_WRITE : 0);
    if (flags !== pteFlags(leaf)) k.emit({ type: 'PmdProtected', mm, vpn, entry: mkPte(ptePfn(leaf), flags) });
  });
}
