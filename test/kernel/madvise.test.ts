import { describe, expect, it } from 'vitest';
import { PTE_DIRTY } from '../../reducers/pte.js';
import { ranWell } from '../support/workload.js';

const PRIVATE = 'PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0';
const A = `1 mmap(NULL, 0x4000, ${PRIVATE}) = A\n`;
const HOLE = `${A}1 store(A, 1, 0x4000)\n1 munmap(A+0x1000, 0x1000) = 0\n`;
const FILE = `
inode("/f", 0, 0x4000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = F
`;

describe('madvise', () => {
  it('refuses what is unaligned, unknown or wraps, before it looks at the length', () => {
    ranWell(`${A}
1 madvise(A+8, 0x1000, MADV_DONTNEED) = -1 EINVAL
1 madvise(A, 0, 77) = -1 EINVAL
1 madvise(A, 0xffffffffffffffff, MADV_DONTNEED) = -1 EINVAL
1 madvise(A, 0xfffffffffffff000, MADV_DONTNEED) = -1 EINVAL
1 madvise(A, 0, MADV_DONTNEED) = 0
1 madvise(A-0x100000, 0, MADV_DONTNEED) = 0
1 madvise(A, 1, MADV_DONTNEED) = 0
`);
  });
  it('goes on behind a hole and says ENOMEM at the end', () => {
    const ran = ranWell(`${HOLE}1 madvise(A, 0x4000, MADV_DONTNEED) = -1 ENOMEM\n1 load(A+0x2000) = 0`);
    expect(ran.mm(1).rss).toEqual([0, 0, 0, 0]);
  });
  it('stops at the first VMA that refuses', () => {
    const ran = ranWell(`${A}
1 store(A, 1, 0x4000)
1 mlock(A+0x1000, 0x1000) = 0
1 madvise(A, 0x4000, MADV_DONTNEED) = -1 EINVAL
`);
    expect(ran.mm(1).rss).toEqual([0, 3, 0, 0]);
  });
  it('that changes flags splits VMAs, and merges them when taken back', () => {
    const split = `${A}1 madvise(A+0x1000, 0x1000, MADV_RANDOM) = 0\n`;
    expect(ranWell(split).vmas(1)).toHaveLength(3);
    expect(ranWell(`${split}1 madvise(A, 0x4000, MADV_NORMAL) = 0`).vmas(1)).toHaveLength(1);
  });
  it('that would split beyond vm.max_map_count is ENOMEM', () => {
    ranWell(`${A}1 madvise(A+0x1000, 0x1000, MADV_DONTFORK) = -1 ENOMEM`, { machine: { maxMapCount: 1 } });
  });
});

describe('MADV_DONTNEED', () => {
  it('gives private pages back: anonymous ones read as zeros, file pages as the file', () => {
    const ran = ranWell(`${A}${FILE}
1 store(A, 1)
1 madvise(A, 0x1000, MADV_DONTNEED) = 0
1 load(A) = 0
1 store(F, 1)
1 madvise(F, 0x1000, MADV_DONTNEED) = 0
1 load(F)
`);
    expect(ran.gots.at(-1)).toEqual({ word: 'unknown' });
    expect(ran.mm(1)).toMatchObject({ rss: [4, 0, 0, 0], hiwaterRss: 1 });
    expect(ran.run.view.committed).toBe(8);
  });
  it('does not lose what is shared', () => {
    ranWell(`1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 madvise(A, 0x1000, MADV_DONTNEED) = 0
1 load(A) = 1
`);
  });
  it('is refused on locked memory, where MADV_DONTNEED_LOCKED is not', () => {
    const ran = ranWell(`${A}1 mlock(A, 0x1000) = 0
1 madvise(A, 0x1000, MADV_DONTNEED) = -1 EINVAL
1 madvise(A, 0x1000, MADV_DONTNEED_LOCKED) = 0
`);
    expect(ran.mm(1).rss).toEqual([0, 0, 0, 0]);
  });
  it('gives back to this process only', () => {
    ranWell(`${A}1 store(A, 1)\n1 fork() = 2\n1 madvise(A, 0x1000, MADV_DONTNEED) = 0\n1 load(A) = 0\n2 load(A) = 1`);
  });
});

describe('MADV_FREE', () => {
  it('is for private anonymous memory that is not locked', () => {
    ranWell(`${A}${FILE}
1 madvise(F, 0x1000, MADV_FREE) = -1 EINVAL
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = S
1 madvise(S, 0x1000, MADV_FREE) = -1 EINVAL
1 mlock(A, 0x1000) = 0
1 madvise(A, 0x1000, MADV_FREE) = -1 EINVAL
`);
  });
  it('keeps pages and bytes until memory is short', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 madvise(A, 0x1000, MADV_FREE) = 0\n1 load(A) = 1`);
    expect(ran.mm(1).rss).toEqual([0, 1, 0, 0]);
  });
  it('cleans the own entry of a shared page; a page dirty itself is skipped if shared', () => {
    const shared = `${A}1 store(A, 1)\n1 fork() = 2\n1 madvise(A, 0x1000, MADV_FREE) = 0`;
    const ran = ranWell(shared);
    expect(ran.count('PagesLazyfreed')).toBe(1);
    const addr = ran.addr('A');
    expect([ran.entry(1, addr) & PTE_DIRTY, ran.entry(2, addr) & PTE_DIRTY]).toEqual([0, PTE_DIRTY]);
    const touched = `${A}1 store(A, 1)\n1 madvise(A, 0x1000, MADV_FREE) = 0\n1 madvise(A, 0x1000, MADV_POPULATE_WRITE) = 0\n`;
    expect(ranWell(`${touched}1 fork() = 2\n1 madvise(A, 0x1000, MADV_FREE) = 0`).count('PagesLazyfreed')).toBe(1);
    expect(ranWell(`${touched}1 madvise(A, 0x1000, MADV_FREE) = 0`).count('PagesLazyfreed')).toBe(2);
  });
  it('puts pages of the LRU into a batch, and those not there into none', () => {
    const young = ranWell(`${A}1 store(A, 1)\n1 madvise(A, 0x1000, MADV_FREE) = 0`);
    expect(young.run.view.cpus[0]?.lruLazyfree).toEqual([]);
    const old = ranWell(`${A}1 store(A, 1)\nlru_add_drain()\n1 madvise(A, 0x1000, MADV_FREE) = 0`);
    expect(old.run.view.cpus[0]?.lruLazyfree).toHaveLength(1);
    expect(old.page(1, old.addr('A'))).toMatchObject({ ref: 2 });
  });
});

describe('advice about fork and dumps', () => {
  it('of KEEPONFORK is fine everywhere, unlike WIPEONFORK', () => {
    ranWell(`${FILE}
1 madvise(F, 0x1000, MADV_KEEPONFORK) = 0
1 madvise(F, 0x1000, MADV_WIPEONFORK) = -1 EINVAL
1 mmap(NULL, 0x1000, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = S
1 madvise(S, 0x1000, MADV_KEEPONFORK) = 0
`);
  });
  it('of DONTFORK, DOFORK, DONTDUMP and DODUMP is fine for files', () => {
    ranWell(`${FILE}
1 madvise(F, 0x1000, MADV_DONTFORK) = 0
1 madvise(F, 0x1000, MADV_DOFORK) = 0
1 madvise(F, 0x1000, MADV_DONTDUMP) = 0
1 madvise(F, 0x1000, MADV_DODUMP) = 0
`);
  });
});

describe('MADV_POPULATE_READ and _WRITE', () => {
  it('fault in without an exception, counted all the same', () => {
    const ran = ranWell(
      `${A}1 madvise(A, 0x2000, MADV_POPULATE_WRITE) = 0\n1 madvise(A+0x2000, 0x2000, MADV_POPULATE_READ) = 0`,
    );
    expect(ran.mm(1).rss).toEqual([0, 2, 0, 0]);
    expect(ran.count('ZeroPageMapped')).toBe(2);
    expect(ran.faults(1)).toBe(4);
  });
  it('break copy-on-write if they write', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 fork() = 2\n1 madvise(A, 0x1000, MADV_POPULATE_WRITE) = 0`);
    expect(ran.pfn(1, ran.addr('A'))).not.toBe(ran.pfn(2, ran.addr('A')));
  });
  it('say ENOMEM for a hole, EINVAL for rights, EFAULT for the end of a file', () => {
    ranWell(`${HOLE}
1 madvise(A, 0x4000, MADV_POPULATE_READ) = -1 ENOMEM
1 mmap(NULL, 0x1000, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = N
1 madvise(N, 0x1000, MADV_POPULATE_READ) = -1 EINVAL
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = R
1 madvise(R, 0x1000, MADV_POPULATE_WRITE) = -1 EINVAL
1 mmap(NULL, 0x1000, PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = W
1 madvise(W, 0x1000, MADV_POPULATE_READ) = -1 EINVAL
1 madvise(W, 0x1000, MADV_POPULATE_WRITE) = 0
`);
    ranWell(`
1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x1000) = 0
1 mmap(NULL, 0x2000, PROT_READ, MAP_SHARED, 3, 0) = S
1 madvise(S, 0x2000, MADV_POPULATE_READ) = -1 EFAULT
`);
  });
});
