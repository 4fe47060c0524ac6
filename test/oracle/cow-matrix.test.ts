// The COW matrix: every case passes on the model and breaks no invariant; where the kernel may be asked it agrees, and the table in docs/ says
// what was found. UPDATE_DOCS=1 writes the table anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { Counts } from '../../src/oracle/conform/compare.js';
import type { CowCase, CowRow, SizedRow } from '../../src/oracle/conform/cow-matrix.js';
import { FOLIO_SIZES, cowMatrix, cowMatrixText, sizedMatrix } from '../../src/oracle/conform/cow-matrix.js';
import { judge } from '../../src/oracle/conform/judge.js';
import { Session, whyNot } from '../../src/oracle/conform/session.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const CASES = cowMatrix();
const SIZED = FOLIO_SIZES.map(sizedMatrix);
const WRITES = process.env['UPDATE_DOCS'] === '1';
const DOCUMENT = new URL('../../docs/cow-matrix.md', import.meta.url).pathname;
const reason = whyNot();

function tried(text: string, kernel: string): boolean {
  const behaviours = behavioursOf(kernel);
  const ran = runOperations(parseWorkload(text), behaviours);
  return ran.run.mismatches.length === 0 && auditOf(ran, behaviours).length === 0;
}

/** What was found of each case before, as two tests ask of each. */
const found = new Map<string, boolean>();

function passes(text: string, kernel = '6.18'): boolean {
  const key = `${kernel} ${text}`;
  const result = found.get(key) ?? tried(text, kernel);
  found.set(key, result);
  return result;
}

/** How `cases` come out on the running kernel, which is asked in one go. */
async function asked<T extends CowCase>(cases: readonly T[]): Promise<{ rows: (T & CowRow)[]; release: string }> {
  const session = await Session.open({ deep: true, tell: () => {} });
  const rows: (T & CowRow)[] = [];
  try {
    for (const each of cases) {
      const { group, name, text, notObservable } = each;
      const model = passes(text);
      if (notObservable !== null) {
        rows.push({ ...each, model, kernel: notObservable });
        continue;
      }
      const verdict = await judge(session, parseWorkload(text), behavioursOf('6.18'), new Counts());
      expect(verdict.stopped, `${group} | ${name}`).toBeNull();
      expect(verdict.mismatches, `${group} | ${name}`).toEqual([]);
      rows.push({ ...each, model, kernel: verdict.mismatches.length === 0 });
    }
    return { rows, release: session.kernel };
  } finally {
    await session.close();
  }
}

describe('the matrix', () => {
  it.each(CASES)('passes on the model: $group, $name', ({ text }) => {
    expect(passes(text)).toBe(true);
  });
  it.each(FOLIO_SIZES)('passes on the model on folios of %d kB', (kilobytes) => {
    const failing = sizedMatrix(kilobytes).filter(({ text }) => !passes(text));
    expect(failing.map(({ group, name }) => `${group} | ${name}`)).toEqual([]);
  });
  it('names each case once', () => {
    for (const cases of [CASES, ...SIZED])
      expect(new Set(cases.map(({ group, name }) => `${group} ${name}`)).size).toBe(cases.length);
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
    const [main = '', sizes = '', collapse = ''] = readFileSync(DOCUMENT, 'utf8').split('\n## ');
    const rowsOf = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => line.startsWith('| '))
        .slice(1);
    const named = rowsOf(main).map((line) => line.split(' | ').slice(0, 2).join(' | ').slice(2));
    expect(named).toEqual(CASES.map(({ group, name }) => `${group} | ${name}`));
    const groups = [...new Set(SIZED.flat().map(({ group }) => group))];
    expect(rowsOf(sizes)).toEqual(
      groups.map((group) => {
        const [first = []] = SIZED;
        const cases = first.filter((each) => each.group === group);
        const cell = `${cases.length}/${cases.length}${cases[0]?.notObservable === null ? '' : ' pass'}`;
        return `| ${group} | ${FOLIO_SIZES.map(() => cell).join(' | ')} |`;
      }),
    );
    expect(rowsOf(collapse)).toHaveLength(4);
  });
  it.skipIf(reason !== null)('is what the running kernel does', { timeout: 1_800_000 }, async () => {
    const { rows, release } = await asked(CASES);
    const sizes: SizedRow[] = [];
    // Each case on one of the sizes; on all where the table is written.
    if (WRITES) for (const cases of SIZED) sizes.push(...(await asked(cases)).rows);
    else
      sizes.push(...(await asked(SIZED.flatMap((cases, at) => cases.filter((_, i) => i % SIZED.length === at)))).rows);
    expect([...rows, ...sizes].filter(({ kernel }) => kernel === false)).toEqual([]);
    if (WRITES) writeFileSync(DOCUMENT, cowMatrixText(rows, sizes, release));
  });
});
