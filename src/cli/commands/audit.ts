// folioscope audit LOG
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { historiesOf, printHistory } from '../audit-history.js';
import { junitText } from '../audit-junit.js';
import { violationText } from '../audit-log.js';
import { sarifOf } from '../audit-sarif.js';
import type { AuditedLog } from '../audited.js';
import { auditedLog } from '../audited.js';
import { writeWhole } from '../node-io.js';
import { openLog } from '../open-log.js';
import { bold, count, flushOut, out } from '../output.js';

export interface AuditOptions {
  readonly junit?: string;
  readonly sarif?: string;
  /** Where the workload is for readers of SARIF. */
  readonly source?: string;
  readonly history?: boolean;
  readonly json: boolean;
}

/** Checks every invariant that speaks of the log's kernel; 0 if all hold, 1 if not. */
export async function auditCommand(path: string, options: AuditOptions): Promise<ExitCode> {
  const { junit, sarif, json } = options;
  if ([junit === '-', sarif === '-', json].filter(Boolean).length > 1)
    throw new UserError('only one of --json, --junit - and --sarif - can have standard output', EXIT.input);
  if (options.source !== undefined && sarif === undefined)
    throw new UserError('--source says where the workload is for --sarif', EXIT.input);
  const reader = openLog(path);
  const audited = auditedLog(path, reader);
  if (junit !== undefined) write(junit, junitText(audited));
  if (sarif !== undefined)
    write(sarif, `${JSON.stringify(sarifOf(audited, options.source ?? reader.header.sourceName), null, 2)}\n`);
  if (json) out(JSON.stringify(jsonOf(audited, options.history === true)));
  else if (junit !== '-' && sarif !== '-') print(audited, options.history === true);
  flushOut();
  return audited.found === 0 ? EXIT.ok : EXIT.no;
}

/** Writes a report whole or not at all; "-" is standard output. */
function write(path: string, text: string): void {
  if (path === '-') {
    out(text.trimEnd());
    return;
  }
  writeWhole(path, text);
}

function jsonOf(audited: AuditedLog, history: boolean): object {
  const { path, invariants, found, violations } = audited;
  const checked = invariants.filter(({ silent }) => silent === null).length;
  return {
    ...{ log: path, invariants: checked, found, violations },
    ...(history ? { history: historiesOf(audited) } : {}),
  };
}

function print(audited: AuditedLog, history: boolean): void {
  const { path, reader, invariants, found, violations } = audited;
  const speaking = invariants.filter(({ silent }) => silent === null).length;
  const checked = `${count(speaking)} invariants checked over ${count(reader.eventCount)} events`;
  out(bold(`${path}: ${checked}, ${found === 0 ? 'none broken' : `${count(found)} violations`}`));
  if (history) {
    printHistory(audited);
    return;
  }
  for (const each of violations) out(`  ${violationText(each)}`);
  if (found > violations.length) out(`  and ${count(found - violations.length)} more`);
}
