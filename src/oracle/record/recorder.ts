// Records a command: perf around it, the text cut to its process tree, residency of mapped files before it, all in one file.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  openSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { constants as osConstants, release, tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { EXIT, UserError } from '../../lib/errors.js';
import { RECORDING_HEAD } from '../../workload/perf/record.js';
import { TreeCutter, isIdleCacheLine } from './cutter.js';
import { PerfRecording, examinePerf, printRecording } from './perf.js';
import type { ResidencyLines } from './residency.js';
import { lookAtFiles, preparePageCacheProbe, residencyLines } from './residency.js';
import { settingsLines } from './settings-lines.js';

/** What a recording became. */
export interface Recorded {
  readonly file: string;
  /** Lines of the recording, comments aside. */
  readonly lines: number;
  readonly tasks: number;
  /** Events that perf lost; 0 is the rule. */
  readonly lost: number;
  /** The command's own: 128 + n if signal n ended it. */
  readonly exitStatus: number;
  /** What the recording does not tell, in words. */
  readonly missing: readonly string[];
}

/** What a recording session tells and asks while it goes on. */
export interface RecordHooks {
  /** Progress, for a person. */
  note(text: string): void;
  /** Aborts everything: the command is ended and nothing is kept. */
  readonly signal: AbortSignal;
  /** The command runs as this process now. */
  started?(child: ChildProcess): void;
}

/** Where the output of a command `words` goes if nobody says. */
export const defaultOutput = (words: readonly string[]): string =>
  `${basename(words[0] ?? '').replace(/[^\w.+-]/g, '_') || 'command'}.perf.txt.gz`;

/**
 * Runs `command` under perf and writes the recording to `output`, whole or not at all.
 * @throws UserError: 4 what is missing here, 2 a command that cannot be started, 5 what could not be written, 130 aborted.
 */
export async function record(command: readonly string[], output: string, hooks: RecordHooks): Promise<Recorded> {
  requireCommand(command);
  const ability = examinePerf();
  const target = claim(output);
  let directory = '';
  const missing = [...ability.missing];
  const settings = settingsLines();
  try {
    directory = await scratchDirectory();
    const probe = await preparePageCacheProbe(directory);
    if (typeof probe === 'string') missing.push(probe);
    const files = {
      data: join(directory, 'perf.data'),
      cache: join(directory, 'cache.data'),
      kept: join(directory, 'kept'),
    };
    const perf = new PerfRecording(files.data, ability.arguments);
    // The files to look at are known only when all is read, and the kernel may drop pages until then.
    const unwatched = typeof probe === 'string' || ability.cacheArguments.length === 0;
    const watch = unwatched ? null : new PerfRecording(files.cache, ability.cacheArguments, CACHE_MIB);
    const last = (): void => [perf, watch].forEach((each) => each?.killNow());
    process.once('exit', last);
    let cutter: TreeCutter;
    let residency: ResidencyLines | null = null;
    let exitStatus = 0;
    try {
      await watch?.begin();
      await perf.begin();
      const ran = await runCommand(command, hooks);
      ({ exitStatus } = ran);
      await perf.stop();
      hooks.note('reading the recording');
      cutter = await cut(files.data, files.kept, ran.pid, hooks.signal);
      if (!cutter.begun)
        throw new UserError(`${command[0]} was never started: its execve is not in the recording`, EXIT.partial);
      await rm(files.data, { force: true });
      if (typeof probe !== 'string') {
        const found = await lookAtFiles(probe, cutter.files);
        await watch?.stop();
        if (watch) await printRecording(files.cache, (line) => cutter.laterCacheLine(line), hooks.signal);
        residency = residencyLines(cutter.files, found, (file) => cutter.cacheChanges(file));
      }
    } finally {
      await Promise.all([perf.kill(), watch?.kill()]);
      process.removeListener('exit', last);
    }
    if (residency !== null && residency.unknown > 0)
      missing.push(`residency of ${residency.unknown} mapped files that are gone, replaced or out of reach`);
    const head = [
      `${RECORDING_HEAD}1: Linux ${release()}, ${ability.version}`,
      `# command: ${command.map(quoted).join(' ')}`,
      ...missing.map((each) => `# not recorded: ${each}`),
      ...settings,
      ...(residency?.lines ?? []),
    ];
    const lines = await compose(head, files.kept, target.partial, output.endsWith('.gz'), cutter, hooks.signal);
    if (target.partial !== target.path) await rename(target.partial, target.path);
    return { file: output, lines, tasks: cutter.tasks, lost: cutter.lost, exitStatus, missing };
  } catch (error) {
    if (target.partial !== target.path) await rm(target.partial, { force: true });
    throw located(error, output, hooks.signal);
  } finally {
    if (directory !== '') await rm(directory, { recursive: true, force: true });
  }
}

function located(error: unknown, output: string, signal: AbortSignal): unknown {
  if (signal.aborted) return new UserError('interrupted; nothing was kept', EXIT.interrupted);
  if (error instanceof UserError) return error;
  const { code, message, path } = error as NodeJS.ErrnoException;
  return code === undefined
    ? error
    : new UserError(`${path ?? output}: ${message.replace(/, \w+( '.*')?$/, '')}`, EXIT.io);
}

/** Where the output goes, links followed, and the name it has until it is whole. */
interface Target {
  readonly path: string;
  readonly partial: string;
}

/** Takes the partial name, before anything is run in vain. A device or pipe is written directly. */
function claim(output: string): Target {
  try {
    const standing = statSync(output, { throwIfNoEntry: false });
    const path = standing === undefined ? output : realpathSync(output);
    if (standing?.isDirectory() === true) throw new Error('is a directory');
    if (standing?.isFile() === false) return { path, partial: path };
    const partial = `${path}.partial`;
    closeSync(openSync(partial, 'wx'));
    return { path, partial };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why =
      code === 'EEXIST'
        ? `${output}.partial is there: another recording is being made, or was killed (then remove it)`
        : message;
    throw new UserError(`${output}: ${why.replace(/, \w+( '.*')?$/, '')}`, EXIT.io);
  }
}

async function scratchDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'folioscope-record-'));
}

/** A command that cannot be found is told before perf is started for it. */
function requireCommand(command: readonly string[]): void {
  const [name] = command;
  if (name === undefined || name === '')
    throw new UserError('record: no command given: record -o FILE -- CMD...', EXIT.input);
  const places = name.includes('/')
    ? [name]
    : (process.env['PATH'] ?? '').split(delimiter).map((each) => join(each || '.', name));
  let denied = false;
  for (const place of places) {
    try {
      if (statSync(place, { throwIfNoEntry: false })?.isFile() !== true) continue;
      accessSync(place, constants.X_OK);
      return;
    } catch {
      denied = true;
    }
  }
  throw new UserError(`${name}: ${denied ? 'permission denied' : 'command not found'}`, EXIT.input);
}

function runCommand(command: readonly string[], hooks: RecordHooks): Promise<{ pid: number; exitStatus: number }> {
  return new Promise((resolve, reject) => {
    if (hooks.signal.aborted) {
      reject(new UserError('interrupted', EXIT.interrupted));
      return;
    }
    const child = spawn(command[0] as string, command.slice(1), { stdio: 'inherit' });
    child.once('error', (error) =>
      reject(new UserError(`${command[0]}: cannot be started: ${error.message}`, EXIT.input)),
    );
    const abort = (): void => {
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS).unref();
    };
    hooks.signal.addEventListener('abort', abort, { once: true });
    // Not 'close': a daemon may hold on to our terminal.
    child.once('exit', (code, signal) => {
      hooks.signal.removeEventListener('abort', abort);
      if (hooks.signal.aborted) reject(new UserError('interrupted', EXIT.interrupted));
      else
        resolve({
          pid: child.pid as number,
          exitStatus: code ?? 128 + (osConstants.signals[signal ?? 'SIGKILL'] ?? 0),
        });
    });
    hooks.started?.(child);
  });
}

/** What an interrupted command has for its own clearing up. */
const PATIENCE_MS = 2000;
/** Buffer of each CPU for the page cache's changes. */
const CACHE_MIB = 8;
/** Bytes collected before they are written. */
const CHUNK = 1 << 20;

async function cut(data: string, kept: string, pid: number, signal: AbortSignal): Promise<TreeCutter> {
  const fd = openSync(kept, 'wx', 0o600);
  let pending = '';
  const flush = (): void => {
    const bytes = Buffer.from(pending, 'latin1');
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    pending = '';
  };
  try {
    const cutter = new TreeCutter(pid, (line) => {
      pending += `${line}\n`;
      if (pending.length >= CHUNK) flush();
    });
    await printRecording(data, (line) => cutter.line(line), signal);
    flush();
    return cutter;
  } finally {
    closeSync(fd);
  }
}

/** Writes heading and kept lines, without the page cache of files that nobody mapped; how many lines that makes. */
async function compose(
  head: readonly string[],
  kept: string,
  partial: string,
  gzip: boolean,
  cutter: TreeCutter,
  signal: AbortSignal,
): Promise<number> {
  const mapped = new Set(cutter.files.map(({ major, minor, inode }) => `${major}:${minor}:${inode}`));
  const marked = new Set(head.flatMap((line) => markedFile(line) ?? []));
  let lines = 0;
  async function* text(): AsyncGenerator<Buffer> {
    yield Buffer.from(head.map((line) => `${line}\n`).join(''), 'latin1');
    let rest = '';
    for await (const part of createReadStream(kept, { highWaterMark: CHUNK })) {
      const all = (rest + (part as Buffer).toString('latin1')).split('\n');
      rest = all.pop() as string;
      const chosen = all.filter((line) => !isIdleCacheLine(line, mapped, marked));
      lines += chosen.length;
      if (chosen.length > 0) yield Buffer.from(`${chosen.join('\n')}\n`, 'latin1');
    }
  }
  const file: Writable = createWriteStream(partial, { flags: 'w', flush: true });
  const from = Readable.from(text());
  await (gzip ? pipeline(from, createGzip({ level: 9 }), file, { signal }) : pipeline(from, file, { signal }));
  return lines;
}

/** The file of a readahead line, as the events name it. */
function markedFile(line: string): string | null {
  const match = /^# folioscope readahead ([0-9a-f]+):([0-9a-f]+) (\d+) /.exec(line);
  return match && `${parseInt(match[1] as string, 16)}:${parseInt(match[2] as string, 16)}:${match[3]}`;
}

function quoted(word: string): string {
  // eslint-disable-next-line no-control-regex
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/[\x00-\x1f]/g, '?').replaceAll("'", "'\\''")}'`;
}
