// Wrong events of pages that are swapped, given up, migrated and merged.
import type { EventType } from '../../../events/index.js';
import { PTE_SWP_EXCLUSIVE, migrationPte } from '../../../reducers/pte.js';
import { HolderKind } from '../../../reducers/state.js';
import { VM_LOCKED } from '../../../reducers/vma.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

const WRITE = 2;
const FOLL_GET = 2;
const SWAPPED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 madvise(A, 0x2000, MADV_PAGEOUT)
1 fork() = 2
1 load(A)
2 load(A)
2 madvise(A, 0x2000, MADV_DONTNEED)`;
const GIVEN_UP = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 lru_add_drain()
1 madvise(A, P, MADV_FREE)
1 madvise(A, P, MADV_PAGEOUT)`;
const MIGRATED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 mprotect(A, P, RO)
1 migrate(A, 0x2000)`;
const MERGED = `
ksm_use_zero_pages(1)
1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 store(A+0x2000, 0)
1 madvise(A, 0x3000, MADV_MERGEABLE)
ksm_scan()
1 fork() = 2
2 store(A+0x2000, 1)
2 store(A, 2)`;
const UNSHARED = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 fork() = 2
2 fault(A, U)`;

export const SWAP_MIGRATE: readonly WrongEvent<EventType>[] = [
  wrong(
    'migration-keeps-exclusive',
    MIGRATED,
    'MigrationPteSet',
    but<'MigrationPteSet'>(({ entry }) => ({ entry: entry - PTE_SWP_EXCLUSIVE })),
  ),
  wrong(
    'migration-keeps-exclusive',
    MIGRATED,
    'MigrationPteRemoved',
    but<'MigrationPteRemoved'>(() => ({ exclusive: 0 })),
  ),
  wrong(
    'migration-keeps-rights',
    MIGRATED,
    'MigrationPteRemoved',
    but<'MigrationPteRemoved'>(({ entry }) => ({ entry: entry + WRITE })),
  ),
  wrong(
    'migration-keeps-rights',
    MIGRATED,
    'MigrationPteSet',
    but<'MigrationPteSet'>(({ entry }) => ({ entry: entry + 1024 })),
  ),
  wrong('migrating-page-is-isolated', MIGRATED, 'FolioIsolated', nothing, { cause: 'MigrationPteSet' }),
  wrong('migrated-page-has-no-holder', MIGRATED, 'MigrationPteSet', nothing, { cause: 'FolioMigrated' }),
  wrong(
    'no-migration-entry-at-rest',
    MIGRATED,
    'MigrationPteRemoved',
    (event) => {
      const { mm, vpn, pfn } = event;
      const entry = migrationPte(pfn, WRITE);
      return [event, { type: 'MigrationPteSet', mm, vpn, pfn, entry, ref: 0, mapcount: 0, exclusive: 0, dirty: 0 }];
    },
    { nth: -1, cause: 'MigrationPteSet' },
  ),
  wrong('load-returns-last-store', MIGRATED, 'PageCopied', nothing, { cause: 'MigrationPteRemoved' }),
  wrong(
    'pin-oracle',
    MIGRATED,
    'FolioMigrated',
    (event, { events }) => {
      const set = events.find((each) => each.type === 'MigrationPteSet' && each.pfn === event.from);
      const [mm, vpn] = set?.type === 'MigrationPteSet' ? [set.mm, set.vpn] : [0, 0];
      const held = { pfn: event.from, mm, vpn, offset: 0, length: 4096, ref: 1024, bias: 1024 };
      return [
        { type: 'HolderCreated', holder: 1, kind: 0, owner: 1, flags: 0x80001 },
        { type: 'PageGrabbed', holder: 1, ...held },
        event,
      ];
    },
    { cause: 'MigrationPteRemoved' },
  ),
  wrong(
    'KSM-not-exclusive',
    MERGED,
    'KsmPageReplaced',
    but<'KsmPageReplaced'>(({ entry }) => ({ entry: entry + WRITE })),
  ),
  wrong(
    'ksm-counters-equal-items',
    MERGED,
    'KsmItemLinked',
    but<'KsmItemLinked'>(() => ({ merging: 0 })),
  ),
  wrong(
    'ksm-counters-equal-items',
    MERGED,
    'KsmZeroPagesChanged',
    but<'KsmZeroPagesChanged'>(() => ({ zeroPages: 0 })),
    { cause: 'KsmPageReplaced' },
  ),
  wrong(
    'ksm-totals',
    MERGED,
    'KsmItemLinked',
    but<'KsmItemLinked'>(() => ({ shared: 0 })),
  ),
  wrong(
    'swap-excl-single',
    SWAPPED,
    'SwapEntryCopied',
    but<'SwapEntryCopied'>(({ entry }) => ({ entry: entry | PTE_SWP_EXCLUSIVE })),
  ),
  wrong(
    'no-AE-in-swap',
    SWAPPED,
    'PageSwappedOut',
    but<'PageSwappedOut'>(() => ({ exclusive: -1 })),
  ),
  wrong(
    'W-owner-has-no-swap-entry',
    SWAPPED,
    'PageSwappedIn',
    but<'PageSwappedIn'>(({ entry }) => ({ entry: entry + WRITE })),
  ),
  wrong(
    'swap-count',
    SWAPPED,
    'SwapEntryCopied',
    but<'SwapEntryCopied'>(() => ({ count: 0 })),
  ),
  wrong(
    'swap-count',
    SWAPPED,
    'SwapEntryFreed',
    but<'SwapEntryFreed'>(() => ({ slotFreed: 1 })),
  ),
  wrong(
    'swapbacked-cache',
    SWAPPED,
    'PageSwappedOut',
    but<'PageSwappedOut'>(({ slot }) => ({ slot: slot + 1 })),
  ),
  wrong(
    'mlocked-not-reclaimed',
    SWAPPED,
    'PageSwappedOut',
    (event) => [{ type: 'VmaFlagsChanged', mm: event.mm, start: event.vpn * 4096, flags: VM_LOCKED }, event],
    { cause: 'PageSwappedOut' },
  ),
  wrong(
    'exclusive-survives-swap',
    SWAPPED,
    'PageSwappedOut',
    but<'PageSwappedOut'>(({ entry }) => ({ entry: entry - PTE_SWP_EXCLUSIVE })),
  ),
  wrong(
    'referenced-page-not-discarded',
    GIVEN_UP,
    'LazyfreeDiscarded',
    (event) => [
      { type: 'HolderCreated', holder: 1, kind: HolderKind.pin, owner: 1, flags: FOLL_GET },
      { type: 'PageGrabbed', holder: 1, pfn: event.pfn, mm: 1, vpn: event.vpn, offset: 0, length: 1, ref: 1, bias: 1 },
      { ...event, freed: 0 },
    ],
    { cause: 'LazyfreeDiscarded' },
  ),
  wrong(
    'lazyfree-clean-drop',
    GIVEN_UP,
    'LazyfreeDiscarded',
    (event) => [{ type: 'FolioDirtied', pfn: event.pfn }, event],
    {
      cause: 'LazyfreeDiscarded',
    },
  ),
  wrong(
    'rss-swap',
    SWAPPED,
    'PageSwappedOut',
    but<'PageSwappedOut'>(() => ({ rssSwap: 0 })),
  ),
  wrong(
    'unshare-RO',
    UNSHARED,
    'CowPageMapped',
    but<'CowPageMapped'>(({ entry }) => ({ entry: entry + WRITE })),
  ),
];
