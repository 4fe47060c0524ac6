import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { apply } from '../../reducers/index.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import { LogWriter } from '../../replays/log/writer.js';
import { Timeline, stateAt } from '../../replays/timeline.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { MemorySink } from '../../src/lib/bytes.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { RUN, SOURCE, logOf, logOfEvents, readerOf, touching } from '../support/logs.js';

const folded = (events: readonly KernelEvent[]): KernelState => {
  const state = initialState();
  for (const event of events) apply(state, event);
  return state;
};

/** A log of `events` in chunks of `chunk` of them, with a keyframe after each `keyframe` events. */
function choppedLog(events: readonly KernelEvent[], chunk: number, keyframe: number): Uint8Array {
  const sink = new MemorySink();
  const state = initialState();
  const log = new LogWriter(sink, nodeTools, RUN, state, { keyframeEvents: keyframe, chunkEvents: chunk });
  for (const event of events) {
    apply(state, event);
    log.event(event);
  }
  log.close({}, SOURCE);
  return sink.bytes();
}

const EVENTS = [...touching(4000)];
const LONG = readerOf(logOfEvents(EVENTS, 3, { keyframeEvents: 4096 }));

describe('the state at a position', () => {
  it('is that of folding all events before it, at random places in any order', () => {
    const chopped = fc.tuple(foldableEvents(150), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 }));
    fc.assert(
      fc.property(chopped, fc.array(fc.nat(), { maxLength: 8 }), ([events, chunk, keyframe], places) => {
        const reader = readerOf(choppedLog(events, chunk, keyframe));
        const timeline = new Timeline(reader);
        for (const place of places) {
          const n = place % (events.length + 1);
          const wanted = folded(events.slice(0, n));
          expect(stateAt(reader, n)).toEqual(wanted);
          expect(timeline.stateAt(n)).toEqual(wanted);
          expect(timeline.seek(n)).toEqual(wanted);
        }
      }),
      { numRuns: 150 },
    );
  });
  it('is refused outside of the log', () => {
    for (const n of [-1, 0.5, Number.NaN, EVENTS.length + 1]) {
      expect(() => stateAt(LONG, n)).toThrow(RangeError);
      expect(() => new Timeline(LONG).seek(n)).toThrow(RangeError);
    }
  });
});

describe('steps', () => {
  type Move = readonly [kind: 'step' | 'back' | 'seek' | 'stepOperation' | 'backOperation', to: number];
  const move: fc.Arbitrary<Move> = fc.tuple(
    fc.constantFrom('step', 'step', 'back', 'back', 'back', 'seek', 'stepOperation', 'backOperation'),
    fc.nat(),
  );
  it('lead to the state of the position they lead to, whatever came before', () => {
    fc.assert(
      fc.property(foldableEvents(150), fc.integer({ min: 1, max: 40 }), fc.array(move), (events, chunk, moves) => {
        const timeline = new Timeline(readerOf(choppedLog(events, chunk, 2 * chunk)), 4);
        let at = 0;
        for (const [kind, to] of moves) {
          if (kind === 'seek') timeline.seek((at = to % (events.length + 1)));
          else if (kind === 'step') expect(timeline.step()).toEqual(at < events.length ? events[at++] : null);
          else if (kind === 'back') expect(timeline.back()).toEqual(at > 0 ? events[--at] : null);
          else {
            timeline[kind]();
            // No operations: all events are one stretch.
            at = kind === 'stepOperation' ? events.length : 0;
          }
          expect(timeline.position).toBe(at);
          expect(timeline.state).toEqual(folded(events.slice(0, at)));
        }
      }),
      { numRuns: 150 },
    );
  });
  it('back over thousands of events, across chunks and keyframes, meet every state', () => {
    const timeline = new Timeline(LONG, 200);
    timeline.seek(9000);
    const expected = folded(EVENTS.slice(0, 4000));
    for (let n = 9000; n > 4000; n--) {
      expect(timeline.back()).toEqual(EVENTS[n - 1]);
      if (n % 997 === 0) expect(timeline.state).toEqual(folded(EVENTS.slice(0, n - 1)));
    }
    expect(timeline.state).toEqual(expected);
  });
  it('back find the state that was there before, not another copy', () => {
    const timeline = new Timeline(LONG);
    timeline.seek(5000);
    const states = Array.from({ length: 300 }, () => {
      timeline.step();
      return timeline.state;
    });
    for (let i = 298; i >= 0; i--) {
      timeline.back();
      expect(timeline.state).toBe(states[i]);
    }
  });
  it('do not change states that were handed out', () => {
    const timeline = new Timeline(LONG);
    const before = timeline.seek(4500);
    const copy = structuredClone(before);
    for (let i = 0; i < 300; i++) timeline.step();
    for (let i = 0; i < 600; i++) timeline.back();
    expect(before).toEqual(copy);
  });
  it('over operations go from end to end', () => {
    const timeline = new Timeline(LONG);
    timeline.seek(4096);
    expect(timeline.operationOf(4096)).toBe(1365);
    timeline.stepOperation();
    expect(timeline.position).toBe(4098);
    timeline.stepOperation();
    expect(timeline.position).toBe(4101);
    timeline.backOperation();
    timeline.backOperation();
    expect(timeline.position).toBe(4095);
    timeline.seek(0);
    expect(timeline.backOperation()).toBe(false);
    timeline.seek(EVENTS.length);
    expect([timeline.stepOperation(), timeline.step()]).toEqual([false, null]);
  });
});

describe('find', () => {
  it('agrees with going through all events one by one', () => {
    fc.assert(
      fc.property(
        foldableEvents(150),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        fc.nat(),
        (events, chunk, from, pick) => {
          const timeline = new Timeline(readerOf(choppedLog(events, chunk, 50)));
          timeline.seek(from % (events.length + 1));
          const type = events[pick % Math.max(1, events.length)]?.type;
          const at = timeline.position;
          const is = (event: KernelEvent): boolean => event.type === type;
          const after = events.findIndex((event, i) => i >= at && is(event));
          const before = events.findLastIndex((event, i) => i < at && is(event));
          expect(timeline.find(is, 'forward')?.number ?? -1).toBe(after);
          expect(timeline.find(is, 'backward')?.number ?? -1).toBe(before);
          expect(timeline.position).toBe(at);
        },
      ),
      { numRuns: 200 },
    );
  });
  it('gives the event with its number', () => {
    const timeline = new Timeline(LONG);
    timeline.seek(5000);
    const drains = (event: KernelEvent): boolean => event.type === 'LruAddDrained';
    const { number, event } = timeline.find(drains, 'forward')!;
    expect(event).toEqual(EVENTS[number]);
    expect(new Timeline(readerOf(logOf(() => {}))).find(() => true, 'backward')).toBeNull();
  });
});
