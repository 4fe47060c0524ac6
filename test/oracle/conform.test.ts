// `conform` as users run it: what it prints, its exit codes, and that the machine is as it was however a run ends.
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildAgent } from '../../src/oracle/agent/build.js';
import { whyNot } from '../../src/oracle/conform/session.js';
import { Settings } from '../../src/oracle/settings.js';
import { bundledProgram } from '../support/command-line.js';
import { recordingPath } from '../support/recordings.js';

const reason = whyNot();
if (reason !== null) process.stderr.write(`conform.test.ts: runs on the kernel skipped: ${reason}\n`);
/** One run after the other: they wait for whoever else asks the kernel. */
const asked = (name: string, tests: () => void): void => {
  describe.skipIf(reason !== null)(name, { timeout: 600_000 }, tests);
};

/** Others may have the machine's settings for as long. */
const WAIT_MS_MAX = 600_000;
const corpus = new URL('../conformance/', import.meta.url).pathname;
const WORKLOAD = join(corpus, 'cow-two-children-last-one-reuses.strace');
const NOBODY = 65_534;

let folder = '';
let program = '';
beforeAll(async () => {
  ({ folder, program } = await bundledProgram());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The agent is built into a folder of ours, so that its processes can be told from others'. */
const environment = (): NodeJS.ProcessEnv => ({ ...process.env, XDG_CACHE_HOME: join(folder, 'cache') });

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
interface How {
  readonly uid?: number;
  readonly gid?: number;
  readonly env?: NodeJS.ProcessEnv;
}
function conform(args: readonly string[], how: How = {}): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'conform', ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: environment(),
    maxBuffer: 1 << 28,
    ...how,
  });
  return { code: status, out: stdout, err: stderr };
}
const file = (name: string, content: string | Buffer): string => {
  writeFileSync(join(folder, name), content);
  return name;
};
const lines = (text: string): string[] => text.trimEnd().split('\n');

describe('input that is none', () => {
  it.each([
    ['an empty file', () => file('empty.strace', ''), 2, /^folioscope: empty.strace: the input is empty\n$/],
    ['binary data', () => file('binary', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 1])), 2, /binary.*binary data/],
    ['a recording', () => recordingPath('cow.perf.txt.gz'), 2, /a perf recording; `run` takes it/],
    ['a folder', () => '.', 5, /is a directory/],
    ['no file', () => 'missing.strace', 5, /missing.strace: no such file/],
    [
      'a wrong line',
      () => file('wrong.strace', '# folioscope workload\n1 mmap(0x1000\n'),
      2,
      /wrong.strace:2:14: expected/,
    ],
    ['nothing and no --fuzz', () => '', 2, /takes workloads, or --fuzz N/],
  ])('%s is one line and an exit code, before the machine is touched', (_what, make, code, text) => {
    const name = make();
    const result = conform(name === '' ? [] : [name]);
    expect([result.code, result.out]).toEqual([code, '']);
    expect(lines(result.err)).toHaveLength(1);
    expect(result.err).toMatch(text);
  });
  it('a folder for results that cannot be written', () => {
    const { code, err } = conform(['--fuzz', '3', '-o', 'missing']);
    expect([code, lines(err).length]).toEqual([5, 1]);
    expect(err).toMatch(/cannot write into missing: ENOENT/);
  });
});

asked('a workload', () => {
  it('that agrees: the keys of --json, exit 0', () => {
    const { code, out } = conform([WORKLOAD, '--json', '-q']);
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ file: WORKLOAD, mismatches: [], failed: [], stopped: null });
    expect(report.kernel).toBe(readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim());
    expect(report.operations).toBeGreaterThan(5);
    expect(report.observations).toBeGreaterThan(500);
  });
  it('on a wrong model: operation, line, fields and events of the difference, exit 1', () => {
    const { code, out } = conform([WORKLOAD, '--json', '-q', '--without', 'anon-exclusive']);
    expect(code).toBe(1);
    const { mismatches, model } = JSON.parse(out);
    // What needs it goes with it.
    for (const gone of ['anon-exclusive', 'swap-exclusive-bit', 'mprotect-upgrades-exclusive'])
      expect(model.split(' ')).toContain(`-${gone}`);
    expect(mismatches[0]).toMatchObject({ field: 'anon_exclusive', model: false, kernel: true });
    expect(mismatches[0].subject).toMatch(/^page 1 0x/);
    const text = lines(readFileSync(WORKLOAD, 'utf8'))[mismatches[0].line - 1];
    expect(text).toMatch(/^1 store/);
    expect(mismatches[0].operation).toMatch(/^1 store/);
    expect(mismatches[0].events.map((event: { type: string }) => event.type)).toContain('AnonPageMapped');
    const { out: told } = conform([WORKLOAD, '-q', '--without', 'anon-exclusive']);
    expect(told).toMatch(/differs .*\n(?: {2}line .*\n)? {2}line \d+: 1 store\(/);
    expect(told).toMatch(/page 1 0x\w+ anon_exclusive +false +true\n/);
    expect(told).toMatch(/the model's events: .*AnonPageMapped/);
  });
  it('in which the model is told to expect something else: exit 1', () => {
    const name = file('expects.strace', '# folioscope workload\n1 munmap(0x100000000001, 4096) = 0\n');
    const { code, out } = conform([name, '-q']);
    expect(code).toBe(1);
    expect(out).toMatch(/line 2: munmap gives EINVAL on the model, expected 0x0/);
  });
  it('that the agent cannot do to its end: what was not run, exit 3', () => {
    const name = file('exec.strace', '# folioscope workload\n1 fork() = 2\n2 execve("/bin/ls") = 0\n');
    const { code, out } = conform([name, '-q']);
    expect(code).toBe(3);
    expect(out).toMatch(/exec.strace: agrees as far as it ran .*\n {2}not run from there on: line 3: execve/);
  });
  it('that would block: its line, exit 2', () => {
    const name = file('blocks.strace', '# folioscope workload\n1 fork() = 2\n1 wait4(2, NULL, 0, NULL) = 2\n');
    const { code, err } = conform([name, '-q']);
    expect([code, lines(err).length]).toEqual([2, 1]);
    expect(err).toMatch(/blocks.strace:3: wait4 would block/);
  });
  it('with what is not modelled: what and where, exit 2', () => {
    const opened = 'inode("/data", 0, 4096, 1)\n1 openat(AT_FDCWD, "/data", O_RDWR) = 3\n';
    const name = file('lseek.strace', `# folioscope workload\n${opened}1 lseek(3, 0, SEEK_DATA)\n`);
    const { code, err } = conform([name, '-q']);
    const what = 'lseek to data and holes of a file of a disk (line 4)';
    expect([code, err]).toEqual([2, `folioscope: lseek.strace: not modelled: ${what}\n`]);
  });
  it('by somebody who may not ask, or without a compiler: why, exit 4', () => {
    const other = conform([file('other.strace', '# folioscope workload\n1 fork() = 2\n')], {
      uid: NOBODY,
      gid: NOBODY,
    });
    expect([other.code, lines(other.err).length]).toEqual([4, 1]);
    expect(other.err).toMatch(/cannot be asked: it needs root/);
    const { code, err } = conform([WORKLOAD], { env: { ...environment(), PATH: join(folder, 'nothing') } });
    expect([code, lines(err).length]).toEqual([4, 1]);
    expect(err).toMatch(/no C compiler \(cc\)/);
  });
});

asked('--fuzz', () => {
  const wrong = ['--fuzz', '200', '--without', 'anon-exclusive', '--areas', 'cow', '-q'];
  it('finds a wrong model, and writes a short workload that shows it alone', () => {
    const { code, out } = conform([...wrong, '--json']);
    expect(code).toBe(1);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ seed: 1, areas: ['cow'], mismatches: [{ differences: [{ kernel: true }] }] });
    for (const key of ['workloads', 'operations', 'comparisons', 'seconds']) expect(report[key]).toBeGreaterThan(0);
    expect(report.eventsByType.AnonPageMapped).toBeGreaterThan(0);
    expect(report.comparisonsByField['page.mapcount']).toBeGreaterThan(0);
    expect(report.excludedShare).toBeLessThan(0.01);
    const [{ file: written, operations }] = report.mismatches;
    expect(operations).toBeLessThanOrEqual(8);
    expect(conform([written, '-q', '--without', 'anon-exclusive']).code).toBe(1);
    expect(conform([written, '-q']).code).toBe(0);
  });
  it('onto a full disk: one line, exit 5, nothing half written', () => {
    mkdirSync(join(folder, 'full'));
    const script =
      'mount -t tmpfs -o size=4k none full && { cat /dev/zero > full/zeros 2> cat.txt; "$@"; c=$?; ls full; exit $c; }';
    const command = [process.execPath, program, 'conform', ...wrong, '-o', 'full'];
    const { status, stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', ...command], {
      cwd: folder,
      encoding: 'utf8',
      env: environment(),
    });
    expect([status, stdout, lines(stderr).length]).toEqual([5, 'zeros\n', 1]);
    expect(stderr).toMatch(/full\/conform-1-\d+.strace: ENOSPC: no space left on device/);
  });
});

const THP = '/sys/kernel/mm/transparent_hugepage/enabled';
/** What conform would have otherwise, each as different from that as can be. */
const OTHERWISE: readonly (readonly [string, string])[] = [
  [THP, 'always'],
  ['/sys/kernel/mm/transparent_hugepage/shmem_enabled', 'advise'],
  ['/sys/kernel/mm/ksm/run', '1'],
  ['/proc/sys/vm/overcommit_memory', '1'],
];
/** What it has in a run. */
const IN_A_RUN: readonly string[] = ['madvise', 'never', '0', '0'];
const isPresent = (_: unknown, i: number): boolean => existsSync((OTHERWISE[i] as readonly [string, string])[0]);
const present = OTHERWISE.filter(isPresent);

/** The word in brackets, or all of it. */
function settingOf(path: string): string {
  const text = readFileSync(path, 'latin1').trim();
  return /\[(.*?)\]/.exec(text)?.[1] ?? text;
}
const scratches = (): string[] => readdirSync('/var/tmp').filter((name) => name.startsWith('folioscope-'));

/** What `conform` must leave as it was. */
interface Machine {
  readonly settings: readonly string[];
  readonly swaps: string;
  readonly hugePages: string;
  readonly scratches: readonly string[];
}
function machine(): Machine {
  return {
    settings: present.map(([path]) => settingOf(path)),
    swaps: readFileSync('/proc/swaps', 'latin1'),
    hugePages: readFileSync('/proc/sys/vm/nr_hugepages', 'latin1'),
    scratches: scratches(),
  };
}

/** Processes of the agent that was built for these tests. */
function agents(): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readlinkSync(`/proc/${name}/exe`).startsWith(join(folder, 'cache'));
    } catch {
      return false;
    }
  });
}

async function until(what: () => boolean, text: string): Promise<void> {
  for (let ms = 0; !what(); ms += 10) {
    if (ms > WAIT_MS_MAX) throw new Error(`waited in vain until ${text}`);
    await sleep(10);
  }
}

asked('the machine', () => {
  let agent = '';
  let otherwise: Settings;
  /** While nobody else has the settings; what a killed run left is given back first. */
  async function alone<T>(what: () => T | Promise<T>): Promise<T> {
    const settings = await Settings.acquire(agent, undefined, { tell: () => undefined });
    try {
      return await what();
    } finally {
      await settings.release();
    }
  }
  beforeAll(async () => {
    agent = await buildAgent();
    // A guard of its own gives them back, whatever becomes of this test.
    otherwise = await Settings.acquire(agent, join(folder, 'state'));
    await alone(() => Promise.all(present.map(([path, value]) => otherwise.set(path, value))));
  }, WAIT_MS_MAX);
  afterAll(() => alone(() => otherwise.release()), WAIT_MS_MAX);

  const children = new Set<ChildProcess>();
  // Whatever a test finds: a run that goes on would keep the machine for itself.
  afterEach(() => {
    for (const child of children) child.kill('SIGTERM');
    children.clear();
  });

  /** A run that goes on for a while, with the settings in its hands; and its guard. */
  async function running(): Promise<{ readonly child: ChildProcess; readonly guard: number }> {
    const args = ['conform', '--fuzz', '100000', '--max-mismatches', '100000', '-q', '-o', join(folder, 'found')];
    mkdirSync(join(folder, 'found'), { recursive: true });
    const child = spawn(process.execPath, [program, ...args], { cwd: folder, env: environment(), stdio: 'ignore' });
    children.add(child);
    const guardOf = (): string | undefined =>
      agents().find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[1] === 'guard');
    // Guard, agent, and the first task: it is in the middle of a workload.
    await until(() => agents().length >= 3 && guardOf() !== undefined, 'the run is under way');
    await sleep(300);
    return { child, guard: Number(guardOf()) };
  }
  const ended = async (child: ChildProcess): Promise<number | string | null> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.signalCode ?? child.exitCode;
  };
  /** As `was`; nothing of ours runs any more. */
  async function expectAsBefore(was: Machine): Promise<void> {
    await until(() => agents().length === 0, 'all processes are gone');
    const now = await alone(machine);
    expect({ ...now, scratches: [] }).toEqual({ ...was, scratches: [] });
    expect(now.scratches.filter((name) => !was.scratches.includes(name))).toEqual([]);
  }

  it('has other settings during a run', async () => {
    const { child } = await running();
    expect(present.map(([path]) => settingOf(path))).toEqual(IN_A_RUN.filter(isPresent));
    child.kill('SIGTERM');
    await ended(child);
  });
  it('is as before after a run', async () => {
    const was = await alone(machine);
    expect(conform([WORKLOAD, '-q']).code).toBe(0);
    await expectAsBefore(was);
  });
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'is as before after %s in the middle of one, which ends with 130',
    async (signal) => {
      const was = await alone(machine);
      const { child } = await running();
      child.kill(signal);
      expect(await ended(child)).toBe(130);
      await expectAsBefore(was);
    },
  );
  it('is given back by the guard after kill -9', async () => {
    const was = await alone(machine);
    const { child } = await running();
    child.kill('SIGKILL');
    expect(await ended(child)).toBe('SIGKILL');
    await expectAsBefore(was);
  });
  it('is given back by the next run after kill -9 of the guard as well', async () => {
    const was = await alone(machine);
    const { child, guard } = await running();
    process.kill(guard, 'SIGKILL');
    child.kill('SIGKILL');
    await ended(child);
    await until(() => agents().length === 0, 'all processes are gone');
    expect(conform([WORKLOAD, '-q']).code).toBe(0);
    await expectAsBefore(was);
  });
  it('is given back if the agent is killed, and the run says so', async () => {
    const was = await alone(machine);
    const { child, guard } = await running();
    for (const pid of agents()) if (Number(pid) !== guard) process.kill(Number(pid), 'SIGKILL');
    expect(await ended(child)).toBe(4);
    await expectAsBefore(was);
  });
  it('serves one run at a time', async () => {
    const { child } = await running();
    const second = spawn(process.execPath, [program, 'conform', WORKLOAD], { cwd: folder, env: environment() });
    let told = '';
    second.stderr.on('data', (text: Buffer) => void (told += text.toString()));
    await until(() => /waiting for \d+/.test(told), 'the second run waits');
    await sleep(300);
    expect(second.exitCode).toBe(null);
    child.kill('SIGINT');
    await ended(child);
    expect(await ended(second)).toBe(0);
  });
});
