// Folding projections from a log, with the operation that each event belongs to.
import type { KernelEvent } from '../../events/index.js';
import type { HistoryProjection, OperationInfo, Projection, StateProjection } from '../../projections/projection.js';
import { foldEvent } from '../../projections/projection.js';
import type { LogReader } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';

/** Operations of a log by id, quick where ids are asked for in ascending order. */
export class OperationCursor {
  readonly #reader: LogReader;
  #operations: Iterator<OperationInfo>;
  #current: OperationInfo | null = null;

  constructor(reader: LogReader) {
    this.#reader = reader;
    this.#operations = reader.operations();
  }

  /** The operation `id`; null for -1, which stands for none. */
  at(id: number): OperationInfo | null {
    if (id < 0) return null;
    if (this.#current !== null && this.#current.id > id) {
      this.#operations = this.#reader.operations(id);
      this.#current = null;
    }
    while (this.#current === null || this.#current.id < id) {
      const next = this.#operations.next();
      if (next.done === true) return null;
      this.#current = next.value;
    }
    return this.#current;
  }
}

/** Told what happens in a log, in order. */
export interface LogListener {
  operation(operation: OperationInfo | null): void;
  /** False ends it. */
  event(event: KernelEvent, number: number): boolean | void;
}

/** Tells `listener` the events [from, to) of the log, chunk by chunk. `begin` sees each chunk before its events. */
export function tellLog(
  reader: LogReader,
  listener: LogListener,
  to: number = reader.eventCount,
  begin?: (events: readonly KernelEvent[], offset: number) => void,
  from: number = reader.firstEvent,
): void {
  const operations = new OperationCursor(reader);
  let last = -2;
  for (const chunk of reader.chunks(from, to)) {
    const events = chunk.events();
    begin?.(chunk.first < from ? events.slice(from - chunk.first) : events, chunk.offset);
    let at = 0;
    for (const { operation, count } of chunk.runs) {
      if (chunk.first + at + count <= from) {
        at += count;
        continue;
      }
      if (operation !== last && chunk.first + at < to) listener.operation(operations.at(operation));
      last = operation;
      for (const end = at + count; at < end; at++) {
        const number = chunk.first + at;
        if (number < from) continue;
        if (number >= to || listener.event(events[at] as KernelEvent, number) === false) return;
      }
    }
  }
}

/** A projection of either kind, or a plain one that only folds. */
export type AnyProjection<P> = Projection<P> &
  Partial<Pick<StateProjection<P>, 'fromState'> & Pick<HistoryProjection<P>, 'begin'>>;

/** The view after event `to`: of the present from the state there, of history by folding. A piece cut out of a log tells its own history only. */
export function foldProjection<P>(reader: LogReader, projection: AnyProjection<P>, to: number = reader.eventCount): P {
  if (projection.fromState !== undefined) return projection.fromState(stateAt(reader, to));
  const begun = reader.firstEvent > 0 && projection.begin !== undefined;
  const view = begun ? projection.begin!(stateAt(reader, reader.firstEvent)) : projection.init();
  tellLog(
    reader,
    {
      operation: (operation) => projection.operation?.(view, operation),
      event: (event, number) => foldEvent(projection, view, event, number),
    },
    to,
  );
  return view;
}
