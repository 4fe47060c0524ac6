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
  if (kept.length === 3 && kept[1] === PAGE_SIZE) return { fill: kept[2]!, inode: 0, index: 0, runs: [] };
  return { fill: base.fill, inode: base.inode, index: base.index, runs: kept };
}

/** Byte at `offset`: 0..255, or -1 where the base is a file whose bytes are not known. */
export function byteAt(content: Bytes, offset: number): number {
  if (content === null) return 0;
  for (let i = 0; i < content.runs.length; i += 3)
    if (offset >= content.runs[i]! && offset < content.runs[i]! + content.runs[i + 1]!) return content.runs[i + 2]!;
  return content.inode === 0 ? content.fill : -1;
}

/** The one byte that all of [offset, offset + length) hold; -1 unknown (file), -2 if they differ. */
export function uniformByte(content: Bytes, offset: number, length: number): number {
  const end = offset + length;
  const first = byteAt(content, offset);
  if (content === null) return first;
  const base = content.inode === 0 ? content.fill : -1;
  let covered = 0;
  for (let i = 0; i < content.runs.length; i += 3) {
    const from = Math.max(offset, content.runs[i]!);
    const to = Math.min(end, content.runs[i]! + content.runs[i + 1]!);
    if (from >= to) continue;
    covered += to - from;
    if (content.runs[i + 2] !== first) return -2;
  }
  return covered < length && base !== first ? -2 : first;
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
