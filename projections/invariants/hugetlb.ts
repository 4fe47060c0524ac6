// Rules on the hugetlb pool: its counters, what reservations promise, and from whom pages may be taken.
import { HUGETLB_POOL_EVENTS } from '../../events/index.js';
import { HPAGE_RESV_OWNER, HPAGE_RESV_UNMAPPED } from '../../reducers/hugetlb-state.js';
import type { KernelView } from '../../reducers/state.js';
import { VM_HUGETLB, VM_MAYSHARE } from '../../reducers/vma.js';
import type { Facts } from '../facts/facts.js';
import { coveredPages } from '../facts/hugetlb.js';
import { hugetlbReservesOf } from '../hugetlb-reserves.js';
import type { CounterInvariant, EventInvariant } from './invariant.js';

const rule = { since: 'all', aliases: [], needs: [], knownBroken: [], severity: 2 } as const;
const counted = { ...rule, about: 'machine', at: 'operation', changedBy: HUGETLB_POOL_EVENTS } as const;
const onEvent = { ...rule, about: 'event', at: 'event' } as const;

const SIGKILL = 9;
const SIGBUS = 7;
const PAGES = 512;

type Counter = CounterInvariant['counters'][number];
/** How far the pool is from where it must be: 0. */
const off = (what: string, counter: (pool: KernelView['hugetlb']) => number): Counter => ({
  what,
  counter: ({ hugetlb }) => counter(hugetlb),
  truth: () => 0,
});

/** Maps whose count of references is not that of the private mappings that have them. */
function wrongRefs({ hugetlb }: KernelView): number {
  let wrong = 0;
  for (const map of hugetlb.maps) {
    if (map === null) continue;
    const sharers = hugetlb.vmas.filter((each) => each.map === map.id).length;
    if (map.refs !== (map.inode === 0 ? sharers : 1)) wrong++;
  }
  return wrong;
}

/** A sum over what is mounted and has the bound. */
const overMounts = (
  { hugetlb }: KernelView,
  bound: 'max' | 'min',
  counter: (subpool: KernelView['hugetlb']['subpools'][0]) => number,
): number =>
  hugetlb.subpools.reduce((sum, each) => sum + (each.name !== '' && each[bound] >= 0 ? counter(each) : 0), 0);

/** What `SIGNAL` at `addr` in address space `mm` means to who was promised pages there; null if nobody was. */
function promisedAt({ facts, view }: { readonly facts: Facts; readonly view: KernelView }, mm: number, addr: number) {
  const vma = facts.vmas.at(mm, addr);
  if (vma === undefined || (vma.flags & VM_HUGETLB) === 0 || !facts.hugetlb.isPromised(mm, vma.start)) return null;
  const index = vma.pgoff + Math.floor((addr - vma.start) / 4096);
  // Beyond the end of the file nothing was promised.
  const size = view.inodes[vma.inode]?.size ?? 0;
  return index * 4096 < size ? vma : null;
}

const QUOTA_LOST =
  '6.15 and later: a page that a mount with a size was refused counts as used for good, and what it has reserved stays reserved';

export const hugetlbCounterInvariants: readonly CounterInvariant[] = [
  {
    ...counted,
    name: 'hugetlb-pool-split',
    aliases: ['H01'],
    formula: 'nr_huge_pages == pages of the pool; free_huge_pages == those on the free list',
    source: 'enqueue_hugetlb_folio(), remove_hugetlb_folio()',
    counters: [
      { what: 'meminfo.HugePages_Total', counter: (v) => v.hugetlb.total, truth: ({ hugetlb }) => hugetlb.pages.size },
      { what: 'meminfo.HugePages_Free', counter: (v) => v.hugetlb.free, truth: ({ hugetlb }) => hugetlb.free.size },
    ],
  },
  {
    ...counted,
    name: 'hugetlb-surplus-bound',
    aliases: ['H03'],
    formula: '0 <= surplus_huge_pages <= nr_huge_pages',
    source: 'adjust_pool_surplus()',
    counters: [off('surplus out of bounds', (p) => Math.min(0, p.surplus) + Math.max(0, p.surplus - p.total))],
  },
  {
    ...counted,
    name: 'hugetlb-max',
    aliases: ['H05'],
    formula: 'max_huge_pages == nr_huge_pages - surplus_huge_pages',
    source: 'set_max_huge_pages()',
    severity: 3,
    counters: [off('max_huge_pages', (p) => p.max - (p.total - p.surplus))],
  },
  {
    ...counted,
    name: 'resv-not-negative',
    aliases: ['H06'],
    formula: 'resv_huge_pages >= 0',
    source: 'hugetlb_acct_memory(), alloc_hugetlb_folio()',
    knownBroken: [
      '6.9 to 6.18: an owner that unmaps pages a child still maps has its reservations back before the pages are free',
    ],
    counters: [off('meminfo.HugePages_Rsvd', (p) => Math.min(0, p.resv))],
  },
  {
    ...counted,
    name: 'resv-backed',
    aliases: ['H07'],
    formula: 'resv_huge_pages <= free_huge_pages',
    source: 'gather_surplus_pages()',
    knownBroken: ['6.9 to 6.18: where resv_huge_pages is below zero, mmap promises more than is free'],
    counters: [off('reserved and not free', (p) => Math.max(0, p.resv - p.free))],
  },
  {
    ...counted,
    name: 'resv-equals-regions',
    aliases: ['H08', 'hugetlb-resv-sum'],
    formula:
      'resv_huge_pages == pages of owning private mappings without an entry in their map + entries of files’ maps without a page - pages that owe a reservation',
    source: 'hugetlb_reserve_pages(), hugetlb_vm_op_close(), hugetlb_unreserve_pages()',
    since: '2.6.27',
    knownBroken: [
      '5.16 and later: where a part of a mapping moves, what the rest has reserved is never given back',
      QUOTA_LOST,
    ],
    counters: [
      {
        what: 'meminfo.HugePages_Rsvd',
        counter: ({ hugetlb }) => hugetlb.resv,
        truth: (facts) => hugetlbReservesOf(facts).reserved,
      },
    ],
  },
  {
    ...counted,
    name: 'resv-map-refs',
    aliases: ['H16'],
    formula: 'a private reservation map has one reference from each mapping that shares it, that of a file one',
    source: 'hugetlb_vm_op_open(), hugetlb_vm_op_close()',
    since: '2.6.27',
    counters: [{ what: 'reservation maps', counter: wrongRefs, truth: () => 0 }],
  },
  {
    ...counted,
    name: 'subpool-used',
    aliases: ['H30'],
    formula: 'used_hpages of a mount with a size == pages of its files and mappings, there or reserved',
    source: 'hugepage_subpool_get_pages(), hugepage_subpool_put_pages()',
    since: '4.3',
    knownBroken: [QUOTA_LOST],
    counters: [
      {
        what: 'pages used of mounts of hugetlbfs',
        counter: (view) => overMounts(view, 'max', ({ used }) => used),
        truth: (facts) =>
          hugetlbReservesOf(facts).mounts.reduce((sum, { max, used }) => sum + (max >= 0 ? used : 0), 0),
      },
    ],
  },
  {
    ...counted,
    name: 'subpool-reserved',
    aliases: ['H31'],
    formula: '0 <= rsv_hpages of a mount of hugetlbfs <= its minimum',
    source: 'hugepage_subpool_get_pages(), hugepage_subpool_put_pages()',
    since: '4.3',
    counters: [
      {
        what: 'pages reserved for mounts of hugetlbfs out of bounds',
        counter: (view) => overMounts(view, 'min', ({ min, rsv }) => Math.max(0, -rsv) + Math.max(0, rsv - min)),
        truth: () => 0,
      },
    ],
  },
];

export const hugetlbEventInvariants: readonly EventInvariant[] = [
  {
    ...onEvent,
    name: 'reservation-promise-kept',
    aliases: ['H09', 'H10'],
    formula:
      'who made a private mapping of huge pages, and did not do without a reservation, gets no signal for want of a page',
    source: 'hugetlb_no_page(), hugetlb_wp(); the guarantee of 2.6.27',
    severity: 1,
    knownBroken: [
      '5.16 and later: where a part of a mapping moves, the rest owns nothing any more',
      '6.9 to 6.18: mmap promises pages that there are not, while HugePages_Rsvd is below zero',
      '5.18 and later: what an owner throws away while the pool has surplus pages is not reserved any more',
    ],
    before: {
      SignalSent({ tid, signal, addr }, { view, facts }, report) {
        const mm = view.tasks[tid]?.mm ?? 0;
        if (signal !== SIGBUS && signal !== SIGKILL) return;
        if (promisedAt({ facts, view }, mm, addr) !== null)
          report(
            { kind: 'entry', mm, vpn: Math.floor(addr / 4096) },
            { expected: 'a page', found: `signal ${signal} to who reserved it` },
          );
      },
    },
  },
  {
    ...onEvent,
    name: 'steal-spares-owners',
    aliases: ['H12'],
    formula: 'pages are taken away from private mappings only, and not from one that has reservations',
    source: 'unmap_ref_private()',
    severity: 1,
    since: '2.6.27',
    before: {
      HugetlbVmaSet({ mm, start, flags }, { facts }, report) {
        if ((flags & HPAGE_RESV_UNMAPPED) === 0) return;
        const vma = facts.vmas.at(mm, start);
        const shared = vma !== undefined && (vma.flags & VM_MAYSHARE) !== 0;
        if (shared || (flags & HPAGE_RESV_OWNER) !== 0)
          report({ kind: 'vma', mm, start }, { expected: 'a mapping without reservations', found: `flags ${flags}` });
      },
    },
  },
  {
    ...onEvent,
    name: 'resv-regions-sound',
    aliases: ['H17'],
    formula: 'regions of a reservation map are not empty, in order and apart',
    source: 'coalesce_file_region()',
    after: {
      ResvRegionsSet({ map, regions }, _audited, report) {
        const wrong = regions.some((at, i) => i > 0 && at <= (regions[i - 1] as number));
        if (wrong || regions.length % 2 !== 0)
          report({ kind: 'machine', what: `reservation map ${map}` }, { expected: 'in order', found: regions.join() });
      },
    },
  },
  {
    ...onEvent,
    name: 'hugetlb-cached-page-has-entry',
    aliases: ['H21'],
    formula: 'a huge page enters the cache of a file where the file’s map has an entry',
    source: 'alloc_hugetlb_folio(): vma_commit_reservation()',
    since: '3.12',
    after: {
      HugetlbPageCached({ inode, index }, { facts }, report) {
        const at = Math.floor(index / PAGES);
        const { regions } = facts.hugetlb.mapOf(inode) ?? { regions: [] };
        if (coveredPages(regions, at, at + 1) === 0)
          report({ kind: 'inode', id: inode, index }, { expected: 'an entry in its map', found: 'none' });
      },
    },
  },
  {
    ...onEvent,
    name: 'hugetlb-free-page-clean',
    aliases: ['H23'],
    formula: 'nothing leads to a page on the pool’s free list, and it owes no reservation',
    source: 'free_huge_folio(): VM_BUG_ON',
    severity: 1,
    before: {
      HugetlbPageEnqueued({ pfn }, { facts }, report) {
        const holders = pfn < facts.frames.size ? facts.frames.holders(pfn) : 0;
        if (holders !== 0 || facts.hugetlb.restore.has(pfn))
          report({ kind: 'frame', pfn }, { expected: 'nothing leads to it', found: `${holders} holders` });
      },
    },
  },
  {
    ...onEvent,
    name: 'hugetlb-surplus-limit',
    aliases: ['H04'],
    formula: 'a page beyond the pool is added only where there are fewer than nr_overcommit_hugepages',
    source: 'alloc_surplus_hugetlb_folio()',
    severity: 3,
    after: {
      HugetlbPageAdded({ surplus }, { view }, report) {
        const { surplus: now, overcommit } = view.hugetlb;
        if (surplus === 1 && now > overcommit)
          report(
            { kind: 'machine', what: 'meminfo.HugePages_Surp' },
            { expected: `at most ${overcommit}`, found: now },
          );
      },
    },
  },
];
