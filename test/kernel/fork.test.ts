import { describe, expect, it } from 'vitest';
import { VM_LOCKED } from '../../reducers/vma.js';
import { ranWell } from '../support/workload.js';

const PRIVATE = 'PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0';

describe('fork', () => {
  it('copies entries only where faults could not bring them back', () => {
    const ran = ranWell(`
inode("/f", 0, 0x4000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE, 3, 0) = F
1 load(F)
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = S
1 store(S, 7)
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = Z
1 load(Z) = 0
1 fork() = 2
`);
    expect(ran.mm(2).rss).toEqual([0, 0, 0, 0]);
    expect(ran.mm(2).tableBytes).toBe(0);
    expect(ran.vmas(2)).toHaveLength(ran.vmas(1).length);
  });
  it('copies file pages too once the VMA has an anon_vma', () => {
    const ran = ranWell(`
inode("/f", 0, 0x4000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 load(A)
1 store(A, 1)
1 fork() = 2
`);
    expect(ran.mm(2).rss).toEqual([3, 1, 0, 0]);
    expect(ran.page(1, ran.addr('A') + 4096)).toMatchObject({ mapcount: 2 });
  });
  it('copies the zero page once the VMA has an anon_vma', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x2000, ${PRIVATE}) = A
1 load(A) = 0
1 store(A+0x1000, 1)
1 fork() = 2
`);
    expect(ran.entry(2, ran.addr('A'))).not.toBe(0);
    expect(ran.mm(2).rss).toEqual([0, 1, 0, 0]);
  });
  it('gives the child the same sums but no locks', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x3000, ${PRIVATE}) = A
1 mlock(A, 0x1000) = 0
1 fork() = 2
`);
    const [parent, child] = [ran.mm(1), ran.mm(2)];
    expect([child.totalVm, child.dataVm]).toEqual([parent.totalVm, parent.dataVm]);
    expect([parent.lockedVm, child.lockedVm]).toEqual([1, 0]);
    expect(ran.vmas(2).some((vma) => (vma.flags & VM_LOCKED) !== 0)).toBe(false);
    expect(child.hiwaterRss).toBe(1);
  });
  it('shares the bytes of the moment and nothing later', () => {
    ranWell(`
1 mmap(NULL, 0x2000, ${PRIVATE}) = A
1 store(A, 1)
1 fork() = 2
1 store(A, 2)
1 store(A+0x1000, 3)
2 load(A) = 1
2 load(A+0x1000) = 0
`);
  });
  it('with CLONE_VM shares the address space, which ends with its last user', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1000, ${PRIVATE}) = A
1 clone(flags=CLONE_VM|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD) = 2
2 store(A, 9)
1 load(A) = 9
1 exit(0)
2 load(A) = 9
`);
    expect(ran.mm(2)).toMatchObject({ users: 1, rss: [0, 1, 0, 0] });
  });
});

describe('MADV_DONTFORK', () => {
  const TEXT = `
1 mmap(NULL, 0x3000, ${PRIVATE}) = A
1 store(A, 1, 0x3000)
1 madvise(A+0x1000, 0x1000, MADV_DONTFORK) = 0
1 fork() = 2
`;
  it('keeps a range from the child and leaves the parent writable and exclusive', () => {
    const ran = ranWell(`${TEXT}\n2 load(A+0x1000) = SIGSEGV\n2 load(A+0x2000) = 1`);
    const middle = ran.addr('A') + 0x1000;
    expect([ran.writable(1, middle), ran.exclusive(1, middle)]).toEqual([true, true]);
    expect([ran.mm(2).totalVm, ran.mm(2).dataVm]).toEqual([2, 2]);
  });
  it('is undone by MADV_DOFORK', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x3000, ${PRIVATE}) = A
1 madvise(A+0x1000, 0x1000, MADV_DONTFORK) = 0
1 madvise(A, 0x3000, MADV_DOFORK) = 0
`);
    expect(ran.vmas(1)).toHaveLength(1);
  });
});

describe('MADV_WIPEONFORK', () => {
  it('gives the child zeros and a VMA without anon_vma, and leaves the parent alone', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1000, ${PRIVATE}) = A
1 store(A, 1)
1 madvise(A, 0x1000, MADV_WIPEONFORK) = 0
1 fork() = 2
`);
    const a = ran.addr('A');
    expect(ran.vmas(2)[0]).toMatchObject({ anonVma: 0, chain: [] });
    expect([ran.writable(1, a), ran.exclusive(1, a)]).toEqual([true, true]);
    ranWell(`
1 mmap(NULL, 0x1000, ${PRIVATE}) = A
1 store(A, 1)
1 madvise(A, 0x1000, MADV_WIPEONFORK) = 0
1 fork() = 2
2 load(A) = 0
2 fork() = 3
3 load(A) = 0
1 load(A) = 1
`);
  });
  it('is undone by MADV_KEEPONFORK', () => {
    ranWell(`
1 mmap(NULL, 0x1000, ${PRIVATE}) = A
1 store(A, 1)
1 madvise(A, 0x1000, MADV_WIPEONFORK) = 0
1 madvise(A, 0x1000, MADV_KEEPONFORK) = 0
1 fork() = 2
2 load(A) = 1
`);
  });
  it('is refused for shared memory and files', () => {
    ranWell(`
inode("/f", 0, 0x1000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE, 3, 0) = F
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = S
1 madvise(F, 0x1000, MADV_WIPEONFORK) = -1 EINVAL
1 madvise(S, 0x1000, MADV_WIPEONFORK) = -1 EINVAL
`);
  });
});
