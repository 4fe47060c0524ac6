// A light picture of one address space: what is mapped where, as far as choosing the next operation needs it.
import { ARENA_END, PAGE } from './places.js';

/** A file or memory object. `bytes` changes with its size. */
export interface Backing {
  readonly kind: 'file' | 'memfd';
  bytes: number;
  /** Up to here no page of a file is absent from the cache: reading beyond brings in more than is asked for. */
  dense: number;
  /** Its last page may be one that reclaim found dirty: what comes to lie behind it would be read ahead. */
  marked?: boolean;
  /** Of the hugetlb pool: other areas leave it alone. */
  readonly pool?: boolean;
}

/** A stretch of addresses with one origin. */
export interface Mapped {
  readonly start: number;
  readonly end: number;
  /** PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4. */
  readonly prot: number;
  readonly shared: boolean;
  /** May it become writable? A shared mapping of a read-only descriptor may not. */
  readonly mayWrite: boolean;
  /** Null: anonymous. */
  readonly backing: Backing | null;
  /** Byte of the backing at `start`. */
  readonly offset: number;
  readonly locked: boolean;
  readonly growsDown: boolean;
}

/** What is mapped, sorted by address, without overlaps. Neighbours are not merged. */
export class Space {
  #mapped: readonly Mapped[];

  constructor(mapped: readonly Mapped[] = []) {
    this.#mapped = mapped;
  }

  get mapped(): readonly Mapped[] {
    return this.#mapped;
  }

  /** The child's address space after a fork: locks are not inherited. */
  copy(): Space {
    return new Space(this.#mapped.map((each) => ({ ...each, locked: false })));
  }

  /** Replaces whatever was in the range. */
  map(piece: Mapped): void {
    this.unmap(piece.start, piece.end);
    this.#mapped = [...this.#mapped, piece].sort((a, b) => a.start - b.start);
  }

  unmap(start: number, end: number): void {
    this.#mapped = this.#mapped.flatMap((each) =>
      each.end <= start || each.start >= end ? [each] : [...cut(each, each.start, start), ...cut(each, end, each.end)],
    );
  }

  /** Changes what is mapped in [start, end). */
  change(start: number, end: number, how: Partial<Pick<Mapped, 'prot' | 'locked'>>): void {
    const inside = this.within(start, end).map((each) => ({ ...each, ...how }));
    this.unmap(start, end);
    this.#mapped = [...this.#mapped, ...inside].sort((a, b) => a.start - b.start);
  }

  /** What lies in [start, end), cut to it. */
  within(start: number, end: number): readonly Mapped[] {
    return this.#mapped.flatMap((each) => cut(each, start, end));
  }

  at(addr: number): Mapped | undefined {
    return this.#mapped.find((each) => each.start <= addr && addr < each.end);
  }

  isFree(start: number, end: number): boolean {
    return this.within(start, end).length === 0;
  }

  /** Is every byte of [start, end) mapped? */
  isCovered(start: number, end: number): boolean {
    return this.within(start, end).reduce((sum, each) => sum + each.end - each.start, 0) === end - start;
  }

  /** Where the kernel puts `length` bytes that nobody gave a place: the highest gap. */
  topDown(length: number): number {
    let ceiling = ARENA_END;
    for (const { start, end } of this.#mapped.toReversed()) {
      if (ceiling - end >= length) break;
      ceiling = start;
    }
    return ceiling - length;
  }

  /** Moves or copies [from, from + length) to `to`, replacing what is there. */
  move(from: number, length: number, to: number, keepsOld: boolean): void {
    const moved = this.within(from, from + length);
    if (!keepsOld) this.unmap(from, from + length);
    for (const each of moved) this.map({ ...each, start: each.start - from + to, end: each.end - from + to });
  }
}

/** The part of a mapping inside [start, end), if there is any. */
function cut(each: Mapped, start: number, end: number): Mapped[] {
  const from = Math.max(each.start, start);
  const to = Math.min(each.end, end);
  return from < to ? [{ ...each, start: from, end: to, offset: each.offset + from - each.start }] : [];
}

/** End of what can be touched without SIGBUS: the file's last page. */
export const accessibleEnd = ({ start, end, backing, offset }: Mapped): number =>
  backing === null ? end : Math.min(end, start + Math.max(0, Math.ceil(backing.bytes / PAGE) * PAGE - offset));
