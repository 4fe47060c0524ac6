// Running an input: text to operations to events, into a log and a summary. The main job.
import { basename } from 'node:path';
import { Subject } from 'rxjs';
import type { KernelEvent } from '../../events/index.js';
import type { Activity } from '../../projections/activity.js';
import { activity } from '../../projections/activity.js';
import { invariantsFor } from '../../projections/invariants/catalogue.js';
import { Checker } from '../../projections/invariants/checker.js';
import type { Violation } from '../../projections/invariants/invariant.js';
import { project } from '../../projections/projection.js';
import { check } from '../../projections/query/check.js';
import { LogWriter } from '../../replays/log/writer.js';
import type { Behaviours } from '../kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../kernel/kernel.js';
import { InputError, NotModelledError } from '../lib/errors.js';
import type { Fidelity } from '../oracle/recording-judge.js';
import { RecordingJudge } from '../oracle/recording-judge.js';
import type { Mismatch, RunListener } from '../sched/run.js';
import { Run, resultOf } from '../sched/run.js';
import type { Format } from '../workload/detect.js';
import { detectFormat, isRecording } from '../workload/detect.js';
import type { LineParser, Operation } from '../workload/operation.js';
import { PerfParser } from '../workload/perf/translate.js';
import { SyzParser } from '../workload/syz/program.js';
import { TextParser } from '../workload/text/workload.js';
import { readLines } from './input.js';
import { fileSink, nodeTools } from './node-io.js';
import { Progress } from './progress.js';

export interface RunInputOptions {
  /** Where the log goes; null for none. */
  readonly log: string | null;
  readonly kernel: string;
  readonly behaviours: Behaviours;
  readonly lenient: boolean;
  /** Check every invariant while running. */
  readonly audit: boolean;
  readonly quiet: boolean;
}

/** What `run --json` prints. */
export interface RunSummary {
  readonly log: string | null;
  readonly source: string;
  readonly format: Format;
  readonly kernel: string;
  readonly operations: number;
  readonly events: number;
  readonly faults: number;
  /** Were invariants checked? */
  readonly audited: boolean;
  /** Broken invariants: how many, and the first of them. */
  readonly violations: number;
  readonly firstViolations: readonly Violation[];
  readonly expectations: { readonly checked: number; readonly failed: readonly Mismatch[] };
  readonly activity: Activity;
  /** Lines and calls that do not concern memory management, by name. */
  readonly skipped: Readonly<Record<string, number>>;
  /** What could not be modelled, by reason. */
  readonly notModelled: Readonly<Record<string, number>>;
  /** Only of perf recordings. */
  readonly fidelity?: Fidelity;
  readonly digest: string | null;
}

/** Events handed to projections at a time. */
const BATCH = 256;
/** Violations that a summary lists; `audit` lists more. */
const VIOLATIONS_SHOWN = 10;

/** Passes a run's events on to projections, in batches. */
class EventStream implements RunListener {
  readonly batches = new Subject<readonly KernelEvent[]>();
  #batch: KernelEvent[] = [];

  event(event: KernelEvent): void {
    if (this.#batch.push(event) === BATCH) this.flush();
  }

  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.batches.next(batch);
  }
}

/** A run of one input, from its first line to its last. */
class InputRun {
  readonly #options: RunInputOptions;
  readonly #source: string;
  readonly #stream = new EventStream();
  readonly #judge = new RecordingJudge();
  readonly #skipped = new Map<string, number>();
  #format: Format = 'workload';
  #run: Run | null = null;
  #checker: Checker | null = null;
  #parser: LineParser | null = null;
  #writer: LogWriter | null = null;
  #activity: Activity = activity.init();

  constructor(path: string, options: RunInputOptions) {
    this.#source = path === '-' ? '<stdin>' : path;
    this.#options = options;
    this.#stream.batches.pipe(project(activity)).subscribe((view) => (this.#activity = view));
  }

  /** Told the beginning of the text: the format decides what runs. */
  begin(head: string): void {
    this.#format = detectFormat(head);
    const recorded = isRecording(this.#format);
    const { behaviours, kernel, lenient, log } = this.#options;
    const listeners: RunListener[] = [this.#stream];
    if (this.#format === 'perf') listeners.push(this.#judgeListener());
    // Fuzzers call what nobody models: counted, as in recordings.
    const counting = lenient || this.#format === 'syz';
    const run = new Run({ behaviours, machine: DEFAULT_MACHINE, recorded, lenient: counting, check }, listeners);
    this.#run = run;
    if (this.#options.audit) {
      this.#checker = new Checker(run.view, invariantsFor(behaviours));
      listeners.push(checkListener(this.#checker));
    }
    this.#judge.attach(run);
    if (log !== null) {
      const description = {
        kernel,
        behaviours,
        machine: { ...DEFAULT_MACHINE },
        seed: 0,
        recorded,
        sourceName: basename(this.#source),
      };
      this.#writer = new LogWriter(fileSink(log), nodeTools, description, run.state);
      listeners.push(logListener(this.#writer));
    }
    if (this.#format === 'perf') this.#parser = this.#perfParser(run);
    else this.#parser = this.#format === 'syz' ? this.#syzParser(run) : this.#textParser(run, recorded);
  }

  line(text: string, number: number): void {
    (this.#parser as LineParser).line(text, number);
  }

  #judgeListener(): RunListener {
    const judge = this.#judge;
    return {
      beginOperation: ({ pid }) => judge.beginOperation(pid),
      event: (event) => judge.event(event),
    };
  }

  #perfParser(run: Run): PerfParser {
    const judge = this.#judge;
    return new PerfParser(
      {
        operation: (operation) => run.execute(operation),
        skipped: (reason) => this.#skip(reason),
        boundary: (tid) => judge.boundary(tid),
        fault: (record, effective) => judge.fault(record, effective),
        fact: (record) => judge.fact(record),
        lost: (record) => judge.lost(record),
        foreign: () => this.#skip('lines of tasks that are not followed'),
      },
      { lenient: this.#options.lenient },
    );
  }

  #syzParser(run: Run): SyzParser {
    return new SyzParser(
      { operation: (operation) => resultOf(run.execute(operation)), skipped: (reason) => this.#skip(reason) },
      { lenient: this.#options.lenient },
    );
  }

  #textParser(run: Run, recorded: boolean): TextParser {
    return new TextParser(
      { operation: (operation: Operation) => run.execute(operation), skipped: (reason) => this.#skip(reason) },
      { recorded, lenient: this.#options.lenient },
    );
  }

  #skip(reason: string): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
  }

  /** All lines were told. */
  finish(source: { readonly bytes: number; readonly crc32: number; readonly lines: number }): RunSummary {
    const run = this.#run as Run;
    (this.#parser as LineParser).end();
    run.settle();
    this.#stream.flush();
    const fidelity = this.#format === 'perf' ? this.#judge.fidelity() : undefined;
    const summary = {
      format: this.#format,
      faults: this.#activity.faults,
      violations: this.#checker?.found ?? 0,
      expectations: { checked: run.checked, failed: run.mismatches.length },
    };
    const digest = this.#writer?.close(summary, source) ?? null;
    return {
      log: this.#options.log,
      source: this.#source,
      format: this.#format,
      kernel: this.#options.kernel,
      operations: run.operations,
      events: run.events,
      faults: this.#activity.faults,
      audited: this.#checker !== null,
      violations: this.#checker?.found ?? 0,
      firstViolations: (this.#checker?.violations ?? []).slice(0, VIOLATIONS_SHOWN),
      expectations: { checked: run.checked, failed: run.mismatches },
      activity: this.#activity,
      skipped: Object.fromEntries([...this.#skipped].toSorted((a, b) => b[1] - a[1])),
      notModelled: Object.fromEntries(run.notModelled),
      ...(fidelity === undefined ? {} : { fidelity }),
      digest,
    };
  }

  /** Nothing of the log stays. */
  abort(): void {
    this.#writer?.abort();
  }
}

function checkListener(checker: Checker): RunListener {
  let number = 0;
  return {
    beginOperation: ({ line, pid, name, args }, id) => checker.beginOperation({ id, line, pid, name, args }),
    event: (event) => checker.event(event, number++),
    endOperation: () => checker.endOperation(),
  };
}

function logListener(writer: LogWriter): RunListener {
  return {
    beginOperation: (operation) => void writer.beginOperation(operation),
    event: (event) => writer.event(event),
    endOperation: (_operation, got) => writer.endOperation(got),
  };
}

/**
 * Runs the input `path` ("-": standard input) and writes its log.
 * @throws InputError or NotModelledError with the input's name, UserError where reading or writing fails; no log is left then.
 */
export async function runInput(path: string, options: RunInputOptions): Promise<RunSummary> {
  const run = new InputRun(path, options);
  const progress = new Progress('running', options.quiet);
  const interrupted = (): never => {
    run.abort();
    progress.end();
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    const source = await readLines(path, run, progress);
    return run.finish(source);
  } catch (error) {
    run.abort();
    throw named(error, path === '-' ? '<stdin>' : path);
  } finally {
    process.removeListener('SIGINT', interrupted);
    process.removeListener('SIGTERM', interrupted);
    progress.end();
  }
}

/** Errors of parsers and kernel code know the line; here the file comes to it. */
function named(error: unknown, file: string): unknown {
  if (error instanceof InputError && error.place.file === undefined)
    return new InputError({ ...error.place, file }, error.problem);
  if (error instanceof NotModelledError) return new InputError({ file }, error.message);
  return error;
}
