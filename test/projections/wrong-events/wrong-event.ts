// One wrong event planted into a real run, and the rule that must notice.
import type { EventOf, EventType, KernelEvent } from '../../../events/index.js';
import type { Recorded } from '../../support/audited.js';

/** A wrong event: `nth` of its type (0 the first, -1 the last) gives way to what `make` returns. */
export interface WrongEvent<T extends EventType> {
  readonly rule: string;
  readonly text: string;
  readonly type: T;
  readonly nth?: number;
  readonly make: (event: EventOf<T>, ran: Recorded) => readonly KernelEvent[];
  /** The event that the violation must name: the planted one, or the first after it of a type. */
  readonly cause?: EventType;
}
/** A wrong event of the list. */
export const wrong = <T extends EventType>(
  rule: string,
  text: string,
  type: T,
  make: WrongEvent<T>['make'],
  more: { readonly nth?: number; readonly cause?: EventType } = {},
): WrongEvent<EventType> => ({ rule, text, type, make, ...more }) as unknown as WrongEvent<EventType>;

/** The event with some fields put otherwise. */
export const but =
  <T extends EventType>(change: (event: EventOf<T>) => Partial<EventOf<T>>) =>
  (event: EventOf<T>): readonly KernelEvent[] => [Object.assign({}, event, change(event)) as unknown as KernelEvent];
/** No event in its place. */
export const nothing = (): readonly KernelEvent[] => [];
