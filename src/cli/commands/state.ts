// folioscope state LOG
import type { CanonicalPage, CanonicalProcess } from '../../../projections/canonical.js';
import { canonicalState } from '../../../projections/canonical.js';
import { stateAt } from '../../../replays/timeline.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
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

const addressText = (addr: number): string => addr.toString(16).padStart(12, '0');

function printProcess(process: CanonicalProcess): void {
  const { anon, file, shmem } = process.rss;
  out('');
  const who = process.pids.length > 0 ? `pid ${process.pids.join(' ')}` : 'no task (execve or exit under way)';
  out(bold(`mm ${process.mm}: ${who}; rss ${count(anon)} anon, ${count(file)} file, ${count(shmem)} shmem pages`));
  let next = 0;
  for (const vma of process.vmas) {
    out(
      `${addressText(vma.start)}-${addressText(vma.end)} ${vma.perms} ${vma.pgoff.toString(16).padStart(8, '0')} ${vma.backing}${vma.locked ? ' locked' : ''}`,
    );
    for (; next < process.pages.length && (process.pages[next] as CanonicalPage).addr < vma.end;) {
      const end = endOfRun(process.pages, next);
      out(dim(`    ${runText(process.pages, next, end)}`));
      next = end;
    }
  }
}

/** What a page is, apart from its place: neighbours that agree are printed as one line. */
function pageText(page: CanonicalPage): string {
  if (page.kind !== 'present') return page.kind;
  const words = [page.backing ?? '', page.writable ? 'writable' : 'read-only', page.dirty === true ? 'dirty' : 'clean'];
  if (page.anon_exclusive === true) words.push('exclusive');
  if (page.protnone === true) words.push('PROT_NONE');
  words.push(`mapped ${page.mapcount}x`, `refs ${page.refcount}`);
  if (page.backing === 'anon') words.push(`bytes ${page.content}`);
  return words.join(', ');
}

function endOfRun(pages: readonly CanonicalPage[], from: number): number {
  const first = pages[from] as CanonicalPage;
  let end = from + 1;
  while (end < pages.length) {
    const page = pages[end] as CanonicalPage;
    const consecutive = page.addr === first.addr + (end - from) * 4096;
    const sameFrameRun = typeof page.frame !== 'number' || page.frame === (first.frame as number) + (end - from);
    if (!consecutive || !sameFrameRun || pageText(page) !== pageText(first)) break;
    end++;
  }
  return end;
}

function runText(pages: readonly CanonicalPage[], from: number, end: number): string {
  const first = pages[from] as CanonicalPage;
  const n = end - from;
  const frames =
    typeof first.frame === 'number'
      ? n > 1
        ? ` frames ${first.frame}-${first.frame + n - 1}`
        : ` frame ${first.frame}`
      : '';
  return `${addressText(first.addr)} ${n > 1 ? `${n} pages` : '1 page'}${frames}: ${pageText(first)}`;
}
