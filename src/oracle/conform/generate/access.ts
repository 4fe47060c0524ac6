// Steps that several areas share: loads and stores, and processes that come and go.
import type { Step } from './area.js';
import { RW, isPrivateAnonymous, isReadable, isUnlocked, isWritable, madvise, mmap, MAP } from './calls.js';
import type { Draft, Task } from './picture.js';
import { TASKS_MAX } from './picture.js';
import { ARENA_END, PAGE, anyPage, someBytes } from './places.js';
import type { Mapped } from './space.js';
import { accessibleEnd } from './space.js';

/** Addresses no program has: the first page, and what the processor or the kernel keeps for itself. */
const NOWHERE: readonly (number | bigint)[] = [0, 8, 0x7fffffffffff, 0x800000000000, 2n ** 64n - 2n ** 47n];

/** Where an access goes: start, middle and end of a page, some across pages. */
function target(
  draft: Draft,
  task: Task,
  fits: (mapped: Mapped) => boolean,
): readonly [number | bigint, number] | null {
  const { random } = draft;
  if (random.chance(1)) return [random.pick(NOWHERE), 1];
  const length = random.weighted<number>([
    [12, 1],
    [2, 8],
    [1, 100],
    [2, PAGE],
    [1, PAGE + 904],
    [1, 2 * PAGE],
  ]);
  const offset = random.pick([0, 0, 0, 16, 2048, PAGE - 1]);
  if (random.chance(5)) return [anyPage(random) + offset, length];
  const found = task.space.mapped.filter((each) => fits(each));
  if (found.length === 0) return null;
  const mapped = random.pick(found);
  const { start } = draft.pagesOf({ start: mapped.start, end: accessibleEnd(mapped) });
  // Mostly inside what is mapped, always inside the arena.
  const end = start + offset + length;
  const shortened = end > ARENA_END || (end > accessibleEnd(mapped) && random.chance(80));
  return shortened ? [start, Math.min(length, PAGE)] : [start + offset, length];
}

export const store: Step = (draft) => {
  const task = draft.anyTask();
  const found = target(draft, task, isWritable);
  if (found === null) return false;
  const [addr, length] = found;
  // Zero now and then: a page of zeros is still a page.
  const byte = draft.random.chance(8) ? 0 : draft.random.between(1, 255);
  if (length === 1) draft.add(task, 'store', addr, byte);
  else draft.add(task, 'store', addr, byte, length);
  return true;
};

export const load: Step = (draft) => {
  const task = draft.anyTask();
  const found = target(draft, task, isReadable);
  if (found === null) return false;
  const [addr, length] = found;
  if (length === 1) draft.add(task, 'load', addr);
  else draft.add(task, 'load', addr, length);
  return true;
};

/** `task` forks: its child. */
export function forkOf(draft: Draft, task: Task): Task {
  draft.addTask(task, 'fork', [], false);
  return draft.tasks.at(-1) as Task;
}

/** Forks; a lonely task does so first. */
export const fork: Step = (draft) => {
  if (draft.tasks.length >= TASKS_MAX) return false;
  forkOf(draft, draft.anyTask());
  return true;
};

/** The whole process of `task` exits, which is not the first. */
export function exitTask(draft: Draft, task: Task): void {
  draft.add(task, 'exit_group', 0);
  draft.remove(draft.tasks.filter((each) => each.tgid === task.tgid));
}

/** A whole process exits; never the first, which the real side needs to the end. */
export const exitProcess: Step = (draft) => {
  const task = draft.anyTask();
  if (task.tgid === 1) return false;
  exitTask(draft, task);
  return true;
};

/** Private anonymous memory on the pages where operations meet. */
export const mapPrivate: Step = (draft) => {
  const { random } = draft;
  const prot = random.chance(85) ? RW : random.pick([0, 1, 1, 5, 7]);
  const addr = random.chance(8) ? 0 : anyPage(random);
  const fixed = addr === 0 ? 0 : MAP.FIXED;
  const flags = MAP.PRIVATE | MAP.ANONYMOUS | fixed;
  mmap(draft, draft.anyTask(), { addr, length: someBytes(random), prot, flags, fd: -1, offset: 0 });
  return true;
};

/** One advice on mappings that it fits. */
export const advise =
  (advice: readonly number[], fits?: (mapped: Mapped) => boolean): Step =>
  (draft) => {
    const task = draft.anyTask();
    const range = draft.range(task, fits);
    if (range === null) return false;
    madvise(draft, task, range, draft.random.pick(advice));
    return true;
  };

export const unlockedAnonymous = (each: Mapped): boolean => isPrivateAnonymous(each) && isUnlocked(each);
