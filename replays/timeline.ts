// Time travel: the state at any event of a log, and steps forward and back from there.
import type { KernelEvent } from '../events/index.js';
import { applied, appliedAll, apply } from '../reducers/index.js';
import type { KernelState, KernelView } from '../reducers/state.js';
import { own } from '../reducers/state.js';
import { InputError } from '../src/lib/errors.js';
import { foldChunk } from './fold.js';
import { folding, isWide, unfoldable } from './guard.js';
import type { LogChunk, LogReader, NumberedEvent } from './log/reader.js';

/** States kept around the position: each shares with its neighbour all but some 15 KB. */
export const WINDOW_STATES = 1024;
/** Events between states that are kept inside a chunk to step back from. Applying so many one by one takes under 1 ms. */
const MARK_EVENTS = 64;
/** So many events ahead are stepped over rather than sought. */
const NEAR = 256;

/** The state after `n` events, from the last keyframe before it on. It is the caller's own. */
export function stateAt(reader: LogReader, n: number): KernelState {
  checkPosition(reader, n);
  const { state, at } = reader.keyframeState(n);
  for (const chunk of reader.chunks(at, n)) {
    const events = chunk.events();
    if (chunk.first + chunk.n > n) events.length = n - chunk.first;
    foldChunk(state, chunk.first < at ? events.slice(at - chunk.first) : events, reader.source.name, chunk.offset);
  }
  return state;
}

function checkPosition(reader: LogReader, n: number): void {
  if (!Number.isInteger(n) || n < reader.firstEvent || n > reader.eventCount)
    throw new RangeError(`position ${n}: the log goes from ${reader.firstEvent} to ${reader.eventCount}`);
}

/** The state after `events`, which shares nothing with `state`. */
function copied(state: KernelView, events: readonly KernelEvent[]): KernelView {
  const copy = own(state);
  for (const event of events) apply(copy, event);
  return copy;
}

export type Direction = 'forward' | 'backward';

/** A chunk with its events. */
interface OpenChunk {
  readonly chunk: LogChunk;
  readonly events: readonly KernelEvent[];
}

/** States in a row: `states[i]` is that after `first + i` events. */
interface Window {
  first: number;
  states: KernelView[];
}

/**
 * A position in a log and the state there. Position n is after n events. States are immutable and share structure; the
 * last ones are kept, so that a step back is a lookup.
 */
export class Timeline {
  readonly reader: LogReader;
  readonly #size: number;
  #position: number;
  #window: Window;
  /** States of the chunk stepped back in, MARK_EVENTS apart; the first one is at its beginning. */
  #marks: Window | null = null;
  #open: OpenChunk | null = null;

  /** Begins before the first event. `window` is how many states are kept. */
  constructor(reader: LogReader, window = WINDOW_STATES) {
    this.reader = reader;
    this.#size = Math.max(2 * MARK_EVENTS, window);
    this.#position = reader.firstEvent;
    this.#window = { first: reader.firstEvent, states: [stateAt(reader, reader.firstEvent)] };
  }

  /** Events before the state. */
  get position(): number {
    return this.#position;
  }

  /** The state at the position. */
  get state(): KernelView {
    return this.#kept(this.#position) as KernelView;
  }

  /** The event with that number, counted from 0: it leads from position `number` to the next one. */
  event(number: number): KernelEvent {
    const { chunk, events } = this.#chunkOf(number);
    return events[number - chunk.first] as KernelEvent;
  }

  /** The operation that event `number` belongs to; -1 for none. */
  operationOf(number: number): number {
    return this.#runOf(number).operation;
  }

  /** The state after `n` events; the position stays. */
  stateAt(n: number): KernelView {
    checkPosition(this.reader, n);
    return this.#kept(n) ?? stateAt(this.reader, n);
  }

  /** Goes to position `n`. */
  seek(n: number): KernelView {
    checkPosition(this.reader, n);
    const { first, states } = this.#window;
    const end = first + states.length - 1;
    if (n > end && n <= end + NEAR) this.#extend(n);
    else if (n < first || n > end) this.#window = this.#fromMarks(n) ?? this.#fresh(n);
    this.#position = n;
    return this.state;
  }

  /** Goes over one event, which is returned; null at the end. */
  step(): KernelEvent | null {
    if (this.#position >= this.reader.eventCount) return null;
    const event = this.event(this.#position);
    this.seek(this.#position + 1);
    return event;
  }

  /** Goes back over one event, which is returned; null at the beginning. */
  back(): KernelEvent | null {
    const n = this.#position - 1;
    if (n < this.reader.firstEvent) return null;
    if (n < this.#window.first) {
      this.#mark(n);
      this.#window = this.#fromMarks(n) as Window;
    }
    this.#position = n;
    return this.event(n);
  }

  /** Goes to the end of the operation that the next event belongs to, or to where another one takes over; false at the end. */
  stepOperation(): boolean {
    const { eventCount } = this.reader;
    if (this.#position >= eventCount) return false;
    let { operation, end } = this.#runOf(this.#position);
    for (; end < eventCount;) {
      const next = this.#runOf(end);
      if (next.operation !== operation) break;
      ({ end, operation } = next);
    }
    this.seek(end);
    return true;
  }

  /** Goes to the beginning of the operation that the last event belongs to, or to where it took over; false at the beginning. */
  backOperation(): boolean {
    const { firstEvent } = this.reader;
    if (this.#position <= firstEvent) return false;
    let { operation, first } = this.#runOf(this.#position - 1);
    while (first > firstEvent) {
      const before = this.#runOf(first - 1);
      if (before.operation !== operation) break;
      ({ first, operation } = before);
    }
    this.seek(first);
    return true;
  }

  /**
   * The first event from the position on, or the last one before it, that `predicate` holds for; null if there is none. The
   * position stays: `seek(number)` goes before the event, `seek(number + 1)` behind it.
   */
  find(predicate: (event: KernelEvent, number: number) => boolean, direction: Direction): NumberedEvent | null {
    return direction === 'forward' ? this.#findForward(predicate) : this.#findBackward(predicate);
  }

  #findForward(predicate: (event: KernelEvent, number: number) => boolean): NumberedEvent | null {
    for (let number = this.#position; number < this.reader.eventCount;) {
      const { chunk, events } = this.#chunkOf(number);
      for (let i = number - chunk.first; i < chunk.n; i++)
        if (predicate(events[i] as KernelEvent, chunk.first + i))
          return { number: chunk.first + i, event: events[i] as KernelEvent };
      number = chunk.first + chunk.n;
    }
    return null;
  }

  #findBackward(predicate: (event: KernelEvent, number: number) => boolean): NumberedEvent | null {
    for (let number = this.#position - 1; number >= this.reader.firstEvent;) {
      const { chunk, events } = this.#chunkOf(number);
      for (let i = number - chunk.first; i >= 0; i--)
        if (predicate(events[i] as KernelEvent, chunk.first + i))
          return { number: chunk.first + i, event: events[i] as KernelEvent };
      number = chunk.first - 1;
    }
    return null;
  }

  #kept(n: number): KernelView | undefined {
    return this.#window.states[n - this.#window.first];
  }

  #chunkOf(number: number): OpenChunk {
    const open = this.#open;
    if (open !== null && number >= open.chunk.first && number < open.chunk.first + open.chunk.n) return open;
    const chunk = this.reader.chunkAt(number);
    return (this.#open = { chunk, events: chunk.events() });
  }

  /** Events in a row of one operation, inside a chunk. */
  #runOf(number: number): { readonly operation: number; readonly first: number; readonly end: number } {
    const { chunk } = this.#chunkOf(number);
    let first = chunk.first;
    for (const { operation, count } of chunk.runs) {
      if (number < first + count) return { operation, first, end: first + count };
      first += count;
    }
    throw new RangeError(`event ${number} of ${this.reader.eventCount}`);
  }

  /** The state after event `number`, from the one before it. */
  #after(state: KernelView, number: number): KernelView {
    const event = this.event(number);
    return this.#fold(state, [event], () => (isWide(state, [event]) ? copied(state, [event]) : applied(state, event)));
  }

  #fold(state: KernelView, events: readonly KernelEvent[], apply: () => KernelView): KernelView {
    const file = this.reader.source.name;
    const offset = this.#open?.chunk.offset ?? 0;
    const problem = unfoldable(state, events);
    if (problem !== null) throw new InputError({ file, offset }, problem);
    return folding(file, offset, apply);
  }

  /** Makes the window reach to `n`, event by event. */
  #extend(n: number): void {
    const { states } = this.#window;
    for (let end = this.#window.first + states.length - 1; end < n; end++)
      states.push(this.#after(states[states.length - 1] as KernelView, end));
    const over = states.length - this.#size;
    if (over <= 0) return;
    states.splice(0, over);
    this.#window.first += over;
  }

  /** A window that ends at `n`, with some states before it. */
  #fresh(n: number): Window {
    const first = Math.max(this.reader.firstEvent, n - MARK_EVENTS);
    return this.#upTo(stateAt(this.reader, first), first, n);
  }

  #upTo(state: KernelView, first: number, n: number): Window {
    const states = [state];
    for (let at = first; at < n; at++) states.push(this.#after(states[at - first] as KernelView, at));
    return { first, states };
  }

  /** A window that ends at `n`, from the last mark before it; null if there is none near it. */
  #fromMarks(n: number): Window | null {
    if (this.#marks === null) return null;
    const { first, states } = this.#marks;
    const i = Math.floor((n - first) / MARK_EVENTS);
    const state = states[i];
    return state === undefined ? null : this.#upTo(state, first + i * MARK_EVENTS, n);
  }

  /** Sets marks from the beginning of the chunk up to `n`, unless they are there. */
  #mark(n: number): void {
    const { chunk, events } = this.#chunkOf(n);
    const { first } = chunk;
    const marks = this.#marks?.first === first ? this.#marks : { first, states: [stateAt(this.reader, first)] };
    for (let at = first + (marks.states.length - 1) * MARK_EVENTS; at + MARK_EVENTS <= n; at += MARK_EVENTS) {
      const piece = events.slice(at - first, at - first + MARK_EVENTS);
      const before = marks.states[marks.states.length - 1] as KernelView;
      marks.states.push(
        this.#fold(before, piece, () => (isWide(before, piece) ? copied(before, piece) : appliedAll(before, piece))),
      );
    }
    this.#marks = marks;
  }
}
