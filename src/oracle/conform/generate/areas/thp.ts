// Area thp: aligned blocks of 2 MiB that huge entries may map, and large folios of 16 KiB to 1 MiB in them: whole, split, shared by fork,
// moved, given back in parts.
import type { Operation, Value } from '../../../../workload/operation.js';
import { exitProcess, fork, load, store } from '../access.js';
import type { Area, Step } from '../area.js';
import { BLOCKS, FAR_BLOCK, PAGES, anyBlock, mappedBlock, partOf, sizedPart } from '../blocks.js';
import {
  MADV,
  MAP,
  MREMAP,
  RW,
  isPrivate,
  isPrivateAnonymous,
  isReadable,
  isWritable,
  madvise,
  mapFixed,
  mlock,
  mprotect,
  mremap,
  munmap,
} from '../calls.js';
import type { Draft, Range, Task } from '../picture.js';
import { fixedRange, openPipe, openRing, pipeRead, registerRange, spliceRange, unregister } from './gup.js';
import { PAGE, TABLE } from '../places.js';
import type { Mapped } from '../space.js';
import {
  collapseLarge,
  fallocateLarge,
  fileSettings,
  mapLarge,
  openLarge,
  removeLarge,
  shapeLarge,
  transferLarge,
  truncateLarge,
} from './thp-files.js';
import { shape } from './thp-shapes.js';

/** One or two blocks of anonymous memory that asks for huge pages; now and then it ends or begins inside a block. */
const mapBlocks: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const first = anyBlock(draft);
  const blocks = first === FAR_BLOCK ? 1 : random.between(1, Math.min(2, BLOCKS.length - BLOCKS.indexOf(first)));
  const cut = random.chance(10) ? PAGE * random.between(1, 3) : 0;
  const range = { start: first + cut, length: blocks * TABLE - cut };
  mapFixed(draft, task, range, random.chance(90) ? RW : random.pick([0, 1]), MAP.PRIVATE);
  if (random.chance(85)) madvise(draft, task, range, MADV.HUGEPAGE);
  return true;
};

/** Memory for one large folio or a few, which asks for them. */
const mapSized: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const { start, length } = sizedPart(draft, anyBlock(draft));
  const range = { start, length: Math.min(length * random.between(1, 3), TABLE - (start % TABLE)) };
  mapFixed(draft, task, range, random.chance(90) ? RW : random.pick([0, 1]), MAP.PRIVATE);
  if (random.chance(85)) madvise(draft, task, range, MADV.HUGEPAGE);
  return true;
};

/** A call on a block or on a part of it. */
const onBlock =
  (
    wholePercent: number,
    fits: (mapped: Mapped) => boolean,
    call: (draft: Draft, task: Task, range: Range) => void,
  ): Step =>
  (draft) => {
    const task = draft.anyTask();
    const block = mappedBlock(draft, task, fits);
    if (block === null) return false;
    call(draft, task, partOf(draft, block, wholePercent));
    return true;
  };

const any = (): boolean => true;
const advise = (wholePercent: number, advice: readonly number[], fits: (mapped: Mapped) => boolean = any): Step =>
  onBlock(wholePercent, fits, (draft, task, range) => madvise(draft, task, range, draft.random.pick(advice)));

const storeBlock = onBlock(0, isWritable, (draft, task, { start, length }) => {
  const { random } = draft;
  const byte = random.between(0, 255);
  if (random.chance(80)) draft.add(task, 'store', start + random.pick([0, 16]), byte);
  else draft.add(task, 'store', start, byte, length);
});
const loadBlock = onBlock(0, isReadable, (draft, task, { start }) => draft.add(task, 'load', start));
const protectBlock = onBlock(60, any, (draft, task, range) =>
  mprotect(draft, task, range, draft.random.pick([RW, RW, RW, 1, 1, 0])),
);
const unmapBlock = onBlock(40, any, munmap);
const lockBlock = onBlock(60, isReadable, (draft, task, range) => mlock(draft, task, range, true));
const unlockBlock = onBlock(60, any, (draft, task, range) => mlock(draft, task, range, false));

/** To another block, aligned or a few pages off. */
const moveBlock = onBlock(60, isPrivate, (draft, task, { start, length }) => {
  const { random } = draft;
  const off = random.chance(60) ? 0 : PAGE * random.between(1, 2);
  const to = anyBlock(draft) + (length === TABLE ? off : start % TABLE);
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED | (random.chance(15) ? MREMAP.DONTUNMAP : 0);
  mremap(draft, task, { from: start, oldLength: length, newLength: length, flags, to });
});

/** A folio that goes to the swap area whole and comes back, in parts or at once, shared or not. */
const swapBlock: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const block = mappedBlock(draft, task, isPrivateAnonymous);
  if (block === null) return false;
  const range = random.chance(50) ? { start: block, length: TABLE } : sizedPart(draft, block);
  if (random.chance(70)) draft.add(task, 'store', range.start, random.between(0, 255), random.pick([1, range.length]));
  madvise(draft, task, range, MADV.PAGEOUT);
  if (random.chance(30)) fork(draft);
  const touched = range.start + PAGE * random.below(range.length / PAGE);
  if (random.chance(30))
    madvise(draft, task, { start: touched, length: PAGE }, random.pick([MADV.DONTNEED, MADV.FREE]));
  if (random.chance(50)) draft.add(draft.anyTask(), 'load', touched);
  if (random.chance(50)) draft.add(draft.anyTask(), 'store', range.start, random.between(0, 255));
  return true;
};

/** Whole folios, huge or not, or parts of them get other frames. */
const migrateBlock = onBlock(60, any, (draft, task, { start, length }) => {
  const nodes: Value = null;
  if (draft.random.chance(50)) draft.add(task, 'migrate', start, length);
  else draft.add(task, 'mbind', start, length, 0, nodes, 0, 2);
});

/** A fresh folio, often with entries of its own, shared or held or locked, that gets other frames, then more of the same, or goes to the swap area. */
const storeAndMigrateBlock: Step = (draft) => {
  const { random } = draft;
  if (draft.operations.some(({ name }) => name === 'mseal')) return false;
  const task = draft.anyTask();
  const block = anyBlock(draft);
  const whole = random.chance(50) ? { start: block, length: TABLE } : sizedPart(draft, block);
  const part = { start: whole.start + PAGE * random.below(whole.length / PAGE), length: PAGE };
  mapFixed(draft, task, whole, RW, MAP.PRIVATE);
  madvise(draft, task, whole, MADV.HUGEPAGE);
  draft.add(task, 'store', part.start, random.between(0, 255));
  if (random.chance(20)) mlock(draft, task, whole, true);
  if (random.chance(40)) mprotect(draft, task, part, random.pick([1, RW]));
  if (random.chance(15)) madvise(draft, task, part, MADV.DONTNEED);
  if (random.chance(30)) fork(draft);
  if (random.chance(15)) spliceRange(draft, task, part);
  const range = random.chance(70) ? whole : part;
  for (let times = random.between(1, 2); times > 0; times--)
    draft.add(random.chance(80) ? task : draft.anyTask(), 'migrate', range.start, range.length);
  if (random.chance(20)) madvise(draft, task, whole, MADV.PAGEOUT);
  draft.add(draft.anyTask(), 'store', part.start, random.between(0, 255));
  return true;
};

const spliceBlock = onBlock(0, isReadable, spliceRange);

/** A buffer of a whole block or of parts of folios, from anywhere in its first page, and bytes through it. */
const registerBlock = onBlock(40, isWritable, (draft, task, { start, length }) => {
  const { random } = draft;
  const cut = random.pick([0, 0, 0, 16, PAGE]);
  const range = length > cut ? { start: start + cut, length: length - cut } : { start, length };
  registerRange(draft, task, range);
  const at = range.start + PAGE * random.between(0, Math.ceil(range.length / PAGE) - 1);
  if (random.chance(60)) fixedRange(draft, task, at, Math.min(PAGE, range.start + range.length - at));
});
const fixedBlock = onBlock(0, isWritable, (draft, task, { start }) => fixedRange(draft, task, start, PAGE));

/** Given up as a whole and reclaimed before anybody writes to it again. */
const discardBlock = onBlock(80, isPrivateAnonymous, (draft, task, range) => {
  madvise(draft, task, range, MADV.FREE);
  madvise(draft, task, range, MADV.PAGEOUT);
});

/** One block or several, whole or cut at their ends: MADV_COLLAPSE takes the whole ones. */
const collapse: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const block = mappedBlock(draft, task, isPrivateAnonymous);
  if (block === null) return false;
  const blocks = block === FAR_BLOCK || random.chance(70) ? 1 : random.between(2, BLOCKS.length);
  const cut = (): number => (random.chance(85) ? 0 : PAGE * random.between(1, 3));
  const start = block + cut();
  madvise(draft, task, { start, length: block + blocks * TABLE - cut() - start }, MADV.COLLAPSE);
  return true;
};

/** A block of single pages, some of them read, swapped out, guarded, locked, shared or held, and then collapsed. */
const collapsePages: Step = (draft) => {
  const { random } = draft;
  // Where a mapping is sealed none takes its place, and huge pages may stay.
  if (draft.operations.some(({ name }) => name === 'mseal')) return false;
  const task = draft.anyTask();
  const block = anyBlock(draft);
  const pages = (most: number): Range => {
    const page = random.pick(PAGES);
    return { start: block + page * PAGE, length: PAGE * random.between(1, Math.min(most, 512 - page)) };
  };
  mapFixed(draft, task, { start: block, length: TABLE }, RW, MAP.PRIVATE);
  for (let n = random.between(1, 3); n > 0; n--) {
    const { start, length } = pages(random.chance(20) ? 60 : 4);
    draft.add(task, 'store', start, random.between(0, 255), length);
  }
  if (random.chance(40)) madvise(draft, task, pages(4), MADV.PAGEOUT);
  if (random.chance(50)) draft.add(task, 'load', pages(1).start);
  if (random.chance(10)) madvise(draft, task, pages(2), MADV.GUARD_INSTALL);
  if (random.chance(10)) madvise(draft, task, pages(3), MADV.FREE);
  if (random.chance(20)) mlock(draft, task, { start: block, length: TABLE }, true);
  if (random.chance(35)) fork(draft);
  if (random.chance(10)) spliceRange(draft, task, pages(2));
  if (random.chance(10)) registerRange(draft, task, pages(2));
  if (random.chance(20)) mprotect(draft, task, { start: block, length: TABLE }, random.pick([1, 0]));
  madvise(draft, random.chance(70) ? task : draft.anyTask(), { start: block, length: TABLE }, MADV.COLLAPSE);
  return true;
};

/** Has any page been told to be unused, whether or not it was used since? */
const saysUnused = ({ name, args }: Operation): boolean =>
  name === 'madvise' && (args[2] === MADV.FREE || args[2] === MADV.COLD);
const FORKS: ReadonlySet<string> = new Set(['fork', 'clone', 'clone3', 'vfork']);

/** khugepaged takes what asks for huge pages, as far as its settings go. What was used since a fork or such advice the model does not know. */
const khugepaged: Step = (draft) => {
  if (draft.operations.some((each) => FORKS.has(each.name) || saysUnused(each))) return false;
  const task = draft.anyTask();
  const block = mappedBlock(draft, task, isPrivateAnonymous);
  if (block === null) return false;
  if (draft.random.chance(50)) madvise(draft, task, { start: block, length: TABLE }, MADV.HUGEPAGE);
  draft.add(null, 'khugepaged_scan');
  return true;
};

/** What waits to be split is split. */
const dropCaches: Step = (draft) => {
  draft.add(null, 'drop_caches', 2);
  return true;
};

/** What a workload finds set: mostly what the machine has. */
function settings(draft: Draft): void {
  const { random } = draft;
  const set = (name: string, value: string): void =>
    draft.add(null, 'sysfs', { text: `transparent_hugepage/${name}` }, { text: value });
  if (random.chance(20)) set('use_zero_page', '0');
  if (random.chance(20)) set('khugepaged/max_ptes_none', random.pick(['0', '509', '510']));
  if (random.chance(20)) set('khugepaged/max_ptes_swap', random.pick(['0', '1', '2']));
  if (random.chance(20)) set('khugepaged/max_ptes_shared', random.pick(['0', '1', '3']));
  if (random.chance(5)) set('enabled', 'never');
  // Where large folios have room as a whole.
  if (random.chance(50)) draft.add(null, 'swapon', { text: 'block' });
  const several = random.chance(60);
  if (random.chance(several ? 40 : 5)) set('hugepages-2048kB/enabled', random.pick(['madvise', 'never']));
  if (!several) return;
  const [least, most] = [random.between(2, 8), random.between(2, 8)].toSorted((a, b) => a - b) as [number, number];
  for (let order = least; order <= most; order++)
    if (random.chance(80))
      set(`hugepages-${2 ** order * 4}kB/enabled`, random.pick(['inherit', 'inherit', 'madvise', 'madvise', 'always']));
}

export const THP: Area = {
  name: 'thp',
  settings: [settings, fileSettings],
  prologue: [openPipe, openRing, openLarge],
  emphasis: [1, 2, 4, 8],
  steps: {
    shape: [12, shape],
    mapBlocks: [6, mapBlocks],
    mapSized: [4, mapSized],
    store: [3, store],
    load: [2, load],
    storeBlock: [14, storeBlock],
    loadBlock: [7, loadBlock],
    fork: [5, fork],
    exit: [3, exitProcess],
    hugepage: [3, advise(80, [MADV.HUGEPAGE, MADV.HUGEPAGE, MADV.NOHUGEPAGE])],
    dontneed: [4, advise(35, [MADV.DONTNEED, MADV.DONTNEED, MADV.DONTNEED_LOCKED])],
    cold: [3, advise(25, [MADV.COLD])],
    lazyfree: [3, advise(40, [MADV.FREE])],
    discard: [1, discardBlock],
    pageout: [4, advise(50, [MADV.PAGEOUT])],
    swapBlock: [6, swapBlock],
    migrate: [4, migrateBlock],
    storeAndMigrate: [4, storeAndMigrateBlock],
    populateRead: [2, advise(40, [MADV.POPULATE_READ], isReadable)],
    populateWrite: [3, advise(40, [MADV.POPULATE_WRITE], isWritable)],
    forkAdvice: [2, advise(50, [MADV.WIPEONFORK, MADV.KEEPONFORK])],
    copyAdvice: [2, advise(50, [MADV.DONTFORK, MADV.DOFORK])],
    protect: [5, protectBlock],
    unmap: [2, unmapBlock],
    lock: [2, lockBlock],
    unlock: [2, unlockBlock],
    move: [4, moveBlock],
    collapse: [5, collapse],
    collapsePages: [3, collapsePages],
    khugepaged: [3, khugepaged],
    dropCaches: [3, dropCaches],
    shapeLarge: [9, shapeLarge],
    mapLarge: [5, mapLarge],
    truncateLarge: [3, truncateLarge],
    fallocateLarge: [3, fallocateLarge],
    removeLarge: [2, removeLarge],
    transferLarge: [2, transferLarge],
    collapseLarge: [2, collapseLarge],
    splice: [2, spliceBlock],
    pipeRead: [1, pipeRead],
    register: [3, registerBlock],
    fixed: [2, fixedBlock],
    unregister: [1, unregister],
  },
};
