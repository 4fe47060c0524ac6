// What was found broken: told once when it begins, and again only after it was mended.
import type { KernelView } from '../../reducers/state.js';
import type { OperationInfo } from '../projection.js';
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
  /** Subjects for which each rule is broken and was not mended since. */
  readonly #open = new Map<Invariant, Set<string>>();

  constructor(view: KernelView) {
    this.#view = view;
  }

  /** Is any rule broken for any subject? */
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
      open?.delete(key);
      return;
    }
    if (open === undefined) this.#open.set(invariant, (open = new Set()));
    if (open.has(key)) return;
    open.add(key);
    this.add(invariant, subject, finding, cause);
  }

  /** A rule was broken. */
  add(invariant: Invariant, subject: Subject, { expected, found }: Finding, cause: number): void {
    this.found++;
    if (this.violations.length >= KEPT) return;
    this.violations.push({
      invariant: invariant.name,
      event: this.event,
      cause,
      operation: this.operation?.id ?? -1,
      line: this.operation?.line ?? 0,
      subject: subjectText(this.#view, subject),
      expected,
      found,
    });
  }
}
