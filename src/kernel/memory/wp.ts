// Write-protect and unshare faults: do_wp_page() and below in mm/memory.c.
//
// The question is always the same: may the page stay, or does the writer get a copy? Linux answered it three ways:
// by mappings (up to 5.8), by references (5.9), and by PG_anon_exclusive first (5.19).
import {
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  isKsmZeroPte,
  mkPte,
  pteAt,
  pteFlags,
  ptePfn,
  pteSpecial,
  withFlags,
} from '../../../reducers/pte.js';
import type { LargeFolioView, MmView, PageView, VmaView } from '../../../reducers/state.js';
import {
  InodeKind,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_LRU,
  folioHead,
  isKsm,
  mmAt,
  pageAt,
} from '../../../reducers/state.js';
import { VM_MAYSHARE, VM_SHARED, VM_UFFD_WP, VM_WRITE, linearPageIndex, vmaLookup } from '../../../reducers/vma.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { countLarge, everyPageMappedOnce, folioMappingsChanged } from '../large-folio.js';
import { allocPage, putPage } from '../page-alloc.js';
import { anonVmaPrepare } from '../rmap.js';
import { dirtyFlags } from '../soft-dirty.js';
import { lruAddDrainCpu } from '../swap.js';
import { cacheReferences, folioFreeSwap, freeSwapCache, inSwapCache } from '../swapfile.js';
import { handleUserfault, userfaultfdPteWp, userfaultfdWpAsync } from '../userfault.js';
import type { Access, Fault, FaultResult } from './fault.js';
import { markDirty } from '../filemap.js';
import { inodeOf } from './page-prot.js';
import { folioAddedLruVma, locksPages, munlockVmaPages } from './mlocked.js';
import { wpRangeCopy, wpRangeReuse } from './wp-range.js';

/**
 * `do_wp_page()`. Enter with the VMA lock held for read and the table's lock, which is dropped on return; the entry is present, not
 * writable, and as the caller saw it.
 */
export function* doWpPage(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${fault.mm},${fault.vpn})` };
  const mm = mmAt(k.view, fault.mm);
  const vma = vmaLookup(mm, fault.addr) as VmaView;
  let entry = pteAt(mm, fault.vpn);
  if (fault.access !== 'unshare' && userfaultfdPteWp(vma, entry)) {
    if (!userfaultfdWpAsync(k, vma)) return yield* handleUserfault(k, fault, VM_UFFD_WP);
    entry = withFlags(entry, 0, PTE_UFFD_WP);
    k.emit({ type: 'UffdWpChanged', mm: fault.mm, runs: [fault.vpn, ptePfn(entry), 1, pteFlags(entry)] });
  }
  const pfn = pteSpecial(entry) ? -1 : ptePfn(entry);
  if ((vma.flags & (VM_SHARED | VM_MAYSHARE)) !== 0) return wpPageShared(k, fault, vma, entry);
  if (pfn >= 0) {
    const page = pageAt(k.view, pfn);
    if ((page.flags & PG_ANON) !== 0) {
      const several = page.order !== 0 && fault.access === 'write' && k.behaviours['wp-reuse-range'];
      if ((page.flags & PG_ANON_EXCLUSIVE) !== 0) {
        if (!several) return wpPageReuse(k, fault, 0, 0);
        wpRangeReuse(k, fault, pfn, false);
        return 'done';
      }
      if (wpCanReuseAnonFolio(k, pfn, fault.cpu)) {
        if (several) {
          wpRangeReuse(k, fault, pfn, true);
          return 'done';
        }
        // folio_move_anon_rmap(): from now on the page belongs to this address space's own anon_vma; one page of several does not.
        const exclusive = k.behaviours['anon-exclusive'] ? 1 : 0;
        return wpPageReuse(k, fault, exclusive, page.order === 0 ? vma.anonVma : 0);
      }
    }
  }
  if (pfn >= 0 && k.behaviours['wp-copy-range'] && (yield* wpRangeCopy(k, fault, pfn))) return 'done';
  return yield* wpPageCopy(k, fault, pfn);
}

/**
 * `wp_can_reuse_anon_folio()` of an order-0 page that is not known exclusive: is this mapping the only reference left?
 * Table lock held. The references that may be in the way are other mappings, GUP, and LRU batches; this CPU's batch is emptied
 * first, another CPU's is not, so a page waiting there is copied though nobody else maps it.
 */
export function wpCanReuseAnonFolio(k: Kernel, pfn: number, cpu: number): boolean {
  let page: PageView = pageAt(k.view, pfn);
  if (isKsm(page)) return reuseKsmPage(k, page);
  if (page.order !== 0) return wpCanReuseLargeAnonFolio(k, pfn);
  if (!k.behaviours['cow-reuse-by-refcount']) return reuseSwapPage(k, pfn);
  if (k.behaviours['wp-reuse-drains-lru']) {
    // One mapping, the swap cache and one batch at most; with more a drain could not help.
    if (page.ref > 3) return false;
    if ((page.flags & PG_LRU) === 0) lruAddDrainCpu(k, cpu);
    page = pageAt(k.view, pfn);
  }
  if (inSwapCache(page) && k.behaviours['wp-reuse-drains-lru'] && page.ref === 2) folioFreeSwap(k, pfn);
  return pageAt(k.view, pfn).ref === 1;
}

/** A KSM page is always copied. For a while (5.1 to 5.8, `reuse_ksm_page()`) one that only this mapping had was not; that is not modelled. */
function reuseKsmPage(k: Kernel, page: PageView): boolean {
  if (!k.behaviours['cow-reuse-by-refcount'] && page.ref === 1)
    throw new NotModelledError('writing to a KSM page that nothing else has, before 5.9');
  return false;
}

/**
 * `__wp_can_reuse_large_anon_folio()`: one address space maps the folio, and each reference is a mapping's. The last page mapped is copied
 * all the same, so that the folio can be freed. One in the swap cache leaves it first, if no entry needs a slot of it.
 * @throws NotModelledError for one in the swap cache where mappings decide.
 */
function wpCanReuseLargeAnonFolio(k: Kernel, pfn: number): boolean {
  const cached = cacheReferences(k, pfn) > 0;
  if (!k.behaviours['cow-reuse-by-refcount']) {
    if (cached) throw new NotModelledError('large folios in the swap cache before 5.9');
    return everyPageMappedOnce(k, pfn);
  }
  if (!k.behaviours['large-folio-owner-slots']) return false;
  const head = folioHead(k.view, pfn);
  const { largeMapcount, mappedShared } = k.view.largeFolios[head] as LargeFolioView;
  if (largeMapcount <= 1 || mappedShared !== 0) return false;
  if (cached) folioFreeSwap(k, head);
  return largeMapcount === pageAt(k.view, head).ref;
}

/** `reuse_swap_page()`: no other mapping and no entry to its slot; one in the swap cache leaves it. */
function reuseSwapPage(k: Kernel, pfn: number): boolean {
  const page = pageAt(k.view, pfn);
  if (page.mapcount !== 1) return false;
  return !inSwapCache(page) || folioFreeSwap(k, pfn);
}

/** `wp_page_reuse()`: the entry becomes writable where the VMA allows; after an unshare fault it stays as it is. */
function wpPageReuse(k: Kernel, fault: Fault, exclusive: number, anonVma: number): FaultResult {
  const mm = mmAt(k.view, fault.mm);
  const vma = vmaLookup(mm, fault.addr) as VmaView;
  const old = pteAt(mm, fault.vpn);
  const writable = dirtyFlags(k) | ((vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0);
  const entry = fault.access === 'unshare' ? old : withFlags(old, writable, 0);
  k.emit({ type: 'PageReused', mm: fault.mm, vpn: fault.vpn, pfn: ptePfn(old), entry, exclusive, anonVma });
  return 'done';
}

/** `wp_page_shared()`, `wp_pfn_shared()`: never a copy; the file system is told, the page becomes dirty. */
function wpPageShared(k: Kernel, fault: Fault, vma: VmaView, entry: number): FaultResult {
  if (fault.access === 'unshare') return 'done';
  const writable = dirtyFlags(k) | ((vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0);
  k.emit({ type: 'PteFlagsSet', mm: fault.mm, vpn: fault.vpn, entry: withFlags(entry, writable, 0) });
  if (!pteSpecial(entry)) markDirty(k, ptePfn(entry));
  return 'done';
}

/**
 * Flags of a copy: as present as the page that it replaces; after a write dirty, and writable where the VMA allows (FOLL_FORCE). Without one it is as
 * soft-dirty as the other was.
 */
const copiedFlags = (k: Kernel, vma: VmaView, seen: number, access: Access): number => {
  const present = pteFlags(seen) & (PTE_PRESENT | PTE_PROTNONE);
  if (access === 'unshare') return present | (pteFlags(seen) & (PTE_SOFT_DIRTY | PTE_UFFD_WP));
  return present | dirtyFlags(k) | ((vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0);
};

/**
 * `wp_page_copy()`: a private copy of page `oldPfn` (-1: zeros) takes its place.
 * Enter with the table's lock, which is dropped for the allocation and the copy: the recheck closes the race with another thread
 * that changed the entry meanwhile. The old page keeps an extra reference throughout, so it cannot be freed under the copy.
 */
function* wpPageCopy(k: Kernel, fault: Fault, oldPfn: number): KernelThread<FaultResult> {
  const { mm: mmId, vpn } = fault;
  const seen = pteAt(mmAt(k.view, mmId), vpn);
  let mm: MmView = mmAt(k.view, mmId);
  const anonVma = anonVmaPrepare(k, mm, vmaLookup(mm, fault.addr) as VmaView);
  const pfn = allocPage(k);
  if (k.interleaved) yield { op: 'preempt', at: 'wp-copy:W3' };
  if (oldPfn >= 0) k.emit({ type: 'PageCopied', pfn, from: oldPfn });
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mmId},${vpn})` };
  mm = mmAt(k.view, mmId);
  if (pteAt(mm, vpn) !== seen) {
    putPage(k, pfn);
    return 'done';
  }
  const vma = vmaLookup(mm, fault.addr) as VmaView;
  const wasAnon = oldPfn >= 0 && (pageAt(k.view, oldPfn).flags & PG_ANON) !== 0;
  const wasShmem = oldPfn >= 0 && !wasAnon && inodeOf(k, vma).kind === InodeKind.shmem;
  const wasFile = oldPfn >= 0 && !wasAnon && !wasShmem;
  const locked = locksPages(vma.flags);
  k.emit({
    type: 'CowPageMapped',
    mm: mmId,
    vpn,
    oldPfn,
    oldMapcount: oldPfn >= 0 ? -1 : 0,
    pfn,
    entry: mkPte(pfn, copiedFlags(k, vma, seen, fault.access)),
    anonVma,
    index: linearPageIndex(vma, fault.addr),
    ref: locked ? 0 : 1,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    rssFile: wasFile ? -1 : 0,
    rssAnon: wasAnon ? 0 : 1,
    rssShmem: wasShmem ? -1 : 0,
    lruCpu: locked ? -1 : fault.cpu,
  });
  if (isKsmZeroPte(seen)) k.emit({ type: 'KsmZeroPagesChanged', mm: mmId, zeroPages: -1, allZeroPages: -1 });
  const large = oldPfn < 0 ? null : countLarge(null, oldPfn, pageAt(k.view, oldPfn).order, -1);
  if (large !== null) folioMappingsChanged(k, mmId, large);
  folioAddedLruVma(k, locked, pfn, fault.cpu);
  if (oldPfn >= 0) {
    // A copy was made: the page that nobody maps any more needs no slot.
    freeSwapCache(k, oldPfn);
    munlockVmaPages(k, vma.flags, [oldPfn], fault.cpu);
    putPage(k, oldPfn);
  }
  return 'done';
}
