// What is known of each frame without any counter: what it is, and how many of each kind of holder lead to it.
import { folioStart } from '../../reducers/state.js';

/** Kinds of frame, as the rss counters tell them apart; what is hugetlb's, anonymous or of a file, is in none of them. */
export const FrameKind = { file: 0, anon: 1, shmem: 2, hugetlb: 3 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export const FRAME_EXCLUSIVE = 1;
export const FRAME_DIRTY = 2;
export const FRAME_SWAPBACKED = 4;
/** A KSM page. */
export const FRAME_KSM = 8;

/** Frames beyond this are not believed in (128 GiB): a log may be made up. */
const FRAMES_MAX = 2 ** 25;
const FIRST_SIZE = 1024;

/** A longer copy. */
export const wider = (from: Int32Array, to: number): Int32Array<ArrayBuffer> => {
  const next = new Int32Array(to);
  next.set(from);
  return next;
};
const widerBytes = (from: Uint8Array, to: number): Uint8Array<ArrayBuffer> => {
  const next = new Uint8Array(to);
  next.set(from);
  return next;
};

/** One column per fact, by frame number. Read `mappers[pfn]` and the like only below `size`. */
export class FrameTable {
  size = 0;
  kind = new Uint8Array(FIRST_SIZE);
  flags = new Uint8Array(FIRST_SIZE);
  /** anon_vma of an anonymous page. */
  anonVma = new Int32Array(FIRST_SIZE);
  /** Present entries that lead to it, and those that are writable. */
  mappers = new Int32Array(FIRST_SIZE);
  writers = new Int32Array(FIRST_SIZE);
  /** Slots of the page cache, places in LRU batches, references waiting in gathers. */
  cached = new Int32Array(FIRST_SIZE);
  batched = new Int32Array(FIRST_SIZE);
  gathered = new Int32Array(FIRST_SIZE);
  /** References of pins, pipes and registered buffers, each with its bias. */
  held = new Int32Array(FIRST_SIZE);
  /** Huge entries among `mappers`. */
  leaves = new Int32Array(FIRST_SIZE);
  /** It is one of 2^order pages of a folio. */
  order = new Uint8Array(FIRST_SIZE);
  /** First of its mappings, as a node of Mappings plus one. */
  firstNode = new Int32Array(FIRST_SIZE);

  /** Makes room for `pfn`. False for a number that no frame can have. */
  has(pfn: number): boolean {
    if (pfn < this.size) return pfn >= 0;
    if (!(pfn < FRAMES_MAX)) return false;
    this.size = pfn + 1;
    if (pfn >= this.kind.length) this.#widen(Math.max(pfn + 1, this.kind.length * 2));
    return true;
  }

  /** First page of the folio that `pfn` belongs to. */
  head(pfn: number): number {
    return folioStart(pfn, this.order[pfn] ?? 0);
  }

  /**
   * All holders together: what the reference count should be, but for references that kernel code holds for a moment. The count of a large
   * folio is that of its first page; a huge entry has one reference.
   */
  holders(pfn: number): number {
    const order = this.order[pfn] as number;
    if (order === 0) return this.#ownHolders(pfn);
    if (pfn !== this.head(pfn)) return 0;
    let sum = this.leaves[pfn] as number;
    for (let page = pfn; page < Math.min(pfn + 2 ** order, this.size); page++)
      sum += this.#ownHolders(page) - (this.leaves[page] as number);
    return sum;
  }

  /** `_large_mapcount` of the folio that begins at `pfn`. */
  largeMapcount(pfn: number): number {
    let sum = this.leaves[pfn] as number;
    for (let page = pfn; page < Math.min(pfn + 2 ** (this.order[pfn] as number), this.size); page++)
      sum += (this.mappers[page] as number) - (this.leaves[page] as number);
    return sum;
  }

  #ownHolders(pfn: number): number {
    return (
      (this.mappers[pfn] as number) +
      (this.cached[pfn] as number) +
      (this.batched[pfn] as number) +
      (this.gathered[pfn] as number) +
      (this.held[pfn] as number)
    );
  }

  #widen(to: number): void {
    this.kind = widerBytes(this.kind, to);
    this.flags = widerBytes(this.flags, to);
    this.anonVma = wider(this.anonVma, to);
    this.mappers = wider(this.mappers, to);
    this.writers = wider(this.writers, to);
    this.cached = wider(this.cached, to);
    this.batched = wider(this.batched, to);
    this.gathered = wider(this.gathered, to);
    this.held = wider(this.held, to);
    this.leaves = wider(this.leaves, to);
    this.order = widerBytes(this.order, to);
    this.firstNode = wider(this.firstNode, to);
  }
}
