import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteAt, contentText, uniformByte, writtenContent } from '../../reducers/content.js';
import type { Content } from '../../reducers/state.js';

const write = fc.record({
  offset: fc.integer({ min: 0, max: 15 }).map((n) => n * 256),
  length: fc.integer({ min: 1, max: 16 }).map((n) => n * 256),
  byte: fc.integer({ min: 0, max: 2 }),
});

/** Bytes of a page after writes, one by one; -1 where a file's own bytes stand. */
function bytesAfter(base: number, writes: readonly { offset: number; length: number; byte: number }[]): number[] {
  const bytes = new Array<number>(4096).fill(base);
  for (const { offset, length, byte } of writes) bytes.fill(byte, offset, Math.min(4096, offset + length));
  return bytes;
}

describe('the bytes of a page', () => {
  const bases: [string, Content | null, number][] = [
    ['of zeros', null, 0],
    ['filled with a byte', { fill: 2, inode: 0, index: 0, runs: [] }, 2],
    ['of a file', { fill: 0, inode: 3, index: 7, runs: [] }, -1],
  ];
  it.each(bases)('%s are those of an array written the same way', (_name, base, fill) => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 8 }), (writes) => {
        let content = base;
        for (const { offset, length, byte } of writes)
          content = writtenContent(content, offset, Math.min(length, 4096 - offset), byte);
        const bytes = bytesAfter(fill, writes);
        // KSM and splits of large folios ask for a page of zeros that way.
        expect(content === null).toBe(bytes.every((byte) => byte === 0));
        for (let at = 0; at < 4096; at += 256) {
          expect(byteAt(content, at)).toBe(bytes[at]);
          const seen = new Set(bytes.slice(at, at + 512));
          const known = [...seen].filter((byte) => byte >= 0);
          // Bytes that are not known may be the same as the others, but cannot make different ones the same.
          const expected = known.length > 1 ? -2 : seen.size > 1 ? -1 : bytes[at];
          expect(uniformByte(content, at, Math.min(512, 4096 - at))).toBe(expected);
        }
      }),
    );
  });
  it('are those of a page of zeros where zeros came in pieces', () => {
    const ones: Content = { fill: 1, inode: 0, index: 0, runs: [] };
    expect(writtenContent(writtenContent(ones, 0, 96, 0), 96, 4000, 0)).toBe(null);
  });
  it('have one form: equal bytes are told by equal texts', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 5 }), fc.array(write, { maxLength: 5 }), (a, b) => {
        const after = (writes: typeof a): Content | null =>
          writes.reduce<Content | null>(
            (content, { offset, length, byte }) =>
              writtenContent(content, offset, Math.min(length, 4096 - offset), byte),
            null,
          );
        const equal = bytesAfter(0, a).join() === bytesAfter(0, b).join();
        if (equal) expect(contentText(after(a))).toBe(contentText(after(b)));
        else expect(contentText(after(a))).not.toBe(contentText(after(b)));
      }),
    );
  });
});
