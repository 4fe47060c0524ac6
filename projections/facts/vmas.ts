// VMAs of all address spaces, folded from events, and what they add up to.
import { VM_ACCOUNT, VM_EXEC, VM_GROWSDOWN, VM_LOCKED, VM_SHARED, VM_WRITE } from '../../reducers/vma.js';

/** A mapping: [start, end) in bytes. */
export interface VmaFacts {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly pgoff: number;
  readonly inode: number;
  readonly anonVma: number;
  readonly chain: readonly number[];
  /** Context of userfaultfd that watches it. */
  readonly uffd?: number;
}

/** Pages of VMAs by what they count in. */
export interface VmaSums {
  total: number;
  data: number;
  stack: number;
  exec: number;
  locked: number;
  committed: number;
}

export const noSums = (): VmaSums => ({ total: 0, data: 0, stack: 0, exec: 0, locked: 0, committed: 0 });

function addTo(sums: VmaSums, { start, end, flags }: VmaFacts, sign: 1 | -1): void {
  const pages = (sign * (end - start)) / 4096;
  sums.total += pages;
  if ((flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) === VM_EXEC) sums.exec += pages;
  if ((flags & VM_GROWSDOWN) !== 0) sums.stack += pages;
  if ((flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE) sums.data += pages;
  if ((flags & VM_LOCKED) !== 0) sums.locked += pages;
  if ((flags & VM_ACCOUNT) !== 0) sums.committed += pages;
}

/** The VMAs of one address space. */
export interface MmVmas {
  /** Sorted by start. */
  readonly list: VmaFacts[];
  readonly sums: VmaSums;
}

export class Vmas {
  readonly mms = new Map<number, MmVmas>();
  /** VMAs whose chain holds each anon_vma. */
  readonly links = new Map<number, number>();
  /** Pages charged against the commit limit. */
  committed = 0;

  create(mm: number): void {
    this.drop(mm);
    this.mms.set(mm, { list: [], sums: noSums() });
  }

  drop(mm: number): void {
    const gone = this.mms.get(mm);
    if (gone === undefined) return;
    for (const vma of gone.list) this.#count(gone, vma, -1);
    this.mms.delete(mm);
  }

  /** Index of the first VMA that ends above `addr`. */
  static index(list: readonly VmaFacts[], addr: number): number {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if ((list[mid] as VmaFacts).end > addr) high = mid;
      else low = mid + 1;
    }
    return low;
  }

  /** The VMA that contains `addr`. */
  at(mm: number, addr: number): VmaFacts | undefined {
    const list = this.mms.get(mm)?.list;
    const vma = list?.[Vmas.index(list, addr)];
    return vma !== undefined && vma.start <= addr ? vma : undefined;
  }

  insert(mm: number, vma: VmaFacts): void {
    const space = this.mms.get(mm);
    if (space === undefined) return;
    space.list.splice(Vmas.index(space.list, vma.start), 0, vma);
    this.#count(space, vma, 1);
  }

  /** Puts `made` in the place of the VMA that starts at `start` and of `more` VMAs behind it. */
  replace(mm: number, start: number, more: number, made: (old: VmaFacts) => readonly VmaFacts[]): void {
    const space = this.mms.get(mm);
    if (space === undefined) return;
    const at = Vmas.index(space.list, start);
    const old = space.list[at];
    if (old === undefined || old.start !== start) return;
    const now = made(old);
    for (const gone of space.list.splice(at, 1 + more, ...now)) this.#count(space, gone, -1);
    for (const vma of now) this.#count(space, vma, 1);
  }

  /** The VMA that starts at `start`, and the one right behind it. */
  pair(mm: number, start: number): readonly [VmaFacts | undefined, VmaFacts | undefined] {
    const list = this.mms.get(mm)?.list ?? [];
    const at = Vmas.index(list, start);
    return list[at]?.start === start ? [list[at], list[at + 1]] : [undefined, undefined];
  }

  #count(space: MmVmas, vma: VmaFacts, sign: 1 | -1): void {
    const before = space.sums.committed;
    addTo(space.sums, vma, sign);
    this.committed += space.sums.committed - before;
    for (const each of vma.chain) this.links.set(each, (this.links.get(each) ?? 0) + sign);
  }
}
