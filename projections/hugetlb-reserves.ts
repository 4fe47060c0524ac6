// Who has reserved what of the hugetlb pool: recomputed from mappings, reservation maps and page caches, never from the pool's counters.
import { HPAGE_RESV_OWNER, HPAGE_RESV_UNMAPPED } from '../reducers/hugetlb-state.js';
import { VM_HUGETLB, VM_MAYSHARE } from '../reducers/vma.js';
import { Facts } from './facts/facts.js';
import { factsOf } from './facts/from-state.js';
import { factHandlers } from './facts/handlers.js';
import { coveredPages } from './facts/hugetlb.js';
import type { VmaFacts } from './facts/vmas.js';
import type { StateProjection } from './projection.js';

const HUGE_PAGE = 2 * 1024 * 1024;
const PAGES = 512;

/** A mapping of hugetlbfs; numbers are huge pages. */
export interface HugetlbMapping {
  readonly mm: number;
  readonly start: number;
  readonly kind: 'shared' | 'owner' | 'private';
  readonly pages: number;
  /** Reserved by the mapping itself and not used up. */
  readonly outstanding: number;
  /** A page was taken away from it. */
  readonly unmapped: boolean;
}

/** A file of hugetlbfs; numbers are huge pages. */
export interface HugetlbFile {
  readonly inode: number;
  readonly name: string;
  /** Entries of its reservation map, and pages in its cache. */
  readonly entries: number;
  readonly cached: number;
  readonly outstanding: number;
}

/** A mount of hugetlbfs with bounds; numbers are huge pages, -1 for none. */
export interface HugetlbMount {
  readonly sb: number;
  readonly name: string;
  readonly max: number;
  readonly min: number;
  /** Pages of it that are there or promised to its files and mappings: what `used_hpages` must be, where it has a `max`. */
  readonly used: number;
  /** What is reserved for the mount itself: `rsv_hpages`. */
  readonly reserved: number;
}

export interface HugetlbReserves {
  readonly total: number;
  readonly free: number;
  /** What resv_huge_pages must be. */
  readonly reserved: number;
  /** Pages that give back a reservation when their last reference goes, which others have still. */
  readonly owed: number;
  readonly mappings: readonly HugetlbMapping[];
  readonly files: readonly HugetlbFile[];
  readonly mounts: readonly HugetlbMount[];
}

function mappingOf(facts: Facts, mm: number, { start, end, flags, pgoff }: VmaFacts): HugetlbMapping {
  const own = facts.hugetlb.vmaAt(mm, start);
  const pages = (end - start) / HUGE_PAGE;
  const isOwner = own !== undefined && (own.flags & HPAGE_RESV_OWNER) !== 0;
  const from = pgoff / PAGES;
  const map = own === undefined ? undefined : facts.hugetlb.maps.get(own.map);
  const unused = map === undefined ? (own?.reserved ?? 0) : pages - coveredPages(map.regions, from, from + pages);
  const kind = (flags & VM_MAYSHARE) !== 0 ? 'shared' : isOwner ? 'owner' : 'private';
  const unmapped = own !== undefined && (own.flags & HPAGE_RESV_UNMAPPED) !== 0;
  return { mm, start, kind, pages, outstanding: isOwner ? unused : 0, unmapped };
}

function filesOf({ hugetlb, inodes }: Facts): HugetlbFile[] {
  const files: HugetlbFile[] = [];
  for (const { inode, regions } of hugetlb.maps.values()) {
    const file = inodes.get(inode);
    if (inode === 0 || file === undefined) continue;
    const entries = coveredPages(regions, 0, Number.MAX_SAFE_INTEGER);
    const cached = Math.floor(file.pages.size / PAGES);
    files.push({ inode, name: file.name, entries, cached, outstanding: entries - cached });
  }
  return files.sort((a, b) => a.inode - b.inode);
}

function mountsOf(
  { hugetlb, vmas }: Facts,
  mappings: readonly HugetlbMapping[],
  files: readonly HugetlbFile[],
): HugetlbMount[] {
  return [...hugetlb.mounts].map(([sb, { name, max, min, rsv }]) => {
    let used = 0;
    // A page that owes its reservation is the mapping's again that reserved it.
    for (const [pfn, charged] of hugetlb.charged) if (charged === sb && !hugetlb.restore.has(pfn)) used++;
    for (const { inode, outstanding } of files) if (hugetlb.mountOf.get(inode) === sb) used += outstanding;
    for (const { mm, start, outstanding } of mappings)
      if (hugetlb.mountOf.get(vmas.at(mm, start)?.inode ?? 0) === sb) used += outstanding;
    return { sb, name, max, min, used, reserved: rsv };
  });
}

/** Who has reserved what. */
export function hugetlbReservesOf(facts: Facts): HugetlbReserves {
  const mappings: HugetlbMapping[] = [];
  for (const [mm, { list }] of facts.vmas.mms)
    for (const vma of list) if ((vma.flags & VM_HUGETLB) !== 0) mappings.push(mappingOf(facts, mm, vma));
  mappings.sort((a, b) => a.mm - b.mm || a.start - b.start);
  const files = filesOf(facts);
  const { pages, free, restore } = facts.hugetlb;
  const mounts = mountsOf(facts, mappings, files);
  const sum = (list: readonly number[]): number => list.reduce((before, each) => before + each, 0);
  const promised = [...mappings, ...files].map(({ outstanding }) => outstanding);
  const reserved = sum(promised) + sum(mounts.map((mount) => mount.reserved)) - restore.size;
  return { total: pages.size, free: free.size, reserved, owed: restore.size, mappings, files, mounts };
}

/** The pool's reservations, to be compared with its counters (invariant `hugetlb-resv-sum`). */
export const hugetlbReserves: StateProjection<Facts> = {
  name: 'hugetlb-reserves',
  init: () => new Facts(),
  on: factHandlers,
  fromState: factsOf,
  read: hugetlbReservesOf,
};
