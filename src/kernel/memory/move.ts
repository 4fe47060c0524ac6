// Moving entries to another place: move_page_tables() of mm/mremap.c. mmap_lock held for write.
import {
  PTE_UFFD_WP,
  PTRS_PER_PTE,
  TABLE_BYTES,
  isPteMarker,
  isUffdWpPteMarker,
  leafAt,
  missingTableBytes,
  pmdNone,
  pteAt,
  pteFlags,
  pteMksoftDirty,
  ptePfn,
  ptePresent,
  pteSoftDirty,
  pteTable,
  withFlags,
} from '../../../reducers/pte.js';
import type { MmView } from '../../../reducers/state.js';
import { mmAt } from '../../../reducers/state.js';
import { vmaLookup, vmasIn } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { moveHugePmd, splitHugePmd } from './huge.js';
import { appendRun } from '../page-alloc.js';
import { pmdAlloc, pteAlloc, pudAlloc } from './tables.js';
import { append4 } from './zap.js';

/** Pages that an entry of the two upper levels spans. */
const PMD_PAGES = PTRS_PER_PTE;
const PUD_PAGES = PTRS_PER_PTE * 512;

/** Where a move stands, in pages: `struct pagetable_move_control`. */
interface Move {
  readonly mm: number;
  from: number;
  to: number;
  readonly end: number;
  /** `vma_has_uffd_without_event_remap()`: what a userfaultfd protected is protected no more. */
  readonly clearsWp: boolean;
}

/**
 * `move_page_tables()`: entries of [from, from + length) bytes go to `to`, one event for each piece within one source and one target
 * table. A table follows a source table even if that holds nothing; one that moves as a whole to an empty place is taken over, not
 * copied. With `realign` a move that begins in the middle of a table with nothing below takes the whole table along (6.7).
 */
export function movePageTables(
  k: Kernel,
  mm: number,
  from: number,
  to: number,
  length: number,
  realign: boolean,
  clearsWp = false,
): void {
  const move: Move = { mm, from: from / PAGE_SIZE, to: to / PAGE_SIZE, end: (from + length) / PAGE_SIZE, clearsWp };
  if (realign) tryRealign(k, move, length / PAGE_SIZE);
  while (move.from < move.end) {
    const pages = movePiece(k, move);
    move.from += pages;
    move.to += pages;
  }
}

/** Moves one piece; returns its pages. */
function movePiece(k: Kernel, move: Move): number {
  const upper = extent(move, PUD_PAGES);
  // Nothing below 1 GiB of the source: not even an upper table is made for it.
  if (missingTableBytes(mmAt(k.view, move.mm), move.from) > TABLE_BYTES) return upper;
  pudAlloc(k, move.mm, move.to);
  if (upper === PUD_PAGES && !move.clearsWp && missingTableBytes(mmAt(k.view, move.mm), move.to) > TABLE_BYTES) {
    pmdAlloc(k, move.mm, move.to);
    for (let offset = 0; offset < PUD_PAGES; offset += PMD_PAGES) takeOver(k, move, offset);
    freeTables(k, move.mm, move.from, PUD_PAGES, TABLE_BYTES);
    return upper;
  }
  const pages = extent(move, PMD_PAGES);
  if (pmdNone(mmAt(k.view, move.mm), move.from)) return pages;
  pmdAlloc(k, move.mm, move.to);
  if (leafAt(mmAt(k.view, move.mm), move.from) !== 0) {
    if (pages === PMD_PAGES && moveHugePmd(k, move.mm, move.from, move.to, move.clearsWp)) return pages;
    splitHugePmd(k, move.mm, move.from);
    if (pmdNone(mmAt(k.view, move.mm), move.from)) return pages;
  }
  const empty = missingTableBytes(mmAt(k.view, move.mm), move.to) > 0;
  if (pages === PMD_PAGES && empty && !move.clearsWp) takeOver(k, move, 0);
  else {
    pteAlloc(k, move.mm, move.to);
    const runs = moveEntries(k, move.mm, move.from, move.to, pages, true);
    if (move.clearsWp) clearMovedWp(k, move.mm, move.to, runs);
  }
  return pages;
}

/** `get_extent()`: pages up to the next boundary of source or target, or the end. */
function extent({ from, to, end }: Move, span: number): number {
  return Math.min(span - (from % span), end - from, span - (to % span));
}

/** `move_normal_pmd()`: the table itself goes to the new place. */
function takeOver(k: Kernel, { mm, from, to }: Move, offset: number): void {
  if (pmdNone(mmAt(k.view, mm), from + offset)) return;
  if (leafAt(mmAt(k.view, mm), from + offset) !== 0) {
    moveHugePmd(k, mm, from + offset, to + offset, false);
    return;
  }
  pteAlloc(k, mm, to + offset);
  moveEntries(k, mm, from + offset, to + offset, PMD_PAGES, false);
  freeTables(k, mm, from + offset, PMD_PAGES, TABLE_BYTES);
}

function freeTables(k: Kernel, mm: number, vpn: number, pages: number, bytes: number): void {
  k.emit({ type: 'PageTablesFreed', mm, vpn, vpnEnd: vpn + pages, bytes });
}

/** `move_ptes()`: what was moved, as runs of [offset, n]; without `marks` of a table that is taken over, whose entries nobody looks at. */
function moveEntries(
  k: Kernel,
  mm: number,
  vpn: number,
  newVpn: number,
  pages: number,
  marks: boolean,
): readonly number[] {
  const table = pteTable(mmAt(k.view, mm), vpn) as readonly number[];
  const first = vpn % PTRS_PER_PTE;
  const runs: number[] = [];
  for (let offset = 0; offset < pages; offset++) {
    if (table[first + offset] === 0) continue;
    const last = runs.length - 2;
    if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === offset)
      runs[last + 1] = (runs[last + 1] as number) + 1;
    else runs.push(offset, 1);
  }
  if (runs.length === 0) return runs;
  k.emit({ type: 'PtesMoved', mm, vpn, newVpn, runs });
  if (marks && k.behaviours['soft-dirty']) markMoved(k, mm, newVpn, runs);
  return runs;
}

/** What was moved to where no userfaultfd watches: entries are protected no more, markers of it are gone. */
function clearMovedWp(k: Kernel, mm: number, base: number, moved: readonly number[]): void {
  const runs: number[] = [];
  const emptied: number[] = [];
  for (let i = 0; i + 1 < moved.length; i += 2) {
    const first = base + (moved[i] as number);
    for (let vpn = first; vpn < first + (moved[i + 1] as number); vpn++) {
      const old = pteAt(mmAt(k.view, mm), vpn);
      const entry = withFlags(old, 0, PTE_UFFD_WP);
      if (isUffdWpPteMarker(old)) appendRun(emptied, vpn);
      else if (entry === old) continue;
      else if (ptePresent(entry)) append4(runs, vpn, ptePfn(entry), pteFlags(entry), 1);
      else k.emit({ type: 'PteFlagsSet', mm, vpn, entry });
    }
  }
  if (runs.length > 0) k.emit({ type: 'UffdWpChanged', mm, runs });
  if (emptied.length > 0) k.emit({ type: 'UffdMarkersSet', mm, runs: emptied, entry: 0 });
}

/** `move_soft_dirty_pte()`: what was moved counts as written to where it is now. */
function markMoved(k: Kernel, mm: number, base: number, moved: readonly number[]): void {
  const runs: number[] = [];
  for (let i = 0; i + 1 < moved.length; i += 2) {
    const first = base + (moved[i] as number);
    for (let vpn = first; vpn < first + (moved[i + 1] as number); vpn++) {
      const old = pteAt(mmAt(k.view, mm), vpn);
      // A marker leads to no page that could have been written to.
      if (isPteMarker(old) || pteSoftDirty(old)) continue;
      const entry = pteMksoftDirty(old);
      if (ptePresent(entry)) append4(runs, vpn, ptePfn(entry), pteFlags(entry), 1);
      else k.emit({ type: 'PteFlagsSet', mm, vpn, entry });
    }
  }
  if (runs.length > 0) k.emit({ type: 'SoftDirtyChanged', mm, runs });
}

/** `try_realign_addr()`. */
function tryRealign(k: Kernel, move: Move, length: number): void {
  const below = move.from % PMD_PAGES;
  if (below === 0 || below !== move.to % PMD_PAGES || length < PMD_PAGES - below) return;
  const mm = mmAt(k.view, move.mm);
  if (!canAlignDown(mm, move.from, below) || !canAlignDown(mm, move.to, below)) return;
  move.from -= below;
  move.to -= below;
}

/** `can_align_down()`: the VMA begins at `vpn` and nothing is mapped in the `below` pages before it. */
function canAlignDown(mm: MmView, vpn: number, below: number): boolean {
  const addr = vpn * PAGE_SIZE;
  return vmaLookup(mm, addr)?.start === addr && vmasIn(mm, addr - below * PAGE_SIZE, addr).length === 0;
}
