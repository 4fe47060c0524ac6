// Pages of the pool that are taken away from mappings that stay: by the owner of a reservation, and by advice.
import { HPAGE_RESV_UNMAPPED } from '../../../reducers/hugetlb-state.js';
import { leafAt, ptePfn } from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { mmAt } from '../../../reducers/state.js';
import { linearPageIndex } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { EINVAL, PAGE_SIZE } from '../kernel.js';
import { flushGather } from '../memory/zap.js';
import { HUGE_PAGE_SIZE, hugeAlign, isHugeAligned } from './pool.js';
import { isOwner, isShared, setVmaResvFlags } from './reservations.js';
import { unmapEntry, unmapHugepageRange } from './unmap.js';

/**
 * `unmap_ref_private()`: page `pfn`, which the owner `mm` has at `addr`, is taken away from every other private mapping of the file that was promised
 * nothing. It is looked for at the owner's address. Returns from how many it was taken.
 */
export function unmapRefPrivate(k: Kernel, mm: number, owner: VmaView, pfn: number, addr: number): number {
  const index = linearPageIndex(owner, addr);
  const { inode, start } = owner;
  const moved = k.behaviours['hugetlb-steal-finds-moved'];
  let taken = 0;
  for (let id = 1; id < k.view.mms.length; id++) {
    const others = k.view.mms[id]?.vmas.filter((vma) => vma.inode === inode && !(id === mm && vma.start === start));
    for (const vma of others ?? []) {
      const covers = linearPageIndex(vma, vma.start) <= index && index < linearPageIndex(vma, vma.end);
      const at = moved ? vma.start + (index - vma.pgoff) * PAGE_SIZE : addr;
      const leaf = leafAt(mmAt(k.view, id), at / PAGE_SIZE);
      const there = at >= vma.start && at < vma.end && leaf !== 0 && ptePfn(leaf) === pfn;
      if (!covers || !there || isShared(vma) || isOwner(k, id, vma)) continue;
      setVmaResvFlags(k, id, vma, HPAGE_RESV_UNMAPPED);
      unmapEntry(k, id, at / PAGE_SIZE);
      flushGather(k, id);
      taken++;
    }
  }
  return taken;
}

/**
 * MADV_DONTNEED of [start, end) bytes inside one mapping: whole pages go. What is left of a page at the end stays (up to 6.0 all of it went). Returns 0, or
 * -EINVAL where it begins within a page, and before 5.18.
 */
export function hugetlbDontneed(k: Kernel, mm: number, start: number, end: number): number {
  if (!k.behaviours['hugetlb-dontneed'] || !isHugeAligned(start)) return -EINVAL;
  const down = end - (end % HUGE_PAGE_SIZE);
  const to = k.behaviours['hugetlb-dontneed-rounds-down'] ? down : hugeAlign(end);
  unmapHugepageRange(k, mm, start, to);
  flushGather(k, mm);
  return 0;
}
