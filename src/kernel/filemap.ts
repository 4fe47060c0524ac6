// The page cache: mm/filemap.c, and shmem_get_folio() of mm/shmem.c as far as faults need it.
import type { InodeView } from '../../reducers/state.js';
import { InodeKind, cachedPfn, nextFreePfn } from '../../reducers/state.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';
import { nextFreePfns } from './page-alloc.js';
import { lruBatchAdded } from './swap.js';

/** Pages of a file: beyond them a fault gets SIGBUS. Unknown sizes bound nothing. */
export const filePages = (inode: InodeView): number =>
  inode.size < 0 ? Number.MAX_SAFE_INTEGER : Math.ceil(inode.size / PAGE_SIZE);

/** Is page `index` cached, or (files of a recording) taken to be so? */
function isResident(inode: InodeView, index: number): boolean {
  const pfn = cachedPfn(inode, index);
  return pfn >= 0 || (pfn === -2 && inode.resident === 1);
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

  /** Is the first of the pages also the file's last? Shared memory does not care. */
  get beginsWithLastPage(): boolean {
    const { kind } = this.#inode;
    return kind !== InodeKind.shmem && this.#indices[0] === filePages(this.#inode) - 1;
  }

  /** Takes page `index` for `vpn` if it is cached and inside the file. */
  consider(k: Kernel, vpn: number, index: number): void {
    const inode = k.view.inodes[this.#inode.id] as InodeView;
    if (index >= filePages(inode) || !isResident(inode, index)) return;
    if (cachedPfn(inode, index) === -2) this.#uncached++;
    this.#vpns.push(vpn);
    this.#indices.push(index);
  }

  commit(k: Kernel, mm: number, flags: number): void {
    if (this.#vpns.length === 0) return;
    const id = this.#inode.id;
    if (this.#uncached > 0) materialize(k, id, this.#indices, this.#uncached);
    const inode = k.view.inodes[id] as InodeView;
    const runs: number[] = [];
    this.#vpns.forEach((vpn, i) => appendPteRun(runs, vpn, cachedPfn(inode, this.#indices[i] as number)));
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
  }
}

/** Appends to runs of [vpn, pfn, n]. */
export function appendPteRun(runs: number[], vpn: number, pfn: number): void {
  const last = runs.length - 3;
  if (last >= 0) {
    const n = runs[last + 2] as number;
    if ((runs[last] as number) + n === vpn && (runs[last + 1] as number) + n === pfn) {
      runs[last + 2] = n + 1;
      return;
    }
  }
  runs.push(vpn, pfn, 1);
}

/** Gives frames to pages of `indices` that the recording implies were cached before it began: on the LRU since long. */
function materialize(k: Kernel, id: number, indices: readonly number[], count: number): void {
  const inode = k.view.inodes[id] as InodeView;
  const runs: number[] = [];
  const pfns = nextFreePfns(k.view, count);
  let next = 0;
  for (const index of indices) if (cachedPfn(inode, index) === -2) appendPteRun(runs, index, pfns[next++] as number);
  k.emit({
    type: 'PageCacheAdded',
    inode: id,
    runs,
    swapbacked: inode.kind === InodeKind.shmem ? 1 : 0,
    ref: 1,
    lruCpu: -1,
  });
}

/** A page of the cache, and whether it had to be read (a major fault). */
export interface FoundPage {
  readonly pfn: number;
  readonly major: boolean;
}

/**
 * `filemap_fault()`, `shmem_fault()`: the frame of page `index`, brought in if need be. A hole of shared memory gets a page of zeros, an
 * absent file page is read (major).
 */
export function filemapGetFolio(k: Kernel, inode: InodeView, index: number, cpu: number): FoundPage | 'beyond-eof' {
  if (index >= filePages(inode)) return 'beyond-eof';
  const pfn = cachedPfn(inode, index);
  if (pfn >= 0) return { pfn, major: false };
  const { id } = inode;
  if (pfn === -2 && inode.resident === 1) {
    materialize(k, id, [index], 1);
    return { pfn: cachedPfn(k.view.inodes[id] as InodeView, index), major: false };
  }
  const fresh = nextFreePfn(k.view);
  const shmem = inode.kind === InodeKind.shmem;
  k.emit({
    type: 'PageCacheAdded',
    inode: id,
    runs: [index, fresh, 1],
    swapbacked: shmem ? 1 : 0,
    ref: 2,
    lruCpu: cpu,
  });
  lruBatchAdded(k, cpu);
  return { pfn: fresh, major: !shmem };
}
