// The shrinker of large folios on other kernels than today's. What today's does is in test/conformance/thp-shrinker-*.
import { describe, expect, it } from 'vitest';
import type { EventType } from '../../events/index.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const HUGE = `sysfs("transparent_hugepage/khugepaged/max_ptes_none", "509")
1 mmap(0x100000000000, 2*H, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 2*H, MADV_HUGEPAGE) = 0
1 store(A, 0x11)
1 store(A+H, 0x11)
1 madvise(A+H, P, MADV_DONTNEED) = 0
`;

/** Runs `text`, whose checks must hold with no invariant broken; how often each of `types` happened. */
function counted(text: string, types: readonly EventType[], kernel = '6.18'): number[] {
  const behaviours = behavioursOf(kernel);
  const ran = runOperations(parseWorkload(text), behaviours);
  expect(ran.run.mismatches).toEqual([]);
  expect(auditOf(ran, behaviours)).toEqual([]);
  return types.map((type) => ran.events.filter((event) => event.type === type).length);
}

describe('the shrinker of large folios', () => {
  it('splits huge pages of which few pages are used since 6.12', () => {
    expect(counted(`${HUGE}drop_caches(2)\n`, ['FolioSplit'], '6.11')).toEqual([1]);
    expect(counted(`${HUGE}drop_caches(2)\n`, ['FolioSplit'], '6.12')).toEqual([2]);
  });
  it('leaves them alone where khugepaged may fill in all but one', () => {
    expect(counted(`${HUGE.replace('"509"', '"511"')}drop_caches(2)\n`, ['FolioSplit'])).toEqual([1]);
  });
  it('never sees one again that moved while it was on no queue', () => {
    const used = `${HUGE}1 store(A, 0x11, 4*P)\ndrop_caches(2)\n1 store(A, 0, 4*P)\n1 migrate(A, H) = 0\ndrop_caches(2)\n`;
    expect(counted(`${used}check page(1, A).level == "pmd"\n`, ['FolioSplit'])).toEqual([1]);
  });
  it('sees one that moved while it was there, but not before 6.18', () => {
    const moved = `${HUGE}1 migrate(A, H) = 0\ndrop_caches(2)\n`;
    expect(counted(`${moved}check page(1, A).order == 0\n`, [])).toEqual([]);
    expect(counted(`${moved}check page(1, A).order == 9\n`, [], '6.17')).toEqual([]);
  });
  it('leaves pages of the hugetlb pool alone, free or in use', () => {
    const pool = `sysfs("transparent_hugepage/khugepaged/max_ptes_none", "509")
sysfs("hugepages/hugepages-2048kB/nr_hugepages", "2")
1 mmap(0, H, RW, PRIV|ANON|HUGE, -1, 0) = A
1 store(A, 0x11) = 0
drop_caches(2)
check meminfo.HugePages_Total == 2 and meminfo.HugePages_Free == 1 and page(1, A).level == "pmd"
1 mmap(0, P, RW, PRIV|ANON, -1, 0) = B
1 store(B, 0x22) = 0
1 load(A) = 0x11
`;
    expect(counted(pool, ['FolioSplit'])).toEqual([0]);
  });
  it('drops no page cache', () => {
    expect(() => counted('drop_caches(1)\n1 munmap(0x100000000000, P) = 0\n', [])).toThrow(/dropping the page cache/);
  });
});
