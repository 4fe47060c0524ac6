// Random workloads over a handful of pages: valid calls, senseless calls, several processes, files and shared memory.
import fc from 'fast-check';
import type { Operation, Value } from '../../src/workload/operation.js';
import { NO_RESULT } from '../../src/workload/operation.js';

/** First of the pages that workloads work on. Six pages before the end of a page table, so that ranges cross tables. */
export const ARENA = 0x10000000000 + 2 * 1024 * 1024 - 6 * 4096;
/** Pages from ARENA on that calls name. */
export const ARENA_PAGES = 14;
/** Descriptors that every workload opens first. */
export const FILE_FD = 3;
export const MEMFD_FD = 4;
export const READ_ONLY_FD = 5;
/** Bytes of the file: seven pages, the last one partly. */
export const FILE_BYTES = 6 * 4096 + 100;
export const MEMFD_BYTES = 4 * 4096;
export const FILE_NAME = '/data';
const OTHER_FILE_NAME = '/other';

const PAGE = 4096;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;

/** One random choice; `who` picks among the processes alive when its turn comes. */
export interface Step {
  readonly who: number;
  readonly name: string;
  readonly args: readonly number[];
}

/** Some pages more often, so that calls meet; the fourth to the seventh stand on both sides of a table's end. */
const page = fc.oneof(fc.integer({ min: 4, max: 7 }), fc.integer({ min: 0, max: ARENA_PAGES - 1 }));
const addr = page.map((n) => ARENA + n * PAGE);
/** Now and then unaligned. */
const anyAddr = fc.oneof({ weight: 30, arbitrary: addr }, { weight: 1, arbitrary: addr.map((a) => a + 8) });
const someBytes = fc.integer({ min: 1, max: 6 }).map((n) => n * PAGE);
/** Now and then senseless, but never so much that faulting it in would take for ever. */
const modestBytes = fc.oneof(
  { weight: 30, arbitrary: someBytes },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, PAGE + 1) },
);
/** For calls that fault nothing in. */
const bytes = fc.oneof(
  { weight: 30, arbitrary: modestBytes },
  { weight: 1, arbitrary: fc.constantFrom(2 ** 40, 2 ** 47, 2 ** 63) },
);
const prot = fc.oneof(
  { weight: 6, arbitrary: fc.constant(3) },
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 1, 5, 2, 4, 7) },
);
const who = fc.nat({ max: 11 });

const step = (name: string, ...args: fc.Arbitrary<number>[]): fc.Arbitrary<Step> =>
  fc.record({ who, name: fc.constant(name), args: fc.tuple(...args) });

const anonymousFlags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(MAP_PRIVATE) },
  { weight: 2, arbitrary: fc.constant(MAP_SHARED) },
);
const mmapExtra = fc.oneof(
  { weight: 20, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.constantFrom(0x8000, 0x2000, 0x4000, 0x100000) },
);

/** Operations that programs do on purpose. */
const memorySteps: fc.WeightedArbitrary<Step>[] = [
  {
    weight: 8,
    arbitrary: fc
      .tuple(anonymousFlags, mmapExtra)
      .chain(([type, extra]) =>
        step(
          'mmap',
          anyAddr,
          extra === 0 ? bytes : modestBytes,
          prot,
          fc.constant(type | extra | MAP_FIXED | MAP_ANONYMOUS),
          fc.constant(-1),
          fc.constant(0),
        ),
      ),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(fc.constantFrom(MAP_PRIVATE, MAP_SHARED), mmapExtra).chain(([type, extra]) =>
      step(
        'mmap',
        addr,
        someBytes,
        prot,
        fc.constant(type | extra | MAP_FIXED),
        fc.constantFrom(FILE_FD, MEMFD_FD, MEMFD_FD, READ_ONLY_FD),
        fc.integer({ min: 0, max: 3 }).map((n) => n * PAGE),
      ),
    ),
  },
  // A mapping that grows down, with room below.
  {
    weight: 1,
    arbitrary: step(
      'mmap',
      addr,
      someBytes,
      prot,
      fc.constant(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | 0x100),
      fc.constant(-1),
      fc.constant(0),
    ),
  },
  {
    weight: 1,
    arbitrary: step(
      'store',
      fc.constantFrom(3, 200, 300, 500).map((n) => ARENA - n * PAGE),
      fc.constant(1),
    ),
  },
  {
    weight: 1,
    arbitrary: step(
      'munmap',
      fc.constantFrom(3, 200, 300, 500).map((n) => ARENA - n * PAGE),
      someBytes,
    ),
  },
  { weight: 4, arbitrary: step('munmap', anyAddr, bytes) },
  { weight: 6, arbitrary: step('mprotect', anyAddr, bytes, prot) },
  {
    weight: 4,
    arbitrary: step('mremap', addr, modestBytes, modestBytes, fc.constantFrom(0, 0, 3, 3, 3, 7, 2, 4, 8), anyAddr),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(someBytes, fc.constantFrom(3, 7))
      .chain(([length, flags]) =>
        step('mremap', addr, fc.constant(length), fc.constant(length), fc.constant(flags), addr),
      ),
  },
  {
    weight: 8,
    arbitrary: step(
      'madvise',
      anyAddr,
      modestBytes,
      // In Linux's numbers: DONTNEED 4, FREE 8, DONTFORK 10, DOFORK 11, WIPEONFORK 18, KEEPONFORK 19, POPULATE_* 22 and 23.
      fc.constantFrom(4, 4, 4, 8, 8, 10, 11, 18, 18, 19, 22, 23, 23, 24, 0, 1, 2, 3, 16, 17, 5, 77),
    ),
  },
  { weight: 2, arbitrary: step('mlock', anyAddr, modestBytes) },
  { weight: 1, arbitrary: step('mlock2', addr, someBytes, fc.constantFrom(0, 1, 1, 2)) },
  { weight: 2, arbitrary: step('munlock', anyAddr, modestBytes) },
  {
    weight: 3,
    arbitrary: step('mprotect', addr, someBytes, fc.constantFrom(0x1000001, 0x1000003, 0x2000003, 0x8, 0x10)),
  },
  { weight: 1, arbitrary: step('msync', anyAddr, bytes, fc.constantFrom(0, 1, 2, 4, 5, 8)) },
  { weight: 1, arbitrary: step('mincore', anyAddr, bytes) },
  {
    weight: 1,
    arbitrary: step(
      'ftruncate',
      fc.constant(MEMFD_FD),
      fc.integer({ min: 0, max: 5 }).map((n) => n * PAGE + (n % 2) * 50),
    ),
  },
  {
    weight: 1,
    arbitrary: step(
      'ftruncate',
      fc.constant(FILE_FD),
      fc.integer({ min: 1, max: 6 }).map((n) => n * PAGE + 50),
    ),
  },
  { weight: 4, arbitrary: step('fork') },
  { weight: 4, arbitrary: step('exit') },
  {
    weight: 20,
    arbitrary: step(
      'store',
      addr.chain((a) => fc.constantFrom(a, a + 16, a + 4095)),
      fc.integer({ min: 1, max: 255 }),
    ),
  },
  {
    weight: 12,
    arbitrary: step(
      'load',
      addr.chain((a) => fc.constantFrom(a, a + 16, a + 4095)),
    ),
  },
];

/** Three blocks of 2 MiB, each of which a huge entry can map. */
const BLOCKS = 0x10040000000;
const BLOCK = 2 * 1024 * 1024;
const block = fc.nat({ max: 2 }).map((n) => BLOCKS + n * BLOCK);
const blocks = fc.integer({ min: 1, max: 2 }).map((n) => n * BLOCK);
/** The same few pages of each block, so that calls meet. */
const pageOfBlock = fc.tuple(block, fc.constantFrom(0, 0, 1, 2, 255, 510, 511)).map(([start, n]) => start + n * PAGE);

/** Operations on huge pages, and on parts of them. Nothing that reclaims: huge pages are not swapped. */
const hugeSteps: fc.WeightedArbitrary<Step>[] = [
  {
    weight: 3,
    arbitrary: step(
      'mmap',
      fc.oneof({ weight: 6, arbitrary: block }, { weight: 1, arbitrary: pageOfBlock }),
      blocks,
      prot,
      fc.constant(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS),
      fc.constant(-1),
      fc.constant(0),
    ),
  },
  // HUGEPAGE more often than NOHUGEPAGE.
  { weight: 4, arbitrary: step('madvise', block, blocks, fc.constantFrom(14, 14, 14, 14, 15)) },
  { weight: 6, arbitrary: step('store', pageOfBlock, fc.integer({ min: 1, max: 255 })) },
  { weight: 4, arbitrary: step('load', pageOfBlock) },
  { weight: 2, arbitrary: step('madvise', block, blocks, fc.constantFrom(4, 10, 11, 18, 19, 22, 23)) },
  { weight: 2, arbitrary: step('madvise', pageOfBlock, someBytes, fc.constantFrom(4, 4, 10, 18, 22, 23)) },
  { weight: 1, arbitrary: step('munmap', block, blocks) },
  { weight: 1, arbitrary: step('munmap', pageOfBlock, someBytes) },
  { weight: 2, arbitrary: step('mprotect', block, blocks, prot) },
  { weight: 1, arbitrary: step('mprotect', pageOfBlock, someBytes, prot) },
  { weight: 1, arbitrary: step('mremap', block, blocks, blocks, fc.constantFrom(3, 3, 7), block) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(someBytes, fc.constantFrom(3, 7))
      .chain(([length, flags]) =>
        step('mremap', pageOfBlock, fc.constant(length), fc.constant(length), fc.constant(flags), pageOfBlock),
      ),
  },
  { weight: 1, arbitrary: step('mlock', pageOfBlock, fc.oneof(someBytes, blocks)) },
  { weight: 1, arbitrary: step('munlock', pageOfBlock, fc.oneof(someBytes, blocks)) },
];

/** A block of memory that asks for a huge page, and gets one. */
const hugePage: fc.Arbitrary<Step[]> = fc.record({ who, start: block }).map(({ who: picked, start }) => [
  { who: picked, name: 'mmap', args: [start, BLOCK, 3, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0] },
  { who: picked, name: 'madvise', args: [start, BLOCK, 14] },
  { who: picked, name: 'store', args: [start + 16, 77] },
]);

/** Memory for a few large folios of 16 or 64 KiB, one of which is there. */
const sizedFolios: fc.Arbitrary<Step[]> = fc
  .record({ who, start: pageOfBlock, pages: fc.constantFrom(4, 8, 16, 20) })
  .map(({ who: picked, start, pages }) => [
    { who: picked, name: 'mmap', args: [start, pages * PAGE, 3, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0] },
    { who: picked, name: 'madvise', args: [start, pages * PAGE, 14] },
    { who: picked, name: 'store', args: [start + (pages - 2) * PAGE, 78] },
  ]);

/** Steps of a random workload. */
export const arbitrarySteps = (maxLength = 40): fc.Arbitrary<Step[]> =>
  fc
    .array(
      fc.oneof(
        { weight: 120, arbitrary: fc.oneof(...memorySteps, ...hugeSteps).map((one) => [one]) },
        { weight: 5, arbitrary: hugePage },
        { weight: 5, arbitrary: sizedFolios },
      ),
      { minLength: 1, maxLength, size: 'max' },
    )
    .map((steps) => steps.flat());

const PROCESSES_MAX = 4;

/** Asks for large folios of two sizes. Opens a file, a memfd, and another file read only. */
export function prologue(): Operation[] {
  const at = (pid: number | null, name: string, ...args: Value[]): Operation => ({
    line: 0,
    pid,
    name,
    args,
    result: NO_RESULT,
  });
  return [
    ...[16, 64].map((size) =>
      at(null, 'sysfs', { text: `transparent_hugepage/hugepages-${size}kB/enabled` }, { text: 'madvise' }),
    ),
    at(1, 'munmap', ARENA, PAGE),
    at(null, 'inode', { text: FILE_NAME }, 0, FILE_BYTES, 1),
    at(null, 'inode', { text: OTHER_FILE_NAME }, 0, FILE_BYTES, 1),
    at(1, 'openat', -100, { text: FILE_NAME }, 2),
    at(1, 'memfd_create', { text: 'm' }, 0),
    at(1, 'openat', -100, { text: OTHER_FILE_NAME }, 0),
    at(1, 'ftruncate', MEMFD_FD, MEMFD_BYTES),
  ];
}

/** The steps as operations of processes that are alive. The first process never exits; a file is never made larger. */
export function operationsOf(steps: readonly Step[]): Operation[] {
  const living = [1];
  let lastPid = 1;
  let fileBytes = FILE_BYTES;
  const operations: Operation[] = [];
  steps.forEach(({ who: pick, name, args }, i) => {
    const pid = living[pick % living.length] as number;
    const line = i + 1;
    if (name === 'exit') {
      if (pid === 1) return;
      living.splice(living.indexOf(pid), 1);
      operations.push({ line, pid, name: 'exit_group', args: [0], result: NO_RESULT });
      return;
    }
    if (name === 'fork') {
      if (living.length >= PROCESSES_MAX) return;
      lastPid++;
      living.push(lastPid);
      operations.push({ line, pid, name, args: [], result: { kind: 'value', value: lastPid } });
      return;
    }
    if (name === 'ftruncate' && args[0] === FILE_FD) {
      const wanted = args[1] as number;
      if (wanted > fileBytes) return;
      fileBytes = wanted;
    }
    // As parsers have them: numbers that a double cannot hold are bigints.
    const exact = args.map((arg) => (Number.isSafeInteger(arg) ? arg : BigInt(arg)));
    operations.push({ line, pid, name, args: exact, result: NO_RESULT });
  });
  return operations;
}
