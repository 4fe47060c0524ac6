// The hugetlb pool, reservation maps and who was promised pages, from their events alone: no counter of the pool is read or believed.
import { HPAGE_RESV_OWNER } from '../../reducers/hugetlb-state.js';
import type { KernelView } from '../../reducers/state.js';
import { PG_HUGETLB, SECTION } from '../../reducers/state.js';
import { VM_HUGETLB, VM_MAYSHARE, VM_NORESERVE } from '../../reducers/vma.js';

/** Pages of 4 KiB in a page of the pool. */
const PAGES = 512;

/** A reservation map. */
export interface ResvMapFacts {
  /** File that it belongs to, 0 for a private mapping's. */
  readonly inode: number;
  /** [from, to)*, in huge pages. */
  regions: readonly number[];
}

/** What stands in a private mapping. */
export interface HugetlbVmaFacts {
  readonly mm: number;
  readonly start: number;
  readonly map: number;
  readonly flags: number;
  readonly reserved: number;
}

/** Huge pages of [from, to) in the regions [from, to)*. */
export function coveredPages(regions: readonly number[], from: number, to: number): number {
  let sum = 0;
  for (let i = 0; i + 1 < regions.length; i += 2)
    sum += Math.max(0, Math.min(regions[i + 1] as number, to) - Math.max(regions[i] as number, from));
  return sum;
}

const placeOf = (mm: number, start: number): string => `${mm} ${start}`;

/** A mount of hugetlbfs. */
export interface MountFacts {
  readonly name: string;
  /** Its bounds in pages, -1 for none. */
  readonly max: number;
  readonly min: number;
  /** What it has reserved for itself, and nothing of it has taken yet. */
  rsv: number;
}

export class HugetlbFacts {
  /** Pages of the pool, by their first frame. */
  readonly pages = new Set<number>();
  /** Those on the free list. */
  readonly free = new Set<number>();
  /** Those whose last reference will give back a reservation. */
  readonly restore = new Set<number>();
  readonly maps = new Map<number, ResvMapFacts>();
  readonly #vmas = new Map<string, HugetlbVmaFacts>();
  /** Mounts by number; those that are gone are not there. */
  readonly mounts = new Map<number, MountFacts>();
  /** The mount that a file lies in. */
  readonly mountOf = new Map<number, number>();
  /** Pages that count for a mount. */
  readonly charged = new Map<number, number>();
  /** Address spaces that a task has: what is mapped in them from then on was not copied by fork. */
  readonly #begun = new Set<number>();
  /** Private mappings whose maker did not do without a promise. */
  readonly #promised = new Set<string>();

  /** Whatever stands in private mappings, in the order in which it came. */
  get vmas(): readonly HugetlbVmaFacts[] {
    return [...this.#vmas.values()];
  }

  setVma(now: HugetlbVmaFacts): void {
    const { mm, start, map, flags, reserved } = now;
    if (map === 0 && flags === 0 && reserved === 0) this.#vmas.delete(placeOf(mm, start));
    else this.#vmas.set(placeOf(mm, start), { mm, start, map, flags, reserved });
  }

  vmaAt(mm: number, start: number): HugetlbVmaFacts | undefined {
    return this.#vmas.get(placeOf(mm, start));
  }

  /** A task has address space `mm`; numbers are not used again. */
  begin(mm: number): void {
    this.#begun.add(mm);
  }

  /** A mapping came. */
  mapped(mm: number, start: number, flags: number): void {
    const promised = (flags & (VM_HUGETLB | VM_NORESERVE | VM_MAYSHARE)) === VM_HUGETLB && this.#begun.has(mm);
    if (promised) this.#promised.add(placeOf(mm, start));
  }
  split(mm: number, start: number, at: number): void {
    if (this.isPromised(mm, start)) this.#promised.add(placeOf(mm, at));
  }
  unmapped(mm: number, start: number): void {
    if (this.#promised.size > 0) this.#promised.delete(placeOf(mm, start));
  }

  /** Did who made the private mapping at `start` want pages for all of it? */
  isPromised(mm: number, start: number): boolean {
    return this.#promised.size > 0 && this.#promised.has(placeOf(mm, start));
  }

  /** The map of file `inode`. */
  mapOf(inode: number): ResvMapFacts | undefined {
    for (const map of this.maps.values()) if (map.inode === inode) return map;
    return undefined;
  }

  /** Private mappings that share map `id`. */
  sharers(id: number): number {
    let count = 0;
    for (const { map } of this.#vmas.values()) if (map === id) count++;
    return count;
  }

  /** Takes in all that stands in `state`. */
  read({ hugetlb, memMap, mms, tasks }: KernelView): void {
    for (const [s, section] of memMap.entries())
      for (let i = 0; i < section.length; i++) {
        const pfn = s * SECTION + i;
        if (pfn % PAGES === 0 && (section[i]!.flags & PG_HUGETLB) !== 0) this.pages.add(pfn);
      }
    for (const pfn of hugetlb.freeList) this.free.add(pfn);
    for (const pfn of hugetlb.restore) this.restore.add(pfn);
    for (const map of hugetlb.maps)
      if (map !== null) this.maps.set(map.id, { inode: map.inode, regions: [...map.regions] });
    for (const { inode, sb } of hugetlb.files) this.mountOf.set(inode, sb);
    for (const [sb, { name, max, min, rsv }] of hugetlb.subpools.entries())
      if (name !== '') this.mounts.set(sb, { name, max, min, rsv });
    for (const { pfn, sb } of hugetlb.charged) this.charged.set(pfn, sb);
    for (const vma of hugetlb.vmas) {
      this.setVma(vma);
      // Of what was before nothing else is known.
      if ((vma.flags & HPAGE_RESV_OWNER) !== 0) this.#promised.add(placeOf(vma.mm, vma.start));
    }
    for (const task of Object.values(tasks)) if (mms[task.mm]) this.begin(task.mm);
  }
}
