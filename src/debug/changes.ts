// What a value was over a run: its changes, and the stretches in which an expression held.
import type { KernelEvent } from '../../events/index.js';
import type { KernelView } from '../../reducers/state.js';
import type { Finds, Look, SearchedLog } from './scan.js';
import { everyFind, firstFind, lastFind } from './scan.js';

/** An event that changed a value. */
export interface Change {
  /** Number of the event; the position behind it is one more. */
  readonly number: number;
  readonly event: KernelEvent;
  readonly before: string;
  readonly after: string;
}

/** A value in words, as a function of the state. */
export type ValueOf = (state: KernelView) => string;

/** Finds the events after which `value` is another one than before. */
export class ChangeLook implements Look<Change> {
  readonly #value: ValueOf;
  #last = '';

  constructor(value: ValueOf) {
    this.#value = value;
  }

  begin(state: KernelView): void {
    this.#last = this.#value(state);
  }

  after(state: KernelView, event: KernelEvent, number: number): Change | null {
    const after = this.#value(state);
    const before = this.#last;
    if (after === before) return null;
    this.#last = after;
    return { number, event, before, after };
  }
}

/** Finds the events after which something holds that did not before. */
export class TurnLook implements Look<number> {
  readonly #holds: (state: KernelView) => boolean;
  #last = false;

  constructor(holds: (state: KernelView) => boolean) {
    this.#holds = holds;
  }

  begin(state: KernelView): void {
    this.#last = this.#holds(state);
  }

  after(state: KernelView, _event: KernelEvent, number: number): number | null {
    const before = this.#last;
    this.#last = this.#holds(state);
    return this.#last && !before ? number : null;
  }
}

/** The last change of a value before position `at`; null if it has been so since the log begins. */
export const lastChange = (log: SearchedLog, value: ValueOf, at: number): Promise<Change | null> =>
  lastFind(log, () => new ChangeLook(value), at);

/** Changes of a value in the whole log, the first `kept` of them, and how many there are. */
export const changesOf = (log: SearchedLog, value: ValueOf, kept: number): Promise<Finds<Change>> =>
  everyFind(log, new ChangeLook(value), log.reader.firstEvent, log.reader.eventCount, kept);

/** The first event in [from, to) after which `holds` turns true; null if none does. */
export const firstTurnOf = (
  log: SearchedLog,
  holds: (state: KernelView) => boolean,
  from: number,
  to: number,
): Promise<number | null> => firstFind(log, new TurnLook(holds), from, to);

/** Positions [from, to] between which something held; `to` null: to the end. */
export interface Stretch {
  readonly from: number;
  readonly to: number | null;
}

/** Every stretch in which `holds` held, over the whole log. */
export async function stretchesOf(log: SearchedLog, holds: (state: KernelView) => boolean): Promise<Stretch[]> {
  const { firstEvent, eventCount } = log.reader;
  let held = false;
  const turns: number[] = [];
  const look: Look<never> = {
    begin(state) {
      held = holds(state);
      if (held) turns.push(firstEvent);
    },
    after(state, _event, number) {
      if (holds(state) !== held) turns.push(number + 1);
      held = turns.length % 2 === 1;
      return null;
    },
  };
  await everyFind(log, look, firstEvent, eventCount);
  const stretches: Stretch[] = [];
  for (let i = 0; i < turns.length; i += 2) {
    const end = turns[i + 1];
    stretches.push({ from: turns[i] as number, to: end === undefined ? null : end - 1 });
  }
  return stretches;
}
