// Which format is it? Told from the content, never from the name.
import { InputError } from '../lib/errors.js';
import { looksLikePerf } from './perf/record.js';
import { looksLikeSyz } from './syz/detect.js';
import { looksHandWritten, looksLikeStrace } from './text/detect.js';

/** Formats that run. `printed` is a recording as folioscope prints it, `syz` a program of syzkaller. */
export type Format = 'perf' | 'strace' | 'workload' | 'printed' | 'syz';

/** Does a text of that format tell what happened, rather than what to do? */
export const isRecording = (format: Format): boolean => format !== 'workload' && format !== 'syz';

/**
 * The format of a text that begins with `head`.
 * @throws InputError if it is none.
 */
export function detectFormat(head: string): Format {
  if (head.startsWith('# folioscope recording')) return 'printed';
  if (looksLikePerf(head)) return 'perf';
  if (looksLikeSyz(head)) return 'syz';
  if (looksHandWritten(head)) return 'workload';
  if (looksLikeStrace(head)) return 'strace';
  throw new InputError(
    { line: 1 },
    'neither perf script output, nor strace output, nor a syzkaller program, nor a workload (docs/workload.md)',
  );
}
