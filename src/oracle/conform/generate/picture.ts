// The workload in the making: its operations, and a light picture of the tasks, mappings and descriptors they leave.
// The picture only makes most calls meaningful; where it is wrong a call fails, which is worth comparing too.
import type { Random } from '../../../lib/random.js';
import type { Operation, Value } from '../../../workload/operation.js';
import { NO_RESULT } from '../../../workload/operation.js';
import type { Backing, Mapped } from './space.js';
import { Space } from './space.js';
import { PAGE, anyPage, someBytes } from './places.js';

/** More tasks than this at a time show nothing new. */
export const TASKS_MAX = 4;
/** Descriptors that workloads use; the first three are the terminal's. */
export const FD_MIN = 3;
export const FD_MAX = 9;

/** What a descriptor leads to. */
export interface Opened {
  readonly backing: Backing;
  readonly writable: boolean;
}

/** A task that is alive. Threads share `space` and `files` with their leader. */
export interface Task {
  readonly pid: number;
  readonly tgid: number;
  readonly parent: number;
  readonly space: Space;
  readonly files: Map<number, Opened>;
}

/** A range of addresses, bytes. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

/** A workload under construction. */
export class Draft {
  readonly random: Random;
  readonly operations: Operation[] = [];
  tasks: readonly Task[] = [{ pid: 1, tgid: 1, parent: 0, space: new Space(), files: new Map() }];
  /** Forked processes that have exited and that nobody has waited for. */
  zombies: readonly { readonly pid: number; readonly parent: number }[] = [];
  /** A task that others do not touch memory as: it watches. */
  monitor: Task | null = null;
  /** Descriptors of userfaultfds, the same in all tasks. */
  userfaults: readonly number[] = [];
  /** Do they hear of what others do to mappings? UFFD_FEATURE_EVENT_*. */
  events = 0;
  /** What they were asked to watch. */
  watched: readonly Range[] = [];
  #lastPid = 1;

  constructor(random: Random) {
    this.random = random;
  }

  /** The first task, which lives as long as the workload. */
  get first(): Task {
    return this.tasks[0] as Task;
  }

  /** Appends an operation of `task`, or of the machine. */
  add(task: Task | null, name: string, ...args: readonly Value[]): void {
    this.#push(task?.pid ?? null, name, args);
  }

  /** Appends an operation that makes a task: a thread of `task`'s group with `thread`, else a process. */
  addTask(task: Task, name: string, args: readonly Value[], thread: boolean): void {
    const pid = ++this.#lastPid;
    this.#push(task.pid, name, args, pid);
    const { space, files, tgid } = task;
    const child: Task = thread
      ? { pid, tgid, parent: task.pid, space, files }
      : { pid, tgid: pid, parent: task.pid, space: space.copy(), files: new Map(files) };
    this.tasks = [...this.tasks, child];
  }

  /** These tasks have exited. */
  remove(gone: readonly Task[]): void {
    this.tasks = this.tasks.filter((each) => !gone.includes(each));
    for (const { pid, tgid, parent } of gone) if (pid === tgid) this.zombies = [...this.zombies, { pid, parent }];
  }

  #push(pid: number | null, name: string, args: readonly Value[], child?: number): void {
    const result = child === undefined ? NO_RESULT : ({ kind: 'value', value: child } as const);
    this.operations.push({ line: this.operations.length + 1, pid, name, args, result });
  }

  /** Any living task, but for the monitor. */
  anyTask(): Task {
    return this.random.pick(this.monitor === null ? this.tasks : this.tasks.filter((each) => each !== this.monitor));
  }

  /** Some pages of something mapped that `fits`; null if there is nothing such. Long mappings give at most sixteen pages. */
  pages(task: Task, fits: (mapped: Mapped) => boolean = () => true): Range | null {
    const found = task.space.mapped.filter(fits);
    return found.length === 0 ? null : this.pagesOf(this.random.pick(found));
  }

  /** All, or some pages of a mapping; of a long one mostly the first, so that operations meet. */
  pagesOf({ start, end }: { readonly start: number; readonly end: number }): Range {
    const pages = Math.min(16, (end - start) / PAGE);
    const room = (end - start) / PAGE - pages;
    const base = room > 0 && this.random.chance(60) ? start : start + PAGE * this.random.below(room + 1);
    if (this.random.chance(40)) return { start: base, length: pages * PAGE };
    const first = this.random.below(pages);
    return { start: base + first * PAGE, length: PAGE * this.random.between(1, pages - first) };
  }

  /** A range that calls may fail on: across the ends of mappings, or anywhere in a region. */
  carelessRange(): Range {
    return { start: anyPage(this.random), length: someBytes(this.random) };
  }

  /** Mostly pages of something that fits, now and then others. Null if nothing fits and this is no time to be careless. */
  range(task: Task, fits?: (mapped: Mapped) => boolean): Range | null {
    return this.random.chance(12) ? this.carelessRange() : this.pages(task, fits);
  }

  /** The lowest free descriptor. */
  freeFd(task: Task, atLeast = FD_MIN): number {
    let fd = atLeast;
    while (task.files.has(fd) || this.userfaults.includes(fd)) fd++;
    return fd;
  }

  /** A descriptor that fits, or null. */
  fd(task: Task, fits: (opened: Opened) => boolean = () => true): readonly [number, Opened] | null {
    const found = [...task.files].filter(([, opened]) => fits(opened));
    return found.length === 0 ? null : this.random.pick(found);
  }
}
