import { describe, expect, it } from 'vitest';
import { ranWell } from '../support/workload.js';

const RW = 'PROT_READ|PROT_WRITE';
const PRIVATE = 'MAP_PRIVATE|MAP_ANONYMOUS';

describe('mmap', () => {
  it('refuses length 0, a bad offset, a missing type and a bad descriptor', () => {
    ranWell(`
1 mmap(NULL, 0, ${RW}, ${PRIVATE}, -1, 0) = -1 EINVAL
1 mmap(NULL, 0x1000, ${RW}, ${PRIVATE}, -1, 8) = -1 EINVAL
1 mmap(NULL, 0x1000, ${RW}, MAP_ANONYMOUS, -1, 0) = -1 EINVAL
1 mmap(NULL, 0x1000, ${RW}, MAP_PRIVATE, -1, 0) = -1 EBADF
1 mmap(NULL, 0x1000, ${RW}, 0, -1, 0) = -1 EBADF
1 mmap(NULL, 0x1000, ${RW}, MAP_PRIVATE, 77, 0) = -1 EBADF
`);
  });
  it('takes a hint for the page it lies in, and never below vm.mmap_min_addr', () => {
    ranWell(`
1 mmap(0x100000020fff, 0x1000, ${RW}, ${PRIVATE}, -1, 0) = 0x100000020000
1 mmap(0x1fff, 0x1000, ${RW}, ${PRIVATE}, -1, 0) = 0x10000
`);
  });
  it('knows MAP_SHARED_VALIDATE for files only', () => {
    ranWell(`
1 mmap(NULL, 0x1000, ${RW}, MAP_SHARED_VALIDATE|MAP_ANONYMOUS, -1, 0) = -1 EINVAL
1 memfd_create("m", 0) = 3
1 mmap(NULL, 0x1000, ${RW}, MAP_SHARED_VALIDATE, 3, 0) = S
check vma(1, S).perms == "rw-s"
`);
  });
  it('is shared in name, too, where the descriptor may not write', () => {
    ranWell(`
1 inode("/data", 0, 0x1000, 1)
1 openat(AT_FDCWD, "/data", O_RDONLY) = 3
1 mmap(NULL, 0x1000, PROT_READ, MAP_SHARED, 3, 0) = S
check vma(1, S).perms == "r--s"
`);
  });
  it('refuses what is too large or lies outside of user addresses', () => {
    ranWell(`
1 mmap(NULL, 0x7fffffffffffffff, ${RW}, ${PRIVATE}, -1, 0) = -1 ENOMEM
1 mmap(0x800000000000, 0x1000, ${RW}, ${PRIVATE}|MAP_FIXED, -1, 0) = -1 ENOMEM
1 mmap(0x10000000008, 0x1000, ${RW}, ${PRIVATE}|MAP_FIXED, -1, 0) = -1 EINVAL
`);
  });
  it('refuses more memory than there is, unless nothing is to be charged', () => {
    ranWell(
      `
1 mmap(NULL, 0x11000, ${RW}, ${PRIVATE}, -1, 0) = -1 ENOMEM
1 mmap(NULL, 0x11000, ${RW}, ${PRIVATE}|MAP_NORESERVE, -1, 0) = N
1 mmap(NULL, 0x11000, PROT_READ, ${PRIVATE}, -1, 0) = R
1 mmap(NULL, 0x11000, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM
1 mmap(NULL, 0x10000, ${RW}, ${PRIVATE}, -1, 0) = A
`,
      { machine: { totalPages: 16 } },
    );
  });
  it('refused for want of memory leaves its private target cut off, its shared one unmapped', () => {
    const target = `1 mmap(0x10000000000, 0x3000, ${RW}, ${PRIVATE}|MAP_FIXED, -1, 0) = A\n`;
    const machine = { totalPages: 16 };
    const cut = ranWell(`${target}1 mmap(A+0x1000, 0x11000, ${RW}, ${PRIVATE}|MAP_FIXED, -1, 0) = -1 ENOMEM`, {
      machine,
    });
    expect(cut.vmas(1).map((vma) => vma.end - vma.start)).toEqual([0x1000, 0x2000]);
    const gone = ranWell(
      `${target}1 mmap(A+0x1000, 0x11000, ${RW}, MAP_SHARED|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = -1 ENOMEM`,
      {
        machine,
      },
    );
    expect(gone.vmas(1).map((vma) => vma.end - vma.start)).toEqual([0x1000]);
  });
  it('heeds RLIMIT_AS, less what it replaces', () => {
    ranWell(
      `
1 mmap(NULL, 0x4000, ${RW}, ${PRIVATE}, -1, 0) = A
1 mmap(NULL, 0x1000, ${RW}, ${PRIVATE}, -1, 0) = -1 ENOMEM
1 mmap(A, 0x4000, PROT_READ, ${PRIVATE}|MAP_FIXED, -1, 0) = A
`,
      { machine: { addressSpaceLimit: 0x4000 } },
    );
  });
  it('heeds vm.max_map_count', () => {
    ranWell(
      `
1 mmap(NULL, 0x1000, PROT_NONE, ${PRIVATE}, -1, 0) = A
1 mmap(NULL, 0x1000, PROT_READ, ${PRIVATE}, -1, 0) = B
1 mmap(NULL, 0x1000, ${RW}, ${PRIVATE}, -1, 0) = C
1 mmap(NULL, 0x1000, PROT_NONE, ${PRIVATE}, -1, 0) = -1 ENOMEM
`,
      { machine: { maxMapCount: 2 } },
    );
  });
  it('takes the hint where it is free, else the highest gap', () => {
    ranWell(`
1 mmap(0x10000000000, 0x1000, ${RW}, ${PRIVATE}, -1, 0) = 0x10000000000
1 mmap(0x10000000000, 0x1000, ${RW}, ${PRIVATE}, -1, 0) = B
1 mmap(NULL, 0x1000, PROT_NONE, ${PRIVATE}, -1, 0) = B-0x1000
`);
  });
  it('with MAP_FIXED replaces what is there, with MAP_FIXED_NOREPLACE refuses to', () => {
    ranWell(`
1 mmap(NULL, 0x3000, ${RW}, ${PRIVATE}, -1, 0) = A
1 store(A+0x1000, 1)
1 mmap(A+0x1000, 0x1000, ${RW}, ${PRIVATE}|MAP_FIXED_NOREPLACE, -1, 0) = -1 EEXIST
1 load(A+0x1000) = 1
1 mmap(A+0x1000, 0x1000, ${RW}, ${PRIVATE}|MAP_FIXED, -1, 0) = A+0x1000
1 load(A+0x1000) = 0
1 munmap(A, 0x3000) = 0
1 mmap(A, 0x1000, ${RW}, ${PRIVATE}|MAP_FIXED_NOREPLACE, -1, 0) = A
`);
  });
  it('of a descriptor opened read-only may be private and writable, but not shared and writable', () => {
    const ran = ranWell(`
inode("/f", 0, 0x1000, 1)
1 openat(AT_FDCWD, "/f", O_RDONLY) = 3
1 mmap(NULL, 0x1000, ${RW}, MAP_PRIVATE, 3, 0) = A
1 store(A, 1)
1 mmap(NULL, 0x1000, ${RW}, MAP_SHARED, 3, 0) = -1 EACCES
1 mmap(NULL, 0x1000, PROT_READ, MAP_SHARED, 3, 0) = B
1 mprotect(B, 0x1000, ${RW}) = -1 EACCES
1 openat(AT_FDCWD, "/f", O_WRONLY) = 4
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE, 4, 0) = -1 EACCES
`);
    expect(ran.vmas(1)).toHaveLength(2);
  });
  it('of /dev/zero privately is anonymous memory', () => {
    const ran = ranWell(`
1 openat(AT_FDCWD, "/dev/zero", O_RDWR) = 3
1 mmap(NULL, 0x1000, ${RW}, MAP_PRIVATE, 3, 0) = A
1 store(A, 1)
`);
    expect(ran.vmas(1)[0]).toMatchObject({ inode: 0 });
  });
  it('with MAP_POPULATE writes to private writable pages and reads others', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x2000, ${RW}, ${PRIVATE}|MAP_POPULATE, -1, 0) = A
1 mmap(NULL, 0x2000, PROT_READ, ${PRIVATE}|MAP_POPULATE, -1, 0) = B
1 mmap(NULL, 0x2000, ${RW}, MAP_SHARED|MAP_ANONYMOUS|MAP_POPULATE, -1, 0) = S
1 store(A, 1)
1 load(B) = 0
`);
    expect(ran.mm(1).rss).toEqual([0, 2, 0, 2]);
    // All six by mmap itself: the accesses find their pages.
    expect(ran.faults(1)).toBe(6);
  });
  it('with MAP_LOCKED faults in and counts the pages as locked', () => {
    const ran = ranWell(`1 mmap(NULL, 0x2000, ${RW}, ${PRIVATE}|MAP_LOCKED, -1, 0) = A`);
    expect(ran.mm(1)).toMatchObject({ lockedVm: 2, rss: [0, 2, 0, 0] });
    ranWell(`1 mmap(NULL, 0x2000, ${RW}, ${PRIVATE}|MAP_LOCKED, -1, 0) = -1 EAGAIN`, {
      machine: { memlockLimit: 0x1000 },
    });
  });
  it('counts total, data, exec and stack pages', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1000, ${RW}, ${PRIVATE}, -1, 0) = A
1 mmap(NULL, 0x2000, PROT_READ|PROT_EXEC, ${PRIVATE}, -1, 0) = B
1 mmap(NULL, 0x3000, ${RW}, ${PRIVATE}|MAP_GROWSDOWN, -1, 0) = C
1 mmap(NULL, 0x4000, ${RW}, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = D
`);
    expect(ran.mm(1)).toMatchObject({ totalVm: 10, dataVm: 1, execVm: 2, stackVm: 3 });
    // Shared memory is charged to its file.
    expect(ran.run.view.committed).toBe(8);
  });
});

describe('munmap', () => {
  it('refuses an unaligned start and length 0, and takes holes', () => {
    ranWell(`
1 mmap(NULL, 0x4000, ${RW}, ${PRIVATE}, -1, 0) = A
1 munmap(A+8, 0x1000) = -1 EINVAL
1 munmap(A, 0) = -1 EINVAL
1 munmap(0xffff800000000000, 0x1000) = -1 EINVAL
1 munmap(A+0x1000, 1) = 0
1 load(A+0x1000) = SIGSEGV
1 munmap(A, 0x4000) = 0
1 munmap(A, 0x4000) = 0
`);
  });
  it('of the middle splits, which vm.max_map_count can forbid', () => {
    ranWell(
      `
1 mmap(NULL, 0x3000, ${RW}, ${PRIVATE}, -1, 0) = A
1 munmap(A+0x1000, 0x1000) = -1 ENOMEM
1 munmap(A+0x2000, 0x1000) = 0
1 munmap(A, 0x1000) = 0
`,
      { machine: { maxMapCount: 1 } },
    );
  });
  it('gives back pages, counters and tables', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x4000, ${RW}, ${PRIVATE}, -1, 0) = A
1 store(A, 1, 0x4000)
lru_add_drain()
1 munmap(A, 0x4000) = 0
`);
    expect(ran.mm(1)).toMatchObject({
      rss: [0, 0, 0, 0],
      hiwaterRss: 4,
      totalVm: 0,
      dataVm: 0,
      tableBytes: 0,
      vmas: [],
    });
    expect(ran.run.view.anonVmas.filter((each) => each !== null)).toEqual([]);
    expect(ran.run.view.memMap[0]?.every((page) => page.ref === 0)).toBe(true);
  });
  it('keeps tables that a neighbour still reaches', () => {
    const ran = ranWell(`
1 mmap(0x10000000000, 0x4000, ${RW}, ${PRIVATE}|MAP_FIXED, -1, 0) = A
1 store(A, 1, 0x4000)
1 munmap(A+0x1000, 0x3000) = 0
`);
    expect(ran.mm(1).tableBytes).toBe(3 * 4096);
  });
});

describe('brk', () => {
  it('tells the break, moves it, and refuses by telling the old one', () => {
    const ran = ranWell(
      `
1 brk(NULL) = B
1 brk(B+0x3000) = B+0x3000
1 store(B+0x2fff, 1)
1 brk(B+0x1001) = B+0x1001
1 load(B+0x1fff) = 0
1 load(B+0x2000) = SIGSEGV
1 brk(B-0x1000) = B+0x1001
1 mmap(B+0x4000, 0x1000, ${RW}, ${PRIVATE}|MAP_FIXED, -1, 0) = M
1 brk(B+0x4000) = B+0x1001
1 brk(B+0x3000) = B+0x3000
1 brk(B) = B
1 load(B) = SIGSEGV
`,
    );
    expect(ran.mm(1).totalVm).toBe(1);
  });
  it('within a page changes nothing but itself', () => {
    const ran = ranWell('1 brk(NULL) = B\n1 brk(B+1) = B+1\n1 brk(B+0x1000) = B+0x1000');
    expect(ran.mm(1).totalVm).toBe(1);
    expect(ran.vmas(1)).toHaveLength(1);
  });
  it('grows one VMA', () => {
    expect(
      ranWell('1 brk(NULL) = B\n1 brk(B+0x1000) = B+0x1000\n1 store(B, 1)\n1 brk(B+0x3000) = B+0x3000').vmas(1),
    ).toHaveLength(1);
  });
});
