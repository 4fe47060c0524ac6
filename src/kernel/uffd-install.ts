// The install step of userfaultfd: mfill_atomic_install_pte() of mm/userfaultfd.c, one for private and shared mappings, fresh pages and those
// that their file has. A series of 2021 (minor faults for shared memory) made it one; what it decided otherwise at first are behaviours.
import { PTE_PRESENT, PTE_PROTNONE, PTE_UFFD_WP, PTE_WRITE, isPteMarker, mkPte, pteAt } from '../../reducers/pte.js';
import type { InodeView, VmaView } from '../../reducers/state.js';
import { InodeKind, MM_ANONPAGES, MM_FILEPAGES, PG_ANON, folioAt, folioHead, mmAt } from '../../reducers/state.js';
import { VM_ACCESS, VM_SHARED, VM_WRITE, linearPageIndex, vmaIsAnonymous } from '../../reducers/vma.js';
import { filePages, markDirty } from './filemap.js';
import type { Kernel } from './kernel.js';
import { EEXIST, EFAULT, PAGE_SIZE } from './kernel.js';
import { folioMappingsChanged } from './large-folio.js';
import { folioAddedLruVma, locksPages, mlockVmaPages } from './memory/mlocked.js';
import { dirtyFlags } from './soft-dirty.js';
import { lruBatchAdded } from './swap.js';

/** What is installed where. */
export interface Install {
  readonly mm: number;
  readonly vpn: number;
  readonly vma: VmaView;
  readonly pfn: number;
  /** Nobody had the page before (`newly_allocated`): its reference becomes the mapping's. */
  readonly fresh: boolean;
  /** MODE_WP. */
  readonly protect: boolean;
  /** CPU whose batches new pages wait in. */
  readonly cpu: number;
}

/**
 * `mfill_file_over_size()`: does `vpn` lie behind the end of the file that `vma` maps? Asked under the table's lock, which truncation takes
 * after it has changed the size. Until 4.19 nobody asked.
 */
export function mfillFileOverSize(k: Kernel, vma: VmaView, vpn: number): boolean {
  if (vmaIsAnonymous(vma) || !k.behaviours['uffd-copy-checks-isize']) return false;
  return linearPageIndex(vma, vpn * PAGE_SIZE) >= filePages(k.view.inodes[vma.inode] as InodeView);
}

/** What an entry may do, and what is marked dirty. */
interface Rights {
  readonly writable: boolean;
  readonly dirty: boolean;
  readonly protects: boolean;
}

/** The rule of the series as it was posted: what the VMA is decides, not whose page it is. */
function rightsAsPosted({ flags, inode }: VmaView, protect: boolean): Rights {
  const writable = (flags & VM_WRITE) !== 0 && (inode === 0 || (flags & VM_SHARED) !== 0);
  return { writable, dirty: writable || inode === 0, protects: protect && writable };
}

/** A page of the file in a private mapping is never writable, whatever else the kernel's age decides. */
function rightsOf(k: Kernel, { flags }: VmaView, inCache: boolean, protect: boolean): Rights {
  const writable = (flags & VM_WRITE) !== 0 && (!inCache || (flags & VM_SHARED) !== 0);
  return {
    writable,
    dirty: writable || !inCache || k.behaviours['uffd-install-pte-dirty'],
    // Up to 5.18 only what may be written to was protected.
    protects: protect && (writable || k.behaviours['uffd-wp-marks-readonly']),
  };
}

/** `folio_mapping()`: does a file have the folio that page `pfn` belongs to? */
function isCached(k: Kernel, pfn: number): boolean {
  const { mapping, flags } = folioAt(k.view, pfn);
  return mapping !== 0 && (flags & PG_ANON) === 0;
}

/** `mfill_atomic_install_pte()`, under the table's lock: 0, -EFAULT behind the end of the file, -EEXIST where something but a marker is. */
export function mfillAtomicInstallPte(k: Kernel, install: Install): number {
  const { mm, vpn, vma, pfn, protect } = install;
  // Until 6.0 the page itself was asked, and only the first one of a large folio knows.
  const asked = k.behaviours['uffd-install-asks-folio'] || pfn === folioHead(k.view, pfn);
  const inCache = asked && isCached(k, pfn);
  const posted = k.behaviours['uffd-install-asks-vma'];
  const { writable, dirty, protects } = posted ? rightsAsPosted(vma, protect) : rightsOf(k, vma, inCache, protect);
  if (posted && !writable && (vma.flags & VM_SHARED) !== 0) markDirty(k, pfn);
  if (mfillFileOverSize(k, vma, vpn)) return -EFAULT;
  const entry = pteAt(mmAt(k.view, mm), vpn);
  if (entry !== 0 && !isPteMarker(entry)) return -EEXIST;
  const accessible = (vma.flags & VM_ACCESS) !== 0 ? PTE_PRESENT : PTE_PROTNONE;
  const rights = protects ? PTE_UFFD_WP : writable && !protect ? PTE_WRITE : 0;
  const flags = accessible | rights | (dirty ? dirtyFlags(k) : 0);
  // The folio of a page that was there is what it is, whatever it was taken for; its counter is not.
  if (!install.fresh || (posted ? !vmaIsAnonymous(vma) : inCache)) mapAsFile(k, install, flags, !asked);
  else mapAsAnon(k, install, flags);
  return 0;
}

/** `folio_add_file_rmap_pte()`; a fresh page waits for the LRU from now on. With `asAnon` it is counted as anonymous. */
function mapAsFile(k: Kernel, { mm, vpn, vma, pfn, fresh, cpu }: Install, flags: number, asAnon: boolean): void {
  const { flags: pageFlags, mapping, order } = folioAt(k.view, pfn);
  if (fresh) {
    k.emit({ type: 'FolioLruAdded', pfn, flags: pageFlags, ref: 1, lruCpu: cpu });
    lruBatchAdded(k, cpu);
  }
  const shmem = k.view.inodes[mapping]?.kind === InodeKind.shmem ? 1 : 0;
  k.emit({
    type: 'FilePagesMapped',
    mm,
    runs: [vpn, pfn, 1],
    flags,
    ref: fresh ? 0 : 1,
    mapcount: 1,
    rssFile: asAnon ? 0 : 1 - shmem,
    rssShmem: asAnon ? 0 : shmem,
  });
  if (asAnon) k.emit({ type: 'MmCounterChanged', mm, counter: MM_ANONPAGES, pages: 1 });
  if (order > 0) folioMappingsChanged(k, mm, [[folioHead(k.view, pfn), 1]]);
  // A mere part of a large folio is not locked.
  else mlockVmaPages(k, vma, [pfn], cpu);
}

/** `folio_add_new_anon_rmap()`, `folio_add_lru_vma()`. */
function mapAsAnon(k: Kernel, { mm, vpn, vma, pfn, cpu }: Install, flags: number): void {
  const locked = locksPages(vma.flags);
  // Who counts before the page is known to be anonymous takes it for one of a file.
  const early = k.behaviours['uffd-install-counts-first'];
  if (early) k.emit({ type: 'MmCounterChanged', mm, counter: MM_FILEPAGES, pages: 1 });
  k.emit({
    type: 'AnonPageMapped',
    mm,
    vpn,
    pfn,
    entry: mkPte(pfn, flags),
    anonVma: vma.anonVma,
    index: linearPageIndex(vma, vpn * PAGE_SIZE),
    ref: locked ? 0 : 1,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    rssAnon: early ? 0 : 1,
    lruCpu: locked ? -1 : cpu,
  });
  folioAddedLruVma(k, locked, pfn, cpu);
}
