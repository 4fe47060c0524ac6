// What events touched since a moment: which objects may differ from what they were then. The digest visits every subject
// that an event names; it tells them here on its way, so that a keyframe can hold what changed and nothing else.
import type { KernelView } from './state.js';

/** Entries of one page table, a bit each. */
export type TableBits = Uint32Array;

/** Slots of the cache in front of the maps; neighbouring events name few tables. */
const CACHE = 1024;

/** Objects by kind. May name more than what changed, never less. */
export class Touched {
  readonly tids = new Set<number>();
  /** Task groups whose descriptors changed. */
  readonly tgids = new Set<number>();
  readonly mms = new Set<number>();
  readonly anonVmas = new Set<number>();
  readonly inodes = new Set<number>();
  /** Names that inodes were given. */
  readonly names = new Set<string>();
  readonly #tables = new Map<number, Map<number, TableBits>>();
  /** Address spaces of which a page table may have been dropped and made anew: its entries went without being named. */
  readonly #remade = new Set<number>();
  readonly #leaves = new Map<number, Set<number>>();
  #frames = new Uint8Array(1024);
  /** Frames that there were at the beginning; all that came since are new. */
  #knownFrames = 0;

  readonly #cacheMm = new Int32Array(CACHE).fill(-1);
  readonly #cacheTable = new Float64Array(CACHE);
  readonly #cacheBits: TableBits[] = [];

  /** One byte for each frame, not 0 where it was touched; room for all of `state`. */
  framesOf(state: KernelView): Uint8Array {
    if (this.#frames.length < state.maxPfn) {
      const wider = new Uint8Array(2 * state.maxPfn);
      wider.set(this.#frames);
      this.#frames = wider;
    }
    return this.#frames;
  }

  /** Where the entries touched in table `number` of `mm` are noted; a table has 512 pages. */
  bits(mm: number, number: number): TableBits {
    const slot = (number ^ (mm << 4)) & (CACHE - 1);
    if (this.#cacheMm[slot] === mm && this.#cacheTable[slot] === number) return this.#cacheBits[slot] as TableBits;
    let tables = this.#tables.get(mm);
    if (tables === undefined) this.#tables.set(mm, (tables = new Map()));
    let bits = tables.get(number);
    if (bits === undefined) tables.set(number, (bits = new Uint32Array(16)));
    this.#cacheMm[slot] = mm;
    this.#cacheTable[slot] = number;
    this.#cacheBits[slot] = bits;
    return bits;
  }

  /** Page tables of `mm` were dropped, or it is another address space under the same number. */
  remade(mm: number): void {
    this.#remade.add(mm);
  }

  /** A slot of leaf `leaf` of an inode's pages. */
  leaf(inode: number, leaf: number): void {
    const leaves = this.#leaves.get(inode);
    if (leaves === undefined) this.#leaves.set(inode, new Set([leaf]));
    else leaves.add(leaf);
  }

  /** Leaves of an inode's pages that were touched. */
  leaves(inode: number): Iterable<number> {
    return ascending(this.#leaves.get(inode) ?? []);
  }

  /** Page tables of `mm` that were touched, with the entries; null: any of them. */
  *tables(mm: number): Iterable<readonly [number: number, entries: TableBits | null]> {
    const tables = this.#tables.get(mm);
    if (tables === undefined) return;
    const all = this.#remade.has(mm);
    for (const number of ascending(tables.keys())) yield [number, all ? null : (tables.get(number) as TableBits)];
  }

  /** The first touched frame from `pfn` on and before `end`; -1 for none. */
  nextFrame(pfn: number, end: number): number {
    if (pfn >= end) return -1;
    if (pfn >= this.#knownFrames) return pfn;
    const found = this.#frames.indexOf(1, pfn);
    if (found < 0 || found >= this.#knownFrames) return this.#knownFrames < end ? this.#knownFrames : -1;
    return found < end ? found : -1;
  }

  /** Forgets everything: from now on it notes what differs from `state`. */
  restart(state: KernelView): void {
    for (const set of [this.tids, this.tgids, this.mms, this.anonVmas, this.inodes, this.#remade]) set.clear();
    this.names.clear();
    this.#tables.clear();
    this.#leaves.clear();
    this.#cacheMm.fill(-1);
    const frames = this.framesOf(state).fill(0);
    this.#knownFrames = state.maxPfn;
    // The event that drains a batch does not name the frames in it.
    for (const { lruAdd, lruLazyfree, mlock } of state.cpus) {
      for (const pfn of lruAdd) if (pfn < state.maxPfn) frames[pfn] = 1;
      for (const pfn of lruLazyfree) if (pfn < state.maxPfn) frames[pfn] = 1;
      for (let i = 0; i < mlock.length; i += 2) if (mlock[i]! < state.maxPfn) frames[mlock[i]!] = 1;
    }
  }
}

/** `numbers` in ascending order, which makes small differences. */
export const ascending = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);
