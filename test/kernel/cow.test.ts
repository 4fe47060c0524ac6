// Write-protect and unshare faults: section by section the decisions of do_wp_page().
import { describe, expect, it } from 'vitest';
import { ranWell } from '../support/workload.js';

const SHARED = `
1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 0x11, 0x4000)
1 fork() = 2
`;

describe('a private page after fork', () => {
  it('is shared, write-protected and no longer exclusive', () => {
    const ran = ranWell(SHARED);
    const a = ran.addr('A');
    expect(ran.pfn(1, a)).toBe(ran.pfn(2, a));
    expect(ran.page(1, a)).toMatchObject({ mapcount: 2 });
    expect(ran.exclusive(1, a)).toBe(false);
    expect([ran.writable(1, a), ran.writable(2, a)]).toEqual([false, false]);
  });
  it('is copied for the writer while the other maps it, and each reads its own bytes', () => {
    const ran = ranWell(`${SHARED}
1 store(A, 0x22)
1 load(A) = 0x22
2 load(A) = 0x11
2 store(A, 0x33)
1 load(A) = 0x22
2 load(A) = 0x33
`);
    const a = ran.addr('A');
    expect(ran.pfn(1, a)).not.toBe(ran.pfn(2, a));
    expect([ran.exclusive(1, a), ran.exclusive(2, a)]).toEqual([true, true]);
  });
  it('is reused by the parent once the child is gone', () => {
    const before = ranWell(SHARED);
    const ran = ranWell(`${SHARED}
2 exit_group(0)
1 store(A, 0x22)
`);
    const a = ran.addr('A');
    expect(ran.pfn(1, a)).toBe(before.pfn(1, a));
    expect(ran.exclusive(1, a)).toBe(true);
    expect(ran.count('PageReused')).toBe(1);
  });
  it('is reused by the child once the parent unmapped it', () => {
    const before = ranWell(SHARED);
    const ran = ranWell(`${SHARED}
1 munmap(A, 0x4000) = 0
2 store(A, 0x22)
2 load(A+1) = 0x11
`);
    expect(ran.pfn(2, ran.addr('A'))).toBe(before.pfn(2, before.addr('A')));
  });
  it('is reused by whoever writes last, after the other copied', () => {
    const ran = ranWell(`${SHARED}
2 store(A, 0x22)
1 store(A, 0x33)
`);
    expect([ran.count('CowPageMapped'), ran.count('PageReused')]).toEqual([1, 1]);
  });
  it('is copied at each of two generations', () => {
    const ran = ranWell(`${SHARED}
2 fork() = 3
3 store(A, 0x33)
2 store(A, 0x22)
1 store(A, 0x44)
1 load(A) = 0x44
2 load(A) = 0x22
3 load(A) = 0x33
`);
    expect([ran.count('CowPageMapped'), ran.count('PageReused')]).toEqual([2, 1]);
  });
});

describe('a write fault', () => {
  it('replaces the zero page with zeros of its own', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 load(A) = 0
1 store(A+8, 5)
1 load(A) = 0
`);
    expect(ran.mm(1).rss).toEqual([0, 1, 0, 0]);
    expect(ran.faults(1)).toBe(2);
    expect(ran.exclusive(1, ran.addr('A'))).toBe(true);
  });
  it('copies a page of a private file mapping, which stays in the cache', () => {
    const ran = ranWell(`
inode("/f", 0, 0x4000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 load(A)
1 store(A, 1)
`);
    expect(ran.mm(1).rss).toEqual([3, 1, 0, 0]);
  });
  it('reuses an exclusive page whatever else refers to it', () => {
    // mprotect to read-only and back leaves a page exclusive; here the upgrade is switched off, so that a fault must decide.
    const ran = ranWell(
      `
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 mprotect(A, 0x1000, PROT_READ) = 0
1 mprotect(A, 0x1000, PROT_READ|PROT_WRITE) = 0
1 cpu(1)
1 store(A, 2)
`,
      { without: ['mprotect-upgrades-exclusive'] },
    );
    expect([ran.count('PageReused'), ran.count('CowPageMapped')]).toEqual([1, 0]);
  });
  it('never copies shared memory', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 fork() = 2
2 store(A, 2)
1 load(A) = 2
`);
    expect(ran.pfn(1, ran.addr('A'))).toBe(ran.pfn(2, ran.addr('A')));
    expect(ran.count('CowPageMapped')).toBe(0);
  });
});

describe('a page in an LRU batch', () => {
  const ALONE = `
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 fork() = 2
2 exit_group(0)
`;
  it('of this CPU is reused, for the fault empties the batch', () => {
    expect(ranWell(`${ALONE}\n1 store(A, 2)`).count('PageReused')).toBe(1);
  });
  it('of another CPU is copied, though nobody else maps it', () => {
    const ran = ranWell(`${ALONE}\n1 cpu(1)\n1 store(A, 2)`);
    expect([ran.count('PageReused'), ran.count('CowPageMapped')]).toEqual([0, 1]);
  });
  it('of another CPU is reused once that batch was emptied', () => {
    expect(ranWell(`${ALONE}\nlru_add_drain(0)\n1 cpu(1)\n1 store(A, 2)`).count('PageReused')).toBe(1);
  });
  it('of another CPU is reused once 31 pages have filled that batch', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1f000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1, 0x1f000)
1 fork() = 2
2 exit_group(0)
1 cpu(1)
1 store(A, 2)
`);
    expect(ran.count('PageReused')).toBe(1);
  });
});

describe('an unshare fault', () => {
  it('gives a shared page a private copy that stays write-protected', () => {
    const ran = ranWell(`${SHARED}\n1 fault(A, U)\n1 load(A) = 0x11`);
    const a = ran.addr('A');
    expect(ran.pfn(1, a)).not.toBe(ran.pfn(2, a));
    expect([ran.exclusive(1, a), ran.writable(1, a)]).toEqual([true, false]);
  });
  it('makes the last mapping exclusive without touching the entry', () => {
    const ran = ranWell(`${SHARED}\n2 exit_group(0)\n1 fault(A, U)`);
    const a = ran.addr('A');
    expect([ran.exclusive(1, a), ran.writable(1, a)]).toEqual([true, false]);
    expect(ran.count('CowPageMapped')).toBe(0);
  });
  it('leaves an exclusive page as it is', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 fault(A, U)
`);
    expect(ran.writable(1, ran.addr('A'))).toBe(true);
    expect(ran.count('CowPageMapped')).toBe(0);
  });
  it('is a plain read of shared memory', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 fault(A, U)
`);
    expect(ran.mm(1).rss).toEqual([0, 0, 0, 1]);
  });
  it('replaces a page of a private file mapping', () => {
    const ran = ranWell(`
inode("/f", 0, 0x1000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 load(A)
1 fault(A, U)
`);
    expect(ran.mm(1).rss).toEqual([0, 1, 0, 0]);
    expect(ran.writable(1, ran.addr('A'))).toBe(false);
  });
});

describe('reuse through the ages', () => {
  const OUTCOMES = (text: string): Record<string, string> =>
    Object.fromEntries(
      ['5.8', '5.9', '5.17', '5.18', '5.19', '6.18'].map((kernel) => {
        const ran = ranWell(text, { kernel });
        return [kernel, ran.count('PageReused') > 0 ? 'reused' : ran.count('CowPageMapped') > 0 ? 'copied' : 'kept'];
      }),
    );
  it('asks for one mapping up to 5.8, for one reference from 5.9, and drains its own batch from 5.18', () => {
    const recent = `
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 fork() = 2
2 exit_group(0)
1 store(A, 2)
`;
    expect(OUTCOMES(recent)).toEqual({
      '5.8': 'reused',
      '5.9': 'copied',
      '5.17': 'copied',
      '5.18': 'reused',
      '5.19': 'reused',
      '6.18': 'reused',
    });
  });
  it('reuses everywhere what is long on the LRU and alone', () => {
    const old = `
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
lru_add_drain()
1 fork() = 2
2 exit_group(0)
1 store(A, 2)
`;
    expect(new Set(Object.values(OUTCOMES(old)))).toEqual(new Set(['reused']));
  });
  it('copies everywhere what another process maps', () => {
    const shared = `${SHARED}\n1 store(A, 2)`;
    expect(new Set(Object.values(OUTCOMES(shared)))).toEqual(new Set(['copied']));
  });
  it('copied a page never shared from 5.9 to 5.18 where another CPU batched it, which exclusivity ended', () => {
    const protectedOnce = `
1 mmap(NULL, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 mprotect(A, 0x1000, PROT_READ) = 0
1 mprotect(A, 0x1000, PROT_READ|PROT_WRITE) = 0
1 cpu(1)
1 store(A, 2)
`;
    expect(OUTCOMES(protectedOnce)).toEqual({
      '5.8': 'reused',
      '5.9': 'copied',
      '5.17': 'copied',
      '5.18': 'copied',
      '5.19': 'reused',
      '6.18': 'kept',
    });
  });
  it('knows no exclusive pages before 5.19', () => {
    const text = `${SHARED}\n1 store(A, 2)`;
    const a = ranWell(text).addr('A');
    expect(ranWell(text, { kernel: '5.18' }).exclusive(1, a)).toBe(false);
    expect(ranWell(text, { kernel: '5.19' }).exclusive(1, a)).toBe(true);
  });
});
