// folioscope print LOG: the run as a workload again.
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { loggedOperations } from '../../workload/logged.js';
import { RECORDING_HEADER, WORKLOAD_HEADER, printOperation } from '../../workload/text/print.js';
import { openLog } from '../open-log.js';
import { drained, flushOut, out } from '../output.js';

/** Lines printed before the reader of a pipe is waited for. */
const LINES = 1024;

/** Prints every operation as a line that `run` reads back. */
export async function printCommand(path: string, options: { readonly json: boolean }): Promise<ExitCode> {
  const reader = openLog(path);
  if (!options.json) out(reader.header.recorded ? RECORDING_HEADER : WORKLOAD_HEADER);
  let lines = 0;
  for (const operation of loggedOperations(reader.operations(), path)) {
    out(options.json ? JSON.stringify(operation, bigintsAsText) : printOperation(operation));
    if (++lines % LINES === 0) await drained();
  }
  flushOut();
  return EXIT.ok;
}

const bigintsAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? `0x${value.toString(16)}` : value;
