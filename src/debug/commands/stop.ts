// Commands about breakpoints and watches.
import { EXIT, UserError } from '../../lib/errors.js';
import type { Command } from '../command.js';
import { words } from '../command.js';
import { eventPredicate } from '../names-of-events.js';
import type { Probe } from '../probe.js';
import type { Session } from '../session.js';
import type { Place, Stop, StopKind } from '../stops.js';
import { plural } from '../words.js';

const BREAK_USAGE = `break on EXPR
break event TYPE [field=value ...] [if EXPR]
break invariant [NAME] [if EXPR]
break syscall NAME [if EXPR]`;

/** `... if EXPR`: what stands before, and the condition. */
function conditionOf(session: Session, rest: string): { what: string; condition: Probe | null } {
  const match = /^(.*?)\s+if\s+(.+)$/.exec(rest);
  if (match === null) return { what: rest, condition: null };
  return { what: (match[1] as string).trim(), condition: session.probe(match[2] as string) };
}

/** Positions behind the events that broke an invariant. */
async function violationPlaces(session: Session, name: string | null): Promise<readonly Place[]> {
  const found = await session.violations.of(name);
  return found.map(({ cause, invariant, subject, expected, found: got }) => ({
    position: cause + 1,
    why: `${invariant} broken by event ${cause}: ${subject}: expected ${expected}, found ${got}`,
  }));
}

/** Positions before operations of a name. */
function callPlaces(session: Session, name: string): readonly Place[] {
  const places: Place[] = [];
  for (const operation of session.operations.all())
    if (operation.name === name)
      places.push({
        position: operation.firstEvent,
        why: `before op ${operation.id}, ${session.placeText(operation)}`,
      });
  return places;
}

function added({ id, text }: Stop): readonly string[] {
  return [`stop ${id}: ${text}`];
}

async function breakOn(session: Session, rest: string): Promise<readonly string[]> {
  const [kind = ''] = rest.split(/\s+/);
  const about = rest.slice(kind.length).trim();
  if (kind === 'on')
    return added(session.addStop(`break on ${about}`, { kind: 'turn', probe: session.probe(about) }, null));
  const { what, condition } = conditionOf(session, about);
  return added(session.addStop(`break ${rest}`, await stopKind(session, kind, what), condition));
}

async function stopKind(session: Session, kind: string, what: string): Promise<StopKind> {
  switch (kind) {
    case 'event':
      return { kind: 'event', is: eventPredicate(what, (text) => session.number(text)).is };
    case 'invariant': {
      const places = await violationPlaces(session, what === '' ? null : what);
      return { kind: 'places', places: async () => places };
    }
    case 'syscall': {
      const [name = ''] = words(what, 1, 'break syscall NAME');
      const places = callPlaces(session, name);
      if (places.length === 0) throw new UserError(`the log holds no ${name}`, EXIT.input);
      return { kind: 'places', places: async () => places };
    }
    default:
      throw new UserError(`usage:\n${BREAK_USAGE}`, EXIT.input);
  }
}

function remove(session: Session, rest: string): readonly string[] {
  if (rest === '') {
    const n = session.stops.length;
    session.stops.length = 0;
    return [`${plural(n, 'stop')} deleted`];
  }
  for (const word of words(rest, 1, 'delete [N ...]')) {
    const at = session.stops.findIndex(({ id }) => String(id) === word);
    if (at < 0) throw new UserError(`no stop ${word}; \`info breakpoints\` lists them`, EXIT.input);
    session.stops.splice(at, 1);
  }
  return [];
}

/** `info breakpoints`: every stop, how often it was reached, and what a watch sees now. */
export function stopLines(session: Session): readonly string[] {
  if (session.stops.length === 0) return ['no breakpoints and no watches'];
  return session.stops.map(({ id, text, what, hits }) => {
    const now = what.kind === 'watch' ? `, now ${what.probe.value(session.state)}` : '';
    return `  ${id}  ${text}${hits > 0 ? `  (reached ${plural(hits, 'time')})` : ''}${now}`;
  });
}

export const STOP_COMMANDS: readonly Command[] = [
  {
    names: ['break', 'b'],
    usage: BREAK_USAGE,
    summary: 'stops continue and reverse-continue',
    more: `on: behind the event after which EXPR holds and before which it did not. event: behind such an event; addr= and pfn= find ranges too.
invariant: behind the event that broke it (no name: any). syscall: before the operation.`,
    run: breakOn,
  },
  {
    names: ['watch', 'w'],
    usage: 'watch EXPR',
    summary: 'stops behind every event that changes the value of EXPR',
    run: (session, rest) =>
      added(session.addStop(`watch ${rest}`, { kind: 'watch', probe: session.probe(rest) }, null)),
  },
  { names: ['delete', 'd'], usage: 'delete [N ...]', summary: 'deletes stops; all without a number', run: remove },
];
