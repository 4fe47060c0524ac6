import { describe, expect, it } from 'vitest';
import { forEachPte } from '../../reducers/pte.js';
import type { Ran } from '../support/workload.js';
import { ranWell } from '../support/workload.js';

const FILE = `
inode("/f", 0, 0x40000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
`;
const MEMFD = `
1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x4000) = 0
`;

/** Pages present, counted from `addr`. */
function present(ran: Ran, addr: number): number[] {
  const found: number[] = [];
  forEachPte(ran.mm(1), 0, 2 ** 35, (vpn) => found.push(vpn - addr / 4096));
  return found;
}
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('fault-around', () => {
  it('maps the 16 pages of the window aligned by address, not by file offset', () => {
    const ran = ranWell(`${FILE}
1 mmap(0x10000003000, 0x30000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0x5000) = A
1 load(A+0x10000)
`);
    expect(present(ran, ran.addr('A'))).toEqual(range(13, 29));
    expect(ran.faults(1)).toBe(1);
  });
  it('is cut to the VMA', () => {
    const ran = ranWell(`${FILE}
1 mmap(0x10000003000, 0x4000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 load(A+0x1000)
`);
    expect(present(ran, ran.addr('A'))).toEqual(range(0, 4));
  });
  it('is cut to the page table', () => {
    const ran = ranWell(
      `${FILE}
1 mmap(0x100001fe000, 0x10000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 load(A)
`,
    );
    expect(present(ran, ran.addr('A'))).toEqual([0, 1]);
  });
  it('ends with the file', () => {
    const ran = ranWell(`
inode("/f", 0, 0x2001, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(0x10000000000, 0x8000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 load(A)
`);
    expect(present(ran, ran.addr('A'))).toEqual([0, 1, 2]);
  });
  it('leaves what is mapped already', () => {
    const ran = ranWell(`${FILE}
1 mmap(0x10000000000, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 store(A+0x1000, 1)
1 load(A)
1 load(A+0x1000) = 1
`);
    expect(ran.mm(1).rss).toEqual([3, 1, 0, 0]);
  });
  it('begins anew when a page had to be read, a major fault, and maps what came in with it', () => {
    const ran = ranWell(`
inode("/f", 0, 0x40000, 0)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(0x10000000000, 0x40000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 load(A+0x14000)
`);
    expect(present(ran, ran.addr('A'))).toEqual(range(16, 32));
    expect(ran.run.view.tasks[1]).toMatchObject({ majFlt: 1, minFlt: 0 });
    // 16 pages before it and 16 from it on.
    expect(ran.count('PageCacheAdded')).toBe(32);
  });
  it('passes over what is not cached', () => {
    const ran = ranWell(`
inode("/f", 0, 0x4000, 1)
1 cache_holes("/f", [1, 2])
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(0x10000000000, 0x4000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 load(A)
`);
    expect(present(ran, ran.addr('A'))).toEqual([0, 3]);
  });
  it('does nothing for writes', () => {
    const ran = ranWell(`${FILE}
1 mmap(0x10000000000, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 store(A, 1)
`);
    expect(present(ran, ran.addr('A'))).toEqual([0]);
  });
  it('has the size the machine is set to', () => {
    const ran = ranWell(
      `${FILE}
1 mmap(0x10000000000, 0x10000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 load(A)
`,
      { machine: { faultAroundPages: 4 } },
    );
    expect(present(ran, ran.addr('A'))).toEqual(range(0, 4));
  });
});

describe('a private file mapping', () => {
  it('written first is copied at once; the cache’s page is never mapped', () => {
    const ran = ranWell(`${FILE}
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 store(A, 1)
`);
    expect(ran.mm(1).rss).toEqual([0, 1, 0, 0]);
    expect(ran.faults(1)).toBe(1);
  });
  it('is never writable on a page of the cache', () => {
    const ran = ranWell(`${FILE}
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 load(A)
`);
    expect(ran.writable(1, ran.addr('A'))).toBe(false);
  });
  it('does not show what it wrote to others', () => {
    ranWell(`${MEMFD}
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = B
1 store(A, 1)
1 load(B) = 0
1 store(B, 2)
1 load(A) = 1
`);
  });
});

describe('a shared file mapping', () => {
  it('read first is write-protected, for the file system wants to know of the write', () => {
    const ran = ranWell(`${FILE}
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = A
1 load(A)
1 store(A, 1)
`);
    expect(ran.faults(1)).toBe(2);
    expect(ran.mm(1).rss).toEqual([1, 0, 0, 0]);
    expect(ran.writable(1, ran.addr('A'))).toBe(true);
  });
  it('of shared memory is writable at once after a read', () => {
    const ran = ranWell(`${MEMFD}
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = A
1 load(A) = 0
1 store(A, 1)
`);
    expect(ran.faults(1)).toBe(1);
    expect(ran.mm(1).rss).toEqual([0, 0, 0, 1]);
  });
  it('of shared memory shows everybody the same bytes', () => {
    ranWell(`${MEMFD}
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = A
1 fork() = 2
2 store(A, 7)
1 load(A) = 7
2 exit_group(0)
1 load(A) = 7
`);
  });
});

describe('ftruncate', () => {
  it('takes shared pages and private copies beyond the new end alike', () => {
    const ran = ranWell(`${MEMFD}
1 mmap(NULL, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 store(A+0x1000, 1)
1 mmap(NULL, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = B
1 store(B+0x1000, 2)
1 ftruncate(3, 0x1000) = 0
1 load(A+0x1000) = SIGBUS
1 load(B+0x1000) = SIGBUS
`);
    expect(ran.mm(1).rss).toEqual([0, 0, 0, 0]);
  });
  it('clears the rest of the last page', () => {
    ranWell(`${MEMFD}
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = A
1 store(A, 1, 0x1000)
1 ftruncate(3, 100) = 0
1 load(A+99) = 1
1 load(A+100) = 0
1 ftruncate(3, 0x1000) = 0
1 load(A+100) = 0
`);
  });
});

describe('a fault beyond the end of a file', () => {
  it('leaves the upper tables but none for the page', () => {
    const ran = ranWell(`${MEMFD}
1 mmap(0x10000000000, 0x8000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, 3, 0) = A
1 store(A+0x7000, 1) = SIGBUS
`);
    expect(ran.mm(1).tableBytes).toBe(2 * 4096);
  });
});
