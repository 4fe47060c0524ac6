// Shrinking an input to a workload that still shows something, and saying so.
import { AssertionError } from '../lib/assert.js';
import { UserError } from '../lib/errors.js';
import type { Got } from '../kernel/call.js';
import type { Behaviours } from '../kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../kernel/kernel.js';
import { check } from '../../projections/query/check.js';
import { Run } from '../sched/run.js';
import { nameAddresses } from '../workload/addresses.js';
import { handWritten } from '../workload/hand-written.js';
import type { MinimiseProgress } from '../workload/minimise.js';
import { minimise } from '../workload/minimise.js';
import type { Operation } from '../workload/operation.js';
import { TextParser } from '../workload/text/workload.js';
import { RECORDING_HEADER, printWorkload } from '../workload/text/print.js';
import type { Criterion, Workload } from './criterion.js';

/** Rejected with by a pause when the user wants no more. */
export class Interrupted extends Error {}

/** What came of shrinking. */
export interface Shrunk extends Workload {
  /** Candidates run. */
  readonly trials: number;
  /** How it ended: nothing more can go, the trials ran out, or the user ended it. */
  readonly ended: 'minimal' | 'trials' | 'interrupted';
}

export interface ShrinkOptions {
  readonly maxTrials: number;
  readonly progress: (progress: MinimiseProgress) => void;
}

/** Does it show it? What is left when something is taken away may make no sense: then not. */
async function stillShows(criterion: Criterion, workload: Workload): Promise<boolean> {
  try {
    return (await criterion.shows(workload)) !== null;
  } catch (error) {
    if (error instanceof UserError || error instanceof AssertionError) return false;
    throw error;
  }
}

/**
 * The smallest workload found that shows what `whole` shows, as a hand-written one where it can be.
 * @param whole shows it; nothing behind the operation after which it does is needed.
 */
export async function shrink(whole: Workload, criterion: Criterion, options: ShrinkOptions): Promise<Shrunk> {
  let best = whole;
  let trials = 0;
  let ended: Shrunk['ended'] = 'minimal';
  const stage = async (workload: Workload): Promise<void> => {
    const { recorded } = workload;
    const before = trials;
    const maxTrials = options.maxTrials - before;
    if (maxTrials <= 0) return;
    await minimise(workload.operations, (operations) => stillShows(criterion, { operations, recorded }), {
      maxTrials,
      better: (operations) => (best = { operations, recorded }),
      progress: (now) => {
        trials = before + now.trials;
        options.progress({ trials, operations: now.operations });
      },
    });
  };
  try {
    await stage(whole);
    if (best.recorded) {
      const written = await asHandWritten(best.operations, criterion);
      if (written !== null) await stage(written);
    }
    if (trials >= options.maxTrials) ended = 'trials';
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    ended = 'interrupted';
  }
  return { ...best, trials, ended };
}

/** A recording's operations as a hand-written workload that shows it as well, or null. */
export async function asHandWritten(operations: readonly Operation[], criterion: Criterion): Promise<Workload | null> {
  for (const candidate of handWritten(operations)) {
    const workload = { operations: candidate, recorded: false };
    if (await stillShows(criterion, workload)) return workload;
  }
  return null;
}

/**
 * `workload` as the text of a file, with names for addresses where the file read back shows it as well. `placed`: the model's own
 * choice of places may be told by names (not where another kernel chooses them).
 * @throws AssertionError if the text read back shows nothing.
 */
export async function textOf(
  workload: Workload,
  criterion: Criterion,
  comments: readonly string[],
  behaviours: Behaviours | null,
): Promise<string> {
  const { operations, recorded } = workload;
  const print = (each: readonly Operation[]): string => {
    const text = printWorkload(each, comments);
    return recorded ? text.replace(/^.*/, RECORDING_HEADER) : text;
  };
  const forms = recorded ? [operations] : [named(operations, behaviours), operations];
  for (const form of forms) {
    const text = print(form);
    const read = readBack(text, recorded);
    // Expectations are known by the lines they had.
    const same = read.length === operations.length;
    const located = read.map((each, i) => ({ ...each, line: operations[i]?.line ?? 0 }));
    if (same && (await stillShows(criterion, { operations: located, recorded }))) return text;
  }
  throw new AssertionError('shrunk-text-shows-nothing');
}

function readBack(text: string, recorded: boolean): Operation[] {
  const operations: Operation[] = [];
  const parser = new TextParser(
    { operation: (operation) => void operations.push(operation), skipped: () => undefined },
    { recorded, lenient: false },
  );
  text.split('\n').forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  return operations;
}

function named(operations: readonly Operation[], behaviours: Behaviours | null): readonly Operation[] {
  if (behaviours === null) return nameAddresses(operations);
  const gots: Got[] = [];
  const run = new Run({ behaviours, machine: DEFAULT_MACHINE, recorded: false, lenient: true, check });
  try {
    for (const operation of operations) gots.push(run.execute(operation));
    run.settle();
  } catch (error) {
    if (!(error instanceof UserError || error instanceof AssertionError)) throw error;
  }
  return nameAddresses(operations, (index) => {
    const got = gots[index] ?? null;
    return got !== null && 'value' in got ? got.value : null;
  });
}
