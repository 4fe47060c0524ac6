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

/** A VMA and the address space that it is one of. */
interface Mapping {
  readonly mm: number;
  readonly vma: VmaView;
}

/**
 * `anon_vma_interval_tree_foreach()`: VMAs that may map pages of anon_vma `anonVma`, by the page that they begin with. Of those that begin with the
 * same one the tree has in front what was put in first: the parent before its children; but a VMA that is cut is put in anew, so that the shorter one
 * comes later.
 */
export function anonVmaMappings(k: Kernel, anonVma: number): readonly Mapping[] {
  const found: Mapping[] = [];
  for (const mm of k.view.mms)
    for (const vma of mm?.vmas ?? []) if (vma.chain.includes(anonVma)) found.push({ mm: mm!.id, vma });
  if (found.length < 2) return found;
  // Sorting keeps the order of what is equal.
  return found.toSorted(({ vma: a }, { vma: b }) => a.pgoff - b.pgoff || vmaPages(b) - vmaPages(a));
}

/** `rmap_walk()`: where VMAs have the page, in the order of the anon_vma's tree or of address spaces; what the entries there are the caller looks at. */
export function rmapWalk(k: Kernel, page: PageView): Place[] {
  if (isKsm(page)) return rmapWalkKsm(k, stableNode(page));
  const vpnsIn = (vma: VmaView): readonly number[] => {
    const offset = page.index - vma.pgoff;
    return offset >= 0 && offset < vmaPages(vma) ? [vma.start / PAGE_SIZE + offset] : [];
  };
  if ((page.flags & PG_ANON) === 0) return placesOf(k, (vma) => (vma.inode === page.mapping ? vpnsIn(vma) : []));
  return anonVmaMappings(k, page.mapping).flatMap(({ mm, vma }) =>
    vpnsIn(vma).map((vpn) => ({ mm, vpn, start: vma.start })),
  );
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
