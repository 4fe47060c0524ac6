// Folding a log: the state at an event, from the events before it, without the kernel model.
import type { KernelEvent } from '../events/index.js';
import { apply } from '../reducers/index.js';
import type { KernelState } from '../reducers/state.js';
import { InputError } from '../src/lib/errors.js';
import { folding, unfoldable } from './guard.js';
import type { LogReader } from './log/reader.js';

/** Applies all `events`, which came from the log `file` at byte `offset`, to `state` in place. */
export function foldChunk(state: KernelState, events: readonly KernelEvent[], file: string, offset: number): void {
  const problem = unfoldable(state, events);
  if (problem !== null) throw new InputError({ file, offset }, problem);
  folding(file, offset, () => {
    for (const event of events) apply(state, event);
  });
}

/** The state after `n` events (all of them unless told), from the first one on. It is the caller's own. Takes as long as its events are many. */
export function foldLog(reader: LogReader, n: number = reader.eventCount): KernelState {
  const { state } = reader.keyframeState(reader.firstEvent);
  for (const chunk of reader.chunks(reader.firstEvent, n)) {
    const events = chunk.events();
    if (chunk.first + chunk.n > n) events.length = n - chunk.first;
    foldChunk(state, events, reader.source.name, chunk.offset);
  }
  return state;
}
