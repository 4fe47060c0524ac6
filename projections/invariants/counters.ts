// Counters of address spaces and of the machine against what entries, tables and VMAs add up to.
import type { EventType } from '../../events/index.js';
import { HUGE_ENTRY_EVENTS } from '../../events/index.js';
import type { MmView } from '../../reducers/state.js';
import { MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES, MM_SWAPENTS } from '../../reducers/state.js';
import type { Facts } from '../facts/facts.js';
import { FrameKind } from '../facts/frames.js';
import type { VmaSums } from '../facts/vmas.js';
import type { CounterInvariant } from './invariant.js';
import { SHMEM_EVENTS } from './shmem.js';

const rule = { about: 'mm', since: 'all', aliases: [], needs: [], knownBroken: [], at: 'operation' } as const;

const MAPPING_EVENTS: readonly EventType[] = [
  'AnonPageMapped',
  'CowPageMapped',
  'FilePagesMapped',
  'PtesCopied',
  'PtesZapped',
  'PtesProtected',
  'SoftDirtyChanged',
  'PtesMoved',
  'PageReused',
  'PteFlagsSet',
  'PagesLazyfreed',
  'ZeroPageMapped',
  'SpecialPfnMapped',
  'PageTablesFreed',
  'ArgPagesAccounted',
  'PageSwappedOut',
  'PageSwappedIn',
  'PagesSwappedOut',
  'PagesSwappedIn',
  'SwapEntryCopied',
  'SwapEntryFreed',
  'LazyfreeDiscarded',
  'MigrationPteSet',
  'MigrationPteRemoved',
  'KsmPageReplaced',
  'FilePageUnmapped',
  'MmCounterChanged',
  'FilePtesUnmapped',
  'AnonPagesMapped',
  'PagesReused',
  'CowPagesMapped',
  'MigrationPtesSet',
  'MigrationPtesRemoved',
  'LargeFolioLazyfreed',
  'LargeFolioDiscarded',
  ...HUGE_ENTRY_EVENTS,
];
const VMA_EVENTS: readonly EventType[] = [
  'VmaInserted',
  'VmaRemoved',
  'VmaSplit',
  'VmaResized',
  'VmaMerged',
  'VmaFlagsChanged',
  'VmAccounted',
];

const rssCounter = (what: string, type: number, kind: FrameKind): CounterInvariant['counters'][number] => ({
  what,
  counter: (_view, mm) => mm?.rss[type] ?? 0,
  truth: (facts, mm) => facts.mappings.of(mm)?.rss[kind] ?? 0,
});
const sumCounter = (
  what: string,
  field: 'totalVm' | 'dataVm' | 'stackVm' | 'execVm' | 'lockedVm',
  sum: keyof VmaSums,
): CounterInvariant['counters'][number] => ({
  what,
  counter: (_view, mm: MmView | null) => mm?.[field] ?? 0,
  truth: (facts: Facts, mm: number) => facts.vmas.mms.get(mm)?.sums[sum] ?? 0,
});

export const counterInvariants: readonly CounterInvariant[] = [
  {
    ...rule,
    name: 'rss-equals-ptes',
    aliases: ['rss-anon'],
    formula:
      'MM_FILEPAGES, MM_ANONPAGES, MM_SHMEMPAGES == entries to such pages, migration entries among them (and, while execve runs, pages of its arguments)',
    source: 'check_mm(): "Bad rss-counter state"',
    severity: 2,
    changedBy: MAPPING_EVENTS,
    counters: [
      rssCounter('rss_file', MM_FILEPAGES, FrameKind.file),
      rssCounter('rss_anon', MM_ANONPAGES, FrameKind.anon),
      rssCounter('rss_shmem', MM_SHMEMPAGES, FrameKind.shmem),
    ],
  },
  {
    ...rule,
    name: 'rss-swap',
    formula: 'MM_SWAPENTS == swap entries',
    source: 'check_mm(): "Bad rss-counter state"',
    severity: 2,
    changedBy: MAPPING_EVENTS,
    counters: [
      {
        what: 'swap',
        counter: (_view, mm) => mm?.rss[MM_SWAPENTS] ?? 0,
        truth: (facts, mm) => facts.mappings.of(mm)?.swapped ?? 0,
      },
    ],
  },
  {
    ...rule,
    name: 'page-tables-accounted',
    formula: 'bytes of page tables == tables that exist',
    source: 'mm_pgtables_bytes()',
    severity: 2,
    changedBy: ['PageTableAllocated', ...MAPPING_EVENTS],
    counters: [
      {
        what: 'page_tables',
        counter: (_view, mm) => mm?.tableBytes ?? 0,
        truth: ({ mappings }, mm) => {
          const space = mappings.of(mm);
          return space ? mappings.tableBytes(space) : 0;
        },
      },
    ],
  },
  {
    ...rule,
    name: 'locked-vm-equals-vmas',
    knownBroken: ['6.18: mremap(MREMAP_DONTUNMAP) of locked memory counts it twice'],
    formula: 'locked_vm == pages of VMAs with VM_LOCKED',
    source: 'mlock_fixup(), exit_mmap()',
    severity: 3,
    changedBy: VMA_EVENTS,
    counters: [sumCounter('locked_vm', 'lockedVm', 'locked')],
  },
  {
    ...rule,
    name: 'total-vm-equals-vmas',
    formula: 'total_vm, data_vm, stack_vm, exec_vm == pages of VMAs of that type',
    source: 'vm_stat_account()',
    severity: 3,
    changedBy: VMA_EVENTS,
    counters: [
      sumCounter('total_vm', 'totalVm', 'total'),
      sumCounter('data_vm', 'dataVm', 'data'),
      sumCounter('stack_vm', 'stackVm', 'stack'),
      sumCounter('exec_vm', 'execVm', 'exec'),
    ],
  },
  {
    ...rule,
    about: 'machine',
    name: 'commit-sum',
    formula:
      'vm_committed_as == pages of VMAs with VM_ACCOUNT, and of files in memory: of their size, or one by one with VM_NORESERVE',
    source: 'vm_acct_memory()',
    severity: 3,
    changedBy: [...VMA_EVENTS, ...SHMEM_EVENTS],
    counters: [
      {
        what: 'meminfo.Committed_AS',
        counter: (view) => view.committed,
        truth: (facts) => facts.committed,
      },
    ],
  },
];
