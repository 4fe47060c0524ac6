// Breakpoints and watches: where a search forward or backward stops. Each means a set of positions, the same in both directions.
import type { KernelEvent } from '../../events/index.js';
import type { KernelView } from '../../reducers/state.js';
import { stateAt } from '../../replays/timeline.js';
import { ChangeLook, TurnLook } from './changes.js';
import type { Probe } from './probe.js';
import type { EventPredicate, Look, SearchedLog } from './scan.js';
import { changeText, count } from './words.js';
import { firstEvent, firstFind, lastEvent, lastFind } from './scan.js';

/** A position that stops by itself, and why. */
export interface Place {
  readonly position: number;
  readonly why: string;
}

/** What stops, apart from the condition. */
export type StopKind =
  /** Behind an event after which the expression holds and before which it did not. */
  | { readonly kind: 'turn'; readonly probe: Probe }
  /** Behind an event that changes the value. */
  | { readonly kind: 'watch'; readonly probe: Probe }
  /** Behind an event. */
  | { readonly kind: 'event'; readonly is: EventPredicate }
  /** At places found beforehand, in ascending order: behind a violation's cause, before a call. */
  | { readonly kind: 'places'; places(): Promise<readonly Place[]> };

export interface Stop {
  readonly id: number;
  /** As the user wrote it. */
  readonly text: string;
  readonly what: StopKind;
  /** Must hold at the position, or it does not stop there. */
  readonly condition: Probe | null;
  hits: number;
}

/** A stop that was reached. */
export interface Hit {
  readonly stop: Stop;
  readonly position: number;
  readonly why: string;
}

/** Finds where a stop that has to look at states stops. */
class StopLook implements Look<Hit> {
  readonly #stop: Stop;
  readonly #inner: Look<string>;
  readonly #condition: Probe | null;

  /** `at` is any state: probes are made anew from it. */
  constructor(stop: Stop, places: ReadonlyMap<number, string>, at: KernelView) {
    this.#stop = stop;
    this.#condition = stop.condition?.again(at) ?? null;
    this.#inner = innerLook(stop, places, at);
  }

  begin(state: KernelView): void {
    this.#inner.begin(state);
  }

  after(state: KernelView, event: KernelEvent, number: number): Hit | null {
    const why = this.#inner.after(state, event, number);
    if (why === null || (this.#condition !== null && !this.#condition.holds(state))) return null;
    return { stop: this.#stop, position: number + 1, why };
  }
}

const nothing = (): void => {};

function innerLook({ what }: Stop, places: ReadonlyMap<number, string>, at: KernelView): Look<string> {
  switch (what.kind) {
    case 'turn': {
      const probe = what.probe.again(at);
      const look = new TurnLook((state) => probe.holds(state));
      return {
        begin: (state) => look.begin(state),
        after: (state, event, number) => (look.after(state, event, number) === null ? null : `${probe.text} holds`),
      };
    }
    case 'watch': {
      const probe = what.probe.again(at);
      const look = new ChangeLook((state) => probe.value(state));
      return {
        begin: (state) => look.begin(state),
        after(state, event, number) {
          const change = look.after(state, event, number);
          return change === null ? null : `${probe.text}: ${changeText(change.before, change.after)}`;
        },
      };
    }
    case 'event':
      return { begin: nothing, after: (_state, event, number) => (what.is(event, number) ? event.type : null) };
    case 'places':
      return { begin: nothing, after: (_state, _event, number) => places.get(number + 1) ?? null };
  }
}

/** Reasons told where a position has many. */
const REASONS = 3;

function reasonsText(reasons: readonly string[]): string {
  const more = reasons.length > REASONS ? [`and ${count(reasons.length - REASONS)} more`] : [];
  return [...reasons.slice(0, REASONS), ...more].join('\n    ');
}

async function placesOf({ what }: Stop): Promise<ReadonlyMap<number, string>> {
  const byPosition = new Map<number, string[]>();
  if (what.kind === 'places')
    for (const { position, why } of await what.places()) {
      const reasons = byPosition.get(position);
      if (reasons === undefined) byPosition.set(position, [why]);
      else reasons.push(why);
    }
  return new Map([...byPosition].map(([position, reasons]) => [position, reasonsText(reasons)]));
}

async function nextOf(log: SearchedLog, stop: Stop, from: number, to: number): Promise<Hit | null> {
  const { what, condition } = stop;
  const places = await placesOf(stop);
  if (condition === null && what.kind === 'places') {
    for (const [position, why] of places) if (position > from && position <= to) return { stop, position, why };
    return null;
  }
  if (condition === null && what.kind === 'event') {
    const found = await firstEvent(log, what.is, from, to);
    return found === null ? null : { stop, position: found.number + 1, why: found.event.type };
  }
  return firstFind(log, new StopLook(stop, places, stateAt(log.reader, from)), from, to);
}

async function previousOf(log: SearchedLog, stop: Stop, before: number, floor: number): Promise<Hit | null> {
  const { what, condition } = stop;
  const places = await placesOf(stop);
  if (condition === null && what.kind === 'places') {
    let found: Hit | null = null;
    for (const [position, why] of places) if (position < before) found = { stop, position, why };
    return found;
  }
  if (condition === null && what.kind === 'event') {
    const found = await lastEvent(log, what.is, before - 1, Math.max(floor - 1, log.reader.firstEvent));
    return found === null ? null : { stop, position: found.number + 1, why: found.event.type };
  }
  const at = stateAt(log.reader, before);
  return lastFind(log, () => new StopLook(stop, places, at), before - 1, floor - 1);
}

/** The nearest position behind `from` at which any of `stops` stops, with all that do there; empty for none. */
export async function nextHits(log: SearchedLog, stops: readonly Stop[], from: number): Promise<readonly Hit[]> {
  let hits: Hit[] = [];
  let to = log.reader.eventCount;
  for (const stop of stops) {
    const hit = await nextOf(log, stop, from, to);
    if (hit === null) continue;
    if (hits[0] !== undefined && hit.position < hits[0].position) hits = [];
    hits.push(hit);
    to = hit.position;
  }
  return hits;
}

/** The nearest position before `from` at which any of `stops` stops, with all that do there; empty for none. */
export async function previousHits(log: SearchedLog, stops: readonly Stop[], from: number): Promise<readonly Hit[]> {
  let hits: Hit[] = [];
  for (const stop of stops) {
    const hit = await previousOf(log, stop, from, hits[0]?.position ?? log.reader.firstEvent);
    if (hit === null || (hits[0] !== undefined && hit.position < hits[0].position)) continue;
    if (hits[0] !== undefined && hit.position > hits[0].position) hits = [];
    hits.push(hit);
  }
  return hits;
}
