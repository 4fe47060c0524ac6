// Swap: what the kernel decides when pages go and come back, in the ways of several versions.
import { describe, expect, it } from 'vitest';
import { canonicalState } from '../../projections/canonical.js';
import { isSwapPte, pteSwpExclusive, swpOffset } from '../../reducers/pte.js';
import { FREE_SLOT, MM_ANONPAGES, MM_SWAPENTS, PG_SWAPCACHE } from '../../reducers/state.js';
import { ranWell } from '../support/workload.js';

const A = '1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A\n';
const OUT = `${A}1 store(A, 0x11, 0x4000)\n1 madvise(A, 0x4000, MADV_PAGEOUT) = 0\n`;
/** Clean, so that it is gone at once when it is paged out again. */
const ON_DISK = `${OUT}1 load(A, 0x4000) = 0x11\n1 madvise(A, 0x4000, MADV_PAGEOUT) = 0\n`;
const inUse = (ran: ReturnType<typeof ranWell>): number =>
  ran.run.view.swap.filter(({ count }) => count !== FREE_SLOT).length;

describe('MADV_PAGEOUT', () => {
  it('turns entries into swap entries, exclusive ones, and leaves the pages in the swap cache', () => {
    const ran = ranWell(OUT);
    const entry = ran.entry(1, ran.addr('A'));
    expect(isSwapPte(entry) && pteSwpExclusive(entry)).toBe(true);
    expect(ran.mm(1).rss).toEqual([0, 0, 4, 0]);
    expect(ran.run.view.swap[swpOffset(entry)]).toMatchObject({ count: 1 });
    expect(Object.keys(ran.run.view.swapCache)).toHaveLength(4);
    expect(ran.mm(1).hiwaterRss).toBe(4);
  });
  it('passes over the zero page, holes, and pages mapped twice', () => {
    const ran = ranWell(`${A}
1 load(A)
1 store(A+0x1000, 1)
1 fork() = 2
1 madvise(A, 0x4000, MADV_PAGEOUT) = 0`);
    expect(ran.count('PageSwappedOut')).toBe(0);
  });
  it('reclaims memory without access rights, which is present to the kernel', () => {
    expect(
      ranWell(`${A}1 store(A, 1)\n1 mprotect(A, P, NONE)\n1 madvise(A, P, MADV_PAGEOUT) = 0`).count('PageSwappedOut'),
    ).toBe(1);
  });
  it('and MADV_COLD refuse locked memory', () => {
    ranWell(`${A}1 mlock(A, P)\n1 madvise(A, P, MADV_PAGEOUT) = -1 EINVAL\n1 madvise(A, P, MADV_COLD) = -1 EINVAL`);
  });
  it('does not write zeros and frees their page at once', () => {
    const ran = ranWell(`${A}1 store(A, 0)\n1 madvise(A, P, MADV_PAGEOUT) = 0\n1 load(A) = 0`);
    expect(ran.count('SwapRead')).toBe(1);
    expect(ran.run.view.tasks[1]!.majFlt).toBe(1);
  });
  it('leaves pinned pages alone, and cannot free those that somebody else holds', () => {
    const pinned = ranWell(
      `${A}1 store(A, 1)\n1 pin(A, P, FOLL_PIN|FOLL_WRITE) = p\n1 madvise(A, P, MADV_PAGEOUT) = 0`,
    );
    expect(pinned.count('FolioSwapAllocated')).toBe(0);
    const held = ranWell(`${A}
1 store(A, 1)
1 pin(A, P, FOLL_GET) = p
1 madvise(A, P, MADV_PAGEOUT) = 0
1 load(A) = 1
check page(1, A).anon_exclusive and page(1, A).writable`);
    expect(held.count('PageSwappedOut')).toBe(1);
    expect(held.count('FolioAllocated')).toBe(1);
    expect(held.count('SwapWritten')).toBe(0);
  });
  it('keeps a pinned page mapped that is in the swap cache already', () => {
    const ran = ranWell(`${OUT}1 load(A) = 0x11\n1 pin(A, P, FOLL_PIN) = p\n1 madvise(A, P, MADV_PAGEOUT) = 0`);
    expect(isSwapPte(ran.entry(1, ran.addr('A')))).toBe(false);
    expect(ran.exclusive(1, ran.addr('A'))).toBe(true);
  });
  it('leaves pages where they are when all slots are taken', () => {
    const ran = ranWell(OUT, { machine: { swapPages: 3 } });
    expect(ran.mm(1).rss[MM_SWAPENTS]).toBe(3);
    expect(ran.mm(1).rss[MM_ANONPAGES]).toBe(1);
  });
});

describe('a swapped page', () => {
  it('stays in the swap cache after a read, and leaves it with a write', () => {
    const ran = ranWell(`${OUT}1 load(A) = 0x11\n1 store(A+0x1000, 0x22)`);
    expect(ran.page(1, ran.addr('A')).flags & PG_SWAPCACHE).not.toBe(0);
    expect(ran.page(1, ran.addr('A') + 0x1000).flags & PG_SWAPCACHE).toBe(0);
    expect(inUse(ran)).toBe(3);
  });
  it('is read from its slot by a major fault when nobody has it in memory any more', () => {
    const ran = ranWell(`${ON_DISK}1 load(A+0x2000) = 0x11\n1 store(A+0x2000, 0x22)\n1 load(A+0x2001) = 0x11`);
    expect(ran.run.view.tasks[1]!.majFlt).toBe(1);
  });
  it('gives its slot back when half of the area is in use', () => {
    const ran = ranWell(`${OUT}1 load(A) = 0x11`, { machine: { swapPages: 6 } });
    expect(ran.page(1, ran.addr('A')).flags & PG_SWAPCACHE).toBe(0);
    expect(inUse(ran)).toBe(3);
  });
  it('frees its slot with the last entry, whatever takes that away', () => {
    const ways = [
      'madvise(A, 0x4000, MADV_DONTNEED)',
      'munmap(A, 0x4000)',
      'madvise(A, 0x4000, MADV_FREE)',
      'exit_group(0)',
    ];
    for (const start of [OUT, ON_DISK])
      for (const way of ways) {
        const ran = ranWell(`${start}1 ${way}`);
        expect(inUse(ran)).toBe(0);
        expect(ran.run.view.swapCache).toEqual({});
      }
  });
  it('keeps its slot for the child when the parent gives its entry up', () => {
    const ran = ranWell(`${ON_DISK}1 fork() = 2\n1 munmap(A, 0x4000)\n2 load(A) = 0x11`);
    expect(inUse(ran)).toBe(4);
  });
  it('is printed with slot and exclusiveness', () => {
    const ran = ranWell(`${OUT}1 fork() = 2`);
    const [parent, child] = canonicalState(ran.run.view);
    expect(parent?.pages[1]).toMatchObject({ kind: 'swap', slot: 1, excl_entry: false, writable: false });
    expect(child?.pages[1]).toMatchObject({ kind: 'swap', slot: 1, excl_entry: false });
    expect(child?.rss.swap).toBe(4);
  });
  it('is populated and pinned like any other that is not there', () => {
    const ran = ranWell(
      `${ON_DISK}1 madvise(A, 0x2000, MADV_POPULATE_READ) = 0\n1 pin(A+0x2000, P, FOLL_PIN|FOLL_WRITE) = p`,
    );
    expect(ran.mm(1).rss).toEqual([0, 3, 1, 0]);
  });
});

describe('by version', () => {
  const alone = `${OUT}1 load(A) = 0x11\n`;
  it('an exclusive page comes back writable by a read since 5.19', () => {
    const writable = (kernel: string): boolean => {
      const ran = ranWell(alone, { kernel });
      return ran.writable(1, ran.addr('A'));
    };
    expect(['5.8', '5.17', '5.18', '5.19', '6.18'].map(writable)).toEqual([false, false, false, true, true]);
    const without = ranWell(alone, { without: ['swap-exclusive-bit'] });
    expect(without.writable(1, without.addr('A'))).toBe(false);
    expect(without.exclusive(1, without.addr('A'))).toBe(false);
  });
  it('a write after that read copies from 5.9 to 5.17, when the swap cache counted as somebody else', () => {
    const copies = (kernel: string): number => ranWell(`${alone}1 store(A, 0x22)`, { kernel }).count('CowPageMapped');
    expect(['5.8', '5.9', '5.17', '5.18', '6.18'].map(copies)).toEqual([0, 1, 1, 0, 0]);
  });
  it('a write that brings a page back keeps it in all of them', () => {
    const copies = (kernel: string): number => ranWell(`${OUT}1 store(A, 0x22)`, { kernel }).count('CowPageMapped');
    expect(['5.8', '5.9', '5.18', '6.18'].map(copies)).toEqual([0, 0, 0, 0]);
  });
  it('of two that share a slot the first writer copies in all of them', () => {
    const text = `${OUT}1 fork() = 2\n2 store(A, 0x22)\n1 store(A, 0x33)\n2 load(A) = 0x22\n1 load(A) = 0x33`;
    const copies = (kernel: string): number => ranWell(text, { kernel }).count('CowPageMapped');
    expect(['5.8', '5.9', '5.18', '6.18'].map(copies)).toEqual([1, 1, 1, 1]);
  });
});
