// Since when and until when each rule was broken: by subject, and over all subjects.
import type { OperationInfo } from '../projection.js';
import type { Invariant, Violation } from './invariant.js';

/** A rule broken for one subject, for a while. */
export interface BrokenSpell {
  readonly subject: string;
  readonly expected: string | number;
  readonly found: string | number;
  /** The event that broke it, with its operation and line. */
  readonly from: number;
  readonly operation: number;
  readonly line: number;
  /** The event that mended it or took the subject away; null if none did. For a rule on events the event itself. */
  readonly mendedBy: number | null;
  readonly mendedOperation: number | null;
  readonly mendedLine: number | null;
}

/** Events after each of which a rule held for all subjects, or did not for some. Both ends included. */
export interface HoldsInterval {
  readonly from: number;
  readonly to: number;
  readonly holds: boolean;
}

/** Spells kept with all they tell; intervals are exact however many there are. */
const KEPT = 1000;

/** [first, last] event after which a rule was broken; last null: it still is. */
type Span = [from: number, to: number | null];

/** What is known of one rule. */
interface Book {
  readonly spells: { -readonly [K in keyof BrokenSpell]: BrokenSpell[K] }[];
  /** Index in `spells` by subject; -1 for one that is not kept. */
  readonly open: Map<string, number>;
  readonly spans: Span[];
  /** All spells, kept or not. */
  count: number;
}

/** Told by a checker what begins to be broken and ceases to be. */
export class BrokenHistory {
  readonly #books = new Map<Invariant, Book>();

  /** The rule is broken for the subject `key` from `violation.cause` on. */
  broken(invariant: Invariant, key: string, violation: Violation): void {
    const book = this.#book(invariant);
    const kept = this.#add(book, violation, null);
    const last = book.spans.at(-1);
    if (book.open.size > 0 && last !== undefined) last[0] = Math.min(last[0], violation.cause);
    else book.spans.push([violation.cause, null]);
    book.open.set(key, kept);
  }

  /** A rule on events was broken by one. */
  once(invariant: Invariant, violation: Violation): void {
    const book = this.#book(invariant);
    this.#add(book, violation, violation.cause);
    const span: Span = [violation.cause, violation.cause];
    // A spell that is still open stays the last.
    if (book.open.size > 0) book.spans.splice(-1, 0, span);
    else book.spans.push(span);
  }

  /** It is broken for `key` no more, since `event`. */
  mended(invariant: Invariant, key: string, event: number, operation: OperationInfo | null): void {
    const book = this.#book(invariant);
    const index = book.open.get(key);
    if (index === undefined) return;
    book.open.delete(key);
    const spell = book.spells[index];
    if (spell !== undefined) {
      spell.mendedBy = event;
      spell.mendedOperation = operation?.id ?? -1;
      spell.mendedLine = operation?.line ?? 0;
    }
    const last = book.spans.at(-1);
    // Mended by the event that broke it: there is no event after which it was broken.
    if (book.open.size === 0 && last !== undefined) last[1] = event - 1;
  }

  /** How often `invariant` was broken, for any subject. */
  count(invariant: Invariant): number {
    return this.#books.get(invariant)?.count ?? 0;
  }

  /** The spells of `invariant` in the order in which they were found; no more than a thousand. */
  spells(invariant: Invariant): readonly BrokenSpell[] {
    return this.#books.get(invariant)?.spells ?? [];
  }

  /** All events from `first` to before `end`, by whether `invariant` held after them. */
  intervals(invariant: Invariant, first: number, end: number): readonly HoldsInterval[] {
    const found: HoldsInterval[] = [];
    let at = first;
    const spans = (this.#books.get(invariant)?.spans ?? []).map(([from, to]) => [from, to ?? end - 1] as const);
    for (const [from, to] of spans.filter(([from, to]) => from <= to).toSorted((a, b) => a[0] - b[0])) {
      if (to < at) continue;
      if (from > at) found.push({ from: at, to: from - 1, holds: true });
      const before = found.at(-1);
      const start = Math.max(from, at);
      if (before?.holds === false) found[found.length - 1] = { ...before, to };
      else found.push({ from: start, to, holds: false });
      at = to + 1;
    }
    if (at < end) found.push({ from: at, to: end - 1, holds: true });
    return found;
  }

  #add(book: Book, violation: Violation, mendedBy: number | null): number {
    const { subject, expected, found, cause, operation, line } = violation;
    const mended = mendedBy === null ? null : { operation, line };
    book.count++;
    if (book.spells.length >= KEPT) return -1;
    return (
      book.spells.push({
        ...{ subject, expected, found, from: cause, operation, line, mendedBy },
        mendedOperation: mended?.operation ?? null,
        mendedLine: mended?.line ?? null,
      }) - 1
    );
  }

  #book(invariant: Invariant): Book {
    let book = this.#books.get(invariant);
    if (book === undefined) this.#books.set(invariant, (book = { spells: [], open: new Map(), spans: [], count: 0 }));
    return book;
  }
}
