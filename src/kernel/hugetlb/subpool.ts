// How many pages a mount of hugetlbfs may have, and how many are reserved for it: `struct hugepage_subpool` of mm/hugetlb.c. spool->lock around each change.
//
// A mount with neither bound has no such thing, nor have the kernel's own mounts, where memfds and MAP_HUGETLB without a descriptor are.
import type { HugetlbSubpoolView } from '../../../reducers/hugetlb-state.js';
import { hugetlbFileAt } from '../../../reducers/hugetlb-state.js';
import type { Kernel } from '../kernel.js';

/** No bounds. */
export const NO_SUBPOOL = -1;

/** `subpool_inode()`: the mount whose bounds count for file `inode`, NO_SUBPOOL for none. */
export function subpoolOf(k: Kernel, inode: number): number {
  const sb = hugetlbFileAt(k.view, inode)?.sb ?? NO_SUBPOOL;
  const subpool = k.view.hugetlb.subpools[sb];
  return subpool !== undefined && (subpool.max >= 0 || subpool.min >= 0) ? sb : NO_SUBPOOL;
}

function count(k: Kernel, sb: number, used: number, rsv: number): void {
  if (used !== 0 || rsv !== 0) k.emit({ type: 'HugetlbSubpoolCounted', sb, used, rsv });
}

/** `hugepage_subpool_get_pages()`: `pages` more for mount `sb`. How many of them it has no reservation for; -1 if it has no room. */
export function subpoolGet(k: Kernel, sb: number, pages: number): number {
  if (sb < 0) return pages;
  const { max, min, used, rsv } = k.view.hugetlb.subpools[sb] as HugetlbSubpoolView;
  if (max >= 0 && used + pages > max) return -1;
  const reserved = min >= 0 ? Math.min(pages, rsv) : 0;
  count(k, sb, max >= 0 ? pages : 0, -reserved);
  return pages - reserved;
}

/** `hugepage_subpool_put_pages()`: `pages` fewer. How many of their reservations it does not need to come up to its minimum. */
export function subpoolPut(k: Kernel, sb: number, pages: number): number {
  if (sb < 0) return pages;
  const { max, min, used, rsv } = k.view.hugetlb.subpools[sb] as HugetlbSubpoolView;
  const left = max >= 0 ? used - pages : used;
  const kept = min >= 0 && left < min ? Math.min(pages, min - rsv) : 0;
  count(k, sb, left - used, kept);
  return pages - kept;
}

/** `hugetlb_reserve_pages()`: what could not be had of the pool is not used. */
export function subpoolForget(k: Kernel, sb: number, pages: number): void {
  if (sb >= 0 && (k.view.hugetlb.subpools[sb] as HugetlbSubpoolView).max >= 0) count(k, sb, -pages, 0);
}

/** `hugetlb_set_folio_subpool()`. */
export function setSubpool(k: Kernel, pfn: number, sb: number): void {
  if (sb >= 0) k.emit({ type: 'HugetlbSubpoolSet', pfn, sb });
}

/** `hugetlb_folio_subpool()`. */
export const subpoolOfPage = (k: Kernel, pfn: number): number =>
  k.view.hugetlb.charged.find((each) => each.pfn === pfn)?.sb ?? NO_SUBPOOL;
