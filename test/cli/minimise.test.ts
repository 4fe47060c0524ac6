// minimise: recordings and workloads come down to the few lines that show it, and what is written shows it again.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MinimiseOptions } from '../../src/cli/commands/minimise.js';
import { minimiseCommand } from '../../src/cli/commands/minimise.js';
import { printCommand } from '../../src/cli/commands/print.js';
import { readOperations } from '../../src/cli/read-operations.js';
import { runInput } from '../../src/cli/run-input.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { whyNot } from '../../src/oracle/conform/session.js';
import type { Operation } from '../../src/workload/operation.js';
import { RECORDING_HEADER, printOperation } from '../../src/workload/text/print.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { recordingPath } from '../support/recordings.js';
import { parseWorkload, runWorkload } from '../support/workload.js';

/** A real program whose recording breaks an invariant, because Linux does. */
const LOCKED_MOVE = new URL('../../examples/violations/locked-move.perf.txt.gz', import.meta.url).pathname;
const RULE = 'locked-vm-equals-vmas';
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folioscope-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

/** What a command prints on standard output, and its exit code. */
async function printed(command: () => Promise<number>): Promise<{ code: number; out: string }> {
  let out = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const code = await command();
  spy.mockRestore();
  return { code, out };
}

interface Minimised {
  readonly code: number;
  readonly report: {
    readonly before: number;
    readonly operations: number;
    readonly keeps: string;
    readonly recorded: boolean;
    readonly trials: number;
    readonly ended: string;
  };
  /** The file written. */
  readonly text: string;
  /** Its lines but for comments. */
  readonly lines: readonly string[];
}

async function minimised(path: string, options: Partial<MinimiseOptions> = {}): Promise<Minimised> {
  const output = join(folder, 'small.strace');
  const { code, out } = await printed(() =>
    minimiseCommand(path, {
      ...{ check: false, conform: false, with: [], without: [], trials: '20000', lenient: false, quiet: true },
      ...options,
      output,
      json: true,
    }),
  );
  const text = readFileSync(output, 'utf8');
  return {
    code,
    report: JSON.parse(out) as Minimised['report'],
    text,
    lines: text.split('\n').filter((line) => line !== '' && !line.startsWith('#')),
  };
}

const brokenBy = (operations: readonly Operation[]): string[] =>
  auditOf(runOperations(operations, behavioursOf('6.18'))).map(({ invariant }) => invariant);

/** The recording as `run` and `print` write it. */
async function printedRun(path: string): Promise<string> {
  const log = join(folder, 'run.fsl');
  await runInput(path, {
    ...{ log, kernel: '6.18', behaviours: behavioursOf('6.18'), lenient: false, audit: false, quiet: true },
  });
  return (await printed(() => printCommand(log, { json: false }))).out;
}

describe('a recording of hundreds of operations with a violation in it', () => {
  it('comes down to the three that make it, and none of those can go', async () => {
    const { code, report, text, lines } = await minimised(LOCKED_MOVE);
    expect(code).toBe(0);
    expect(report).toMatchObject({ keeps: `breaks ${RULE}`, recorded: false, ended: 'minimal' });
    expect(report.before).toBeGreaterThan(500);
    expect(lines).toHaveLength(3);
    const operations = parseWorkload(text);
    expect(operations.map(({ name }) => name)).toEqual(['mmap', 'mlock', 'mremap']);
    expect(brokenBy(operations)).toContain(RULE);
    for (const at of [1, 2]) expect(brokenBy(operations.toSpliced(at, 1))).toEqual([]);
  });

  it('whichever way it comes: printed, compressed, or as a log', async () => {
    const text = await printedRun(LOCKED_MOVE);
    expect(text.startsWith(RECORDING_HEADER)).toBe(true);
    const inputs = [file('a.strace', text), file('b.gz', gzipSync(text)), join(folder, 'run.fsl')];
    const results = [];
    for (const input of inputs) results.push((await minimised(input)).lines);
    expect(results[0]).toHaveLength(3);
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('also where the few lines stand far apart, and another process forks between them', async () => {
    const lines = (await printedRun(recordingPath('python-fork.strace.txt.gz'))).split('\n').slice(0, 500);
    const pid = /^\d+/.exec(lines[1] as string)?.[0] as string;
    const mine = lines.flatMap((line, i) => (line.startsWith(`${pid} `) && i > 20 ? [i] : []));
    const planted = [
      `${pid} mmap(0, 65536, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7e0000000000`,
      `${pid} mlock2(0x7e0000004000, 16384, 0) = 0`,
      `${pid} mremap(0x7e0000004000, 8192, 8192, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, 0) = 0x7e0100000000`,
    ];
    planted.forEach((line, i) => lines.splice((mine[Math.floor((mine.length * (i + 1)) / 5)] as number) + i, 0, line));
    const { report, lines: left } = await minimised(file('planted.strace', lines.join('\n')));
    expect(report.before).toBeGreaterThan(490);
    expect(report.keeps).toBe(`breaks ${RULE}`);
    expect(left).toHaveLength(3);
  });
});

describe('what must still hold', () => {
  const WORKLOAD = `# folioscope workload
1 mmap(NULL, 8192, RW, PRIV|ANON, -1, 0) = A
1 mmap(NULL, 8192, RW, PRIV|ANON, -1, 0) = B
1 store(A, 0x11)
1 store(B, 0x12)
1 fork() = 2
1 fork() = 3
2 store(B, 4)
3 store(B, 5)
check page(1, A).mapcount == 2
1 load(A) = 0x12
`;
  it('the first failed expectation, with what it gave', async () => {
    const { report, lines, text } = await minimised(file('in.fsw', WORKLOAD), { check: true });
    expect(report.keeps).toContain('check page(1, A).mapcount == 2');
    expect(lines.at(-1)).toBe('check page(1, A).mapcount == 2');
    // Both forks are needed for it to be 3.
    expect(lines.filter((line) => line.includes('fork()'))).toHaveLength(2);
    expect(runWorkload(text).failed).toEqual([expect.stringContaining('gave 3, not true')]);
    expect(lines).toHaveLength(5);
  });
  it('an expression that holds at some moment, though not at the end', async () => {
    const { lines } = await minimised(file('in.fsw', WORKLOAD), { when: 'page(1, B).mapcount == 2' });
    expect(lines).toHaveLength(3);
    expect(lines.filter((line) => line.includes('fork()'))).toHaveLength(1);
  });
  it('a difference between kernels: the copy that counting references makes', async () => {
    const { report, lines, text } = await minimised(recordingPath('python-fork.perf.txt.gz'), { differsFrom: '5.8' });
    expect(report).toMatchObject({ before: 8489, recorded: false, ended: 'minimal' });
    expect(lines).toHaveLength(4);
    const shape = (kernel: string): string[] => runWorkload(text, { kernel }).events.map(({ type }) => type);
    expect(shape('6.18')).not.toEqual(shape('5.8'));
  });
  it('a difference that one behaviour makes', async () => {
    const { report, lines } = await minimised(
      file('in.fsw', WORKLOAD.replace('1 fork', '1 mprotect(A, 4096, RO) = 0\n1 mprotect(A, 4096, RW) = 0\n1 fork')),
      { differsFrom: '-mprotect-upgrades-exclusive' },
    );
    expect(report.keeps).toBe('differs from kernel 6.18 -mprotect-upgrades-exclusive');
    expect(lines.map((line) => /\d+ (\w+)/.exec(line)?.[1])).toEqual(['mmap', 'store', 'mprotect', 'mprotect']);
  });
  it('is chosen by one option, and must be there', async () => {
    const input = file('in.fsw', WORKLOAD);
    const rejected = async (options: Partial<MinimiseOptions>): Promise<unknown> =>
      minimised(input, options).catch((error: unknown) => (error as { exitCode: number }).exitCode);
    expect(await rejected({ check: true, when: '1 == 1' })).toBe(2);
    expect(await rejected({ invariant: 'nonsense' })).toBe(2);
    expect(await rejected({ when: 'page(1' })).toBe(2);
    expect(await rejected({ differsFrom: 'nonsense' })).toBe(2);
    expect(await rejected({ trials: '0' })).toBe(2);
    // No invariant is broken, and the two kernels agree.
    expect(await rejected({})).toBe(1);
    expect(await rejected({ invariant: RULE })).toBe(1);
    expect(await rejected({ differsFrom: '6.17' })).toBe(1);
    expect(readdirSync(folder)).toEqual(['in.fsw']);
  });
  it.skipIf(whyNot() !== null)(
    'a difference from the running kernel',
    async () => {
      const { code, lines } = await minimised(file('in.fsw', WORKLOAD), {
        ...{ conform: true, without: ['cow-reuse-by-refcount'] },
      });
      expect(code).toBe(0);
      expect(lines.length).toBeLessThanOrEqual(4);
    },
    120_000,
  );
});

describe('an end before the end', () => {
  it('of the trials leaves the best so far, and says so', async () => {
    const { code, report } = await minimised(LOCKED_MOVE, { trials: '12' });
    expect(code).toBe(3);
    expect(report).toMatchObject({ ended: 'trials', trials: 12 });
    expect(report.operations).toBeLessThan(report.before);
    const again = await runInput(join(folder, 'small.strace'), {
      ...{ log: null, kernel: '6.18', behaviours: behavioursOf('6.18'), lenient: false, audit: true, quiet: true },
    });
    expect(again.operations).toBe(report.operations);
    expect(again.firstViolations).toMatchObject([{ invariant: RULE }]);
  });
  it('by Ctrl-C as well', async () => {
    // Of these stores none can go, and trying it takes long.
    const stores = Array.from({ length: 3000 }, (_, i) => `1 store(A+${i * 4096}, 1)`);
    const input = file(
      'long.fsw',
      [
        '# folioscope workload',
        `1 mmap(NULL, ${4096 * 3000}, RW, PRIV|ANON, -1, 0) = A`,
        '1 fork() = 2',
        '2 exit_group(0)',
        ...stores,
        'check mm(1).rss_anon == 0',
      ].join('\n'),
    );
    const before = new Set(process.listeners('SIGINT'));
    const done = minimised(input, { check: true });
    await new Promise((later) => setTimeout(later, 1500));
    const heard = process.listeners('SIGINT').find((each) => !before.has(each));
    expect(heard).toBeDefined();
    heard?.('SIGINT');
    const { code, report, text } = await done;
    expect(code).toBe(130);
    expect(report).toMatchObject({ ended: 'interrupted', before: 3004 });
    expect(text).not.toContain('fork()');
    expect(runWorkload(text).failed).toHaveLength(1);
    expect(process.listeners('SIGINT').filter((each) => !before.has(each))).toEqual([]);
  });
});

describe('reading an input as operations', () => {
  it('gives those that a run of it performs', async () => {
    for (const name of ['cow.perf.txt.gz', 'bash-pipeline.strace.txt.gz']) {
      const text = await printedRun(recordingPath(name));
      const read = await readOperations(recordingPath(name), { lenient: false, quiet: true });
      expect(read.recorded).toBe(true);
      expect(read.operations.map(printOperation)).toEqual(text.trimEnd().split('\n').slice(1));
      const log = await readOperations(join(folder, 'run.fsl'), { lenient: false, quiet: true });
      expect(log.operations.map(printOperation)).toEqual(read.operations.map(printOperation));
    }
  });
});
