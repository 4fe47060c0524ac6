// Area thread: tasks that share an address space and descriptors, and collecting those that exited.
import { exitProcess, fork } from '../access.js';
import type { Area, Step } from '../area.js';
import { TASKS_MAX } from '../picture.js';

/** CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD, CLONE_SYSVSEM: what pthread_create() asks for, less what only libc needs. */
const THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000;

const clone: Step = (draft) => {
  if (draft.tasks.length >= TASKS_MAX) return false;
  draft.addTask(draft.anyTask(), 'clone', [{ fields: { flags: THREAD_FLAGS } }], true);
  return true;
};

/** One thread goes, the others stay. A leader goes only when it is alone: what is left of it shows no address space. */
const exitThread: Step = (draft) => {
  const task = draft.anyTask();
  const alone = draft.tasks.every((each) => each === task || each.tgid !== task.tgid);
  if (task.pid === 1 || (task.pid === task.tgid && !alone)) return false;
  draft.add(task, 'exit', 0);
  draft.remove([task]);
  return true;
};

/** Collects a child that has exited. */
const wait: Step = (draft) => {
  const waiting = draft.zombies.flatMap(({ pid, parent }) =>
    draft.tasks.filter((each) => each.pid === parent).map((task) => [task, pid] as const),
  );
  if (waiting.length === 0) return false;
  const [task, pid] = draft.random.pick(waiting);
  draft.add(task, 'wait4', pid, null, 0, null);
  draft.zombies = draft.zombies.filter((each) => each.pid !== pid);
  return true;
};

export const THREAD: Area = {
  name: 'thread',
  prologue: [],
  steps: {
    clone: [5, clone],
    fork: [2, fork],
    exitThread: [2, exitThread],
    exitProcess: [1, exitProcess],
    wait: [2, wait],
  },
};
