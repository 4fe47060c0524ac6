// npm run bench: how fast, as ratios measured in one run. Prints a table and writes bench/results.json.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { gunzipSync } from 'node:zlib';
import { Packr } from 'msgpackr';
import type { KernelEvent } from '../events/index.js';
import { apply } from '../reducers/index.js';
import { initialState } from '../reducers/state.js';
import { foldLog } from '../replays/fold.js';
import { LogReader } from '../replays/log/reader.js';
import { LogWriter } from '../replays/log/writer.js';
import { fileSink, fileSource, nodeTools } from '../src/cli/node-io.js';
import { runInput } from '../src/cli/run-input.js';
import { behavioursOf } from '../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../src/kernel/kernel.js';
import type { RunListener } from '../src/sched/run.js';
import { Run } from '../src/sched/run.js';
import type { Operation } from '../src/workload/operation.js';
import { PerfParser } from '../src/workload/perf/translate.js';
import { benchHistory } from './history.js';
import type { Row } from './row.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const LARGEST = join(root, 'examples/recordings/sort-compress.perf.txt.gz');
const REPEATS = 5;

/** Median of REPEATS timings of `work`, seconds; the first one warms up and does not count. */
async function seconds(work: () => unknown): Promise<number> {
  await work();
  const times: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) / 1000);
  }
  return times.toSorted((a, b) => a - b)[REPEATS >> 1] as number;
}

/** A forking program as a workload: `pages` fresh pages, then rounds of fork, copies, exit and reuse, about 4 faults a page. */
function generated(pages: number): string {
  const bytes = pages * 4096;
  const half = bytes / 2;
  return [
    `1 mmap(NULL, ${bytes}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A`,
    `1 store(A, 1, ${bytes})`,
    '1 fork() = 2',
    `1 store(A, 2, ${half})`,
    `2 store(A+${half}, 3, ${half})`,
    '2 exit_group(0)',
    `1 store(A, 4, ${bytes})`,
    `1 madvise(A, ${bytes}, MADV_DONTNEED) = 0`,
    `1 load(A, ${bytes}) = 0`,
    `1 store(A, 5, ${bytes})`,
    `1 munmap(A, ${bytes}) = 0`,
    '1 exit_group(0)',
    '',
  ].join('\n');
}

/** The same faults one line each: parsing and one operation a fault included. */
function generatedLines(faults: number): string {
  const lines = [`1 mmap(NULL, ${faults * 4096}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A`];
  for (let i = 0; i < faults; i++) lines.push(`1 fault(A+${i * 4096}, W)`);
  return `${lines.join('\n')}\n`;
}

const folder = mkdtempSync(join(tmpdir(), 'folioscope-bench-'));
const rows: Row[] = [];
const options = { kernel: '6.18', behaviours: behavioursOf('6.18'), lenient: false, quiet: true, audit: false };

async function benchRun(name: string, path: string, target?: string): Promise<string> {
  const log = join(folder, `${name}.fsl`);
  let faults = 0;
  let events = 0;
  const time = await seconds(async () => ({ faults, events } = await runInput(path, { ...options, log })));
  rows.push({
    what: `run ${name} (log written)`,
    value: faults / time,
    unit: 'faults/s',
    ...(target ? { target } : {}),
  });
  rows.push({ what: `run ${name} (log written)`, value: events / time, unit: 'events/s' });
  rows.push({ what: `log of ${name}`, value: statSync(log).size / events, unit: 'bytes/event', target: '<= 3' });
  return log;
}

/** The model, its reducers and the log alone: operations of the recording parsed beforehand. */
async function benchModel(name: string, path: string): Promise<void> {
  const operations: Operation[] = [];
  const ignore = (): void => {};
  const parser = new PerfParser(
    {
      operation: (operation) => operations.push(operation),
      skipped: ignore,
      boundary: ignore,
      fault: ignore,
      fact: ignore,
      lost: ignore,
      foreign: ignore,
    },
    { lenient: false },
  );
  gunzipSync(readFileSync(path))
    .toString()
    .split('\n')
    .forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  const faults = operations.filter(({ name: call }) => call.endsWith('fault')).length;
  const time = await seconds(() => {
    const listeners: RunListener[] = [];
    const run = new Run({ ...options, machine: DEFAULT_MACHINE, recorded: true }, listeners);
    const description = { kernel: '6.18', behaviours: {}, machine: {}, seed: 0, recorded: true, sourceName: name };
    const writer = new LogWriter(fileSink(join(folder, 'model.fsl')), nodeTools, description, run.state);
    listeners.push({
      beginOperation: (operation) => void writer.beginOperation(operation),
      event: (event) => writer.event(event),
      endOperation: (_operation, got) => writer.endOperation(got),
    });
    for (const operation of operations) run.execute(operation);
    writer.close({}, { bytes: 0, crc32: 0, lines: 0 });
  });
  rows.push({ what: `model, reducers and log of ${name}, parsed before`, value: faults / time, unit: 'faults/s' });
}

async function benchFold(name: string, log: string): Promise<void> {
  const reader = new LogReader(fileSource(log), nodeTools);
  const events: KernelEvent[] = [];
  for (const chunk of reader.chunks()) for (const event of chunk.events()) events.push(event);
  const packr = new Packr({ useRecords: false });
  const packed: Buffer[] = [];
  for (let i = 0; i < events.length; i += 4096) packed.push(packr.pack(events.slice(i, i + 4096)));
  const plain = await seconds(() => {
    const state = initialState();
    for (const event of events) apply(state, event);
  });
  const decode = await seconds(() => {
    for (const chunk of packed) packr.unpack(chunk);
  });
  const fold = await seconds(() => foldLog(new LogReader(fileSource(log), nodeTools)));
  const n = events.length;
  rows.push({ what: `plain mutable fold of ${name}, events in memory`, value: n / plain, unit: 'events/s' });
  rows.push({ what: `bare msgpack decode of ${name}`, value: n / decode, unit: 'events/s' });
  rows.push({
    what: `open and fold ${name}`,
    value: n / fold,
    unit: 'events/s',
    ratio: plain / fold,
    target: '>= 4,000,000',
  });
}

/** The same run with every invariant checked on the way. */
async function benchInvariants(name: string, path: string): Promise<void> {
  const log = join(folder, 'checked.fsl');
  const plain = await seconds(() => runInput(path, { ...options, log }));
  const checked = await seconds(() => runInput(path, { ...options, log, audit: true }));
  rows.push({
    what: `run ${name} with all invariants, times the time without`,
    value: checked / plain,
    unit: 'x',
    target: '<= 2',
  });
}

/** Largest resident size of a process of its own that runs `path`. */
function benchMemory(what: string, path: string): void {
  const { stdout } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), 'memory', path], {
    encoding: 'utf8',
  });
  rows.push({ what, value: Number(stdout) / 1024, unit: 'MB', target: '<= 1,500' });
}

function benchHelp(): void {
  const median = (args: readonly string[]): number =>
    Array.from({ length: 9 }, () => {
      const start = performance.now();
      spawnSync(process.execPath, args);
      return performance.now() - start;
    }).toSorted((a, b) => a - b)[4] as number;
  rows.push({ what: 'node alone', value: median(['-e', '0']), unit: 'ms' });
  rows.push({
    what: 'folioscope --help',
    value: median([join(root, 'dist/folioscope.js'), '--help']),
    unit: 'ms',
    target: '<= 100',
  });
}

if (process.argv[2] === 'memory') {
  await runInput(process.argv[3] as string, { ...options, log: join(folder, 'memory.fsl') });
  process.stdout.write(String(process.resourceUsage().maxRSS));
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
}

const pages = 250_000;
writeFileSync(join(folder, 'generated'), generated(pages));
writeFileSync(join(folder, 'lines'), generatedLines(250_000));
const trace = await benchRun('sort-compress', LARGEST);
const big = await benchRun('1M faults', join(folder, 'generated'), '>= 500,000');
await benchRun('250k faults, a line each', join(folder, 'lines'));
await benchModel('sort-compress', LARGEST);
await benchFold('sort-compress', trace);
await benchFold('1M faults', big);
await benchInvariants('1M faults', join(folder, 'generated'));
writeFileSync(
  join(folder, 'pages'),
  `1 mmap(NULL, 0x100000000, RW, PRIV|ANON, -1, 0) = A\n1 store(A, 1, ${4096 * 1_000_000})\n`,
);
benchMemory('memory of a run with 1,000,000 mapped pages', join(folder, 'pages'));
benchHelp();
rows.push(...benchHistory(folder));

const number = (value: number): string => (value < 100 ? value.toFixed(2) : Math.round(value).toLocaleString('en-US'));
const width = Math.max(...rows.map((row) => row.what.length));
for (const { what, value, unit, ratio, target } of rows) {
  const extra = [
    ratio === undefined ? '' : `${ratio.toFixed(2)} of the plain fold`,
    target === undefined ? '' : `target ${target}`,
  ];
  process.stdout.write(
    `${what.padEnd(width)}  ${number(value).padStart(12)} ${unit.padEnd(11)}  ${extra.filter(Boolean).join(', ')}\n`,
  );
}
writeFileSync(
  join(root, 'bench/results.json'),
  `${JSON.stringify({ source: readFileSync(LARGEST).length, text: gunzipSync(readFileSync(LARGEST)).length, rows }, null, 1)}\n`,
);
rmSync(folder, { recursive: true, force: true });
