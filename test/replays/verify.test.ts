import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventOf, KernelEvent } from '../../events/index.js';
import { apply } from '../../reducers/index.js';
import { initialState } from '../../reducers/state.js';
import { EventEncoder } from '../../replays/log/event-codec.js';
import { FrameKind, MAGIC, frameBytes, pack, unpack } from '../../replays/log/format.js';
import type { Verification, VerifyOptions } from '../../replays/log/verify.js';
import { verifyLog } from '../../replays/log/verify.js';
import { LogWriter } from '../../replays/log/writer.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { RUN, SOURCE, logOf, logOfEvents, readerOf, touching } from '../support/logs.js';

const verify = (bytes: Uint8Array, options?: VerifyOptions): Verification =>
  verifyLog(memorySource(bytes), nodeTools, options);
const small = [...touching(4)];

describe('verify', () => {
  it('finds nothing wrong with a log, shallow or deep', () => {
    const events = [...touching(3000)];
    const bytes = logOfEvents(events, 3);
    for (const deep of [false, true])
      expect(verify(bytes, { deep })).toEqual({
        ok: true,
        isLog: true,
        problems: [],
        divergence: null,
        notRunAgain: null,
        statesCompared: deep,
        events: events.length,
        operations: Math.ceil(events.length / 3),
        digest: readerOf(bytes).footer.digest,
      });
  });
  it('finds nothing wrong with a log of any events', () => {
    fc.assert(
      fc.property(foldableEvents(), (events) => {
        expect(verify(logOfEvents(events, 5), { deep: true }).problems).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
  it('reports every single changed byte', () => {
    for (const deflate of [true, false]) {
      const bytes = logOfEvents(small, 3, { deflate });
      for (let at = 0; at < bytes.length; at++) {
        const was = bytes[at] as number;
        for (const mask of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
          bytes[at] = was ^ mask;
          if (verify(bytes).ok) expect.fail(`byte ${at} ^ ${mask} goes unnoticed`);
        }
        bytes[at] = was;
      }
      expect(verify(bytes).ok).toBe(true);
    }
  });
  it('reports a log cut off at any byte', () => {
    const bytes = logOfEvents(small, 3);
    for (let size = 0; size < bytes.length; size++) {
      const { ok, problems } = verify(bytes.subarray(0, size));
      expect([ok, problems.length > 0], `cut at ${size}`).toEqual([false, true]);
    }
  });
  it('reports what follows a log, even if it ends like one', () => {
    const bytes = logOfEvents(small, 3);
    for (const tail of [Uint8Array.of(0), MAGIC, bytes])
      expect(verify(Uint8Array.of(...bytes, ...tail)).ok).toBe(false);
  });
  it('tells a damaged log from something else', () => {
    const bytes = logOfEvents(small, 3);
    bytes[1] = 0;
    expect(verify(bytes)).toMatchObject({ ok: false, isLog: true });
    expect(verify(new TextEncoder().encode('hello'.repeat(100)))).toMatchObject({ ok: false, isLog: false });
    expect(verify(new Uint8Array())).toMatchObject({ ok: false, isLog: false });
  });
  it('names the place of each damaged frame and goes on behind it', () => {
    const bytes = logOfEvents([...touching(6000)]);
    const { chunks } = readerOf(bytes).footer;
    for (const i of [1, 3]) bytes[chunks[i]![0] + 40]! ^= 1;
    const { problems, events } = verify(bytes);
    expect(problems.map(({ offset }) => offset)).toEqual([chunks[1]![0], chunks[3]![0]]);
    expect(events).toBe(18403);
  });
  it('is not led astray by a length that is wrong', () => {
    const bytes = logOfEvents([...touching(6000)]);
    const { chunks } = readerOf(bytes).footer;
    bytes[chunks[1]![0] + 3] = 0xff;
    expect(verify(bytes).problems.map(({ offset }) => offset)).toEqual([chunks[1]![0]]);
  });
  it('checks frames whose kind it does not know', () => {
    const bytes = logOf((log) => log.frame(99, 'x'.repeat(100)), { deflate: false });
    expect(verify(bytes).ok).toBe(true);
    const at = Buffer.from(bytes).indexOf('xxx');
    bytes[at + 3] = 0x79;
    expect(verify(bytes).ok).toBe(false);
  });
  it('reports a footer that tells of another log', () => {
    const bytes = logOfEvents(small, 3);
    const { footer, seq } = { footer: readerOf(bytes).footer, seq: 3 };
    const end = bytes.length - MAGIC.length;
    const length = new DataView(bytes.buffer).getUint32(end - 4, true);
    const before = bytes.subarray(0, end - length - 20);
    const withFooter = (changes: object): Uint8Array =>
      Uint8Array.of(
        ...before,
        ...frameBytes(FrameKind.footer, 0, seq, pack({ ...footer, ...changes }), nodeTools),
        ...MAGIC,
      );
    expect(verify(withFooter({})).problems).toEqual([]);
    const [[offset, first, n]] = footer.chunks as unknown as [[number, number, number]];
    const longer = { events: n + 1, chunks: [[offset, first, n + 1]] };
    expect(() => [...readerOf(withFooter(longer)).events()]).toThrow('holds other events than the footer says');
    for (const changes of [
      longer,
      { events: 0, chunks: [] },
      { chunks: [[offset - 1, first, n]] },
      { digest: '0123456789abcdef' },
      { counts: { FolioAllocated: n } },
      { chunks: 7 },
    ])
      expect(verify(withFooter(changes)).ok, JSON.stringify(changes)).toBe(false);
  });
  it('reports chunks in another order, though each is sound', () => {
    const bytes = logOfEvents([...touching(6000)], 0, { deflate: false });
    const [[a], [b], [c]] = readerOf(bytes).footer.chunks as unknown as [[number], [number], [number]];
    const swapped = Uint8Array.of(
      ...bytes.subarray(0, a),
      ...bytes.subarray(b, c),
      ...bytes.subarray(a, b),
      ...bytes.subarray(c),
    );
    expect(verify(swapped).ok).toBe(false);
  });
});

describe('verify, frames that are sound by themselves', () => {
  const three = [...touching(3000)];
  const bytes = logOfEvents(three, 0, { deflate: false });
  const [, [from], [to]] = readerOf(bytes).footer.chunks as unknown as [[number], [number], [number]];
  const withChunk = (frame: Uint8Array): Uint8Array =>
    Uint8Array.of(...bytes.subarray(0, from), ...frame, ...bytes.subarray(to));
  const payload = bytes.subarray(from + 12, to - 8);

  it('reports one that another log wrote at that place', () => {
    const other = logOfEvents(three.with(0, { ...(three[0] as EventOf<'MmCreated'>), brk: 4096 }), 0, {
      deflate: false,
    });
    const index = readerOf(other).footer.chunks;
    const frame = other.subarray(index[1]![0], index[2]![0]);
    expect(verify(withChunk(bytes.subarray(from, to))).ok).toBe(true);
    const { problems } = verify(withChunk(frame));
    expect(problems.every(({ what }) => what.includes('goes on from digest'))).toBe(true);
    expect(problems.map(({ offset }) => offset)).toEqual([from, from + frame.length]);
  });
  it('reports one with the number of another', () => {
    const { problems } = verify(withChunk(frameBytes(FrameKind.events, 0, 9, payload, nodeTools)));
    expect(problems.map(({ what }) => what)).toEqual([
      'frame 9 stands where frame 2 should',
      'frame 3 stands where frame 10 should',
    ]);
  });
});

describe('verify, deep', () => {
  it('reports the chunk where events do something else than they did', () => {
    const sink = new MemorySink();
    const state = initialState();
    const log = new LogWriter(sink, nodeTools, RUN, state);
    let n = 0;
    for (const event of touching(3000)) {
      apply(state, event);
      // As if the reducer had been another when the log was made.
      if (n++ > 5000 && event.type === 'AnonPageMapped' && event.pfn === 2000)
        state.memMap[Math.floor(event.pfn / 256)]![event.pfn % 256]!.ref++;
      log.event(event);
    }
    log.close({}, SOURCE);
    const bytes = sink.bytes();
    expect(verify(bytes).ok).toBe(true);
    const { problems } = verify(bytes, { deep: true });
    expect(problems.map(({ offset }) => offset)).toEqual([readerOf(bytes).footer.chunks[1]![0]]);
    expect(problems[0]!.what).toContain('events 4096 to 8191 do something else to the state');
  });
  it.each<[string, KernelEvent]>([
    ['a frame', { type: 'FolioAllocated', pfn: 2 ** 40 }],
    ['an address space', { ...(small[0] as EventOf<'MmCreated'>), mm: 2 ** 40 }],
    ['a CPU', { type: 'LruAddDrained', cpu: 2 ** 30, ref: 0, freed: [] }],
    ['a page of a file', { type: 'PageCacheHolesNoted', inode: 1, runs: [2 ** 52, 1] }],
  ])('reports %s that no machine has, without making room for it', (_, event) => {
    const { problems } = verify(
      logOf((log) => log.event(event)),
      { deep: true },
    );
    expect(problems.map(({ what }) => what)).toEqual([`${event.type} names more than any machine has`]);
  });
  it('reports runs that would never end', () => {
    const zap = { type: 'GatherFlushed', mm: 1, ref: -1, freed: [] } as const;
    const bytes = logOf((log) => log.event({ ...zap, runs: [0, 1] }), { deflate: false });
    // The same log with a run of 2^50 frames: its writer would not end either.
    const { chunks } = readerOf(bytes).footer;
    const at = chunks[0]![0];
    const length = new DataView(bytes.buffer).getUint32(at, true);
    const data = unpack(bytes.subarray(at + 12, at + 12 + length)) as unknown[];
    data[7] = new EventEncoder().encode([{ ...zap, runs: [0, 2 ** 50] }], data[1] as Uint8Array);
    const made = Uint8Array.of(...bytes.subarray(0, at), ...frameBytes(FrameKind.events, 0, 1, pack(data), nodeTools));
    expect(verify(made, { deep: true }).problems[0]!.what).toBe('GatherFlushed names more than any machine has');
  });
  it('comes to an end, whatever stands in frames with sound CRCs', () => {
    const bytes = logOfEvents(small, 3, { deflate: false });
    const [[at]] = readerOf(bytes).footer.chunks as unknown as [[number]];
    const length = new DataView(bytes.buffer).getUint32(at, true);
    const payload = bytes.subarray(at + 12, at + 12 + length);
    const change = fc.record({ at: fc.nat(length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.constantFrom(2, 3, 7), (changes, kind) => {
        const made = payload.slice();
        for (const { at: place, byte } of changes) made[place] = byte;
        const frame = frameBytes(kind, 0, 1, made, nodeTools);
        expect(verify(Uint8Array.of(...bytes.subarray(0, at), ...frame), { deep: true }).ok).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });
  it('names the first event that a run of the operations makes otherwise', () => {
    const bytes = logOfEvents(small, 3);
    const other = small.with(7, { type: 'FaultAccounted', tid: 7, major: 1 });
    expect(verify(bytes, { deep: true, reexecute: () => small }).ok).toBe(true);
    expect(verify(bytes, { deep: true, reexecute: () => other })).toMatchObject({
      ok: false,
      problems: [],
      divergence: { event: 7, expected: small[7], got: other[7] },
    });
    expect(verify(bytes, { deep: true, reexecute: () => small.slice(0, 9) }).divergence).toEqual({
      event: 9,
      expected: small[9],
      got: null,
    });
    expect(verify(bytes, { deep: true, reexecute: () => [...small, small[2]!] }).divergence).toMatchObject({
      event: small.length,
      expected: null,
    });
  });
  it('gives the operations and the header to whoever runs them again', () => {
    let names = '';
    verify(logOfEvents(small, 3), {
      deep: true,
      reexecute: (operations, header) => {
        names = header.sourceName + [...operations].map(({ id, name }) => ` ${id}:${name}`).join('');
        return small;
      },
    });
    expect(names).toBe('cow.strace 0:store 1:store 2:store 3:store 4:store');
  });
});
