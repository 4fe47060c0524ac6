// What no kernel emits: ids and runs so large that a reducer would fill the memory with them, or never end. A log with
// sound CRCs may still be one that somebody made up.
import type { EventType, FieldKind, KernelEvent } from '../events/index.js';
import { SHAPES } from '../events/index.js';
import { InputError, UserError } from '../src/lib/errors.js';
import type { KernelView } from '../reducers/state.js';
import { HPAGE_PMD_NR } from '../reducers/state.js';

/** How far the events of one chunk may reach beyond the ids in use. */
const NEW_IDS_MAX = 1 << 20;
/** How far a frame may lie beyond those there are: the model takes the next one. */
const FRAMES_GAP_MAX = 4096;
/** How far a slot of the swap area may lie beyond those there are. */
const SLOTS_GAP_MAX = 4096;
/** CPUs that Linux supports on x86 (NR_CPUS_RANGE_END). */
const CPUS_MAX = 8192;
/** Pages named by the runs of one chunk: 64 GiB. */
const RUN_PAGES_MAX = 2 ** 24;
/** Pages from which on structural sharing costs more than it saves. */
const WIDE_PAGES = 1 << 16;
/** Page index in a file: 16 TiB. */
const FILE_INDEX_MAX = 2 ** 32;

/** One page behind the last of 57-bit addresses. */
const VPN_MAX = 2 ** 45;

interface Room {
  readonly mms: number;
  readonly anonVmas: number;
  readonly inodes: number;
  readonly files: number;
  readonly slots: number;
  /** Grows with the frames that come. */
  frames: number;
  runPages: number;
}
type Fields = Readonly<Record<string, number | readonly number[]>>;
/** Whether the event keeps to the room that is left. */
type Check = (event: Fields, room: Room) => boolean;

const below =
  (field: string, limit: 'mms' | 'anonVmas' | 'inodes'): Check =>
  (event, room) =>
    isId(event[field]) && (event[field] as number) < room[limit];

/** A slot among those in use, or not far beyond. */
const slot: Check = (event, room) => (event['slot'] as number) < room.slots;

const isId = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;

/** -1 stands for no CPU. */
const cpu =
  (field: string): Check =>
  (event) =>
    (event[field] as number) < CPUS_MAX && (event[field] as number) >= -1;

/** Pages from `field` to `end`, which a reducer walks. */
const walk =
  (field: string, end: string): Check =>
  (event) =>
    isId(event[field]) && (event[end] as number) <= VPN_MAX;

/** [.., n, ..]*: the count stands `at` numbers into each `stride`. */
const runs =
  (field: string, stride: number, at: number): Check =>
  (event, room) => {
    const list = event[field] as readonly number[];
    for (let i = at; i < list.length; i += stride) {
      const n = list[i] as number;
      if (!(n <= room.runPages)) return false;
      if (n > 0) room.runPages -= n;
    }
    return true;
  };

/** The frame that an event allocates. */
const allocates: Check = ({ pfn }, room) => {
  if (!isId(pfn) || (pfn as number) >= room.frames) return false;
  room.frames = Math.max(room.frames, (pfn as number) + 1 + FRAMES_GAP_MAX);
  return true;
};

/** Frames that runs [.., pfn, n] bring. */
const bringsFrames: Check = ({ runs: list }, room) => {
  const numbers = list as readonly number[];
  for (let i = 0; i + 3 <= numbers.length; i += 3) {
    const [pfn, n] = [numbers[i + 1] as number, numbers[i + 2] as number];
    if (!isId(pfn) || pfn >= room.frames) return false;
    room.frames = Math.max(room.frames, pfn + Math.max(n, 0) + FRAMES_GAP_MAX);
  }
  return true;
};

/** The runs in `field` end before `limit`; they begin `from` numbers into each `stride`, with the count last. */
const runsBelow =
  (field: string, stride: number, from: number, limit: (room: Room) => number): Check =>
  (event, room) => {
    const list = event[field] as readonly number[];
    for (let i = 0; i + stride <= list.length; i += stride)
      if (!isId(list[i + from]) || !((list[i + from] as number) + (list[i + stride - 1] as number) <= limit(room)))
        return false;
    return true;
  };

const RUN_KINDS: Partial<Record<FieldKind, readonly [stride: number, at: number]>> = {
  pfnRuns: [2, 1],
  vpnRuns: [2, 1],
  pteRuns3: [3, 2],
  pteRuns4: [4, 2],
  pteRuns5: [5, 2],
  cacheRuns: [3, 2],
};

/** Fields that make the state as wide as they say, and numbers whose kind does not tell that they are runs. */
const WIDENING: Partial<Record<EventType, readonly Check[]>> = {
  MmCreated: [below('mm', 'mms')],
  AnonVmaCreated: [below('anonVma', 'anonVmas')],
  InodeCreated: [below('inode', 'inodes')],
  FdInstalled: [(event, room) => (event['file'] as number) < room.files],
  FolioAllocated: [allocates],
  FolioSwapAllocated: [slot],
  PageTablesFreed: [walk('vpn', 'vpnEnd')],
  PtesMoved: [runs('runs', 2, 1)],
  PageCacheAdded: [bringsFrames, runsBelow('runs', 3, 0, () => FILE_INDEX_MAX)],
  PageCacheRemoved: [runsBelow('runs', 3, 0, () => FILE_INDEX_MAX)],
  PageCacheReclaimed: [runsBelow('runs', 3, 0, () => FILE_INDEX_MAX)],
  ShmemFolioAdded: [runsBelow('runs', 3, 0, () => FILE_INDEX_MAX)],
  LargeFolioCached: [runsBelow('runs', 3, 0, () => FILE_INDEX_MAX)],
  FileCollapsed: [
    ({ index }) => isId(index) && (index as number) + HPAGE_PMD_NR < FILE_INDEX_MAX,
    runsBelow('runs', 3, 0, () => FILE_INDEX_MAX),
  ],
  ShmemPageSwapped: [slot, runsBelow('runs', 3, 0, () => FILE_INDEX_MAX)],
  ShmemPageSwappedIn: [slot, runsBelow('runs', 3, 0, () => FILE_INDEX_MAX)],
  ShmemSwapFreed: [slot, runs('runs', 2, 1), runsBelow('runs', 2, 0, () => FILE_INDEX_MAX)],
  DirectWritten: [({ inode, index }, room) => (inode as number) < room.inodes && (index as number) < FILE_INDEX_MAX],
  PageCacheHolesForgotten: [runs('runs', 2, 1), runsBelow('runs', 2, 0, () => FILE_INDEX_MAX)],
  PageCacheHolesNoted: [runs('runs', 2, 1), runsBelow('runs', 2, 0, () => FILE_INDEX_MAX)],
};

const checks = Object.fromEntries(
  (Object.keys(SHAPES) as EventType[]).map((type) => {
    const ofKinds = Object.entries(SHAPES[type].fields).flatMap(([field, kind]): Check[] => {
      if (kind === 'cpu') return [cpu(field)];
      const run = RUN_KINDS[kind];
      return run === undefined ? [] : [runs(field, ...run)];
    });
    const all = [...ofKinds, ...(WIDENING[type] ?? [])];
    return [type, all.length > 0 ? all : null];
  }),
) as Readonly<Record<EventType, readonly Check[] | null>>;

/**
 * What `apply`, which applies events of the log `file` that stand at byte `offset`, gives. Reducers never throw on what a kernel emitted.
 * @throws InputError if they do.
 */
export function folding<T>(file: string, offset: number, apply: () => T): T {
  try {
    return apply();
  } catch (error) {
    if (error instanceof UserError || !(error instanceof Error)) throw error;
    throw new InputError({ file, offset }, `the events lead nowhere from the state before them: ${error.message}`);
  }
}

/** Why `events`, a chunk of them, cannot be folded onto `state`; null if they can. */
export function unfoldable(state: KernelView, events: readonly KernelEvent[]): string | null {
  return examined(state, events).problem;
}

/** Do `events` name so many pages that applying them to a copy of all is quicker than keeping what they leave alone? */
export const isWide = (state: KernelView, events: readonly KernelEvent[]): boolean =>
  examined(state, events).pages > WIDE_PAGES;

function examined(state: KernelView, events: readonly KernelEvent[]): { problem: string | null; pages: number } {
  const room: Room = {
    mms: state.mms.length + NEW_IDS_MAX,
    anonVmas: state.anonVmas.length + NEW_IDS_MAX,
    inodes: state.inodes.length + NEW_IDS_MAX,
    files: state.positions.length + NEW_IDS_MAX,
    slots: state.swap.length + SLOTS_GAP_MAX,
    frames: state.maxPfn + FRAMES_GAP_MAX,
    runPages: RUN_PAGES_MAX,
  };
  for (const event of events) {
    const ofType = checks[event.type];
    if (ofType === null) continue;
    for (const check of ofType)
      if (!check(event as unknown as Fields, room))
        return { problem: `${event.type} names more than any machine has`, pages: 0 };
  }
  return { problem: null, pages: RUN_PAGES_MAX - room.runPages };
}
