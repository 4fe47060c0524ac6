// Registered buffers in large folios: how many segments, pins and bytes they have, in each era.
import { describe, expect, it } from 'vitest';
import type { HolderView } from '../../reducers/state.js';
import { HolderKind, folioAt, folioHead, pageAt } from '../../reducers/state.js';
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

const RING = `
1 io_uring_setup(8) = U
1 io_uring_register(U, IORING_REGISTER_PBUF_RING, {ring_entries=256, bgid=3, flags=IOU_PBUF_RING_MMAP}, 1) = 0
1 mmap(NULL, P, RW, SH, U, IORING_OFF_PBUF_RING|0x30000) = A
1 store(A, 0x11)
`;
const UNREGISTER = '1 io_uring_register(U, IORING_UNREGISTER_PBUF_RING, {bgid=3}, 1) = 0';

describe('a ring of provided buffers', () => {
  /** References of the ring's page, and resident pages of files, after `more`. */
  const counted = (kernel: string, more: string): readonly number[] => {
    const ran = ranWell(`${RING}${more}`, { kernel });
    return [pageAt(ran.run.view, 0).ref, ran.mm(1).rss[0] as number];
  };
  it('has a reference for each mapping since 6.10, and is freed with the last', () => {
    expect(counted('6.18', '')).toEqual([2, 1]);
    expect(counted('6.10', UNREGISTER)).toEqual([1, 1]);
    expect(counted('6.18', `${UNREGISTER}\n1 load(A) = 0x11\n1 munmap(A, P) = 0`)).toEqual([0, 0]);
  });
  it('is mapped by its number before: kept by the instance from 6.8 on, freed with the ring to 6.7', () => {
    expect(counted('6.9', '')).toEqual([1, 0]);
    expect(counted('6.8', `${UNREGISTER}\n1 load(A) = 0x11`)).toEqual([1, 0]);
    expect(counted('6.8', `${UNREGISTER}\n1 munmap(A, P) = 0\n1 close(U) = 0`)).toEqual([0, 0]);
    expect(counted('6.7', UNREGISTER)).toEqual([0, 0]);
  });
  it('goes with its instance', () => {
    expect(counted('6.18', '1 munmap(A, P) = 0\n1 close(U) = 0')).toEqual([0, 0]);
    expect(pageAt(ranWell(`${RING}1 exit_group(0)`).run.view, 0).ref).toBe(0);
  });
  it('is refused by name where memory is the program’s, larger, mapped privately, or mapped when all is closed', () => {
    const refused =
      (line: string): (() => unknown) =>
      () =>
        ranWell(`${RING}${line}`);
    const register = (fields: string): string => `1 io_uring_register(U, IORING_REGISTER_PBUF_RING, {${fields}}, 1)`;
    expect(refused(register('ring_addr=A, ring_entries=16, bgid=4'))).toThrow('in memory of the program');
    expect(refused(register('ring_entries=512, bgid=4, flags=IOU_PBUF_RING_MMAP'))).toThrow('of several pages');
    expect(refused('1 mmap(NULL, P, RW, PRIV, U, IORING_OFF_PBUF_RING|0x30000)')).toThrow(
      'private mappings of io_uring',
    );
    expect(refused('1 mmap(NULL, P, RW, SH, U, IORING_OFF_SQES)')).toThrow('queues');
    expect(refused('1 close(U)')).toThrow('whose memory is mapped');
  });
});
