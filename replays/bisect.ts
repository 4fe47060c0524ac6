// The first event after which something is so.
import { apply } from '../reducers/index.js';
import type { KernelView } from '../reducers/state.js';
import { InputError } from '../src/lib/errors.js';
import { unfoldable } from './guard.js';
import type { LogReader } from './log/reader.js';
import { stateAt } from './timeline.js';

export type BisectMethod = 'binary search' | 'linear scan';

/** The event that turned a predicate, and how it was found. */
export interface Turn {
  /** -1: it held before the first event. */
  readonly event: number;
  readonly method: BisectMethod;
}

/** Events that are stepped through rather than halved further: a seek costs about as much. */
const NEAR = 2048;
/** The same where a look at a state is a look at all of it. */
const NEAR_FAULT = 65_536;

/**
 * The first event after which `holds`; null if there is none. Where `staysTurned` says that it never goes back, and it holds at the end, halving
 * finds it with a few seeks; where it may flicker every event is looked at.
 */
export function firstTurn(reader: LogReader, holds: (state: KernelView) => boolean, staysTurned: boolean): Turn | null {
  if (staysTurned && holds(stateAt(reader, reader.eventCount))) {
    const event = halve(reader, holds);
    return { event, method: 'binary search' };
  }
  const event = scan(reader, holds);
  return event === null ? null : { event, method: 'linear scan' };
}

/**
 * Positions between operations around the beginning of a fault that is there at the end: without it at `low`, with it at `high`. Null if the end has none. Earlier faults that were mended again are passed over.
 */
export function faultBetween(
  reader: LogReader,
  isFaulty: (state: KernelView) => boolean,
): { readonly low: number; readonly high: number } | null {
  let high = reader.eventCount;
  if (!isFaulty(stateAt(reader, high))) return null;
  let low = reader.firstEvent;
  if (isFaulty(stateAt(reader, low))) return { low, high: low };
  while (high - low > NEAR_FAULT) {
    const middle = betweenOperations(reader, Math.floor((low + high) / 2));
    if (middle <= low || middle >= high) break;
    if (isFaulty(stateAt(reader, middle))) high = middle;
    else low = middle;
  }
  return { low, high };
}

/** A position between two operations near event `n`, in the same chunk if that has one. */
function betweenOperations(reader: LogReader, n: number): number {
  const chunk = reader.chunkAt(n);
  let end = chunk.first;
  for (const { count } of chunk.runs) {
    end += count;
    if (end >= n) return end;
  }
  return end;
}

/** It holds at the end. */
function halve(reader: LogReader, holds: (state: KernelView) => boolean): number {
  let low = reader.firstEvent;
  if (holds(stateAt(reader, low))) return -1;
  let high = reader.eventCount;
  while (high - low > NEAR) {
    const middle = Math.floor((low + high) / 2);
    if (holds(stateAt(reader, middle))) high = middle;
    else low = middle;
  }
  const state = stateAt(reader, low);
  for (const { number, event } of reader.events(low, high)) {
    apply(state, event);
    if (holds(state)) return number;
  }
  return high - 1;
}

function scan(reader: LogReader, holds: (state: KernelView) => boolean): number | null {
  const state = stateAt(reader, reader.firstEvent);
  if (holds(state)) return -1;
  for (const chunk of reader.chunks(reader.firstEvent)) {
    const events = chunk.events();
    const problem = unfoldable(state, events);
    if (problem !== null) throw new InputError({ file: reader.source.name, offset: chunk.offset }, problem);
    for (let i = 0; i < events.length; i++) {
      apply(state, events[i]!);
      if (holds(state)) return chunk.first + i;
    }
  }
  return null;
}
