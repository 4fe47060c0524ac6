// Every invariant can fail: a real run with one wrong event in it breaks the rule, and the violation names the event to look at.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { EventOf, EventType, KernelEvent } from '../../events/index.js';
import { INVARIANTS, INVARIANT_NAMES } from '../../projections/invariants/catalogue.js';
import {
  PTE_HUGE,
  PTE_MARKER_GUARD,
  PTE_MARKER_UFFD_WP,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_SPECIAL,
  PTE_SWP_EXCLUSIVE,
  PTE_UFFD_WP,
  PTE_WRITE,
  makePteMarker,
  migrationPte,
  mkPte,
} from '../../reducers/pte.js';
import type { Invariant } from '../../projections/invariants/invariant.js';
import { HolderKind } from '../../reducers/state.js';
import { VM_LOCKED, VM_MAYWRITE } from '../../reducers/vma.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import { auditOf, planted } from '../support/audited.js';
import type { Recorded } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const WRITE = 2;
const FOLL_GET = 2;

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
const MEMFD = `
1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x3000)
1 mmap(NULL, 0x3000, RW, SH, 3, 0) = A
1 store(A, 1, 0x3000)
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = B
1 munmap(B, P)
1 ftruncate(3, P)`;
const TMPFS = `
1 mount("tmpfs", "t", "tmpfs", 0, "size=8k")
1 openat(AT_FDCWD, "t/f", O_RDWR|O_CREAT, 0600) = 3
1 ftruncate(3, 0x2000)
1 mmap(NULL, 0x2000, RW, SH, 3, 0) = A
1 store(A, 1, 0x2000)`;
const SEALED_FILE = `
1 memfd_create("m", MFD_ALLOW_SEALING) = 3
1 ftruncate(3, P)
1 fcntl(3, F_ADD_SEALS, F_SEAL_WRITE)
1 mmap(NULL, P, PROT_READ, SH, 3, 0) = A`;
const PARTLY_UNMAPPED = `
1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x3000)
1 munmap(A+0x1000, P)`;
const PROTECTED = `
1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x3000)
1 mprotect(A+0x1000, P, RO)
1 mprotect(A+0x1000, P, RW)`;
const MANY_PAGES = `
1 mmap(NULL, 0x40000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x40000)`;
const LOCKED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 mlock(A, 0x2000)`;
const ZERO = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 load(A)`;
const PINNED = `
1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 load(A+0x2000)
1 pin(A, P, FOLL_PIN|FOLL_WRITE)
1 store(A+0x2000, 1)
1 fork() = 2
1 pin(A+0x1000, P, FOLL_PIN)`;
const GUARDED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 madvise(A+0x1000, P, MADV_GUARD_INSTALL)
1 madvise(A, 0x2000, MADV_DONTNEED)`;
const SEALED = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 mseal(A, P, 0)
1 madvise(A, P, MADV_DONTNEED)
1 madvise(A, P, MADV_RANDOM)
1 mmap(0x10000000, P, RW, PRIV|ANON|FIXED, -1, 0) = B
1 munmap(B, P)`;
const GROWING = `
1 mmap(0x20000000, P, RW, PRIV|ANON|FIXED, -1, 0) = L
1 mmap(0x20180000, P, RW, PRIV|ANON|FIXED|MAP_GROWSDOWN, -1, 0) = S
1 store(0x20101000, 1)`;
const DUPLICATED = `
1 mmap(NULL, P, RW, SH|ANON, -1, 0) = S
1 mremap(S, 0, P, MREMAP_MAYMOVE|MREMAP_FIXED, 0x10000000)`;
const FOREIGN = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 fork() = 2
2 pin(A, P, FOLL_GET)
2 munmap(A, 0x2000)
1 store(A+0x1000, 2)`;
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

const TRACKED = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 clear_refs(1, 4) = 1
1 store(A, 2)`;
const FOLIO = 'sysfs("transparent_hugepage/hugepages-16kB/enabled", "madvise")';
/** A large folio whose pages are soft-dirty is split, all but the first page being zero. */
const TRACKED_SPLIT = `${FOLIO}
1 mmap(0x100200000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 4*P, MADV_HUGEPAGE) = 0
1 store(A, 1)
1 madvise(A, P, MADV_COLD) = 0`;
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
/** Where soft-dirty bits are told of they are to mean something. */
const behavioursFor = (text: string): Behaviours =>
  withBehaviours(behavioursOf('6.18'), text === TRACKED || text === TRACKED_SPLIT ? ['soft-dirty'] : [], []);
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

const POOL = `
sysfs("hugepages/hugepages-2048kB/nr_hugepages", "4")
1 mmap(0x100200000000, 0x800000, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 1)
1 fork() = 2
1 munmap(A+0x400000, 0x400000)
1 mmap(0x100300000000, 0x400000, RW, PRIV|ANON|HUGE|FIXED, -1, 0)
1 store(A, 2)
2 load(A)`;
const SHARED_POOL = `
sysfs("hugepages/hugepages-2048kB/nr_hugepages", "2")
1 mmap(0x100200000000, 0x400000, RW, SH|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 1)`;

/** A wrong event: `nth` of its type (0 the first, -1 the last) gives way to what `make` returns. */
interface Case<T extends EventType> {
  readonly rule: string;
  readonly text: string;
  readonly type: T;
  readonly nth?: number;
  readonly make: (event: EventOf<T>, ran: Recorded) => readonly KernelEvent[];
  /** The event that the violation must name: the planted one, or the first after it of a type. */
  readonly cause?: EventType;
}
const wrong = <T extends EventType>(
  rule: string,
  text: string,
  type: T,
  make: Case<T>['make'],
  more: { readonly nth?: number; readonly cause?: EventType } = {},
): Case<EventType> => ({ rule, text, type, make, ...more }) as unknown as Case<EventType>;

/** The event with some fields put otherwise. */
const but =
  <T extends EventType>(change: (event: EventOf<T>) => Partial<EventOf<T>>) =>
  (event: EventOf<T>): readonly KernelEvent[] => [Object.assign({}, event, change(event)) as unknown as KernelEvent];
const nothing = (): readonly KernelEvent[] => [];

/** Entry flags at place `at` of the first run with WRITE set. */
const writable = (runs: readonly number[], at: number): number[] => runs.map((n, i) => (i === at ? n | WRITE : n));

const THREAD = 'clone(flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM)';
const WATCHED = `
1 mmap(0x100000000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = S
1 store(S, 1, 2*P)
1 mmap(0x100040000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 2)
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, A, 4*P, MISSING|WP) = 0
1 ioctl(U, UFFDIO_WRITEPROTECT, A, 2*P, WP) = 0
1 ${THREAD} = 2
2 load(A+2*P) <unfinished ...>
1 ioctl(U, UFFDIO_COPY, A+2*P, S, P, 0) = 0
2 <... load resumed>) = 1
1 ioctl(U, UFFDIO_MOVE, A+3*P, S+P, P, 0) = 0
1 fork() = 3`;

const CASES: readonly Case<EventType>[] = [
  wrong(
    'hugetlb-pool-split',
    POOL,
    'HugetlbPageAdded',
    but<'HugetlbPageAdded'>(() => ({ total: 0 })),
  ),
  wrong(
    'hugetlb-surplus-limit',
    POOL,
    'HugetlbPageAdded',
    but<'HugetlbPageAdded'>(() => ({ surplus: 1 })),
  ),
  wrong(
    'hugetlb-surplus-bound',
    POOL,
    'HugetlbPoolCounted',
    but<'HugetlbPoolCounted'>(({ surplus }) => ({ surplus: surplus - 1 })),
  ),
  wrong(
    'hugetlb-max',
    POOL,
    'HugetlbPoolCounted',
    but<'HugetlbPoolCounted'>(({ max }) => ({ max: max + 1 })),
  ),
  wrong(
    'resv-not-negative',
    POOL,
    'HugetlbPoolCounted',
    but<'HugetlbPoolCounted'>(({ resv }) => ({ resv: resv - 9 })),
  ),
  wrong(
    'resv-backed',
    POOL,
    'HugetlbPoolCounted',
    but<'HugetlbPoolCounted'>(({ resv }) => ({ resv: resv + 9 })),
  ),
  wrong(
    'resv-equals-regions',
    POOL,
    'HugetlbPoolCounted',
    but<'HugetlbPoolCounted'>(({ resv }) => ({ resv: resv + 1 })),
  ),
  wrong('resv-map-refs', POOL, 'ResvMapReferenced', nothing, { cause: 'HugetlbVmaSet', nth: -1 }),
  wrong('reservation-promise-kept', POOL, 'PmdReused', ({ mm, vpn }) => [
    { type: 'SignalSent', tid: mm, signal: 7, code: 2, addr: vpn * 4096 },
  ]),
  wrong(
    'steal-spares-owners',
    POOL,
    'HugetlbVmaSet',
    but<'HugetlbVmaSet'>(({ flags }) => ({ flags: flags | 1 })),
    { nth: -1 },
  ),
  wrong(
    'resv-regions-sound',
    POOL,
    'ResvRegionsSet',
    but<'ResvRegionsSet'>(({ regions }) => ({ regions: regions.toReversed() })),
  ),
  wrong('hugetlb-cached-page-has-entry', SHARED_POOL, 'ResvRegionsSet', nothing, { cause: 'HugetlbPageCached' }),
  wrong(
    'hugetlb-free-page-clean',
    POOL,
    'HugetlbPageMapped',
    (event) => [event, { type: 'HugetlbPageEnqueued', pfn: event.pfn, free: 1 }],
    { cause: 'HugetlbPageEnqueued' },
  ),
  wrong(
    'uffd-wp-entry-not-writable',
    WATCHED,
    'UffdWpChanged',
    but<'UffdWpChanged'>(({ runs }) => ({ runs: writable(runs, 3) })),
  ),
  wrong(
    'uffd-marker-anon',
    WATCHED,
    'UffdWpChanged',
    (event) => [
      event,
      { type: 'UffdMarkersSet', mm: event.mm, runs: [event.runs[0]! + 1, 1], entry: makePteMarker(PTE_MARKER_UFFD_WP) },
    ],
    { cause: 'UffdMarkersSet' },
  ),
  wrong(
    'uffd-missing-reported',
    WATCHED,
    'UffdFaultQueued',
    ({ addr }) => [{ type: 'ZeroPageMapped', mm: 1, vpn: addr / 4096, entry: 1 + PTE_SPECIAL }],
    { cause: 'ZeroPageMapped' },
  ),
  wrong('uffd-wp-blocks-writes', WATCHED, 'UffdWpChanged', nothing, { cause: 'UffdRangeProtected' }),
  wrong(
    'uffd-wp-not-stale',
    WATCHED,
    'PtesCopied',
    but<'PtesCopied'>(({ anon }) => ({ anon: anon.map((n, i) => (i % 5 === 3 ? n | PTE_UFFD_WP : n)) })),
    { nth: -1 },
  ),
  wrong('waiter-has-waker', WATCHED, 'UffdFaultQueued', (event) => [{ ...event, tid: 1 }, event], {
    cause: 'UffdFaultQueued',
  }),
  wrong(
    'uffd-ctx-flags',
    WATCHED,
    'UffdVmaSet',
    but<'UffdVmaSet'>(() => ({ flags: 0x73 })),
  ),
  wrong(
    'uffd-maywrite',
    WATCHED,
    'UffdVmaSet',
    but<'UffdVmaSet'>(({ flags }) => ({ flags: flags - 0x20 })),
  ),
  wrong(
    'uffd-wait-needed',
    WATCHED,
    'UffdFaultQueued',
    but<'UffdFaultQueued'>(({ addr }) => ({ addr: addr - 2 * 4096 })),
  ),
  wrong(
    'uffd-move-conserves',
    WATCHED,
    'UffdEntryMoved',
    but<'UffdEntryMoved'>(({ vpn }) => ({ newVpn: vpn })),
  ),
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
    'clean-page-equals-backing',
    '1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A\n1 store(A, 7)\n1 fork() = 2\n1 madvise(A, P, MADV_FREE) = 0',
    'PagesLazyfreed',
    (event) => [{ type: 'FolioDirtied', pfn: event.runs[1] as number }, event],
    { cause: 'PagesLazyfreed' },
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
    'guard-stays',
    GUARDED,
    'PtesZapped',
    but<'PtesZapped'>(({ runs }) => ({ special: [(runs[0] as number) + 1, PTE_MARKER_GUARD, 1, PTE_SPECIAL] })),
  ),
  wrong(
    'guard-copied-by-fork',
    GUARDED,
    'GuardMarkersInstalled',
    ({ mm, runs: [vpn = 0], ...rest }) => [
      { type: 'VmaFlagsChanged', mm, start: (vpn - 1) * 4096, flags: 3 },
      { type: 'VmaAnonVmaSet', mm, start: (vpn - 1) * 4096, anonVma: 0, chain: [] },
      { ...rest, mm, runs: [vpn, 1] },
    ],
    { cause: 'GuardMarkersInstalled' },
  ),
  wrong(
    'growsdown-keeps-gap',
    GROWING,
    'VmaResized',
    but<'VmaResized'>(() => ({ newStart: 0x20100000 })),
  ),
  wrong(
    'no-growth-below-min-addr',
    GROWING,
    'VmaResized',
    but<'VmaResized'>(() => ({ newStart: 0xf000 })),
  ),
  wrong(
    'moved-mapping-shows-old-contents',
    DUPLICATED,
    'VmaInserted',
    but<'VmaInserted'>(() => ({ flags: 3 })),
    { nth: 1 },
  ),
  wrong(
    'sealed-mapping-stays',
    SEALED,
    'VmaFlagsChanged',
    but<'VmaFlagsChanged'>(() => ({ flags: 3 })),
    { nth: 1 },
  ),
  wrong('sealed-mapping-stays', SEALED, 'VmaRemoved', ({ mm }, { events }) => {
    const sealed = events.find((each) => each.type === 'VmaInserted');
    return [{ type: 'VmaRemoved', mm, start: sealed?.start ?? 0 }];
  }),
  wrong(
    'sealed-contents-stay',
    SEALED,
    'PtesZapped',
    (event, { events }) => {
      const sealed = events.find((each) => each.type === 'VmaFlagsChanged');
      return [
        { type: 'VmaFlagsChanged', mm: event.mm, start: sealed?.start ?? 0, flags: (sealed?.flags ?? 0) & ~2 },
        event,
      ];
    },
    { cause: 'PtesZapped' },
  ),
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
  wrong('vma-permission', PROTECTED, 'PtesProtected', nothing, { cause: 'VmaFlagsChanged' }),
  wrong(
    'soft-dirty-covers-writes',
    TRACKED,
    'PageReused',
    but<'PageReused'>(({ entry }) => ({ entry: entry - PTE_SOFT_DIRTY })),
  ),
  wrong(
    'zero-RO',
    ZERO,
    'ZeroPageMapped',
    but<'ZeroPageMapped'>(({ entry }) => ({ entry: entry + WRITE })),
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
    'index-address',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(({ index }) => ({ index: index + 1 })),
  ),
  wrong(
    'index-address',
    PROTECTED,
    'VmaMerged',
    (event) => [
      event,
      {
        type: 'VmaResized',
        mm: event.mm,
        start: event.start,
        newStart: event.start,
        newEnd: event.absorbed,
        newPgoff: 7,
      },
    ],
    { nth: -1, cause: 'VmaResized' },
  ),
  wrong(
    'anon-map-once',
    FORK,
    'AnonPageMapped',
    but<'AnonPageMapped'>(({ entry, pfn }) => ({ entry: entry - pfn * 1024 })),
    { nth: 1 },
  ),
  wrong('entry-inside-vma', PARTLY_UNMAPPED, 'PtesZapped', nothing, { cause: 'VmaRemoved' }),
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
  wrong(
    'pinned-anon-is-exclusive',
    PINNED,
    'PageGrabbed',
    but<'PageGrabbed'>(() => ({ pfn: 1 })),
    { nth: 1 },
  ),
  wrong(
    'pin-oracle',
    PINNED,
    'CowPageMapped',
    but<'CowPageMapped'>(() => ({ oldPfn: 0 })),
  ),
  wrong(
    'pin-covers-pinned-frames-only',
    PINNED,
    'PageGrabbed',
    but<'PageGrabbed'>(({ length }) => ({ length: length + 4096 })),
  ),
  wrong(
    'pinned-page-shared-by-fork',
    PINNED,
    'PtesCopied',
    but<'PtesCopied'>(({ anon }) => ({ anon: anon.map((each, i) => (i % 5 === 1 ? 0 : each)) })),
  ),
  wrong(
    'reuse-has-no-foreign-reference',
    FOREIGN,
    'PageReused',
    but<'PageReused'>(() => ({ pfn: 0 })),
  ),
  wrong('LRU-batch-bound', FORK, 'AnonPageMapped', (event) => [event, event, event]),
  wrong('LRU-batch-size', MANY_PAGES, 'LruAddDrained', nothing, { cause: 'AnonPageMapped' }),
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
  wrong(
    'unshare-RO',
    UNSHARED,
    'CowPageMapped',
    but<'CowPageMapped'>(({ entry }) => ({ entry: entry + WRITE })),
  ),
  wrong(
    'merge-anon_vma',
    PROTECTED,
    'VmaMerged',
    but<'VmaMerged'>(() => ({ anonVma: 99 })),
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
  wrong(
    'page-table-walk-stays-in-table',
    FOLIO_GIVEN_UP,
    'LargeFolioDiscarded',
    but<'LargeFolioDiscarded'>(({ scanned }) => ({ scanned: [scanned[0]! + 1, scanned[1]!] })),
  ),
  wrong('page-table-freed-while-used', FORK, 'PtesZapped', nothing, { cause: 'PageTablesFreed' }),
  wrong('hiwater', FORK, 'HiwaterRssRaised', nothing, { nth: -1, cause: 'PtesZapped' }),
  wrong('removed-page-is-unmapped', MEMFD, 'PtesZapped', nothing, { cause: 'PageCacheRemoved' }),
  wrong(
    'no-page-beyond-eof',
    MEMFD,
    'PageCacheAdded',
    but<'PageCacheAdded'>(({ runs }) => ({ runs: [99, runs[1]!, 1] })),
  ),
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
    'locked-vm-equals-vmas',
    LOCKED,
    'VmAccounted',
    but<'VmAccounted'>(({ locked }) => ({ locked: locked + 1 })),
    { nth: -1 },
  ),
  wrong(
    'total-vm-equals-vmas',
    FORK,
    'VmAccounted',
    but<'VmAccounted'>(({ exec }) => ({ exec: exec + 1 })),
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
    'split-keeps-tracking-bits',
    TRACKED_SPLIT,
    'MigrationPtesRemoved',
    but<'MigrationPtesRemoved'>(({ special }) => ({ special: special.with(3, special[3]! - PTE_SOFT_DIRTY) })),
  ),
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
  wrong(
    'commit-sum',
    FORK,
    'VmAccounted',
    but<'VmAccounted'>(({ committed }) => ({ committed: committed + 1 })),
  ),
  wrong(
    'shmem-blocks-equal-pages',
    MEMFD,
    'ShmemAccounted',
    but<'ShmemAccounted'>(({ blocks }) => ({ blocks: blocks - 1 })),
    { nth: -1 },
  ),
  wrong(
    'tmpfs-blocks-equal-files',
    TMPFS,
    'ShmemAccounted',
    but<'ShmemAccounted'>(({ used }) => ({ used: used - 2 })),
    { nth: -1 },
  ),
  wrong(
    'tmpfs-within-its-size',
    TMPFS,
    'ShmemAccounted',
    but<'ShmemAccounted'>(({ used }) => ({ used: used + 1 })),
    { nth: -1 },
  ),
  wrong('no-entry-beyond-eof', MEMFD, 'PtesZapped', nothing, { cause: 'InodeResized' }),
  wrong(
    'seal-holds',
    SEALED_FILE,
    'VmaInserted',
    but<'VmaInserted'>(({ flags }) => ({ flags: flags | VM_MAYWRITE })),
  ),
];

const run = (text: string): Recorded => runOperations(parseWorkload(text), behavioursFor(text));

describe('an invariant', () => {
  it.each([...new Set(CASES.map(({ text }) => text))].map((text, i) => [i, text] as const))(
    'holds in run %i as it was',
    (_i, text) => {
      expect(auditOf(run(text), behavioursFor(text))).toEqual([]);
    },
  );

  it.each(CASES.map((each, i) => [each.rule, i, each] as const))(
    '%s is broken by wrong event %i, which is named',
    (rule, _i, { text, type, nth = 0, make, cause }) => {
      const ran = run(text);
      const places = ran.events.flatMap((event, at) => (event.type === type ? [at] : []));
      const at = places.at(nth) as number;
      const broken = planted(ran, at, make(ran.events[at] as EventOf<EventType>, ran));
      const violation = auditOf(broken, behavioursFor(text)).find(({ invariant }) => invariant === rule);
      expect(violation).toBeDefined();
      const named = broken.events[violation?.cause ?? -1];
      expect(named?.type).toBe(cause ?? broken.events[at]?.type);
      if (cause === undefined) expect(violation?.cause).toBe(at + (rule === 'LRU-batch-bound' ? 2 : 0));
      expect(violation?.event).toBeGreaterThanOrEqual(violation?.cause ?? Infinity);
      expect(broken.operations[violation?.operation ?? -1]?.line).toBe(violation?.line);
    },
  );

  it('does not mind a page in the swap cache whose last mapping went', () => {
    const given = run(`
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, P)
1 madvise(A, P, MADV_PAGEOUT) = 0
1 load(A)
check page(1, A).swapcache and page(1, A).anon_exclusive
1 munmap(A, P) = 0`);
    expect(auditOf(given, behavioursOf('6.18'))).toEqual([]);
  });
  it('is among those tried, each of the catalogue', () => {
    expect([...new Set(CASES.map(({ rule }) => rule))].toSorted()).toEqual(INVARIANT_NAMES.toSorted());
  });

  it('has one name, and says what it means, where it is from and when it must hold', () => {
    expect(new Set(INVARIANTS.flatMap(({ name, aliases }) => [name, ...aliases])).size).toBe(
      INVARIANTS.length + INVARIANTS.reduce((sum, { aliases }) => sum + aliases.length, 0),
    );
    for (const { formula, source, since } of INVARIANTS) {
      expect(formula.length).toBeGreaterThan(10);
      expect(source.length).toBeGreaterThan(5);
      expect(since).toMatch(/^(all|\d+\.(\d+(\.\d+)?|x))$/);
    }
  });
});

/** Its line in the table of docs/invariants.md. */
function rowOf({ name, aliases, formula, source, severity, since, needs, at }: Invariant): string {
  const names = aliases.length === 0 ? `\`${name}\`` : `\`${name}\` (${aliases.join(', ')})`;
  const cells = [
    names,
    formula,
    source,
    String(severity),
    [since, ...needs].join(', '),
    at === 'quiescent' ? 'rest' : at,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

describe('docs/invariants.md', () => {
  it('has the catalogue as a table (UPDATE_DOCS=1 writes it anew)', () => {
    const document = new URL('../../docs/invariants.md', import.meta.url);
    const text = readFileSync(document, 'utf8');
    const [before, after] = text.split(/(?<=^## Catalogue\n\n)(?:\|.*\n)+/m) as [string, string];
    const head = '| name | formula | source in Linux | severity | since, needs | when |\n|---|---|---|---|---|---|';
    const now = `${before}${head}\n${INVARIANTS.map(rowOf).join('\n')}\n${after}`;
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(document, now);
    else expect(text).toBe(now);
  });
});
