// folioscope cat LOG
import type { FieldKind, KernelEvent } from '../../../events/index.js';
import { SHAPES } from '../../../events/index.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { openLog } from '../open-log.js';
import { drained, flushOut, hex, out, wholeNumber } from '../output.js';

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
        out(options.json ? JSON.stringify({ number, operation, ...event }) : eventText(number, operation, event));
      }
    }
    await drained();
  }
  flushOut();
  return EXIT.ok;
}

/** `    812 op 77   AnonPageMapped mm=2 vpn=0x7f12e0001 pfn=301 ...` */
function eventText(number: number, operation: number, event: KernelEvent): string {
  const fields = Object.entries(SHAPES[event.type].fields).map(([name, kind]) => {
    const value = (event as unknown as Readonly<Record<string, unknown>>)[name];
    return `${name}=${fieldText(kind, value)}`;
  });
  const op = operation < 0 ? '-' : String(operation);
  return `${String(number).padStart(8)} op ${op.padEnd(6)} ${event.type} ${fields.join(' ')}`;
}

const HEX: ReadonlySet<FieldKind> = new Set<FieldKind>(['vpn', 'addr']);

function fieldText(kind: FieldKind, value: unknown): string {
  if (typeof value === 'number') return HEX.has(kind) ? hex(value) : String(value);
  if (!Array.isArray(value)) return JSON.stringify(value);
  return `[${(value as number[]).map((n) => (n > 0xffffff ? hex(n) : n)).join(',')}]`;
}
