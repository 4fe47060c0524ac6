// Where two runs part.
import type { KernelEvent } from '../events/index.js';
import { SHAPES } from '../events/index.js';

/** Where a run of the operations first did something else than the log says. */
export interface Divergence {
  /** Number of the event. */
  readonly event: number;
  /** What the log has; null if it ends there. */
  readonly expected: KernelEvent | null;
  /** What happened now; null if the run ended there. */
  readonly got: KernelEvent | null;
}

type Fields = Readonly<Record<string, number | string | readonly number[]>>;

/** Whether two events say the same. -0 is 0, and NaN is NaN. */
export function sameEvent(a: KernelEvent, b: KernelEvent): boolean {
  if (a.type !== b.type) return false;
  for (const name in SHAPES[a.type].fields) {
    const x = (a as unknown as Fields)[name];
    const y = (b as unknown as Fields)[name];
    if (x === y || (x !== x && y !== y)) continue;
    if (!Array.isArray(x) || !Array.isArray(y) || x.length !== y.length) return false;
    for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  }
  return true;
}

/** The first event at which `got` is not `expected`; null if they agree to the end. Takes no more of either than it needs. */
export function firstDifference(expected: Iterable<KernelEvent>, got: Iterable<KernelEvent>): Divergence | null {
  const left = expected[Symbol.iterator]();
  const right = got[Symbol.iterator]();
  try {
    for (let event = 0; ; event++) {
      const a = left.next();
      const b = right.next();
      if (a.done === true && b.done === true) return null;
      if (a.done === true || b.done === true || !sameEvent(a.value, b.value))
        return { event, expected: a.done === true ? null : a.value, got: b.done === true ? null : b.value };
    }
  } finally {
    left.return?.();
    right.return?.();
  }
}
