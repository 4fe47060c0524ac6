// The checker itself: it must find what it is there to find.
import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import type { KernelState } from '../../reducers/state.js';
import { MM_ANONPAGES, own } from '../../reducers/state.js';
import { ranWell } from '../support/workload.js';

const TEXT = `
1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1, 0x4000)
1 fork() = 2
`;

/** What is found after `change` spoilt the state. */
function found(change: (state: KernelState) => void): string[] {
  const state = own(ranWell(TEXT).run.view);
  change(state);
  return accountingErrors(state).map(({ subject, counter }) => `${subject}: ${counter}`);
}

describe('accounting', () => {
  it('finds nothing wrong with a sound state', () => {
    expect(found(() => {})).toEqual([]);
  });
  it('finds a wrong mapcount and a wrong refcount', () => {
    expect(found((state) => state.memMap[0]![1]!.mapcount++)).toEqual(['frame 1: mapcount']);
    expect(found((state) => state.memMap[0]![1]!.ref--)).toEqual(['frame 1: ref']);
  });
  it('finds wrong sums of an address space and of the machine', () => {
    expect(found((state) => state.mms[2]!.rss[MM_ANONPAGES]!++)).toEqual(['mm 2: rss 1']);
    expect(found((state) => state.mms[2]!.totalVm++)).toEqual(['mm 2: total_vm']);
    expect(found((state) => state.mms[2]!.lockedVm++)).toEqual(['mm 2: locked_vm']);
    expect(found((state) => state.committed++)).toEqual(['machine: committed']);
  });
  it('counts hiwater_rss before pages go', () => {
    const ran = ranWell(`${TEXT}1 madvise(A, 0x3000, MADV_DONTNEED) = 0\n1 store(A, 2)`);
    expect(ran.mm(1)).toMatchObject({ rss: [0, 2, 0, 0], hiwaterRss: 4 });
  });
  it('counts 1000 faults for 1000 pages touched, 1000 more when fork protected them, none after', () => {
    const touch = '1 store(A, 1, 0x3e8000)\n';
    const text = `1 mmap(NULL, 0x3e8000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A\n${touch}`;
    expect(ranWell(text).faults(1)).toBe(1000);
    const again = ranWell(`${text}1 fork() = 2\n2 exit_group(0)\n${touch}${touch}`);
    expect(again.faults(1)).toBe(2000);
    expect([again.count('PageReused'), again.count('CowPageMapped')]).toEqual([1000, 0]);
  });
});
