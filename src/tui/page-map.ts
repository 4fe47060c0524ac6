// The page map: rows of processes and mappings, and a mapping's pages as cells of one letter each.
import {
  ptePfn,
  isHugePte,
  isMigrationPte,
  isPteMarker,
  isSwapPte,
  isZeroPte,
  pteSpecial,
  ptePresent,
  pteWrite,
  forEachPte,
} from '../../reducers/pte.js';
import type { KernelView, MmView, VmaView } from '../../reducers/state.js';
import {
  InodeKind,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  SECTION,
  folioHead,
  largeFolioAt,
  pageAt,
  pageMapcount,
  rssPages,
} from '../../reducers/state.js';
import type { KernelEvent } from '../../events/index.js';
import { forEachNamedFrame } from '../../projections/invariants/named-frames.js';
import { GUP_PIN_COUNTING_BIAS } from '../kernel/kernel.js';
import type { EntryRun } from '../debug/names-of-events.js';
import { entriesWritten } from '../debug/names-of-events.js';
import { plural } from '../debug/words.js';
import type { Style } from './canvas.js';
import { Colour, DIM } from './canvas.js';

/** What a page-table entry leads to. A capital letter says that the entry is writable. */
export interface PageKind {
  readonly letter: string;
  readonly name: string;
  readonly style: Style;
}

/**
 * Kinds: pages that may be pinned for DMA; anonymous ones that may be shared by several entries, that are exclusive, or that are neither
 * and mapped once; file, tmpfs, the zero page, pages that are swapped out, markers (guards), pages on the move to another frame, and raw frames without a page. Where a cell has as many pages of one as of another, the first
 * of them is shown.
 */
export const PAGE_KINDS = [
  { letter: 'p', name: 'pinned', style: Colour.red },
  { letter: 's', name: 'shared', style: Colour.magenta },
  { letter: 'e', name: 'exclusive', style: Colour.green },
  { letter: 'a', name: 'anon', style: Colour.yellow },
  { letter: 'f', name: 'file', style: Colour.blue },
  { letter: 'm', name: 'shmem', style: Colour.cyan },
  { letter: 'z', name: 'zero', style: Colour.white },
  { letter: 'o', name: 'swapped', style: Colour.white },
  { letter: 'g', name: 'marker', style: Colour.white },
  { letter: 'w', name: 'moving', style: Colour.white },
  { letter: 'x', name: 'raw', style: DIM },
] as const satisfies readonly PageKind[];
const [PINNED, SHARED, EXCLUSIVE, ONCE, FILE, SHMEM, ZERO, SWAPPED, MARKER, MOVING, SPECIAL] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
];
const KINDS = PAGE_KINDS.length;

/** Index in PAGE_KINDS for `entry`, which is not empty. */
export function kindOf(state: KernelView, entry: number): number {
  if (isZeroPte(entry)) return ZERO;
  if (isSwapPte(entry)) return SWAPPED;
  if (isPteMarker(entry)) return MARKER;
  if (isMigrationPte(entry)) return MOVING;
  if (pteSpecial(entry) || !ptePresent(entry)) return SPECIAL;
  const pfn = ptePfn(entry);
  const page = state.memMap[Math.floor(pfn / SECTION)]?.[pfn % SECTION];
  // Only in a log that somebody made up does an entry lead to no frame.
  if (page === undefined) return SPECIAL;
  const large = page.order > 1 ? largeFolioAt(state, folioHead(state, pfn)) : null;
  // `folio_maybe_dma_pinned()`.
  if (large === null ? page.ref >= GUP_PIN_COUNTING_BIAS : large.pincount > 0) return PINNED;
  if ((page.flags & PG_ANON) === 0) return state.inodes[page.mapping]?.kind === InodeKind.shmem ? SHMEM : FILE;
  const marked = isHugePte(entry) ? pageAt(state, folioHead(state, pfn)) : page;
  if ((marked.flags & PG_ANON_EXCLUSIVE) !== 0) return EXCLUSIVE;
  return pageMapcount(state, pfn) > 1 ? SHARED : ONCE;
}

/** A line of the page map: a process, or one of its mappings. */
export type MapRow =
  | { readonly kind: 'process'; readonly mm: MmView; readonly text: string }
  | { readonly kind: 'mapping'; readonly mm: MmView; readonly vma: VmaView };

/** Every process with its mappings. */
export function mapRows(state: KernelView): MapRow[] {
  const tids = new Map<number, number[]>();
  for (const { tid, mm } of Object.values(state.tasks)) if (mm !== 0) tids.set(mm, [...(tids.get(mm) ?? []), tid]);
  return state.mms.flatMap((mm): MapRow[] => {
    if (!mm) return [];
    const who = tids.get(mm.id);
    const name = who === undefined ? `mm ${mm.id}` : `${who.length > 1 ? 'tasks' : 'task'} ${who.join(' ')}`;
    const text = `${name}: rss ${plural(rssPages(mm), 'page')}, ${plural(mm.vmas.length, 'mapping')}`;
    return [{ kind: 'process', mm, text }, ...mm.vmas.map((vma): MapRow => ({ kind: 'mapping', mm, vma }))];
  });
}

/** What an event touched: entries, and frames that entries lead to. */
export interface Touched {
  readonly runs: readonly EntryRun[];
  readonly frames: ReadonlySet<number>;
}

/** What `event` touched; nothing for null. */
export function touchedBy(event: KernelEvent | null): Touched {
  const frames = new Set<number>();
  if (event !== null) forEachNamedFrame(event, (pfn) => frames.add(pfn));
  return { runs: event === null ? [] : entriesWritten(event), frames };
}

/** Pages of a mapping shown side by side. */
export interface Span {
  /** Number of the first page shown. */
  readonly vpn: number;
  /** Pages that one cell stands for. */
  readonly perCell: number;
  readonly cells: number;
  /** Pages shown; the last cell may stand for fewer. */
  readonly pages: number;
}

/**
 * Which pages of a mapping of `pages` pages from `start` on fit in `width` cells: all of them, many to a cell where need be; with `zoom`
 * one to a cell, those around page `near`.
 */
export function spanOf(start: number, pages: number, width: number, zoom: boolean, near: number): Span {
  if (!zoom || pages <= width) {
    const perCell = Math.max(1, Math.ceil(pages / width));
    return { vpn: start, perCell, cells: Math.ceil(pages / perCell), pages };
  }
  const first = Math.max(0, Math.min(pages - width, near - start - Math.floor(width / 2)));
  return { vpn: start + first, perCell: 1, cells: width, pages: width };
}

/** A cell of the map. */
export interface Cell {
  /** Of the kind that most of its pages have; `.` where none is there. */
  readonly letter: string;
  readonly style: Style;
  /** Its pages are not all alike. */
  readonly mixed: boolean;
  readonly touched: boolean;
}

/** The pages of `span` as cells. */
export function cellsOf(state: KernelView, mm: MmView, span: Span, { runs, frames }: Touched): Cell[] {
  const { vpn: first, perCell, cells } = span;
  const end = first + span.pages;
  const slots = 2 * KINDS;
  const counts = new Int32Array(cells * slots);
  const touched = new Uint8Array(cells);
  for (const { mm: id, vpn, pages } of runs) {
    if (id !== mm.id || vpn >= end || vpn + pages <= first) continue;
    const from = Math.floor((Math.max(vpn, first) - first) / perCell);
    const to = Math.ceil((Math.min(vpn + pages, end) - first) / perCell);
    touched.fill(1, from, to);
  }
  forEachPte(mm, first, end, (vpn, entry) => {
    const cell = Math.floor((vpn - first) / perCell);
    const kind = kindOf(state, entry);
    const slot = cell * slots + 2 * kind + (pteWrite(entry) ? 1 : 0);
    counts[slot] = (counts[slot] as number) + 1;
    if (kind < ZERO && frames.size > 0 && frames.has(ptePfn(entry))) touched[cell] = 1;
  });
  return Array.from({ length: cells }, (_, cell) => {
    const pages = Math.min(perCell, span.pages - cell * perCell);
    return cellOf(counts.subarray(cell * slots, (cell + 1) * slots), pages, touched[cell] === 1);
  });
}

/** One cell from the numbers of its pages by kind: read-only and writable in turns. */
function cellOf(counts: Int32Array, pages: number, touched: boolean): Cell {
  let best = -1;
  for (let slot = 0; slot < counts.length; slot++)
    if ((counts[slot] as number) > (best < 0 ? 0 : (counts[best] as number))) best = slot;
  if (best < 0) return { letter: '.', style: DIM, mixed: false, touched };
  const { letter, style } = PAGE_KINDS[best >> 1] as PageKind;
  const shown = (best & 1) === 1 ? letter.toUpperCase() : letter;
  return { letter: shown, style, mixed: counts[best] !== pages, touched };
}
