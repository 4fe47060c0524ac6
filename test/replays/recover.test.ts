import { describe, expect, it } from 'vitest';
import { FrameKind, MAGIC } from '../../replays/log/format.js';
import { verifyLog } from '../../replays/log/verify.js';
import type { Recovery } from '../../replays/recover.js';
import { recoverLog } from '../../replays/recover.js';
import { stateAt } from '../../replays/timeline.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';
import { InputError } from '../../src/lib/errors.js';
import { logOfEvents, readerOf, touching } from '../support/logs.js';

const EVENTS = [...touching(20)];
const SMALL = logOfEvents(EVENTS, 3, { chunkEvents: 7, keyframeEvents: 14 });
const { footer: FOOTER } = readerOf(SMALL);

function recovered(bytes: Uint8Array): Recovery & { readonly bytes: Uint8Array } {
  const sink = new MemorySink();
  return { ...recoverLog(memorySource(bytes), sink, nodeTools), bytes: sink.bytes() };
}
/** The events of a recovered log, which must be sound and lead to the states they led to. */
function eventsOf(bytes: Uint8Array): unknown[] {
  expect(verifyLog(memorySource(bytes), nodeTools, { deep: true }).problems).toEqual([]);
  return [...readerOf(bytes).events()].map(({ event }) => event);
}
const damagedAt = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes[at]! ^ 1);

describe('recovering', () => {
  it('a whole log gives the same bytes', () => {
    const { bytes, ...rest } = recovered(SMALL);
    expect(bytes).toEqual(SMALL);
    expect(rest).toEqual({
      firstEvent: 0,
      events: EVENTS.length,
      operations: FOOTER.operations,
      complete: true,
      lostEvents: null,
      lostOperations: null,
      stopped: null,
      skipped: [],
    });
  });
  it('a log cut at any byte gives the events of every chunk before that, and says that more is lost', () => {
    const ends = FOOTER.chunks.map(([offset], i) => [
      // A chunk is whole once its frame is.
      offset + 20 + new DataView(SMALL.buffer).getUint32(offset, true),
      FOOTER.chunks[i]![1] + FOOTER.chunks[i]![2],
    ]);
    const footerAt = SMALL.length - 8 - 20 - new DataView(SMALL.buffer).getUint32(SMALL.length - 12, true);
    for (let size = 0; size < SMALL.length; size++) {
      let result;
      try {
        result = recovered(SMALL.slice(0, size));
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        // Not even the header is there.
        expect(size).toBeLessThan(FOOTER.chunks[0]![0]);
        continue;
      }
      const whole = ends.findLast(([end]) => end! <= size)?.[1] ?? 0;
      expect(result.events, `cut at ${size}`).toBe(whole);
      expect(eventsOf(result.bytes)).toEqual(EVENTS.slice(0, whole));
      expect(result.complete, `cut at ${size}`).toBe(size > footerAt + 4);
      if (size <= footerAt) expect(result).toMatchObject({ lostEvents: { from: whole, to: null }, stopped: {} });
    }
  });
  it('a log whose footer is damaged anywhere gives everything', () => {
    const footerAt = SMALL.length - 8 - 20 - new DataView(SMALL.buffer).getUint32(SMALL.length - 12, true);
    for (let at = footerAt; at < SMALL.length; at++) {
      const result = recovered(damagedAt(SMALL, at));
      expect([result.complete, result.events, result.operations], `byte ${at}`).toEqual([
        true,
        EVENTS.length,
        FOOTER.operations,
      ]);
      expect(eventsOf(result.bytes)).toEqual(EVENTS);
    }
  });
  it('stops at the first lost chunk, and says which events are lost', () => {
    const [offset, first] = FOOTER.chunks[3]!;
    const result = recovered(damagedAt(SMALL, offset + 30));
    expect(result).toMatchObject({
      events: first,
      complete: false,
      lostEvents: { from: first, to: EVENTS.length },
      skipped: [{ offset, why: 'the CRC of the frame is wrong' }],
    });
    expect(result.stopped!.why).toContain(`events ${first} to ${first + 6} were in a damaged frame`);
    expect(eventsOf(result.bytes)).toEqual(EVENTS.slice(0, first));
  });
  it('leaves a damaged keyframe out, and those that build on it, and keeps all events', () => {
    for (const [offset] of FOOTER.keyframes) {
      const result = recovered(damagedAt(SMALL, offset + 30));
      expect([result.complete, result.events, result.skipped.length]).toEqual([true, EVENTS.length, 1]);
      expect(eventsOf(result.bytes)).toEqual(EVENTS);
      expect(stateAt(readerOf(result.bytes), 60)).toEqual(stateAt(readerOf(SMALL), 60));
    }
  });
  it('keeps the events where operations are lost, and says so', () => {
    const [offset] = FOOTER.operationFrames[0]!;
    const result = recovered(damagedAt(SMALL, offset + 30));
    expect(result).toMatchObject({
      events: EVENTS.length,
      operations: 0,
      complete: false,
      lostEvents: null,
      lostOperations: { from: 0, to: FOOTER.operations },
    });
    expect(eventsOf(result.bytes)).toEqual(EVENTS);
  });
  it('any changed byte gives a sound log of a prefix of the events, or none', () => {
    for (let at = 0; at < SMALL.length; at++) {
      try {
        const { bytes, events } = recovered(damagedAt(SMALL, at));
        expect(eventsOf(bytes), `byte ${at}`).toEqual(EVENTS.slice(0, events));
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        expect(at).toBeLessThan(FOOTER.chunks[0]![0]);
      }
    }
  });
  it('does not need the magic at the beginning, but a header', () => {
    expect(recovered(damagedAt(SMALL, 1))).toMatchObject({ complete: true, bytes: SMALL });
    expect(() => recovered(new Uint8Array(100))).toThrow(InputError);
    expect(() => recovered(MAGIC)).toThrow(InputError);
  });
  it('does not take frames of another log that stand behind a torn end', () => {
    const other = logOfEvents([...touching(21)], 3, { chunkEvents: 7, keyframeEvents: 14 });
    const at = FOOTER.chunks[2]![0];
    const { events, stopped } = recovered(
      Uint8Array.of(...SMALL.subarray(0, at), ...other.subarray(readerOf(other).footer.chunks[4]![0])),
    );
    expect(events).toBe(14);
    expect(stopped).toMatchObject({ offset: at });
    expect(FrameKind.events).toBe(2);
  });
});
