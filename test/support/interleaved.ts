// One parallel block of a workload, done in the order that its schedule gives: kernel threads stand at their points in turn.
//
// A thread that waits for mmap_lock, or for the lock of a folio, is passed over until nobody has it; locks of page tables are free, since no schedule here stops inside of one.
import { invariantsFor } from '../../projections/invariants/catalogue.js';
import { Checker } from '../../projections/invariants/checker.js';
import { check } from '../../projections/query/check.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Got } from '../../src/kernel/call.js';
import type { Kernel, KernelThread, Step } from '../../src/kernel/kernel.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { runCall } from '../../src/kernel/syscall.js';
import { Run } from '../../src/sched/run.js';
import type { RunListener } from '../../src/sched/run.js';
import type { Operation, Value } from '../../src/workload/operation.js';
import { isNameRef } from '../../src/workload/operation.js';
import { parseWorkload, type WorkloadOptions } from './workload.js';

/** What a scheduled run showed. */
export interface Raced {
  readonly run: Run;
  /** `NAME` of every invariant that broke, in order. */
  readonly broken: readonly string[];
  readonly failed: readonly string[];
  /** Steps of the schedule whose point the run never came to, as it went another way. */
  readonly missed: readonly string[];
}

const words = ({ args }: Operation): string[] => (args[0] as { text: string }).text.split(' ');

/** A task inside the block. */
class Racer {
  readonly operation: Operation;
  /** Names of steps, and before which point each begins. */
  readonly points: ReadonlyMap<string, string | undefined>;
  got: Got = null;
  done = false;
  readonly #thread: KernelThread<Got>;
  /** What it waits to be granted. */
  #step: Step | null = null;

  constructor(k: Kernel, operation: Operation, points: ReadonlyMap<string, string | undefined>) {
    this.operation = operation;
    this.points = points;
    const { pid, name, args } = operation;
    this.#thread = runCall(k, { tid: pid ?? 0, name, args, recorded: false, operation });
  }
  get at(): string {
    return this.#step?.op === 'preempt' ? this.#step.at : '';
  }
  get wants(): string {
    return this.#step?.op === 'acquire' && /^(mmap_lock|folio)\b/.test(this.#step.lock) ? this.#step.lock : '';
  }
  /** One step on. */
  advance(): void {
    const step = this.#thread.next(-1);
    this.done = step.done === true;
    if (step.done === true) this.got = step.value;
    this.#step = step.done === true ? null : step.value;
  }
}

/** Runs `text`, its parallel block by its schedule (or `order`), the rest as it stands. */
export function raceWorkload(text: string, options: WorkloadOptions = {}, order?: readonly string[]): Raced {
  const behaviours = withBehaviours(behavioursOf(options.kernel ?? '6.18'), options.with ?? [], options.without ?? []);
  const listeners: RunListener[] = [];
  const run = new Run({ behaviours, machine: DEFAULT_MACHINE, recorded: false, lenient: false, check }, listeners);
  const checker = new Checker(run.view, invariantsFor(behaviours));
  let events = 0;
  listeners.push({
    beginOperation: ({ line, pid, name, args }, id) => checker.beginOperation({ id, line, pid, name, args }),
    event: (event) => checker.event(event, events++),
    endOperation: () => checker.endOperation(),
  });
  const operations = parseWorkload(text);
  const begin = operations.findIndex(({ name }) => name === 'parallel');
  const end = operations.findIndex(({ name }) => name === 'end_parallel');
  const schedule = order ?? words(operations.find(({ name }) => name === 'schedule') as Operation);
  for (const operation of operations.slice(0, begin)) run.execute(operation);

  const k: Kernel = {
    ...{ behaviours, machine: DEFAULT_MACHINE, interleaved: true, batchMax: 1 },
    get view() {
      return run.view;
    },
    emit: (event) => run.emit(event),
  };
  const bound = new Map<string, number>();
  const resolved = (value: Value): Value =>
    value !== null && isNameRef(value) ? (run.boundTo(value.ref) ?? bound.get(value.ref) ?? NaN) + value.add : value;
  const racers: Racer[] = [];
  let named: Operation | null = null;
  for (const operation of operations.slice(begin + 1, end)) {
    if (operation.name === 'steps') named = operation;
    else {
      const points = (named === null ? [] : words(named)).map(
        (word) => word.split('=') as [string, string | undefined],
      );
      racers.push(new Racer(k, { ...operation, args: operation.args.map(resolved) }, new Map(points)));
      named = null;
    }
  }
  const missed = race(racers, schedule);
  for (const { operation, got } of racers)
    if (operation.result.kind === 'bind' && got !== null && 'value' in got)
      bound.set(operation.result.names[0] as string, got.value);
  for (const operation of operations.slice(end + 1))
    if (operation.name !== 'schedule') run.execute({ ...operation, args: operation.args.map(resolved) });
  const failed = run.mismatches.map((each) => `${each.line}: ${each.operation} gave ${each.got}, not ${each.expected}`);
  return { run, broken: checker.violations.map(({ invariant }) => invariant), failed, missed };
}

/** Can `b` not be had while somebody has `a`? Locks of folios are exclusive, mmap_lock where one of the two writes. */
function excludes(a: string, b: string): boolean {
  const [name, mode = ''] = a.split(/:(?=\w+$)/);
  const [other, wanted = ''] = b.split(/:(?=\w+$)/);
  return name === other && (a.startsWith('folio') || mode === 'write' || wanted === 'write');
}

/** Who has mmap_lock, or a folio's, is a thread that asked for it and was let on; nobody gives it back before the end. */
function race(racers: readonly Racer[], schedule: readonly string[]): string[] {
  const holders = new Map<Racer, string[]>();
  const mayGoOn = (racer: Racer): boolean => {
    if (racer.done) return false;
    const { wants } = racer;
    if (wants === '') return true;
    for (const [other, held] of holders)
      if (!other.done && other !== racer && held.some((lock) => excludes(lock, wants))) return false;
    holders.set(racer, [...(holders.get(racer) ?? []), wants]);
    return true;
  };
  /** Goes on to `point`, or to the end, or to where it must wait. */
  const goTo = (racer: Racer, point: string | null): boolean => {
    while (racer.at !== (point ?? 'the end')) {
      if (!mayGoOn(racer)) return false;
      racer.advance();
    }
    return true;
  };
  const missed: string[] = [];
  for (const name of schedule) {
    const racer = racers.find(({ points }) => points.has(name)) as Racer;
    // A step without a point begins where its thread stands.
    const point = racer.points.get(name);
    if (point !== undefined && !goTo(racer, point)) {
      missed.push(name);
      continue;
    }
    racer.advance();
    const names = [...racer.points.keys()];
    goTo(racer, racer.points.get(names[names.indexOf(name) + 1] as string) ?? null);
  }
  for (let left = -1; left !== racers.filter(({ done }) => !done).length;) {
    left = racers.filter(({ done }) => !done).length;
    for (const racer of racers) goTo(racer, null);
  }
  if (racers.some(({ done }) => !done)) throw new Error('the block does not come to its end');
  return missed;
}
