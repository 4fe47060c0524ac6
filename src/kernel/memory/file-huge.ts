// Huge entries that map a folio of a file: do_set_pmd() of mm/memory.c, and what mm/huge_memory.c does with them. No table lies ready for a split, for they need none: the
// entry goes, whole, and the next fault brings entries of pages. They change under the lock of their level-2 table.
import { PTE_DIRTY, PTE_HUGE, PTE_WRITE, leafAt, mkPte, pmdNone, ptePfn, pteSpecial } from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  InodeKind,
  PG_ANON,
  PG_DIRTY,
  folioHead,
  mmAt,
  pageAt,
} from '../../../reducers/state.js';
import { VM_LOCKED, VM_NOHUGEPAGE, VM_WRITE, userfaultfdWp, vmaLookup } from '../../../reducers/vma.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel } from '../kernel.js';
import { PAGE_SIZE } from '../kernel.js';
import { folioMappingsChanged } from '../large-folio.js';
import { hugePageFits } from '../thp.js';
import { vmPageProt } from './page-prot.js';
import { mlockVmaPages, munlockVmaPages } from './mlocked.js';
import { pmdAlloc } from './tables.js';

/** Is the huge entry `leaf` one to a page of a file? */
export const isFilePmd = (k: Kernel, leaf: number): boolean =>
  !pteSpecial(leaf) && (pageAt(k.view, ptePfn(leaf)).flags & PG_ANON) === 0;

/** rssFile and rssShmem of `n` pages of the file that page `pfn` belongs to. */
export function fileRss(k: Kernel, pfn: number, n: number): { readonly rssFile: number; readonly rssShmem: number } {
  const shmem = k.view.inodes[pageAt(k.view, pfn).mapping]?.kind === InodeKind.shmem;
  return shmem ? { rssFile: 0, rssShmem: n } : { rssFile: n, rssShmem: 0 };
}

/**
 * `do_set_pmd()`: maps the folio of page `pfn` by a huge entry, around `addr`. False where it may not: not asked for so large a folio, the VMA too small or aligned in another way, or
 * something there.
 */
export function doSetPmd(
  k: Kernel,
  { mm, addr, cpu }: { readonly mm: number; readonly addr: number; readonly cpu: number },
  vma: VmaView,
  pfn: number,
  write: boolean,
): boolean {
  if (pageAt(k.view, pfn).order !== HPAGE_PMD_ORDER || !maySetPmd(vma, addr)) return false;
  if (userfaultfdWp(vma)) throw new NotModelledError('userfaultfd that protects huge pages of files');
  if (k.behaviours['soft-dirty']) throw new NotModelledError('soft-dirty tracking of huge pages');
  const vpn = Math.floor(addr / PAGE_SIZE / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  const head = folioHead(k.view, pfn);
  if (!pmdNone(mmAt(k.view, mm), vpn)) return false;
  pmdAlloc(k, mm, vpn);
  const written = write ? PTE_DIRTY | ((vma.flags & VM_WRITE) !== 0 ? PTE_WRITE : 0) : 0;
  const entry = mkPte(head, vmPageProt(k, vma) | PTE_HUGE | written);
  const counted = { ref: 1, entireMapcount: 1, ...fileRss(k, head, HPAGE_PMD_NR) };
  k.emit({ type: 'FilePmdMapped', mm, vpn, pfn: head, entry, ...counted });
  folioMappingsChanged(k, mm, [[head, 1]]);
  mlockVmaPages(k, vma, [head], cpu);
  return true;
}

/** `thp_vma_suitable_order()` and `vma_thp_disabled()`: may a huge entry stand around `addr`? */
export const maySetPmd = (vma: VmaView, addr: number): boolean =>
  (vma.flags & VM_NOHUGEPAGE) === 0 &&
  hugePageFits(vma, addr) &&
  (vma.start / PAGE_SIZE - vma.pgoff) % HPAGE_PMD_NR === 0;

/**
 * `__split_huge_pmd_locked()` of the entry of a file at `vpn`, the first page: it goes, and what it knew of writes the folio knows from then on. `try_to_unmap_one()` takes
 * it away in the same way.
 */
export function splitFilePmd(k: Kernel, mm: number, vpn: number, cpu: number): void {
  const pfn = ptePfn(leafAt(mmAt(k.view, mm), vpn));
  clearPmd(k, mm, vpn, { ref: -1, gather: 0 });
  const vma = vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE);
  if (vma !== null && (vma.flags & VM_LOCKED) !== 0) munlockVmaPages(k, vma.flags, [pfn], cpu);
}

/** `zap_huge_pmd()` of the entry of a file: its reference stays in the gather. */
export function zapFilePmd(k: Kernel, mm: number, vmFlags: number, vpn: number, cpu: number): void {
  const pfn = ptePfn(leafAt(mmAt(k.view, mm), vpn));
  clearPmd(k, mm, vpn, { ref: 0, gather: 1 });
  munlockVmaPages(k, vmFlags, [pfn], cpu);
}

/** The entry goes; what it knew of writes the folio knows. */
function clearPmd(
  k: Kernel,
  mm: number,
  vpn: number,
  { ref, gather }: { readonly ref: number; readonly gather: number },
): void {
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  const pfn = ptePfn(leaf);
  const dirty = (leaf & PTE_DIRTY) !== 0 && (pageAt(k.view, pfn).flags & PG_DIRTY) === 0 ? 1 : 0;
  const counted = { ref, entireMapcount: -1, ...fileRss(k, pfn, -HPAGE_PMD_NR) };
  k.emit({ type: 'FilePmdCleared', mm, vpn, pfn, ...counted, gather, dirty });
  folioMappingsChanged(k, mm, [[pfn, -1]]);
}
