// Registered buffers in large folios: how many segments, pins and bytes they have, in each era.
import { describe, expect, it } from 'vitest';
import type { HolderView } from '../../reducers/state.js';
import { HolderKind, folioAt, folioHead } from '../../reducers/state.js';
import type { WorkloadOptions } from '../support/workload.js';
import { ranWell } from '../support/workload.js';

/** A folio of 16 pages, and two of 4 behind it. */
const FOLIOS = `
sysfs("transparent_hugepage/hugepages-64kB/enabled", "madvise")
1 io_uring_setup(8) = U
1 mmap(0x100000000000, 0x10000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 0x10000, MADV_HUGEPAGE) = 0
1 store(A, 0x11)
sysfs("transparent_hugepage/hugepages-16kB/enabled", "madvise")
1 mmap(0x100000010000, 0x8000, RW, PRIV|ANON|FIXED, -1, 0) = B
1 madvise(B, 0x8000, MADV_HUGEPAGE) = 0
1 store(B, 0x22)
1 store(B+0x4000, 0x22)
`;

/** Segments of the buffer, each with its bytes; and the pins of each large folio, in the order of the buffer. */
function registered(base: string, length: number, options: WorkloadOptions): { segments: number[]; pins: number[] } {
  const ran = ranWell(
    `${FOLIOS}1 io_uring_register(U, IORING_REGISTER_BUFFERS, [{iov_base=${base}, iov_len=${length}}], 1) = 0`,
    options,
  );
  const { view } = ran.run;
  const buffers = view.holders.filter((each) => each?.kind === HolderKind.buffer) as HolderView[];
  const { pages } = buffers[0] as HolderView;
  const at = (column: number): number[] => pages.filter((_, i) => i % 6 === column);
  const heads = [...new Set(at(0).map((pfn) => folioHead(view, pfn)))];
  return { segments: at(4), pins: heads.map((head) => view.largeFolios[head]?.pincount ?? 0) };
}

describe('a registered buffer', () => {
  it('is one segment in one folio since 6.3, and has one pin', () => {
    expect(registered('A+0x1800', 0x2000, { kernel: '6.18' })).toEqual({ segments: [0x2000], pins: [1] });
    expect(registered('A+0x1800', 0x2000, { kernel: '6.8' })).toEqual({ segments: [0x2000], pins: [1] });
    const { segments, pins } = registered('A+0x1800', 0x2000, {
      without: ['iouring-coalesces-buffers', 'iouring-coalesces-several-folios'],
    });
    expect({ segments, pins }).toEqual({ segments: [0x800, 0x1000, 0x800], pins: [3] });
  });
  it('is one segment for each of several folios since 6.12', () => {
    expect(registered('B+0x3000', 0x2000, { kernel: '6.18' })).toEqual({ segments: [0x1000, 0x1000], pins: [1, 1] });
    expect(registered('B+0x2000', 0x3800, { kernel: '6.12' })).toEqual({ segments: [0x2000, 0x1800], pins: [1, 1] });
    const { segments, pins } = registered('B+0x2000', 0x3800, { kernel: '6.11' });
    expect({ segments, pins }).toEqual({ segments: [0x1000, 0x1000, 0x1000, 0x800], pins: [2, 2] });
  });
  it('keeps all pages where its folios are of two sizes', () => {
    const { segments, pins } = registered('A+0xf000', 0x3000, { kernel: '6.18' });
    expect({ segments, pins }).toEqual({ segments: [0x1000, 0x1000, 0x1000], pins: [1, 2] });
  });
  it('is moved through page by page, whatever its segments', () => {
    const ran = ranWell(`${FOLIOS}
1 pipe2(0) = [R, W]
1 io_uring_register(U, IORING_REGISTER_BUFFERS, [{iov_base=B+0x800, iov_len=0x7000}], 1) = 0
1 store(B+0x3000, 0x33, 0x1000)
1 store(B+0x4000, 0x44, 0x1000)
1 io_uring_write_fixed(U, W, B+0x3f00, 0x200) = 0x200
1 io_uring_read_fixed(U, R, B+0x4f80, 0x200) = 0x200
1 load(B+0x4f80, 0x100) = 0x33
1 load(B+0x5080, 0x100) = 0x44
1 io_uring_write_fixed(U, W, B+0x7700, 0x200) = EFAULT`);
    expect(folioAt(ran.run.view, ran.pfn(1, ran.addr('B'))).order).toBe(2);
  });
});
