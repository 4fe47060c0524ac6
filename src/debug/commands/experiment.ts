// Commands that make something new of a log: what-if and export-test.
import { BEHAVIOUR_NAMES, behavioursOf } from '../../kernel/behaviours.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { RECORDING_HEADER, WORKLOAD_HEADER, printOperation } from '../../workload/text/print.js';
import type { Command } from '../command.js';
import { words } from '../command.js';
import { runDifferenceLines } from '../run-diff-text.js';
import { isSame } from '../run-diff.js';
import type { Asked, Session } from '../session.js';
import type { Change } from '../what-if.js';
import { whatIf } from '../what-if.js';
import { plural, some } from '../words.js';
import { loggedOperation } from '../../workload/logged.js';

const WHAT_IF_USAGE = `what-if drop OP [OP ...]
what-if with BEHAVIOUR [...]
what-if without BEHAVIOUR [...]`;

/** Operations named by `3`, `op:3` or `line:5`. */
function operationsNamed(session: Session, names: readonly string[]): ReadonlySet<number> {
  return new Set(
    names.map((name) => {
      const [, kind, number] = /^(?:(op|line):)?(\d+)$/.exec(name) ?? [];
      if (number === undefined) throw new UserError(`'${name}' is no operation: N, op:N or line:N`, EXIT.input);
      const operation =
        kind === 'line' ? session.operations.ofLine(Number(number)) : session.operations.at(Number(number));
      if (operation === null) throw new UserError(`no operation ${name}`, EXIT.input);
      return operation.id;
    }),
  );
}

function changeOf(session: Session, rest: string): Change {
  const [kind = '', ...names] = words(rest, 2, WHAT_IF_USAGE);
  const nothing: Change = { drop: new Set(), with: [], without: [] };
  if (kind === 'drop') return { ...nothing, drop: operationsNamed(session, names) };
  if (kind === 'with') return { ...nothing, with: names };
  if (kind === 'without') return { ...nothing, without: names };
  throw new UserError(`usage: ${WHAT_IF_USAGE}`, EXIT.input);
}

async function tryOut(session: Session, rest: string): Promise<readonly string[]> {
  const { runs, state, unrunnable } = await whatIf(session.log, changeOf(session, rest));
  const failures = unrunnable.map(({ id, problem }) => `op ${id} (${problem})`);
  const lost = failures.length === 0 ? [] : [`cannot run any more: ${some(failures, 5)}`];
  if (isSame(runs) && lost.length === 0) return ['the same events, one by one'];
  return [...lost, ...runDifferenceLines(runs, state, { a: 'was', b: 'now' })];
}

/** A `check` line for each value asked where an operation ends, as lines behind that operation's; the others are counted. */
function checksOf(session: Session): { readonly byOperation: ReadonlyMap<number, string[]>; readonly left: number } {
  const byOperation = new Map<number, string[]>();
  let left = 0;
  for (const asked of session.asked) {
    const operation = lastOperationAt(session, asked.position);
    const line = checkLine(asked);
    if (operation === null || line === null) {
      left++;
      continue;
    }
    const lines = byOperation.get(operation) ?? [];
    byOperation.set(operation, lines);
    if (!lines.includes(line)) lines.push(line);
  }
  return { byOperation, left };
}

/** The operation that ends at `position`; null if one is under way there, or none has begun. */
function lastOperationAt({ reader, operations }: Session, position: number): number | null {
  const last = position > reader.firstEvent ? operations.ofEvent(position - 1) : null;
  return last !== null && last.firstEvent + last.events === position ? last.id : null;
}

function checkLine({ text, literal }: Asked): string | null {
  if (literal === null) return null;
  if (literal === 'true') return `check ${text}`;
  return literal === 'false' ? `check not (${text})` : `check ${text} == ${literal}`;
}

function exportTest(session: Session, rest: string): readonly string[] {
  const { byOperation, left } = checksOf(session);
  if (byOperation.size === 0)
    throw new UserError('nothing to check: print or assert something where an operation ends', EXIT.input);
  const last = Math.max(...byOperation.keys());
  const { header } = session.reader;
  const lines = [header.recorded ? RECORDING_HEADER : WORKLOAD_HEADER];
  let checks = 0;
  for (const operation of session.operations.all()) {
    if (operation.id > last) break;
    lines.push(printOperation(loggedOperation(operation)));
    for (const line of byOperation.get(operation.id) ?? []) {
      lines.push(line);
      checks++;
    }
  }
  const base = behavioursOf(header.kernel);
  const turned = BEHAVIOUR_NAMES.filter((name) => header.behaviours[name] !== base[name]).map(
    (name) => ` ${base[name] ? '--without' : '--with'} ${name}`,
  );
  const how = `folioscope run ${rest} --kernel ${header.kernel}${turned.join('')}`;
  const told =
    left === 0 ? [] : [`${plural(left, 'value')} left out: asked inside an operation, or of a whole subject`];
  if (rest === '') return [...lines, ...told];
  session.host.writeFile(rest, `${lines.join('\n')}\n`);
  return [
    `${rest}: ${plural(last - session.operations.first + 1, 'operation')}, ${plural(checks, 'check')}`,
    `  ${how}`,
    ...told,
  ];
}

export const EXPERIMENT_COMMANDS: readonly Command[] = [
  {
    names: ['what-if'],
    usage: WHAT_IF_USAGE,
    summary: 'runs the operations again without some, or with another behaviour, and tells what differs',
    more: 'The log stays as it is. OP is a number, op:N or line:N; `folioscope behaviours` lists behaviours.',
    run: tryOut,
  },
  {
    names: ['export-test'],
    usage: 'export-test [FILE]',
    summary: 'the operations as a workload, with a check for each value printed or asserted so far',
    more: 'Values asked inside an operation, and of whole subjects, are left out. Without FILE it is printed.',
    run: exportTest,
  },
];
