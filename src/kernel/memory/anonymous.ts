// First touch of anonymous memory: do_anonymous_page() in mm/memory.c.
import {
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_ZERO,
  isUffdWpPteMarker,
  mkPte,
  pteAt,
  withFlags,
} from '../../../reducers/pte.js';
import type { MmView, VmaView } from '../../../reducers/state.js';
import { mmAt } from '../../../reducers/state.js';
import {
  VM_ACCESS,
  VM_SHARED,
  VM_UFFD_MISSING,
  VM_WRITE,
  linearPageIndex,
  userfaultfdArmed,
  userfaultfdMissing,
  vmaLookup,
} from '../../../reducers/vma.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { folioMappingsChanged } from '../large-folio.js';
import { allocLargeFolio, allocPage, putPage } from '../page-alloc.js';
import { anonVmaPrepare } from '../rmap.js';
import { dirtyFlags } from '../soft-dirty.js';
import { anonOrders } from '../thp.js';
import { handleUserfault } from '../userfault.js';
import type { Fault, FaultResult } from './fault.js';
import { folioAddedLruVma, locksPages } from './mlocked.js';
import { pteAlloc } from './tables.js';

/** Entry of the shared zero page: present, never writable, no page counted. */
export const ZERO_PTE = mkPte(0, PTE_PRESENT | PTE_SPECIAL | PTE_ZERO);

/** Flags of a new private page: `mk_pte()` with `maybe_mkwrite(pte_mkdirty())`. */
const freshFlags = (k: Kernel, vma: VmaView): number =>
  (vma.flags & VM_WRITE) !== 0 ? PTE_PRESENT | PTE_WRITE | dirtyFlags(k) : presentFlag(vma);

/** `vm_page_prot`: what PROT_NONE memory gets by force (/proc/PID/mem) hardware does not see. */
export const presentFlag = (vma: VmaView): number => ((vma.flags & VM_ACCESS) !== 0 ? PTE_PRESENT : PTE_PROTNONE);

/**
 * `do_anonymous_page()`: a read maps the zero page, a write a page of zeros.
 * Enter and return with the VMA lock held for read. The allocation may sleep and comes before the table's lock; the recheck
 * under the lock closes the race with another thread that mapped the page meanwhile: its page stays, ours is freed.
 */
export function* doAnonymousPage(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const { mm: mmId, vpn } = fault;
  let mm = mmAt(k.view, mmId);
  let vma = vmaLookup(mm, fault.addr) as VmaView;
  if ((vma.flags & VM_SHARED) !== 0) return 'sigbus';
  pteAlloc(k, mmId, vpn);
  // Empty, or a marker: what comes is as protected as it says (`vmf_orig_pte_uffd_wp()`).
  const seen = pteAt(mmAt(k.view, mmId), vpn);
  const protect = isUffdWpPteMarker(seen) ? PTE_UFFD_WP : 0;
  if (fault.access !== 'write') {
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mmId},${vpn})` };
    if (pteAt(mmAt(k.view, mmId), vpn) !== seen) return 'done';
    if (userfaultfdMissing(vma)) return yield* handleUserfault(k, fault, VM_UFFD_MISSING);
    const entry = withFlags(ZERO_PTE, presentFlag(vma) | protect, PTE_PRESENT);
    k.emit({ type: 'ZeroPageMapped', mm: mmId, vpn, entry });
    return 'done';
  }
  if (k.interleaved) yield { op: 'preempt', at: 'fault:F3' };
  mm = mmAt(k.view, mmId);
  const anonVma = anonVmaPrepare(k, mm, vma);
  const order = anonOrder(k, mm, vma, vpn);
  const first = vpn - (vpn % 2 ** order);
  const pfn = order === 0 ? allocPage(k) : allocLargeFolio(k, order);
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mmId},${vpn})` };
  mm = mmAt(k.view, mmId);
  if (order === 0 ? pteAt(mm, vpn) !== seen : !rangeNone(mm, first, 2 ** order)) {
    putPage(k, pfn);
    return 'done';
  }
  vma = vmaLookup(mm, fault.addr) as VmaView;
  if (userfaultfdMissing(vma)) {
    putPage(k, pfn);
    return yield* handleUserfault(k, fault, VM_UFFD_MISSING);
  }
  if (order === 0) mapFreshPage(k, fault, vma, pfn, anonVma, protect);
  else mapFreshFolio(k, fault, vma, { pfn, order, anonVma });
  return 'done';
}

/** `pte_range_none()`: none of the `pages` entries from `vpn` on, which have a table, says anything. */
function rangeNone(mm: MmView, vpn: number, pages: number): boolean {
  for (let i = 0; i < pages; i++) if (pteAt(mm, vpn + i) !== 0) return false;
  return true;
}

/** `alloc_anon_folio()`: the largest order that is wanted and that nothing mapped is in the way of; 0 where there is none, or each fault is to be heard of. */
const anonOrder = (k: Kernel, mm: MmView, vma: VmaView, vpn: number): number =>
  userfaultfdArmed(vma)
    ? 0
    : (anonOrders(k, vma, vpn).find((order) => rangeNone(mm, vpn - (vpn % 2 ** order), 2 ** order)) ?? 0);

/** The commit that makes all pages of a fresh large folio visible, as mapFreshPage() does with one. The table's lock is held. */
function mapFreshFolio(
  k: Kernel,
  { mm, cpu, vpn: at }: Fault,
  vma: VmaView,
  { pfn, order, anonVma }: { readonly pfn: number; readonly order: number; readonly anonVma: number },
): void {
  const pages = 2 ** order;
  const vpn = at - (at % pages);
  const locked = locksPages(vma.flags);
  k.emit({
    type: 'AnonPagesMapped',
    mm,
    runs: [vpn, pfn, pages],
    flags: freshFlags(k, vma),
    anonVma,
    index: linearPageIndex(vma, vpn * PAGE_SIZE),
    ref: pages - 1,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    rssAnon: pages,
    lru: locked ? 0 : 1,
  });
  folioMappingsChanged(k, mm, [[pfn, pages]]);
  folioAddedLruVma(k, locked, pfn, cpu);
}

/**
 * The commit that makes a fresh page visible: rmap, rss, LRU batch and entry. With `protect` PTE_UFFD_WP the entry is write-protected. The table's lock is
 * held.
 */
export function mapFreshPage(k: Kernel, fault: Fault, vma: VmaView, pfn: number, anonVma: number, protect = 0): void {
  const locked = locksPages(vma.flags);
  k.emit({
    type: 'AnonPageMapped',
    mm: fault.mm,
    vpn: fault.vpn,
    pfn,
    entry: withFlags(mkPte(pfn, freshFlags(k, vma)), protect, protect === 0 ? 0 : PTE_WRITE),
    anonVma,
    index: linearPageIndex(vma, fault.addr),
    ref: locked ? 0 : 1,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    rssAnon: 1,
    lruCpu: locked ? -1 : fault.cpu,
  });
  folioAddedLruVma(k, locked, pfn, fault.cpu);
}
