// Simpler forms of one operation, and of a workload as a whole: what a shrinker tries once nothing can be left out.
import { addressesIn, withAddresses } from './addresses.js';
import { childOf } from './dependencies.js';
import type { Operation, Value } from './operation.js';
import { MAP, MREMAP } from './text/constants.js';

const PAGE = 4096;
const GIB = 2 ** 30;
const RO = 1;
const RW = 3;
const PROT_BITS = 7;
const MAP_TYPE = 0xf;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;

/** Where a call has an address and a length that belong together. */
const RANGE: Readonly<Record<string, readonly [number, number]>> = {
  ...{ mmap: [0, 1], munmap: [0, 1], mprotect: [0, 1], madvise: [0, 1], mlock: [0, 1], mlock2: [0, 1] },
  ...{ munlock: [0, 1], msync: [0, 1], mincore: [0, 1], mremap: [0, 1], load: [0, 1], store: [0, 2] },
  ...{ mbind: [0, 1], migrate: [0, 1] },
  ...{ read: [1, 2], write: [1, 2], pread64: [1, 2], pwrite64: [1, 2] },
};
/** Calls that go byte by byte: their lengths and addresses need not be whole pages. */
const BYTEWISE: ReadonlySet<string> = new Set(['load', 'store', 'read', 'write', 'pread64', 'pwrite64']);
/** Other sizes: offsets, lengths of files. */
const SIZES: Readonly<Record<string, readonly number[]>> = {
  mmap: [5],
  mremap: [2],
  ftruncate: [1],
  fallocate: [2, 3],
  pread64: [3],
  pwrite64: [3],
};
/** Bits that may go from a call's flags, one by one, the strangest first. */
const FLAGS: Readonly<Record<string, readonly [at: number, bits: readonly number[]]>> = {
  mmap: [3, Object.values(MAP.values).filter((bit) => bit !== 0x10 && bit !== 0x20)],
  mremap: [3, Object.values(MREMAP.values).toReversed()],
  mlock2: [2, [1]],
  mprotect: [2, [0x01000000, 0x02000000, 8, 0x10]],
};

type Arguments = readonly Value[];

/** Up to here a size may shrink page by page; beyond, a sixteenth is near enough. */
const FEW = 16 * PAGE;

/** Plainer sizes: whole pages (unless `smallest` is one byte), then smaller in ever smaller steps. */
function plainerSizes(value: number, smallest: number): number[] {
  const found: number[] = [];
  if (value > smallest) found.push(smallest);
  for (const step of value <= FEW ? [value / 2, PAGE] : [value / 2, value / 4, value / 16]) {
    const smaller = Math.floor((value - step) / PAGE) * PAGE;
    if (smaller > smallest) found.push(smaller);
  }
  if (value % PAGE !== 0 && smallest !== 1) found.push(Math.ceil(value / PAGE) * PAGE);
  return [...new Set(found)];
}

/** The same call on fewer pages: the first ones, or the last ones. */
function* smallerRanges({ name, args }: Operation): Generator<Arguments> {
  const [at, size] = RANGE[name] ?? [];
  if (at === undefined || size === undefined) return;
  const [addr, length] = [args[at], args[size]];
  const bytewise = BYTEWISE.has(name);
  if (typeof addr === 'number' && addr % PAGE !== 0) yield args.with(at, addr - (addr % PAGE));
  if (typeof length !== 'number') return;
  // Without a length a load or store is of one byte.
  if (name === 'load' || name === 'store') yield args.slice(0, size);
  for (const plainer of plainerSizes(length, bytewise ? 1 : PAGE)) {
    yield args.with(size, plainer);
    const skipped = length - plainer;
    if (typeof addr === 'number' && skipped > 0 && skipped % PAGE === 0)
      yield args.with(size, plainer).with(at, addr + skipped);
    // A move that keeps the size stays one.
    if (name === 'mremap' && args[2] === length) yield args.with(size, plainer).with(2, plainer);
  }
}

function* simplerFlags({ name, args }: Operation): Generator<Arguments> {
  const [at, bits] = FLAGS[name] ?? [];
  if (at === undefined || bits === undefined) return;
  const flags = args[at];
  if (typeof flags !== 'number') return;
  for (const bit of bits) if ((flags & bit) === bit && flags !== bit) yield args.with(at, flags - bit);
  if (name === 'mlock2' && flags === 1) yield args.with(at, 0);
  // Nothing reads where a move that is not to a fixed place would go.
  if (name === 'mremap' && (flags & (MREMAP.values['MREMAP_FIXED'] ?? 0)) === 0 && args.length > 4)
    yield args.slice(0, 4);
  if (name !== 'mmap') return;
  const type = flags & MAP_TYPE;
  const anonymous = MAP.values['MAP_ANONYMOUS'] ?? 0;
  if ((flags & anonymous) === 0) yield [...args.slice(0, 3), flags | anonymous, -1, 0];
  if (type > MAP_PRIVATE) yield args.with(at, flags - type + MAP_SHARED);
  if (type !== MAP_PRIVATE) yield args.with(at, flags - type + MAP_PRIVATE);
}

function* simplerProtection({ name, args }: Operation): Generator<Arguments> {
  const prot = args[2];
  if ((name !== 'mmap' && name !== 'mprotect') || typeof prot !== 'number') return;
  if (name === 'mmap' && prot !== RW) yield args.with(2, RW);
  if (name === 'mprotect' && (prot & ~PROT_BITS) === 0 && prot !== RW && prot !== RO) {
    yield args.with(2, RO);
    yield args.with(2, RW);
  }
}

/** Every operation a little simpler than `operation`, the most different first. None leads back to one it came from. */
export function* simplerOperations(operation: Operation): Generator<Operation> {
  const { name, args } = operation;
  const withArguments = (changed: Arguments): Operation => ({ ...operation, args: changed });
  for (const changed of smallerRanges(operation)) yield withArguments(changed);
  for (const at of SIZES[name] ?? []) {
    const value = args[at];
    if (typeof value !== 'number') continue;
    const smallest = (name === 'fallocate' && at === 3) || name === 'mremap' ? PAGE : 0;
    for (const plainer of plainerSizes(value, smallest)) yield withArguments(args.with(at, plainer));
  }
  for (const changed of simplerFlags(operation)) yield withArguments(changed);
  for (const changed of simplerProtection(operation)) yield withArguments(changed);
  if (name === 'store' && args[1] !== 1) yield withArguments(args.with(1, 1));
  if (name === 'mlock2' && args[2] === 0) yield { ...operation, name: 'mlock', args: args.slice(0, 2) };
}

const LEAVING: ReadonlySet<string> = new Set(['exit', 'exit_group']);

/** For each task but the first: what it does is done by its parent, and it never exists. Last ones first. */
export function* fewerTasks(operations: readonly Operation[]): Generator<readonly Operation[]> {
  for (const maker of operations.toReversed()) {
    const child = childOf(maker);
    if (child === null || maker.pid === null) continue;
    yield operations.flatMap((operation) => {
      const { pid, name, args } = operation;
      if (operation === maker || (pid === child && LEAVING.has(name))) return [];
      if (name === 'wait4' && args[0] === child) return [];
      return [pid === child ? { ...operation, pid: maker.pid } : operation];
    });
  }
}

/** Tasks numbered in the order in which they come into being, from 1. */
export function numberTasks(operations: readonly Operation[]): readonly Operation[] {
  const numbers = new Map<number, number>();
  const fresh = (pid: number): number => {
    numbers.set(pid, ++last);
    return last;
  };
  let last = 0;
  return operations.map((operation) => {
    const { name, args } = operation;
    const pid = operation.pid === null ? null : (numbers.get(operation.pid) ?? fresh(operation.pid));
    const child = childOf(operation);
    // A number used again is another task.
    if (child !== null) return { ...operation, pid, result: { kind: 'value', value: fresh(child) } };
    const waited = name === 'wait4' ? args[0] : undefined;
    const number = typeof waited === 'number' ? numbers.get(waited) : undefined;
    return { ...operation, pid, args: number === undefined ? args : args.with(0, number) };
  });
}

/** Pages that lie further apart than this belong to different stretches. */
const STRETCH_GAP = 16 * PAGE;
/** Where moved stretches begin: far enough apart that they do not meet when they grow. */
const STRIDE = 0x100000;

/** Stretches of addresses: [first, last] page of each, ascending. */
function stretches(operations: readonly Operation[]): [number, number][] {
  const pages = addressesIn(operations).map((addr) => addr - (addr % PAGE));
  const found: [number, number][] = [];
  for (const page of [...new Set(pages)].toSorted((a, b) => a - b)) {
    const last = found.at(-1);
    if (last !== undefined && page - last[1] <= STRETCH_GAP) last[1] = page;
    else found.push([page, page]);
  }
  return found;
}

/** All stretches of addresses moved to round places close to each other, then each of them alone. */
export function* roundAddresses(operations: readonly Operation[]): Generator<readonly Operation[]> {
  const found = stretches(operations);
  const [lowest] = found;
  if (lowest === undefined) return;
  const base = Math.max(GIB, lowest[0] - (lowest[0] % GIB));
  const moves = found.map(([first, last], i) => ({ first, last, by: base + i * STRIDE - first }));
  for (const chosen of [moves, ...moves.map((each) => [each])]) {
    if (chosen.every(({ by }) => by === 0)) continue;
    yield withAddresses(operations, (addr) => {
      const move = chosen.find(({ first, last }) => first <= addr && addr < last + PAGE);
      return addr + (move?.by ?? 0);
    });
  }
}
