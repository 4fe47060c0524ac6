// An audit as its reports take it: every invariant of the catalogue with what was found of it, each violation with its operation's text.
import { INVARIANTS, invariantsFor } from '../../projections/invariants/catalogue.js';
import { BrokenHistory } from '../../projections/invariants/history.js';
import type { Invariant, Violation } from '../../projections/invariants/invariant.js';
import type { LogReader } from '../../replays/log/reader.js';
import { printOperation } from '../workload/text/print.js';
import { auditLog } from './audit-log.js';
import { loggedOperation } from '../workload/logged.js';

/** What was found of one invariant. */
export interface AuditedInvariant {
  readonly invariant: Invariant;
  /** Why it says nothing of the log's kernel, or null. */
  readonly silent: string | null;
  /** How often it was broken. */
  readonly broken: number;
  /** The first of its violations. */
  readonly violations: readonly Violation[];
}

/** An audit of a log. */
export interface AuditedLog {
  readonly path: string;
  readonly reader: LogReader;
  readonly found: number;
  /** The first thousand, in the order in which they were found. */
  readonly violations: readonly Violation[];
  /** The whole catalogue. */
  readonly invariants: readonly AuditedInvariant[];
  readonly history: BrokenHistory;
}

/** Checks every invariant that speaks of the log's kernel. */
export function auditedLog(path: string, reader: LogReader): AuditedLog {
  const { behaviours } = reader.header;
  const speaking = new Set(invariantsFor(behaviours));
  const history = new BrokenHistory();
  const { found, violations } = auditLog(reader, [...speaking], false, reader.firstEvent, history);
  const invariants = INVARIANTS.map((invariant) => ({
    invariant,
    silent: speaking.has(invariant)
      ? null
      : `needs ${invariant.needs.filter((name) => behaviours[name] !== true).join(', ')}`,
    broken: history.count(invariant),
    violations: violations.filter((each) => each.invariant === invariant.name),
  }));
  return { path, reader, found, violations, invariants, history };
}

/** The operation of a violation as a line of a workload; null if none was under way. */
export function operationText(reader: LogReader, { operation }: Violation): string | null {
  return operation < 0 ? null : printOperation(loggedOperation(reader.operation(operation), reader.source.name));
}

/** `1 memory corruption or a leak`. */
export const SEVERITIES: Readonly<Record<1 | 2 | 3, string>> = {
  1: 'memory corruption or a leak',
  2: 'accounting or reverse mapping',
  3: 'a warning',
};
