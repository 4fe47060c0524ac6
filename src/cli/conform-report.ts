// Differences between model and kernel, as people read them.
import type { Mismatch } from '../oracle/conform/conform.js';
import { out, table } from './output.js';

/** Differences shown; --json has all. */
const SHOWN = 12;

/** What differs after the first operation that has differences, as a table. */
export function printMismatches(mismatches: readonly Mismatch[]): void {
  const [first] = mismatches;
  if (first === undefined) return;
  out(`  line ${first.line}: ${first.operation}`);
  const rows = [
    ['', 'model', 'kernel'],
    ...mismatches
      .slice(0, SHOWN)
      .map((each) => [`${each.subject} ${each.field}`, String(each.model), String(each.kernel)]),
  ];
  for (const row of table(rows)) out(`    ${row}`);
  if (mismatches.length > SHOWN) out(`    and ${mismatches.length - SHOWN} more`);
  out(`    the model's events: ${first.events.map(({ type }) => type).join(' ') || 'none'}`);
}
