// Wrong events of processes that fork and end: entries, tables, counters, copies.
import type { EventType } from '../../../events/index.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

const WRITE = 2;
/** Entry flags at place `at` of the first run with WRITE set. */
const writable = (runs: readonly number[], at: number): number[] => runs.map((n, i) => (i === at ? n | WRITE : n));
const FORK = `
1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 0x3000)
1 fork() = 2
1 store(A, 0x22)
2 store(A+0x1000, 0x33)
2 exit_group(0)
1 store(A+0x2000, 0x44)
1 munmap(A, 0x4000)`;
const TWO_FAMILIES = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 mmap(0x10000000, P, RW, PRIV|ANON|FIXED, -1, 0) = B
1 store(A, 1)
1 store(B, 1)`;
const READ_FILE = `
1 inode("/data", 0, 8192, 1)
1 openat(-100, "/data", 0) = 3
1 mmap(NULL, 0x2000, RW, PRIV, 3, 0) = A
1 load(A)`;

export const PROCESSES: readonly WrongEvent<EventType>[] = [
  wrong('load-returns-last-store', FORK, 'PageCopied', nothing, { cause: 'CowPageMapped' }),
  wrong(
    'load-returns-last-store',
    FORK,
    'PageCopied',
    but<'PageCopied'>(({ pfn }) => ({ from: pfn })),
    { cause: 'CowPageMapped' },
  ),
  wrong(
    'leak-oracle',
    FORK,
    'PageWritten',
    (event, { events }) => {
      const copy = events.find((each) => each.type === 'CowPageMapped');
      return [{ ...event, pfn: copy?.oldPfn ?? -1 }];
    },
    { nth: 3 },
  ),
  wrong(
    'writable-anon-is-exclusive',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(() => ({ exclusive: 0 })),
  ),
  wrong(
    'writable-anon-is-exclusive',
    FORK,
    'PageReused',
    but<'PageReused'>(() => ({ exclusive: 0 })),
  ),
  wrong(
    'private-write-stays-private',
    READ_FILE,
    'FilePagesMapped',
    but<'FilePagesMapped'>(({ flags }) => ({ flags: flags | WRITE })),
  ),
  wrong('anon-needs-anon_vma', FORK, 'VmaAnonVmaSet', nothing, { cause: 'AnonPageMapped' }),
  wrong(
    'anon_vma-live',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(() => ({ anonVma: 99 })),
  ),
  wrong(
    'root-match',
    TWO_FAMILIES,
    'AnonPageMapped',
    but<'AnonPageMapped'>(() => ({ anonVma: 1 })),
    { nth: 1 },
  ),
  wrong(
    'rmap-complete',
    TWO_FAMILIES,
    'AnonPageMapped',
    but<'AnonPageMapped'>(() => ({ anonVma: 1 })),
    { nth: 1 },
  ),
  wrong(
    'index-address',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(({ index }) => ({ index: index + 1 })),
  ),
  wrong(
    'anon-map-once',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(({ entry, pfn }) => ({ entry: entry - pfn * 1024 })),
    { nth: 1 },
  ),
  wrong(
    'mapcount-equals-rmap',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(() => ({ mapcount: 2 })),
  ),
  wrong(
    'mapcount-equals-rmap',
    FORK,
    'CowPageMapped',
    but<'CowPageMapped'>(() => ({ oldMapcount: 0 })),
  ),
  wrong(
    'mapcount-equals-rmap',
    FORK,
    'PtesZapped',
    but<'PtesZapped'>(() => ({ mapcount: 0 })),
  ),
  wrong(
    'exclusive-has-one-mapper',
    FORK,
    'PtesCopied',
    but<'PtesCopied'>(() => ({ exclusive: 1 })),
  ),
  wrong(
    'W-single-owner',
    FORK,
    'PtesCopied',
    but<'PtesCopied'>(({ anon }) => ({ anon: writable(anon, 4) })),
  ),
  wrong(
    'W-single-owner',
    FORK,
    'PtesCopied',
    but<'PtesCopied'>(({ anon }) => ({ anon: writable(anon, 3) })),
  ),
  wrong(
    'fork-both-RO',
    FORK,
    'PtesCopied',
    but<'PtesCopied'>(({ anon }) => ({ anon: writable(anon, 4) })),
  ),
  wrong(
    'frame-freed-while-reachable',
    FORK,
    'FolioReleased',
    but<'FolioReleased'>(() => ({ freed: 1 })),
  ),
  wrong(
    'allocated-frame-was-free',
    FORK,
    'FolioAllocated',
    but<'FolioAllocated'>(() => ({ pfn: 0 })),
    { nth: 1 },
  ),
  wrong('LRU-batch-bound', FORK, 'AnonPageMapped', (event) => [event, event, event]),
  wrong(
    'ref-lower-bound',
    FORK,
    'PtesCopied',
    but<'PtesCopied'>(() => ({ ref: 0 })),
  ),
  wrong(
    'ref-lower-bound',
    FORK,
    'LruAddDrained',
    but<'LruAddDrained'>(() => ({ ref: -2 })),
  ),
  wrong(
    'refcount-accounted',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(() => ({ ref: 2 })),
  ),
  wrong(
    'refcount-accounted',
    FORK,
    'GatherFlushed',
    but<'GatherFlushed'>(() => ({ ref: 0, freed: [] })),
  ),
  wrong('anon_vma-free', FORK, 'AnonVmaLinked', () => [{ type: 'AnonVmaFreed', anonVma: 1 }], { nth: -3 }),
  wrong(
    'rss-zero-at-exit',
    FORK,
    'MmFreed',
    (event, { events }) => {
      const mapped = events.find((each) => each.type === 'AnonPageMapped');
      return mapped === undefined ? [] : [{ ...mapped, mm: event.mm }, event];
    },
    { cause: 'MmFreed' },
  ),
  wrong('nr_ptes-zero-at-exit', FORK, 'PageTablesFreed', nothing, { cause: 'MmFreed' }),
  wrong('page-table-freed-while-used', FORK, 'PtesZapped', nothing, { cause: 'PageTablesFreed' }),
  wrong('hiwater', FORK, 'HiwaterRssRaised', nothing, { nth: -1, cause: 'PtesZapped' }),
  wrong(
    'exclusive-page-not-replaced-by-cow',
    FORK,
    'CowPageMapped',
    // The page that the first fault copied, which is its owner's alone.
    (event, { events }) => {
      const first = events.find((each) => each.type === 'CowPageMapped');
      return [{ ...event, oldPfn: first?.type === 'CowPageMapped' ? first.pfn : -1 }];
    },
    { nth: 1 },
  ),
  wrong('reuse-has-no-foreign-mapping', FORK, 'CowPageMapped', ({ mm, vpn, oldPfn }) => [
    { type: 'PageReused', mm, vpn, pfn: oldPfn, entry: oldPfn * 1024 + 7, exclusive: 1, anonVma: 0 },
  ]),
  wrong(
    'rss-equals-ptes',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(() => ({ rssAnon: 2 })),
  ),
  wrong(
    'rss-equals-ptes',
    FORK,
    'PtesCopied',
    but<'PtesCopied'>(() => ({ rssAnon: 0 })),
  ),
  wrong(
    'page-tables-accounted',
    FORK,
    'PageTableAllocated',
    but<'PageTableAllocated'>(({ bytes }) => ({ bytes: bytes + 4096 })),
    { nth: 1 },
  ),
  wrong(
    'total-vm-equals-vmas',
    FORK,
    'VmAccounted',
    but<'VmAccounted'>(({ exec }) => ({ exec: exec + 1 })),
  ),
  wrong(
    'commit-sum',
    FORK,
    'VmAccounted',
    but<'VmAccounted'>(({ committed }) => ({ committed: committed + 1 })),
  ),
];
