// What may stand next in a command line: commands, kinds of stops, event types and fields, invariants, behaviours, names and fields of expressions.
import { SHAPES } from '../../events/index.js';
import { INVARIANT_NAMES } from '../../projections/invariants/catalogue.js';
import { SUBJECTS } from '../../projections/query/subjects.js';
import { parseExpression } from '../../projections/query/parse.js';
import { BEHAVIOUR_NAMES } from '../kernel/behaviours.js';
import { UserError } from '../lib/errors.js';
import { EVENT_TYPES, typeNamed } from './names-of-events.js';
import { valueAt } from './probe.js';
import { COMMANDS, commandNamed } from './repl.js';
import type { Session } from './session.js';

/** Candidates, and the end of the line that they replace. */
export type Completion = [candidates: string[], replaced: string];

const MODES: Readonly<Record<string, readonly string[]>> = {
  break: ['on', 'event', 'invariant', 'syscall'],
  info: ['breakpoints', 'log'],
  'what-if': ['drop', 'with', 'without'],
  goto: ['start', 'end', 'op:', 'line:'],
};

/** Completes `line`, the text before the cursor. */
export function complete(session: Session, line: string): Completion {
  const text = line.trimStart();
  const space = text.search(/\s/);
  if (space < 0)
    return starting(
      COMMANDS.map(({ names: [name] }) => name),
      text,
    );
  const rest = text.slice(space).trimStart();
  const name = canonicalName(text.slice(0, space));
  const last = /\S*$/.exec(rest)?.[0] ?? '';
  const before = rest.slice(0, rest.length - last.length).trim();
  if (name === 'help') return starting([...COMMANDS.map(({ names: [each] }) => each), 'types'], last);
  if (name === 'goto' || name === 'diff')
    return starting(
      [...(MODES['goto'] as readonly string[]), ...[...session.marks.keys()].map((mark) => `@${mark}`)],
      last,
    );
  if (name === 'find') return ofEvent(session, before, last);
  if (before === '' && MODES[name] !== undefined) return starting(MODES[name], last);
  if (name === 'break') return ofBreak(session, before, last);
  if (name === 'what-if') return starting(before === 'drop' ? ['op:', 'line:'] : BEHAVIOUR_NAMES, last);
  return ofExpression(session, rest);
}

function canonicalName(word: string): string {
  try {
    return commandNamed(word).names[0];
  } catch (error) {
    if (error instanceof UserError) return '';
    throw error;
  }
}

const starting = (all: Iterable<string>, with_: string): Completion => [
  [...new Set(all)].filter((each) => each.startsWith(with_)).sort(),
  with_,
];

function ofBreak(session: Session, before: string, last: string): Completion {
  const [kind, ...more] = before.split(/\s+/);
  if (kind === 'event') return ofEvent(session, more.join(' '), last);
  if (kind === 'invariant') return starting(INVARIANT_NAMES, last);
  if (kind === 'syscall') return starting(callNames(session), last);
  return ofExpression(session, last);
}

function* callNames(session: Session): Generator<string> {
  for (const { name } of session.operations.all()) yield name;
}

/** A type, then its fields. */
function ofEvent(session: Session, before: string, last: string): Completion {
  const [type] = before.split(/\s+/);
  if (type === undefined || type === '') {
    const wanted = last.toLowerCase();
    return [EVENT_TYPES.filter((each) => each.toLowerCase().startsWith(wanted)), last];
  }
  if (/\bif\b/.test(before)) return ofExpression(session, last);
  try {
    return starting(
      Object.keys(SHAPES[typeNamed(type)].fields).map((field) => `${field}=`),
      last,
    );
  } catch (error) {
    if (error instanceof UserError) return [[], last];
    throw error;
  }
}

/** Subjects, bound names, words of the language; behind a dot the fields of what stands before it. */
function ofExpression(session: Session, text: string): Completion {
  const field = /((?:\w+\([^()]*\)|meminfo))\.(\w*)$/.exec(text);
  if (field !== null) return starting(fieldsOf(session, field[1] as string), field[2] as string);
  const word = /\w*$/.exec(text)?.[0] ?? '';
  const subjects = Object.keys(SUBJECTS).map((name) => `${name}(`);
  const pids = Object.keys(session.state.tasks);
  return starting(
    [...subjects, ...session.operations.names(), ...(text.endsWith('(') ? pids : []), 'meminfo', 'not', 'and', 'or'],
    word,
  );
}

function fieldsOf(session: Session, subject: string): readonly string[] {
  try {
    const value = valueAt(parseExpression(subject), session.names(), session.state);
    if (value === null || typeof value !== 'object') return [];
    return [...Object.keys(value.fields), ...(value.absent ?? [])];
  } catch (error) {
    if (error instanceof UserError) return [];
    throw error;
  }
}
