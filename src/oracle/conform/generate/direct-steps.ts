// Reads and writes of a file opened with O_DIRECT: places are mostly multiples of 512, as they must be.
import type { Preparation, Step } from './area.js';
import { isReadable, isWritable } from './calls.js';
import type { Draft, Range, Task } from './picture.js';
import { ARENA_END, PAGE } from './places.js';
import type { Backing } from './space.js';

const AT_FDCWD = -100;
const O_RDWR_DIRECT = 0o40002;
/** Out of the way of descriptors that come and go. */
const DIRECT = 18;
const SECTOR = 512;
/** Pages that the file gets at most. */
const PAGES_MAX = 8;

/** /data once more, past the page cache. */
export const openDirect: Preparation = (draft) => {
  draft.add(draft.first, 'openat', AT_FDCWD, { text: '/data' }, O_RDWR_DIRECT);
  const opened = draft.freeFd(draft.first);
  draft.add(draft.first, 'dup2', opened, DIRECT);
  draft.add(draft.first, 'close', opened);
};

/** What the picture knows of the file, while some task has a descriptor of it. */
function fileOf({ tasks }: Draft): Backing | null {
  for (const { files } of tasks)
    for (const { backing, writable } of files.values()) if (backing.kind === 'file' && writable) return backing;
  return null;
}

interface Places {
  readonly buffer: number;
  readonly length: number;
  readonly position: number;
}

/** A stretch of the file and a buffer in `range`; wrong places within one block only, as beyond it is decided by the file's layout on the disk. */
function placesIn({ random }: Draft, range: Range): Places {
  const start = Math.min(range.start, ARENA_END - PAGES_MAX * PAGE);
  const position = PAGE * random.below(PAGES_MAX);
  const wrong = random.chance(12);
  if (wrong) {
    const [buffer, length, at] = random.pick([
      [0, 100, 0],
      [0, SECTOR, 100],
      [100, SECTOR, SECTOR],
      [3700, SECTOR, SECTOR],
      [4, PAGE, 0],
    ] as const);
    return { buffer: start + buffer, length, position: position + at };
  }
  const inBlock = random.chance(25) ? SECTOR * random.below(8) : 0;
  const length = random.chance(30)
    ? SECTOR * random.between(1, (PAGE - inBlock) / SECTOR)
    : PAGE * random.between(1, Math.max(1, Math.min(4, range.length / PAGE)));
  return { buffer: start + random.pick([0, 0, 0, SECTOR, PAGE - SECTOR]), length, position: position + inBlock };
}

/** The disk's bytes come to whatever is mapped; now and then to what is not. */
const directRead: Step = (draft) => {
  const task: Task = draft.anyTask();
  const range = draft.range(task, isWritable);
  if (range === null || fileOf(draft) === null) return false;
  const { buffer, length, position } = placesIn(draft, range);
  draft.add(task, 'pread64', DIRECT, buffer, length, position);
  return true;
};

/** What of the file was cached there is not any more, whether or not the write is refused. */
const directWrite: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task, isReadable);
  const backing = fileOf(draft);
  if (range === null || backing === null || backing.marked === true) return false;
  const { buffer, length, position } = placesIn(draft, range);
  draft.add(task, 'pwrite64', DIRECT, buffer, length, position);
  backing.bytes = Math.max(backing.bytes, position + length);
  backing.dense = Math.min(backing.dense, position - (position % PAGE));
  return true;
};

/** By name, as in an area's steps. */
export const DIRECT_STEPS: Readonly<Record<string, readonly [number, Step]>> = {
  directRead: [5, directRead],
  directWrite: [4, directWrite],
};
