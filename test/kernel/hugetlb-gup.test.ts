// References to huge pages of the pool: counts, what fork does with pinned ones, writes by force in each era.
import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { folioHead, pageAt } from '../../reducers/state.js';
import { leafAt, ptePfn } from '../../reducers/pte.js';
import type { WorkloadOptions } from '../support/workload.js';
import { ranWell } from '../support/workload.js';

const BASE = 0x100000200000;
/** A pool of `pages`, and one of them mapped and written to at A. */
const begin = (pages: number): string => `
sysfs("hugepages/hugepages-2048kB/nr_hugepages", "${pages}")
1 mmap(${BASE}, H, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 0x01)
`;

/** References and pins of the huge page that task 1 has at BASE. */
function countsAfter(text: string, options: WorkloadOptions = {}): { ref: number; pins: number } {
  const { view } = ranWell(`${begin(3)}${text}`, options).run;
  const pfn = folioHead(view, ptePfn(leafAt(view.mms[1]!, BASE / 4096)));
  return { ref: pageAt(view, pfn).ref, pins: view.largeFolios[pfn]!.pincount };
}

describe('a reference to a huge page of the pool', () => {
  it.each(['', '|FOLL_FAST'])('is counted for each page of 4 KiB, pins apart%s', (fast) => {
    expect(countsAfter(`1 pin(A+0x3800, 0x2000, FOLL_GET${fast}) = D`)).toEqual({ ref: 4, pins: 0 });
    expect(countsAfter(`1 pin(A+0x3800, 0x2000, FOLL_PIN|FOLL_WRITE${fast}) = D`)).toEqual({ ref: 4, pins: 3 });
    const both = `1 pin(A, 8192, FOLL_PIN${fast}) = D\n1 pin(A, 4096, FOLL_GET${fast}) = E\n1 unpin(D) = 0`;
    expect(countsAfter(both)).toEqual({ ref: 2, pins: 0 });
  });
  it.each(['', '|FOLL_FAST'])('faults in what is not there, with its reservation%s', (fast) => {
    ranWell(`sysfs("hugepages/hugepages-2048kB/nr_hugepages", "1")
1 mmap(${BASE}, H, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 pin(A+H-4096, 4096, FOLL_PIN|FOLL_WRITE|FOLL_LONGTERM${fast}) = D
check meminfo.HugePages_Free == 0 and meminfo.HugePages_Rsvd == 0 and page(1, A).writable
1 mmap(0, H, RW, PRIV|ANON|HUGE|MAP_NORESERVE, -1, 0) = B
1 pin(B, 4096, FOLL_PIN${fast}) = -1 EFAULT`);
  });
  it('keeps the page out of the pool when its mapping is gone, and its reservation too', () => {
    const ran = ranWell(`${begin(2)}1 pin(A, 4096, FOLL_PIN) = D
1 munmap(A, H) = 0
check meminfo.HugePages_Free == 1 and meminfo.HugePages_Rsvd == 0-1
1 pin_load(D, 0) = 0x01
1 unpin(D) = 0
check meminfo.HugePages_Free == 2 and meminfo.HugePages_Rsvd == 0`);
    expect(accountingErrors(ran.run.view)).toEqual([]);
  });
  it('may be had for long, and written through, of a file of the pool', () => {
    ranWell(`sysfs("hugepages/hugepages-2048kB/nr_hugepages", "2")
1 memfd_create("m", MFD_HUGETLB) = 3
1 mmap(${BASE}, H, RW, SH|FIXED, 3, 0) = A
1 pin(A, 4096, FOLL_PIN|FOLL_WRITE|FOLL_LONGTERM|FOLL_FAST) = D
1 pin_store(D, 0, 0x07) = 0
1 load(A) = 0x07
1 pin(A, 4096, FOLL_PIN|FOLL_WRITE|FOLL_LONGTERM) = E
1 fork() = 2
2 load(A) = 0x07
check meminfo.HugePages_Free == 1`);
  });
  it('for reading takes a shared page away from who shares it', () => {
    ranWell(`${begin(2)}1 fork() = 2
1 pin(A, 4096, FOLL_PIN) = D
check page(1, A).anon_exclusive and page(2, A).frame != page(1, A).frame and meminfo.HugePages_Free == 0
1 store(A, 0x02)
1 pin_load(D, 0) = 0x02
2 load(A) = 0x01`);
  });
});

describe('fork of a pinned huge page', () => {
  it('asks nobody before 5.12', () => {
    const text = `${begin(1)}1 pin(A, 4096, FOLL_PIN|FOLL_WRITE) = D\n`;
    ranWell(`${text}1 fork() = -1 ENOMEM\n1 unpin(D) = 0\n1 fork() = 2`);
    ranWell(`${text}1 fork() = 2`, { kernel: '5.11' });
  });
  it('leaves nothing behind where it fails', () => {
    const failed = ranWell(`${begin(2)}1 mmap(${BASE + 0x400000}, 2*H, RW, SH|ANON|HUGE|FIXED, -1, 0) = -1 ENOMEM
1 mmap(${BASE + 0x400000}, H, RW, SH|ANON|HUGE|FIXED, -1, 0) = B
1 mmap(${BASE - 0x400000}, 8192, RW, PRIV|ANON|FIXED, -1, 0) = S
1 store(S, 0x05, 8192)
1 pin(A, 4096, FOLL_PIN|FOLL_WRITE) = D
1 fork() = -1 ENOMEM
check page(1, S).mapcount == 1 and not page(1, S).anon_exclusive and not page(1, S).writable
check page(1, A).writable and page(1, A).anon_exclusive and page(1, A).mapcount == 1
check meminfo.HugePages_Free == 1 and meminfo.HugePages_Rsvd == 1`);
    const { view } = failed.run;
    expect(view.mms.filter((mm) => mm !== null)).toHaveLength(1);
    expect(Object.keys(view.tasks)).toEqual(['1']);
    expect(accountingErrors(view)).toEqual([]);
  });
});

describe('a write by force to a huge page that may not be written to', () => {
  const text = `${begin(2)}1 mmap(0, P, RW, PRIV|ANON, -1, 0) = S
1 store(S, 0x33)
1 mprotect(A, H, PROT_READ) = 0
1 openat(AT_FDCWD, "/proc/self/mem", O_RDWR) = M
`;
  it('reaches the page and leaves the entry read-only since 6.15', () => {
    ranWell(`${text}1 pwrite64(M, S, 1, A) = 1\n1 load(A) = 0x33\n1 store(A, 0x44) = SIGSEGV`);
  });
  it('is refused from 6.0 to 6.14', () => {
    for (const kernel of ['6.0', '6.14']) ranWell(`${text}1 pwrite64(M, S, 1, A) = EIO\n1 load(A) = 0x01`, { kernel });
  });
  it('made the entry writable before, for the program as well', () => {
    ranWell(`${text}1 pwrite64(M, S, 1, A) = 1\n1 store(A, 0x44) = 0\n1 load(A) = 0x44`, { kernel: '5.19' });
  });
});
