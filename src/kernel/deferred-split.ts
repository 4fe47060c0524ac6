// The shrinker of large folios: deferred_split_scan() of mm/huge_memory.c. Folios of which a part was given up wait in a queue, and so do huge pages, of which
// few pages may be used; they are split when memory runs short, or when somebody has the slab caches dropped.
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  InodeKind,
  PG_HUGETLB,
  PG_ANON,
  PG_MLOCKED,
  pageAt,
} from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import { filePages } from './filemap.js';
import { splitFolio } from './folio-split.js';
import type { Kernel, KernelThread } from './kernel.js';
import { setQueued } from './large-folio.js';
import { numberOf } from './thp.js';

/**
 * `thp_underused()`: more of the pages of the folio that begins at `head` hold nothing but zeros than khugepaged would fill in. Never where
 * max_ptes_none is 511.
 */
function thpUnderused(k: Kernel, head: number): boolean {
  const most = numberOf(k, 'khugepaged/max_ptes_none');
  if (most === HPAGE_PMD_NR - 1) return false;
  let zeros = 0;
  for (let i = 0; i < 2 ** pageAt(k.view, head).order; i++) if (pageAt(k.view, head + i).content === null) zeros++;
  return zeros > most;
}

/** Has a file a large folio that goes on behind its end? `shmem_unused_huge_shrink()` would split it. */
const someLargeFolioBeyondEnd = (k: Kernel): boolean =>
  Object.keys(k.view.largeFolios).some((head) => {
    const { mapping, index, order, flags } = pageAt(k.view, Number(head));
    const inode = (flags & (PG_ANON | PG_HUGETLB)) === 0 ? k.view.inodes[mapping] : null;
    return inode?.kind === InodeKind.shmem && index + 2 ** order > filePages(inode);
  });

/**
 * `deferred_split_scan()` of the whole queue, in order of frames, by CPU `cpu`. What cannot be split stays there if it is partially mapped; a huge
 * page that is used, or cannot be split, leaves it for good.
 */
export function* deferredSplitScan(k: Kernel, cpu: number): KernelThread {
  if (someLargeFolioBeyondEnd(k))
    throw new NotModelledError('large folios behind the end of files in memory, which the shrinker splits');
  for (const head of Object.keys(k.view.largeFolios).map(Number)) {
    const { order, partiallyMapped } = k.view.largeFolios[head] ?? { order: 0, partiallyMapped: 2 };
    // Those of files wait in no queue.
    if (order === 0 || (pageAt(k.view, head).flags & PG_ANON) === 0) continue;
    // Pages of the pool never enter the queue: nobody but the pool splits them.
    if ((pageAt(k.view, head).flags & PG_HUGETLB) !== 0) continue;
    if (partiallyMapped === 1) {
      yield* splitFolio(k, head, cpu);
      continue;
    }
    if (partiallyMapped !== 0 || order !== HPAGE_PMD_ORDER || !k.behaviours['shrinker-splits-underused']) continue;
    const locked = (pageAt(k.view, head).flags & PG_MLOCKED) !== 0;
    if (!locked && thpUnderused(k, head) && (yield* splitFolio(k, head, cpu)) === 0) continue;
    setQueued(k, head, 2);
  }
}
