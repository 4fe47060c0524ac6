// conform --fuzz: random workloads on both sides; what differs is shrunk to a workload that shows it alone.
import type { Behaviours } from '../../kernel/behaviours.js';
import { AssertionError } from '../../lib/assert.js';
import { InputError, NotModelledError, UserError } from '../../lib/errors.js';
import { minimise } from '../../workload/minimise.js';
import type { Operation } from '../../workload/operation.js';
import { AgentEndedError } from '../agent/agent.js';
import { awake } from './awake.js';
import { Counts } from './compare.js';
import { printOperation } from '../../workload/text/print.js';
import type { Mismatch } from './conform.js';
import { runModel } from './conform.js';
import { generateWorkload } from './generate/index.js';
import type { Ahead, Varying, Verdict } from './judge.js';
import { judge, runAhead } from './judge.js';
import type { Session } from './session.js';

export interface FuzzOptions {
  readonly workloads: number;
  readonly seed: number;
  readonly areas: readonly string[];
  /** Number of the first workload. */
  readonly from: number;
  /** Operations of a workload. */
  readonly length: number;
  readonly behaviours: Behaviours;
  /** Stop after so many workloads that differ. */
  readonly mismatchesMax: number;
  /** Told after each workload. */
  readonly progress?: (done: number, found: number) => void;
  /** Called between workloads: resolves at once, or rejects to end the run. */
  readonly breathe?: () => Promise<void>;
}

/** A workload that differs, or that the model does not survive, shrunk. */
export interface FoundMismatch {
  /** `generateWorkload` gives it again from the seed and this number. */
  readonly number: number;
  readonly operations: readonly Operation[];
  readonly mismatches: readonly Mismatch[];
  /** Of the workload as generated. */
  readonly generated: number;
}

export interface FuzzResult {
  readonly workloads: number;
  readonly operations: number;
  readonly counts: Counts;
  /** Events of the model by type. */
  readonly events: ReadonlyMap<string, number>;
  /** Operations by name and how they ended on the model. */
  /** Workloads that the model refused, by reason: they were not compared. */
  readonly notModelled: ReadonlyMap<string, number>;
  readonly varying: readonly Varying[];
  readonly found: readonly FoundMismatch[];
}

const SHRINK_TRIALS = 2000;

/** Runs `options.workloads` generated workloads. */
export async function fuzz(session: Session, options: FuzzOptions): Promise<FuzzResult> {
  const counts = new Counts();
  const events = new Map<string, number>();
  const varying: Varying[] = [];
  const found: FoundMismatch[] = [];
  const notModelled = new Map<string, number>();
  let operations = 0;
  const { from } = options;
  let number = from;
  const { seed, areas, length, behaviours } = options;
  const workloadOf = (which: number): readonly Operation[] =>
    awake(numbered(generateWorkload({ seed, number: which, areas, length })), behaviours, session.machine);
  let next = workloadOf(from);
  let ahead: Ahead | null = null;
  for (; number < from + options.workloads && found.length < options.mismatchesMax; number++) {
    const workload = next;
    const ready = ahead;
    next = workloadOf(number + 1);
    ahead = null;
    const meanwhile = (): void => void (ahead = runAhead(session, next, behaviours));
    try {
      const verdict = await judge(session, workload, behaviours, counts, { ahead: ready, meanwhile });
      operations += verdict.operations;
      for (const { events: list } of verdict.half.steps)
        for (const { type } of list) events.set(type, (events.get(type) ?? 0) + 1);
      varying.push(...verdict.varying);
      if (verdict.mismatches.length > 0) found.push(await shrink(session, workload, number, options, verdict));
    } catch (error) {
      if (error instanceof AssertionError) found.push(await shrinkBroken(session, workload, number, options, error));
      else if (error instanceof NotModelledError) {
        const what = error.what.replace(/ \(line \d+\)$/, '');
        notModelled.set(what, (notModelled.get(what) ?? 0) + 1);
      } else if (error instanceof InputError)
        throw new UserError(`workload ${number} of seed ${seed}: ${error.message}`, error.exitCode);
      else throw error;
    }
    options.progress?.(number + 1 - from, found.length);
    await options.breathe?.();
  }
  return { workloads: number - from, operations, counts, events, notModelled, varying, found };
}

/** Lines as they will be in a file behind its header. */
const numbered = (operations: readonly Operation[]): Operation[] =>
  operations.map((operation, i) => ({ ...operation, line: i + 2 }));

async function shrink(
  session: Session,
  workload: readonly Operation[],
  number: number,
  options: FuzzOptions,
  verdict: Verdict,
): Promise<FoundMismatch> {
  const differs = async (candidate: readonly Operation[]): Promise<Verdict | null> => {
    try {
      const judged = await judge(session, numbered(candidate), options.behaviours, new Counts());
      return judged.mismatches.length > 0 && judged.stopped === null ? judged : null;
    } catch (error) {
      if (error instanceof AgentEndedError) throw error;
      // What is left when something is taken away may make no sense.
      if (error instanceof UserError || error instanceof AssertionError) return null;
      throw error;
    }
  };
  const line = verdict.mismatches[0]?.line ?? 0;
  const needed = workload.filter((operation) => operation.line <= line);
  const smallest = await minimise(needed, async (candidate) => (await differs(candidate)) !== null, {
    maxTrials: SHRINK_TRIALS,
  });
  const shown = await differs(smallest);
  return {
    number,
    operations: shown === null ? workload : smallest,
    mismatches: (shown ?? verdict).mismatches,
    generated: workload.length,
  };
}

/** The code of an assertion: its message without the ids. */
const codeOf = ({ message }: AssertionError): string => message.split(': ')[0] as string;

/** The assertion that `operations` break on the model, or null. */
function brokenBy(session: Session, operations: readonly Operation[], behaviours: Behaviours): AssertionError | null {
  try {
    runModel(operations, { behaviours, machine: session.machine, directory: session.directory });
    return null;
  } catch (error) {
    if (error instanceof AssertionError) return error;
    // What is left when something is taken away may make no sense.
    if (error instanceof UserError) return null;
    throw error;
  }
}

/** The smallest workload that breaks the same assertion of the model. The kernel is not asked: there is nothing to compare. */
async function shrinkBroken(
  session: Session,
  workload: readonly Operation[],
  number: number,
  { behaviours, breathe }: FuzzOptions,
  error: AssertionError,
): Promise<FoundMismatch> {
  const code = codeOf(error);
  const breaks = async (candidate: readonly Operation[]): Promise<boolean> => {
    await breathe?.();
    const broken = brokenBy(session, numbered(candidate), behaviours);
    return broken !== null && codeOf(broken) === code;
  };
  const operations = await minimise(workload, breaks, { maxTrials: SHRINK_TRIALS });
  const shown = brokenBy(session, numbered(operations), behaviours) ?? error;
  const last = numbered(operations).at(-1) as Operation;
  const mismatch: Mismatch = {
    line: last.line,
    operation: printOperation(last),
    subject: 'model',
    field: 'assertion',
    model: shown.message,
    kernel: 'none',
    events: [],
  };
  return { number, operations, mismatches: [mismatch], generated: workload.length };
}
