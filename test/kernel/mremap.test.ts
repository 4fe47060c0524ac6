import { describe, expect, it } from 'vitest';
import { VM_LOCKED } from '../../reducers/vma.js';
import { ranWell, runWorkload } from '../support/workload.js';

const BASE = 0x10000000000;
const PRIVATE = 'PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS';
const A = `1 mmap(${BASE}, 0x4000, ${PRIVATE}|MAP_FIXED, -1, 0) = A\n`;
const to = (page: number): string => `MREMAP_MAYMOVE|MREMAP_FIXED, ${BASE + page * 4096}`;

describe('mremap refuses', () => {
  it('with EINVAL what is wrong whatever is mapped', () => {
    ranWell(`${A}
1 mremap(A, 0x1000, 0x1000, 8) = -1 EINVAL
1 mremap(A+8, 0x1000, 0x1000, 0) = -1 EINVAL
1 mremap(A, 0x1000, 0, 0) = -1 EINVAL
1 mremap(A, 0x1000, 0x800000000000, MREMAP_MAYMOVE) = -1 EINVAL
1 mremap(A, 0x1000, 0x1000, MREMAP_FIXED, A+0x8000) = -1 EINVAL
1 mremap(A, 0x1000, 0x1000, MREMAP_DONTUNMAP, NULL) = -1 EINVAL
1 mremap(A, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, A+0x8008) = -1 EINVAL
1 mremap(A, 0x2000, 0x2000, MREMAP_MAYMOVE|MREMAP_FIXED, A+0x1000) = -1 EINVAL
1 mremap(A, 0x1000, 0x2000, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = -1 EINVAL
1 mremap(A, 0, 0x1000, MREMAP_MAYMOVE) = -1 EINVAL
`);
  });
  it('with EFAULT what is not mapped, or to grow beyond one VMA', () => {
    ranWell(`${A}
1 mremap(A+0x4000, 0x1000, 0x2000, MREMAP_MAYMOVE) = -1 EFAULT
1 mremap(A, 0x5000, 0x6000, MREMAP_MAYMOVE) = -1 EFAULT
`);
  });
  it('with ENOMEM to grow where there is no room and it may not move', () => {
    ranWell(`${A}1 mremap(A, 0x1000, 0x2000, 0) = -1 ENOMEM`);
  });
  it('with EAGAIN to grow locked memory beyond RLIMIT_MEMLOCK', () => {
    const locked = `1 mmap(${BASE}, 0x1000, ${PRIVATE}|MAP_FIXED|MAP_LOCKED, -1, 0) = A\n`;
    ranWell(`${locked}1 mremap(A, 0x1000, 0x3000, MREMAP_MAYMOVE) = -1 EAGAIN`, { machine: { memlockLimit: 0x2000 } });
  });
  it('with ENOMEM a move near vm.max_map_count', () => {
    ranWell(`${A}1 mremap(A, 0x1000, 0x1000, ${to(8)}) = -1 ENOMEM`, { machine: { maxMapCount: 6 } });
    ranWell(`${A}1 mremap(A, 0x1000, 0x1000, ${to(8)}) = A+0x8000`, { machine: { maxMapCount: 7 } });
  });
});

describe('mremap in place', () => {
  it('to the same size does nothing, even across the end of the VMA', () => {
    ranWell(`${A}1 mremap(A, 0x4000, 0x4000, 0) = A\n1 mremap(A+0x3000, 0x4000, 0x4000, 0) = A+0x3000`);
  });
  it('shrinks by unmapping, whatever is mapped there', () => {
    const ran = ranWell(`${A}1 store(A+0x3000, 1)\n1 mremap(A, 0x4000, 0x2000, 0) = A\n1 load(A+0x2000) = SIGSEGV`);
    expect(ran.mm(1)).toMatchObject({ totalVm: 2, rss: [0, 0, 0, 0] });
  });
  it('grows into free room and keeps the bytes', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 mremap(A, 0x4000, 0x6000, 0) = A\n1 load(A) = 1\n1 load(A+0x5000) = 0`);
    expect(ran.vmas(1)).toHaveLength(1);
    expect(ran.mm(1).totalVm).toBe(6);
  });
  it('that grows locked memory faults the new part in', () => {
    const ran = ranWell(
      `1 mmap(${BASE}, 0x1000, ${PRIVATE}|MAP_FIXED|MAP_LOCKED, -1, 0) = A\n1 mremap(A, 0x1000, 0x3000, 0) = A`,
    );
    expect(ran.mm(1)).toMatchObject({ lockedVm: 3, rss: [0, 3, 0, 0] });
  });
});

describe('a move', () => {
  it('takes pages along as they are', () => {
    const ran = ranWell(
      `${A}1 store(A, 1, 0x4000)\n1 mremap(A, 0x4000, 0x4000, ${to(8)}) = B\n1 load(B) = 1\n1 store(B, 2)\n1 load(A) = SIGSEGV`,
    );
    const before = ranWell(`${A}1 store(A, 1, 0x4000)`);
    expect(ran.pfn(1, ran.addr('B'))).toBe(before.pfn(1, before.addr('A')));
    expect(ran.faults(1)).toBe(4);
    expect(ran.vmas(1)[0]).toMatchObject({ pgoff: BASE / 4096 });
  });
  it('gives untouched memory the page offset of its new place', () => {
    const ran = ranWell(`${A}1 mremap(A, 0x4000, 0x4000, ${to(8)})`);
    expect(ran.vmas(1)[0]).toMatchObject({ pgoff: BASE / 4096 + 8 });
  });
  it('of a part splits the VMA', () => {
    const ran = ranWell(`${A}1 store(A, 1, 0x4000)\n1 mremap(A+0x1000, 0x1000, 0x1000, ${to(8)})`);
    expect(ran.vmas(1).map((vma) => (vma.end - vma.start) / 4096)).toEqual([1, 2, 1]);
  });
  it('that grows goes where there is room', () => {
    const ran = ranWell(
      `${A}1 store(A, 1)\n1 mremap(A, 0x1000, 0x3000, MREMAP_MAYMOVE) = B\n1 load(B) = 1\n1 load(B+0x2000) = 0`,
    );
    expect(ran.mm(1).totalVm).toBe(6);
  });
  it('that shrinks may leave behind more than its VMA', () => {
    ranWell(
      `${A}1 store(A+0x2000, 1)\n1 mremap(A+0x2000, 0x6000, 0x1000, ${to(16)}) = B\n1 load(B) = 1\n1 load(A+0x3000) = SIGSEGV`,
    );
  });
  it('of length 0 maps shared memory once more', () => {
    ranWell(`1 mmap(${BASE}, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A
1 mremap(A, 0, 0x2000, MREMAP_MAYMOVE) = B
1 store(A, 1)
1 load(B) = 1
`);
  });
  it('unmaps what is at its target', () => {
    const ran = ranWell(`${A}1 mmap(${BASE + 8 * 4096}, 0x1000, ${PRIVATE}|MAP_FIXED, -1, 0) = B
1 store(B, 9)
1 mremap(A, 0x1000, 0x1000, ${to(8)}) = B
1 load(B) = 0
`);
    expect(ran.mm(1).totalVm).toBe(4);
  });
  const TWO = `${A}1 mprotect(A+0x1000, 0x1000, PROT_READ) = 0\n1 munmap(A+0x2000, 0x1000) = 0\n1 store(A+0x3000, 3)\n`;
  it('to a given place takes along several VMAs and the gaps between them', () => {
    const ran = ranWell(
      `${TWO}1 mremap(A, 0x4000, 0x4000, ${to(16)}) = B\n1 load(B+0x3000) = 3\n1 load(B+0x2000) = SIGSEGV\n1 store(B+0x1000, 1) = SIGSEGV`,
    );
    expect(ran.vmas(1).map((vma) => (vma.start - BASE) / 4096)).toEqual([16, 17, 19]);
  });
  it('of several VMAs was EFAULT before 6.17, and is without a given place', () => {
    ranWell(`${TWO}1 mremap(A, 0x4000, 0x4000, ${to(16)}) = -1 EFAULT`, { kernel: '6.16' });
    ranWell(`${TWO}1 mremap(A, 0x4000, 0x4000, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = -1 EFAULT`);
  });
  it('must begin at a mapping', () => {
    ranWell(`${TWO}1 mremap(A+0x2000, 0x2000, 0x2000, ${to(16)}) = -1 EFAULT`);
  });
  it('of a whole page table takes the table over', () => {
    const big = `1 mmap(0x10000000000, 0x200000, ${PRIVATE}|MAP_FIXED, -1, 0) = A\n1 store(A, 1)\n`;
    const ran = ranWell(
      `${big}1 mremap(A, 0x200000, 0x200000, MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP, A+0x400000)`,
    );
    expect(ran.mm(1).tableBytes).toBe(3 * 4096);
  });
});

describe('MREMAP_DONTUNMAP', () => {
  it('leaves an empty mapping without anon_vma where all of it has moved', () => {
    const ran = ranWell(
      `${A}1 store(A, 1)\n1 mremap(A, 0x4000, 0x4000, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = B\n1 load(B) = 1\n1 load(A) = 0`,
    );
    expect(ran.vmas(1).find((vma) => vma.start === BASE)).toMatchObject({ anonVma: 0, chain: [] });
    expect(ran.mm(1).totalVm).toBe(8);
    expect(ran.run.view.committed).toBe(8);
  });
  it('keeps the anon_vma where only a part has moved', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 mremap(A, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = B`);
    expect(ran.vmas(1).find((vma) => vma.start === BASE)?.anonVma).not.toBe(0);
  });
  it('unlocks the source, all of it, and forgets to count it out', () => {
    // Seen on 6.18: VmLck stays too high until the process exits.
    const ran = runWorkload(
      `${A}1 mlock(A, 0x4000) = 0\n1 mremap(A, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = B`,
    );
    const locked = ran.vmas(1).filter((vma) => (vma.flags & VM_LOCKED) !== 0);
    expect(locked.map((vma) => (vma.end - vma.start) / 4096)).toEqual([1]);
    expect(ran.mm(1).lockedVm).toBe(5);
  });
});
