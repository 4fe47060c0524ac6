// folioscope run FILE
import { basename } from 'node:path';
import { BEHAVIOUR_NAMES, behavioursOf, withBehaviours } from '../../kernel/behaviours.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import type { Fidelity } from '../../oracle/recording-judge.js';
import { violationText } from '../audit-log.js';
import { bold, count, flushOut, out, percent, table } from '../output.js';
import type { RunSummary } from '../run-input.js';
import { runInput } from '../run-input.js';

export interface RunCommandOptions {
  readonly output?: string;
  readonly log: boolean;
  readonly audit: boolean;
  readonly kernel: string;
  readonly with: readonly string[];
  readonly without: readonly string[];
  readonly lenient: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

/** Failed expectations shown; --json has all. */
const SHOWN = 10;

/** Name of the log for an input: what it is called without its endings. */
export function logName(path: string): string {
  if (path === '-') return 'stdin.fsl';
  const name = basename(path).replace(/\.gz$/, '');
  return `${name.replace(/(\.(perf|strace|fsw|syz))?\.(txt|log|data)$|\.(perf|strace|fsw)$/, '')}.fsl`;
}

/** Runs, prints the summary; 1 if an invariant was broken or a workload's expectation failed, 3 if something was left out. */
export async function runCommand(path: string, options: RunCommandOptions): Promise<ExitCode> {
  const behaviours = withBehaviours(behavioursOf(options.kernel), options.with, options.without);
  const summary = await runInput(path, {
    log: options.log ? (options.output ?? logName(path)) : null,
    kernel: options.kernel,
    behaviours,
    lenient: options.lenient,
    audit: options.audit,
    quiet: options.quiet || options.json,
  });
  if (options.json) out(JSON.stringify(summary));
  else printSummary(summary, options);
  flushOut();
  if (summary.violations > 0) return EXIT.no;
  if (summary.format === 'workload' && summary.expectations.failed.length > 0) return EXIT.no;
  if (summary.fidelity !== undefined && summary.fidelity.lostFrom !== null) return EXIT.partial;
  if ((summary.skipped['not understood'] ?? 0) > 0) return EXIT.partial;
  return EXIT.ok;
}

function printSummary(summary: RunSummary, options: RunCommandOptions): void {
  const { activity } = summary;
  const base = behavioursOf(options.kernel);
  const turned = withBehaviours(base, options.with, options.without);
  const changed = BEHAVIOUR_NAMES.filter((name) => turned[name] !== base[name]).map(
    (name) => `${turned[name] ? '+' : '-'}${name}`,
  );
  out(
    bold(
      `${summary.source} (${summary.format}) on kernel ${summary.kernel}${changed.length > 0 ? ` ${changed.join(' ')}` : ''}`,
    ),
  );
  out(`  ${count(summary.operations)} operations, ${count(summary.events)} events, ${count(summary.faults)} faults`);
  out(`  tasks ${count(activity.tasks)}, execve ${count(activity.execs)}, exits ${count(activity.exits)}`);
  out('');
  const rows: [string, number][] = [
    ['fresh private pages', activity.freshPages],
    ['zero page mapped', activity.zeroPages],
    ['pages shared by fork', activity.sharedByFork],
    ['  copied on write', activity.copied],
    ['  reused on write', activity.reused],
    ['page-cache pages mapped', activity.filePages],
    ['frames allocated', activity.framesAllocated],
    ['frames freed', activity.framesFreed],
    ['signals', activity.signals],
  ];
  for (const line of table(rows.filter(([, n]) => n > 0).map(([name, n]) => [name, count(n)]))) out(`  ${line}`);
  printViolations(summary);
  if (summary.fidelity) printFidelity(summary.fidelity);
  printExpectations(summary);
  if (summary.format === 'syz')
    for (const [what, n] of Object.entries(summary.skipped)) out(`  skipped: ${what}, ${count(n)} times`);
  for (const [what, n] of Object.entries(summary.notModelled)) out(`  not modelled: ${what}, ${count(n)} times`);
  out('');
  out(summary.log === null ? 'no log written' : `log ${summary.log}, digest ${summary.digest}`);
}

function printViolations({ audited, violations, firstViolations }: RunSummary): void {
  if (!audited) return;
  out('');
  if (violations === 0) {
    out('  no invariant broken');
    return;
  }
  out(bold(`  ${count(violations)} violations of invariants (audit lists them)`));
  for (const each of firstViolations) out(`  ${violationText(each)}`);
}

function printFidelity(fidelity: Fidelity): void {
  out('');
  out(bold('against the kernel’s own record'));
  const { faults, frames, freed, present, results, rss } = fidelity;
  const row = (name: string, part: number, whole: number): string[] => [
    name,
    `${count(part)} of ${count(whole)}`,
    percent(part, whole),
  ];
  const rows = [
    row('faults foreseen', faults.predicted, faults.recorded),
    row('frames: new or not, zeroed or copied', frames.agreed, frames.recorded),
    row('frames freed', freed.agreed, freed.recorded),
    row('rss changes', rss.agreed, rss.points),
    row('code pages present', present.agreed, present.checked),
    row('results of calls', results.agreed, results.checked),
  ];
  for (const line of table(rows)) out(`  ${line}`);
  if (fidelity.lostFrom !== null)
    out(`  perf lost events at line ${fidelity.lostFrom}: from there on the figures mean nothing`);
}

function printExpectations(summary: RunSummary): void {
  const { checked, failed } = summary.expectations;
  if ((summary.format === 'perf' || checked === 0) && failed.length === 0) return;
  out('');
  out(
    `  ${count(checked - failed.length)} of ${count(checked)} results as ${summary.format === 'workload' ? 'expected' : 'recorded'}`,
  );
  for (const each of failed.slice(0, SHOWN))
    out(`  line ${each.line}: ${each.operation} gave ${each.got}, not ${each.expected}`);
  if (failed.length > SHOWN) out(`  and ${count(failed.length - SHOWN)} more (--json lists all)`);
}
