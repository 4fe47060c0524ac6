// Area swap: private pages that are swapped out and come back, with everything that meets their entries meanwhile; pages of files that are
// reclaimed and read again.
import { advise, exitProcess, fork, load, mapPrivate, store, unlockedAnonymous } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, READ, RW, isPrivateAnonymous, isReadable, isUnlocked, isWritable } from '../calls.js';
import { madvise, mapFixed, mmap } from '../calls.js';
import type { Draft, Range } from '../picture.js';
import { PAGE, REGIONS, REGION_PAGES, anyPage } from '../places.js';
import type { Operation } from '../../../../workload/operation.js';
import type { Mapped } from '../space.js';
import { mapFileShared, unlock } from '../mapping-steps.js';
import { lockPages, movePages, protectPages, unmapPages } from '../page-steps.js';
import { openData, openReadOnly } from '../prologue.js';

const anonymousOnly = (each: Mapped): boolean => isPrivateAnonymous(each) && isUnlocked(each);

const inRegion = ({ start, length }: Range): boolean =>
  REGIONS.some((region) => start >= region && start + length <= region + REGION_PAGES * PAGE);
const overlaps = (a: Range, b: Range): boolean => a.start < b.start + b.length && b.start < a.start + a.length;

const isShared = ({ args }: Operation): boolean => ((args[3] as number) & MAP.SHARED) !== 0;
const isAnonymous = ({ args }: Operation): boolean => ((args[3] as number) & MAP.ANONYMOUS) !== 0;

/**
 * Could `range` hold pages of a file, or shared memory? The picture of the mappings may be wrong, so what counts is whether a call ever named the place
 * for such a mapping, or moved one there. Mappings that the kernel places lie outside of the regions.
 */
function mayHoldCached(draft: Draft, range: Range): boolean {
  if (!inRegion(range)) return true;
  const found: Range[] = [];
  for (const operation of draft.operations) {
    const { name, args } = operation;
    const [start = 0, length = 0, third = 0, , target = 0] = args.map((each) => (typeof each === 'number' ? each : 0));
    if (name === 'mmap' && (!isAnonymous(operation) || isShared(operation)))
      found.push({ start, length: length + PAGE });
    if (name !== 'mremap') continue;
    const from = { start, length: Math.max(length, PAGE) };
    if (inRegion(from) && !found.some((each) => overlaps(each, from))) continue;
    found.push({ start: target, length: third + PAGE }, { start, length: third + PAGE });
  }
  return found.some((each) => overlaps(each, range));
}

/** Is the descriptor an operation begins with one of a memory object, in every task that has it? */
function isOfMemory({ tasks }: Draft, { args }: Operation): boolean {
  const found = tasks.flatMap(({ files }) => files.get(args[0] as number) ?? []);
  return found.length > 0 && found.every(({ backing }) => backing.kind === 'memfd');
}

const WRITES = new Set(['write', 'pwrite64', 'ftruncate', 'fallocate']);
/** May a page of a file be dirty, by then or later? */
const mayBeDirty = (draft: Draft): boolean =>
  draft.operations.some(
    (each) =>
      (WRITES.has(each.name) && !isOfMemory(draft, each)) ||
      (each.name === 'mmap' && !isAnonymous(each) && isShared(each)),
  );

/** May what was dirty be clean, or a file have become shorter? */
const mayBeCleaned = (draft: Draft): boolean =>
  draft.operations.some((each) => each.name === 'msync' || (each.name === 'ftruncate' && !isOfMemory(draft, each)));

/** After mseal(2) what is mapped may not be what was asked for. */
const mayBeSealed = ({ operations }: Draft): boolean => operations.some(({ name }) => name === 'mseal');

export const pageout: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, anonymousOnly);
  if (range === null || mayHoldCached(draft, range)) return false;
  madvise(draft, task, range, MADV.PAGEOUT);
  return true;
};

/**
 * Pages of files, just mapped there: clean ones that nobody else maps leave the cache, so that reading the file may read ahead from then on. Dirty
 * ones stay, marked; as it depends on reads long past what comes in behind such a page, it is the file's last, and stays so. Once a page was written
 * back the model does not know what the disk holds.
 */
const mapAndPageoutFile: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const opened = draft.fd(task, ({ backing }) => backing.kind === 'file');
  if (opened === null) return false;
  const [fd, { backing, writable }] = opened;
  const dirty = writable && (mayBeDirty(draft) || random.chance(50));
  const pages = Math.ceil(backing.bytes / PAGE);
  if (pages === 0 || mayBeSealed(draft) || (dirty && mayBeCleaned(draft))) return false;
  const first = dirty ? pages - 1 : random.below(pages);
  const length = PAGE * (dirty ? 1 : random.between(1, pages - first));
  const range = { start: anyPage(random), length };
  const flags = MAP.FIXED | (random.chance(dirty ? 70 : 20) ? MAP.SHARED : MAP.PRIVATE);
  const prot = writable || (flags & MAP.SHARED) === 0 ? RW : READ;
  mmap(draft, task, { addr: range.start, length, prot, flags, fd, offset: first * PAGE });
  if (dirty && random.chance(60)) draft.add(task, 'store', range.start, random.between(1, 255));
  draft.add(task, 'load', range.start);
  if (random.chance(20)) fork(draft);
  madvise(draft, task, range, MADV.PAGEOUT);
  if (dirty) backing.marked = true;
  backing.dense = Math.min(backing.dense, first * PAGE);
  return true;
};

/** Fresh pages, mostly not zero, that go at once. */
const storeAndPageout: Step = (draft) => {
  const task = draft.anyTask();
  const range = { start: anyPage(draft.random), length: PAGE * draft.random.between(1, 6) };
  mapFixed(draft, task, range, RW, MAP.PRIVATE);
  draft.add(task, 'store', range.start, draft.random.chance(20) ? 0 : draft.random.between(1, 255), range.length);
  if (draft.random.chance(40)) fork(draft);
  madvise(draft, task, range, MADV.PAGEOUT);
  return true;
};

/** Back into memory unwritten, and out again: clean pages need no writing and are freed at once. */
export const inAndOut: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => anonymousOnly(each) && isReadable(each));
  if (range === null || mayHoldCached(draft, range)) return false;
  madvise(draft, task, range, MADV.PAGEOUT);
  draft.add(task, 'load', range.start, range.length);
  madvise(draft, task, range, MADV.PAGEOUT);
  return true;
};

export const SWAP: Area = {
  name: 'swap',
  prologue: [openData, openReadOnly],
  steps: {
    mapPrivate: [5, mapPrivate],
    store: [14, store],
    load: [14, load],
    pageout: [14, pageout],
    storeAndPageout: [6, storeAndPageout],
    mapFile: [5, mapFileShared(50)],
    mapAndPageoutFile: [8, mapAndPageoutFile],
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
    protect: [5, protectPages(isPrivateAnonymous, [RW, RW, READ, 0])],
    lock: [3, lockPages],
    unlock: [2, unlock],
    unmap: [3, unmapPages],
    move: [3, movePages],
  },
};
