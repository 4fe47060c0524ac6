// The bundled recordings, run in tests.
import { readFileSync, readdirSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { KernelEvent } from '../../events/index.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import type { Fidelity } from '../../src/oracle/recording-judge.js';
import { RecordingJudge } from '../../src/oracle/recording-judge.js';
import { Run } from '../../src/sched/run.js';
import type { Operation } from '../../src/workload/operation.js';
import { PerfParser } from '../../src/workload/perf/translate.js';

const folder = new URL('../../examples/recordings/', import.meta.url);

/** Names of the bundled perf recordings. */
export const PERF_RECORDINGS = readdirSync(folder)
  .filter((name) => name.endsWith('.perf.txt.gz'))
  .map((name) => name.replace('.perf.txt.gz', ''));

/** Path of a bundled recording. */
export const recordingPath = (file: string): string => new URL(file, folder).pathname;

/** Text of a bundled recording. */
export const recordingText = (file: string): string => gunzipSync(readFileSync(recordingPath(file))).toString();

/** What a perf recording gave. */
export interface RanRecording {
  readonly run: Run;
  readonly events: readonly KernelEvent[];
  readonly operations: readonly Operation[];
  readonly fidelity: Fidelity;
}

/** Runs perf script text through the model and the judge. `after` sees the run after each operation. */
export function runPerf(text: string, after?: (run: Run) => void): RanRecording {
  const judge = new RecordingJudge();
  const events: KernelEvent[] = [];
  const operations: Operation[] = [];
  const run: Run = new Run(
    { behaviours: behavioursOf('6.18'), machine: DEFAULT_MACHINE, recorded: true, lenient: false },
    [
      {
        beginOperation(operation) {
          operations.push(operation);
          judge.beginOperation(operation.pid);
        },
        event(event) {
          events.push(event);
          judge.event(event);
        },
        endOperation: () => after?.(run),
      },
    ],
  );
  judge.attach(run);
  const parser = new PerfParser(
    {
      operation: (operation) => run.execute(operation),
      skipped: (reason) => judge.skipped(reason),
      boundary: (tid) => judge.boundary(tid),
      fault: (record, effective) => judge.fault(record, effective),
      fact: (record) => judge.fact(record),
      lost: (record) => judge.lost(record),
      foreign: () => {},
    },
    { lenient: false },
  );
  text.split('\n').forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  return { run, events, operations, fidelity: judge.fidelity() };
}
