// Large folios on other kernels than today's, and with behaviours that no kernel has. What today's do is in test/conformance/thp-* and mthp-*.
import { describe, expect, it } from 'vitest';
import type { EventType } from '../../events/index.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const SETTING = 'sysfs("transparent_hugepage/hugepages-16kB/enabled", "madvise")\n';
const folios = (pages: number): string => `${SETTING}
1 mmap(0x100000000000, ${pages}*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, ${pages}*P, MADV_HUGEPAGE) = 0
1 store(A, 0x11, ${pages}*P)
`;
const HUGE = `
1 mmap(0x100000000000, H, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, H, MADV_HUGEPAGE) = 0
`;

/** Runs `text`, whose results and checks must hold with no invariant broken; how often each of `types` happened. */
function counted(text: string, types: readonly EventType[], kernel = '6.18', on: readonly string[] = []): number[] {
  const behaviours = withBehaviours(behavioursOf(kernel), on, []);
  const ran = runOperations(parseWorkload(text), behaviours);
  expect(ran.run.mismatches).toEqual([]);
  expect(auditOf(ran, behaviours)).toEqual([]);
  return types.map((type) => ran.events.filter((event) => event.type === type).length);
}

describe('folios below 2 MiB', () => {
  it('come with 6.8', () => {
    expect(counted(folios(8), ['AnonPagesMapped', 'AnonPageMapped'], '6.8')).toEqual([2, 0]);
    expect(counted(folios(8), ['AnonPagesMapped', 'AnonPageMapped'], '6.7')).toEqual([0, 8]);
  });
  it('are copied page by page after fork until 6.15, though nobody else maps them', () => {
    const alone = `${folios(4)}1 fork() = 2\n2 exit_group(0)\n1 store(A, 0x22, 4*P)\n`;
    expect(counted(alone, ['CowPageMapped', 'PageReused'], '6.14')).toEqual([4, 0]);
    // Today each of them is kept.
    expect(counted(alone, ['CowPageMapped', 'PageReused'])).toEqual([0, 4]);
  });
  it('map what is left of them after some pages went', () => {
    const holes = `${folios(8)}1 munmap(A+P, 2*P) = 0\n1 mmap(A+P, 2*P, RW, PRIV|ANON|FIXED, -1, 0) = A+P
1 madvise(A+P, 2*P, MADV_HUGEPAGE) = 0\n1 store(A+P, 0x22)\ncheck page(1, A+P).order == 0 and page(1, A+3*P).order == 2\n`;
    expect(counted(holes, ['AnonPagesMapped', 'AnonPageMapped'])).toEqual([2, 1]);
  });
});

describe('a write to a huge page that fork has shared', () => {
  const shared = `${HUGE}1 store(A, 0x11)\n1 fork() = 2\n1 store(A+P, 0x22)\n`;
  it('copies all of it up to 5.7, if a huge page is wanted', () => {
    const whole = `${shared}check page(1, A).level == "pmd" and page(2, A).level == "pmd"
check page(1, A).frame != page(2, A).frame\n1 load(A) = 0x11\n2 load(A+P) = 0\n2 store(A, 0x33)\n1 load(A) = 0x11\n`;
    // The child is alone by then.
    expect(counted(whole, ['CowHugePageMapped', 'PmdReused', 'PmdSplit'], '5.7')).toEqual([1, 1, 0]);
  });
  it('copies one page since', () => {
    expect(counted(shared, ['CowHugePageMapped', 'PmdSplit', 'CowPageMapped'], '5.8')).toEqual([0, 1, 1]);
  });
  it('is not modelled up to 5.7 where none is wanted any more', () => {
    const unwanted = `${HUGE}1 store(A, 0x11)\n1 madvise(A, H, MADV_NOHUGEPAGE) = 0\n1 fork() = 2\n1 store(A+P, 0x22)\n`;
    expect(() => counted(unwanted, [], '5.7')).toThrow(/copies of whole huge pages/);
  });
});

describe('a write to the huge zero page', () => {
  const written = `${HUGE}1 load(A) = 0\n1 store(A+P, 0x11)\n`;
  it.each([
    ['5.7', [1, 0]],
    ['5.8', [0, 1]],
    ['6.12', [0, 1]],
    ['6.13', [1, 0]],
  ] as const)('on %s', (kernel, expected) => {
    expect(counted(written, ['HugePageMapped', 'PmdSplit'], kernel)).toEqual(expected);
  });
});

describe('wp-reuse-range', () => {
  const on = ['wp-reuse-range'];
  it('makes all pages writable that are the process’s own, in one fault', () => {
    const alone = `${folios(8)}1 fork() = 2\n2 exit_group(0)\n1 store(A+P, 0x22)
check page(1, A).writable and page(1, A+3*P).anon_exclusive and not page(1, A+4*P).writable
check not page(1, A).dirty or page(1, A).writable\n1 store(A, 0x33, 4*P)\n`;
    expect(counted(alone, ['PagesReused', 'PageReused', 'CowPageMapped'], '6.18', on)).toEqual([1, 0, 0]);
  });
  /** The rows that faults kept, [page of the range, pages] each, where mprotect gives no write right back. */
  function rowsKept(text: string): number[][] {
    const behaviours = withBehaviours(behavioursOf('6.18'), on, ['mprotect-upgrades-exclusive']);
    const ran = runOperations(parseWorkload(text), behaviours);
    expect(ran.run.mismatches).toEqual([]);
    return ran.events.flatMap((event) =>
      event.type === 'PagesReused' ? [[event.runs[0]! - 0x100000000, event.runs[2]!]] : [],
    );
  }
  it('stops at pages that may be shared', () => {
    const mixed = `${folios(8)}1 madvise(A+P, 2*P, MADV_DONTFORK) = 0\n1 fork() = 2\n1 madvise(A+P, 2*P, MADV_DOFORK) = 0
1 mprotect(A, 8*P, RO) = 0\n1 mprotect(A, 8*P, RW) = 0\n1 store(A+2*P, 0x22)\n`;
    expect(rowsKept(mixed)).toEqual([[1, 2]]);
  });
  it('stops at the end of the folio and of the VMA', () => {
    expect(
      rowsKept(`${folios(8)}1 mprotect(A, 8*P, RO) = 0\n1 mprotect(A+2*P, 6*P, RW) = 0\n1 store(A+3*P, 0x22)\n`),
    ).toEqual([[2, 2]]);
  });
});

describe('wp-copy-range', () => {
  const shared = `${folios(8)}1 fork() = 2\n1 store(A+5*P, 0x22)\n`;
  it('copies the whole folio into one of its size', () => {
    const text = `${shared}check page(1, A+4*P).order == 2 and page(1, A+4*P).writable and page(1, A+7*P).anon_exclusive
check not page(1, A).writable\n1 load(A+4*P) = 0x11\n2 load(A+5*P) = 0x11\n1 load(A+5*P) = 0x22\n`;
    expect(counted(text, ['CowPagesMapped', 'CowPageMapped'], '6.18', ['wp-copy-range'])).toEqual([1, 0]);
  });
  it('copies one page where a smaller block would not be a folio', () => {
    const text = `${folios(4)}1 fork() = 2\n1 munmap(A, P) = 0\n1 store(A+P, 0x22)\n`;
    expect(counted(text, ['CowPagesMapped', 'CowPageMapped'], '6.18', ['wp-copy-range'])).toEqual([0, 1]);
  });
  it('ends before an exclusive page if it minds them', () => {
    const text = `sysfs("transparent_hugepage/hugepages-32kB/enabled", "madvise")
1 mmap(0x100000000000, 8*P, RW, PRIV|ANON|FIXED, -1, 0) = A\n1 madvise(A, 8*P, MADV_HUGEPAGE) = 0\n1 store(A, 0x11, 8*P)
1 madvise(A+6*P, P, MADV_DONTFORK) = 0\n1 fork() = 2\n1 madvise(A+6*P, P, MADV_DOFORK) = 0\n1 store(A+P, 0x22)
check page(1, A).order == 2 and page(1, A+3*P).writable and page(1, A+4*P).order == 3 and not page(1, A+4*P).writable
check page(1, A+6*P).order == 3 and page(1, A+6*P).writable\n`;
    const careful = ['wp-copy-range-minds-exclusive'];
    expect(counted(text, ['CowPagesMapped', 'CowPageMapped'], '6.18', careful)).toEqual([1, 0]);
  });
});
