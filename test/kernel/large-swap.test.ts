// Large folios and the swap area where today's kernel cannot be asked: older kernels, an area that is full. The rest is in
// test/conformance/swap-large-*.
import { describe, expect, it } from 'vitest';
import type { EventType } from '../../events/index.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const SETTING = 'sysfs("transparent_hugepage/hugepages-64kB/enabled", "madvise")\n';
const folios = (pages: number): string => `swapon("block")\n${SETTING}
1 mmap(0x100000000000, ${pages}*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, ${pages}*P, MADV_HUGEPAGE) = 0
1 store(A, 0x11, ${pages}*P)
`;
const OUT = ['LargeFolioSwapAllocated', 'FolioSplit', 'FolioSwapAllocated'] as const;

/** Runs `text`, whose checks must hold with no invariant broken, with `swapPages` slots; how often each of `types` happened. */
function counted(
  text: string,
  types: readonly EventType[],
  kernel = '6.18',
  swapPages = DEFAULT_MACHINE.swapPages,
): number[] {
  const behaviours = behavioursOf(kernel);
  const ran = runOperations(parseWorkload(text), behaviours, { ...DEFAULT_MACHINE, swapPages });
  expect(ran.run.mismatches).toEqual([]);
  expect(auditOf(ran, behaviours)).toEqual([]);
  return types.map((type) => ran.events.filter((event) => event.type === type).length);
}

describe('a large folio that is paged out', () => {
  it('goes whole to a block device, split to a file', () => {
    const out = `${folios(16)}1 madvise(A, 16*P, MADV_PAGEOUT) = 0\ncheck mm(1).swap == 16 and mm(1).rss == 0\n`;
    expect(counted(out, OUT)).toEqual([1, 0, 0]);
    expect(counted(out.replace('"block"', '"file"'), OUT)).toEqual([0, 1, 16]);
  });
  it('is split until 6.9 unless a huge entry maps it', () => {
    const out = `${folios(16)}1 madvise(A, 16*P, MADV_PAGEOUT) = 0\n`;
    expect(counted(out, OUT, '6.9')).toEqual([0, 1, 16]);
    expect(counted(out, OUT, '6.10')).toEqual([1, 0, 0]);
    const huge = `${folios(512)}1 madvise(A, H, MADV_PAGEOUT) = 0\n`.replace('64kB', '2048kB');
    expect(counted(huge, OUT, '6.9')).toEqual([1, 0, 0]);
    const split = huge.replace(
      '1 madvise(A, H, MADV_PAGEOUT)',
      '1 mprotect(A, P, PROT_READ) = 0\n1 mprotect(A, P, RW) = 0\n$&',
    );
    expect(counted(split, OUT, '6.9')).toEqual([0, 1, 512]);
  });
  it('is split where no row of slots is free, and its pages take what there is', () => {
    // Slots 0 to 39, behind the header: rows begin at 15 and, too late for a whole one, at 31.
    const out = `${folios(32)}1 madvise(A, 32*P, MADV_PAGEOUT) = 0\ncheck mm(1).swap == 32\n`;
    expect(counted(out, OUT, '6.18', 40)).toEqual([1, 1, 16]);
    expect(counted(out, OUT, '6.18', 47)).toEqual([2, 0, 0]);
  });
  it('takes a row again that was given back, wherever its slots stand in the list', () => {
    const again = `${folios(32)}1 madvise(A, 32*P, MADV_PAGEOUT) = 0
1 munmap(A, 16*P) = 0
1 mmap(A, 16*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 16*P, MADV_HUGEPAGE) = 0
1 store(A, 0x22, 16*P)
1 madvise(A, 16*P, MADV_PAGEOUT) = 0
1 store(A+16*P, 0x33)
1 load(A+3*P) = 0x22
`;
    expect(counted(again, OUT, '6.18', 47)).toEqual([3, 0, 0]);
  });
});

describe('a page of a large folio in the swap cache', () => {
  const back = `${folios(16)}1 madvise(A, 16*P, MADV_PAGEOUT) = 0\n1 load(A+3*P) = 0x11\n`;
  it('comes back alone until 6.10', () => {
    expect(
      counted(`${back}check mm(1).swap == 15 and page(1, A+3*P).order == 4\n`, ['PagesSwappedIn'], '6.10'),
    ).toEqual([1]);
    expect(counted(`${back}check mm(1).swap == 0\n`, ['PagesSwappedIn'])).toEqual([1]);
  });
  it('is locked with the mapping since 6.18', () => {
    const locked = `${folios(16)}1 madvise(A, 16*P, MADV_PAGEOUT) = 0\n1 mlock(A, 16*P) = 0\n`;
    expect(counted(locked, ['MlockBatched'], '6.17')).toEqual([0]);
    expect(counted(locked, ['MlockBatched'])).toEqual([1]);
  });
  it('is not modelled where mappings and entries decide whose it is', () => {
    const huge = `${folios(512)}1 madvise(A, H, MADV_PAGEOUT) = 0\n1 load(A) = 0x11\n`.replace('64kB', '2048kB');
    expect(() => counted(huge, [], '5.17')).toThrow(/large folios in the swap cache before 5.18/);
  });
});

describe('swapon', () => {
  it('knows two kinds of areas, and no change of them once one is used', () => {
    expect(() => counted('swapon("tape")\n1 munmap(0x100000000000, P) = 0\n', [])).toThrow(/one of file, block/);
    const late = `${folios(16)}1 madvise(A, 16*P, MADV_PAGEOUT) = 0\nswapon("file")\n`;
    expect(() => counted(late, [])).toThrow(/another swap area/);
  });
});
