// folioscope minimise FILE
import { basename } from 'node:path';
import { release } from 'node:os';
import { INVARIANT_NAMES, invariantNamed } from '../../../projections/invariants/catalogue.js';
import type { Invariant } from '../../../projections/invariants/invariant.js';
import { DEFAULT_KERNEL } from '../../kernel/behaviours.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, InputError, UserError } from '../../lib/errors.js';
import { Session } from '../../oracle/conform/session.js';
import { numberTasks } from '../../workload/simplify.js';
import type { Criterion, Pause, Workload } from '../criterion.js';
import { breaks, differs, fails, firstBroken, firstFailure, nonconforming, turns } from '../criterion.js';
import type { ModelledKernel } from '../kernel-option.js';
import { modelledKernel, nearestVersion, otherKernel } from '../kernel-option.js';
import { writeWhole } from '../node-io.js';
import { bold, count, flushOut, out, wholeNumber } from '../output.js';
import { Breather, StatusLine } from '../progress.js';
import { readOperations } from '../read-operations.js';
import type { Shrunk } from '../shrink.js';
import { Interrupted, asHandWritten, shrink, textOf } from '../shrink.js';

export interface MinimiseOptions {
  readonly output?: string;
  readonly invariant?: string;
  readonly check: boolean;
  readonly when?: string;
  readonly differsFrom?: string;
  readonly conform: boolean;
  readonly kernel?: string;
  readonly with: readonly string[];
  readonly without: readonly string[];
  readonly trials: string;
  readonly lenient: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

/** The invariant of an option. @throws UserError for none. */
export function invariantOption(name: string): Invariant {
  const invariant = invariantNamed(name);
  if (invariant === undefined)
    throw new UserError(`no invariant '${name}'; there are ${INVARIANT_NAMES.join(', ')}`, EXIT.input);
  return invariant;
}

/** Name of the workload written: that of the input without its endings. */
function outputName(path: string): string {
  if (path === '-') return 'stdin.min.strace';
  const name = basename(path).replace(/\.gz$/, '');
  return `${name.replace(/(\.(perf|strace|fsw))?\.(txt|log|data)$|\.(perf|strace|fsw|fsl)$/, '')}.min.strace`;
}

/**
 * Shrinks an input that breaks, fails or differs to the smallest workload that still does, and writes that.
 * 0 when nothing more can go, 1 if the input shows nothing of the kind, 3 if the trials ran out first, 130 when interrupted: the best
 * so far is written then.
 */
export async function minimiseCommand(path: string, options: MinimiseOptions): Promise<ExitCode> {
  const { invariant, when, differsFrom, conform } = options;
  const chosen = [invariant, when, differsFrom, conform || undefined, options.check || undefined];
  if (chosen.filter((each) => each !== undefined).length > 1)
    throw new UserError(
      'minimise keeps one thing: --invariant NAME, --check, --when EXPR, --differs-from KERNEL or --conform',
      EXIT.input,
    );
  if (options.json && options.output === '-')
    throw new UserError('--json and -o - both want standard output', EXIT.input);
  const trials = wholeNumber(options.trials, '--trials');
  if (trials === 0) throw new UserError('--trials must be at least 1', EXIT.input);
  const version = options.kernel ?? (conform ? nearestVersion(release()) : DEFAULT_KERNEL);
  const kernel = modelledKernel(version, options.with, options.without);
  const whole = await readOperations(path, { lenient: options.lenient, quiet: options.quiet || options.json });
  const stop = new Stop();
  const status = new StatusLine(options.quiet || options.json);
  const tell = (line: string): void => {
    if (!options.quiet) process.stderr.write(`minimise: ${line}\n`);
  };
  const session = conform ? await Session.open({ deep: true, tell }) : null;
  try {
    const found = await shownBy(path, whole, session, kernel, options, stop.pause);
    const shrunk = await shrink(found.needed, found.criterion, {
      maxTrials: trials,
      progress: (now) => status.show(`minimise: ${count(now.operations)} operations, ${count(now.trials)} trials`),
    });
    status.end();
    // What is written is asked once more, even when the user wants no more searching.
    stop.ignore();
    return await written(path, whole, { ...found, kernel, shrunk }, session === null, options);
  } catch (error) {
    if (error instanceof Interrupted) return EXIT.interrupted;
    if (error instanceof InputError && error.place.file === undefined)
      throw new InputError({ ...error.place, file: path }, error.problem);
    throw error;
  } finally {
    status.end();
    stop.end();
    await session?.close();
    flushOut();
  }
}

/** Ctrl-C, heard between operations; the second one is not waited for. */
class Stop {
  #wanted = false;
  #ignored = false;
  readonly #breather = new Breather();
  readonly #heard = (): void => {
    if (this.#wanted) process.exit(EXIT.interrupted);
    this.#wanted = true;
  };

  constructor() {
    process.on('SIGINT', this.#heard);
    process.on('SIGTERM', this.#heard);
  }

  readonly pause: Pause = async () => {
    if (this.#breather.due()) await this.#breather.breathe();
    if (this.#wanted && !this.#ignored) throw new Interrupted();
  };

  /** What is left to do is short. */
  ignore(): void {
    this.#ignored = true;
  }

  end(): void {
    process.removeListener('SIGINT', this.#heard);
    process.removeListener('SIGTERM', this.#heard);
  }
}

/** What must still hold, and the part of the input that shows it. */
interface Shown {
  readonly criterion: Criterion;
  readonly needed: Workload;
}

/** @throws UserError (exit code 1) if the input shows nothing of the kind. */
async function shownBy(
  path: string,
  whole: Workload,
  session: Session | null,
  kernel: ModelledKernel,
  options: MinimiseOptions,
  pause: Pause,
): Promise<Shown> {
  const criterion = await criterionOf(path, whole, session, kernel, options, pause);
  // The running kernel is asked with what a hand-written workload can say; its tasks are numbered from 1.
  const asked =
    session !== null && whole.recorded ? await asHandWritten(numberTasks(whole.operations), criterion) : whole;
  const last = asked === null ? null : await criterion.shows(asked);
  if (asked === null || last === null)
    throw new UserError(`${path}: nothing to minimise: at no moment it ${criterion.text}`, EXIT.no);
  return { criterion, needed: { ...asked, operations: asked.operations.slice(0, last + 1) } };
}

async function criterionOf(
  path: string,
  whole: Workload,
  session: Session | null,
  kernel: ModelledKernel,
  options: MinimiseOptions,
  pause: Pause,
): Promise<Criterion> {
  const { behaviours } = kernel;
  if (session !== null) return nonconforming(session, behaviours, pause);
  if (options.invariant !== undefined) return breaks(behaviours, invariantOption(options.invariant), pause);
  if (options.when !== undefined) return turns(behaviours, options.when, pause);
  if (options.differsFrom !== undefined) {
    const other = otherKernel(options.differsFrom, kernel, '--differs-from');
    return differs(behaviours, other.behaviours, `kernel ${other.words}`, pause);
  }
  if (options.check) {
    const failure = await firstFailure(behaviours, whole, pause);
    if (failure === null) throw new UserError(`${path}: nothing to minimise: it meets all its expectations`, EXIT.no);
    return fails(behaviours, failure, pause);
  }
  const name = await firstBroken(behaviours, whole, pause);
  if (name === null)
    throw new UserError(
      `${path}: nothing to minimise: no invariant is broken (--check, --when, --differs-from and --conform ask for something else)`,
      EXIT.no,
    );
  return breaks(behaviours, invariantOption(name), pause);
}

/** Writes the workload and says so. */
async function written(
  path: string,
  whole: Workload,
  { criterion, kernel, shrunk }: Shown & { readonly kernel: ModelledKernel; readonly shrunk: Shrunk },
  placesAreOurs: boolean,
  options: MinimiseOptions,
): Promise<ExitCode> {
  const before = whole.operations.length;
  const after = shrunk.operations.length;
  const source = path === '-' ? 'standard input' : basename(path);
  const comments = [
    `On kernel ${kernel.words} it ${criterion.text}.`,
    `Made by folioscope minimise from ${source}: ${count(after)} of ${count(before)} operations.`,
  ];
  const text = await textOf(shrunk, criterion, comments, placesAreOurs ? kernel.behaviours : null);
  const output = options.output ?? outputName(path);
  if (output === '-') process.stdout.write(text);
  else writeWhole(output, text);
  const how = { minimal: '', trials: '; not minimal: the trials ran out', interrupted: '; not minimal: interrupted' };
  const summary = [
    `${path}: ${count(before)} operations, ${count(after)} are enough: on kernel ${kernel.words} it ${criterion.text}`,
    `  ${count(shrunk.trials)} trials${how[shrunk.ended]}`,
  ];
  if (options.json)
    out(
      JSON.stringify({
        schema: 1,
        source: path,
        output,
        kernel: kernel.version,
        behaviours: kernel.behaviours,
        keeps: criterion.text,
        before,
        operations: after,
        recorded: shrunk.recorded,
        trials: shrunk.trials,
        ended: shrunk.ended,
        workload: text,
      }),
    );
  else if (output === '-') {
    if (!options.quiet) process.stderr.write(`${summary.join('\n')}\n`);
  } else {
    summary.forEach((line, i) => out(i === 0 ? bold(line) : line));
    out(`workload ${output}`);
  }
  return { minimal: EXIT.ok, trials: EXIT.partial, interrupted: EXIT.interrupted }[shrunk.ended];
}
