// folioscope diff A B
import { compareRuns, isSame, loggedRun } from '../../debug/run-diff.js';
import { runDifferenceLines } from '../../debug/run-diff-text.js';
import { stateDifferences } from '../../debug/state-diff.js';
import type { LogReader } from '../../../replays/log/reader.js';
import { stateAt } from '../../../replays/timeline.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { openLog } from '../open-log.js';
import { bold, flushOut, out } from '../output.js';

const settingText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value ?? 'none'));

/** What the runs were made with, where it differs: `kernel 5.8 | 6.18`. */
function settingsApart(a: LogReader, b: LogReader): { what: string; a: string; b: string }[] {
  const [x, y] = [a.header, b.header];
  const pairs: [string, unknown, unknown][] = [
    ['source', x.sourceName, y.sourceName],
    ['kernel', x.kernel, y.kernel],
    ['tool', x.tool, y.tool],
  ];
  for (const [what, left, right] of [
    ['behaviour', x.behaviours, y.behaviours],
    ['machine', x.machine, y.machine],
  ] as const)
    for (const name of new Set([...Object.keys(left), ...Object.keys(right)]))
      pairs.push([`${what} ${name}`, left[name], right[name]]);
  return pairs
    .filter(([, left, right]) => left !== right)
    .map(([what, left, right]) => ({ what, a: settingText(left), b: settingText(right) }));
}

/** Compares two runs: settings, the first divergence, operations that went otherwise, the states at the end; 0 if they are the same, 1 if not. */
export async function diffCommand(
  pathA: string,
  pathB: string,
  options: { readonly json: boolean },
): Promise<ExitCode> {
  const [a, b] = [openLog(pathA), openLog(pathB)];
  const settings = settingsApart(a, b);
  const runs = await compareRuns(loggedRun(a), loggedRun(b), async () => {});
  const state = stateDifferences(stateAt(a, a.eventCount), stateAt(b, b.eventCount), { sameRun: false });
  const same = isSame(runs) && state.length === 0;
  if (options.json) out(JSON.stringify({ a: pathA, b: pathB, same, settings, ...runs, state }));
  else {
    out(bold(`${pathA} | ${pathB}: ${same ? 'the same events, one by one' : 'not the same'}`));
    for (const { what, a: left, b: right } of settings) out(`${what}: ${left} | ${right}`);
    if (!same) for (const line of runDifferenceLines(runs, state, { a: pathA, b: pathB })) out(line);
  }
  flushOut();
  return same ? EXIT.ok : EXIT.no;
}
