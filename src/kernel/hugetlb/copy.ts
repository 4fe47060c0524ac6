// What fork does with mappings of hugetlbfs: copy_hugetlb_page_range() of mm/hugetlb.c.
// Locks: both mmap_locks for write, both tables' locks around each entry; they are dropped where a page is copied.
import { TABLE_BYTES, PTE_WRITE, leafAt, missingTableBytes, ptePfn, withFlags } from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { PG_ANON, PG_ANON_EXCLUSIVE, mmAt, pageAt } from '../../../reducers/state.js';
import { isCowMapping, linearPageIndex, vmaLookup } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { ENOMEM, PAGE_SIZE } from '../kernel.js';
import { maybePinned } from '../large-folio.js';
import { pmdAlloc } from '../memory/tables.js';
import { NO_PAGE, allocHugetlbFolio, makeHugePte } from './fault.js';
import { hugeIndex } from './reservations.js';
import { forEachBlock } from './unmap.js';

/**
 * `copy_hugetlb_page_range()`: the child maps what the parent does; anonymous pages are nobody's own any more. It is promised nothing. A page that the parent may have
 * pinned is copied for it at once. Returns 0, or -ENOMEM where there is no page for that: what was shared up to there stays as it is.
 */
export function copyHugetlbPageRange(k: Kernel, parent: number, child: number, vma: VmaView): number {
  const { start, end, flags } = vma;
  const cow = isCowMapping(flags);
  let error = 0;
  forEachBlock(start, end, (vpn) => {
    // The child gets a table for every one of the parent's, even if nothing of this mapping is there.
    if (error !== 0 || missingTableBytes(mmAt(k.view, parent), vpn) > TABLE_BYTES) return;
    pmdAlloc(k, child, vpn);
    const leaf = leafAt(mmAt(k.view, parent), vpn);
    if (leaf === 0) return;
    const pfn = ptePfn(leaf);
    const anon = (pageAt(k.view, pfn).flags & PG_ANON) !== 0;
    if (anon && needsCowForDma(k, parent, pfn)) {
      error = copyPinned(k, child, vpn, pfn);
      return;
    }
    const entry = cow ? withFlags(leaf, 0, PTE_WRITE) : leaf;
    k.emit({
      type: 'HugetlbEntryCopied',
      mm: parent,
      child,
      vpn,
      pfn,
      entry,
      childEntry: entry,
      ref: 1,
      mapcount: 1,
      exclusive: anon ? 0 : -1,
    });
  });
  return error;
}

/** `hugetlb_try_dup_anon_rmap()` refuses: may the parent have pinned the page? Since 5.19 only pages that are its own are asked about. */
function needsCowForDma(k: Kernel, parent: number, pfn: number): boolean {
  if (!k.behaviours['hugetlb-fork-copies-pinned'] || !k.view.hasPinned.includes(parent)) return false;
  const own = (pageAt(k.view, pfn).flags & PG_ANON_EXCLUSIVE) !== 0 || !k.behaviours['anon-exclusive'];
  return own && maybePinned(k, pfn);
}

/** `hugetlb_install_folio()` of a copy, which the child has to get without a reservation; the parent's entry stays as it is. */
function copyPinned(k: Kernel, child: number, vpn: number, from: number): number {
  const addr = vpn * PAGE_SIZE;
  const vma = vmaLookup(mmAt(k.view, child), addr) as VmaView;
  const pfn = allocHugetlbFolio(k, child, vma, hugeIndex(vma, addr), false);
  if (pfn === NO_PAGE) return -ENOMEM;
  k.emit({ type: 'HugetlbPageCopied', pfn, from });
  k.emit({
    type: 'HugetlbPageMapped',
    mm: child,
    vpn,
    pfn,
    entry: makeHugePte(k, vma, pfn, true),
    anonVma: vma.anonVma,
    index: linearPageIndex(vma, addr),
    ref: 0,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    restore: 0,
  });
  return 0;
}
