// What can be seen of the machine after an operation, in one form for the model and the real kernel (design: the normalised observation).
import type { PageRun } from './page-runs.js';
import { keptRuns, pageFields, pageKey, pageName, singleRun } from './page-runs.js';

/** A value of a field. Absent: this source cannot see it. */
export type Scalar = number | string | boolean;

/** One thing that is looked at: a page, a mapping, a task, a descriptor, the operation's outcome. */
export type Fields = Readonly<Record<string, Scalar | undefined>>;

/**
 * Everything seen after one operation, by subject: `operation`, `task 1`, `vma 1 0x100000`, `page 1 0x100000`, `fd 1 3`, `machine`.
 * Frames are named by the first page that maps them, files by the first subject that leads to them, so that model and kernel compare
 * by who shares what with whom.
 */
export interface Observation {
  /** All but pages. */
  readonly subjects: ReadonlyMap<string, Fields>;
  /** In order of tasks and addresses. */
  readonly pages: readonly PageRun[];
}

/** Every subject of `observation`, pages one by one: those of a task behind the rest of it. */
export function subjectsOf({ subjects, pages }: Observation): Map<string, Fields> {
  const result = new Map<string, Fields>();
  let next = 0;
  const pagesUpTo = (task: number): void => {
    for (let run = pages[next]; run !== undefined && run.task <= task; run = pages[++next])
      for (let i = 0; i < run.pages; i++) result.set(pageKey(run.task, run.addr + i * PAGE), pageFields(run, i));
  };
  for (const [subject, fields] of subjects) {
    const [family = '', task = '0'] = subject.split(' ');
    if (OF_TASKS.has(family)) pagesUpTo(Number(task) - 1);
    else if (subject === MACHINE) pagesUpTo(Infinity);
    result.set(subject, fields);
  }
  pagesUpTo(Infinity);
  return result;
}

/** The observation that shows `subjects`, pages one by one among them. */
export function observationOf(subjects: ReadonlyMap<string, Fields>): Observation {
  const rest = new Map<string, Fields>();
  const pages: PageRun[] = [];
  for (const [subject, fields] of subjects) {
    const page = pageName(subject);
    if (page === null) rest.set(subject, fields);
    else pages.push(singleRun(page, fields));
  }
  return { subjects: rest, pages: pages.toSorted((a, b) => a.task - b.task || a.addr - b.addr) };
}

/** What `subject` shows, undefined if it is not there. */
export function fieldsAt({ subjects, pages }: Observation, subject: string): Fields | undefined {
  const page = pageName(subject);
  if (page === null) return subjects.get(subject);
  const { task, addr } = page;
  const run = pages.find((each) => each.task === task && addr >= each.addr && addr < each.addr + each.pages * PAGE);
  return run && pageFields(run, (addr - run.addr) / PAGE);
}

const PAGE = 4096;
/** Subjects whose name goes on with the number of a task. */
const OF_TASKS: ReadonlySet<string> = new Set(['task', 'vma', 'fd']);

export const taskKey = (task: number): string => `task ${task}`;
export const vmaKey = (task: number, start: number): string => `vma ${task} 0x${start.toString(16)}`;
export const fdKey = (task: number, fd: number): string => `fd ${task} ${fd}`;
export const OPERATION = 'operation';
/** How the operation ended that task `task` slept in. */
export const resumedKey = (task: number): string => `resumed ${task}`;
/** Messages of a userfaultfd, four numbers each, as one text. */
export const messagesText = (numbers: readonly number[]): string =>
  Array.from({ length: numbers.length / 4 }, (_, i) =>
    numbers
      .slice(4 * i, 4 * i + 4)
      .map((each) => each.toString(16))
      .join(' '),
  ).join(', ');
/** What belongs to no task: the pool of huge pages. */
export const MACHINE = 'machine';

/** Gives names to what only its identity tells apart: the subject that leads to it first. */
export class Naming<T> {
  readonly #names = new Map<T, string>();

  /** The name of `thing`, met at `subject`. */
  of(thing: T, subject: string): string {
    const known = this.#names.get(thing);
    if (known !== undefined) return known;
    this.#names.set(thing, subject);
    return subject;
  }
}

/** Operations that may free a frame and get it again at once: whether a page stayed cannot be told by its frame then. */
const REPLACING: ReadonlySet<string> = new Set(['mmap', 'mremap', 'ksm_scans']);

/** `now` with a field `kept` on each page that was there before as well: whether it is the same frame. */
export function withKept(before: Observation | null, now: Observation, operation: string): Observation {
  if (before === null || REPLACING.has(operation)) return now;
  return { subjects: now.subjects, pages: keptRuns(before.pages, now.pages) };
}
