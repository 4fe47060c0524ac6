// What compareRuns() found, in lines.
import type { KernelEvent } from '../../events/index.js';
import type { Got } from '../kernel/call.js';
import { gotText } from '../sched/run.js';
import type { OperationOutcome, RunDifference } from './run-diff.js';
import { fieldsApart } from './run-diff.js';
import type { Difference } from './state-diff.js';
import { differenceText } from './state-diff.js';
import { briefly, count, plural, some } from './words.js';

/** Operations and subjects listed. */
const SHOWN = 12;

/** Types of events listed. */
const TYPES_SHOWN = 6;

/** What the two sides are called: `was` and `now`, or the names of two logs. */
export interface Sides {
  readonly a: string;
  readonly b: string;
}

const place = ({ id, line, call }: OperationOutcome): string => `op ${id}, line ${line}: ${call}`;

/** `A B x3 C`. */
function typesText(types: readonly string[]): string {
  const words: string[] = [];
  for (let i = 0; i < types.length;) {
    let n = 1;
    while (types[i + n] === types[i]) n++;
    words.push(n === 1 ? (types[i] as string) : `${types[i]} x${n}`);
    i += n;
  }
  return words.length === 0 ? '-' : words.join(' ');
}

const eventSide = (event: KernelEvent | null, fields: ReadonlySet<string> | null): string =>
  event === null ? 'nothing more in this operation' : briefly(event, fields ?? undefined);

/** Two lines, the words before them equally wide. */
function both(indent: string, { a, b }: Sides, left: string, right: string): string[] {
  const width = Math.max(a.length, b.length);
  return [`${indent}${a.padEnd(width)}  ${left}`, `${indent}${b.padEnd(width)}  ${right}`];
}

function onlyLines(side: string, outcomes: readonly OperationOutcome[], total: number): string[] {
  if (total === 0) return [];
  return [
    `only in ${side}: ${plural(total, 'operation')}`,
    ...outcomes.slice(0, SHOWN).map((each) => `  ${place(each)}`),
    ...(total > SHOWN ? [`  and ${count(total - SHOWN)} more`] : []),
  ];
}

/** Events by type, where one side has more. */
function countLines({ events, counts }: RunDifference, { a, b }: Sides): string[] {
  if (counts.length === 0) return [];
  const types = counts.map((each) => `${each.type} ${count(each.a)} -> ${count(each.b)}`);
  return [`events, ${a} -> ${b}: ${count(events.a)} -> ${count(events.b)}; ${some(types, TYPES_SHOWN)}`];
}

/** The runs, then what differs in the end. */
export function runDifferenceLines(runs: RunDifference, state: readonly Difference[], sides: Sides): string[] {
  const { divergence, otherwise, otherwiseCount, onlyA, onlyACount, onlyB, onlyBCount } = runs;
  const lines: string[] = countLines(runs, sides);
  if (divergence !== null) {
    const { a, eventA, eventB, was, now } = divergence;
    const fields = was !== null && now !== null ? fieldsApart(was, now) : null;
    const numbers = eventA === eventB ? `event ${eventA}` : `event ${eventA} (${sides.a}), ${eventB} (${sides.b})`;
    lines.push(
      `first divergence: ${numbers}, ${place(a)}`,
      ...both('  ', sides, eventSide(was, fields), eventSide(now, fields)),
    );
  }
  lines.push(...onlyLines(sides.a, onlyA, onlyACount), ...onlyLines(sides.b, onlyB, onlyBCount));
  if (otherwiseCount > 0) {
    lines.push(`${plural(otherwiseCount, 'operation')} went otherwise`);
    for (const each of otherwise.slice(0, SHOWN)) {
      lines.push(`  ${place(each.a)}`);
      if (each.typesA.length + each.typesB.length > 0)
        lines.push(...both('    ', sides, typesText(each.typesA), typesText(each.typesB)));
      if (JSON.stringify(each.gotA) !== JSON.stringify(each.gotB))
        lines.push(...both('    ', sides, `= ${gotText(each.gotA as Got)}`, `= ${gotText(each.gotB as Got)}`));
    }
    if (otherwiseCount > SHOWN) lines.push(`  and ${count(otherwiseCount - SHOWN)} more`);
  }
  if (state.length === 0) lines.push('at the end: the same state');
  else {
    lines.push(`at the end, ${sides.a} -> ${sides.b}: ${plural(state.length, 'subject')}`);
    lines.push(...state.slice(0, SHOWN).map((each) => `  ${differenceText(each)}`));
    if (state.length > SHOWN) lines.push(`  and ${count(state.length - SHOWN)} more`);
  }
  return lines;
}
