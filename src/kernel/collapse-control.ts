// What collapse of anonymous memory and of files have in common: results, limits, and folios that were taken and are put back. mm/khugepaged.c.
import { TABLE_BYTES, leafAt, missingTableBytes } from '../../reducers/pte.js';
import { HPAGE_PMD_NR, PG_ANON, cpuAt, folioAt, folioHead, mmAt, pageAt } from '../../reducers/state.js';
import type { Kernel } from './kernel.js';
import { EAGAIN, EBUSY, EINVAL, PAGE_SIZE } from './kernel.js';
import { appendRun } from './page-alloc.js';
import { PAGEVEC_SIZE, drainLruAdd } from './swap.js';
import { inSwapCache } from './swapfile.js';
import { numberOf } from './thp.js';

/** `enum scan_result`, without the prefix SCAN_. */
export type ScanResult =
  | 'SUCCEED'
  | 'PMD_MAPPED'
  | 'PMD_NULL'
  | 'PMD_NONE'
  | 'FAIL'
  | 'ADDRESS_RANGE'
  | 'VMA_CHECK'
  | 'EXCEED_NONE_PTE'
  | 'EXCEED_SWAP_PTE'
  | 'EXCEED_SHARED_PTE'
  | 'PTE_NON_PRESENT'
  | 'PTE_UFFD_WP'
  | 'PAGE_RO'
  | 'LACK_REFERENCED_PAGE'
  | 'PAGE_LOCK'
  | 'PAGE_LRU'
  | 'PAGE_COUNT'
  | 'PAGE_NULL'
  | 'PAGE_COMPOUND'
  | 'PTE_MAPPED_HUGEPAGE'
  | 'TRUNCATED'
  | 'DEL_PAGE_LRU';

/** After these `madvise_collapse()` goes on with the next block; after any other failure it ends. */
export const GOES_ON: ReadonlySet<ScanResult> = new Set<ScanResult>([
  'PMD_NULL',
  'PTE_NON_PRESENT',
  'PTE_UFFD_WP',
  'PAGE_RO',
  'LACK_REFERENCED_PAGE',
  'PAGE_COUNT',
  'PAGE_LOCK',
  'PAGE_LRU',
  'PAGE_NULL',
  'PAGE_COMPOUND',
  'DEL_PAGE_LRU',
]);

/** `madvise_collapse_errno()`. */
export function collapseErrno(result: ScanResult): number {
  if (result === 'EXCEED_NONE_PTE') return -EBUSY;
  return result === 'PAGE_COUNT' || result === 'PAGE_LOCK' || result === 'PAGE_LRU' || result === 'DEL_PAGE_LRU'
    ? -EAGAIN
    : -EINVAL;
}

/** Who collapses: `struct collapse_control`. */
export interface Control {
  readonly isKhugepaged: boolean;
  readonly tid: number;
  readonly cpu: number;
}

export const NO_LIMIT = HPAGE_PMD_NR;
/** How many entries of a kind khugepaged puts up with: its setting `max_ptes_<what>`. MADV_COLLAPSE minds none. */
export const limit = (k: Kernel, { isKhugepaged }: Control, what: 'none' | 'swap' | 'shared'): number =>
  isKhugepaged ? numberOf(k, `khugepaged/max_ptes_${what}`) : NO_LIMIT;

/** `find_pmd_or_thp_or_none()`. */
export function findPmd(k: Kernel, mm: number, addr: number): ScanResult {
  const now = mmAt(k.view, mm);
  const vpn = addr / PAGE_SIZE;
  if (leafAt(now, vpn) !== 0) return 'PMD_MAPPED';
  const missing = missingTableBytes(now, vpn);
  if (missing === 0) return 'SUCCEED';
  return missing === TABLE_BYTES ? 'PMD_NONE' : 'PMD_NULL';
}

/** `is_refcount_suitable()`: nobody has the folio but entries, and the swap or page cache. */
export function hasNoOtherUser(k: Kernel, pfn: number): boolean {
  const folio = folioAt(k.view, pfn);
  const mappings =
    folio.order === 0 ? folio.mapcount : (k.view.largeFolios[folioHead(k.view, pfn)]?.largeMapcount ?? 0);
  const cached = inSwapCache(folio) || ((folio.flags & PG_ANON) === 0 && folio.mapping !== 0);
  return folio.ref === mappings + (cached ? 2 ** folio.order : 0);
}

/** `release_pte_folio()`, `folio_putback_lru()` of isolated folios: they wait in `cpu`'s batch of new pages; large ones, last of all, not at all. */
export function putBack(k: Kernel, heads: readonly number[], cpu: number): void {
  const isLarge = (pfn: number): boolean => pageAt(k.view, pfn).order !== 0;
  const small = heads.filter((pfn) => !isLarge(pfn));
  for (let next = 0; next < small.length;) {
    const runs: number[] = [];
    const end = Math.min(small.length, next + PAGEVEC_SIZE - cpuAt(k.view, cpu).lruAdd.length);
    while (next < end) appendRun(runs, small[next++] as number);
    k.emit({ type: 'FoliosPutBack', cpu, runs, ref: 1 });
    if (cpuAt(k.view, cpu).lruAdd.length >= PAGEVEC_SIZE) drainLruAdd(k, cpu);
  }
  for (const pfn of heads.filter(isLarge)) {
    k.emit({ type: 'FoliosPutBack', cpu, runs: [pfn, 1], ref: 1 });
    drainLruAdd(k, cpu);
  }
}
