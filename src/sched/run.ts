// The in-order driver: runs operations one after the other on the model and tells whoever listens what happened.
import type { KernelEvent } from '../../events/index.js';
import { apply } from '../../reducers/index.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import type { Behaviours } from '../kernel/behaviours.js';
import type { Call, Got } from '../kernel/call.js';
import type { Kernel, KernelThread, MachineSettings, Step } from '../kernel/kernel.js';
import { hasForeignLayout, isModelled, runCall } from '../kernel/syscall.js';
import { queuedEvent } from '../kernel/uffd-events.js';
import { abandonUserfault, waitsForUserfault } from '../kernel/userfault.js';
import { assert } from '../lib/assert.js';
import { InputError, NotModelledError } from '../lib/errors.js';
import type { Operation, Result, Value } from '../workload/operation.js';
import { NO_RESULT, isNameRef, isStruct, isText } from '../workload/operation.js';
import { CALLS } from '../workload/text/calls.js';

/** Who wants to know. Called in the order in which things happen. */
export interface RunListener {
  beginOperation?(operation: Operation, id: number): void;
  /** `event` has been applied to the run's state. */
  event?(event: KernelEvent): void;
  endOperation?(operation: Operation, got: Got, id: number): void;
}

/** An expectation of a workload or a result of a recording that the model did not meet. */
export interface Mismatch {
  readonly line: number;
  readonly operation: string;
  readonly expected: string;
  readonly got: string;
}

export interface RunOptions {
  readonly behaviours: Behaviours;
  readonly machine: MachineSettings;
  /** From a recording: addresses and numbers it tells are adopted, results are compared. */
  readonly recorded: boolean;
  /** Count what is not modelled instead of stopping. Always so in recordings. */
  readonly lenient: boolean;
  /** Evaluates `check EXPR`: whether it holds, and what it is. Without it checks are not modelled. */
  readonly check?: (expression: string, run: Run, pid: number) => { readonly holds: boolean; readonly value: string };
}

const PID_NAME = 1;

/** A task in the middle of an operation, which sleeps or has been woken. */
interface Sleeper {
  readonly tid: number;
  readonly operation: Operation;
  readonly thread: KernelThread<Got>;
}

/**
 * A run of the model. `execute()` performs one operation completely; state replay of the events it emitted gives the same state.
 * Deterministic: the same operations, behaviours and settings give the same events.
 */
export class Run implements Kernel {
  readonly behaviours: Behaviours;
  readonly machine: MachineSettings;
  readonly interleaved = false;
  readonly batchMax = 512;
  readonly recorded: boolean;
  /** Owned by the run and changed in place. */
  readonly state: KernelState;
  readonly mismatches: Mismatch[] = [];
  /** What could not be modelled: how often, by reason. */
  readonly notModelled = new Map<string, number>();
  operations = 0;
  events = 0;
  /** Results and `check`s compared. */
  checked = 0;

  readonly #options: RunOptions;
  readonly #lenient: boolean;
  readonly #listeners: readonly RunListener[];
  /** Names bound by results: `mmap(...) = A`. */
  readonly #names = new Map<string, number>();
  #told: Result = { kind: 'none' };
  #mapEnd = -1;
  #begun = false;
  /** In the order in which they fell asleep. */
  #sleepers: Sleeper[] = [];
  /** Numbers of tasks that forks under way will have made, by the task that forks. */
  readonly #unborn = new Map<number, number>();
  /** How operations that slept ended, by task, until a line asks. */
  readonly #ended = new Map<number, Got>();

  constructor(options: RunOptions, listeners: readonly RunListener[] = []) {
    this.#options = options;
    this.behaviours = options.behaviours;
    this.machine = options.machine;
    this.recorded = options.recorded;
    this.state = initialState();
    this.#lenient = options.lenient || options.recorded;
    this.#listeners = listeners;
  }

  get view(): KernelState {
    return this.state;
  }

  emit(event: KernelEvent): void {
    apply(this.state, event);
    this.events++;
    const listeners = this.#listeners;
    for (let i = 0; i < listeners.length; i++) listeners[i]?.event?.(event);
  }

  /**
   * Performs one operation.
   * @throws InputError for what no kernel could do; NotModelledError unless lenient.
   */
  execute(operation: Operation): Got {
    // Who was woken goes on first, unless a line says who of them does.
    if (operation.name !== 'resumed') this.settle();
    return this.#execute(operation);
  }

  /**
   * Tasks that somebody has woken go on with their operations, until they end or sleep again; each as an operation `resumed` of its own. To be called when
   * the last operation is done.
   */
  settle(): void {
    for (;;) {
      this.#sleepers = this.#sleepers.filter(({ tid }) => this.state.tasks[tid]?.exited === 0);
      const next = this.#sleepers.find(({ tid }) => !waitsForUserfault(this, tid));
      if (next === undefined) return;
      const { line, name } = next.operation;
      this.#execute({ line, pid: next.tid, name: 'resumed', args: [{ word: name }], result: NO_RESULT });
    }
  }

  /** Number of the next task, if nothing tells another. */
  nextTid(): number {
    const unborn = [...this.#unborn].filter(([parent]) => this.state.tasks[parent]?.exited === 0);
    return Math.max(1, ...Object.keys(this.state.tasks).map(Number), ...unborn.map(([, child]) => child)) + 1;
  }

  /** The operation that task `tid` is in the middle of; null if it is not. */
  sleepsIn(tid: number): Operation | null {
    return this.#sleepers.find((each) => each.tid === tid)?.operation ?? null;
  }

  #execute(operation: Operation): Got {
    const id = this.operations++;
    for (const listener of this.#listeners) listener.beginOperation?.(operation, id);
    const got = this.#perform(operation);
    this.#compare(operation, got);
    this.#bind(operation, got);
    for (const listener of this.#listeners) listener.endOperation?.(operation, got, id);
    return got;
  }

  /** The value bound to `name` by an operation's result. */
  boundTo(name: string): number | undefined {
    return this.#names.get(name);
  }

  #perform(operation: Operation): Got {
    const { pid, name } = operation;
    if (pid !== null) this.#requireTask(operation, pid);
    else if (isModelled(name) && CALLS.get(name)?.kind !== 'machine')
      throw new InputError({ line: operation.line }, `${name} is done by a task, and none is named`);
    if (name === 'resumed') return this.#resumed(operation, pid ?? 0);
    const call: Call = {
      tid: pid ?? 0,
      name,
      args: operation.args.map((value) => this.#resolve(value)),
      recorded: this.recorded,
      operation,
    };
    this.#told = operation.result;
    const [, , mapEnd] = operation.args;
    this.#mapEnd = name.endsWith('fault') && typeof mapEnd === 'number' ? mapEnd : -1;
    try {
      if (operation.unfinished === true && !isModelled(name)) return null;
      if (name === 'check') return this.#check(operation);
      if (OF_BLOCKS.has(name)) return refuseBlock(name);
      return this.#drive(runCall(this, call), operation);
    } catch (error) {
      if (!(error instanceof NotModelledError) || !this.#lenient) throw located(error, operation);
      this.notModelled.set(error.what, (this.notModelled.get(error.what) ?? 0) + 1);
      return null;
    }
  }

  /** An expectation on the state: counted like a result that must be true. */
  #check(operation: Operation): Got {
    const [expression] = operation.args;
    if (this.#options.check === undefined || expression === undefined || expression === null || !isText(expression))
      throw new NotModelledError('check');
    const { text } = expression;
    const pid = operation.pid ?? Math.min(...Object.keys(this.state.tasks).map(Number));
    const { holds, value } = this.#options.check(text, this, pid);
    this.checked++;
    if (!holds)
      this.mismatches.push({ line: operation.line, operation: `check ${text}`, expected: 'true', got: value });
    return { value: holds ? 1 : 0 };
  }

  /** One task after the other: locks are free, preemption points idle, places are told by the recording or left to the model. */
  #drive(thread: KernelThread<Got>, operation: Operation): Got {
    let step = thread.next();
    while (step.done !== true) {
      // A recording shows that what a monitor was to hear of came to its end: somebody read of it.
      if (step.value.op === 'wait' && this.recorded && tellsMonitor(this.state, step.value.tid)) {
        step = thread.next(0);
        continue;
      }
      if (step.value.op === 'wait') return this.#sleep(step.value.tid, thread, operation);
      step = thread.next(this.#answer(step.value, operation));
    }
    this.#unborn.delete(operation.pid ?? 0);
    return step.value;
  }

  /** The task sleeps in `operation`. A recording says only how its calls ended: who waited there is not known. */
  #sleep(tid: number, thread: KernelThread<Got>, operation: Operation): Got {
    if (this.recorded) {
      abandonUserfault(this, tid);
      throw new NotModelledError('a fault that waits for a userfaultfd');
    }
    this.#ended.delete(tid);
    this.#sleepers.push({ tid, operation, thread });
    return { waits: true };
  }

  /** `<... name resumed>`: the task goes on if somebody has woken it; if it has gone on already, what came of that. */
  #resumed({ line }: Operation, tid: number): Got {
    const sleeper = this.#sleepers.find((each) => each.tid === tid);
    if (sleeper === undefined) {
      const got = this.#ended.get(tid);
      if (got === undefined) throw new InputError({ line }, `task ${tid} is resumed, but sleeps in no operation`);
      this.#ended.delete(tid);
      return got;
    }
    if (waitsForUserfault(this, tid)) return { waits: true };
    this.#sleepers = this.#sleepers.filter((each) => each !== sleeper);
    try {
      const got = this.#drive(sleeper.thread, sleeper.operation);
      if (got === null || !('waits' in got)) this.#ended.set(tid, got);
      return got;
    } catch (error) {
      if (!(error instanceof NotModelledError) || !this.#lenient) throw located(error, sleeper.operation);
      this.notModelled.set(error.what, (this.notModelled.get(error.what) ?? 0) + 1);
      return null;
    }
  }

  #answer(step: Step, { pid }: Operation): number {
    assert(step.op === 'place', 'unexpected-step-in-order', step.op);
    const told = this.#told;
    if (step.what === 'map-end') return this.#mapEnd;
    if (!this.recorded && step.what !== 'tid') return -1;
    if (step.what === 'tid' && !this.recorded) {
      const child = told.kind === 'value' && Number(told.value) > 0 ? Number(told.value) : this.nextTid();
      this.#unborn.set(pid ?? 0, child);
      return child;
    }
    return told.kind === 'value' && Number(told.value) >= 0 ? Number(told.value) : -1;
  }

  /** The first task of a workload exists; later ones must have been created, and none acts after its exit. */
  #requireTask(operation: Operation, pid: number): void {
    const task = this.state.tasks[pid];
    const where = { line: operation.line };
    const asleep = this.sleepsIn(pid);
    if (asleep !== null && operation.name !== 'resumed' && !AFTER_EXIT.has(operation.name))
      throw new InputError(
        where,
        `task ${pid} acts (${operation.name}), but sleeps in ${asleep.name} (line ${asleep.line})`,
      );
    if (task !== undefined && task.exited === 0) return;
    if (task !== undefined) {
      if (AFTER_EXIT.has(operation.name)) return;
      throw new InputError(where, `task ${pid} acts (${operation.name}) after its exit`);
    }
    if (this.#begun) throw new InputError(where, `task ${pid} acts (${operation.name}) but nothing created it`);
    this.#begun = true;
    this.emit({
      type: 'MmCreated',
      mm: this.state.mms.length,
      parent: 0,
      mmapBase: this.machine.mmapBase,
      startBrk: 0,
      brk: 0,
      defFlags: 0,
      foreignLayout: this.recorded ? 1 : 0,
    });
    this.emit({ type: 'TaskCreated', tid: pid, tgid: pid, parent: 0, mm: this.state.mms.length - 1, cpu: 0 });
  }

  #resolve(value: Value): Value {
    if (typeof value !== 'object' || value === null) return value;
    if (isNameRef(value)) {
      const bound = this.#names.get(value.ref);
      return bound === undefined ? value : bound + value.add;
    }
    if (Array.isArray(value)) return value.map((each: Value) => this.#resolve(each));
    if (isStruct(value))
      return {
        fields: Object.fromEntries(Object.entries(value.fields).map(([key, each]) => [key, this.#resolve(each)])),
      };
    return value;
  }

  #bind(operation: Operation, got: Got): void {
    const { result } = operation;
    if (result.kind !== 'bind') return;
    const [name] = result.names;
    const several = got !== null && 'value' in got ? got.several : undefined;
    if (several !== undefined && several.length === result.names.length) {
      result.names.forEach((each, i) => this.#names.set(each, several[i] as number));
      return;
    }
    if (result.names.length !== PID_NAME || name === undefined || got === null || !('value' in got))
      throw new InputError(
        { line: operation.line },
        `${operation.name} gave ${gotText(got)}, which cannot be bound to a name`,
      );
    this.#names.set(name, got.value);
  }

  #compare(operation: Operation, got: Got): void {
    this.#compareOut(operation, got);
    const left = operation.unfinished === true && !this.recorded && isModelled(operation.name);
    const expected = left ? WAITS : this.#expectedText(operation.result);
    if (expected === null || got === null) return;
    if (
      this.recorded &&
      hasForeignLayout(this, operation.pid ?? 0) &&
      'errno' in got &&
      operation.result.kind === 'value'
    ) {
      // The range may belong to what execve mapped, which strace does not show.
      this.notModelled.set('layout of execve', (this.notModelled.get('layout of execve') ?? 0) + 1);
      return;
    }
    this.checked++;
    const actual = gotText(got);
    if (actual === expected) return;
    this.mismatches.push({ line: operation.line, operation: operation.name, expected, got: actual });
  }

  /** What the line says of the field that the kernel wrote, or of a message that it gave. */
  #compareOut(operation: Operation, got: Got): void {
    if (got === null || this.recorded || !('out' in got || 'several' in got)) return;
    const told = toldFields(operation.args.map((value) => this.#resolve(value)));
    const given = 'out' in got && got.out !== undefined ? OUT_FIELDS.map((name) => [name, got.out]) : messageOf(got);
    for (const [name, value] of given as readonly (readonly [string, number])[]) {
      const expected = told.get(name);
      if (expected === undefined) continue;
      this.checked++;
      if (expected === value) continue;
      this.mismatches.push({
        line: operation.line,
        operation: `${operation.name}, field ${name}`,
        expected: String(expected),
        got: String(value),
      });
    }
  }

  #expectedText(result: Result): string | null {
    switch (result.kind) {
      case 'value':
        return gotText({ value: Number(result.value) });
      case 'errno':
        return result.errno;
      case 'signal':
        return result.signal;
      case 'word':
        return result.word;
      case 'ref': {
        const bound = this.#names.get(result.ref.ref);
        return bound === undefined ? `unbound ${result.ref.ref}` : gotText({ value: bound + result.ref.add });
      }
      default:
        return null;
    }
  }
}

/** Does task `tid` wait until somebody has read of what it does? */
const tellsMonitor = ({ uffds }: KernelState, tid: number): boolean =>
  uffds.some((each) => each !== null && queuedEvent(each, tid) !== null);

const WAITS = 'waits';

/** Fields of the structures of userfaultfd that say how far a call came. */
const OUT_FIELDS: readonly string[] = ['copy', 'zeropage', 'mapped', 'updated', 'move', 'revents', 'ioctls'];
/** Of the first message that was read: behind its event, by it. */
const MESSAGE_FIELDS: Readonly<Record<number, readonly string[]>> = {
  0x12: ['flags', 'address', 'ptid'],
  0x13: ['ufd'],
  0x14: ['from', 'to', 'len'],
  0x15: ['start', 'end'],
  0x16: ['start', 'end'],
};

function messageOf(got: NonNullable<Got>): readonly (readonly [string, number])[] {
  if (!('several' in got) || got.several === undefined) return [];
  const [event = 0, ...rest] = got.several;
  return [['event', event], ...(MESSAGE_FIELDS[event] ?? []).map((name, i) => [name, rest[i] ?? 0] as const)];
}

/** Numbers of the structures among `values`, those inside of structures too. */
function toldFields(values: readonly Value[]): Map<string, number> {
  const told = new Map<string, number>();
  const take = (value: Value): void => {
    if (Array.isArray(value)) value.forEach((each: Value) => take(each));
    else if (value !== null && typeof value === 'object' && isStruct(value))
      for (const [name, each] of Object.entries(value.fields)) {
        if (typeof each === 'number') told.set(name, each);
        else take(each);
      }
  };
  for (const value of values) take(value);
  return told;
}

const OF_BLOCKS: ReadonlySet<string> = new Set(['parallel', 'end_parallel', 'steps', 'schedule']);

/** Who runs the lines of a block is for an explorer of schedules to choose; a lenient run does them in order, and counts the block once. */
function refuseBlock(name: string): null {
  if (name === 'parallel') throw new NotModelledError('a parallel block, which needs the explorer of schedules');
  return null;
}

const AFTER_EXIT: ReadonlySet<string> = new Set(['exited', 'killed', 'tlb_finish_mmu', 'signal']);

/** What a call gave, for programs that go on with it: its number, or the descriptors of both ends of a pipe; null if it failed. */
export const resultOf = (got: Got): readonly number[] | null =>
  got !== null && 'value' in got ? (got.several ?? [got.value]) : null;

/** Outcome of a call in words. */
export function gotText(got: Got): string {
  if (got === null) return 'nothing';
  if ('value' in got) return `0x${got.value.toString(16)}`;
  if ('errno' in got) return got.errno;
  if ('word' in got) return got.word;
  if ('waits' in got) return WAITS;
  return got.signal === 7 ? 'SIGBUS' : got.signal === 9 ? 'SIGKILL' : 'SIGSEGV';
}

/** Errors of kernel code and expressions do not know the line they come from. */
function located(error: unknown, operation: Operation): unknown {
  const { line } = operation;
  if (error instanceof NotModelledError) return new NotModelledError(`${error.what} (line ${line})`);
  if (error instanceof InputError && error.place.line === undefined) return new InputError({ line }, error.problem);
  return error;
}
