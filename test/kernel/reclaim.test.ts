// Reclaim of the page cache: MADV_PAGEOUT of pages of files and of shared memory.
import { describe, expect, it } from 'vitest';
import { MM_FILEPAGES, PG_DIRTY, PG_RECLAIM, cachedPfn, pageAt } from '../../reducers/state.js';
import { ranWell, runWorkload } from '../support/workload.js';

/** Seven pages, the last one partly, all of them cached; A maps them privately, B shared. */
const FILE = `
inode("/f", 0, 0x6064, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x7000, RW, PRIV, 3, 0) = A
1 mmap(NULL, 0x7000, RW, SH, 3, 0) = B
`;
type Ran = ReturnType<typeof ranWell>;
const cached = ({ run }: Ran): string =>
  [0, 1, 2, 3, 4, 5, 6].map((index) => (cachedPfn(run.view.inodes[1]!, index) >= 0 ? 'x' : '.')).join('');
const flags = ({ run }: Ran, index: number): number =>
  pageAt(run.view, cachedPfn(run.view.inodes[1]!, index)).flags & (PG_DIRTY | PG_RECLAIM);

describe('MADV_PAGEOUT of pages of a file', () => {
  it('unmaps clean pages and takes them out of the cache', () => {
    const ran = ranWell(`${FILE}1 load(A)\n1 madvise(A+P, 0x2000, MADV_PAGEOUT) = 0`);
    expect(cached(ran)).toBe('x..xxxx');
    expect(ran.mm(1).rss[MM_FILEPAGES]).toBe(5);
    expect(ran.count('PageCacheReclaimed')).toBe(2);
    expect(ran.mm(1).hiwaterRss).toBe(7);
  });
  it('reads them again with their neighbours', () => {
    const ran = ranWell(`${FILE}
1 load(A)
1 madvise(A, 0x7000, MADV_PAGEOUT) = 0
1 load(A+0x3000)`);
    expect(cached(ran)).toBe('xxxxxxx');
    expect(ran.run.view.tasks[1]!.majFlt).toBe(1);
    expect(ran.mm(1).rss[MM_FILEPAGES]).toBe(7);
  });
  it('maps those around only where the fault may begin anew, which /proc/PID/mem does not let it', () => {
    const ran = ranWell(`${FILE}
1 load(A)
1 madvise(A, 0x7000, MADV_PAGEOUT) = 0
1 openat(AT_FDCWD, "/proc/self/mem", O_RDWR) = M
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = BUF
1 pread64(M, BUF, 1, A) = 1`);
    expect(cached(ran)).toBe('xxxxxxx');
    expect(ran.mm(1).rss[MM_FILEPAGES]).toBe(1);
  });
  it('reads those that follow where reads are sequential, the one where they are random, what MADV_WILLNEED names', () => {
    const out = `${FILE}1 load(A)\n1 madvise(A, 0x7000, MADV_PAGEOUT) = 0\n`;
    expect(cached(ranWell(`${out}1 madvise(A, 0x7000, MADV_SEQUENTIAL) = 0\n1 load(A+0x3000)`))).toBe('...xxxx');
    expect(cached(ranWell(`${out}1 madvise(A, 0x7000, MADV_RANDOM) = 0\n1 load(A+0x3000)`))).toBe('...x...');
    expect(cached(ranWell(`${out}1 madvise(A+P, 0x2000, MADV_WILLNEED) = 0`))).toBe('.xx....');
  });
  it('leaves pages alone that another entry maps', () => {
    const ran = ranWell(`${FILE}1 load(A)\n1 load(B)\n1 madvise(A, 0x7000, MADV_PAGEOUT) = 0`);
    expect(ran.count('FilePageUnmapped')).toBe(0);
  });
  it('unmaps dirty pages and leaves them in the cache, marked', () => {
    const ran = ranWell(`${FILE}1 store(B, 1)\n1 madvise(B, P, MADV_PAGEOUT) = 0`);
    expect(ran.entry(1, ran.addr('B'))).toBe(0);
    expect(cached(ran)[0]).toBe('x');
    expect(flags(ran, 0)).toBe(PG_DIRTY | PG_RECLAIM);
  });
  it('keeps fault-around from a marked page; who asks for it takes the mark away', () => {
    const marked = `${FILE}1 store(B, 1)\n1 madvise(B, P, MADV_PAGEOUT) = 0\n`;
    const around = ranWell(`${marked}1 load(A+P)`);
    expect(around.entry(1, around.addr('A'))).toBe(0);
    expect(around.mm(1).rss[MM_FILEPAGES]).toBe(6);
    const asked = ranWell(`${marked}1 load(A) = 1`);
    expect(flags(asked, 0)).toBe(PG_DIRTY);
    expect(flags(ranWell(`${marked}1 store(B, 2)`), 0)).toBe(PG_DIRTY);
    expect(flags(ranWell(`${marked}1 msync(B, P, MS_SYNC) = 0`), 0)).toBe(0);
  });
  it('unmaps a page that somebody else holds, and cannot free it', () => {
    const ran = ranWell(`${FILE}1 load(B)\n1 pin(B, P, FOLL_GET) = p\n1 madvise(B, P, MADV_PAGEOUT) = 0`);
    expect(ran.entry(1, ran.addr('B'))).toBe(0);
    expect(cached(ran)[0]).toBe('x');
    expect(ran.count('PageCacheReclaimed')).toBe(0);
  });
  it('swaps the private copies of such a mapping', () => {
    const ran = ranWell(`${FILE}1 store(A, 7)\n1 madvise(A, P, MADV_PAGEOUT) = 0\n1 load(A) = 7`);
    expect(ran.count('PageSwappedOut')).toBe(1);
    expect(ran.count('FilePageUnmapped')).toBe(0);
  });
  it('leaves the disk with what was written back, which the next access reads', () => {
    const written = `${FILE}1 store(B, 1)\n1 msync(B, P, MS_SYNC) = 0\n1 madvise(B, P, MADV_PAGEOUT) = 0\n1 load(B) = 1`;
    expect(ranWell(written).count('PageCacheReclaimed')).toBe(1);
  });
  it('is refused by name where read-ahead would go on behind it', () => {
    const behind = `${FILE}1 store(B, 1)\n1 load(B+P)\n1 madvise(B, 0x2000, MADV_PAGEOUT) = 0\n1 load(A)`;
    expect(() => runWorkload(behind)).toThrow('read-ahead of a marked page');
  });
});

describe('MADV_PAGEOUT of shared memory', () => {
  const MEMORY = `
1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x2000) = 0
1 mmap(NULL, 0x2000, RW, SH, 3, 0) = M
`;
  it('drops pages of zeros that were only read', () => {
    const ran = ranWell(`${MEMORY}1 load(M) = 0\n1 madvise(M, P, MADV_PAGEOUT) = 0`);
    expect(ran.count('PageCacheReclaimed')).toBe(1);
    expect(ranWell(`${MEMORY}1 load(M)\n1 madvise(M, P, MADV_PAGEOUT) = 0\n1 load(M) = 0`).mm(1).rss[3]).toBe(1);
  });
  it('swaps pages that were written to, and frees zeros at once', () => {
    const swapped = `${MEMORY}1 store(M, 1)\n1 store(M+P, 0)\n1 madvise(M, 2*P, MADV_PAGEOUT) = 0\n`;
    const ran = ranWell(swapped);
    expect(ran.count('ShmemPageSwapped')).toBe(2);
    // The page of zeros is not written, so that nobody waits for it.
    expect(ran.count('SwapCacheRemoved')).toBe(1);
    const back = ranWell(
      `${swapped}1 load(M) = 1\n1 load(M+P) = 0\ncheck task(1).maj_flt == 1 and inode(3).swapped == 0\n`,
    );
    expect(back.count('SwapRead')).toBe(1);
    expect(back.run.view.swap.every(({ count }) => count === -1)).toBe(true);
  });
  it('leaves the file no slot when it goes', () => {
    const ran = ranWell(
      `${MEMORY}1 store(M, 1, 2*P)\n1 madvise(M, 2*P, MADV_PAGEOUT) = 0\n1 close(3) = 0\n1 munmap(M, 2*P) = 0\n`,
    );
    expect(ran.run.view.shmem).toEqual({});
    expect(ran.run.view.swap.every(({ count }) => count === -1)).toBe(true);
  });
  it('keeps pages dirty where the area is full', () => {
    const ran = ranWell(`${MEMORY}1 store(M, 1, 2*P)\n1 madvise(M, 2*P, MADV_PAGEOUT) = 0\n1 load(M+P) = 1\n`, {
      machine: { swapPages: 1 },
    });
    expect(ran.count('ShmemPageSwapped')).toBe(1);
  });
  it('is refused by name for memory of a recording', () => {
    const text = `1 memfd_create("m", 0) = 3
1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
1 fault(0x7f0000000000, W)
lru_add_drain()
1 madvise(0x7f0000000000, 4096, MADV_PAGEOUT) = 0
`;
    const ran = runWorkload(text, { recorded: true });
    expect([...ran.run.notModelled.keys()].join()).toMatch(/^swap of shared memory that others may have/);
  });
});
