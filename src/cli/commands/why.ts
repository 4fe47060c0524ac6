// folioscope why LOG EXPR
import { Operations } from '../../debug/operations.js';
import { whyLines, whyOf } from '../../debug/why.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { openLog, positionOf } from '../open-log.js';
import { flushOut, out } from '../output.js';
import { expressionErrors } from '../expression-errors.js';

export interface WhyOptions {
  readonly at?: string;
  readonly json: boolean;
}

/** Prints the events behind the value of an expression, back to the lines of the workload; 1 if there are none. */
export async function whyCommand(path: string, expression: string, options: WhyOptions): Promise<ExitCode> {
  const reader = openLog(path);
  const at = positionOf(reader, options.at);
  const operations = new Operations(reader);
  const names = { nameOf: (name: string) => operations.nameAt(name, at), pid: operations.firstPid() };
  const log = { reader, breathe: async () => {} };
  const why = await expressionErrors('EXPR', () => whyOf(log, operations, expression, names, at));
  if (options.json) out(JSON.stringify({ log: path, ...why }));
  else for (const line of whyLines(why, reader.header.sourceName)) out(line);
  flushOut();
  return why.chain.length === 0 ? EXIT.no : EXIT.ok;
}
