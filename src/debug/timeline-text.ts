// The whole log as one line of signs: forks, execs, exits, signals, violations, marks.
import type { KernelEvent } from '../../events/index.js';
import type { Violation } from '../../projections/invariants/invariant.js';
import type { Note, Session } from './session.js';
import { count } from './words.js';

const WIDTH = 72;
/** Things listed below the line. */
const LISTED = 30;

/** Signs, the most important first: one column may stand for many events. */
const SIGNS = ['!', 'F', 'E', 'X', 'S', '*'] as const;
type Sign = (typeof SIGNS)[number];
const MEANING: Readonly<Record<Sign, string>> = {
  '!': 'violation',
  F: 'fork',
  E: 'execve',
  X: 'exit',
  S: 'signal',
  '*': 'mark',
};

interface Thing {
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

/** The line, the position below it, and what the signs are. */
export async function timelineLines(session: Session): Promise<readonly string[]> {
  const { firstEvent } = session.reader;
  const things: Thing[] = [];
  for (const chunk of session.reader.chunks(firstEvent)) {
    chunk.events().forEach((event, i) => {
      const thing = chunk.first + i < firstEvent ? null : thingOf(event, chunk.first + i);
      if (thing !== null) things.push(thing);
    });
    await session.log.breathe();
  }
  things.push(...brokenThings(await session.violations.of(null)));
  for (const [name, at] of session.marks) things.push({ at, sign: '*', text: `@${name}` });
  for (const { position, text } of session.notes as readonly Note[]) things.push({ at: position, sign: '*', text });
  things.sort((a, b) => a.at - b.at || SIGNS.indexOf(a.sign) - SIGNS.indexOf(b.sign));
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

function bar(things: readonly Thing[], { reader, position }: Session): string[] {
  const { firstEvent, eventCount } = reader;
  const width = Math.max(1, Math.min(WIDTH, eventCount - firstEvent));
  const columnOf = (at: number): number =>
    Math.min(width - 1, Math.floor(((at - firstEvent) * width) / Math.max(1, eventCount - firstEvent)));
  const columns = new Array<string>(width).fill('-');
  for (const { at, sign } of things) {
    const column = columnOf(at);
    const there = SIGNS.indexOf(columns[column] as Sign);
    if (there < 0 || SIGNS.indexOf(sign) < there) columns[column] = sign;
  }
  const here = `${' '.repeat(columnOf(position) + 1)}^ ${count(position)}`;
  return [`|${columns.join('')}| ${count(firstEvent)} to ${count(eventCount)}`, here];
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
