// Faults on files, shared memory and special mappings: do_fault() and below in mm/memory.c.
import {
  PTE_PRESENT,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTRS_PER_PTE,
  isUffdWpPteMarker,
  mkPte,
  pteAt,
  pteTable,
} from '../../../reducers/pte.js';
import type { InodeView, VmaView } from '../../../reducers/state.js';
import { InodeKind, mmAt } from '../../../reducers/state.js';
import {
  VM_SHARED,
  VM_UFFD_MINOR,
  VM_UFFD_WP,
  VM_WRITE,
  linearPageIndex,
  vmaLookup,
  vmaPages,
} from '../../../reducers/vma.js';
import type { FoundPage } from '../filemap.js';
import { PagesToMap, filemapFault, markDirty } from '../filemap.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { allocPage, putPage } from '../page-alloc.js';
import { anonVmaPrepare } from '../rmap.js';
import { shmemFault } from '../shmem.js';
import { dirtyFlags, vmaSoftDirtyEnabled } from '../soft-dirty.js';
import { mapFreshPage, presentFlag } from './anonymous.js';
import type { Fault, FaultResult } from './fault.js';
import { pteAlloc } from './tables.js';
import { mlockVmaPages } from './mlocked.js';

export { markDirty } from '../filemap.js';

/** The file behind a VMA that has one. */
export const inodeOf = (k: Kernel, vma: VmaView): InodeView => k.view.inodes[vma.inode] as InodeView;

/** File systems that want to know of the first write to a clean shared page (`->page_mkwrite`). */
const hasPageMkwrite = (inode: InodeView): boolean => inode.kind === InodeKind.file;

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
    mapFilePage(k, fault, vma, found.pfn, protectedAs(seen, vmPageProt(k, vma)));
  return found.major ? 'major' : 'done';
}

/**
 * `vma_wants_writenotify()` of a shared mapping with VM_* `flags` that may be written to: must first writes fault? For file systems they must, (since
 * 3.18) where they are tracked by soft-dirty, and (since 6.2) where a userfaultfd watches for writes.
 */
export function vmaWantsWritenotify(k: Kernel, flags: number, inode: InodeView | undefined): boolean {
  if (inode !== undefined && hasPageMkwrite(inode)) return true;
  if ((flags & VM_UFFD_WP) !== 0 && k.behaviours['uffd-wp-implies-writenotify']) return true;
  return k.behaviours['softdirty-enables-writenotify'] && vmaSoftDirtyEnabled(k, flags);
}

/** `vm_page_prot`, what a mapping of `vma` gets unasked: writable at once in shared mappings nobody needs to be told about. */
export function vmPageProt(k: Kernel, vma: VmaView): number {
  if ((vma.flags & (VM_SHARED | VM_WRITE)) !== (VM_SHARED | VM_WRITE)) return presentFlag(vma);
  return vmaWantsWritenotify(k, vma.flags, inodeOf(k, vma)) ? PTE_PRESENT : PTE_PRESENT | PTE_WRITE;
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
  for (let i = from; i < to; i++) {
    const vpn = base + i;
    if (pteAt(mm, vpn) === 0) pages.consider(k, vpn, linearPageIndex(vma, vpn * PAGE_SIZE));
  }
  if (pages.count === 0) return;
  // The step that would install the page table is left out for a folio that reaches the file's end.
  const noTable = pteTable(mm, fault.vpn) === null;
  if (noTable && pages.beginsWithLastPage && k.behaviours['fault-around-spares-eof']) return;
  pteAlloc(k, fault.mm, fault.vpn);
  mlockVmaPages(k, vma, pages.commit(k, fault.mm, vmPageProt(k, vma)), fault.cpu);
}

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
    mapFilePage(k, fault, vma, found.pfn, protectedAs(seen, PTE_PRESENT | PTE_WRITE | dirtyFlags(k)));
  markDirty(k, found.pfn);
  return found.major ? 'major' : 'done';
}

/** `finish_fault()` for one page of the cache. */
function mapFilePage(k: Kernel, fault: Fault, vma: VmaView, pfn: number, flags: number): void {
  pteAlloc(k, fault.mm, fault.vpn);
  const shmem = inodeOf(k, vma).kind === InodeKind.shmem ? 1 : 0;
  k.emit({
    type: 'FilePagesMapped',
    mm: fault.mm,
    runs: [fault.vpn, pfn, 1],
    flags,
    ref: 1,
    mapcount: 1,
    rssFile: 1 - shmem,
    rssShmem: shmem,
  });
  mlockVmaPages(k, vma, [pfn], fault.cpu);
}
