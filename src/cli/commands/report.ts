// folioscope report cow LOG
import type { CowWriter, ForkReport } from '../../../projections/cow-cost.js';
import { cowCost, forkReport } from '../../../projections/cow-cost.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { foldProjection } from '../fold-projection.js';
import { openLog } from '../open-log.js';
import { bold, count, flushOut, out, percent, table } from '../output.js';

/** Rows of a fork's table that people read; --json has all. */
const SHOWN = 8;

/** Prints what forks cost; `what` is `cow`. */
export async function reportCommand(
  what: string,
  path: string,
  options: { readonly json: boolean },
): Promise<ExitCode> {
  if (what !== 'cow') throw new UserError(`no report '${what}'; there is cow`, EXIT.input);
  const forks = forkReport(foldProjection(openLog(path), cowCost));
  if (options.json) out(JSON.stringify({ log: path, forks }));
  else printCow(path, forks);
  flushOut();
  return EXIT.ok;
}

/** `1.4 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024 * 1024) return `${count(bytes / 1024)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** The report for a person whose service forks: per fork what was shared, and who paid for copies, where. */
export function printCow(path: string, forks: readonly ForkReport[]): void {
  const copied = forks.reduce((sum, fork) => sum + fork.copied, 0);
  out(bold(`${path}: ${count(forks.length)} forks, ${bytesText(copied * 4096)} copied after them`));
  for (const fork of forks) {
    const { parent, child, event, line, shared, reused } = fork;
    out('');
    out(
      `fork of ${parent} to ${child} (line ${line}, event ${event}): ${count(shared)} pages shared (${bytesText(shared * 4096)})`,
    );
    out(
      `  ${count(fork.copied)} copied since, ${bytesText(fork.copiedBytes)}, ${percent(fork.copied, shared)} of what was shared; ${count(reused)} kept without a copy`,
    );
    for (const row of table(fork.by.slice(0, SHOWN).map((writer) => writerRow(writer, fork)))) out(`    ${row}`);
    if (fork.by.length > SHOWN) out(`    and ${count(fork.by.length - SHOWN)} more (--json lists all)`);
  }
}

function writerRow(writer: CowWriter, { parent, child }: ForkReport): string[] {
  const { pid, mapping, operation, copied, reused, firstLine, lastLine } = writer;
  const who = pid === parent ? 'parent' : pid === child ? 'child' : 'other';
  return [
    `${who} ${pid}, ${mapping}, by ${operation}`,
    `${count(copied)} copied`,
    bytesText(copied * 4096),
    `${count(reused)} kept`,
    firstLine === lastLine ? `line ${firstLine}` : `lines ${firstLine}-${lastLine}`,
  ];
}
