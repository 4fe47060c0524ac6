// Compiles the native agent where it runs, on first use, into a cache that programs at the same time may share.
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXIT, UserError } from '../../lib/errors.js';

const COMPILE_MS_MAX = 120_000;
const FLAGS = ['-O2', '-Wall', '-pthread'];

/** The folder of the agent's source: beside this file, or in the bundle. */
function sourceFolder(): string {
  for (const place of ['./agent.c', '../agent/agent.c', './agent/agent.c']) {
    const path = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(path)) return dirname(path);
  }
  throw new UserError('the source of the native agent (agent.c) is not installed beside the program', EXIT.unable);
}

interface Ended {
  /** Null: it could not be started, or took too long. */
  readonly status: number | null;
  /** What it wrote, to stdout and stderr. */
  readonly text: string;
}

function runCompiler(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn('cc', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    // spawn()'s own timeout would keep us waiting for a program that could not be started.
    const timer = setTimeout(() => child.kill(), COMPILE_MS_MAX);
    const ended = (result: Ended): void => {
      clearTimeout(timer);
      resolve(result);
    };
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.stderr.on('data', (part: Buffer) => parts.push(part));
    child.once('error', (error) => ended({ status: null, text: error.message }));
    child.once('close', (status) => ended({ status, text: Buffer.concat(parts).toString() }));
  });
}

/** Where built programs are kept: $XDG_CACHE_HOME if it is an absolute path, else ~/.cache. */
function cacheFolder(): string {
  const told = process.env['XDG_CACHE_HOME'];
  return join(told !== undefined && isAbsolute(told) ? told : join(homedir(), '.cache'), 'folioscope');
}

/** How the agent may be built elsewhere than by default. */
export interface BuildOptions {
  /** Folder of the .c and .h files. */
  readonly source?: string;
  /** Folder of built programs. */
  readonly cache?: string;
  /** Takes a line that the user should see; otherwise it goes to stderr. */
  readonly tell?: (line: string) => void;
}

/**
 * Path of the agent, built if this source was not yet built with this compiler. Two at once do not disturb each other: a program
 * appears under its name when it is complete. Linked statically where that is possible, so that tasks have few mappings; told if not.
 * @throws UserError (unable) without a C compiler, or if it does not accept the source.
 */
export async function buildAgent(options: BuildOptions = {}): Promise<string> {
  const {
    source = sourceFolder(),
    cache = cacheFolder(),
    tell = (line: string) => void process.stderr.write(`${line}\n`),
  } = options;
  const version = await runCompiler(['--version']);
  if (version.status !== 0)
    throw new UserError(
      'no C compiler (cc): the native agent is built where it runs; install gcc and libc6-dev',
      EXIT.unable,
    );
  const names = (await readdir(source)).filter((name) => /\.[ch]$/.test(name)).toSorted();
  const hash = createHash('sha256').update(`${version.text}\0${FLAGS.join(' ')}`);
  for (const name of names) hash.update(`\0${name}\0`).update(await readFile(join(source, name)));
  const program = join(cache, `agent-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(program)) return program;

  await mkdir(cache, { recursive: true }).catch((error: Error) => {
    throw new UserError(`cannot keep the native agent: ${error.message}`, EXIT.unable);
  });
  // In the same folder, for rename.
  const unfinished = `${program}.${randomUUID()}`;
  const files = names.filter((name) => name.endsWith('.c')).map((name) => join(source, name));
  try {
    const linked = await runCompiler([...FLAGS, '-static', '-o', unfinished, ...files]);
    if (linked.status !== 0) {
      const dynamic = await runCompiler([...FLAGS, '-o', unfinished, ...files]);
      if (dynamic.status !== 0)
        throw new UserError(`cc does not compile the native agent: ${firstError(dynamic.text)}`, EXIT.unable);
      tell(`native agent not linked statically: ${firstError(linked.text)}`);
    }
    await rename(unfinished, program);
  } finally {
    await rm(unfinished, { force: true });
  }
  return program;
}

/** The line that says what is wrong. */
function firstError(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /error|cannot find/i.test(line)) ?? lines[0] ?? 'no message';
}
