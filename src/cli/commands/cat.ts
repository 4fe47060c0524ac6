// folioscope cat LOG
import type { KernelEvent } from '../../../events/index.js';
import { SHAPES } from '../../../events/index.js';
import { eventText } from '../../debug/words.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { openLog } from '../open-log.js';
import { drained, flushOut, out, wholeNumber } from '../output.js';

export interface CatOptions {
  readonly from: string;
  readonly to?: string;
  readonly type: readonly string[];
  readonly json: boolean;
}

/** Prints events [from, to), of the wanted types, with their number and operation. */
export async function catCommand(path: string, options: CatOptions): Promise<ExitCode> {
  const reader = openLog(path);
  const from = wholeNumber(options.from, '--from', reader.eventCount);
  const to = options.to === undefined ? reader.eventCount : wholeNumber(options.to, '--to');
  for (const type of options.type)
    if (!Object.hasOwn(SHAPES, type))
      throw new UserError(`no event type '${type}'; 'folioscope info LOG' lists those of the log`, EXIT.input);
  const wanted = new Set(options.type);
  for (const chunk of reader.chunks(from, to)) {
    const events = chunk.events();
    let at = 0;
    for (const { operation, count } of chunk.runs) {
      for (let i = 0; i < count; i++, at++) {
        const number = chunk.first + at;
        const event = events[at] as KernelEvent;
        if (number < from || number >= to || (wanted.size > 0 && !wanted.has(event.type))) continue;
        out(options.json ? JSON.stringify({ number, operation, ...event }) : lineOf(number, operation, event));
      }
    }
    await drained();
  }
  flushOut();
  return EXIT.ok;
}

/** `    812 op 77   AnonPageMapped mm=2 vpn=0x7f12e0001 pfn=301 ...` */
function lineOf(number: number, operation: number, event: KernelEvent): string {
  const op = operation < 0 ? '-' : String(operation);
  return `${String(number).padStart(8)} op ${op.padEnd(6)} ${eventText(event)}`;
}
