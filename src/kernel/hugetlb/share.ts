// Page tables of hugetlb mappings that several address spaces have: huge_pmd_share() of mm/hugetlb.c. They are not modelled; where Linux would share one it is said so.
import { TABLE_BYTES, missingTableBytes } from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { mmAt } from '../../../reducers/state.js';
import { VM_LOCKED, VM_LOCKONFAULT, VM_UFFD } from '../../../reducers/vma.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { isShared } from './reservations.js';

/** What one table of the level above maps, bytes. */
const PUD_SIZE = 2 ** 30;

/** `want_pmd_share()`, `page_table_shareable()`: does the mapping have all that the table around `addr` maps? */
const coversTable = ({ start, end }: VmaView, addr: number): boolean =>
  addr - (addr % PUD_SIZE) >= start && addr - (addr % PUD_SIZE) + PUD_SIZE <= end;

/** Has the address space the table for huge pages around `addr`? */
const hasTable = (k: Kernel, mm: number, addr: number): boolean =>
  missingTableBytes(mmAt(k.view, mm), addr / PAGE_SIZE) <= TABLE_BYTES;

/**
 * `huge_pmd_share()` before the fault of `mm` at `addr`, the first byte of a huge page of `vma`.
 * @throws NotModelledError if another mapping of the file has a table there that this one would share.
 */
export function refuseSharedTables(k: Kernel, mm: number, vma: VmaView, addr: number): void {
  if (!isShared(vma) || (vma.flags & VM_UFFD) !== 0 || !coversTable(vma, addr) || hasTable(k, mm, addr)) return;
  const same = ~(VM_LOCKED | VM_LOCKONFAULT);
  for (let id = 1; id < k.view.mms.length; id++)
    for (const other of k.view.mms[id]?.vmas ?? []) {
      if (other.inode !== vma.inode || (other.flags & same) !== (vma.flags & same)) continue;
      const there = other.start + (vma.pgoff - other.pgoff) * PAGE_SIZE + addr - vma.start;
      if (there < other.start || there >= other.end || there % PUD_SIZE !== addr % PUD_SIZE) continue;
      if (coversTable(other, there) && hasTable(k, id, there))
        throw new NotModelledError('page tables of huge pages that mappings share (huge_pmd_share)');
    }
}
