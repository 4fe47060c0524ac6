// Area gup: pages held from outside of page tables while their mappings go on: vmsplice, io_uring's fixed buffers, process_vm_readv and
// process_vm_writev, /proc/self/mem, O_DIRECT.
import type { Value } from '../../../../workload/operation.js';
import { advise, exitProcess, fork, load, mapPrivate, store, unlockedAnonymous } from '../access.js';
import type { Area, Preparation, Step } from '../area.js';
import { MADV, isPrivate, isReadable, isUnlocked, isWritable } from '../calls.js';
import { DIRECT_STEPS, openDirect } from '../direct-steps.js';
import type { Draft, Range, Task } from '../picture.js';
import { ARENA_END, PAGE } from '../places.js';
import { openData, openMemory } from '../prologue.js';
import type { Mapped } from '../space.js';
import { protect, unmap, mapFileShared } from '../mapping-steps.js';

const O_NONBLOCK = 0o4000;
const O_RDWR = 2;
const SPLICE_F_NONBLOCK = 2;
const AT_FDCWD = -100;
const PTRACE_PEEKDATA = 2;
const PTRACE_POKEDATA = 5;
/** Out of the way of descriptors that come and go. */
export const PIPE_READ = 14;
export const PIPE_WRITE = 15;
const RING = 16;
export const MEM = 17;

/** Puts what is open at `fd` where nothing else will be. */
function park(draft: Draft, fd: number, at: number): void {
  draft.add(draft.first, 'dup2', fd, at);
  draft.add(draft.first, 'close', fd);
}

export const openPipe: Preparation = (draft) => {
  const reading = draft.freeFd(draft.first);
  draft.add(draft.first, 'pipe2', O_NONBLOCK);
  park(draft, reading, PIPE_READ);
  park(draft, draft.freeFd(draft.first, reading + 1), PIPE_WRITE);
};

export const openRing: Preparation = (draft) => {
  draft.add(draft.first, 'io_uring_setup', 8);
  park(draft, draft.freeFd(draft.first), RING);
};

export const openMem: Preparation = (draft) => {
  draft.add(draft.first, 'openat', AT_FDCWD, { text: '/proc/self/mem' }, O_RDWR);
  park(draft, draft.freeFd(draft.first), MEM);
};

/** Any of the pages of [start, start + length) goes into the pipe. */
export const spliceRange = (draft: Draft, task: Task, { start, length }: Range): void =>
  draft.add(task, 'vmsplice', PIPE_WRITE, vector(start, length), 1, SPLICE_F_NONBLOCK);

/** The pages of [start, start + length) are pinned as a buffer of the ring, the only one. */
export function registerRange(draft: Draft, task: Task, { start, length }: Range): void {
  draft.add(task, 'io_uring_register', RING, 1, null, 0);
  draft.add(task, 'io_uring_register', RING, 0, vector(start, length), 1);
}

/** Bytes go from the ring's buffer into the pipe, or the other way round. */
export function fixedRange(draft: Draft, task: Task, start: number, length: number): void {
  if (draft.random.chance(50)) draft.add(task, 'io_uring_write_fixed', RING, PIPE_WRITE, start, length, 0);
  else draft.add(task, 'io_uring_read_fixed', RING, PIPE_READ, start, length, 0);
}

export const vector = (base: number, length: number): Value => [{ fields: { iov_base: base, iov_len: length } }];

/** A few bytes up to a few pages of something that fits, from anywhere in its page. */
function bytesOf(draft: Draft, task: Task, fits: (mapped: Mapped) => boolean): readonly [number, number] | null {
  const found = draft.range(task, fits);
  if (found === null) return null;
  // What lies beyond the arena may be the real process itself.
  const start = Math.min(found.start, ARENA_END - PAGE);
  const range = { start, length: Math.min(found.length, ARENA_END - start) };
  const { random } = draft;
  const offset = random.pick([0, 0, 0, 16, 4000]);
  const most = Math.min(range.length, 4 * PAGE) - offset;
  const length = random.weighted<number>([
    [4, PAGE],
    [2, most],
    [1, 100],
    [1, random.between(1, 2 * PAGE)],
  ]);
  return [range.start + offset, Math.max(1, Math.min(length, most))];
}

export const vmsplice: Step = (draft) => {
  const task = draft.anyTask();
  const found = bytesOf(draft, task, isReadable);
  if (found === null) return false;
  draft.add(task, 'vmsplice', PIPE_WRITE, vector(...found), 1, SPLICE_F_NONBLOCK);
  return true;
};

export const pipeRead: Step = (draft) => {
  const task = draft.anyTask();
  const found = bytesOf(draft, task, isWritable);
  if (found === null) return false;
  draft.add(task, 'read', PIPE_READ, ...found);
  return true;
};

const pipeWrite: Step = (draft) => {
  const task = draft.anyTask();
  const found = bytesOf(draft, task, isReadable);
  if (found === null) return false;
  draft.add(task, 'write', PIPE_WRITE, ...found);
  return true;
};

export const register: Step = (draft) => {
  const task = draft.anyTask();
  const found = bytesOf(draft, task, isWritable);
  if (found === null) return false;
  // Registered already, mostly: what was there is given back first.
  if (draft.random.chance(70)) draft.add(task, 'io_uring_register', RING, 1, null, 0);
  draft.add(task, 'io_uring_register', RING, 0, vector(...found), 1);
  // Bytes go through it at once, while it is known where it is; later ones often miss it.
  if (draft.random.chance(50)) draft.add(task, 'io_uring_write_fixed', RING, PIPE_WRITE, ...found, 0);
  if (draft.random.chance(50)) draft.add(task, 'io_uring_read_fixed', RING, PIPE_READ, ...found, 0);
  return true;
};

export const unregister: Step = (draft) => {
  draft.add(draft.anyTask(), 'io_uring_register', RING, 1, null, 0);
  return true;
};

const fixed: Step = (draft) => {
  const task = draft.anyTask();
  const found = bytesOf(draft, task, isWritable);
  if (found === null) return false;
  fixedRange(draft, task, ...found);
  return true;
};

const processVm =
  (write: boolean): Step =>
  (draft) => {
    const { random } = draft;
    const task = draft.anyTask();
    const other = random.pick(draft.tasks);
    const own = bytesOf(draft, task, write ? isReadable : isWritable);
    const theirs = bytesOf(draft, other, random.chance(90) ? (write ? isWritable : isReadable) : () => true);
    if (own === null || theirs === null) return false;
    draft.add(
      task,
      write ? 'process_vm_writev' : 'process_vm_readv',
      other.pid,
      vector(...own),
      1,
      vector(...theirs),
      1,
      0,
    );
    return true;
  };

const mem =
  (write: boolean): Step =>
  (draft) => {
    const task = draft.anyTask();
    const own = bytesOf(draft, task, write ? isReadable : isWritable);
    // It stays the first task's, whoever uses it; what may not be written is written by force.
    const theirs = bytesOf(draft, draft.first, () => true);
    if (own === null || theirs === null) return false;
    const bytes = Math.min(own[1], ARENA_END - theirs[0]);
    // A buffer that overlaps what is read or written is not modelled.
    if (own[0] < theirs[0] + bytes && theirs[0] < own[0] + bytes) return false;
    draft.add(task, write ? 'pwrite64' : 'pread64', MEM, own[0], bytes, theirs[0]);
    return true;
  };

/** A word of another process is read or written by force, now and then one that lies in two pages. */
const trace =
  (poke: boolean): Step =>
  (draft) => {
    const { random } = draft;
    const task = draft.anyTask();
    const other = random.pick(draft.tasks);
    const own = bytesOf(draft, task, isWritable);
    const theirs = bytesOf(draft, other, () => true);
    if (own === null || theirs === null) return false;
    const at = theirs[0] - (theirs[0] % PAGE) + random.pick([0, 8, 4088, 4092]);
    if (at + 8 > ARENA_END || own[0] + 8 > ARENA_END) return false;
    const data = poke ? random.pick([0, 0x5a, 0x1122334455]) : own[0];
    draft.add(task, 'ptrace', poke ? PTRACE_POKEDATA : PTRACE_PEEKDATA, other.pid, at, data);
    return true;
  };

export const GUP: Area = {
  name: 'gup',
  prologue: [openData, openMemory, openPipe, openRing, openMem, openDirect],
  steps: {
    mapPrivate: [6, mapPrivate],
    mapFile: [4, mapFileShared(40)],
    store: [12, store],
    load: [6, load],
    fork: [7, fork],
    exit: [3, exitProcess],
    vmsplice: [8, vmsplice],
    pipeRead: [5, pipeRead],
    pipeWrite: [2, pipeWrite],
    register: [7, register],
    unregister: [2, unregister],
    fixed: [4, fixed],
    vmRead: [5, processVm(false)],
    vmWrite: [5, processVm(true)],
    memRead: [3, mem(false)],
    memWrite: [5, mem(true)],
    peek: [2, trace(false)],
    poke: [5, trace(true)],
    ...DIRECT_STEPS,
    protect: [5, protect],
    dontneed: [3, advise([MADV.DONTNEED], isUnlocked)],
    free: [2, advise([MADV.FREE], unlockedAnonymous)],
    populateRead: [2, advise([MADV.POPULATE_READ], isReadable)],
    copyAdvice: [2, advise([MADV.DONTFORK, MADV.DOFORK], isPrivate)],
    unmap: [3, unmap],
  },
};
