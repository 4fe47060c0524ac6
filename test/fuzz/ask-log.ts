// Everything that is asked of a log, asked of a damaged one: each question is answered or refused with one clear error.
import { canonicalState } from '../../projections/canonical.js';
import { check } from '../../projections/query/check.js';
import { foldLog } from '../../replays/fold.js';
import { LogReader } from '../../replays/log/reader.js';
import { verifyLog } from '../../replays/log/verify.js';
import { recoverLog } from '../../replays/recover.js';
import { Timeline, stateAt } from '../../replays/timeline.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { settingsOf } from '../../src/cli/open-log.js';
import type { ByteSource } from '../../src/lib/bytes.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';
import { UserError } from '../../src/lib/errors.js';
import type { Random } from '../../src/lib/random.js';
import { reexecute } from '../../src/sched/reexecute.js';
import { loggedOperations } from '../../src/workload/logged.js';
import { printOperation } from '../../src/workload/text/print.js';

/** Question and outcome: `answered`, `damage` (told as a result) or the error. */
export type Outcome = readonly [question: string, outcome: string, error: Error | null];

/** What became of one question. */
export function ask(question: string, action: () => string | void): Outcome {
  try {
    return [question, action() ?? 'answered', null];
  } catch (error) {
    if (error instanceof UserError) {
      // "One line" is part of the promise.
      const clear = error.message.length > 0 && !error.message.includes('\n');
      return [question, clear ? error.name : 'error that is not one line', clear ? null : error];
    }
    return [
      question,
      error instanceof Error ? error.name : 'no error',
      error instanceof Error ? error : new Error(String(error)),
    ];
  }
}

/** Header, footer and index: what every other question begins with. */
function open(source: ByteSource): LogReader {
  const reader = new LogReader(source, nodeTools);
  JSON.stringify([reader.header, reader.footer]);
  return reader;
}

const somewhere = ({ firstEvent, eventCount }: LogReader, random: Random): number =>
  firstEvent + random.below(Math.min(eventCount - firstEvent + 1, 2 ** 32));

/** Moves about in the log as a debugger does. */
function travel(reader: LogReader, random: Random): void {
  const timeline = new Timeline(reader, 128);
  for (let i = 0; i < 2; i++) {
    timeline.seek(somewhere(reader, random));
    timeline.step();
    timeline.step();
    for (let n = 0; n < 4; n++) timeline.back();
  }
  timeline.stepOperation();
  timeline.backOperation();
}

type Ask = (source: ByteSource, random: Random) => string | void;

/** Every question. */
const QUESTIONS: Readonly<Record<string, Ask>> = {
  info: (source) => void open(source),
  fold: (source) => void foldLog(open(source)),
  state: (source, random) => {
    const reader = open(source);
    canonicalState(stateAt(reader, somewhere(reader, random)));
  },
  timeline: (source, random) => travel(open(source), random),
  print: (source) => {
    for (const operation of loggedOperations(open(source).operations())) printOperation(operation);
  },
  verify: (source) => (verifyLog(source, nodeTools).ok ? 'answered' : 'damage'),
  'verify --deep': (source) => {
    const { ok } = verifyLog(source, nodeTools, {
      deep: true,
      reexecute: (operations, header) =>
        reexecute(loggedOperations(operations), {
          ...settingsOf(header),
          recorded: header.recorded,
          lenient: true,
          check,
        }),
    });
    return ok ? 'answered' : 'damage';
  },
  recover: (source) => {
    const sink = new MemorySink();
    const { complete } = recoverLog(source, sink, nodeTools);
    const saved = verifyLog(memorySource(sink.bytes()), nodeTools);
    if (!saved.isLog) throw new Error('what was recovered is no log');
    return complete ? 'answered' : 'damage';
  },
};
const NAMES = Object.keys(QUESTIONS);

/** Asks `count` questions of the log in `bytes`, chosen by `random`; all unless told. An outcome with an error is a bug. */
export function askLog(bytes: Uint8Array, random: Random, count = NAMES.length): Outcome[] {
  const source = memorySource(bytes);
  const from = random.below(NAMES.length);
  return Array.from({ length: count }, (_, i) => {
    // Steps of 3 pass through all eight.
    const name = NAMES[(from + 3 * i) % NAMES.length] as string;
    return ask(name, () => (QUESTIONS[name] as Ask)(source, random));
  });
}
