// Area cow: private pages that are shared by fork, copied, reused, dropped; anonymous and of files.
import { advise, exitProcess, fork, load, mapPrivate, store, unlockedAnonymous } from '../access.js';
import type { Area, Step } from '../area.js';
import {
  MADV,
  MAP,
  READ,
  RW,
  isLocked,
  isPrivate,
  isReadable,
  isUnlocked,
  isWritable,
  mlock,
  mmap,
  mprotect,
  munmap,
} from '../calls.js';
import { PAGE, anyPage, someBytes } from '../places.js';
import { openData, openMemory, openReadOnly } from '../prologue.js';

/** A private mapping of a file or memory object, and sometimes a shared one through which others write. */
const mapFile: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task);
  if (found === null) return false;
  const [fd, { writable }] = found;
  const shared = random.chance(20);
  const prot = (shared && !writable) || random.chance(20) ? READ : RW;
  const flags = MAP.FIXED | (shared ? MAP.SHARED : MAP.PRIVATE);
  const offset = PAGE * random.below(4);
  mmap(draft, task, { addr: anyPage(random), length: someBytes(random), prot, flags, fd, offset });
  return true;
};

/** Read-only and back: entries lose their write bit, or get it at once where nobody else could have the page. */
const protect: Step = (draft) => {
  const task = draft.anyTask();
  const back = draft.random.chance(50);
  const range = draft.range(task, (each) => (back ? (each.prot & RW) === READ && each.mayWrite : isWritable(each)));
  if (range === null) return false;
  mprotect(draft, task, range, back ? RW : READ);
  return true;
};

/** Faults that come through get_user_pages(). */
const lock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task, (each) => isReadable(each) && isUnlocked(each));
  if (range === null) return false;
  mlock(draft, task, range, true);
  return true;
};

const unlock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, isLocked);
  if (range === null) return false;
  mlock(draft, task, range, false);
  return true;
};

const unmap: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task);
  if (range === null) return false;
  munmap(draft, task, range);
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
    mapFile: [4, mapFile],
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
