// Fault entry: what becomes of an access, signal by signal.
import { describe, expect, it } from 'vitest';
import { ranWell } from '../support/workload.js';

const anon = (prot: string, pages = 1): string =>
  `1 mmap(NULL, ${pages * 4096}, ${prot}, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A\n`;

describe('an access', () => {
  it('outside of any mapping is SEGV_MAPERR', () => {
    expect(ranWell('1 load(0x10000) = SIGSEGV\n1 store(0x10000, 1) = SIGSEGV').signals).toEqual(['11/1', '11/1']);
  });
  it('in the kernel half is SEGV_MAPERR, at a non-canonical address SI_KERNEL', () => {
    const ran = ranWell('1 load(0xffff888000000000) = SIGSEGV\n1 load(0x1000000000000) = SIGSEGV');
    expect(ran.signals).toEqual(['11/1', '11/128']);
    expect(ran.gots[1]).toMatchObject({ addr: 0 });
  });
  it('that writes to a read-only mapping is SEGV_ACCERR', () => {
    expect(ranWell(`${anon('PROT_READ')}1 store(A, 1) = SIGSEGV`).signals).toEqual(['11/2']);
  });
  it('to PROT_NONE is SEGV_ACCERR, of either kind', () => {
    expect(ranWell(`${anon('PROT_NONE')}1 load(A) = SIGSEGV\n1 store(A, 1) = SIGSEGV`).signals).toEqual([
      '11/2',
      '11/2',
    ]);
  });
  it('that reads execute-only or write-only memory succeeds', () => {
    ranWell(`${anon('PROT_EXEC')}1 load(A) = 0`);
    ranWell(`${anon('PROT_WRITE')}1 load(A) = 0`);
  });
  it('that fetches an untouched page it may not execute maps it first and then is SEGV_ACCERR', () => {
    const ran = ranWell(`${anon('PROT_READ')}1 fetch(A) = SIGSEGV`);
    expect(ran.signals).toEqual(['11/2']);
    expect(ran.faults(1)).toBe(1);
    expect(ran.count('ZeroPageMapped')).toBe(1);
  });
  it('that fetches a present page it may not execute counts no fault', () => {
    expect(ranWell(`${anon('PROT_READ')}1 load(A) = 0\n1 fetch(A) = SIGSEGV`).faults(1)).toBe(1);
  });
  it('that fetches executable memory succeeds', () => {
    ranWell(`${anon('PROT_READ|PROT_EXEC')}1 fetch(A)`);
  });
  it('by the kernel gets EFAULT instead of a signal', () => {
    expect(ranWell('1 kernel_fault(0x10000, R) = -1 EFAULT').signals).toEqual([]);
  });
  it('without a signal counts one fault, with one none', () => {
    expect(ranWell(`${anon('PROT_READ')}1 store(A, 1) = SIGSEGV`).faults(1)).toBe(0);
    expect(
      ranWell(`${anon('PROT_READ|PROT_WRITE', 2)}1 store(A, 1)\n1 store(A+0x1000, 1)\n1 store(A, 2)`).faults(1),
    ).toBe(2);
  });
  it('to a file beyond its end is SIGBUS BUS_ADRERR, read or written, private or shared', () => {
    const ran = ranWell(`
inode("/f", 0, 100, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = A
1 load(A+0x1000) = SIGBUS
1 store(A+0x1000, 1) = SIGBUS
1 mmap(NULL, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = B
1 load(B+0x1000) = SIGBUS
1 store(B+0x1000, 1) = SIGBUS
1 store(B+4095, 1)
`);
    expect(ran.signals).toEqual(['7/2', '7/2', '7/2', '7/2']);
  });
});

describe('anonymous memory', () => {
  it('reads as the zero page, which counts nowhere and needs no anon_vma', () => {
    const ran = ranWell(`${anon('PROT_READ|PROT_WRITE', 2)}1 load(A) = 0\n1 load(A+0x1000) = 0`);
    expect(ran.mm(1).rss).toEqual([0, 0, 0, 0]);
    expect(ran.vmas(1)[0]).toMatchObject({ anonVma: 0 });
    expect(ran.writable(1, ran.addr('A'))).toBe(false);
    expect(ran.faults(1)).toBe(2);
  });
  it('written first is a fresh exclusive page, writable and dirty, in its CPU’s batch', () => {
    const ran = ranWell(`${anon('PROT_READ|PROT_WRITE')}1 cpu(1)\n1 store(A, 1)`);
    const a = ran.addr('A');
    expect(ran.page(1, a)).toMatchObject({ mapcount: 1, ref: 2, lruCpu: 1 });
    expect([ran.exclusive(1, a), ran.writable(1, a)]).toEqual([true, true]);
    expect(ran.mm(1).rss).toEqual([0, 1, 0, 0]);
  });
  it('takes tables of three levels with the first page, of one with the next 2 MiB', () => {
    expect(ranWell(`${anon('PROT_READ|PROT_WRITE')}1 store(A, 1)`).mm(1).tableBytes).toBe(3 * 4096);
    const ran = ranWell(`
1 mmap(0x10000000000, 0x400000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A
1 store(A, 1)
1 store(A+0x200000, 1)
`);
    expect(ran.mm(1).tableBytes).toBe(4 * 4096);
  });
  it('takes its neighbour’s anon_vma where they could be one VMA but for their rights', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 1)
1 mprotect(A, 0x1000, PROT_READ) = 0
1 mmap(A+0x2000, 0x1000, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = B
1 store(B, 1)
`);
    expect(new Set(ran.vmas(1).map((vma) => vma.anonVma)).size).toBe(1);
  });
});

describe('the LRU batch', () => {
  it('holds 31 pages and goes to the LRU with the last', () => {
    const text = (pages: number): string => `${anon('PROT_READ|PROT_WRITE', 40)}1 store(A, 1, ${pages * 4096})`;
    expect(ranWell(text(30)).run.view.cpus[0]?.lruAdd).toHaveLength(30);
    expect(ranWell(text(31)).run.view.cpus[0]?.lruAdd).toHaveLength(0);
    expect(ranWell(text(40)).run.view.cpus[0]?.lruAdd).toHaveLength(9);
  });
  it('keeps a page that was unmapped meanwhile, and frees it when emptied', () => {
    const before = ranWell(`${anon('PROT_READ|PROT_WRITE')}1 store(A, 1)\n1 munmap(A, 0x1000) = 0`);
    expect(before.run.view.memMap[0]?.[0]).toMatchObject({ mapcount: 0, ref: 1 });
    const after = ranWell(`${anon('PROT_READ|PROT_WRITE')}1 store(A, 1)\n1 munmap(A, 0x1000) = 0\nlru_add_drain()`);
    expect(after.run.view.freeHead).toBe(0);
  });
});

describe('the stack', () => {
  const STACK = `1 mmap(0x10000400000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED|MAP_GROWSDOWN, -1, 0) = A\n`;
  it('grows down to the page accessed, whatever the distance, and charges what it gains', () => {
    const ran = ranWell(`${STACK}1 store(A-0x12c000, 1)`);
    expect(ran.vmas(1)[0]).toMatchObject({ start: ran.addr('A') - 0x12c000, end: ran.addr('A') + 0x1000 });
    expect(ran.mm(1)).toMatchObject({ totalVm: 301, stackVm: 301, dataVm: 0 });
    expect(ran.run.view.committed).toBe(301);
  });
  it('does not grow beyond RLIMIT_STACK', () => {
    ranWell(`${STACK}1 store(A-0x3000, 1)\n1 store(A-0x4000, 1) = SIGSEGV`, { machine: { stackLimit: 0x4000 } });
  });
  it('keeps 256 pages away from an accessible mapping below', () => {
    const below = (prot: string): string =>
      `1 mmap(A-0x200000, 0x1000, ${prot}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = B\n`;
    ranWell(`${STACK}${below('PROT_READ')}1 store(B+0x101000, 1)\n1 store(B+0x100000, 1) = SIGSEGV`);
    ranWell(`${STACK}${below('PROT_NONE')}1 store(B+0x1000, 1)`);
  });
  it('does not grow for a mapping without MAP_GROWSDOWN', () => {
    expect(ranWell(`${anon('PROT_READ|PROT_WRITE')}1 store(A-0x1000, 1) = SIGSEGV`).signals).toEqual(['11/1']);
  });
});
