// Steps of area mmap on descriptors: sizes of files, buffers of read and write, dup and close.
import type { Step } from '../area.js';
import { isReadable, isWritable } from '../calls.js';
import type { Draft, Opened, Range, Task } from '../picture.js';
import { FD_MAX } from '../picture.js';
import { FILE_BYTES } from '../prologue.js';
import { ARENA_END, PAGE } from '../places.js';
import type { Mapped } from '../space.js';

const AT_FDCWD = -100;
/** Seven pages; nothing that works on a whole object works on many more. */
const BYTES_MAX = 7 * PAGE;
const isMemory = ({ backing }: Opened): boolean => backing.kind === 'memfd';
const isWritableFile = ({ backing, writable }: Opened): boolean => backing.kind === 'file' && writable;
const mayGrow = (opened: Opened): boolean => isWritableFile(opened) && opened.backing.marked !== true;

/** A new size: whole pages, or some bytes into one. */
const anySize = (draft: Draft): number =>
  PAGE * draft.random.below(BYTES_MAX / PAGE) + (draft.random.chance(40) ? draft.random.pick([1, 50, 4095]) : 0);

function truncate(draft: Draft, task: Task, [fd, { backing }]: readonly [number, Opened], bytes: number): true {
  draft.add(task, 'ftruncate', fd, bytes);
  backing.bytes = bytes;
  backing.dense = Math.min(backing.dense, bytes);
  return true;
}

const truncateMemory: Step = (draft) => {
  const task = draft.anyTask();
  const found = draft.fd(task, isMemory);
  return found !== null && truncate(draft, task, found, anySize(draft));
};

const shrinkFile: Step = (draft) => {
  const task = draft.anyTask();
  const found = draft.fd(task, isWritableFile);
  if (found === null) return false;
  return truncate(draft, task, found, Math.min(found[1].backing.bytes, anySize(draft)));
};

const growFile: Step = (draft) => {
  const task = draft.anyTask();
  const found = draft.fd(task, mayGrow);
  if (found === null) return false;
  return truncate(draft, task, found, Math.max(found[1].backing.bytes, FILE_BYTES - 2 * PAGE + anySize(draft)));
};

/** Pages of shared memory before anyone touches them; of a file only its blocks. */
const allocate: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, random.chance(80) ? isMemory : mayGrow);
  if (found === null) return false;
  const [fd, { backing }] = found;
  const offset = PAGE * random.below(4) + (random.chance(20) ? 100 : 0);
  const length = random.between(1, 3 * PAGE);
  draft.add(task, 'fallocate', fd, 0, offset, length);
  backing.bytes = Math.max(backing.bytes, offset + length);
  return true;
};

/** A buffer for read or write: mostly good, now and then running over the end of what is mapped, or the task's own view of the file. */
function buffer(draft: Draft, task: Task, fits: (mapped: Mapped) => boolean): Range | null {
  const { random } = draft;
  const range = random.chance(8) ? draft.carelessRange() : draft.pages(task, fits);
  if (range === null) return null;
  const length = random.chance(85) ? Math.min(range.length, random.pick([1, 100, PAGE, 2 * PAGE])) : range.length + 8;
  const start = range.start + (random.chance(20) ? PAGE - 8 : 0);
  return start + length > ARENA_END ? range : { start, length };
}

/** The kernel writes to a buffer, up to the end of the file. */
const read: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task);
  const range = buffer(draft, task, isWritable);
  if (found === null || range === null) return false;
  const [fd, { backing }] = found;
  const whole = backing.kind === 'memfd' || backing.dense >= backing.bytes;
  if (whole && random.chance(35)) draft.add(task, 'read', fd, range.start, range.length);
  else if (whole) draft.add(task, 'pread64', fd, range.start, range.length, random.below(backing.bytes + 100));
  else {
    const offset = random.below(Math.max(1, backing.dense));
    draft.add(task, 'pread64', fd, range.start, Math.min(range.length, backing.dense - offset), offset);
  }
  return true;
};

/** The kernel reads a buffer; the object gets its bytes and may grow. */
const write: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ writable, backing }) => backing.marked !== true && (writable || random.chance(20)));
  const range = buffer(draft, task, isReadable);
  if (found === null || range === null) return false;
  const [fd, { backing, writable }] = found;
  const offset = PAGE * random.below(4) + (random.chance(30) ? 200 : 0);
  // Two whole pages at once would be one large folio of the file.
  const length = backing.kind === 'file' ? Math.min(range.length, 2 * PAGE - 1) : range.length;
  if (random.chance(35)) draft.add(task, 'write', fd, range.start, length);
  else draft.add(task, 'pwrite64', fd, range.start, length, offset);
  if (writable) backing.bytes = Math.max(backing.bytes, offset + length);
  return true;
};

/** Where read and write go on: a page, some bytes into one, the end; now and then before the beginning. */
const seek: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task);
  if (found === null) return false;
  const whence = random.pick([0, 0, 1, 2]);
  draft.add(task, 'lseek', found[0], random.pick([0, 0, PAGE, 2 * PAGE, 100, -200, -PAGE]), whence);
  return true;
};

const duplicate: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task);
  const free = draft.freeFd(task);
  if (found === null || free > FD_MAX) return false;
  const [fd, opened] = found;
  if (random.chance(60)) {
    draft.add(task, 'dup', fd);
    task.files.set(free, opened);
    return true;
  }
  const target = random.between(3, FD_MAX);
  if (random.chance(70)) draft.add(task, 'dup2', fd, target);
  else draft.add(task, 'dup3', fd, target, 0);
  task.files.set(target, opened);
  return true;
};

/** Mappings stay when their descriptor goes. */
const close: Step = (draft) => {
  const task = draft.anyTask();
  const found = draft.fd(task);
  if (found === null) return false;
  draft.add(task, 'close', found[0]);
  task.files.delete(found[0]);
  return true;
};

const create: Step = (draft) => {
  const task = draft.anyTask();
  const free = draft.freeFd(task);
  if (free > FD_MAX) return false;
  draft.add(task, 'memfd_create', { text: 'n' }, 0);
  task.files.set(free, { backing: { kind: 'memfd', bytes: 0, dense: 0 }, writable: true });
  return draft.random.chance(20) || truncate(draft, task, [free, task.files.get(free) as Opened], anySize(draft));
};

const open: Step = (draft) => {
  const task = draft.anyTask();
  const free = draft.freeFd(task);
  const known = [...draft.first.files.values()].find(isWritableFile);
  if (free > FD_MAX || known === undefined) return false;
  draft.add(task, 'openat', AT_FDCWD, { text: '/data' }, 2);
  task.files.set(free, known);
  return true;
};

/** By name, as in an area's steps. */
export const DESCRIPTOR_STEPS: Readonly<Record<string, readonly [number, Step]>> = {
  truncateMemory: [3, truncateMemory],
  shrinkFile: [1, shrinkFile],
  growFile: [1, growFile],
  allocate: [2, allocate],
  read: [2, read],
  write: [2, write],
  seek: [1, seek],
  dup: [1, duplicate],
  close: [1, close],
  create: [1, create],
  open: [1, open],
};
