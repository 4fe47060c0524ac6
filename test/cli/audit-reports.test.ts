// audit for CI: JUnit XML and SARIF that readers of those take, and the history.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { INVARIANTS, INVARIANT_NAMES } from '../../projections/invariants/catalogue.js';
import type { AuditOptions } from '../../src/cli/commands/audit.js';
import { auditCommand } from '../../src/cli/commands/audit.js';
import { runInput } from '../../src/cli/run-input.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { XmlElement } from '../support/xml.js';
import { parseXml } from '../support/xml.js';

const LOCKED = `# folioscope workload
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 mlock(A, 0x2000)
1 mremap(A, 0x2000, 0x2000, 5, 0) = B
1 fork() = 2
2 store(B, 1)
1 exit_group(0)
2 store(B+0x1000, 1)
`;
const RULE = 'locked-vm-equals-vmas';
let folder = '';
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'folioscope-'));
  await logged('broken.fsl', 'locked <&"\u0001> é.fsw', LOCKED, '6.18');
  await logged(
    'sound.fsl',
    'sound.fsw',
    LOCKED.replace(/^1 mremap.*= B$/m, '1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = B'),
    '6.18',
  );
  await logged('old.fsl', 'sound.fsw', readFileSync(at('sound.fsw'), 'utf8'), '5.8');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function logged(log: string, name: string, workload: string, kernel: string): Promise<void> {
  writeFileSync(at(name), workload);
  await runInput(at(name), {
    ...{ log: at(log), kernel, behaviours: behavioursOf(kernel), lenient: false, audit: false, quiet: true },
  });
}

async function audited(log: string, options: Partial<AuditOptions> = {}): Promise<{ code: number; out: string }> {
  let out = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  try {
    return { code: await auditCommand(at(log), { json: false, ...options }), out };
  } finally {
    spy.mockRestore();
  }
}

const children = (element: XmlElement, name: string): XmlElement[] =>
  element.children.filter((each): each is XmlElement => typeof each !== 'string' && each.name === name);
const textOf = (element: XmlElement): string => element.children.filter((each) => typeof each === 'string').join('');

describe('audit --junit', () => {
  /** The one suite, after what every reader wants was checked. */
  async function suiteOf(log: string): Promise<XmlElement> {
    const { out } = await audited(log, { junit: '-' });
    const root = parseXml(out);
    expect(root.name).toBe('testsuites');
    const suites = children(root, 'testsuite');
    expect(suites).toHaveLength(1);
    const suite = suites[0] as XmlElement;
    const cases = children(suite, 'testcase');
    const having = (name: string): number => cases.filter((each) => children(each, name).length > 0).length;
    for (const element of [root, suite]) {
      expect(Number(element.attributes['tests'])).toBe(cases.length);
      expect(Number(element.attributes['failures'])).toBe(having('failure'));
      expect(Number(element.attributes['skipped'])).toBe(having('skipped'));
      expect(element.attributes).toMatchObject({ name: expect.any(String), errors: '0' });
    }
    expect(
      suite.children.every((each) => typeof each === 'string' || ['properties', 'testcase'].includes(each.name)),
    ).toBe(true);
    return suite;
  }

  it('has a test case for each invariant, failed where it was broken, with event, operation and line', async () => {
    const suite = await suiteOf('broken.fsl');
    const cases = children(suite, 'testcase');
    expect(cases.map(({ attributes }) => attributes['name'])).toEqual(INVARIANT_NAMES);
    expect(new Set(cases.map(({ attributes }) => attributes['classname']))).toEqual(new Set(['folioscope.invariants']));
    const failed = cases.filter((each) => children(each, 'failure').length > 0);
    expect(failed.map(({ attributes }) => attributes['name'])).toEqual([RULE]);
    const [failure] = children(failed[0] as XmlElement, 'failure');
    expect(failure?.attributes).toMatchObject({ type: RULE, message: expect.stringMatching(/^line 4, event \d+: /) });
    expect(textOf(failure as XmlElement)).toMatch(/line 4, event \d+: .*\(operation 2: 1 mremap\(/);
    const [properties] = children(suite, 'properties');
    const values = new Map(
      children(properties as XmlElement, 'property').map(({ attributes }) => [attributes['name'], attributes['value']]),
    );
    expect(values.get(`event.${RULE}`)).toBe(/event (\d+)/.exec(failure?.attributes['message'] as string)?.[1]);
    // What XML cannot hold is replaced, the rest is escaped.
    expect(values.get('source')).toBe('locked <&"\ufffd> é.fsw');
  });
  it('skips those that say nothing of the kernel, and says why', async () => {
    const suite = await suiteOf('old.fsl');
    const skipped = children(suite, 'testcase').filter((each) => children(each, 'skipped').length > 0);
    const old: Readonly<Record<string, boolean>> = behavioursOf('5.8');
    expect(skipped.map(({ attributes }) => attributes['name'])).toEqual(
      INVARIANTS.filter(({ needs }) => needs.some((name) => old[name] === false)).map(({ name }) => name),
    );
    expect(children(skipped[0] as XmlElement, 'skipped')[0]?.attributes['message']).toBe('needs anon-exclusive');
  });
  it('into a file leaves standard output to the report, and the exit code as it is', async () => {
    const broken = await audited('broken.fsl', { junit: at('report.xml') });
    expect(broken.code).toBe(1);
    expect(broken.out).toContain(RULE);
    expect(parseXml(readFileSync(at('report.xml'), 'utf8')).name).toBe('testsuites');
    expect((await audited('sound.fsl', { junit: at('report.xml') })).code).toBe(0);
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
    const nowhere = audited('sound.fsl', { junit: at('missing/report.xml') });
    await expect(nowhere).rejects.toMatchObject({ exitCode: 5 });
  });
});

interface Sarif {
  readonly $schema: string;
  readonly version: string;
  readonly runs: readonly {
    readonly tool: {
      readonly driver: {
        readonly name: string;
        readonly version: string;
        readonly rules: readonly {
          readonly id: string;
          readonly help: { readonly text: string };
          readonly defaultConfiguration: { readonly level: string };
        }[];
      };
    };
    readonly invocations: readonly { readonly executionSuccessful: boolean }[];
    readonly artifacts: readonly { readonly location: { readonly uri: string } }[];
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
      readonly message: { readonly text: string };
      readonly locations: readonly {
        readonly physicalLocation: {
          readonly artifactLocation: { readonly uri: string; readonly index: number };
          readonly region?: { readonly startLine: number };
        };
      }[];
      readonly partialFingerprints: Readonly<Record<string, string>>;
      readonly properties: Readonly<Record<string, unknown>>;
    }[];
  }[];
}

describe('audit --sarif', () => {
  /** The log, after what the schema of SARIF 2.1.0 requires was checked. */
  async function sarifOf(log: string, options: Partial<AuditOptions> = {}): Promise<Sarif['runs'][number]> {
    const { out } = await audited(log, { sarif: '-', ...options });
    const sarif = JSON.parse(out) as Sarif;
    expect(sarif.version).toBe('2.1.0');
    expect(sarif.$schema).toMatch(/sarif-2\.1\.0\.json$/);
    expect(sarif.runs).toHaveLength(1);
    const run = sarif.runs[0] as Sarif['runs'][number];
    const { driver } = run.tool;
    expect(driver.name).toBe('folioscope');
    expect(new Set(driver.rules.map(({ id }) => id)).size).toBe(driver.rules.length);
    for (const rule of driver.rules) {
      expect(rule.help.text).not.toBe('');
      expect(['none', 'note', 'warning', 'error']).toContain(rule.defaultConfiguration.level);
    }
    expect(run.invocations.every(({ executionSuccessful }) => executionSuccessful)).toBe(true);
    for (const result of run.results) {
      expect(driver.rules[result.ruleIndex]?.id).toBe(result.ruleId);
      expect(result.message.text).not.toBe('');
      for (const { physicalLocation } of result.locations) {
        const { artifactLocation, region } = physicalLocation;
        expect(run.artifacts[artifactLocation.index]?.location.uri).toBe(artifactLocation.uri);
        // A URI reference, not a path.
        expect(artifactLocation.uri).toMatch(/^[\w./:%~!'()*-]+$/);
        if (region !== undefined) expect(region.startLine).toBeGreaterThanOrEqual(1);
      }
      expect(Object.values(result.partialFingerprints).every((each) => typeof each === 'string')).toBe(true);
    }
    return run;
  }

  it('has a result at the line of the workload, and a rule with what Linux says', async () => {
    const run = await sarifOf('broken.fsl');
    expect(run.results).toMatchObject([
      {
        ruleId: RULE,
        level: 'warning',
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: encodeURIComponent('locked <&"\u0001> é.fsw') },
              region: { startLine: 4 },
            },
          },
        ],
        partialFingerprints: { 'invariantAndSubject/v1': `${RULE} mm(1).locked_vm` },
        properties: { operation: 2, expected: 2, found: 4 },
      },
    ]);
    const rule = run.tool.driver.rules.find(({ id }) => id === RULE);
    const invariant = INVARIANTS.find(({ name }) => name === RULE);
    for (const part of [invariant?.formula, invariant?.source, invariant?.knownBroken[0]])
      expect(rule?.help.text).toContain(part);
  });
  it('names the workload as CI knows it', async () => {
    const of = async (source: string): Promise<string | undefined> =>
      (await sarifOf('broken.fsl', { source })).results[0]?.locations[0]?.physicalLocation.artifactLocation.uri;
    expect(await of('tests/mm/locked move.fsw')).toBe('tests/mm/locked%20move.fsw');
    expect(await of('/srv/locked.fsw')).toBe('file:///srv/locked.fsw');
  });
  it('has no result where nothing is broken, and no rules that say nothing of the kernel', async () => {
    expect((await sarifOf('sound.fsl')).results).toEqual([]);
    const ids = (await sarifOf('old.fsl')).tool.driver.rules.map(({ id }) => id);
    expect(ids).not.toContain('writable-anon-is-exclusive');
    expect(ids).toContain(RULE);
  });
  it('cannot share standard output', async () => {
    for (const options of [
      { sarif: '-', json: true },
      { sarif: '-', junit: '-' },
      { junit: '-', json: true },
      { source: 'a.fsw' },
    ])
      await expect(audited('broken.fsl', options)).rejects.toMatchObject({ exitCode: 2 });
  });
});

describe('audit --history', () => {
  interface History {
    readonly invariant: string;
    readonly broken: number;
    readonly intervals: readonly { readonly from: number; readonly to: number; readonly holds: boolean }[];
    readonly spells: readonly { readonly from: number; readonly mendedBy: number | null; readonly line: number }[];
  }
  it('tells of each invariant when it held: all events, without gaps', async () => {
    const { out } = await audited('broken.fsl', { history: true, json: true });
    const { history, violations } = JSON.parse(out) as {
      history: readonly History[];
      violations: readonly { cause: number }[];
    };
    const now: Readonly<Record<string, boolean>> = behavioursOf('6.18');
    const apply = INVARIANTS.filter(({ needs }) => needs.every((name) => now[name] !== false));
    expect(history.map(({ invariant }) => invariant)).toEqual(apply.map(({ name }) => name));
    const ends = new Set<number>();
    for (const { intervals } of history) {
      expect(intervals[0]?.from).toBe(0);
      intervals.forEach(({ from, holds }, i) => {
        if (i === 0) return;
        expect(from).toBe((intervals[i - 1]?.to as number) + 1);
        expect(holds).toBe(!intervals[i - 1]?.holds);
      });
      ends.add(intervals.at(-1)?.to as number);
    }
    expect(ends.size).toBe(1);
    const told = history.find(({ invariant }) => invariant === RULE);
    expect(told).toMatchObject({ broken: 1, spells: [{ from: violations[0]?.cause, line: 4 }] });
    // It goes with the address space, before the child is done.
    expect(told?.intervals.map(({ holds }) => holds)).toEqual([true, false, true]);
    expect(told?.spells[0]?.mendedBy).toBe(told?.intervals[2]?.from);
    expect(history.filter(({ broken }) => broken > 0)).toHaveLength(1);
  });
  it('and prints it', async () => {
    const { code, out } = await audited('broken.fsl', { history: true });
    expect(code).toBe(1);
    expect(out).toMatch(
      /locked-vm-equals-vmas\n {2}held {3}events 0 to \d+\n {2}broken events \d+ to \d+\n {2}held {3}events? \d+/,
    );
    expect(out).toMatch(
      /mm\(1\)\.locked_vm: expected 2, found 4 since event \d+ \(line 4\), until event \d+ \(line 7\)/,
    );
    expect((await audited('old.fsl', { history: true })).out).toContain(
      'writable-anon-is-exclusive (needs anon-exclusive)',
    );
  });
});
