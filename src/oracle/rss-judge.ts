// rss_stat lines against the model's counters. The lines carry totals; the model's changes are compared with their differences, so
// that one error is counted where it happens and not at every later line.
import type { KernelView } from '../../reducers/state.js';
import type { PerfRecord } from '../workload/perf/record.js';
import type { RssPoint } from './rss-points.js';
import type { SharedMoment } from './shared-counter.js';
import { explainsShared } from './shared-counter.js';

const PAGE_BYTES = 4096;
const NAMES = ['file', 'anon', 'swap', 'shmem'] as const;
const TABLE_PAGES = 512;

/** An rss_stat line with the address space it speaks of: 0 for one that is not followed, -1 for the child a fork is making. */
export interface RssLine {
  readonly record: PerfRecord;
  readonly mm: number;
  /** Of an address space with threads; null for others. */
  readonly shared: SharedMoment | null;
}

type Differ = (line: number, model: string, kernel: string) => void;

/**
 * The address space that `record`, just read, speaks of. Its mm_id is a hash that is soon used again, so it is bound (in `ids`) only
 * while one call or fault lasts: curr=1 is the task's own; inside execve the first other one is the new address space, a further
 * one the old; an exiting task's is the one it left; what remains is the child of a fork.
 */
export function addressSpaceOf(view: KernelView, record: PerfRecord, ids: Map<number, number>): number {
  const task = view.tasks[record.tid];
  if (task === undefined) return 0;
  const followed = (mm: number): number => (view.mms[mm]?.foreignLayout === 1 ? 0 : mm);
  // Also before curr=1: the moment at which an execve changes the task's address space is an estimate.
  const bound = ids.get(record.a);
  if (bound !== undefined) return followed(bound);
  if (record.d === 1) {
    ids.set(record.a, task.mm);
    return followed(task.mm);
  }
  let mm = -1;
  if (task.execMm !== 0) mm = [...ids.values()].includes(task.execMm) ? task.mm : task.execMm;
  else if (task.exited === 1) mm = task.exitMm;
  if (mm >= 0) ids.set(record.a, mm);
  return mm >= 0 ? followed(mm) : mm;
}

/** A counter line as a difference to the line before. */
interface Change {
  readonly record: PerfRecord;
  readonly pages: number;
}

/** A line of a counter that threads share, until all that was under way is complete. */
interface SharedLine {
  readonly line: RssLine;
  readonly mm: number;
  readonly value: number;
  readonly base: number;
  readonly moment: SharedMoment;
}

/** In how many parts Linux may tell one walk over a page table. */
const MAX_PARTS = 4;
/** Model values kept for each counter of an address space with threads. */
const HISTORY = 1024;

/** Compares the counter lines of one task's window with the model's changes in it. */
export class RssJudge {
  points = 0;
  agreed = 0;
  /** Counts changes of all counters; a window remembers where it began. */
  changes = 0;
  readonly #differ: Differ;
  /** Last recorded value by "mm:type", pages. */
  readonly #base = new Map<string, number>();
  /** Counters that changed without a line to tell where they stood: recordings may begin in the middle of an execve. */
  readonly #unseen = new Set<string>();
  /** Pages that model and recording differ by in one page table: a hole of the page cache comes back when it is unmapped. */
  readonly #holes = new Map<string, readonly number[]>();
  /** What each counter was after each change: [change, value]*, the latest HISTORY of them. */
  readonly #history = new Map<string, number[]>();

  readonly #pending: SharedLine[] = [];

  constructor(differ: Differ) {
    this.#differ = differ;
  }

  /** The model's counter is `value` pages now. */
  changed(mm: number, type: number, value: number): void {
    const key = `${mm}:${type}`;
    const history = this.#history.get(key) ?? [];
    history.push(++this.changes, value);
    if (history.length > 4 * HISTORY) history.splice(0, 2 * HISTORY);
    this.#history.set(key, history);
  }

  /**
   * One window: `lines` as recorded, `points` as the model had them, both in order. `view` is the state when it closes, `child` the
   * address space a fork made in it, `since` the number of `changes` when it opened.
   */
  judge(view: KernelView, lines: readonly RssLine[], points: readonly RssPoint[], child: number, since: number): void {
    const changes = new Map<string, Change[]>();
    for (const line of lines) {
      const mm = line.mm === -1 ? child : line.mm;
      if (mm === 0) continue;
      this.points++;
      const { record } = line;
      const key = `${mm}:${record.b}`;
      const value = Math.round(record.c / PAGE_BYTES);
      const base = this.#base.get(key) ?? this.#startOf(view, mm, record.b, points);
      this.#base.set(key, value);
      const { shared } = line;
      const threads = shared !== null || (view.mms[mm]?.users ?? 0) > 1;
      if (threads && this.#wasValue(key, value, since)) this.agreed++;
      else if (shared !== null && isOneChange(points, mm, record.b, value - base)) this.agreed++;
      else if (shared !== null) {
        this.#pending.push({ line, mm, value, base, moment: shared });
      } else {
        const list = changes.get(key) ?? [];
        list.push({ record, pages: value - base });
        changes.set(key, list);
      }
    }
    for (const [key, list] of changes)
      this.#align(
        list,
        points.filter(({ mm, type }) => `${mm}:${type}` === key),
      );
    for (const { mm, type } of points) {
      const key = `${mm}:${type}`;
      if (!this.#base.has(key) && !lines.some((line) => line.mm === mm)) this.#unseen.add(key);
    }
  }

  /** Decides on lines of shared counters for which all that was under way is complete. */
  settle(): void {
    for (let i = 0; i < this.#pending.length; i++) {
      const { line, mm, value, base, moment } = this.#pending[i] as SharedLine;
      if (moment.threads.some(({ work }) => !work.complete)) continue;
      this.#pending.splice(i--, 1);
      const { record } = line;
      if (explainsShared(moment, mm, record.b, value)) this.agreed++;
      else this.#differ(record.line, text(record.b, moment.model - base), text(record.b, value - base));
    }
  }

  /** Threads change one counter at the same time: a line may tell any value that it had while the window was open. */
  #wasValue(key: string, value: number, since: number): boolean {
    const history = this.#history.get(key) ?? [];
    for (let i = history.length - 2; i >= 0; i -= 2) {
      if (history[i + 1] === value) return true;
      if ((history[i] as number) <= since) return false;
    }
    return false;
  }

  /** Where a counter stood before the first line that tells of it: 0 at birth, the model's value where earlier lines are missing. */
  #startOf(view: KernelView, mm: number, type: number, points: readonly RssPoint[]): number {
    if (!this.#unseen.has(`${mm}:${type}`)) return 0;
    const now = view.mms[mm]?.rss[type] ?? 0;
    return points.reduce((sum, point) => (point.mm === mm && point.type === type ? sum - point.delta : sum), now);
  }

  /**
   * Aligns one counter's recorded changes with the model's. A line tells the model's next change or a sum of its next ones; or several
   * lines tell one walk over a table. What fits neither is a disagreement, after which both sides go on with their next.
   */
  #align(lines: readonly Change[], points: readonly RssPoint[]): void {
    let line = 0;
    let point = 0;
    while (line < lines.length) {
      const change = lines[line] as Change;
      const next = points[point];
      if (change.pages === 0) {
        // A fault-around that found nothing prints the counter as it was; the page itself follows.
        this.agreed++;
        line++;
        continue;
      }
      if (next === undefined) {
        this.#differ(change.record.line, 'no change', text(change.record.b, change.pages));
        line++;
        continue;
      }
      const parts = this.#partsOf(lines, line, next);
      const sums = parts > 0 ? 0 : this.#sumsTo(points, point, change.pages);
      if (parts > 0 || sums > 0) {
        this.agreed += Math.max(parts, 1);
        line += Math.max(parts, 1);
        point += Math.max(sums, 1);
        continue;
      }
      if (next.delta > 0 && next.vpn >= 0 && next.delta !== change.pages)
        this.#holes.set(holeKey(next), [...(this.#holes.get(holeKey(next)) ?? []), next.delta - change.pages]);
      this.#differ(change.record.line, text(next.type, next.delta), text(next.type, change.pages));
      line++;
      point++;
    }
  }

  /** How many lines from `from` on tell `point`; 0 if they do not. */
  #partsOf(lines: readonly Change[], from: number, point: RssPoint): number {
    const most = point.divisible ? MAX_PARTS : 1;
    let sum = 0;
    for (let n = 1; n <= most && from + n <= lines.length; n++) {
      sum += (lines[from + n - 1] as Change).pages;
      if (sum === point.delta || this.#holeExplains(point, sum)) return n;
    }
    return 0;
  }

  /** How many points from `from` on add up to `change`; 0 if they do not. */
  #sumsTo(points: readonly RssPoint[], from: number, change: number): number {
    let sum = 0;
    for (let i = from; i < points.length; i++) {
      sum += (points[i] as RssPoint).delta;
      if (sum === change) return i - from + 1;
    }
    return 0;
  }

  /** Pages that were never mapped (holes found when they should have been) are not unmapped either. */
  #holeExplains(point: RssPoint, change: number): boolean {
    const holes = point.delta < 0 ? this.#holes.get(holeKey(point)) : undefined;
    if (holes === undefined) return false;
    for (let set = 1; set < 2 ** Math.min(holes.length, 10); set++) {
      const sum = holes.reduce((total, hole, i) => (Math.floor(set / 2 ** i) % 2 === 1 ? total + hole : total), 0);
      if (point.delta + sum !== change) continue;
      this.#holes.set(
        holeKey(point),
        holes.filter((_, i) => Math.floor(set / 2 ** i) % 2 === 0),
      );
      return true;
    }
    return false;
  }
}

/** Is a difference to the line before one of the window's changes? An earlier disagreement then does not matter. */
const isOneChange = (points: readonly RssPoint[], mm: number, type: number, pages: number): boolean =>
  points.some((point) => point.mm === mm && point.type === type && point.delta === pages);

const holeKey = (point: RssPoint): string => `${point.mm}:${point.type}:${Math.floor(point.vpn / TABLE_PAGES)}`;
const text = (type: number, pages: number): string => `${NAMES[type] ?? type} ${pages < 0 ? '' : '+'}${pages}`;
