// Splitting large folios of files in memory: the file half of __folio_split() of mm/huge_memory.c, and truncate_inode_partial_folio() of mm/truncate.c.
//
// All entries go, as the next fault finds the pages in the cache; then the references must be the cache's and those of who splits. A truncation splits no further than it
// must: the page that it begins in is alone then, and its neighbours are folios as large as they can be. What lies behind the end of the file leaves the cache.
// Locks: the folio's, i_mmap_rwsem for read.
import { PTE_DIRTY, leafAt, pteAt, pteFlags, ptePfn, ptePresent, pteSpecial, tableEnd } from '../../reducers/pte.js';
import type { LargeFolioView } from '../../reducers/state.js';
import {
  InodeKind,
  PG_DIRTY,
  PG_LRU,
  PG_MLOCKED,
  PG_NOT_UPTODATE,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  folioHead,
  mmAt,
  pageAt,
} from '../../reducers/state.js';
import { VM_LOCKED, VM_UFFD_WP, vmaPages } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { filePages, removeCachedPages } from './filemap.js';
import type { Kernel } from './kernel.js';
import { EAGAIN, PAGE_SIZE } from './kernel.js';
import { folioMappingsChanged } from './large-folio.js';
import { fileRss, splitFilePmd } from './memory/file-huge.js';
import { munlockVmaPages } from './memory/mlocked.js';
import { append4, updateHiwaterRss } from './memory/zap.js';
import { shmemRecalcInode } from './shmem.js';
import { drainMlock } from './swap.js';

/** Flags that the folios get from the one that they were. */
const SHARED_FLAGS = PG_SWAPBACKED | PG_DIRTY | PG_LRU | PG_MLOCKED | PG_UNEVICTABLE | PG_NOT_UPTODATE;

/** Orders of the folios that one of `order` becomes, in sequence; `at` is the page that ends up alone, -1 for all of them. */
function partsOf(order: number, at: number): number[] {
  if (at < 0) return Array.from({ length: 2 ** order }, () => 0);
  const [before, after]: [number[], number[]] = [[], []];
  for (let half = order - 1, first = 0; half >= 0; half--) {
    if (at < first + 2 ** half) after.push(half);
    else {
      before.push(half);
      first += 2 ** half;
    }
  }
  return [...before, 0, ...after.toReversed()];
}

/**
 * `split_folio()` (`at` -1: to single pages), or `try_folio_split()` (no further than it takes to have page `at` alone, counted from its first), of the folio of a file that begins at `head`.
 * @returns 0, or -EAGAIN if others hold references: then nothing changed.
 */
export function splitFileFolio(k: Kernel, head: number, at: number, cpu: number): number {
  const { order, mapping: id, index } = pageAt(k.view, head);
  const pages = 2 ** order;
  if (id === 0) return -EAGAIN;
  if (k.view.inodes[id]?.kind !== InodeKind.shmem) throw new NotModelledError('splitting large folios of disks');
  const largeMapcount = (): number => (k.view.largeFolios[head] as LargeFolioView).largeMapcount;
  if (pageAt(k.view, head).ref !== pages + largeMapcount()) return -EAGAIN;
  unmapFileFolio(k, head, cpu);
  if (pageAt(k.view, head).ref !== pages) return -EAGAIN;
  const orders = partsOf(order, at);
  const flags = pageAt(k.view, head).flags & SHARED_FLAGS;
  k.emit({ type: 'FileFolioSplit', pfn: head, order, orders, flags, cacheRef: 1 });
  // What is left of the file's end is not asked: the first part stays where it is.
  const end = filePages(k.view.inodes[id]);
  const beyond = Math.max(end, index + 2 ** (orders[0] as number));
  if (removeCachedPages(k, id, firstPartFrom(index, orders, beyond), index + pages)) shmemRecalcInode(k, id, 0, 0);
  return 0;
}

/** Where the first of the parts begins that has no page before `limit`. */
function firstPartFrom(index: number, orders: readonly number[], limit: number): number {
  let at = index;
  for (const order of orders) {
    if (at >= limit) break;
    at += 2 ** order;
  }
  return at;
}

/** `try_to_unmap()` of the folio that begins at `head`, from all address spaces, in order. */
export function unmapFileFolio(k: Kernel, head: number, cpu: number): void {
  const { order, mapping: id, index } = pageAt(k.view, head);
  const pages = 2 ** order;
  for (const space of k.view.mms)
    for (const vma of space?.vmas ?? []) {
      if (vma.inode !== id) continue;
      const mm = space!.id;
      const from = Math.max(index, vma.pgoff);
      const to = Math.min(index + pages, vma.pgoff + vmaPages(vma));
      for (let at = from; at < to;) {
        const vpn = vma.start / PAGE_SIZE + at - vma.pgoff;
        const n = Math.min(to - at, tableEnd(vpn) - vpn);
        const leaf = leafAt(mmAt(k.view, mm), vpn);
        if (leaf !== 0 && !pteSpecial(leaf) && ptePfn(leaf) === head) {
          updateHiwaterRss(k, mm);
          splitFilePmd(k, mm, vpn, cpu);
          if ((vma.flags & VM_LOCKED) !== 0) drainMlock(k, cpu);
        } else if (leaf === 0) unmapEntries(k, { mm, flags: vma.flags, cpu }, vpn, head + at - index, n);
        at += n;
      }
    }
}

/** `try_to_unmap_one()` of the entries from `vpn` on that lead to `n` pages from `pfn` on. */
function unmapEntries(
  k: Kernel,
  { mm, flags, cpu }: { readonly mm: number; readonly flags: number; readonly cpu: number },
  vpn: number,
  pfn: number,
  n: number,
): void {
  const runs: number[] = [];
  let [gone, dirty] = [0, false];
  for (let i = 0; i < n; i++) {
    const entry = pteAt(mmAt(k.view, mm), vpn + i);
    if (!ptePresent(entry) || pteSpecial(entry) || ptePfn(entry) !== pfn + i) continue;
    dirty ||= (entry & PTE_DIRTY) !== 0;
    append4(runs, vpn + i, pfn + i, pteFlags(entry), 1);
    gone++;
  }
  if (gone === 0) return;
  if ((flags & VM_UFFD_WP) !== 0) throw new NotModelledError('unmapping pages of files that a userfaultfd protects');
  const head = folioHead(k.view, pfn);
  const wasDirty = (pageAt(k.view, head).flags & PG_DIRTY) !== 0;
  updateHiwaterRss(k, mm);
  const counted = { ref: -1, mapcount: -1, ...fileRss(k, pfn, -gone) };
  k.emit({ type: 'FilePtesUnmapped', mm, runs, ...counted, dirty: dirty && !wasDirty ? 1 : 0 });
  if (pageAt(k.view, head).order !== 0) folioMappingsChanged(k, mm, [[head, -gone]]);
  if ((flags & VM_LOCKED) === 0) return;
  // mlock_drain_local(): its batch has a reference.
  munlockVmaPages(k, flags, [head], cpu);
  drainMlock(k, cpu);
}

/**
 * `truncate_inode_partial_folio()`: bytes [from, to) of the file are gone, of which the folio that begins at `head` has a part: that becomes zeros, and a large folio is split around both ends.
 * @returns false if it could not be split: it is left as it is, zeros and all.
 */
export function truncatePartialFolio(k: Kernel, head: number, from: number, to: number, cpu: number): boolean {
  const { order, index } = pageAt(k.view, head);
  const [start, size] = [index * PAGE_SIZE, 2 ** order * PAGE_SIZE];
  const offset = Math.max(from - start, 0);
  const end = Math.min(to - start, size);
  for (let at = offset; at < end;) {
    const stop = Math.min(end, (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE);
    const pfn = head + Math.floor(at / PAGE_SIZE);
    const blank = pageAt(k.view, pfn).content === null && stop - at === PAGE_SIZE;
    if (!blank) k.emit({ type: 'PageWritten', pfn, offset: at % PAGE_SIZE, length: stop - at, byte: 0 });
    at = stop;
  }
  if (order === 0) return true;
  if (splitFileFolio(k, head, Math.floor(offset / PAGE_SIZE), cpu) !== 0) return false;
  if (end === size) return true;
  const second = head + Math.floor(end / PAGE_SIZE);
  const part = folioHead(k.view, second);
  // It may have left the cache, behind the end of the file.
  if (pageAt(k.view, part).order !== 0 && pageAt(k.view, part).mapping === pageAt(k.view, head).mapping)
    splitFileFolio(k, part, second - part, cpu);
  return true;
}
