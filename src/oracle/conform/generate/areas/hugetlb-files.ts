// Steps of area hugetlb on files: holes, pages made ahead of use, reading, seals.
import type { Step } from '../area.js';
import { MADV, MAP, RW, isWritable, madvise, mmap } from '../calls.js';
import type { Draft } from '../picture.js';
import { ARENA_START, PAGE, TABLE } from '../places.js';
import type { Backing } from '../space.js';

/** Behind the row of huge pages. */
const BUFFERS = ARENA_START + 7 * 2 ** 30;
const FILE_PAGES = 4;
const FALLOC_FL_KEEP_SIZE = 1;
const PUNCH = 3;
const F_ADD_SEALS = 1033;
const SEEK = [0, 1, 2, 3, 4];

const isFileOfPool = ({ pool }: Backing): boolean => pool === true;

/** A stretch of the file, mostly of whole huge pages. */
function stretch({ random }: Draft): readonly [number, number] {
  const offset = TABLE * random.below(FILE_PAGES + 1);
  const length = TABLE * random.pick([1, 1, 1, 2, 3]);
  if (random.chance(85)) return [offset, length];
  return [offset + PAGE * random.below(3), length + random.pick([-PAGE, PAGE, 1, 5])];
}

const falloc: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ backing }) => isFileOfPool(backing));
  if (found === null) return false;
  const [fd, { backing }] = found;
  const [offset, length] = stretch(draft);
  const mode = random.pick([PUNCH, PUNCH, PUNCH, 0, FALLOC_FL_KEEP_SIZE]);
  draft.add(task, 'fallocate', fd, mode, offset, length);
  if (mode === 0) backing.bytes = Math.max(backing.bytes, offset + length);
  return true;
};

/** A hole through a mapping of the file. */
const removePages: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const mapped = task.space.mapped.filter((each) => each.backing !== null && isFileOfPool(each.backing));
  if (mapped.length === 0) return false;
  const { start, end } = random.pick(mapped);
  const first = start + TABLE * random.below(Math.max(1, Math.floor((end - start) / TABLE)));
  const cut = random.chance(80) ? 0 : PAGE * random.between(1, 4);
  madvise(draft, task, { start: first + cut, length: Math.min(TABLE, end - first) - cut }, MADV.REMOVE);
  return true;
};

/** A few bytes of the file into memory that is no huge page. */
const readFile: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ backing }) => isFileOfPool(backing));
  if (found === null) return false;
  const to = task.space.mapped.filter(
    (each) => each.backing === null && isWritable(each) && each.end - each.start < TABLE,
  );
  if (to.length === 0) return false;
  const offset = random.pick([0, 16, TABLE - 100, TABLE, 2 * TABLE + 5 * PAGE]);
  draft.add(task, 'pread64', found[0], random.pick(to).start, random.pick([1, 100, PAGE]), offset);
  return true;
};

/** Somewhere small that bytes can be read to. */
const mapSmall: Step = (draft) => {
  const task = draft.anyTask();
  const flags = MAP.PRIVATE | MAP.FIXED | MAP.ANONYMOUS;
  const addr = BUFFERS + 2 * PAGE * draft.random.below(4);
  mmap(draft, task, { addr, length: 2 * PAGE, prot: RW, flags, fd: -1, offset: 0 });
  return true;
};

const seek: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ backing }) => isFileOfPool(backing));
  if (found === null) return false;
  draft.add(task, 'lseek', found[0], random.pick([0, PAGE, TABLE, 9 * TABLE]), random.pick(SEEK));
  return true;
};

const seal: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ backing }) => isFileOfPool(backing));
  if (found === null) return false;
  draft.add(task, 'fcntl', found[0], F_ADD_SEALS, random.pick([2, 4, 8, 16]));
  return true;
};

/** Steps by name, with their weights. */
export const HUGETLB_FILE_STEPS: Readonly<Record<string, readonly [number, Step]>> = {
  falloc: [5, falloc],
  removePages: [2, removePages],
  readFile: [2, readFile],
  mapSmall: [1, mapSmall],
  seek: [1, seek],
  seal: [1, seal],
};
