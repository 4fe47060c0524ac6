// Where the panes of the full-screen mode stand.

/** Columns [x, x + width) of rows [y, y + height). */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Geometry {
  /** Row of each line that is no pane: position, bar of the timeline, the position in it, legend of the page map, status. */
  readonly rows: {
    readonly title: number;
    readonly bar: number;
    readonly here: number;
    readonly legend: number;
    readonly status: number;
  };
  readonly events: Box;
  readonly pages: Box;
  readonly details: Box;
}

/** The smallest screen that shows something useful. */
export const LEAST = { width: 60, height: 16 };

/** Lines above the panes: title, bar, position, headings. */
const ABOVE = 4;
/** Lines below them: legend, status. */
const BELOW = 2;
const EVENTS_SHARE = 0.38;
const EVENTS_MOST = 80;
const DETAILS_SHARE = 0.45;
const DETAILS_MOST = 16;
/** The same where there is text to be read. */
const READING_SHARE = 0.7;

/**
 * Panes of a screen of that size; null where it is too small. A line of headings stands above each pane. With `reading` the details have
 * most of their column.
 */
export function geometryOf(width: number, height: number, reading = false): Geometry | null {
  if (width < LEAST.width || height < LEAST.height) return null;
  const body = height - ABOVE - BELOW;
  const left = Math.min(EVENTS_MOST, Math.floor(width * EVENTS_SHARE));
  const right = { x: left + 1, width: width - left - 1 };
  const share = Math.floor((body - 1) * (reading ? READING_SHARE : DETAILS_SHARE));
  const details = reading ? share : Math.min(DETAILS_MOST, share);
  const pages = body - 1 - details;
  return {
    rows: { title: 0, bar: 1, here: 2, legend: height - 2, status: height - 1 },
    events: { x: 0, y: ABOVE, width: left, height: body },
    pages: { ...right, y: ABOVE, height: pages },
    details: { ...right, y: ABOVE + pages + 1, height: details },
  };
}

/** First of the rows shown, `height` of `count`, so that row `selected` is among them; `top` is what it was before. */
export function scrolledTo(selected: number, top: number, height: number, count: number): number {
  const most = Math.max(0, count - height);
  const within = selected < top ? selected : selected >= top + height ? selected - height + 1 : top;
  return Math.max(0, Math.min(most, within));
}
