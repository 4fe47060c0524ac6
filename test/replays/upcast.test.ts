// Logs of earlier catalogues: test/logs keeps one of each, written by the version of then.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { OldCatalogue, PlainEvent } from '../../events/history.js';
import { HISTORY, shapeOf, upcasterFrom } from '../../events/history.js';
import type { KernelEvent } from '../../events/index.js';
import { CATALOGUE_VERSION, LIST_KINDS, SHAPES } from '../../events/index.js';
import { canonicalState } from '../../projections/canonical.js';
import { cutLog } from '../../replays/cut.js';
import { foldLog } from '../../replays/fold.js';
import { EventDecoder, EventEncoder } from '../../replays/log/event-codec.js';
import { FrameKind, MAGIC, frameBytes, headerOf, pack } from '../../replays/log/format.js';
import { LogReader } from '../../replays/log/reader.js';
import { verifyLog } from '../../replays/log/verify.js';
import { oldVocabulary } from '../../replays/log/vocabulary.js';
import { recoverLog } from '../../replays/recover.js';
import { Timeline } from '../../replays/timeline.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';
import { RUN, readerOf } from '../support/logs.js';

const kept = (name: string): Uint8Array => readFileSync(new URL(`../logs/${name}`, import.meta.url));
const ONE = kept('catalogue-1.fsl');

describe('a log of catalogue 1', () => {
  const reader = readerOf(ONE);

  it('is one, and leads to the state that the version of then printed', () => {
    expect(reader.header.catalogue).toBe(1);
    expect(reader.footer.keyframes.length).toBeGreaterThan(1);
    const then = JSON.parse(kept('catalogue-1.state.json').toString()) as unknown;
    expect(JSON.parse(JSON.stringify(canonicalState(foldLog(reader))))).toMatchObject(then as object);
  });

  it('gives events of today', () => {
    const events = [...reader.events()].map(({ event }) => event);
    const fields = (event: KernelEvent): string[] => Object.keys(event).filter((name) => name !== 'type');
    for (const event of events) expect(fields(event)).toEqual(Object.keys(SHAPES[event.type].fields));
    expect(events.find(({ type }) => type === 'InodeResized')).toMatchObject({ data: -1 });
    expect(events.find(({ type }) => type === 'FdInstalled')).toMatchObject({ file: -1 });
  });

  it('is travelled in, though its keyframes are passed over', () => {
    const timeline = new Timeline(reader);
    const states = [0, 70, 140, reader.eventCount].map((n) => timeline.seek(n));
    for (let n = 0; n < 200; n++) timeline.back();
    while (timeline.step() !== null);
    expect(canonicalState(timeline.state)).toEqual(canonicalState(states[3]!));
    expect(timeline.stateAt(140)).toEqual(states[2]);
  });

  it('is verified; its digests, which are of states of then, are not compared', () => {
    expect(verifyLog(memorySource(ONE), nodeTools)).toMatchObject({ ok: true, events: 253, operations: 49 });
    const deep = verifyLog(memorySource(ONE), nodeTools, {
      deep: true,
      reexecute: () => {
        throw new Error('its events are not those of today');
      },
    });
    expect(deep).toMatchObject({ ok: true, statesCompared: false, divergence: null });
    expect(deep.notRunAgain).toContain('event catalogue 1');
  });

  it('is found damaged where it is', () => {
    const bytes = Uint8Array.from(ONE);
    bytes[3000]! ^= 1;
    expect(verifyLog(memorySource(bytes), nodeTools).ok).toBe(false);
  });

  it('is recovered as it is', () => {
    const sink = new MemorySink();
    expect(recoverLog(memorySource(ONE), sink, nodeTools).complete).toBe(true);
    expect(readerOf(sink.bytes()).header.catalogue).toBe(1);
    expect(foldLog(readerOf(sink.bytes()))).toEqual(foldLog(reader));
  });

  it('is cut into a log of today', () => {
    const sink = new MemorySink();
    cutLog(reader, 100, reader.eventCount, sink, nodeTools);
    const cut = readerOf(sink.bytes());
    expect(cut.header.catalogue).toBe(CATALOGUE_VERSION);
    expect(verifyLog(memorySource(sink.bytes()), nodeTools, { deep: true })).toMatchObject({
      ok: true,
      statesCompared: true,
    });
    expect(foldLog(cut)).toEqual(foldLog(reader));
  });
});

describe('a piece of a log of catalogue 1', () => {
  const piece = readerOf(kept('catalogue-1-piece.fsl'));
  it('tells its events and operations', () => {
    expect([...piece.events()]).toHaveLength(80);
    expect([...piece.operations()]).toHaveLength(14);
  });
  it('has no state: the one that it begins with is in the form of then', () => {
    expect(() => foldLog(piece)).toThrow('in the form of event catalogue 1; cut it anew out of the whole log');
  });
});

describe('every earlier catalogue', () => {
  it('is kept, without gaps', () => {
    expect(HISTORY.map(({ version }) => version)).toEqual(
      Array.from({ length: CATALOGUE_VERSION - 1 }, (_, i) => i + 1),
    );
  });
  it.each(HISTORY.flatMap(({ version, shapes }) => shapes.map((shape) => ({ version, shape, type: shape.type }))))(
    'catalogue $version: $type becomes an event of today',
    ({ version, shape }) => {
      const value = (kind: (typeof shape.fields)[number][1]): PlainEvent[string] =>
        kind === 'text' ? 'x' : LIST_KINDS.has(kind) ? [] : 1;
      const event = {
        type: shape.type,
        ...Object.fromEntries(shape.fields.map(([name, kind]) => [name, value(kind)])),
      };
      const now = upcasterFrom(version)(event) as unknown as PlainEvent;
      const { fields } = SHAPES[now.type as KernelEvent['type']];
      const kinds = Object.entries(fields).map(([name, kind]) => [name, typeof value(kind)]);
      const got = Object.entries(now).filter(([name]) => name !== 'type');
      expect(Object.fromEntries(got.map(([name, each]) => [name, typeof each]))).toEqual(Object.fromEntries(kinds));
    },
  );
});

describe('upcasting through several versions', () => {
  // Version 1 had no `cpu`, version 2 called the type otherwise.
  const history: readonly OldCatalogue[] = [
    {
      version: 1,
      shapes: ['1 TaskBorn tid tgid:tid parent:tid mm', '7 TaskReaped tid'].map(shapeOf),
      upcast: { TaskBorn: (event) => ({ ...event, cpu: 0 }) },
    },
    {
      version: 2,
      shapes: ['1 TaskBorn tid tgid:tid parent:tid mm cpu', '7 TaskReaped tid'].map(shapeOf),
      upcast: { TaskBorn: (event) => ({ ...event, type: 'TaskCreated' }) },
    },
  ];
  const born = { type: 'TaskBorn', tid: 5, tgid: 5, parent: 1, mm: 2 };
  const reaped = { type: 'TaskReaped', tid: 3 };

  it.each([
    [1, born, 0],
    [2, { ...born, cpu: 4 }, 4],
  ])('an added field and a renamed type: catalogue %d', (version, old, cpu) => {
    const vocabulary = oldVocabulary(history[version - 1]!, history);
    const order = Uint8Array.of(1, 7);
    const tables = new EventEncoder(vocabulary).encode([old, reaped] as unknown as KernelEvent[], order);
    expect(new EventDecoder(vocabulary).decode(tables, order)).toEqual([
      { type: 'TaskCreated', tid: 5, tgid: 5, parent: 1, mm: 2, cpu },
      reaped,
    ]);
  });

  it('a table with the fields of another version is refused', () => {
    const tables = new EventEncoder(oldVocabulary(history[0]!, history)).encode(
      [born] as unknown as KernelEvent[],
      Uint8Array.of(1),
    );
    expect(() => new EventDecoder(oldVocabulary(history[1]!, history)).decode(tables, Uint8Array.of(1))).toThrow(
      'TaskBorn has other fields',
    );
  });
});

describe('a log that says of its catalogue', () => {
  const withHeader = (change: object): Uint8Array => {
    const header = frameBytes(FrameKind.header, 0, 0, pack({ ...headerOf(RUN), ...change }), nodeTools);
    return Uint8Array.from([...MAGIC, ...header, ...MAGIC]);
  };
  const opening =
    (change: object): (() => unknown) =>
    () =>
      new LogReader(memorySource(withHeader(change)), nodeTools);

  it('that it is newer gets one clear error with the version that wrote it', () => {
    expect(opening({ catalogue: CATALOGUE_VERSION + 1, tool: 'folioscope 9.9.9' })).toThrow(
      `log: byte 8: event catalogue ${CATALOGUE_VERSION + 1}, written by folioscope 9.9.9; this version reads catalogues 1 to ${CATALOGUE_VERSION}`,
    );
  });
  it('that it is an earlier one with types which that did not have is refused', () => {
    expect(opening({ catalogue: 1 })).toThrow(/event type 'FolioCleaned' .* is not in event catalogue 1/);
  });
});
