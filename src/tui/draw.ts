// Draws the full-screen mode: title, timeline, events, page map, details, legend, status.
import { canonicalVma } from '../../projections/canonical.js';
import type { VmaView } from '../../reducers/state.js';
import { addressText } from '../debug/pages.js';
import type { Sign } from '../debug/timeline-text.js';
import { MEANING, SIGNS, barOf } from '../debug/timeline-text.js';
import { count, eventText, hex } from '../debug/words.js';
import type { Style } from './canvas.js';
import { BOLD, Canvas, Colour, DIM, REVERSE, UNDERLINE } from './canvas.js';
import type { FullScreen, Pane } from './full-screen.js';
import type { Box, Geometry } from './geometry.js';
import { LEAST, geometryOf, scrolledTo } from './geometry.js';
import type { MapRow, Touched } from './page-map.js';
import { PAGE_KINDS, cellsOf, spanOf } from './page-map.js';
import type { MappingRow } from './selection.js';
import { firstVpn, pagesOf, recordOf } from './selection.js';

const SIGN_STYLES: Readonly<Record<Sign, Style>> = {
  '!': Colour.red | BOLD,
  F: Colour.cyan | BOLD,
  E: Colour.green,
  X: Colour.yellow,
  S: Colour.magenta,
  '*': BOLD,
};

/** Columns for the name of a mapping, before its pages. */
const NAME_SHARE = 0.15;
const NAME_LEAST = 6;
const NAME_MOST = 28;
/** Columns of one field of a page's record. */
const FIELD_WIDTH = 24;
const HINTS = 'left/right event  PgUp/PgDn op  / search  v violation  w why  h help  q quit';

/** The screen, `width` columns by `height` rows. */
export function draw(view: FullScreen, width: number, height: number): Canvas {
  const canvas = new Canvas(width, height);
  const geometry = geometryOf(width, height, view.overlay !== null);
  if (geometry === null) {
    canvas.text(0, 0, `too small: ${LEAST.width} columns and ${LEAST.height} rows are needed; q leaves`);
    return canvas;
  }
  title(canvas, view);
  timeline(canvas, view, geometry);
  frames(canvas, view, geometry);
  eventList(canvas, view, geometry.events);
  pageMap(canvas, view, geometry.pages);
  details(canvas, view, geometry.details);
  legend(canvas, geometry.rows.legend);
  status(canvas, view, geometry.rows.status);
  return canvas;
}

function title(canvas: Canvas, { session }: FullScreen): void {
  canvas.fill(0, 0, canvas.width, ' ', REVERSE);
  canvas.text(1, 0, session.here(), REVERSE, canvas.width - 2);
}

function timeline(canvas: Canvas, view: FullScreen, { rows }: Geometry): void {
  const { session } = view;
  const { signs, here } = barOf(view.things, session, canvas.width - 2);
  canvas.text(0, rows.bar, '|', DIM);
  signs.forEach((sign, i) => canvas.text(i + 1, rows.bar, sign, sign === '-' ? DIM : SIGN_STYLES[sign]));
  canvas.text(signs.length + 1, rows.bar, '|', DIM);
  const position = `^ ${count(session.position)}`;
  const after = here + 1 + position.length < canvas.width;
  const start = after ? here + 1 : here + 2 - position.length;
  const end = canvas.text(start, rows.here, after ? position : `${count(session.position)} ^`, BOLD);
  // On the side where there is more room.
  const [from, to] = canvas.width - end > start ? [end + 2, canvas.width - 1] : [1, start - 2];
  const known = view.loaded ? signsIn(to - from) : 'looking through the log...';
  canvas.text(from === 1 ? 1 : Math.max(from, to - known.length), rows.here, known, DIM, to - from);
}

/** What the signs are, as many as fit in `width` columns. */
function signsIn(width: number): string {
  let text = '';
  for (const sign of SIGNS) {
    const more = `${text === '' ? '' : `${text}  `}${sign} ${MEANING[sign]}`;
    if (more.length > width) break;
    text = more;
  }
  return text;
}

/** Lines between the panes, with their titles. */
function frames(canvas: Canvas, view: FullScreen, { events, pages, details }: Geometry): void {
  const { focus, overlay, zoom, follow } = view;
  const heading = (pane: Pane, { x, y, width }: Box, text: string): void => {
    canvas.fill(x, y - 1, x + width, '-', DIM);
    canvas.text(x + 1, y - 1, ` ${text} `, focus === pane ? REVERSE | BOLD : BOLD, width - 2);
  };
  heading('events', events, 'Events');
  heading('pages', pages, `Pages${zoom ? ', one a cell' : ''}${follow ? '' : ', selection stays'}`);
  heading('details', details, overlay?.title ?? (view.about === 'pages' ? 'Page' : 'Event'));
  for (let y = events.y - 1; y < events.y + events.height; y++)
    canvas.text(pages.x - 1, y, y === events.y - 1 || y === details.y - 1 ? '+' : '|', DIM);
}

interface EventLine {
  /** Number of the event; null for the heading of an operation. */
  readonly number: number | null;
  readonly text: string;
}

/** Events around `middle`, under a heading for each operation. */
function eventLines(view: FullScreen, middle: number, reach: number): EventLine[] {
  const { firstEvent, eventCount } = view.session.reader;
  const lines: EventLine[] = [];
  let last: number | null = null;
  for (let number = Math.max(firstEvent, middle - reach); number < Math.min(eventCount, middle + reach); number++) {
    const { operation, heading, text } = view.entry(number);
    if (operation !== last) lines.push({ number: null, text: heading });
    last = operation;
    lines.push({ number, text });
  }
  return lines;
}

function eventList(canvas: Canvas, view: FullScreen, { x, y, width, height }: Box): void {
  const { event: selected, session, things } = view;
  if (selected === null) {
    canvas.text(x + 1, y, 'no events', DIM, width - 1);
    return;
  }
  const lines = eventLines(view, selected, height);
  const at = lines.findIndex(({ number }) => number === selected);
  const top = scrolledTo(at, at - Math.floor(height / 2), height, lines.length);
  const signs = new Map(things.filter(({ sign }) => sign !== '*').map((thing) => [thing.at, thing.sign] as const));
  lines.slice(top, top + height).forEach(({ number, text }, i) => {
    if (number === null) {
      canvas.text(x, y + i, text, BOLD | UNDERLINE, width);
      return;
    }
    const sign = signs.get(number);
    const current = number === session.position - 1;
    const done = number < session.position;
    const chosen = number === selected && !current ? UNDERLINE : 0;
    if (sign !== undefined) canvas.text(x + 1, y + i, sign, SIGN_STYLES[sign]);
    canvas.text(x, y + i, current ? '>' : number === selected ? '-' : ' ', BOLD);
    canvas.text(x + 3, y + i, text, (current ? REVERSE : done ? 0 : DIM) | chosen, width - 3);
  });
}

function pageMap(canvas: Canvas, view: FullScreen, box: Box): void {
  const { rows, row: selected, scroll, touched } = view;
  if (selected < 0) {
    canvas.text(box.x + 1, box.y, 'nothing is mapped', DIM, box.width - 1);
    return;
  }
  const { x, y, width, height } = box;
  // The heading of the process is shown with its first mapping.
  const above = rows[selected - 1]?.kind === 'process' ? selected - 1 : selected;
  scroll.pages = scrolledTo(selected, scrolledTo(above, scroll.pages, height, rows.length), height, rows.length);
  rows.slice(scroll.pages, scroll.pages + height).forEach((row, i) => {
    if (row.kind === 'process') canvas.text(x, y + i, row.text, BOLD, width);
    else mapping(canvas, view, row, { x, y: y + i, width, height: 1 }, touched, scroll.pages + i === selected);
  });
}

const nameOf = (perms: string, backing: string, width: number): string => {
  const name = backing.replace(/^.*\//, '');
  return `${perms} ${name.length > width ? `${name.slice(0, width - 1)}~` : name.padEnd(width)}`;
};

/** Columns that name a mapping take in a pane of `width`. */
const nameWidth = (width: number): number => Math.max(NAME_LEAST, Math.min(NAME_MOST, Math.floor(width * NAME_SHARE)));

function mapping(
  canvas: Canvas,
  view: FullScreen,
  row: MappingRow,
  { x, y, width }: Box,
  touched: Touched,
  chosen: boolean,
): void {
  const { state } = view.session;
  const { perms, backing } = canonicalVma(state, row.vma);
  canvas.text(x, y, chosen ? '>' : ' ', BOLD);
  const label = `${addressText(row.vma.start)} ${nameOf(perms, backing, nameWidth(width))}`;
  const start = canvas.text(x + 1, y, label, chosen ? BOLD : 0, width - 1) + 1;
  const room = x + width - start;
  const page = chosen ? view.page : null;
  const span = spanOf(firstVpn(row.vma), pagesOf(row.vma), room, view.zoom, page?.vpn ?? 0);
  const at = page === null ? -1 : Math.floor((page.vpn - span.vpn) / span.perCell);
  if (chosen) view.perCell = span.perCell;
  cellsOf(state, row.mm, span, touched).forEach(({ letter, style, mixed, touched }, i) => {
    const look = style | (mixed ? DIM : 0) | (touched ? REVERSE : 0) | (i === at ? BOLD | UNDERLINE : 0);
    canvas.text(start + i, y, letter, look);
  });
}

/** `text` in lines of at most `width` columns, broken between words where that can be. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > width / 3 ? space : width;
    lines.push(rest.slice(0, end));
    // What goes on stands a little to the right.
    rest = `  ${rest.slice(end).trimStart()}`;
  }
  return [...lines, rest];
}

function details(canvas: Canvas, view: FullScreen, box: Box): void {
  const { overlay, about } = view;
  if (overlay !== null) return scrolled(canvas, view, overlay.lines, box);
  if (about === 'events') return scrolled(canvas, view, aboutEvent(view), box);
  aboutPage(canvas, view, box);
}

function scrolled(
  canvas: Canvas,
  { scroll }: FullScreen,
  texts: readonly string[],
  { x, y, width, height }: Box,
): void {
  const lines = texts.flatMap((line) => wrapped(line, width - 1));
  scroll.details = Math.max(0, Math.min(scroll.details, lines.length - height));
  lines
    .slice(scroll.details, scroll.details + height)
    .forEach((line, i) => canvas.text(x + 1, y + i, line, 0, width - 1));
  const below = lines.length - height - scroll.details;
  if (below <= 0) return;
  const more = ` ${count(below)} more `;
  canvas.text(x + width - more.length - 1, y - 1, more, BOLD);
}

/** The selected event: what broke, its place, its fields. */
function aboutEvent({ event: number, session, things }: FullScreen): string[] {
  if (number === null) return [];
  const told = things.filter(({ at, sign }) => at === number && sign !== '*');
  return [
    ...told.map(({ sign, text }) => `${sign} ${MEANING[sign]}: ${text}`),
    `event ${count(number)}: ${session.placeOf(number)}`,
    eventText(session.timeline.event(number)),
  ];
}

/** The canonical record of the selected page, in columns. */
function aboutPage(canvas: Canvas, view: FullScreen, { x, y, width, height }: Box): void {
  const { page, field } = view;
  if (page === null) return;
  const { row, vpn } = page;
  const { state } = view.session;
  canvas.text(x + 1, y, view.pageExpression() ?? `mm ${row.mm.id}, ${hex(vpn * 4096)}`, BOLD, width - 1);
  canvas.text(x + 1, y + 1, mappingText(view, row, row.vma), DIM, width - 1);
  const record = recordOf(state, row.mm, vpn);
  if (record.length === 0) canvas.text(x + 1, y + 2, 'no entry: not present', 0, width - 1);
  const columns = Math.max(1, Math.floor((width - 1) / FIELD_WIDTH));
  const lines = Math.ceil(record.length / columns);
  const selected = record.findIndex(([name]) => name === field);
  const room = Math.max(1, height - 2);
  const top = scrolledTo(Math.max(0, selected) % Math.max(1, lines), 0, room, lines);
  record.forEach(([name, value], i) => {
    const line = (i % lines) - top;
    if (line < 0 || line >= room) return;
    const left = x + 1 + Math.floor(i / lines) * FIELD_WIDTH;
    const chosen = i === selected;
    canvas.text(left, y + 2 + line, `${chosen ? '>' : ' '}${name} ${value}`, chosen ? REVERSE : 0, FIELD_WIDTH - 1);
  });
}

function mappingText({ session }: FullScreen, { mm }: Extract<MapRow, { kind: 'mapping' }>, vma: VmaView): string {
  const { start, end, perms, backing } = canonicalVma(session.state, vma);
  return `mm ${mm.id}, ${addressText(start)}-${addressText(end)} ${perms} ${backing}`;
}

/** Kinds that are seldom seen; the last ones. */
const RARE = 4;

/** What the letters are, as many as fit. */
function legend(canvas: Canvas, y: number): void {
  const kinds = PAGE_KINDS.map(({ letter, name, style }) => ({ letter, name, style: style | BOLD }));
  const none = { letter: '.', name: 'none', style: DIM };
  const items = [
    ...kinds.slice(0, -RARE),
    none,
    { letter: 'CAPS', name: 'writable', style: BOLD },
    ...kinds.slice(-RARE),
  ];
  let x = 1;
  for (const { letter, name, style } of items) {
    if (x + letter.length + 1 + name.length > canvas.width) return;
    x = canvas.text(x, y, letter, style) + 1;
    x = canvas.text(x, y, name, DIM) + 1;
  }
}

function status(canvas: Canvas, { prompt, busy, message }: FullScreen, y: number): void {
  if (prompt !== null) {
    const end = canvas.text(1, y, `${prompt.label}${prompt.text}`, BOLD);
    canvas.text(end, y, ' ', REVERSE);
  } else if (busy !== '') canvas.text(1, y, `${busy}... Ctrl-C stops`, BOLD);
  else if (message !== '') canvas.text(1, y, message, BOLD);
  else canvas.text(1, y, HINTS, DIM);
}
