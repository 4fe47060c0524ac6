// Area hugetlb: a small pool of huge pages that private, shared and unreserved mappings, files, copies and children use up.
import { exitProcess, fork } from '../access.js';
import type { Area, Step } from '../area.js';
import {
  MADV,
  MAP,
  MREMAP,
  RW,
  isReadable,
  isWritable,
  madvise,
  mlock,
  mmap,
  mprotect,
  mremap,
  munmap,
} from '../calls.js';
import type { Draft, Range, Task } from '../picture.js';
import { PAGE, TABLE } from '../places.js';
import { FIRST, PLACES, anyPlaces, pageOf } from '../pool-places.js';
import type { Backing } from '../space.js';
import { HUGETLB_GUP_STEPS } from './hugetlb-gup.js';
import { openMem, openPipe, openRing } from './gup.js';
import { HUGETLB_FILE_STEPS } from './hugetlb-files.js';

const MAP_HUGETLB = 0x40000;
const MFD_HUGETLB = 4;
const MFD_ALLOW_SEALING = 2;
const FILE_PAGES = 4;
const FOLDER = 'hugepages/hugepages-2048kB/';

const isFileOfPool = ({ pool }: Backing): boolean => pool === true;

function writePool(draft: Draft, name: string, pages: number): void {
  draft.add(null, 'sysfs', { text: `${FOLDER}${name}` }, { text: String(pages) });
}

/** A pool that is too small for everybody, and perhaps some pages beyond it. */
const makePool = (draft: Draft): void => {
  const { random } = draft;
  writePool(draft, 'nr_hugepages', random.between(3, 9));
  if (random.chance(30)) writePool(draft, 'nr_overcommit_hugepages', random.between(1, 4));
};

/** A file of the pool, of a few pages. */
const openFile = (draft: Draft): void => {
  const { first } = draft;
  draft.add(first, 'memfd_create', { text: 'h' }, MFD_HUGETLB | (draft.random.chance(30) ? MFD_ALLOW_SEALING : 0));
  const fd = draft.freeFd(first);
  const bytes = FILE_PAGES * TABLE;
  first.files.set(fd, { backing: { kind: 'memfd', bytes, dense: 0, pool: true }, writable: true });
  draft.add(first, 'ftruncate', fd, bytes);
};

const mapAnonymous: Step = (draft) => {
  const { random } = draft;
  const { start, length } = anyPlaces(draft);
  const type = random.chance(75) ? MAP.PRIVATE : MAP.SHARED;
  const more = (random.chance(15) ? MAP.NORESERVE : 0) | (random.chance(10) ? MAP.POPULATE : 0);
  const flags = type | more | MAP.FIXED | MAP.ANONYMOUS | MAP_HUGETLB;
  // A length that is no multiple is rounded up.
  const cut = random.chance(5) ? PAGE : 0;
  const prot = random.chance(90) ? RW : random.pick([0, 1]);
  mmap(draft, draft.anyTask(), { addr: start, length: length - cut, prot, flags, fd: -1, offset: 0 });
  return true;
};

const mapFile: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ backing }) => isFileOfPool(backing));
  if (found === null) return false;
  const { start, length } = anyPlaces(draft);
  const type = random.chance(60) ? MAP.SHARED : MAP.PRIVATE;
  const offset = random.chance(5) ? PAGE : TABLE * random.below(3);
  const flags = type | MAP.FIXED | (random.chance(10) ? MAP.NORESERVE : 0);
  const prot = random.chance(80) ? RW : 1;
  mmap(draft, task, { addr: start, length, prot, flags, fd: found[0], offset });
  return true;
};

const OFFSETS: readonly number[] = [0, 0, 0, 16, 5 * PAGE, TABLE - 1];

const storePage: Step = (draft) => {
  const task = draft.anyTask();
  const page = pageOf(draft, task, isWritable);
  if (page === null) return false;
  draft.add(task, 'store', page + draft.random.pick(OFFSETS), draft.random.between(0, 255));
  return true;
};

const loadPage: Step = (draft) => {
  const task = draft.anyTask();
  const page = pageOf(draft, task, isReadable);
  if (page === null) return false;
  draft.add(task, 'load', page + draft.random.pick(OFFSETS));
  return true;
};

/** A call on a huge page or a few; now and then its range begins or ends within one. */
const onPages =
  (call: (draft: Draft, task: Task, range: Range) => void): Step =>
  (draft) => {
    const { random } = draft;
    const task = draft.anyTask();
    const start = pageOf(draft, task, () => true);
    if (start === null) return false;
    const length = TABLE * random.pick([1, 1, 1, 2, 3]);
    const cut = random.chance(8) ? PAGE * random.between(1, 3) : 0;
    const range = random.chance(50) ? { start, length: length - cut } : { start: start + cut, length: length - cut };
    call(draft, task, range);
    return true;
  };

const advise = (advice: readonly number[]): Step =>
  onPages((draft, task, range) => madvise(draft, task, range, draft.random.pick(advice)));

/** The picture of a mapping that cannot be cut stays: what is aimed at then is a hole, or is there still. */
const unmapPages = onPages(munmap);
const protectPages = onPages((draft, task, range) => mprotect(draft, task, range, draft.random.pick([RW, RW, 1, 0])));
/** What faults pages in does so for one. */
const one = ({ start, length }: Range): Range => ({ start, length: Math.min(length, TABLE) });
const lockPages = onPages((draft, task, range) => mlock(draft, task, one(range), true));
const populate = onPages((draft, task, range) =>
  madvise(draft, task, one(range), draft.random.pick([MADV.POPULATE_READ, MADV.POPULATE_WRITE])),
);

/** To another place of the row, of the same length or a shorter one; growing is refused. */
const movePages = onPages((draft, task, { start, length }) => {
  const { random } = draft;
  const shrinks = random.chance(25);
  const newLength = shrinks ? Math.max(TABLE, length - TABLE) : random.chance(5) ? length + TABLE : length;
  const to = FIRST + TABLE * random.below(PLACES - 3);
  const fixed = random.chance(shrinks ? 50 : 90);
  const flags = MREMAP.MAYMOVE | (fixed ? MREMAP.FIXED : 0);
  mremap(draft, task, { from: start, oldLength: length, newLength, flags, ...(fixed ? { to } : {}) });
});

const truncate: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task, ({ backing }) => isFileOfPool(backing));
  if (found === null) return false;
  const [fd, { backing }] = found;
  const bytes = TABLE * random.below(FILE_PAGES + 2);
  if (random.chance(5)) draft.add(task, 'ftruncate', fd, bytes + PAGE);
  else {
    draft.add(task, 'ftruncate', fd, bytes);
    backing.bytes = bytes;
  }
  return true;
};

const resizePool: Step = (draft) => {
  const { random } = draft;
  if (random.chance(70)) writePool(draft, 'nr_hugepages', random.below(10));
  else writePool(draft, 'nr_overcommit_hugepages', random.below(5));
  return true;
};

/** All that a mapping has, then a child and who of the two writes first. */
const fillAndFork: Step = (draft) => {
  const { random } = draft;
  if (draft.tasks.length >= 3) return false;
  const task = draft.anyTask();
  const { start, length } = anyPlaces(draft);
  const flags = MAP.PRIVATE | MAP.FIXED | MAP.ANONYMOUS | MAP_HUGETLB;
  mmap(draft, task, { addr: start, length, prot: RW, flags, fd: -1, offset: 0 });
  for (let at = start; at < start + length; at += TABLE)
    if (random.chance(80)) draft.add(task, 'store', at, random.between(1, 255));
  fork(draft);
  for (let at = start; at < start + length; at += TABLE)
    if (random.chance(60)) draft.add(random.pick([task, draft.anyTask()]), 'store', at, random.between(1, 255));
  return true;
};

export const HUGETLB: Area = {
  name: 'hugetlb',
  prologue: [makePool, openFile, openPipe, openRing, openMem],
  emphasis: [1, 1, 2, 4],
  steps: {
    mapAnonymous: [8, mapAnonymous],
    mapFile: [5, mapFile],
    storePage: [20, storePage],
    loadPage: [12, loadPage],
    fork: [4, fork],
    exit: [4, exitProcess],
    fillAndFork: [4, fillAndFork],
    unmapPages: [5, unmapPages],
    protectPages: [4, protectPages],
    lockPages: [1, lockPages],
    movePages: [2, movePages],
    dontneed: [5, advise([MADV.DONTNEED, MADV.DONTNEED, MADV.DONTNEED_LOCKED])],
    populate: [3, populate],
    forkAdvice: [2, advise([MADV.DONTFORK, MADV.DOFORK])],
    senseless: [
      1,
      advise([MADV.FREE, MADV.COLD, MADV.PAGEOUT, MADV.COLLAPSE, MADV.GUARD_INSTALL, MADV.HUGEPAGE, MADV.MERGEABLE]),
    ],
    truncate: [3, truncate],
    resizePool: [3, resizePool],
    ...HUGETLB_GUP_STEPS,
    ...HUGETLB_FILE_STEPS,
  },
};
