// folioscope conform FILE.. | --fuzz N
import { accessSync, constants } from 'node:fs';
import { release } from 'node:os';
import type { Behaviours } from '../../kernel/behaviours.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, InputError, NotModelledError, UserError } from '../../lib/errors.js';
import { Counts } from '../../oracle/conform/compare.js';
import { runKernel } from '../../oracle/conform/conform.js';
import { printRecorded, recordObservations, recordedName } from '../../oracle/conform/corpus.js';
import { exclusions } from '../../oracle/conform/exclusions.js';
import type { Verdict } from '../../oracle/conform/judge.js';
import { judge } from '../../oracle/conform/judge.js';
import { Session } from '../../oracle/conform/session.js';
import type { Operation } from '../../workload/operation.js';
import { fuzzChoice, fuzzCommand } from '../conform-fuzz.js';
import { printMismatches } from '../conform-report.js';
import { modelledKernel, nearestVersion } from '../kernel-option.js';
import { readWorkload } from '../read-workload.js';
import { bold, count, flushOut, out } from '../output.js';
import { writeWhole } from '../node-io.js';

export interface ConformOptions {
  readonly fuzz?: string;
  readonly seed: string;
  readonly areas: string;
  readonly length: string;
  /** Number of the first generated workload. */
  readonly from: string;
  readonly maxMismatches: string;
  /** Folder for shrunk workloads. */
  readonly output: string;
  readonly record: boolean;
  readonly deep: boolean;
  readonly kernel?: string;
  readonly with: readonly string[];
  readonly without: readonly string[];
  readonly json: boolean;
  readonly quiet: boolean;
}

/** 0: no difference; 1: there is one; 4: the kernel cannot be asked here. */
export async function conformCommand(files: readonly string[], options: ConformOptions): Promise<ExitCode> {
  if ((files.length === 0) === (options.fuzz === undefined))
    throw new UserError('conform takes workloads, or --fuzz N', EXIT.input);
  // Read before anything of the machine is touched.
  const workloads: Workload[] = [];
  for (const file of files) workloads.push({ file, operations: await readWorkload(file) });
  const tell = (line: string): void => {
    if (!options.quiet) process.stderr.write(`conform: ${line}\n`);
  };
  const model = modelledKernel(options.kernel ?? nearestVersion(release()), options.with, options.without);
  const choice = options.fuzz === undefined ? null : fuzzChoice(options.fuzz, options);
  if (choice !== null) checkFolder(options.output);
  const session = await Session.open({ deep: options.deep, tell });
  // Whatever is under way then fails for want of an agent; a second signal ends us at once, and the guard alone gives everything back.
  let closing: Promise<void> | null = null;
  const interrupted = (): void => void (closing ??= session.close());
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    const { behaviours, words } = model;
    const code =
      choice !== null
        ? await fuzzCommand(session, behaviours, words, choice, options)
        : options.record
          ? await recordCommand(session, workloads, behaviours, options)
          : await filesCommand(session, workloads, behaviours, words, options);
    return closing === null ? code : EXIT.interrupted;
  } catch (error) {
    if (closing === null) throw error;
    return EXIT.interrupted;
  } finally {
    process.removeListener('SIGINT', interrupted);
    process.removeListener('SIGTERM', interrupted);
    flushOut();
    await (closing ?? session.close());
  }
}

/** What would be found out only after the run. @throws UserError (io) if shrunk workloads cannot go into `folder`. */
function checkFolder(folder: string): void {
  try {
    accessSync(`${folder}/`, constants.W_OK);
  } catch (error) {
    throw new UserError(`cannot write into ${folder}: ${(error as Error).message}`, EXIT.io);
  }
}

interface Workload {
  readonly file: string;
  readonly operations: readonly Operation[];
}

async function filesCommand(
  session: Session,
  workloads: readonly Workload[],
  behaviours: Behaviours,
  model: string,
  options: ConformOptions,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  for (const { file, operations } of workloads) {
    const counts = new Counts();
    const verdict = await judgeFile(session, file, operations, behaviours, counts);
    if (verdict.mismatches.length > 0 || verdict.failed.length > 0) code = EXIT.no;
    else if (verdict.stopped !== null && code === EXIT.ok) code = EXIT.partial;
    if (options.json) out(JSON.stringify(fileReport(session, file, verdict, counts, model)));
    else printVerdict(session, file, verdict, counts, model);
  }
  return code;
}

async function judgeFile(
  session: Session,
  file: string,
  operations: readonly Operation[],
  behaviours: Behaviours,
  counts: Counts,
): Promise<Verdict> {
  try {
    return await judge(session, operations, behaviours, counts);
  } catch (error) {
    if (error instanceof InputError && error.place.file === undefined)
      throw new InputError({ ...error.place, file }, error.problem);
    if (error instanceof NotModelledError) throw new UserError(`${file}: ${error.message}`, error.exitCode);
    throw error;
  }
}

function fileReport(session: Session, file: string, verdict: Verdict, counts: Counts, model: string): object {
  return {
    file,
    kernel: session.kernel,
    deep: session.agent.deep,
    model,
    operations: verdict.operations,
    observations: counts.total,
    mismatches: verdict.mismatches,
    varying: verdict.varying,
    failed: verdict.failed,
    stopped: verdict.stopped,
    excluded: exclusions(counts),
  };
}

function printVerdict(session: Session, file: string, verdict: Verdict, counts: Counts, model: string): void {
  const { mismatches, varying, failed, stopped, operations } = verdict;
  const same = mismatches.length === 0 && failed.length === 0;
  const agrees = stopped === null ? 'agrees' : 'agrees as far as it ran';
  out(
    `${file}: ${same ? agrees : bold('differs')} (Linux ${session.kernel}, model ${model}; ` +
      `${count(operations)} operations, ${count(counts.total)} comparisons)`,
  );
  for (const each of failed)
    out(`  line ${each.line}: ${each.operation} gives ${each.got} on the model, expected ${each.expected}`);
  printMismatches(mismatches);
  for (const { line, subject, field, spread } of varying)
    out(
      `  line ${line}: ${subject} ${field} varies on the kernel: ${Object.entries(spread)
        .map(([value, n]) => `${value} (${n} of 5)`)
        .join(', ')}`,
    );
  if (stopped !== null) out(`  not run from there on: ${stopped}`);
}

async function recordCommand(
  session: Session,
  workloads: readonly Workload[],
  behaviours: Behaviours,
  options: ConformOptions,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  for (const { file, operations } of workloads) {
    const verdict = await judgeFile(session, file, operations, behaviours, new Counts());
    if (verdict.stopped !== null)
      throw new UserError(`${file}: cannot be recorded whole: ${verdict.stopped}`, EXIT.input);
    await session.prepare(operations);
    const seen = await runKernel(verdict.half, session.agent);
    const lines = verdict.half.steps.map(({ operation }) => operation.line);
    const name = recordedName(file);
    writeWhole(name, printRecorded(recordObservations(session.kernel, session.agent.deep, lines, seen)));
    if (verdict.mismatches.length > 0) code = EXIT.no;
    if (!options.quiet) out(`${name}${verdict.mismatches.length > 0 ? ': the model differs' : ''}`);
  }
  return code;
}
