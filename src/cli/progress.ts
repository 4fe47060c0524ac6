// Progress of long work, on standard error, where somebody watches.

const EVERY_MS = 200;

/** A line that says how far the input is read. Silent where stderr is no terminal, in CI, or when told to be. */
export class Progress {
  readonly #label: string;
  readonly #shown: boolean;
  #total = 0;
  #done = 0;
  #last = 0;
  #drawn = false;

  constructor(label: string, quiet = false) {
    this.#label = label;
    this.#shown = process.stderr.isTTY && !quiet && process.env['CI'] === undefined;
  }

  /** The work is `total` bytes; 0 for unknown. */
  expect(total: number): void {
    this.#total = total;
  }

  add(bytes: number): void {
    this.#done += bytes;
    if (!this.#shown) return;
    const now = performance.now();
    if (now - this.#last < EVERY_MS) return;
    this.#last = now;
    this.#drawn = true;
    const share =
      this.#total > 0 ? `${Math.floor((100 * this.#done) / this.#total)} %` : `${Math.round(this.#done / 1e6)} MB`;
    process.stderr.write(`\r${this.#label} ${share} `);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#drawn) process.stderr.write('\r\x1b[K');
    this.#drawn = false;
  }
}

/** A line that says how far a search is. Shown where `Progress` is. */
export class StatusLine {
  readonly #shown: boolean;
  #last = 0;
  #drawn = false;

  constructor(quiet = false) {
    this.#shown = process.stderr.isTTY && !quiet && process.env['CI'] === undefined;
  }

  show(text: string): void {
    if (!this.#shown) return;
    const now = performance.now();
    if (now - this.#last < EVERY_MS) return;
    this.#last = now;
    this.#drawn = true;
    process.stderr.write(`\r\x1b[K${text} `);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#drawn) process.stderr.write('\r\x1b[K');
    this.#drawn = false;
  }
}

/** Work without a pause, at the most. */
const BREATH_MS = 100;

/** Lets the event loop turn now and then during long work, so that Ctrl-C is heard. */
export class Breather {
  #last = performance.now();

  /** Is it time for a pause? */
  due(): boolean {
    return performance.now() - this.#last > BREATH_MS;
  }

  /** The pause: two turns of the loop, which have a poll for signals between them. */
  async breathe(): Promise<void> {
    for (let turn = 0; turn < 2; turn++) await new Promise((heard) => setImmediate(heard));
    this.#last = performance.now();
  }
}

/** Seconds since it was made, by a function that tells them. */
export function stopwatch(): () => number {
  const started = performance.now();
  return () => (performance.now() - started) / 1000;
}
