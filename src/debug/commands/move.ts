// Commands that go through time: steps, places, searches for stops, and the way back.
import { EXIT, UserError } from '../../lib/errors.js';
import type { Command } from '../command.js';
import { times } from '../command.js';
import type { Session } from '../session.js';
import type { Hit, Stop } from '../stops.js';
import { nextHits, previousHits } from '../stops.js';
import { count } from '../words.js';

type Way = 'forward' | 'backward';

/** Moves `n` times by `go`, which is false at the end of the log; then says where it is. */
function steps(session: Session, rest: string, go: (session: Session) => boolean): readonly string[] {
  const from = session.position;
  let wanted = times(rest);
  const { timeline } = session;
  while (wanted > 0 && go(session)) wanted--;
  const to = timeline.position;
  timeline.seek(from);
  if (to === from) return [to === session.reader.eventCount ? 'already at the end' : 'already at the beginning'];
  session.move(to);
  return session.where();
}

/** To where the operation of the last event begins. Its first step, over one event, keeps states near at hand: a seek has none. */
function backOver({ timeline, reader }: Session): boolean {
  if (timeline.position <= reader.firstEvent) return false;
  const operation = timeline.operationOf(timeline.position - 1);
  timeline.back();
  const { position } = timeline;
  if (position > reader.firstEvent && timeline.operationOf(position - 1) === operation) timeline.backOperation();
  return true;
}

/** Goes to the nearest stop. */
async function run(session: Session, way: Way, stops: readonly Stop[]): Promise<readonly string[]> {
  const forward = way === 'forward';
  const hits = await (forward ? nextHits : previousHits)(session.log, stops, session.position);
  const [first] = hits;
  if (first === undefined) {
    const { eventCount, firstEvent } = session.reader;
    session.move(forward ? eventCount : firstEvent);
    return [`no stop; ${forward ? 'the log ends here' : 'the log begins here'}`, ...session.where()];
  }
  session.move(first.position);
  return [...hits.flatMap(hitText), ...session.where()];
}

function hitText({ stop, why }: Hit): string[] {
  stop.hits++;
  return [`stop ${stop.id}: ${why}`];
}

/** Goes to where an expression turns true, whatever the stops. */
async function until(session: Session, way: Way, text: string): Promise<readonly string[]> {
  const probe = session.probe(text);
  const stop: Stop = { id: 0, text, what: { kind: 'turn', probe }, condition: null, hits: 0 };
  const [hit] = await (way === 'forward' ? nextHits : previousHits)(session.log, [stop], session.position);
  if (hit === undefined)
    return [`${text} does not turn true ${way === 'forward' ? 'after' : 'before'} ${count(session.position)}`];
  session.move(hit.position);
  return [hit.why, ...session.where()];
}

function mark(session: Session, rest: string): readonly string[] {
  const [name = '', place] = rest.split(/\s+/);
  if (!/^[\w-]+$/.test(name)) throw new UserError('a mark needs a name of letters, digits, _ and -', EXIT.input);
  const position = place === undefined ? session.position : session.positionOf(place);
  session.marks.set(name, position);
  return [`@${name} is ${count(position)}`];
}

/** Marks and notes, by position. */
function marks(session: Session): readonly string[] {
  const lines = [
    ...[...session.marks].map(([name, position]) => ({ position, text: `@${name}` })),
    ...session.notes.map(({ position, text }) => ({ position, text })),
  ].sort((a, b) => a.position - b.position);
  if (lines.length === 0) return ['no marks and no notes'];
  return lines.map(({ position, text }) => {
    const place = position > session.reader.firstEvent ? session.placeOf(position - 1) : 'the beginning';
    return `  ${count(position)}  ${text}  (${place})`;
  });
}

export const MOVE_COMMANDS: readonly Command[] = [
  {
    names: ['step', 's', 'next', 'n'],
    usage: 'step [N]',
    summary: 'to the end of the operation, or over N of them',
    more: 'Operations that changed nothing have no events and are passed over; `list` shows them.',
    run: (session, rest) => steps(session, rest, ({ timeline }) => timeline.stepOperation()),
  },
  {
    names: ['back', 'rs', 'reverse-step', 'rn'],
    usage: 'back [N]',
    summary: 'to the beginning of the operation, or over N of them',
    run: (session, rest) => steps(session, rest, backOver),
  },
  {
    names: ['stepi', 'si'],
    usage: 'stepi [N]',
    summary: 'over one event, or N of them',
    run: (session, rest) => steps(session, rest, ({ timeline }) => timeline.step() !== null),
  },
  {
    names: ['backi', 'bi', 'rsi', 'reverse-stepi'],
    usage: 'backi [N]',
    summary: 'back over one event, or N of them',
    run: (session, rest) => steps(session, rest, ({ timeline }) => timeline.back() !== null),
  },
  {
    names: ['continue', 'c'],
    usage: 'continue',
    summary: 'to the next stop (break, watch), or to the end',
    run: (session) => run(session, 'forward', session.stops),
  },
  {
    names: ['reverse-continue', 'rc'],
    usage: 'reverse-continue',
    summary: 'to the last stop before, or to the beginning',
    run: (session) => run(session, 'backward', session.stops),
  },
  {
    names: ['until', 'u'],
    usage: 'until EXPR',
    summary: 'to where EXPR next turns true',
    run: (session, rest) => until(session, 'forward', rest),
  },
  {
    names: ['reverse-until', 'ru'],
    usage: 'reverse-until EXPR',
    summary: 'back to where EXPR last turned true',
    run: (session, rest) => until(session, 'backward', rest),
  },
  {
    names: ['goto', 'g'],
    usage: 'goto N | +N | -N | op:N | line:N | start | end | 50% | @MARK',
    summary: 'to a position: N is behind N events; op:N and line:N behind the operation',
    run(session, rest) {
      session.move(session.positionOf(rest));
      return session.where();
    },
  },
  {
    names: ['undo'],
    usage: 'undo',
    summary: 'back to where the session was before the last move',
    run: (session) => (session.takeBack() ? session.where() : ['nothing to undo']),
  },
  {
    names: ['redo'],
    usage: 'redo',
    summary: 'takes the last undo back',
    run: (session) => (session.takeBack(true) ? session.where() : ['nothing to redo']),
  },
  {
    names: ['mark'],
    usage: 'mark NAME [POSITION]',
    summary: 'names the position; `goto @NAME` goes there',
    run: mark,
  },
  {
    names: ['note'],
    usage: 'note TEXT',
    summary: 'writes something down about the position',
    run(session, rest) {
      if (rest === '') throw new UserError('usage: note TEXT', EXIT.input);
      session.notes.push({ position: session.position, text: rest });
      return [`noted at ${count(session.position)}`];
    },
  },
  { names: ['marks'], usage: 'marks', summary: 'marks and notes', run: marks },
];
