import { describe, expect, it } from 'vitest';
import { VM_LOCKED } from '../../reducers/vma.js';
import { ranWell } from '../support/workload.js';

const A = '1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A\n';
const HOLE = `${A}1 munmap(A+0x2000, 0x1000) = 0\n`;

describe('mlock', () => {
  it('writes to private writable pages, reads others, and counts them', () => {
    const ran = ranWell(`${A}
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = R
1 mlock(A, 0x4000) = 0
1 mlock(R, 0x1000) = 0
`);
    expect(ran.mm(1)).toMatchObject({ lockedVm: 5, rss: [0, 4, 0, 0] });
    expect(ran.count('ZeroPageMapped')).toBe(1);
  });
  it('breaks copy-on-write', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 fork() = 2\n1 mlock(A, 0x1000) = 0`);
    expect(ran.exclusive(1, ran.addr('A'))).toBe(true);
  });
  it('takes whole pages for any start and length, and nothing for none', () => {
    expect(ranWell(`${A}1 mlock(A+0xfff, 2) = 0`).mm(1).lockedVm).toBe(2);
    expect(ranWell(`${A}1 mlock(A, 0) = 0\n1 mlock(A+0x9000, 0) = 0`).mm(1).lockedVm).toBe(0);
  });
  it('stops at a hole with ENOMEM; what came before stays locked, but is not faulted in', () => {
    const ran = ranWell(`${HOLE}1 mlock(A, 0x4000) = -1 ENOMEM`);
    expect(ran.mm(1)).toMatchObject({ lockedVm: 2, rss: [0, 0, 0, 0] });
  });
  it('locks PROT_NONE, but says ENOMEM', () => {
    expect(ranWell(`${A}1 mprotect(A, 0x1000, PROT_NONE) = 0\n1 mlock(A, 0x1000) = -1 ENOMEM`).mm(1).lockedVm).toBe(1);
  });
  it('heeds RLIMIT_MEMLOCK', () => {
    ranWell(`${A}1 mlock(A, 0x2000) = 0\n1 mlock(A+0x2000, 0x1000) = -1 ENOMEM`, { machine: { memlockLimit: 0x2000 } });
  });
  it('on fault locks without faulting in, and knows no other flags', () => {
    expect(ranWell(`${A}1 mlock2(A, 0x1000, 1) = 0\n1 mlock2(A, 0x1000, 2) = -1 EINVAL`).mm(1)).toMatchObject({
      lockedVm: 1,
      rss: [0, 0, 0, 0],
    });
  });
  it('is undone by munlock, which merges again', () => {
    const ran = ranWell(
      `${A}1 mlock(A+0x1000, 0x1000) = 0\n1 munlock(A, 0x4000) = 0\n1 munlock(A, 0x9000) = -1 ENOMEM`,
    );
    expect(ran.vmas(1)).toHaveLength(1);
    expect(ran.mm(1).lockedVm).toBe(0);
  });
});

describe('mlockall', () => {
  it('locks what is there, or what will come, or both', () => {
    const current = ranWell(
      `${A}1 mlockall(MCL_CURRENT) = 0\n1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)`,
    );
    expect(current.mm(1)).toMatchObject({ lockedVm: 4, rss: [0, 4, 0, 0] });
    const future = ranWell(
      `${A}1 mlockall(MCL_FUTURE) = 0\n1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)`,
    );
    expect(future.mm(1).lockedVm).toBe(1);
  });
  it('refuses no flags, unknown flags, and MCL_ONFAULT alone', () => {
    ranWell('1 mlockall(0) = -1 EINVAL\n1 mlockall(8) = -1 EINVAL\n1 mlockall(MCL_ONFAULT) = -1 EINVAL');
  });
  it('is undone by munlockall', () => {
    const ran = ranWell(`${A}1 mlockall(MCL_CURRENT|MCL_FUTURE) = 0\n1 munlockall() = 0`);
    expect(ran.mm(1)).toMatchObject({ lockedVm: 0, defFlags: 0 });
    expect(ran.vmas(1).some((vma) => (vma.flags & VM_LOCKED) !== 0)).toBe(false);
  });
});

describe('msync', () => {
  it('refuses unknown flags, both kinds of sync, and an unaligned start', () => {
    ranWell(`${A}
1 msync(A, 0x1000, 8) = -1 EINVAL
1 msync(A, 0x1000, MS_ASYNC|MS_SYNC) = -1 EINVAL
1 msync(A+8, 0x1000, MS_SYNC) = -1 EINVAL
1 msync(A, 0x1000, 0) = 0
1 msync(A, 0x4000, MS_SYNC|MS_INVALIDATE) = 0
`);
  });
  it('says ENOMEM for a hole and for a range that wraps, and nothing for none', () => {
    ranWell(`${HOLE}
1 msync(A, 0x4000, MS_ASYNC) = -1 ENOMEM
1 msync(A, 0x4000, MS_SYNC) = -1 ENOMEM
1 msync(A, 0xfffffffffffff000, MS_SYNC) = -1 ENOMEM
1 msync(A+0x2000, 0, MS_SYNC) = 0
`);
  });
  it('cannot invalidate locked pages, even behind a hole', () => {
    ranWell(`${HOLE}1 mlock(A+0x3000, 0x1000) = 0\n1 msync(A, 0x4000, MS_INVALIDATE) = -1 EBUSY`);
  });
});

describe('mincore', () => {
  it('refuses an unaligned start and says ENOMEM for a hole', () => {
    ranWell(`${HOLE}
1 mincore(A+8, 0x1000) = -1 EINVAL
1 mincore(A, 0x4000) = -1 ENOMEM
1 mincore(A, 0x2000) = 0
1 mincore(A+0x2000, 0) = 0
`);
  });
});
