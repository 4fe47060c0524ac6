// Reads workloads: hand-written ones here, recordings by strace.ts.

import { InputError } from '../../lib/errors.js';
import { NO_RESULT } from '../operation.js';
import type { LineParser, Operation, OperationSink } from '../operation.js';
import { CallScanner } from './call.js';
import { CALLS, nearestCall } from './calls.js';
import { inputError, readExit, readResumed, readSignal, unfinishedAt } from './line.js';
import { ParallelBlocks } from './parallel.js';
import { ScanError } from './scanner.js';
import { RecordingParser } from './strace.js';

const DIGITS = /\s*(\d+)\s+/y;
/** `g1: ` before a call names its only step. */
const LABEL = /([A-Za-z]\w*):\s+/y;
const CALL_NAME = /([A-Za-z_]\w*)\s*/y;

/** How a text is to be read. */
export interface TextOptions {
  /** A recording of strace, or one printed by this program; otherwise a hand-written workload. */
  readonly recorded: boolean;
  /** Count lines that are not understood instead of refusing them. */
  readonly lenient: boolean;
}

/**
 * Reads the text language line by line. Throws InputError without file name; line numbers are those given. A line of a
 * recording that ends too early is an error only when another line follows: it may have been cut off.
 */
export class TextParser implements LineParser {
  readonly #parser: LineParser;

  constructor(sink: OperationSink, options: TextOptions) {
    this.#parser = options.recorded
      ? new RecordingParser(sink, options.lenient)
      : new WorkloadParser(sink, options.lenient);
  }

  line(text: string, number: number): void {
    this.#parser.line(text, number);
  }

  end(): void {
    this.#parser.end();
  }
}

/** The parser of hand-written workloads. */
class WorkloadParser implements LineParser {
  readonly #sink: OperationSink;
  readonly #lenient: boolean;
  readonly #calls = new CallScanner(false);
  readonly #blocks = new ParallelBlocks();
  /** Whether tasks are named: on every line or on none. */
  #withPids: boolean | null = null;

  constructor(sink: OperationSink, lenient: boolean) {
    this.#sink = sink;
    this.#lenient = lenient;
  }

  line(text: string, number: number): void {
    try {
      this.#read(text.includes('#') ? withoutComment(text) : text, number);
    } catch (error) {
      this.#refuse(error instanceof ScanError ? inputError(error, number) : error, number);
    }
  }

  end(): void {
    try {
      this.#blocks.end();
    } catch (error) {
      this.#refuse(error, error instanceof InputError ? (error.place.line ?? 0) : 0);
    }
  }

  #refuse(error: unknown, line: number): void {
    if (!(error instanceof InputError) || !this.#lenient) throw error;
    this.#sink.skipped('not understood', line);
  }

  #read(text: string, line: number): void {
    const whole = text.trim();
    if (whole === '' || this.#block(whole, text.indexOf(whole), line)) return;
    DIGITS.lastIndex = 0;
    const digits = DIGITS.exec(text)?.[1];
    const pid = digits === undefined ? null : Number(digits);
    const body = digits === undefined ? text.length - text.trimStart().length : DIGITS.lastIndex;
    if (pid !== null && (pid < 1 || !Number.isSafeInteger(pid))) throw new ScanError(0, 'not a PID');
    if (text.startsWith('steps', body) && /^\s?$/.test(text.charAt(body + 5))) {
      this.#steps(line, pid, text.slice(body + 6), body + 6);
      return;
    }
    if (text.startsWith('check', body) && /\s/.test(text.charAt(body + 5))) {
      this.#deliver(line, pid, 'check', [{ text: text.slice(body + 6).trim() }]);
    } else if (text.startsWith('<...', body)) {
      this.#resumed(text, line, body, this.#task(pid, line));
    } else if (text.startsWith('+++', body)) {
      this.#sink.operation(readExit(text, body, line, this.#task(pid, line)));
    } else if (text.startsWith('---', body)) {
      const signal = readSignal(this.#calls.values, text, body, line, this.#task(pid, line));
      if (signal === null) this.#sink.skipped('stopped', line);
      else this.#sink.operation(signal);
    } else this.#call(text, line, body, pid);
  }

  /** `parallel {`, `}` and `schedule ...`. */
  #block(text: string, column: number, line: number): boolean {
    if (/^parallel\s*\{$/.test(text)) {
      this.#blocks.begin(line, column);
      this.#deliver(line, null, 'parallel', []);
    } else if (text === '}') {
      const problem = this.#blocks.close(column);
      this.#deliver(line, null, 'end_parallel', []);
      if (problem !== null) throw problem;
    } else if (/^schedule\s/.test(text)) {
      this.#deliver(line, null, 'schedule', [{ text: this.#blocks.schedule(text.slice(9), column + 9) }]);
    } else return false;
    return true;
  }

  /** `PID steps g1 g2`, or `PID g1: call(...)`. */
  #steps(line: number, pid: number | null, names: string, column: number): void {
    this.#deliver(line, pid, 'steps', [{ text: this.#blocks.name(pid, names, line, column) }]);
  }

  #call(text: string, line: number, start: number, pid: number | null): void {
    LABEL.lastIndex = start;
    const label = LABEL.exec(text)?.[1];
    if (label !== undefined) this.#steps(line, pid, label, start);
    const body = label === undefined ? start : LABEL.lastIndex;
    CALL_NAME.lastIndex = body;
    const name = CALL_NAME.exec(text)?.[1];
    if (name === undefined) throw new ScanError(body, 'expected a call, check, steps, parallel or schedule');
    const at = CALL_NAME.lastIndex;
    const call = CALLS.get(name);
    if (call === undefined) {
      const nearest = nearestCall(name);
      throw new ScanError(body, `unknown call ${name}${nearest === null ? '' : `; did you mean ${nearest}?`}`);
    }
    if (text.charAt(at) !== '(') throw new ScanError(at, `expected "(" behind ${name}`);
    const byMachine = pid === null && call.kind === 'machine';
    this.#blocks.call(pid, byMachine, body);
    const actor = byMachine ? null : this.#task(pid, line);
    const trimmed = text.trimEnd();
    const mark = unfinishedAt(trimmed);
    if (mark < 0) this.#calls.call(name, text, at + 1, false);
    else this.#calls.unfinished(name, text.slice(0, mark).trimEnd(), at + 1);
    const { args, result } = this.#calls;
    const operation: Operation = { line, pid: actor, name, args, result };
    this.#sink.operation(mark < 0 ? operation : { ...operation, unfinished: true });
  }

  /** The end of a call that was delivered when it blocked. */
  #resumed(text: string, line: number, body: number, pid: number): void {
    const found = readResumed(text, body);
    if (found === null) throw new ScanError(body, 'expected "<... name resumed>"');
    this.#calls.ending(text, found.behind);
    const { result } = this.#calls;
    this.#sink.operation({ line, pid, name: 'resumed', args: [{ word: found.name }], result });
  }

  /** Who acts: the PID of the line, or PID 1 where no line has one. */
  #task(pid: number | null, line: number): number {
    const named = pid !== null;
    if (this.#withPids !== null && this.#withPids !== named) {
      const problem = named ? 'a PID here, but earlier lines have none' : 'no PID here, but earlier lines have one';
      throw new InputError({ line, column: 1 }, `${problem}: name the task on every line or on none`);
    }
    this.#withPids = named;
    return pid ?? 1;
  }

  #deliver(line: number, pid: number | null, name: string, args: Operation['args']): void {
    this.#sink.operation({ line, pid, name, args, result: NO_RESULT });
  }
}

/** The line up to a `#` outside quotes. */
function withoutComment(text: string): string {
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (quote !== '') {
      if (character === '\\') at++;
      else if (character === quote) quote = '';
    } else if (character === '"' || character === "'") quote = character;
    else if (character === '#') {
      // `<unfinished #89 ...>` numbers a call.
      if (!/^#\d+ (?:\.\.\.|\w+ resumed)/.test(text.slice(at, at + 40)) || text.charAt(at - 1) !== ' ')
        return text.slice(0, at);
    }
  }
  return text;
}
