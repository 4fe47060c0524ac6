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
