// Reads a workload whole: what conform and minimise work on.
import { EXIT, InputError, UserError } from '../lib/errors.js';
import { detectFormat } from '../workload/detect.js';
import type { Operation } from '../workload/operation.js';
import { TextParser } from '../workload/text/workload.js';
import { readLines } from './input.js';
import { Progress } from './progress.js';

/**
 * The operations of the workload `path` ("-": standard input).
 * @throws InputError for what is no workload, with file and line; UserError for a recording, or where reading fails.
 */
export async function readWorkload(path: string): Promise<Operation[]> {
  const file = path === '-' ? '<stdin>' : path;
  const operations: Operation[] = [];
  const parser = new TextParser(
    { operation: (operation) => void operations.push(operation), skipped: () => undefined },
    { recorded: false, lenient: false },
  );
  const begin = (head: string): void => {
    const format = detectFormat(head);
    if (format !== 'workload')
      throw new UserError(
        `${file}: a ${format} recording; \`run\` takes it, this wants a workload (docs/workload.md)`,
        EXIT.input,
      );
  };
  try {
    await readLines(path, { begin, line: (text, number) => parser.line(text, number) }, new Progress('reading', true));
    parser.end();
  } catch (error) {
    if (error instanceof InputError && error.place.file === undefined)
      throw new InputError({ ...error.place, file }, error.problem);
    throw error;
  }
  return operations;
}
