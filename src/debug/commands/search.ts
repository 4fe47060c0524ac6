// Commands that ask about the whole log: when, why, history, query, find, diff, timeline.
import { staysTrue } from '../../../projections/query/turning.js';
import type { KernelEvent } from '../../../events/index.js';
import { firstTurn } from '../../../replays/bisect.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { changesOf, firstTurnOf, stretchesOf } from '../changes.js';
import type { Command } from '../command.js';
import { words } from '../command.js';
import { eventPredicate } from '../names-of-events.js';
import type { Session } from '../session.js';
import { differenceText, stateDifferences } from '../state-diff.js';
import { firstEvent } from '../scan.js';
import { timelineLines } from '../timeline-text.js';
import { whyLines, whyOf } from '../why.js';
import { briefly, changeText, count, plural } from '../words.js';

/** Lines of a list. */
const SHOWN = 40;

function cut(lines: readonly string[], what: string): readonly string[] {
  if (lines.length <= SHOWN) return lines;
  return [...lines.slice(0, SHOWN), `  and ${plural(lines.length - SHOWN, what)} more`];
}

async function when(session: Session, rest: string): Promise<readonly string[]> {
  const probe = session.probe(rest);
  const { firstEvent: begin, eventCount } = session.reader;
  if (probe.holds(session.timeline.stateAt(begin))) return [`${rest} holds from the beginning`];
  const number = staysTrue(probe.expression)
    ? (firstTurn(session.reader, (state) => probe.holds(state), true)?.event ?? null)
    : await firstTurnOf(session.log, (state) => probe.holds(state), begin, eventCount);
  if (number === null) return [`${rest} never holds`];
  return [
    `${rest} first holds at ${count(number + 1)}, after event ${session.eventLine(number)}`,
    `  ${session.placeOf(number)}`,
  ];
}

async function why(session: Session, rest: string): Promise<readonly string[]> {
  if (rest === '') throw new UserError('usage: why EXPR', EXIT.input);
  const found = await whyOf(session.log, session.operations, rest, session.names(), session.position);
  return whyLines(found, session.reader.header.sourceName);
}

async function history(session: Session, rest: string): Promise<readonly string[]> {
  const probe = session.probe(rest);
  const { found, total } = await changesOf(session.log, (state) => probe.value(state), SHOWN);
  if (total === 0) return [`${rest} is ${probe.value(session.state)} from the beginning to the end`];
  const lines = found.map(
    ({ number, event, before, after }) =>
      `  event ${number} ${event.type}: ${changeText(before, after)}  (${session.placeOf(number)})`,
  );
  return [
    `${rest} changed ${plural(total, 'time')}`,
    ...lines,
    ...(total > SHOWN ? [`  and ${plural(total - SHOWN, 'change')} more`] : []),
  ];
}

async function query(session: Session, rest: string): Promise<readonly string[]> {
  const probe = session.probe(rest);
  const stretches = await stretchesOf(session.log, (state) => probe.holds(state));
  if (stretches.length === 0) return [`${rest} never holds`];
  const lines = stretches.map(({ from, to }) => {
    const begin = from > session.reader.firstEvent ? session.placeOf(from - 1) : 'the beginning';
    return `  ${count(from)} to ${to === null ? `${count(session.reader.eventCount)}, the end` : count(to)}  (from ${begin})`;
  });
  return cut([`${rest} holds at`, ...lines], 'stretch');
}

async function find(session: Session, rest: string): Promise<readonly string[]> {
  const { is } = eventPredicate(rest, (text) => session.number(text));
  const found: { number: number; event: KernelEvent }[] = [];
  let total = 0;
  const { firstEvent: begin, eventCount } = session.reader;
  const note = (event: KernelEvent, number: number): boolean => {
    if (!is(event, number)) return false;
    if (total++ < SHOWN) found.push({ number, event });
    return false;
  };
  await firstEvent(session.log, note, begin, eventCount);
  if (total === 0) return [`no ${rest}`];
  const lines = found.map(({ number, event }) => `  ${number}  ${briefly(event)}  (${session.placeOf(number)})`);
  return total > SHOWN ? [...lines, `  and ${plural(total - SHOWN, 'event')} more`] : lines;
}

function diff(session: Session, rest: string): readonly string[] {
  const [first, second] = words(rest, 0, '');
  const { position, reader, timeline } = session;
  if (first === undefined && position === reader.firstEvent) return ['nothing has happened yet'];
  const from = first === undefined ? position - 1 : session.positionOf(first);
  const to = second === undefined ? position : session.positionOf(second);
  const found = stateDifferences(timeline.stateAt(from), timeline.stateAt(to), { sameRun: true });
  const head = `from ${count(from)} to ${count(to)}`;
  if (found.length === 0) return [`${head}: no difference`];
  return [
    head,
    ...cut(
      found.map((each) => `  ${differenceText(each)}`),
      'subject',
    ),
  ];
}

export const SEARCH_COMMANDS: readonly Command[] = [
  {
    names: ['when'],
    usage: 'when EXPR',
    summary: 'the first event from which EXPR holds',
    run: when,
  },
  {
    names: ['why'],
    usage: 'why EXPR',
    summary: 'the events behind a value, back to the lines of the workload',
    run: why,
  },
  {
    names: ['history', 'h'],
    usage: 'history EXPR',
    summary: 'every change of a value, with event and line',
    run: history,
  },
  { names: ['query'], usage: 'query EXPR', summary: 'every stretch of the log in which EXPR holds', run: query },
  {
    names: ['find', 'f'],
    usage: 'find TYPE [field=value ...]',
    summary: 'all events of a type; addr= and pfn= find ranges too',
    run: find,
  },
  {
    names: ['diff'],
    usage: 'diff [A [B]]',
    summary: 'what differs between two positions, by subject; from A to here; without both, what the last event did',
    run: diff,
  },
  {
    names: ['timeline'],
    usage: 'timeline',
    summary: 'forks, execs, exits, signals, violations and marks along the log',
    run: (session) => timelineLines(session),
  },
];
