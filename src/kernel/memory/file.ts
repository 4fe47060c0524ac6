// Faults on files, shared memory and special mappings: do_fault() and below in mm/memory.c.
import {
  PTE_PRESENT,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTRS_PER_PTE,
  isUffdWpPteMarker,
  mkPte,
  pmdNone,
  pteAt,
  tableEnd,
} from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { InodeKind, folioHead, mmAt, pageAt } from '../../../reducers/state.js';
import {
  VM_SHARED,
  VM_UFFD_MINOR,
  VM_UFFD_WP,
  linearPageIndex,
  userfaultfdArmed,
  vmaLookup,
  vmaPages,
} from '../../../reducers/vma.js';
import type { FoundPage } from '../filemap.js';
import { PagesToMap, filemapFault, markDirty } from '../filemap.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { folioMappingsChanged } from '../large-folio.js';
import { allocPage, putPage } from '../page-alloc.js';
import { anonVmaPrepare } from '../rmap.js';
import { shmemFault } from '../shmem.js';
import { dirtyFlags } from '../soft-dirty.js';
import { mapFreshPage } from './anonymous.js';
import type { Fault, FaultResult } from './fault.js';
import { doSetPmd, fileRss } from './file-huge.js';
import { pteAlloc } from './tables.js';
import { mlockVmaPages } from './mlocked.js';
import { inodeOf, vmPageProt } from './page-prot.js';

/** `__do_fault()`: the page of the file at `addr`, brought in if need be; or what became of the fault. */
function* vmFault(k: Kernel, vma: VmaView, fault: Fault): KernelThread<FoundPage | FaultResult> {
  const index = linearPageIndex(vma, fault.addr);
  if (inodeOf(k, vma).kind === InodeKind.shmem) return yield* shmemFault(k, fault, vma, index);
  return filemapFault(k, vma, index, fault.cpu) ?? 'sigbus';
}

/** `should_fault_around()`: not where a userfaultfd must hear of each page. */
const shouldFaultAround = (k: Kernel, { flags }: VmaView): boolean =>
  k.machine.faultAroundPages > 1 && (flags & (VM_UFFD_WP | VM_UFFD_MINOR)) === 0;

/** `vmf_orig_pte_uffd_wp()`: `flags` of an entry that takes the place of `seen`. What comes for a marker is as protected as it says. */
const protectedAs = (seen: number, flags: number): number =>
  isUffdWpPteMarker(seen) ? (flags | PTE_UFFD_WP) & ~PTE_WRITE : flags;

/** `do_fault()`: reads, private writes and shared writes each have their way. VMA lock held for read throughout. */
export function* doFault(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const vma = vmaLookup(mmAt(k.view, fault.mm), fault.addr) as VmaView;
  if (inodeOf(k, vma).kind === InodeKind.vvar) {
    // Raw pfns: special_mapping_fault() inserts them without page, reference or counter.
    pteAlloc(k, fault.mm, fault.vpn);
    k.emit({
      type: 'SpecialPfnMapped',
      mm: fault.mm,
      vpn: fault.vpn,
      entry: mkPte(linearPageIndex(vma, fault.addr), PTE_PRESENT | PTE_SPECIAL),
    });
    return 'done';
  }
  // What io_uring maps is there from the start.
  if (inodeOf(k, vma).kind === InodeKind.ring) return 'sigbus';
  if (fault.access !== 'write') return yield* doReadFault(k, fault);
  if ((vma.flags & VM_SHARED) === 0) return yield* doCowFault(k, fault);
  return yield* doSharedFault(k, fault);
}

/** `do_read_fault()`: what the cache holds around the address is mapped in one go, else the one page is brought in. */
function* doReadFault(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const vma = vmaLookup(mmAt(k.view, fault.mm), fault.addr) as VmaView;
  const inode = inodeOf(k, vma);
  const seen = pteAt(mmAt(k.view, fault.mm), fault.vpn);
  if (inode.kind !== InodeKind.vdso && shouldFaultAround(k, vma)) {
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${fault.mm},${fault.vpn})` };
    const told = yield { op: 'place', what: 'map-end' };
    doFaultAround(k, fault, vma, told);
    if (pteAt(mmAt(k.view, fault.mm), fault.vpn) !== seen) return 'done';
  }
  const found = yield* vmFault(k, vma, fault);
  if (typeof found === 'string') return found;
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${fault.mm},${fault.vpn})` };
  // Reading dropped the lock, the fault begins anew (VM_FAULT_RETRY): what came in is there to be mapped.
  if (found.major && fault.mayRetry !== false && shouldFaultAround(k, vma)) doFaultAround(k, fault, vma, -1);
  if (pteAt(mmAt(k.view, fault.mm), fault.vpn) === seen)
    mapFilePage(k, fault, vma, found.pfn, protectedAs(seen, vmPageProt(k, vma)), false);
  return found.major ? 'major' : 'done';
}

/**
 * `do_fault_around()` and `filemap_map_pages()`: empty entries in the aligned window of fault_around_bytes, cut to the VMA, the page
 * table and the file, whose pages are cached. `told` is the last page index a recording saw mapped (-1: nothing told): ending below the
 * window's end, it tells the size of a file whose size is not known.
 */
function doFaultAround(k: Kernel, fault: Fault, vma: VmaView, told: number): void {
  const around = k.machine.faultAroundPages;
  const inTable = fault.vpn % PTRS_PER_PTE;
  const vmaOffset = fault.vpn - vma.start / PAGE_SIZE;
  const from = Math.max(inTable - (inTable % around), inTable - Math.min(inTable, vmaOffset));
  const to = Math.min(from + around, PTRS_PER_PTE, inTable + vmaPages(vma) - vmaOffset);
  const base = fault.vpn - inTable;
  const mm = mmAt(k.view, fault.mm);
  const { id, size } = inodeOf(k, vma);
  const last = linearPageIndex(vma, (base + to - 1) * PAGE_SIZE);
  if (told >= 0 && told < last && size < 0)
    k.emit({ type: 'InodeResized', inode: id, size: (told + 1) * PAGE_SIZE, data: -1 });
  const pages = new PagesToMap(inodeOf(k, vma));
  for (let vpn = base + from; vpn < base + to;) {
    const index = linearPageIndex(vma, vpn * PAGE_SIZE);
    const large = pages.largeFolioAt(k, index);
    if (large < 0) {
      if (pteAt(mm, vpn) === 0) pages.consider(k, vpn, index);
      vpn++;
      continue;
    }
    if (pages.count === 0 && doSetPmd(k, fault, vma, large, false)) return;
    const [first, end] = rangeOfFolio(k, vma, vpn, large, Math.min(base + to, vpn + pages.filePages - index));
    for (let at = first; at < end; at++) if (pteAt(mm, at) === 0) pages.add(at, linearPageIndex(vma, at * PAGE_SIZE));
    vpn = end;
  }
  if (pages.count === 0) return;
  // The step that would install the page table is left out for a folio that reaches the file's end.
  const noTable = pmdNone(mm, fault.vpn);
  if (noTable && pages.beginsWithLastPage && k.behaviours['fault-around-spares-eof']) return;
  pteAlloc(k, fault.mm, fault.vpn);
  mlockMapped(k, vma, pages.commit(k, fault.mm, vmPageProt(k, vma)), fault.cpu);
}

/**
 * `filemap_map_folio_range()`: which pages from `vpn` on, where page `pfn` of a large folio belongs, are mapped with it: all of the folio, if it lies in the VMA and below one table; else
 * what of it follows before `last`, where the window or the file ends.
 */
function rangeOfFolio(k: Kernel, vma: VmaView, vpn: number, pfn: number, last: number): readonly [number, number] {
  const pages = 2 ** pageAt(k.view, pfn).order;
  const first = vpn - (pfn % pages);
  return liesIn(vma, first, pages) ? [first, first + pages] : [vpn, Math.min(last, first + pages)];
}

/** Do `pages` pages from `vpn` on lie in the VMA, and below one table? */
const liesIn = (vma: VmaView, vpn: number, pages: number): boolean =>
  vpn * PAGE_SIZE >= vma.start && (vpn + pages) * PAGE_SIZE <= vma.end && vpn + pages <= tableEnd(vpn);

/** `do_cow_fault()`: the program gets a copy at once; the cache's page is never mapped. */
function* doCowFault(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const mm = mmAt(k.view, fault.mm);
  const anonVma = anonVmaPrepare(k, mm, vmaLookup(mm, fault.addr) as VmaView);
  let vma = vmaLookup(mmAt(k.view, fault.mm), fault.addr) as VmaView;
  const seen = pteAt(mm, fault.vpn);
  const found = yield* vmFault(k, vma, fault);
  if (typeof found === 'string') return found;
  const pfn = allocPage(k);
  k.emit({ type: 'PageCopied', pfn, from: found.pfn });
  pteAlloc(k, fault.mm, fault.vpn);
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${fault.mm},${fault.vpn})` };
  vma = vmaLookup(mmAt(k.view, fault.mm), fault.addr) as VmaView;
  if (pteAt(mmAt(k.view, fault.mm), fault.vpn) === seen)
    mapFreshPage(k, fault, vma, pfn, anonVma, isUffdWpPteMarker(seen) ? PTE_UFFD_WP : 0);
  else putPage(k, pfn);
  return found.major ? 'major' : 'done';
}

/** `do_shared_fault()`: the cache's page becomes writable and dirty. */
function* doSharedFault(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const vma = vmaLookup(mmAt(k.view, fault.mm), fault.addr) as VmaView;
  const seen = pteAt(mmAt(k.view, fault.mm), fault.vpn);
  const found = yield* vmFault(k, vma, fault);
  if (typeof found === 'string') return found;
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${fault.mm},${fault.vpn})` };
  if (pteAt(mmAt(k.view, fault.mm), fault.vpn) === seen)
    mapFilePage(k, fault, vma, found.pfn, protectedAs(seen, PTE_PRESENT | PTE_WRITE | dirtyFlags(k)), true);
  markDirty(k, found.pfn);
  return found.major ? 'major' : 'done';
}

/**
 * `finish_fault()` for a page of the cache: the whole folio by a huge entry if that may be, else by entries of its pages if they all have room; else the one page.
 */
function mapFilePage(k: Kernel, fault: Fault, vma: VmaView, pfn: number, flags: number, write: boolean): void {
  if (doSetPmd(k, fault, vma, pfn, write)) return;
  pteAlloc(k, fault.mm, fault.vpn);
  const { order } = pageAt(k.view, pfn);
  const first = fault.vpn - (pfn % 2 ** order);
  const whole = order > 0 && !userfaultfdArmed(vma) && liesIn(vma, first, 2 ** order);
  const none =
    whole &&
    Array.from({ length: 2 ** order }, (_, i) => first + i).every((vpn) => pteAt(mmAt(k.view, fault.mm), vpn) === 0);
  const n = none ? 2 ** order : 1;
  const run = none ? [first, folioHead(k.view, pfn), n] : [fault.vpn, pfn, 1];
  const counted = { ref: 1, mapcount: 1, ...fileRss(k, pfn, n) };
  k.emit({ type: 'FilePagesMapped', mm: fault.mm, runs: run, flags, ...counted });
  if (order > 0) folioMappingsChanged(k, fault.mm, [[folioHead(k.view, pfn), n]]);
  mlockMapped(
    k,
    vma,
    Array.from({ length: n }, (_, i) => run[1]! + i),
    fault.cpu,
  );
}

/** `__folio_add_file_rmap()`: a large folio is locked where all of it was mapped at once. */
function mlockMapped(k: Kernel, vma: VmaView, pfns: readonly number[], cpu: number): void {
  const locked: number[] = [];
  for (let i = 0; i < pfns.length;) {
    const { order } = pageAt(k.view, pfns[i] as number);
    const pages = 2 ** order;
    const head = folioHead(k.view, pfns[i] as number);
    let n = 1;
    while (n < pages && pfns[i + n] === (pfns[i] as number) + n && folioHead(k.view, pfns[i + n] as number) === head)
      n++;
    if (n === pages) locked.push(head);
    i += n;
  }
  mlockVmaPages(k, vma, locked, cpu);
}
