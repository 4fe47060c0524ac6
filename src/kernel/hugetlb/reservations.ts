// Who is promised pages of the pool: reservation maps and the private data of mappings, of mm/hugetlb.c.
//
// A shared mapping reserves in the map of its file: an entry says that the page was reserved, or is there. The map of a private one says the opposite: an entry is a
// reservation used up. Only the mapping that was made has one; what fork makes of it in a child has none.
import type { HugetlbVmaView, ResvMapView } from '../../../reducers/hugetlb-state.js';
import { HPAGE_RESV_OWNER, HPAGE_RESV_UNMAPPED, hugetlbVmaAt, inodeResvMap } from '../../../reducers/hugetlb-state.js';
import type { VmaView } from '../../../reducers/state.js';
import { VM_MAYSHARE, VM_NORESERVE } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { ENOMEM } from '../kernel.js';
import { HUGE_PAGE_PAGES, HUGE_PAGE_SIZE, acctMemory } from './pool.js';
import { subpoolForget, subpoolGet, subpoolOf, subpoolPut } from './subpool.js';

/** What kernel code must know of a mapping to find its reservations: it may be one that is just going. */
export type HugetlbMapping = Pick<VmaView, 'start' | 'end' | 'flags' | 'pgoff' | 'inode'>;
/** Of one that is asked about single pages the end does not matter. */
export type HugetlbPlace = Omit<HugetlbMapping, 'end'>;

/** `vma->vm_flags & VM_MAYSHARE`: it reserves in the file's map. */
export const isShared = ({ flags }: { readonly flags: number }): boolean => (flags & VM_MAYSHARE) !== 0;

/** `vma_hugecache_offset()`: which huge page of its file the mapping has at byte `addr`. */
export const hugeIndex = ({ start, pgoff }: HugetlbPlace, addr: number): number =>
  Math.floor((addr - start) / HUGE_PAGE_SIZE) + Math.floor(pgoff / HUGE_PAGE_PAGES);

/** `region_count()`: how many of [from, to) the regions [from, to)* have. */
function regionCount(regions: readonly number[], from: number, to: number): number {
  let sum = 0;
  for (let i = 0; i + 1 < regions.length; i += 2)
    sum += Math.max(0, Math.min(regions[i + 1] as number, to) - Math.max(regions[i] as number, from));
  return sum;
}

/** `region_add()`: with [from, to). Neighbours that touch become one. */
function regionAdd(regions: readonly number[], from: number, to: number): number[] {
  const result: number[] = [];
  let [low, high] = [from, to];
  for (let i = 0; i + 1 < regions.length; i += 2) {
    const [start, end] = [regions[i] as number, regions[i + 1] as number];
    if (end < low) result.push(start, end);
    else if (start <= high) [low, high] = [Math.min(low, start), Math.max(high, end)];
    else {
      result.push(low, high);
      [low, high] = [start, end];
    }
  }
  return [...result, low, high];
}

/** `region_del()`: without [from, to). */
function regionDel(regions: readonly number[], from: number, to: number): number[] {
  const result: number[] = [];
  for (let i = 0; i + 1 < regions.length; i += 2) {
    const [start, end] = [regions[i] as number, regions[i + 1] as number];
    if (start < Math.min(end, from)) result.push(start, Math.min(end, from));
    if (Math.max(start, to) < end) result.push(Math.max(start, to), end);
  }
  return result;
}

const setRegions = (k: Kernel, map: number, regions: readonly number[]): void =>
  k.emit({ type: 'ResvRegionsSet', map, regions });

const mapOf = (k: Kernel, id: number): ResvMapView | null => (id === 0 ? null : (k.view.hugetlb.maps[id] ?? null));

/** `resv_map_alloc()`, for file `inode` or (0) a private mapping. */
export function allocResvMap(k: Kernel, inode: number): number {
  const map = k.view.hugetlb.maps.length;
  k.emit({ type: 'ResvMapCreated', map, inode });
  return map;
}

/** `is_vma_resv_set()`: has the private mapping HPAGE_RESV_* `flag`? */
export const isVmaResvSet = (k: Kernel, mm: number, { start }: HugetlbPlace, flag: number): boolean =>
  ((hugetlbVmaAt(k.view, mm, start)?.flags ?? 0) & flag) !== 0;

/** Was the private mapping promised pages when it was made? */
export const isOwner = (k: Kernel, mm: number, vma: HugetlbPlace): boolean =>
  !isShared(vma) && isVmaResvSet(k, mm, vma, HPAGE_RESV_OWNER);

/** `set_vma_resv_flags()`. */
export function setVmaResvFlags(k: Kernel, mm: number, { start }: HugetlbPlace, flag: number): void {
  const { map = 0, flags = 0, reserved = 0 } = hugetlbVmaAt(k.view, mm, start) ?? {};
  if ((flags & flag) === 0) k.emit({ type: 'HugetlbVmaSet', mm, start, map, flags: flags | flag, reserved });
}

/** `vma_needs_reservation()`: must huge page `index` of the mapping be had without a reservation? */
export function needsReservation(k: Kernel, mm: number, vma: HugetlbPlace, index: number): boolean {
  if (isShared(vma)) {
    const map = inodeResvMap(k.view, vma.inode);
    return map === null || regionCount(map.regions, index, index + 1) === 0;
  }
  const own = hugetlbVmaAt(k.view, mm, vma.start);
  if (own === null || (own.flags & HPAGE_RESV_OWNER) === 0) return true;
  const map = mapOf(k, own.map);
  return map === null ? own.reserved <= 0 : regionCount(map.regions, index, index + 1) > 0;
}

/** `vma_commit_reservation()`: huge page `index` was had. */
export function commitReservation(k: Kernel, mm: number, vma: HugetlbPlace, index: number): void {
  const own = isShared(vma) ? null : hugetlbVmaAt(k.view, mm, vma.start);
  const map = isShared(vma) ? inodeResvMap(k.view, vma.inode) : mapOf(k, own?.map ?? 0);
  if (map !== null && regionCount(map.regions, index, index + 1) === 0)
    setRegions(k, map.id, regionAdd(map.regions, index, index + 1));
  if (map === null && own !== null && own.reserved > 0) {
    const { start, flags, reserved } = own;
    k.emit({ type: 'HugetlbVmaSet', mm, start, map: 0, flags, reserved: reserved - 1 });
  }
}

/** `vma_add_reservation()`: a private mapping's reservation of huge page `index`, used up, is there again. */
export function addReservation(k: Kernel, mm: number, vma: HugetlbPlace, index: number): void {
  const map = mapOf(k, hugetlbVmaAt(k.view, mm, vma.start)?.map ?? 0);
  if (map !== null) setRegions(k, map.id, regionDel(map.regions, index, index + 1));
}

/** What a private mapping that is made gets. */
export type NewPrivateData = Pick<HugetlbVmaView, 'map' | 'flags' | 'reserved'>;

/**
 * `hugetlb_reserve_pages()`: huge pages [from, to) of file `inode` for a mapping with `flags`. What a private one is to have comes back, null for
 * nothing; -ENOMEM if the pool has too few.
 */
export function reservePages(
  k: Kernel,
  inode: number,
  from: number,
  to: number,
  flags: number,
): NewPrivateData | number | null {
  if ((flags & VM_NORESERVE) !== 0) return null;
  if (!isShared({ flags })) {
    if (!k.behaviours['hugetlb-private-reserve']) return null;
    const error = reserveFor(k, inode, to - from);
    if (error !== 0) return error;
    const inMap = k.behaviours['hugetlb-private-resv-map'];
    const [map, reserved] = inMap ? [allocResvMap(k, 0), 0] : [0, to - from];
    return { map, flags: HPAGE_RESV_OWNER, reserved };
  }
  const map = inodeResvMap(k.view, inode);
  if (map === null) return null;
  const missing = to - from - regionCount(map.regions, from, to);
  if (missing === 0) return null;
  const { id, regions } = map;
  const error = reserveFor(k, inode, missing);
  if (error !== 0) return error;
  setRegions(k, id, regionAdd(regions, from, to));
  return null;
}

/**
 * `hugetlb_reserve_pages()`: `pages` for file `inode`, those that its mount has reserved and the rest of the pool. Returns 0 or -ENOMEM, with nothing changed; but before
 * 6.15 the mount then had reserved also what the pool had refused.
 */
function reserveFor(k: Kernel, inode: number, pages: number): number {
  const sb = subpoolOf(k, inode);
  const wanted = subpoolGet(k, sb, pages);
  if (wanted < 0) return -ENOMEM;
  const error = acctMemory(k, wanted);
  if (error === 0) return 0;
  if (!k.behaviours['hugetlb-subpool-put-if-reserved']) subpoolPut(k, sb, pages);
  else {
    if (wanted < pages) acctMemory(k, -subpoolPut(k, sb, pages - wanted));
    subpoolForget(k, sb, wanted);
  }
  return error;
}

/** `hugetlb_acct_memory(-hugepage_subpool_put_pages())`: `pages` reserved for file `inode` are not needed any more. */
const unreserveFor = (k: Kernel, inode: number, pages: number): void => {
  if (pages !== 0) acctMemory(k, -subpoolPut(k, subpoolOf(k, inode), pages));
};

/** `hugetlb_unreserve_pages()`: entries of the file's map for huge pages [from, to) go, and with them the reservations of pages that were not there: `freed` were. */
export function unreservePages(k: Kernel, inode: number, from: number, to: number, freed: number): void {
  const map = inodeResvMap(k.view, inode);
  if (map === null) return;
  const { id, regions } = map;
  const gone = regionCount(regions, from, to);
  if (gone > 0) setRegions(k, id, regionDel(regions, from, to));
  unreserveFor(k, inode, gone - freed);
}

/** `hugetlb_dup_vma_private()`: the child's mapping has nothing of what the parent's has there; nor does it know what its parent lost, unless it is told. */
export function hugetlbDupVmaPrivate(k: Kernel, parent: number, child: number, vma: HugetlbPlace): void {
  if (k.behaviours['hugetlb-fork-keeps-unmapped'] && isVmaResvSet(k, parent, vma, HPAGE_RESV_UNMAPPED))
    setVmaResvFlags(k, child, vma, HPAGE_RESV_UNMAPPED);
}

/** `hugetlb_vm_op_open()` after the mapping at `start` was cut at `at`: both have one map. Counted in the mapping, both have the same number. */
export function vmaWasSplit(k: Kernel, mm: number, start: number, at: number): void {
  const own = hugetlbVmaAt(k.view, mm, start);
  if (own === null) return;
  const { map, flags, reserved } = own;
  k.emit({ type: 'HugetlbVmaSet', mm, start: at, map, flags, reserved });
  if (map !== 0) k.emit({ type: 'ResvMapReferenced', map, refs: 1 });
}

/** `hugetlb_vm_op_close()`: the mapping is gone; what it was promised and did not use goes back, after its pages. */
export function vmaWasClosed(k: Kernel, mm: number, vma: HugetlbMapping): void {
  const own = hugetlbVmaAt(k.view, mm, vma.start);
  if (own === null) return;
  const { start, map: id, reserved } = own;
  const map = mapOf(k, id);
  const pages = (vma.end - vma.start) / HUGE_PAGE_SIZE;
  const from = hugeIndex(vma, vma.start);
  const unused = map === null ? reserved : pages - regionCount(map.regions, from, from + pages);
  k.emit({ type: 'HugetlbVmaSet', mm, start, map: 0, flags: 0, reserved: 0 });
  unreserveFor(k, vma.inode, unused);
  if (map === null) return;
  if (k.view.hugetlb.maps[id]?.refs === 1) k.emit({ type: 'ResvMapFreed', map: id });
  else k.emit({ type: 'ResvMapReferenced', map: id, refs: -1 });
}
