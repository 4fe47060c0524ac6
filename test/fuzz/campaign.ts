// Many damaged inputs, one after the other, each made from a seed and its number: what became of them, counted.
import { Random } from '../../src/lib/random.js';
import type { Outcome } from './ask-log.js';

/** Inputs of one kind, and what is asked of them. */
export interface Target {
  readonly name: string;
  /** Makes case `number` from `random` and asks. */
  try(random: Random): readonly Outcome[];
}

/** An input that got no clear answer. */
export interface Failure {
  readonly number: number;
  readonly question: string;
  readonly error: string;
}

/** What a campaign found. */
export interface Tally {
  cases: number;
  /** Outcomes of each question. */
  readonly outcomes: Record<string, Record<string, number>>;
  readonly failures: Failure[];
  /** Failures not listed because a like one is. */
  repeated: number;
  slowest: { number: number; milliseconds: number };
}

export const newTally = (): Tally => ({
  cases: 0,
  outcomes: {},
  failures: [],
  repeated: 0,
  slowest: { number: -1, milliseconds: 0 },
});

/** Runs case `number`. `seed` and `number` alone decide it. */
export function runCase(target: Target, seed: number, number: number, tally: Tally): void {
  const start = performance.now();
  let outcomes = quietly(() => target.try(new Random(seed, number)));
  const milliseconds = performance.now() - start;
  tally.cases++;
  // Once more with the places of errors, which take longer to find than most answers.
  if (outcomes.some(([, , error]) => error !== null)) outcomes = target.try(new Random(seed, number));
  if (milliseconds > tally.slowest.milliseconds) tally.slowest = { number, milliseconds };
  for (const [question, outcome, error] of outcomes) {
    const counts = (tally.outcomes[question] ??= {});
    counts[outcome] = (counts[outcome] ?? 0) + 1;
    if (error !== null) fail(tally, number, question, error);
  }
}

/** Without the stacks of errors. */
function quietly<T>(action: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return action();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function fail(tally: Tally, number: number, question: string, error: Error): void {
  const text = (error.stack ?? error.message).split('\n').slice(0, 4).join(' | ');
  const alike = text.replaceAll(/\d+/g, 'N');
  if (tally.failures.some((each) => each.error.replaceAll(/\d+/g, 'N') === alike)) tally.repeated++;
  else tally.failures.push({ number, question, error: text });
}
