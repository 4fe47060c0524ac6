// Auditing a log: folding it and checking the catalogue on the way.
import { unfoldable } from '../../replays/guard.js';
import type { BrokenHistory } from '../../projections/invariants/history.js';
import type { Invariant, Violation } from '../../projections/invariants/invariant.js';
import { Checker } from '../../projections/invariants/checker.js';
import { apply } from '../../reducers/index.js';
import type { LogReader } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';
import { InputError } from '../lib/errors.js';
import { tellLog } from './fold-projection.js';

/** What an audit found. */
export interface Audit {
  /** The first thousand. */
  readonly violations: readonly Violation[];
  /** All of them, counted. */
  readonly found: number;
}

/** Checks `invariants` on the log, from event `from` on; with `first` only until one is broken. `history` is told what breaks and mends. */
export function auditLog(
  reader: LogReader,
  invariants: readonly Invariant[],
  first = false,
  from: number = reader.firstEvent,
  history: BrokenHistory | null = null,
): Audit {
  const state = stateAt(reader, from);
  const checker = new Checker(state, invariants, history);
  let begun = false;
  tellLog(
    reader,
    {
      operation(operation) {
        if (begun) checker.endOperation();
        begun = true;
        checker.beginOperation(operation);
      },
      event(event, number) {
        apply(state, event);
        checker.event(event, number);
        return !(first && checker.found > 0);
      },
    },
    reader.eventCount,
    (events, offset) => {
      const problem = unfoldable(state, events);
      if (problem !== null) throw new InputError({ file: reader.source.name, offset }, problem);
    },
    from,
  );
  if (!(first && checker.found > 0)) checker.endOperation();
  return { violations: checker.violations, found: checker.found };
}

/** `line 5, event 71: writable-anon-is-exclusive broken for page(2, 0x7f..): expected ..., found ...`. */
export function violationText({ invariant, event, cause, line, subject, expected, found }: Violation): string {
  const seen = event === cause ? '' : `, seen after event ${event}`;
  return `line ${line}, event ${cause}: ${invariant}, ${subject}: expected ${expected}, found ${found}${seen}`;
}
