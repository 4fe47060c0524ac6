// KSM on the model alone: what conform cannot ask of the running kernel, and what is refused.
import { describe, expect, it } from 'vitest';
import { pageAt, stableNode } from '../../reducers/state.js';
import { check } from '../../projections/query/check.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { Run } from '../../src/sched/run.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const NOW = behavioursOf('6.18');

/** Runs `text`; checks in it must hold. */
function ran(text: string, behaviours: Behaviours = NOW): Run {
  const run = new Run({ behaviours, machine: DEFAULT_MACHINE, recorded: false, lenient: false, check });
  for (const operation of parseWorkload(text)) run.execute(operation);
  expect(run.mismatches).toEqual([]);
  return run;
}

const MERGED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 0x2000)
1 madvise(A, 0x2000, MADV_MERGEABLE) = 0
ksm_scan()
check page(1, A).backing == "ksm"
`;

describe('a merged page', () => {
  it('was taken apart by a write before 6.2, which leaves the copy dirty and writable', () => {
    const text = `${MERGED}
1 madvise(A, 0x2000, MADV_UNMERGEABLE) = 0
check page(1, A).anon_exclusive and page(1, A).writable and page(1, A).dirty`;
    ran(text, behavioursOf('6.1'));
    ran(text, withBehaviours(NOW, [], ['ksm-breaks-by-unshare']));
    ran(text.replaceAll('page(1, A).writable and page(1, A).dirty', 'not page(1, A).writable'));
  });

  it('is copied for the last that maps it since 5.9; before, the answer is not known here', () => {
    const text = `${MERGED}
1 munmap(A+0x1000, P)
1 store(A, 1)
check page(1, A).backing == "anon"`;
    ran(text, behavioursOf('5.9'));
    expect(() => ran(text, behavioursOf('5.8'))).toThrow('not modelled: writing to a KSM page');
  });

  it('that was swapped out is nobody\u2019s own, and a copy of one is, in every version', () => {
    const twice = `${MERGED}
1 madvise(A, P, MADV_DONTNEED) = 0
1 madvise(A+P, P, MADV_PAGEOUT) = 0
1 store(A, 0x11, P)
ksm_scan(1)
check page(1, A).swapcache and page(1, A).mapcount == 1
1 madvise(A, P, MADV_PAGEOUT) = 0
`;
    for (const version of ['5.10', '5.17', '5.18', '6.18']) {
      const behaviours = behavioursOf(version);
      ran(`${twice}1 store(A, 0x22)\n1 load(A) = 0x22\n1 load(A+P) = 0x11`, behaviours);
      // Both entries lead to one slot, and the page that is read is of the place that comes first.
      const read = `${twice}1 load(A) = 0x11
1 madvise(A, P, MADV_PAGEOUT) = 0
1 store(A, 0x33)
1 store(A+P, 0x44)
check page(1, A+P).writable and page(1, A+P).dirty and not page(1, A+P).swapcache
1 load(A, 1) = 0x33`;
      ran(read, behaviours);
      expect(auditOf(runOperations(parseWorkload(read), behaviours), behaviours)).toEqual([]);
    }
  });

  it('that was moved is found at its new frame by the scan after', () => {
    const { state } = ran(`${MERGED}1 migrate(A, 0x2000) = 0
ksm_scan(1)
1 migrate(A, 0x2000) = 0
check mm(1).ksm_merging_pages == 2 and ksm.pages_sharing == 1`);
    const [node] = state.ksm.nodes;
    expect(stableNode(pageAt(state, node!.pfn))).toBe(node!.id);
    // Of the frames that it had none is a merged page still.
    const merged = state.memMap.flat().filter((page) => stableNode(page) !== 0);
    expect(merged).toHaveLength(1);
  });
});

describe('a scan', () => {
  it('is refused where bytes came from a file', () => {
    const text = `
inode("/data", 0, 4096)
1 openat(AT_FDCWD, "/data", O_RDONLY) = 3
1 mmap(NULL, P, RW, PRIV, 3, 0) = A
1 store(A, 1)
1 madvise(A, P, MADV_MERGEABLE)
ksm_scan(1)`;
    expect(() => ran(text)).toThrow('not modelled: KSM of pages with bytes that came from a file');
  });

  it('takes the same bytes for the same, however they were written', () => {
    ran(`
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, P)
1 store(A+0x800, 0, 0x800)
1 store(A+0x1000, 0x11, 0x800)
1 madvise(A, 0x2000, MADV_MERGEABLE)
ksm_scan()
check page(1, A).frame == page(1, A+0x1000).frame`);
  });

  it('is counted only while some process is to be scanned', () => {
    ran(`
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
ksm_scan()
check ksm.full_scans == 0
1 madvise(A, P, MADV_MERGEABLE)
ksm_scan(2)
check ksm.full_scans == 2`);
  });

  it('forgets a process that exited, and gives its pages back to nobody', () => {
    const { state } = ran(`${MERGED}
1 fork() = 2
ksm_scan(1)
check ksm.pages_sharing == 3
2 exit_group(0)
check ksm.pages_sharing == 3
ksm_scan(1)
check ksm.pages_sharing == 1`);
    expect(state.ksm.slots.map(({ mm }) => mm)).toEqual([1]);
    expect(Object.keys(state.ksm.counters)).toEqual(['1']);
  });

  it.each(['0', '65'])('takes 1 to 64 as a number of scans, not %s', (scans) => {
    expect(() => ran(`1 mmap(NULL, P, RW, PRIV|ANON, -1, 0)\nksm_scan(${scans})`)).toThrow('a number of scans');
  });
});
