// The operations of a log: by number, by line, and the names that their results bound.
import type { FrameIndexEntry } from '../../replays/log/format.js';
import type { LogChunk, LogReader } from '../../replays/log/reader.js';
import type { LoggedOperation } from '../../replays/log/operation-codec.js';
import { EXIT, UserError } from '../lib/errors.js';

/** Frames of operations kept decoded. */
const FRAMES_KEPT = 4;

/** What a name stands for from an operation on. */
interface Binding {
  /** Position behind the operation. */
  readonly from: number;
  readonly value: number;
}

export class Operations {
  readonly #reader: LogReader;
  readonly #frames = new Map<number, readonly LoggedOperation[]>();
  /** The frame asked for last: operations are asked for in order, mostly. */
  #frame: FrameIndexEntry | undefined = undefined;
  #names: ReadonlyMap<string, readonly Binding[]> | null = null;
  /** The chunk asked for last: neighbouring events are asked for in a row. */
  #chunk: LogChunk | null = null;

  constructor(reader: LogReader) {
    this.#reader = reader;
  }

  /** Ids go from `first` to before `end`. */
  get first(): number {
    return this.#reader.footer.firstOperation;
  }
  get end(): number {
    return this.#reader.footer.operations;
  }

  /** The operation with that id; null for -1 and ids that the log does not hold. */
  at(id: number): LoggedOperation | null {
    const holds = ([, first, n]: FrameIndexEntry): boolean => id >= first && id < first + n;
    if (this.#frame === undefined || !holds(this.#frame)) this.#frame = this.#reader.footer.operationFrames.find(holds);
    if (this.#frame === undefined) return null;
    const [, first, n] = this.#frame;
    let operations = this.#frames.get(first);
    if (operations === undefined) {
      operations = [...this.#reader.operations(first, first + n)];
      const [oldest] = this.#frames.keys();
      if (this.#frames.size >= FRAMES_KEPT && oldest !== undefined) this.#frames.delete(oldest);
      this.#frames.set(first, operations);
    }
    return operations[id - first] ?? null;
  }

  /** All, in order. */
  all(): Iterable<LoggedOperation> {
    return this.#reader.operations();
  }

  /** The operation that event `number` belongs to; null for none. */
  ofEvent(number: number): LoggedOperation | null {
    const last = this.#chunk;
    const inside = last !== null && number >= last.first && number < last.first + last.n;
    const chunk = inside ? last : (this.#chunk = this.#reader.chunkAt(number));
    let end = chunk.first;
    for (const { operation, count } of chunk.runs) {
      end += count;
      if (number < end) return this.at(operation);
    }
    return null;
  }

  /** Position behind operation `id`. @throws UserError if the log has no such operation, or lost its end. */
  positionAfter(id: number): number {
    const operation = this.at(id);
    if (operation === null)
      throw new UserError(`no operation ${id}; there are ${this.first} to ${this.end - 1}`, EXIT.input);
    const end = operation.firstEvent + operation.events;
    if (end > this.#reader.eventCount) throw new UserError(`the end of operation ${id} was lost`, EXIT.input);
    return end;
  }

  /** The last operation of source line `line`. @throws UserError where none comes from it. */
  ofLine(line: number): LoggedOperation {
    let found: LoggedOperation | null = null;
    for (const operation of this.all()) if (operation.line === line) found = operation;
    if (found === null) throw new UserError(`no operation comes from line ${line}`, EXIT.input);
    return found;
  }

  /** The task that does the first operation; 0 if none does. */
  firstPid(): number {
    for (const { pid } of this.all()) if (pid !== null) return pid;
    return 0;
  }

  /** Names that results bound. */
  names(): readonly string[] {
    return [...this.#bindings().keys()];
  }

  /** What `name` stands for at position `at`: what it was last bound to, or will first be. */
  nameAt(name: string, at: number): number | undefined {
    const bindings = this.#bindings().get(name);
    return (bindings?.findLast(({ from }) => from <= at) ?? bindings?.[0])?.value;
  }

  #bindings(): ReadonlyMap<string, readonly Binding[]> {
    if (this.#names !== null) return this.#names;
    const names = new Map<string, Binding[]>();
    for (const { result, got, firstEvent, events } of this.all()) {
      const [name] = (result as { names?: readonly string[] } | null)?.names ?? [];
      const value = (got as { value?: number } | null)?.value;
      if (name === undefined || value === undefined) continue;
      const bindings = names.get(name) ?? [];
      names.set(name, bindings);
      bindings.push({ from: firstEvent + events, value });
    }
    return (this.#names = names);
  }
}
