// Rules on pages that KSM merged, and on what it counts.
import type { EventType } from '../../events/index.js';
import { PG_ANON_EXCLUSIVE, isKsm } from '../../reducers/state.js';
import type { KernelView } from '../../reducers/state.js';
import type { CounterInvariant, FrameInvariant } from './invariant.js';

const rule = { since: 'all', aliases: [], needs: [], knownBroken: [] } as const;

export const ksmFrameInvariants: readonly FrameInvariant[] = [
  {
    ...rule,
    about: 'frame',
    name: 'KSM-not-exclusive',
    formula: 'a KSM page has no PG_anon_exclusive, and no entry to it is writable',
    source: 'replace_page(): VM_BUG_ON; do_wp_page()',
    severity: 1,
    at: 'event',
    check(pfn, page, _free, { facts }) {
      if (!isKsm(page)) return null;
      if ((page.flags & PG_ANON_EXCLUSIVE) !== 0)
        return { expected: 'no PG_anon_exclusive', found: 'PG_anon_exclusive' };
      const writers = facts.frames.writers[pfn] as number;
      return writers === 0 ? null : { expected: '0 writable entries', found: writers };
    },
  },
];

const ITEM_EVENTS: readonly EventType[] = [
  'KsmItemAdded',
  'KsmItemRemoved',
  'KsmItemLinked',
  'KsmItemUnlinked',
  'KsmItemUnstable',
  'KsmCountersInherited',
];
const ZERO_EVENTS: readonly EventType[] = [
  'KsmZeroPagesChanged',
  'KsmPageReplaced',
  'KsmCountersInherited',
  'CowPageMapped',
  'PtesCopied',
  'PtesZapped',
  'PtesMoved',
  'PtesProtected',
  'SoftDirtyChanged',
  'PteFlagsSet',
  'ZeroPageMapped',
];

type Counter = CounterInvariant['counters'][number];

/** Counter `which` of a process: state.ksm.counters. */
const ofProcess =
  (which: number): Counter['counter'] =>
  (view: KernelView, _mm, id) =>
    view.ksm.counters[id]?.[which] ?? 0;

export const ksmCounterInvariants: readonly CounterInvariant[] = [
  {
    ...rule,
    about: 'mm',
    name: 'ksm-counters-equal-items',
    formula:
      'ksm_rmap_items, ksm_merging_pages == pages of the process that KSM knows, and those of them that are merged; ksm_zero_pages == its entries to zero pages placed by KSM',
    source: 'Documentation/admin-guide/mm/ksm.rst; ksm_fork()',
    severity: 2,
    knownBroken: [
      'to 6.17: a child inherits the counters',
      '6.18: zero pages in memory that a child does not get (MADV_DONTFORK, MADV_WIPEONFORK) count for it',
    ],
    at: 'operation',
    changedBy: [...new Set([...ITEM_EVENTS, ...ZERO_EVENTS])],
    counters: [
      { what: 'ksm_merging_pages', counter: ofProcess(0), truth: ({ ksm }, mm) => ksm.merging(mm) },
      { what: 'ksm_rmap_items', counter: ofProcess(1), truth: ({ ksm }, mm) => ksm.items(mm) },
      {
        what: 'ksm_zero_pages',
        counter: ofProcess(2),
        truth: ({ mappings }, mm) => mappings.of(mm)?.ksmZeroPages ?? 0,
      },
    ],
  },
  {
    ...rule,
    about: 'machine',
    name: 'ksm-totals',
    formula:
      'pages_shared, pages_sharing, pages_unshared == merged pages, pages saved by them, pages in the unstable tree; ksm_zero_pages == all entries to zero pages placed by KSM',
    source: 'Documentation/admin-guide/mm/ksm.rst',
    severity: 2,
    knownBroken: [
      'to 6.17: zero pages that fork copies are not counted, but taken off when they go',
      '6.18: zero pages in memory that a child does not get (MADV_DONTFORK, MADV_WIPEONFORK) are counted',
    ],
    at: 'operation',
    changedBy: [...new Set([...ITEM_EVENTS, ...ZERO_EVENTS])],
    counters: [
      { what: 'ksm.pages_shared', counter: ({ ksm }) => ksm.pagesShared, truth: ({ ksm }) => ksm.shared },
      { what: 'ksm.pages_sharing', counter: ({ ksm }) => ksm.pagesSharing, truth: ({ ksm }) => ksm.sharing },
      { what: 'ksm.pages_unshared', counter: ({ ksm }) => ksm.pagesUnshared, truth: ({ ksm }) => ksm.unshared },
      {
        what: 'ksm.ksm_zero_pages',
        counter: ({ ksm }) => ksm.zeroPages,
        truth: ({ mappings }) => mappings.ksmZeroPages,
      },
    ],
  },
];
