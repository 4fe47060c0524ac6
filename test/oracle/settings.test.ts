// The guard of the machine's settings: given back at the end, after a signal, after kill -9 of either side; one run at a time.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildAgent } from '../../src/oracle/agent/build.js';
import { Settings } from '../../src/oracle/settings.js';
import { EXIT, UserError } from '../../src/lib/errors.js';

const hasCompiler = spawnSync('cc', ['--version']).status === 0;
const isRoot = process.getuid?.() === 0;
const WAIT_MS_MAX = 10_000;
const sources = new URL('../../src/oracle/agent/', import.meta.url).pathname;

const base = mkdtempSync(join(tmpdir(), 'folioscope-settings-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** The guard alone, in a program of its own. */
let program = '';
beforeAll(async () => {
  if (!hasCompiler) return;
  const source = join(base, 'source');
  mkdirSync(source);
  for (const name of readdirSync(sources).filter((each) => each.startsWith('guard')))
    copyFileSync(join(sources, name), join(source, name));
  writeFileSync(
    join(source, 'agent.c'),
    '#include "guard.h"\nint main(int argc, char **argv) { return guard_main(argc - 1, argv + 1); }\n',
  );
  program = await buildAgent({ source, cache: join(base, 'cache') });
});

let folder = '';
let state = '';
let told: string[] = [];
const options = { tell: (line: string) => void told.push(line) };
beforeEach(() => {
  folder = mkdtempSync(join(base, 'test-'));
  state = join(folder, 'state');
  told = [];
});

/** A file that stands for a setting. */
function setting(name: string, value: string): string {
  const path = join(folder, name);
  writeFileSync(path, value);
  return path;
}
const read = (path: string): string => readFileSync(path, 'utf8').trim();
const journal = (): string => join(state, 'journal');

async function until(what: () => boolean): Promise<void> {
  for (let ms = 0; !what(); ms += 10) {
    if (ms > WAIT_MS_MAX) throw new Error('waited in vain');
    await sleep(10);
  }
}

const isAlive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0] !== 'Z';
  } catch {
    return false;
  }
};

/** The one error of a promise that must fail. */
async function failure(promise: Promise<unknown>): Promise<UserError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('did not fail');
}

if (!hasCompiler) process.stderr.write('settings.test.ts: skipped, no C compiler (cc)\n');
else if (!isRoot) process.stderr.write('settings.test.ts: sysctls, swap and control groups skipped, not root\n');

describe.skipIf(!hasCompiler)('settings', () => {
  it('are changed, and given back', async () => {
    const first = setting('first', '3\n');
    const second = setting('second', 'with spaces and 100%\n');
    const settings = await Settings.acquire(program, state, options);
    expect(await settings.set(first, 0)).toBe('0');
    expect(await settings.set(first, 1)).toBe('1');
    expect(await settings.set(second, 'b c %41')).toBe('b c %41');
    expect([read(first), read(second)]).toEqual(['1', 'b c %41']);
    await settings.release();
    expect([read(first), read(second)]).toEqual(['3', 'with spaces and 100%']);
    expect(existsSync(journal())).toBe(false);
    expect(told).toEqual([]);
    await settings.release();
    expect((await failure(settings.set(first, 0))).message).toMatch(/released/);
  });
  it('of several words keep the one in brackets', async () => {
    const file = setting('enabled', 'always [madvise] never\n');
    const other = setting('other', 'a[1] b\n');
    const settings = await Settings.acquire(program, state, options);
    await settings.set(file, 'never');
    await settings.set(other, 'x');
    await settings.release();
    expect([read(file), read(other)]).toEqual(['madvise', 'a[1] b']);
  });
  it('that cannot be changed are told, and not in the journal', async () => {
    const settings = await Settings.acquire(program, state, options);
    const missing = await failure(settings.set(join(folder, 'missing'), 1));
    expect(missing.message).toMatch(/cannot read .*missing: No such file/);
    expect(missing.exitCode).toBe(EXIT.unable);
    expect((await failure(settings.set(setting('lines', 'a\nb\n'), 1))).message).toMatch(/more than one line/);
    expect((await failure(settings.set('relative', 1))).message).toMatch(/absolute/);
    expect((await failure(settings.swapOn(join(folder, 'swap'), 4096))).message).toMatch(/at least 10 pages/);
    expect((await failure(settings.swapOn(setting('mine', 'x'), 1 << 20))).message).toMatch(/exists/);
    expect(existsSync(journal())).toBe(false);
    await settings.release();
    expect(read(join(folder, 'mine'))).toBe('x');
  });
  it('answer many commands sent at once, in their order', async () => {
    const files = Array.from({ length: 50 }, (_, i) => setting(`file${i}`, `old${i}`));
    const settings = await Settings.acquire(program, state, options);
    expect(await Promise.all(files.map((file, i) => settings.set(file, i)))).toEqual(files.map((_, i) => String(i)));
    await settings.release();
    expect(files.map(read)).toEqual(files.map((_, i) => `old${i}`));
  });
  it('a directory is deleted at the end, but not what a link in it leads to', async () => {
    const scratch = join(folder, 'scratch dir');
    mkdirSync(join(scratch, 'inner'), { recursive: true });
    writeFileSync(join(scratch, 'inner', 'file'), '');
    const kept = setting('kept', 'x');
    spawnSync('ln', ['-s', folder, join(scratch, 'link')]);
    const settings = await Settings.acquire(program, state, options);
    await settings.removeAtEnd(scratch);
    expect((await failure(settings.removeAtEnd('/'))).message).toMatch(/not the plain name/);
    expect((await failure(settings.removeAtEnd('/usr'))).message).toMatch(/not the plain name/);
    expect((await failure(settings.removeAtEnd(join(scratch, 'link')))).message).toMatch(/Not a directory/);
    expect((await failure(settings.removeAtEnd(`${folder}/../..`))).message).toMatch(/not the plain name/);
    await settings.release();
    expect(existsSync(scratch)).toBe(false);
    expect(read(kept)).toBe('x');
  });
  it('what cannot be given back is told, and tried again by the next run', async () => {
    const gone = setting('gone', 'old');
    const other = setting('other', 'old');
    const settings = await Settings.acquire(program, state, options);
    await settings.set(gone, 'new');
    await settings.set(other, 'new');
    rmSync(gone);
    const error = await failure(settings.release());
    expect(error.message).toMatch(/^not given back: set .*gone: cannot open/);
    expect(read(other)).toBe('old');
    writeFileSync(other, 'changed since');
    const again = await Settings.acquire(program, state, options);
    expect(told.splice(0)).toEqual([expect.stringMatching(/^failed set .*gone/)]);
    await again.set(other, 'mine');
    await failure(again.release());
    expect(read(other)).toBe('changed since');
    writeFileSync(gone, 'new');
    await (await Settings.acquire(program, state, options)).release();
    expect(told).toEqual([`restored set ${gone} old`]);
    expect(read(gone)).toBe('old');
    expect(existsSync(journal())).toBe(false);
  });
});

describe.skipIf(!hasCompiler)('an end that was not foreseen', () => {
  it('kill -9 of the guard: the next one gives back, the last change first, and says so', async () => {
    const file = setting('file', 'always [never]');
    const later = setting('later', '1');
    const settings = await Settings.acquire(program, state, options);
    await settings.set(file, 'always');
    await settings.set(later, 2);
    await settings.set(later, 3);
    // A header, and a line for each setting, however often it was changed.
    expect(read(journal()).split('\n')).toHaveLength(3);
    process.kill(settings.pid, 'SIGKILL');
    await until(() => !isAlive(settings.pid));
    expect((await failure(settings.release())).message).toMatch(/SIGKILL/);
    expect(read(file)).toBe('always');
    const next = await Settings.acquire(program, state, options);
    expect(told).toEqual([`restored set ${later} 1`, `restored set ${file} never`]);
    expect([read(file), read(later)]).toEqual(['never', '1']);
    await next.release();
  });
  it('a command under way when the guard is killed fails', async () => {
    const settings = await Settings.acquire(program, state, options);
    process.kill(settings.pid, 'SIGSTOP');
    const set = failure(settings.set(setting('file', '1'), 2));
    process.kill(settings.pid, 'SIGKILL');
    expect((await set).message).toMatch(/has ended/);
    await failure(settings.release());
  });
  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s to the guard gives back', async (signal) => {
    const file = setting('file', 'old');
    const settings = await Settings.acquire(program, state, options);
    await settings.set(file, 'new');
    process.kill(settings.pid, signal);
    await until(() => !isAlive(settings.pid));
    expect(read(file)).toBe('old');
    await settings.release();
  });
  it.each(['SIGKILL', 'SIGINT'] as const)('%s to the process group of the user of the settings', async (signal) => {
    const file = setting('file', 'old');
    const bundle = join(folder, 'user.mjs');
    await build({
      stdin: {
        contents: `import { Settings } from './src/oracle/settings.js';
          const settings = await Settings.acquire(process.argv[2], process.argv[3]);
          await settings.set(process.argv[4], 'new');
          process.stdout.write(String(settings.pid));
          setInterval(() => {}, 1000);`,
        resolveDir: new URL('../..', import.meta.url).pathname,
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: bundle,
    });
    const user = spawn(process.execPath, [bundle, program, state, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const guard = await new Promise<number>((resolve) => user.stdout.once('data', (pid) => resolve(Number(pid))));
    expect(read(file)).toBe('new');
    // As the terminal does it: to everything of the group, which the guard must not be in.
    process.kill(-(user.pid as number), signal);
    await until(() => !isAlive(guard));
    expect(read(file)).toBe('old');
    expect(existsSync(journal())).toBe(false);
  });
});

/** Leaves a journal with one change in it, and returns the file changed. */
async function killedRun(): Promise<string> {
  const file = setting('file', 'old');
  const settings = await Settings.acquire(program, state, options);
  await settings.set(file, 'new');
  await settings.set(setting('more', 'old'), 'new');
  process.kill(settings.pid, 'SIGKILL');
  await failure(settings.release());
  return file;
}

describe.skipIf(!hasCompiler)('a journal that cannot be trusted is told and not applied', () => {
  it.each<readonly [string, (text: string) => string, RegExp]>([
    ['changed', (text) => text.replace(' old', ' odd'), /damaged journal \(line 2\)/],
    ['cut off', (text) => text.slice(0, -3), /damaged journal \(line 3\)/],
    ['empty', () => '', /damaged journal/],
    ['of something else', () => 'hello\n', /damaged journal \(line 1\)/],
    ['with a zero byte', (text) => text.replace('set', 's\0t'), /damaged journal/],
    [
      'of an earlier boot',
      (text) => text.replace(/[0-9a-f-]{36}/, '00000000-0000-0000-0000-000000000000'),
      /journal of an earlier boot/,
    ],
  ])('%s', async (_, change, message) => {
    const file = await killedRun();
    writeFileSync(journal(), change(readFileSync(journal(), 'latin1')));
    const next = await Settings.acquire(program, state, options);
    expect(told).toEqual([expect.stringMatching(message)]);
    expect(read(file)).toBe('new');
    await next.set(file, 'newer');
    await next.release();
    expect(read(file)).toBe('new');
    expect(existsSync(journal())).toBe(false);
  });
});

describe.skipIf(!hasCompiler)('two runs', () => {
  it('the second waits for the first', async () => {
    const file = setting('file', 'old');
    const first = await Settings.acquire(program, state, options);
    await first.set(file, 'new');
    const second = Settings.acquire(program, state, options);
    await until(() => told.length > 0);
    expect(told).toEqual([`waiting for ${first.pid}`]);
    expect(read(file)).toBe('new');
    await first.release();
    await (await second).release();
    expect(read(file)).toBe('old');
  });
  it('or fails', async () => {
    const first = await Settings.acquire(program, state, options);
    const error = await failure(Settings.acquire(program, state, { ...options, wait: false }));
    expect(error.message).toMatch(new RegExp(`another run holds the lock \\(process ${first.pid}\\)`));
    expect(error.exitCode).toBe(EXIT.unable);
    await first.release();
  });
  it('a guard that waits for nobody any more ends', async () => {
    const first = await Settings.acquire(program, state, options);
    const second = spawn(program, ['guard', state], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve) => second.stdout.once('data', resolve));
    second.stdin.destroy();
    expect(await new Promise((resolve) => second.once('exit', resolve))).toBe(4);
    await first.release();
  });
  it('a program or a directory that is not there', async () => {
    expect((await failure(Settings.acquire(join(folder, 'no'), state, options))).message).toMatch(
      /cannot run the guard/,
    );
    const error = await failure(Settings.acquire(program, join(folder, 'no', 'where'), options));
    expect(error.message).toMatch(/cannot create .*where: No such file/);
  });
});

describe.skipIf(!hasCompiler || !isRoot)('of the real machine', () => {
  it('a sysctl', async () => {
    const sysctl = '/proc/sys/vm/page-cluster';
    const before = read(sysctl);
    const other = before === '0' ? '1' : '0';
    const settings = await Settings.acquire(program, state, options);
    expect(await settings.set(sysctl, other)).toBe(other);
    expect(read(sysctl)).toBe(other);
    expect((await failure(settings.set(sysctl, 'nonsense'))).message).toMatch(/Invalid argument/);
    await settings.release();
    expect(read(sysctl)).toBe(before);
  });
  it.each(['file', 'block'] as const)('a swap area, also after kill -9 of the guard: %s', async (area) => {
    const path = join(folder, area === 'file' ? 'swap file' : 'swap-device');
    const swaps = (): string => readFileSync('/proc/swaps', 'latin1');
    const inUse = (): boolean => {
      if (area === 'file') return swaps().includes(path.replace(' ', '\\040'));
      const device = readdirSync('/sys/block').find((name) => {
        const file = `/sys/block/${name}/loop/backing_file`;
        return existsSync(file) && readFileSync(file, 'latin1').trimEnd() === path;
      });
      return device !== undefined && swaps().includes(`/dev/${device} `);
    };
    const settings = await Settings.acquire(program, state, options);
    try {
      await settings.swapOn(path, 1 << 20, area);
    } catch (error) {
      // Not a failure of ours: overlay and network file systems have no swap files, and some machines no loop devices.
      expect((error as Error).message).toMatch(/cannot swap to|cannot make a block device/);
      expect(existsSync(path)).toBe(false);
      process.stderr.write(`settings.test.ts: swap skipped, ${(error as Error).message}\n`);
      return await settings.release();
    }
    expect(inUse()).toBe(true);
    await settings.swapOff(path);
    expect([inUse(), existsSync(path)]).toEqual([false, false]);
    await settings.swapOn(path, 1 << 20, area);
    process.kill(settings.pid, 'SIGKILL');
    await failure(settings.release());
    const next = await Settings.acquire(program, state, options);
    expect(told).toEqual([`restored swapon ${path}`]);
    expect([inUse(), existsSync(path)]).toEqual([false, false]);
    await next.release();
  });
  it('a control group with a process in it', async () => {
    const mounts = readFileSync('/proc/self/mounts', 'latin1');
    const mount = / (\S+) cgroup rw\S*,freezer /.exec(mounts)?.[1] ?? / (\S+) cgroup2 rw/.exec(mounts)?.[1];
    if (mount === undefined) {
      process.stderr.write('settings.test.ts: control groups skipped, none mounted\n');
      return;
    }
    const group = join(mount, `folioscope-test-${process.pid}`);
    const settings = await Settings.acquire(program, state, options);
    await settings.cgroup(group);
    expect((await failure(settings.cgroup(group))).message).toMatch(/exists/);
    const sleeper = spawn('sleep', ['60']);
    writeFileSync(join(group, 'cgroup.procs'), String(sleeper.pid));
    await settings.release();
    expect(existsSync(group)).toBe(false);
    expect(isAlive(sleeper.pid as number)).toBe(true);
    sleeper.kill();
  });
  it('a journal that belongs to somebody else', async () => {
    const file = await killedRun();
    chmodSync(journal(), 0o644);
    spawnSync('chown', ['65534', journal()]);
    await (await Settings.acquire(program, state, options)).release();
    expect(told).toEqual([expect.stringMatching(/damaged journal/)]);
    expect(read(file)).toBe('new');
  });
});
