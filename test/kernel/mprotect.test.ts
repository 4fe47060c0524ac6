import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PTE_PROTNONE } from '../../reducers/pte.js';
import { ranWell, runWorkload } from '../support/workload.js';

const A = `1 mmap(0x10000000000, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A\n`;
const RW = 'PROT_READ|PROT_WRITE';

describe('mprotect', () => {
  it('checks direction, alignment, length, range and rights, in that order', () => {
    ranWell(`${A}
1 mprotect(A+8, 0, 0x3000000) = -1 EINVAL
1 mprotect(A+8, 0, PROT_READ) = -1 EINVAL
1 mprotect(A, 0, 0x10) = 0
1 mprotect(A, 0xffffffffffffffff, PROT_READ) = -1 ENOMEM
1 mprotect(A, 0xfffffffffffff000, 0x10) = -1 ENOMEM
1 mprotect(A, 0x1000, 0x10) = -1 EINVAL
1 mprotect(A+0x4000, 0x1000, PROT_READ) = -1 ENOMEM
1 mprotect(A, 0x1000, PROT_READ|PROT_GROWSDOWN) = -1 EINVAL
1 mprotect(A, 0x1000, PROT_READ|PROT_GROWSUP) = -1 EINVAL
`);
  });
  it('stops at a hole with ENOMEM; what came before has changed', () => {
    const ran = ranWell(`${A}1 munmap(A+0x2000, 0x1000) = 0\n1 mprotect(A, 0x4000, PROT_READ) = -1 ENOMEM`);
    expect(ran.vmas(1).map((vma) => vma.flags & 3)).toEqual([1, 3]);
  });
  it('with PROT_GROWSDOWN begins where the mapping does', () => {
    const ran = ranWell(`
1 mmap(0x10000000000, 0x4000, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED|MAP_GROWSDOWN, -1, 0) = A
1 mprotect(A+0x2000, 0x1000, PROT_READ|PROT_GROWSDOWN) = 0
`);
    expect(ran.vmas(1).map((vma) => [(vma.end - vma.start) / 4096, vma.flags & 3])).toEqual([
      [3, 1],
      [1, 3],
    ]);
  });
  it('takes the write bit away and gives it back to exclusive pages without a fault', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 mprotect(A, 0x1000, PROT_READ) = 0\n1 store(A, 2) = SIGSEGV
1 mprotect(A, 0x1000, ${RW}) = 0\n1 store(A, 2)`);
    expect(ran.faults(1)).toBe(1);
  });
  it('before 6.0 left that to a fault', () => {
    const ran = ranWell(
      `${A}1 store(A, 1)\n1 mprotect(A, 0x1000, PROT_READ) = 0\n1 mprotect(A, 0x1000, ${RW}) = 0\n1 store(A, 2)`,
      { kernel: '5.19' },
    );
    expect(ran.faults(1)).toBe(2);
  });
  it('gives no write bit to shared pages, the zero page and file pages', () => {
    const ran = ranWell(`${A}
1 store(A, 1)
1 load(A+0x1000) = 0
1 fork() = 2
1 mprotect(A, 0x4000, PROT_READ) = 0
1 mprotect(A, 0x4000, ${RW}) = 0
`);
    expect([ran.writable(1, ran.addr('A')), ran.writable(1, ran.addr('A') + 0x1000)]).toEqual([false, false]);
    const file = ranWell(`
inode("/f", 0, 0x1000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE, 3, 0) = A
1 load(A)
1 mprotect(A, 0x1000, ${RW}) = 0
`);
    expect(file.writable(1, file.addr('A'))).toBe(false);
  });
  it('gives the write bit to shared file pages only where they are dirty', () => {
    const ran = ranWell(`
inode("/f", 0, 0x2000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(NULL, 0x2000, ${RW}, MAP_SHARED, 3, 0) = A
1 store(A, 1)
1 load(A+0x1000)
1 mprotect(A, 0x2000, PROT_READ) = 0
1 mprotect(A, 0x2000, ${RW}) = 0
`);
    expect([ran.writable(1, ran.addr('A')), ran.writable(1, ran.addr('A') + 0x1000)]).toEqual([true, false]);
  });
  it('to PROT_NONE keeps pages, which still count', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 mprotect(A, 0x1000, PROT_NONE) = 0\n1 load(A) = SIGSEGV`);
    expect(ran.entry(1, ran.addr('A')) & PTE_PROTNONE).not.toBe(0);
    expect(ran.mm(1).rss).toEqual([0, 1, 0, 0]);
    ranWell(
      `${A}1 store(A, 1)\n1 mprotect(A, 0x1000, PROT_NONE) = 0\n1 mprotect(A, 0x1000, PROT_READ) = 0\n1 load(A) = 1`,
    );
  });
  it('charges private memory when it first becomes writable, and uncharges what was never touched', () => {
    const ro = '1 mmap(NULL, 0x2000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A\n';
    expect(ranWell(ro).run.view.committed).toBe(0);
    expect(ranWell(`${ro}1 mprotect(A, 0x2000, ${RW}) = 0`).run.view.committed).toBe(2);
    expect(
      ranWell(`${ro}1 mprotect(A, 0x2000, ${RW}) = 0\n1 mprotect(A, 0x2000, PROT_READ) = 0`).run.view.committed,
    ).toBe(0);
    const touched = `${ro}1 mprotect(A, 0x2000, ${RW}) = 0\n1 store(A, 1)\n1 mprotect(A, 0x2000, PROT_READ) = 0`;
    expect(ranWell(touched).run.view.committed).toBe(2);
    ranWell(`${ro}1 mprotect(A, 0x2000, ${RW}) = -1 ENOMEM`, { machine: { totalPages: 1 } });
  });
  it('that makes locked private memory writable gives it its pages', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x2000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_LOCKED, -1, 0) = A
1 mprotect(A, 0x2000, ${RW}) = 0
`);
    expect(ran.mm(1).rss).toEqual([0, 2, 0, 0]);
  });
  it('leaves a first split behind where vm.max_map_count forbids the second', () => {
    const ran = ranWell(`${A}1 mprotect(A+0x1000, 0x1000, PROT_READ) = -1 ENOMEM`, { machine: { maxMapCount: 2 } });
    expect(ran.vmas(1).map((vma) => (vma.end - vma.start) / 4096)).toEqual([1, 3]);
  });
  it('leaves neighbouring entries of the zero page leading to the zero page', () => {
    const ran = ranWell(
      `${A}1 load(A, 0x4000) = 0\n1 mprotect(A, 0x4000, PROT_NONE) = 0\n1 mprotect(A, 0x4000, ${RW}) = 0`,
    );
    const a = ran.addr('A');
    const entries = [0, 1, 2, 3].map((i) => ran.entry(1, a + i * 4096));
    expect(new Set(entries).size).toBe(1);
  });
});

describe('mprotect of pages of a large folio', () => {
  it('keeps apart until 6.16 which of them are dirty', () => {
    const text = readFileSync('test/conformance/thp-mprotect-of-a-row-is-dirty-as-one.strace', 'utf8');
    expect(runWorkload(text, { kernel: '6.17' }).failed).toEqual([]);
    expect(runWorkload(text, { kernel: '6.16' }).failed.map((each) => each.split(':')[0])).toEqual(['14', '18']);
  });
});
