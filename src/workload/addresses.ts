// Addresses in operations: where they stand, moved as a whole, and as names of the mappings that they lie in.
import type { Operation, Value } from './operation.js';
import { argumentKind } from './text/arguments.js';
import { CONSTANTS, MAP, SHORT_FORMS } from './text/constants.js';

const PAGE = 4096;
/** End of user addresses. */
const TASK_SIZE = 2 ** 47 - PAGE;
/** Below this no mapping can be: vm.mmap_min_addr. */
const LOWEST = 0x10000;
const BUFFER_CALLS: ReadonlySet<string> = new Set(['read', 'write', 'pread64', 'pwrite64']);

const flag = (name: string): number => MAP.values[name] ?? 0;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_TYPE = 0xf;
const MAP_FIXED = flag('MAP_FIXED');
const MAP_ANONYMOUS = flag('MAP_ANONYMOUS');
const MAP_HUGETLB = flag('MAP_HUGETLB');
const MFD_HUGETLB = 4;
/** With these and no others anonymous memory at a fixed place is never refused. */
const HARMLESS = MAP_FIXED | MAP_ANONYMOUS | flag('MAP_NORESERVE') | flag('MAP_POPULATE') | flag('MAP_STACK');

const isAddressArgument = (name: string, index: number): boolean =>
  argumentKind(name, index) === 'address' || (BUFFER_CALLS.has(name) && index === 1);
const isPlausible = (value: Value | undefined): value is number =>
  typeof value === 'number' && value >= LOWEST && value < TASK_SIZE;

/** The addresses of all operations that a mapping could have, in order of appearance. */
export const addressesIn = (operations: readonly Operation[]): readonly number[] =>
  operations.flatMap(({ name, args }) =>
    args.flatMap((value, i) => (isAddressArgument(name, i) && isPlausible(value) ? [value] : [])),
  );

/** Operations with every address that a mapping could have replaced. */
export const withAddresses = (
  operations: readonly Operation[],
  replace: (addr: number, index: number) => Value,
): readonly Operation[] =>
  operations.map((operation, index) => {
    const args = operation.args.map((value, i) =>
      isAddressArgument(operation.name, i) && isPlausible(value) ? replace(value, index) : value,
    );
    return args.every((value, i) => value === operation.args[i]) ? operation : { ...operation, args };
  });

/** Where an mmap puts its memory, if that is certain from the line alone; else null. */
function certainAddress({ name, args }: Operation): number | null {
  const [addr, length, , flags, , offset = 0] = args;
  if (name !== 'mmap' || typeof addr !== 'number' || typeof length !== 'number' || typeof flags !== 'number')
    return null;
  const type = flags & MAP_TYPE;
  const sound = (type === MAP_PRIVATE || type === MAP_SHARED) && offset === 0 && addr % PAGE === 0;
  const fixed = (flags & (MAP_FIXED | MAP_ANONYMOUS)) === (MAP_FIXED | MAP_ANONYMOUS);
  if (!sound || !fixed || (flags & ~(HARMLESS | MAP_TYPE)) !== 0) return null;
  return addr >= LOWEST && length > 0 && length <= 2 ** 30 && addr + length <= TASK_SIZE ? addr : null;
}

/** May there be mappings of the hugetlb pool from here on? */
function asksForHugePages({ name, args }: Operation): boolean {
  const [, second, , fourth] = args;
  if (name === 'mmap') return typeof fourth === 'number' && (fourth & MAP_HUGETLB) !== 0;
  return name === 'memfd_create' && typeof second === 'number' && (second & MFD_HUGETLB) !== 0;
}

/** Bytes that an mmap or mremap results in. */
function mappedLength({ name, args }: Operation): number {
  const length = args[name === 'mremap' ? 2 : 1];
  return typeof length === 'number' ? Math.ceil(length / PAGE) * PAGE : 0;
}

/** A, B, ... Z, A2, ...: what the language has no other meaning for, and `taken` does not hold. */
function* freshNames(taken: ReadonlySet<string>): Generator<string> {
  for (let round = 1; ; round++)
    for (const letter of 'ABCDEFGIJKLMNOQSTVYZ') {
      const name = round === 1 ? letter : `${letter}${round}`;
      if (!taken.has(name) && !CONSTANTS.has(name) && !SHORT_FORMS.has(name)) yield name;
    }
}

/** A mapping that may get a name. */
interface Place {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/**
 * The same workload with addresses told from the mappings they lie in: `mmap(...) = A`, then `A+0x1000`. Only where that means exactly
 * the same: the result must be certain (memory at a fixed place that cannot be refused) or told by `returned`, the address that mmap or
 * mremap at an index gave wherever the workload runs. Results that the workload expects are left as they are.
 */
export function nameAddresses(
  operations: readonly Operation[],
  returned: (index: number) => number | null = () => null,
): readonly Operation[] {
  const places: Place[] = [];
  const uses = new Set<Place>();
  const before: (readonly Place[])[] = [];
  // What is sealed refuses even fixed mappings, and so does a huge page that would be cut.
  let refused = false;
  operations.forEach((operation, index) => {
    before.push([...places]);
    refused ||= operation.name === 'mseal' || asksForHugePages(operation);
    if (operation.result.kind !== 'none' || (operation.name !== 'mmap' && operation.name !== 'mremap')) return;
    const start = (refused ? null : certainAddress(operation)) ?? returned(index);
    if (start !== null) places.push({ index, start, end: start + mappedLength(operation) });
  });
  const placeOf = (addr: number, index: number): Place | undefined =>
    before[index]?.findLast(({ start, end }) => start <= addr && addr < end);
  withAddresses(operations, (addr, index) => {
    const place = placeOf(addr, index);
    if (place !== undefined) uses.add(place);
    return addr;
  });
  const taken = new Set(operations.flatMap(({ result }) => (result.kind === 'bind' ? result.names : [])));
  const fresh = freshNames(taken);
  const names = new Map(places.filter((each) => uses.has(each)).map((each) => [each, fresh.next().value as string]));
  const byIndex = new Map([...names].map(([{ index }, name]) => [index, name]));
  return withAddresses(operations, (addr, index) => {
    const place = placeOf(addr, index);
    const ref = place === undefined ? undefined : names.get(place);
    return place === undefined || ref === undefined ? addr : { ref, add: addr - place.start };
  }).map((operation, index) => {
    const name = byIndex.get(index);
    return name === undefined ? operation : { ...operation, result: { kind: 'bind', names: [name] } };
  });
}

/**
 * The workload with its fixed mappings left to the kernel to place, and addresses told from their names: reads best, but is another
 * workload. Null if there is no such mapping.
 */
export function floatMappings(operations: readonly Operation[]): readonly Operation[] | null {
  const named = nameAddresses(operations);
  const floated = named.map((operation) => {
    const { name, args, result } = operation;
    const [addr, , , flags] = args;
    if (name !== 'mmap' || result.kind !== 'bind' || typeof addr !== 'number' || typeof flags !== 'number')
      return operation;
    return { ...operation, args: args.with(0, null).with(3, flags & ~MAP_FIXED) };
  });
  return floated.every((each, i) => each === named[i]) ? null : floated;
}
