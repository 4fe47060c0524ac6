// What events mean. A projection names the events it handles and how; running it is this file's job.
import type { OperatorFunction } from 'rxjs';
import { scan } from 'rxjs';
import type { EventOf, EventType, KernelEvent } from '../events/index.js';

/** A view derived from events alone. `P` is its own live object: read it, do not keep it. */
export interface Projection<P> {
  readonly name: string;
  init(): P;
  /** How each event changes the view, in place. Events not named do not. */
  readonly on: { readonly [T in EventType]?: (view: P, event: EventOf<T>) => void };
}

/** Folds `events` into `view`, in place. */
export function foldInto<P>(projection: Projection<P>, view: P, events: Iterable<KernelEvent>): P {
  const handlers = projection.on as Readonly<Record<string, ((view: P, event: KernelEvent) => void) | undefined>>;
  for (const event of events) handlers[event.type]?.(view, event);
  return view;
}

/** The projection over a stream of batches of events: after each batch, the view. Batches of 256 cost little per event. */
export function project<P>(projection: Projection<P>): OperatorFunction<readonly KernelEvent[], P> {
  return scan((view: P, batch: readonly KernelEvent[]) => foldInto(projection, view, batch), projection.init());
}
