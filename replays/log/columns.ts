// A column of whole numbers as bytes. One number where all are equal; else differences as zigzag varints, or raw doubles
// where a difference does not fit. -0 becomes 0. Others than whole numbers no event has: they are a bug of the model.
import { assert } from '../../src/lib/assert.js';

/** How a column stands in a frame: the value all rows share, or bytes whose first tells the mode. */
export type Column = number | Uint8Array;

const MODE_DELTAS = 0;
const MODE_RAW = 1;
/** Differences below this are exact as doubles, also after zigzag. */
const DELTA_LIMIT = 2 ** 52;
/** A varint of 53 bits. */
const VARINT_BYTES_MAX = 8;

/** Bytes that do not hold what they claim to; the reader adds the place. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}

/** Encodes columns; keeps its scratch buffer from one to the next. */
export class ColumnEncoder {
  #bytes = new Uint8Array(1 << 16);

  /** The first `count` values. Integers from -2^52 to 2^52 and their neighbours take one to eight bytes. */
  encode(values: Float64Array, count: number): Column {
    const first = (values[0] as number) + 0;
    let i = 1;
    while (i < count && values[i] === first) i++;
    if (i >= count) return count === 0 ? 0 : whole(first);
    return this.#deltas(values, count) ?? raw(values, count);
  }

  #deltas(values: Float64Array, count: number): Uint8Array | null {
    if (this.#bytes.length < 1 + count * VARINT_BYTES_MAX)
      this.#bytes = new Uint8Array(2 * (1 + count * VARINT_BYTES_MAX));
    const bytes = this.#bytes;
    bytes[0] = MODE_DELTAS;
    let at = 1;
    let previous = 0;
    for (let i = 0; i < count; i++) {
      const value = values[i] as number;
      const delta = value - previous;
      previous = value;
      const small = delta | 0;
      if (small === delta) {
        let zigzag = (small << 1) ^ (small >> 31);
        while (zigzag < 0 || zigzag > 127) {
          bytes[at++] = (zigzag & 127) | 128;
          zigzag >>>= 7;
        }
        bytes[at++] = zigzag;
        continue;
      }
      if (!(Math.abs(delta) < DELTA_LIMIT) || !Number.isSafeInteger(value)) return null;
      let zigzag = delta < 0 ? -2 * delta - 1 : 2 * delta;
      while (zigzag > 127) {
        bytes[at++] = (zigzag % 128) | 128;
        zigzag = Math.floor(zigzag / 128);
      }
      bytes[at++] = zigzag;
    }
    return bytes.slice(0, at);
  }
}

function whole(value: number): number {
  assert(Number.isSafeInteger(value), 'number-not-whole', value);
  return value;
}

function raw(values: Float64Array, count: number): Uint8Array {
  const bytes = new Uint8Array(1 + 8 * count);
  bytes[0] = MODE_RAW;
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) view.setFloat64(1 + 8 * i, whole((values[i] as number) + 0), true);
  return bytes;
}

/** Reads `count` values into `out`, which has room. Throws MalformedError unless the column holds exactly that many. */
export function decodeColumn(column: unknown, count: number, out: Float64Array): void {
  if (typeof column === 'number') {
    if (!Number.isSafeInteger(column)) throw new MalformedError(`a column holds ${column}, which no event can`);
    out.fill(column, 0, count);
    return;
  }
  if (!(column instanceof Uint8Array)) throw new MalformedError('a column is neither a number nor bytes');
  if (column[0] === MODE_DELTAS) return decodeDeltas(column, count, out);
  if (column[0] !== MODE_RAW) throw new MalformedError(`a column has the unknown mode ${column[0]}`);
  if (column.length !== 1 + 8 * count) throw new MalformedError('a raw column has the wrong length');
  const view = new DataView(column.buffer, column.byteOffset + 1);
  for (let i = 0; i < count; i++) {
    const value = view.getFloat64(8 * i, true);
    if (!Number.isSafeInteger(value)) throw new MalformedError(`a column holds ${value}, which no event can`);
    out[i] = value;
  }
}

function decodeDeltas(bytes: Uint8Array, count: number, out: Float64Array): void {
  if (bytes.length <= count) throw new MalformedError('a column has the wrong length');
  let at = 1;
  let value = 0;
  for (let i = 0; i < count; i++) {
    let byte = bytes[at++] as number;
    if (byte < 128) {
      value += (byte >>> 1) ^ -(byte & 1);
      out[i] = value;
      continue;
    }
    let zigzag = byte & 127;
    for (let scale = 128; byte >= 128; scale *= 128) {
      byte = bytes[at++] as number;
      zigzag += (byte & 127) * scale;
      if (scale > DELTA_LIMIT) throw new MalformedError('a column holds a number that is too long');
    }
    value += zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    out[i] = value;
  }
  // Reading past the end gives undefined, which ends a varint; only the position tells.
  if (at !== bytes.length || !Number.isSafeInteger(value)) throw new MalformedError('a column has the wrong length');
}
