// The state at any event of a log.
import type { KernelView } from '../reducers/state.js';
import { foldLog } from './fold.js';
import type { LogReader } from './log/reader.js';

/** The state after `n` events. Folds from the first event on: the further back from the start, the longer. */
export function stateAt(reader: LogReader, n: number): KernelView {
  if (!Number.isInteger(n) || n < 0 || n > reader.eventCount)
    throw new RangeError(`position ${n} of ${reader.eventCount} events`);
  return foldLog(reader, n);
}
