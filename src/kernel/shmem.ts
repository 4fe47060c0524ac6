// Files in memory: tmpfs, memfd, shared anonymous memory. mm/shmem.c: their pages, and how many of them are accounted.
//
// Blocks are accounted of files that a workload makes (`k.view.shmem`). Of a recording it is not known what others did to a file: its pages come and go
// as it says, and nothing is counted.
import type { InodeView, ShmemInodeView, VmaView } from '../../reducers/state.js';
import {
  InodeKind,
  PG_ANON,
  PG_NOT_UPTODATE,
  RECLAIMED,
  cachedPfn,
  folioAt,
  folioHead,
  pageAt,
  swapSlot,
} from '../../reducers/state.js';
import {
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  userfaultfdArmed,
  userfaultfdMinor,
  userfaultfdMissing,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { FoundPage } from './filemap.js';
import { addLargeToCache, addToCache, filePages, markUptodate } from './filemap.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EEXIST, EINVAL, ENOENT, ENOSPC, ENXIO, PAGE_SIZE } from './kernel.js';
import type { Fault, FaultResult } from './memory/fault.js';
import { shmemAllowableOrders, shmemSuitableOrder } from './shmem-huge.js';
import { lruAddDrainIfMlock } from './swap.js';
import { folioAllocSwap, folioFreeSwap, readSwapCache, slotAt, slotOf } from './swapfile.js';
import { handleUserfault } from './userfault.js';

/** `enum sgp_type`: what is wanted of page, and so what becomes of holes, of pages beyond the end, of pages that nobody filled yet. */
export type Sgp = 'read' | 'noalloc' | 'cache' | 'write' | 'falloc';

/** Those that stop at the end of the file. */
const BOUNDED: ReadonlySet<Sgp> = new Set<Sgp>(['read', 'noalloc', 'cache']);

/** What is accounted of file `inode`; undefined where nothing is. */
export const shmemInfo = (k: Kernel, inode: number): ShmemInodeView | undefined => k.view.shmem[inode];

/**
 * `__shmem_file_setup()`, `__shmem_get_inode()`: a new file in memory of `size` bytes, whose blocks are accounted. With `noreserve` it pays for each page,
 * otherwise for its size, at once. In tmpfs `sb` it has a name and stays.
 */
export function createShmemInode(
  k: Kernel,
  name: string,
  size: number,
  {
    noreserve,
    seals,
    mode,
    sb = -1,
  }: { readonly noreserve: boolean; readonly seals: number; readonly mode: number; readonly sb?: number },
): number {
  const inode = k.view.inodes.length;
  k.emit({ type: 'InodeCreated', inode, name, kind: InodeKind.shmem, size, resident: 0 });
  const committed = noreserve ? 0 : Math.ceil(size / PAGE_SIZE);
  k.emit({ type: 'ShmemInodeInitialised', inode, sb, noreserve: noreserve ? 1 : 0, seals, mode, committed });
  return inode;
}

/**
 * `shmem_recalc_inode()` with differences in pages: what the kernel dropped of the file's clean holes since, or what was just truncated, is no longer
 * accounted. `acct` pages were accounted right before, by `shmem_inode_acct_blocks()`.
 */
export function shmemRecalcInode(k: Kernel, inode: number, alloced: number, swapped: number, acct = 0): void {
  const info = shmemInfo(k, inode);
  if (info === undefined) return;
  // Swapping out counts a page as swapped while it still is in the cache.
  const early = Math.max(swapped, 0);
  const freed = Math.max(info.alloced + alloced - (info.swapped + swapped) - info.nrpages + early, 0);
  if (freed > 0) noteDropped(k, inode);
  const blocks = acct - freed;
  if (alloced === 0 && swapped === 0 && blocks === 0) return;
  const committed = info.noreserve === 1 ? blocks : 0;
  k.emit({ type: 'ShmemAccounted', inode, alloced: alloced - freed, swapped, blocks, used: blocks, committed });
}

/** A file pays for `pages` more, or less: `shmem_inode_acct_blocks()` and its inverse, which leave `alloced` as it is. */
function charge(k: Kernel, inode: number, pages: number): void {
  const info = shmemInfo(k, inode);
  if (info === undefined) return;
  const committed = info.noreserve === 1 ? pages : 0;
  k.emit({ type: 'ShmemAccounted', inode, alloced: 0, swapped: 0, blocks: pages, used: pages, committed });
}

/** `shmem_inode_acct_blocks()` of one page. False where there is no room for it. */
export function shmemInodeAcctBlock(k: Kernel, inode: number): boolean {
  if (!shmemHasRoom(k, inode, 1)) return false;
  charge(k, inode, 1);
  return true;
}

/** `shmem_inode_unacct_blocks()` of one page. */
export const shmemInodeUnacctBlock = (k: Kernel, inode: number): void => charge(k, inode, -1);

/** `shmem_uncharge()` of one page: the file counts one less, and pays for it no more. */
export function shmemUncharge(k: Kernel, inode: number): void {
  const info = shmemInfo(k, inode);
  if (info === undefined) return;
  const committed = info.noreserve === 1 ? -1 : 0;
  k.emit({ type: 'ShmemAccounted', inode, alloced: -1, swapped: 0, blocks: -1, used: -1, committed });
}

/** `shmem_add_to_page_cache()` of page `pfn`, which was filled before. -EEXIST where the file has one, be it swapped out. */
export function shmemAddToPageCache(k: Kernel, id: number, index: number, pfn: number): number {
  const inode = k.view.inodes[id] as InodeView;
  if (cachedPfn(inode, index) >= 0 || swapSlot(inode, index) >= 0) return -EEXIST;
  k.emit({ type: 'ShmemFolioAdded', inode: id, runs: [index, pfn, 1], ref: 1 });
  return 0;
}

/** `filemap_remove_folio()` of page `pfn`, which somebody else has. */
export const shmemRemoveFromCache = (k: Kernel, inode: number, index: number, pfn: number): void =>
  k.emit({ type: 'PageCacheRemoved', inode, runs: [index, pfn, 1], ref: -1, freed: [] });

/** Has the tmpfs of file `inode` room for `pages` more? Asked by `shmem_inode_acct_blocks()`. */
export function shmemHasRoom(k: Kernel, inode: number, pages: number): boolean {
  const sb = k.view.tmpfs[shmemInfo(k, inode)?.sb ?? -1];
  return sb === undefined || sb.maxBlocks === 0 || sb.usedBlocks + pages <= sb.maxBlocks;
}

/** Holes that reclaim dropped are accounted no longer: they are holes like others. */
function noteDropped(k: Kernel, id: number): void {
  const runs: number[] = [];
  (k.view.inodes[id] as InodeView).pages.forEach((leaf, l) =>
    leaf?.forEach((slot, i) => {
      if (slot === RECLAIMED) runs.push(l * 512 + i, 1);
    }),
  );
  if (runs.length > 0) k.emit({ type: 'PageCacheHolesNoted', inode: id, runs });
}

/**
 * `shmem_get_folio_gfp()`: page `index` of file `id`, for `sgp`. A hole is 0 for `read` and -ENOENT for `noalloc`, else it gets a page; so is, for
 * `read`, a page that fallocate made and nobody filled. @returns the page, 0 for none, or a negative errno: -EINVAL beyond the end, -ENOSPC where
 * there is no room. How large a new folio may be the fault's `vma` says, or where a write or fallocate ends, byte `writeEnd`.
 */
export function shmemGetFolio(
  k: Kernel,
  id: number,
  index: number,
  sgp: Sgp,
  cpu: number,
  { vma = null, writeEnd = 0 }: { readonly vma?: VmaView | null; readonly writeEnd?: number } = {},
): FoundPage | number {
  const inode = k.view.inodes[id] as InodeView;
  if (BOUNDED.has(sgp) && index >= filePages(inode)) return -EINVAL;
  const pfn = cachedPfn(inode, index);
  if (pfn >= 0) {
    const filled = (folioAt(k.view, pfn).flags & PG_NOT_UPTODATE) === 0;
    if (!filled && sgp === 'read') return 0;
    // Whoever writes fills the rest itself; a second fallocate must not lose what the first one promised.
    if (!filled && sgp !== 'write') markUptodate(k, pfn);
    return { pfn, major: false };
  }
  if (swapSlot(inode, index) >= 0) return shmemSwapinFolio(k, id, index, cpu);
  if (sgp === 'read') return 0;
  return sgp === 'noalloc'
    ? -ENOENT
    : shmemAllocAndAddFolio(k, id, index, sgp, cpu, shmemAllowableOrders(k, inode, vma, index, writeEnd), vma);
}

/** `shmem_swapin_folio()`: page `index`, which is swapped out, is the file's again and dirty, and its slot is free. Says whether it had to be read. */
export function shmemSwapinFolio(k: Kernel, id: number, index: number, cpu: number): FoundPage {
  const slot = swapSlot(k.view.inodes[id] as InodeView, index);
  const { pfn, read } = readSwapCache(k, slot, cpu);
  k.emit({ type: 'ShmemPageSwappedIn', inode: id, runs: [index, pfn, 1], slot, ref: 0, count: -1 });
  shmemRecalcInode(k, id, 0, -1);
  return { pfn, major: read };
}

/**
 * `shmem_writeout()` of page `pfn`, which nothing maps and nobody else has: it gets a slot, where its bytes are written. Zeros need no writing, and go at once; others
 * stay in the swap cache. False if there is no slot.
 */
export function shmemWriteout(k: Kernel, pfn: number): boolean {
  const { mapping: inode, index } = pageAt(k.view, pfn);
  if (!folioAllocSwap(k, pfn)) return false;
  const slot = slotOf(k, pfn);
  shmemRecalcInode(k, inode, 0, 1);
  k.emit({ type: 'ShmemPageSwapped', inode, runs: [index, pfn, 1], slot, ref: -1, count: 1 });
  k.emit({ type: 'SwapWritten', slot, pfn });
  if (pageAt(k.view, pfn).content === null)
    k.emit({ type: 'SwapCacheRemoved', slot, pfn, ref: -1, dirty: 0, freed: 1, slotFreed: 0 });
  return true;
}

/** `shmem_swapin_range()`: pages [first, last) of the file that are swapped out are read into the swap cache. */
export function shmemSwapinRange(k: Kernel, id: number, first: number, last: number, cpu: number): void {
  const { pages } = k.view.inodes[id] as InodeView;
  const end = (shmemInfo(k, id)?.swapped ?? 0) === 0 ? first : last;
  for (let index = first; index < Math.min(end, pages.length * 512); index++) {
    const slot = swapSlot(k.view.inodes[id] as InodeView, index);
    if (slot >= 0) readSwapCache(k, slot, cpu);
  }
  lruAddDrainIfMlock(k, cpu);
}

/** `shmem_free_swap()` of pages [first, end): what is swapped out of them is gone. How many pages were. */
export function shmemFreeSwap(k: Kernel, id: number, first: number, end: number): number {
  if ((shmemInfo(k, id)?.swapped ?? 0) === 0) return 0;
  const { pages } = k.view.inodes[id] as InodeView;
  let freed = 0;
  for (let index = first; index < Math.min(end, pages.length * 512); index++) {
    const slot = swapSlot(k.view.inodes[id] as InodeView, index);
    if (slot < 0) continue;
    const { pfn } = slotAt(k, slot);
    k.emit({ type: 'ShmemSwapFreed', inode: id, runs: [index, 1], slot, count: -1, slotFreed: pfn < 0 ? 1 : 0 });
    if (pfn >= 0) folioFreeSwap(k, pfn);
    freed++;
  }
  return freed;
}

/**
 * `shmem_alloc_and_add_folio()`: a new folio, accounted, as large as `orders` and its place let it be. fallocate leaves it unfilled. A page of its own where the tmpfs has no room for more; -ENOSPC
 * where it is full, once what reclaim dropped of the file is counted. The folio that Linux then takes back was nobody's.
 * @throws NotModelledError where a tmpfs is full in which a large folio reaches beyond its file's end: Linux splits that.
 */
function shmemAllocAndAddFolio(
  k: Kernel,
  id: number,
  index: number,
  sgp: Sgp,
  cpu: number,
  orders: number,
  vma: VmaView | null,
): FoundPage | number {
  const largest = orders === 0 ? 0 : shmemSuitableOrder(k, id, vma, index, orders);
  const room = (order: number): boolean => {
    if (shmemHasRoom(k, id, 2 ** order)) return true;
    if (someReachesBeyondEnd(k, shmemInfo(k, id)?.sb ?? -1))
      throw new NotModelledError('a full tmpfs with large folios behind the end of files, which are split');
    shmemRecalcInode(k, id, 0, 0);
    return shmemHasRoom(k, id, 2 ** order);
  };
  const order = largest > 0 && room(largest) ? largest : 0;
  if (order === 0 && !room(0)) return -ENOSPC;
  if (order === 0) addToCache(k, id, index, cpu);
  else addLargeToCache(k, id, index, order, cpu);
  shmemRecalcInode(k, id, 2 ** order, 0, 2 ** order);
  const pfn = cachedPfn(k.view.inodes[id] as InodeView, index);
  if (sgp === 'falloc') k.emit({ type: 'FolioUptodateSet', pfn: folioHead(k.view, pfn), uptodate: 0 });
  return { pfn, major: false };
}

/** Has a file of tmpfs `sb` a large folio that goes on behind its end? */
function someReachesBeyondEnd(k: Kernel, sb: number): boolean {
  if (sb < 0) return false;
  return Object.keys(k.view.largeFolios).some((pfn) => {
    const { mapping, index, order, flags } = pageAt(k.view, Number(pfn));
    const inode = (flags & PG_ANON) === 0 ? k.view.inodes[mapping] : null;
    return inode && shmemInfo(k, inode.id)?.sb === sb && index + 2 ** order > filePages(inode);
  });
}

/**
 * `shmem_file_llseek()`, `mapping_seek_hole_data()`: the first byte from `offset` on that is data, or in a hole, as the end of the file is. Pages that are swapped out are
 * data, those that fallocate made and nobody filled are holes. -ENXIO behind the end, or where no data follows.
 */
export function shmemSeekHoleData(k: Kernel, id: number, offset: number, data: boolean): number {
  const inode = k.view.inodes[id] as InodeView;
  if (offset < 0 || offset >= inode.size) return -ENXIO;
  const known = inode.pages.length * 512;
  for (let index = Math.floor(offset / PAGE_SIZE); index * PAGE_SIZE < inode.size; index++) {
    const pfn = cachedPfn(inode, index);
    const filled = pfn >= 0 && (folioAt(k.view, pfn).flags & PG_NOT_UPTODATE) === 0;
    if ((filled || swapSlot(inode, index) >= 0) === data) return Math.max(offset, index * PAGE_SIZE);
    if (index >= known) break;
  }
  return data ? -ENXIO : inode.size;
}

/**
 * `shmem_fault()`: page `index` of the file that `vma` maps, a page of zeros for a hole. A userfaultfd that watches is asked first, about what the file has as about
 * what it has not. Otherwise what became of the fault.
 */
export function* shmemFault(
  k: Kernel,
  fault: Fault,
  vma: VmaView,
  index: number,
): KernelThread<FoundPage | FaultResult> {
  const inode = k.view.inodes[vma.inode] as InodeView;
  if (userfaultfdArmed(vma) && index < filePages(inode)) {
    // Beside pages that are cached those that are swapped out, and those that fallocate made and nobody filled.
    const exists = cachedPfn(inode, index) >= 0 || swapSlot(inode, index) >= 0;
    if (exists && userfaultfdMinor(vma)) return yield* handleUserfault(k, fault, VM_UFFD_MINOR);
    if (!exists && userfaultfdMissing(vma)) return yield* handleUserfault(k, fault, VM_UFFD_MISSING);
  }
  const found = shmemGetFolio(k, vma.inode, index, 'cache', fault.cpu, { vma });
  return typeof found === 'number' ? 'sigbus' : found;
}
