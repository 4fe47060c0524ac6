// perf as a child: is it there and may it, start and stop a recording, print it.
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Duplex, Readable } from 'node:stream';
import { EXIT, UserError } from '../../lib/errors.js';
import { cacheEventsOf, chooseEvents, eventArguments } from './events.js';

const READY_MS_MAX = 60_000;
/** Buffers of all CPUs together, MiB; each gets 64 where that fits. */
const BUFFERS_MIB_MAX = 4096;

const C_LOCALE = { ...process.env, LC_ALL: 'C', PERF_CONFIG: '/dev/null' };

const unable = (message: string): UserError => new UserError(message, EXIT.unable);

/** What this machine's perf can record. */
export interface PerfAbility {
  readonly version: string;
  /** Events that this kernel lacks, and what a recording loses by it. */
  readonly missing: readonly string[];
  /** perf's arguments for all events, and for those of the page cache. */
  readonly arguments: readonly string[];
  readonly cacheArguments: readonly string[];
}

/**
 * Looks whether perf is installed, allowed, and knows the events.
 * @throws UserError with exit code 4 and what to do, where recording is impossible.
 */
export function examinePerf(): PerfAbility {
  if (process.platform !== 'linux') throw unable('recording needs Linux and its perf');
  const version = spawnSync('perf', ['--version'], { env: C_LOCALE, encoding: 'utf8' });
  if (version.error || version.status !== 0)
    throw unable(
      'perf is not installed: install linux-perf (Debian), linux-tools (Ubuntu) or perf (Fedora, Arch, openSUSE)',
    );
  if (process.getuid?.() !== 0 && paranoid() > -1)
    throw unable('recording the whole machine needs root, or kernel.perf_event_paranoid = -1 and a readable tracefs');
  const list = spawnSync('perf', ['list', '--raw-dump', 'tracepoint'], {
    env: C_LOCALE,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const { chosen, missing } = chooseEvents(new Set((list.stdout ?? '').split(/\s+/)));
  if (chosen.length === 0)
    throw unable(
      'perf sees no tracepoints: tracefs (/sys/kernel/tracing) is not mounted, not readable, or not in this kernel',
    );
  const essential = missing.filter((each) => each.essential);
  if (essential.length > 0)
    throw unable(
      `this kernel lacks ${essential.map(({ name, lost }) => `${name} (${lost})`).join(', ')}; nothing can be run without`,
    );
  return {
    version: version.stdout.trim(),
    missing: missing.map(({ name, lost }) => `${name}: ${lost}`),
    arguments: eventArguments(chosen),
    cacheArguments: eventArguments(cacheEventsOf(chosen)),
  };
}

function paranoid(): number {
  try {
    return Number(readFileSync('/proc/sys/kernel/perf_event_paranoid', 'utf8'));
  } catch {
    return 4;
  }
}

function bufferSize(most: number): string {
  let mib = most;
  while (mib > 1 && mib * cpus().length > BUFFERS_MIB_MAX) mib /= 2;
  return `${mib}M`;
}

/** perf while it records the whole machine. */
export class PerfRecording {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #said = '';
  #over = false;

  /** Starts perf, which writes to `data` and gets `mib` MiB for each CPU at the most; nothing is recorded before `begin()`. */
  constructor(data: string, events: readonly string[], mib = 64) {
    const args = ['record', '-a', '-d', '-c', '1', '-m', bufferSize(mib), '-k', 'CLOCK_MONOTONIC', '-B', '-N'];
    args.push('-D', '-1', '--control', 'fd:3,4', '-o', data, ...events);
    // Its own session: Ctrl-C is for the command, and perf is stopped when that has ended.
    this.#child = spawn('perf', args, {
      detached: true,
      env: C_LOCALE,
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    });
    this.#child.stderr?.on('data', (text: Buffer) => (this.#said += text.toString()));
    (this.#child.stdio[3] as Duplex).on('error', () => undefined);
    this.#ended = new Promise<void>((resolve) => {
      this.#child.once('error', () => resolve());
      this.#child.once('close', () => resolve());
    }).then(() => void (this.#over = true));
  }

  /** Recording has begun when this returns. */
  async begin(): Promise<void> {
    const acknowledged = new Promise<boolean>((resolve) => {
      (this.#child.stdio[4] as Readable).once('data', () => resolve(true));
      void this.#ended.then(() => resolve(false));
      setTimeout(() => resolve(false), READY_MS_MAX).unref();
    });
    (this.#child.stdio[3] as Duplex).write('enable\n');
    if (!(await acknowledged)) throw this.#failure('perf record did not start');
  }

  /** Ends the recording; the data are complete when this returns. */
  async stop(): Promise<void> {
    if (this.#over) throw this.#failure('perf record ended before the command did');
    this.#child.kill('SIGINT');
    await this.#ended;
    if (/failed to write|No space left/.test(this.#said)) throw this.#failure('perf record failed', EXIT.io);
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== 0 && signalCode !== 'SIGINT' && !this.#said.includes('Captured and wrote'))
      throw this.#failure('perf record failed');
  }

  /** Ends perf in whatever state it is; its data are of no use. */
  async kill(): Promise<void> {
    if (!this.#over) this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Ends perf at once, for when the program itself ends. */
  killNow(): void {
    if (!this.#over) this.#child.kill('SIGKILL');
  }

  #failure(what: string, code: (typeof EXIT)['unable' | 'io'] = EXIT.unable): UserError {
    if (/No space left/.test(this.#said)) code = EXIT.io;
    const lines = this.#said.split('\n').map((line) => line.trim());
    const why = lines.filter((line) => line !== '' && !/^Events (dis|en)abled|^\[ perf record/.test(line));
    if (code === EXIT.unable && /Permission|not permitted|paranoid/i.test(this.#said))
      why.unshift('no right to record the whole machine (root is needed)');
    return new UserError(`${what}${why.length > 0 ? `: ${[...new Set(why)].slice(0, 3).join(' ')}` : ''}`, code);
  }
}

const SCRIPT = ['--show-mmap-events', '--show-task-events', '--show-lost-events', '--ns'];

/** Prints the recording in `data` and gives each line to `take`; bytes that are no ASCII pass through unchanged (Latin-1). */
export async function printRecording(data: string, take: (line: string) => void, signal: AbortSignal): Promise<void> {
  const child = spawn('perf', ['script', '-i', data, ...SCRIPT, '-F', 'comm,pid,tid,cpu,time,event,trace'], {
    env: C_LOCALE,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-4096)));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  ended.catch(() => undefined);
  let rest = '';
  try {
    for await (const part of child.stdout) {
      const lines = (rest + (part as Buffer).toString('latin1')).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) take(line);
    }
    if (rest !== '') take(rest);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  if ((await ended) !== 0) throw unable(`perf script failed: ${said.trim().split('\n').at(-1) ?? ''}`);
}
