// What-if: the operations of a log run again, in memory, with one of them dropped or a behaviour turned. Recorded events are never edited.
import { check } from '../../projections/query/check.js';
import type { KernelEvent } from '../../events/index.js';
import type { KernelView } from '../../reducers/state.js';
import type { LogReader } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';
import type { Behaviours } from '../kernel/behaviours.js';
import { withBehaviours } from '../kernel/behaviours.js';
import type { Got } from '../kernel/call.js';
import type { MachineSettings } from '../kernel/kernel.js';
import { EXIT, InputError, UserError } from '../lib/errors.js';
import { Run } from '../sched/run.js';
import type { Operation } from '../workload/operation.js';
import type { RunDifference, RunOperation } from './run-diff.js';
import { compareRuns, loggedRun } from './run-diff.js';
import type { SearchedLog } from './scan.js';
import type { Difference } from './state-diff.js';
import { stateDifferences } from './state-diff.js';
import { loggedOperation } from '../workload/logged.js';

/** What is other than in the log. */
export interface Change {
  /** Ids of operations that do not happen. */
  readonly drop: ReadonlySet<number>;
  readonly with: readonly string[];
  readonly without: readonly string[];
}

/** An operation that could not be run any more, and why. */
export interface Unrunnable {
  readonly id: number;
  readonly line: number;
  readonly problem: string;
}

export interface WhatIf {
  readonly runs: RunDifference;
  /** What differs at the end. */
  readonly state: readonly Difference[];
  readonly unrunnable: readonly Unrunnable[];
}

/** A run of a log's operations with a change, told operation by operation. */
class ChangedRun {
  readonly unrunnable: Unrunnable[] = [];
  readonly #reader: LogReader;
  readonly #change: Change;
  readonly #run: Run;
  #events: KernelEvent[] = [];

  constructor(reader: LogReader, change: Change) {
    const { header } = reader;
    if (header.parent !== undefined)
      throw new UserError(
        'the log was cut out of another one: what happened before is not there to be run',
        EXIT.input,
      );
    this.#reader = reader;
    this.#change = change;
    const behaviours = withBehaviours(header.behaviours as Behaviours, change.with, change.without);
    const machine = header.machine as unknown as MachineSettings;
    this.#run = new Run({ behaviours, machine, recorded: header.recorded, lenient: true, check }, [
      { event: (event) => this.#events.push(event) },
    ]);
  }

  get view(): KernelView {
    return this.#run.view;
  }

  *operations(): Generator<RunOperation> {
    for (const { id, got: _got, firstEvent: _first, events: _n, ...operation } of this.#reader.operations()) {
      if (this.#change.drop.has(id)) continue;
      const firstEvent = this.#run.events;
      const got = this.#execute(id, loggedOperation(operation));
      const events = this.#events;
      this.#events = [];
      yield { id, operation, got, firstEvent, events };
    }
  }

  #execute(id: number, operation: Operation): Got {
    try {
      return this.#run.execute(operation);
    } catch (error) {
      // Without what was dropped it may make no sense: a task that was never created, a name that is not bound.
      if (!(error instanceof InputError)) throw error;
      this.unrunnable.push({ id, line: operation.line, problem: error.problem });
      return { word: 'nothing' };
    }
  }
}

/**
 * Runs the operations of `log` again with `change`, and compares.
 * @throws UserError for unknown behaviours, and for a log that was cut out of another one.
 */
export async function whatIf(log: SearchedLog, change: Change): Promise<WhatIf> {
  const { reader } = log;
  const changed = new ChangedRun(reader, change);
  const runs = await compareRuns(loggedRun(reader), changed.operations(), () => log.breathe());
  const state = stateDifferences(stateAt(reader, reader.eventCount), changed.view, { sameRun: false });
  return { runs, state, unrunnable: changed.unrunnable };
}
