// Plain data, damaged: one value somewhere in a tree becomes another one, of the right type or of a wrong one.
import type { Random } from '../../src/lib/random.js';

/** Numbers at which something ends: of bytes, words, doubles, pages, what a reader allows. */
const EDGES: readonly number[] = [
  ...[0, 1, -1, 2, 3, 7, 8, 127, 128, 255, 256, 511, 512, 1023, 1024, 4095, 4096, 65_535, 65_536],
  ...[2 ** 20, 2 ** 24 - 1, 2 ** 24, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 36, 2 ** 47, 2 ** 52],
  ...[2 ** 53 - 1, 2 ** 53, 2 ** 63, 2 ** 64, 1e300, Infinity, -Infinity, Number.NaN, 0.5, -0.5, -(2 ** 31)],
  ...[-4096, -(2 ** 53), -0],
];

/** A number near `value`, or one at which something ends. */
export function otherNumber(random: Random, value: number): number {
  switch (random.below(6)) {
    case 0:
      return value + 1 + random.below(3);
    case 1:
      return value - 1 - random.below(3);
    case 2:
      return -value;
    case 3:
      return value * 2 ** random.below(40);
    default:
      return random.pick(EDGES);
  }
}

const WORDS: readonly string[] = [
  ...['', 'mmap', 'store', '__proto__', 'constructor', 'toString', 'length', '\u0000', 'none', 'value', 'ref', '0'],
  ...['0000000000000000', 'ffffffffffffffff', 'x'.repeat(300), '\ud800', 'NaN', '-1', 'hasOwnProperty'],
];

/** `depth` arrays or sets of fields in each other. */
function nested(random: Random, depth: number): unknown {
  let value: unknown = 1;
  const fields = random.below(2) === 0;
  for (let i = 0; i < depth; i++) value = fields ? { fields: value } : [value];
  return value;
}

/** Something of any type. */
export function anyValue(random: Random): unknown {
  switch (random.below(12)) {
    case 0:
      return null;
    case 1:
      return random.below(2) === 0;
    case 2:
      return random.pick(WORDS);
    case 3:
      return [];
    case 4:
      return {};
    case 5:
      return Array.from({ length: random.below(20) }, () => random.pick(EDGES));
    case 6:
      return Uint8Array.from({ length: random.below(40) }, () => random.below(256));
    case 7:
      return 1n << BigInt(random.below(64));
    case 8:
      return nested(random, 1 + random.below(random.below(8) === 0 ? 400 : 12));
    case 9:
      return { [random.pick(WORDS)]: random.pick(EDGES), kind: random.pick(WORDS) };
    case 10:
      return new Array<number>(1 + random.below(random.below(8) === 0 ? 2000 : 20)).fill(random.pick(EDGES));
    default:
      return random.pick(EDGES);
  }
}

function otherBytes(random: Random, bytes: Uint8Array): Uint8Array {
  switch (random.below(5)) {
    case 0:
      return bytes.slice(0, random.below(bytes.length + 1));
    case 1:
      return Uint8Array.from([
        ...bytes.slice(0, 4096),
        ...Array.from({ length: 1 + random.below(8) }, () => random.below(256)),
      ]);
    default: {
      const other = bytes.slice();
      for (let n = 1 + random.below(3); n > 0 && other.length > 0; n--)
        other[random.below(other.length)] = random.below(256);
      return other;
    }
  }
}

function otherList(random: Random, list: readonly unknown[]): readonly unknown[] {
  const at = random.below(list.length + 1);
  switch (random.below(5)) {
    case 0:
      return list.toSpliced(at, 1 + random.below(2));
    case 1:
      return list.toSpliced(at, 0, list.length > 0 && random.below(2) === 0 ? random.pick(list) : anyValue(random));
    case 2:
      return list.toReversed();
    case 3:
      return [...list, ...list];
    default:
      return [];
  }
}

function otherLeaf(random: Random, value: unknown): unknown {
  if (random.below(4) === 0) return anyValue(random);
  if (typeof value === 'number') return otherNumber(random, value);
  if (typeof value === 'string') return random.pick(WORDS);
  if (typeof value === 'boolean') return !value;
  if (value instanceof Uint8Array) return otherBytes(random, value);
  if (Array.isArray(value)) return otherList(random, value);
  return anyValue(random);
}

/** `value` with one thing in it, or itself, made another; nothing of `value` changes. */
export function otherValue(random: Random, value: unknown): unknown {
  const inside = typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
  if (!inside || random.below(8) === 0) return otherLeaf(random, value);
  if (Array.isArray(value)) {
    if (value.length === 0) return otherLeaf(random, value);
    const at = random.below(value.length);
    return value.with(at, otherValue(random, value[at]));
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const names = Object.keys(fields);
  if (names.length === 0) return otherLeaf(random, value);
  const name = random.pick(names);
  if (random.below(12) === 0) return Object.fromEntries(Object.entries(fields).filter(([each]) => each !== name));
  return { ...fields, [name]: otherValue(random, fields[name]) };
}
