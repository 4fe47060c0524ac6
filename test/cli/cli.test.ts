import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordingPath, recordingText } from '../support/recordings.js';

const root = new URL('../../', import.meta.url).pathname;
const tool = join(root, 'dist/folioscope.js');
let folder = '';

beforeAll(() => {
  const built = spawnSync(process.execPath, [join(root, 'build.mjs')], { encoding: 'utf8' });
  expect(built.stderr).toBe('');
  folder = mkdtempSync(join(tmpdir(), 'folioscope-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
function folioscope(args: readonly string[], input?: string | Buffer): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [tool, ...args], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...(input === undefined ? {} : { input }),
  });
  return { code: status, out: stdout, err: stderr };
}
const file = (name: string, content: string | Buffer): string => {
  writeFileSync(join(folder, name), content);
  return name;
};
const COW = recordingPath('cow.perf.txt.gz');

describe('run', () => {
  it('prints a JSON summary with the names other tools rely on', () => {
    const { code, out } = folioscope(['run', COW, '--json', '-o', 'cow.fsl']);
    expect(code).toBe(0);
    const summary = JSON.parse(out);
    expect(summary).toMatchObject({
      log: 'cow.fsl',
      faults: 231,
      violations: 0,
      expectations: { failed: [] },
      fidelity: {
        faults: { recorded: 231, predicted: 231, unpredicted: 0 },
        frames: { recorded: 231, agreed: 231 },
        rss: { points: 192, agreed: 192 },
        present: { checked: 225, agreed: 225 },
        skipped: {},
      },
    });
    expect(summary.events).toBeGreaterThan(summary.operations);
  });
  it('writes the same bytes again for the same input', () => {
    folioscope(['run', COW, '-o', 'again.fsl']);
    expect(readFileSync(join(folder, 'again.fsl')).equals(readFileSync(join(folder, 'cow.fsl')))).toBe(true);
  });
  it('reads standard input, gzip or not', () => {
    const plain = folioscope(['run', '-', '--json', '--no-log'], recordingText('cow.perf.txt.gz'));
    const zipped = folioscope(['run', '-', '--json', '--no-log'], readFileSync(COW));
    expect(JSON.parse(plain.out)).toEqual(JSON.parse(zipped.out));
    expect(JSON.parse(plain.out).log).toBeNull();
  });
  it('fails with 1 where a workload’s expectation fails, and names the line', () => {
    const name = file('wrong.fsw', '1 mmap(NULL, 4096, RW, PRIV|ANON, -1, 0) = A\n1 store(A, 7)\n1 load(A) = 8\n');
    const { code, out } = folioscope(['run', name, '--json', '--no-log']);
    expect(code).toBe(1);
    expect(JSON.parse(out).expectations.failed).toEqual([{ line: 3, operation: 'load', expected: '0x8', got: '0x7' }]);
  });
  it('follows the kernel version it is told', () => {
    const name = file(
      'reuse.fsw',
      [
        '1 mmap(NULL, 4096, RW, PRIV|ANON, -1, 0) = A',
        '1 store(A, 1)',
        '1 fork() = 2',
        '1 cpu(1)',
        '2 exit(0)',
        '1 store(A, 2)',
      ].join('\n'),
    );
    const copied = (kernel: string): number =>
      JSON.parse(folioscope(['run', name, '--json', '--no-log', '--kernel', kernel]).out).activity.copied;
    // The page waits in the other CPU's batch: references count since 5.9, mappings did before.
    expect([copied('5.8'), copied('5.9'), copied('6.18')]).toEqual([0, 1, 1]);
  });
});

describe('reading a log', () => {
  it('tells what it holds', () => {
    const { code, out } = folioscope(['info', 'cow.fsl', '--json']);
    expect(code).toBe(0);
    const { events, operations } = JSON.parse(folioscope(['run', COW, '--json', '--no-log']).out);
    expect(JSON.parse(out)).toMatchObject({
      events,
      operations,
      header: { kernel: '6.18', sourceName: 'cow.perf.txt.gz', recorded: true },
    });
  });
  it('prints the events asked for, one JSON object a line', () => {
    const { out } = folioscope(['cat', 'cow.fsl', '--from', '100', '--to', '400', '--type', 'CowPageMapped', '--json']);
    const events = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.length).toBeGreaterThan(0);
    for (const event of events) {
      expect(event.type).toBe('CowPageMapped');
      expect(event.number).toBeGreaterThanOrEqual(100);
      expect(event.number).toBeLessThan(400);
    }
  });
  it('is sound, byte by byte and by running it again', () => {
    expect(folioscope(['verify', 'cow.fsl']).code).toBe(0);
    expect(folioscope(['verify', '--deep', 'cow.fsl']).code).toBe(0);
  });
  it('is found damaged after any changed byte or cut', () => {
    const bytes = readFileSync(join(folder, 'cow.fsl'));
    for (const at of [0, 7, 9, 100, bytes.length >> 1, bytes.length - 9, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 0x10;
      file('changed.fsl', changed);
      expect([1, 2], `byte ${at}`).toContain(folioscope(['verify', 'changed.fsl']).code);
      file('cut.fsl', bytes.subarray(0, at));
      expect([1, 2], `cut at ${at}`).toContain(folioscope(['verify', 'cut.fsl']).code);
    }
  });
  it('gives the state at an event and after an operation', () => {
    const at = (position: string): { processes: { pids: number[]; rss: { anon: number }; pages: unknown[] }[] } =>
      JSON.parse(folioscope(['state', 'cow.fsl', '--at', position, '--json']).out);
    expect(at('0').processes).toEqual([]);
    const [process] = at('op:150').processes;
    expect(process!.pids).toEqual([2383]);
    expect(process!.rss.anon).toBeGreaterThan(20);
    expect(process!.pages.length).toBeGreaterThan(process!.rss.anon);
  });
  it('refuses a position that it does not have', () => {
    expect(folioscope(['state', 'cow.fsl', '--at', '99999999'])).toMatchObject({ code: 2, out: '' });
  });
  it('prints as a workload that runs to the same digest', () => {
    file('printed.fsw', folioscope(['print', 'cow.fsl']).out);
    const digest = (args: string[]): string => JSON.parse(folioscope(args).out).digest;
    expect(digest(['run', 'printed.fsw', '--json', '-o', 'printed.fsl'])).toBe(digest(['info', 'cow.fsl', '--json']));
  });
});

describe('bad input', () => {
  const cow = recordingText('cow.perf.txt.gz');
  const cases: [string, () => string | Buffer, number, RegExp][] = [
    ['binary junk', () => Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256)), 2, /binary data/],
    ['an empty file', () => '', 2, /empty/],
    ['a truncated gzip', () => readFileSync(COW).subarray(0, 9000), 2, /cut off/],
    ['text of no format', () => 'hello\nworld\n', 2, /neither perf script output/],
    ['a line beyond all bounds', () => `${cow}${'x'.repeat(3 << 20)}\n`, 2, /:954: a line of more than 1 MiB/],
    [
      'a task that acts after its exit',
      () => cow + cow.split('\n').find((line) => line.includes('page_fault_user'))!,
      2,
      /after its exit/,
    ],
    ['a fork by nobody', () => cow.replace(' pid=2383 child_comm', ' pid=77 child_comm'), 2, /unknown parent 77/],
    ['a workload with a misspelt call', () => '1 mnap(NULL, 1, RW, PRIV|ANON, -1, 0)\n', 2, /mnap/],
    ['a name never bound', () => '1 store(A, 1)\n', 2, /nothing is called 'A'/],
    ['a task nobody created', () => '1 store(4096, 1) = SIGSEGV\n2 store(4096, 1)\n', 2, /task 2/],
  ];
  it.each(cases)('%s gets one clear line and leaves nothing behind', (_name, content, code, message) => {
    file('bad', content());
    const before = readdirSync(folder);
    const result = folioscope(['run', 'bad', '-o', 'bad.fsl']);
    expect(result.err).toMatch(message);
    expect(result.err.trim().split('\n')).toHaveLength(1);
    expect(result).toMatchObject({ code, out: '' });
    expect(readdirSync(folder)).toEqual(before);
  });
  it('a missing file, a folder and a missing place for the log are I/O errors', () => {
    expect(folioscope(['run', 'nothing-here']).code).toBe(5);
    expect(folioscope(['run', '.']).code).toBe(5);
    expect(folioscope(['run', COW, '-o', 'no/such/folder/x.fsl']).code).toBe(5);
  });
  it('a second writer of the same log is refused and the first not harmed', () => {
    file('busy.fsl.partial', 'another run');
    expect(folioscope(['run', COW, '-o', 'busy.fsl'])).toMatchObject({ code: 5 });
    expect(readFileSync(join(folder, 'busy.fsl.partial'), 'utf8')).toBe('another run');
    expect(existsSync(join(folder, 'busy.fsl'))).toBe(false);
  });
  it('bad usage is 2', () => {
    for (const args of [
      ['bogus'],
      ['run'],
      ['run', COW, '--kernel', '2.4'],
      ['run', COW, '--with', 'nonsense'],
      ['cat', 'cow.fsl', '--type', 'Nope'],
    ])
      expect(folioscope(args), args.join(' ')).toMatchObject({ code: 2, out: '' });
  });
});

describe('pipes', () => {
  it('end quietly when the reader leaves', () => {
    const shell = `${process.execPath} ${tool} cat cow.fsl | head -n 1`;
    const { status, stderr } = spawnSync('bash', ['-o', 'pipefail', '-c', shell], { cwd: folder, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
  it('a gzip made by another program is read', () => {
    file('own.gz', gzipSync(recordingText('cow.strace.txt.gz')));
    expect(JSON.parse(folioscope(['run', 'own.gz', '--json', '--no-log']).out).format).toBe('strace');
  });
});

describe('an interrupted run', () => {
  it('ends with 130 and leaves no log', async () => {
    const pages = 100_000 * 4096;
    const lines = [`1 mmap(NULL, ${pages}, RW, PRIV|ANON, -1, 0) = A`];
    for (let round = 0; round < 40; round++)
      lines.push(`1 store(A, ${round}, ${pages})`, `1 madvise(A, ${pages}, MADV_DONTNEED) = 0`);
    file('long.fsw', lines.join('\n'));
    const child = spawn(process.execPath, [tool, 'run', 'long.fsw', '-o', 'long.fsl'], { cwd: folder });
    const written = (): string[] => readdirSync(folder).filter((name) => name.startsWith('long.fsl'));
    while (written().length === 0) await sleep(50);
    child.kill('SIGINT');
    expect(await new Promise((ended) => child.on('exit', (code) => ended(code)))).toBe(130);
    expect(written()).toEqual([]);
  });
});
