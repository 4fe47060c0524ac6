// The part of the state that mm/hugetlb.c has for itself: the pool, reservation maps, and whose they are.
import type { KernelView } from './state.js';

/** This mapping was given reservations when it was made; it is never stolen from. */
export const HPAGE_RESV_OWNER = 1;
/** A page was taken away from this mapping: what is not there any more is not given anew. */
export const HPAGE_RESV_UNMAPPED = 2;

/** `struct resv_map`. */
export interface ResvMap {
  id: number;
  /** The file that it belongs to, 0 for a private mapping's. */
  inode: number;
  /** VMAs that share it; 1 for a file's. */
  refs: number;
  /** [from, to)* in huge pages, ascending, apart. Of a file: reserved or there. Of a private mapping: its reservation is used up. */
  regions: number[];
}

/** `vm_private_data` of a private mapping. */
export interface HugetlbVma {
  mm: number;
  start: number;
  /** Reservation map, 0 for none. */
  map: number;
  /** HPAGE_RESV_*. */
  flags: number;
  /** Pages reserved, where they are counted in the mapping instead of a map. */
  reserved: number;
}

/** What a file of hugetlbfs is besides its pages. */
export interface HugetlbFile {
  inode: number;
  /** The mount that it lies in, -1: the kernel's own. */
  sb: number;
  /** F_SEAL_*. */
  seals: number;
  /** The bits of rights to execute, 0111. */
  mode: number;
}

/** A mounted hugetlbfs: `struct hugepage_subpool`. */
export interface HugetlbSubpool {
  /** Where it is mounted, as the workload says it; empty once it is not any more. */
  name: string;
  /** max_hpages and min_hpages, -1: without that bound. */
  max: number;
  min: number;
  /** used_hpages, counted where there is a `max`; rsv_hpages. */
  used: number;
  rsv: number;
}

/** The pool of pages of 2 MiB, and who has reserved what of it. */
export interface Hugetlb {
  /** nr_huge_pages, free_huge_pages, resv_huge_pages, surplus_huge_pages, max_huge_pages, nr_overcommit_huge_pages. */
  total: number;
  free: number;
  resv: number;
  surplus: number;
  max: number;
  overcommit: number;
  /** Free pages, the next one to be given first. */
  freeList: number[];
  /** Pages with the flag restore_reserve, in the order in which they got it. */
  restore: number[];
  /** Pages in use that cannot be moved: who moved them there had made them for it (not HPG_migratable). */
  unmovable: number[];
  /** By id; ids start at 1 and are never used again. */
  maps: (ResvMap | null)[];
  /** Private mappings that have anything there, in the order in which they got it. */
  vmas: HugetlbVma[];
  /** Files that have a name or may be sealed, in the order in which they became so. */
  files: HugetlbFile[];
  /** Mounts, by number; those that are gone keep theirs. */
  subpools: HugetlbSubpool[];
  /** Pages that belong to a mount with bounds, in the order in which they came to. */
  charged: { pfn: number; sb: number }[];
}

/** No pool. */
export function noHugetlb(): Hugetlb {
  return {
    total: 0,
    free: 0,
    resv: 0,
    surplus: 0,
    max: 0,
    overcommit: 0,
    freeList: [],
    restore: [],
    unmovable: [],
    maps: [null],
    vmas: [],
    files: [],
    subpools: [],
    charged: [],
  };
}

export type HugetlbView = KernelView['hugetlb'];
export type ResvMapView = NonNullable<HugetlbView['maps'][0]>;
export type HugetlbVmaView = HugetlbView['vmas'][0];
export type HugetlbFileView = HugetlbView['files'][0];
export type HugetlbSubpoolView = HugetlbView['subpools'][0];

/** `vm_private_data` of the private mapping at `start`; null for nothing there. */
export const hugetlbVmaAt = (state: KernelView, mm: number, start: number): HugetlbVmaView | null =>
  state.hugetlb.vmas.find((each) => each.mm === mm && each.start === start) ?? null;

/** The reservation map of file `inode`. */
export const inodeResvMap = (state: KernelView, inode: number): ResvMapView | null =>
  state.hugetlb.maps.find((each) => each !== null && each.inode === inode) ?? null;

/** What file `inode` of hugetlbfs is; undefined for one without a name that cannot be sealed. */
export const hugetlbFileAt = (state: KernelView, inode: number): HugetlbFileView | undefined =>
  state.hugetlb.files.find((each) => each.inode === inode);

/** Is there anything but what there is at the beginning? */
export function hugetlbUsed({ hugetlb }: KernelView): boolean {
  const { total, free, resv, surplus, max, overcommit, maps } = hugetlb;
  const counted = [total, free, resv, surplus, max, overcommit].some((each) => each !== 0);
  const { freeList, restore, unmovable, vmas, files, subpools, charged } = hugetlb;
  return (
    counted ||
    maps.length > 1 ||
    [freeList, restore, unmovable, vmas, files, subpools, charged].some((each) => each.length > 0)
  );
}

/** All of it as numbers, for digests and hashes: counters, lists with their lengths. */
export function hugetlbNumbers({ hugetlb }: KernelView): number[] {
  const {
    total,
    free,
    resv,
    surplus,
    max,
    overcommit,
    freeList,
    restore,
    unmovable,
    maps,
    vmas,
    files,
    subpools,
    charged,
  } = hugetlb;
  const numbers = [total, free, resv, surplus, max, overcommit, freeList.length, ...freeList];
  numbers.push(restore.length, ...restore, maps.length);
  for (const map of maps)
    if (map !== null) numbers.push(map.id, map.inode, map.refs, map.regions.length, ...map.regions);
  for (const { mm, start, map, flags, reserved } of vmas) numbers.push(mm, start, map, flags, reserved);
  // No address space is below 0.
  if (files.length > 0) numbers.push(-1);
  for (const { inode, sb, seals, mode } of files) numbers.push(inode, sb, seals, mode);
  if (subpools.length > 0) numbers.push(-2, subpools.length);
  for (const { name, max: most, min, used, rsv } of subpools)
    numbers.push(most, min, used, rsv, name.length, ...Array.from(name, (letter) => letter.codePointAt(0) as number));
  if (unmovable.length > 0) numbers.push(-4, ...unmovable);
  if (charged.length > 0) numbers.push(-3);
  for (const { pfn, sb } of charged) numbers.push(pfn, sb);
  return numbers;
}
