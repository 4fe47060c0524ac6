// folioscope bisect LOG
import { INVARIANT_NAMES, invariantNamed } from '../../../projections/invariants/catalogue.js';
import { isBrokenIn, isSeenInStates } from '../../../projections/invariants/whole-state.js';
import { Watched, staysTrue } from '../../../projections/query/turning.js';
import type { BisectMethod } from '../../../replays/bisect.js';
import { faultBetween, firstTurn } from '../../../replays/bisect.js';
import type { LogReader } from '../../../replays/log/reader.js';
import { stateAt } from '../../../replays/timeline.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, InputError, UserError } from '../../lib/errors.js';
import { auditLog } from '../audit-log.js';
import { openLog } from '../open-log.js';
import { bold, flushOut, out } from '../output.js';

export interface BisectOptions {
  readonly invariant?: string;
  readonly when?: string;
  /** Look at every event: a violation that was mended again counts as well. */
  readonly scan: boolean;
  readonly json: boolean;
}

/** Where something turned. */
interface Found {
  readonly event: number;
  readonly operation: number;
  readonly line: number;
  readonly method: BisectMethod;
  readonly before: string;
  readonly after: string;
}

/** The first event that broke an invariant, or after which an expression holds; 0 if there is one, 1 if not. */
export async function bisectCommand(path: string, options: BisectOptions): Promise<ExitCode> {
  const { invariant, when, scan, json } = options;
  if ((invariant === undefined) === (when === undefined))
    throw new UserError('bisect takes --invariant NAME or --when EXPR', EXIT.input);
  const reader = openLog(path);
  const what = invariant ?? when ?? '';
  const found = invariant === undefined ? turnOf(reader, what) : breakOf(reader, what, scan);
  if (json) out(JSON.stringify(found === null ? { log: path, event: null } : { log: path, ...found }));
  else if (found === null) out(`${path}: ${what}: ${invariant === undefined ? 'never turns' : 'never broken'}`);
  else print(path, what, found, reader);
  flushOut();
  return found === null ? EXIT.no : EXIT.ok;
}

/**
 * The event that began a violation. A rule that states can tell of, and that is broken at the end, is halved for; the events after the
 * last state without fault are then looked at one by one. Otherwise, or with `scan`, every event is.
 */
function breakOf(reader: LogReader, name: string, scan: boolean): Found | null {
  const invariant = invariantNamed(name);
  if (invariant === undefined)
    throw new UserError(`no invariant '${name}'; there are ${INVARIANT_NAMES.join(', ')}`, EXIT.input);
  const between =
    scan || !isSeenInStates(invariant) ? null : faultBetween(reader, (state) => isBrokenIn(state, invariant));
  const [first] = auditLog(reader, [invariant], true, between?.low).violations;
  if (first === undefined) return null;
  const { cause, subject, expected, found } = first;
  return {
    ...placeOf(reader, cause),
    method: between === null ? 'linear scan' : 'binary search',
    before: `${subject}: ${expected}`,
    after: `${subject}: ${found}`,
  };
}

/** The event after which the expression first holds. */
function turnOf(reader: LogReader, text: string): Found | null {
  const [watched, turn] = asked(() => {
    const question = new Watched(text, scopeOf(reader));
    const answer = firstTurn(reader, (state) => question.holds(state), staysTrue(question.expression));
    question.requireAnswer();
    return [question, answer] as const;
  });
  if (turn === null || turn.event < 0) return null;
  const { event, method } = turn;
  return {
    ...placeOf(reader, event),
    method,
    before: watched.value(stateAt(reader, event)),
    after: watched.value(stateAt(reader, event + 1)),
  };
}

/** Errors of the expression are said to be its. */
function asked<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof InputError && error.place.file === undefined)
      throw new InputError({ ...error.place, file: '--when' }, error.problem);
    throw error;
  }
}

/** Names that operations of the log bound, and the first task. */
function scopeOf(reader: LogReader): { nameOf: (name: string) => number | undefined; pid: number } {
  const names = new Map<string, number>();
  let pid = 0;
  for (const { pid: by, result, got } of reader.operations()) {
    if (pid === 0 && by !== null) pid = by;
    const [name] = (result as { names?: readonly string[] } | null)?.names ?? [];
    const value = (got as { value?: number } | null)?.value;
    if (name !== undefined && value !== undefined) names.set(name, value);
  }
  return { nameOf: (name) => names.get(name), pid };
}

/** The operation of an event; -1 and line 0 for none. */
function placeOf(reader: LogReader, event: number): { event: number; operation: number; line: number } {
  const chunk = reader.chunkAt(event);
  let end = chunk.first;
  for (const { operation, count } of chunk.runs) {
    end += count;
    if (event < end) return { event, operation, line: operation < 0 ? 0 : reader.operation(operation).line };
  }
  return { event, operation: -1, line: 0 };
}

function print(path: string, what: string, found: Found, reader: LogReader): void {
  const { event, operation, line, method, before, after } = found;
  const name = operation < 0 ? '' : `, ${reader.operation(operation).name}`;
  out(bold(`${path}: ${what}`));
  out(`  turned by event ${event} (operation ${operation}${name}, line ${line}); ${method}`);
  out(`  before: ${before}`);
  out(`  after:  ${after}`);
  out(`  folioscope cat ${path} --from ${event} --to ${event + 1}`);
}
