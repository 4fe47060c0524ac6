// folioscope bisect --behaviours FILE
import type { BehaviourName, Behaviours } from '../../kernel/behaviours.js';
import { BEHAVIOURS, DEFAULT_KERNEL, originOf } from '../../kernel/behaviours.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, InputError, NotModelledError, UserError } from '../../lib/errors.js';
import type { DecidingSwitches } from '../behaviour-bisect.js';
import { decidingSwitches, differing } from '../behaviour-bisect.js';
import type { Criterion, Pause, Workload } from '../criterion.js';
import { breaks, failsAny, turns } from '../criterion.js';
import type { ModelledKernel } from '../kernel-option.js';
import { modelledKernel, otherKernel } from '../kernel-option.js';
import { bold, flushOut, out } from '../output.js';
import { Breather } from '../progress.js';
import { readOperations } from '../read-operations.js';
import { invariantOption } from './minimise.js';

/** The kernel that `--from` means unless told otherwise: the oldest that is modelled. */
const OLDEST_KERNEL = '2.6.26';

export interface BisectBehavioursOptions {
  readonly invariant?: string;
  readonly when?: string;
  readonly check: boolean;
  readonly from?: string;
  readonly to?: string;
  readonly lenient: boolean;
  readonly json: boolean;
}

/** What a workload does under some behaviours. */
interface Outcome {
  /** Index of the operation after which it shows what was asked for; null for never. */
  readonly at: number | null;
  /** Why it did not run to its end, or null. */
  readonly stopped: string | null;
  /** The expression never made sense: its subjects were not there, or it is wrong. */
  readonly senseless?: InputError;
}

/**
 * The behaviours that make the workload break an invariant, fail an expectation or turn an expression on one of two kernels only.
 * 0 if there are such, 1 if it does the same on both.
 */
export async function bisectBehavioursCommand(path: string, options: BisectBehavioursOptions): Promise<ExitCode> {
  const { invariant, when, check } = options;
  if ([invariant !== undefined, when !== undefined, check].filter(Boolean).length !== 1)
    throw new UserError('bisect --behaviours takes --invariant NAME, --when EXPR or --check', EXIT.input);
  const newest = modelledKernel(DEFAULT_KERNEL, [], []);
  const to = otherKernel(options.to ?? DEFAULT_KERNEL, newest, '--to');
  const from = otherKernel(options.from ?? OLDEST_KERNEL, to, '--from');
  const workload = await readOperations(path, { lenient: options.lenient, quiet: options.json });
  const breather = new Breather();
  const pause: Pause = async () => {
    if (breather.due()) await breather.breathe();
  };
  const criterionOf = (behaviours: Behaviours): Criterion => {
    if (invariant !== undefined) return breaks(behaviours, invariantOption(invariant), pause);
    return when === undefined ? failsAny(behaviours, pause) : turns(behaviours, when, pause);
  };
  const outcome = (behaviours: Behaviours): Promise<Outcome> => outcomeOf(criterionOf(behaviours), workload);
  const ends = { from: await outcome(from.behaviours), to: await outcome(to.behaviours) };
  if (ends.from.senseless !== undefined && ends.to.senseless !== undefined) throw ends.to.senseless;
  if (ends.from.stopped !== null && ends.to.stopped !== null)
    throw new InputError({ file: path }, `it runs on neither kernel: ${ends.to.stopped}`);
  const { text } = criterionOf(to.behaviours);
  const parted = (ends.from.at === null) !== (ends.to.at === null);
  const found = parted
    ? await decidingSwitches(from.behaviours, to.behaviours, async (behaviours) => {
        const { at, stopped } = await outcome(behaviours);
        return stopped === null && (at === null) === (ends.to.at === null);
      })
    : null;
  report(path, { from, to, ends, text, workload, found }, options.json);
  flushOut();
  return found === null ? EXIT.no : EXIT.ok;
}

async function outcomeOf(criterion: Criterion, workload: Workload): Promise<Outcome> {
  try {
    return { at: await criterion.shows(workload), stopped: null };
  } catch (error) {
    if (!(error instanceof InputError || error instanceof NotModelledError)) throw error;
    if (error instanceof InputError && error.place.file === '--when')
      return { at: null, stopped: null, senseless: error };
    return { at: null, stopped: error instanceof InputError ? lineText(error) : error.message };
  }
}

const lineText = ({ place, problem }: InputError): string =>
  place.line === undefined ? problem : `line ${place.line}: ${problem}`;

/** Everything that a report tells. */
interface Answer {
  readonly from: ModelledKernel;
  readonly to: ModelledKernel;
  readonly ends: { readonly from: Outcome; readonly to: Outcome };
  /** What was asked for. */
  readonly text: string;
  readonly workload: Workload;
  /** Null if both kernels do the same. */
  readonly found: DecidingSwitches | null;
}

function report(path: string, answer: Answer, json: boolean): void {
  if (json) out(JSON.stringify(jsonOf(path, answer)));
  else print(path, answer);
}

/** Line of the operation at which it shows; null for none. */
const lineAt = ({ workload }: Answer, { at }: Outcome): number | null =>
  at === null ? null : (workload.operations[at]?.line ?? null);

function jsonOf(path: string, answer: Answer): object {
  const { from, to, ends, text, found } = answer;
  const end = ({ words, version }: ModelledKernel, outcome: Outcome): object => ({
    ...{ kernel: version, words, shows: outcome.at !== null, operation: outcome.at, line: lineAt(answer, outcome) },
    stopped: outcome.stopped,
  });
  return {
    schema: 1,
    source: path,
    asked: text,
    from: end(from, ends.from),
    to: end(to, ends.to),
    differing: differing(from.behaviours, to.behaviours),
    deciding:
      found === null
        ? null
        : found.turned.map((name) => ({
            name,
            turned: to.behaviours[name] ? 'on' : 'off',
            brought: found.brought.includes(name),
            ...BEHAVIOURS[name],
          })),
    necessary: found?.necessary ?? null,
    runs: (found?.runs ?? 0) + 2,
  };
}

function print(path: string, answer: Answer): void {
  const { from, to, ends, text, found } = answer;
  const word = (outcome: Outcome): string => {
    if (outcome.at !== null) return `yes, line ${lineAt(answer, outcome)}`;
    return outcome.stopped === null ? 'no' : `no, it ends before (${outcome.stopped})`;
  };
  if (found === null) {
    out(bold(`${path}: it ${text}: ${word(ends.to)}, on kernels ${from.words} and ${to.words} alike`));
    return;
  }
  out(bold(`${path}: it ${text}`));
  out(`  on kernel ${from.words}: ${word(ends.from)}`);
  out(`  on kernel ${to.words}: ${word(ends.to)}`);
  const { turned, brought, necessary, runs } = found;
  const several = turned.length - brought.length > 1;
  const all = differing(from.behaviours, to.behaviours).length;
  const of = `of ${all} behaviour${all === 1 ? '' : 's'} that differ${all === 1 ? 's' : ''}; ${runs + 2} runs`;
  out(`${several ? 'these decide together' : 'decided by'} (${of}):`);
  for (const name of turned.filter((each) => !brought.includes(each))) printBehaviour(name, to);
  for (const name of brought) out(`  ${to.behaviours[name] ? 'with' : 'without'} ${name}, which goes along`);
  if (!necessary) out(`  turned back in ${to.words} alone it changes nothing: another behaviour there does the same`);
}

function printBehaviour(name: BehaviourName, to: ModelledKernel): void {
  out(`  ${to.behaviours[name] ? '+' : '-'}${bold(name)} (${originOf(name)})`);
  out(`    ${BEHAVIOURS[name].description}`);
}
