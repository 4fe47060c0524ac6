// A counter line of an address space with threads. The model changes a counter at one moment of a fault or call, the kernel at
// another, and meanwhile other threads print what they see. So a line may tell the model's value with or without what is under way.
import type { RssPoint } from './rss-points.js';

/** A thread's fault or call: the changes that the model made in it so far. */
export interface Work {
  readonly points: readonly RssPoint[];
  readonly complete: boolean;
}

/** What one thread was doing when the line was printed: its first `done` changes were made. */
export interface UnderWay {
  readonly work: Work;
  readonly done: number;
}

/** The model at the moment of a line. */
export interface SharedMoment {
  /** The counter's value, pages. */
  readonly model: number;
  /** The printing thread first. */
  readonly threads: readonly UnderWay[];
}

/** Combinations tried at the most. */
const COMBINATIONS_MAX = 4096;

/** Can a line tell `value`? Asked when all that was under way is complete. */
export function explainsShared(moment: SharedMoment, mm: number, type: number, value: number): boolean {
  let reachable = new Set([moment.model]);
  for (const thread of moment.threads) {
    const offsets = offsetsOf(thread, mm, type);
    if (reachable.size * offsets.size > COMBINATIONS_MAX) break;
    reachable = new Set([...reachable].flatMap((each) => [...offsets].map((offset) => each + offset)));
  }
  return reachable.has(value);
}

/** By how much the kernel may have been before or behind the model in what one thread was doing. */
function offsetsOf({ work: { points }, done }: UnderWay, mm: number, type: number): Set<number> {
  const delta = (point: RssPoint): number => (point.mm === mm && point.type === type ? point.delta : 0);
  const offsets = new Set([0]);
  let sum = 0;
  for (let i = done - 1; i >= 0; i--) offsets.add((sum -= delta(points[i] as RssPoint)));
  sum = 0;
  for (let i = done; i < points.length; i++) offsets.add((sum += delta(points[i] as RssPoint)));
  return offsets;
}
