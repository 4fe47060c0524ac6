// What forks cost: against hand-made cases, and against what the kernel itself recorded.
import { describe, expect, it } from 'vitest';
import type { ForkReport } from '../../projections/cow-cost.js';
import { cowCost, forkReport } from '../../projections/cow-cost.js';
import { foldEvent } from '../../projections/projection.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { RanOperations } from '../support/projected.js';
import { runOperations, runRecording } from '../support/projected.js';
import { recordingText } from '../support/recordings.js';
import { parseWorkload } from '../support/workload.js';

/** Folds a run, through save and load after every event where `reload`. */
function costs(
  { events, owners, operations }: Pick<RanOperations, 'events' | 'owners' | 'operations'>,
  reload = false,
): ForkReport[] {
  let view = cowCost.init();
  events.forEach((event, i) => {
    const id = owners[i] as number;
    const operation = operations[id];
    if (reload) view = cowCost.load(JSON.parse(JSON.stringify(cowCost.save(view))));
    cowCost.operation?.(view, operation === undefined ? null : { id, ...operation });
    foldEvent(cowCost, view, event, i);
  });
  return forkReport(view);
}
const ofWorkload = (text: string, reload = false): ForkReport[] =>
  costs(runOperations(parseWorkload(text), behavioursOf('6.18')), reload);

const SNAPSHOT = `
1 mmap(NULL, 8*P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 8*P)
1 fork() = 2
1 store(A, 0x22, 3*P)
2 store(A+3*P, 0x33, P)
2 exit_group(0)
1 store(A+4*P, 0x44, 2*P)
`.replaceAll(/(\d)\*P/g, (_all, n: string) => String(Number(n) * 4096));

describe('the cost of a fork', () => {
  it('books each copy on who wrote, where, by which line; what is left alone after the exit is kept', () => {
    const [fork, ...more] = ofWorkload(SNAPSHOT);
    expect(more).toEqual([]);
    expect(fork).toMatchObject({ parent: 1, child: 2, line: 4, shared: 8, copied: 4, reused: 2, copiedBytes: 16384 });
    expect(
      fork?.by.map(({ pid, operation, copied, reused, firstLine, lastLine }) => [
        pid,
        operation,
        copied,
        reused,
        firstLine,
        lastLine,
      ]),
    ).toEqual([
      [1, 'store', 3, 2, 5, 8],
      [2, 'store', 1, 0, 6, 6],
    ]);
  });
  it('counts pages that are swapped out, and books them when they come back', () => {
    const [fork] = ofWorkload(
      `
1 mmap(NULL, 4*P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 4*P)
1 madvise(A, 4*P, MADV_PAGEOUT) = 0
1 fork() = 2
1 store(A, 0x22, 2*P)
2 madvise(A, P, MADV_DONTNEED) = 0
2 exit_group(0)
1 store(A+2*P, 0x44, P)
1 load(A+3*P) = 0x11
1 store(A+3*P, 0x55, P)`.replaceAll(/(\d)\*P/g, (_all, n: string) => String(Number(n) * 4096)),
    );
    // Of those kept one is so when it is swapped in, the other when it is written to.
    expect(fork).toMatchObject({ shared: 4, copied: 2, reused: 2 });
  });
  it('books a copy on the fork that last shared the page', () => {
    const forks = ofWorkload(`
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 fork() = 2
1 fork() = 3
1 store(A, 2)
2 store(A, 3)
3 store(A, 4)`);
    expect(forks.map(({ copied, reused }) => [copied, reused])).toEqual([
      [1, 0],
      [1, 1],
    ]);
  });
  it('follows pages that mremap moves, and forgets those unmapped', () => {
    const forks = ofWorkload(`
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 mmap(NULL, 0x100000, NONE, PRIV|ANON, -1, 0) = B
1 fork() = 2
1 mremap(A, 0x2000, 0x2000, 3, B) = B
1 store(B, 2)
1 madvise(B+0x1000, P, 4)
1 store(B+0x1000, 2)`);
    expect(forks.map(({ shared, copied, reused }) => [shared, copied, reused])).toEqual([[2, 1, 0]]);
  });
  it('goes on from what it saved', () => {
    expect(ofWorkload(SNAPSHOT, true)).toEqual(ofWorkload(SNAPSHOT));
  });
});

/** Copies of anonymous pages in the recording's own words: a frame, not zeroed, for a write to a present page, and no file page lost. */
function recordedCopies(text: string): number {
  const open = new Map<string, { copied: boolean; file: boolean }>();
  let forked = false;
  let copies = 0;
  const close = (tid: string): void => {
    const fault = open.get(tid);
    open.delete(tid);
    if (fault?.copied === true && !fault.file) copies++;
  };
  for (const line of text.split('\n')) {
    const tid = /\s\d+\/(\d+)\s/.exec(line)?.[1];
    if (tid === undefined) continue;
    if (
      /task_newtask:/.test(line) &&
      (Number.parseInt(/clone_flags=([0-9a-f]+)/.exec(line)?.[1] ?? '0', 16) & 0x100) === 0
    )
      forked = true;
    const fault = /page_fault_(?:user|kernel):.*error_code=0x([0-9a-f]+)/.exec(line);
    if (fault !== null || /syscalls:/.test(line)) close(tid);
    if (fault !== null && forked && (Number.parseInt(fault[1] as string, 16) & 3) === 3)
      open.set(tid, { copied: false, file: false });
    const seen = open.get(tid);
    if (seen === undefined) continue;
    if (/mm_page_alloc:.*GFP_HIGHUSER_MOVABLE/.test(line) && !line.includes('__GFP_ZERO')) seen.copied = true;
    if (/rss_stat:.*MM_FILEPAGES/.test(line)) seen.file = true;
  }
  for (const tid of [...open.keys()]) close(tid);
  return copies;
}

describe('the cost of forks in a recorded Python', () => {
  it('agrees within 1 % with the frames that the kernel took for write faults', () => {
    const text = recordingText('python-fork.perf.txt.gz');
    const ran = runRecording(text);
    const copied = costs(ran).reduce((sum, fork) => sum + fork.copied, 0);
    const recorded = recordedCopies(text);
    expect(recorded).toBeGreaterThan(2000);
    expect(Math.abs(copied - recorded) / recorded).toBeLessThan(0.01);
  });
});
