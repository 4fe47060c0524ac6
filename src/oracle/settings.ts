// Settings of the machine that a run needs: changed by a guard process (`agent guard`), which gives them back however the run ends.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT, UserError } from '../lib/errors.js';

export interface SettingsOptions {
  /** If another run has the settings: wait until it has ended (default), or fail. */
  readonly wait?: boolean;
  /**
   * Takes what the guard tells before it is ready: `waiting for PID`, `restored ...` (a killed run had left it), `failed ...`,
   * `discarded ...` (a journal not to be trusted). Otherwise it goes to stderr.
   */
  readonly tell?: (line: string) => void;
}

/** Where the lock and the journal are: one place of the machine for root, else one of the user. */
export function stateDirectory(): string {
  if (process.getuid?.() === 0) return '/run/folioscope';
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const parent = runtime ?? join(homedir(), '.cache');
  mkdirSync(parent, { recursive: true });
  return join(parent, 'folioscope-state');
}

/** Bytes that would end a field of a line, as %XX. */
const escaped = (text: string): string =>
  // eslint-disable-next-line no-control-regex
  text.replaceAll(/[\x00-\x20%\x7f]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`);
const unescaped = (text: string): string =>
  text.replaceAll(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

interface Waiting {
  readonly command: string;
  readonly resolve: (text: string) => void;
  readonly reject: (error: UserError) => void;
}

/** The settings of the machine, ours until `release()`, our end, or that of the guard's. */
export class Settings {
  /** Of the guard. */
  readonly pid: number;
  readonly #guard: ChildProcess;
  readonly #waiting: Waiting[] = [];
  /** Things that could not be given back. */
  readonly #failed: string[] = [];
  readonly #ended: Promise<void>;
  #isEnded = false;
  #isReleased = false;

  private constructor(guard: ChildProcess, ended: Promise<void>) {
    this.#guard = guard;
    this.pid = guard.pid as number;
    this.#ended = ended.then(() => {
      this.#isEnded = true;
      for (const { command, reject } of this.#waiting.splice(0))
        reject(unable(`${command}: the guard of the settings has ended`));
    });
  }

  /**
   * Starts the guard, which first undoes what a killed run left.
   * @param program the native agent (`buildAgent`)
   * @param directory of lock and journal; created if its parent exists
   * @throws UserError (unable) if the program does not run, the directory cannot be used, or another run has the lock and `wait` is false.
   */
  static async acquire(
    program: string,
    directory: string = stateDirectory(),
    options: SettingsOptions = {},
  ): Promise<Settings> {
    const { wait = true, tell = (line: string) => void process.stderr.write(`settings: ${line}\n`) } = options;
    const guard = spawn(program, ['guard', directory, ...(wait ? [] : ['--no-wait'])], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    // A write to a guard that has ended; its end is told by 'close'.
    guard.stdin.on('error', () => undefined);
    return new Promise((resolve, reject) => {
      let settings: Settings | null = null;
      let last = 'it ended without a word';
      let holder = '';
      const ended = new Promise<void>((end) => {
        guard.once('error', (error) => {
          reject(unable(`cannot run the guard of the settings: ${error.message}`));
          end();
        });
        guard.once('close', () => {
          reject(unable(`cannot have the machine's settings: ${last}${holder}`));
          end();
        });
      });
      createInterface({ input: guard.stdout }).on('line', (line) => {
        if (settings) settings.#take(line);
        else if (line === 'ready') resolve((settings = new Settings(guard, ended)));
        else if (line.startsWith('error ')) last = line.slice('error '.length);
        else if (line.startsWith('held by ')) holder = ` (process ${line.slice('held by '.length)})`;
        else tell(line);
      });
    });
  }

  #take(line: string): void {
    const [, word = '', rest = ''] = /^(\S+) ?(.*)$/s.exec(line) ?? [];
    if (word === 'failed') {
      this.#failed.push(rest);
      return;
    }
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return;
    if (word === 'ok') waiting.resolve(unescaped(rest));
    else waiting.reject(unable(rest));
  }

  #ask(...fields: readonly string[]): Promise<string> {
    const command = fields.join(' ');
    return new Promise((resolve, reject) => {
      if (this.#isEnded || this.#isReleased) {
        reject(unable(`${command}: the settings are released`));
        return;
      }
      this.#waiting.push({ command, resolve, reject });
      this.#guard.stdin?.write(`${fields.map(escaped).join(' ')}\n`);
    });
  }

  /**
   * Writes `value` into the file of a setting; the first value found is given back at the end. Of a file such as
   * `always [madvise] never` that is the word in brackets.
   * @returns what the file says now: the kernel may give less than asked for (nr_hugepages).
   * @throws UserError (unable) if the file cannot be read, or the kernel does not take the value.
   */
  set(path: string, value: string | number): Promise<string> {
    return this.#ask('set', path, String(value));
  }

  /**
   * Makes a swap file, or a block device that keeps its bytes in a file, used before any other swap until the end.
   * @param path of a file that does not exist yet, on a file system that allows swap files
   * @param bytes a multiple of 4096, at least 10 pages
   * @throws UserError (unable) if that cannot be.
   */
  async swapOn(path: string, bytes: number, area: 'file' | 'block' = 'file'): Promise<void> {
    await this.#ask(area === 'file' ? 'swapon' : 'swapdev', path, String(bytes));
  }

  /**
   * Ends the use of a swap area that swapOn() made, and deletes its file.
   * @throws UserError (unable) if that cannot be, or it is none.
   */
  async swapOff(path: string): Promise<void> {
    await this.#ask('swapoff', path);
  }

  /**
   * Makes a control group; at the end its processes move to the group above and it is removed.
   * @throws UserError (unable) if it exists or cannot be made.
   */
  async cgroup(path: string): Promise<void> {
    await this.#ask('cgroup', path);
  }

  /**
   * Has an existing directory deleted at the end, with all that is in it then, mounts excepted.
   * @throws UserError (unable) if it is not a directory named without links, or stands directly below the root.
   */
  async removeAtEnd(path: string): Promise<void> {
    await this.#ask('remove', path);
  }

  /**
   * Gives everything back, the last change first, and ends the guard. May be called twice.
   * @throws UserError (unable) naming what could not be given back; the next run tries again.
   */
  async release(): Promise<void> {
    this.#isReleased = true;
    this.#guard.stdin?.end();
    await this.#ended;
    const { exitCode, signalCode } = this.#guard;
    if (this.#failed.length > 0) throw unable(`not given back: ${this.#failed.join('; ')}`);
    if (exitCode !== 0)
      throw unable(`the guard of the settings ended with ${signalCode ?? exitCode}: the next run gives them back`);
  }
}

function unable(message: string): UserError {
  return new UserError(message, EXIT.unable);
}
