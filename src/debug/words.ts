// Events, operations and positions in words.
import type { FieldKind, KernelEvent } from '../../events/index.js';
import { SHAPES } from '../../events/index.js';
import type { LoggedOperation } from '../../replays/log/operation-codec.js';
import type { Got } from '../kernel/call.js';
import { gotText } from '../sched/run.js';
import { printOperation } from '../workload/text/print.js';
import { loggedOperation } from '../workload/logged.js';

export const hex = (n: number): string => `0x${n.toString(16)}`;
/** `12,345`. */
export const count = (n: number): string => n.toLocaleString('en-US');
/** `1 page`, `12 pages`. */
export const plural = (n: number, what: string): string => `${count(n)} ${what}${n === 1 ? '' : 's'}`;

const HEX: ReadonlySet<FieldKind> = new Set<FieldKind>(['vpn', 'addr']);

/** Numbers of a list that are printed where space is short: three runs of a fork. */
const NUMBERS_SHOWN = 15;

function fieldText(kind: FieldKind, value: unknown, numbers: number): string {
  if (typeof value === 'number') return HEX.has(kind) ? hex(value) : String(value);
  if (!Array.isArray(value)) return JSON.stringify(value);
  const list = value as readonly number[];
  const shown = list.slice(0, numbers).map((n) => (n > 0xffffff ? hex(n) : n));
  return `[${shown.join(',')}${list.length > numbers ? `,... ${count(list.length)} numbers` : ''}]`;
}

/** Fields of an event as `name=value`, those that `wanted` names; of lists no more than `numbers`. */
function fieldTexts(event: KernelEvent, numbers: number, wanted?: ReadonlySet<string>): string[] {
  return Object.entries(SHAPES[event.type].fields).flatMap(([name, kind]) => {
    if (wanted !== undefined && !wanted.has(name)) return [];
    const value = (event as unknown as Readonly<Record<string, unknown>>)[name];
    return [`${name}=${fieldText(kind, value, numbers)}`];
  });
}

/** `AnonPageMapped mm=2 vpn=0x7f12e0001 pfn=301 ...`, with all it holds. */
export const eventText = (event: KernelEvent): string => [event.type, ...fieldTexts(event, Infinity)].join(' ');

/** The same on one line of a terminal, of the fields `wanted` if told: a fork's event may name hundreds of pages. */
export const briefly = (event: KernelEvent, wanted?: ReadonlySet<string>): string =>
  [event.type, ...fieldTexts(event, NUMBERS_SHOWN, wanted)].join(' ');

/** The line of an operation, with what the model made of it where the line does not say. A plain 0 is not worth a word. */
export function operationText(logged: LoggedOperation): string {
  const operation = loggedOperation(logged);
  const { kind } = operation.result;
  const got = logged.got as Got;
  const text = printOperation(operation).replace(/ = \?$/, '');
  if (got === null) return text;
  if (kind === 'bind') return `${text} (${gotText(got)})`;
  return kind !== 'none' || ('value' in got && got.value === 0) ? text : `${text} -> ${gotText(got)}`;
}

/** What became another value, in words; of subjects with many fields only those that did. */
export function changeText(before: string, after: string): string {
  const [left, right] = [before.split(' '), after.split(' ')];
  if (left.length !== right.length || left.length < 2) return `${before} -> ${after}`;
  const changed = left.flatMap((word, i) => {
    const other = right[i] as string;
    return word === other ? [] : [`${word} -> ${other.slice(other.indexOf('=') + 1)}`];
  });
  return changed.join(', ');
}

/** `a, b and 3 more`. */
export function some(words: readonly string[], shown: number): string {
  if (words.length <= shown) return words.join(', ');
  return `${words.slice(0, shown).join(', ')} and ${count(words.length - shown)} more`;
}
