// From records of perf to operations, by the rules of docs/recordings.md.
//
// The model is told calls with their results, where and how faults happened, mappings that execve made, CPUs, LRU drains and
// page-cache events. Page allocations, frees, rss_stat and the present bit of faults go to the listener as facts to judge by and
// never shape an operation.
import { errnoName } from '../../lib/errno.js';
import { InputError } from '../../lib/errors.js';
import type { LineParser, OperationSink, Result, Value } from '../operation.js';
import { NO_RESULT } from '../operation.js';
import { FileTable } from './files.js';
import type { PerfRecord } from './record.js';
import { ERROR_FETCH, ERROR_PRESENT, ERROR_WRITE, Kind, parseRecord } from './record.js';
import { EXEC_RELEASE_LEAD, Schedule, exitReleaseDelay } from './teardown.js';
import type { MmSize } from './teardown.js';
import { LookAheadWindow, following } from './window.js';

/** Who is told what a recording holds besides operations. */
export interface RecordingSink extends OperationSink {
  /** What the task did before is complete: a fault, a call or the end begins. */
  boundary(tid: number): void;
  /** A fault is about to be delivered as an operation; the listener may look at the state before. `effective` false: the kernel gave up. */
  fault(record: PerfRecord, effective: boolean): void;
  /** A line that judges: allocation, free or counter. */
  fact(record: PerfRecord): void;
  /** Events were lost from here on. */
  lost(record: PerfRecord): void;
  /** A line of a task that is not followed. */
  foreign(record: PerfRecord): void;
}

interface SyscallInFlight {
  readonly name: string;
  readonly args: readonly number[];
  backing: readonly number[] | null;
  name2: string;
}

interface TracedTask {
  readonly tid: number;
  readonly tgid: number;
  cpu: number;
  call: SyscallInFlight | null;
  /** Inside execve, between its beginning and its end. */
  exec: 'none' | 'prepared' | 'switched';
  /** sched_process_exit has passed. */
  exiting: boolean;
  /** Its last fault after sched_process_exit, when the address space goes. */
  exitAfter: PerfRecord | null;
  dead: boolean;
  /** Of its address space, shared with its threads. */
  size: MmSize;
}

/** Calls that are delivered with their result when they return, with the arguments as recorded. */
const PLAIN_CALLS: ReadonlySet<string> = new Set([
  'munmap',
  'mprotect',
  'pkey_mprotect',
  'mremap',
  'brk',
  'madvise',
  'mlock',
  'mlock2',
  'munlock',
  'mlockall',
  'munlockall',
  'msync',
  'mincore',
]);
/** Memory calls that a recording may hold and the model does not know: counted by the runner. */
const UNMODELLED_CALLS: ReadonlySet<string> = new Set(['shmat', 'shmdt', 'remap_file_pages', 'process_madvise']);
const JUDGES: ReadonlySet<number> = new Set([Kind.rssStat, Kind.pageAlloc, Kind.pageFree]);
const CLONE_VM = 0x100;
const CLONE_THREAD = 0x10000;
/** Pages that setup_arg_pages() adds below the arguments: 128 KiB. */
const STACK_EXPAND_PAGES = 32;
const PAGE_SIZE = 4096;

const value = (result: number): Result =>
  result < 0 && result > -4096
    ? { kind: 'errno', errno: errnoName(-result) ?? `E${-result}` }
    : { kind: 'value', value: result };
/** Reads perf script text line by line and delivers operations and facts in the order of the recording. */
export class PerfParser implements LineParser {
  readonly #sink: RecordingSink;
  readonly #lenient: boolean;
  readonly #window: LookAheadWindow;
  readonly #tasks = new Map<number, TracedTask>();
  readonly #files: FileTable;
  #root = 0;
  #lastToldKind = 0;
  #lastToldCpu = -1;
  #parsed = 0;
  readonly #schedule = new Schedule();

  constructor(sink: RecordingSink, options: { readonly lenient: boolean }) {
    this.#sink = sink;
    this.#lenient = options.lenient;
    this.#window = new LookAheadWindow((record) => this.#record(record));
    this.#files = new FileTable((operation) => this.#sink.operation(operation));
  }

  line(text: string, number: number): void {
    if (text.startsWith('# folioscope residency ') || text.startsWith('# folioscope readahead ')) {
      this.#files.told(text, number);
      return;
    }
    if (text.startsWith('# folioscope setting ')) {
      const [name = '', setting = ''] = text.slice('# folioscope setting '.length).split(' ');
      const args = [{ text: name }, { text: setting }];
      this.#sink.operation({ line: number, pid: null, name: 'sysfs', args, result: NO_RESULT });
      return;
    }
    if (text.startsWith('#')) return;
    let record: PerfRecord | null;
    try {
      record = parseRecord(text, number);
    } catch (error) {
      if (!this.#lenient || !(error instanceof InputError)) throw error;
      this.#sink.skipped('not understood', number);
      return;
    }
    if (record === null) return;
    this.#parsed++;
    this.#window.push(record);
  }

  end(): void {
    this.#window.end();
    this.#schedule.runUntil(Infinity);
    for (const task of this.#tasks.values()) this.#sink.boundary(task.tid);
    if (this.#parsed > 0 && this.#root === 0)
      throw new InputError({}, 'no execve in this recording: nothing to follow from its beginning');
  }

  #record(record: PerfRecord): void {
    const { kind } = record;
    if (JUDGES.has(kind)) {
      this.#sink.fact(record);
      return;
    }
    this.#schedule.runUntil(record.time);
    if (kind === Kind.cacheTouch) {
      this.#files.cacheTouched(record);
      return;
    }
    if (kind === Kind.lruInsertion) {
      const again = this.#lastToldKind === kind && this.#lastToldCpu === record.cpu;
      if (this.#root !== 0 && !again) this.#machine(record, 'lru_add_drain', [record.cpu]);
    }
    this.#lastToldKind = kind;
    this.#lastToldCpu = record.cpu;
    switch (kind) {
      case Kind.commExec:
        return this.#commExec(record);
      case Kind.sysEnter:
        return this.#sysEnter(record);
      case Kind.sysExit:
        return this.#sysExit(record);
      case Kind.userFault:
      case Kind.kernelFault:
        return this.#fault(record);
      case Kind.mmap2:
        return this.#mmap2(record);
      case Kind.newTask:
        return this.#newTask(record);
      case Kind.fork:
        return this.#checkFork(record);
      case Kind.exit:
        return this.#exit(record);
      case Kind.cacheAdd:
        this.#sink.fact(record);
        return this.#files.cacheEvent(record);
      case Kind.cacheDelete:
        return this.#files.cacheEvent(record);
      case Kind.lost:
        return this.#sink.lost(record);
      default:
        return;
    }
  }

  /** The followed task of a record, with its CPU told; null for others. */
  #followed(record: PerfRecord): TracedTask | null {
    const task = this.#tasks.get(record.tid);
    if (task === undefined) {
      this.#sink.foreign(record);
      return null;
    }
    const ended = task.dead || (task.exiting && record.kind === Kind.userFault);
    if (ended) throw new InputError({ line: record.line }, `task ${record.tid} acts after its exit`);
    return task;
  }

  #operation(
    record: PerfRecord,
    task: TracedTask,
    name: string,
    args: readonly Value[],
    result: Result = NO_RESULT,
  ): void {
    if (task.cpu !== record.cpu) {
      task.cpu = record.cpu;
      this.#sink.operation({ line: record.line, pid: task.tid, name: 'cpu', args: [record.cpu], result: NO_RESULT });
    }
    this.#sink.operation({ line: record.line, pid: task.tid, name, args, result });
  }

  #machine(record: PerfRecord, name: string, args: readonly Value[]): void {
    this.#sink.operation({ line: record.line, pid: null, name, args, result: NO_RESULT });
  }

  #addTask(tid: number, tgid: number, cpu: number, size: MmSize = { writes: 0, ranges: 0 }): TracedTask {
    const task: TracedTask = {
      tid,
      tgid,
      cpu,
      call: null,
      exec: 'none',
      exiting: false,
      exitAfter: null,
      dead: false,
      size,
    };
    this.#tasks.set(tid, task);
    return task;
  }

  #sysEnter(record: PerfRecord): void {
    let task = this.#tasks.get(record.tid);
    const isExec = record.text === 'execve' || record.text === 'execveat';
    if (task === undefined && this.#root === 0 && isExec && argumentPages(record) > 0) {
      this.#root = record.tid;
      task = this.#addTask(record.tid, record.tid, -1);
    }
    if (task === undefined) return this.#sink.foreign(record);
    if (task.dead)
      throw new InputError({ line: record.line }, `task ${record.tid} acts (${record.text}) after its exit`);
    this.#sink.boundary(record.tid);
    task.call = { name: record.text, args: record.args, backing: null, name2: '' };
    if (isExec) this.#prepareExec(record, task);
    if (record.text === 'close') this.#files.closed(task.tgid, record.args[0] ?? -1);
  }

  /** The arguments' pages are known from the size of the stack that execve makes of them. */
  #prepareExec(record: PerfRecord, task: TracedTask): void {
    const pages = argumentPages(record);
    if (pages <= 0) return;
    task.exec = 'prepared';
    this.#operation(record, task, 'bprm_mm_init', [pages]);
    for (const next of following(record, 6000)) {
      if (next.kind !== Kind.commExec) continue;
      this.#schedule.at(next.time - EXEC_RELEASE_LEAD, () => this.#switchMm(next, task));
      return;
    }
  }

  #switchMm(record: PerfRecord, task: TracedTask): void {
    if (task.exec !== 'prepared') return;
    this.#operation(record, task, 'begin_new_exec', []);
    task.exec = 'switched';
    task.size = { writes: 0, ranges: 0 };
  }

  #commExec(record: PerfRecord): void {
    let task = this.#tasks.get(record.tid);
    if (task === undefined && this.#root === 0) {
      this.#root = record.tid;
      task = this.#addTask(record.tid, record.tid, -1);
    }
    if (task === undefined) return this.#sink.foreign(record);
    if (task.exec === 'none') this.#prepareExec(record, task);
    this.#switchMm(record, task);
  }

  #mmap2(record: PerfRecord): void {
    const task = this.#tasks.get(record.tid);
    if (task === undefined) return this.#sink.foreign(record);
    const [addr = 0, length = 0, pgoff = 0, device = 0, inode = 0, prot = 0, shared = 0] = record.args;
    if (task.exec === 'switched') {
      if (record.text === '[stack]') return this.#operation(record, task, 'setup_arg_pages', [addr, length]);
      const name = this.#files.name(record, device, inode, record.text);
      const args: Value[] = [
        addr,
        length,
        prot,
        shared === 1 ? 1 : 2,
        { text: name },
        name === '' ? 0 : pgoff * PAGE_SIZE,
      ];
      return this.#operation(record, task, 'elf_map', args);
    }
    if (task.call !== null) {
      task.call.backing = record.args;
      task.call.name2 = record.text;
    }
  }

  #sysExit(record: PerfRecord): void {
    const task = this.#tasks.get(record.tid);
    if (task === undefined) return this.#sink.foreign(record);
    if (task.dead)
      throw new InputError({ line: record.line }, `task ${record.tid} acts (${record.text}) after its exit`);
    const { call } = task;
    task.call = null;
    if (record.text === 'execve' || record.text === 'execveat') {
      if (task.exec === 'prepared') this.#operation(record, task, 'free_bprm', []);
      task.exec = 'none';
      return;
    }
    if (call === null || call.name !== record.text) return;
    const result = record.c;
    this.#files.returned(task.tgid, call.name, call.args, result);
    if (call.name === 'mmap') return this.#mmapReturned(record, task, call);
    if (call.name === 'brk') return this.#operation(record, task, 'brk', [call.args[0] ?? 0], value(result));
    if (PLAIN_CALLS.has(call.name)) {
      const args = call.name === 'mremap' && ((call.args[3] ?? 0) & 6) === 0 ? call.args.slice(0, 4) : call.args;
      return this.#operation(
        record,
        task,
        call.name,
        [...args.slice(0, ARGUMENTS[call.name] ?? args.length)],
        value(result),
      );
    }
    if (UNMODELLED_CALLS.has(call.name)) this.#operation(record, task, call.name, [...call.args], value(result));
    if ((call.name === 'wait4' || call.name === 'waitid') && result > 0)
      this.#operation(record, task, 'reap', [result]);
  }

  #mmapReturned(record: PerfRecord, task: TracedTask, call: SyscallInFlight): void {
    const [addr = 0, length = 0, prot = 0, flags = 0, fd = 0, offset = 0] = call.args;
    const signedFd = fd | 0;
    let file: Value = signedFd;
    if (call.backing !== null) {
      const [, , , device = 0, inode = 0] = call.backing;
      const name = this.#files.name(record, device, inode, call.name2);
      // Shared anonymous memory has a file as well, which the kernel makes itself.
      if (name !== '' && (flags & 0x20) === 0) {
        this.#files.mapped(record, task.tgid, signedFd, name);
        file = { fd: signedFd, path: name };
      }
    }
    this.#operation(
      record,
      task,
      'mmap',
      [addr, length, prot & 0xffffffff, flags & 0xffffffff, file, offset],
      value(record.c),
    );
  }

  #newTask(record: PerfRecord): void {
    const parent = this.#followed(record);
    if (parent === null) return;
    const child = record.a;
    const living = this.#tasks.get(child);
    if (living !== undefined && !living.dead && !living.exiting)
      throw new InputError({ line: record.line }, `task ${child} is created while it is alive`);
    if (living !== undefined) this.#sink.boundary(child);
    this.#operation(record, parent, 'new_task', [child, record.b], { kind: 'value', value: child });
    // The counter lines of the child's address space all came before.
    this.#sink.boundary(record.tid);
    const size = (record.b & CLONE_VM) !== 0 ? parent.size : { writes: parent.size.writes, ranges: 0 };
    this.#addTask(child, (record.b & CLONE_THREAD) !== 0 ? parent.tgid : child, record.cpu, size);
    if ((record.b & CLONE_THREAD) === 0) this.#files.forked(parent.tgid, child);
  }

  /** sched_process_fork follows task_newtask of the same parent; alone it says that the recording lost the flags. */
  #checkFork(record: PerfRecord): void {
    const parent = this.#tasks.get(record.tid);
    if (record.b !== record.tid)
      throw new InputError(
        { line: record.line },
        `task ${record.a} has the unknown parent ${record.b}: task ${record.tid} printed its fork`,
      );
    if (parent === undefined) return this.#sink.foreign(record);
    if (!this.#tasks.has(record.a)) {
      // Without task:task_newtask the flags are unknown; a process is the ordinary case.
      this.#sink.skipped('fork without task_newtask: taken as a new process', record.line);
      this.#operation(record, parent, 'new_task', [record.a, 0], { kind: 'value', value: record.a });
      this.#addTask(record.a, record.a, record.cpu);
      this.#files.forked(parent.tgid, record.a);
    }
  }

  #fault(record: PerfRecord): void {
    const task = this.#followed(record);
    if (task === null) return;
    this.#sink.boundary(record.tid);
    const user = record.kind === Kind.userFault;
    const effective = user || !repeats(record);
    this.#sink.fault(record, effective);
    if (effective) {
      const access = (record.c & ERROR_WRITE) !== 0 ? 'W' : (record.c & ERROR_FETCH) !== 0 ? 'X' : 'R';
      const args: Value[] = [record.a, { word: access }];
      const end = mappedEnd(record);
      if (end >= 0) args.push(end);
      if (end >= 0) task.size.ranges++;
      if (access === 'W') task.size.writes++;
      this.#operation(record, task, user ? 'fault' : 'kernel_fault', args);
    }
    if (task.exitAfter === record) this.#exitMm(record, task);
  }

  #exit(record: PerfRecord): void {
    const task = this.#followed(record);
    if (task === null) return;
    this.#sink.boundary(record.tid);
    task.exiting = true;
    task.call = null;
    // The kernel still writes to the task's memory (clear_child_tid, robust futexes) before it lets go of it.
    let last: PerfRecord | null = null;
    for (const next of following(record, 4096)) {
      if (next.kind === Kind.kernelFault) last = next;
      if (next.kind === Kind.sysEnter || next.kind === Kind.userFault || next.kind === Kind.exit) break;
    }
    task.exitAfter = last;
    if (last === null) this.#exitMm(record, task);
  }

  #exitMm(record: PerfRecord, task: TracedTask): void {
    this.#operation(record, task, 'exit_mm', []);
    task.dead = true;
    const { tid } = task;
    const { line } = record;
    this.#schedule.at(record.time + exitReleaseDelay(task.size), () =>
      this.#sink.operation({ line, pid: null, name: 'tlb_finish_mmu', args: [tid], result: NO_RESULT }),
    );
  }
}

/** How many arguments the model looks at; what the record holds beyond is what registers held. */
const ARGUMENTS: Readonly<Record<string, number>> = {
  munmap: 2,
  mprotect: 3,
  pkey_mprotect: 4,
  mremap: 5,
  madvise: 3,
  mlock: 2,
  mlock2: 3,
  munlock: 2,
  mlockall: 1,
  munlockall: 0,
  msync: 3,
  mincore: 2,
};

/** The task's next line that tells (not judges), LRU lines aside. */
function nextTold(record: PerfRecord): PerfRecord | null {
  for (const next of following(record))
    if (!JUDGES.has(next.kind) && next.kind !== Kind.lruInsertion && next.kind !== Kind.cacheTouch) return next;
  return null;
}

/** A kernel access with page faults disabled does nothing, and the same address faults again at once. */
function repeats(record: PerfRecord): boolean {
  const next = nextTold(record);
  return (
    next !== null &&
    next.kind === Kind.kernelFault &&
    next.a === record.a &&
    (next.c & ~ERROR_PRESENT) === (record.c & ~ERROR_PRESENT)
  );
}

/** Last page index that fault-around reached in this fault, as the page-cache event tells; -1 without one. */
function mappedEnd(record: PerfRecord): number {
  const next = nextTold(record);
  return next !== null && next.kind === Kind.mapPages ? next.c : -1;
}

/** Pages of arguments that the execve around `record` put on the stack; 0 if it did not come to that. */
function argumentPages(record: PerfRecord): number {
  for (const next of following(record, 6000)) {
    if (next.kind === Kind.mmap2 && next.text === '[stack]')
      return (next.args[1] ?? 0) / PAGE_SIZE - STACK_EXPAND_PAGES;
    if (next.kind === Kind.sysExit || next.kind === Kind.exit) return 0;
  }
  return 0;
}
