// folioscope debug LOG --tui: the terminal of the full-screen mode. Raw keys, the alternate screen, resizing, and the way back however it ends.
import type { Interface } from 'node:readline';
import { emitKeypressEvents } from 'node:readline';
import { Interrupted, Session } from '../../debug/session.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import type { Canvas } from '../../tui/canvas.js';
import { paint } from '../../tui/canvas.js';
import { draw } from '../../tui/draw.js';
import { FullScreen } from '../../tui/full-screen.js';
import type { RawKey } from '../../tui/keys.js';
import { keyName } from '../../tui/keys.js';
import { openLog } from '../open-log.js';
import type { DebugOptions } from './debug.js';
import { writeNewFile } from './debug.js';

/** The alternate screen without a cursor, and back. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[0m\u001b[?25h\u001b[?1049l';
/** After so long an escape character was the key, not the beginning of another key's code. */
const ESCAPE_MS = 50;
/** Codes of programs that a signal ended: 128 and its number. */
const SIGNALS = { SIGHUP: 129, SIGTERM: 143 } as const;

const heard = (): Promise<void> => new Promise((done) => setImmediate(done));

/** https://no-color.org: any value but the empty one. */
const wantsColour = (): boolean => !process.env['NO_COLOR'] && process.stdout.hasColors();

/** The screen and the keyboard, from start() to stop(). */
class Terminal {
  #shown: Canvas | null = null;
  readonly #colour = wantsColour();
  readonly #restore = (): void => this.#give();
  #taken = false;

  /** Takes the screen. `key` gets keys, `redraw` is asked for when the screen has another size or was taken back. */
  start(key: (name: string) => void, redraw: () => void): void {
    emitKeypressEvents(process.stdin, { escapeCodeTimeout: ESCAPE_MS } as unknown as Interface);
    process.stdin.on('keypress', (_text: string | undefined, raw: RawKey) => {
      const name = keyName(raw);
      if (name === 'C-z') this.#suspend(redraw);
      else if (name !== '') key(name);
    });
    process.stdout.on('resize', redraw);
    process.on('exit', this.#restore);
    for (const [signal, code] of Object.entries(SIGNALS)) process.on(signal, () => process.exit(code));
    this.#take();
  }

  /** Gives screen and keyboard back. */
  stop(): void {
    process.off('exit', this.#restore);
    this.#give();
    process.stdin.removeAllListeners('keypress');
    process.stdin.pause();
  }

  /** Brings the screen up to date. */
  show(canvas: Canvas): void {
    const text = paint(this.#shown, canvas, this.#colour);
    this.#shown = canvas;
    if (text !== '') process.stdout.write(text);
  }

  /** What has to be drawn, anew from the next time on. */
  forget(): void {
    this.#shown = null;
  }

  #take(): void {
    process.stdin.setRawMode(true);
    process.stdin.resume();
    process.stdout.write(ENTER);
    this.#taken = true;
    this.forget();
  }

  #give(): void {
    if (!this.#taken) return;
    this.#taken = false;
    process.stdin.setRawMode(false);
    process.stdout.write(LEAVE);
  }

  /** Ctrl-Z as in other programs: the shell gets the screen until `fg`. */
  #suspend(redraw: () => void): void {
    this.#give();
    process.once('SIGCONT', () => {
      this.#take();
      redraw();
    });
    process.kill(process.pid, 'SIGTSTP');
  }
}

/** Debugs a log on the whole screen. @throws UserError where there is no terminal. */
export async function debugTuiCommand(path: string, options: DebugOptions): Promise<ExitCode> {
  if (!process.stdin.isTTY || !process.stdout.isTTY || process.env['TERM'] === 'dumb')
    throw new UserError('--tui needs a terminal; without it, debug reads commands from a pipe', EXIT.input);
  const reader = openLog(path);
  let interrupted = false;
  const breathe = async (): Promise<void> => {
    await heard();
    if (!interrupted) return;
    interrupted = false;
    throw new Interrupted();
  };
  const session = new Session(reader, { breathe, writeFile: writeNewFile });
  if (options.at !== undefined) session.move(session.positionOf(options.at));
  // What nobody waits for any more must not keep the program from ending.
  const view: FullScreen = new FullScreen(session, async () => {
    await heard();
    if (view.exitCode !== null) throw new Interrupted();
  });
  const terminal = new Terminal();
  const { promise: over, resolve: end, reject: fail } = settledLater();

  let wanted = false;
  /** The screen says that something is under way. */
  let told = false;
  const redraw = (): void => {
    if (wanted) return;
    wanted = true;
    // Keys that came together are drawn together.
    setImmediate(() => {
      wanted = false;
      told = view.busy !== '';
      if (view.exitCode === null) terminal.show(draw(view, process.stdout.columns, process.stdout.rows));
    });
  };

  const keys: string[] = [];
  let working = false;
  const work = async (): Promise<void> => {
    if (working) return;
    working = true;
    for (let key = keys.shift(); key !== undefined && view.exitCode === null; key = keys.shift()) {
      const done = view.key(key);
      redraw();
      await done;
      interrupted = false;
    }
    working = false;
    if (view.exitCode !== null) end();
    else redraw();
  };
  terminal.start(
    (key) => {
      if (working && told && (key === 'C-c' || key === 'escape')) {
        // Keys that wait were meant for what the search would have found.
        keys.length = 0;
        interrupted = true;
        return;
      }
      keys.push(key);
      work().catch(fail);
    },
    () => {
      terminal.forget();
      redraw();
    },
  );
  redraw();
  view.load().then(redraw, (error: unknown) => {
    if (!(error instanceof Interrupted)) fail(error);
  });
  try {
    await over;
  } finally {
    terminal.stop();
  }
  return view.exitCode ?? EXIT.ok;
}

/** A promise and what settles it. */
function settledLater(): { promise: Promise<void>; resolve: () => void; reject: (error: unknown) => void } {
  let resolve = (): void => {};
  let reject = (_error: unknown): void => {};
  const promise = new Promise<void>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}
