// Area ksm: memory with the same bytes that ksmd merges, and everything that takes merged pages apart or meets them.
import { advise, exitProcess, fork, load, mapPrivate, store } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, READ, RW, isPrivateAnonymous, isReadable, isUnlocked, isWritable } from '../calls.js';
import { madvise, mapFixed } from '../calls.js';
import { scanMeetsFiles } from '../merging.js';
import { unlock } from '../mapping-steps.js';
import { lockPages, movePages, protectPages, unmapPages } from '../page-steps.js';
import type { Draft } from '../picture.js';
import { migrate } from './migrate.js';
import { inAndOut, pageout } from './swap.js';
import { PAGE, anyPage } from '../places.js';

/** Few, so that pages are often the same. */
const someByte = ({ random }: Draft): number => random.pick([0, 1, 1, 1, 2, 2, 3]);

const mapMergeable: Step = (draft) => {
  const task = draft.anyTask();
  const range = { start: anyPage(draft.random), length: PAGE * draft.random.between(1, 6) };
  mapFixed(draft, task, range, RW, MAP.PRIVATE);
  draft.add(task, 'store', range.start, someByte(draft), range.length);
  if (draft.random.chance(50)) draft.add(task, 'store', range.start + range.length - PAGE, someByte(draft), PAGE);
  madvise(draft, task, range, MADV.MERGEABLE);
  if (draft.random.chance(25)) fork(draft);
  if (draft.random.chance(50)) scan(draft);
  return true;
};

/** Merged pages of which one mapping is left go to the swap area and come back; bytes that were merged once may be met again meanwhile. */
const mergeAndPageout: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const pages = random.between(2, 4);
  const range = { start: anyPage(random), length: PAGE * pages };
  const byte = someByte(draft);
  mapFixed(draft, task, range, RW, MAP.PRIVATE);
  draft.add(task, 'store', range.start, byte, range.length);
  madvise(draft, task, range, MADV.MERGEABLE);
  if (scanMeetsFiles(draft)) return false;
  draft.add(null, 'ksm_scan', 2);
  const left = { start: range.start + PAGE * random.below(pages), length: PAGE };
  const others = [
    { start: range.start, length: left.start - range.start },
    { start: left.start + PAGE, length: range.start + range.length - left.start - PAGE },
  ].filter(({ length }) => length > 0);
  for (const each of others) madvise(draft, task, each, MADV.DONTNEED);
  if (random.chance(30)) fork(draft);
  if (random.chance(20)) draft.add(task, 'migrate', left.start, left.length);
  madvise(draft, task, left, MADV.PAGEOUT);
  if (random.chance(40)) {
    const again = random.pick(others);
    draft.add(task, 'store', again.start, byte, PAGE);
    draft.add(null, 'ksm_scan', 1);
    madvise(draft, task, again, MADV.PAGEOUT);
  }
  if (random.chance(50)) {
    draft.add(task, 'load', range.start, range.length);
    madvise(draft, task, range, MADV.PAGEOUT);
  }
  return true;
};

/** Zero pages in place of zeros, which a child has as well. */
const zeroPagesAndFork: Step = (draft) => {
  const task = draft.anyTask();
  const range = { start: anyPage(draft.random), length: PAGE * draft.random.between(1, 3) };
  draft.add(null, 'ksm_use_zero_pages', 1);
  mapFixed(draft, task, range, RW, MAP.PRIVATE);
  draft.add(task, 'store', range.start, 0, range.length);
  madvise(draft, task, range, MADV.MERGEABLE);
  // A file may have been there, if the mapping fails.
  if (!scanMeetsFiles(draft)) draft.add(null, 'ksm_scan', 2);
  if (draft.random.chance(30)) madvise(draft, task, range, MADV.DONTFORK);
  fork(draft);
  return true;
};

/** Whole pages, as others have them. */
const storePages: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, isWritable);
  if (range === null) return false;
  draft.add(task, 'store', range.start, someByte(draft), range.length);
  return true;
};

const scan: Step = (draft) => {
  if (scanMeetsFiles(draft)) return false;
  draft.add(null, 'ksm_scan', draft.random.pick([1, 1, 2, 2, 3, 3, 3]));
  return true;
};

const useZeroPages: Step = (draft) => {
  draft.add(null, 'ksm_use_zero_pages', draft.random.below(2));
  return true;
};

export const KSM: Area = {
  name: 'ksm',
  prologue: [],
  steps: {
    mapMergeable: [14, mapMergeable],
    mapPrivate: [2, mapPrivate],
    mergeable: [5, advise([MADV.MERGEABLE], isPrivateAnonymous)],
    unmergeable: [4, advise([MADV.UNMERGEABLE], isPrivateAnonymous)],
    scan: [12, scan],
    mergeAndPageout: [6, mergeAndPageout],
    pageout: [5, pageout],
    inAndOut: [3, inAndOut],
    migrate: [5, migrate],
    zeroPagesAndFork: [2, zeroPagesAndFork],
    useZeroPages: [3, useZeroPages],
    storePages: [8, storePages],
    store: [8, store],
    load: [5, load],
    fork: [7, fork],
    exit: [4, exitProcess],
    dontneed: [3, advise([MADV.DONTNEED, MADV.DONTNEED_LOCKED], isUnlocked)],
    free: [3, advise([MADV.FREE], isPrivateAnonymous)],
    populateRead: [2, advise([MADV.POPULATE_READ], isReadable)],
    populateWrite: [2, advise([MADV.POPULATE_WRITE], isWritable)],
    wipeonfork: [1, advise([MADV.WIPEONFORK, MADV.KEEPONFORK, MADV.DONTFORK, MADV.DOFORK], isPrivateAnonymous)],
    protect: [4, protectPages(isPrivateAnonymous, [RW, RW, READ, 0])],
    lock: [2, lockPages],
    unlock: [1, unlock],
    unmap: [3, unmapPages],
    move: [3, movePages],
  },
};
