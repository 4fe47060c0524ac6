// The bugs in examples/bugs: each breaks what it is about on a kernel that has it, nothing on one that has not, and the change that mended it
// is found.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { bisectBehavioursCommand } from '../../src/cli/commands/bisect-behaviours.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

interface Bug {
  readonly file: string;
  /** Configuration that the kernels are to have, or what none of them has. */
  readonly configured?: readonly string[];
  /** Switches that mend it, where 6.18 has it. */
  readonly mended?: readonly string[];
  /** A kernel that has it, and what it breaks: rule and line. */
  readonly kernel: string;
  readonly broken: readonly string[];
  /** The switch without which 6.18 has it as well, and what it then breaks. */
  readonly without: string;
  readonly brokenWithout: readonly string[];
  /** The rule to bisect by, null for the expectations of the workload, between which kernels, and what is found. */
  readonly invariant: string | null;
  readonly from: string;
  readonly to: string;
  readonly decides: string;
}

/** Once the mount has more reserved than the pool, each page of it that comes or goes shows that. */
const UNDERFLOWS = [
  ...['13 resv-equals-regions', '15 resv-equals-regions', '16 resv-not-negative', '16 resv-equals-regions'],
  ...['17 resv-equals-regions', '21 resv-not-negative'],
];

const BUGS: readonly Bug[] = [
  {
    file: 'cow-vmsplice-child',
    kernel: '5.7',
    broken: ['16 reuse-has-no-foreign-reference', '16 leak-oracle'],
    without: 'cow-reuse-by-refcount',
    brokenWithout: ['16 reuse-has-no-foreign-reference', '16 leak-oracle'],
    invariant: 'leak-oracle',
    from: '5.7',
    to: '6.18',
    decides: 'cow-reuse-by-refcount',
  },
  {
    file: 'odirect-fork-corruption',
    kernel: '5.8',
    broken: ['13 pinned-page-shared-by-fork', '17 pin-oracle', '19 leak-oracle'],
    without: 'fork-copies-pinned',
    brokenWithout: ['13 pinned-page-shared-by-fork', '17 pin-oracle', '19 leak-oracle'],
    invariant: 'pin-oracle',
    from: '5.8',
    to: '6.18',
    decides: 'fork-copies-pinned',
  },
  {
    file: 'ro-pin-unshare',
    kernel: '5.18',
    broken: ['15 pin-oracle'],
    without: 'gup-unshare',
    brokenWithout: ['12 pinned-anon-is-exclusive', '15 pin-oracle'],
    invariant: 'pin-oracle',
    from: '5.18',
    to: '6.18',
    decides: 'gup-unshare',
  },
  {
    file: 'rw-pin-lost-after-protect',
    kernel: '5.18',
    broken: ['14 pin-oracle'],
    without: 'anon-exclusive',
    brokenWithout: ['14 pin-oracle'],
    invariant: 'pin-oracle',
    from: '5.18',
    to: '6.18',
    decides: 'anon-exclusive',
  },
  {
    file: 'longterm-pin-of-file-stale',
    kernel: '6.1',
    broken: ['13 pin-oracle'],
    without: 'longterm-pin-unshares-files',
    brokenWithout: ['13 pin-oracle'],
    invariant: 'pin-oracle',
    from: '6.1',
    to: '6.18',
    decides: 'longterm-pin-unshares-files',
  },
  {
    file: 'swap-loses-exclusive',
    kernel: '5.18',
    // No page is known to be exclusive there, so that no rule speaks of it.
    broken: [],
    without: 'swap-exclusive-bit',
    brokenWithout: ['13 exclusive-survives-swap'],
    invariant: null,
    from: '5.18',
    to: '6.18',
    decides: 'swap-exclusive-bit',
  },
  {
    file: 'madv-free-odirect',
    kernel: '5.17',
    broken: ['16 referenced-page-not-discarded'],
    without: 'lazyfree-checks-refs',
    brokenWithout: ['16 referenced-page-not-discarded'],
    invariant: 'referenced-page-not-discarded',
    from: '5.17',
    to: '6.18',
    decides: 'lazyfree-checks-refs',
  },
  {
    file: 'ksm-read-pin-stale',
    kernel: '5.18',
    broken: ['16 pin-oracle'],
    without: 'gup-unshare',
    brokenWithout: ['15 pinned-anon-is-exclusive', '16 pin-oracle'],
    invariant: 'pin-oracle',
    from: '5.18',
    to: '6.18',
    decides: 'gup-unshare',
  },
  {
    file: 'ksm-fork-counters',
    kernel: '6.17',
    broken: ['16 ksm-counters-equal-items', '16 ksm-counters-equal-items', '16 ksm-totals'],
    without: 'ksm-fork-resets-counters',
    brokenWithout: ['16 ksm-counters-equal-items', '16 ksm-counters-equal-items', '16 ksm-totals'],
    invariant: 'ksm-counters-equal-items',
    from: '6.17',
    to: '6.18',
    decides: 'ksm-fork-resets-counters',
  },
  {
    file: 'cow-vmsplice-swapin',
    kernel: '5.17',
    broken: ['20 reuse-has-no-foreign-reference', '20 leak-oracle'],
    without: 'swapin-reuse-by-refcount',
    // What remembers exclusive pages in swap entries came on top of it, and goes along.
    brokenWithout: ['13 exclusive-survives-swap', '20 reuse-has-no-foreign-reference', '20 leak-oracle'],
    invariant: 'leak-oracle',
    from: '5.17',
    to: '6.18',
    decides: 'swapin-reuse-by-refcount',
  },
  {
    file: 'cow-vmsplice-thp',
    kernel: '5.17',
    broken: ['17 reuse-has-no-foreign-reference', '17 leak-oracle'],
    without: 'thp-cow-reuse-by-refcount',
    brokenWithout: ['17 reuse-has-no-foreign-reference', '17 leak-oracle'],
    invariant: 'reuse-has-no-foreign-reference',
    from: '5.17',
    to: '6.18',
    decides: 'thp-cow-reuse-by-refcount',
  },
  {
    file: 'madv-free-cow-shared',
    kernel: '4.4',
    broken: ['15 clean-page-equals-backing'],
    without: 'madv-free-skips-shared',
    brokenWithout: ['15 clean-page-equals-backing'],
    invariant: 'clean-page-equals-backing',
    from: '4.4',
    to: '6.18',
    decides: 'madv-free-skips-shared',
  },
  {
    file: 'mremap-zero-size-private',
    kernel: '4.13',
    broken: ['10 moved-mapping-shows-old-contents'],
    without: 'mremap-duplicates-shared-only',
    brokenWithout: ['10 moved-mapping-shows-old-contents'],
    invariant: 'moved-mapping-shows-old-contents',
    from: '4.13',
    to: '6.18',
    decides: 'mremap-duplicates-shared-only',
  },
  {
    file: 'stack-guard-gap',
    kernel: '4.11',
    broken: ['12 growsdown-keeps-gap', '14 growsdown-keeps-gap'],
    without: 'stack-guard-gap',
    brokenWithout: ['12 growsdown-keeps-gap', '14 growsdown-keeps-gap'],
    invariant: 'growsdown-keeps-gap',
    from: '4.11',
    to: '6.18',
    decides: 'stack-guard-gap',
  },
  {
    file: 'expand-below-min-addr',
    kernel: '4.20',
    broken: ['14 no-growth-below-min-addr'],
    without: 'growth-keeps-min-addr',
    brokenWithout: ['14 no-growth-below-min-addr'],
    invariant: 'no-growth-below-min-addr',
    from: '4.20',
    to: '6.18',
    decides: 'growth-keeps-min-addr',
  },
  {
    file: 'memfd-future-write-private-cow',
    kernel: '5.4',
    broken: ['14 W-single-owner', '14 fork-both-RO', '14 fork-both-RO', '15 leak-oracle'],
    without: 'future-write-seal-spares-private',
    brokenWithout: [
      ...['14 writable-anon-is-exclusive', '14 W-single-owner', '14 writable-anon-is-exclusive'],
      ...['14 fork-both-RO', '14 fork-both-RO', '15 leak-oracle'],
    ],
    invariant: 'leak-oracle',
    from: '5.4',
    to: '6.18',
    decides: 'future-write-seal-spares-private',
  },
  {
    file: 'memfd-seal-exec-write',
    kernel: '6.17',
    broken: ['14 seal-holds'],
    without: 'seal-exec-checks-mappings',
    brokenWithout: ['14 seal-holds'],
    invariant: 'seal-holds',
    from: '6.17',
    to: '6.18',
    decides: 'seal-exec-checks-mappings',
  },
  {
    file: 'mseal-private-file-discard',
    mended: ['mseal-covers-private-file'],
    kernel: '6.18',
    broken: ['15 sealed-contents-stay'],
    without: 'mseal-covers-private-file',
    brokenWithout: ['15 sealed-contents-stay'],
    invariant: 'sealed-contents-stay',
    from: '6.18',
    to: '6.18,+mseal-covers-private-file',
    decides: 'mseal-covers-private-file',
  },
  {
    file: 'iouring-fixed-buffer-same-page',
    kernel: '6.3',
    broken: ['28 pin-covers-pinned-frames-only', '35 leak-oracle'],
    without: 'iouring-coalesce-needs-consecutive',
    brokenWithout: ['28 pin-covers-pinned-frames-only', '35 leak-oracle'],
    invariant: 'leak-oracle',
    from: '6.3',
    to: '6.18',
    decides: 'iouring-coalesce-needs-consecutive',
  },
  {
    file: 'iouring-buffer-ring-uaf',
    kernel: '6.7',
    broken: ['14 frame-freed-while-reachable', '18 leak-oracle'],
    without: 'iouring-ring-freed-after-unmap',
    brokenWithout: ['14 frame-freed-while-reachable', '18 leak-oracle'],
    invariant: 'frame-freed-while-reachable',
    from: '6.7',
    to: '6.18',
    decides: 'iouring-ring-freed-after-unmap',
  },
  {
    file: 'soft-dirty-writenotify',
    configured: ['soft-dirty'],
    kernel: '3.17',
    broken: ['16 soft-dirty-covers-writes'],
    without: 'softdirty-enables-writenotify',
    brokenWithout: ['16 soft-dirty-covers-writes'],
    invariant: 'soft-dirty-covers-writes',
    from: '3.17,+soft-dirty',
    to: '6.18,+soft-dirty',
    decides: 'softdirty-enables-writenotify',
  },
  {
    file: 'uffd-move-soft-dirty',
    configured: ['soft-dirty'],
    kernel: '6.14',
    broken: ['15 soft-dirty-covers-moves'],
    without: 'uffd-move-sets-soft-dirty',
    brokenWithout: ['15 soft-dirty-covers-moves'],
    invariant: 'soft-dirty-covers-moves',
    from: '6.14,+soft-dirty',
    to: '6.18,+soft-dirty',
    decides: 'uffd-move-sets-soft-dirty',
  },
  {
    file: 'uffd-fork-fails-event',
    kernel: '6.11',
    broken: ['19 event-implies-live-mm', '19 total-vm-equals-vmas', '19 total-vm-equals-vmas'],
    without: 'uffd-no-event-on-fork-error',
    brokenWithout: ['19 event-implies-live-mm', '19 total-vm-equals-vmas', '19 total-vm-equals-vmas'],
    invariant: 'event-implies-live-mm',
    from: '6.11',
    to: '6.18',
    decides: 'uffd-no-event-on-fork-error',
  },
  {
    file: 'mprotect-drops-soft-dirty',
    configured: ['soft-dirty'],
    kernel: '5.19',
    broken: ['19 soft-dirty-covers-writes'],
    without: 'mprotect-checks-soft-dirty',
    brokenWithout: ['19 soft-dirty-covers-writes', '28 soft-dirty-covers-writes'],
    invariant: 'soft-dirty-covers-writes',
    from: '5.19,+soft-dirty',
    to: '6.18,+soft-dirty',
    decides: 'mprotect-checks-soft-dirty',
  },
  {
    file: 'zerofilled-split-loses-bits',
    configured: ['soft-dirty'],
    kernel: '6.17',
    broken: ['23 split-keeps-tracking-bits'],
    without: 'zeropage-remap-keeps-bits',
    brokenWithout: ['23 split-keeps-tracking-bits'],
    invariant: 'split-keeps-tracking-bits',
    from: '6.17,+soft-dirty',
    to: '6.18,+soft-dirty',
    decides: 'zeropage-remap-keeps-bits',
  },
  {
    file: 'collapse-without-writable-pte',
    kernel: '6.17',
    broken: [],
    without: 'collapse-without-writable-pte',
    brokenWithout: [],
    invariant: null,
    from: '6.17',
    to: '6.18',
    decides: 'collapse-without-writable-pte',
  },
  {
    file: 'large-folio-wp-copy-exclusive',
    configured: ['wp-copy-range'],
    mended: ['wp-copy-range-minds-exclusive'],
    kernel: '6.18',
    broken: ['22 pin-oracle', '22 exclusive-page-not-replaced-by-cow'],
    without: 'wp-copy-range-minds-exclusive',
    brokenWithout: ['22 pin-oracle', '22 exclusive-page-not-replaced-by-cow'],
    invariant: 'pin-oracle',
    from: '6.18,+wp-copy-range',
    to: '6.18,+wp-copy-range-minds-exclusive',
    decides: 'wp-copy-range-minds-exclusive',
  },
  {
    file: 'uffd-wp-on-swap-entry',
    kernel: '5.6',
    broken: ['14 uffd-wp-blocks-writes'],
    without: 'uffd-wp-handles-swap-entries',
    brokenWithout: ['14 uffd-wp-blocks-writes'],
    invariant: 'uffd-wp-blocks-writes',
    from: '5.6',
    to: '6.18',
    decides: 'uffd-wp-handles-swap-entries',
  },
  {
    file: 'uffd-wp-needs-vm-write',
    kernel: '5.17',
    broken: ['13 uffd-wp-blocks-writes'],
    without: 'uffd-wp-marks-readonly',
    brokenWithout: ['13 uffd-wp-blocks-writes'],
    invariant: 'uffd-wp-blocks-writes',
    from: '5.17',
    to: '6.18',
    decides: 'uffd-wp-marks-readonly',
  },
  {
    file: 'uffd-wp-huge-zero-split',
    kernel: '6.2',
    broken: ['14 uffd-wp-blocks-writes'],
    without: 'zero-pmd-split-keeps-uffd-wp',
    brokenWithout: ['14 uffd-wp-blocks-writes'],
    invariant: 'uffd-wp-blocks-writes',
    from: '6.2',
    to: '6.18',
    decides: 'zero-pmd-split-keeps-uffd-wp',
  },
  {
    file: 'collapse-fills-uffd-hole',
    kernel: '6.3',
    broken: ['15 collapse-spares-watched-holes'],
    without: 'collapse-respects-uffd-missing',
    brokenWithout: ['15 collapse-spares-watched-holes'],
    invariant: 'collapse-spares-watched-holes',
    from: '6.3',
    to: '6.18',
    decides: 'collapse-respects-uffd-missing',
  },
  {
    file: 'uffd-move-swap-keeps-wp',
    mended: ['uffd-move-swap-clears-wp'],
    kernel: '6.18',
    broken: ['17 uffd-wp-not-stale'],
    without: 'uffd-move-swap-clears-wp',
    brokenWithout: ['17 uffd-wp-not-stale'],
    invariant: 'uffd-wp-not-stale',
    from: '6.18',
    to: '6.18,+uffd-move-swap-clears-wp',
    decides: 'uffd-move-swap-clears-wp',
  },
  {
    file: 'hugetlb-cow-child-killed',
    kernel: '2.6.26',
    broken: ['13 reservation-promise-kept'],
    without: 'hugetlb-owner-steals',
    brokenWithout: ['13 reservation-promise-kept'],
    invariant: 'reservation-promise-kept',
    from: '2.6.26',
    to: '6.18',
    decides: 'hugetlb-owner-steals',
  },
  {
    file: 'hugetlb-resv-vma-split',
    // No release had it; before, nothing was reserved.
    kernel: '2.6.26',
    broken: [],
    without: 'hugetlb-private-resv-map',
    brokenWithout: ['11 resv-equals-regions', '13 resv-not-negative'],
    invariant: 'resv-equals-regions',
    from: '2.6.27,-hugetlb-private-resv-map',
    to: '2.6.27',
    decides: 'hugetlb-private-resv-map',
  },
  {
    file: 'hugetlb-subpool-cow-leak',
    kernel: '6.13',
    broken: ['15 resv-equals-regions'],
    without: 'hugetlb-mount-reserves-for-all',
    brokenWithout: ['15 resv-equals-regions'],
    invariant: 'resv-equals-regions',
    from: '6.13',
    to: '6.18',
    decides: 'hugetlb-mount-reserves-for-all',
  },
  {
    file: 'hugetlb-subpool-mmap-underflow',
    kernel: '6.14',
    broken: UNDERFLOWS,
    without: 'hugetlb-subpool-put-if-reserved',
    brokenWithout: UNDERFLOWS,
    invariant: 'resv-not-negative',
    from: '6.14',
    to: '6.18',
    decides: 'hugetlb-subpool-put-if-reserved',
  },
  {
    file: 'hugetlb-future-write-ignored',
    kernel: '5.12',
    broken: ['12 seal-holds', '13 seal-holds'],
    without: 'hugetlb-honours-future-write',
    brokenWithout: ['12 seal-holds', '13 seal-holds'],
    invariant: 'seal-holds',
    from: '5.12',
    to: '6.18',
    decides: 'hugetlb-honours-future-write',
  },
  {
    file: 'hugetlb-dontneed-rounding',
    kernel: '6.0',
    // What is thrown away was given up by advice: no rule speaks of it.
    broken: [],
    without: 'hugetlb-dontneed-rounds-down',
    brokenWithout: [],
    invariant: null,
    from: '6.0',
    to: '6.18',
    decides: 'hugetlb-dontneed-rounds-down',
  },
  {
    file: 'hugetlb-fork-pinned',
    kernel: '5.11',
    broken: ['12 pinned-page-shared-by-fork', '14 pin-oracle'],
    without: 'hugetlb-fork-copies-pinned',
    brokenWithout: ['12 pinned-page-shared-by-fork', '14 pin-oracle'],
    invariant: 'pin-oracle',
    from: '5.11',
    to: '6.18',
    decides: 'hugetlb-fork-copies-pinned',
  },
  {
    file: 'hugetlb-fork-copy-writable',
    kernel: '6.13',
    broken: ['13 vma-permission'],
    without: 'hugetlb-pte-minds-vm-write',
    brokenWithout: ['13 vma-permission'],
    invariant: 'vma-permission',
    from: '6.13',
    to: '6.18',
    decides: 'hugetlb-pte-minds-vm-write',
  },
  {
    file: 'hugetlb-dontneed-child-maps',
    mended: ['hugetlb-restore-on-last-unmap'],
    kernel: '6.18',
    broken: ['14 resv-not-negative'],
    without: 'hugetlb-restore-on-last-unmap',
    brokenWithout: ['14 resv-not-negative'],
    invariant: 'resv-not-negative',
    from: '6.18',
    to: '6.18,+hugetlb-restore-on-last-unmap',
    decides: 'hugetlb-restore-on-last-unmap',
  },
  {
    file: 'uffd-continue-fallocated',
    kernel: '5.18',
    // The call fails, no state is wrong.
    broken: [],
    without: 'uffd-continue-takes-fallocated',
    brokenWithout: [],
    invariant: null,
    from: '5.18',
    to: '6.18',
    decides: 'uffd-continue-takes-fallocated',
  },
  {
    file: 'uffd-continue-huge-tail',
    kernel: '6.0',
    broken: ['16 rss-equals-ptes', '16 rss-equals-ptes'],
    without: 'uffd-install-asks-folio',
    brokenWithout: ['16 rss-equals-ptes', '16 rss-equals-ptes'],
    invariant: 'rss-equals-ptes',
    from: '6.0',
    to: '6.18',
    decides: 'uffd-install-asks-folio',
  },
  {
    file: 'uffd-wp-writenotify',
    kernel: '6.1',
    broken: ['16 uffd-wp-entry-not-writable'],
    without: 'uffd-wp-implies-writenotify',
    brokenWithout: ['16 uffd-wp-entry-not-writable'],
    invariant: 'uffd-wp-entry-not-writable',
    from: '6.1',
    to: '6.18',
    decides: 'uffd-wp-implies-writenotify',
  },
  {
    file: 'uffd-copy-beyond-eof',
    kernel: '4.19',
    broken: ['16 no-page-beyond-eof', '16 no-entry-beyond-eof'],
    without: 'uffd-copy-checks-isize',
    brokenWithout: ['16 no-page-beyond-eof', '16 no-entry-beyond-eof'],
    invariant: 'no-page-beyond-eof',
    from: '4.19',
    to: '6.18',
    decides: 'uffd-copy-checks-isize',
  },
];

interface CollapseInPlace {
  readonly file: string;
  /** What the naive one breaks: line and rule, each once. */
  readonly broken: readonly string[];
  readonly invariant: string;
}

/** What no kernel does, and the mail about it feared: collapse in place without a thought for exclusive pages. */
const IN_PLACE: readonly CollapseInPlace[] = [
  {
    file: 'thp-inplace-collapse-exclusive',
    broken: ['17 tails-clear-under-huge-entry', '19 exclusive-has-one-mapper'],
    invariant: 'leak-oracle',
  },
  {
    file: 'thp-inplace-collapse-shared',
    broken: ['16 exclusive-has-one-mapper', '16 W-single-owner', '17 leak-oracle'],
    invariant: 'leak-oracle',
  },
  {
    file: 'thp-inplace-collapse-mixed',
    broken: ['17 tails-clear-under-huge-entry', '17 W-single-owner', '18 leak-oracle'],
    invariant: 'leak-oracle',
  },
];
/** Mended before the release that would have had it, and to be seen by a rule alone. */
/** What the series of April 2021 had wrong as it was posted: a switch that no kernel has each. */
const AS_POSTED: readonly {
  readonly file: string;
  readonly posted: string;
  readonly broken: readonly string[];
  readonly failed: number;
}[] = [
  {
    file: 'shmem-uffd-copy-block-accounting',
    posted: 'uffd-copy-keeps-charge',
    broken: ['19 commit-sum', '19 shmem-blocks-equal-pages', '19 tmpfs-blocks-equal-files'],
    failed: 5,
  },
  {
    file: 'shmem-uffd-copy-block-accounting',
    posted: 'uffd-copy-uncharges-uncounted',
    broken: [
      '19 shmem-blocks-equal-pages',
      ...['25 commit-sum', '25 shmem-blocks-equal-pages', '25 tmpfs-blocks-equal-files'],
    ],
    failed: 2,
  },
  {
    file: 'uffd-install-asks-vma',
    posted: 'uffd-install-asks-vma',
    broken: ['16 uffd-fill-fresh', '16 uffd-fill-dirty', '17 uffd-fill-fresh', '17 uffd-fill-dirty'],
    failed: 2,
  },
  {
    file: 'uffd-install-counts-first',
    posted: 'uffd-install-counts-first',
    broken: ['13 rss-equals-ptes', '13 rss-equals-ptes'],
    failed: 2,
  },
];

/** Bugs that no result tells, released and not. */
const SILENT = 'shmem-uffd-retry-page-leak';
const NEVER_RELEASED = 'unmap-batch-crosses-table';
const NAIVE = 'collapse-in-place';
const CAREFUL = 'collapse-in-place-minds-exclusive';

const pathOf = (file: string): string => `examples/bugs/${file}.fsw`;

function audited(
  file: string,
  behaviours: Behaviours,
): { readonly broken: readonly string[]; readonly failed: number } {
  const ran = runOperations(parseWorkload(readFileSync(pathOf(file), 'utf8')), behaviours);
  const broken = auditOf(ran, behaviours).map(({ invariant, line }) => `${line} ${invariant}`);
  return { broken, failed: ran.run.mismatches.length };
}

async function bisected(path: string, invariant: string | null, from: string, to: string): Promise<readonly string[]> {
  let printed = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  try {
    const by = invariant === null ? { check: true } : { invariant, check: false };
    await bisectBehavioursCommand(path, { ...by, from, to, lenient: false, json: true });
  } finally {
    spy.mockRestore();
  }
  const { deciding } = JSON.parse(printed) as { deciding: { name: string; brought: boolean }[] };
  return deciding.filter(({ brought }) => !brought).map(({ name }) => name);
}

describe('a bug', () => {
  it('stands in a workload each, and all of them are tried', () => {
    const files = readdirSync('examples/bugs').filter((file) => file.endsWith('.fsw'));
    expect(files.toSorted()).toEqual(
      [...new Set([...BUGS, ...IN_PLACE, ...AS_POSTED].map(({ file }) => file)), NEVER_RELEASED, SILENT]
        .map((file) => `${file}.fsw`)
        .toSorted(),
    );
  });

  describe.each(BUGS)(
    '$file',
    ({
      file,
      configured = [],
      mended = configured,
      kernel,
      broken,
      without,
      brokenWithout,
      invariant,
      from,
      to,
      decides,
    }) => {
      const today = withBehaviours(behavioursOf('6.18'), mended, []);
      it('breaks nothing once it is mended, and every result is as expected', () => {
        expect(audited(file, today)).toEqual({ broken: [], failed: 0 });
      });
      it(`is there on ${kernel}`, () => {
        const found = audited(file, withBehaviours(behavioursOf(kernel), configured, []));
        expect(found.broken).toEqual(broken);
        expect(found.failed).toBeGreaterThan(0);
      });
      it(`comes back without ${without}`, () => {
        expect(audited(file, withBehaviours(today, [], [without])).broken).toEqual(brokenWithout);
      });
      it('is blamed on the change that mended it', async () => {
        expect(await bisected(pathOf(file), invariant, from, to)).toEqual([decides]);
      });
    },
  );
});

describe.each(IN_PLACE)('$file', ({ file, broken, invariant }) => {
  const linux = behavioursOf('6.18');
  it('breaks nothing as Linux collapses', () => {
    expect(audited(file, linux)).toEqual({ broken: [], failed: 0 });
  });
  it('breaks nothing in place where exclusive pages are minded', () => {
    expect(audited(file, withBehaviours(linux, [CAREFUL], []))).toEqual({ broken: [], failed: 0 });
  });
  it('shows what was feared where they are not', () => {
    const found = audited(file, withBehaviours(linux, [NAIVE], []));
    expect([...new Set(found.broken)]).toEqual(broken);
    expect(found.failed).toBe(1);
  });
  it('is mended by minding them', async () => {
    const found = await bisected(pathOf(file), invariant, `6.18,+${NAIVE}`, `6.18,+${CAREFUL}`);
    expect(found).toEqual([CAREFUL]);
  });
});

describe(NEVER_RELEASED, () => {
  const linux = behavioursOf('6.18');
  it('breaks nothing on any release', () => {
    for (const kernel of ['6.15', '6.16', '6.18'])
      expect(audited(NEVER_RELEASED, behavioursOf(kernel)), kernel).toEqual({ broken: [], failed: 0 });
  });
  it('is there where a row of entries does not end with its table, and shows in no result', () => {
    expect(audited(NEVER_RELEASED, withBehaviours(linux, [], ['unmap-batch-capped-at-pmd']))).toEqual({
      broken: ['17 page-table-walk-stays-in-table'],
      failed: 0,
    });
  });
  it('is blamed on the change that mended it', async () => {
    const rule = 'page-table-walk-stays-in-table';
    const found = await bisected(pathOf(NEVER_RELEASED), rule, '6.18,-unmap-batch-capped-at-pmd', '6.18');
    expect(found).toEqual(['unmap-batch-capped-at-pmd']);
  });
});

describe.each(AS_POSTED)('$file, $posted', ({ file, posted, broken, failed }) => {
  it('breaks nothing as the series was merged', () => {
    for (const kernel of ['5.19', '6.18'])
      expect(audited(file, behavioursOf(kernel)), kernel).toEqual({ broken: [], failed: 0 });
  });
  it('shows as the series was posted', () => {
    expect(audited(file, withBehaviours(behavioursOf('6.18'), [posted], []))).toEqual({ broken, failed });
  });
  it('is blamed on the posted version', async () => {
    const invariant = (broken[0] as string).split(' ')[1] as string;
    expect(await bisected(pathOf(file), invariant, '6.18', `6.18,+${posted}`)).toEqual([posted]);
  });
});

describe(SILENT, () => {
  const leaks = { broken: ['24 refcount-accounted'], failed: 0 };
  it('is there up to 5.12, and without what mended it', () => {
    expect(audited(SILENT, behavioursOf('5.12'))).toEqual(leaks);
    expect(audited(SILENT, withBehaviours(behavioursOf('6.18'), [], ['uffd-copy-releases-retry-page']))).toEqual(leaks);
  });
  it('breaks nothing since 5.13', () => {
    for (const kernel of ['5.13', '6.18'])
      expect(audited(SILENT, behavioursOf(kernel)), kernel).toEqual({ broken: [], failed: 0 });
  });
  it('is blamed on the change that mended it', async () => {
    expect(await bisected(pathOf(SILENT), 'refcount-accounted', '5.12', '6.18')).toEqual([
      'uffd-copy-releases-retry-page',
    ]);
  });
});
