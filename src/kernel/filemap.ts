// The page cache: mm/filemap.c, and shmem_get_folio() of mm/shmem.c as far as faults need it.
import { wasWritten } from '../../reducers/disk.js';
import type { InodeView, VmaView } from '../../reducers/state.js';
import {
  InodeKind,
  PG_DIRTY,
  PG_NOT_UPTODATE,
  PG_RECLAIM,
  cachedPfn,
  folioAt,
  folioHead,
  nextFreePfn,
  pageAt,
} from '../../reducers/state.js';
import { VM_EXEC, VM_HUGEPAGE, VM_RAND_READ, VM_SEQ_READ, vmaPages } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';
import type { Mappings } from './large-folio.js';
import { countLarge, folioMappingsChanged } from './large-folio.js';
import { allocLargeFolio, appendRun, nextFreePfns, putPage } from './page-alloc.js';
import { drainLruAdd, lruBatchAdded } from './swap.js';

/** Pages of a file: beyond them a fault gets SIGBUS. Unknown sizes bound nothing. */
export const filePages = (inode: InodeView): number =>
  inode.size < 0 ? Number.MAX_SAFE_INTEGER : Math.ceil(inode.size / PAGE_SIZE);

/** Pages that a fault on an absent page reads around it: half of them before it. `read_ahead_kb` of disks, in pages. */
const READ_AROUND = 32;

/** Does the disk hold anything of page `index`? A file that was made longer has a hole there. */
export const onDisk = (inode: InodeView, index: number): boolean =>
  inode.kind !== InodeKind.file || inode.data < 0 || index * PAGE_SIZE < inode.data;

/** Is page `index`, which has no frame yet, taken to be cached since long? */
export const isTakenAsCached = (inode: InodeView, index: number): boolean =>
  inode.resident === 1 && cachedPfn(inode, index) === -2 && onDisk(inode, index);

/** May `filemap_map_pages()` map page `index`: is it cached, or taken to be so, filled and not marked? `next_uptodate_folio()`. */
function isMappable(k: Kernel, inode: InodeView, index: number): boolean {
  const pfn = cachedPfn(inode, index);
  if (pfn < 0) return isTakenAsCached(inode, index);
  return (folioAt(k.view, pfn).flags & (PG_NOT_UPTODATE | PG_RECLAIM)) === 0;
}

/** `folio_clear_reclaim()`, `folio_clear_readahead()`: one bit. */
export function clearReclaim(k: Kernel, pfn: number): void {
  if ((pageAt(k.view, pfn).flags & PG_RECLAIM) !== 0) k.emit({ type: 'FolioReclaimSet', pfn, reclaim: 0 });
}

/** How far behind a marked page `page_cache_async_ra()` may read, pages. */
const ASYNC_READ_AHEAD = 128;

/**
 * `page_cache_async_ra()` where somebody finds page `index` marked: the mark goes, and what is absent behind the page is read.
 * @throws NotModelledError if anything is: how much comes in, and in folios of which size, depends on reads long past.
 */
export function readAheadOfMarked(k: Kernel, id: number, index: number): void {
  const inode = k.view.inodes[id] as InodeView;
  const pfn = cachedPfn(inode, index);
  if (pfn < 0 || inode.kind !== InodeKind.file || (pageAt(k.view, pfn).flags & PG_RECLAIM) === 0) return;
  clearReclaim(k, pfn);
  for (let at = index + 1; at < Math.min(filePages(inode), index + ASYNC_READ_AHEAD); at++)
    if (cachedPfn(inode, at) < 0 && !isTakenAsCached(inode, at))
      throw new NotModelledError('read-ahead of a marked page');
}

/** Collects page-cache pages to map in ascending order and maps them with one commit. `filemap_map_pages()`. */
export class PagesToMap {
  readonly #inode: InodeView;
  readonly #vpns: number[] = [];
  readonly #indices: number[] = [];
  #uncached = 0;

  constructor(inode: InodeView) {
    this.#inode = inode;
  }

  get count(): number {
    return this.#vpns.length;
  }

  /** Pages of the file, the last one in part. */
  get filePages(): number {
    return filePages(this.#inode);
  }

  /** Is the first of the pages also the file's last? Shared memory does not care. */
  get beginsWithLastPage(): boolean {
    const { kind } = this.#inode;
    return kind !== InodeKind.shmem && this.#indices[0] === filePages(this.#inode) - 1;
  }

  /** Takes page `index` for `vpn` if it is cached and inside the file. */
  consider(k: Kernel, vpn: number, index: number): void {
    const inode = k.view.inodes[this.#inode.id] as InodeView;
    if (index >= filePages(inode) || !isMappable(k, inode, index)) return;
    if (cachedPfn(inode, index) === -2) this.#uncached++;
    this.#vpns.push(vpn);
    this.#indices.push(index);
  }

  /** The frame of page `index` if it is one of a large folio's that may be mapped; else -1. */
  largeFolioAt(k: Kernel, index: number): number {
    const inode = k.view.inodes[this.#inode.id] as InodeView;
    const pfn = cachedPfn(inode, index);
    if (pfn < 0 || pageAt(k.view, pfn).order === 0) return -1;
    return index < filePages(inode) && isMappable(k, inode, index) ? pfn : -1;
  }

  /** Takes page `index` for `vpn`, which is cached: a large folio goes on behind the end of the file. */
  add(vpn: number, index: number): void {
    this.#vpns.push(vpn);
    this.#indices.push(index);
  }

  /** Maps them; returns their frames. */
  commit(k: Kernel, mm: number, flags: number): number[] {
    if (this.#vpns.length === 0) return [];
    const id = this.#inode.id;
    if (this.#uncached > 0) materialize(k, id, this.#indices, this.#uncached);
    const inode = k.view.inodes[id] as InodeView;
    const runs: number[] = [];
    const pfns = this.#indices.map((index) => cachedPfn(inode, index));
    this.#vpns.forEach((vpn, i) => appendPteRun(runs, vpn, pfns[i] as number));
    const n = this.#vpns.length;
    const shmem = inode.kind === InodeKind.shmem;
    k.emit({
      type: 'FilePagesMapped',
      mm,
      runs,
      flags,
      ref: 1,
      mapcount: 1,
      rssFile: shmem ? 0 : n,
      rssShmem: shmem ? n : 0,
    });
    let large: Mappings | null = null;
    for (const pfn of pfns) large = countLarge(large, pfn, pageAt(k.view, pfn).order, 1);
    if (large !== null) folioMappingsChanged(k, mm, large);
    return pfns;
  }
}

/** Appends to runs of [vpn, pfn, n]. */
export function appendPteRun(runs: number[], vpn: number, pfn: number, pages = 1): void {
  const last = runs.length - 3;
  if (last >= 0) {
    const n = runs[last + 2] as number;
    if ((runs[last] as number) + n === vpn && (runs[last + 1] as number) + n === pfn) {
      runs[last + 2] = n + pages;
      return;
    }
  }
  runs.push(vpn, pfn, pages);
}

/** Pages of a file that the model keeps account of: 1 TiB. A page cache that is sparse beyond all use would fill our memory. */
export const FILE_PAGES_MAX = 2 ** 28;

function mustBeNear(index: number): void {
  if (index >= FILE_PAGES_MAX) throw new NotModelledError('pages of a file beyond 1 TiB');
}

/** Gives frames to pages of `indices` that the recording implies were cached before it began: on the LRU since long. */
function materialize(k: Kernel, id: number, indices: readonly number[], count: number): void {
  const inode = k.view.inodes[id] as InodeView;
  const runs: number[] = [];
  const pfns = nextFreePfns(k.view, count);
  let next = 0;
  const absent = indices.filter((index) => cachedPfn(inode, index) === -2);
  absent.forEach(mustBeNear);
  for (const index of absent) appendPteRun(runs, index, pfns[next++] as number);
  k.emit({
    type: 'PageCacheAdded',
    inode: id,
    runs,
    swapbacked: inode.kind === InodeKind.shmem ? 1 : 0,
    ref: 1,
    lruCpu: -1,
  });
  for (const index of absent) zeroBeyondData(k, id, index);
}

/** What the disk has nothing of is zeros in the page that was just brought in: a hole, the rest of the last page. */
function zeroBeyondData(k: Kernel, id: number, index: number): void {
  const inode = k.view.inodes[id] as InodeView;
  if (inode.kind !== InodeKind.file || inode.data < 0 || (index + 1) * PAGE_SIZE <= inode.data) return;
  if (wasWritten(k.view, id, index)) return;
  const offset = Math.max(0, inode.data - index * PAGE_SIZE);
  const pfn = cachedPfn(inode, index);
  k.emit({ type: 'PageWritten', pfn, offset, length: PAGE_SIZE - offset, byte: 0 });
}

/** `filemap_add_folio()` of a new page, which waits in `cpu`'s LRU batch. */
export function addToCache(k: Kernel, id: number, index: number, cpu: number): void {
  mustBeNear(index);
  k.emit({
    type: 'PageCacheAdded',
    inode: id,
    runs: [index, nextFreePfn(k.view), 1],
    swapbacked: (k.view.inodes[id] as InodeView).kind === InodeKind.shmem ? 1 : 0,
    ref: 2,
    lruCpu: cpu,
  });
  lruBatchAdded(k, cpu);
  zeroBeyondData(k, id, index);
}

/** `shmem_add_to_page_cache()` and `folio_add_lru()` of a fresh folio of `order` around page `index`, which takes those along that wait in `cpu`'s batch. */
export function addLargeToCache(k: Kernel, id: number, index: number, order: number, cpu: number): void {
  const pages = 2 ** order;
  const first = index - (index % pages);
  mustBeNear(first + pages - 1);
  const pfn = allocLargeFolio(k, order);
  const swapbacked = (k.view.inodes[id] as InodeView).kind === InodeKind.shmem ? 1 : 0;
  k.emit({ type: 'LargeFolioCached', inode: id, runs: [first, pfn, pages], swapbacked, ref: pages, lru: 1 });
  putPage(k, pfn);
  drainLruAdd(k, cpu);
}

/** `__filemap_get_folio(FGP_CREAT)`: the frame of page `index`, the one that is cached or a new one. Beyond the end too. */
export function grabPage(k: Kernel, id: number, index: number, cpu: number): number {
  const inode = k.view.inodes[id] as InodeView;
  if (cachedPfn(inode, index) < 0) {
    if (isTakenAsCached(inode, index)) materialize(k, id, [index], 1);
    else addToCache(k, id, index, cpu);
  }
  return cachedPfn(k.view.inodes[id] as InodeView, index);
}

/** `folio_mark_uptodate()` of a page that fallocate(2) made: its first use fills it with zeros. */
export function markUptodate(k: Kernel, page: number): void {
  const pfn = folioHead(k.view, page);
  if ((pageAt(k.view, pfn).flags & PG_NOT_UPTODATE) !== 0) k.emit({ type: 'FolioUptodateSet', pfn, uptodate: 1 });
}

/**
 * `do_sync_mmap_readahead()`: the pages around an absent one come in with it, as far as the file goes; of a program's code those that
 * follow, as far as the mapping goes; where reads are said to be sequential those that follow, where they are said to be random none.
 * @throws NotModelledError for a mapping with MADV_HUGEPAGE, which reads large folios, and where a hole was asked for: nobody waits for the rest then.
 */
function readAround(k: Kernel, vma: VmaView, index: number, cpu: number): void {
  const id = vma.inode;
  const inode = k.view.inodes[id] as InodeView;
  if (inode.size >= 0 && (vma.flags & VM_HUGEPAGE) !== 0)
    throw new NotModelledError('reading a file through a mapping with MADV_HUGEPAGE, which makes a large folio');
  const alone = inode.size < 0 || (vma.flags & VM_RAND_READ) !== 0;
  const sequential = !alone && (vma.flags & VM_SEQ_READ) !== 0;
  const forward = alone || sequential || (vma.flags & VM_EXEC) !== 0;
  const first = forward ? index : Math.max(0, index - READ_AROUND / 2);
  const limit =
    sequential || (vma.flags & VM_EXEC) === 0
      ? filePages(inode)
      : Math.min(filePages(inode), vma.pgoff + vmaPages(vma));
  const end = alone ? index + 1 : Math.min(first + READ_AROUND, limit);
  const absent: number[] = [];
  for (let at = first; at < end; at++) if (cachedPfn(inode, at) < 0 && !isTakenAsCached(inode, at)) absent.push(at);
  const hasBlock = (at: number): boolean => onDisk(inode, at) || wasWritten(k.view, id, at);
  if (inode.size >= 0 && !hasBlock(index) && absent.some(hasBlock))
    throw new NotModelledError('reading pages of a file around a hole, which is there before they are');
  for (const at of absent) addToCache(k, id, at, cpu);
}

/**
 * `force_page_cache_ra()`: pages [first, last) of a file are read, those that are absent, as far as the file goes. Shared memory has nothing to read;
 * of a recording what it says is absent stays so.
 */
export function forceReadAhead(k: Kernel, id: number, first: number, last: number, cpu: number): void {
  const { kind, size } = k.view.inodes[id] as InodeView;
  if (kind !== InodeKind.file || size < 0) return;
  for (let at = first; at < Math.min(last, filePages(k.view.inodes[id] as InodeView)); at++) {
    const now = k.view.inodes[id] as InodeView;
    if (cachedPfn(now, at) < -1 && !isTakenAsCached(now, at)) addToCache(k, id, at, cpu);
  }
}

/** A page of the cache, and whether it had to be read (a major fault). */
export interface FoundPage {
  readonly pfn: number;
  readonly major: boolean;
}

/** `filemap_fault()`: the frame of page `index`; an absent page is read (major), with those around it. Null beyond the end: SIGBUS. */
export function filemapFault(k: Kernel, vma: VmaView, index: number, cpu: number): FoundPage | null {
  const inode = k.view.inodes[vma.inode] as InodeView;
  if (index >= filePages(inode)) return null;
  const { id } = inode;
  const absent = cachedPfn(inode, index) < 0 && !isTakenAsCached(inode, index);
  // What a recording says is absent comes back as it says as well.
  if (absent && cachedPfn(inode, index) !== -1) readAround(k, vma, index, cpu);
  if ((vma.flags & VM_RAND_READ) === 0) readAheadOfMarked(k, id, index);
  const pfn = grabPage(k, id, index, cpu);
  markUptodate(k, pfn);
  return { pfn, major: absent };
}

/**
 * `truncate_inode_pages_range()`, `filemap_remove_folio()`: pages [first, last) leave the cache, but for those that are not `wanted`, and for large folios of which a part lies
 * elsewhere. Were there any?
 */
export function removeCachedPages(
  k: Kernel,
  inode: number,
  first: number,
  last: number,
  wanted: (pfn: number) => boolean = () => true,
): boolean {
  const now = k.view.inodes[inode];
  if (!now) return false;
  const runs: number[] = [];
  const freed: number[] = [];
  const limit = Math.min(last, now.pages.length * 512);
  for (let index = first; index < limit;) {
    const pfn = cachedPfn(now, index);
    const pages = pfn < 0 ? 1 : 2 ** pageAt(k.view, pfn).order;
    const whole = pages === 1 || (pfn % pages === 0 && index + pages <= limit);
    if (pfn >= 0 && whole && wanted(pfn)) {
      if (pages === 1) runs.push(index, pfn, 1);
      else appendPteRun(runs, index, pfn, pages);
      if (pageAt(k.view, pfn).ref === pages) appendRun(freed, pfn);
    }
    index += pages - (pfn < 0 ? 0 : pfn % pages);
  }
  if (runs.length > 0) k.emit({ type: 'PageCacheRemoved', inode, runs, ref: -1, freed });
  return runs.length > 0;
}

/** `folio_mark_dirty()` of the folio that `page` belongs to, unless it is already. What reclaim left there goes. */
export function markDirty(k: Kernel, page: number): void {
  const pfn = folioHead(k.view, page);
  clearReclaim(k, pfn);
  if ((pageAt(k.view, pfn).flags & PG_DIRTY) === 0) k.emit({ type: 'FolioDirtied', pfn });
}
