// Wrong models of the list test/mutants/mutants.json: each still names one place of the source, and conform catches some of them
// (scripts/mutants.mjs runs all).
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BEHAVIOUR_NAMES } from '../../src/kernel/behaviours.js';
import { AREA_NAMES } from '../../src/oracle/conform/generate/index.js';
import { whyNot } from '../../src/oracle/conform/session.js';

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly wrong: string;
}
const root = new URL('../../', import.meta.url).pathname;
const MUTANTS = JSON.parse(readFileSync(join(root, 'test/mutants/mutants.json'), 'utf8')) as readonly Mutant[];

/** Where each behaviour of older kernels is looked for: by areas of the fuzz, by a workload of the corpus, or not at all and why. */
const BEHAVIOURS = JSON.parse(readFileSync(join(root, 'test/mutants/behaviours.json'), 'utf8')) as {
  readonly found: readonly { readonly behaviour: string; readonly areas: string }[];
  readonly corpus: readonly { readonly behaviour: string; readonly workload: string; readonly why: string }[];
  readonly hidden: readonly { readonly behaviour: string; readonly areas: string; readonly why: string }[];
};

describe('the list of behaviours', () => {
  const { found, corpus, hidden } = BEHAVIOURS;
  it('has each once', () => {
    const names = [...found, ...corpus, ...hidden].map(({ behaviour }) => behaviour);
    expect(names.toSorted()).toEqual([...BEHAVIOUR_NAMES].toSorted());
  });
  it('names areas and workloads that there are, and says why the fuzz cannot find the rest', () => {
    for (const { areas } of [...found, ...hidden]) expect(AREA_NAMES).toEqual(expect.arrayContaining(areas.split(',')));
    for (const { workload } of corpus) expect(existsSync(join(root, workload))).toBe(true);
    for (const { why } of [...corpus, ...hidden]) expect(why).toMatch(/^\S.{20,}\.$/);
  });
});

describe('the list of mutants', () => {
  it('has at least twelve, of kernel code and of reducers, each with a name of its own', () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(12);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    for (const folder of ['src/kernel/', 'reducers/'])
      expect(MUTANTS.filter(({ file }) => file.startsWith(folder)).length).toBeGreaterThanOrEqual(3);
  });
  it.each(MUTANTS)('$name replaces one place of $file', ({ file, find, replace, wrong }) => {
    expect(existsSync(join(root, file))).toBe(true);
    expect(readFileSync(join(root, file), 'utf8').split(find)).toHaveLength(2);
    expect(replace).not.toBe(find);
    expect(wrong).toMatch(/^\S.{20,}\.$/);
  });
});

const reason = whyNot();
if (reason !== null) process.stderr.write(`mutants.test.ts: catching mutants skipped: ${reason}\n`);
/** Of kernel code, of a reducer, one that breaks an assertion, and an older kernel's behaviour. */
const SOME = [
  'reuse-with-two-references',
  'fork-keeps-exclusive',
  'fault-around-breaks-an-assertion',
  'without anon-exclusive',
];

describe.skipIf(reason !== null)('conform', { timeout: 600_000 }, () => {
  it('catches mutants, and shrinks what shows them', () => {
    const args = [join(root, 'scripts/mutants.mjs'), '--workloads', '300', '--json', '--only', SOME.join(',')];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    // Another run on the machine may be waited for.
    expect(stderr.replaceAll(/^conform: waiting for \d+\n/gm, '')).toBe('');
    const results = JSON.parse(stdout) as { name: string; operations: number; survived: string | null }[];
    expect(results.map(({ name, survived }) => [name, survived])).toEqual(SOME.map((name) => [name, null]));
    for (const { operations } of results) expect(operations).toBeLessThanOrEqual(8);
    expect(status).toBe(0);
  });
});
