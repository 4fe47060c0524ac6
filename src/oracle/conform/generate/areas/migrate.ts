// Area migrate: pages that get other frames while they are shared, locked, read-only, swapped in, held by pipes and registered buffers.
import type { Value } from '../../../../workload/operation.js';
import { advise, exitProcess, fork, load, mapPrivate, store, unlockedAnonymous } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, READ, RW, isPrivate, isReadable, isUnlocked, mapFixed } from '../calls.js';
import { mprotect } from '../calls.js';
import { ARENA_END, ARENA_START, PAGE, anyPage } from '../places.js';
import { openData, openMemory } from '../prologue.js';
import { mapFileShared, unlock, unmap } from '../mapping-steps.js';
import { lockPages, movePages as movePagesElsewhere, protectPages } from '../page-steps.js';
import { openPipe, openRing, pipeRead, register, unregister, vmsplice } from './gup.js';

const MPOL = { DEFAULT: 0 } as const;
const MPOL_MF = { STRICT: 1, MOVE: 2, MOVE_ALL: 4, LAZY: 8 } as const;
/** Modes and flags that are refused, or change nothing. */
const SENSELESS: readonly (readonly [mode: number, flags: number])[] = [
  [MPOL.DEFAULT, MPOL_MF.MOVE | MPOL_MF.LAZY],
  [MPOL.DEFAULT, MPOL_MF.STRICT],
  [MPOL.DEFAULT, 0],
  [7, MPOL_MF.MOVE],
  [0xc000, MPOL_MF.MOVE],
  [0x8000, MPOL_MF.MOVE],
  [0x2000, MPOL_MF.MOVE],
];

export const migrate: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task);
  if (range === null) return false;
  draft.add(task, 'migrate', range.start, range.length);
  return true;
};

/** Only what nothing else maps, and whether or not others do. */
const mbind: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.range(task);
  if (range === null) return false;
  const flags = random.pick([MPOL_MF.MOVE, MPOL_MF.MOVE, MPOL_MF.MOVE | MPOL_MF.STRICT, MPOL_MF.MOVE_ALL]);
  const [mode, wrong] = random.chance(15) ? random.pick(SENSELESS) : [MPOL.DEFAULT, flags];
  const start = random.chance(3) ? range.start + 1 : range.start;
  const nodes: Value = null;
  draft.add(task, 'mbind', start, range.length - (random.chance(10) ? 1 : 0), mode, nodes, 0, wrong);
  return true;
};

/** Where pages are, of any task: nothing moves. */
const movePages: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const whose = random.pick(draft.tasks);
  const pages = Array.from({ length: random.between(1, 4) }, () => {
    const each = draft.range(whose)?.start ?? 0;
    return random.chance(10)
      ? random.pick([0, ARENA_START, 2 ** 47])
      : Math.min(each + random.pick([0, 0, 0, 5, PAGE]), ARENA_END - 1);
  });
  const node = random.chance(8) ? random.pick([1, -1, 1024]) : 0;
  const nodes = random.chance(40) ? null : pages.map(() => node);
  const flags = random.pick([0, MPOL_MF.MOVE, MPOL_MF.MOVE, MPOL_MF.MOVE_ALL, MPOL_MF.STRICT]);
  draft.add(task, 'move_pages', random.chance(30) ? 0 : whose.pid, pages.length, pages, nodes, [], flags);
  return true;
};

/** Fresh pages, often shared by a fork or made read-only, that are moved at once. */
const storeAndMigrate: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = { start: anyPage(random), length: PAGE * random.between(1, 6) };
  mapFixed(draft, task, range, RW, MAP.PRIVATE);
  draft.add(task, 'store', range.start, random.chance(20) ? 0 : random.between(1, 255), range.length);
  if (random.chance(30)) fork(draft);
  if (random.chance(30)) mprotect(draft, task, range, random.pick([READ, READ, 0]));
  draft.add(task, 'migrate', range.start, range.length);
  return true;
};

export const MIGRATE: Area = {
  name: 'migrate',
  prologue: [openData, openMemory, openPipe, openRing],
  steps: {
    mapPrivate: [5, mapPrivate],
    mapFile: [4, mapFileShared(50)],
    store: [14, store],
    load: [8, load],
    migrate: [12, migrate],
    mbind: [10, mbind],
    movePages: [4, movePages],
    storeAndMigrate: [6, storeAndMigrate],
    fork: [6, fork],
    exit: [3, exitProcess],
    vmsplice: [4, vmsplice],
    pipeRead: [3, pipeRead],
    register: [4, register],
    unregister: [2, unregister],
    protect: [6, protectPages(isPrivate, [RW, RW, READ, READ, 0])],
    lock: [4, lockPages],
    unlock: [3, unlock],
    dontneed: [3, advise([MADV.DONTNEED], isUnlocked)],
    free: [3, advise([MADV.FREE], unlockedAnonymous)],
    populateRead: [2, advise([MADV.POPULATE_READ], isReadable)],
    unmap: [3, unmap],
    move: [3, movePagesElsewhere],
  },
};
