// What was found broken: told once when it begins, and again only after it was mended.
import type { KernelView } from '../../reducers/state.js';
import type { OperationInfo } from '../projection.js';
import type { BrokenHistory } from './history.js';
import type { Finding, Invariant, Subject, Violation } from './invariant.js';
import { subjectText } from './invariant.js';

/** Violations kept with all they tell; the rest is counted. */
const KEPT = 1000;

const keyOf = (subject: Subject): string => Object.values(subject).join(' ');

export class Findings {
  readonly violations: Violation[] = [];
  /** All that were found, kept or not. */
  found = 0;
  /** Event at which checks happen now, and the operation that it belongs to. */
  event = 0;
  operation: OperationInfo | null = null;
  readonly #view: KernelView;
  readonly #history: BrokenHistory | null;
  /** Subjects, by their keys, for which each rule is broken and was not mended since. */
  readonly #open = new Map<Invariant, Map<string, Subject>>();

  /** `history`, if any, is told when a rule begins to be broken for a subject and when it ceases to be. */
  constructor(view: KernelView, history: BrokenHistory | null = null) {
    this.#view = view;
    this.#history = history;
  }

  /** Was any rule broken for a lasting subject? */
  get someOpen(): boolean {
    return this.#open.size > 0;
  }

  /** Must passing checks of this rule be told as well? */
  isOpen(invariant: Invariant): boolean {
    return this.#open.size > 0 && (this.#open.get(invariant)?.size ?? 0) > 0;
  }

  /** A rule was checked for a lasting subject. */
  checked(invariant: Invariant, subject: Subject, finding: Finding | null, cause: number): void {
    let open = this.#open.get(invariant);
    const key = keyOf(subject);
    if (finding === null) {
      if (open?.delete(key) === true) this.#history?.mended(invariant, key, this.event, this.operation);
      return;
    }
    if (open === undefined) this.#open.set(invariant, (open = new Map()));
    if (open.has(key)) return;
    open.set(key, subject);
    const violation = this.#add(invariant, subject, finding, cause);
    this.#history?.broken(invariant, key, violation);
  }

  /** What `which` says is of no subject any more: nothing is broken where nothing is. */
  gone(which: (subject: Subject) => boolean): void {
    for (const [invariant, open] of this.#open)
      for (const [key, subject] of open) {
        if (!which(subject)) continue;
        open.delete(key);
        this.#history?.mended(invariant, key, this.event, this.operation);
      }
  }

  /** A rule was broken by an event. */
  once(invariant: Invariant, subject: Subject, finding: Finding, cause: number): void {
    const violation = this.#add(invariant, subject, finding, cause);
    this.#history?.once(invariant, violation);
  }

  #add(invariant: Invariant, subject: Subject, { expected, found }: Finding, cause: number): Violation {
    const violation = {
      invariant: invariant.name,
      event: this.event,
      cause,
      operation: this.operation?.id ?? -1,
      line: this.operation?.line ?? 0,
      subject: subjectText(this.#view, subject),
      expected,
      found,
    };
    this.found++;
    if (this.violations.length < KEPT) this.violations.push(violation);
    return violation;
  }
}
