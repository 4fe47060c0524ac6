// Huge pages of the pool that get other frames: where those come from, what stays, what cannot be moved again.
import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { NotModelledError } from '../../src/lib/errors.js';
import type { WorkloadOptions } from '../support/workload.js';
import { ranWell } from '../support/workload.js';

const BASE = 0x100000200000;
const begin = (pool: number, pages = 1): string => `
sysfs("hugepages/hugepages-2048kB/nr_hugepages", "${pool}")
1 mmap(${BASE}, ${pages}*H, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 0x01)
`;

/** How many huge pages moved; counters add up. */
function movedIn(text: string, options: WorkloadOptions = {}): number {
  const ran = ranWell(text, options);
  expect(accountingErrors(ran.run.view)).toEqual([]);
  return ran.events.filter(({ type }) => type === 'HugetlbPageMigrated').length;
}

describe('a huge page of the pool', () => {
  it('moves to a free page of the pool, and back, as often as it is asked to', () => {
    expect(movedIn(`${begin(2)}1 migrate(A, 4096)\n1 migrate(A, H)\n1 migrate(A, H)\n1 load(A) = 0x01`)).toBe(3);
  });
  it('moves once to a page made for it, and no more until that was free', () => {
    const once = `${begin(1)}1 migrate(A, H)\n1 migrate(A, H)\n1 load(A) = 0x01
check meminfo.HugePages_Total == 1 and meminfo.HugePages_Surp == 0\n`;
    expect(movedIn(once)).toBe(1);
    const freed = '1 madvise(A, H, MADV_DONTNEED) = 0\n1 store(A, 0x02)\n1 migrate(A, H)';
    expect(movedIn(`${once}${freed}`)).toBe(2);
  });
  it('stays where it is pinned, or held otherwise', () => {
    const stays =
      '1 migrate(A, H)\ncheck page(1, A).writable and page(1, A).anon_exclusive and page(1, A).mapcount == 1';
    expect(movedIn(`${begin(3)}1 pin(A, 4096, FOLL_PIN|FOLL_WRITE) = D\n${stays}`)).toBe(0);
    expect(movedIn(`${begin(3)}1 pin(A, 4096, FOLL_GET) = D\n${stays}\n1 unpin(D)\n1 migrate(A, H)`)).toBe(1);
  });
  it('that several map moves only with MPOL_MF_MOVE_ALL, for all of them', () => {
    const shared = `${begin(3)}1 fork() = 2\n1 mbind(A, H, MPOL_DEFAULT, NULL, 0, MPOL_MF_MOVE) = 0\n`;
    expect(movedIn(shared)).toBe(0);
    const all = '1 mbind(A, H, MPOL_DEFAULT, NULL, 0, MPOL_MF_MOVE_ALL) = 0\n2 load(A) = 0x01';
    expect(movedIn(`${shared}${all}`)).toBe(1);
  });
  it('is told of by move_pages, which moves nothing on one node', () => {
    expect(
      movedIn(`${begin(3, 2)}1 move_pages(1, 3, [A, A+0x1000, A+H], [0, 0, 0], [], MPOL_MF_MOVE) = [S, T, U]
check S == 0 and T == 0 and U == 0-2`),
    ).toBe(0);
  });
  it('is refused to be moved by name before 4.16', () => {
    expect(() => ranWell(`${begin(2)}1 migrate(A, H)`, { kernel: '4.15' })).toThrow(NotModelledError);
  });
});
