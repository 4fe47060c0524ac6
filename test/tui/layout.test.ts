// Where panes stand on screens of any size, and how lists scroll.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wrapped } from '../../src/tui/draw.js';
import type { Box } from '../../src/tui/geometry.js';
import { LEAST, geometryOf, scrolledTo } from '../../src/tui/geometry.js';
import { BINDINGS, actionOf, helpLines, keyName } from '../../src/tui/keys.js';

const size = fc.record({
  width: fc.integer({ min: LEAST.width, max: 400 }),
  height: fc.integer({ min: LEAST.height, max: 150 }),
});

describe('panes', () => {
  it('share the screen without overlap, each with a line for its heading', () => {
    fc.assert(
      fc.property(size, fc.boolean(), ({ width, height }, reading) => {
        const geometry = geometryOf(width, height, reading)!;
        const { rows, events, pages, details } = geometry;
        const used = new Uint8Array(width * height);
        const use = ({ x, y, width: w, height: h }: Box): void => {
          for (let row = y; row < y + h; row++)
            for (let column = x; column < x + w; column++) {
              expect(column < width && row < height).toBe(true);
              used[row * width + column]!++;
            }
        };
        for (const box of [events, pages, details]) {
          expect(box.height).toBeGreaterThan(2);
          expect(box.width).toBeGreaterThan(20);
          use({ ...box, y: box.y - 1, height: box.height + 1 });
        }
        for (const y of Object.values(rows)) use({ x: 0, y, width, height: 1 });
        expect(Math.max(...used)).toBe(1);
        // All but the line between the panes is used.
        expect(used.filter((n) => n === 0)).toHaveLength(events.height + 1);
      }),
    );
  });
  it('need a screen of some size', () => {
    expect(geometryOf(LEAST.width - 1, 50)).toBeNull();
    expect(geometryOf(200, LEAST.height - 1)).toBeNull();
  });
});

describe('a list', () => {
  it('shows what is selected, never more than it has, and moves no further than it must', () => {
    const counts = fc.integer({ min: 1, max: 50 });
    fc.assert(
      fc.property(counts, counts, fc.nat(60), fc.nat(), (count, height, top, n) => {
        const selected = n % count;
        const now = scrolledTo(selected, top, height, count);
        expect(now).toBeGreaterThanOrEqual(0);
        expect(now).toBeLessThanOrEqual(Math.max(0, count - height));
        expect(selected - now).toBeGreaterThanOrEqual(0);
        expect(selected - now).toBeLessThan(height);
        if (selected >= top && selected < top + height && top + height <= count) expect(now).toBe(top);
      }),
    );
  });
});

describe('wrapped text', () => {
  it('keeps every word in order in lines that are short enough', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^\w{1,30}$/)), fc.integer({ min: 8, max: 40 }), (words, width) => {
        const lines = wrapped(words.join(' '), width);
        expect(lines.join('').replaceAll(' ', '')).toBe(words.join(''));
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      }),
    );
  });
});

describe('keys', () => {
  it.each([
    [{ sequence: '\u001b[C', name: 'right' }, 'right', 'forward'],
    [{ sequence: '\u001b[1;2C', name: 'right', shift: true }, 'S-right', 'next-page'],
    [{ sequence: '/' }, '/', 'search'],
    [{ sequence: '?' }, '?', 'search-back'],
    [{ sequence: 'N', name: 'n', shift: true }, 'N', 'again-back'],
    [{ sequence: '\t', name: 'tab' }, 'tab', 'next-pane'],
    [{ sequence: '\u001b[Z', name: 'tab', shift: true }, 'S-tab', 'previous-pane'],
    [{ sequence: '\r', name: 'return' }, 'return', 'choose'],
    [{ sequence: '\u001b', name: 'escape', meta: true }, 'escape', 'close'],
    [{ sequence: '\u0003', name: 'c', ctrl: true }, 'C-c', null],
    [{ sequence: '\u007f', name: 'backspace' }, 'backspace', null],
    [{ sequence: '\u001bq', name: 'q', meta: true }, '', null],
  ] as const)('%o is %s', (raw, name, action) => {
    expect(keyName(raw)).toBe(name);
    expect(actionOf(name)).toBe(action);
  });
  it('have one meaning each, and all stand in the help', () => {
    const keys = BINDINGS.flatMap((binding) => binding.keys);
    expect(new Set(keys).size).toBe(keys.length);
    expect(helpLines()).toHaveLength(new Set(BINDINGS.map(({ action }) => action)).size);
  });
});
