// folioscope cut LOG
import { cutLog } from '../../../replays/cut.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { fileSink, nodeTools } from '../node-io.js';
import { openLog } from '../open-log.js';
import { count, flushOut, out, wholeNumber } from '../output.js';

export interface CutOptions {
  readonly from: string;
  readonly to?: string;
  readonly output: string;
  readonly json: boolean;
}

/** Writes events [from, to) as a log of their own that begins with the state before them. */
export async function cutCommand(path: string, options: CutOptions): Promise<ExitCode> {
  const reader = openLog(path);
  const from = wholeNumber(options.from, '--from', reader.eventCount);
  const to = options.to === undefined ? reader.eventCount : wholeNumber(options.to, '--to', reader.eventCount);
  const sink = fileSink(options.output);
  try {
    const cut = cutLog(reader, from, to, sink, nodeTools);
    if (options.json) out(JSON.stringify({ log: path, output: options.output, from, to, ...cut }));
    else
      out(
        `${options.output}: events ${from} to ${to - 1} (${count(cut.events)}), ${count(cut.operations)} operations, digest ${cut.digest}`,
      );
  } catch (error) {
    sink.abort();
    throw error;
  }
  flushOut();
  return EXIT.ok;
}
