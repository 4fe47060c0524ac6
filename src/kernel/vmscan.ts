// Reclaim as madvise asks for it: mm/vmscan.c, try_to_unmap_one() of mm/rmap.c, and madvise_cold_or_pageout_pte_range() of mm/madvise.c.
// Pages that one entry maps, and large folios that one address space maps.
import {
  PTE_DIRTY,
  PTE_SWAP,
  PTE_SWP_EXCLUSIVE,
  PTE_SWP_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTRS_PER_PTE,
  UFFD_WP_MARKER,
  leafAt,
  mkPte,
  nextTable,
  pteAt,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSoftDirty,
  pteSpecial,
  tableEnd,
} from '../../reducers/pte.js';

import {
  InodeKind,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_LRU,
  PG_RECLAIM,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  folioHead,
  isKsm,
  mmAt,
  pageAt,
} from '../../reducers/state.js';
import { vmaLookup } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { splitFileFolio, unmapFileFolio } from './file-split.js';
import { canSplitFolio, splitFolio } from './folio-split.js';
import type { Kernel, KernelThread } from './kernel.js';
import { GUP_PIN_COUNTING_BIAS, PAGE_SIZE } from './kernel.js';
import { folioMappingsChanged, folioPteBatch, maybeMappedShared, maybePinned } from './large-folio.js';
import { markDirty, markUptodate } from './filemap.js';
import { splitHugePmd } from './memory/huge.js';
import { append4, updateHiwaterRss } from './memory/zap.js';
import { rmapWalk } from './rmap-walk.js';
import { shmemInfo, shmemWriteout } from './shmem.js';
import { lruAddDrainCpu } from './swap.js';
import { folioAllocSwap, inSwapCache, isBlockDevice, removeLarge, slotOf } from './swapfile.js';
import { userfaultfdPteWp } from './userfault.js';

/** An entry that maps a page to be reclaimed. */
interface Place {
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
}

/**
 * `madvise_cold()` on [start, end) bytes of one VMA: the CPU's batches are emptied, and large folios of which a part lies there are split.
 * Pages move to the end of the LRU's inactive list, whose order is not modelled.
 */
export function* madviseCold(k: Kernel, mm: number, start: number, end: number, cpu: number): KernelThread {
  lruAddDrainCpu(k, cpu);
  const last = end / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    yield* placesIn(k, mm, vpn, stop, cpu);
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
}

/**
 * `madvise_pageout()` on [start, end) bytes of one VMA: pages on the LRU that nothing else maps are reclaimed at once. The caller is taken to be
 * one who may write to the files it maps (`can_do_file_pageout()`).
 * @throws NotModelledError where it meets what shrinkCached() names.
 */
export function* madvisePageout(k: Kernel, mm: number, start: number, end: number, cpu: number): KernelThread {
  lruAddDrainCpu(k, cpu);
  const last = end / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    // All of a table are isolated before the first is reclaimed.
    const places = yield* placesIn(k, mm, vpn, stop, cpu);
    yield* reclaimPages(k, places, cpu);
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
}

/**
 * Reclaim that comes by the LRU, as kswapd's does, to the folios that the mm maps in [start, end) bytes: `shrink_folio_list()`. Advice goes table
 * by table and splits a folio that lies in two; this takes it as it is.
 * @throws NotModelledError for pages that are mapped elsewhere as well, for large folios mapped in part, and for those in two tables that were not
 * given up by MADV_FREE.
 */
export function* reclaimRange(k: Kernel, mm: number, start: number, end: number, cpu: number): KernelThread {
  lruAddDrainCpu(k, cpu);
  const places: Place[] = [];
  for (let vpn = start / PAGE_SIZE; vpn < end / PAGE_SIZE;) {
    const entry = pteAt(mmAt(k.view, mm), vpn);
    const head = ptePresent(entry) && !pteSpecial(entry) ? folioHead(k.view, ptePfn(entry)) : -1;
    // A folio that the range has a part of is taken whole.
    const first = head < 0 ? vpn : vpn - (ptePfn(entry) - head);
    if (head >= 0 && onLru(k, head)) places.push(onlyPlace(k, { mm, vpn: first, pfn: head }));
    vpn = first + (head < 0 ? 1 : 2 ** pageAt(k.view, head).order);
  }
  yield* reclaimPages(k, places, cpu);
}

/** The place, if one entry for each page of the folio is all that maps it. */
function onlyPlace(k: Kernel, place: Place): Place {
  const { mm, vpn, pfn } = place;
  const { order, mapcount, flags } = pageAt(k.view, pfn);
  if (order === 0) {
    if (mapcount === 1) return place;
    throw new NotModelledError('reclaim of pages that several entries map');
  }
  const pages = 2 ** order;
  const leaf = leafAt(mmAt(k.view, mm), vpn) !== 0;
  const whole = (i: number): boolean => ptePfn(pteAt(mmAt(k.view, mm), vpn + i)) === pfn + i;
  const mappings = k.view.largeFolios[pfn]?.largeMapcount;
  if (mappings !== (leaf ? 1 : pages) || !Array.from({ length: pages }, (_, i) => i).every(whole))
    throw new NotModelledError('reclaim of large folios that are mapped in part, or by others as well');
  if (tableEnd(vpn) - vpn < pages && (flags & PG_SWAPBACKED) !== 0)
    throw new NotModelledError('swap of large folios whose entries stand in two tables');
  return place;
}

/**
 * `madvise_cold_or_pageout_pte_range()`: what may be reclaimed in [from, to) vpns of one table, large folios that lie there whole among it.
 * Large folios that others map are left alone; those of which only a part lies there are split.
 */
function* placesIn(k: Kernel, mm: number, from: number, to: number, cpu: number): KernelThread<Place[]> {
  const leaf = leafAt(mmAt(k.view, mm), from);
  if (leaf !== 0) {
    const pfn = ptePfn(leaf);
    if (pteSpecial(leaf) || maybeMappedShared(k, pfn)) return [];
    if (to - from === PTRS_PER_PTE) return onLru(k, pfn) ? [{ mm, vpn: from, pfn }] : [];
    if ((yield* splitFolio(k, pfn, cpu)) !== 0) return [];
  }
  const places: Place[] = [];
  for (let vpn = from; vpn < to;) {
    const entry = pteAt(mmAt(k.view, mm), vpn);
    const pfn = ptePfn(entry);
    if (!ptePresent(entry) || pteSpecial(entry)) vpn++;
    else if (pageAt(k.view, pfn).order !== 0) {
      const n = folioPteBatch(k, mm, vpn, to);
      const pages = 2 ** pageAt(k.view, pfn).order;
      if (n < pages && !maybeMappedShared(k, pfn) && (yield* splitFolio(k, pfn, cpu)) === 0) continue;
      // A folio that lies here whole and has no more mappings is nobody else's.
      if (n === pages && onLru(k, pfn) && k.view.largeFolios[pfn]?.largeMapcount === pages)
        places.push({ mm, vpn, pfn });
      vpn += n;
    } else {
      if (onLru(k, pfn) && pageAt(k.view, pfn).mapcount === 1) places.push({ mm, vpn, pfn });
      vpn++;
    }
  }
  return places;
}

/** `folio_isolate_lru()` would have it, and it is not unevictable. */
const onLru = (k: Kernel, pfn: number): boolean => (pageAt(k.view, pfn).flags & (PG_LRU | PG_UNEVICTABLE)) === PG_LRU;

/** `reclaim_pages()`, `shrink_folio_list()`. */
function* reclaimPages(k: Kernel, places: readonly Place[], cpu: number): KernelThread {
  for (const place of places) {
    const { flags, order } = pageAt(k.view, place.pfn);
    if ((flags & PG_ANON) === 0 && order !== 0) shrinkLargeCached(k, place.pfn, cpu);
    else if ((flags & PG_ANON) === 0) shrinkCached(k, place);
    else if (order !== 0) yield* shrinkLargeFolio(k, place, cpu);
    else if ((flags & PG_SWAPBACKED) !== 0) shrinkFolio(k, place);
    else discardLazyfree(k, place);
  }
}

/**
 * A page of the page cache: it is unmapped, and leaves the cache if it is clean and nobody else has it. Dirty pages of files are left to
 * those who write them (`folio_set_reclaim()`); reclaim that a program asks for writes none.
 * Dirty shared memory is swapped out.
 * @throws NotModelledError for that of a recording, whose blocks are not accounted.
 */
function shrinkCached(k: Kernel, { mm, vpn, pfn }: Place): void {
  const page = pageAt(k.view, pfn);
  const inode = k.view.inodes[page.mapping];
  // Pages of the vdso and of io_uring are on no LRU.
  if (!inode || inode.kind === InodeKind.vdso) return;
  const shmem = inode.kind === InodeKind.shmem ? 1 : 0;
  const entry = pteAt(mmAt(k.view, mm), vpn);
  const dirty = (entry & PTE_DIRTY) !== 0;
  const isDirty = dirty || (page.flags & PG_DIRTY) !== 0;
  if (shmem === 1 && isDirty && shmemInfo(k, inode.id) === undefined)
    throw new NotModelledError('swap of shared memory that others may have');
  // A page may have been met before; who finds it dirty once more puts the mark there anew.
  if (dirty && (page.flags & PG_RECLAIM) !== 0) k.emit({ type: 'FolioReclaimSet', pfn, reclaim: 0 });
  const goes = !isDirty && page.ref === 2;
  updateHiwaterRss(k, mm);
  k.emit({
    type: 'FilePageUnmapped',
    mm,
    vpn,
    pfn,
    ref: -1,
    mapcount: -1,
    dirty: dirty ? 1 : 0,
    rssFile: shmem - 1,
    rssShmem: -shmem,
  });
  // `pte_install_uffd_wp_if_needed()`
  const watched = vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE);
  if (watched !== null && userfaultfdPteWp(watched, entry))
    k.emit({ type: 'UffdMarkersSet', mm, runs: [vpn, 1], entry: UFFD_WP_MARKER });
  if (isDirty && shmem === 1) {
    // pageout(): `is_page_cache_freeable()`. Whom somebody may have pinned stays as well.
    if (pageAt(k.view, pfn).ref === 1) shmemWriteout(k, pfn);
    return;
  }
  if (isDirty) k.emit({ type: 'FolioReclaimSet', pfn, reclaim: 1 });
  if (goes)
    k.emit({ type: 'PageCacheReclaimed', inode: inode.id, runs: [page.index, pfn, 1], ref: -1, freed: [pfn, 1] });
}

/**
 * A large folio of a file in memory: nothing maps it any more. If it is clean and nobody else has it it is dropped whole, if it is dirty it is split (`shmem_writeout()`: a swap file has room
 * for no more than a page at a time) and its pages are swapped out; what lay behind the end of the file is gone then.
 * @throws NotModelledError where the swap area is a block device, which has room for it as a whole.
 */
function shrinkLargeCached(k: Kernel, head: number, cpu: number): void {
  const { order, mapping: inode, index } = pageAt(k.view, head);
  unmapFileFolio(k, head, cpu);
  const { flags, ref } = pageAt(k.view, head);
  const pages = 2 ** order;
  if (ref !== pages) return;
  if ((flags & PG_DIRTY) === 0) {
    k.emit({ type: 'PageCacheReclaimed', inode, runs: [index, head, pages], ref: -1, freed: [head, 1] });
    return;
  }
  if (isBlockDevice(k))
    throw new NotModelledError('large folios of shared memory in a swap area that is a block device');
  markUptodate(k, head);
  if (splitFileFolio(k, head, -1, cpu) !== 0) return;
  for (let i = 0; i < pages; i++) if (pageAt(k.view, head + i).mapping === inode) shmemWriteout(k, head + i);
}

/**
 * A large folio, all of which one address space maps. It gets a row of slots and goes whole; if there is none (a swap file has room for no more
 * than a page at a time, `folio_alloc_swap()` without SWP_BLKDEV), or if parts of it were given up before, it is split, and its pages go one
 * by one, the first first, then from the last on. Those that were mapped nowhere are free with the split.
 */
function* shrinkLargeFolio(k: Kernel, place: Place, cpu: number): KernelThread {
  const { mm, vpn, pfn } = place;
  const { flags, order } = pageAt(k.view, pfn);
  if ((flags & PG_SWAPBACKED) === 0) return discardLargeLazyfree(k, place);
  if (!inSwapCache(pageAt(k.view, pfn))) {
    if (maybePinned(k, pfn) || !canSplitFolio(k, pfn)) return;
    const queued = k.view.largeFolios[pfn]?.partiallyMapped === 1;
    if (queued || !folioAllocSwap(k, pfn)) {
      if ((yield* splitFolio(k, pfn, cpu)) === 0) shrinkPages(k, place, 2 ** order);
      return;
    }
  }
  if (leafAt(mmAt(k.view, mm), vpn) !== 0) splitHugePmd(k, mm, vpn);
  tryToUnmapFolio(k, place);
  // `is_page_cache_freeable()`: no entry, and nobody but the cache.
  const alone = k.view.largeFolios[pfn]?.largeMapcount === 0 && pageAt(k.view, pfn).ref === 2 ** order;
  if (!alone) return;
  if ((pageAt(k.view, pfn).flags & PG_DIRTY) !== 0) {
    const zeros = isZeroFilled(k, pfn, order);
    k.emit({ type: 'LargeSwapWritten', slot: slotOf(k, pfn), pfn, order, zeros: zeros ? 1 : 0 });
    // Its writing ends later, and it stays in the cache.
    if (!zeros) return;
  }
  removeLarge(k, pfn, 0);
}

/** `is_folio_zero_filled()`. */
function isZeroFilled(k: Kernel, pfn: number, order: number): boolean {
  for (let i = 0; i < 2 ** order; i++) if (pageAt(k.view, pfn + i).content !== null) return false;
  return true;
}

/** The `pages` pages of what was one folio. */
function shrinkPages(k: Kernel, { mm, vpn, pfn }: Place, pages: number): void {
  for (let n = 0; n < pages; n++) {
    const i = n === 0 ? 0 : pages - n;
    const entry = pteAt(mmAt(k.view, mm), vpn + i);
    if (ptePresent(entry) && !pteSpecial(entry)) shrinkFolio(k, { mm, vpn: vpn + i, pfn: pfn + i });
  }
}

/** `try_to_unmap_one()` of a large folio with a row of slots, up to a page that is exclusive and may be pinned: that stays, and what follows. */
function tryToUnmapFolio(k: Kernel, { mm, vpn, pfn }: Place): void {
  const slot = slotOf(k, pfn);
  const runs: number[] = [];
  let [gone, dirty] = [0, false];
  updateHiwaterRss(k, mm);
  for (; gone < 2 ** pageAt(k.view, pfn).order; gone++) {
    const old = pteAt(mmAt(k.view, mm), vpn + gone);
    const exclusive = (pageAt(k.view, pfn + gone).flags & PG_ANON_EXCLUSIVE) !== 0;
    // An entry is taken away before it is asked for pins, and what it knew goes to the folio.
    dirty ||= (old & PTE_DIRTY) !== 0;
    if (maybePinned(k, pfn) && (exclusive || !k.behaviours['anon-exclusive'])) break;
    append4(runs, vpn + gone, pfn + gone, swapFlags(k, old, exclusive), 1);
  }
  if (gone === 0) {
    if (dirty) markDirty(k, pfn);
    return;
  }
  k.emit({
    type: 'PagesSwappedOut',
    mm,
    pfn,
    slot,
    runs,
    count: 1,
    ref: -1,
    mapcount: -1,
    exclusive: k.behaviours['anon-exclusive'] ? 0 : -1,
    dirty: dirty ? 1 : 0,
    rssAnon: -gone,
    rssSwap: gone,
  });
  folioMappingsChanged(k, mm, [[pfn, -gone]]);
}

/** Flags of the swap entry in the place of `old`. */
const swapFlags = (k: Kernel, old: number, wasExclusive: boolean): number =>
  PTE_SWAP |
  (wasExclusive && k.behaviours['swap-exclusive-bit'] ? PTE_SWP_EXCLUSIVE : 0) |
  (pteFlags(old) & PTE_UFFD_WP) |
  (pteSoftDirty(old) ? PTE_SWP_SOFT_DIRTY : 0);

/**
 * `try_to_unmap_one()` of all entries at once: a large folio that MADV_FREE gave up is dropped whole, unless it was written to or somebody
 * else has it. A huge entry is split before (measured on 6.18.44; its table stays).
 * @throws NotModelledError where somebody has it and reclaim does not look (until 5.17).
 */
function discardLargeLazyfree(k: Kernel, { mm, vpn, pfn }: Place): void {
  if (leafAt(mmAt(k.view, mm), vpn) !== 0) splitHugePmd(k, mm, vpn);
  const { order, flags, ref } = pageAt(k.view, pfn);
  const runs: number[] = [];
  let dirty = (flags & PG_DIRTY) !== 0;
  for (let i = 0; i < 2 ** order; i++) {
    const entry = pteAt(mmAt(k.view, mm), vpn + i);
    dirty ||= (entry & PTE_DIRTY) !== 0;
    append4(runs, vpn + i, pfn + i, pteFlags(entry), 1);
  }
  if (dirty) {
    k.emit({ type: 'LazyfreeRevoked', pfn });
    return;
  }
  if (ref !== k.view.largeFolios[pfn]?.largeMapcount) {
    if (!k.behaviours['lazyfree-checks-refs'])
      throw new NotModelledError('large folios that reclaim takes from a holder');
    return;
  }
  updateHiwaterRss(k, mm);
  k.emit({
    type: 'LargeFolioDiscarded',
    mm,
    pfn,
    runs,
    scanned: scannedEntries(k, vpn, 2 ** order),
    rssAnon: -(2 ** order),
  });
}

/**
 * `folio_unmap_pte_batch()`: the rows of entries that are read from `vpn` on to find those of a folio of `pages` pages, [vpn, n]*. A row ends with its
 * table, unless the length is taken from the folio alone; what stands behind a table does not go on with its frames, so that nothing else comes of it.
 */
function scannedEntries(k: Kernel, vpn: number, pages: number): number[] {
  const here = Math.min(pages, tableEnd(vpn) - vpn);
  if (here === pages) return [vpn, pages];
  const uncapped = k.behaviours['unmap-in-batches'] && !k.behaviours['unmap-batch-capped-at-pmd'];
  return [vpn, uncapped ? pages : here, vpn + here, pages - here];
}

/** One page: a slot, the entry, the bytes; and the page is free if nobody else has it and it needed no writing. */
function shrinkFolio(k: Kernel, place: Place): void {
  const { pfn } = place;
  const pinned = pageAt(k.view, pfn).ref >= GUP_PIN_COUNTING_BIAS;
  // Pinned pages get no slot; one that has a slot already stays mapped by folio_try_share_anon_rmap_pte().
  if (!inSwapCache(pageAt(k.view, pfn)) && (pinned || !folioAllocSwap(k, pfn))) return;
  if (!isReached(k, place)) return;
  const slot = slotOf(k, pfn);
  if (!tryToUnmap(k, place, slot)) return;
  // `is_page_cache_freeable()`: the cache's reference, nobody else's.
  const alone = pageAt(k.view, pfn).ref === 1;
  if (!alone) return;
  if ((pageAt(k.view, pfn).flags & PG_DIRTY) !== 0) {
    k.emit({ type: 'SwapWritten', slot, pfn });
    // Its writing ends later, and it stays in the cache; zeros are not written, and need not wait.
    if (pageAt(k.view, pfn).content !== null) return;
  }
  k.emit({ type: 'SwapCacheRemoved', slot, pfn, ref: -1, dirty: 0, freed: 1, slotFreed: 0 });
}

/** Does `rmap_walk()` come to the entry? That of a merged page which KSM does not know of stays as it is. */
const isReached = (k: Kernel, { mm, vpn, pfn }: Place): boolean =>
  !isKsm(pageAt(k.view, pfn)) || rmapWalk(k, pageAt(k.view, pfn)).some((each) => each.mm === mm && each.vpn === vpn);

/** `try_to_unmap_one()` of a page with a slot. False if it is exclusive and may be pinned: it stays. */
function tryToUnmap(k: Kernel, { mm, vpn, pfn }: Place, slot: number): boolean {
  const page = pageAt(k.view, pfn);
  const old = pteAt(mmAt(k.view, mm), vpn);
  const wasExclusive = (page.flags & PG_ANON_EXCLUSIVE) !== 0;
  if (page.ref >= GUP_PIN_COUNTING_BIAS && (wasExclusive || !k.behaviours['anon-exclusive'])) return false;
  updateHiwaterRss(k, mm);
  k.emit({
    type: 'PageSwappedOut',
    mm,
    vpn,
    pfn,
    slot,
    entry: mkPte(slot, swapFlags(k, old, wasExclusive)),
    count: 1,
    ref: -1,
    mapcount: -1,
    exclusive: k.behaviours['anon-exclusive'] ? 0 : -1,
    dirty: (old & PTE_DIRTY) !== 0 ? 1 : 0,
    rssAnon: -1,
    rssSwap: 1,
  });
  return true;
}

/** `try_to_unmap_one()` of a page that MADV_FREE gave up: dropped, unless it was written to or somebody else has it. */
function discardLazyfree(k: Kernel, { mm, vpn, pfn }: Place): void {
  if (!isReached(k, { mm, vpn, pfn })) return;
  const page = pageAt(k.view, pfn);
  const dirty = (pteAt(mmAt(k.view, mm), vpn) & PTE_DIRTY) !== 0 || (page.flags & PG_DIRTY) !== 0;
  if (dirty) k.emit({ type: 'LazyfreeRevoked', pfn });
  if (dirty || (k.behaviours['lazyfree-checks-refs'] && page.ref !== page.mapcount)) return;
  updateHiwaterRss(k, mm);
  // Who has a reference keeps the page: `__remove_mapping()` cannot freeze it.
  const freed = page.ref === 1 ? 1 : 0;
  k.emit({ type: 'LazyfreeDiscarded', mm, vpn, pfn, ref: -1, mapcount: -1, rssAnon: -1, freed });
}
