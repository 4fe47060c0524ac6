// Events made up from the catalogue, for properties that hold for all of them.
import fc from 'fast-check';
import type { EventType, FieldKind, KernelEvent } from '../../events/index.js';
import { SHAPES } from '../../events/index.js';

type Kinds = Readonly<Record<FieldKind, fc.Arbitrary<number | string | readonly number[]>>>;

/** Every event type, in the catalogue's order. */
export const EVENT_TYPES = Object.keys(SHAPES) as EventType[];

function eventOf(type: EventType, kinds: Kinds): fc.Arbitrary<KernelEvent> {
  const fields = Object.entries(SHAPES[type].fields).map(([name, kind]) => [name, kinds[kind]] as const);
  return fc.record({ type: fc.constant(type), ...Object.fromEntries(fields) }) as unknown as fc.Arbitrary<KernelEvent>;
}

const anyOf = (kinds: Kinds, types: readonly EventType[]): fc.Arbitrary<KernelEvent> =>
  fc.oneof(...types.map((type) => eventOf(type, kinds)));

/** Lists of runs; `places` says what stands at each place of one run. */
const runsOf = (...places: fc.Arbitrary<number>[]): fc.Arbitrary<readonly number[]> =>
  fc.array(fc.tuple(...places), { maxLength: 4 }).map((runs) => runs.flat());

const anyNumber = fc.oneof(
  fc.integer({ min: -3, max: 300 }),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.maxSafeInteger(),
  fc.constantFrom(
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    2 ** 52,
    -(2 ** 52),
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 32,
  ),
);
/** Lists need not be whole runs: the codec keeps any list. */
const anyList = fc.array(anyNumber, { maxLength: 12 });

const ANYTHING: Kinds = {
  int: anyNumber,
  mm: anyNumber,
  tid: anyNumber,
  vpn: anyNumber,
  pfn: anyNumber,
  inode: anyNumber,
  anonVma: anyNumber,
  addr: anyNumber,
  cpu: anyNumber,
  pfnRuns: anyList,
  vpnRuns: anyList,
  pteRuns3: anyList,
  pteRuns4: anyList,
  pteRuns5: anyList,
  cacheRuns: anyList,
  ints: anyList,
  text: fc.string({ unit: 'grapheme', maxLength: 12 }),
};

const id = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });
const vpn = fc.constantFrom(0x7f1200000, 0x7f12001ff, 0x400, 0).chain((base) => id(520).map((n) => base + n));
const pfn = id(600);
const n = fc.integer({ min: 0, max: 20 });
const flags = id(1023);
const small = fc.integer({ min: -3, max: 9 });

const FOLDABLE: Kinds = {
  int: small,
  mm: id(3),
  tid: id(4),
  vpn,
  pfn,
  inode: id(3),
  anonVma: id(4),
  addr: vpn.map((page) => page * 4096),
  cpu: fc.integer({ min: -1, max: 2 }),
  pfnRuns: runsOf(pfn, n),
  vpnRuns: runsOf(vpn, n),
  pteRuns3: runsOf(vpn, pfn, n),
  pteRuns4: runsOf(vpn, pfn, n, flags),
  pteRuns5: runsOf(vpn, pfn, n, flags, flags),
  cacheRuns: runsOf(id(1030), pfn, n),
  ints: runsOf(id(1030), n),
  text: fc.constantFrom('', '/lib/libc.so', 'memfd:é'),
};

/** Any event of the catalogue with any numbers, impossible ones as well. For codecs: reducers would fill the memory. */
export const arbitraryEvent = (types: readonly EventType[] = EVENT_TYPES): fc.Arbitrary<KernelEvent> =>
  anyOf(ANYTHING, types);

/** A page of a file before its first one is what a log is refused for. */
const isPlace = (event: KernelEvent): boolean => event.type !== 'FileCollapsed' || event.index >= 0;

/** Any events of the catalogue over few tasks, address spaces and frames: no kernel emits them in that order, reducers take them. */
export function foldableEvents(maxLength = 60, types: readonly EventType[] = EVENT_TYPES): fc.Arbitrary<KernelEvent[]> {
  // Most events say nothing before somebody to say it of is there.
  const beginnings: KernelEvent[] = [
    {
      type: 'MmCreated',
      mm: 1,
      parent: 0,
      mmapBase: 0x7f1300000000,
      startBrk: 0,
      brk: 0,
      defFlags: 0,
      foreignLayout: 0,
    },
    {
      type: 'MmCreated',
      mm: 2,
      parent: 1,
      mmapBase: 0x7f1300000000,
      startBrk: 0,
      brk: 0,
      defFlags: 0,
      foreignLayout: 0,
    },
    { type: 'TaskCreated', tid: 1, tgid: 1, parent: 0, mm: 1, cpu: 0 },
    { type: 'InodeCreated', inode: 1, name: 'a', kind: 0, size: 8192, resident: 0 },
    { type: 'AnonVmaCreated', anonVma: 1, root: 1, parent: 1 },
    { type: 'FolioAllocated', pfn: 300 },
  ];
  return fc
    .tuple(fc.boolean(), fc.array(anyOf(FOLDABLE, types), { maxLength, size: 'max' }))
    .map(([begun, events]) => [...(begun ? beginnings : []), ...events.filter(isPlace)]);
}
