// Large folios brought into the states that single random steps seldom reach: several operations in a row on one folio, which is made, mapped by
// single entries, shared by fork so that some pages are exclusive and others are not, held from outside, and then split, moved or given up.
import { exitTask, forkOf } from '../access.js';
import type { Step } from '../area.js';
import { anyBlock, sizedPart } from '../blocks.js';
import { MADV, MAP, MREMAP, READ, RW, madvise, mapFixed, mlock, mprotect, mremap, munmap } from '../calls.js';
import type { Draft, Range, Task } from '../picture.js';
import { TASKS_MAX } from '../picture.js';
import { PAGE, TABLE } from '../places.js';
import { registerRange, spliceRange } from './gup.js';

/** Sizes that a workload's settings want, pages. */
function wantedSizes({ operations }: Draft): number[] {
  return operations.flatMap(({ name, args: [file, value] }) => {
    if (name !== 'sysfs' || (value as { text: string }).text === 'never') return [];
    const size = /hugepages-(\d+)kB/.exec((file as { text: string }).text)?.[1];
    return size === undefined ? [] : [(Number(size) * 1024) / PAGE];
  });
}

/** Fresh memory of the size of one folio that a store fills; now and then of any size, which several fill. */
function freshFolio(draft: Draft, task: Task): Range {
  const { random } = draft;
  const block = anyBlock(draft);
  const sizes = wantedSizes(draft);
  let range: Range = { start: block, length: TABLE };
  if (sizes.length > 0 && random.chance(60)) {
    const length = random.pick(sizes) * PAGE;
    range = { start: block + length * random.below(Math.min(3, TABLE / length)), length };
  } else if (random.chance(15)) range = sizedPart(draft, block);
  mapFixed(draft, task, range, RW, MAP.PRIVATE);
  madvise(draft, task, range, MADV.HUGEPAGE);
  draft.add(task, 'store', pageOf(draft, range).start, random.between(1, 255));
  return range;
}

/** One page of `range`, the same ones again and again: at its ends and around its middle. */
function pageOf({ random }: Draft, { start, length }: Range): Range {
  const pages = length / PAGE;
  const page = random.pick([0, 0, 1, 2, pages / 2 - 1, pages / 2, pages - 2, pages - 1]);
  return { start: start + PAGE * Math.max(0, Math.min(pages - 1, page)), length: PAGE };
}

/** A few pages, half of it, or now and then all. */
function piece(draft: Draft, range: Range): Range {
  const { random } = draft;
  if (random.chance(15)) return range;
  const half = Math.ceil(range.length / PAGE / 2) * PAGE;
  if (random.chance(25)) return random.chance(50) ? { start: range.start, length: half } : rest(range, half);
  const { start } = pageOf(draft, range);
  return { start, length: Math.min(PAGE * random.between(1, 3), range.start + range.length - start) };
}

const rest = ({ start, length }: Range, from: number): Range =>
  length > from ? { start: start + from, length: length - from } : { start, length };

type Act = (draft: Draft, task: Task, range: Range) => void;

const storePiece: Act = (draft, task, range) => {
  const { start } = pageOf(draft, range);
  const pages = Math.min(draft.random.between(1, 3), (range.start + range.length - start) / PAGE);
  draft.add(task, 'store', start, draft.random.between(0, 255), pages === 1 ? 1 : PAGE * pages);
};
const protectAndBack: Act = (draft, task, range) => {
  const part = piece(draft, range);
  mprotect(draft, task, part, READ);
  if (draft.random.chance(70)) mprotect(draft, task, draft.random.chance(50) ? part : range, RW);
};
const advise =
  (...advice: readonly number[]): Act =>
  (draft, task, range) =>
    madvise(draft, task, piece(draft, range), draft.random.pick(advice));
/** To the other end of the block, or to another one at the same place. */
const moveAway: Act = (draft, task, range) => {
  const { start, length } = piece(draft, range);
  const to = anyBlock(draft) + (start % TABLE);
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED | (draft.random.chance(15) ? MREMAP.DONTUNMAP : 0);
  mremap(draft, task, { from: start, oldLength: length, newLength: length, flags, to });
};
const lockPiece: Act = (draft, task, range) => {
  const part = piece(draft, range);
  mlock(draft, task, part, true);
  if (draft.random.chance(40)) mlock(draft, task, draft.random.chance(50) ? part : range, false);
};

/** What leaves a huge entry split, or a folio mapped in part. */
const CUTS: readonly Act[] = [
  protectAndBack,
  protectAndBack,
  (draft, task, range) => munmap(draft, task, pageOf(draft, range)),
  advise(MADV.DONTNEED),
  moveAway,
  lockPiece,
];

/** What makes pages of one folio differ once it is shared. */
const PARTINGS: readonly Act[] = [
  storePiece,
  storePiece,
  advise(MADV.DONTNEED),
  (draft, task, range) => munmap(draft, task, piece(draft, range)),
  advise(MADV.POPULATE_WRITE),
];

/** Out as a whole, so that it may go to the swap area as one, and pages of it come back by themselves or all at once. */
const swapAndTouch: Act = (draft, task, range) => {
  madvise(draft, task, range, MADV.PAGEOUT);
  if (draft.random.chance(20)) madvise(draft, task, piece(draft, range), MADV.DONTNEED);
  if (draft.random.chance(60)) draft.add(task, 'load', pageOf(draft, range).start);
  if (draft.random.chance(50)) storePiece(draft, task, range);
};

/** What meets the folio in the end. */
const ENDS: readonly (readonly [number, Act])[] = [
  [4, storePiece],
  [3, protectAndBack],
  [3, advise(MADV.DONTNEED)],
  [4, advise(MADV.PAGEOUT)],
  [4, swapAndTouch],
  [3, advise(MADV.COLD)],
  [3, advise(MADV.FREE)],
  [2, advise(MADV.POPULATE_READ, MADV.POPULATE_WRITE)],
  [
    3,
    (draft, task, { start }) => madvise(draft, task, { start: start - (start % TABLE), length: TABLE }, MADV.COLLAPSE),
  ],
  [3, moveAway],
  [2, lockPiece],
  [1, (draft, task, range) => munmap(draft, task, piece(draft, range))],
  [
    2,
    (draft, task, range) =>
      void (draft.tasks.length < TASKS_MAX && forkOf(draft, task) !== task && storePiece(draft, task, range)),
  ],
];

export const shape: Step = (draft) => {
  const { random } = draft;
  // Where a mapping is sealed none takes its place.
  if (draft.operations.some(({ name }) => name === 'mseal')) return false;
  const task = draft.anyTask();
  const range = freshFolio(draft, task);
  let other = task;
  const either = (): Task => (draft.tasks.includes(other) && random.chance(50) ? other : task);
  const hold = (): void => (random.chance(60) ? spliceRange : registerRange)(draft, either(), piece(draft, range));
  if (random.chance(45)) random.pick(CUTS)(draft, task, range);
  if (random.chance(20)) swapAndTouch(draft, task, range);
  if (random.chance(15)) hold();
  if (random.chance(65) && draft.tasks.length < TASKS_MAX) {
    other = forkOf(draft, task);
    for (let n = random.below(4); n > 0; n--) random.pick(PARTINGS)(draft, either(), range);
    if (random.chance(30)) hold();
    if (random.chance(40)) exitTask(draft, other);
    if (random.chance(40)) storePiece(draft, task, range);
  } else if (random.chance(25)) hold();
  for (let n = random.between(1, 3); n > 0; n--) random.weighted(ENDS)(draft, either(), range);
  return true;
};
