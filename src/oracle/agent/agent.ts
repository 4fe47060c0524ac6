// The native agent as a process: commands in, answers out.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { EXIT, UserError } from '../../lib/errors.js';

export interface AgentOptions {
  /** CPU of the observer and all tasks. */
  readonly cpu: number;
  /** Existing directory for the workload's files; emptied by the agent. */
  readonly directory: string;
  /** What `layoutText()` of btf.ts gives, or null: the kernel's memory is not read. */
  readonly layout: string | null;
}

/** The agent is gone, by its own fault or because it was told to; there is nobody to ask any more. */
export class AgentEndedError extends UserError {
  override readonly name = 'AgentEndedError';
}

/** A started agent. */
export class Agent {
  /** Can it read page tables and struct pages? Else why not. */
  readonly deep: boolean;
  readonly blind: string;
  readonly #child: ChildProcess;
  readonly #answers: Answers;

  private constructor(child: ChildProcess, answers: Answers, greeting: readonly string[]) {
    this.#child = child;
    this.#answers = answers;
    const [, deep = '0', ...why] = (greeting[0] ?? '').split(' ');
    this.deep = deep === '1';
    this.blind = why.join(' ');
  }

  /**
   * Starts `program` in a session of its own, so that Ctrl-C reaches its tasks only through us.
   * @throws UserError (unable) if it cannot run here.
   */
  static async start(program: string, { cpu, directory, layout }: AgentOptions): Promise<Agent> {
    const child = spawn(program, ['run', String(cpu), directory, layout ?? '-'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    const answers = new Answers(child);
    const [greeting] = await answers.next(1);
    if (greeting === undefined || !(greeting[0] ?? '').startsWith('deep')) {
      child.kill();
      throw new UserError(`the native agent does not start: ${greeting?.join(' ') ?? 'no answer'}`, EXIT.unable);
    }
    return new Agent(child, answers, greeting);
  }

  /**
   * The answers to `commands`, one list of lines each.
   * @throws AgentEndedError (unable) if the agent ends before it has answered them all.
   */
  async ask(commands: readonly string[]): Promise<readonly (readonly string[])[]> {
    this.#child.stdin?.write(`${commands.join('\n')}\n`);
    const answers = await this.#answers.next(commands.length);
    if (answers.length === commands.length) return answers;
    const { signalCode, exitCode } = this.#child;
    const how = signalCode ?? (exitCode === null ? '' : `exit code ${exitCode}`);
    throw new AgentEndedError(`the native agent ended in the middle of a workload${how && ` (${how})`}`, EXIT.unable);
  }

  /** Ends it and its tasks. */
  async close(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.stdin?.end('quit\n');
    await gone;
  }
}

/** Cuts the output into answers; each ends with a line ".". */
class Answers {
  #rest = '';
  #lines: string[] = [];
  readonly #done: (readonly string[])[] = [];
  #wanted = 0;
  #resolve: ((answers: readonly (readonly string[])[]) => void) | null = null;
  #ended = false;

  constructor(child: ChildProcess) {
    child.stdout?.setEncoding('latin1');
    child.stdout?.on('data', (text: string) => this.#text(text));
    child.once('close', () => this.#end());
    child.once('error', () => this.#end());
    child.stdin?.on('error', () => undefined);
  }

  next(count: number): Promise<readonly (readonly string[])[]> {
    this.#wanted = count;
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#deliver();
    });
  }

  #text(text: string): void {
    const parts = (this.#rest + text).split('\n');
    this.#rest = parts.pop() as string;
    for (const part of parts)
      if (part === '.') {
        this.#done.push(this.#lines);
        this.#lines = [];
      } else this.#lines.push(part);
    this.#deliver();
  }

  #end(): void {
    this.#ended = true;
    this.#deliver();
  }

  #deliver(): void {
    if (this.#resolve === null || (this.#done.length < this.#wanted && !this.#ended)) return;
    const resolve = this.#resolve;
    this.#resolve = null;
    resolve(this.#done.splice(0, this.#wanted));
  }
}
