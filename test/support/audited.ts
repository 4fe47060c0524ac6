// Auditing events in tests: a run as it was, or with something wrong planted in it.
import type { KernelEvent } from '../../events/index.js';
import { invariantsFor } from '../../projections/invariants/catalogue.js';
import { Checker } from '../../projections/invariants/checker.js';
import type { Violation } from '../../projections/invariants/invariant.js';
import { apply } from '../../reducers/index.js';
import { initialState } from '../../reducers/state.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { RanOperations } from './projected.js';

export type Recorded = Pick<RanOperations, 'events' | 'owners' | 'operations'>;

/** The violations in a run's events, operation by operation. */
export function auditOf(
  { events, owners, operations }: Recorded,
  behaviours: Behaviours = behavioursOf('6.18'),
): readonly Violation[] {
  const state = initialState();
  const checker = new Checker(state, invariantsFor(behaviours));
  let current: number | null = null;
  events.forEach((event, number) => {
    const id = owners[number] as number;
    if (id !== current) {
      if (current !== null) checker.endOperation();
      const operation = operations[id];
      checker.beginOperation(operation === undefined ? null : { id, ...operation });
      current = id;
    }
    apply(state, event);
    checker.event(event, number);
  });
  checker.endOperation();
  return checker.violations;
}

/** `ran` with other events in the place of event `at`: a changed one, none, or several. */
export function planted(ran: Recorded, at: number, made: readonly KernelEvent[]): Recorded {
  const owner = ran.owners[at] as number;
  return {
    operations: ran.operations,
    events: [...ran.events.slice(0, at), ...made, ...ran.events.slice(at + 1)],
    owners: [...ran.owners.slice(0, at), ...made.map(() => owner), ...ran.owners.slice(at + 1)],
  };
}
