// Wrong events of large folios and huge pages: entries, splits, collapse, swap, migration.
import type { EventType } from '../../../events/index.js';
import { PTE_HUGE, PTE_PRESENT, PTE_SWP_EXCLUSIVE, PTE_WRITE, mkPte } from '../../../reducers/pte.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

const WRITE = 2;
const FOLIO = 'sysfs("transparent_hugepage/hugepages-16kB/enabled", "madvise")';
/** A large folio goes to the swap area whole, comes back, and moves. */
const ROW = `swapon("block")
${FOLIO}
1 mmap(0x100200000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 4*P, MADV_HUGEPAGE) = 0
1 store(A, 1, 4*P)
1 madvise(A, 4*P, MADV_PAGEOUT) = 0
1 store(A+P, 2)
1 migrate(A, P) = 0`;
/** A huge page moves. */
const MOVED = `
1 mmap(0x100200000000, H, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, H, MADV_HUGEPAGE) = 0
1 store(A, 0x11)
1 migrate(A, P) = 0`;
const SPLIT = `
1 mmap(0x100200000000, H, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, H, MADV_HUGEPAGE) = 0
1 store(A, 0x11)
1 madvise(A, P, MADV_COLD) = 0`;
const HUGE = `
1 mmap(0x10000000000, 0x400000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 0x400000, MADV_HUGEPAGE)
1 store(A, 1)
1 fork() = 2
1 store(A+P, 2)
1 pin(A+P, P, FOLL_PIN|FOLL_WRITE)
1 store(A+0x200000, 3)
1 pin(A+0x200000, P, FOLL_PIN|FOLL_WRITE)`;
const FOLIO_GIVEN_UP = `
sysfs("transparent_hugepage/hugepages-64kB/enabled", "always")
1 mmap(0x100001f0000, 0x10000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 1, 0x10000)
1 madvise(A, 0x10000, MADV_FREE)
1 reclaim(A, 0x10000)`;
const COLLAPSED = `
1 mmap(0x10000000000, 0x400000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 1)
1 store(A+P, 2)
1 madvise(A, 0x200000, MADV_COLLAPSE)`;
const SPLIT_AND_COLLAPSED = `
1 mmap(0x10000000000, 0x400000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 0x400000, MADV_HUGEPAGE)
1 store(A, 1)
1 mprotect(A+P, P, PROT_READ)
1 mprotect(A+P, P, RW)
1 madvise(A, 0x200000, MADV_COLLAPSE)`;

export const LARGE: readonly WrongEvent<EventType>[] = [
  wrong(
    'collapse-needs-free',
    COLLAPSED,
    'HugePageCollapsed',
    (event) => [{ type: 'MlockBatched', cpu: 0, kind: 0, runs: [event.runs[1]!, 1], set: 0, ref: 1 }, event],
    { cause: 'HugePageCollapsed' },
  ),
  wrong(
    'collapse-copies',
    COLLAPSED,
    'HugePageCollapsed',
    but<'HugePageCollapsed'>(() => ({ pfn: 0 })),
  ),
  wrong(
    'load-returns-last-store',
    COLLAPSED,
    'HugePageCollapsed',
    but<'HugePageCollapsed'>(({ runs }) => ({ runs: runs.map((each, i) => (i === 2 ? 1 : each)) })),
  ),
  wrong('tails-clear-under-huge-entry', SPLIT_AND_COLLAPSED, 'HugePageCollapsed', ({ mm, vpn, runs }) => [
    {
      type: 'PmdCollapsedInPlace',
      ...{ mm, vpn, pfn: runs[1]!, entry: mkPte(runs[1]!, PTE_PRESENT | PTE_WRITE | PTE_HUGE) },
      ...{ ref: -511, mapcount: -1, entireMapcount: 1, exclusive: 0, tails: 1 },
    },
  ]),
  wrong(
    'huge-entry-maps-whole-folio',
    HUGE,
    'LargeFolioAllocated',
    but<'LargeFolioAllocated'>(() => ({ order: 8 })),
    { cause: 'HugePageMapped' },
  ),
  wrong('large-reuse-has-one-owner', HUGE, 'CowPageMapped', ({ mm, vpn, oldPfn }) => [
    {
      type: 'PageReused',
      mm,
      vpn,
      pfn: oldPfn,
      entry: mkPte(oldPfn, PTE_PRESENT | PTE_WRITE),
      exclusive: 1,
      anonVma: 0,
    },
  ]),
  wrong(
    'large-mapcount-below-refcount',
    HUGE,
    'LargeFoliosCounted',
    but<'LargeFoliosCounted'>(({ folios }) => ({ folios: folios.with(1, 9999) })),
  ),
  wrong(
    'page-table-walk-stays-in-table',
    FOLIO_GIVEN_UP,
    'LargeFolioDiscarded',
    but<'LargeFolioDiscarded'>(({ scanned }) => ({ scanned: [scanned[0]! + 1, scanned[1]!] })),
  ),
  wrong(
    'migration-keeps-exclusive',
    SPLIT,
    'MigrationPtesRemoved',
    but<'MigrationPtesRemoved'>(() => ({ exclusivePages: [] })),
  ),
  wrong(
    'migration-keeps-exclusive',
    SPLIT,
    'PmdSplitFrozen',
    but<'PmdSplitFrozen'>(({ entry }) => ({ entry: entry - WRITE })),
  ),
  wrong('split-folio-has-no-holder', SPLIT, 'PmdSplitFrozen', nothing, { cause: 'FolioSplit' }),
  wrong(
    'swap-count',
    ROW,
    'PagesSwappedOut',
    but<'PagesSwappedOut'>(() => ({ count: 2 })),
  ),
  wrong(
    'swapbacked-cache',
    ROW,
    'PagesSwappedOut',
    but<'PagesSwappedOut'>(({ slot }) => ({ slot: slot + 4 })),
  ),
  wrong(
    'exclusive-survives-swap',
    ROW,
    'PagesSwappedOut',
    but<'PagesSwappedOut'>(({ runs }) => ({ runs: runs.with(3, runs[3]! - PTE_SWP_EXCLUSIVE) })),
  ),
  wrong(
    'refcount-accounted',
    ROW,
    'LargeSwapCacheRemoved',
    but<'LargeSwapCacheRemoved'>(({ ref }) => ({ ref: ref + 1 })),
  ),
  wrong(
    'load-returns-last-store',
    ROW,
    'LargeFolioMigrated',
    (event) => [event, { type: 'PageWritten', pfn: event.pfn + 1, offset: 0, length: 1, byte: 9 }],
    { cause: 'MigrationPtesRemoved' },
  ),
  wrong(
    'migration-keeps-exclusive',
    MOVED,
    'PmdMigrationRemoved',
    but<'PmdMigrationRemoved'>(() => ({ exclusive: 0 })),
  ),
  wrong(
    'migration-keeps-rights',
    MOVED,
    'PmdMigrationRemoved',
    but<'PmdMigrationRemoved'>(({ entry }) => ({ entry: entry - WRITE })),
  ),
  wrong('migrated-page-has-no-holder', MOVED, 'PmdMigrationSet', nothing, { cause: 'LargeFolioMigrated' }),
  wrong(
    'zero-page-only-for-zeros',
    SPLIT,
    'MigrationPtesRemoved',
    but<'MigrationPtesRemoved'>(({ runs, special }) => ({ runs: [], special: [...runs.with(3, 97), ...special] })),
  ),
  wrong(
    'large-mapcount-sum',
    HUGE,
    'LargeFoliosCounted',
    but<'LargeFoliosCounted'>(({ folios }) => ({ folios: folios.with(1, folios[1]! + 1) })),
  ),
  wrong(
    'mm-id-counts',
    HUGE,
    'LargeFoliosCounted',
    but<'LargeFoliosCounted'>(({ folios }) => ({ folios: folios.with(3, folios[1]! + 1) })),
  ),
  wrong(
    'not-shared-has-one-owner',
    HUGE,
    'LargeFoliosCounted',
    but<'LargeFoliosCounted'>(({ folios }) => ({ folios: folios.with(6, 0) })),
    { nth: 1 },
  ),
  wrong(
    'pincount-of-holders',
    HUGE,
    'LargeFoliosCounted',
    but<'LargeFoliosCounted'>(({ folios }) => ({ folios: folios.with(8, 0) })),
    { nth: -1 },
  ),
  wrong(
    'mapcount-equals-rmap',
    HUGE,
    'PmdSplit',
    but<'PmdSplit'>(() => ({ entireMapcount: 0 })),
  ),
  wrong(
    'ref-lower-bound',
    HUGE,
    'PmdSplit',
    but<'PmdSplit'>(() => ({ ref: 0 })),
  ),
  wrong(
    'writable-anon-is-exclusive',
    HUGE,
    'HugePageMapped',
    but<'HugePageMapped'>(() => ({ exclusive: 0 })),
  ),
  wrong(
    'fork-both-RO',
    HUGE,
    'PmdCopied',
    but<'PmdCopied'>(({ entry }) => ({ entry: entry + WRITE })),
  ),
  wrong(
    'page-tables-accounted',
    HUGE,
    'HugePageMapped',
    but<'HugePageMapped'>(() => ({ bytes: 0 })),
  ),
  wrong(
    'rss-equals-ptes',
    HUGE,
    'PmdCopied',
    but<'PmdCopied'>(() => ({ rssAnon: 1 })),
  ),
];
