// folioscope audit LOG
import { invariantsFor } from '../../../projections/invariants/catalogue.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { auditLog, violationText } from '../audit-log.js';
import { openLog } from '../open-log.js';
import { bold, count, flushOut, out } from '../output.js';

/** Checks every invariant that speaks of the log's kernel; 0 if all hold, 1 if not. */
export async function auditCommand(path: string, options: { readonly json: boolean }): Promise<ExitCode> {
  const reader = openLog(path);
  const invariants = invariantsFor(reader.header.behaviours);
  const { violations, found } = auditLog(reader, invariants);
  if (options.json) out(JSON.stringify({ log: path, invariants: invariants.length, found, violations }));
  else {
    const checked = `${count(invariants.length)} invariants checked over ${count(reader.eventCount)} events`;
    out(bold(`${path}: ${checked}, ${found === 0 ? 'none broken' : `${count(found)} violations`}`));
    for (const each of violations) out(`  ${violationText(each)}`);
    if (found > violations.length) out(`  and ${count(found - violations.length)} more`);
  }
  flushOut();
  return found === 0 ? EXIT.ok : EXIT.no;
}
