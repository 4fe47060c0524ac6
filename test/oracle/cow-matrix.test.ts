// The COW matrix: every case passes on the model and breaks no invariant; where the kernel may be asked it agrees, and the table in docs/ says
// what was found. UPDATE_DOCS=1 writes the table anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { Counts } from '../../src/oracle/conform/compare.js';
import type { CowRow } from '../../src/oracle/conform/cow-matrix.js';
import { cowMatrix, cowMatrixText } from '../../src/oracle/conform/cow-matrix.js';
import { judge } from '../../src/oracle/conform/judge.js';
import { Session, whyNot } from '../../src/oracle/conform/session.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const CASES = cowMatrix();
const DOCUMENT = new URL('../../docs/cow-matrix.md', import.meta.url).pathname;
const reason = whyNot();

function passes(text: string, kernel = '6.18'): boolean {
  const behaviours = behavioursOf(kernel);
  const ran = runOperations(parseWorkload(text), behaviours);
  return ran.run.mismatches.length === 0 && auditOf(ran, behaviours).length === 0;
}

describe('the matrix', () => {
  it.each(CASES)('passes on the model: $group, $name', ({ text }) => {
    expect(passes(text)).toBe(true);
  });
  it('names each case once', () => {
    expect(new Set(CASES.map(({ group, name }) => `${group} ${name}`)).size).toBe(CASES.length);
  });
  it('fails on kernels that had the bugs', () => {
    // On base pages: kernels before 5.8 copy huge pages whole, which is not modelled.
    const base = CASES.filter(({ group }) => !group.includes('THP'));
    const failing = (kernel: string): number => base.filter(({ text }) => !passes(text, kernel)).length;
    expect(failing('5.7')).toBeGreaterThan(failing('5.18'));
    expect(failing('5.18')).toBeGreaterThan(failing('6.1'));
    expect(failing('6.1')).toBeGreaterThan(0);
  });
  it('is the table in docs', () => {
    const table = readFileSync(DOCUMENT, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .slice(1);
    const named = table.map((line) => line.split(' | ').slice(0, 2).join(' | ').slice(2));
    expect(named).toEqual(CASES.map(({ group, name }) => `${group} | ${name}`));
  });
  it.skipIf(reason !== null)('is what the running kernel does', { timeout: 600_000 }, async () => {
    const session = await Session.open({ deep: true, tell: () => {} });
    const rows: CowRow[] = [];
    try {
      for (const { group, name, text, notObservable } of CASES) {
        const row = { group, name, model: passes(text) };
        if (notObservable !== null) {
          rows.push({ ...row, kernel: notObservable });
          continue;
        }
        const verdict = await judge(session, parseWorkload(text), behavioursOf('6.18'), new Counts());
        expect(verdict.stopped, name).toBeNull();
        expect(verdict.mismatches, name).toEqual([]);
        rows.push({ ...row, kernel: verdict.mismatches.length === 0 });
      }
      if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, cowMatrixText(rows, session.kernel));
    } finally {
      await session.close();
    }
    expect(rows.filter(({ kernel }) => kernel === false)).toEqual([]);
  });
});
