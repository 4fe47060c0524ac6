import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutLog } from '../../replays/cut.js';
import { foldLog } from '../../replays/fold.js';
import { verifyLog } from '../../replays/log/verify.js';
import { recoverLog } from '../../replays/recover.js';
import { Timeline, stateAt } from '../../replays/timeline.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { logOf, logOfEvents, readerOf, touching } from '../support/logs.js';

const EVENTS = [...touching(4000)];
const LONG = readerOf(logOfEvents(EVENTS, 3, { keyframeEvents: 4096 }));

function cut(reader: ReturnType<typeof readerOf>, from: number, to: number, chunkEvents = 4096): Uint8Array {
  const sink = new MemorySink();
  cutLog(reader, from, to, sink, nodeTools, { chunkEvents, keyframeEvents: 2 * chunkEvents });
  expect(sink.committed).toBe(true);
  return sink.bytes();
}

describe('a piece of a log', () => {
  const bytes = cut(LONG, 5000, 11_000, 1000);
  const piece = readerOf(bytes);
  it('keeps the numbers of events and operations, and says what it was cut out of', () => {
    expect(piece.header.parent).toEqual({ digest: LONG.footer.digest, event: 5000 });
    expect([piece.firstEvent, piece.eventCount]).toEqual([5000, 11_000]);
    expect([...piece.events()]).toEqual([...LONG.events(5000, 11_000)]);
    expect(piece.operation(2000)).toEqual(LONG.operation(2000));
    // Events 4998 to 5000 are of one operation: the piece has the last of them.
    expect(piece.operation(1666)).toEqual({ ...LONG.operation(1666), firstEvent: 5000, events: 1 });
    expect([piece.footer.firstOperation, piece.footer.operations]).toEqual([1666, 3667]);
  });
  it('has the states of the whole log, and none before its beginning', () => {
    for (const n of [5000, 5001, 6500, 9999, 11_000]) expect(stateAt(piece, n)).toEqual(stateAt(LONG, n));
    expect(foldLog(piece)).toEqual(stateAt(LONG, 11_000));
    expect(() => stateAt(piece, 4999)).toThrow('position 4999: the log goes from 5000 to 11000');
  });
  it('can be stepped through from end to end', () => {
    const timeline = new Timeline(piece);
    expect(timeline.position).toBe(5000);
    expect([timeline.back(), timeline.backOperation()]).toEqual([null, false]);
    expect(timeline.step()).toEqual(EVENTS[5000]);
    expect(timeline.find(() => true, 'backward')?.number).toBe(5000);
    timeline.seek(11_000);
    expect(timeline.step()).toBeNull();
  });
  it('is sound, shallow and deep; its operations are not run again, and that is said', () => {
    expect(verifyLog(memorySource(bytes), nodeTools).problems).toEqual([]);
    const result = verifyLog(memorySource(bytes), nodeTools, { deep: true, reexecute: () => [] });
    expect(result).toMatchObject({ ok: true, problems: [], divergence: null, events: 6000, operations: 2001 });
    expect(result.notRunAgain).toContain('cut out of another log');
  });
  it('can be cut again, and recovered', () => {
    const again = readerOf(cut(piece, 7000, 7100));
    expect([...again.events()]).toEqual([...LONG.events(7000, 7100)]);
    expect(again.header.parent).toEqual({ digest: piece.footer.digest, event: 7000 });
    const sink = new MemorySink();
    expect(recoverLog(memorySource(bytes.subarray(0, bytes.length - 3)), sink, nodeTools).complete).toBe(true);
    expect([...readerOf(sink.bytes()).events()]).toEqual([...piece.events()]);
    expect(verifyLog(memorySource(sink.bytes()), nodeTools, { deep: true }).problems).toEqual([]);
  });
  it('of any events at any place is sound and leads to their states', () => {
    fc.assert(
      fc.property(foldableEvents(120), fc.nat(), fc.nat(), fc.integer({ min: 1, max: 40 }), (events, a, b, chunk) => {
        fc.pre(events.length > 1);
        const from = a % (events.length - 1);
        const to = from + 1 + (b % (events.length - from));
        const reader = readerOf(logOfEvents(events, 3, { chunkEvents: 7, keyframeEvents: 20 }));
        const made = cut(reader, from, to, chunk);
        expect(verifyLog(memorySource(made), nodeTools, { deep: true }).problems).toEqual([]);
        expect([...readerOf(made).events()]).toEqual([...reader.events(from, to)]);
        expect(stateAt(readerOf(made), to)).toEqual(foldLog(reader, to));
      }),
      { numRuns: 100 },
    );
  });
  it('keeps interleaved operations, those without events and events of none', () => {
    const fault = { type: 'FaultAccounted', tid: 7, major: 0 } as const;
    const operation = { line: 1, pid: 7, name: 'load', args: [], result: { kind: 'none' } };
    const reader = readerOf(
      logOf((log) => {
        const a = log.beginOperation(operation);
        log.event(fault);
        const b = log.beginOperation({ ...operation, unfinished: true });
        log.event(fault);
        log.switchTo(a);
        log.event(fault);
        log.endOperation({ value: 1 });
        log.event(fault);
        log.endOperation({ value: 2 }, b);
        log.beginOperation(operation);
        log.endOperation({ value: 3 });
        log.beginOperation(operation);
        log.event(fault);
        log.endOperation({ value: 4 });
      }),
    );
    const made = readerOf(cut(reader, 1, 5));
    expect([...made.operations()].map(({ id, events, got }) => [id, events, got])).toEqual([
      [0, 1, { value: 1 }],
      [1, 1, { value: 2 }],
      [2, 0, { value: 3 }],
      [3, 1, { value: 4 }],
    ]);
    expect(made.operation(1).unfinished).toBe(true);
    expect(verifyLog(memorySource(cut(reader, 1, 5)), nodeTools, { deep: true }).problems).toEqual([]);
  });
  it('of events that are not there is refused', () => {
    for (const [from, to] of [
      [5, 5],
      [7, 3],
      [0, EVENTS.length + 1],
    ] as const)
      expect(() => cut(LONG, from, to)).toThrow('the log has no events');
  });
  it('without its first keyframe cannot be used, and says so', () => {
    const damaged = bytes.slice();
    damaged[piece.footer.keyframes[0]![0] + 30]! ^= 1;
    expect(() => stateAt(readerOf(damaged), 6000)).toThrow('the CRC of the frame is wrong');
    expect(verifyLog(memorySource(damaged), nodeTools, { deep: true }).ok).toBe(false);
    const sink = new MemorySink();
    const result = recoverLog(memorySource(damaged), sink, nodeTools);
    expect(result).toMatchObject({ complete: false, lostEvents: { from: 5000, to: 11_000 } });
    expect(result.stopped!.why).toBe('the keyframe that the log begins with is lost');
  });
});
