import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { InputError } from '../../src/lib/errors.js';
import { foldLog } from '../../replays/fold.js';
import { FrameKind, MAGIC, readFrame } from '../../replays/log/format.js';
import { LogReader } from '../../replays/log/reader.js';
import { CHUNK_EVENTS, LogWriter, NO_OPERATION } from '../../replays/log/writer.js';
import { apply } from '../../reducers/index.js';
import { initialState } from '../../reducers/state.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { RUN, SOURCE, logOf, logOfEvents, readerOf, touching } from '../support/logs.js';

const events = [...touching(3000)];

describe('a log', () => {
  it('gives back the events in order, over chunks', () => {
    const reader = readerOf(logOfEvents(events, 3));
    expect(reader.eventCount).toBe(events.length);
    expect(reader.footer.chunks.length).toBe(Math.ceil(events.length / CHUNK_EVENTS));
    expect([...reader.events()].map(({ event }) => event)).toEqual(events);
  });
  it('gives any stretch of events, with their numbers', () => {
    const reader = readerOf(logOfEvents(events));
    for (const [from, to] of [
      [0, 1],
      [4095, 4097],
      [5000, 5000],
      [8190, 9000],
      [9100, 99999],
      [0, 0],
    ] as const) {
      const stretch = [...reader.events(from, to)];
      expect(stretch.map(({ event }) => event)).toEqual(events.slice(from, to));
      expect(stretch.every(({ number }, i) => number === from + i)).toBe(true);
    }
  });
  it('tells what it is of', () => {
    const reader = readerOf(logOfEvents(events.slice(0, 30), 3));
    expect(reader.header).toMatchObject({ ...RUN, format: 1, catalogue: 2, tool: 'folioscope 0.1.0' });
    expect(reader.header.types[41]).toBe('FolioAllocated');
    expect(reader.footer).toMatchObject({ events: 30, operations: 10, source: SOURCE, summary: { faults: 1 } });
    expect(reader.footer.counts).toEqual({
      MmCreated: 1,
      TaskCreated: 1,
      AnonVmaCreated: 1,
      FolioAllocated: 9,
      AnonPageMapped: 9,
      FaultAccounted: 9,
    });
  });
  it('is the same bytes for the same run', () => {
    expect(logOfEvents(events, 3)).toEqual(logOfEvents(events, 3));
  });
  it('holds the operations with their outcome and events', () => {
    const reader = readerOf(logOfEvents(events, 3));
    const operations = [...reader.operations()];
    expect(operations.length).toBe(Math.ceil(events.length / 3));
    expect(reader.footer.operationFrames.length).toBeGreaterThan(2);
    expect(operations.map(({ id }) => id)).toEqual(operations.map((_, i) => i));
    expect(operations[2000]).toEqual({
      id: 2000,
      line: 6001,
      pid: 7,
      name: 'store',
      args: [0x7f1200000000 + 6000 * 4096, 1],
      result: { kind: 'none' },
      got: { value: 6002 },
      firstEvent: 6000,
      events: 3,
    });
    expect([...reader.operations(1020, 1030)]).toEqual(operations.slice(1020, 1030));
    expect(reader.operation(1024)).toEqual(operations[1024]);
    expect(() => reader.operation(9999)).toThrow(RangeError);
  });
  it('knows which operation every event belongs to, where they interleave and between them', () => {
    const fault: KernelEvent = { type: 'FaultAccounted', tid: 7, major: 0 };
    const operation = { line: 1, pid: 7, name: 'load', args: [], result: { kind: 'none' } };
    const bytes = logOf((log) => {
      log.event(fault);
      const a = log.beginOperation(operation);
      log.event(fault);
      const b = log.beginOperation(operation);
      log.event(fault);
      log.switchTo(a);
      log.event(fault);
      log.endOperation({ value: 1 });
      log.event(fault);
      log.endOperation({ value: 2 }, b);
      log.beginOperation({ ...operation, unfinished: true });
      log.event(fault);
    });
    const reader = readerOf(bytes);
    expect(reader.chunkAt(3).runs).toEqual(
      [NO_OPERATION, 0, 1, 0, NO_OPERATION, 2].map((of) => ({ operation: of, count: 1 })),
    );
    expect([...reader.operations()].map(({ firstEvent, events: n, got }) => [firstEvent, n, got])).toEqual([
      [1, 2, { value: 1 }],
      [2, 1, { value: 2 }],
      [5, 1, null],
    ]);
  });
  it('may be empty', () => {
    const reader = readerOf(logOf(() => {}));
    expect([...reader.events()]).toEqual([]);
    expect([...reader.operations()]).toEqual([]);
    expect(foldLog(reader)).toEqual(initialState());
  });
  it('ends a chunk early where range events are long', () => {
    const runs = Array.from({ length: 3000 }, (_, i) => [i * 2, 1]).flat();
    const long: KernelEvent = { type: 'GatherFlushed', mm: 1, ref: -1, runs, freed: [] };
    const reader = readerOf(logOfEvents(Array.from({ length: 100 }, () => long)));
    expect(reader.footer.chunks.map(([, , n]) => n)).toEqual([44, 44, 12]);
    expect([...reader.events()].every(({ event }) => (event as typeof long).runs.length === 6000)).toBe(true);
  });
  it('passes over frames of kinds that come later', () => {
    const bytes = logOf((log, state) => {
      log.frame(99, { anything: [1, 2n, 'x'] });
      for (const event of touching(3)) {
        apply(state, event);
        log.event(event);
      }
      log.frame(FrameKind.schedule, 'x'.repeat(5000));
    });
    expect([...readerOf(bytes).events()].map(({ event }) => event)).toEqual([...touching(3)]);
  });
  it('folds to the state that was there when it was written, at every event', () => {
    fc.assert(
      fc.property(foldableEvents(), fc.nat(70), (made, at) => {
        const reader = readerOf(logOfEvents(made));
        const n = Math.min(at, made.length);
        const state = initialState();
        for (const event of made.slice(0, n)) apply(state, event);
        expect(foldLog(reader, n)).toEqual(state);
      }),
      { numRuns: 60 },
    );
  });
  it('has no clock, path or salt in it: bytes begin with magic and header', () => {
    const bytes = logOf(() => {});
    expect(bytes.subarray(0, 8)).toEqual(MAGIC);
    expect(readFrame(memorySource(bytes), 8, nodeTools)).toMatchObject({ kind: FrameKind.header, flags: 0, seq: 0 });
  });
});

describe('a writer whose sink fails', () => {
  it('passes the error on and removes what was written', () => {
    class FullSink extends MemorySink {
      room = 4000;
      aborted = 0;
      override write(bytes: Uint8Array): void {
        this.room -= bytes.length;
        if (this.room < 0) throw new Error('ENOSPC');
        super.write(bytes);
      }
      override abort(): void {
        this.aborted++;
        super.abort();
      }
    }
    const sink = new FullSink();
    const state = initialState();
    const log = new LogWriter(sink, nodeTools, RUN, state, { deflate: false });
    expect(() => {
      for (const event of events) {
        apply(state, event);
        log.event(event);
      }
    }).toThrow('ENOSPC');
    expect([sink.aborted, sink.committed, sink.bytes().length]).toEqual([1, false, 0]);
  });
});

describe('opening', () => {
  const open = (bytes: Uint8Array): unknown => new LogReader(memorySource(bytes, 'x.fsl'), nodeTools);
  const sound = logOfEvents([...touching(5)], 3);
  it.each([
    ['nothing', new Uint8Array()],
    ['a text', new TextEncoder().encode('22798 mmap(NULL, 4096) = 0x7f\n'.repeat(9))],
    ['zeros', new Uint8Array(4096)],
    ['a log without its end', sound.subarray(0, sound.length - 1)],
    ['a log with something behind it', Uint8Array.of(...sound, 0)],
  ])('%s is an input error with a place', (_, bytes) => {
    expect(() => open(bytes)).toThrow(InputError);
    expect(() => open(bytes)).toThrow(/^x\.fsl: byte \d+: /);
  });
});
