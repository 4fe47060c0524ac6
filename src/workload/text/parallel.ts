// `parallel` blocks of workloads: lines that an explorer interleaves, names for the steps between which it can, and the order of them that
// a `schedule` proposes. Only the form is judged here; what a step is in the kernel its run says.
import { InputError } from '../../lib/errors.js';
import { ScanError } from './scanner.js';

/** A step's name, and where the model stands before it if the workload tells: `g1`, `g2=gup-fast:G5`. */
const STEP = /^([a-z]\w*)(?:=([a-z][\w-]*:\w+))?$/;
/** One place of a schedule: `g1`, or `3@g1`. */
const PLACE = /^(?:(\d+)@)?([a-z]\w*)$/;

interface Step {
  /** Task, or null for the machine. */
  readonly pid: number | null;
  /** Position among the steps of its block. */
  readonly at: number;
}

/** Words with the column, from 0, at which each stands. */
const wordsOf = (text: string, column: number): { readonly word: string; readonly at: number }[] =>
  [...text.matchAll(/\S+/g)].map((match) => ({ word: match[0], at: column + match.index }));

const who = (pid: number | null): string => (pid === null ? 'the machine' : `task ${pid}`);

/** Follows the blocks of one text. Columns in errors count from 0. */
export class ParallelBlocks {
  /** Line of the block that is open, 0 for none. */
  #open = 0;
  #steps = new Map<string, Step>();
  /** Whose named steps still lack the line that does them, and where they stand. */
  readonly #waiting = new Map<number | null, number>();
  /** May a schedule stand here: a block was just closed. */
  #closed = false;

  /** `parallel {`. @throws ScanError inside another block. */
  begin(line: number, column: number): void {
    if (this.#open !== 0) throw new ScanError(column, 'parallel blocks do not nest');
    this.#open = line;
    this.#steps = new Map();
    this.#closed = false;
  }

  /** `}`. Returns the problem if steps were named that no line does. @throws ScanError without a block. */
  close(column: number): InputError | null {
    if (this.#open === 0) throw new ScanError(column, '"}" without a parallel block');
    this.#open = 0;
    this.#closed = true;
    const [left] = this.#waiting;
    this.#waiting.clear();
    if (left === undefined) return null;
    return new InputError({ line: left[1] }, `steps of ${who(left[0])} without a line that does them`);
  }

  /**
   * `steps g1 g2=gup-fast:G5`: names the steps of the next line of `pid`. Returns the text in its plain form.
   * @throws ScanError outside a block, and for names that stand twice or are none.
   */
  name(pid: number | null, text: string, line: number, column: number): string {
    if (this.#open === 0) throw new ScanError(column, 'steps are named inside parallel blocks');
    if (this.#waiting.has(pid)) throw new ScanError(column, `${who(pid)} has not done what was named before`);
    const words = wordsOf(text, column);
    if (words.length === 0) throw new ScanError(column, 'expected the names of steps');
    for (const { word, at } of words) {
      const name = STEP.exec(word)?.[1];
      if (name === undefined) throw new ScanError(at, `'${word}' is no step: write g1, or g1=gup-fast:G3`);
      if (this.#steps.has(name)) throw new ScanError(at, `step ${name} is named twice`);
      this.#steps.set(name, { pid, at: this.#steps.size });
    }
    this.#waiting.set(pid, line);
    return words.map(({ word }) => word).join(' ');
  }

  /**
   * A call of `pid`, null where the line names nobody: what was named is done by it.
   * @throws ScanError inside a block for a task's call that does not say whose it is.
   */
  call(pid: number | null, byMachine: boolean, column: number): void {
    this.#closed = false;
    if (this.#open !== 0 && pid === null && !byMachine)
      throw new ScanError(column, 'a line of a parallel block names its task');
    this.#waiting.delete(pid);
  }

  /**
   * `schedule g1 m1 g2`, right behind its block: the order in which steps are taken, each until the next named one of its task. Returns the
   * names alone.
   * @throws ScanError for what is no order of steps of that block.
   */
  schedule(text: string, column: number): string {
    if (!this.#closed) throw new ScanError(column, 'a schedule stands right behind its parallel block');
    this.#closed = false;
    const last = new Map<number | null, { readonly name: string; readonly at: number }>();
    return wordsOf(text, column)
      .map(({ word, at }) => {
        const [, task, name = ''] = PLACE.exec(word) ?? [];
        const step = this.#steps.get(name);
        if (step === undefined) throw new ScanError(at, `no step of the block is called '${word}'`);
        if (task !== undefined && Number(task) !== step.pid)
          throw new ScanError(at, `step ${name} is one of ${who(step.pid)}`);
        const before = last.get(step.pid);
        if (before !== undefined && before.at >= step.at)
          throw new ScanError(at, `${who(step.pid)} takes step ${name} before ${before.name}`);
        last.set(step.pid, { name, at: step.at });
        return name;
      })
      .join(' ');
  }

  /** The text ends. @throws InputError inside a block. */
  end(): void {
    if (this.#open !== 0) throw new InputError({ line: this.#open }, 'parallel block without "}"');
  }
}
