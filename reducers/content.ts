// Bytes of a page: immutable values, shared until written.
import type { Content } from './state.js';

/** Bytes in a page. */
export const PAGE_SIZE = 4096;

type Bytes = Content | null;

const RECENT = 256;
const recent: Content[] = [];

/** A page of zeros but for one run. Programs store the same bytes at the same places of many pages, which then share one value. */
function zerosWithRun(offset: number, length: number, byte: number): Content {
  const slot = (offset ^ (length << 3) ^ (byte << 2)) & (RECENT - 1);
  const known = recent[slot];
  if (known !== undefined && known.runs[0] === offset && known.runs[1] === length && known.runs[2] === byte)
    return known;
  return (recent[slot] = { fill: 0, inode: 0, index: 0, runs: [offset, length, byte] });
}

/** What stands in a slot of the swap area to which these bytes were written. Zeros that were written are told from those that are only noted, null. */
export const writtenToSlot = (content: Bytes): Content => content ?? { fill: 0, inode: 0, index: 0, runs: [] };

/** The bytes of a page that are read from a slot where this stands. */
export const readFromSlot = (content: Bytes): Bytes =>
  content !== null && content.inode === 0 && content.fill === 0 && content.runs.length === 0 ? null : content;

/** `content` after `length` bytes of `byte` were written at `offset`. */
export function writtenContent(content: Bytes, offset: number, length: number, byte: number): Bytes {
  if (length >= PAGE_SIZE) return byte === 0 ? null : { fill: byte, inode: 0, index: 0, runs: [] };
  // Most stores hit a page of zeros, or the bytes that the last store to it hit.
  if (content === null) return byte === 0 ? null : zerosWithRun(offset, length, byte);
  if (content.runs.length === 3 && content.runs[0] === offset && content.runs[1] === length) {
    if (content.runs[2] === byte) return content;
    if (content.inode === 0 && content.fill === 0 && byte !== 0) return zerosWithRun(offset, length, byte);
    if (content.inode !== 0 || byte !== content.fill)
      return { fill: content.fill, inode: content.inode, index: content.index, runs: [offset, length, byte] };
  }
  const base = content;
  const end = offset + length;
  const runs: number[] = [];
  const add = (at: number, to: number, value: number): void => {
    if (at >= to) return;
    const last = runs.length - 3;
    // Neighbours with the same byte become one run, so that equal bytes have one form.
    if (last >= 0 && at === runs[last]! + runs[last + 1]! && runs[last + 2] === value) runs[last + 1]! += to - at;
    else runs.push(at, to - at, value);
  };
  let placed = false;
  for (let i = 0; i < base.runs.length; i += 3) {
    const at = base.runs[i]!;
    const to = at + base.runs[i + 1]!;
    const value = base.runs[i + 2]!;
    add(at, Math.min(to, offset), value);
    if (!placed && to > offset) {
      add(offset, end, byte);
      placed = true;
    }
    add(Math.max(at, end), to, value);
  }
  if (!placed) add(offset, end, byte);
  const kept: number[] = [];
  for (let i = 0; i < runs.length; i += 3)
    if (base.inode !== 0 || runs[i + 2] !== base.fill) kept.push(runs[i]!, runs[i + 1]!, runs[i + 2]!);
  if (kept.length === 0 && base.inode === 0 && base.fill === 0) return null;
  if (kept.length === 3 && kept[1] === PAGE_SIZE)
    return kept[2] === 0 ? null : { fill: kept[2]!, inode: 0, index: 0, runs: [] };
  return { fill: base.fill, inode: base.inode, index: base.index, runs: kept };
}

/** The pieces of [offset, offset + length) that hold one byte each, in ascending order: offset, length, byte (-1 not known). */
export function* segmentsOf(
  content: Bytes,
  offset: number,
  length: number,
): Generator<readonly [offset: number, length: number, byte: number]> {
  const end = offset + length;
  const base = content === null ? 0 : content.inode === 0 ? content.fill : -1;
  const runs = content?.runs ?? [];
  let at = offset;
  for (let i = 0; i + 2 < runs.length; i += 3) {
    const from = Math.max(at, runs[i]!);
    const to = Math.min(end, runs[i]! + runs[i + 1]!);
    if (from >= to) continue;
    if (at < from) yield [at, from - at, base];
    yield [from, to - from, runs[i + 2]!];
    at = to;
  }
  if (at < end) yield [at, end - at, base];
}

/** A text that is the same for the same bytes, however they were written; null if some are not known. */
export function bytesKey(content: Bytes): string | null {
  let key = '';
  let last = -1;
  for (const [at, , byte] of segmentsOf(content, 0, PAGE_SIZE)) {
    if (byte < 0) return null;
    if (byte !== last) key += `${at}=${byte},`;
    last = byte;
  }
  return key;
}

/** `content` after `length` bytes at `fromOffset` of a page with bytes `source` were copied to `offset`. */
export function copiedContent(
  content: Bytes,
  offset: number,
  source: Bytes,
  fromOffset: number,
  length: number,
): Bytes {
  if (length >= PAGE_SIZE) return source;
  let result = content;
  for (const [at, bytes, byte] of segmentsOf(source, fromOffset, length))
    result = writtenContent(result, offset + at - fromOffset, bytes, byte);
  return result;
}

/** Byte at `offset`: 0..255, or -1 where the base is a file whose bytes are not known. */
export function byteAt(content: Bytes, offset: number): number {
  if (content === null) return 0;
  for (let i = 0; i < content.runs.length; i += 3)
    if (offset >= content.runs[i]! && offset < content.runs[i]! + content.runs[i + 1]!) return content.runs[i + 2]!;
  return content.inode === 0 ? content.fill : -1;
}

/** The one byte that two stretches with one byte each hold together; -1 unknown, -2 if they differ. */
export function sameByte(a: number, b: number): number {
  if (a === b) return a;
  // Where one is not known they may be the same.
  return a === -2 || b === -2 || (a >= 0 && b >= 0) ? -2 : -1;
}

/** The one byte that all of [offset, offset + length) hold; -1 unknown (file), -2 if they are known to differ. */
export function uniformByte(content: Bytes, offset: number, length: number): number {
  if (content === null) return 0;
  let seen: number | null = null;
  for (const [, , byte] of segmentsOf(content, offset, length)) {
    // What is known decides: bytes that are not known cannot make differing ones equal.
    if (seen === null || seen === byte) seen = byte;
    else if (seen >= 0 && byte >= 0) return -2;
    else return knownBytesDiffer(content, offset, length) ? -2 : -1;
  }
  return seen ?? -1;
}

function knownBytesDiffer(content: Bytes, offset: number, length: number): boolean {
  const known = new Set<number>();
  for (const [, , byte] of segmentsOf(content, offset, length)) if (byte >= 0) known.add(byte);
  return known.size > 1;
}

/** A short text that is equal for equal bytes: `zero`, `0x2a`, `inode 3 page 7`, with written runs behind it. */
export function contentText(content: Bytes): string {
  if (content === null) return 'zero';
  const base =
    content.inode !== 0 ? `file(${content.inode},${content.index})` : content.fill === 0 ? 'zero' : hex(content.fill);
  let text = base;
  for (let i = 0; i < content.runs.length; i += 3)
    text += `+${content.runs[i]}:${content.runs[i + 1]}=${hex(content.runs[i + 2]!)}`;
  return text;
}
const hex = (byte: number): string => (byte < 0 ? '?' : `0x${byte.toString(16).padStart(2, '0')}`);
