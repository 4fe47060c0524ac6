// Where a page may be mapped: rmap_walk() of mm/rmap.c, and rmap_walk_ksm() of mm/ksm.c for pages that KSM merged.
// Locks: the page's, and the anon_vma's or i_mmap_rwsem for read.
import type { PageView, VmaView } from '../../reducers/state.js';
import { PG_ANON, isKsm, stableNode } from '../../reducers/state.js';
import { vmaPages } from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';

/** Where a page is, or would be, mapped. */
export interface Place {
  readonly mm: number;
  readonly vpn: number;
  /** The VMA begins there, bytes. */
  readonly start: number;
}

/** `rmap_walk()`: where VMAs have the page, in order of address spaces; what the entries there are the caller looks at. */
export function rmapWalk(k: Kernel, page: PageView): Place[] {
  if (isKsm(page)) return rmapWalkKsm(k, stableNode(page));
  const anon = (page.flags & PG_ANON) !== 0;
  return placesOf(k, (vma) => {
    const has = anon ? vma.chain.includes(page.mapping) : vma.inode === page.mapping;
    const offset = page.index - vma.pgoff;
    return has && offset >= 0 && offset < vmaPages(vma) ? [vma.start / PAGE_SIZE + offset] : [];
  });
}

/**
 * `rmap_walk_ksm()`: a merged page has no place of its own in an anon_vma. What KSM knows of it says where processes map it, and whoever got it from
 * one of them by fork since has it at the same address. A page of no node is found nowhere.
 */
function rmapWalkKsm(k: Kernel, node: number): Place[] {
  if (node === 0) return [];
  const items = k.view.ksm.slots.flatMap((slot) => slot.items.filter((each) => each.node === node));
  return placesOf(k, ({ start, end, chain }) => {
    const here = items.filter(({ vpn, anonVma }) => {
      const addr = vpn * PAGE_SIZE;
      return addr >= start && addr < end && chain.includes(anonVma);
    });
    return [...new Set(here.map(({ vpn }) => vpn))];
  });
}

function placesOf(k: Kernel, vpnsIn: (vma: VmaView) => readonly number[]): Place[] {
  const places: Place[] = [];
  for (const mm of k.view.mms)
    for (const vma of mm?.vmas ?? []) for (const vpn of vpnsIn(vma)) places.push({ mm: mm!.id, vpn, start: vma.start });
  return places;
}
