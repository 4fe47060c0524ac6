// Who holds user pages: taking references for them and giving references back, as pins, pipes and registered buffers do.
import type { HolderView, OpenFile } from '../../reducers/state.js';
import { folioAt, folioHead } from '../../reducers/state.js';
import { freeHugePage, isHugetlbPage } from './hugetlb/pool.js';
import type { Kernel } from './kernel.js';
import { GUP_PIN_COUNTING_BIAS } from './kernel.js';
import { hasPincount, pincountChanged } from './large-folio.js';

const FOLL_PIN = 0x80000;
/** Numbers of one page in `Holder.pages`. */
const HELD = 6;

/** A page that somebody holds. */
export interface Held {
  /** -1: the zero page. */
  readonly pfn: number;
  /** Where it was looked up; of a page that the holder allocated itself `mm` is 0, and `vpn` the page of the file through which it is mapped. */
  readonly mm: number;
  readonly vpn: number;
  /** What of it the holder has it for, bytes. */
  readonly offset: number;
  readonly length: number;
}

/** A new holder; `kind` is a HolderKind. */
export function createHolder(k: Kernel, kind: number, owner: number, flags: number): number {
  const holder = k.view.holders.length;
  k.emit({ type: 'HolderCreated', holder, kind, owner, flags });
  return holder;
}

/** How many pages `holder` has. */
export const heldCount = (k: Kernel, holder: number): number => (k.view.holders[holder]?.pages.length ?? 0) / HELD;

/** Page number `at` of `holder`. */
export function heldAt(k: Kernel, holder: number, at: number): Held {
  const { pages } = k.view.holders[holder] as HolderView;
  const [pfn, mm, vpn, offset, length] = pages.slice(at * HELD, (at + 1) * HELD) as [
    ...[number, number, number],
    ...[number, number],
  ];
  return { pfn, mm, vpn, offset, length };
}

/** `try_grab_folio()`: `bias` references more, for `holder`. The zero page's references are not counted. */
export function grab(k: Kernel, holder: number, held: Held, bias: number): void {
  const apart = bias === GUP_PIN_COUNTING_BIAS && held.pfn >= 0 && hasPincount(k, held.pfn);
  const taken = apart ? 1 : bias;
  k.emit({ type: 'PageGrabbed', holder, ...held, ref: held.pfn < 0 ? 0 : taken, bias: taken });
  if (apart) pincountChanged(k, held.pfn, 1);
}

/** `holder` keeps the page that it has just allocated, with the reference which that gave; `vpn` says where in a file it is mapped from. */
export function keepAllocated(k: Kernel, holder: number, pfn: number, length: number, vpn = 0): void {
  k.emit({ type: 'PageGrabbed', holder, pfn, mm: 0, vpn, offset: 0, length, ref: 0, bias: 1 });
}

/** `gup_put_folio()`: gives back what was taken for page number `at`, and the frame with the last reference. */
export function releaseAt(k: Kernel, holder: number, at: number): void {
  const { pages, flags } = k.view.holders[holder] as HolderView;
  const [pfn, bias] = [pages[at * HELD] as number, pages[at * HELD + 5] as number];
  const apart = pfn >= 0 && (flags & FOLL_PIN) !== 0 && hasPincount(k, pfn);
  const last = pfn >= 0 && folioAt(k.view, pfn).ref === bias;
  // A page of the pool goes back there.
  const pool = last && isHugetlbPage(k, pfn);
  const freed = last && !pool ? 1 : 0;
  k.emit({ type: 'HeldPageReleased', holder, at, pfn, ref: pfn < 0 ? 0 : -bias, bias, freed });
  if (apart && freed === 0) pincountChanged(k, pfn, -1);
  if (pool) freeHugePage(k, folioHead(k.view, pfn));
}

/** Everything is given back, in the order in which it came, and the holder is gone. */
export function removeHolder(k: Kernel, holder: number): void {
  while (heldCount(k, holder) > 0) releaseAt(k, holder, 0);
  k.emit({ type: 'HolderRemoved', holder });
}

/** The holder of that kind that belongs to `owner`, the first of several; 0 for none. */
export function holderOf(k: Kernel, kind: number, owner: number): number {
  const { holders } = k.view;
  for (let id = 1; id < holders.length; id++) if (holders[id]?.kind === kind && holders[id]?.owner === owner) return id;
  return 0;
}

/** Is there a descriptor, of anybody, that leads to `inode` and lets through what `allowed` says? */
export function hasEnd(k: Kernel, inode: number, allowed: (file: OpenFile) => boolean): boolean {
  return Object.values(k.view.files).some((table) =>
    Object.values(table).some((file) => file.inode === inode && allowed(file)),
  );
}
