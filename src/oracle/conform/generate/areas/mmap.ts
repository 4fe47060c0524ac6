// Area mmap: mappings made, cut, moved, advised, locked, with every flag that means something here.
import { advise, exitProcess, fork, load, store, unlockedAnonymous } from '../access.js';
import type { Area, Step } from '../area.js';
import {
  EXEC,
  MADV,
  MAP,
  MREMAP,
  READ,
  RW,
  WRITE,
  isLocked,
  isPrivateAnonymous,
  isReadable,
  isUnlocked,
  isWritable,
  mapFixed,
  mlock,
  mmap,
  mprotect,
  mremap,
  munmap,
} from '../calls.js';
import { ARENA_START, PAGE, REGIONS, WIDE_BYTES, WIDE_PLACES, anyPage, anyRegion, someBytes } from '../places.js';
import type { Draft } from '../picture.js';
import { openData, openMemory, openReadOnly } from '../prologue.js';
import { DESCRIPTOR_STEPS } from './mmap-descriptors.js';
import { senseless } from './mmap-senseless.js';
import { unmap } from '../mapping-steps.js';

const anyProt = (draft: Draft): number =>
  draft.random.weighted([
    [12, RW],
    [4, READ],
    [1, 0],
    [1, WRITE],
    [1, EXEC],
    [1, READ | EXEC],
    [1, RW | EXEC],
  ]);

/** How the address is asked for: [flag, address]. */
function anyPlace(draft: Draft): readonly [number, number] {
  const { random } = draft;
  return random.weighted([
    [10, [MAP.FIXED, anyPage(random)]],
    [3, [0, 0]],
    [3, [0, anyPage(random)]],
    [2, [MAP.FIXED_NOREPLACE, anyPage(random)]],
  ] as const);
}

const anyExtra = (draft: Draft): number =>
  draft.random.weighted([
    [12, 0],
    [2, MAP.POPULATE],
    [1, MAP.POPULATE | MAP.NONBLOCK],
    [2, MAP.LOCKED],
    [2, MAP.NORESERVE],
    [1, MAP.STACK],
  ]);

const mapAnonymous: Step = (draft) => {
  const { random } = draft;
  const [place, addr] = anyPlace(draft);
  const type = random.chance(70) ? MAP.PRIVATE : MAP.SHARED;
  const flags = type | place | anyExtra(draft) | MAP.ANONYMOUS;
  mmap(draft, draft.anyTask(), { addr, length: someBytes(random), prot: anyProt(draft), flags, fd: -1, offset: 0 });
  return true;
};

const mapFile: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.fd(task);
  if (found === null) return false;
  const [fd, { writable }] = found;
  const [place, addr] = anyPlace(draft);
  const type = random.weighted([
    [4, MAP.PRIVATE],
    [4, MAP.SHARED],
    [1, MAP.SHARED_VALIDATE],
  ]);
  const wanted = anyProt(draft);
  const prot = type === MAP.PRIVATE || writable || random.chance(10) ? wanted : wanted & ~WRITE;
  const extra = type === MAP.SHARED_VALIDATE ? 0 : anyExtra(draft);
  // MAP_SHARED_VALIDATE knows no flag as young as MAP_FIXED_NOREPLACE.
  const where = type === MAP.SHARED_VALIDATE && place === MAP.FIXED_NOREPLACE ? MAP.FIXED : place;
  const length = random.chance(10) ? someBytes(random) - 100 : someBytes(random);
  mmap(draft, task, { addr, length, prot, flags: type | where | extra, fd, offset: PAGE * random.below(5) });
  return true;
};

/** A mapping that grows down, at the start of a region: there is room below. */
const mapGrowsDown: Step = (draft) => {
  const { random } = draft;
  const range = { start: anyRegion(random) + PAGE * random.below(2), length: someBytes(random) };
  mapFixed(draft, draft.anyTask(), range, RW, MAP.PRIVATE | MAP.GROWSDOWN);
  return true;
};

/** An access below a mapping that grows down. Never 512 pages: no huge page must fit into the mapping. */
const growDown: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = task.space.mapped.find((each) => each.growsDown && REGIONS.some((region) => each.start <= region));
  if (found === undefined) return false;
  const top = REGIONS.find((region) => found.start <= region) as number;
  const start = top - PAGE * random.pick([1, 2, 3, 200, 300, 500]);
  if (random.chance(70)) draft.add(task, 'store', start + PAGE - 8, random.between(1, 255));
  else draft.add(task, 'load', start + 8);
  if (start < found.start && (found.prot & RW) === RW && task.space.isFree(start, found.start))
    task.space.map({ ...found, end: found.start, start });
  return true;
};

/** Two whole page tables at once, of which a few pages are used. */
const mapWide: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const start = random.pick(WIDE_PLACES);
  const type = MAP.PRIVATE | (random.chance(30) ? MAP.NORESERVE : 0);
  mapFixed(draft, task, { start, length: WIDE_BYTES }, RW, type);
  draft.add(task, 'store', start + PAGE * random.below(WIDE_BYTES / PAGE), random.between(1, 255));
  return true;
};

/** Whole tables move without their entries being touched, or are emptied and go. */
const moveWide: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const places = WIDE_PLACES.filter((start) => task.space.isCovered(start, start + WIDE_BYTES));
  if (places.length === 0) return false;
  const from = random.pick(places);
  if (random.chance(25)) {
    draft.add(task, 'madvise', from, WIDE_BYTES, MADV.DONTNEED);
    return true;
  }
  const to = random.pick(WIDE_PLACES.filter((each) => each !== from));
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED | (random.chance(25) ? MREMAP.DONTUNMAP : 0);
  mremap(draft, task, { from, oldLength: WIDE_BYTES, newLength: WIDE_BYTES, flags, to });
  return true;
};

/** From somewhere up to far beyond, both regions and the holes between them; inside the arena. */
const unmapFar: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const start = random.chance(50) ? anyPage(random) : ARENA_START;
  munmap(draft, task, { start, length: random.pick([2 ** 22, 2 ** 31, 2 ** 35]) });
  return true;
};

const protect: Step = (draft) => {
  const task = draft.anyTask();
  const prot = anyProt(draft);
  const range = draft.range(task, ({ mayWrite }) => mayWrite || (prot & WRITE) === 0);
  if (range === null) return false;
  mprotect(draft, task, range, prot);
  return true;
};

const PROT_SEM = 8;
const PROT_GROWSDOWN = 0x01000000;
const PROT_GROWSUP = 0x02000000;

/** Bits of mprotect that few programs know. */
const protectOddly: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const bit = random.weighted([
    [3, PROT_GROWSDOWN],
    [1, PROT_GROWSUP],
    [2, PROT_SEM],
    [1, 0x10],
    [1, PROT_GROWSDOWN | PROT_GROWSUP],
  ]);
  const range = draft.pages(task, ({ growsDown, mayWrite }) => (bit === PROT_GROWSDOWN ? growsDown : mayWrite));
  if (range === null) return false;
  mprotect(draft, task, range, bit | random.pick([READ, RW]));
  return true;
};

/** The same mapping larger or smaller, moved only if it must. */
const resize: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const { mapped } = task.space;
  if (mapped.length === 0) return false;
  const { start, end } = random.pick(mapped);
  if (end - start > 16 * PAGE) return false;
  const oldLength = random.chance(80) ? end - start : PAGE;
  const from = end - oldLength;
  const newLength = random.chance(60) ? oldLength + someBytes(random) : PAGE * random.between(1, oldLength / PAGE);
  mremap(draft, task, { from, oldLength, newLength, flags: random.chance(75) ? MREMAP.MAYMOVE : 0 });
  return true;
};

/** To a given place, now and then larger or smaller, or leaving the old range behind empty. */
const move: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const dontUnmap = random.chance(35);
  const range = draft.pages(task);
  if (range === null) return false;
  const { start: from, length: oldLength } = range;
  const newLength = dontUnmap || random.chance(65) ? oldLength : someBytes(random);
  const fixed = !dontUnmap || random.chance(60) ? MREMAP.FIXED : 0;
  const flags = MREMAP.MAYMOVE | fixed | (dontUnmap ? MREMAP.DONTUNMAP : 0);
  // Where only a hint is asked for, none leaves the place to the kernel.
  const to = fixed !== 0 || random.chance(50) ? anyPage(random) : 0;
  mremap(draft, task, { from, oldLength, newLength, flags, to });
  return true;
};

/** Several mappings and the holes between them at once. */
const moveSeveral: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const start = draft.pages(task)?.start;
  if (start === undefined) return false;
  const length = PAGE * random.between(3, 9);
  mremap(draft, task, {
    from: start,
    oldLength: length,
    newLength: length,
    flags: MREMAP.MAYMOVE | MREMAP.FIXED,
    to: REGIONS[1] + PAGE * random.below(4),
  });
  return true;
};

/** Old length 0 of a shared mapping: a second mapping of the same pages. */
const duplicate: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.pages(task, ({ shared }) => shared || random.chance(10));
  if (range === null) return false;
  const fixed = random.chance(50);
  const flags = MREMAP.MAYMOVE | (fixed ? MREMAP.FIXED : 0);
  mremap(draft, task, {
    from: range.start,
    oldLength: 0,
    newLength: range.length,
    flags,
    ...(fixed ? { to: anyPage(random) } : {}),
  });
  return true;
};

/** Any flags with any place. */
const remapAnyhow: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.range(task);
  if (range === null) return false;
  const { start: from, length } = range;
  const newLength = random.chance(60) ? length : someBytes(random);
  mremap(draft, task, { from, oldLength: length, newLength, flags: random.below(9), to: anyPage(random) });
  return true;
};

const lock: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.range(task, (each) => isReadable(each) && isUnlocked(each));
  if (range === null) return false;
  const unaligned = random.chance(10) ? { start: range.start + 8, length: range.length - 8 } : range;
  mlock(draft, task, unaligned, true, random.chance(40) ? random.below(2) : undefined);
  return true;
};

const unlock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task, isLocked);
  if (range === null) return false;
  mlock(draft, task, range, false);
  return true;
};

const MS_FLAGS: readonly number[] = [0, 1, 2, 4, 4, 5, 6];

/** Half of the time on a file's own pages, which it cleans. */
const sync: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const ofFile = random.chance(50);
  const range = draft.range(task, ({ shared, backing }) => !ofFile || (shared && backing?.kind === 'file'));
  if (range === null) return false;
  draft.add(task, 'msync', range.start, range.length, random.pick(MS_FLAGS));
  return true;
};

/** A file's page made dirty and written back, seen through one mapping or several. */
const syncStored: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => each.shared && each.backing?.kind === 'file' && isWritable(each));
  if (range === null) return false;
  draft.add(task, 'store', range.start, random.between(1, 255));
  draft.add(random.chance(70) ? task : draft.anyTask(), 'msync', range.start, range.length, random.pick([4, 4, 1]));
  return true;
};

const mincore: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task);
  if (range === null) return false;
  draft.add(task, 'mincore', range.start, range.length);
  return true;
};

/** Advice that only changes flags. Huge pages only where none can fit: never on the wide mappings. */
const HINTS: readonly number[] = [
  MADV.NORMAL,
  MADV.RANDOM,
  MADV.SEQUENTIAL,
  MADV.WILLNEED,
  MADV.MERGEABLE,
  MADV.UNMERGEABLE,
  MADV.DONTDUMP,
  MADV.DODUMP,
  MADV.DONTFORK,
  MADV.DOFORK,
];
const inRegion = ({ start }: { readonly start: number }): boolean =>
  REGIONS.some((region) => start >= region - 500 * PAGE && start < region + 64 * PAGE);

/** Everything from somewhere on, both regions and the holes; inside the arena. */
const adviseFar: Step = (draft) => {
  const { random } = draft;
  const advice = random.pick([MADV.DONTNEED, MADV.DONTFORK, MADV.DOFORK, MADV.RANDOM, MADV.FREE]);
  draft.add(draft.anyTask(), 'madvise', anyPage(random), random.pick([2 ** 21, 2 ** 31]), advice);
  return true;
};

export const MMAP: Area = {
  name: 'mmap',
  prologue: [openData, openMemory, openReadOnly],
  steps: {
    mapAnonymous: [12, mapAnonymous],
    mapFile: [8, mapFile],
    mapGrowsDown: [2, mapGrowsDown],
    growDown: [3, growDown],
    mapWide: [1, mapWide],
    moveWide: [2, moveWide],
    unmap: [5, unmap],
    unmapFar: [1, unmapFar],
    protect: [6, protect],
    protectOddly: [2, protectOddly],
    resize: [4, resize],
    move: [5, move],
    moveSeveral: [2, moveSeveral],
    duplicate: [2, duplicate],
    remapAnyhow: [2, remapAnyhow],
    hint: [4, advise(HINTS)],
    hugePage: [1, advise([MADV.HUGEPAGE, MADV.NOHUGEPAGE], inRegion)],
    dontneed: [4, advise([MADV.DONTNEED], isUnlocked)],
    dontneedLocked: [1, advise([MADV.DONTNEED_LOCKED])],
    free: [2, advise([MADV.FREE], unlockedAnonymous)],
    forkAdvice: [2, advise([MADV.WIPEONFORK, MADV.KEEPONFORK], isPrivateAnonymous)],
    populateRead: [2, advise([MADV.POPULATE_READ], isReadable)],
    populateWrite: [2, advise([MADV.POPULATE_WRITE], isWritable)],
    adviseFar: [1, adviseFar],
    lock: [4, lock],
    unlock: [2, unlock],
    sync: [2, sync],
    syncStored: [4, syncStored],
    mincore: [1, mincore],
    store: [16, store],
    load: [9, load],
    fork: [3, fork],
    exit: [2, exitProcess],
    senseless: [4, senseless],
    ...DESCRIPTOR_STEPS,
  },
};
