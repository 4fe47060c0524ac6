import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { activity } from '../../projections/activity.js';
import { foldInto } from '../../projections/projection.js';
import { canonicalState } from '../../projections/canonical.js';
import { apply, applied, appliedAll } from '../../reducers/index.js';
import type { KernelView } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import { reexecute } from '../../src/sched/reexecute.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { RECORDING_HEADER, printOperation } from '../../src/workload/text/print.js';
import { parseWorkload } from '../support/workload.js';
import type { RanRecording } from '../support/recordings.js';
import { recordingText, runPerf } from '../support/recordings.js';

let ran: RanRecording;
beforeAll(() => {
  ran = runPerf(recordingText('cow.perf.txt.gz'));
});

const OPTIONS = { behaviours: behavioursOf('6.18'), machine: DEFAULT_MACHINE, recorded: true, lenient: true };

describe('the events of a run', () => {
  it('fold to the state that the model left, in place and with Immer', () => {
    const owned = initialState();
    let history: KernelView = initialState();
    for (const event of ran.events) {
      apply(owned, event);
      history = applied(history, event);
    }
    expect(owned).toEqual(ran.run.state);
    expect(history).toEqual(ran.run.state);
  });

  it('fold to the same state at every position, however the fold got there', () => {
    fc.assert(
      fc.property(fc.nat(ran.events.length), fc.nat(ran.events.length), (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        const owned = initialState();
        for (const event of ran.events.slice(0, high)) apply(owned, event);
        const inTwo = appliedAll(appliedAll(initialState(), ran.events.slice(0, low)), ran.events.slice(low, high));
        expect(inTwo).toEqual(owned);
        expect(canonicalState(inTwo)).toEqual(canonicalState(owned));
      }),
      { numRuns: 20 },
    );
  });

  it('come again from the same operations', () => {
    expect([...reexecute(ran.operations, OPTIONS)]).toEqual(ran.events);
  });

  it('come again from the operations printed as a workload', () => {
    for (const name of ['cow', 'bash-pipeline', 'python-fork']) {
      const first = runPerf(recordingText(`${name}.perf.txt.gz`));
      const text = [RECORDING_HEADER, ...first.operations.map(printOperation)].join('\n');
      expect([...reexecute(parseWorkload(text, true), OPTIONS)]).toEqual(first.events);
    }
  });

  it('mean the same to a projection in one batch and in many', () => {
    const whole = foldInto(activity, activity.init(), ran.events);
    const parts = activity.init();
    for (let i = 0; i < ran.events.length; i += 7) foldInto(activity, parts, ran.events.slice(i, i + 7));
    expect(parts).toEqual(whole);
    expect(whole.faults).toBe(231);
    expect(whole.framesAllocated - whole.framesFreed).toBe(
      ran.run.state.memMap.flat().filter((page) => (page.flags & 32) === 0).length,
    );
  });
});
