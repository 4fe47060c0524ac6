// Write faults that settle several pages of a large folio at once. No kernel does: a series of 2023 (variable-order folios for anonymous
// memory) proposed it, and its review found where it goes wrong. Behaviours wp-reuse-range, wp-copy-range, wp-copy-range-minds-exclusive.
import {
  PTE_WRITE,
  pteAt,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  tableEnd,
  withFlags,
} from '../../../reducers/pte.js';
import type { MmView, VmaView } from '../../../reducers/state.js';
import { PG_ANON, PG_ANON_EXCLUSIVE, folioHead, mmAt, pageAt } from '../../../reducers/state.js';
import { VM_WRITE, linearPageIndex, vmaLookup } from '../../../reducers/vma.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { folioMappingsChanged } from '../large-folio.js';
import { allocLargeFolio, putPage } from '../page-alloc.js';
import { dirtyFlags, pteNeedsSoftDirtyWp } from '../soft-dirty.js';
import { MIN_ANON_ORDER } from '../thp.js';
import type { Fault } from './fault.js';
import { append4 } from './zap.js';
import { folioAddedLruVma, locksPages, munlockVmaPages } from './mlocked.js';

/** Does the entry at `vpn` map the page of a large folio that is as far from page `pfn`, which `at` maps, as `vpn` is from `at`? */
function continuesFolio(k: Kernel, mm: MmView, at: number, pfn: number, vpn: number): boolean {
  const entry = pteAt(mm, vpn);
  if (!ptePresent(entry) || pteSpecial(entry) || ptePfn(entry) !== pfn + vpn - at) return false;
  return folioHead(k.view, ptePfn(entry)) === folioHead(k.view, pfn);
}

const isExclusive = (k: Kernel, pfn: number): boolean => (pageAt(k.view, pfn).flags & PG_ANON_EXCLUSIVE) !== 0;

/** The row of entries around `vpn`, below its table and in `vma`, that map pages of one large folio and satisfy `fits`: [first, end). */
function rowAround(
  k: Kernel,
  { mm, vpn, vma }: { readonly mm: MmView; readonly vpn: number; readonly vma: VmaView },
  pfn: number,
  fits: (pfn: number) => boolean,
): readonly [number, number] {
  const least = Math.max(vma.start / PAGE_SIZE, tableEnd(vpn) - 512);
  const most = Math.min(vma.end / PAGE_SIZE, tableEnd(vpn));
  const belongs = (at: number): boolean => continuesFolio(k, mm, vpn, pfn, at) && fits(pfn + at - vpn);
  let [first, end] = [vpn, vpn + 1];
  while (first > least && belongs(first - 1)) first--;
  while (end < most && belongs(end)) end++;
  return [first, end];
}

/**
 * The faulting page of a large folio stays; so do those around it that are as much the process's own, and all become writable where the
 * VMA allows. `folioOwn`: what was found of the folio holds for each of its pages. The table's lock is held.
 */
export function wpRangeReuse(k: Kernel, fault: Fault, pfn: number, folioOwn: boolean): void {
  const { mm: mmId, vpn } = fault;
  const mm = mmAt(k.view, mmId);
  const vma = vmaLookup(mm, fault.addr) as VmaView;
  const [first, end] = rowAround(k, { mm, vpn, vma }, pfn, (page) => folioOwn || isExclusive(k, page));
  const writable = (vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0;
  const runs: number[] = [];
  for (let at = first; at < end; at++) {
    const old = pteAt(mm, at);
    // The first write to a page that nobody wrote to must be seen where such writes are asked for.
    const more = at === vpn ? writable | dirtyFlags(k) : pteNeedsSoftDirtyWp(k, vma.flags, old) ? 0 : writable;
    append4(runs, at, pfn + at - vpn, pteFlags(withFlags(old, more, 0)), 1);
  }
  k.emit({ type: 'PagesReused', mm: mmId, runs, exclusive: k.behaviours['anon-exclusive'] ? 1 : 0 });
}

/** The largest aligned block around the faulting page, all of whose pages are of one large folio, that is copied at once; null for one page. */
function blockToCopy(k: Kernel, fault: Fault, pfn: number): { readonly first: number; readonly order: number } | null {
  const { mm: mmId, vpn } = fault;
  const mm = mmAt(k.view, mmId);
  const vma = vmaLookup(mm, fault.addr) as VmaView;
  const careful = k.behaviours['wp-copy-range-minds-exclusive'];
  const [start, end] = rowAround(k, { mm, vpn, vma }, pfn, (page) => !careful || !isExclusive(k, page));
  for (let { order } = pageAt(k.view, pfn); order >= MIN_ANON_ORDER; order--) {
    const first = vpn - (vpn % 2 ** order);
    if (first >= start && first + 2 ** order <= end) return { first, order };
  }
  return null;
}

/**
 * Copies the block around the faulting page `pfn` of a large folio into a fresh one, which takes its place. False if it is but the one page. Enter with
 * the table's lock, which is dropped for the allocation and the copy.
 */
export function* wpRangeCopy(k: Kernel, fault: Fault, pfn: number): KernelThread<boolean> {
  if (fault.access !== 'write' || (pageAt(k.view, pfn).flags & PG_ANON) === 0 || pageAt(k.view, pfn).order === 0)
    return false;
  const block = blockToCopy(k, fault, pfn);
  if (block === null) return false;
  const { mm: mmId, vpn, cpu } = fault;
  const { first, order } = block;
  const pages = 2 ** order;
  const from = pfn + first - vpn;
  const seen = entriesAt(mmAt(k.view, mmId), first, pages);
  const fresh = allocLargeFolio(k, order);
  if (k.interleaved) yield { op: 'preempt', at: 'wp-copy:W3' };
  for (let i = 0; i < pages; i++) k.emit({ type: 'PageCopied', pfn: fresh + i, from: from + i });
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mmId},${vpn})` };
  const mm = mmAt(k.view, mmId);
  if (entriesAt(mm, first, pages).some((entry, i) => entry !== seen[i])) {
    putPage(k, fresh);
    return true;
  }
  const vma = vmaLookup(mm, fault.addr) as VmaView;
  const locked = locksPages(vma.flags);
  const writable = dirtyFlags(k) | ((vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0);
  k.emit({
    type: 'CowPagesMapped',
    mm: mmId,
    runs: [first, from, pages],
    oldMapcount: -1,
    pfn: fresh,
    flags: pteFlags(withFlags(pteAt(mm, vpn), writable, 0)),
    anonVma: vma.anonVma,
    index: linearPageIndex(vma, first * PAGE_SIZE),
    ref: pages - 1,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    lru: locked ? 0 : 1,
  });
  folioMappingsChanged(k, mmId, [[fresh, pages]]);
  folioMappingsChanged(k, mmId, [[folioHead(k.view, from), -pages]]);
  folioAddedLruVma(k, locked, fresh, cpu);
  munlockVmaPages(k, vma.flags, [from], cpu);
  for (let i = 0; i < pages; i++) putPage(k, from + i);
  return true;
}

const entriesAt = (mm: MmView, vpn: number, pages: number): number[] =>
  Array.from({ length: pages }, (_, i) => pteAt(mm, vpn + i));
