// When a keyframe is written, and whether a whole one or only what changed.
//
// A keyframe bounds how many events a seek folds, and the chain of changes up to the last whole one bounds what it decodes.
// Measured (65,536 live pages, touched at random): folding 65,536 events takes about as long as decoding the whole state.
import { StateHasher } from '../../reducers/state-hash.js';
import type { KernelView } from '../../reducers/state.js';
import { pteTable } from '../../reducers/pte.js';
import { SECTION } from '../../reducers/state.js';
import { Touched } from '../../reducers/touched.js';
import { WHOLE, encodeKeyframe, wholeOf } from './keyframe-encode.js';

/** Events between keyframes; the time of a seek goes with it, and what keyframes add to the time of a run against it. */
export const KEYFRAME_EVENTS = 1 << 16;
/** Events for each frame of the state, where that is more: keyframes of a large state cost more and come less often. */
const EVENTS_PER_FRAME = 1;
/** A whole keyframe is worth its bytes if the events since the last one took so many times as much. */
const EVENT_BYTES_PER_WHOLE = 4;

/** A keyframe to be written. */
export interface MadeKeyframe {
  readonly payload: Uint8Array;
  readonly whole: boolean;
  /** Of the whole state. */
  readonly hash: string;
}

/** Follows one run of a writer. `touched` is what the digest tells of it. */
export class KeyframeMaker {
  readonly touched = new Touched();
  readonly #state: KernelView;
  readonly #spacing: number;
  readonly #hasher = new StateHasher();
  /** Where the last keyframe stands; WHOLE before the first. */
  #previous = WHOLE;
  /** Event from which the next one may be written. */
  #due: number;
  // Stored bytes since the last whole keyframe, and those of that one with the size of its state.
  #eventBytes = 0;
  #deltaBytes = 0;
  #wholeBytes = 0;
  #wholeWeight = 1;

  /** The first one is due `spacing` events after `first`. */
  constructor(state: KernelView, first = 0, spacing = KEYFRAME_EVENTS) {
    this.#state = state;
    this.#spacing = spacing;
    this.#due = first + spacing;
  }

  /** A chunk was written. */
  chunk(storedBytes: number): void {
    this.#eventBytes += storedBytes;
  }

  /** The keyframe that is due after `at` events, or null. */
  next(at: number): MadeKeyframe | null {
    if (at < this.#due) return null;
    return this.make(at);
  }

  /** The keyframe after `at` events, whether due or not; null if the state is too large for one. */
  make(at: number): MadeKeyframe | null {
    const state = this.#state;
    this.#forgetChanged();
    const { hash, weight } = this.#hasher.hash(state);
    this.#due = at + Math.max(this.#spacing, EVENTS_PER_FRAME * weight);
    const whole = this.#previous === WHOLE || this.#wholeIsWorthIt(weight);
    const selection = whole ? wholeOf(state) : this.touched;
    const payload = encodeKeyframe(state, at, whole ? WHOLE : this.#previous, hash, selection);
    if (payload === null) return null;
    this.#previous = at;
    this.touched.restart(state);
    if (whole) {
      this.#eventBytes = 0;
      this.#deltaBytes = 0;
      this.#wholeBytes = 0;
      this.#wholeWeight = Math.max(1, weight);
    }
    return { payload, whole, hash };
  }

  /** The last keyframe took so many bytes. */
  stored(bytes: number, whole: boolean): void {
    if (whole) this.#wholeBytes = bytes;
    else this.#deltaBytes += bytes;
  }

  #forgetChanged(): void {
    const { memMap, maxPfn, mms } = this.#state;
    for (let pfn = this.touched.nextFrame(0, maxPfn); pfn >= 0;) {
      const section = Math.floor(pfn / SECTION);
      this.#hasher.changed(memMap[section] as object);
      pfn = this.touched.nextFrame((section + 1) * SECTION, maxPfn);
    }
    for (const id of this.touched.mms) {
      const mm = mms[id];
      if (!mm) continue;
      for (const [number] of this.touched.tables(id)) {
        const table = pteTable(mm, number * 512);
        if (table !== null) this.#hasher.changed(table);
      }
    }
  }

  /** Cheap against the events, or less to decode than all the changes since the last one. */
  #wholeIsWorthIt(weight: number): boolean {
    const bytes = this.#wholeBytes * (weight / this.#wholeWeight);
    return EVENT_BYTES_PER_WHOLE * bytes <= this.#eventBytes || bytes <= this.#deltaBytes;
  }
}
