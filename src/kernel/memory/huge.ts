// Huge entries, which map 2 MiB of anonymous memory at once: mm/huge_memory.c. They change under the lock of their level-2 table.
//
// A folio as large stays large when its huge entry is split into 512 entries: other address spaces may go on mapping it whole.
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_ZERO,
  TABLE_BYTES,
  leafAt,
  mkPte,
  pmdNone,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  pteWrite,
  withFlags,
} from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  folioHead,
  mmAt,
  pageAt,
} from '../../../reducers/state.js';
import {
  VM_ACCESS,
  VM_LOCKED,
  VM_SHARED,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_WRITE,
  linearPageIndex,
  userfaultfdMissing,
  userfaultfdWp,
  vmaLookup,
} from '../../../reducers/vma.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { everyPageMappedOnce, folioMappingsChanged, maybePinned } from '../large-folio.js';
import { allocLargeFolio, putPage } from '../page-alloc.js';
import { anonVmaPrepare } from '../rmap.js';
import { hugePageFits, hugePageWanted, usesHugeZeroPage } from '../thp.js';
import { handleUserfault, userfaultfdWpAsync } from '../userfault.js';
import { userfaultfdPteWp } from '../userfault.js';
import type { Fault, FaultResult } from './fault.js';
import { isFilePmd, splitFilePmd, zapFilePmd } from './file-huge.js';
import { folioAddedLruVma, locksPages, mlockVmaPages, munlockVmaPages } from './mlocked.js';
import { pmdAlloc } from './tables.js';

/** The first page of the 2 MiB that `vpn` lies in. */
export const blockStart = (vpn: number): number => vpn - (vpn % HPAGE_PMD_NR);

const presentFlag = ({ flags }: VmaView): number => ((flags & VM_ACCESS) !== 0 ? PTE_PRESENT : PTE_PROTNONE);

/**
 * `do_huge_pmd_anonymous_page()`: a read maps the huge zero page, a write a huge page of zeros; `fallback` where the VMA is too small for
 * it. Enter and return with the VMA lock held for read, nothing mapped and no table there. The allocation comes before the lock; the
 * recheck under it closes the race with another thread.
 */
export function* doHugePmdAnonymousPage(k: Kernel, fault: Fault): KernelThread<FaultResult | 'fallback'> {
  const { mm, addr } = fault;
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  if (!hugePageFits(vma, addr)) return 'fallback';
  if (k.behaviours['soft-dirty']) throw new NotModelledError('soft-dirty tracking of huge pages');
  const anonVma = anonVmaPrepare(k, mmAt(k.view, mm), vma);
  const vpn = blockStart(fault.vpn);
  if (fault.access !== 'write' && usesHugeZeroPage(k)) {
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
    const entry = mkPte(0, presentFlag(vma) | PTE_SPECIAL | PTE_ZERO | PTE_HUGE);
    if (!pmdNone(mmAt(k.view, mm), vpn)) return 'done';
    if (userfaultfdMissing(vma)) return yield* handleUserfault(k, fault, VM_UFFD_MISSING);
    k.emit({ type: 'HugeZeroMapped', mm, vpn, entry, bytes: TABLE_BYTES });
    return 'done';
  }
  const pfn = allocLargeFolio(k, HPAGE_PMD_ORDER);
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
  if (!pmdNone(mmAt(k.view, mm), vpn)) {
    putPage(k, pfn);
    return 'done';
  }
  if (userfaultfdMissing(vma)) {
    putPage(k, pfn);
    return yield* handleUserfault(k, fault, VM_UFFD_MISSING);
  }
  mapHugePage(k, fault, pfn, anonVma, TABLE_BYTES);
  return 'done';
}

/** `map_anon_folio_pmd()`: the commit. `bytes`: of the table put in store, 0 where one is. The level-2 table's lock is held. */
function mapHugePage(k: Kernel, fault: Fault, pfn: number, anonVma: number, bytes: number): void {
  const { mm, cpu } = fault;
  const vpn = blockStart(fault.vpn);
  const vma = vmaLookup(mmAt(k.view, mm), fault.addr) as VmaView;
  const locked = locksPages(vma.flags);
  const writable = (vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0;
  k.emit({
    type: 'HugePageMapped',
    mm,
    vpn,
    pfn,
    entry: mkPte(pfn, presentFlag(vma) | PTE_HUGE | PTE_DIRTY | writable),
    anonVma,
    index: linearPageIndex(vma, vpn * PAGE_SIZE),
    ref: 0,
    entireMapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    rssAnon: HPAGE_PMD_NR,
    bytes,
    lru: locked ? 0 : 1,
  });
  folioMappingsChanged(k, mm, [[pfn, 1]]);
  folioAddedLruVma(k, locked, pfn, cpu);
}

/** A fault where a huge entry is: as `__handle_mm_fault()` goes on there. `fallback`: it is split now, and the entry of the page decides. */
export function* handleHugeFault(k: Kernel, fault: Fault, wantsWrite: boolean): KernelThread<FaultResult | 'fallback'> {
  const leaf = leafAt(mmAt(k.view, fault.mm), fault.vpn);
  const vma = vmaLookup(mmAt(k.view, fault.mm), fault.addr) as VmaView;
  if (wantsWrite && fault.access !== 'unshare' && userfaultfdPteWp(vma, leaf)) {
    if (!userfaultfdWpAsync(k, vma)) return yield* handleUserfault(k, fault, VM_UFFD_WP);
    return splitAndFallBack(k, fault.mm, fault.vpn);
  }
  if (wantsWrite && !pteWrite(leaf)) {
    if (!isFilePmd(k, leaf)) return yield* doHugePmdWpPage(k, fault, leaf);
    // `wp_huge_pmd()`: COW is done page by page.
    if (fault.access === 'unshare')
      throw new NotModelledError('reading pins for long of huge pages of files in private mappings');
    return splitAndFallBack(k, fault.mm, fault.vpn);
  }
  if (fault.access === 'write') touchPmd(k, fault.mm, fault.vpn);
  return 'done';
}

/** `touch_pmd()`, `huge_pmd_set_accessed()`, or hardware: the huge entry is dirty from now on. */
export function touchPmd(k: Kernel, mm: number, vpn: number): void {
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  if ((leaf & PTE_DIRTY) === 0)
    k.emit({ type: 'PmdFlagsSet', mm, vpn: blockStart(vpn), entry: withFlags(leaf, PTE_DIRTY, 0) });
}

/**
 * `do_huge_pmd_wp_page()`: the huge page stays if it is this process's own; else the huge entry is split, and the one page is copied.
 * The zero page gives way to a huge page (6.13; before, it was split as well).
 */
function* doHugePmdWpPage(k: Kernel, fault: Fault, seen: number): KernelThread<FaultResult | 'fallback'> {
  const { mm } = fault;
  const vpn = blockStart(fault.vpn);
  const vma = vmaLookup(mmAt(k.view, mm), fault.addr) as VmaView;
  if (pteSpecial(seen)) {
    // Up to 5.7 as well as since 6.13.
    if (!k.behaviours['huge-zero-write-allocates'] && k.behaviours['huge-cow-splits'])
      return splitAndFallBack(k, mm, vpn);
    const pfn = allocLargeFolio(k, HPAGE_PMD_ORDER);
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
    if (leafAt(mmAt(k.view, mm), vpn) !== seen) putPage(k, pfn);
    else mapHugePage(k, fault, pfn, vma.anonVma, 0);
    return 'done';
  }
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
  if (leafAt(mmAt(k.view, mm), vpn) !== seen) return 'done';
  const pfn = ptePfn(seen);
  const { flags, ref } = pageAt(k.view, pfn);
  const known = (flags & PG_ANON_EXCLUSIVE) !== 0;
  // Until 5.17 mappings were counted here, not references.
  const alone = k.behaviours['thp-cow-reuse-by-refcount'] ? ref === 1 : everyPageMappedOnce(k, pfn);
  if (!known && !alone) {
    if (!k.behaviours['huge-cow-splits']) return yield* copyHugePage(k, fault, seen);
    return splitAndFallBack(k, mm, vpn);
  }
  const exclusive = !known && k.behaviours['anon-exclusive'] ? 1 : 0;
  if (fault.access === 'unshare' && known) return 'done';
  const writable = PTE_DIRTY | ((vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0);
  const entry = fault.access === 'unshare' ? seen : withFlags(seen, writable, 0);
  k.emit({ type: 'PmdReused', mm, vpn, pfn, entry, exclusive, anonVma: known ? 0 : vma.anonVma });
  return 'done';
}

/** `do_huge_pmd_wp_page()` up to 5.7: the whole huge page is copied. Enter with the level-2 table's lock, which is dropped for the copy. */
function* copyHugePage(k: Kernel, fault: Fault, seen: number): KernelThread<FaultResult> {
  const { mm, cpu } = fault;
  const vpn = blockStart(fault.vpn);
  const old = ptePfn(seen);
  const before = vmaLookup(mmAt(k.view, mm), fault.addr) as VmaView;
  // do_huge_pmd_wp_page_fallback(): 512 copies of single pages.
  if (!hugePageWanted(k, before)) throw new NotModelledError('copies of whole huge pages to single pages');
  const anonVma = anonVmaPrepare(k, mmAt(k.view, mm), before);
  const pfn = allocLargeFolio(k, HPAGE_PMD_ORDER);
  for (let i = 0; i < HPAGE_PMD_NR; i++) k.emit({ type: 'PageCopied', pfn: pfn + i, from: old + i });
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
  if (leafAt(mmAt(k.view, mm), vpn) !== seen) {
    putPage(k, pfn);
    return 'done';
  }
  const vma = vmaLookup(mmAt(k.view, mm), fault.addr) as VmaView;
  const locked = locksPages(vma.flags);
  const written = fault.access === 'unshare' ? 0 : PTE_DIRTY | ((vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0);
  k.emit({
    type: 'CowHugePageMapped',
    mm,
    vpn,
    oldPfn: old,
    oldEntireMapcount: -1,
    pfn,
    entry: mkPte(pfn, presentFlag(vma) | PTE_HUGE | written),
    anonVma,
    index: linearPageIndex(vma, vpn * PAGE_SIZE),
    entireMapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    lru: locked ? 0 : 1,
  });
  folioMappingsChanged(k, mm, [[pfn, 1]]);
  folioMappingsChanged(k, mm, [[old, -1]]);
  folioAddedLruVma(k, locked, pfn, cpu);
  munlockVmaPages(k, vma.flags, [old], cpu);
  putPage(k, old);
  return 'done';
}

function splitAndFallBack(k: Kernel, mm: number, vpn: number): 'fallback' {
  splitHugePmd(k, mm, vpn);
  return 'fallback';
}

/**
 * `__split_huge_pmd()` without freezing: 512 entries in the place of the huge one around `vpn`, in the table that was in store for that.
 * Every page is as exclusive as the first was. That of a file just goes. A locked folio stays locked, for the entries count as another lock (6.18), if its lock was counted.
 */
export function splitHugePmd(k: Kernel, mm: number, at: number): void {
  const vpn = blockStart(at);
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  if (isFilePmd(k, leaf)) return splitFilePmd(k, mm, vpn, cpuOf(k, mm));
  const forgets = pteSpecial(leaf) && !k.behaviours['zero-pmd-split-keeps-uffd-wp'];
  const entry = withFlags(leaf, 0, PTE_HUGE | (forgets ? PTE_UFFD_WP : 0));
  const unchanged = { ref: 0, mapcount: 0, entireMapcount: 0, exclusive: 0, dirty: 0 };
  if (pteSpecial(leaf)) {
    k.emit({ type: 'PmdSplit', mm, vpn, pfn: -1, entry, ...unchanged });
    return;
  }
  const pfn = ptePfn(leaf);
  const { flags } = pageAt(k.view, pfn);
  k.emit({
    type: 'PmdSplit',
    mm,
    vpn,
    pfn,
    entry,
    ref: HPAGE_PMD_NR - 1,
    mapcount: 1,
    entireMapcount: -1,
    exclusive: (flags & PG_ANON_EXCLUSIVE) !== 0 ? 1 : 0,
    dirty: (leaf & PTE_DIRTY) !== 0 && (flags & PG_DIRTY) === 0 ? 1 : 0,
  });
  folioMappingsChanged(k, mm, [
    [pfn, HPAGE_PMD_NR],
    [pfn, -1],
  ]);
  const vma = vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE);
  if (vma === null || (vma.flags & VM_LOCKED) === 0) return;
  // The entries lock the folio, and then the huge entry unlocks it.
  const cpu = cpuOf(k, mm);
  if (k.behaviours['mlock-large-when-mapped']) mlockVmaPages(k, vma, [pfn], cpu);
  munlockVmaPages(k, vma.flags, [pfn], cpu);
}

/** Where a task of address space `mm` runs, which splits its huge entries itself. */
const cpuOf = (k: Kernel, mm: number): number =>
  Object.values(k.view.tasks).find((task) => task.mm === mm || task.exitMm === mm)?.cpu ?? 0;

/** `split_huge_pmd_if_needed()` where a VMA is to end or begin at byte `at`: no huge entry may reach across. */
export function splitHugePmdAt(k: Kernel, mm: number, at: number): void {
  const vpn = at / PAGE_SIZE;
  if (vpn % HPAGE_PMD_NR !== 0 && leafAt(mmAt(k.view, mm), vpn) !== 0) splitHugePmd(k, mm, vpn);
}

/** `zap_huge_pmd()`: the whole huge entry at `vpn` goes; its reference stays in the gather. */
export function zapHugePmd(k: Kernel, mm: number, vmFlags: number, vpn: number, cpu: number): void {
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  if (isFilePmd(k, leaf)) return zapFilePmd(k, mm, vmFlags, vpn, cpu);
  const bytes = -TABLE_BYTES;
  if (pteSpecial(leaf)) {
    k.emit({ type: 'PmdZapped', mm, vpn, pfn: -1, entireMapcount: 0, rssAnon: 0, bytes });
    return;
  }
  const pfn = ptePfn(leaf);
  k.emit({ type: 'PmdZapped', mm, vpn, pfn, entireMapcount: -1, rssAnon: -HPAGE_PMD_NR, bytes });
  folioMappingsChanged(k, mm, [[pfn, -1]]);
  munlockVmaPages(k, vmFlags, [pfn], cpu);
}

/**
 * `copy_huge_pmd()`: the child maps the huge page as well, both read-only, and it is nobody's own. False if the parent may have pinned it:
 * then its huge entry is split, and each page is looked at by itself.
 */
export function copyHugePmd(
  k: Kernel,
  { parent, child }: { readonly parent: number; readonly child: number },
  vpn: number,
): boolean {
  const leaf = leafAt(mmAt(k.view, parent), vpn);
  // What a fault brings back is not copied.
  if (isFilePmd(k, leaf)) {
    pmdAlloc(k, child, vpn);
    return true;
  }
  const pfn = pteSpecial(leaf) ? -1 : ptePfn(leaf);
  if (pfn >= 0 && k.view.hasPinned.includes(parent) && k.behaviours['fork-copies-pinned'] && maybePinned(k, pfn)) {
    const own = (pageAt(k.view, pfn).flags & PG_ANON_EXCLUSIVE) !== 0;
    if (own || !k.behaviours['anon-exclusive']) {
      splitHugePmd(k, parent, vpn);
      return false;
    }
  }
  pmdAlloc(k, child, vpn);
  // Where nobody watches the child for writes its entries are not protected.
  const watched = userfaultfdWp(vmaLookup(mmAt(k.view, child), vpn * PAGE_SIZE) as VmaView);
  const childEntry = withFlags(leaf, 0, PTE_WRITE | (watched ? 0 : PTE_UFFD_WP));
  const entry = withFlags(leaf, 0, PTE_WRITE);
  const counted =
    pfn >= 0 ? { ref: 1, entireMapcount: 1, rssAnon: HPAGE_PMD_NR } : { ref: 0, entireMapcount: 0, rssAnon: 0 };
  const event = { type: 'PmdCopied', mm: parent, child, vpn, pfn, entry, childEntry } as const;
  k.emit({ ...event, ...counted, exclusive: 0, bytes: TABLE_BYTES });
  if (pfn >= 0) folioMappingsChanged(k, child, [[pfn, 1]]);
  return true;
}

/** `change_huge_pmd()`: the huge entry gets the rights of a VMA with `vmFlags`; the write bit only where the page is the process's own. */
export function changeHugePmd(k: Kernel, mm: number, vpn: number, vmFlags: number): void {
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  const accessible = (vmFlags & VM_ACCESS) !== 0;
  const kept = pteFlags(leaf) & ~(PTE_PRESENT | PTE_PROTNONE | PTE_WRITE);
  const own =
    k.behaviours['mprotect-upgrades-exclusive'] &&
    !pteSpecial(leaf) &&
    (pageAt(k.view, folioHead(k.view, ptePfn(leaf))).flags & PG_ANON_EXCLUSIVE) !== 0;
  const watched = (vmFlags & VM_UFFD_WP) !== 0 && (leaf & PTE_UFFD_WP) !== 0;
  // Nobody needs to be told of writes to shared memory, the only file with huge entries.
  const shared = isFilePmd(k, leaf) && (vmFlags & VM_SHARED) !== 0;
  const writable = accessible && (vmFlags & VM_WRITE) !== 0 && (own || shared) && !watched ? PTE_WRITE : 0;
  const flags = kept | (accessible ? PTE_PRESENT : PTE_PROTNONE) | writable;
  if (flags !== pteFlags(leaf)) k.emit({ type: 'PmdProtected', mm, vpn, entry: mkPte(ptePfn(leaf), flags) });
}

/** `move_huge_pmd()`: the huge entry goes to `newVpn` as it is, or (`clearsWp`) no longer protected. False if something is there. */
export function moveHugePmd(k: Kernel, mm: number, vpn: number, newVpn: number, clearsWp: boolean): boolean {
  const now = mmAt(k.view, mm);
  if (!pmdNone(now, newVpn)) return false;
  k.emit({ type: 'PmdMoved', mm, vpn, newVpn, entry: leafAt(now, vpn) });
  if (clearsWp && (leafAt(now, newVpn) & PTE_UFFD_WP) !== 0)
    k.emit({ type: 'PmdFlagsSet', mm, vpn: newVpn, entry: withFlags(leafAt(now, newVpn), 0, PTE_UFFD_WP) });
  return true;
}

/** Could the 512 entries around `vpn` be one huge entry, each to its own page of one huge page? Then where that begins; else -1. */
function hugePageBelow(k: Kernel, mm: number, vpn: number): number {
  const table = pteTable(mmAt(k.view, mm), vpn) as readonly number[];
  const first = table[0] as number;
  const pfn = ptePfn(first);
  const isPart = (entry: number, i: number): boolean =>
    ptePresent(entry) && !pteSpecial(entry) && ptePfn(entry) === pfn + i;
  if (!ptePresent(first) || pteSpecial(first) || pfn % HPAGE_PMD_NR !== 0) return -1;
  return pageAt(k.view, pfn).order === HPAGE_PMD_ORDER && table.every(isPart) ? pfn : -1;
}

/**
 * Collapse in place, as no kernel does it: `no` where the entries do not map one huge page, `refused` where its pages are not equally
 * exclusive and somebody minds. Locks as in collapse_huge_page().
 */
export function collapseInPlace(k: Kernel, mm: number, vpn: number): 'done' | 'refused' | 'no' {
  const pfn = hugePageBelow(k, mm, vpn);
  if (pfn < 0) return 'no';
  const own = Array.from({ length: HPAGE_PMD_NR }, (_, i) => pageAt(k.view, pfn + i)).filter(
    ({ flags }) => (flags & PG_ANON_EXCLUSIVE) !== 0,
  ).length;
  const careful = k.behaviours['collapse-in-place-minds-exclusive'];
  if (careful && own !== 0 && own !== HPAGE_PMD_NR) return 'refused';
  const exclusive = !careful || own > 0;
  const vma = vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE) as VmaView;
  const writable = exclusive && (vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0;
  k.emit({
    type: 'PmdCollapsedInPlace',
    mm,
    vpn,
    pfn,
    entry: mkPte(pfn, presentFlag(vma) | PTE_HUGE | PTE_DIRTY | writable),
    ref: 1 - HPAGE_PMD_NR,
    mapcount: -1,
    entireMapcount: 1,
    exclusive: exclusive ? 1 : 0,
    tails: careful ? 0 : 1,
  });
  folioMappingsChanged(k, mm, [
    [pfn, 1],
    [pfn, -HPAGE_PMD_NR],
  ]);
  return 'done';
}
