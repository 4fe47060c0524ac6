// audit --history: when each invariant held, and when it did not.
import type { BrokenSpell, HoldsInterval } from '../../projections/invariants/history.js';
import type { AuditedInvariant, AuditedLog } from './audited.js';
import { bold, count, out } from './output.js';

/** What --json tells of one invariant. */
export interface InvariantHistory {
  readonly invariant: string;
  /** How often it began to be broken for a subject. */
  readonly broken: number;
  /** All events of the log, by whether it held for all subjects after them. */
  readonly intervals: readonly HoldsInterval[];
  /** The first thousand spells, by subject. */
  readonly spells: readonly BrokenSpell[];
}

/** The history of every invariant that speaks of the log's kernel. */
export function historiesOf({ reader, invariants, history }: AuditedLog): readonly InvariantHistory[] {
  return invariants
    .filter(({ silent }) => silent === null)
    .map(({ invariant, broken }) => ({
      invariant: invariant.name,
      broken,
      intervals: history.intervals(invariant, reader.firstEvent, reader.eventCount),
      spells: history.spells(invariant),
    }));
}

/** Lines printed of one invariant; --json has all. */
const SHOWN = 20;

const eventsText = ({ from, to }: HoldsInterval): string =>
  from === to ? `event ${count(from)}` : `events ${count(from)} to ${count(to)}`;

function spellText({ subject, from, line, expected, found, mendedBy, mendedLine }: BrokenSpell): string {
  const what = `${subject}: expected ${expected}, found ${found} since event ${count(from)} (line ${line})`;
  if (mendedBy === null) return `${what}, not mended`;
  return mendedBy === from ? what : `${what}, until event ${count(mendedBy)} (line ${mendedLine})`;
}

/** Prints the rules that were broken with their intervals, and then the names of the others. */
export function printHistory(audited: AuditedLog): void {
  const histories = historiesOf(audited);
  for (const { invariant, broken, intervals, spells } of histories) {
    if (broken === 0) continue;
    out(bold(invariant));
    for (const each of intervals.slice(0, SHOWN)) out(`  ${each.holds ? 'held  ' : 'broken'} ${eventsText(each)}`);
    if (intervals.length > SHOWN) out(`  and ${count(intervals.length - SHOWN)} more intervals`);
    for (const each of spells.slice(0, SHOWN)) out(`    ${spellText(each)}`);
    if (broken > SHOWN) out(`    and ${count(broken - SHOWN)} more`);
  }
  const held = histories.filter(({ broken }) => broken === 0);
  if (held.length > 0) out(`held throughout: ${held.map(({ invariant }) => invariant).join(', ')}`);
  const silent = audited.invariants.filter(({ silent: why }) => why !== null);
  if (silent.length > 0) out(`say nothing of this kernel: ${silent.map(silentText).join(', ')}`);
}

const silentText = ({ invariant, silent }: AuditedInvariant): string => `${invariant.name} (${silent})`;
