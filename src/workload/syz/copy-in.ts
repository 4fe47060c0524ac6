// What the executor stores before a call: the bytes of its arguments that the program tells.
import type { Arg, ArgOf } from './syntax.js';

/** Bytes that are stored one behind the other. */
export interface Store {
  readonly address: number;
  readonly bytes: readonly number[];
}

/** Where a pointer of the program leads, and what a resource is; null: nobody knows. */
export interface Meanings {
  address(written: bigint | null): number | null;
  value(arg: Arg): bigint | null;
}

const ANY_SIZES: Readonly<Record<string, number>> = {
  ...{ ANYRES8: 1, ANYRES16: 2, ANYRES32: 4, ANYRES64: 8, ANYPTR: 8, ANYPTR64: 8, ANYPTR32: 4 },
};

function littleEndian(value: bigint, size: number): number[] {
  const bits = BigInt.asUintN(64, value);
  return Array.from({ length: size }, (_, i) => Number((bits >> BigInt(8 * i)) & 255n));
}

/** All stores for one call, in the order in which the arguments name the memory. */
export function storesOf(args: readonly Arg[], meanings: Meanings): Store[] {
  const stores: Store[] = [];
  for (const arg of args) copyIn(arg, meanings, stores);
  return stores;
}

/** Follows the pointers in `arg`, which itself is in a register or told already. */
function copyIn(arg: Arg, meanings: Meanings, stores: Store[]): void {
  switch (arg.kind) {
    case 'pointer': {
      const { pointee } = arg;
      if (pointee === null || pointee.kind === 'nil') return;
      const address = meanings.address(arg.address);
      const bytes = pointedBytes(arg, meanings);
      if (address !== null && bytes.length > 0) stores.push({ address, bytes });
      copyIn(pointee, meanings, stores);
      return;
    }
    case 'struct':
    case 'array':
      for (const part of arg.parts) copyIn(part, meanings, stores);
      return;
    case 'union':
    case 'output':
      if (arg.inner !== null) copyIn(arg.inner, meanings, stores);
  }
}

/** The bytes behind a pointer, as far as the program tells them. */
export function pointedBytes({ pointee, any }: ArgOf<'pointer'>, meanings: Meanings): readonly number[] {
  if (pointee === null) return [];
  return any && pointee.kind === 'array' ? anyBytes(pointee.parts, meanings) : firstBytes(pointee, meanings);
}

/**
 * The bytes at the beginning of `arg` as far as they are known. How wide numbers are only syzkaller's descriptions say: of a number it is
 * the lowest byte, which no width changes, and what follows it is not known. What the kernel is to write is not stored.
 */
function firstBytes(arg: Arg, meanings: Meanings): readonly number[] {
  switch (arg.kind) {
    case 'data':
      return arg.bytes ?? [];
    case 'integer':
    case 'resource': {
      const value = meanings.value(arg);
      return value === null ? [] : littleEndian(value, 1);
    }
    case 'pointer': {
      const address = meanings.address(arg.address);
      return address === null ? [] : littleEndian(BigInt(address), 8);
    }
    case 'nil':
      return littleEndian(0n, 8);
    case 'struct':
    case 'array':
      return arg.parts[0] === undefined ? [] : firstBytes(arg.parts[0], meanings);
    case 'union':
      return arg.inner === null ? [] : firstBytes(arg.inner, meanings);
    default:
      return [];
  }
}

/** The parts of an ANY, which say how long they are; up to the first that nobody knows. */
function anyBytes(parts: readonly Arg[], meanings: Meanings): readonly number[] {
  const bytes: number[] = [];
  for (const part of parts) {
    if (part.kind !== 'union' || part.inner === null) return bytes;
    const { field, inner } = part;
    if (field === 'ANYBLOB' && inner.kind === 'data' && inner.bytes !== null)
      for (const byte of inner.bytes) bytes.push(byte);
    else {
      const value = inner.kind === 'pointer' ? meanings.address(inner.address) : meanings.value(inner);
      if (value === null) return bytes;
      const size = Object.hasOwn(ANY_SIZES, field) ? (ANY_SIZES[field] as number) : 0;
      if (size === 0) return bytes;
      bytes.push(...littleEndian(BigInt(value), size));
    }
  }
  return bytes;
}
