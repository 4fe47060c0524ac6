// What ksmd does: one page after the other is compared with those merged already and those met in the same scan. mm/ksm.c, with
// smart_scan 0, merge_across_nodes 1.
//
// A page is merged only if its bytes are those of the scan before, so the first scan of a page only remembers them. In the stable tree are KSM
// pages, which nobody can write to; in the unstable tree pages that nothing equalled yet, which is begun anew with each scan. Both are
// searched by bytes; that they are trees decides nothing.
import { bytesKey } from '../../reducers/content.js';
import {
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_WRITE,
  mkPte,
  nextTable,
  pteAt,
  ptePfn,
  tableEnd,
  withFlags,
} from '../../reducers/pte.js';
import type { KsmItemView, PageView } from '../../reducers/state.js';
import {
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  folioHead,
  isKsm,
  ksmMapping,
  mmAt,
  pageAt,
  stableNode,
} from '../../reducers/state.js';
import { VM_MERGEABLE, vmaLookup } from '../../reducers/vma.js';
import type { VmaView } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import { splitFolio } from './folio-split.js';
import type { Kernel, KernelThread } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';
import { breakKsm, isMappedPage } from './ksm.js';
import { ZERO_PTE, presentFlag } from './memory/anonymous.js';
import { mlockVmaPages, munlockVmaPages } from './memory/mlocked.js';
import { putPage } from './page-alloc.js';
import { dirtyFlags } from './soft-dirty.js';
import { lruAddDrainAll } from './swap.js';
import { folioFreeSwap, inSwapCache } from './swapfile.js';

/** Where ksmd runs, and that it is no task of the workload. */
const KSMD = { tid: 0, cpu: 0 } as const;
/** max_page_sharing: mappings of one KSM page. */
const MAX_PAGE_SHARING = 256;

/** A page that the scan stands at: `struct ksm_rmap_item`. */
interface Place {
  readonly mm: number;
  readonly vpn: number;
}

/** The unstable tree: who has which bytes. */
type Unstable = Map<string, Place>;

/** Where a page goes in a merge: it becomes a KSM page itself, the zero page takes its place, or a KSM page does. */
const BECOMES_KSM = -1;
const ZERO_PAGE = -2;

/** `ksm_do_scan()` for one full scan. Without any process on the list ksmd sleeps. */
export function* ksmFullScan(k: Kernel): KernelThread {
  if (k.view.ksm.slots.length === 0) return;
  lruAddDrainAll(k);
  const unstable: Unstable = new Map();
  for (const { mm } of [...k.view.ksm.slots]) yield* scanMm(k, mm, unstable);
  k.emit({ type: 'KsmScanEnded', scans: 1 });
}

const itemsOf = (k: Kernel, mm: number): readonly KsmItemView[] =>
  k.view.ksm.slots.find((each) => each.mm === mm)?.items ?? [];
const itemAt = (k: Kernel, { mm, vpn }: Place): KsmItemView =>
  itemsOf(k, mm).find((each) => each.vpn === vpn) as KsmItemView;

/** `scan_get_next_rmap_item()` over one process: its mergeable anonymous pages in ascending order; what it no longer has is forgotten. */
function* scanMm(k: Kernel, mm: number, unstable: Unstable): KernelThread {
  const space = k.view.mms[mm];
  const alive = space !== null && space !== undefined && space.users > 0;
  const mergeable = alive ? space.vmas.filter(({ flags }) => (flags & VM_MERGEABLE) !== 0) : [];
  let done = -1;
  for (const { start, end, anonVma } of mergeable.map((vma) => ({ ...vma }))) {
    if (anonVma === 0) continue;
    const last = end / PAGE_SIZE;
    for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
      const stop = Math.min(tableEnd(vpn), last);
      for (; vpn < stop; vpn++) {
        if (anonymousPfn(k, { mm, vpn }) < 0) continue;
        forgetItems(k, mm, done, vpn, unstable);
        done = vpn;
        if (!itemsOf(k, mm).some((each) => each.vpn === vpn)) k.emit({ type: 'KsmItemAdded', mm, vpn, items: 1 });
        yield* cmpAndMergePage(k, { mm, vpn }, unstable);
      }
      vpn = nextTable(mmAt(k.view, mm), stop, last);
    }
  }
  forgetItems(k, mm, done, Infinity, unstable);
  if (mergeable.length === 0) k.emit({ type: 'KsmMmLeft', mm });
}

/** The anonymous page at a place, -1 for none: what a scan and `get_mergeable_page()` look at. */
function anonymousPfn(k: Kernel, { mm, vpn }: Place): number {
  const entry = pteAt(mmAt(k.view, mm), vpn);
  if (!isMappedPage(entry)) return -1;
  const pfn = ptePfn(entry);
  const { flags } = pageAt(k.view, pfn);
  return (flags & PG_ANON) !== 0 ? pfn : -1;
}

/** `remove_trailing_rmap_items()` and what `get_next_rmap_item()` passes over: items between two pages, both exclusive. */
function forgetItems(k: Kernel, mm: number, after: number, before: number, unstable: Unstable): void {
  for (const { vpn } of itemsOf(k, mm).filter((each) => each.vpn > after && each.vpn < before)) {
    removeFromTree(k, { mm, vpn }, unstable);
    k.emit({ type: 'KsmItemRemoved', mm, vpn, items: -1 });
  }
}

/** `cmp_and_merge_page()`: the page is merged with one that has the same bytes, or waits in the unstable tree for such a page. */
function* cmpAndMergePage(k: Kernel, place: Place, unstable: Unstable): KernelThread {
  const pfn = anonymousPfn(k, place);
  const page = pageAt(k.view, pfn);
  const node = stableNode(page);
  if (node !== 0 && itemAt(k, place).node === node) return;
  const key = bytesKey(page.content);
  if (key === null) throw new NotModelledError('KSM of pages with bytes that came from a file');
  if (node === 0) {
    removeFromTree(k, place, unstable);
    const { checked, content } = itemAt(k, place);
    if (checked === 0 || bytesKey(content) !== key) {
      k.emit({ type: 'KsmItemChecked', ...place, pfn });
      return;
    }
    if (k.view.ksm.useZeroPages === 1 && page.content === null)
      if (yield* tryToMergeOnePage(k, place, pfn, ZERO_PAGE)) return;
  }
  const kpfn = stableTreeSearch(k, pfn, key);
  removeFromTree(k, place, unstable);
  if (kpfn >= 0) {
    if (yield* tryToMergeOnePage(k, place, pfn, kpfn)) stableTreeAppend(k, place, stableNode(pageAt(k.view, kpfn)));
    return;
  }
  const found = unstable.get(key);
  if (found === undefined) {
    unstable.set(key, place);
    k.emit({ type: 'KsmItemUnstable', ...place, unstable: 1, unshared: 1 });
    return;
  }
  yield* mergeTwo(k, place, pfn, found, unstable);
}

/** `try_to_merge_two_pages()`: the page at `place` becomes a KSM page and takes the place of the one at `other` as well, or both are left alone. */
function* mergeTwo(k: Kernel, place: Place, pfn: number, other: Place, unstable: Unstable): KernelThread {
  const otherPfn = anonymousPfn(k, other);
  // Gone, or the same page, shared by a fork.
  if (otherPfn < 0 || otherPfn === pfn) return;
  if (pageAt(k.view, pfn).order !== 0 && folioHead(k.view, otherPfn) === folioHead(k.view, pfn)) {
    // With a reference to each of the two the folio cannot be split; it is once they are given back, and nothing is merged.
    yield* splitFolio(k, pfn, KSMD.cpu);
    return;
  }
  if (!(yield* tryToMergeOnePage(k, place, pfn, BECOMES_KSM))) return;
  removeFromTree(k, place, unstable);
  if (!(yield* tryToMergeOnePage(k, other, otherPfn, pfn))) {
    yield* breakKsm(k, { ...KSMD, mm: place.mm }, place.vpn);
    return;
  }
  removeFromTree(k, other, unstable);
  const node = k.view.ksm.lastNode + 1;
  k.emit({ type: 'KsmNodeInserted', node, pfn });
  stableTreeAppend(k, other, node);
  stableTreeAppend(k, place, node);
}

/**
 * `stable_tree_search()`: the KSM page with the same bytes, -1 for none. A KSM page itself, come by fork, is its own.
 * @throws NotModelledError where there are several, or one has as many mappings as may be.
 */
function stableTreeSearch(k: Kernel, pfn: number, key: string): number {
  if (stableNode(pageAt(k.view, pfn)) !== 0) return pfn;
  const found: number[] = [];
  for (const { id, pfn: kpfn } of k.view.ksm.nodes) {
    if (isStale(k, id, kpfn) || bytesKey(pageAt(k.view, kpfn).content) !== key) continue;
    const items = itemsOfNode(k, id);
    if (items >= MAX_PAGE_SHARING) throw new NotModelledError('more mappings of a KSM page than max_page_sharing');
    // One that no known page maps is not given to others: it is about to go.
    if (items > 0) found.push(kpfn);
  }
  if (found.length > 1) throw new NotModelledError('several KSM pages with the same bytes');
  return found[0] ?? -1;
}

/** `ksm_get_folio()`: a node has no reference to its page, which may be gone or another's by now. */
const isStale = (k: Kernel, node: number, pfn: number): boolean => {
  const page = pageAt(k.view, pfn);
  return !isKsm(page) || page.mapping !== ksmMapping(node);
};

/** `rmap_hlist_len`. */
function itemsOfNode(k: Kernel, node: number): number {
  let count = 0;
  for (const { items } of k.view.ksm.slots) for (const item of items) if (item.node === node) count++;
  return count;
}

/** `stable_tree_append()`. */
function stableTreeAppend(k: Kernel, place: Place, node: number): void {
  const first = itemsOfNode(k, node) === 0;
  const { anonVma } = vmaLookup(mmAt(k.view, place.mm), place.vpn * PAGE_SIZE) as VmaView;
  k.emit({ type: 'KsmItemLinked', ...place, node, anonVma, merging: 1, shared: first ? 1 : 0, sharing: first ? 0 : 1 });
}

/** `remove_rmap_item_from_tree()`: out of whichever tree the page is in. */
function removeFromTree(k: Kernel, place: Place, unstable: Unstable): void {
  const { node, unstable: waits } = itemAt(k, place);
  if (node !== 0) {
    const { pfn } = k.view.ksm.nodes.find((each) => each.id === node) as { readonly pfn: number };
    if (isStale(k, node, pfn)) removeNode(k, node);
    else unlink(k, place, node);
  } else if (waits === 1) {
    for (const [key, { mm, vpn }] of unstable) if (mm === place.mm && vpn === place.vpn) unstable.delete(key);
    k.emit({ type: 'KsmItemUnstable', ...place, unstable: 0, unshared: -1 });
  }
}

function unlink(k: Kernel, place: Place, node: number): void {
  const last = itemsOfNode(k, node) === 1;
  k.emit({ type: 'KsmItemUnlinked', ...place, node, merging: -1, shared: last ? -1 : 0, sharing: last ? 0 : -1 });
}

/** `remove_node_from_stable_tree()`: its page is gone, all that mapped it know no more of it. */
function removeNode(k: Kernel, node: number): void {
  for (const { mm, items } of [...k.view.ksm.slots])
    for (const { vpn } of items.filter((each) => each.node === node)) unlink(k, { mm, vpn }, node);
  k.emit({ type: 'KsmNodeRemoved', node });
}

/**
 * `try_to_merge_one_page()`: the page is write-protected, and then becomes a KSM page or is replaced by one with the same bytes, `kpfn` (or
 * ZERO_PAGE). False if somebody may write to it still: it has references that no mapping explains.
 */
function* tryToMergeOnePage(k: Kernel, place: Place, pfn: number, kpfn: number): KernelThread<boolean> {
  if (pfn === kpfn) return true;
  const { mm, vpn } = place;
  const vma = vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE) as VmaView;
  if (pageAt(k.view, pfn).order !== 0) {
    if ((yield* splitFolio(k, pfn, KSMD.cpu)) !== 0) return false;
    // A page of zeros gave way to the zero page.
    if (anonymousPfn(k, place) !== pfn) return false;
  }
  // `page_address_in_vma()`: a KSM page belongs to no anon_vma, so it is not found.
  if (isKsm(pageAt(k.view, pfn)) || !writeProtectPage(k, place, pfn)) return false;
  if (kpfn === BECOMES_KSM) k.emit({ type: 'KsmPageMade', pfn });
  else replacePage(k, place, vma, pfn, kpfn);
  return true;
}

/** `write_protect_page()`. What is clean, not writable and not exclusive needs no look at its references. */
function writeProtectPage(k: Kernel, { mm, vpn }: Place, pfn: number): boolean {
  const page: PageView = pageAt(k.view, pfn);
  const old = pteAt(mmAt(k.view, mm), vpn);
  const exclusive = (page.flags & PG_ANON_EXCLUSIVE) !== 0;
  if ((old & (PTE_WRITE | PTE_DIRTY)) === 0 && !exclusive) return true;
  if (page.mapcount + (inSwapCache(page) ? 1 : 0) !== page.ref) return false;
  const dirty = (old & PTE_DIRTY) !== 0 ? 1 : 0;
  const entry = withFlags(old, 0, PTE_WRITE | PTE_DIRTY);
  k.emit({ type: 'KsmPageProtected', mm, vpn, pfn, entry, exclusive: exclusive ? 0 : -1, dirty });
  return true;
}

/** `replace_page()`: the entry leads to the KSM page or the zero page, and the page that it led to loses a mapping. */
function replacePage(k: Kernel, { mm, vpn }: Place, vma: VmaView, pfn: number, kpfn: number): void {
  const zero = kpfn === ZERO_PAGE;
  const present = presentFlag(vma);
  // A dirty zero page is how KSM knows its own. Whether the page was soft-dirty before is lost.
  const entry = zero ? withFlags(ZERO_PTE, dirtyFlags(k) | present, PTE_PRESENT & ~present) : mkPte(kpfn, present);
  k.emit({
    type: 'KsmPageReplaced',
    mm,
    vpn,
    pfn,
    mapcount: -1,
    kpfn: zero ? -1 : kpfn,
    kref: zero ? 0 : 1,
    kmapcount: zero ? 0 : 1,
    entry,
    rssAnon: zero ? -1 : 0,
  });
  if (zero) k.emit({ type: 'KsmZeroPagesChanged', mm, zeroPages: 1, allZeroPages: 1 });
  else mlockVmaPages(k, vma, [kpfn], KSMD.cpu);
  munlockVmaPages(k, vma.flags, [pfn], KSMD.cpu);
  if (pageAt(k.view, pfn).mapcount === 0) folioFreeSwap(k, pfn);
  putPage(k, pfn);
}
