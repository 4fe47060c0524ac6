// A long log made up: one process whose pages come, are written and go at random, up to 65,536 live ones at a time.
import type { KernelEvent } from '../events/index.js';
import { apply } from '../reducers/index.js';
import type { KernelState } from '../reducers/state.js';
import { initialState, nextFreePfn } from '../reducers/state.js';
import { LogWriter } from '../replays/log/writer.js';
import type { LogWriterOptions } from '../replays/log/writer.js';
import { nodeTools } from '../src/cli/node-io.js';
import type { ByteSink } from '../src/lib/bytes.js';

const BASE = 0x7f1200000;
const FLAGS = 7;

export interface LongLog {
  readonly events: number;
  /** Pages that may live at a time. */
  readonly pages: number;
  /** True: pages are taken at random; false: in long runs, as programs mostly do. */
  readonly random: boolean;
  /** After so many events one page counts twice in rss; absent: nothing is wrong. */
  readonly wrongAt?: number;
}

/** Emits `events` events, or a few more, into `emit`; `state` must be folded along. */
function generate(
  { events, pages, random, wrongAt = Infinity }: LongLog,
  state: KernelState,
  emit: (event: KernelEvent) => void,
): void {
  let seed = 12345;
  const dice = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const frames = new Int32Array(pages).fill(-1);
  const page = { ref: 1, mapcount: 1, exclusive: 1, rssAnon: 1, lruCpu: 0 };
  const none = { startBrk: 0, brk: 0, defFlags: 0, foreignLayout: 0 };
  emit({ type: 'MmCreated', mm: 1, parent: 0, mmapBase: 0x7f1300000000, ...none });
  emit({ type: 'TaskCreated', tid: 7, tgid: 7, parent: 0, mm: 1, cpu: 0 });
  emit({ type: 'AnonVmaCreated', anonVma: 1, root: 1, parent: 1 });
  let emitted = 3;
  const put = (event: KernelEvent): void => {
    emit(event);
    emitted++;
  };
  let place = 0;
  let wrong = false;
  for (let round = 0; ; round++) {
    if (emitted >= events) return;
    place = random || round % 512 === 0 ? dice(pages) : (place + 1) % pages;
    const vpn = BASE + place;
    const pfn = frames[place] as number;
    if (pfn < 0) {
      const fresh = nextFreePfn(state);
      frames[place] = fresh;
      put({ type: 'FolioAllocated', pfn: fresh });
      const entry = fresh * 1024 + FLAGS;
      const rssAnon: number = emitted >= wrongAt && !wrong ? 2 : 1;
      wrong ||= rssAnon === 2;
      put({ type: 'AnonPageMapped', mm: 1, vpn, pfn: fresh, entry, anonVma: 1, index: vpn, ...page, rssAnon });
      put({ type: 'FaultAccounted', tid: 7, major: 0 });
      if ((state.cpus[0]?.lruAdd.length ?? 0) >= 15) put({ type: 'LruAddDrained', cpu: 0, ref: -1, freed: [] });
    } else if (dice(4) > 0) put({ type: 'PageWritten', pfn, offset: 0, length: 8, byte: 1 + dice(3) });
    else {
      frames[place] = -1;
      const runs = [vpn, pfn, 1, FLAGS];
      if ((state.cpus[0]?.lruAdd.length ?? 0) > 0) put({ type: 'LruAddDrained', cpu: 0, ref: -1, freed: [] });
      put({ type: 'PtesZapped', mm: 1, runs, special: [], mapcount: -1, rssFile: 0, rssAnon: -1, rssShmem: 0 });
      put({ type: 'GatherFlushed', mm: 1, ref: -1, runs: [], freed: [pfn, 1] });
    }
  }
}

/** Writes such a log; returns the seconds it took. */
export function writeLongLog(log: LongLog, sink: ByteSink, options: LogWriterOptions = {}): number {
  const start = performance.now();
  const state = initialState();
  const run = { kernel: '6.18', behaviours: {}, machine: {}, seed: 0, recorded: false, sourceName: 'long' };
  const writer = new LogWriter(sink, nodeTools, run, state, options);
  const operation = { line: 1, pid: 7, name: 'load', args: [], result: { kind: 'none' } };
  let inOperation = 0;
  generate(log, state, (event) => {
    if (inOperation === 0) writer.beginOperation(operation);
    apply(state, event);
    writer.event(event);
    if (++inOperation < 8) return;
    writer.endOperation(null);
    inOperation = 0;
  });
  writer.close({}, { bytes: 0, crc32: 0, lines: 0 });
  return (performance.now() - start) / 1000;
}
