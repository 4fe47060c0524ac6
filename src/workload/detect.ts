// Which format is it? Told from the content, never from the name.
import { InputError } from '../lib/errors.js';
import { looksLikePerf } from './perf/record.js';
import { looksHandWritten, looksLikeStrace } from './text/detect.js';

/** Formats that run. `printed` is a recording as folioscope prints it. */
export type Format = 'perf' | 'strace' | 'workload' | 'printed';

/**
 * The format of a text that begins with `head`.
 * @throws InputError if it is none.
 */
export function detectFormat(head: string): Format {
  if (head.startsWith('# folioscope recording')) return 'printed';
  if (looksLikePerf(head)) return 'perf';
  if (looksHandWritten(head)) return 'workload';
  if (looksLikeStrace(head)) return 'strace';
  throw new InputError({ line: 1 }, 'neither perf script output, nor strace output, nor a workload (docs/workload.md)');
}
