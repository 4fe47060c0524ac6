// Area guard: guard markers in anonymous memory and in mappings of files, and everything that must leave them, take them along or remove them.
import { advise, exitProcess, fork, load, mapPrivate, store } from '../access.js';
import type { Area, Step } from '../area.js';
import {
  MADV,
  MAP,
  MREMAP,
  RW,
  isReadable,
  isUnlocked,
  isWritable,
  madvise,
  mapFixed,
  mlock,
  mremap,
} from '../calls.js';
import { protect, unlock, unmap, mapFileShared } from '../mapping-steps.js';
import { PAGE, WIDE_BYTES, WIDE_PLACES, anyPage } from '../places.js';
import { openData, openMemory, openReadOnly } from '../prologue.js';

/** Mostly where they may be; locked memory refuses them. */
const install: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task, (each) => isUnlocked(each) || draft.random.chance(10));
  if (range === null) return false;
  madvise(draft, task, range, MADV.GUARD_INSTALL);
  return true;
};

/** Pages that are there give way, up to the border of a table and beyond. */
const storeAndInstall: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = { start: anyPage(random), length: PAGE * random.between(2, 7) };
  mapFixed(draft, task, range, RW, random.chance(70) ? MAP.PRIVATE : MAP.SHARED);
  draft.add(task, 'store', range.start + PAGE * random.below(range.length / PAGE), random.between(1, 255));
  if (random.chance(30)) fork(draft);
  madvise(draft, task, range, MADV.GUARD_INSTALL);
  return true;
};

/** Whole page tables of guards, and giving their memory up: tables with guards stay. */
const wide: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const start = random.pick(WIDE_PLACES);
  if (!task.space.isCovered(start, start + WIDE_BYTES)) {
    mapFixed(draft, task, { start, length: WIDE_BYTES }, RW, MAP.PRIVATE | MAP.NORESERVE);
    draft.add(task, 'store', start + PAGE * random.below(WIDE_BYTES / PAGE), random.between(1, 255));
  }
  const advice = random.pick([MADV.GUARD_INSTALL, MADV.GUARD_REMOVE, MADV.DONTNEED]);
  const pages = random.pick([WIDE_BYTES / PAGE, WIDE_BYTES / PAGE, 513, 3]);
  // Not so many that looking at them takes longer than all else.
  const length = PAGE * (advice === MADV.GUARD_INSTALL ? 3 : pages);
  madvise(draft, task, { start: start + (advice === MADV.GUARD_INSTALL ? 511 * PAGE : 0), length }, advice);
  return true;
};

const move: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.pages(task);
  if (range === null) return false;
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED | (random.chance(25) ? MREMAP.DONTUNMAP : 0);
  const { start: from, length } = range;
  mremap(draft, task, { from, oldLength: length, newLength: length, flags, to: anyPage(random) });
  return true;
};

const lock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => isReadable(each) && isUnlocked(each));
  if (range === null) return false;
  mlock(draft, task, range, true, draft.random.chance(40) ? 1 : undefined);
  return true;
};

/** Mappings with guards and without that touch each other. */
const hints: Step = advise([MADV.RANDOM, MADV.NORMAL, MADV.DONTFORK, MADV.DOFORK]);

export const GUARD: Area = {
  name: 'guard',
  prologue: [openData, openMemory, openReadOnly],
  steps: {
    mapPrivate: [7, mapPrivate],
    mapFile: [5, mapFileShared(50)],
    install: [14, install],
    storeAndInstall: [4, storeAndInstall],
    wide: [2, wide],
    remove: [6, advise([MADV.GUARD_REMOVE])],
    store: [9, store],
    load: [9, load],
    fork: [5, fork],
    exit: [3, exitProcess],
    dontneed: [4, advise([MADV.DONTNEED, MADV.DONTNEED_LOCKED])],
    free: [2, advise([MADV.FREE])],
    populate: [3, advise([MADV.POPULATE_READ, MADV.POPULATE_WRITE], isWritable)],
    wipeonfork: [1, advise([MADV.WIPEONFORK, MADV.KEEPONFORK])],
    hints: [3, hints],
    protect: [5, protect],
    lock: [3, lock],
    unlock: [2, unlock],
    unmap: [4, unmap],
    move: [5, move],
  },
};
