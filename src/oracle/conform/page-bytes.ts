// Bytes of pages as one number, the same on both sides: what the native agent sums up over a real page.
import type { Content } from '../../../reducers/state.js';

const PAGE = 4096;

/** The byte that fills page `index` of a file made with `seed`; the agent's `file_byte()`. */
export const fileByte = (seed: number, index: number): number => 1 + ((seed * 101 + index * 37) % 255);

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

const page = new Uint8Array(PAGE);
const words = new Uint32Array(page.buffer);

function digest(): number {
  let sum = OFFSET_BASIS | 0;
  let any = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    sum = Math.imul(sum ^ word, PRIME);
    any |= word;
  }
  return any === 0 ? 0 : sum >>> 0 || 1;
}

const known = new WeakMap<object, number>();

/**
 * FNV-1a over the 1024 little-endian words of a page with this content, 0 for zeros; null if some byte is not known: the base is a
 * page of a file for which `baseByte` gives none.
 */
export function contentDigest(
  content: Content | null,
  baseByte: (inode: number, index: number) => number | null,
): number | null {
  if (content === null) return 0;
  const found = known.get(content);
  if (found !== undefined) return found;
  const base = content.inode === 0 ? content.fill : baseByte(content.inode, content.index);
  if (base === null || base < 0) return null;
  page.fill(base);
  for (let i = 0; i + 2 < content.runs.length; i += 3) {
    const [offset = 0, length = 0, byte = 0] = content.runs.slice(i, i + 3);
    if (byte < 0) return null;
    page.fill(byte, offset, offset + length);
  }
  const result = digest();
  known.set(content, result);
  return result;
}
