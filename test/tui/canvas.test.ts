// What is sent to the terminal: read by a small terminal it gives the screen that was drawn, from any screen before.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BOLD, Canvas, Colour, DIM, REVERSE, UNDERLINE, paint } from '../../src/tui/canvas.js';

interface Shown {
  readonly chars: string[];
  readonly styles: string[];
}

/** Reads what paint() writes as a terminal would. */
function terminal(width: number, height: number): { readonly shown: Shown; readonly write: (text: string) => void } {
  const blank = (): Shown => ({
    chars: new Array<string>(width * height).fill(' '),
    styles: new Array<string>(width * height).fill('0'),
  });
  const shown = blank();
  let at = 0;
  let style = '0';
  return {
    shown,
    write: (text) => {
      // oxlint-disable-next-line no-control-regex -- escape sequences begin with one
      for (const [whole, row, column, sgr] of text.matchAll(/\u001b\[(?:(\d+);(\d+)H|([\d;]+)m|2J)|[^\u001b]/gu)) {
        if (row !== undefined) at = (Number(row) - 1) * width + Number(column) - 1;
        else if (sgr !== undefined) style = sgr;
        else if (whole === '\u001b[2J') Object.assign(shown, blank());
        else {
          shown.chars[at] = whole;
          shown.styles[at] = style;
          at++;
        }
      }
    },
  };
}

const arbitraryCanvas = (width: number, height: number): fc.Arbitrary<Canvas> =>
  fc
    .array(
      fc.record({
        x: fc.integer({ min: -3, max: width }),
        y: fc.integer({ min: -1, max: height }),
        text: fc.string({ maxLength: 12 }),
        style: fc.nat({ max: 255 }),
      }),
      { maxLength: 12 },
    )
    .map((texts) => {
      const canvas = new Canvas(width, height);
      for (const { x, y, text, style } of texts) canvas.text(x, y, text, style);
      return canvas;
    });

describe('paint', () => {
  it('makes any screen of any other', () => {
    fc.assert(
      fc.property(fc.array(arbitraryCanvas(17, 4), { minLength: 2, maxLength: 5 }), (canvases) => {
        const { shown, write } = terminal(17, 4);
        let before: Canvas | null = null;
        for (const canvas of canvases) {
          write(paint(before, canvas, true));
          before = canvas;
          expect(shown.chars).toEqual(canvas.chars);
          const fresh = terminal(17, 4);
          fresh.write(paint(null, canvas, true));
          expect(shown.styles).toEqual(fresh.shown.styles);
        }
      }),
    );
  });
  it('sends nothing where nothing changed, and little where little did', () => {
    const [a, b] = [new Canvas(80, 24), new Canvas(80, 24)];
    for (const canvas of [a, b]) canvas.text(3, 4, 'the same');
    expect(paint(a, b, true)).toBe('');
    b.text(3, 4, 'T');
    expect(paint(a, b, true)).toBe('\u001b[5;4H\u001b[0mT\u001b[0m');
  });
  it('has attributes and colour in SGR, and without colour only attributes', () => {
    const canvas = new Canvas(1, 1);
    canvas.text(0, 0, 'x', Colour.green | BOLD | DIM | UNDERLINE | REVERSE);
    expect(paint(null, canvas, true)).toContain('\u001b[0;1;2;4;7;32mx');
    expect(paint(null, canvas, false)).toContain('\u001b[0;1;2;4;7mx');
  });
});

describe('text', () => {
  it('never lets a control or escape sequence through, and keeps to its room', () => {
    const canvas = new Canvas(10, 1);
    expect(canvas.text(1, 0, 'a\u001b[2J\u009b\u4e16\n', 0, 5)).toBe(6);
    expect(canvas.lines()).toEqual([' a?[2J']);
    canvas.text(6, 0, '\u009b\u4e16\u200b\u00e9z');
    expect(canvas.lines()).toEqual([' a?[2J???\u00e9']);
  });
});
