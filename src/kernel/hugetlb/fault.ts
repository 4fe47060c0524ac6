// Faults in mappings of hugetlbfs: hugetlb_fault() and below of mm/hugetlb.c.
//
// Locks: the VMA's for read, then the fault mutex of (file, index), which keeps two faults on one page apart; entries change under the table's lock.
// Whoever reserved the pages of a private mapping keeps its data whatever happens: where no page is left for its copy, the page is taken away from
// those that share it, and they get a signal when they miss it.
import { HPAGE_RESV_UNMAPPED } from '../../../reducers/hugetlb-state.js';
import { PTE_DIRTY, PTE_HUGE, PTE_WRITE, leafAt, mkPte, ptePfn, pteWrite, withFlags } from '../../../reducers/pte.js';
import type { InodeView, VmaView } from '../../../reducers/state.js';
import {
  HPAGE_PMD_NR,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  cachedPfn,
  largeFolioAt,
  mmAt,
  pageAt,
} from '../../../reducers/state.js';
import { VM_SHARED, VM_WRITE, linearPageIndex, vmaLookup } from '../../../reducers/vma.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import type { Fault, FaultResult } from '../memory/fault.js';
import { presentFlag } from '../memory/anonymous.js';
import { pmdAlloc } from '../memory/tables.js';
import { anonVmaPrepare } from '../rmap.js';
import { HUGE_PAGE_SIZE, acctMemory, allocSurplus, consumeReservation, dequeue, putHugePage } from './pool.js';
import type { HugetlbPlace } from './reservations.js';
import { commitReservation, hugeIndex, isOwner, isShared, isVmaResvSet, needsReservation } from './reservations.js';
import { refuseSharedTables } from './share.js';
import { unmapRefPrivate } from './steal.js';
import { setSubpool, subpoolGet, subpoolOf, subpoolPut } from './subpool.js';

/** No page is to be had. */
export const NO_PAGE = -1;

/** First of the 512 pages around the fault. */
const blockOf = ({ vpn }: Fault): number => vpn - (vpn % HPAGE_PMD_NR);
const vmaOf = (k: Kernel, { mm, addr }: Fault): VmaView => vmaLookup(mmAt(k.view, mm), addr) as VmaView;
/** The faulting mapping's page at the fault, in units of 4 KiB. */
const indexOf = (vma: VmaView, fault: Fault): number => linearPageIndex(vma, blockOf(fault) * PAGE_SIZE);

/** What a fault is told that gets no page: SIGBUS, and before 2.6.34 what a machine without memory has for it. */
const shortage = (k: Kernel): FaultResult => (k.behaviours['hugetlb-sigbus-on-shortage'] ? 'sigbus' : 'oom');

/** `hugetlb_fault()`. Enter and return with the VMA lock held for read. */
export function* hugetlbFault(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const { mm, access } = fault;
  const vma = vmaOf(k, fault);
  if (k.interleaved) yield { op: 'acquire', lock: `hugetlb_fault_mutex(${vma.inode},${indexOf(vma, fault)})` };
  const vpn = blockOf(fault);
  refuseSharedTables(k, mm, vma, vpn * PAGE_SIZE);
  pmdAlloc(k, mm, vpn);
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  if (leaf === 0) return noPage(k, fault);
  const wantsWrite = access === 'write' || (access === 'unshare' && !isShared(vma));
  if (wantsWrite && !pteWrite(leaf)) return writeProtected(k, fault);
  if (access === 'write' && (leaf & PTE_DIRTY) === 0)
    k.emit({ type: 'PmdFlagsSet', mm, vpn, entry: withFlags(leaf, PTE_DIRTY, 0) });
  return 'done';
}

/**
 * `make_huge_pte()`: an entry with the rights of mapping `vma`, writable (and dirty) only if it is to be and may be. Before 6.15 it was where the mapping may not be
 * written to as well.
 */
export function makeHugePte(k: Kernel, vma: VmaView, pfn: number, writable: boolean): number {
  const may = (vma.flags & VM_WRITE) !== 0 || !k.behaviours['hugetlb-pte-minds-vm-write'];
  return mkPte(pfn, presentFlag(vma) | PTE_HUGE | (writable && may ? PTE_WRITE | PTE_DIRTY : 0));
}

/** `hugetlb_no_page()`: the file's page if it has one, else a fresh one. */
function noPage(k: Kernel, fault: Fault): FaultResult {
  const { mm, access } = fault;
  let vma = vmaOf(k, fault);
  if (isVmaResvSet(k, mm, vma, HPAGE_RESV_UNMAPPED)) return 'sigbus';
  const vpn = blockOf(fault);
  const index = indexOf(vma, fault);
  const inode = k.view.inodes[vma.inode] as InodeView;
  const cached = cachedPfn(inode, index);
  // A part of a page at the end, which fallocate(2) can leave, is none.
  if (cached < 0 && index * PAGE_SIZE >= inode.size - (inode.size % HUGE_PAGE_SIZE)) return 'sigbus';
  const shared = isShared(vma);
  const anon = cached < 0 && !shared;
  const anonVma = anon ? anonVmaPrepare(k, mmAt(k.view, mm), vma) : 0;
  vma = vmaOf(k, fault);
  let pfn = cached;
  if (cached < 0) {
    pfn = allocHugetlbFolio(k, mm, vma, hugeIndex(vma, fault.addr), false);
    if (pfn === NO_PAGE) return shortage(k);
    k.emit({ type: 'HugetlbPageZeroed', pfn });
    // The cache has a reference for each of the pages of 4 KiB.
    if (shared) k.emit({ type: 'HugetlbPageCached', inode: vma.inode, index, pfn, ref: HPAGE_PMD_NR, restore: 0 });
  }
  const writable = (vma.flags & (VM_WRITE | VM_SHARED)) === (VM_WRITE | VM_SHARED);
  k.emit({
    type: 'HugetlbPageMapped',
    mm,
    vpn,
    pfn,
    entry: makeHugePte(k, vma, pfn, writable),
    anonVma,
    index,
    ref: cached < 0 ? 0 : 1,
    mapcount: 1,
    exclusive: anon && k.behaviours['anon-exclusive'] ? 1 : 0,
    restore: 0,
  });
  const wantsOwn = access === 'write' && (vma.flags & VM_SHARED) === 0;
  return wantsOwn ? writeProtected(k, fault) : 'done';
}

/**
 * `alloc_hugetlb_folio()`: a page for huge page `index` of the mapping, with one reference: from what it or its mount reserved, else from what nobody did, else beyond
 * the pool. An owner that copies (`cowFromOwner`) leaves its reservations alone: they are for pages that it has not had yet. -1 if there is none, or no room in the mount.
 */
export function allocHugetlbFolio(
  k: Kernel,
  mm: number,
  vma: HugetlbPlace,
  index: number,
  cowFromOwner: boolean,
): number {
  const own = !cowFromOwner && !needsReservation(k, mm, vma, index);
  const sb = subpoolOf(k, vma.inode);
  const wanted = own ? 0 : subpoolGet(k, sb, 1);
  if (wanted < 0) return NO_PAGE;
  const reserved =
    wanted === 0 && (own || k.behaviours['hugetlb-mount-reserves-for-all'] || maySpend(vma, cowFromOwner));
  let pfn = dequeue(k, reserved);
  if (pfn < 0) pfn = allocSurplus(k);
  if (pfn < 0) {
    if (!own && sb >= 0) putInVain(k, sb, wanted);
    return NO_PAGE;
  }
  if (reserved) consumeReservation(k, pfn);
  setSubpool(k, pfn, sb);
  if (!cowFromOwner) commitReservation(k, mm, vma, index);
  return pfn;
}

/** What mount `sb` was asked for, and the pool refused, is given back: not, since 6.15, where the mount had nothing reserved. */
function putInVain(k: Kernel, sb: number, wanted: number): void {
  if (!k.behaviours['hugetlb-subpool-put-if-reserved']) subpoolPut(k, sb, 1);
  else if (wanted === 0) acctMemory(k, -subpoolPut(k, sb, 1));
}

/** `vma_has_reserves()` for a page that the mount, but not the mapping, has reserved: shared mappings were asked for it only. */
const maySpend = (vma: HugetlbPlace, cowFromOwner: boolean): boolean => !cowFromOwner && isShared(vma);

/** May the page stay where it is? To 2.6.35 if nobody else held it, to 3.11 if nobody else mapped it, though it were a file's. */
function mayReuse(k: Kernel, pfn: number): boolean {
  const { ref, flags } = pageAt(k.view, pfn);
  if (!k.behaviours['hugetlb-reuse-by-mapcount']) return ref === 1;
  if (largeFolioAt(k.view, pfn)?.entireMapcount !== 1) return false;
  return (flags & PG_ANON) !== 0 || !k.behaviours['hugetlb-reuse-anon-only'];
}

/** `hugetlb_wp()`: a write, or a wish for an own page, where the entry is read-only. */
function writeProtected(k: Kernel, fault: Fault): FaultResult {
  const { mm, access } = fault;
  const vpn = blockOf(fault);
  const unshare = access === 'unshare';
  for (;;) {
    const vma = vmaOf(k, fault);
    const leaf = leafAt(mmAt(k.view, mm), vpn);
    const old = ptePfn(leaf);
    if (!unshare && (vma.flags & VM_WRITE) === 0 && k.behaviours['hugetlb-refuses-forced-writes']) return 'sigsegv';
    if (isShared(vma)) {
      k.emit({ type: 'PmdFlagsSet', mm, vpn, entry: withFlags(leaf, PTE_WRITE | PTE_DIRTY, 0) });
      return 'done';
    }
    if (mayReuse(k, old)) {
      reuse(k, fault, leaf);
      return 'done';
    }
    const anon = (pageAt(k.view, old).flags & PG_ANON) !== 0;
    const cowFromOwner = anon && isOwner(k, mm, vma) && k.behaviours['hugetlb-owner-steals'];
    anonVmaPrepare(k, mmAt(k.view, mm), vma);
    const pfn = allocHugetlbFolio(k, mm, vmaOf(k, fault), hugeIndex(vma, fault.addr), cowFromOwner);
    if (pfn !== NO_PAGE) {
      copyPage(k, fault, old, pfn);
      return 'done';
    }
    if (!cowFromOwner) return shortage(k);
    // What was moved by mremap is looked for where it is not: Linux tries again and again.
    const taken = unmapRefPrivate(k, mm, vmaOf(k, fault), old, vpn * PAGE_SIZE);
    if (!k.behaviours['hugetlb-reuse-by-mapcount'] && pageAt(k.view, old).ref !== 1)
      throw new NotModelledError('a huge page that somebody holds besides its owner: Linux stops there (BUG_ON)');
    if (taken === 0)
      throw new NotModelledError('a huge page that its owner cannot take away from others: Linux loops for ever');
  }
}

/** The page is this mapping's own. */
function reuse(k: Kernel, fault: Fault, leaf: number): void {
  const pfn = ptePfn(leaf);
  const vma = vmaOf(k, fault);
  const known = (pageAt(k.view, pfn).flags & PG_ANON_EXCLUSIVE) !== 0;
  const anon = (pageAt(k.view, pfn).flags & PG_ANON) !== 0;
  // `set_huge_ptep_maybe_writable()`
  const may = (vma.flags & VM_WRITE) !== 0 || !k.behaviours['hugetlb-forced-writes-keep-rights'];
  const entry = fault.access === 'unshare' || !may ? leaf : withFlags(leaf, PTE_WRITE | PTE_DIRTY, 0);
  const exclusive = !known && anon && k.behaviours['anon-exclusive'] ? 1 : 0;
  const anonVma = known || !anon ? 0 : vma.anonVma;
  k.emit({ type: 'PmdReused', mm: fault.mm, vpn: blockOf(fault), pfn, entry, exclusive, anonVma });
}

/** A copy takes the old page's place. */
function copyPage(k: Kernel, fault: Fault, old: number, pfn: number): void {
  const { mm } = fault;
  const vma = vmaOf(k, fault);
  k.emit({ type: 'HugetlbPageCopied', pfn, from: old });
  k.emit({
    type: 'HugetlbCowMapped',
    mm,
    vpn: blockOf(fault),
    oldPfn: old,
    oldMapcount: -1,
    pfn,
    entry: makeHugePte(k, vma, pfn, fault.access !== 'unshare'),
    anonVma: vma.anonVma,
    index: indexOf(vma, fault),
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    restore: 0,
  });
  putHugePage(k, old);
}
