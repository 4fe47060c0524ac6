// Small sound logs to damage: every family of events and operations, whole and changed keyframes, a cut piece, a recording.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { check } from '../../projections/query/check.js';
import { cutLog } from '../../replays/cut.js';
import { LogReader } from '../../replays/log/reader.js';
import type { LogWriterOptions } from '../../replays/log/writer.js';
import { LogWriter } from '../../replays/log/writer.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { MemorySink, memorySource } from '../../src/lib/bytes.js';
import { Run } from '../../src/sched/run.js';
import { TextParser } from '../../src/workload/text/workload.js';
import type { SoundLog } from './log-mutator.js';
import { soundLog } from './log-mutator.js';

const COW = `1 mmap(0x10000000, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A
1 store(A, 0x11, 0x3000)
1 fork() = 2
1 store(A, 0x22)
check page(1, A).anon_exclusive
2 load(A) = 0x11
2 mremap(A, 0x2000, 0x3000, MREMAP_MAYMOVE) = B
2 madvise(B, 0x1000, MADV_DONTNEED) = 0
2 mprotect(B, 0x1000, PROT_READ) = 0
2 store(B, 1) = SIGSEGV
2 exit_group(0)
1 wait4(2, NULL, 0, NULL) = 2
1 munmap(A, 0x1000) = 0
`;
const FILES = `memfd_create("m", 0) = 3
ftruncate(3, 0x5000) = 0
mmap(0x20000000, 0x5000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, 3, 0) = A
mmap(0x30000000, 0x5000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, 3, 0) = B
store(A, 7, 0x2800)
load(B)
store(B, 9)
pwrite64(3, A, 16, 0x3000)
dup(3) = 4
close(3)
mlock(A, 0x2000) = 0
madvise(B, 0x2000, MADV_FREE)
ftruncate(4, 0x1800) = 0
msync(A, 0x1000, MS_SYNC)
lru_add_drain()
`;

/** The log of a text. `writing`: chunks and keyframes so small that there are several of each. */
function logOfText(text: string, recorded: boolean, writing: LogWriterOptions): Uint8Array {
  const sink = new MemorySink();
  const behaviours = behavioursOf('6.18');
  let log: LogWriter | null = null;
  const run = new Run({ behaviours, machine: DEFAULT_MACHINE, recorded, lenient: true, check }, [
    {
      beginOperation: (operation) => void log?.beginOperation(operation),
      event: (event) => log?.event(event),
      endOperation: (_operation, got) => log?.endOperation(got),
    },
  ]);
  const description = {
    kernel: '6.18',
    behaviours,
    machine: { ...DEFAULT_MACHINE },
    seed: 0,
    recorded,
    sourceName: 'x',
  };
  log = new LogWriter(sink, nodeTools, description, run.state, writing);
  const parser = new TextParser(
    { operation: (operation) => void run.execute(operation), skipped: () => undefined },
    { recorded, lenient: true },
  );
  text.split('\n').forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  log.close({ format: 'workload' }, { bytes: text.length, crc32: 1, lines: 1 });
  return sink.bytes();
}

function pieceOf(bytes: Uint8Array, from: number, to: number, writing: LogWriterOptions): Uint8Array {
  const sink = new MemorySink();
  cutLog(new LogReader(memorySource(bytes), nodeTools), from, to, sink, nodeTools, writing);
  return sink.bytes();
}

/** A recording of the repository, unpacked. */
export const recordingText = (name: string): string =>
  gunzipSync(readFileSync(new URL(`../../examples/recordings/${name}`, import.meta.url))).toString('utf8');

/** The logs, the same each time. */
export function baseLogs(recording: string): readonly SoundLog[] {
  const small: LogWriterOptions = { chunkEvents: 16, keyframeEvents: 16 };
  const cow = logOfText(COW, false, { ...small, deflate: false });
  const files = logOfText(FILES, false, small);
  const strace = logOfText(recording.split('\n').slice(0, 30).join('\n'), true, {
    chunkEvents: 64,
    keyframeEvents: 64,
  });
  return [
    soundLog('cow', cow),
    soundLog('files', files),
    soundLog('files in one chunk', logOfText(FILES, false, { keyframeEvents: 0, deflate: false })),
    soundLog('piece', pieceOf(cow, 20, 50, small)),
    soundLog('strace', strace),
  ];
}
