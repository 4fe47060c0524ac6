// Area shmem: files in memory and what they count: memfd, shared anonymous memory, holes made and filled, seals.
import { advise, exitProcess, fork, load, store } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, MREMAP, READ, RW, isReadable, isUnlocked, isWritable, mmap, mremap } from '../calls.js';
import { mapFileShared, protect, unlock, unmap } from '../mapping-steps.js';
import { lockPages } from '../page-steps.js';
import type { Draft, Opened, Task } from '../picture.js';
import { FD_MAX } from '../picture.js';
import { PAGE, anyPage, someBytes } from '../places.js';
import { openMemory, openTmpfs } from '../prologue.js';
import type { Mapped } from '../space.js';
import { DESCRIPTOR_STEPS } from './mmap-descriptors.js';

const isMemory = ({ backing }: Opened): boolean => backing.kind === 'memfd';
const isShared = ({ shared }: Mapped): boolean => shared;

/** FALLOC_FL_KEEP_SIZE 1, FALLOC_FL_PUNCH_HOLE 2; the others no file in memory knows. */
const anyMode = (draft: Draft): number =>
  draft.random.weighted<number>([
    [5, 0],
    [4, 1],
    [8, 3],
    [1, draft.random.pick([2, 8, 9, 16, 17, 32, 64, 128, 4])],
  ]);

/** Pages asked for, or a hole made, with whole pages or parts. */
export const allocate: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, isMemory);
  if (found === null) return false;
  const [fd, { backing }] = found;
  const mode = anyMode(draft);
  const offset = PAGE * random.below(6) + (random.chance(30) ? random.pick([1, 100, 4095]) : 0);
  const length = random.chance(40) ? random.between(1, 3 * PAGE) : PAGE * random.between(1, 3);
  draft.add(task, 'fallocate', fd, mode, offset, length);
  if (mode === 0) backing.bytes = Math.max(backing.bytes, offset + length);
  return true;
};

/** SEEK_DATA 3, SEEK_HOLE 4: where what is there begins and ends. */
const seekHole: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, isMemory);
  if (found === null) return false;
  const offset = random.chance(5) ? -1 : PAGE * random.below(6) + (random.chance(40) ? random.pick([1, 100, 4095]) : 0);
  draft.add(task, 'lseek', found[0], offset, random.pick([3, 4]));
  return true;
};

/** A hole through the mapping; refused to private ones. */
const remove: Step = (draft) => {
  const task = draft.anyTask();
  const { random } = draft;
  const wanted = (each: Mapped): boolean =>
    each.backing?.kind !== 'file' && isUnlocked(each) && ((isShared(each) && each.mayWrite) || random.chance(5));
  const range = draft.pages(task, wanted);
  if (range === null) return false;
  draft.add(task, 'madvise', range.start, range.length, MADV.REMOVE);
  return true;
};

/** Is it memory that nobody's disk is behind? */
const inMemory = (each: Mapped): boolean => each.backing?.kind !== 'file';

/** Swapped out where one entry maps them, shared or private. */
export const pageout: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => inMemory(each) && isUnlocked(each));
  if (range === null) return false;
  draft.add(task, 'madvise', range.start, range.length, MADV.PAGEOUT);
  return true;
};

/** Written through a mapping, perhaps seen by a private one, swapped out, and asked for again one way or other. */
const swapAndReturn: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ backing, writable }) => backing.kind === 'memfd' && backing.bytes > 0 && writable);
  if (found === null) return false;
  const [fd, { backing }] = found;
  const length = PAGE * Math.ceil(backing.bytes / PAGE);
  const addr = anyPage(random);
  mmap(draft, task, { addr, length, prot: RW, flags: MAP.FIXED | MAP.SHARED, fd, offset: 0 });
  draft.add(task, 'store', addr, random.chance(15) ? 0 : random.between(1, 255), length);
  draft.add(task, 'madvise', addr, length, MADV.PAGEOUT);
  const page = PAGE * random.below(length / PAGE);
  const back = random.weighted<() => void>([
    [4, () => draft.add(task, 'load', addr + page)],
    [2, () => draft.add(task, 'store', addr + page, 7)],
    [2, () => draft.add(task, 'pread64', fd, addr, Math.min(length, PAGE), page)],
    [2, () => draft.add(task, 'pwrite64', fd, addr, 100, page + 50)],
    [2, () => draft.add(task, 'fallocate', fd, 3, page + 100, PAGE)],
    [2, () => draft.add(task, 'fallocate', fd, 0, page, PAGE)],
    [2, () => draft.add(task, 'ftruncate', fd, page + 100)],
    [1, () => draft.add(task, 'madvise', addr, length, MADV.WILLNEED)],
    [1, () => draft.add(task, 'madvise', addr, length, MADV.REMOVE)],
    [1, () => draft.add(task, 'munmap', addr, length)],
  ]);
  back();
  if (random.chance(30)) draft.add(task, 'madvise', addr, length, MADV.PAGEOUT);
  return true;
};

export const mapSharedAnonymous: Step = (draft) => {
  const { random } = draft;
  const flags = MAP.SHARED | MAP.ANONYMOUS | MAP.FIXED | (random.chance(40) ? MAP.NORESERVE : 0);
  const prot = random.chance(85) ? RW : READ;
  const addr = anyPage(random);
  mmap(draft, draft.anyTask(), { addr, length: someBytes(random), prot, flags, fd: -1, offset: 0 });
  return true;
};

/** MFD_ALLOW_SEALING 2, MFD_NOEXEC_SEAL 8, MFD_EXEC 16. */
const create: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const free = draft.freeFd(task);
  if (free > FD_MAX) return false;
  const flags = random.weighted<number>([
    [6, 2],
    [2, 0],
    [2, 8],
    [2, 16 | 2],
    [1, 1],
    [1, random.pick([24, 32, 64])],
  ]);
  draft.add(task, 'memfd_create', { text: 's' }, flags);
  if (flags >= 24) return true;
  const bytes = PAGE * random.below(5) + (random.chance(30) ? 100 : 0);
  task.files.set(free, { backing: { kind: 'memfd', bytes, dense: 0 }, writable: true });
  draft.add(task, 'ftruncate', free, bytes);
  return true;
};

const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

/** One seal or a few, mostly those that leave something to do. */
const seal: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task);
  if (found === null) return false;
  const seals = random.weighted<number>([
    [4, random.pick([2, 4, 6])],
    [4, 8],
    [3, 16],
    [3, 32],
    [1, random.below(64)],
    [1, random.pick([64, 1, -1])],
  ]);
  draft.add(task, 'fcntl', found[0], F_ADD_SEALS, seals);
  if (random.chance(40)) draft.add(task, 'fcntl', found[0], F_GET_SEALS, 0);
  return true;
};

/** Made, mapped, sealed, and used all the same. */
const sealMapped: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const free = draft.freeFd(task);
  if (free > FD_MAX) return false;
  const bytes = PAGE * random.between(1, 3);
  draft.add(task, 'memfd_create', { text: 's' }, 2);
  const opened: Opened = { backing: { kind: 'memfd', bytes, dense: 0 }, writable: true };
  task.files.set(free, opened);
  draft.add(task, 'ftruncate', free, bytes);
  const flags = MAP.FIXED | (random.chance(60) ? MAP.SHARED : MAP.PRIVATE);
  const prot = random.chance(60) ? RW : READ;
  if (random.chance(50)) mmap(draft, task, { addr: anyPage(random), length: bytes, prot, flags, fd: free, offset: 0 });
  draft.add(task, 'fcntl', free, F_ADD_SEALS, random.pick([8, 16, 32, 4, 2, 63]));
  return use(draft, task, free, bytes);
};

function use(draft: Draft, task: Task, fd: number, bytes: number): true {
  const { random } = draft;
  const found = draft.pages(task, isReadable);
  if (found !== null && random.chance(50))
    draft.add(task, 'pwrite64', fd, found.start, Math.min(found.length, 2 * PAGE), 0);
  if (random.chance(40)) draft.add(task, 'ftruncate', fd, random.pick([0, PAGE, bytes, bytes + PAGE]));
  if (random.chance(40)) draft.add(task, 'fallocate', fd, random.pick([0, 1, 3]), random.pick([0, PAGE]), bytes);
  return true;
}

/** Elsewhere, or a second time. */
const move: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.pages(task, isShared);
  if (range === null) return false;
  const { start: from, length } = range;
  const oldLength = random.chance(30) ? 0 : length;
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED;
  mremap(draft, task, { from, oldLength, newLength: length, flags, to: anyPage(random) });
  return true;
};

const descriptorStep = (name: string, weight: number): readonly [number, Step] => [
  weight,
  (DESCRIPTOR_STEPS[name] as readonly [number, Step])[1],
];

export const SHMEM: Area = {
  name: 'shmem',
  prologue: [openMemory, openTmpfs],
  steps: {
    mapMemory: [8, mapFileShared(65)],
    mapSharedAnonymous: [5, mapSharedAnonymous],
    store: [12, store],
    load: [12, load],
    allocate: [10, allocate],
    remove: [6, remove],
    pageout: [7, pageout],
    swapAndReturn: [4, swapAndReturn],
    truncate: descriptorStep('truncateMemory', 6),
    read: descriptorStep('read', 4),
    write: descriptorStep('write', 6),
    seek: descriptorStep('seek', 1),
    seekHole: [3, seekHole],
    dup: descriptorStep('dup', 1),
    close: descriptorStep('close', 2),
    create: [4, create],
    seal: [3, seal],
    sealMapped: [2, sealMapped],
    dontneed: [3, advise([MADV.DONTNEED], isUnlocked)],
    populateRead: [2, advise([MADV.POPULATE_READ], isReadable)],
    populateWrite: [2, advise([MADV.POPULATE_WRITE], isWritable)],
    willneed: [1, advise([MADV.WILLNEED])],
    protect: [3, protect],
    lock: [2, lockPages],
    unlock: [2, unlock],
    unmap: [4, unmap],
    move: [3, move],
    fork: [4, fork],
    exit: [3, exitProcess],
  },
};
