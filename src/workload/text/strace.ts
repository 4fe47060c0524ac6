// Reads strace recordings: joins calls that were interrupted by other tasks' lines, and puts births before deeds.

import { InputError } from '../../lib/errors.js';
import type { LineParser, Operation, OperationSink } from '../operation.js';
import { CallScanner } from './call.js';
import { CALLS, isForkCall } from './calls.js';
import * as c from './characters.js';
import { isDigit, isLetter } from './characters.js';
import { inputError, readExit, readHead, readResumed, readSignal, unfinishedAt } from './line.js';
import type { Head } from './line.js';
import { ScanError } from './scanner.js';
import { Tasks } from './tasks.js';
import type { Pending, Task } from './tasks.js';

const ANSI = /\p{Cc}\[[0-9;]*[A-Za-z]/gu;
const TORN = /strace: Process (\d+) attached$/;
const UNFINISHED = '<unfinished ...>';
const DETACHED = '<detached ...>';
/** PID of the first task where strace did not print it. */
const FIRST_PID = 1;

/** The parser of recordings. See TextParser. */
export class RecordingParser implements LineParser {
  readonly #sink: OperationSink;
  readonly #lenient: boolean;
  readonly #calls = new CallScanner(true);
  readonly #tasks = new Tasks();
  readonly #head: Head = { pid: null, body: 0 };
  /** A line that ended too early: fine if it was the last. */
  #cut: InputError | null = null;
  /** A line into which strace wrote a message of its own. */
  #torn: { text: string; line: number } | null = null;
  readonly #announced = new Set<number>();
  /** Whether the first task began without PID, and the number that strace prints for it once there are others. */
  #firstUnnamed = false;
  #firstPid = 0;
  #lastLine = 0;

  constructor(sink: OperationSink, lenient: boolean) {
    this.#sink = sink;
    this.#lenient = lenient;
  }

  line(text: string, number: number): void {
    const cut = this.#cut;
    this.#cut = null;
    if (cut !== null) this.#refuse(cut);
    this.#lastLine = number;
    this.#attempt(number, () => this.#read(text, number));
    for (let held = this.#tasks.nextReady(); held !== undefined; held = this.#tasks.nextReady()) {
      const { pid, line, body } = held;
      const heldText = held.text;
      this.#attempt(line, () => this.#act(pid, heldText, line, body));
    }
  }

  end(): void {
    if (this.#cut !== null) {
      if (this.#tasks.isEmpty) this.#refuse(this.#cut);
      this.#sink.skipped('cut off', this.#lastLine);
    }
    if (this.#torn !== null) this.#sink.skipped('cut off', this.#torn.line);
    for (const { pid, line } of this.#tasks.unborn()) {
      this.#refuse(new InputError({ line, column: 1 }, `task ${pid} acts but nothing created it (line ${line})`));
    }
    for (const task of this.#tasks.blocked()) this.#attempt(task.pending?.line ?? 0, () => this.#abandon(task));
  }

  #attempt(line: number, read: () => void): void {
    try {
      read();
    } catch (error) {
      if (error instanceof ScanError) {
        // Only the last line can be cut off, so whether this is one shows when the next line comes, or none.
        if (line === this.#lastLine && this.#isCut(error)) this.#cut = inputError(error, line);
        else this.#refuse(inputError(error, line));
      } else if (error instanceof InputError) this.#refuse(error);
      else throw error;
    }
  }

  #isCut(error: ScanError): boolean {
    const rest = this.#calls.values.text.slice(error.at, error.at + UNFINISHED.length);
    return UNFINISHED.startsWith(rest) || DETACHED.startsWith(rest);
  }

  #refuse(error: InputError): void {
    if (!this.#lenient) throw error;
    this.#sink.skipped('not understood', error.place.line ?? this.#lastLine);
  }

  #read(line: string, number: number): void {
    let text = line.includes('\x1b') ? line.replace(ANSI, '') : line;
    let first = number;
    if (this.#torn !== null) {
      text = this.#torn.text + text;
      first = this.#torn.line;
      this.#torn = null;
    }
    if (text.trim() === '' || text.charCodeAt(0) === c.HASH) return;
    if (text.charCodeAt(text.length - 1) === 100 && this.#note(text, first)) return;
    this.#calls.values.reset(text, 0);
    readHead(text, this.#head);
    const { body } = this.#head;
    const pid = this.#head.pid === null ? this.#unnamed(text, first, body) : this.#named(this.#head.pid, text, body);
    if (pid !== 0) this.#act(pid, text, first, body);
  }

  /** `strace: Process N attached`, on its own or in the middle of a line that goes on in the next. */
  #note(text: string, line: number): boolean {
    const found = TORN.exec(text);
    if (found === null) return false;
    this.#announced.add(Number(found[1]));
    if (found.index > 0) this.#torn = { text: text.slice(0, found.index), line };
    else this.#sink.skipped('note of strace', line);
    return true;
  }

  /** The task of a line without PID; 0 if the line needs none. */
  #unnamed(text: string, line: number, body: number): number {
    const code = text.charCodeAt(body);
    if (text.startsWith('strace: ', body) || text.startsWith('[ Process', body) || text.startsWith('> ', body)) {
      this.#sink.skipped('note of strace', line);
      return 0;
    }
    if (isLetter(code)) {
      const name = callName(text, body);
      if (CALLS.get(name)?.kind === 'machine') {
        this.#calls.call(name, text, body + name.length + 1, false);
        this.#deliver(null, name, line);
        return 0;
      }
    } else if (text.startsWith('% time')) {
      throw new InputError({ line, column: 1 }, 'this is a summary of strace -c, not a recording');
    } else if (code !== c.LESS && code !== c.PLUS && code !== c.MINUS && text.charAt(body) !== '?') {
      throw new ScanError(body, 'not a line of strace');
    }
    if (this.#tasks.isEmpty) this.#firstUnnamed = true;
    return this.#tasks.only()?.pid ?? FIRST_PID;
  }

  /** The task that a printed PID means: the first one may have begun without. */
  #named(pid: number, text: string, body: number): number {
    if (!this.#firstUnnamed) return pid;
    if (pid === this.#firstPid) return FIRST_PID;
    const first = this.#firstPid === 0 ? this.#tasks.alive(FIRST_PID) : undefined;
    if (first === undefined || this.#announced.has(pid) || this.#tasks.alive(pid) !== undefined) return pid;
    // Without announcements (strace -q) it may be a child, unless none is being made or the parent's own call goes on.
    const certain = this.#announced.size > 0 || this.#tasks.forking.size === 0;
    const resumed = certain ? undefined : readResumed(text, body)?.name;
    if (!certain && (resumed === undefined || resumed !== first.pending?.name)) return pid;
    this.#firstPid = pid;
    return FIRST_PID;
  }

  #act(pid: number, text: string, line: number, body: number): void {
    let task = this.#tasks.alive(pid);
    if (task === undefined) {
      if (!this.#tasks.isEmpty) {
        this.#tasks.hold(pid, text, line, body);
        this.#adopt();
        return;
      }
      this.#checkFirst(text, body);
      task = this.#tasks.born(pid);
    }
    this.#calls.values.reset(text, body);
    const code = text.charCodeAt(body);
    if (isLetter(code)) this.#call(task, text, line, body);
    else if (code === c.LESS) this.#resumed(task, text, line, body);
    else if (code === c.MINUS) this.#signal(task, text, line, body);
    else if (code === c.PLUS) this.#exit(task, text, line, body);
    else if (text.charAt(body) === '?' || text.charAt(body) === '>') this.#sink.skipped('note of strace', line);
    else throw new ScanError(body, 'not a line of strace');
  }

  /** The first line of all decides whether this is a recording: it must not count as cut off. */
  #checkFirst(text: string, body: number): void {
    const code = text.charCodeAt(body);
    const name = isLetter(code) ? callName(text, body) : '';
    if (
      name === ''
        ? code !== c.LESS && code !== c.PLUS && code !== c.MINUS
        : text.charCodeAt(body + name.length) !== c.OPEN_PAREN
    ) {
      throw new InputError({ line: this.#lastLine, column: body + 1 }, 'not a line of strace');
    }
  }

  #call(task: Task, text: string, line: number, body: number): void {
    const name = callName(text, body);
    const at = body + name.length;
    if (text.charCodeAt(at) !== c.OPEN_PAREN) throw new ScanError(at, 'expected "(" behind the name of a call');
    // The end of the call before was never printed.
    if (task.pending !== null) this.#abandon(task);
    const call = CALLS.get(name);
    if (call === undefined || call.handWrittenOnly === true) {
      this.#sink.skipped(name, line);
      return;
    }
    const mark = unfinishedAt(text);
    if (mark < 0) {
      this.#calls.call(name, text, at + 1, call.kind === 'syscall');
      this.#deliver(task, name, line);
    } else if (!text.startsWith('<unfinished', mark)) {
      this.#sink.skipped('detached', line);
    } else {
      const end = text.charCodeAt(mark - 1) === c.SPACE ? mark - 1 : mark;
      task.pending = { name, text: text.slice(body, end), line, start: body, child: 0 };
      if (isForkCall(name)) this.#tasks.forking.add(task);
      this.#adopt();
    }
  }

  #resumed(task: Task, text: string, line: number, body: number): void {
    const found = readResumed(text, body);
    if (found === null) {
      // `<detached ...>` and `<pid changed to N ...>` stand where a recording of this task ends.
      if (!text.endsWith('...>')) throw new ScanError(text.length, 'expected "resumed>"');
      this.#sink.skipped('note of strace', line);
      return;
    }
    const { pending } = task;
    if (pending === null || pending.name !== found.name) {
      const call = CALLS.get(found.name);
      const modelled = call !== undefined && call.handWrittenOnly !== true;
      this.#sink.skipped(modelled ? 'resumed without its beginning' : found.name, line);
      return;
    }
    this.#scanJoined(pending, text.slice(found.behind), line, found.behind);
    task.pending = null;
    this.#tasks.forking.delete(task);
    if (pending.child === 0) this.#deliver(task, pending.name, pending.line);
    else this.#checkChild(pending, line);
    this.#adopt();
  }

  /** Scans beginning and end as one call; a problem is told at the line that holds it. */
  #scanJoined(pending: Pending, rest: string, line: number, restColumn: number): void {
    const { name, text } = pending;
    try {
      this.#calls.call(name, text + rest, name.length + 1, CALLS.get(name)?.kind === 'syscall');
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      if (error.at >= text.length + rest.length && line === this.#lastLine) throw error;
      if (error.at < text.length) throw inputError(error, pending.line, pending.start + error.at + 1);
      throw inputError(error, line, restColumn + error.at - text.length + 1);
    }
  }

  #checkChild(pending: Pending, line: number): void {
    const { result } = this.#calls;
    if (result.kind === 'value' && result.value === pending.child) return;
    const told = result.kind === 'value' ? `gives ${result.value}` : 'made no task';
    throw new InputError({ line }, `${pending.name} ${told}, but task ${pending.child} acted as its child`);
  }

  /** A new task and a single parent inside a vfork: the parent's line ends only after the child's exec. */
  #adopt(): void {
    for (;;) {
      const child = this.#tasks.firstHeldPid();
      if (child === undefined || this.#tasks.forking.size !== 1) return;
      const [parent] = this.#tasks.forking;
      const pending = parent?.pending;
      if (parent === undefined || !pending) return;
      if (pending.name !== 'vfork' && !pending.text.includes('CLONE_VFORK')) return;
      this.#calls.unfinished(pending.name, pending.text, pending.name.length + 1);
      this.#calls.result = { kind: 'value', value: child };
      pending.child = child;
      this.#tasks.forking.delete(parent);
      this.#deliver(parent, pending.name, pending.line);
    }
  }

  /** The call will not end: it is delivered as it stands. */
  #abandon(task: Task): void {
    const { pending } = task;
    task.pending = null;
    this.#tasks.forking.delete(task);
    if (pending === null || pending.child !== 0) return;
    try {
      this.#calls.unfinished(pending.name, pending.text, pending.name.length + 1);
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      throw inputError(error, pending.line, pending.start + error.at + 1);
    }
    const { args, result } = this.#calls;
    this.#sink.operation({ line: pending.line, pid: task.pid, name: pending.name, args, result, unfinished: true });
  }

  #signal(task: Task, text: string, line: number, body: number): void {
    const operation = readSignal(this.#calls.values, text, body, line, task.pid);
    if (operation === null) this.#sink.skipped('stopped', line);
    else this.#sink.operation(operation);
  }

  #exit(task: Task, text: string, line: number, body: number): void {
    const operation = readExit(text, body, line, task.pid);
    this.#abandon(task);
    this.#sink.operation(operation);
    if (operation.name !== 'superseded') {
      this.#tasks.exit(task);
      return;
    }
    // The thread that called execve goes on under the number of its leader.
    const successor = this.#tasks.alive(Number(operation.args[0]));
    if (successor === undefined || successor === task) return;
    task.pending = successor.pending;
    this.#tasks.exit(successor);
  }

  #deliver(task: Task | null, name: string, line: number): void {
    const { args, result } = this.#calls;
    const operation: Operation = { line, pid: task === null ? null : task.pid, name, args, result };
    this.#sink.operation(operation);
    if (isForkCall(name)) {
      if (result.kind === 'value' && result.value > 0) this.#tasks.born(Number(result.value));
    } else if (name === 'new_task' && typeof args[0] === 'number') this.#tasks.born(args[0]);
  }
}

function callName(text: string, at: number): string {
  let end = at;
  for (let code = text.charCodeAt(end); isLetter(code) || isDigit(code); code = text.charCodeAt(end)) end++;
  return text.slice(at, end);
}
