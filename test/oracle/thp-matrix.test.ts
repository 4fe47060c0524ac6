// The self-tests of khugepaged and of splitting: every case holds on the model and breaks no invariant, the kernel agrees where it may be asked, and the
// table in docs/ says so. UPDATE_DOCS=1 writes it anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { Counts } from '../../src/oracle/conform/compare.js';
import { judge } from '../../src/oracle/conform/judge.js';
import { Session, whyNot } from '../../src/oracle/conform/session.js';
import type { ThpRow } from '../../src/oracle/conform/thp-matrix.js';
import { NOT_HERE, thpMatrix, thpMatrixText } from '../../src/oracle/conform/thp-matrix.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const CASES = thpMatrix();
const DOCUMENT = new URL('../../docs/thp-matrix.md', import.meta.url).pathname;
const BEHAVIOURS = behavioursOf('6.18');
const reason = whyNot();

/** What is not as the case says, in words. */
function failures(text: string, behaviours = BEHAVIOURS): string[] {
  const ran = runOperations(parseWorkload(text), behaviours);
  return [
    ...ran.run.mismatches.map(({ operation, got }) => `${operation} gave ${got}`),
    ...auditOf(ran, behaviours).map(({ invariant }) => invariant),
  ];
}

describe('the matrix of huge pages', () => {
  it.each(CASES)('holds on the model: $test, $how', ({ text }) => {
    expect(failures(text)).toEqual([]);
  });
  it('fails where khugepaged’s limits are others', () => {
    const limited = CASES.filter(
      ({ test, how }) => test.startsWith('collapse_max_ptes') && how.startsWith('khugepaged'),
    );
    expect(limited).toHaveLength(7);
    for (const { test, text } of limited)
      expect(failures(text.replaceAll(/(max_ptes_\w+", )"\d+"/g, '$1"0"')), test).not.toEqual([]);
  });
  it('names each case once', () => {
    expect(new Set(CASES.map(({ test, how }) => `${test} ${how}`)).size).toBe(CASES.length);
  });
  it('is the table in docs', () => {
    const [done = '', missing = ''] = readFileSync(DOCUMENT, 'utf8').split('\n## ');
    const rowsOf = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => line.startsWith('| '))
        .slice(1);
    expect(rowsOf(done)).toEqual(CASES.map(({ test, how }) => `| \`${test}\` | ${how} | passes | agrees |`));
    expect(rowsOf(missing)).toEqual(NOT_HERE.map(([cases, why]) => `| ${cases} | ${why} |`));
  });
  it.skipIf(reason !== null)('is what the running kernel does', { timeout: 600_000 }, async () => {
    const session = await Session.open({ deep: true, tell: () => {} });
    const rows: ThpRow[] = [];
    try {
      for (const { test, how, text } of CASES) {
        const verdict = await judge(session, parseWorkload(text), BEHAVIOURS, new Counts());
        expect(verdict.stopped, `${test}, ${how}`).toBeNull();
        expect(verdict.mismatches, `${test}, ${how}`).toEqual([]);
        const kernel = verdict.mismatches.length === 0;
        rows.push({ test, how, model: failures(text).length === 0, kernel });
      }
      if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, thpMatrixText(rows, session.kernel));
    } finally {
      await session.close();
    }
    expect(rows.filter(({ kernel }) => !kernel)).toEqual([]);
  });
});
