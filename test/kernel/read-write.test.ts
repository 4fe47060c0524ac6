// read and write between files and user buffers: what of the buffer is touched, what the pages hold afterwards.
import { describe, expect, it } from 'vitest';
import { ranWell } from '../support/workload.js';

const MEMFD = `1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x2000) = 0
1 mmap(0x100000000000, 0x2000, RW, PRIV|ANON|FIXED, -1, 0) = A
`;

describe('pwrite64', () => {
  it('brings the bytes of the buffer to the mappings of the file, and makes it larger', () => {
    const ran = ranWell(`${MEMFD}1 mmap(NULL, 0x4000, RW, SH, 3, 0) = S
1 store(A, 0x11, 0x2000)
1 pwrite64(3, A+0x800, 0x1000, 0x1800) = 0x1000
1 load(S+0x1800, 0x800) = 0x11
1 load(S+0x1000, 0x800) = 0
1 load(S+0x2000, 0x800) = 0x11
1 load(S+0x3000) = SIGBUS
`);
    expect(ran.run.view.inodes[1]!.size).toBe(0x2800);
  });
  it('brings pages of an ordinary file into the cache, new ones as zeros, and reads them back', () => {
    ranWell(`${MEMFD}1 inode("/data", 0, 0x1000, 1)
1 openat(AT_FDCWD, "/data", O_RDWR) = 4
1 store(A, 0x11, 0x1000)
1 pwrite64(4, A, 0x1000, 0) = 0x1000
1 pwrite64(4, A, 0x800, 0x1000) = 0x800
1 mmap(NULL, 0x2000, RW, SH, 4, 0) = S
1 load(S, 0x1000) = 0x11
1 load(S+0x1000, 0x800) = 0x11
1 load(S+0x1800, 0x800) = 0
1 store(A+0x1000, 0x22)
1 pread64(4, A+0x1000, 0x800, 0x1000) = 0x800
1 load(A+0x1000, 0x800) = 0x11
`);
  });
  it('uses a buffer up to where it ends, and is EFAULT if that is at once', () => {
    ranWell(`${MEMFD}1 pwrite64(3, A+0x1000, 0x1001, 0) = 0x1000
1 pwrite64(3, A+0x2000, 1, 0) = -1 EFAULT
1 pwrite64(3, A+0x2000, 0, 0) = 0
`);
  });
  it('leaves the page and the size that shared memory had got ready for bytes it could not have', () => {
    const ran = ranWell(`${MEMFD}1 pwrite64(3, A+0x2000, 1, 0x4800) = -1 EFAULT
1 mmap(NULL, 0x6000, RW, SH, 3, 0) = S
1 load(S+0x4000) = 0
1 load(S+0x5000) = SIGBUS
1 pwrite64(3, 0xffff800000000000, 1, 0x8000) = -1 EFAULT
`);
    expect(ran.run.view.inodes[1]!.size).toBe(0x4800);
    expect(ran.count('PageCacheAdded')).toBe(1);
  });
  it('touches nothing for a descriptor that cannot be written to', () => {
    const ran = ranWell(`${MEMFD}1 pwrite64(4, A, 1, 0) = -1 EBADF
1 inode("/data", 0, 0x1000, 1)
1 openat(AT_FDCWD, "/data", O_RDONLY) = 4
1 pwrite64(4, A, 1, 0) = -1 EBADF
`);
    expect(ran.faults(1)).toBe(0);
  });
});

describe('pread64', () => {
  it('writes what the file holds, to the end of the file and no further', () => {
    const ran = ranWell(`${MEMFD}1 mmap(NULL, 0x2000, RW, SH, 3, 0) = S
1 store(S, 0x22, 0x1000)
1 store(A, 0x33, 0x2000)
1 pread64(3, A, 0x1000, 0x800) = 0x1000
1 load(A, 0x800) = 0x22
1 load(A+0x800, 0x800) = 0
1 ftruncate(3, 0x1800) = 0
1 pread64(3, A, 0x2000, 0x1000) = 0x800
1 pread64(3, A, 1, 0x1800) = 0
1 load(A+0x1000) = 0x33
`);
    expect(ran.mm(1).rss).toEqual([0, 2, 0, 1]);
  });
});
