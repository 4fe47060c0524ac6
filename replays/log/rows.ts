// Rows of numbers as columns: [rows, a column for each place in a row].
import type { Column } from './columns.js';
import { ColumnEncoder, MalformedError, decodeColumn } from './columns.js';
import { arrayOf, isCount } from './event-codec.js';

const encoder = new ColumnEncoder();

/** A list of numbers that grows. */
export class Numbers {
  #values = new Float64Array(64);
  length = 0;

  /** Empties the list; its room stays. */
  clear(): void {
    this.length = 0;
  }
  push(value: number): void {
    if (this.length === this.#values.length) {
      const wider = new Float64Array(2 * this.length);
      wider.set(this.#values);
      this.#values = wider;
    }
    this.#values[this.length++] = value;
  }
  encode(): Column {
    return encoder.encode(this.#values, this.length);
  }
}

/** Rows on their way into columns. */
export class Rows {
  readonly columns: readonly Numbers[];

  constructor(width: number) {
    this.columns = Array.from({ length: width }, () => new Numbers());
  }

  /** Adds a row; wide tables of many rows push to the columns themselves. */
  add(...row: readonly number[]): void {
    for (let i = 0; i < row.length; i++) this.columns[i]!.push(row[i] as number);
  }
  encode(): unknown {
    return [this.columns[0]!.length, ...this.columns.map((column) => column.encode())];
  }
}

/**
 * Rows and lists that are used again: their arrays are large, and making them anew each time lets the engine collect
 * garbage far more often.
 */
export class RowsPool {
  readonly #made = new Map<number, Rows[]>();
  readonly #taken = new Map<number, number>();

  /** Empty rows, valid until restart(). */
  rows(width: number): Rows {
    let made = this.#made.get(width);
    if (made === undefined) this.#made.set(width, (made = []));
    const taken = this.#taken.get(width) ?? 0;
    this.#taken.set(width, taken + 1);
    const rows = (made[taken] ??= new Rows(width));
    for (const column of rows.columns) column.clear();
    return rows;
  }
  numbers(): Numbers {
    return this.rows(1).columns[0] as Numbers;
  }
  /** All rows may be handed out again. */
  restart(): void {
    this.#taken.clear();
  }
}

export interface ReadRows {
  readonly n: number;
  readonly columns: readonly Float64Array[];
}

/**
 * The columns of at most `max` rows, of which at most `alike` may be the same row: a few bytes cannot claim to be millions.
 * Throws MalformedError.
 */
export function rowsOf(data: unknown, width: number, max: number, what: string, alike = 1): ReadRows {
  const { n, encoded } = encodedRows(data, width, max, what);
  if (n > alike && encoded.every((column) => typeof column === 'number'))
    throw new MalformedError(`${what}: the same one too often`);
  return decodedRows(n, encoded);
}

function encodedRows(data: unknown, width: number, max: number, what: string): { n: number; encoded: unknown[] } {
  const [n, ...encoded] = arrayOf(data, what);
  if (!isCount(n, max)) throw new MalformedError(`${what}: an impossible number of them`);
  if (encoded.length !== width) throw new MalformedError(`${what}: the wrong number of columns`);
  return { n, encoded };
}

function decodedRows(n: number, encoded: readonly unknown[]): ReadRows {
  const columns = encoded.map((column) => {
    const values = new Float64Array(n);
    decodeColumn(column, n, values);
    return values;
  });
  return { n, columns };
}

/** Numbers of one column, at most `max`, and at most `alike` times the same. Throws MalformedError. */
export const numbersIn = (data: unknown, max: number, what: string, alike = 1): number[] =>
  Array.from(rowsOf(data, 1, max, what, alike).columns[0] as Float64Array, narrow);

/** A number of a column as small as it may be: engines keep 32-bit integers apart from doubles. */
export const narrow = (value: number): number => {
  const low = value | 0;
  return low === value ? low : value;
};

/** Hands out stretches of a list, one after the other. One whose numbers are all alike takes no room before. */
export class Stretches {
  readonly #length: number;
  /** Null: all are `#same`. */
  readonly #values: Float64Array | null;
  readonly #same: number;
  #at = 0;

  /** The list in `data`, of at most `max` numbers. Throws MalformedError. */
  constructor(data: unknown, max: number, what: string) {
    const { n, encoded } = encodedRows(data, 1, max, what);
    const [column] = encoded;
    this.#length = n;
    const same = typeof column === 'number';
    this.#values = same ? null : (decodedRows(n, encoded).columns[0] as Float64Array);
    this.#same = same ? (decodedRows(1, encoded).columns[0]![0] as number) : 0;
  }
  take(n: number, what: string): number[] {
    if (!isCount(n, this.#length - this.#at)) throw new MalformedError(`${what}: more than there are`);
    const values = this.#values;
    const taken = new Array<number>(n).fill(narrow(this.#same));
    if (values !== null) for (let i = 0; i < n; i++) taken[i] = narrow(values[this.#at + i] as number);
    this.#at += n;
    return taken;
  }
  /** Throws unless all was taken. */
  end(what: string): void {
    if (this.#at !== this.#length) throw new MalformedError(`${what}: fewer than there are`);
  }
}

/** Calls `take` with each row as a list. */
export function eachRow({ n, columns }: ReadRows, take: (row: readonly number[]) => void): void {
  for (let i = 0; i < n; i++) take(columns.map((column) => narrow(column[i] as number)));
}

/** `id` if `list` has a place for it. */
export function placeIn(list: readonly unknown[], id: number | undefined, what: string): number {
  if (!isCount(id, list.length - 1)) throw new MalformedError(`${what} ${id}, which has no place`);
  return id;
}
