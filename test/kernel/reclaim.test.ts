// reclaim(addr, len): what the kernel takes when memory runs short, large folios as they are. Today's kernel cannot be told which pages to take.
import { describe, expect, it } from 'vitest';
import { ranWell, runWorkload } from '../support/workload.js';

const FOLIO = `sysfs("transparent_hugepage/hugepages-64kB/enabled", "always")
1 mmap(0x100000000000, 0x10000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 0x11, 0x10000)
`;

describe('reclaim', () => {
  it('swaps pages out one by one, and leaves pinned ones', () => {
    ranWell(`
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 0x2000)
1 pin(A, P, FOLL_PIN|FOLL_WRITE) = p
1 reclaim(A, 0x2000)
check page(1, A).present and page(1, A+P).kind == "swap"
1 load(A+P, P) = 0x11`);
  });
  it('drops a folio that MADV_FREE gave up, in two tables as in one', () => {
    ranWell(`${FOLIO}1 madvise(A, 0x10000, MADV_FREE) = 0
1 mremap(A, 0x10000, 0x10000, MREMAP_MAYMOVE|MREMAP_FIXED, 0x2000001f8000) = B
1 reclaim(B, 0x10000)
check not page(1, B).present and not page(1, B+0xf000).present and mm(1).rss_anon == 0
1 load(B, 0x10000) = 0`);
  });
  it('keeps one that was written to since', () => {
    ranWell(`${FOLIO}1 madvise(A, 0x10000, MADV_FREE) = 0
1 store(A+0x3000, 0x22)
1 reclaim(A, 0x10000)
1 load(A, P) = 0x11`);
  });
  it.each([
    ['1 fork() = 2', /several entries map|by others as well/],
    ['1 munmap(A, P) = 0', /mapped in part/],
    [
      '1 mremap(A, 0x10000, 0x10000, MREMAP_MAYMOVE|MREMAP_FIXED, 0x1000001f8000) = 0x1000001f8000',
      /entries stand in two tables/,
    ],
  ])('says by name what it does not do: after %s', (line, message) => {
    const at = line.includes('mremap') ? 'A+0x1f8000' : 'A+P';
    expect(() => runWorkload(`${FOLIO}${line}\n1 reclaim(${at}, P)`)).toThrow(message);
  });
});
