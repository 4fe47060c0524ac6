// Area seal: sealed mappings, and everything that they refuse or allow.
import { advise, exitProcess, fork, load, mapPrivate, store } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, MREMAP, READ, RW, isReadable, isUnlocked, isWritable, mlock, mprotect, mremap } from '../calls.js';
import { mapFileShared, protect, unlock, unmap } from '../mapping-steps.js';
import { PAGE, anyPage } from '../places.js';
import { openData, openMemory, openReadOnly } from '../prologue.js';

/** Few pages at a time, so that there is always something that is not sealed. */
const seal: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.range(task);
  if (range === null) return false;
  const { start } = range;
  const odd = random.weighted<readonly [number, number]>([
    [16, [0, 0]],
    [1, [8, 0]],
    [1, [0, 1]],
  ]);
  const length = Math.min(range.length, PAGE * random.between(1, 3)) - (random.chance(10) ? 100 : 0);
  draft.add(task, 'mseal', start + odd[0], random.chance(3) ? 0 : length, odd[1]);
  return true;
};

/** Advice that discards is refused only where nobody may write. */
const protectAndSeal: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, isWritable);
  if (range === null) return false;
  const short = { ...range, length: Math.min(range.length, 2 * PAGE) };
  if (draft.random.chance(60)) draft.add(task, 'store', short.start, draft.random.between(1, 255));
  mprotect(draft, task, short, draft.random.pick([READ, READ, 0]));
  draft.add(task, 'mseal', short.start, short.length, 0);
  return true;
};

/** Moved, shrunk or grown. */
const remap: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.pages(task);
  if (range === null) return false;
  const { start: from, length } = range;
  const fixed = random.chance(60) ? MREMAP.FIXED | (random.chance(25) ? MREMAP.DONTUNMAP : 0) : 0;
  const newLength = fixed !== 0 && random.chance(70) ? length : PAGE * random.between(1, 5);
  const flags = MREMAP.MAYMOVE | fixed;
  mremap(draft, task, { from, oldLength: length, newLength, flags, ...(fixed === 0 ? {} : { to: anyPage(random) }) });
  return true;
};

const lock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => isReadable(each) && isUnlocked(each));
  if (range === null) return false;
  mlock(draft, task, range, true);
  return true;
};

/** One place that grows down, in the way of nothing else. */
const mapGrowsDown: Step = (draft) => {
  const start = anyPage(draft.random);
  const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED | MAP.GROWSDOWN;
  draft.add(draft.anyTask(), 'mmap', start, PAGE, RW, flags, -1, 0);
  return true;
};

const DISCARDS: readonly number[] = [
  MADV.DONTNEED,
  MADV.DONTNEED_LOCKED,
  MADV.FREE,
  MADV.DONTFORK,
  MADV.WIPEONFORK,
  MADV.GUARD_INSTALL,
];

export const SEAL: Area = {
  name: 'seal',
  prologue: [openData, openMemory, openReadOnly],
  steps: {
    mapPrivate: [10, mapPrivate],
    mapFile: [6, mapFileShared(40)],
    mapGrowsDown: [1, mapGrowsDown],
    seal: [5, seal],
    protectAndSeal: [3, protectAndSeal],
    store: [10, store],
    load: [7, load],
    fork: [4, fork],
    exit: [3, exitProcess],
    discard: [8, advise(DISCARDS)],
    keep: [3, advise([MADV.DOFORK, MADV.KEEPONFORK, MADV.GUARD_REMOVE, MADV.RANDOM, MADV.NORMAL, MADV.POPULATE_READ])],
    protect: [5, protect],
    lock: [3, lock],
    unlock: [2, unlock],
    unmap: [5, unmap],
    remap: [6, remap],
  },
};
