// Which operations of a workload need which: what is left of it when some go, with descriptors renumbered as the rest opens them.
import type { NameRef, Operation, Value } from './operation.js';
import { isNameRef, isStruct, isText } from './operation.js';
import { isForkCall } from './text/calls.js';
import { CLONE, MAP } from './text/constants.js';

const CLONE_FILES = CLONE.values['CLONE_FILES'] ?? 0;
const MAP_ANONYMOUS = MAP.values['MAP_ANONYMOUS'] ?? 0;
const F_DUPFD: ReadonlySet<Value> = new Set([0, 1030]);
/** The lowest descriptor that calls give away: three are the terminal's. */
const FIRST_FD = 3;

/** Calls that result in a new descriptor. */
const OPENING: ReadonlySet<string> = new Set([
  ...['open', 'openat', 'openat2', 'creat', 'memfd_create', 'userfaultfd', 'io_uring_setup', 'pipe', 'pipe2'],
]);
/** The writing end of a pipe, told from the reading end: what makes it is half an operation on. */
const WRITING_END = 0.5;
const DUPLICATING: ReadonlySet<string> = new Set(['dup', 'dup2', 'dup3', 'fcntl']);
/** Where a call has its descriptor. */
const FD_ARGUMENT: Readonly<Record<string, number>> = {
  ...{ mmap: 4, close: 0, dup: 0, dup2: 0, dup3: 0, fcntl: 0, ftruncate: 0, fallocate: 0, ioctl: 0, lseek: 0 },
  ...{ read: 0, write: 0, pread64: 0, pwrite64: 0, readv: 0, writev: 0, vmsplice: 0, io_uring_register: 0 },
  ...{ io_uring_read_fixed: 0, io_uring_write_fixed: 0 },
};
/** Where a call has the name of a file. */
const PATH_ARGUMENT: Readonly<Record<string, number>> = {
  ...{ open: 0, creat: 0, openat: 1, inode_size: 0, cache_holes: 0, cache_add: 0, cache_remove: 0 },
};

/** Argument of a call that is a number of a descriptor, or -1 if it has none. */
function fdArgument({ name, args }: Operation): number {
  const at = Object.hasOwn(FD_ARGUMENT, name) ? (FD_ARGUMENT[name] as number) : -1;
  if (at < 0 || typeof args[at] !== 'number') return -1;
  const flags = args[3];
  return name === 'mmap' && typeof flags === 'number' && (flags & MAP_ANONYMOUS) !== 0 ? -1 : at;
}

/** Task that a fork-like call makes, if the line says which. */
export function childOf({ name, result }: Operation): number | null {
  return (isForkCall(name) || name === 'new_task') && result.kind === 'value' ? Number(result.value) : null;
}

/** Does a fork-like call share its descriptors with the child? */
function sharesFiles({ args }: Operation): boolean {
  for (const value of args) {
    const flags = value !== null && isStruct(value) ? value.fields['flags'] : value;
    if (typeof flags === 'number' && (flags & CLONE_FILES) !== 0) return true;
  }
  return false;
}

/** The descriptors of all processes: each number leads to the operation that made it. */
class Descriptors {
  readonly #tables = new Map<number, Map<number, number>>();

  /** What descriptor `fd` of `pid` leads to. */
  get(pid: number, fd: number): number | undefined {
    return this.#table(pid).get(fd);
  }

  /** The number under which `pid` has what operation `maker` made. */
  numberOf(pid: number, maker: number): number | undefined {
    return [...this.#table(pid)].find(([, each]) => each === maker)?.[0];
  }

  /** Does what operation `index` does to descriptors; `alive`: what it duplicates is there. Returns the new descriptor, or -1. */
  follow(operation: Operation, index: number, alive: boolean): number {
    const { pid, name, args } = operation;
    const child = childOf(operation);
    const table = this.#table(pid ?? 0);
    if (child !== null) this.#tables.set(child, sharesFiles(operation) ? table : new Map(table));
    if (name === 'close' && typeof args[0] === 'number') table.delete(args[0]);
    if (!OPENING.has(name) && !(DUPLICATING.has(name) && alive)) return -1;
    if (name === 'fcntl' && !F_DUPFD.has(args[1] ?? null)) return -1;
    let fd = name === 'dup2' || name === 'dup3' ? Number(args[1]) : FIRST_FD;
    if (name === 'fcntl') fd = Math.max(FIRST_FD, Number(args[2] ?? 0));
    if (name !== 'dup2' && name !== 'dup3') while (table.has(fd)) fd++;
    table.set(fd, index);
    if (name === 'pipe' || name === 'pipe2') {
      let writing = fd;
      while (table.has(writing)) writing++;
      table.set(writing, index + WRITING_END);
    }
    return fd;
  }

  #table(pid: number): Map<number, number> {
    let table = this.#tables.get(pid);
    if (table === undefined) {
      table = new Map();
      this.#tables.set(pid, table);
    }
    return table;
  }
}

/** All names that a value refers to. */
function namesIn(value: Value): readonly NameRef[] {
  if (typeof value !== 'object' || value === null) return [];
  if (isNameRef(value)) return [value];
  if (Array.isArray(value)) return value.flatMap((each: Value) => namesIn(each));
  return isStruct(value) ? Object.values(value.fields).flatMap(namesIn) : [];
}

const EXITS: ReadonlySet<string> = new Set(['exit', 'exit_group', 'exit_mm', 'exited', 'killed']);

/** What one operation needs. */
interface Need {
  /** Indices of other operations. */
  readonly operations: readonly number[];
  /** The operation that made its descriptor; -1 if the descriptor leads nowhere, or it has none. */
  readonly descriptor: number;
  /** The descriptor that it makes itself, or -1. */
  readonly made: number;
}

/** Finds the needs of each operation, on the grounds that every call that makes a descriptor succeeds. */
function needsOf(operations: readonly Operation[]): readonly Need[] {
  const descriptors = new Descriptors();
  const makers = new Map<number, number>();
  const exits = new Map<number, number>();
  const binders = new Map<string, number>();
  const files = new Map<string, number>();
  const blocked = new Map<number, number>();
  const blocks: number[] = [];
  const steps = new Map<string, number>();
  const found = operations.map((operation, index) => {
    const { pid, name, args, result } = operation;
    const needs: (number | undefined)[] = [];
    if (pid !== null) needs.push(makers.get(pid));
    for (const { ref } of [...args.flatMap(namesIn), ...(result.kind === 'ref' ? [result.ref] : [])])
      needs.push(binders.get(ref));
    const path = args[PATH_ARGUMENT[name] ?? -1] ?? null;
    if (path !== null && isText(path)) needs.push(files.get(path.text));
    if (name === 'wait4' && typeof args[0] === 'number') needs.push(exits.get(args[0]), makers.get(args[0]));
    if (name === 'resumed' && pid !== null) needs.push(blocked.get(pid));
    if (name === 'end_parallel' || name === 'steps') needs.push(blocks.at(-1));
    if (name === 'schedule') needs.push(...stepNames(operation).map((step) => steps.get(step)));
    const at = fdArgument(operation);
    const descriptor = at < 0 ? -1 : (descriptors.get(pid ?? 0, Number(args[at])) ?? -1);
    if (descriptor >= 0) needs.push(Math.floor(descriptor));
    const made = descriptors.follow(operation, index, descriptor >= 0);

    const child = childOf(operation);
    if (child !== null) makers.set(child, index);
    if (EXITS.has(name) && pid !== null) exits.set(pid, index);
    if (result.kind === 'bind') for (const each of result.names) binders.set(each, index);
    const [first = null] = args;
    if (name === 'inode' && first !== null && isText(first)) files.set(first.text, index);
    if (operation.unfinished === true && pid !== null) blocked.set(pid, index);
    if (name === 'parallel') blocks.push(index);
    if (name === 'steps') for (const step of stepNames(operation)) steps.set(step, index);
    return { operations: needs.filter((each) => each !== undefined), descriptor, made };
  });
  return found.map((need, index) => {
    const later = laterNeed(operations, index);
    return later < 0 ? need : { ...need, operations: [...need.operations, later] };
  });
}

/** A block needs its end as well, and names of steps the line that they are steps of. -1 for what needs nothing behind it. */
function laterNeed(operations: readonly Operation[], index: number): number {
  const { name, pid } = operations[index] as Operation;
  if (name === 'parallel') return operations.findIndex((each, at) => at > index && each.name === 'end_parallel');
  if (name === 'steps') return operations.findIndex((each, at) => at > index && each.pid === pid);
  return -1;
}

/** The steps that `steps` names or `schedule` orders. */
function stepNames({ args: [text = null] }: Operation): readonly string[] {
  return text !== null && isText(text) ? text.text.split(' ').map((step) => step.replace(/=.*/, '')) : [];
}

/**
 * The operations for which `keeps` holds, without those that need one that goes: a task's without its fork, a name's without its
 * binding, a descriptor's without its opening. Descriptors get the numbers that they have when only the rest runs.
 */
export function withoutOperations(
  operations: readonly Operation[],
  keeps: (index: number) => boolean,
): readonly Operation[] {
  const needs = needsOf(operations);
  const kept = operations.map((_, index) => keeps(index));
  for (let changed = true; changed;) {
    changed = false;
    needs.forEach((need, index) => {
      if (kept[index] !== true || need.operations.every((each) => kept[each] === true)) return;
      kept[index] = false;
      changed = true;
    });
  }
  if (kept.every((each) => each)) return operations;
  const descriptors = new Descriptors();
  return operations.flatMap((operation, index) => {
    if (kept[index] !== true) return [];
    const { descriptor, made } = needs[index] as Need;
    const renumbered = withDescriptor(operation, descriptor, descriptors);
    const fd = descriptors.follow(renumbered, index, descriptor >= 0);
    const { result } = renumbered;
    const told = made >= 0 && result.kind === 'value' && Number(result.value) === made;
    return [told ? { ...renumbered, result: { kind: 'value', value: fd } } : renumbered];
  });
}

/** `operation` with the number its descriptor has now; one that led nowhere still does. */
function withDescriptor(operation: Operation, maker: number, descriptors: Descriptors): Operation {
  const at = fdArgument(operation);
  if (at < 0) return operation;
  const pid = operation.pid ?? 0;
  let fd = Number(operation.args[at]);
  if (maker >= 0) fd = descriptors.numberOf(pid, maker) ?? fd;
  else while (descriptors.get(pid, fd) !== undefined) fd++;
  return fd === operation.args[at] ? operation : { ...operation, args: operation.args.with(at, fd) };
}
