// A recording's operations as a hand-written workload says them: what was told as a result is said as an argument instead.
import type { Operation, Value } from './operation.js';
import { NO_RESULT } from './operation.js';
import { isForkCall } from './text/calls.js';
import { CLONE, MAP, MREMAP } from './text/constants.js';

const bit = (values: Readonly<Record<string, number>>, name: string): number => values[name] ?? 0;
const MAP_FIXED = bit(MAP.values, 'MAP_FIXED');
const NOREPLACE = bit(MAP.values, 'MAP_FIXED_NOREPLACE');
const MREMAP_MAYMOVE = bit(MREMAP.values, 'MREMAP_MAYMOVE');
const MREMAP_FIXED = bit(MREMAP.values, 'MREMAP_FIXED');
const CLONE_VM = bit(CLONE.values, 'CLONE_VM');

/** The address that a recorded call resulted in; null for none. */
function toldAddress({ result }: Operation): number | null {
  return result.kind === 'value' && typeof result.value === 'number' && result.value > 0 ? result.value : null;
}

/** mmap to where it went. */
function placedMmap(operation: Operation, at: number): Operation {
  const { args } = operation;
  const flags = typeof args[3] === 'number' ? args[3] : 0;
  const fixed = flags - (flags & (MAP_FIXED | NOREPLACE)) + MAP_FIXED;
  return { ...operation, args: args.with(0, at).with(3, fixed), result: NO_RESULT };
}

/** mremap to where it went; one that stayed needs no word about it. */
function placedMremap(operation: Operation, at: number): Operation {
  const [from = null, oldLength = null, newLength = null, told = 0] = operation.args;
  const flags = typeof told === 'number' ? told : 0;
  if (at === from) return { ...operation, result: NO_RESULT };
  const args: Value[] = [from, oldLength, newLength, flags | MREMAP_MAYMOVE | MREMAP_FIXED, at];
  return { ...operation, args, result: NO_RESULT };
}

/** An exception as the access that raises it. */
function access(operation: Operation): Operation {
  const [addr = null, kind = null] = operation.args;
  const how = typeof kind === 'object' && kind !== null && 'word' in kind ? kind.word : '';
  switch (how) {
    case 'W':
      return { ...operation, name: 'store', args: [addr, 1], result: NO_RESULT };
    case 'R':
      return { ...operation, name: 'load', args: [addr], result: NO_RESULT };
    case 'X':
      return { ...operation, name: 'fetch', args: [addr], result: NO_RESULT };
    default:
      return { ...operation, result: NO_RESULT };
  }
}

/** How fork, exit and wait are told in steps by recordings, as the calls that they were. */
function process(operation: Operation): Operation | null {
  const { name, args } = operation;
  const [first = null, second = null] = args;
  switch (name) {
    case 'new_task': {
      const flags = typeof second === 'number' ? second : 0;
      return (flags & CLONE_VM) === 0 ? { ...operation, name: 'fork', args: [] } : operation;
    }
    case 'exit_mm':
      return { ...operation, name: 'exit_group', args: [0] };
    case 'tlb_finish_mmu':
      return null;
    case 'reap':
      return { ...operation, name: 'wait4', args: [first, null, 0, null] };
    default:
      return operation;
  }
}

/** Mappings go where they were seen to go, and nothing else is expected. */
function placed(operation: Operation): Operation {
  const { name } = operation;
  const at = toldAddress(operation);
  if (name === 'mmap' && at !== null) return placedMmap(operation, at);
  if (name === 'mremap' && at !== null) return placedMremap(operation, at);
  if (isForkCall(name) || name === 'new_task') return operation;
  return { ...operation, result: NO_RESULT };
}

/**
 * `operations` of a recording as hand-written workloads, the plainest first. They are other workloads: whether one still shows what the
 * recording shows must be tried.
 */
export function* handWritten(operations: readonly Operation[]): Generator<readonly Operation[]> {
  const settled = operations.map(placed);
  const calls = settled.flatMap((operation) => process(operation) ?? []);
  yield calls.map((operation) => (operation.name === 'fault' ? access(operation) : operation));
  yield calls;
  yield settled;
}
