// Area uffd: anonymous memory and files in memory that a userfaultfd watches, tasks whose faults wait, and a monitor that resolves, wakes and protects.
import type { Value } from '../../../../workload/operation.js';
import { advise, exitProcess, fork, load, mapPrivate, store } from '../access.js';
import type { Area, Step } from '../area.js';
import { MADV, MAP, MREMAP, RW, isWritable, mmap, mremap } from '../calls.js';
import { protect, unmap } from '../mapping-steps.js';
import type { Draft, Range, Task } from '../picture.js';
import { TASKS_MAX } from '../picture.js';
import { ARENA_END, ARENA_START, PAGE, anyPage } from '../places.js';
import { openMemory } from '../prologue.js';
import { MEMORY_STEPS, anyMode, isWatchable, mapTwice } from './uffd-memory.js';

const UFFDIO = {
  API: 0xc018aa3f,
  REGISTER: 0xc020aa00,
  UNREGISTER: 0x8010aa01,
  WAKE: 0x8010aa02,
  COPY: 0xc028aa03,
  ZEROPAGE: 0xc020aa04,
  MOVE: 0xc028aa05,
  WRITEPROTECT: 0xc018aa06,
  CONTINUE: 0xc020aa07,
  POISON: 0xc020aa08,
} as const;
const NONBLOCK = 0o4000;
const CLOEXEC = 0o2000000;
const EVENT_FORK = 1 << 1;
/** REMAP, REMOVE, UNMAP. */
const OTHER_EVENTS = (1 << 2) | (1 << 3) | (1 << 6);
const EVENTS = EVENT_FORK | OTHER_EVENTS;
const SIGBUS = 1 << 7;
const THREAD_ID = 1 << 8;
const EXACT_ADDRESS = 1 << 11;
const WP_UNPOPULATED = 1 << 13;
const WP_ASYNC = 1 << 15;
const THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000;
/** Four pages beside the regions that nobody watches: what monitors copy. */
const SOURCE = ARENA_START + 3 * 2 ** 30;
const SOURCE_PAGES = 4;
const MODES_MAX = 8;
const HUGE = 2 ** 21;

/** A userfaultfd of the first task, memory to copy from, and a thread that does nothing but watch. */
function openUserfault(draft: Draft): void {
  const { random, first } = draft;
  const flags = random.chance(94) ? NONBLOCK | CLOEXEC : random.pick([NONBLOCK, NONBLOCK | 1, CLOEXEC]);
  const prot = RW;
  mmap(draft, first, {
    addr: SOURCE,
    length: SOURCE_PAGES * PAGE,
    prot,
    flags: MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED,
    fd: -1,
    offset: 0,
  });
  draft.add(first, 'store', SOURCE, random.between(1, 255), 2 * PAGE);
  const features = random.weighted<number>([
    [6, 0],
    [5, THREAD_ID],
    [2, EXACT_ADDRESS],
    [5, SIGBUS],
    [3, WP_UNPOPULATED],
    [2, WP_UNPOPULATED | SIGBUS],
    [2, WP_ASYNC],
    [7, EVENTS],
    [2, EVENTS | WP_UNPOPULATED],
    [2, OTHER_EVENTS],
    [2, EVENT_FORK | SIGBUS],
    [1, EVENTS & ~(1 << random.pick([1, 2, 3, 6]))],
  ]);
  draft.events = features & EVENTS;
  const fd = draft.freeFd(first);
  draft.userfaults = [fd];
  draft.add(first, 'userfaultfd', flags);
  if (random.chance(10)) ioctl(draft, first, 'REGISTER', { range: { fields: { start: SOURCE, len: PAGE } }, mode: 1 });
  if (random.chance(10)) draft.add(first, 'ioctl', fd, UFFDIO.API, { fields: { api: 0xab, features: 0 } });
  draft.add(first, 'ioctl', fd, UFFDIO.API, { fields: { api: 0xaa, features } });
  draft.addTask(first, 'clone', [{ fields: { flags: THREAD_FLAGS } }], true);
  draft.monitor = draft.tasks.at(-1) as Task;
}

type Fields = Readonly<Record<string, Value>>;

function ioctl(draft: Draft, task: Task, name: keyof typeof UFFDIO, fields: Fields): void {
  draft.add(task, 'ioctl', draft.random.pick(draft.userfaults), UFFDIO[name], { fields });
}

/** Who asks: mostly the thread that is there for it. */
const asker = (draft: Draft): Task => {
  const { random, monitor } = draft;
  return monitor === null || random.chance(8) ? draft.anyTask() : monitor;
};

const range = ({ start, length }: Range): Fields => ({ range: { fields: { start, len: length } } });

/** Some pages that were asked to be watched, and may be; null if none were. */
function watchedPages({ random, watched }: Draft): Range | null {
  if (watched.length === 0) return null;
  const { start, length } = random.pick(watched);
  const pages = Math.ceil(length / PAGE);
  const first = random.below(pages);
  return { start: start - (start % PAGE) + first * PAGE, length: PAGE * Math.min(pages - first, random.between(1, 3)) };
}

/** Mostly pages that exist, a few at a time. */
function someRange(draft: Draft, task: Task): Range | null {
  const { random } = draft;
  if (random.chance(3)) return { start: anyPage(random) + 8, length: random.pick([0, 100, PAGE]) };
  const watched = watchedPages(draft);
  if (watched !== null && random.chance(65)) return watched;
  const found = draft.range(task, random.chance(90) ? isWatchable : undefined);
  if (found === null) return null;
  return random.chance(60)
    ? { start: found.start, length: PAGE * Math.ceil(Math.min(found.length, 3 * PAGE) / PAGE) }
    : found;
}

const register: Step = (draft) => {
  const { random } = draft;
  const task = asker(draft);
  const found = draft.range(task, random.chance(95) ? isWatchable : undefined);
  if (found === null) return false;
  const mode = random.chance(95) ? anyMode(draft, found.start) : random.below(MODES_MAX + 1);
  ioctl(draft, task, 'REGISTER', { ...range(found), mode });
  draft.watched = [...draft.watched, found];
  return true;
};

/** Somebody touches what is watched, and perhaps the monitor sees to it. */
const touchAndServe: Step = (draft) => {
  const { random, monitor } = draft;
  const found = watchedPages(draft);
  const others = draft.tasks.filter(
    (each) => each.tgid === 1 && each !== monitor && (each.pid !== 1 || random.chance(30)),
  );
  if (found === null || others.length === 0 || monitor === null) return false;
  const page: Range = { start: found.start, length: PAGE };
  const offset = random.pick([0, 0, 8, PAGE - 1]);
  touch(draft, random.pick(others), page, offset);
  if (random.chance(25)) touch(draft, random.pick(others), page, 0);
  if (random.chance(40))
    draft.add(monitor, 'poll', [{ fields: { fd: random.pick(draft.userfaults), events: 1 } }], 1, 0);
  if (random.chance(60))
    draft.add(monitor, 'read', random.pick(draft.userfaults), { fields: {} }, random.pick([32, 64]));
  if (random.chance(10)) protect(draft);
  serve(draft, monitor, random.chance(80) ? page : found);
  if (random.chance(25)) serve(draft, monitor, page);
  return true;
};

/** Pages that a file has are asked for where they are not mapped, and the monitor maps them; or they go before it does. */
const minorAndServe: Step = (draft) => {
  const { random, monitor, first } = draft;
  if (monitor === null) return false;
  const twice = mapTwice(draft);
  if (twice === null) return false;
  const { plain, watched, fd } = twice;
  ioctl(draft, monitor, 'REGISTER', { ...range(watched), mode: random.pick([4, 4, 4, 5, 6, 7]) });
  draft.watched = [...draft.watched, watched];
  const at = PAGE * random.below(watched.length / PAGE);
  const page: Range = { start: watched.start + at, length: PAGE };
  const others = draft.tasks.filter((each) => each.tgid === 1 && each !== monitor && each !== first);
  if (others.length > 0) touch(draft, random.pick(others), page, 0);
  if (random.chance(50)) draft.add(monitor, 'read', random.pick(draft.userfaults), { fields: {} }, 32);
  const whole = random.chance(30);
  const served = whole ? watched : page;
  const before = random.weighted<() => void>([
    [8, () => undefined],
    [4, () => draft.add(monitor, 'store', plain.start + at, random.between(1, 255), PAGE)],
    [2, () => draft.add(monitor, 'madvise', plain.start, plain.length, MADV.PAGEOUT)],
    [2, () => draft.add(monitor, 'fallocate', fd, 3, at, PAGE)],
    [2, () => draft.add(monitor, 'fallocate', fd, 0, at, PAGE)],
    [1, () => draft.add(monitor, 'ftruncate', fd, at)],
    [1, () => serve(draft, monitor, page)],
  ]);
  before();
  ioctl(draft, monitor, 'CONTINUE', { ...range(served), mode: random.pick([0, 0, 0, 2, 1]) });
  if (random.chance(40)) ioctl(draft, monitor, 'CONTINUE', { ...range(page), mode: 0 });
  if (random.chance(50)) ioctl(draft, monitor, 'WAKE', { start: watched.start, len: watched.length });
  return true;
};

function touch(draft: Draft, task: Task, { start }: Range, offset: number): void {
  const { random } = draft;
  const how = random.weighted<number>([
    [8, 0],
    [8, 1],
    [2, 2],
    [1, 3],
    [1, 4],
    [1, 5],
  ]);
  if (how === 0) draft.add(task, 'store', start + offset, random.between(1, 255));
  else if (how === 1) draft.add(task, 'load', start + offset);
  else if (how === 2)
    draft.add(task, 'store', start + offset, random.between(1, 255), Math.min(PAGE + 16, ARENA_END - start - offset));
  else if (how === 3) draft.add(task, 'mlock', start, 2 * PAGE);
  else draft.add(task, 'madvise', start, 2 * PAGE, how === 4 ? MADV.POPULATE_READ : MADV.POPULATE_WRITE);
}

/** What monitors do about a fault. */
function serve(draft: Draft, task: Task, found: Range): void {
  const { random } = draft;
  const { start, length } = found;
  const source = SOURCE + PAGE * random.below(2);
  const how = random.weighted<number>([
    [8, 0],
    [3, 1],
    [6, 2],
    [4, 3],
    [2, 4],
    [2, 5],
    [2, 6],
    [1, 7],
    [5, 8],
  ]);
  if (how === 0)
    ioctl(draft, task, 'COPY', { dst: start, src: source, len: length, mode: random.pick([0, 0, 0, 2, 1]) });
  else if (how === 1) ioctl(draft, task, 'ZEROPAGE', { ...range(found), mode: 0 });
  else if (how === 2) ioctl(draft, task, 'WRITEPROTECT', { ...range(found), mode: random.pick([0, 0, 0, 1, 2]) });
  else if (how === 3) {
    // It gives its pages away: others come.
    if (random.chance(60)) draft.add(task, 'store', source, random.between(1, 255), PAGE);
    ioctl(draft, task, 'MOVE', {
      dst: start,
      src: source,
      len: random.chance(80) ? PAGE : length,
      mode: random.pick([0, 0, 2]),
    });
  } else if (how === 4) ioctl(draft, task, 'POISON', { ...range(found), mode: 0 });
  else if (how === 5) ioctl(draft, task, 'WAKE', { start, len: length });
  else if (how === 6) ioctl(draft, task, 'UNREGISTER', { start, len: length });
  else if (how === 7) draft.add(task, 'madvise', start, length, random.pick([MADV.DONTNEED, MADV.PAGEOUT]));
  else ioctl(draft, task, 'CONTINUE', { ...range(found), mode: random.pick([0, 0, 0, 2, 1]) });
}

const unregister: Step = (draft) => {
  const task = asker(draft);
  const found = someRange(draft, task);
  if (found === null) return false;
  ioctl(draft, task, 'UNREGISTER', { start: found.start, len: found.length });
  return true;
};

const wake: Step = (draft) => {
  const task = asker(draft);
  const found = draft.random.chance(50) ? { start: ARENA_START, length: 4 * 2 ** 30 } : someRange(draft, task);
  if (found === null) return false;
  ioctl(draft, task, 'WAKE', { start: found.start, len: found.length });
  return true;
};

/** Bytes of the source, of any page, or of none. */
const copy: Step = (draft) => {
  const { random } = draft;
  const task = asker(draft);
  const found = someRange(draft, task);
  if (found === null) return false;
  const src = random.chance(80)
    ? SOURCE + PAGE * random.below(SOURCE_PAGES) + random.pick([0, 0, 0, 8])
    : anyPage(random);
  const mode = random.weighted<number>([
    [12, 0],
    [3, 2],
    [2, 1],
    [1, 3],
    [1, 4],
  ]);
  ioctl(draft, task, 'COPY', { dst: found.start, src, len: found.length, mode });
  return true;
};

const fill =
  (name: 'ZEROPAGE' | 'POISON' | 'CONTINUE'): Step =>
  (draft) => {
    const task = asker(draft);
    const found = someRange(draft, task);
    if (found === null) return false;
    ioctl(draft, task, name, { ...range(found), mode: draft.random.pick([0, 0, 0, 0, 1, 2]) });
    return true;
  };

const writeprotect: Step = (draft) => {
  const { random } = draft;
  const task = asker(draft);
  const found = random.chance(30) ? draft.range(task, isWatchable) : someRange(draft, task);
  if (found === null) return false;
  const mode = random.weighted<number>([
    [8, 1],
    [6, 0],
    [1, 2],
    [1, 3],
  ]);
  ioctl(draft, task, 'WRITEPROTECT', { ...range(found), mode });
  return true;
};

/** From the source or from anywhere. */
const move: Step = (draft) => {
  const { random } = draft;
  const task = asker(draft);
  const found = someRange(draft, task);
  if (found === null) return false;
  const src = random.chance(50) ? SOURCE + PAGE * random.below(SOURCE_PAGES) : anyPage(random);
  ioctl(draft, task, 'MOVE', {
    dst: found.start,
    src,
    len: Math.min(found.length, 2 * PAGE),
    mode: random.pick([0, 0, 2, 2, 1, 4]),
  });
  return true;
};

const read: Step = (draft) => {
  const { random } = draft;
  const length = random.pick([32, 32, 32, 64, 100, 128, 16]);
  draft.add(asker(draft), 'read', random.pick(draft.userfaults), { fields: {} }, length);
  return true;
};

const poll: Step = (draft) => {
  const fields = { fd: draft.random.pick(draft.userfaults), events: 1 };
  draft.add(asker(draft), 'poll', [{ fields }], 1, 0);
  return true;
};

/** A second one of the same process. */
const openAnother: Step = (draft) => {
  const { first, random, userfaults } = draft;
  if (userfaults.length > 1) return false;
  const fd = draft.freeFd(first);
  draft.add(first, 'userfaultfd', NONBLOCK | CLOEXEC);
  draft.userfaults = [...userfaults, fd];
  const features = random.pick([0, SIGBUS, THREAD_ID]);
  draft.add(first, 'ioctl', fd, UFFDIO.API, { fields: { api: 0xaa, features } });
  return true;
};

/** The second one goes, and all that it watched with it. */
const closeAnother: Step = (draft) => {
  const { first, userfaults } = draft;
  const fd = userfaults[1];
  if (fd === undefined) return false;
  draft.add(first, 'close', fd);
  draft.userfaults = userfaults.slice(0, 1);
  return true;
};

/** Watched and protected at once, with some pages. */
const watch: Step = (draft) => {
  const { random, first } = draft;
  const found = draft.pages(first, (each) => isWatchable(each) && isWritable(each));
  if (found === null) return false;
  if (random.chance(60)) draft.add(draft.anyTask(), 'store', found.start, random.between(1, 255));
  const task = draft.monitor ?? first;
  ioctl(draft, task, 'REGISTER', { ...range(found), mode: random.pick([2, 3]) });
  draft.watched = [...draft.watched, found];
  ioctl(draft, task, 'WRITEPROTECT', { ...range(found), mode: 1 });
  return true;
};

const thread: Step = (draft) => {
  if (draft.tasks.length >= TASKS_MAX + 1) return false;
  draft.addTask(draft.first, 'clone', [{ fields: { flags: THREAD_FLAGS } }], true);
  return true;
};

const remap: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.pages(task, isWatchable);
  if (found === null) return false;
  const { start: from, length } = found;
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED | (random.chance(25) ? MREMAP.DONTUNMAP : 0);
  mremap(draft, task, { from, oldLength: length, newLength: length, flags, to: anyPage(random) });
  return true;
};

/** Addresses of 2 MiB, aligned, that lie in one mapping each. */
const blocksOf = (task: Task): readonly number[] =>
  task.space.mapped.filter(isWatchable).flatMap(({ start, end }) => {
    const first = Math.ceil(start / HUGE) * HUGE;
    return first + HUGE <= end ? [first] : [];
  });

/** A huge page, or what there is of one, is moved to where another may be: as a whole or in part. */
const moveBlock: Step = (draft) => {
  const { random, first } = draft;
  const blocks = blocksOf(first);
  if (blocks.length < 2) return false;
  const task = draft.monitor ?? first;
  const dst = random.pick(blocks);
  const src = random.pick(blocks.filter((each) => each !== dst));
  ioctl(draft, task, 'REGISTER', { ...range({ start: dst, length: HUGE }), mode: random.pick([1, 1, 3]) });
  draft.watched = [...draft.watched, { start: dst, length: HUGE }];
  if (random.chance(60)) draft.add(first, 'madvise', dst, HUGE, MADV.DONTNEED);
  if (random.chance(70)) touch(draft, first, { start: src, length: PAGE }, 0);
  const [from, len] = random.chance(70) ? [0, HUGE] : [PAGE * random.below(4), PAGE * random.between(1, 500)];
  ioctl(draft, task, 'MOVE', { dst: dst + from, src: src + from, len, mode: random.pick([0, 0, 2]) });
  return true;
};

/** A step that the monitor hears of, and mostly reads of, now and then only after it has tried to fill. */
const heard =
  (step: Step): Step =>
  (draft) => {
    if (!step(draft)) return false;
    const { random, monitor, userfaults } = draft;
    if (draft.events === 0 || monitor === null) return true;
    const watched = watchedPages(draft);
    if (watched !== null && random.chance(15)) serve(draft, monitor, watched);
    const fd = random.chance(85) ? (userfaults[0] as number) : random.pick(userfaults);
    if (random.chance(20)) draft.add(monitor, 'poll', [{ fields: { fd, events: 1 } }], 1, random.chance(40) ? -1 : 0);
    for (let n = random.pick([0, 1, 1, 1, 2, 2]); n > 0; n--)
      draft.add(monitor, 'read', fd, { fields: {} }, random.pick([32, 32, 64, 128]));
    return true;
  };

/** A fork that may give the monitor another descriptor. */
const forkHeard: Step = (draft) => {
  if (!heard(fork)(draft)) return false;
  if ((draft.events & EVENT_FORK) !== 0 && draft.userfaults.length < 4)
    draft.userfaults = [...draft.userfaults, draft.freeFd(draft.first)];
  return true;
};

/** Part of a mapping moves and shrinks, or something is mapped over it. */
const replace: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const found = draft.pages(task, isWatchable);
  if (found === null) return false;
  const { start: from, length } = found;
  if (random.chance(40)) {
    const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED | (random.chance(20) ? MAP.POPULATE : 0);
    mmap(draft, task, { addr: from, length, prot: RW, flags, fd: -1, offset: 0 });
  } else {
    const newLength = random.chance(50) ? PAGE : length + PAGE * random.below(3);
    mremap(draft, task, { from, oldLength: length, newLength, flags: random.pick([0, 1, 1]), to: 0 });
  }
  return true;
};

export const UFFD: Area = {
  name: 'uffd',
  prologue: [openMemory, openUserfault],
  steps: {
    mapPrivate: [7, mapPrivate],
    register: [9, register],
    watch: [5, watch],
    touchAndServe: [12, touchAndServe],
    unregister: [3, unregister],
    wake: [4, wake],
    copy: [9, copy],
    zeropage: [4, fill('ZEROPAGE')],
    poison: [3, fill('POISON')],
    continue: [4, fill('CONTINUE')],
    writeprotect: [8, writeprotect],
    move: [4, move],
    moveBlock: [3, moveBlock],
    read: [4, read],
    poll: [2, poll],
    openAnother: [1, openAnother],
    closeAnother: [1, closeAnother],
    store: [12, store],
    load: [10, load],
    fork: [3, forkHeard],
    thread: [4, thread],
    exit: [1, exitProcess],
    dontneed: [4, heard(advise([MADV.DONTNEED, MADV.DONTNEED_LOCKED, MADV.REMOVE]))],
    free: [2, heard(advise([MADV.FREE]))],
    advise: [2, advise([MADV.POPULATE_READ, MADV.POPULATE_WRITE, MADV.GUARD_INSTALL, MADV.GUARD_REMOVE])],
    protect: [4, protect],
    unmap: [4, heard(unmap)],
    remap: [4, heard(remap)],
    replace: [3, heard(replace)],
    minorAndServe: [5, minorAndServe],
    ...MEMORY_STEPS,
  },
};
