// folioscope verify LOG
import { check } from '../../../projections/query/check.js';
import type { Verification } from '../../../replays/log/verify.js';
import { verifyLog } from '../../../replays/log/verify.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { reexecute } from '../../sched/reexecute.js';
import { loggedOperations } from '../../workload/logged.js';
import { fileSource, nodeTools } from '../node-io.js';
import { settingsOf } from '../open-log.js';
import { count, flushOut, out } from '../output.js';

/** Checks a log and lists all that is wrong; 0 sound, 1 damaged or diverging, 2 no log at all. */
export async function verifyCommand(
  path: string,
  options: { readonly deep: boolean; readonly json: boolean },
): Promise<ExitCode> {
  const source = fileSource(path);
  const result = verifyLog(source, nodeTools, {
    deep: options.deep,
    reexecute: (operations, header) =>
      reexecute(loggedOperations(operations, path), {
        ...settingsOf(header),
        recorded: header.recorded,
        lenient: true,
        check,
      }),
  });
  source.close();
  if (options.json) out(JSON.stringify({ log: path, deep: options.deep, ...result }));
  else {
    for (const { offset, what } of result.problems) out(`${path}: byte ${offset}: ${what}`);
    if (result.divergence !== null) out(`${path}: ${divergenceText(result.divergence)}`);
    if (result.ok)
      out(
        `${path}: ${count(result.events)} events, ${count(result.operations)} operations, ${soundText(result, options.deep)}, digest ${result.digest}`,
      );
    else if (result.isLog)
      out(
        `${path}: damaged; ${count(result.events)} events of sound chunks can be read; 'folioscope recover ${path}' saves what it can`,
      );
  }
  flushOut();
  if (result.ok) return EXIT.ok;
  return result.isLog ? EXIT.no : EXIT.input;
}

function soundText({ notRunAgain, statesCompared }: Verification, deep: boolean): string {
  if (!deep) return 'every frame is whole';
  if (notRunAgain === null) return 'folded and run again: the same';
  return statesCompared
    ? `folded: the same; not run again: ${notRunAgain}`
    : `every event read; not run again: ${notRunAgain}`;
}

function divergenceText(divergence: {
  readonly event: number;
  readonly expected: unknown;
  readonly got: unknown;
}): string {
  const text = (event: unknown): string => (event === null || event === undefined ? 'nothing' : JSON.stringify(event));
  return `event ${divergence.event} was ${text(divergence.expected)}, a new run gives ${text(divergence.got)}`;
}
