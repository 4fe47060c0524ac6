// Sealed mappings on other kernels than today's, and what no workload of the corpus can ask. What today's do is in test/conformance/seal-*.
import { describe, expect, it } from 'vitest';
import { ranWell, runWorkload } from '../support/workload.js';

const A = '1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A\n';

describe('mseal', () => {
  it('is no system call before 6.10', () => {
    ranWell(`${A}1 mseal(A, P, 0) = -1 ENOSYS`, { kernel: '6.9' });
  });
  it('holds the heap where it is', () => {
    ranWell(`
1 brk(NULL) = B
1 brk(B+0x3000) = B+0x3000
1 mseal(B+0x1000, 0x1000, 0) = 0
1 brk(B) = B+0x3000
1 brk(B+0x2000) = B+0x2000
1 brk(B+0x1000) = B+0x2000
`);
  });
  it('ends at vm.max_map_count with what was sealed by then', () => {
    const found = runWorkload(`${A}1 mmap(A-0x10000, P, RO, PRIV|ANON|FIXED, -1, 0)\n1 mseal(A, P, 0) = -1 ENOMEM`, {
      machine: { maxMapCount: 2 },
    });
    expect(found.failed).toEqual([]);
    expect(found.vmas(1)).toHaveLength(2);
  });
});
