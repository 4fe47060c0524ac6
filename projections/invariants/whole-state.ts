// Is a rule broken in a state? Asked where the way to it is not followed.
import type { KernelView } from '../../reducers/state.js';
import { Checker } from './checker.js';
import type { Invariant } from './invariant.js';

/** Can a state tell whether the rule holds? Rules on events and on bytes that were read cannot be seen afterwards. */
export const isSeenInStates = (invariant: Invariant): boolean => invariant.about !== 'event';

/** Is `invariant` broken for anything in `view`, a state between two operations? */
export function isBrokenIn(view: KernelView, invariant: Invariant): boolean {
  const checker = new Checker(view, [invariant]);
  checker.whole(0);
  return checker.found > 0;
}
