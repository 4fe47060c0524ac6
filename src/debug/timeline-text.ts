// The whole log as one line of signs: forks, execs, exits, signals, violations, marks.
import type { KernelEvent } from '../../events/index.js';
import type { Violation } from '../../projections/invariants/invariant.js';
import type { SearchedLog } from './scan.js';
import type { Session } from './session.js';
import type { Violations } from './violations.js';
import { count } from './words.js';

const WIDTH = 72;
/** Things listed below the line. */
const LISTED = 30;

/** Signs, the most important first: one column may stand for many events. */
export const SIGNS = ['!', 'F', 'E', 'X', 'S', '*'] as const;
export type Sign = (typeof SIGNS)[number];
export const MEANING: Readonly<Record<Sign, string>> = {
  '!': 'violation',
  F: 'fork',
  E: 'execve',
  X: 'exit',
  S: 'signal',
  '*': 'mark',
};

/** Something worth a sign. */
export interface Thing {
  /** Number of the event; of marks, the position. */
  readonly at: number;
  readonly sign: Sign;
  readonly text: string;
}

function thingOf(event: KernelEvent, number: number): Thing | null {
  switch (event.type) {
    case 'MmCreated':
      return event.parent === 0 ? null : { at: number, sign: 'F', text: 'address space copied' };
    case 'TaskMmSwitched':
      return { at: number, sign: 'E', text: `task ${event.tid}` };
    case 'TaskExited':
      return { at: number, sign: 'X', text: `task ${event.tid}` };
    case 'SignalSent':
      return { at: number, sign: 'S', text: `${event.signal === 7 ? 'SIGBUS' : 'SIGSEGV'} to task ${event.tid}` };
    default:
      return null;
  }
}

/** What happened along a log, in order: all signs but marks. */
export async function happenings(log: SearchedLog, violations: Violations): Promise<readonly Thing[]> {
  const { firstEvent } = log.reader;
  const things: Thing[] = [];
  for (const chunk of log.reader.chunks(firstEvent)) {
    chunk.events().forEach((event, i) => {
      const thing = chunk.first + i < firstEvent ? null : thingOf(event, chunk.first + i);
      if (thing !== null) things.push(thing);
    });
    await log.breathe();
  }
  things.push(...brokenThings(await violations.of(null)));
  return things.sort(inOrder);
}

const inOrder = (a: Thing, b: Thing): number => a.at - b.at || SIGNS.indexOf(a.sign) - SIGNS.indexOf(b.sign);

/** The session's marks and notes. */
export function markings(session: Session): readonly Thing[] {
  const marks = [...session.marks].map(([name, at]): Thing => ({ at, sign: '*', text: `@${name}` }));
  return [...marks, ...session.notes.map(({ position, text }): Thing => ({ at: position, sign: '*', text }))];
}

/** The line, the position below it, and what the signs are. */
export async function timelineLines(session: Session): Promise<readonly string[]> {
  const things = [...(await happenings(session.log, session.violations)), ...markings(session)].sort(inOrder);
  return [...bar(things, session), ...listing(things, session)];
}

/** One thing for each event that broke something. */
function brokenThings(violations: readonly Violation[]): Thing[] {
  const first = new Map<number, { readonly text: string; more: number }>();
  for (const { cause, invariant, subject } of violations) {
    const known = first.get(cause);
    if (known === undefined) first.set(cause, { text: `${invariant}, ${subject}`, more: 0 });
    else known.more++;
  }
  return [...first].map(([at, { text, more }]) => ({
    at,
    sign: '!',
    text: more === 0 ? text : `${text}, and ${count(more)} more`,
  }));
}

/** The log as one line of at most `width` signs, and the column of the position. */
export interface Bar {
  /** `-` where there is nothing. */
  readonly signs: readonly (Sign | '-')[];
  readonly here: number;
}

/** Puts `things` on a line. */
export function barOf(things: readonly Thing[], { reader, position }: Session, most: number): Bar {
  const { firstEvent, eventCount } = reader;
  const width = Math.max(1, Math.min(most, eventCount - firstEvent));
  const columnOf = (at: number): number =>
    Math.min(width - 1, Math.floor(((at - firstEvent) * width) / Math.max(1, eventCount - firstEvent)));
  const signs = new Array<Sign | '-'>(width).fill('-');
  for (const { at, sign } of things) {
    const column = columnOf(at);
    const there = SIGNS.indexOf(signs[column] as Sign);
    if (there < 0 || SIGNS.indexOf(sign) < there) signs[column] = sign;
  }
  return { signs, here: columnOf(position) };
}

function bar(things: readonly Thing[], session: Session): string[] {
  const { firstEvent, eventCount } = session.reader;
  const { signs, here } = barOf(things, session, WIDTH);
  return [
    `|${signs.join('')}| ${count(firstEvent)} to ${count(eventCount)}`,
    `${' '.repeat(here + 1)}^ ${count(session.position)}`,
  ];
}

function listing(things: readonly Thing[], session: Session): string[] {
  const lines = things.slice(0, LISTED).map(({ at, sign, text }) => {
    const number = sign === '*' ? `position ${count(at)}` : `event ${count(at)}`;
    const place = sign === '*' ? '' : `  (${session.placeOf(at)})`;
    return `  ${sign} ${MEANING[sign]}, ${number}: ${text}${place}`;
  });
  if (things.length > LISTED) lines.push(`  and ${count(things.length - LISTED)} more`);
  return lines;
}
