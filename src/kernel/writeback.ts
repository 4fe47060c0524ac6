// Writing dirty pages of a file to its disk, as far as page tables see it: mm/page-writeback.c, folio_mkclean() of mm/rmap.c.
import { PTE_DIRTY, PTE_WRITE, pteAt, ptePfn, ptePresent, pteSpecial, withFlags } from '../../reducers/pte.js';
import type { InodeView, MmView, VmaView } from '../../reducers/state.js';
import { InodeKind, PG_DIRTY, cachedPfn, mmAt, pageAt } from '../../reducers/state.js';
import { VM_SHARED, vmaPages } from '../../reducers/vma.js';
import { clearReclaim } from './filemap.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';

/**
 * `filemap_write_and_wait_range()`: dirty pages [first, last) of the file become clean. Shared memory has no disk and keeps them. The
 * next store to such a page faults again, so that the file system hears of it.
 */
export function writeAndWait(k: Kernel, inode: number, first: number, last: number): void {
  const file = k.view.inodes[inode];
  if (!file || file.kind !== InodeKind.file) return;
  const limit = Math.min(last, file.pages.length * 512);
  for (let index = first; index < limit; index++) {
    const pfn = cachedPfn(k.view.inodes[inode] as InodeView, index);
    if (pfn < 0 || (pageAt(k.view, pfn).flags & PG_DIRTY) === 0) continue;
    mkclean(k, inode, index, pfn);
    // What programs stored beyond the end of the file in its last page does not reach the disk.
    const { size } = k.view.inodes[inode] as InodeView;
    const offset = size - index * PAGE_SIZE;
    if (offset > 0 && offset < PAGE_SIZE)
      k.emit({ type: 'PageWritten', pfn, offset, length: PAGE_SIZE - offset, byte: 0 });
    k.emit({ type: 'FolioCleaned', pfn });
    // folio_end_writeback().
    clearReclaim(k, pfn);
  }
}

/** `folio_mkclean()`: every shared mapping of the page loses the write bit and is clean. */
function mkclean(k: Kernel, inode: number, index: number, pfn: number): void {
  for (let id = 1; id < k.view.mms.length; id++)
    for (const vma of k.view.mms[id]?.vmas ?? []) {
      const offset = index - vma.pgoff;
      if (vma.inode !== inode || (vma.flags & VM_SHARED) === 0 || offset < 0 || offset >= vmaPages(vma)) continue;
      mkcleanOne(k, mmAt(k.view, id), vma, offset, pfn);
    }
}

/** `page_vma_mkclean_one()`. */
function mkcleanOne(k: Kernel, mm: MmView, vma: VmaView, offset: number, pfn: number): void {
  const vpn = vma.start / PAGE_SIZE + offset;
  const entry = pteAt(mm, vpn);
  if (!ptePresent(entry) || pteSpecial(entry) || ptePfn(entry) !== pfn) return;
  if ((entry & (PTE_WRITE | PTE_DIRTY)) === 0) return;
  k.emit({ type: 'PteFlagsSet', mm: mm.id, vpn, entry: withFlags(entry, 0, PTE_WRITE | PTE_DIRTY) });
}
