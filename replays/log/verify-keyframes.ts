// Checks keyframes: that each builds on the one before, and holds the state that it says and the events lead to.
import { hashState } from '../../reducers/state-hash.js';
import type { KernelState, KernelView } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import type { KeyframeEntry } from './format.js';
import type { Keyframe } from './keyframe.js';
import { applyKeyframe } from './keyframe.js';
import { WHOLE } from './keyframe-encode.js';

/** Follows the keyframes of one log. */
export class KeyframeChecker {
  readonly index: KeyframeEntry[] = [];
  readonly #deep: boolean;
  #state: KernelState = initialState();
  #at = -1;
  /** The last one could not be read: those that build on it say nothing. */
  #lost = false;

  constructor(deep: boolean) {
    this.#deep = deep;
  }

  /** The state of the last keyframe. */
  get state(): KernelState {
    return this.#state;
  }

  /** A frame could not be read; it may have been a keyframe. */
  damaged(): void {
    this.#lost = true;
  }

  /**
   * What is wrong with `keyframe`, found after `events` events (null: that is not known). `folded` is the state that these
   * lead to, null if unknown. Throws MalformedError if it cannot be decoded.
   */
  problems(offset: number, keyframe: Keyframe, events: number | null, folded: KernelView | null): string[] {
    const { at, previous, hash } = keyframe;
    this.index.push([offset, at, previous === WHOLE ? 1 : 0]);
    const problems: string[] = [];
    if (events !== null && at !== events) problems.push(`the keyframe is of event ${at}; ${events} come before it`);
    const follows = previous === WHOLE || !this.#lost;
    if (follows && previous !== WHOLE && previous !== this.#at)
      problems.push(`the keyframe builds on one of event ${previous}; the one before it is of ${this.#at}`);
    this.#at = at;
    if (follows && this.#deep) {
      this.#lost = true;
      if (previous === WHOLE) this.#state = initialState();
      applyKeyframe(this.#state, keyframe);
      if (hashState(this.#state).hash !== hash) problems.push('the keyframe holds another state than it says');
    }
    this.#lost = !follows;
    if (folded !== null && hashState(folded).hash !== hash)
      problems.push(`the events lead to another state than the keyframe of event ${at}`);
    return problems;
  }
}
