// The state at any event of a log.
import type { KernelState } from '../reducers/state.js';
import { foldChunk } from './fold.js';
import type { LogReader } from './log/reader.js';

/** The state after `n` events, from the last keyframe before it on. It is the caller's own. */
export function stateAt(reader: LogReader, n: number): KernelState {
  if (!Number.isInteger(n) || n < 0 || n > reader.eventCount)
    throw new RangeError(`position ${n} of ${reader.eventCount} events`);
  const { state, at } = reader.keyframeState(n);
  for (const chunk of reader.chunks(at, n)) {
    const events = chunk.events();
    if (chunk.first + chunk.n > n) events.length = n - chunk.first;
    foldChunk(state, chunk.first < at ? events.slice(at - chunk.first) : events, reader.source.name, chunk.offset);
  }
  return state;
}
