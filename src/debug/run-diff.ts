// Two runs side by side, operation by operation: where they part, and which operations went otherwise.
import type { EventType, KernelEvent } from '../../events/index.js';
import { SHAPES } from '../../events/index.js';
import { sameEvent } from '../../replays/diverge.js';
import type { PlainOperation } from '../../replays/log/operation-codec.js';
import type { LogReader } from '../../replays/log/reader.js';
import { printOperation } from '../workload/text/print.js';
import { loggedOperation } from '../workload/logged.js';

/** An operation of a run, with what it did. */
export interface RunOperation {
  readonly id: number;
  readonly operation: PlainOperation;
  /** What came of it, as plain data. */
  readonly got: unknown;
  /** Number of its first event. */
  readonly firstEvent: number;
  readonly events: readonly KernelEvent[];
}

/** One side of a pair of operations that are not the same. */
export interface OperationOutcome {
  readonly id: number;
  readonly line: number;
  /** The operation as a line of a workload. */
  readonly call: string;
}

/** An operation of both runs that did other kinds of things, or ended otherwise. */
export interface Otherwise {
  readonly a: OperationOutcome;
  readonly b: OperationOutcome;
  /** Types of events on each side, without those that both begin with and those that both end with. */
  readonly typesA: readonly string[];
  readonly typesB: readonly string[];
  readonly gotA: unknown;
  readonly gotB: unknown;
}

/** The first event that is not the same in both, with its number on each side; null where a side has no more in this operation. */
export interface FirstDivergence {
  readonly a: OperationOutcome;
  readonly b: OperationOutcome;
  readonly eventA: number;
  readonly eventB: number;
  readonly was: KernelEvent | null;
  readonly now: KernelEvent | null;
}

/** How many events of a type each side has. */
export interface TypeCount {
  readonly type: EventType;
  readonly a: number;
  readonly b: number;
}

export interface RunDifference {
  /** Events of each side, and the types of which one has more, the largest difference first. */
  readonly events: { readonly a: number; readonly b: number };
  readonly counts: readonly TypeCount[];
  readonly divergence: FirstDivergence | null;
  readonly otherwise: readonly Otherwise[];
  readonly otherwiseCount: number;
  readonly onlyA: readonly OperationOutcome[];
  readonly onlyACount: number;
  readonly onlyB: readonly OperationOutcome[];
  readonly onlyBCount: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Of each list so many are kept, the rest is counted. */
const KEPT = 100;
/** How far ahead an operation is looked for in the other run. */
const WINDOW = 64;
/** Operations compared between two breaths. */
const BREATH = 1024;

/** The operations of a log. */
export function* loggedRun(reader: LogReader): Generator<RunOperation> {
  let first = 0;
  let events: readonly KernelEvent[] = [];
  for (const { id, got, firstEvent, events: n, ...operation } of reader.operations()) {
    const own: KernelEvent[] = [];
    for (let at = firstEvent; at < Math.min(firstEvent + n, reader.eventCount); at++) {
      if (at < first || at >= first + events.length) {
        const chunk = reader.chunkAt(at);
        ({ first } = chunk);
        events = chunk.events();
      }
      own.push(events[at - first] as KernelEvent);
    }
    yield { id, operation, got, firstEvent, events: own };
  }
}

/** Operations of a run with some read ahead. */
class Ahead {
  /** Events of the operations taken, by type. */
  readonly counts = new Map<EventType, number>();
  readonly #source: Iterator<RunOperation>;
  readonly #read: { readonly operation: RunOperation; readonly key: string }[] = [];

  constructor(source: Iterable<RunOperation>) {
    this.#source = source[Symbol.iterator]();
  }

  /** The operation `i` places ahead; null behind the end. */
  at(i: number): { readonly operation: RunOperation; readonly key: string } | null {
    while (this.#read.length <= i) {
      const next = this.#source.next();
      if (next.done === true) return null;
      this.#read.push({ operation: next.value, key: printOperation(loggedOperation(next.value.operation)) });
    }
    return this.#read[i] as { operation: RunOperation; key: string };
  }

  /** Goes on to the next operation. */
  take(): void {
    for (const { type } of this.#read.shift()?.operation.events ?? [])
      this.counts.set(type, (this.counts.get(type) ?? 0) + 1);
  }
}

/** How many operations to pass over on each side until both have the same one; the nearest such place. */
function resync(a: Ahead, b: Ahead): readonly [number, number] {
  for (let distance = 1; distance < WINDOW; distance++)
    for (let i = 0; i <= distance; i++) {
      const [left, right] = [a.at(i), b.at(distance - i)];
      if (left !== null && right !== null && left.key === right.key) return [i, distance - i];
    }
  return [a.at(0) === null ? 0 : 1, b.at(0) === null ? 0 : 1];
}

const outcomeOf = ({ id, operation }: RunOperation): OperationOutcome => ({
  id,
  line: operation.line,
  call: printOperation(loggedOperation(operation)),
});

class Comparison {
  readonly events = { a: 0, b: 0 };
  counts: readonly TypeCount[] = [];
  divergence: FirstDivergence | null = null;
  readonly otherwise: Otherwise[] = [];
  otherwiseCount = 0;
  readonly onlyA: OperationOutcome[] = [];
  onlyACount = 0;
  readonly onlyB: OperationOutcome[] = [];
  onlyBCount = 0;

  /** All operations were told: `a` and `b` are the events of each side by type. */
  finish(a: ReadonlyMap<EventType, number>, b: ReadonlyMap<EventType, number>): void {
    for (const n of a.values()) this.events.a += n;
    for (const n of b.values()) this.events.b += n;
    this.counts = [...new Set([...a.keys(), ...b.keys()])]
      .map((type) => ({ type, a: a.get(type) ?? 0, b: b.get(type) ?? 0 }))
      .filter((each) => each.a !== each.b)
      .sort((x, y) => Math.abs(y.a - y.b) - Math.abs(x.a - x.b) || (x.type < y.type ? -1 : 1));
  }

  only(side: 'A' | 'B', operation: RunOperation): void {
    if (side === 'A' ? this.onlyACount++ < KEPT : this.onlyBCount++ < KEPT)
      (side === 'A' ? this.onlyA : this.onlyB).push(outcomeOf(operation));
  }

  pair(left: RunOperation, right: RunOperation): void {
    const at = differenceAt(left.events, right.events);
    if (at >= 0 && this.divergence === null)
      this.divergence = {
        a: outcomeOf(left),
        b: outcomeOf(right),
        eventA: left.firstEvent + at,
        eventB: right.firstEvent + at,
        was: left.events[at] ?? null,
        now: right.events[at] ?? null,
      };
    const [typesA, typesB] = apart(
      left.events.map(({ type }) => type),
      right.events.map(({ type }) => type),
    );
    const sameEnd = JSON.stringify(left.got) === JSON.stringify(right.got);
    if (typesA.length === 0 && typesB.length === 0 && sameEnd) return;
    if (this.otherwiseCount++ >= KEPT) return;
    this.otherwise.push({
      a: outcomeOf(left),
      b: outcomeOf(right),
      typesA,
      typesB,
      gotA: left.got,
      gotB: right.got,
    });
  }
}

/** Index of the first event that is not the same; -1 if all are. */
function differenceAt(a: readonly KernelEvent[], b: readonly KernelEvent[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [left, right] = [a[i], b[i]];
    if (left === undefined || right === undefined || !sameEvent(left, right)) return i;
  }
  return -1;
}

/** Two lists without what both begin and end with. */
function apart(a: readonly string[], b: readonly string[]): [readonly string[], readonly string[]] {
  let begin = 0;
  while (begin < a.length && begin < b.length && a[begin] === b[begin]) begin++;
  let end = 0;
  while (end < a.length - begin && end < b.length - begin && a.at(-1 - end) === b.at(-1 - end)) end++;
  return [a.slice(begin, a.length - end), b.slice(begin, b.length - end)];
}

/** Compares two runs, each read once. */
export async function compareRuns(
  a: Iterable<RunOperation>,
  b: Iterable<RunOperation>,
  breathe: () => Promise<void>,
): Promise<RunDifference> {
  const [left, right] = [new Ahead(a), new Ahead(b)];
  const comparison = new Comparison();
  for (let compared = 0; ; compared++) {
    const [x, y] = [left.at(0), right.at(0)];
    if (x === null && y === null) break;
    if (x !== null && y !== null && x.key === y.key) {
      comparison.pair(x.operation, y.operation);
      left.take();
      right.take();
    } else {
      const [skipA, skipB] = resync(left, right);
      for (let i = 0; i < skipA; i++) {
        comparison.only('A', left.at(0)!.operation);
        left.take();
      }
      for (let i = 0; i < skipB; i++) {
        comparison.only('B', right.at(0)!.operation);
        right.take();
      }
    }
    if (compared % BREATH === BREATH - 1) await breathe();
  }
  comparison.finish(left.counts, right.counts);
  return comparison;
}

/** Are the runs the same, event by event? */
export const isSame = ({ divergence, otherwiseCount, onlyACount, onlyBCount }: RunDifference): boolean =>
  divergence === null && otherwiseCount + onlyACount + onlyBCount === 0;

/** Names of the fields in which two events of one type differ; null if the types do. */
export function fieldsApart(was: KernelEvent, now: KernelEvent): ReadonlySet<string> | null {
  if (was.type !== now.type) return null;
  const [x, y] = [was, now] as unknown as readonly [Fields, Fields];
  const names = Object.keys(SHAPES[was.type].fields);
  return new Set(names.filter((name) => JSON.stringify(x[name]) !== JSON.stringify(y[name])));
}
