// Logs of workloads in memory, and sessions on them.
import type { KernelEvent } from '../../events/index.js';
import { check } from '../../projections/query/check.js';
import { apply } from '../../reducers/index.js';
import { initialState } from '../../reducers/state.js';
import type { LogReader } from '../../replays/log/reader.js';
import { LogWriter } from '../../replays/log/writer.js';
import type { LogWriterOptions } from '../../replays/log/writer.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { Debugger } from '../../src/debug/repl.js';
import { Session } from '../../src/debug/session.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Got } from '../../src/kernel/call.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { MemorySink } from '../../src/lib/bytes.js';
import { Run } from '../../src/sched/run.js';
import type { Operation } from '../../src/workload/operation.js';
import { NO_RESULT } from '../../src/workload/operation.js';
import { SOURCE, readerOf } from '../support/logs.js';
import { ARENA, ARENA_PAGES, operationsOf, prologue } from '../support/arbitrary-workload.js';
import type { Step } from '../support/arbitrary-workload.js';
import { parseWorkload } from '../support/workload.js';

export interface Logged {
  readonly without?: readonly string[];
  readonly sourceName?: string;
  readonly writer?: LogWriterOptions;
  /** Changes an event on its way into the log; the run itself goes on as it was. */
  readonly plant?: (event: KernelEvent, number: number) => KernelEvent;
}

/** Runs operations and writes their log. */
export function logOfOperations(operations: readonly Operation[], options: Logged = {}): LogReader {
  const behaviours = withBehaviours(behavioursOf('6.18'), [], options.without ?? []);
  const sink = new MemorySink();
  const state = initialState();
  const machine = { ...DEFAULT_MACHINE };
  const sourceName = options.sourceName ?? 'test.fsw';
  const description = { kernel: '6.18', behaviours, machine, seed: 0, recorded: false, sourceName };
  const log = new LogWriter(sink, nodeTools, description, state, options.writer ?? {});
  let number = 0;
  const run = new Run({ behaviours, machine, recorded: false, lenient: true, check }, [
    {
      beginOperation: (operation) => void log.beginOperation(operation),
      event(made) {
        const event = options.plant?.(made, number) ?? made;
        number++;
        apply(state, event);
        log.event(event);
      },
      endOperation: (_operation, got: Got) => log.endOperation(got),
    },
  ]);
  for (const operation of operations) run.execute(operation);
  log.close({}, SOURCE);
  return readerOf(sink.bytes());
}

/** Random steps as a workload that begins with open files and memory at most of the pages that the steps name. */
export function withMemory(steps: readonly Step[]): Operation[] {
  const [RW, PRIVATE_ANON_FIXED] = [3, 0x32];
  const mapped = { line: 0, pid: 1, name: 'mmap', result: NO_RESULT };
  const memory = { ...mapped, args: [ARENA, (ARENA_PAGES - 4) * 4096, RW, PRIVATE_ANON_FIXED, -1, 0] };
  return [...prologue(), memory, ...operationsOf(steps)];
}

/** The log of a workload text. */
export const logOfText = (text: string, options: Logged = {}): LogReader =>
  logOfOperations(parseWorkload(text), options);

/** A debugger on a log; files that commands write go into `files`. */
export function debuggerOn(
  reader: LogReader,
  files = new Map<string, string>(),
  breathe = async (): Promise<void> => {},
): Debugger {
  return new Debugger(new Session(reader, { breathe, writeFile: (path, text) => void files.set(path, text) }));
}

/** What each of `commands` answers, as one text. */
export async function answers(repl: Debugger, ...commands: string[]): Promise<string> {
  const lines: string[] = [];
  for (const command of commands) lines.push(...(await repl.execute(command)).lines);
  return lines.join('\n');
}
