// Area cow: private pages that are shared by fork, copied, reused, dropped; anonymous and of files.
import { advise, exitProcess, fork, load, mapPrivate, store, unlockedAnonymous } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, RW, isPrivate, isReadable, isUnlocked, isWritable, mlock, mmap } from '../calls.js';
import { PAGE, anyPage } from '../places.js';
import { openData, openMemory, openReadOnly } from '../prologue.js';
import { protect, unlock, unmap, mapFileShared } from '../mapping-steps.js';

/** Faults that come through get_user_pages(). */
const lock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task, (each) => isReadable(each) && isUnlocked(each));
  if (range === null) return false;
  mlock(draft, task, range, true);
  return true;
};

/** More is slow to compare and needed seldom. */
const MANY_PERCENT = 30;

/** Many pages in a row: an LRU batch holds 31. */
const storeMany: Step = (draft) => {
  if (!draft.random.chance(MANY_PERCENT)) return false;
  const task = draft.anyTask();
  const length = PAGE * draft.random.between(16, 40);
  const start = anyPage(draft.random);
  mmap(draft, task, {
    addr: start,
    length,
    prot: RW,
    flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED,
    fd: -1,
    offset: 0,
  });
  draft.add(task, 'store', start, draft.random.between(1, 255), length);
  return true;
};

/** Pages that were written, then given up lazily until a batch of them is full. */
const freeMany: Step = (draft) => {
  if (!draft.random.chance(MANY_PERCENT)) return false;
  const task = draft.anyTask();
  const length = PAGE * draft.random.between(33, 48);
  const start = anyPage(draft.random);
  const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED;
  mmap(draft, task, { addr: start, length, prot: RW, flags, fd: -1, offset: 0 });
  draft.add(task, 'store', start, draft.random.between(1, 255), length);
  draft.add(task, 'madvise', start, length, MADV.FREE);
  return true;
};

export const COW: Area = {
  name: 'cow',
  prologue: [openData, openMemory, openReadOnly],
  steps: {
    mapPrivate: [6, mapPrivate],
    mapFile: [4, mapFileShared(20)],
    store: [18, store],
    load: [10, load],
    fork: [7, fork],
    exit: [3, exitProcess],
    protect: [5, protect],
    dontneed: [4, advise([MADV.DONTNEED, MADV.DONTNEED, MADV.DONTNEED_LOCKED], isUnlocked)],
    free: [4, advise([MADV.FREE], unlockedAnonymous)],
    populateRead: [2, advise([MADV.POPULATE_READ], isReadable)],
    populateWrite: [4, advise([MADV.POPULATE_WRITE], isWritable)],
    forkAdvice: [3, advise([MADV.WIPEONFORK, MADV.WIPEONFORK, MADV.KEEPONFORK], unlockedAnonymous)],
    copyAdvice: [2, advise([MADV.DONTFORK, MADV.DOFORK], isPrivate)],
    lock: [3, lock],
    unlock: [2, unlock],
    unmap: [3, unmap],
    storeMany: [1, storeMany],
    freeMany: [1, freeMany],
  },
};
