// Running the rules on frames: each frame that an event concerns is looked at once, after it.
import type { KernelEvent } from '../../events/index.js';
import type { PageView } from '../../reducers/state.js';
import { PG_ANON, PG_ANON_EXCLUSIVE, PG_FREE, folioStart, isKsm } from '../../reducers/state.js';
import { REFCOUNT_ACCOUNTED, REF_LOWER_BOUND } from './catalogue.js';
import type { Findings } from './findings.js';
import type { Audited, FrameInvariant, Invariant } from './invariant.js';
import { References } from './references.js';

export class FrameChecks {
  readonly #audited: Audited;
  readonly #rules: readonly FrameInvariant[];
  readonly #findings: Findings;
  readonly #references: References;
  readonly #lowerBound: boolean;
  readonly #exact: boolean;
  /** Event (plus one) that last looked at each frame. */
  #stamp = new Float64Array(1024);
  #number = 0;

  constructor(audited: Audited, invariants: readonly Invariant[], findings: Findings) {
    this.#audited = audited;
    this.#rules = invariants.filter((each) => each.about === 'frame');
    this.#findings = findings;
    this.#references = new References(audited.facts.frames, audited.view);
    this.#lowerBound = invariants.includes(REF_LOWER_BOUND);
    this.#exact = invariants.includes(REFCOUNT_ACCOUNTED);
  }

  /** Event `number` was folded; the frames it concerns come next. */
  begin(event: KernelEvent, number: number): void {
    this.#number = number;
    this.#references.note(event, number);
  }

  /** Looks at frame `pfn`, unless this event did already. */
  readonly one = (pfn: number): void => {
    if (pfn >= this.#stamp.length && !this.#widen(pfn)) return;
    const stamp = this.#number + 1;
    if (this.#stamp[pfn] === stamp) return;
    this.#stamp[pfn] = stamp;
    const page = this.#page(pfn);
    if (page === null) return;
    this.#check(pfn, page);
    // What one of its pages meets a large folio's count shows.
    if (page.order !== 0) this.one(folioStart(pfn, page.order));
  };

  /** Looks at the frames below `end`, as if event `number` had concerned them all. */
  whole(end: number, number: number): void {
    this.#number = number;
    for (let pfn = 0; pfn < end; pfn++) this.one(pfn);
  }

  /** No operation is under way. */
  atRest(): void {
    this.#references.atRest(
      (pfn) => this.#page(pfn),
      (pfn, error) => {
        if (this.#exact && (error !== null || this.#findings.isOpen(REFCOUNT_ACCOUNTED)))
          this.#findings.checked(REFCOUNT_ACCOUNTED, { kind: 'frame', pfn }, error, error?.event ?? this.#number);
      },
    );
  }

  #check(pfn: number, page: PageView): void {
    const free = (page.flags & PG_FREE) !== 0;
    const findings = this.#findings;
    if (free || this.#remarkable(pfn, page) || findings.someOpen) {
      for (const rule of this.#rules) {
        const finding = rule.check(pfn, page, free, this.#audited);
        if (finding !== null || findings.isOpen(rule))
          findings.checked(rule, { kind: 'frame', pfn }, finding, this.#number);
      }
    }
    const error = this.#references.compare(pfn, page, this.#number);
    if (this.#lowerBound && (error !== null || findings.isOpen(REF_LOWER_BOUND)))
      findings.checked(REF_LOWER_BOUND, { kind: 'frame', pfn }, error, this.#number);
  }

  /** False for a frame in use of which no rule can say anything: most of them, so that the rules are asked for few. */
  #remarkable(pfn: number, page: PageView): boolean {
    const { frames } = this.#audited.facts;
    const mappers = frames.mappers[pfn] as number;
    if (
      page.mapcount !== mappers ||
      frames.batched[pfn]! > 1 ||
      (frames.cached[pfn] !== 0 && (page.flags & PG_ANON) !== 0)
    )
      return true;
    if (isKsm(page)) return true;
    if (page.order !== 0 && (page.flags & PG_ANON_EXCLUSIVE) !== 0 && frames.leaves[pfn] !== 0) return true;
    return mappers > 1 && ((page.flags & PG_ANON_EXCLUSIVE) !== 0 || frames.writers[pfn] !== 0);
  }

  #page(pfn: number): PageView | null {
    return this.#audited.view.memMap[pfn >>> 8]?.[pfn & 255] ?? null;
  }

  #widen(pfn: number): boolean {
    const { frames } = this.#audited.facts;
    if (!frames.has(pfn)) return false;
    const wide = new Float64Array(frames.kind.length);
    wide.set(this.#stamp);
    this.#stamp = wide;
    return true;
  }
}
