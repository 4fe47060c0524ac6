// Mappings of hugetlbfs that move: move_hugetlb_page_tables() of mm/hugetlb.c, and what mremap(2) does to their reservations.
import { hugetlbVmaAt } from '../../../reducers/hugetlb-state.js';
import { HPAGE_PMD_NR, mmAt } from '../../../reducers/state.js';
import { leafAt } from '../../../reducers/pte.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { pmdAlloc } from '../memory/tables.js';

/**
 * Moves the entries of [from, from + length) bytes to `to`, where the copy of the mapping is. The copy has what stood in the mapping that begins at
 * `start`: its map and flags. The mapping itself has nothing any more (`clear_vma_resv_huge_pages()`), also where it stays in part.
 */
export function moveHugetlb(k: Kernel, mm: number, start: number, from: number, to: number, length: number): void {
  for (let offset = 0; offset < length / PAGE_SIZE; offset += HPAGE_PMD_NR) {
    const [vpn, newVpn] = [from / PAGE_SIZE + offset, to / PAGE_SIZE + offset];
    const entry = leafAt(mmAt(k.view, mm), vpn);
    if (entry === 0) continue;
    pmdAlloc(k, mm, newVpn);
    k.emit({ type: 'PmdMoved', mm, vpn, newVpn, entry });
  }
  const own = hugetlbVmaAt(k.view, mm, start);
  if (own === null) return;
  const { map, flags, reserved } = own;
  k.emit({ type: 'HugetlbVmaSet', mm, start: to, map, flags, reserved });
  k.emit({ type: 'HugetlbVmaSet', mm, start, map: 0, flags: 0, reserved: 0 });
}
