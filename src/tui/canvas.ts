// A screen as a grid of characters with styles, and the escape sequences that turn one grid into the next. No terminal here.

/** How a character looks: a colour of `Colour`, and any of BOLD, DIM, UNDERLINE and REVERSE. */
export type Style = number;

/** Colours as terminals number them, plus one: 0 is the terminal's own. */
export const Colour = { own: 0, red: 2, green: 3, yellow: 4, blue: 5, magenta: 6, cyan: 7, white: 8 } as const;
const COLOURS = 15;
export const BOLD = 16;
export const DIM = 32;
export const UNDERLINE = 64;
export const REVERSE = 128;

/** Attributes with the numbers of SGR. */
const ATTRIBUTES: readonly (readonly [Style, number])[] = [
  [BOLD, 1],
  [DIM, 2],
  [UNDERLINE, 4],
  [REVERSE, 7],
];

/** Equal cells between two changes that are written anyway: moving the cursor costs as many bytes. */
const GAP = 8;

/** One column each on every terminal: names in a log may hold anything, escape sequences included. */
const printable = (text: string): string => text.replaceAll(/[^\u0020-\u007e\u00a1-\u00ac\u00ae-\u02ff]/gu, '?');

export class Canvas {
  readonly width: number;
  readonly height: number;
  /** Row by row. */
  readonly chars: string[];
  readonly styles: Uint8Array;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.chars = new Array<string>(width * height).fill(' ');
    this.styles = new Uint8Array(width * height);
  }

  /** Writes `text` at column `x` of row `y`, over at most `room` columns; returns the column behind it. What is outside is dropped. */
  text(x: number, y: number, text: string, style: Style = 0, room = Infinity): number {
    if (y < 0 || y >= this.height) return x;
    const end = Math.min(x + room, this.width);
    let column = x;
    for (const char of printable(text)) {
      if (column >= end) break;
      if (column >= 0) {
        this.chars[y * this.width + column] = char;
        this.styles[y * this.width + column] = style;
      }
      column++;
    }
    return column;
  }

  /** Fills row `y` from column `x` to before `end`. */
  fill(x: number, y: number, end: number, char: string, style: Style = 0): void {
    this.text(x, y, char.repeat(Math.max(0, end - x)), style);
  }

  /** The rows as plain text, without blanks at their ends. */
  lines(): string[] {
    return Array.from({ length: this.height }, (_, y) =>
      this.chars
        .slice(y * this.width, (y + 1) * this.width)
        .join('')
        .trimEnd(),
    );
  }
}

function sgr(style: Style, colour: boolean): string {
  const codes = ATTRIBUTES.filter(([bit]) => (style & bit) !== 0).map(([, code]) => code);
  const foreground = style & COLOURS;
  if (colour && foreground !== 0) codes.push(29 + foreground);
  return `\u001b[${[0, ...codes].join(';')}m`;
}

/**
 * What a terminal that shows `before` must be sent to show `after`; all of it where `before` is null or of another size. Without `colour`
 * bold, dim, underline and reverse stay.
 */
export function paint(before: Canvas | null, after: Canvas, colour: boolean): string {
  const { width, height } = after;
  const old = before !== null && before.width === width && before.height === height ? before : null;
  const parts: string[] = old === null ? ['\u001b[0m\u001b[2J'] : [];
  const differs = (at: number): boolean =>
    old === null || old.chars[at] !== after.chars[at] || old.styles[at] !== after.styles[at];
  let style = -1;
  for (let y = 0; y < height; y++) {
    const end = (y + 1) * width;
    for (let at = y * width; at < end; at++) {
      if (!differs(at)) continue;
      let last = at;
      for (let next = at + 1; next < end && next - last <= GAP; next++) if (differs(next)) last = next;
      parts.push(`\u001b[${y + 1};${at - y * width + 1}H`);
      for (; at <= last; at++) {
        if (after.styles[at] !== style) parts.push(sgr((style = after.styles[at] as Style), colour));
        parts.push(after.chars[at] as string);
      }
    }
  }
  if (parts.length > 0) parts.push('\u001b[0m');
  return parts.join('');
}
