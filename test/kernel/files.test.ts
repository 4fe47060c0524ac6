// What reading, writing and resizing do to pages of files and of shared memory, event by event. Measured on Linux 6.18 (test/conformance/io-*).
import { describe, expect, it } from 'vitest';
import { PG_DIRTY, PG_NOT_UPTODATE, cachedPfn, pageAt } from '../../reducers/state.js';
import { contentText } from '../../reducers/content.js';
import type { Ran } from '../support/workload.js';
import { ranWell, runWorkload } from '../support/workload.js';

const MEMFD = `1 memfd_create("m", 0) = 3
1 mmap(0x100000000000, 0x4000, RW, PRIV|ANON|FIXED, -1, 0) = A
`;
const FILE = `inode("/data", 0, 24676, 1)
1 openat(AT_FDCWD, "/data", O_RDWR) = 3
1 mmap(0x100000000000, 0x4000, RW, PRIV|ANON|FIXED, -1, 0) = A
`;

/** Page `index` of inode 1: what the cache holds of it; null if nothing. */
function cached({ run: { view } }: Ran, index: number): { dirty: boolean; uptodate: boolean; bytes: string } | null {
  const pfn = cachedPfn(view.inodes[1]!, index);
  if (pfn < 0) return null;
  const { flags, content } = pageAt(view, pfn);
  return {
    dirty: (flags & PG_DIRTY) !== 0,
    uptodate: (flags & PG_NOT_UPTODATE) === 0,
    bytes: contentText(content),
  };
}
const size = (ran: Ran): number => ran.run.view.inodes[1]!.size;

describe('fallocate', () => {
  it('leaves new pages of shared memory dirty and not filled; a second one, a fault or a write fills them', () => {
    const text = `${MEMFD}1 mmap(NULL, 0x4000, RW, SH, 3, 0) = S
1 fallocate(3, 0, 0, 0x4000) = 0
`;
    for (const index of [0, 3])
      expect(cached(ranWell(text), index)).toEqual({ dirty: true, uptodate: false, bytes: 'zero' });
    const used = ranWell(`${text}1 fallocate(3, 0, 0, 1) = 0
1 load(S+0x1000) = 0
1 pwrite64(3, A, 1, 0x2000) = 1
1 pread64(3, A, 1, 0x3000) = 1
`);
    expect([0, 1, 2, 3].map((index) => cached(used, index)?.uptodate)).toEqual([true, true, true, false]);
  });
  it('makes an ordinary file longer and leaves the page of its new end unread', () => {
    const ran = ranWell(`${FILE}1 fallocate(3, 0, 0, 40000) = 0\n`);
    expect(size(ran)).toBe(40000);
    expect(cached(ran, 7)).toBeNull();
    expect(cached(ran, 9)).toMatchObject({ dirty: false, uptodate: false });
  });
});

describe('ftruncate', () => {
  it('dirties the page of shared memory that it cuts into, also at the size that it has', () => {
    const text = `${MEMFD}1 ftruncate(3, 5000) = 0
1 mmap(NULL, 0x2000, RW, SH, 3, 0) = S
1 load(S+0x1000) = 0
`;
    expect(cached(ranWell(text), 1)?.dirty).toBe(false);
    expect(cached(ranWell(`${text}1 ftruncate(3, 5000) = 0\n`), 1)?.dirty).toBe(true);
    expect(cached(ranWell(`${text}1 ftruncate(3, 9000) = 0\n`), 1)?.dirty).toBe(false);
  });
  it('allocates nothing where it cuts into a hole', () => {
    expect(cached(ranWell(`${MEMFD}1 ftruncate(3, 8192) = 0\n1 ftruncate(3, 5000) = 0\n`), 1)).toBeNull();
  });
  it('brings the last block of an ordinary file in to zero its rest, shrinking or growing', () => {
    expect(cached(ranWell(`${FILE}1 ftruncate(3, 28672) = 0\n`), 6)).toEqual({
      dirty: true,
      uptodate: true,
      bytes: 'file(1,6)+100:3996=0x00',
    });
    expect(cached(ranWell(`${FILE}1 ftruncate(3, 5000) = 0\n`), 1)).toMatchObject({
      dirty: true,
      bytes: 'file(1,1)+904:3192=0x00',
    });
  });
  it('does not dirty a hole', () => {
    const ran = ranWell(`${FILE}1 ftruncate(3, 50000) = 0\n1 ftruncate(3, 40000) = 0\n`);
    expect(cached(ran, 9)).toMatchObject({ dirty: false, uptodate: false });
  });
  it('takes what the disk held along: a file that grows again has zeros there', () => {
    const ran = ranWell(`${FILE}1 ftruncate(3, 4096) = 0
1 ftruncate(3, 16384) = 0
1 mmap(NULL, 0x4000, RW, PRIV, 3, 0) = F
1 load(F+0x1000, 0x3000) = 0
`);
    expect(cached(ran, 0)?.bytes).toBe('file(1,0)');
  });
});

describe('write', () => {
  it('copies runs of bytes as they are, whole pages of files as well', () => {
    const ran = ranWell(`${FILE}1 memfd_create("m", 0) = 4
1 mmap(NULL, 0x4000, RW, PRIV, 3, 0) = F
1 store(A+100, 0x21, 50)
1 load(F)
1 pwrite64(4, A+90, 100, 5) = 100
1 pwrite64(4, F+0x1000, 0x1000, 0x1000) = 0x1000
1 mmap(NULL, 0x2000, RW, SH, 4, 0) = S
1 load(S+15, 50) = 0x21
1 load(S+65, 40) = 0
`);
    const { view } = ran.run;
    expect(contentText(pageAt(view, cachedPfn(view.inodes[2]!, 1)).content)).toBe('file(1,1)');
  });
  it('reads what of a page is not overwritten, and zeroes the rest of a new one', () => {
    const ran = ranWell(`${FILE}1 store(A, 7, 4096)
1 pwrite64(3, A, 96, 4096) = 96
1 pwrite64(3, A, 96, 28672) = 96
`);
    expect(cached(ran, 1)).toEqual({ dirty: true, uptodate: true, bytes: 'file(1,1)+0:96=0x07' });
    expect(cached(ran, 7)?.bytes).toContain('0:96=0x07');
    expect(cached(ran, 6)?.dirty).toBe(true);
    expect(size(ran)).toBe(28768);
  });
  it('of nothing leaves a block that there was clean, and a new one dirty', () => {
    const ran = ranWell(`${FILE}1 pwrite64(3, 0x100000100000, 1, 4096) = -1 EFAULT
1 pwrite64(3, 0x100000100000, 1, 32768) = -1 EFAULT
`);
    expect([1, 8].map((index) => cached(ran, index)?.dirty)).toEqual([false, true]);
    expect(size(ran)).toBe(32768);
  });
  it('appends where the descriptor says so, wherever it is told to write', () => {
    const ran = ranWell(`${FILE}1 openat(AT_FDCWD, "/data", O_WRONLY|O_APPEND) = 4
1 pwrite64(4, A, 10, 0) = 10
1 write(4, A, 10) = 10
1 lseek(4, 0, 1) = 24696
`);
    expect(size(ran)).toBe(24696);
  });
  it('is cut at what one file may hold, and named where the model stops counting pages', () => {
    ranWell(`${FILE}1 pwrite64(3, A, 10, 17592186040320) = -1 EFBIG\n`);
    expect(() => runWorkload(`${MEMFD}1 pwrite64(3, A, 1, 0x10000000000)`)).toThrow('not modelled: pages of a file');
  });
});

describe('positions', () => {
  it('go on by what was moved, not by what was asked for, and stay where nothing was', () => {
    ranWell(`${FILE}1 lseek(3, -5, 2) = 24671
1 read(3, A, 100) = 5
1 lseek(3, 0, 1) = 24676
1 read(3, A, 100) = 0
1 read(3, 0x100000100000, 100) = 0
1 lseek(3, 0, 0) = 0
1 read(3, 0x100000100000, 100) = -1 EFAULT
1 lseek(3, 0, 1) = 0
1 write(3, A+0x3000, 0x1100) = 0x1000
1 lseek(3, 0, 1) = 0x1000
`);
  });
  it('are the open file description’s: shared by dup and fork, not by open', () => {
    const ran = ranWell(`${FILE}1 dup(3) = 4
1 openat(AT_FDCWD, "/data", O_RDONLY) = 5
1 fork() = 2
2 read(4, A, 10) = 10
1 lseek(3, 0, 1) = 10
1 lseek(5, 0, 1) = 0
`);
    expect(ran.run.view.positions).toEqual([10, 0]);
  });
  it('of data and holes are not modelled', () => {
    expect(() => runWorkload(`${FILE}1 lseek(3, 0, 3)`)).toThrow('not modelled: lseek to data and holes');
  });
});

describe('open', () => {
  it('with O_TRUNC empties the file', () => {
    const ran = ranWell(`${FILE}1 mmap(NULL, 0x1000, RW, SH, 3, 0) = S
1 load(S)
1 openat(AT_FDCWD, "/data", O_RDWR|O_TRUNC) = 4
1 load(S) = SIGBUS
`);
    expect(size(ran)).toBe(0);
    expect(cached(ran, 0)).toBeNull();
  });
});
