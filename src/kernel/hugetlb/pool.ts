// The pool of pages of 2 MiB: `struct hstate` of mm/hugetlb.c. hugetlb_lock around each change.
//
// A page is free in the pool, or in use. Free ones that are reserved (`resv`) are for those who reserved them. Surplus pages are there beyond what was
// asked for, up to nr_overcommit_hugepages, and leave with the next page that is freed.
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  PG_HUGETLB,
  folioHead,
  nextFreeLarge,
  pageAt,
} from '../../../reducers/state.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel } from '../kernel.js';
import { ENOMEM } from '../kernel.js';
import { subpoolOfPage, subpoolPut } from './subpool.js';

/** Bytes of a page of the pool, and pages of 4 KiB in it. */
export const HUGE_PAGE_SIZE = 2 * 1024 * 1024;
export const HUGE_PAGE_PAGES = HPAGE_PMD_NR;

/** Is `bytes` a multiple of the size of a page of the pool? */
export const isHugeAligned = (bytes: number): boolean => bytes % HUGE_PAGE_SIZE === 0;
/** `ALIGN(bytes, huge_page_size(h))`. */
export const hugeAlign = (bytes: number): number => Math.ceil(bytes / HUGE_PAGE_SIZE) * HUGE_PAGE_SIZE;

/** Does frame `pfn` belong to a hugetlb page? */
export const isHugetlbPage = (k: Kernel, pfn: number): boolean => (pageAt(k.view, pfn).flags & PG_HUGETLB) !== 0;

/** `persistent_huge_pages()`. */
const persistent = ({ view: { hugetlb } }: Kernel): number => hugetlb.total - hugetlb.surplus;

interface PoolChange {
  readonly resv?: number;
  readonly surplus?: number;
  readonly max?: number;
  readonly overcommit?: number;
}

function count(k: Kernel, { resv = 0, surplus = 0, max = 0, overcommit = 0 }: PoolChange): void {
  if (resv !== 0 || surplus !== 0 || max !== 0 || overcommit !== 0)
    k.emit({ type: 'HugetlbPoolCounted', resv, surplus, max, overcommit });
}

/** A fresh page of the allocator's for the pool; `ref` 1: in the caller's hand. */
function addPage(k: Kernel, ref: 0 | 1, surplus: 0 | 1): number {
  if ((k.view.hugetlb.total + 1) * HUGE_PAGE_PAGES > k.machine.totalPages)
    throw new NotModelledError('more huge pages than there is memory');
  const pfn = nextFreeLarge(k.view, HPAGE_PMD_ORDER);
  k.emit({ type: 'HugetlbPageAdded', pfn, ref, total: 1, surplus });
  return pfn;
}

const enqueue = (k: Kernel, pfn: number): void => k.emit({ type: 'HugetlbPageEnqueued', pfn, free: 1 });

/** `alloc_surplus_hugetlb_folio()`: a page beyond the pool, with one reference; -1 where no more are allowed. */
export function allocSurplus(k: Kernel): number {
  const { surplus, overcommit } = k.view.hugetlb;
  return surplus >= overcommit ? -1 : addPage(k, 1, 1);
}

/**
 * `dequeue_hugetlb_folio_vma()`: the next free page, with one reference; -1 if there is none, or (not `reserved`) none that is not promised to somebody.
 * Like Linux it asks only whether as many are reserved as are free: where more are, or fewer than none, it gives one.
 */
export function dequeue(k: Kernel, reserved: boolean): number {
  const { free, resv, freeList } = k.view.hugetlb;
  const [pfn] = freeList;
  if (pfn === undefined || (!reserved && free === resv)) return -1;
  k.emit({ type: 'HugetlbPageDequeued', pfn, ref: 1, free: -1 });
  return pfn;
}

/** A page that was reserved is taken: its reservation is used up, and comes back if the page is given back unused. */
export function consumeReservation(k: Kernel, pfn: number): void {
  count(k, { resv: -1 });
  k.emit({ type: 'HugetlbRestoreSet', pfn, restore: 1 });
}

/** `alloc_migrate_hugetlb_folio()`: a page beyond the pool for one that is moved, with one reference. It is no surplus: one of the two leaves the pool again. */
export const allocTemporary = (k: Kernel): number => addPage(k, 1, 0);

/** `free_huge_folio()`: nobody has the page any more. A `temporary` one leaves the pool; else a surplus is paid off first, with whatever page comes. */
export function freeHugePage(k: Kernel, pfn: number, temporary = false): void {
  const sb = subpoolOfPage(k, pfn);
  // A mount that comes below its minimum with it has the reservation back.
  const restores = k.view.hugetlb.restore.includes(pfn) || subpoolPut(k, sb, 1) === 0;
  k.emit({ type: 'HugetlbPageFreed', pfn, resv: restores ? 1 : 0 });
  if (temporary) k.emit({ type: 'HugetlbPageRemoved', pfn, total: -1, free: 0, surplus: 0 });
  else if (k.view.hugetlb.surplus > 0) k.emit({ type: 'HugetlbPageRemoved', pfn, total: -1, free: 0, surplus: -1 });
  else enqueue(k, pfn);
}

/** `folio_put_refs()` of the hugetlb page at `pfn`. */
export function putHugePage(k: Kernel, pfn: number, refs = 1, temporary = false): void {
  k.emit({ type: 'HugetlbPageReleased', pfn, ref: -refs });
  if (pageAt(k.view, folioHead(k.view, pfn)).ref === 0) freeHugePage(k, pfn, temporary);
}

/**
 * `hugetlb_acct_memory()`: reserves `delta` pages, or gives back -`delta` reservations. Where too few are free, surplus pages are made
 * (`gather_surplus_pages()`), and with the reservations unneeded ones go (`return_unused_surplus_pages()`). Returns 0 or -ENOMEM, with nothing changed.
 */
export function acctMemory(k: Kernel, delta: number): number {
  if (delta > 0) return gatherSurplus(k, delta);
  if (delta < 0) returnUnused(k, -delta);
  return 0;
}

function gatherSurplus(k: Kernel, delta: number): number {
  const { resv, free, surplus, overcommit } = k.view.hugetlb;
  const needed = Math.max(0, resv + delta - free);
  if (surplus + needed > overcommit && needed > 0) return -ENOMEM;
  const fresh: number[] = [];
  while (fresh.length < needed) fresh.push(addPage(k, 0, 1));
  count(k, { resv: delta });
  for (const pfn of fresh) enqueue(k, pfn);
  // allowed_mems_nr(): with fewer reservations than none there may be too few pages all the same.
  if (delta <= k.view.hugetlb.free) return 0;
  returnUnused(k, delta);
  return -ENOMEM;
}

function returnUnused(k: Kernel, unused: number): void {
  for (let n = Math.min(unused, k.view.hugetlb.surplus); n > 0; n--) if (!removeFree(k, -1)) break;
  count(k, { resv: -unused });
}

/** `remove_pool_hugetlb_folio()`: the first free page leaves the pool. False if there is none. */
function removeFree(k: Kernel, surplus: 0 | -1): boolean {
  const [pfn] = k.view.hugetlb.freeList;
  if (pfn === undefined) return false;
  k.emit({ type: 'HugetlbPageRemoved', pfn, total: -1, free: -1, surplus });
  return true;
}

/**
 * `set_max_huge_pages()`: the pool is to have `wanted` pages. What is in use or reserved stays, as surplus. Growing stops where memory ends,
 * and is no error.
 */
export function setMaxHugePages(k: Kernel, wanted: number): void {
  while (k.view.hugetlb.surplus > 0 && wanted > persistent(k)) count(k, { surplus: -1 });
  while (wanted > persistent(k)) enqueue(k, addPage(k, 0, 0));
  const { resv, total, free } = k.view.hugetlb;
  // Unsigned: fewer than no pages are more than all.
  const needed = resv + total - free;
  const floor = needed < 0 ? Number.MAX_SAFE_INTEGER : Math.max(wanted, needed);
  while (persistent(k) > floor && removeFree(k, 0));
  while (wanted < persistent(k) && k.view.hugetlb.surplus < k.view.hugetlb.total) count(k, { surplus: 1 });
  count(k, { max: persistent(k) - k.view.hugetlb.max });
}

/** A write of nr_overcommit_hugepages: how many surplus pages there may be. Those that there are stay. */
export const setOvercommit = (k: Kernel, wanted: number): void =>
  count(k, { overcommit: wanted - k.view.hugetlb.overcommit });

const FOLDER = 'hugepages/hugepages-2048kB/';
/** What may be written to files of the pool, by name below /sys/kernel/mm. */
export const POOL_SETTINGS: Readonly<Record<string, (k: Kernel, value: number) => void>> = {
  [`${FOLDER}nr_hugepages`]: setMaxHugePages,
  [`${FOLDER}nr_overcommit_hugepages`]: setOvercommit,
};
