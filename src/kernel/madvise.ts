// madvise(2): mm/madvise.c.
import {
  PTE_DIRTY,
  PTRS_PER_PTE,
  TABLE_BYTES,
  forEachPte,
  isPoisonedPteMarker,
  isSwapPte,
  leafAt,
  nextTable,
  pteAt,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  swpOffset,
  tableEnd,
  withFlags,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import {
  InodeKind,
  PG_ANON,
  PG_DIRTY,
  PG_LRU,
  PG_SWAPBACKED,
  PG_UNEVICTABLE,
  cpuAt,
  mmAt,
  pageAt,
} from '../../reducers/state.js';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_WIPEONFORK,
  findVmaIndex,
  isHugetlb,
  vmaIsAnonymous,
  vmaLookup,
  vmasIn,
  linearPageIndex,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { forceReadAhead } from './filemap.js';
import { madviseGuardInstall, madviseGuardRemove } from './guard.js';
import { splitFolio } from './folio-split.js';
import { faultinPageRange } from './gup.js';
import { hugetlbDontneed } from './hugetlb/steal.js';
import type { Kernel, KernelThread } from './kernel.js';
import { madviseCollapse } from './khugepaged.js';
import { ksmEnter, unmergeKsmPages } from './ksm.js';
import { EACCES, EINVAL, ENOMEM, EPERM, PAGE_SIZE, currentTask, isPageAligned, pageAlignWrapped } from './kernel.js';
import { folioPteBatch, maybeMappedShared } from './large-folio.js';
import { append4, flushGather, updateHiwaterRss, zapPageRange } from './memory/zap.js';
import { canMadviseModify } from './mseal.js';
import { PAGEVEC_SIZE, drainLruLazyfree, lruAddDrainIfMlock } from './swap.js';
import { shmemSwapinRange } from './shmem.js';
import { FALLOC_FL, vfsFallocate } from './truncate.js';
import { userfaultfdRemove } from './uffd-events.js';
import { UFFD_FEATURE_EVENT_REMOVE, hasFeature, uffdAt } from './userfault.js';
import { folioFreeSwap, freeSwapAndCache, inSwapCache, readSwapCache } from './swapfile.js';
import { madviseCold, madvisePageout } from './vmscan.js';
import { modifyVmas } from './vma.js';

const O_RDWR = 2;

/** Advice of madvise(2): MADV_* of include/uapi/asm-generic/mman-common.h. */
export const MADV = {
  NORMAL: 0,
  RANDOM: 1,
  SEQUENTIAL: 2,
  WILLNEED: 3,
  DONTNEED: 4,
  FREE: 8,
  REMOVE: 9,
  DONTFORK: 10,
  DOFORK: 11,
  MERGEABLE: 12,
  UNMERGEABLE: 13,
  HUGEPAGE: 14,
  NOHUGEPAGE: 15,
  DONTDUMP: 16,
  DODUMP: 17,
  WIPEONFORK: 18,
  KEEPONFORK: 19,
  COLD: 20,
  PAGEOUT: 21,
  POPULATE_READ: 22,
  POPULATE_WRITE: 23,
  DONTNEED_LOCKED: 24,
  COLLAPSE: 25,
  GUARD_INSTALL: 102,
  GUARD_REMOVE: 103,
} as const;

/** Advice that only changes a VMA's flags: [set, clear]. */
const FLAG_ADVICE: Readonly<Record<number, readonly [number, number]>> = {
  [MADV.NORMAL]: [0, VM_RAND_READ | VM_SEQ_READ],
  [MADV.RANDOM]: [VM_RAND_READ, VM_SEQ_READ],
  [MADV.SEQUENTIAL]: [VM_SEQ_READ, VM_RAND_READ],
  [MADV.DONTFORK]: [VM_DONTCOPY, 0],
  [MADV.DOFORK]: [0, VM_DONTCOPY],
  [MADV.WIPEONFORK]: [VM_WIPEONFORK, 0],
  [MADV.KEEPONFORK]: [0, VM_WIPEONFORK],
  [MADV.DONTDUMP]: [VM_DONTDUMP, 0],
  [MADV.DODUMP]: [0, VM_DONTDUMP],
  [MADV.HUGEPAGE]: [VM_HUGEPAGE, VM_NOHUGEPAGE],
  [MADV.NOHUGEPAGE]: [VM_NOHUGEPAGE, VM_HUGEPAGE],
  [MADV.MERGEABLE]: [VM_MERGEABLE, 0],
  [MADV.UNMERGEABLE]: [0, VM_MERGEABLE],
};

/** `is_discard()`: advice after which a page may not be what it was. */
const DISCARDS: ReadonlySet<number> = new Set([
  ...[MADV.FREE, MADV.DONTNEED, MADV.DONTNEED_LOCKED, MADV.REMOVE, MADV.DONTFORK, MADV.WIPEONFORK, MADV.GUARD_INSTALL],
]);

const KNOWN: ReadonlySet<number> = new Set<number>(Object.values(MADV));

/** `madvise_behavior_valid()`. */
const isKnown = (k: Kernel, advice: number): boolean =>
  KNOWN.has(advice) &&
  (advice !== MADV.COLLAPSE || k.behaviours['madv-collapse']) &&
  (advice < MADV.GUARD_INSTALL || k.behaviours['guard-markers']);

/** `do_madvise()`. Returns 0 or a negative errno; a hole is -ENOMEM after the rest of the range was treated. */
export function* doMadvise(
  k: Kernel,
  tid: number,
  start: number,
  length: number,
  advice: number,
): KernelThread<number> {
  if (!isKnown(k, advice) || !isPageAligned(start)) return -EINVAL;
  const bytes = pageAlignWrapped(length);
  const end = start + bytes;
  if (end >= 2 ** 64 || (bytes === 0 && length !== 0)) return -EINVAL;
  if (end === start) return 0;
  if (advice === MADV.POPULATE_READ || advice === MADV.POPULATE_WRITE)
    return yield* faultinPageRange(k, tid, start, end, advice === MADV.POPULATE_WRITE);

  const mm = currentTask(k, tid).mm;
  if (isZap(advice)) refuseToSleepWithPages(k, mm, start, end);
  let hole = false;
  for (let at = start; at < end;) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, at)];
    if (vma === undefined || vma.start >= end) {
      flushGather(k, mm);
      return -ENOMEM;
    }
    if (vma.start > at) hole = true;
    const from = Math.max(vma.start, at);
    const to = Math.min(vma.end, end);
    if (advice === MADV.UNMERGEABLE && (vma.flags & VM_MERGEABLE) !== 0) yield* unmergeKsmPages(k, tid, mm, from, to);
    const done: number = isZap(advice)
      ? yield* madviseDontneedFree(k, tid, mm, vma, from, to, advice)
      : advice === MADV.COLLAPSE
        ? yield* madviseCollapse(k, { tid, mm, cpu: currentTask(k, tid).cpu }, vma, from, to)
        : yield* madviseVma(k, tid, mm, vma, from, to, advice);
    if (done < 0) {
      flushGather(k, mm);
      return done;
    }
    at = done === 0 ? to : done;
  }
  // `madvise_finish_tlb()`: references of all that was discarded go at once.
  flushGather(k, mm);
  return hole ? -ENOMEM : 0;
}

const isZap = (advice: number): boolean =>
  advice === MADV.DONTNEED || advice === MADV.DONTNEED_LOCKED || advice === MADV.FREE;

/** The gather of one who sleeps would be another one than that of its mm. */
export const SLEEPS_WITH_PAGES =
  'discarding several mappings at once, of which a monitor hears of one behind the first';

const hearsOfRemoval = (k: Kernel, { uffd }: VmaView): boolean =>
  uffd !== undefined && hasFeature(uffdAt(k, uffd), UFFD_FEATURE_EVENT_REMOVE);

/** @throws NotModelledError where the call would sleep between pages that it has taken away and pages that it is to take. */
function refuseToSleepWithPages(k: Kernel, mm: number, start: number, end: number): void {
  const touched = vmasIn(mmAt(k.view, mm), start, end);
  const hears = touched.findLastIndex((vma) => hearsOfRemoval(k, vma));
  if (hears <= 0) return;
  let present = 0;
  forEachPte(mmAt(k.view, mm), start / PAGE_SIZE, (touched[hears] as VmaView).start / PAGE_SIZE, (_vpn, entry) => {
    if (ptePresent(entry)) present++;
  });
  if (present > 0) throw new NotModelledError(SLEEPS_WITH_PAGES);
}

/**
 * `madvise_dontneed_free()` on [from, to) inside one VMA. A monitor is told before anything goes; what is mapped there may be another thing once it has
 * read of it.
 * @returns how far it came, bytes, or a negative errno.
 * @throws NotModelledError where it would sleep with references of pages in a gather of its own.
 */
function* madviseDontneedFree(
  k: Kernel,
  tid: number,
  mm: number,
  vma: VmaView,
  from: number,
  to: number,
  advice: number,
): KernelThread<number> {
  if (!canMadviseModify(k, vma)) return -EPERM;
  if (!mayDiscard(vma, advice)) return -EINVAL;
  let [now, end]: [VmaView, number] = [vma, to];
  if (hearsOfRemoval(k, vma) && mmAt(k.view, mm).gather.length > 0) throw new NotModelledError(SLEEPS_WITH_PAGES);
  if (!(yield* userfaultfdRemove(k, tid, vma, from, to))) {
    const found = vmaLookup(mmAt(k.view, mm), from);
    if (found === null) return -ENOMEM;
    if (!mayDiscard(found, advice)) return -EINVAL;
    [now, end] = [found, Math.min(to, found.end)];
  }
  const { cpu } = currentTask(k, tid);
  if (isHugetlb(now)) return hugetlbDontneed(k, mm, from, end) || end;
  if (advice === MADV.FREE) {
    if (!vmaIsAnonymous(now)) return -EINVAL;
    yield* madviseFree(k, mm, from, end, cpu);
    return end;
  }
  updateHiwaterRss(k, mm);
  zapPageRange(k, mm, now.flags, from, end, cpu, 'keep');
  if (k.behaviours['dontneed-frees-page-tables']) reclaimPageTables(k, mm, from, end);
  return end;
}

/** `madvise_dontneed_free_valid_vma()` but for huge pages of the pool, whose borders are looked at later. */
function mayDiscard(vma: VmaView, advice: number): boolean {
  if (isHugetlb(vma)) return advice !== MADV.FREE;
  return (vma.flags & (VM_PFNMAP | (advice === MADV.DONTNEED_LOCKED ? 0 : VM_LOCKED))) === 0;
}

/** `madvise_vma_behavior()` on [from, to) inside one VMA, of advice that discards nothing at once. */
function* madviseVma(
  k: Kernel,
  tid: number,
  mm: number,
  vma: VmaView,
  from: number,
  to: number,
  advice: number,
): KernelThread<number> {
  const { flags } = vma;
  if (DISCARDS.has(advice) && !canMadviseModify(k, vma)) return -EPERM;
  switch (advice) {
    case MADV.COLD:
    case MADV.PAGEOUT:
      if ((flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB)) !== 0) return -EINVAL;
      if (advice === MADV.COLD) yield* madviseCold(k, mm, from, to, currentTask(k, tid).cpu);
      else yield* madvisePageout(k, mm, from, to, currentTask(k, tid).cpu);
      return 0;
    case MADV.REMOVE:
      return yield* madviseRemove(k, tid, vma, from, to);
    case MADV.GUARD_INSTALL:
      return madviseGuardInstall(k, mm, vma, from, to, currentTask(k, tid).cpu);
    case MADV.GUARD_REMOVE:
      return madviseGuardRemove(k, mm, vma, from, to);
    case MADV.WILLNEED:
      // Nothing could be read.
      if (isHugetlb(vma)) return 0;
      // Swapped pages of anonymous memory are looked for, and what was read goes to the LRU; of files the pages themselves.
      if (vma.inode !== 0)
        readFile(k, vma.inode, linearPageIndex(vma, from), linearPageIndex(vma, to), currentTask(k, tid).cpu);
      else {
        madviseWillneed(k, mm, from, to, currentTask(k, tid).cpu);
        lruAddDrainIfMlock(k, currentTask(k, tid).cpu);
      }
      return 0;
    case MADV.WIPEONFORK:
      if (vma.inode !== 0 || (flags & VM_SHARED) !== 0) return -EINVAL;
      break;
    case MADV.DOFORK:
      if ((flags & VM_IO) !== 0) return -EINVAL;
      break;
    case MADV.DODUMP:
      if ((flags & VM_SPECIAL) !== 0 && !isHugetlb(vma)) return -EINVAL;
      break;
    case MADV.MERGEABLE:
      // Where KSM cannot work the advice is silently no change.
      if ((flags & (VM_SHARED | VM_MAYSHARE | VM_SPECIAL)) !== 0) return 0;
      if ((flags & VM_MERGEABLE) === 0) ksmEnter(k, mm);
      break;
    default:
      break;
  }
  const change = FLAG_ADVICE[advice];
  if (change === undefined) return -EINVAL;
  const [set, clear] = change;
  const wanted = (flags & ~clear) | set;
  if (wanted === flags) return 0;
  return modifyVmas(k, mm, from, to, ({ start }) => k.emit({ type: 'VmaFlagsChanged', mm, start, flags: wanted }));
}

/** `madvise_willneed()` of a file: pages [first, last) are read; of a file in memory those that are swapped out, into the swap cache. */
function readFile(k: Kernel, inode: number, first: number, last: number, cpu: number): void {
  if (k.view.inodes[inode]?.kind === InodeKind.shmem) shmemSwapinRange(k, inode, first, last, cpu);
  else forceReadAhead(k, inode, first, last, cpu);
}

/**
 * `madvise_remove()` on [from, to) of one VMA: a hole in the file that it maps.
 * @throws NotModelledError for a file of a disk.
 */
function* madviseRemove(k: Kernel, tid: number, vma: VmaView, from: number, to: number): KernelThread<number> {
  const kind = k.view.inodes[vma.inode]?.kind;
  const hugetlb = kind === InodeKind.hugetlbfs && k.behaviours['hugetlb-fallocate'];
  const punchable = kind === InodeKind.file || kind === InodeKind.shmem || hugetlb;
  if ((vma.flags & VM_LOCKED) !== 0 || !punchable) return -EINVAL;
  if ((vma.flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) return -EACCES;
  // Whoever may write to the mapping opened the file for it.
  const file = { inode: vma.inode, flags: O_RDWR, file: vma.file };
  const offset = vma.pgoff * PAGE_SIZE + from - vma.start;
  yield* userfaultfdRemove(k, tid, vma, from, to);
  const { cpu } = currentTask(k, tid);
  return vfsFallocate(k, file, FALLOC_FL.PUNCH_HOLE | FALLOC_FL.KEEP_SIZE, offset, to - from, cpu);
}

/** `swapin_walk_pmd_entry()`: swapped pages are read into the swap cache, and not mapped. */
function madviseWillneed(k: Kernel, mm: number, start: number, end: number, cpu: number): void {
  forEachPte(mmAt(k.view, mm), start / PAGE_SIZE, end / PAGE_SIZE, (_vpn, entry) => {
    if (isSwapPte(entry)) readSwapCache(k, swpOffset(entry), cpu);
  });
}

/** `try_to_free_pte()`: page tables that the range covers as a whole are empty now, and go; but for those that guard markers are left in. */
function reclaimPageTables(k: Kernel, mm: number, start: number, end: number): void {
  const last = end / PAGE_SIZE;
  const first = Math.ceil(start / PAGE_SIZE / PTRS_PER_PTE) * PTRS_PER_PTE;
  for (let vpn = nextTable(mmAt(k.view, mm), first, last); vpn >= 0;) {
    const vpnEnd = tableEnd(vpn);
    const table = pteTable(mmAt(k.view, mm), vpn) as readonly number[];
    if (vpnEnd <= last && table.every((entry) => entry === 0))
      k.emit({ type: 'PageTablesFreed', mm, vpn, vpnEnd, bytes: TABLE_BYTES });
    vpn = nextTable(mmAt(k.view, mm), vpnEnd, last);
  }
}

/**
 * `madvise_free_pte_range()`: entries become clean, their pages wait in the batch of lazily freed ones, other mappings of a page
 * notwithstanding: their entries stay dirty and keep it. Pages that are dirty themselves (not just by an entry) are skipped if anybody
 * else maps them; pages not on the LRU only get the clean entry.
 */
function* madviseFree(k: Kernel, mm: number, start: number, end: number, cpu: number): KernelThread {
  lruAddDrainIfMlock(k, cpu);
  const last = end / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    yield* freeBelowTable(k, mm, vpn, stop, cpu);
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
}

/** [from, to) vpns of one table. Large folios of which a part lies there are split, unless others map them. */
function* freeBelowTable(k: Kernel, mm: number, from: number, to: number, cpu: number): KernelThread {
  const leaf = leafAt(mmAt(k.view, mm), from);
  if (leaf !== 0) {
    const pfn = ptePfn(leaf);
    if (pteSpecial(leaf) || maybeMappedShared(k, pfn)) return;
    if (to - from === PTRS_PER_PTE) return freeLarge(k, mm, from, pfn, cpu);
    if ((yield* splitFolio(k, pfn, cpu)) !== 0) return;
  }
  for (let vpn = from; vpn < to;) {
    const entry = pteAt(mmAt(k.view, mm), vpn);
    const pfn = ptePfn(entry);
    const order = ptePresent(entry) && !pteSpecial(entry) ? pageAt(k.view, pfn).order : 0;
    if (order === 0) {
      freeOne(k, mm, vpn++, cpu);
      continue;
    }
    const n = folioPteBatch(k, mm, vpn, to);
    const part = n < 2 ** order;
    if (part && !maybeMappedShared(k, pfn) && (yield* splitFolio(k, pfn, cpu)) === 0) continue;
    if (!part) freeLarge(k, mm, vpn, pfn, cpu);
    vpn += n;
  }
}

/** The large folio that begins at `pfn` lies whole from `vpn` on: `madvise_free_huge_pmd()`, or `madvise_free_pte_range()` of all its entries. */
function freeLarge(k: Kernel, mm: number, vpn: number, pfn: number, cpu: number): void {
  const now = mmAt(k.view, mm);
  const { flags, order } = pageAt(k.view, pfn);
  const leaf = leafAt(now, vpn);
  const others = k.view.largeFolios[pfn]?.largeMapcount !== 2 ** order;
  const cached = inSwapCache(pageAt(k.view, pfn));
  const keepsBytes = (flags & PG_DIRTY) !== 0 || cached;
  if (leaf === 0 && keepsBytes && others && k.behaviours['madv-free-skips-shared']) return;
  if (cached && !folioFreeSwap(k, pfn)) return;
  const runs: number[] = [];
  let clean = (leaf & PTE_DIRTY) === 0 && (pageAt(k.view, pfn).flags & PG_DIRTY) === 0;
  const entries = leaf === 0 ? 2 ** order : 0;
  for (let i = 0; i < entries; i++) {
    const entry = pteAt(now, vpn + i);
    clean &&= (entry & PTE_DIRTY) === 0;
    append4(runs, vpn + i, pfn + i, pteFlags(entry) & ~PTE_DIRTY, 1);
  }
  // folio_mark_lazyfree(): a large folio waits in no batch, and takes along those that do.
  const givenUp = (flags & (PG_LRU | PG_SWAPBACKED | PG_UNEVICTABLE)) === (PG_LRU | PG_SWAPBACKED);
  if (clean && !givenUp) return;
  const entry = leaf === 0 ? 0 : withFlags(leaf, 0, PTE_DIRTY);
  k.emit({ type: 'LargeFolioLazyfreed', mm, vpn, pfn, entry, runs, swapbacked: givenUp ? 0 : -1 });
  if (givenUp) drainLruLazyfree(k, cpu);
}

function freeOne(k: Kernel, mm: number, vpn: number, cpu: number): void {
  const table = pteTable(mmAt(k.view, mm), vpn) as readonly number[];
  const entry = table[vpn % PTRS_PER_PTE] as number;
  if (isSwapPte(entry)) return freeSwapAndCache(k, mm, vpn, swpOffset(entry));
  // What must not be read is given up with the rest.
  if (isPoisonedPteMarker(entry)) return k.emit({ type: 'UffdMarkersSet', mm, runs: [vpn, 1], entry: 0 });
  if (!ptePresent(entry) || pteSpecial(entry)) return;
  const pfn = ptePfn(entry);
  const page = pageAt(k.view, pfn);
  if ((page.flags & PG_ANON) === 0) return;
  const keepsBytes = (page.flags & PG_DIRTY) !== 0 || inSwapCache(page);
  if (keepsBytes && page.mapcount !== 1 && k.behaviours['madv-free-skips-shared']) return;
  if (inSwapCache(page) && !folioFreeSwap(k, pfn)) return;
  const batched = (page.flags & (PG_LRU | PG_SWAPBACKED | PG_UNEVICTABLE)) === (PG_LRU | PG_SWAPBACKED);
  const runs: number[] = [];
  append4(runs, vpn, pfn, pteFlags(entry) & ~PTE_DIRTY, 1);
  k.emit({ type: 'PagesLazyfreed', mm, runs, ref: 1, lruCpu: batched ? cpu : -1 });
  if (batched && cpuAt(k.view, cpu).lruLazyfree.length >= PAGEVEC_SIZE) drainLruLazyfree(k, cpu);
}
