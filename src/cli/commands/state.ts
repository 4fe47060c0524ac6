// folioscope state LOG
import type { CanonicalPage, CanonicalProcess } from '../../../projections/canonical.js';
import { canonicalState } from '../../../projections/canonical.js';
import { stateAt } from '../../../replays/timeline.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { endOfRun, runText, vmaText } from '../../debug/pages.js';
import { openLog, positionOf } from '../open-log.js';
import { bold, count, dim, drained, flushOut, out, wholeNumber } from '../output.js';

export interface StateOptions {
  readonly at?: string;
  readonly pid?: string;
  readonly json: boolean;
}

/** Prints the canonical state at a position. */
export async function stateCommand(path: string, options: StateOptions): Promise<ExitCode> {
  const reader = openLog(path);
  const at = positionOf(reader, options.at);
  const state = stateAt(reader, at);
  const pid = options.pid === undefined ? undefined : wholeNumber(options.pid, '--pid');
  if (pid !== undefined && (state.tasks[pid]?.mm ?? 0) === 0)
    throw new UserError(`task ${pid} has no address space after event ${at}`, EXIT.input);
  const processes = canonicalState(state, pid);
  if (options.json) out(JSON.stringify({ log: path, at, processes }));
  else {
    out(bold(`${path} after event ${count(at)} of ${count(reader.eventCount)}`));
    for (const process of processes) {
      printProcess(process);
      await drained();
    }
  }
  flushOut();
  return EXIT.ok;
}

function printProcess(process: CanonicalProcess): void {
  const { anon, file, shmem, swap } = process.rss;
  out('');
  const who = process.pids.length > 0 ? `pid ${process.pids.join(' ')}` : 'no task (execve or exit under way)';
  out(
    bold(
      `mm ${process.mm}: ${who}; rss ${count(anon)} anon, ${count(file)} file, ${count(shmem)} shmem pages${swap > 0 ? `, ${count(swap)} swapped out` : ''}`,
    ),
  );
  let next = 0;
  for (const vma of process.vmas) {
    out(vmaText(vma));
    for (; next < process.pages.length && (process.pages[next] as CanonicalPage).addr < vma.end;) {
      const end = endOfRun(process.pages, next);
      out(dim(`    ${runText(process.pages, next, end)}`));
      next = end;
    }
  }
}
