// Faults on swapped memory: do_swap_page() in mm/memory.c.
//
// Is the page that comes back this process's own? Before 5.18 that was counted (mappings and entries), since then asked of references; since
// 5.19 the entry remembers it. Of a large folio in the swap cache all pages are mapped at once, if all their entries still lead there.
import {
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  mkPte,
  pteAt,
  pteFlags,
  pteSoftDirty,
  pteSwpExclusive,
  swpOffset,
  tableEnd,
} from '../../../reducers/pte.js';
import type { PageView, VmaView } from '../../../reducers/state.js';
import {
  PG_ANON,
  PG_LRU,
  PG_MLOCKED,
  PG_SWAPBACKED,
  folioAt,
  folioHead,
  isKsm,
  mmAt,
  pageAt,
  stableNode,
} from '../../../reducers/state.js';
import { VM_ACCESS, VM_LOCKED, VM_WRITE, linearPageIndex, vmaLookup } from '../../../reducers/vma.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { folioMappingsChanged } from '../large-folio.js';
import { allocPage, putPage } from '../page-alloc.js';
import { dirtyFlags, pteNeedsSoftDirtyWp } from '../soft-dirty.js';
import { userfaultfdPteWp } from '../userfault.js';
import { lruAddDrainCpu } from '../swap.js';
import { folioFreeSwap, readSwapCache, slotAt, vmSwapFull } from '../swapfile.js';
import type { Fault, FaultResult } from './fault.js';
import { blockStart } from './huge.js';
import { folioAddedLruVma, locksPages, mlockVmaPages } from './mlocked.js';
import { doWpPage } from './wp.js';

/**
 * `do_swap_page()`: the page of the entry's slot, from the swap cache or read into it, is mapped; a write to a page that is not this
 * process's own then goes on as a write-protect fault. Enter and return with the VMA lock held for read. Looking up and reading need
 * no table lock; the recheck under it closes the race with another thread that brought the page in.
 */
export function* doSwapPage(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const { mm: mmId, vpn, cpu } = fault;
  const seen = pteAt(mmAt(k.view, mmId), vpn);
  const slot = swpOffset(seen);
  if (k.interleaved) yield { op: 'preempt', at: 'swapin:I2' };
  const { pfn: cached, read } = readSwapCache(k, slot, cpu);
  const pfn = ksmMightNeedToCopy(k, fault, cached);
  const copied = pfn !== cached;
  const write = fault.access === 'write';
  const { flags } = folioAt(k.view, pfn);
  const drains = write && !copied && !isKsm(pageAt(k.view, pfn)) && (flags & PG_LRU) === 0;
  if (drains && k.behaviours['swapin-reuse-by-refcount']) lruAddDrainCpu(k, cpu);
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mmId},${vpn})` };
  if (pteAt(mmAt(k.view, mmId), vpn) !== seen) {
    if (copied) putPage(k, pfn);
    return 'done';
  }
  const vma = vmaLookup(mmAt(k.view, mmId), fault.addr) as VmaView;
  const large = pageAt(k.view, pfn).order !== 0;
  const writable = (large ? mapSwappedFolio : mapSwapped)(k, fault, vma, { pfn, slot, seen, copied });
  if (write && !writable) {
    const result = yield* doWpPage(k, fault);
    if (result !== 'done') return result;
  }
  return read ? 'major' : 'done';
}

/**
 * `ksm_might_need_to_copy()`: what a page is to this VMA, as an anonymous page has one place in one family of address spaces. A merged page is
 * mapped as it is while KSM knows it; one that was read back is an ordinary page of who asked first, and all others of those
 * that once shared it get copies. Returns the page to map: `pfn`, or a copy that the caller owns.
 */
function ksmMightNeedToCopy(k: Kernel, fault: Fault, pfn: number): number {
  const page = pageAt(k.view, pfn);
  if (page.order !== 0) return pfn;
  const vma = vmaLookup(mmAt(k.view, fault.mm), fault.addr) as VmaView;
  if (isKsm(page)) {
    if (stableNode(page) !== 0) return pfn;
  } else if ((page.flags & PG_ANON) === 0 || isAtHome(k, page, vma, fault.addr)) return pfn;
  const copy = allocPage(k);
  k.emit({ type: 'PageCopied', pfn: copy, from: pfn });
  return copy;
}

/** The page's index is that of the place, and its anon_vma of the same root. */
const isAtHome = (k: Kernel, { index, mapping }: PageView, vma: VmaView, addr: number): boolean =>
  index === linearPageIndex(vma, addr) && k.view.anonVmas[mapping]?.root === k.view.anonVmas[vma.anonVma]?.root;

interface Swapped {
  readonly pfn: number;
  /** The page is a copy of that of the slot. */
  readonly copied: boolean;
  readonly slot: number;
  /** The swap entry. */
  readonly seen: number;
}

/** The commit, under the table's and the page's lock. Says whether a write needs nothing more. */
function mapSwapped(k: Kernel, fault: Fault, vma: VmaView, swapped: Swapped): boolean {
  const { pfn, slot, seen, copied } = swapped;
  const page = pageAt(k.view, pfn);
  const lastEntry = slotAt(k, slot).count === 1;
  const write = fault.access === 'write';
  const { own, uncached } = copied
    ? { own: write || k.behaviours['anon-exclusive'], uncached: false }
    : k.behaviours['swapin-reuse-by-refcount']
      ? ownByReferences(k, fault, vma, pfn, seen, lastEntry)
      : ownByCounts(k, fault, vma, pfn, lastEntry);
  const { flags, mayWrite } = rightsOf(k, fault, vma, seen, own);
  const wasAnon = (page.flags & PG_ANON) !== 0;
  k.emit({
    type: 'PageSwappedIn',
    mm: fault.mm,
    vpn: fault.vpn,
    pfn,
    slot,
    entry: mkPte(pfn, flags),
    count: -1,
    uncached: uncached ? 1 : 0,
    // The cache's reference goes where the mapping's comes.
    ref: uncached || copied ? 0 : 1,
    mapcount: 1,
    exclusive: own && k.behaviours['anon-exclusive'] ? 1 : 0,
    anonVma: wasAnon ? 0 : own ? vma.anonVma : rootOf(k, vma.anonVma),
    index: wasAnon ? 0 : linearPageIndex(vma, fault.addr),
    rssAnon: 1,
    rssSwap: -1,
  });
  if (copied) addCopy(k, fault, vma, pfn);
  // A page new to its VMA was put on the LRU when it was read, locked or not.
  else if (wasAnon) mlockVmaPages(k, vma, [pfn], fault.cpu);
  return mayWrite;
}

/** `__folio_set_anon()`: a page that others may map as well is of the oldest anon_vma, by which all of them are found. */
const rootOf = (k: Kernel, anonVma: number): number => k.view.anonVmas[anonVma]?.root ?? anonVma;

/** `folio_add_lru_vma()` of a copy, which is dirty: no slot has its bytes. */
function addCopy(k: Kernel, { cpu }: Fault, vma: VmaView, pfn: number): void {
  const locked = locksPages(vma.flags);
  k.emit({ type: 'FolioDirtied', pfn });
  const flags = pageAt(k.view, pfn).flags | PG_SWAPBACKED;
  k.emit({ type: 'FolioLruAdded', pfn, flags, ref: locked ? 0 : 1, lruCpu: locked ? -1 : cpu });
  folioAddedLruVma(k, locked, pfn, cpu);
}

/** Flags of the entry to a page that comes back, which is the process's `own` or is not; and whether a write needs nothing more. */
function rightsOf(
  k: Kernel,
  fault: Fault,
  vma: VmaView,
  seen: number,
  own: boolean,
): { readonly flags: number; readonly mayWrite: boolean } {
  const write = fault.access === 'write';
  const softDirty = pteSoftDirty(seen) ? PTE_SOFT_DIRTY : 0;
  // What must not be written unseen goes on as a write-protect fault.
  const watched = userfaultfdPteWp(vma, seen) || pteNeedsSoftDirtyWp(k, vma.flags, seen);
  const mayWrite = own && (vma.flags & VM_WRITE) !== 0 && !watched;
  const accessible = (vma.flags & VM_ACCESS) !== 0 ? PTE_PRESENT : PTE_PROTNONE;
  const flags =
    accessible |
    softDirty |
    (mayWrite ? PTE_WRITE : 0) |
    (mayWrite && write ? dirtyFlags(k) : 0) |
    (pteFlags(seen) & PTE_UFFD_WP);
  return { flags, mayWrite };
}

/** Where the entries of a large folio would begin, and how many pages come back at once: all, or the one of the fault. */
function swappedRow(k: Kernel, fault: Fault, vma: VmaView, { pfn, seen }: Swapped): readonly [from: number, n: number] {
  const one = [fault.vpn, 1] as const;
  if (!k.behaviours['swapin-maps-large-folio']) return one;
  const n = 2 ** pageAt(k.view, pfn).order;
  const at = pfn - folioHead(k.view, pfn);
  const from = fault.vpn - at;
  const end = Math.min(tableEnd(fault.vpn), vma.end / PAGE_SIZE);
  if (from < Math.max(blockStart(fault.vpn), vma.start / PAGE_SIZE) || from + n > end) return one;
  const space = mmAt(k.view, fault.mm);
  // `swap_pte_batch()`: the same entries but for the slot, which counts up.
  for (let i = 0; i < n; i++) {
    const entry = pteAt(space, from + i);
    if (entry !== mkPte(swpOffset(seen) - at + i, pteFlags(seen))) return one;
  }
  return [from, n];
}

/**
 * The commit where the page belongs to a large folio in the swap cache. The folio leaves the cache if no entry leads to a slot of it any more,
 * and it is locked, the area half full, or the write likely to be its owner's.
 * @throws NotModelledError where mappings and entries decide (until 5.17).
 */
function mapSwappedFolio(k: Kernel, fault: Fault, vma: VmaView, swapped: Swapped): boolean {
  if (!k.behaviours['swapin-reuse-by-refcount'])
    throw new NotModelledError('large folios in the swap cache before 5.18');
  const { pfn, slot, seen } = swapped;
  const head = folioHead(k.view, pfn);
  const { order, ref, flags: folioFlags } = pageAt(k.view, head);
  const pages = 2 ** order;
  const first = slot - (pfn - head);
  const [from, n] = swappedRow(k, fault, vma, swapped);
  const locked = (vma.flags & VM_LOCKED) !== 0 || (folioFlags & PG_MLOCKED) !== 0;
  const wanted = locked || vmSwapFull(k) || (fault.access === 'write' && ref === pages);
  let left = -n;
  for (let i = 0; i < pages; i++) left += slotAt(k, first + i).count;
  const uncached = wanted && left === 0;
  const own = pteSwpExclusive(seen) || (uncached && ref === pages);
  const { flags, mayWrite } = rightsOf(k, fault, vma, seen, own);
  const firstPfn = n === 1 ? pfn : head;
  k.emit({
    type: 'PagesSwappedIn',
    mm: fault.mm,
    pfn: head,
    slot: first,
    runs: [from, firstPfn, n, flags],
    count: -1,
    ref: 1,
    mapcount: 1,
    exclusive: own && k.behaviours['anon-exclusive'] ? 1 : 0,
    rssAnon: n,
    rssSwap: -n,
  });
  folioMappingsChanged(k, fault.mm, [[head, n]]);
  if (uncached) folioFreeSwap(k, head);
  // Locked only where all of it was mapped at once; before 6.18 never.
  if (n === pages && k.behaviours['mlock-large-when-mapped']) mlockVmaPages(k, vma, [head], fault.cpu);
  return mayWrite;
}

interface Ownership {
  /** Nobody else has the page or an entry to it. */
  readonly own: boolean;
  /** It leaves the swap cache. */
  readonly uncached: boolean;
}

/** Since 5.18: `should_try_to_free_swap()`, then is a reference left besides ours? Since 5.19 the entry may know it without. */
function ownByReferences(
  k: Kernel,
  fault: Fault,
  vma: VmaView,
  pfn: number,
  seen: number,
  lastEntry: boolean,
): Ownership {
  const { ref, flags, mapping } = pageAt(k.view, pfn);
  // A merged page is nobody's own, whatever the entry says.
  const merged = isKsm({ flags, mapping });
  const write = fault.access === 'write';
  const locked = (vma.flags & VM_LOCKED) !== 0 || (flags & PG_MLOCKED) !== 0;
  const uncached = lastEntry && (locked || vmSwapFull(k) || (write && !merged && ref === 1));
  const alone = uncached && ref === 1;
  // Before the flag nothing was gained by a writable entry that nobody asked for.
  const own = !merged && (pteSwpExclusive(seen) || (alone && (write || k.behaviours['anon-exclusive'])));
  return { own, uncached };
}

/** Until 5.17: `reuse_swap_page()` of a write, by mappings and entries; a page that stays goes from the cache by try_to_free_swap(). */
function ownByCounts(k: Kernel, fault: Fault, vma: VmaView, pfn: number, lastEntry: boolean): Ownership {
  const { mapcount, flags, mapping } = pageAt(k.view, pfn);
  const own = fault.access === 'write' && lastEntry && mapcount === 0 && !isKsm({ flags, mapping });
  const locked = (vma.flags & VM_LOCKED) !== 0 || (flags & PG_MLOCKED) !== 0;
  return { own, uncached: lastEntry && (own || locked || vmSwapFull(k)) };
}
