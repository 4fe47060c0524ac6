// The law of projections of the present: what the state at n tells is what the first n events add up to.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { accounting, accountingErrors } from '../../projections/accounting.js';
import { exclusivity } from '../../projections/exclusivity.js';
import { foldEvent, foldInto } from '../../projections/projection.js';
import type { StateProjection } from '../../projections/projection.js';
import { rmap } from '../../projections/rmap.js';
import { apply } from '../../reducers/index.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { arbitrarySteps, operationsOf, prologue } from '../support/arbitrary-workload.js';
import { PERF_RECORDINGS, recordingText, runPerf } from '../support/recordings.js';
import { runOperations } from '../support/projected.js';

const PROJECTIONS: readonly StateProjection<unknown>[] = [
  rmap,
  accounting,
  exclusivity,
] as readonly StateProjection<unknown>[];

/** Folds `events` into a state and into each projection, and compares them at the positions that `compared` picks. */
function expectLaw(events: readonly KernelEvent[], compared: (n: number) => boolean): void {
  const state: KernelState = initialState();
  const views = PROJECTIONS.map((projection) => projection.init());
  events.forEach((event, i) => {
    apply(state, event);
    PROJECTIONS.forEach((projection, p) => foldEvent(projection, views[p], event, i));
    if (!compared(i + 1) && i + 1 !== events.length) return;
    PROJECTIONS.forEach((projection, p) =>
      expect(projection.read(views[p]), `${projection.name} after event ${i}`).toEqual(
        projection.read(projection.fromState(state)),
      ),
    );
  });
}

describe('the projection from the state equals the fold of the events', () => {
  it('at every event of random workloads', () => {
    fc.assert(
      fc.property(arbitrarySteps(30), fc.constantFrom('5.8', '5.18', '6.18'), (steps, kernel) => {
        const { events } = runOperations([...prologue(), ...operationsOf(steps)], behavioursOf(kernel));
        expectLaw(events, () => true);
      }),
      { numRuns: 60 },
    );
  });
  it.each(PERF_RECORDINGS)('at a dozen places of the recording %s', (name) => {
    const { events } = runPerf(recordingText(`${name}.perf.txt.gz`));
    const step = Math.ceil(events.length / 12);
    expectLaw(events, (n) => n % step === 0);
  });
});

describe('a projection does not take a counter’s word', () => {
  it('rss, mappings and smaps stay right where every counter in the events is wrong', () => {
    const { events } = runPerf(recordingText('cow.perf.txt.gz'));
    const lied = events.map((event) => wrongCounters(event));
    const [honest, told] = [events, lied].map((each) => foldInto(accounting, accounting.init(), each));
    expect(accounting.read(told!)).toEqual(accounting.read(honest!));
    const state = initialState();
    for (const event of lied) apply(state, event);
    expect(accountingErrors(state).length).toBeGreaterThan(0);
  });
});

/** The event with every difference of a counter doubled. */
function wrongCounters(event: KernelEvent): KernelEvent {
  const wrong: Record<string, unknown> = { ...event };
  for (const name of [
    'ref',
    'mapcount',
    'oldMapcount',
    'rssAnon',
    'rssFile',
    'rssShmem',
    'total',
    'locked',
    'committed',
  ])
    if (typeof wrong[name] === 'number') wrong[name] = wrong[name] * 2;
  return wrong as unknown as KernelEvent;
}
