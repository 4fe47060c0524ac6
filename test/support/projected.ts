// Running operations and keeping what projections need: the events, and which operation each belongs to.
import type { KernelEvent } from '../../events/index.js';
import { check } from '../../projections/query/check.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { MachineSettings } from '../../src/kernel/kernel.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { Run } from '../../src/sched/run.js';
import type { Operation } from '../../src/workload/operation.js';
import { PerfParser } from '../../src/workload/perf/translate.js';

export interface RanOperations {
  readonly run: Run;
  readonly events: readonly KernelEvent[];
  /** Index in `operations` of each event. */
  readonly owners: readonly number[];
  readonly operations: readonly Operation[];
}

function collected(
  behaviours: Behaviours,
  recorded: boolean,
  drive: (run: Run) => void,
  machine: MachineSettings = DEFAULT_MACHINE,
): RanOperations {
  const events: KernelEvent[] = [];
  const owners: number[] = [];
  const operations: Operation[] = [];
  const run = new Run({ behaviours, machine, recorded, lenient: false, check }, [
    {
      beginOperation: (operation) => operations.push(operation),
      event(event) {
        events.push(event);
        owners.push(operations.length - 1);
      },
    },
  ]);
  drive(run);
  return { run, events, owners, operations };
}

/** Runs `operations` one after the other. */
export const runOperations = (
  operations: readonly Operation[],
  behaviours: Behaviours,
  machine?: MachineSettings,
): RanOperations =>
  collected(
    behaviours,
    false,
    (run) => {
      for (const operation of operations) run.execute(operation);
      run.settle();
    },
    machine,
  );

/** Runs perf script text; nobody judges it. */
export const runRecording = (text: string): RanOperations =>
  collected(behavioursOf('6.18'), true, (run) => {
    const ignore = (): void => {};
    const parser = new PerfParser(
      {
        operation: (operation) => run.execute(operation),
        skipped: ignore,
        boundary: ignore,
        fault: ignore,
        fact: ignore,
        lost: ignore,
        foreign: ignore,
      },
      { lenient: false },
    );
    text.split('\n').forEach((line, i) => parser.line(line, i + 1));
    parser.end();
  });
