// Small logs, written into memory.
import type { KernelEvent } from '../../events/index.js';
import { apply } from '../../reducers/index.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import type { RunDescription } from '../../replays/log/format.js';
import { LogReader } from '../../replays/log/reader.js';
import type { LogWriterOptions } from '../../replays/log/writer.js';
import { LogWriter } from '../../replays/log/writer.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';

export const RUN: RunDescription = {
  kernel: '6.18',
  behaviours: { 'anon-exclusive': true },
  machine: { cpus: 2 },
  seed: 0,
  recorded: false,
  sourceName: 'cow.strace',
};
export const SOURCE = { bytes: 12, crc32: 0xdeadbeef, lines: 3 };

/** A log written by `write`, which gets the state to apply events to. */
export function logOf(write: (log: LogWriter, state: KernelState) => void, options: LogWriterOptions = {}): Uint8Array {
  const sink = new MemorySink();
  const state = initialState();
  const log = new LogWriter(sink, nodeTools, RUN, state, options);
  write(log, state);
  log.close({ faults: 1 }, SOURCE);
  return sink.bytes();
}

/** A log of `events`, `perOperation` of them for each operation; 0: no operations. */
export const logOfEvents = (
  events: readonly KernelEvent[],
  perOperation = 0,
  options: LogWriterOptions = {},
): Uint8Array =>
  logOf((log, state) => {
    events.forEach((event, i) => {
      if (perOperation > 0 && i % perOperation === 0) {
        const address = 0x7f1200000000 + i * 4096;
        log.beginOperation({ line: i + 1, pid: 7, name: 'store', args: [address, 1], result: { kind: 'none' } });
      }
      apply(state, event);
      log.event(event);
      if (perOperation > 0 && (i % perOperation === perOperation - 1 || i === events.length - 1))
        log.endOperation({ value: i });
    });
  }, options);

export const readerOf = (bytes: Uint8Array): LogReader => new LogReader(memorySource(bytes), nodeTools);

/** One task that touches `pages` pages, three events each. */
export function* touching(pages: number): Generator<KernelEvent> {
  const none = { startBrk: 0, brk: 0, defFlags: 0, foreignLayout: 0 };
  yield { type: 'MmCreated', mm: 1, parent: 0, mmapBase: 0x7f1300000000, ...none };
  yield { type: 'TaskCreated', tid: 7, tgid: 7, parent: 0, mm: 1, cpu: 0 };
  yield { type: 'AnonVmaCreated', anonVma: 1, root: 1, parent: 1 };
  const page = { ref: 1, mapcount: 1, exclusive: 1, rssAnon: 1, lruCpu: 0 };
  for (let pfn = 0; pfn < pages; pfn++) {
    const vpn = 0x7f1200000 + pfn * 3;
    yield { type: 'FolioAllocated', pfn };
    yield { type: 'AnonPageMapped', mm: 1, vpn, pfn, entry: pfn * 1024 + 7, anonVma: 1, index: vpn, ...page };
    yield { type: 'FaultAccounted', tid: 7, major: 0 };
    if (pfn % 15 === 14) yield { type: 'LruAddDrained', cpu: 0, ref: -1, freed: [] };
  }
}
