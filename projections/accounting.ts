// Counters recomputed from first principles: page-table entries, VMAs, caches. Never reads the counters it is compared with.
import {
  forEachPte,
  isHugePte,
  isMigrationPte,
  isSwapPte,
  ptePfn,
  ptePresent,
  pteSpecial,
  swpOffset,
} from '../reducers/pte.js';
import type { InodeView, KernelView, MmView } from '../reducers/state.js';
import {
  FREE_SLOT,
  InodeKind,
  MM_ANONPAGES,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  MM_SWAPENTS,
  PG_ANON,
  PG_FREE,
  PG_HUGETLB,
  PG_SWAPBACKED,
  RECLAIMED,
  slotOfValue,
  folioHead,
  pageAt,
  pageMapcount,
} from '../reducers/state.js';
import { VM_ACCOUNT, VM_LOCKED, vmaPages } from '../reducers/vma.js';
import { Facts } from './facts/facts.js';
import { factsOf } from './facts/from-state.js';
import { factHandlers } from './facts/handlers.js';
import type { StateProjection } from './projection.js';
import { accountsOf, meminfoOf } from './smaps.js';

/** Resident pages, smaps, meminfo: kept up event by event, from entries and VMAs. */
export const accounting: StateProjection<Facts> = {
  name: 'accounting',
  init: () => new Facts(),
  on: factHandlers,
  fromState: factsOf,
  read: (facts) => ({ mms: accountsOf(facts), meminfo: meminfoOf(facts) }),
};

/** The last user page plus one. */
const END_VPN = 2 ** 35;

/** A frame's counts as entries, caches and batches add up to. */
export interface FrameCounts {
  mapcount: number;
  /** Mappings, page cache, LRU batches, gathers, and who holds it otherwise. */
  ref: number;
}

const NO_COUNTS: FrameCounts = { mapcount: 0, ref: 0 };

/** Mappings and references of every frame that anything leads to, by frame number. */
export function frameCounts(state: KernelView): Map<number, FrameCounts> {
  const counts = new Map<number, FrameCounts>();
  const of = (pfn: number): FrameCounts => {
    let found = counts.get(pfn);
    if (found === undefined) counts.set(pfn, (found = { mapcount: 0, ref: 0 }));
    return found;
  };
  const head = (pfn: number): number => folioHead(state, pfn);
  for (const mm of state.mms) {
    if (!mm) continue;
    forEachPte(mm, 0, END_VPN, (_vpn, entry) => {
      if (!ptePresent(entry) || pteSpecial(entry)) return;
      const pfn = ptePfn(entry);
      of(pfn).mapcount++;
      // A huge entry has one reference, and all of a large folio's are its first page's.
      if (!isHugePte(entry) || pfn === head(pfn)) of(head(pfn)).ref++;
    });
    for (const pfn of mm.gather) of(head(pfn)).ref++;
  }
  for (const { count, pfn } of state.swap) if (count !== FREE_SLOT && pfn >= 0) of(head(pfn)).ref++;
  for (const { lruAdd, lruLazyfree, mlock } of state.cpus)
    for (const pfn of [...lruAdd, ...lruLazyfree, ...mlock.filter((_, i) => i % 2 === 0)]) of(pfn).ref++;
  for (const holder of state.holders)
    for (let i = 0; i + 5 < (holder?.pages.length ?? 0); i += 6) {
      const [pfn, , , , , bias] = holder!.pages.slice(i, i + 6) as [number, ...number[]];
      if (pfn >= 0) of(head(pfn)).ref += bias ?? 0;
    }
  for (const inode of state.inodes)
    for (const leaf of inode?.pages ?? []) for (const slot of leaf ?? []) if (slot > 0) of(head(slot - 1)).ref++;
  return counts;
}

/** Resident pages of an address space by counter, from its entries: [file, anon, swap, shmem]. */
export function rssOf(state: KernelView, mm: MmView): number[] {
  const rss = [0, 0, 0, 0];
  forEachPte(mm, 0, END_VPN, (_vpn, entry) => {
    if (isSwapPte(entry)) rss[MM_SWAPENTS]!++;
    const migrating = isMigrationPte(entry);
    if (!migrating && (!ptePresent(entry) || pteSpecial(entry))) return;
    const page = pageAt(state, ptePfn(entry));
    // Counted elsewhere.
    if ((page.flags & PG_HUGETLB) !== 0) return;
    // A page that was moved has no mapping any more while its entries still name it.
    const shmem = migrating ? (page.flags & PG_SWAPBACKED) !== 0 : state.inodes[page.mapping]?.kind === InodeKind.shmem;
    const type = (page.flags & PG_ANON) !== 0 ? MM_ANONPAGES : shmem ? MM_SHMEMPAGES : MM_FILEPAGES;
    rss[type]!++;
  });
  return rss;
}

/** One difference between a counter and what it should be. */
export interface AccountingError {
  readonly subject: string;
  readonly counter: string;
  readonly expected: number;
  readonly found: number;
}

/** Pages of a file that are cached, swapped out, and dropped as clean holes. */
function slotsOf(inode: InodeView | null): { size: number; cached: number; swapped: number; dropped: number } {
  const found = { size: inode?.size ?? 0, cached: 0, swapped: 0, dropped: 0 };
  for (const leaf of inode?.pages ?? [])
    for (const slot of leaf ?? []) {
      if (slot > 0) found.cached++;
      else if (slot < RECLAIMED) found.swapped++;
      else if (slot === RECLAIMED) found.dropped++;
    }
  return found;
}

/**
 * Every counter of the state that differs from what entries, VMAs and caches add up to: mapcount, refcount, rss, total_vm, locked_vm,
 * committed, those of files in memory. Arguments that execve has charged to the caller meanwhile (`acct_arg_size()`) are allowed for.
 */
export function accountingErrors(state: KernelView): AccountingError[] {
  const errors: AccountingError[] = [];
  const check = (subject: string, counter: string, expected: number, found: number): void => {
    if (expected !== found) errors.push({ subject, counter, expected, found });
  };
  const counts = frameCounts(state);
  for (let pfn = 0; pfn < state.maxPfn; pfn++) {
    const page = pageAt(state, pfn);
    const { mapcount, ref } = counts.get(pfn) ?? NO_COUNTS;
    if ((page.flags & PG_FREE) !== 0) {
      if (ref !== 0) check(`frame ${pfn}`, 'ref of a free frame', ref, 0);
      continue;
    }
    // Named only when they differ: there may be very many.
    const mapped = pageMapcount(state, pfn);
    if (mapcount !== mapped) check(`frame ${pfn}`, 'mapcount', mapcount, mapped);
    if (ref !== page.ref) check(`frame ${pfn}`, 'ref', ref, page.ref);
  }
  const execing = new Map<number, number>();
  for (const task of Object.values(state.tasks)) {
    const pending = task.execMm === 0 ? null : state.mms[task.execMm];
    if (pending) execing.set(task.mm, (execing.get(task.mm) ?? 0) + pending.stackVm);
  }
  let committed = 0;
  for (const mm of state.mms) {
    if (!mm) continue;
    const rss = rssOf(state, mm);
    rss[MM_ANONPAGES]! += execing.get(mm.id) ?? 0;
    rss.forEach((pages, type) => check(`mm ${mm.id}`, `rss ${type}`, pages, mm.rss[type] ?? 0));
    let total = 0;
    let locked = 0;
    for (const vma of mm.vmas) {
      total += vmaPages(vma);
      if ((vma.flags & VM_LOCKED) !== 0) locked += vmaPages(vma);
      if ((vma.flags & VM_ACCOUNT) !== 0) committed += vmaPages(vma);
    }
    check(`mm ${mm.id}`, 'total_vm', total, mm.totalVm);
    check(`mm ${mm.id}`, 'locked_vm', locked, mm.lockedVm);
  }
  for (const [id, info] of Object.entries(state.shmem)) {
    const { size, cached, swapped, dropped } = slotsOf(state.inodes[Number(id)] ?? null);
    const pages = cached + swapped + dropped;
    committed += info.noreserve === 1 ? pages : Math.ceil(size / 4096);
    check(`inode ${id}`, 'nrpages', cached, info.nrpages);
    check(`inode ${id}`, 'swapped', swapped, info.swapped);
    check(`inode ${id}`, 'alloced', pages, info.alloced);
    check(`inode ${id}`, 'blocks', pages, info.blocks);
  }
  const entries = new Map<number, number>();
  for (const mm of state.mms)
    if (mm)
      forEachPte(mm, 0, END_VPN, (_vpn, entry) => {
        if (isSwapPte(entry)) entries.set(swpOffset(entry), (entries.get(swpOffset(entry)) ?? 0) + 1);
      });
  for (const inode of state.inodes)
    for (const leaf of inode?.pages ?? [])
      for (const value of leaf ?? []) {
        const slot = slotOfValue(value);
        if (slot >= 0) entries.set(slot, (entries.get(slot) ?? 0) + 1);
      }
  state.swap.forEach(({ count, pfn }, slot) => {
    check(`slot ${slot}`, 'count', entries.get(slot) ?? 0, count === FREE_SLOT ? 0 : count);
    if (count === 0) check(`slot ${slot}`, 'pages of the cache', 1, pfn >= 0 ? 1 : 0);
  });
  check('machine', 'committed', committed, state.committed);
  return errors;
}
