// What can be seen of the machine after an operation, in one form for the model and the real kernel (design: the normalised observation).

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
  readonly subjects: ReadonlyMap<string, Fields>;
  /** Frame number behind each page: equal in two observations in a row means the page stayed. Not compared as such. */
  readonly frames: ReadonlyMap<string, number>;
}

export const taskKey = (task: number): string => `task ${task}`;
export const vmaKey = (task: number, start: number): string => `vma ${task} 0x${start.toString(16)}`;
export const pageKey = (task: number, addr: number): string => `page ${task} 0x${addr.toString(16)}`;
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

/** Notes in `now`, which is fresh, a field `kept` on each page that was there before as well: whether it is the same frame. */
export function withKept(before: Observation | null, now: Observation, operation: string): Observation {
  if (before === null || REPLACING.has(operation)) return now;
  for (const [key, frame] of now.frames) {
    const earlier = before.frames.get(key);
    if (earlier === undefined) continue;
    // Each page has fields of its own; to copy them all, hundreds for a huge page, takes longer than to compare them.
    const fields = now.subjects.get(key) as { kept?: boolean } | undefined;
    if (fields !== undefined) fields.kept = earlier === frame;
  }
  return now;
}
