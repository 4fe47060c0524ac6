import { describe, expect, it } from 'vitest';
import { BEHAVIOURS, BEHAVIOUR_NAMES, behavioursOf, originOf, withBehaviours } from '../../src/kernel/behaviours.js';

const on = (version: string): (typeof BEHAVIOUR_NAMES)[number][] =>
  BEHAVIOUR_NAMES.filter((name) => behavioursOf(version)[name]);

/** Of the hugetlb pool, which came early. */
const POOL = [
  'hugetlb-private-reserve',
  'hugetlb-private-resv-map',
  'hugetlb-owner-steals',
  'hugetlb-sigbus-on-shortage',
  'hugetlb-reuse-by-mapcount',
  'hugetlb-reuse-anon-only',
  'hugetlb-fallocate',
];

/** Names in one order, so that those of one version may stand in any. */
const sorted = (names: readonly string[]): string[] => names.toSorted();

/** What came before private pages were told apart by references. */
const OLD = [
  'softdirty-enables-writenotify',
  'madv-free-skips-shared',
  'gup-foll-cow',
  'stack-guard-gap',
  'mremap-duplicates-shared-only',
  'growth-keeps-min-addr',
  'future-write-seal-spares-private',
  'hugetlb-migrates-beyond-pool',
  ...POOL,
];

describe('a kernel version', () => {
  it('has the behaviours that came with it or before', () => {
    expect(on('2.6.26')).toEqual([]);
    expect(sorted(on('4.5'))).toEqual(sorted(['softdirty-enables-writenotify', 'madv-free-skips-shared', ...POOL]));
    expect(sorted(on('5.7'))).toEqual(sorted([...OLD, 'uffd-copy-checks-isize', 'uffd-wp-handles-swap-entries']));
    const refcounts = [
      ...OLD,
      'uffd-copy-checks-isize',
      'uffd-wp-handles-swap-entries',
      'huge-cow-splits',
      'cow-reuse-by-refcount',
      'fork-copies-pinned',
    ];
    expect(sorted(on('5.9'))).toEqual(sorted(refcounts));
    const install = [
      ...['uffd-copy-releases-retry-page', 'uffd-install-one-step', 'uffd-minor-shmem', 'uffd-install-pte-dirty'],
    ];
    expect(sorted(on('5.17.3'))).toEqual(
      sorted([
        ...refcounts,
        ...install,
        'write-protect-seq',
        'clear-refs-skips-pinned',
        'hugetlb-fork-copies-pinned',
        'hugetlb-honours-future-write',
        'hugetlb-mremap',
      ]),
    );
    expect(sorted(on('5.18'))).toEqual(
      sorted([
        ...refcounts,
        ...install,
        'write-protect-seq',
        'clear-refs-skips-pinned',
        'wp-reuse-drains-lru',
        'lazyfree-checks-refs',
        'swapin-reuse-by-refcount',
        'thp-cow-reuse-by-refcount',
        'hugetlb-dontneed',
        'uffd-wp-marks-readonly',
        'hugetlb-fork-copies-pinned',
        'hugetlb-honours-future-write',
        'hugetlb-mremap',
      ]),
    );
    expect(sorted(on('6.18'))).toEqual(
      sorted(BEHAVIOUR_NAMES.filter((name) => BEHAVIOURS[name].until === undefined && BEHAVIOURS[name].since !== null)),
    );
  });
  it('has what lived in some releases only in those', () => {
    expect(['5.7', '5.8', '5.8.18', '5.9'].map((version) => behavioursOf(version)['gup-read-breaks-cow'])).toEqual([
      ...[false, true, true, false],
    ]);
  });
  it('has nothing unasked that no kernel has', () => {
    expect(behavioursOf('6.18')['mseal-covers-private-file']).toBe(false);
    expect(originOf('mseal-covers-private-file')).toBe('in no kernel unasked');
    expect(originOf('gup-unshare')).toBe('since 5.19, commit a7f226604170');
    expect(originOf('mseal')).toBe('since 6.10');
    expect(behavioursOf('6.18')['collapse-in-place']).toBe(false);
  });
  it('must be one that is modelled', () => {
    for (const version of ['2.6.25', '7.0', 'six', '6.19']) expect(() => behavioursOf(version)).toThrow(/kernel/);
  });
  it('has all of the one before but what was taken back', () => {
    const versions = BEHAVIOUR_NAMES.flatMap((name) => BEHAVIOURS[name].since ?? []);
    for (const version of versions)
      for (const name of on(version)) if (BEHAVIOURS[name].until === undefined) expect(on('6.18')).toContain(name);
  });
});

describe('a behaviour', () => {
  it('stands in the list no earlier than older ones', () => {
    const versions = BEHAVIOUR_NAMES.flatMap((name) => BEHAVIOURS[name].since ?? []).map((version) =>
      version.split('.').map(Number),
    );
    const numbers = versions.map(([major = 0, minor = 0]) => major * 100 + minor);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  });
  it('turned on brings what it requires', () => {
    const result = withBehaviours(behavioursOf('5.8'), ['mprotect-upgrades-exclusive'], []);
    expect(result).toMatchObject({
      'anon-exclusive': true,
      'cow-reuse-by-refcount': true,
      'wp-reuse-drains-lru': false,
    });
  });
  it('turned off takes along what requires it', () => {
    const result = withBehaviours(behavioursOf('6.18'), [], ['cow-reuse-by-refcount']);
    expect(result).toMatchObject({
      'wp-reuse-drains-lru': false,
      'anon-exclusive': false,
      'mprotect-upgrades-exclusive': false,
      'merge-refuses-fork-child': true,
    });
  });
  it('cannot be unknown, or both on and off', () => {
    expect(() => withBehaviours(behavioursOf('6.18'), ['x'], [])).toThrow(/no behaviour 'x'/);
    expect(() => withBehaviours(behavioursOf('6.18'), ['anon-exclusive'], ['anon-exclusive'])).toThrow(/both/);
  });
});
