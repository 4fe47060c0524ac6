// Files in memory with large folios: memfds, a tmpfs and shared anonymous memory mapped where huge entries may stand, made longer and shorter, with holes in them,
// collapsed.
import { fork } from '../access.js';
import type { Step } from '../area.js';
import { BLOCKS, FAR_BLOCK, PAGES, anyBlock, mappedBlock } from '../blocks.js';
import { MADV, MAP, READ, RW, isReadable, madvise, mlock, mmap, mprotect, munmap } from '../calls.js';
import type { Draft, Opened, Range, Task } from '../picture.js';
import { PAGE, TABLE } from '../places.js';
import type { Mapped } from '../space.js';

/** Two blocks. */
const BYTES = 2 * TABLE;
const isLarge = ({ backing }: Opened): boolean => backing.kind === 'memfd' && backing.pool !== true;
const isShared = ({ shared }: Mapped): boolean => shared;

/** Which files get large folios, mostly all that may. To be had before anything else. */
export function fileSettings(draft: Draft): void {
  const { random } = draft;
  const set = (name: string, value: string): void =>
    draft.add(null, 'sysfs', { text: `transparent_hugepage/${name}` }, { text: value });
  if (random.chance(75)) set('shmem_enabled', random.pick(['always', 'always', 'within_size', 'advise', 'deny']));
  if (random.chance(8))
    set('hugepages-2048kB/shmem_enabled', random.pick(['always', 'within_size', 'advise', 'never']));
  if (random.chance(25))
    set(
      `hugepages-${random.pick([8, 16, 32, 64, 256])}kB/shmem_enabled`,
      random.pick(['always', 'within_size', 'advise', 'inherit']),
    );
}

/** A memory object of two blocks, and now and then a file in a tmpfs of its own. */
export function openLarge(draft: Draft): void {
  const { first, random } = draft;
  const opened = (fd: number): void => {
    first.files.set(fd, { backing: { kind: 'memfd', bytes: BYTES, dense: 0 }, writable: true });
    draft.add(first, 'ftruncate', fd, BYTES);
  };
  const fd = draft.freeFd(first);
  draft.add(first, 'memfd_create', { text: 'l' }, 0);
  opened(fd);
  if (random.chance(60)) return;
  const huge = random.pick(['always', 'always', 'within_size', 'advise']);
  draft.add(first, 'mount', { text: 'tmpfs' }, { text: 'l' }, { text: 'tmpfs' }, 0, {
    text: `size=${random.pick([3, 5, 16])}m,huge=${huge}`,
  });
  const other = draft.freeFd(first);
  draft.add(first, 'openat', -100, { text: 'l/f' }, 0o102, 0o600);
  opened(other);
}

/** A block of a file, mostly aligned as in the file, shared or private; now and then shared anonymous memory. */
export const mapLarge: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, isLarge);
  const addr = anyBlock(draft) + (random.chance(10) ? PAGE : 0);
  const length = random.chance(75) ? TABLE : random.pick([PAGE * 16, PAGE * 300, BYTES]);
  const prot = random.chance(85) ? RW : READ;
  if (found === null || random.chance(20)) {
    mmap(draft, task, { addr, length, prot, flags: MAP.SHARED | MAP.FIXED | MAP.ANONYMOUS, fd: -1, offset: 0 });
  } else {
    const flags = MAP.FIXED | (random.chance(75) ? MAP.SHARED : MAP.PRIVATE);
    const offset = random.pick([0, 0, 0, TABLE, TABLE, 16 * PAGE]);
    mmap(draft, task, { addr, length, prot, flags, fd: found[0], offset });
  }
  if (random.chance(30)) madvise(draft, task, { start: addr, length }, MADV.HUGEPAGE);
  if (random.chance(70)) touch(draft, task, { start: addr, length });
  return true;
};

function touch(draft: Draft, task: Task, { start, length }: Range): void {
  const { random } = draft;
  for (let n = random.between(1, 3); n > 0; n--) {
    const at = start + PAGE * Math.min(random.pick(PAGES), length / PAGE - 1);
    if (random.chance(50)) draft.add(task, 'load', at);
    else draft.add(task, 'store', at, random.between(0, 255), random.chance(80) ? 1 : PAGE * random.between(1, 3));
  }
}

/** A page that ends or begins something, in bytes; now and then some bytes into it. */
const edge = ({ random }: Draft): number =>
  PAGE * (random.pick([0, 512]) + random.pick([0, 1, 5, 16, 100, 255, 256, 300, 511])) + (random.chance(25) ? 100 : 0);

export const truncateLarge: Step = (draft) => {
  const task = draft.anyTask();
  const found = draft.fd(task, isLarge);
  if (found === null) return false;
  const [fd, { backing }] = found;
  const bytes = draft.random.chance(35) ? BYTES : edge(draft);
  draft.add(task, 'ftruncate', fd, bytes);
  backing.bytes = bytes;
  return true;
};

/** Pages asked for, or a hole. */
export const fallocateLarge: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, isLarge);
  if (found === null) return false;
  const [fd, { backing }] = found;
  const offset = edge(draft);
  const length = random.chance(30) ? TABLE : random.pick([PAGE, 2 * PAGE, 5 * PAGE, 16 * PAGE, 100 * PAGE, 300]);
  const hole = random.chance(70);
  draft.add(task, 'fallocate', fd, hole ? 3 : 0, offset, length);
  if (!hole) backing.bytes = Math.max(backing.bytes, offset + length);
  return true;
};

export const removeLarge: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const block = mappedBlock(draft, task, (each) => isShared(each) && each.mayWrite && !each.locked);
  if (block === null) return false;
  const page = random.pick(PAGES);
  const length = PAGE * random.between(1, Math.min(20, 512 - page));
  madvise(draft, task, { start: block + page * PAGE, length }, MADV.REMOVE);
  return true;
};

/** Through the descriptor, from or to memory that is mapped. */
export const transferLarge: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, isLarge);
  const range = draft.pages(task, isReadable);
  if (found === null || range === null) return false;
  const [fd, { backing }] = found;
  const offset = edge(draft);
  const length = Math.min(range.length, random.pick([1, 100, PAGE, 2 * PAGE]));
  if (random.chance(60)) {
    draft.add(task, 'pwrite64', fd, range.start, length, offset);
    backing.bytes = Math.max(backing.bytes, offset + length);
  } else draft.add(task, 'pread64', fd, range.start, length, offset);
  return true;
};

/** One huge page in the place of what the file has there. */
export const collapseLarge: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const block = mappedBlock(draft, task, (each) => isShared(each) || each.backing !== null);
  if (block === null) return false;
  const blocks = block === FAR_BLOCK || random.chance(70) ? 1 : random.between(1, BLOCKS.length);
  madvise(draft, task, { start: block, length: blocks * TABLE }, MADV.COLLAPSE);
  return true;
};

type Act = (draft: Draft, task: Task, block: number) => void;
/** A few pages of the block, or now and then all of it. */
function piece({ random }: Draft, block: number): Range {
  if (random.chance(35)) return { start: block, length: TABLE };
  const page = random.pick(PAGES);
  return { start: block + page * PAGE, length: PAGE * random.between(1, Math.min(5, 512 - page)) };
}
const advised =
  (...advice: readonly number[]): Act =>
  (draft, task, block) =>
    madvise(draft, task, piece(draft, block), draft.random.pick(advice));
const ACTS: readonly (readonly [number, Act])[] = [
  [5, advised(MADV.DONTNEED)],
  [3, advised(MADV.PAGEOUT, MADV.COLD)],
  [4, (draft, task, block) => madvise(draft, task, { start: block, length: TABLE }, MADV.COLLAPSE)],
  [3, advised(MADV.REMOVE)],
  [3, advised(MADV.POPULATE_READ, MADV.POPULATE_WRITE)],
  [3, (draft, task, block) => mprotect(draft, task, piece(draft, block), draft.random.pick([READ, RW, RW]))],
  [2, (draft, task, block) => munmap(draft, task, piece(draft, block))],
  [2, (draft, task, block) => mlock(draft, task, piece(draft, block), draft.random.chance(60))],
  [4, (draft) => void truncateLarge(draft)],
  [4, (draft) => void fallocateLarge(draft)],
  [2, (draft) => void transferLarge(draft)],
  [2, (draft) => void fork(draft)],
];

/** One block of a file, mapped whole and used, and then several things in a row that split, empty, share or collapse it. */
export const shapeLarge: Step = (draft) => {
  const { random } = draft;
  // Where a mapping is sealed none takes its place.
  if (draft.operations.some(({ name }) => name === 'mseal')) return false;
  const task = draft.anyTask();
  const found = draft.fd(task, isLarge);
  if (found === null) return false;
  const [fd, { backing }] = found;
  const offset = random.pick([0, TABLE]);
  if (backing.bytes < offset + TABLE && random.chance(70)) {
    draft.add(task, 'ftruncate', fd, BYTES);
    backing.bytes = BYTES;
  }
  const block = anyBlock(draft);
  const flags = MAP.FIXED | (random.chance(80) ? MAP.SHARED : MAP.PRIVATE);
  mmap(draft, task, { addr: block, length: TABLE, prot: RW, flags, fd, offset });
  if (random.chance(50)) madvise(draft, task, { start: block, length: TABLE }, MADV.HUGEPAGE);
  touch(draft, task, { start: block, length: TABLE });
  for (let n = random.between(2, 5); n > 0; n--) {
    random.weighted(ACTS)(draft, random.chance(80) ? task : draft.anyTask(), block);
    const at = block + PAGE * random.pick(PAGES);
    if (random.chance(30)) draft.add(task, 'load', at);
    else if (random.chance(40)) draft.add(task, 'store', at, random.between(0, 255));
  }
  return true;
};
