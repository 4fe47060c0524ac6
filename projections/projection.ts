// What events mean. A projection names the events it handles and how; running it is this file's job.
import type { OperatorFunction } from 'rxjs';
import { scan } from 'rxjs';
import type { EventOf, EventType, KernelEvent } from '../events/index.js';
import type { KernelView } from '../reducers/state.js';

/** What a projection may know of the operation whose events follow. A logged operation and a running one both are such. */
export interface OperationInfo {
  readonly id: number;
  /** Line of the source, 1-based. */
  readonly line: number;
  readonly pid: number | null;
  readonly name: string;
  readonly args: readonly unknown[];
}

/** A view derived from events alone. `P` is its own live object: read it, do not keep it. */
export interface Projection<P> {
  readonly name: string;
  init(): P;
  /** How each event changes the view, in place; `number` is the event's. Events not named do not. */
  readonly on: { readonly [T in EventType]?: (view: P, event: EventOf<T>, number: number) => void };
  /** For views that tell who did something: the events that follow belong to that operation (null: to none). */
  operation?(view: P, operation: OperationInfo | null): void;
}

/** A projection with a form to print and compare: plain data, in an order that does not depend on history. */
export interface ReadableProjection<P> extends Projection<P> {
  read(view: P): unknown;
}

/**
 * A view of the present. `fromState` reads primary facts only (entries, VMAs, caches, batches, gathers), never counters. Law: it equals the fold of
 * the events before.
 */
export interface StateProjection<P> extends ReadableProjection<P> {
  fromState(state: KernelView): P;
}

/** A view of what happened, which no state tells. `save` gives plain data; `load` of it goes on where it was. */
export interface HistoryProjection<P> extends ReadableProjection<P> {
  /** The view of a history that begins with `state`: what came before is not known, but who and what is there. */
  begin(state: KernelView): P;
  save(view: P): unknown;
  load(saved: unknown): P;
}

type Handlers<P> = Readonly<Record<string, ((view: P, event: KernelEvent, number: number) => void) | undefined>>;

/** Folds event `number` into `view`, in place. */
export function foldEvent<P>(projection: Projection<P>, view: P, event: KernelEvent, number: number): void {
  (projection.on as Handlers<P>)[event.type]?.(view, event, number);
}

/** Folds `events`, the first of which has the number `from`, into `view`, in place. */
export function foldInto<P>(projection: Projection<P>, view: P, events: Iterable<KernelEvent>, from = 0): P {
  const handlers = projection.on as Handlers<P>;
  let number = from;
  for (const event of events) handlers[event.type]?.(view, event, number++);
  return view;
}

/** The projection over a stream of batches of events: after each batch, the view. Batches of 256 cost little per event. */
export function project<P>(projection: Projection<P>): OperatorFunction<readonly KernelEvent[], P> {
  let number = 0;
  return scan((view: P, batch: readonly KernelEvent[]) => {
    foldInto(projection, view, batch, number);
    number += batch.length;
    return view;
  }, projection.init());
}
