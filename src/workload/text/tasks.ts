// Which tasks of a recording exist, and the lines that wait for one. A forked task's first lines come before the
// line that tells its parent's result, so they are held back until that line names it.

import { InputError } from '../../lib/errors.js';

/** A call whose end is yet to come. */
export interface Pending {
  readonly name: string;
  /** The text of the call from its name on, without the mark. */
  readonly text: string;
  readonly line: number;
  /** Index of the name in that line. */
  readonly start: number;
  /** The child for which a vfork was delivered before its end; 0 if none. */
  child: number;
}

/** A task that may act. */
export interface Task {
  readonly pid: number;
  pending: Pending | null;
}

/** A line that waits for its task. */
export interface HeldLine {
  readonly pid: number;
  readonly text: string;
  readonly line: number;
  readonly body: number;
}

/** How many lines may wait for tasks that nobody has created yet. */
export const HELD_LINES_MAX = 100_000;

/** The tasks of one recording. */
export class Tasks {
  readonly #living = new Map<number, Task>();
  readonly #gone = new Set<number>();
  readonly #held = new Map<number, HeldLine[]>();
  /** Tasks inside a fork-like call whose child is not known. */
  readonly forking = new Set<Task>();
  #ready: HeldLine[] = [];
  #heldCount = 0;

  /** The task, if it was born and has not exited. */
  alive(pid: number): Task | undefined {
    return this.#living.get(pid);
  }

  /** Whether no task was ever born. */
  get isEmpty(): boolean {
    return this.#living.size === 0 && this.#gone.size === 0;
  }

  /** The only living task, if there is exactly one. */
  only(): Task | undefined {
    if (this.#living.size !== 1) return undefined;
    const [task] = this.#living.values();
    return task;
  }

  /** A task comes to be; its held lines become ready. */
  born(pid: number): Task {
    const present = this.#living.get(pid);
    if (present !== undefined) return present;
    const task: Task = { pid, pending: null };
    this.#living.set(pid, task);
    this.#gone.delete(pid);
    const lines = this.#held.get(pid);
    if (lines !== undefined) {
      this.#held.delete(pid);
      this.#heldCount -= lines.length;
      this.#ready = mergeByLine(this.#ready, lines);
    }
    return task;
  }

  exit(task: Task): void {
    task.pending = null;
    this.forking.delete(task);
    this.#living.delete(task.pid);
    this.#gone.add(task.pid);
  }

  /** Keeps a line until its task is born. Refuses one of a task that is gone while nobody can be making another. */
  hold(pid: number, text: string, line: number, body: number): void {
    if (this.#gone.has(pid) && this.forking.size === 0 && !this.#held.has(pid)) {
      throw new InputError({ line, column: 1 }, `task ${pid} acts after it exited`);
    }
    if (++this.#heldCount > HELD_LINES_MAX) {
      throw new InputError({ line, column: 1 }, `more than ${HELD_LINES_MAX} lines of tasks that nothing created`);
    }
    const lines = this.#held.get(pid);
    const held = { pid, text, line, body };
    if (lines === undefined) this.#held.set(pid, [held]);
    else lines.push(held);
  }

  /** The next line whose task was born after it was read, in the order of lines. */
  nextReady(): HeldLine | undefined {
    return this.#ready.pop();
  }

  /** The task whose first line has waited longest, if any. */
  firstHeldPid(): number | undefined {
    for (const pid of this.#held.keys()) return pid;
    return undefined;
  }

  /** The first line of each task that nobody created. */
  unborn(): HeldLine[] {
    return [...this.#held.values()].flatMap((lines) => lines.slice(0, 1));
  }

  /** Tasks inside a call, by the line at which it began. */
  blocked(): Task[] {
    const tasks = [...this.#living.values()].filter((task) => task.pending !== null);
    return tasks.sort((a, b) => (a.pending?.line ?? 0) - (b.pending?.line ?? 0));
  }
}

/** Both lists into one that ends with the earliest line; `ready` is in that order already, `lines` in reading order. */
function mergeByLine(ready: readonly HeldLine[], lines: readonly HeldLine[]): HeldLine[] {
  const reversed = lines.toReversed();
  if (ready.length === 0) return reversed;
  return [...ready, ...reversed].sort((a, b) => b.line - a.line);
}
