// conform --fuzz: the run and its report.
import { join } from 'node:path';
import type { Behaviours } from '../kernel/behaviours.js';
import type { ExitCode } from '../lib/errors.js';
import { EXIT } from '../lib/errors.js';
import { exclusions } from '../oracle/conform/exclusions.js';
import type { FoundMismatch, FuzzResult } from '../oracle/conform/fuzz.js';
import { fuzz } from '../oracle/conform/fuzz.js';
import { checkAreas } from '../oracle/conform/generate/index.js';
import type { Session } from '../oracle/conform/session.js';
import { nameAddresses } from '../workload/addresses.js';
import { printWorkload } from '../workload/text/print.js';
import type { ConformOptions } from './commands/conform.js';
import { printMismatches } from './conform-report.js';
import { bold, count, out, percent, table, wholeNumber } from './output.js';
import { Breather, Progress, stopwatch } from './progress.js';
import { writeWhole } from './node-io.js';

/** What a fuzzing run was about. */
interface Subject {
  readonly session: Session;
  /** The model, with its switches. */
  readonly model: string;
  readonly seed: number;
  readonly areas: readonly string[];
  /** Number of its first workload. */
  readonly from: number;
}

/** Which workloads a run is to make. */
export interface FuzzChoice {
  readonly workloads: number;
  readonly seed: number;
  readonly areas: readonly string[];
  readonly length: number;
  readonly from: number;
  readonly mismatchesMax: number;
}

/** What the options say. @throws UserError for a number that is none, or an area that does not exist. */
export function fuzzChoice(fuzz: string, options: ConformOptions): FuzzChoice {
  const areas = options.areas.split(',').filter((each) => each !== '');
  checkAreas(areas);
  return {
    workloads: wholeNumber(fuzz, '--fuzz'),
    seed: wholeNumber(options.seed, '--seed'),
    areas,
    length: wholeNumber(options.length, '--length', 10_000),
    from: wholeNumber(options.from, '--from'),
    mismatchesMax: wholeNumber(options.maxMismatches, '--max-mismatches'),
  };
}

/** Runs, shrinks what differs, prints; 1 if anything differs. */
export async function fuzzCommand(
  session: Session,
  behaviours: Behaviours,
  model: string,
  choice: FuzzChoice,
  options: ConformOptions,
): Promise<ExitCode> {
  const { workloads, seed, areas, from } = choice;
  const progress = new Progress('conform', options.quiet || options.json);
  const breather = new Breather();
  progress.expect(workloads);
  const seconds = stopwatch();
  const result = await fuzz(session, {
    ...choice,
    behaviours,
    progress: () => progress.add(1),
    breathe: async () => {
      if (breather.due()) await breather.breathe();
    },
  });
  progress.end();
  const subject = { session, model, seed, areas, from };
  const files = result.found.map((found) => writeFound(found, subject, options.output));
  const report = reportOf(subject, result, files, seconds());
  if (options.json) out(JSON.stringify(report));
  else printReport(report, result);
  return result.found.length === 0 ? EXIT.ok : EXIT.no;
}

/** What --json prints. */
type FuzzReport = ReturnType<typeof reportOf>;

function reportOf(
  { session, model, seed, areas, from }: Subject,
  result: FuzzResult,
  files: readonly string[],
  seconds: number,
) {
  const comparisons = result.counts.total;
  const excluded = exclusions(result.counts);
  const excludedTotal = Object.values(excluded).reduce((sum, n) => sum + n, 0);
  return {
    kernel: session.kernel,
    deep: session.agent.deep,
    model,
    seed,
    areas,
    from,
    workloads: result.workloads,
    operations: result.operations,
    comparisons,
    comparisonsByField: sorted(result.counts.compared),
    eventsByType: sorted(result.events),
    excludedTotal,
    excludedShare: excludedTotal / Math.max(1, excludedTotal + comparisons),
    excluded,
    notModelled: sorted(result.notModelled),
    varying: result.varying,
    mismatches: result.found.map((each, i) => ({
      number: each.number,
      file: files[i] as string,
      operations: each.operations.length,
      generated: each.generated,
      differences: each.mismatches,
    })),
    seconds: Math.round(seconds * 10) / 10,
  };
}

function printReport(report: FuzzReport, result: FuzzResult): void {
  const { mismatches } = report;
  out(
    `Linux ${report.kernel}, model ${report.model}, seed ${report.seed}${report.from === 0 ? '' : ` from ${report.from}`}, areas ${report.areas.join(',')}: ` +
      `${count(report.workloads)} workloads, ${count(report.operations)} operations, ` +
      `${count(report.comparisons)} comparisons in ${report.seconds.toFixed(1)} s`,
  );
  out(bold(`${mismatches.length === 0 ? 'no' : mismatches.length} mismatch${mismatches.length === 1 ? '' : 'es'}`));
  result.found.forEach((found, i) => {
    out(
      `${mismatches[i]?.file}: ${found.operations.length} operations (workload ${found.number}, ${found.generated} operations)`,
    );
    printMismatches(found.mismatches);
  });
  out('');
  for (const row of table([['compared', 'times'], ...rowsOf(report.comparisonsByField)])) out(row);
  out('');
  for (const row of table([['event of the model', 'times'], ...rowsOf(report.eventsByType)])) out(row);
  out('');
  out(
    `not compared: ${count(report.excludedTotal)} (${percent(report.excludedTotal, report.excludedTotal + report.comparisons)})`,
  );
  for (const row of table(rowsOf(report.excluded))) out(`  ${row}`);
  for (const row of table(rowsOf(report.notModelled))) out(`workloads refused, not modelled: ${row}`);
  out(`fields in which the kernel varied from run to run: ${count(report.varying.length)}`);
}

const sorted = (map: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...map].toSorted(([, a], [, b]) => b - a));
const rowsOf = (counts: Readonly<Record<string, number>>): string[][] =>
  Object.entries(counts).map(([name, n]) => [name, count(n)]);

/** The shrunk workload as a file that runs alone. */
function writeFound(
  { number, operations, mismatches }: FoundMismatch,
  { session, model, seed, areas }: Subject,
  folder: string,
): string {
  const [first] = mismatches;
  const path = join(folder, `conform-${seed}-${number}.strace`);
  const comments = [
    `Linux ${session.kernel} and the model (${model}) differ; found by conform --fuzz --seed ${seed} --areas ${areas.join(',')}, workload ${number}.`,
    ...(first === undefined
      ? []
      : [
          `After the last operation: ${first.subject} ${first.field}: model ${String(first.model)}, kernel ${String(first.kernel)}.`,
        ]),
  ];
  const text = printWorkload(nameAddresses(operations), comments);
  writeWhole(path, text);
  return path;
}
