// Reads any input whole, as the operations that a run of it performs: what minimise and bisect --behaviours work on.
import { statSync } from 'node:fs';
import { magicAt } from '../../replays/log/format.js';
import { LogReader } from '../../replays/log/reader.js';
import { EXIT, InputError, UserError } from '../lib/errors.js';
import type { Format } from '../workload/detect.js';
import { detectFormat } from '../workload/detect.js';
import type { LineParser, Operation } from '../workload/operation.js';
import { PerfParser } from '../workload/perf/translate.js';
import { TextParser } from '../workload/text/workload.js';
import { readLines } from './input.js';
import { fileSource, nodeTools } from './node-io.js';
import { Progress } from './progress.js';
import { loggedOperations } from '../workload/logged.js';

/** An input as operations. */
export interface ReadOperations {
  readonly format: Format | 'log';
  /** From a recording: results are what happened, not what is expected. */
  readonly recorded: boolean;
  readonly operations: readonly Operation[];
}

export interface ReadOptions {
  /** Count lines that are not understood instead of stopping. */
  readonly lenient: boolean;
  readonly quiet: boolean;
}

const nothing = (): void => undefined;

/**
 * The operations of `path` ("-": standard input): a recording of perf or strace, a printed run, a workload, each gzip or not, or a
 * log. They are those that `folioscope print LOG` shows of a run of it.
 * @throws InputError for what is none of them, with file and line; UserError where reading fails.
 */
export async function readOperations(path: string, options: ReadOptions): Promise<ReadOperations> {
  if (path !== '-' && isLog(path)) return operationsOfLog(path);
  const file = path === '-' ? '<stdin>' : path;
  const operations: Operation[] = [];
  const progress = new Progress('reading', options.quiet);
  let format: Format = 'workload';
  let parser: LineParser | null = null;
  const operation = (each: Operation): void => void operations.push(each);
  const begin = (head: string): void => {
    format = detectFormat(head);
    // What a call gives decides the next ones.
    if (format === 'syz')
      throw new UserError(`${file}: a syzkaller program; run it and give the log of the run`, EXIT.input);
    const { lenient } = options;
    parser =
      format === 'perf'
        ? new PerfParser(
            {
              ...{ operation, skipped: nothing, boundary: nothing, fault: nothing },
              ...{ fact: nothing, lost: nothing, foreign: nothing },
            },
            { lenient },
          )
        : new TextParser({ operation, skipped: nothing }, { recorded: format !== 'workload', lenient });
  };
  try {
    await readLines(path, { begin, line: (text, number) => parser?.line(text, number) }, progress);
    (parser as LineParser | null)?.end();
  } catch (error) {
    if (error instanceof InputError && error.place.file === undefined)
      throw new InputError({ ...error.place, file }, error.problem);
    throw error;
  } finally {
    progress.end();
  }
  return { format, recorded: (format as Format) !== 'workload', operations };
}

/** Is it a regular file that begins as logs do? What cannot be read is left to the reader to say. */
function isLog(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const source = fileSource(path);
  try {
    return magicAt(source, 0);
  } finally {
    source.close();
  }
}

function operationsOfLog(path: string): ReadOperations {
  const reader = new LogReader(fileSource(path), nodeTools);
  if (reader.footer.firstOperation > 0)
    throw new InputError({ file: path }, 'it was cut out of another log: the operations before it are not in it');
  const operations = [...loggedOperations(reader.operations(), path)].map((each): Operation => {
    const { line, pid, name, args, result, unfinished } = each;
    return { line, pid, name, args, result, ...(unfinished === true ? { unfinished } : {}) };
  });
  return { format: 'log', recorded: reader.header.recorded, operations };
}
