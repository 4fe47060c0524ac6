// The books of counters: how far each is from what it counts, since which event, and whether that is explained when an operation ends.
import type { EventType, KernelEvent } from '../../events/index.js';
import { vmaPages } from '../../reducers/vma.js';
import type { Findings } from './findings.js';
import type { Audited, CounterInvariant, Subject } from './invariant.js';

type Counter = CounterInvariant['counters'][number];

interface Book {
  readonly invariant: CounterInvariant;
  readonly counter: Counter;
  /** By mm or file (0: the machine): how far the counter is above what it counts, if at all, and since which event. */
  readonly drifts: Map<number, { readonly drift: number; readonly since: number }>;
}

const subjectOf = ({ about }: CounterInvariant, { what }: Counter, id: number): Subject =>
  about === 'machine'
    ? { kind: 'machine', what }
    : about === 'inode'
      ? { kind: 'file', id, what }
      : { kind: 'mm', mm: id, what };

export class CounterBooks {
  readonly #audited: Audited;
  readonly #findings: Findings;
  readonly #books: readonly Book[];
  readonly #byType: Readonly<Partial<Record<EventType, readonly Book[]>>>;

  constructor(audited: Audited, invariants: readonly CounterInvariant[], findings: Findings) {
    this.#audited = audited;
    this.#findings = findings;
    this.#books = invariants.flatMap((invariant) =>
      invariant.counters.map((counter) => ({ invariant, counter, drifts: new Map() })),
    );
    const byType: Partial<Record<EventType, Book[]>> = {};
    for (const book of this.#books) for (const type of book.invariant.changedBy) (byType[type] ??= []).push(book);
    this.#byType = byType;
  }

  /** Event `number` was folded. */
  note(event: KernelEvent, number: number): void {
    if (event.type === 'MmFreed') return this.#forget(event.mm);
    const books = this.#byType[event.type];
    if (books === undefined) return;
    for (let i = 0; i < books.length; i++) {
      const book = books[i] as Book;
      const { about } = book.invariant;
      if (about === 'machine') this.#compare(book, 0, number);
      else if (about === 'inode') {
        if ('inode' in event) this.#compare(book, event.inode, number);
      } else if ('mm' in event) {
        this.#compare(book, event.mm, number);
        if ('child' in event) this.#compare(book, event.child, number);
      }
    }
  }

  /** Compares all counters of something: an address space, a file, or (0) the machine. */
  whole(about: CounterInvariant['about'], id: number, number: number): void {
    for (const book of this.#books) if (book.invariant.about === about) this.#compare(book, id, number);
  }

  #compare(book: Book, mm: number, number: number): void {
    const { view, facts } = this.#audited;
    const drift = book.counter.counter(view, view.mms[mm] ?? null, mm) - book.counter.truth(facts, mm);
    const { drifts } = book;
    if (drift === 0) {
      const mended = drifts.size > 0 && drifts.delete(mm);
      if (mended && this.#findings.isOpen(book.invariant))
        this.#findings.checked(book.invariant, subjectOf(book.invariant, book.counter, mm), null, number);
      return;
    }
    if (drifts.get(mm)?.drift !== drift) drifts.set(mm, { drift, since: number });
  }

  /** No operation is under way: what a counter is off by must be explained. */
  atRest(): void {
    const { view, facts } = this.#audited;
    for (const { invariant, counter, drifts } of this.#books)
      for (const [mm, { drift, since }] of drifts) {
        const explained = invariant.name === 'rss-equals-ptes' && drift === this.#argPages(mm, counter);
        const truth = counter.truth(facts, mm);
        const subject = subjectOf(invariant, counter, mm);
        const finding = { expected: truth, found: counter.counter(view, view.mms[mm] ?? null, mm) };
        this.#findings.checked(invariant, subject, explained ? null : finding, since);
      }
  }

  /** `acct_arg_size()`: until execve succeeds its caller is charged for the arguments of the new program. */
  #argPages(mm: number, counter: Counter): number {
    if (counter.what !== 'rss_anon') return 0;
    const { view } = this.#audited;
    let pages = 0;
    for (const task of Object.values(view.tasks)) {
      const pending = task.mm === mm && task.execMm !== 0 ? view.mms[task.execMm] : null;
      for (const vma of pending?.vmas ?? []) pages += vmaPages(vma);
    }
    return pages;
  }

  #forget(mm: number): void {
    for (const { drifts, invariant } of this.#books) if (drifts.size > 0 && invariant.about === 'mm') drifts.delete(mm);
  }
}
