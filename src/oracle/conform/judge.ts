// The verdict on one workload: the first difference from the kernel, and whether the kernel itself stands by it.
import type { Behaviours } from '../../kernel/behaviours.js';
import { AssertionError } from '../../lib/assert.js';
import { UserError } from '../../lib/errors.js';
import type { Operation } from '../../workload/operation.js';
import { Counts } from './compare.js';
import type { Mismatch, ModelHalf } from './conform.js';
import { firstMismatch, runKernel, runModel } from './conform.js';
import type { Observation, Scalar } from './observation.js';
import { fieldsAt } from './observation.js';
import type { Session } from './session.js';

/** Runs on the real side before a difference counts. */
const RUNS = 5;

/** A field in which the kernel differs from run to run. */
export interface Varying {
  readonly line: number;
  readonly operation: string;
  readonly subject: string;
  readonly field: string;
  /** Values and how often the kernel showed each. */
  readonly spread: Readonly<Record<string, number>>;
}

export interface Verdict {
  /** Operations that were compared. */
  readonly operations: number;
  /** Differences of the first operation that has any. */
  readonly mismatches: readonly Mismatch[];
  readonly varying: readonly Varying[];
  /** Why the rest of the workload was not run, or null. */
  readonly stopped: string | null;
  /** Expectations of the workload that the model does not meet. */
  readonly failed: ModelHalf['failed'];
  readonly half: ModelHalf;
}

/** The model's half of a workload that was run before its turn, and the machine that it was run for. */
export interface Ahead {
  readonly half: ModelHalf;
  readonly machine: Session['machine'];
}

/** Runs `operations` on the model while the kernel is busy with others; null if it refuses: then it does so again when it is their turn. */
export function runAhead(session: Session, operations: readonly Operation[], behaviours: Behaviours): Ahead | null {
  const { machine, directory } = session;
  try {
    return { half: runModel(operations, { behaviours, machine, directory }), machine };
  } catch (error) {
    if (error instanceof UserError || error instanceof AssertionError) return null;
    throw error;
  }
}

/**
 * Runs `operations` on both sides. What differs is asked of the kernel again, so that chance is not taken for a mistake.
 * `meanwhile` is called while the kernel is busy; `ahead` is what runAhead() gave for `operations`.
 */
export async function judge(
  session: Session,
  operations: readonly Operation[],
  behaviours: Behaviours,
  counts: Counts,
  { ahead = null, meanwhile }: { readonly ahead?: Ahead | null; readonly meanwhile?: () => void } = {},
): Promise<Verdict> {
  await session.prepare(operations);
  const { machine, directory, agent } = session;
  // A workload before this one may have brought the swap area.
  const half = ahead?.machine === machine ? ahead.half : runModel(operations, { behaviours, machine, directory });
  // With fewer reservations than none they could be had.
  if (half.oversold && session.lostHugePages > 0) {
    meanwhile?.();
    const { failed } = half;
    const stopped = `there are ${session.lostHugePages} huge pages whose reservations Linux lost, until the machine starts anew`;
    return { operations: 0, mismatches: [], varying: [], stopped, failed, half };
  }
  const asked = runKernel(half, agent);
  meanwhile?.();
  const first = await asked;
  const found = firstMismatch(half, first, counts);
  const verdict = {
    operations: half.steps.length,
    varying: [],
    stopped: half.impossible,
    failed: half.failed,
    half,
    mismatches: found,
  };
  if (found.length === 0) return verdict;
  const runs: { readonly seen: readonly Observation[]; readonly mismatches: readonly Mismatch[] }[] = [
    { seen: first, mismatches: found },
  ];
  while (runs.length < RUNS) {
    // What it changed of the machine is as it was.
    await session.prepare(operations);
    const seen = await runKernel(half, session.agent);
    runs.push({ seen, mismatches: firstMismatch(half, seen, new Counts()) });
  }
  const agreeing = runs.filter(({ mismatches }) => mismatches.length === 0).length;
  const varying = spreadOf(half, runs);
  // A majority of runs is what the kernel does.
  return { ...verdict, varying, mismatches: agreeing > RUNS / 2 ? [] : majority(runs) };
}

/** The mismatches of the run that most others are like. */
function majority(runs: readonly { readonly mismatches: readonly Mismatch[] }[]): readonly Mismatch[] {
  const groups = new Map<string, { count: number; mismatches: readonly Mismatch[] }>();
  for (const { mismatches } of runs) {
    if (mismatches.length === 0) continue;
    const key = mismatches
      .map(({ line, subject, field, kernel }) => `${line} ${subject} ${field} ${kernel}`)
      .join('\n');
    const group = groups.get(key);
    if (group) group.count++;
    else groups.set(key, { count: 1, mismatches });
  }
  return [...groups.values()].toSorted((a, b) => b.count - a.count)[0]?.mismatches ?? [];
}

/** Fields of the mismatches in which the kernel's runs differ. */
function spreadOf(
  half: ModelHalf,
  runs: readonly { readonly seen: readonly Observation[]; readonly mismatches: readonly Mismatch[] }[],
): Varying[] {
  const varying = new Map<string, Varying>();
  for (const { mismatches } of runs)
    for (const { line, operation, subject, field } of mismatches) {
      const step = half.steps.findIndex((each) => each.operation.line === line);
      const spread: Record<string, number> = {};
      for (const { seen } of runs) {
        const value = String(valueOf(seen[step], subject, field));
        spread[value] = (spread[value] ?? 0) + 1;
      }
      if (Object.keys(spread).length > 1)
        varying.set(`${line} ${subject} ${field}`, { line, operation, subject, field, spread });
    }
  return [...varying.values()];
}

function valueOf(seen: Observation | undefined, subject: string, field: string): Scalar | undefined {
  const fields = seen && fieldsAt(seen, subject);
  return field === 'present' ? fields !== undefined : fields?.[field];
}
