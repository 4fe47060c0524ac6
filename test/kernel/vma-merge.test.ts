// Which neighbours become one VMA. Each case was seen on Linux 6.18.
import { describe, expect, it } from 'vitest';
import type { Ran } from '../support/workload.js';
import { ranWell } from '../support/workload.js';

const at = (page: number, pages: number, prot = 'PROT_READ|PROT_WRITE'): string =>
  `mmap(${0x10000000000 + page * 4096}, ${pages * 4096}, ${prot}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0)`;
const addr = (page: number): string => `${0x10000000000 + page * 4096}`;
/** VMAs in pages. */
const sizes = (ran: Ran, pid = 1): number[] => ran.vmas(pid).map((vma) => (vma.end - vma.start) / 4096);

describe('neighbours merge', () => {
  it('when neither was touched', () => {
    expect(sizes(ranWell(`1 ${at(0, 2)}\n1 ${at(2, 2)}`))).toEqual([4]);
  });
  it('when one was touched and the other is new', () => {
    expect(sizes(ranWell(`1 ${at(0, 2)}\n1 store(${addr(0)}, 1)\n1 ${at(2, 2)}`))).toEqual([4]);
    expect(sizes(ranWell(`1 ${at(2, 2)}\n1 store(${addr(2)}, 1)\n1 ${at(0, 2)}`))).toEqual([4]);
  });
  it('when a new mapping fills the gap between one touched and one untouched', () => {
    expect(sizes(ranWell(`1 ${at(0, 1)}\n1 ${at(2, 1)}\n1 store(${addr(2)}, 1)\n1 ${at(1, 1)}`))).toEqual([3]);
  });
  it('when mprotect is taken back', () => {
    const ran = ranWell(`1 ${at(0, 3)}
1 store(${addr(0)}, 1)
1 mprotect(${addr(1)}, 0x1000, PROT_READ) = 0
1 mprotect(${addr(1)}, 0x1000, PROT_READ|PROT_WRITE) = 0
`);
    expect(sizes(ran)).toEqual([3]);
    expect(ran.run.view.anonVmas[1]).toMatchObject({ links: 1, activeVmas: 1 });
  });
  it('when mprotect is taken back in a fork child, whose parts share their anon_vma', () => {
    const ran = ranWell(`1 ${at(0, 3)}
1 store(${addr(0)}, 1)
1 fork() = 2
2 mprotect(${addr(1)}, 0x1000, PROT_READ) = 0
2 mprotect(${addr(1)}, 0x1000, PROT_READ|PROT_WRITE) = 0
`);
    expect(sizes(ran, 2)).toEqual([3]);
  });
  it('when a read-only neighbour becomes writable', () => {
    const ran = ranWell(`1 ${at(0, 1)}
1 store(${addr(0)}, 1)
1 ${at(1, 1, 'PROT_READ')}
1 mprotect(${addr(1)}, 0x1000, PROT_READ|PROT_WRITE) = 0
`);
    expect(sizes(ran)).toEqual([2]);
  });
  it('when parts of one file come in order', () => {
    const ran = ranWell(`
inode("/f", 0, 0x8000, 1)
1 openat(AT_FDCWD, "/f", O_RDWR) = 3
1 mmap(${addr(0)}, 0x1000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0)
1 mmap(${addr(1)}, 0x1000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0x1000)
1 mmap(${addr(2)}, 0x1000, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0x3000)
`);
    expect(sizes(ran)).toEqual([2, 1]);
  });
  it('when what moved next to them was never touched, and takes its anon_vma along when it was', () => {
    const untouched = ranWell(
      `1 ${at(0, 1)}\n1 ${at(8, 1)}\n1 mremap(${addr(8)}, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, ${addr(1)})`,
    );
    expect(sizes(untouched)).toEqual([2]);
    const back = ranWell(`1 ${at(0, 2)}
1 store(${addr(1)}, 1)
1 mremap(${addr(1)}, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, ${addr(8)})
1 munmap(${addr(0)}, 0x1000) = 0
1 ${at(0, 1)}
1 mremap(${addr(8)}, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, ${addr(1)})
1 load(${addr(1)}) = 1
`);
    expect(sizes(back)).toEqual([2]);
    expect(back.vmas(1)[0]?.anonVma).not.toBe(0);
  });
});

describe('neighbours stay apart', () => {
  it('when each was touched on its own, whatever fills the gap', () => {
    const ran = ranWell(`1 ${at(0, 1)}\n1 store(${addr(0)}, 1)\n1 ${at(2, 1)}\n1 store(${addr(2)}, 1)\n1 ${at(1, 1)}`);
    expect(sizes(ran)).toEqual([2, 1]);
  });
  it('when their rights differ', () => {
    expect(sizes(ranWell(`1 ${at(0, 1)}\n1 ${at(1, 1, 'PROT_READ')}`))).toEqual([1, 1]);
  });
  it('when advice made their flags differ', () => {
    expect(sizes(ranWell(`1 ${at(0, 2)}\n1 madvise(${addr(1)}, 0x1000, MADV_DONTDUMP) = 0`))).toEqual([1, 1]);
  });
  it('when one was touched by the parent of this fork child and the other is new', () => {
    const ran = ranWell(`1 ${at(0, 1)}\n1 store(${addr(0)}, 1)\n1 fork() = 2\n2 ${at(1, 1)}\n1 ${at(1, 1)}`);
    expect(sizes(ran, 2)).toEqual([1, 1]);
    expect(sizes(ran, 1)).toEqual([2]);
  });
  it('when a touched mapping moved, for its page offset stays behind', () => {
    const ran = ranWell(`1 ${at(0, 1)}
1 ${at(8, 1)}
1 store(${addr(8)}, 1)
1 mremap(${addr(8)}, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, ${addr(1)})
`);
    expect(sizes(ran)).toEqual([1, 1]);
  });
  it('when shared memory has different objects', () => {
    const shared = (page: number): string =>
      `mmap(${addr(page)}, 0x1000, PROT_READ, MAP_SHARED|MAP_ANONYMOUS|MAP_FIXED, -1, 0)`;
    expect(sizes(ranWell(`1 ${shared(0)}\n1 ${shared(1)}`))).toEqual([1, 1]);
  });
  it('before 6.16 when the one that would take the other in was not touched', () => {
    const text = `1 ${at(0, 1)}
1 ${at(1, 1, 'PROT_READ|PROT_WRITE|PROT_EXEC')}
1 store(${addr(1)}, 1)
1 mprotect(${addr(1)}, 0x1000, PROT_READ|PROT_WRITE) = 0
`;
    expect(sizes(ranWell(text, { kernel: '6.15' }))).toEqual([1, 1]);
    expect(sizes(ranWell(text, { kernel: '6.16' }))).toEqual([2]);
  });
});
