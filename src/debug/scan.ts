// Searching a log: forward from a position, or backward stretch by stretch from keyframe to keyframe, never from the start each time.
import type { KernelEvent } from '../../events/index.js';
import { apply } from '../../reducers/index.js';
import type { KernelState, KernelView } from '../../reducers/state.js';
import { unfoldable } from '../../replays/guard.js';
import type { LogReader, NumberedEvent } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';
import { InputError } from '../lib/errors.js';

/** A log that is searched. */
export interface SearchedLog {
  readonly reader: LogReader;
  /** Called between chunks of long searches: lets signals be heard. What it throws ends the search. */
  breathe(): Promise<void>;
}

/** Looks at one state after the other. Between two calls the state is changed in place: keep nothing of it. */
export interface Look<T> {
  /** The state that a stretch of events begins with. */
  begin(state: KernelView): void;
  /** The state after event `number`; what is not null is a find. */
  after(state: KernelView, event: KernelEvent, number: number): T | null;
}

/** Applies events [from, to) to `state`, showing each to `visit` afterwards; true from it ends the work. */
async function fold(
  log: SearchedLog,
  state: KernelState,
  from: number,
  to: number,
  visit: (event: KernelEvent, number: number) => boolean,
): Promise<void> {
  const { reader } = log;
  for (const chunk of reader.chunks(from, to)) {
    const skipped = Math.max(0, from - chunk.first);
    const events = chunk.events().slice(skipped, to - chunk.first);
    const problem = unfoldable(state, events);
    if (problem !== null) throw new InputError({ file: reader.source.name, offset: chunk.offset }, problem);
    const first = chunk.first + skipped;
    for (let i = 0; i < events.length; i++) {
      const event = events[i] as KernelEvent;
      apply(state, event);
      if (visit(event, first + i)) return;
    }
    await log.breathe();
  }
}

/** The first find among events [from, to); null for none. */
export async function firstFind<T>(log: SearchedLog, look: Look<T>, from: number, to: number): Promise<T | null> {
  const state = stateAt(log.reader, from);
  look.begin(state);
  let found: T | null = null;
  await fold(log, state, from, to, (event, number) => (found = look.after(state, event, number)) !== null);
  return found;
}

/** Finds in order, the first `kept` of them, and how many there were. */
export interface Finds<T> {
  readonly found: readonly T[];
  readonly total: number;
}

/** Every find among events [from, to), in order. No more than `kept` are kept. */
export async function everyFind<T>(
  log: SearchedLog,
  look: Look<T>,
  from: number,
  to: number,
  kept = Infinity,
): Promise<Finds<T>> {
  const state = stateAt(log.reader, from);
  look.begin(state);
  const found: T[] = [];
  let total = 0;
  await fold(log, state, from, to, (event, number) => {
    const find = look.after(state, event, number);
    if (find !== null && total++ < kept) found.push(find);
    return false;
  });
  return { found, total };
}

/** Where states can be had cheaply, before `to`, the last one first. */
function stretches(reader: LogReader, to: number): number[] {
  const places = new Set([reader.firstEvent, ...reader.footer.keyframes.map(([, at]) => at)]);
  return [...places].filter((at) => at < to && at >= reader.firstEvent).sort((a, b) => b - a);
}

/**
 * The last find among the events before `to`; null for none. `make` gives a new look for each stretch. Stretches that end before event
 * `floor` are not looked at.
 */
export async function lastFind<T>(
  log: SearchedLog,
  make: () => Look<T>,
  to: number,
  floor = log.reader.firstEvent,
): Promise<T | null> {
  let end = to;
  for (const begin of stretches(log.reader, to)) {
    if (end <= floor) return null;
    const look = make();
    const state = stateAt(log.reader, begin);
    look.begin(state);
    let found: T | null = null;
    await fold(log, state, begin, end, (event, number) => {
      found = look.after(state, event, number) ?? found;
      return false;
    });
    if (found !== null) return found;
    end = begin;
  }
  return null;
}

export type EventPredicate = (event: KernelEvent, number: number) => boolean;

/** The first event in [from, to) that `is` holds for; null for none. No state is folded. */
export async function firstEvent(
  log: SearchedLog,
  is: EventPredicate,
  from: number,
  to: number,
): Promise<NumberedEvent | null> {
  for (const chunk of log.reader.chunks(from, to)) {
    const events = chunk.events();
    const end = Math.min(events.length, to - chunk.first);
    for (let i = Math.max(0, from - chunk.first); i < end; i++)
      if (is(events[i] as KernelEvent, chunk.first + i)) return { number: chunk.first + i, event: events[i]! };
    await log.breathe();
  }
  return null;
}

/** The last event in [floor, to) that `is` holds for; null for none. No state is folded. */
export async function lastEvent(
  log: SearchedLog,
  is: EventPredicate,
  to: number,
  floor = log.reader.firstEvent,
): Promise<NumberedEvent | null> {
  const { reader } = log;
  for (let number = to - 1; number >= floor;) {
    const chunk = reader.chunkAt(number);
    const events = chunk.events();
    for (let i = number - chunk.first; i >= 0 && chunk.first + i >= floor; i--)
      if (is(events[i] as KernelEvent, chunk.first + i)) return { number: chunk.first + i, event: events[i]! };
    number = chunk.first - 1;
    await log.breathe();
  }
  return null;
}
