// Shrinks a workload that shows something to the smallest and plainest one that still shows it.
import { EXIT, UserError } from '../lib/errors.js';
import { floatMappings } from './addresses.js';
import { childOf, withoutOperations } from './dependencies.js';
import type { Operation } from './operation.js';
import { fewerTasks, numberTasks, roundAddresses, simplerOperations } from './simplify.js';
import { printOperation } from './text/print.js';

/** How far a minimisation got. */
export interface MinimiseProgress {
  /** Candidates run so far. */
  readonly trials: number;
  /** Operations of the smallest workload found. */
  readonly operations: number;
}

export interface MinimiseOptions {
  /** Candidates to run at most; then the best so far is the result. */
  readonly maxTrials?: number;
  /** Called after each candidate. */
  readonly progress?: (progress: MinimiseProgress) => void;
  /** Called with the whole, and with every smaller or plainer workload found: what is there if `stillFails` rejects to end the search. */
  readonly better?: (best: readonly Operation[]) => void;
}

const MAX_TRIALS = 2000;

/**
 * The smallest workload found for which `stillFails` holds. Without any single operation (and what needs it) it no longer does, unless
 * the trials ran out. `stillFails` is asked once for each different text; it must answer false for a candidate that cannot run.
 * @throws UserError if `stillFails` does not hold for `operations` themselves; what `stillFails` throws.
 */
export async function minimise(
  operations: readonly Operation[],
  stillFails: (candidate: readonly Operation[]) => Promise<boolean>,
  options: MinimiseOptions = {},
): Promise<readonly Operation[]> {
  const search = new Search(operations, stillFails, options);
  if (!(await search.attempt(operations)))
    throw new UserError('nothing to minimise: the whole does not fail', EXIT.input);
  try {
    await shrink(search);
  } catch (error) {
    if (!(error instanceof Exhausted)) throw error;
  }
  return search.best;
}

/** The trials ran out. */
class Exhausted extends Error {}

/** Everything that makes `search.best` smaller, until nothing does. @throws Exhausted; what `stillFails` throws. */
async function shrink(search: Search): Promise<void> {
  for (let before = -1; before !== search.improvements;) {
    before = search.improvements;
    await dropTasks(search);
    await dropOperations(search);
    await simplifyOperations(search);
    for (const candidates of [fewerTasks, roundAddresses]) await tryAll(search, candidates);
  }
  const before = search.improvements;
  await search.attempt(numberTasks(search.best));
  const floated = floatMappings(search.best);
  if (floated !== null) await search.attempt(floated);
  if (search.improvements !== before) await dropOperations(search);
}

/** The best workload so far, and all that were tried. */
class Search {
  best: readonly Operation[];
  /** How often something better was found. */
  improvements = 0;
  #trials = 0;
  readonly #tried = new Set<string>();
  readonly #stillFails: (candidate: readonly Operation[]) => Promise<boolean>;
  readonly #options: MinimiseOptions;

  constructor(
    operations: readonly Operation[],
    stillFails: (candidate: readonly Operation[]) => Promise<boolean>,
    options: MinimiseOptions,
  ) {
    this.best = operations;
    this.#stillFails = stillFails;
    this.#options = options;
  }

  /** Runs `candidate` unless it was run before; it becomes the best if it still fails. */
  async attempt(candidate: readonly Operation[]): Promise<boolean> {
    const { maxTrials = MAX_TRIALS, progress, better } = this.#options;
    // Nothing was left out, or all of it.
    if (candidate.length === 0 || (candidate === this.best && this.#trials > 0)) return false;
    const text = candidate.map(printOperation).join('\n');
    if (this.#tried.has(text)) return false;
    if (this.#trials >= maxTrials) throw new Exhausted();
    this.#tried.add(text);
    this.#trials++;
    const fails = await this.#stillFails(candidate);
    if (fails) {
      this.best = candidate;
      this.improvements++;
      better?.(candidate);
    }
    progress?.({ trials: this.#trials, operations: this.best.length });
    return fails;
  }
}

/** Leaves out whole tasks, the youngest first: what only they do goes in one trial. */
async function dropTasks(search: Search): Promise<void> {
  for (let index = search.best.length - 1; index >= 0; index--) {
    const operation = search.best[index];
    if (operation === undefined || childOf(operation) === null) continue;
    await search.attempt(withoutOperations(search.best, (each) => each !== index));
  }
}

/** Leaves out stretches of operations, halves first, single ones last and until none of them can go. From the end: what is there needs the rest. */
async function dropOperations(search: Search): Promise<void> {
  let size = Math.ceil(search.best.length / 2);
  for (;;) {
    const before = search.improvements;
    for (let end = search.best.length; end > 0; end = Math.min(end - size, search.best.length)) {
      const start = Math.max(0, end - size);
      await search.attempt(withoutOperations(search.best, (each) => each < start || each >= end));
    }
    if (size === 1 && search.improvements === before) return;
    size = Math.max(1, Math.floor(size / 2));
  }
}

/** Makes single operations simpler, each as far as it goes. */
async function simplifyOperations(search: Search): Promise<void> {
  for (let index = search.best.length - 1; index >= 0; index--) {
    for (let improved = true; improved;) {
      improved = false;
      for (const simpler of simplerOperations(search.best[index] as Operation)) {
        const changed = search.best.with(index, simpler);
        // What nobody needs any more, such as a descriptor's opening, goes with the next removal.
        if (!(await search.attempt(changed))) continue;
        improved = true;
        break;
      }
    }
  }
}

/** Tries changes of the whole, again from the start after each that helped. */
async function tryAll(
  search: Search,
  candidates: (operations: readonly Operation[]) => Generator<readonly Operation[]>,
): Promise<void> {
  for (let improved = true; improved;) {
    improved = false;
    for (const candidate of candidates(search.best)) {
      if (!(await search.attempt(candidate))) continue;
      improved = true;
      break;
    }
  }
}
