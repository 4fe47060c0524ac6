// A debugging session: where it is, what stops it, what was marked and asked. It knows no terminal: commands/ ask it, repl.ts reads and answers.
import type { KernelView } from '../../reducers/state.js';
import type { LogReader } from '../../replays/log/reader.js';
import type { LoggedOperation } from '../../replays/log/operation-codec.js';
import { Timeline } from '../../replays/timeline.js';
import { EXIT, UserError } from '../lib/errors.js';
import { Operations } from './operations.js';
import type { Names } from './probe.js';
import { Probe } from './probe.js';
import type { SearchedLog } from './scan.js';
import type { Stop, StopKind } from './stops.js';
import { Violations } from './violations.js';
import { briefly, count, operationText } from './words.js';

/** What a session needs of the program around it. */
export interface Host {
  /** Called between pieces of long searches; throws Interrupted to end one. */
  breathe(): Promise<void>;
  /** Writes a file that a command was told to write. @throws UserError where that fails. */
  writeFile(path: string, text: string): void;
}

/** The user wants a search to end. */
export class Interrupted extends Error {}

/** Something said about a position. */
export interface Note {
  readonly position: number;
  readonly text: string;
}

/** A value that was printed or asserted: what export-test turns into checks. */
export interface Asked {
  readonly position: number;
  readonly text: string;
  /** As the expression language writes it; null for subjects, which have no literal. */
  readonly literal: string | null;
}

export class Session {
  readonly reader: LogReader;
  readonly log: SearchedLog;
  readonly host: Host;
  readonly timeline: Timeline;
  readonly operations: Operations;
  readonly violations: Violations;
  readonly stops: Stop[] = [];
  /** Positions by name. */
  readonly marks = new Map<string, number>();
  readonly notes: Note[] = [];
  readonly asked: Asked[] = [];
  /** Assertions that did not hold. */
  failed = 0;
  readonly #undo: number[] = [];
  readonly #redo: number[] = [];
  #nextStop = 1;
  #firstPid: number | null = null;

  constructor(reader: LogReader, host: Host) {
    this.reader = reader;
    this.host = host;
    this.log = { reader, breathe: () => host.breathe() };
    this.timeline = new Timeline(reader);
    this.operations = new Operations(reader);
    this.violations = new Violations(this.log, this.operations);
  }

  get position(): number {
    return this.timeline.position;
  }

  get state(): KernelView {
    return this.timeline.state;
  }

  /** Goes to position `n`, which `undo` takes back. */
  move(n: number): void {
    if (n === this.position) return;
    this.#undo.push(this.position);
    this.#redo.length = 0;
    this.timeline.seek(n);
  }

  /** Takes back the last move, or (`redo`) what was taken back last; false if there is none. */
  takeBack(redo = false): boolean {
    const [from, to] = redo ? [this.#redo, this.#undo] : [this.#undo, this.#redo];
    const position = from.pop();
    if (position === undefined) return false;
    to.push(this.position);
    this.timeline.seek(position);
    return true;
  }

  addStop(text: string, what: StopKind, condition: Probe | null): Stop {
    const stop: Stop = { id: this.#nextStop++, text, what, condition, hits: 0 };
    this.stops.push(stop);
    return stop;
  }

  /** What names mean at the position. */
  names(): Names {
    const at = this.position;
    this.#firstPid ??= this.operations.firstPid();
    return { nameOf: (name) => this.operations.nameAt(name, at), pid: this.#firstPid };
  }

  /** An expression, as it is at the position. @throws InputError where it makes no sense. */
  probe(text: string): Probe {
    if (text === '') throw new UserError('an expression is missing, such as page(1, A).mapcount', EXIT.input);
    return new Probe(text, this.names(), this.state);
  }

  /** The number that an expression is at the position. */
  number(text: string): number {
    const value = Number(this.probe(text).value(this.state));
    if (!Number.isFinite(value)) throw new UserError(`'${text}' is no number here`, EXIT.input);
    return value;
  }

  /**
   * Positions as `goto` takes them: `N`, `+N`, `-N`, `op:N` and `line:N` (behind the operation), `start`, `end`, `50%`, `@mark`.
   * @throws UserError for what is none, or lies outside of the log.
   */
  positionOf(text: string): number {
    const { firstEvent, eventCount } = this.reader;
    const n = this.#positionIn(text);
    if (!Number.isInteger(n) || n < firstEvent || n > eventCount)
      throw new UserError(`positions go from ${firstEvent} to ${eventCount}`, EXIT.input);
    return n;
  }

  #positionIn(text: string): number {
    const { firstEvent, eventCount } = this.reader;
    if (text === 'start') return firstEvent;
    if (text === 'end') return eventCount;
    if (/^\d+$/.test(text)) return Number(text);
    if (/^[+-]\d+$/.test(text)) return this.position + Number(text);
    const [, kind, number] = /^(op|line):(\d+)$/.exec(text) ?? [];
    if (kind === 'op') return this.operations.positionAfter(Number(number));
    if (kind === 'line') return this.operations.positionAfter(this.operations.ofLine(Number(number)).id);
    const share = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
    if (share !== undefined) return firstEvent + Math.round(((eventCount - firstEvent) * Number(share)) / 100);
    if (text.startsWith('@')) {
      const mark = this.marks.get(text.slice(1));
      if (mark === undefined) throw new UserError(`no mark '${text.slice(1)}'; \`marks\` lists them`, EXIT.input);
      return mark;
    }
    throw new UserError(`'${text}' is no position: N, +N, -N, op:N, line:N, start, end, 50% or @MARK`, EXIT.input);
  }

  /** `cow.fsw:5  1 store(A, 34)`. */
  placeText(operation: LoggedOperation | null): string {
    if (operation === null) return 'no operation';
    return `${this.reader.header.sourceName}:${operation.line}  ${operationText(operation)}`;
  }

  /** The operation that event `number` belongs to, in words. */
  placeOf(number: number): string {
    return this.placeText(this.operations.ofEvent(number));
  }

  /** `at 28 of 47, in op 3, leak.fsw:4  1 fork() = 2`. */
  here(): string {
    const { position } = this;
    const { firstEvent, eventCount } = this.reader;
    const last = position > firstEvent ? this.operations.ofEvent(position - 1) : null;
    const next = position < eventCount ? this.operations.ofEvent(position) : null;
    const inside = last !== null && last.id === next?.id;
    const how = inside ? 'in' : last === null ? 'before' : 'after';
    const operation = last ?? next;
    return `at ${count(position)} of ${count(eventCount)}, ${
      operation === null ? 'no operation' : `${how} op ${operation.id}, ${this.placeText(operation)}`
    }`;
  }

  /** Where the session is: position, operation and line, and the events on either side. */
  where(): string[] {
    const { position } = this;
    const { firstEvent, eventCount } = this.reader;
    const lines = [this.here()];
    if (position > firstEvent) lines.push(`  last  ${this.eventLine(position - 1)}`);
    if (position < eventCount) lines.push(`  next  ${this.eventLine(position)}`);
    return lines;
  }

  /** `28  CowPageMapped mm=1 ...`. */
  eventLine(number: number): string {
    return `${number}  ${briefly(this.timeline.event(number))}`;
  }
}
