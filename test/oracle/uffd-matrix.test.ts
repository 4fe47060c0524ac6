// The unit tests of userfaultfd: every case holds on the model and breaks no invariant, the kernel agrees where it may be asked, and the table in docs/
// says so. UPDATE_DOCS=1 writes it anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { Counts } from '../../src/oracle/conform/compare.js';
import { judge } from '../../src/oracle/conform/judge.js';
import { Session, whyNot } from '../../src/oracle/conform/session.js';
import type { UffdRow } from '../../src/oracle/conform/uffd-matrix.js';
import { UFFD_NOT_HERE, uffdMatrix, uffdMatrixText } from '../../src/oracle/conform/uffd-matrix.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const CASES = uffdMatrix();
const DOCUMENT = new URL('../../docs/uffd-matrix.md', import.meta.url).pathname;
const BEHAVIOURS = behavioursOf('6.18');
const reason = whyNot();

/** What is not as the case says, in words. */
function failures(text: string, behaviours = BEHAVIOURS): string[] {
  const ran = runOperations(parseWorkload(text), behaviours);
  return [
    ...ran.run.mismatches.map(({ line, operation, got }) => `${line} ${operation} gave ${got}`),
    ...auditOf(ran, behaviours).map(({ invariant }) => invariant),
  ];
}

describe('the matrix of userfaultfd', () => {
  it.each(CASES)('holds on the model: $test, $memory', ({ text }) => {
    expect(failures(text)).toEqual([]);
  });
  it('fails where a monitor hears of other pages, or fills with other bytes', () => {
    const messages = CASES.filter(({ text }) => text.includes('UFFD_EVENT_PAGEFAULT'));
    expect(messages.length).toBeGreaterThanOrEqual(14);
    for (const { test, text } of messages)
      expect(failures(text.replace(/(UFFD_EVENT_PAGEFAULT, flags=\d, address=\w+)/, '$1+8')), test).not.toEqual([]);
    for (const { test, text } of CASES.filter(({ text: each }) => each.includes('UFFDIO_COPY')))
      expect(failures(text.replace('store(S+1*P, 0x22', 'store(S+1*P, 0x23')), test).not.toEqual([]);
  });
  it('names each case once', () => {
    expect(new Set(CASES.map(({ test, memory }) => `${test} ${memory}`)).size).toBe(CASES.length);
  });
  it('is the table in docs', () => {
    const [done = '', missing = ''] = readFileSync(DOCUMENT, 'utf8').split('\n## ');
    const rowsOf = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => line.startsWith('| '))
        .slice(1);
    expect(rowsOf(done)).toEqual(CASES.map(({ test, memory }) => `| \`${test}\` | ${memory} | passes | agrees |`));
    expect(rowsOf(missing)).toEqual(UFFD_NOT_HERE.map(([cases, why]) => `| ${cases} | ${why} |`));
  });
  it.skipIf(reason !== null)('is what the running kernel does', { timeout: 600_000 }, async () => {
    const session = await Session.open({ deep: true, tell: () => {} });
    const rows: UffdRow[] = [];
    try {
      for (const { test, memory, text } of CASES) {
        const verdict = await judge(session, parseWorkload(text), BEHAVIOURS, new Counts());
        expect(verdict.stopped, `${test}, ${memory}`).toBeNull();
        expect(verdict.mismatches, `${test}, ${memory}`).toEqual([]);
        rows.push({ test, memory, model: failures(text).length === 0, kernel: verdict.mismatches.length === 0 });
      }
      if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, uffdMatrixText(rows, session.kernel));
    } finally {
      await session.close();
    }
    expect(rows.filter(({ kernel }) => !kernel)).toEqual([]);
  });
});
