// `folioscope record -o FILE -- CMD...`: a command under perf, in a file that `run` takes.
import type { ChildProcess } from 'node:child_process';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { defaultOutput, record } from '../../oracle/record/recorder.js';

export interface RecordOptions {
  /** '' for NAME.perf.txt.gz. */
  output: string;
  json: boolean;
  quiet: boolean;
}

/** Records `command`. 0: complete; 3: events were lost, so what is after them is not to be trusted. */
export async function recordCommand(command: readonly string[], options: RecordOptions): Promise<ExitCode> {
  const note = (text: string): void => {
    if (!options.quiet) process.stderr.write(`record: ${text}\n`);
  };
  const interruption = new Interruption(note);
  try {
    const output = options.output === '' ? defaultOutput(command) : options.output;
    const recorded = await record(command, output, {
      note,
      signal: interruption.signal,
      started: (child) => interruption.passTo(child),
    });
    if (options.json) process.stdout.write(`${JSON.stringify(recorded)}\n`);
    else if (!options.quiet) process.stdout.write(summary(recorded));
    for (const each of recorded.missing) note(`not recorded: ${each}`);
    if (recorded.lost === 0) return EXIT.ok;
    process.stderr.write(
      `record: perf lost ${recorded.lost} events: fidelity is unknown from the first loss on. ` +
        'Record again with fewer other programs running, or a shorter run.\n',
    );
    return EXIT.partial;
  } catch (error) {
    if (interruption.signal.aborted && !(error instanceof UserError)) return EXIT.interrupted;
    throw error;
  } finally {
    interruption.end();
  }
}

function summary({ file, lines, tasks, exitStatus }: Awaited<ReturnType<typeof record>>): string {
  const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
  return `${file}: ${plural(lines, 'line')}, ${plural(tasks, 'task')}; the command's exit status was ${exitStatus}\n`;
}

/**
 * Ctrl-C is the way to end a server that is recorded: the first one is for the command, whose recording is then completed; the next,
 * or one while no command runs, ends the recorder and leaves nothing.
 */
class Interruption {
  readonly #controller = new AbortController();
  readonly #note: (text: string) => void;
  #child: ChildProcess | null = null;
  #told = false;

  constructor(note: (text: string) => void) {
    this.#note = note;
    process.on('SIGINT', this.#signalled);
    process.on('SIGTERM', this.#signalled);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  passTo(child: ChildProcess): void {
    this.#child = child;
    child.once('exit', () => (this.#child = null));
  }

  end(): void {
    process.removeListener('SIGINT', this.#signalled);
    process.removeListener('SIGTERM', this.#signalled);
  }

  readonly #signalled = (signal: NodeJS.Signals): void => {
    if (this.#child === null || this.#told) {
      this.#controller.abort();
      return;
    }
    this.#told = true;
    this.#note('the command is to end; once more to give up the recording');
    // A terminal sends its interrupt to the command as well.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) this.#child.kill(signal);
  };
}
