// Operations as columns. Operations that look alike (same call, same kinds of arguments and outcome) share a shape, which
// holds everything but their numbers; a fault of a recording then costs a shape number and a few differences.
import type { Column } from './columns.js';
import { ColumnEncoder, MalformedError, decodeColumn } from './columns.js';
import { arrayOf, isCount } from './event-codec.js';

/** Operations that one frame may claim to hold. */
export const FRAME_OPERATIONS_MAX = 1 << 16;

/** A line of a workload as it goes into a log: plain data, see src/workload/operation.ts. */
export interface PlainOperation {
  readonly line: number;
  readonly pid: number | null;
  readonly name: string;
  readonly args: readonly unknown[];
  /** What the line says about the outcome. */
  readonly result: unknown;
  readonly unfinished?: boolean;
}

/** An operation of a log, with what came of it. */
export interface LoggedOperation extends PlainOperation {
  /** Counted from 0. */
  readonly id: number;
  /** What the model made of it: `{value}`, `{errno}`, `{signal, ...}`, null for nothing. Plain data. */
  readonly got: unknown;
  /** Number of the first event at or after its begin; where operations interleave, its own may come later. */
  readonly firstEvent: number;
  /** Events it emitted. */
  readonly events: number;
}

/** An operation on its way into a log. */
export interface FinishedOperation {
  readonly operation: PlainOperation;
  readonly got: unknown;
  readonly firstEvent: number;
  readonly events: number;
}

/** Kinds of things in a shape. `number` has its value in a column, `other` in the list of the rest; the text stands in the shape. */
const NUMBER = 0;
const OTHER = 1;
const NULL = 2;
const WORD = 3;
const NONE = 4;
const ERRNO = 5;
/** In a shape's flags. */
const NO_PID = 1;
const UNFINISHED = 2;
const FINISHED = 4;

/** [name, flags, number of arguments, kind (and text) of each, kind (and text) of the result, the same of what was got]. */
type Signature = readonly (number | string)[];

const keysOf = (value: object): number => {
  let keys = 0;
  for (const _key in value) keys++;
  return keys;
};

/** Takes operations apart into signature, numbers and the rest. Its arrays are reused: emptying one costs more than the work. */
class Parts {
  readonly signature: (number | string)[] = [];
  signatureLength = 0;
  readonly numbers: number[] = [];
  numberCount = 0;
  readonly rest: unknown[] = [];

  take(operation: PlainOperation, got: unknown): void {
    this.signatureLength = 0;
    this.numberCount = 0;
    const unfinished = operation.unfinished === undefined ? 0 : operation.unfinished ? UNFINISHED : FINISHED;
    this.#sign(operation.name);
    this.#sign(unfinished | (operation.pid === null ? NO_PID : 0));
    this.#sign(operation.args.length);
    for (const arg of operation.args) this.#arg(arg);
    this.#result(operation.result);
    this.#got(got);
  }

  /** Whether an operation taken earlier had this signature. */
  has(signature: Signature): boolean {
    if (signature.length !== this.signatureLength) return false;
    for (let i = 0; i < signature.length; i++) if (signature[i] !== this.signature[i]) return false;
    return true;
  }

  #sign(item: number | string): void {
    this.signature[this.signatureLength++] = item;
  }
  #text(kind: number, text: string): void {
    this.#sign(kind);
    this.#sign(text);
  }
  #number(value: unknown): boolean {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) return false;
    this.#sign(NUMBER);
    this.numbers[this.numberCount++] = value;
    return true;
  }
  #other(value: unknown): void {
    this.#sign(OTHER);
    this.rest.push(value);
  }
  #arg(arg: unknown): void {
    if (this.#number(arg)) return;
    if (arg === null) this.#sign(NULL);
    else if (typeof arg === 'object' && 'word' in arg && typeof arg.word === 'string' && keysOf(arg) === 1)
      this.#text(WORD, arg.word);
    else this.#other(arg);
  }
  #result(result: unknown): void {
    if (typeof result === 'object' && result !== null && 'kind' in result) {
      const { kind } = result;
      const keys = keysOf(result);
      if (kind === 'none' && keys === 1) return this.#sign(NONE);
      if (keys === 2) {
        if (kind === 'value' && 'value' in result && this.#number(result.value)) return;
        if (kind === 'errno' && 'errno' in result && typeof result.errno === 'string')
          return this.#text(ERRNO, result.errno);
      }
    }
    this.#other(result);
  }
  #got(got: unknown): void {
    if (got === null) return this.#sign(NULL);
    if (typeof got === 'object' && keysOf(got) === 1) {
      if ('value' in got && this.#number(got.value)) return;
      if ('errno' in got && typeof got.errno === 'string') return this.#text(ERRNO, got.errno);
    }
    this.#other(got);
  }
}

interface Shape {
  readonly number: number;
  readonly signature: Signature;
  /** Values of each number in it, one array per place. */
  readonly columns: number[][];
}

const columnEncoder = new ColumnEncoder();
const columnOf = (values: readonly number[]): Column => columnEncoder.encode(Float64Array.from(values), values.length);

/** The plain data of a frame with `operations`, whose ids follow each other from `first` on. */
export function encodeOperations(first: number, operations: readonly FinishedOperation[]): unknown {
  const parts = new Parts();
  const shapes: Shape[] = [];
  const byName = new Map<string, Shape[]>();
  const shapeNumbers: number[] = [];
  const pids: number[] = [];
  const gaps: number[] = [];
  let pid = 0;
  let expected = 0;
  for (const { operation, got, firstEvent, events } of operations) {
    parts.take(operation, got);
    let alike = byName.get(operation.name);
    if (alike === undefined) byName.set(operation.name, (alike = []));
    let shape: Shape | undefined;
    for (const candidate of alike) {
      if (!parts.has(candidate.signature)) continue;
      shape = candidate;
      break;
    }
    if (shape === undefined) {
      const signature = parts.signature.slice(0, parts.signatureLength);
      shape = { number: shapes.length, signature, columns: Array.from({ length: parts.numberCount }, () => []) };
      shapes.push(shape);
      alike.push(shape);
    }
    shapeNumbers.push(shape.number);
    for (let i = 0; i < parts.numberCount; i++) shape.columns[i]!.push(parts.numbers[i] as number);
    pid = operation.pid ?? pid;
    pids.push(pid);
    gaps.push(firstEvent - expected);
    expected = firstEvent + events;
  }
  return [
    first,
    operations.length,
    shapes.map(({ signature }) => signature),
    columnOf(shapeNumbers),
    columnOf(operations.map(({ operation }) => operation.line)),
    columnOf(pids),
    columnOf(gaps),
    columnOf(operations.map(({ events }) => events)),
    shapes.map(({ columns }) => columns.map(columnOf)),
    parts.rest,
  ];
}

function numbersOf(column: unknown, count: number): Float64Array {
  const values = new Float64Array(count);
  decodeColumn(column, count, values);
  return values;
}

/** Reads shapes one thing after the other. */
class SignatureReader {
  #at = 3;
  readonly #signature: readonly unknown[];
  readonly #nextNumber: () => number;
  readonly #nextRest: () => unknown;
  constructor(signature: readonly unknown[], nextNumber: () => number, nextRest: () => unknown) {
    this.#signature = signature;
    this.#nextNumber = nextNumber;
    this.#nextRest = nextRest;
  }
  /** The next thing; `wrap` makes what its kind says of a number or text. */
  next(wrap: (kind: number, value: number | string | null) => unknown): unknown {
    const kind = this.#signature[this.#at++];
    switch (kind) {
      case OTHER:
        return this.#nextRest();
      case NUMBER:
        return wrap(NUMBER, this.#nextNumber());
      case WORD:
      case ERRNO: {
        const text = this.#signature[this.#at++];
        if (typeof text === 'string') return wrap(kind, text);
        break;
      }
      case NULL:
      case NONE:
        return wrap(kind, null);
    }
    throw new MalformedError('a shape of operations with an unknown kind');
  }
}

const argOf = (kind: number, value: number | string | null): unknown => (kind === WORD ? { word: value } : value);
const resultOf = (kind: number, value: number | string | null): unknown => {
  if (kind === NUMBER) return { kind: 'value', value };
  return kind === ERRNO ? { kind: 'errno', errno: value } : { kind: 'none' };
};
const gotOf = (kind: number, value: number | string | null): unknown => {
  if (kind === NUMBER) return { value };
  return kind === ERRNO ? { errno: value } : null;
};

interface ReadShape {
  readonly name: string;
  readonly flags: number;
  readonly argCount: number;
  readonly signature: readonly unknown[];
  readonly columns: readonly Float64Array[];
  row: number;
}

function shapesOf(signatures: unknown, columns: unknown, counts: Uint32Array): ReadShape[] {
  const tables = arrayOf(columns, 'the columns of operations');
  return arrayOf(signatures, 'the shapes of operations').map((value, i) => {
    const signature = arrayOf(value, 'a shape');
    const [name, flags, argCount] = signature;
    if (typeof name !== 'string' || !isCount(flags, 7) || !isCount(argCount, signature.length))
      throw new MalformedError('a shape of operations without name, flags or arguments');
    const count = counts[i] ?? 0;
    const read = arrayOf(tables[i], 'the columns of a shape').map((column) => numbersOf(column, count));
    return { name, flags, argCount, signature, columns: read, row: 0 };
  });
}

/** What an operations frame holds: the first id and how many, without decoding the operations. */
export function operationRange(data: unknown): { readonly first: number; readonly n: number } {
  const [first, n] = arrayOf(data, 'a frame of operations');
  if (!isCount(first, Number.MAX_SAFE_INTEGER) || !isCount(n, FRAME_OPERATIONS_MAX))
    throw new MalformedError('a frame of operations without its range');
  return { first, n };
}

/** The operations in a frame's data. Throws MalformedError. */
export function decodeOperations(data: unknown): LoggedOperation[] {
  const { first, n } = operationRange(data);
  const [, , signatures, shapeNumberColumn, lineColumn, pidColumn, gapColumn, eventsColumn, columns, restList] =
    arrayOf(data, 'a frame of operations');
  const shapeNumbers = numbersOf(shapeNumberColumn, n);
  const lines = numbersOf(lineColumn, n);
  const pids = numbersOf(pidColumn, n);
  const gaps = numbersOf(gapColumn, n);
  const events = numbersOf(eventsColumn, n);
  const shapeCount = arrayOf(signatures, 'the shapes of operations').length;
  const counts = new Uint32Array(shapeCount);
  for (const number of shapeNumbers) {
    if (!isCount(number, shapeCount - 1)) throw new MalformedError('an operation of an unknown shape');
    counts[number]!++;
  }
  const shapes = shapesOf(signatures, columns, counts);
  const rest = arrayOf(restList, 'the rest of operations');
  let restAt = 0;
  const nextRest = (): unknown => {
    if (restAt >= rest.length) throw new MalformedError('operations with too few values');
    return rest[restAt++];
  };
  const operations: LoggedOperation[] = [];
  let expected = 0;
  for (let i = 0; i < n; i++) {
    const shape = shapes[shapeNumbers[i] as number]!;
    const row = shape.row++;
    let place = 0;
    const nextNumber = (): number => {
      const column = shape.columns[place++];
      if (column === undefined) throw new MalformedError('operations with too few numbers');
      return column[row] as number;
    };
    const reader = new SignatureReader(shape.signature, nextNumber, nextRest);
    const args: unknown[] = [];
    for (let arg = 0; arg < shape.argCount; arg++) args.push(reader.next(argOf));
    const result = reader.next(resultOf);
    const got = reader.next(gotOf);
    const firstEvent = expected + (gaps[i] as number);
    expected = firstEvent + (events[i] as number);
    const unfinished = (shape.flags & (UNFINISHED | FINISHED)) !== 0;
    const logged = {
      id: first + i,
      line: lines[i] as number,
      pid: (shape.flags & NO_PID) !== 0 ? null : (pids[i] as number),
      name: shape.name,
      args,
      result,
      got,
      firstEvent,
      events: events[i] as number,
    };
    operations.push(unfinished ? { ...logged, unfinished: (shape.flags & UNFINISHED) !== 0 } : logged);
  }
  return operations;
}
