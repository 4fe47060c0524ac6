// folioscope debug LOG: the terminal of the debugger. Line editing, history, completion, Ctrl-C; or commands from a pipe.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Interface } from 'node:readline';
import { createInterface } from 'node:readline';
import { complete } from '../../debug/complete.js';
import { Debugger } from '../../debug/repl.js';
import { Interrupted, Session } from '../../debug/session.js';
import { count } from '../../debug/words.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { openLog } from '../open-log.js';
import { drained, flushOut, out } from '../output.js';

export interface DebugOptions {
  readonly at?: string;
}

export const PROMPT = '(folio) ';
/** Lines kept from session to session. */
const HISTORY_LINES = 1000;

/** Set by Ctrl-C while a command works. */
class Interruption {
  wanted = false;

  /** Lets signals and keys be heard, between pieces of long work. */
  async breathe(): Promise<void> {
    await new Promise((heard) => setImmediate(heard));
    if (!this.wanted) return;
    this.wanted = false;
    throw new Interrupted();
  }
}

/** Writes a file that is not there yet. @throws UserError where it is, or cannot be written. */
export function writeNewFile(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UserError(code === 'EEXIST' ? `${path} is there already` : `${path}: ${message}`, EXIT.io);
  }
}

/** Debugs a log. From a pipe each command is echoed behind the prompt; the exit code says whether commands made sense and assertions held. */
export async function debugCommand(path: string, options: DebugOptions): Promise<ExitCode> {
  const reader = openLog(path);
  const interruption = new Interruption();
  const session = new Session(reader, { breathe: () => interruption.breathe(), writeFile: writeNewFile });
  if (options.at !== undefined) session.move(session.positionOf(options.at));
  const repl = new Debugger(session);
  const { header, eventCount, firstEvent } = reader;
  out(
    `${path}: run of ${header.sourceName} on kernel ${header.kernel}, ${count(eventCount - firstEvent)} events; \`help\` lists commands`,
  );
  for (const line of session.where()) out(line);
  flushOut();
  return process.stdin.isTTY ? interactive(repl, interruption) : scripted(repl);
}

/** Commands from a pipe or file, one a line. */
async function scripted(repl: Debugger): Promise<ExitCode> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity, terminal: false });
  for await (const line of lines) {
    out(`${PROMPT}${line}`.trimEnd());
    const { lines: answer, quit } = await repl.execute(line);
    for (const each of answer) out(each);
    await drained();
    if (quit) break;
  }
  lines.close();
  flushOut();
  return repl.exitCode;
}

const historyPath = (): string =>
  join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'folioscope', 'debug-history');

/** Commands of sessions before, the latest first. */
function loadHistory(): string[] {
  try {
    return readFileSync(historyPath(), 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    // None yet, or it cannot be read: a debugger works without.
    return [];
  }
}

function saveHistory(lines: readonly string[]): void {
  try {
    mkdirSync(dirname(historyPath()), { recursive: true, mode: 0o700 });
    writeFileSync(historyPath(), `${lines.slice(0, HISTORY_LINES).join('\n')}\n`, { mode: 0o600 });
  } catch {
    // A home that cannot be written to is no reason to fail.
  }
}

/** A person at a terminal. */
async function interactive(repl: Debugger, interruption: Interruption): Promise<ExitCode> {
  let history = loadHistory();
  const terminal: Interface = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: PROMPT,
    history,
    historySize: HISTORY_LINES,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(repl.session, line),
  });
  terminal.on('history', (lines: string[]) => (history = lines));
  let busy = false;
  terminal.on('SIGINT', () => {
    if (busy) {
      interruption.wanted = true;
      return;
    }
    // The line begun is given up, as in a shell.
    process.stdout.write('^C\n');
    terminal.write(null, { ctrl: true, name: 'e' });
    terminal.write(null, { ctrl: true, name: 'u' });
    terminal.prompt();
  });
  terminal.prompt();
  let left = false;
  for await (const line of terminal) {
    busy = true;
    interruption.wanted = false;
    const { lines, quit } = await repl.execute(line);
    busy = false;
    for (const each of lines) out(each);
    await drained();
    left = quit;
    if (quit) break;
    terminal.prompt();
  }
  // Ctrl-D ends no line.
  if (!left) process.stdout.write('\n');
  terminal.close();
  saveHistory(history);
  return EXIT.ok;
}
