import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { Digest } from '../../reducers/digest.js';
import { apply } from '../../reducers/index.js';
import { hashState } from '../../reducers/state-hash.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import { Touched } from '../../reducers/touched.js';
import { foldLog } from '../../replays/fold.js';
import { FrameKind, frameBytes, pack, unpack } from '../../replays/log/format.js';
import { WHOLE, encodeKeyframe, wholeOf } from '../../replays/log/keyframe-encode.js';
import { applyKeyframe, keyframeOf } from '../../replays/log/keyframe.js';
import { verifyLog } from '../../replays/log/verify.js';
import { CHUNK_EVENTS } from '../../replays/log/writer.js';
import { stateAt } from '../../replays/timeline.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { memorySource } from '../../src/lib/bytes.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { logOfEvents, readerOf, touching } from '../support/logs.js';

const folded = (events: readonly KernelEvent[]): KernelState => {
  const state = initialState();
  for (const event of events) apply(state, event);
  return state;
};
const decoded = (payload: Uint8Array | null, onto = initialState()): KernelState => {
  applyKeyframe(onto, keyframeOf(unpack(payload as Uint8Array)));
  return onto;
};

describe('a keyframe', () => {
  it('of any state gives that state back', () => {
    fc.assert(
      fc.property(foldableEvents(200), (events) => {
        const state = folded(events);
        expect(decoded(encodeKeyframe(state, 9, WHOLE, hashState(state).hash, wholeOf(state)))).toEqual(state);
      }),
      { numRuns: 300 },
    );
  });
  it('of what events touched makes the state before them the state after them', () => {
    fc.assert(
      fc.property(fc.array(foldableEvents(40), { minLength: 1, maxLength: 4 }), (batches) => {
        const state = initialState();
        const kept = initialState();
        const touched = new Touched();
        const digest = new Digest(undefined, touched);
        for (const [i, events] of batches.entries()) {
          // Two batches a keyframe: what the first one touched is not forgotten.
          for (const half of [events.slice(0, events.length / 2), events.slice(events.length / 2)]) {
            for (const event of half) apply(state, event);
            digest.update(state, half);
          }
          decoded(encodeKeyframe(state, i + 1, i, hashState(state).hash, touched), kept);
          expect(kept).toEqual(state);
          touched.restart(state);
        }
      }),
      { numRuns: 1000 },
    );
  });
  it('is small where little changed', () => {
    const events = [...touching(20_000)];
    const state = folded(events);
    const touched = new Touched();
    touched.restart(state);
    const more = [...touching(10)].slice(4);
    for (const event of more) apply(state, event);
    new Digest(undefined, touched).update(state, more);
    const whole = encodeKeyframe(state, 2, WHOLE, hashState(state).hash, wholeOf(state)) as Uint8Array;
    const delta = encodeKeyframe(state, 2, 1, hashState(state).hash, touched) as Uint8Array;
    expect(delta.length).toBeLessThan(whole.length / 20);
  });
});

describe('the hash of a state', () => {
  it('is the same for the same state, wherever that came from', () => {
    fc.assert(
      fc.property(foldableEvents(), (events) => {
        const state = folded(events);
        const copy = decoded(encodeKeyframe(state, 1, WHOLE, hashState(state).hash, wholeOf(state)));
        expect(hashState(copy)).toEqual(hashState(state));
      }),
      { numRuns: 50 },
    );
  });
  it('differs for every event that changed the state', () => {
    fc.assert(
      fc.property(foldableEvents(), (events) => {
        const before = folded(events.slice(0, -1));
        const after = folded(events);
        fc.pre(JSON.stringify(before) !== JSON.stringify(after));
        expect(hashState(after).hash).not.toBe(hashState(before).hash);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a log with keyframes', () => {
  const events = [...touching(12_000)];
  const bytes = logOfEvents(events, 3, { keyframeEvents: 2 * CHUNK_EVENTS });
  it('has them at the ends of chunks, the first one whole, and is the same bytes each time', () => {
    const { keyframes, chunks } = readerOf(bytes).footer;
    const ends = new Set(chunks.map(([, first, n]) => first + n));
    expect(keyframes.length).toBeGreaterThan(2);
    expect(keyframes.every(([, at]) => ends.has(at))).toBe(true);
    expect(keyframes[0]![2]).toBe(1);
    expect(logOfEvents(events, 3, { keyframeEvents: 2 * CHUNK_EVENTS })).toEqual(bytes);
  });
  it('leads to the same state from the nearest keyframe as from the start', () => {
    const reader = readerOf(bytes);
    for (const n of [0, 1, 8191, 8192, 8193, 20_000, 32_768, events.length])
      expect(stateAt(reader, n), `event ${n}`).toEqual(foldLog(reader, n));
  });
  it('is sound, shallow and deep', () => {
    for (const deep of [false, true]) expect(verifyLog(memorySource(bytes), nodeTools, { deep }).problems).toEqual([]);
  });
  it('has none if told so', () => {
    expect(readerOf(logOfEvents(events, 3, { keyframeEvents: 0 })).footer.keyframes).toEqual([]);
  });
  const [[offset], [next]] = readerOf(bytes).footer.keyframes as unknown as [[number], [number]];
  it('reports a damaged keyframe at its place, and no other', () => {
    const damaged = bytes.slice();
    damaged[offset + 50]! ^= 1;
    const { problems } = verifyLog(memorySource(damaged), nodeTools, { deep: true });
    expect(problems.map((problem) => problem.offset)).toEqual([offset]);
    expect(() => stateAt(readerOf(damaged), 9000)).toThrow(`byte ${offset}: the CRC of the frame is wrong`);
    expect(stateAt(readerOf(damaged), 8000)).toEqual(foldLog(readerOf(bytes), 8000));
  });
  it('reports a keyframe of another state, deep', () => {
    const plain = logOfEvents(events, 3, { keyframeEvents: 2 * CHUNK_EVENTS, deflate: false });
    const reader = readerOf(plain);
    const [[at]] = reader.footer.keyframes as unknown as [[number]];
    const length = new DataView(plain.buffer).getUint32(at, true);
    const data = unpack(plain.subarray(at + 12, at + 12 + length)) as [number, number, string, number[]];
    data[3][2] = 77;
    const payload = pack(data);
    const seq = new DataView(plain.buffer).getUint32(at + 8, true);
    const made = plain.slice();
    made.set(frameBytes(FrameKind.keyframe, 0, seq, payload, nodeTools), at);
    expect(payload.length).toBe(length);
    expect(verifyLog(memorySource(made), nodeTools).problems).toEqual([]);
    expect(verifyLog(memorySource(made), nodeTools, { deep: true }).problems[0]).toEqual({
      offset: at,
      what: 'the keyframe holds another state than it says',
    });
  });
  it('comes to an end, whatever stands in a keyframe with a sound CRC', () => {
    const small = [...touching(4)];
    const state = folded(small);
    const payload = encodeKeyframe(state, 2, WHOLE, hashState(state).hash, wholeOf(state)) as Uint8Array;
    const change = fc.record({ at: fc.nat(payload.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const made = payload.slice();
        for (const { at, byte } of changes) made[at] = byte;
        try {
          decoded(made);
        } catch (error) {
          expect((error as Error).constructor.name).toMatch(/^(MalformedError|RangeError|Error)$/);
        }
      }),
      { numRuns: 2000 },
    );
    expect(next).toBeGreaterThan(offset);
  });
});
