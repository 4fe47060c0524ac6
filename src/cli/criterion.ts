// What a workload is asked for again and again while it is shrunk, or while behaviours are turned: does it still show it?
import { canonicalState } from '../../projections/canonical.js';
import { invariantsFor } from '../../projections/invariants/catalogue.js';
import { Checker } from '../../projections/invariants/checker.js';
import type { Invariant } from '../../projections/invariants/invariant.js';
import { check } from '../../projections/query/check.js';
import { Watched } from '../../projections/query/turning.js';
import type { KernelEvent } from '../../events/index.js';
import { sameEvent } from '../../replays/diverge.js';
import type { Behaviours } from '../kernel/behaviours.js';
import type { Got } from '../kernel/call.js';
import { DEFAULT_MACHINE } from '../kernel/kernel.js';
import { InputError } from '../lib/errors.js';
import { Counts } from '../oracle/conform/compare.js';
import { judge } from '../oracle/conform/judge.js';
import type { Session } from '../oracle/conform/session.js';
import type { Mismatch, RunListener } from '../sched/run.js';
import { Run, gotText } from '../sched/run.js';
import type { Operation } from '../workload/operation.js';

/** Operations that run together. */
export interface Workload {
  readonly operations: readonly Operation[];
  /** From a recording: results are what happened, not what is expected. */
  readonly recorded: boolean;
}

/** Something that a workload shows or does not. */
export interface Criterion {
  /** What it shows, as what follows "it": "breaks rss-equals-ptes". */
  readonly text: string;
  /**
   * Index of the operation after which the workload shows it; null if it never does.
   * @throws InputError, NotModelledError for operations that cannot run, if they come before it shows.
   */
  shows(workload: Workload): Promise<number | null>;
}

/** Called between operations: resolves at once or after a breath, or rejects to end it all. */
export type Pause = () => Promise<void>;

/** Operations between two pauses. */
const BETWEEN_PAUSES = 64;

function newRun(behaviours: Behaviours, recorded: boolean, listeners: readonly RunListener[]): Run {
  return new Run({ behaviours, machine: DEFAULT_MACHINE, recorded, lenient: false, check }, listeners);
}

/** Runs operations until `done` says that it shows; the index of that operation, or null. */
async function firstShown(
  { operations }: Workload,
  pause: Pause,
  step: (operation: Operation, index: number) => boolean,
): Promise<number | null> {
  for (const [index, operation] of operations.entries()) {
    if (index % BETWEEN_PAUSES === 0) await pause();
    if (step(operation, index)) return index;
  }
  return null;
}

/** A checker of `invariants` that follows a run. */
function followed(behaviours: Behaviours, recorded: boolean, invariants: readonly Invariant[]): [Run, Checker] {
  const listeners: RunListener[] = [];
  const run = newRun(behaviours, recorded, listeners);
  const checker = new Checker(run.view, invariants);
  listeners.push({
    beginOperation: ({ line, pid, name, args }, id) => checker.beginOperation({ id, line, pid, name, args }),
    event: (event) => checker.event(event, run.events - 1),
    endOperation: () => checker.endOperation(),
  });
  return [run, checker];
}

/** It breaks `invariant`, whether or not that one speaks of this kernel. */
export const breaks = (behaviours: Behaviours, invariant: Invariant, pause: Pause): Criterion => ({
  text: `breaks ${invariant.name}`,
  shows(workload) {
    const [run, checker] = followed(behaviours, workload.recorded, [invariant]);
    return firstShown(workload, pause, (operation) => {
      run.execute(operation);
      return checker.found > 0;
    });
  },
});

/** Name of the first invariant that the workload breaks, of those that speak of this kernel; null for none. */
export async function firstBroken(behaviours: Behaviours, workload: Workload, pause: Pause): Promise<string | null> {
  const [run, checker] = followed(behaviours, workload.recorded, invariantsFor(behaviours));
  await firstShown(workload, pause, (operation) => {
    run.execute(operation);
    return checker.found > 0;
  });
  return checker.violations[0]?.invariant ?? null;
}

/** Results that are places, which move when something else goes: only that they differ counts. */
const PLACES: ReadonlySet<string> = new Set(['mmap', 'mremap', 'brk', 'elf_map']);
const isNumber = (text: string): boolean => /^-?0x[\da-f]+$/.test(text);

/** Is `b` the same failed expectation as `a`, in another version of the workload? */
function sameFailure(a: Mismatch, b: Mismatch): boolean {
  if (a.line !== b.line || a.operation !== b.operation) return false;
  const anywhere = PLACES.has(a.operation) && isNumber(a.expected) && isNumber(a.got);
  if (anywhere) return isNumber(b.expected) && isNumber(b.got);
  return a.expected === b.expected && a.got === b.got;
}

const failureText = ({ operation, expected, got }: Mismatch): string =>
  operation.startsWith('check ')
    ? `fails \`${operation}\` (it is ${got})`
    : `gives ${got} where ${expected} is expected of ${operation}`;

/** The first expectation that the workload fails; null if it meets all. */
export async function firstFailure(behaviours: Behaviours, workload: Workload, pause: Pause): Promise<Mismatch | null> {
  const run = newRun(behaviours, workload.recorded, []);
  await firstShown(workload, pause, (operation) => {
    run.execute(operation);
    return run.mismatches.length > 0;
  });
  return run.mismatches[0] ?? null;
}

/** It fails the expectation `failure` again, and with the same outcome; operations are known by their lines. */
export const fails = (behaviours: Behaviours, failure: Mismatch, pause: Pause): Criterion => ({
  text: failureText(failure),
  shows(workload) {
    const run = newRun(behaviours, workload.recorded, []);
    return firstShown(workload, pause, (operation) => {
      run.execute(operation);
      const last = run.mismatches.at(-1);
      return last !== undefined && sameFailure(failure, last);
    });
  },
});

/** It fails any expectation. A result that cannot be bound to its name is one that fails. */
export const failsAny = (behaviours: Behaviours, pause: Pause): Criterion => ({
  text: 'fails an expectation',
  shows(workload) {
    const run = newRun(behaviours, workload.recorded, []);
    return firstShown(workload, pause, (operation) => {
      try {
        run.execute(operation);
      } catch (error) {
        if (error instanceof InputError && operation.result.kind === 'bind') return true;
        throw error;
      }
      return run.mismatches.length > 0;
    });
  },
});

/** The expression `text` holds after one of its events. @throws InputError where `text` is no expression. */
export function turns(behaviours: Behaviours, text: string, pause: Pause): Criterion {
  const named = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new InputError({ ...error.place, file: '--when' }, error.problem);
    }
  };
  named(() => new Watched(text, { nameOf: () => undefined, pid: 1 }));
  return {
    text: `has ${text}`,
    async shows(workload) {
      let held = false;
      const pid = workload.operations.find((each) => each.pid !== null)?.pid ?? 1;
      const run: Run = newRun(behaviours, workload.recorded, [
        {
          event: () => {
            held ||= watched.holds(run.view);
          },
        },
      ]);
      const watched = new Watched(text, { nameOf: (name) => run.boundTo(name), pid });
      const at = await firstShown(workload, pause, (operation) => {
        run.execute(operation);
        // A name is bound when the operation is over.
        return held || watched.holds(run.view);
      });
      if (at === null) named(() => watched.requireAnswer());
      return at;
    },
  };
}

/**
 * It goes another way under `others` than under `behaviours`: an operation's result, or what can be seen of the state after it
 * (mappings, entries, sharing, counters), differs. PG_anon_exclusive of a kernel that has no such flag is not seen.
 */
export const differs = (behaviours: Behaviours, others: Behaviours, words: string, pause: Pause): Criterion => ({
  text: `differs from ${words}`,
  shows({ operations, recorded }) {
    const exclusive = behaviours['anon-exclusive'] && others['anon-exclusive'];
    const [a, b] = [new Side(behaviours, recorded, exclusive), new Side(others, recorded, exclusive)];
    return firstShown({ operations, recorded }, pause, (operation) => {
      const [gotA, gotB] = [a.execute(operation), b.execute(operation)];
      if (gotA !== gotB) return true;
      if (a.error !== null) throw a.error;
      // The same events change both in the same way: states are only then worth the look.
      return !sameEvents(a.events, b.events) && a.seen() !== b.seen();
    });
  },
});

/** One of two runs that are compared. */
class Side {
  /** Events of the last operation. */
  events: KernelEvent[] = [];
  /** Why it cannot go on. */
  error: InputError | null = null;
  readonly #run: Run;
  readonly #exclusive: boolean;

  /** `exclusive`: is PG_anon_exclusive to be compared? */
  constructor(behaviours: Behaviours, recorded: boolean, exclusive: boolean) {
    this.#exclusive = exclusive;
    const event = (each: KernelEvent): void => {
      this.events.push(exclusive || !('exclusive' in each) ? each : { ...each, exclusive: 0 });
    };
    this.#run = newRun(behaviours, recorded, [{ event }]);
  }

  /** The result in words; that it cannot be bound to its name is one as well. */
  execute(operation: Operation): string {
    this.events = [];
    let got: Got = null;
    try {
      got = this.#run.execute(operation);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.error = error;
      return error.problem;
    }
    return gotText(got);
  }

  /** What can be seen of the state, as a text. */
  seen(): string {
    const shown = canonicalState(this.#run.view);
    return JSON.stringify(shown, this.#exclusive ? undefined : withoutExclusive);
  }
}

const withoutExclusive = (key: string, value: unknown): unknown => (key === 'anon_exclusive' ? undefined : value);

const sameEvents = (a: readonly KernelEvent[], b: readonly KernelEvent[]): boolean =>
  a.length === b.length && a.every((event, i) => sameEvent(event, b[i] as KernelEvent));

/** The running kernel does something else than the model. Recordings hold what cannot be asked of a kernel: they never show it. */
export const nonconforming = (session: Session, behaviours: Behaviours, pause: Pause): Criterion => ({
  text: `differs from Linux ${session.kernel}`,
  async shows({ operations, recorded }) {
    await pause();
    if (recorded) return null;
    // Lines tell operations apart there.
    const numbered = operations.map((operation, i) => ({ ...operation, line: i + 1 }));
    const { mismatches } = await judge(session, numbered, behaviours, new Counts());
    const [first] = mismatches;
    return first === undefined ? null : first.line - 1;
  },
});
