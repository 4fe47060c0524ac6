// A recording of a program that pages by userfaultfd (examples/recordings/uffd-pager.c): every result that the kernel gave is the model's, and the
// pages are what the handler made of them.
import { describe, expect, it } from 'vitest';
import { pteAt } from '../../reducers/pte.js';
import { mmAt } from '../../reducers/state.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { Run } from '../../src/sched/run.js';
import type { KernelEvent } from '../../events/index.js';
import { recordingText } from '../support/recordings.js';
import { parseRecording } from '../workload/text/support.js';

const PAGE = 4096;
const PAGES = 16;
/** The program touches every second page, writes to every fourth, and gives up the first four. */
const TOUCHED = PAGES / 2;
const GIVEN_UP = 4;

function ran(): { readonly run: Run; readonly events: readonly KernelEvent[]; readonly watchedAtUnmap: number } {
  const events: KernelEvent[] = [];
  let watchedAtUnmap = 0;
  const run: Run = new Run(
    { behaviours: behavioursOf('6.18'), machine: DEFAULT_MACHINE, recorded: true, lenient: false },
    [{ event: (event) => void events.push(event) }],
  );
  for (const operation of parseRecording(recordingText('uffd-pager.strace.txt.gz')).operations) {
    const watched = events.find((event) => event.type === 'UffdVmaSet');
    if (operation.name === 'munmap' && watched?.type === 'UffdVmaSet' && operation.args[0] === watched.start)
      for (let i = 0; i < PAGES; i++)
        if (pteAt(mmAt(run.view, watched.mm), watched.start / PAGE + i) !== 0) watchedAtUnmap++;
    run.execute(operation);
  }
  return { run, events, watchedAtUnmap };
}

describe('the recording of a pager', () => {
  const { run, events, watchedAtUnmap } = ran();

  it('has the results that the kernel gave', () => {
    expect(run.mismatches).toEqual([]);
    expect(run.checked).toBeGreaterThanOrEqual(38);
  });
  it('leaves open what strace does not show, and nothing else', () => {
    expect([...run.notModelled]).toEqual([
      ['layout of execve', 2],
      ['an ioctl whose structure the trace does not show', 4],
    ]);
  });
  it('fills what was touched, write-protected, and once more what was given up', () => {
    const filled = events.filter((event) => event.type === 'AnonPageMapped');
    expect(filled).toHaveLength(TOUCHED + 1 + 1);
    // Of the four pages two had been touched; one came again.
    expect(watchedAtUnmap).toBe(TOUCHED - GIVEN_UP / 2 + 1);
  });
  it('tells the handler of what is discarded and unmapped', () => {
    const told = events.flatMap((event) =>
      event.type === 'UffdEventQueued' ? [[event.event, event.to - event.from]] : [],
    );
    expect(told).toEqual([
      [0x15, GIVEN_UP * PAGE],
      [0x16, PAGES * PAGE],
    ]);
    expect(run.view.uffds[1]?.changing).toEqual([]);
  });
});
