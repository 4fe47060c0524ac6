// Wrong events of the hugetlb pool: counters, reservation maps, promises.
import type { EventType } from '../../../events/index.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

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

const MOUNTED_POOL = `
sysfs("hugepages/hugepages-2048kB/nr_hugepages", "4")
1 mount("none", "h", "hugetlbfs", 0, "size=8M,min_size=4M") = 0
1 openat(AT_FDCWD, "h/f", O_RDWR|O_CREAT, 384) = 3
1 mmap(0x100200000000, 0x600000, RW, SH|FIXED, 3, 0) = A
1 store(A, 1)`;

export const HUGETLB: readonly WrongEvent<EventType>[] = [
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
  wrong(
    'subpool-used',
    MOUNTED_POOL,
    'HugetlbSubpoolCounted',
    but<'HugetlbSubpoolCounted'>(({ used }) => ({ used: used + 1 })),
    { cause: 'ResvRegionsSet' },
  ),
  wrong(
    'subpool-reserved',
    MOUNTED_POOL,
    'HugetlbSubpoolCounted',
    but<'HugetlbSubpoolCounted'>(({ rsv }) => ({ rsv: rsv - 9 })),
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
];
