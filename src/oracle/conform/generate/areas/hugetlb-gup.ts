// Area hugetlb, the part about references: huge pages of the pool that pipes, registered buffers, other processes and /proc/self/mem reach, while a fork copies
// those that are pinned, or cannot.
import { forkOf } from '../access.js';
import type { Step } from '../area.js';
import { MAP, READ, RW, isReadable, isWritable, madvise, mmap, mprotect, MADV } from '../calls.js';
import type { Draft, Task } from '../picture.js';
import { TASKS_MAX } from '../picture.js';
import { PAGE, TABLE } from '../places.js';
import { anyPlaces, pageOf } from '../pool-places.js';
import type { Mapped } from '../space.js';
import { MEM, PIPE_READ, fixedRange, registerRange, spliceRange, unregister, vector } from './gup.js';

const MAP_HUGETLB = 0x40000;
const PTRACE_PEEKDATA = 2;
const PTRACE_POKEDATA = 5;

/** Some bytes of a huge page, mostly a page or two of 4 KiB of it, now and then across its end. */
function bytesOf(draft: Draft, task: Task, fits: (mapped: Mapped) => boolean): readonly [number, number] | null {
  const page = pageOf(draft, task, fits);
  if (page === null) return null;
  const { random } = draft;
  const offset = random.pick([0, 0, 0, 16, 5 * PAGE, TABLE - PAGE, TABLE - 100]);
  return [page + offset, random.pick([PAGE, PAGE, 2 * PAGE, 100, 3 * PAGE + 7])];
}

const splice: Step = (draft) => {
  const task = draft.anyTask();
  const found = bytesOf(draft, task, isReadable);
  if (found === null) return false;
  spliceRange(draft, task, { start: found[0], length: found[1] });
  return true;
};

const pipeRead: Step = (draft) => {
  const task = draft.anyTask();
  const found = bytesOf(draft, task, isWritable);
  if (found === null) return false;
  draft.add(task, 'read', PIPE_READ, ...found);
  return true;
};

/** A buffer, at times through a read-only mapping, which is refused; bytes go through it. */
const register: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = bytesOf(draft, task, random.chance(90) ? isWritable : isReadable);
  if (found === null) return false;
  registerRange(draft, task, { start: found[0], length: found[1] });
  if (random.chance(50)) fixedRange(draft, task, ...found);
  return true;
};

/** Another process's huge page, or one's own, to or from one's own. */
const processVm =
  (write: boolean): Step =>
  (draft) => {
    const { random } = draft;
    const task = draft.anyTask();
    const other = random.pick(draft.tasks);
    const own = bytesOf(draft, task, write ? isReadable : isWritable);
    const theirs = bytesOf(draft, other, random.chance(85) ? (write ? isWritable : isReadable) : () => true);
    if (own === null || theirs === null) return false;
    const name = write ? 'process_vm_writev' : 'process_vm_readv';
    draft.add(task, name, other.pid, vector(...own), 1, vector(...theirs), 1, 0);
    return true;
  };

/** By force, which what may not be written to does not resist. */
const mem =
  (write: boolean): Step =>
  (draft) => {
    const task = draft.anyTask();
    const own = bytesOf(draft, task, write ? isReadable : isWritable);
    const theirs = bytesOf(draft, draft.first, () => true);
    if (own === null || theirs === null) return false;
    const bytes = Math.min(own[1], theirs[1]);
    if (own[0] < theirs[0] + bytes && theirs[0] < own[0] + bytes) return false;
    draft.add(task, write ? 'pwrite64' : 'pread64', MEM, own[0], bytes, theirs[0]);
    return true;
  };

const trace =
  (poke: boolean): Step =>
  (draft) => {
    const { random } = draft;
    const task = draft.anyTask();
    const other = random.pick(draft.tasks);
    const own = bytesOf(draft, task, isWritable);
    const page = pageOf(draft, other, () => true);
    if (own === null || page === null) return false;
    const at = page + random.pick([0, 8, TABLE - 8, TABLE - 4]);
    const data = poke ? random.pick([0, 0x5a, 0x1122334455]) : own[0];
    draft.add(task, 'ptrace', poke ? PTRACE_POKEDATA : PTRACE_PEEKDATA, other.pid, at, data);
    return true;
  };

/** Huge pages of which one is pinned, and a fork: it copies that one, or fails. Then both write. */
const pinAndFork: Step = (draft) => {
  const { random } = draft;
  if (draft.tasks.length >= Math.min(3, TASKS_MAX)) return false;
  const task = draft.anyTask();
  const { start, length } = anyPlaces(draft);
  const flags = MAP.PRIVATE | MAP.FIXED | MAP.ANONYMOUS | MAP_HUGETLB;
  mmap(draft, task, { addr: start, length, prot: RW, flags, fd: -1, offset: 0 });
  for (let at = start; at < start + length; at += TABLE)
    if (random.chance(70)) draft.add(task, 'store', at, random.between(1, 255));
  const pinned = start + TABLE * random.below(length / TABLE);
  registerRange(draft, task, { start: pinned + random.pick([0, PAGE]), length: PAGE });
  if (random.chance(20)) mprotect(draft, task, { start, length }, READ);
  const child = forkOf(draft, task);
  // One that was not made is nobody, and what it is told to do nobody does.
  for (const who of [task, child]) if (random.chance(60)) draft.add(who, 'store', pinned, random.between(1, 255));
  if (random.chance(40)) fixedRange(draft, task, pinned + PAGE, 100);
  if (random.chance(40)) unregister(draft);
  if (random.chance(30)) madvise(draft, child, { start, length }, MADV.DONTNEED);
  return true;
};

const MPOL_MF_MOVE = 2;
const MPOL_MF_MOVE_ALL = 4;

/** Other frames for huge pages, of which the range may have a part; small ones lie between them now and then. */
const moveFrames: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const page = pageOf(draft, task, () => true);
  if (page === null) return false;
  const start = page + random.pick([0, 0, 0, PAGE]);
  const length = random.pick([TABLE, TABLE, PAGE, 2 * TABLE, 3 * TABLE - PAGE]);
  if (random.chance(40)) draft.add(task, 'migrate', start, length);
  else draft.add(task, 'mbind', start, length, 0, null, 0, random.pick([MPOL_MF_MOVE, MPOL_MF_MOVE, MPOL_MF_MOVE_ALL]));
  return true;
};

/** Where they are: on the only node, or nowhere. */
const askPlaces: Step = (draft) => {
  const { random } = draft;
  const whose = random.pick(draft.tasks);
  const pages = [0, 1, 2].flatMap(() => pageOf(draft, whose, () => true) ?? []);
  if (pages.length === 0) return false;
  const nodes = random.chance(50) ? null : pages.map(() => 0);
  const at = pages.map((page) => page + random.pick([0, PAGE, TABLE - 1]));
  draft.add(draft.anyTask(), 'move_pages', whose.pid, at.length, at, nodes, [], MPOL_MF_MOVE);
  return true;
};

/** By name, as in an area's steps. */
export const HUGETLB_GUP_STEPS: Readonly<Record<string, readonly [number, Step]>> = {
  splice: [3, splice],
  pipeRead: [2, pipeRead],
  register: [4, register],
  unregister: [2, unregister],
  vmRead: [3, processVm(false)],
  vmWrite: [3, processVm(true)],
  memRead: [1, mem(false)],
  memWrite: [2, mem(true)],
  peek: [1, trace(false)],
  poke: [2, trace(true)],
  pinAndFork: [4, pinAndFork],
  moveFrames: [4, moveFrames],
  askPlaces: [1, askPlaces],
};
