// Area swap: private pages that are swapped out and come back, with everything that meets their entries meanwhile.
import { advise, exitProcess, fork, load, mapPrivate, store, unlockedAnonymous } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, READ, RW, isPrivateAnonymous, isReadable, isUnlocked, isWritable } from '../calls.js';
import { MREMAP, madvise, mapFixed, mlock, mprotect, mremap, munmap } from '../calls.js';
import type { Draft, Range } from '../picture.js';
import { PAGE, REGIONS, REGION_PAGES, anyPage } from '../places.js';
import type { Mapped } from '../space.js';
import { mayBeMerged } from '../merging.js';
import { unlock } from '../mapping-steps.js';

/** Pages of files are not swapped out here. */
const anonymousOnly = (each: Mapped): boolean => isPrivateAnonymous(each) && isUnlocked(each);

const inRegion = ({ start, length }: Range): boolean =>
  REGIONS.some((region) => start >= region && start + length <= region + REGION_PAGES * PAGE);
const overlaps = (a: Range, b: Range): boolean => a.start < b.start + b.length && b.start < a.start + a.length;

/**
 * Could `range` hold pages of a file, or of shared memory? Reclaim of those is not modelled. The picture of the mappings may be wrong, so what counts is
 * whether a call ever named the place for such a mapping, or moved one there. Mappings that the kernel places lie outside of the regions.
 */
function mayHoldFiles(draft: Draft, range: Range): boolean {
  if (!inRegion(range)) return true;
  const files: Range[] = [];
  for (const { name, args } of draft.operations) {
    const [start, length, third, flags, fourth] = args.map((each) => (typeof each === 'number' ? each : 0));
    const placed = { start: start ?? 0, length: (length ?? 0) + PAGE };
    if (name === 'mmap' && ((flags ?? 0) & (MAP.ANONYMOUS | MAP.SHARED)) !== MAP.ANONYMOUS) files.push(placed);
    if (name !== 'mremap') continue;
    const from = { start: start ?? 0, length: Math.max(length ?? 0, PAGE) };
    if (inRegion(from) && !files.some((each) => overlaps(each, from))) continue;
    const bytes = (third ?? 0) + PAGE;
    files.push({ start: fourth ?? 0, length: bytes }, { start: start ?? 0, length: bytes });
  }
  return files.some((each) => overlaps(each, range));
}

const pageout: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, anonymousOnly);
  if (range === null || mayHoldFiles(draft, range) || mayBeMerged(draft, range)) return false;
  madvise(draft, task, range, MADV.PAGEOUT);
  return true;
};

/** Fresh pages, mostly not zero, that go at once. */
const storeAndPageout: Step = (draft) => {
  const task = draft.anyTask();
  const range = { start: anyPage(draft.random), length: PAGE * draft.random.between(1, 6) };
  if (mayBeMerged(draft, range)) return false;
  mapFixed(draft, task, range, RW, MAP.PRIVATE);
  draft.add(task, 'store', range.start, draft.random.chance(20) ? 0 : draft.random.between(1, 255), range.length);
  if (draft.random.chance(40)) fork(draft);
  madvise(draft, task, range, MADV.PAGEOUT);
  return true;
};

/** Back into memory unwritten, and out again: clean pages need no writing and are freed at once. */
const inAndOut: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => anonymousOnly(each) && isReadable(each));
  if (range === null || mayHoldFiles(draft, range) || mayBeMerged(draft, range)) return false;
  madvise(draft, task, range, MADV.PAGEOUT);
  draft.add(task, 'load', range.start, range.length);
  madvise(draft, task, range, MADV.PAGEOUT);
  return true;
};

const protect: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, isPrivateAnonymous);
  if (range === null) return false;
  mprotect(draft, task, range, draft.random.pick([RW, RW, READ, 0]));
  return true;
};

const lock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => isReadable(each) && isUnlocked(each));
  if (range === null) return false;
  if (draft.random.chance(30)) mlock(draft, task, range, true, 1);
  else mlock(draft, task, range, true);
  return true;
};

const unmap: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task);
  if (range === null) return false;
  munmap(draft, task, range);
  return true;
};

const move: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, isPrivateAnonymous);
  if (range === null) return false;
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED | (draft.random.chance(25) ? MREMAP.DONTUNMAP : 0);
  const { start: from, length } = range;
  mremap(draft, task, { from, oldLength: length, newLength: length, flags, to: anyPage(draft.random) });
  return true;
};

export const SWAP: Area = {
  name: 'swap',
  prologue: [],
  steps: {
    mapPrivate: [5, mapPrivate],
    store: [14, store],
    load: [14, load],
    pageout: [14, pageout],
    storeAndPageout: [6, storeAndPageout],
    inAndOut: [4, inAndOut],
    cold: [2, advise([MADV.COLD], unlockedAnonymous)],
    willneed: [2, advise([MADV.WILLNEED], unlockedAnonymous)],
    fork: [6, fork],
    exit: [3, exitProcess],
    dontneed: [3, advise([MADV.DONTNEED, MADV.DONTNEED_LOCKED], isUnlocked)],
    free: [4, advise([MADV.FREE], unlockedAnonymous)],
    populateRead: [2, advise([MADV.POPULATE_READ], isReadable)],
    populateWrite: [2, advise([MADV.POPULATE_WRITE], isWritable)],
    wipeonfork: [1, advise([MADV.WIPEONFORK, MADV.KEEPONFORK], unlockedAnonymous)],
    protect: [5, protect],
    lock: [3, lock],
    unlock: [2, unlock],
    unmap: [3, unmap],
    move: [3, move],
  },
};
