// A bounded look ahead: each record learns the same task's next one before it is used.
import type { PerfRecord } from './record.js';

/** Records held back at the most. */
const LOOK_AHEAD = 8192;

/** Delays records by up to LOOK_AHEAD, so that `record.next` is known when `use` gets them. */
export class LookAheadWindow {
  readonly #use: (record: PerfRecord) => void;
  readonly #last = new Map<number, PerfRecord>();
  readonly #ring: (PerfRecord | undefined)[] = new Array(LOOK_AHEAD).fill(undefined);
  #head = 0;
  #count = 0;

  constructor(use: (record: PerfRecord) => void) {
    this.#use = use;
  }

  push(record: PerfRecord): void {
    const before = this.#last.get(record.tid);
    if (before) before.next = record;
    this.#last.set(record.tid, record);
    if (this.#count === LOOK_AHEAD) this.#shift();
    this.#ring[(this.#head + this.#count) % LOOK_AHEAD] = record;
    this.#count++;
  }

  /** No more records: the rest is delivered. */
  end(): void {
    while (this.#count > 0) this.#shift();
  }

  #shift(): void {
    const record = this.#ring[this.#head] as PerfRecord;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % LOOK_AHEAD;
    this.#count--;
    this.#use(record);
  }
}

/** The task's following records, as far as known, `limit` at the most. */
export function* following(record: PerfRecord, limit = 64): Generator<PerfRecord> {
  let next = record.next;
  for (let i = 0; i < limit && next !== null; i++) {
    yield next;
    next = next.next;
  }
}
