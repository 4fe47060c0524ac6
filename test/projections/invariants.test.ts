// Every invariant can fail: a real run with one wrong event in it breaks the rule, and the violation names the event to look at.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { EventOf, EventType } from '../../events/index.js';
import { INVARIANTS, INVARIANT_NAMES } from '../../projections/invariants/catalogue.js';
import type { Invariant } from '../../projections/invariants/invariant.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import { auditOf, planted } from '../support/audited.js';
import type { Recorded } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';
import { WRONG_EVENTS } from './wrong-events/index.js';
import { TRACKING } from './wrong-events/soft-dirty.js';

/** Where soft-dirty bits are told of they are to mean something. */
const behavioursFor = (text: string): Behaviours =>
  withBehaviours(behavioursOf('6.18'), TRACKING.includes(text) ? ['soft-dirty'] : [], []);
const run = (text: string): Recorded => runOperations(parseWorkload(text), behavioursFor(text));

describe('an invariant', () => {
  it.each([...new Set(WRONG_EVENTS.map(({ text }) => text))].map((text, i) => [i, text] as const))(
    'holds in run %i as it was',
    (_i, text) => {
      expect(auditOf(run(text), behavioursFor(text))).toEqual([]);
    },
  );

  it.each(WRONG_EVENTS.map((each, i) => [each.rule, i, each] as const))(
    '%s is broken by wrong event %i, which is named',
    (rule, _i, { text, type, nth = 0, make, cause }) => {
      const ran = run(text);
      const places = ran.events.flatMap((event, at) => (event.type === type ? [at] : []));
      const at = places.at(nth) as number;
      const broken = planted(ran, at, make(ran.events[at] as EventOf<EventType>, ran));
      const violation = auditOf(broken, behavioursFor(text)).find(({ invariant }) => invariant === rule);
      expect(violation).toBeDefined();
      const named = broken.events[violation?.cause ?? -1];
      expect(named?.type).toBe(cause ?? broken.events[at]?.type);
      if (cause === undefined) expect(violation?.cause).toBe(at + (rule === 'LRU-batch-bound' ? 2 : 0));
      expect(violation?.event).toBeGreaterThanOrEqual(violation?.cause ?? Infinity);
      expect(broken.operations[violation?.operation ?? -1]?.line).toBe(violation?.line);
    },
  );

  it('does not mind a page in the swap cache whose last mapping went', () => {
    const given = run(`
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, P)
1 madvise(A, P, MADV_PAGEOUT) = 0
1 load(A)
check page(1, A).swapcache and page(1, A).anon_exclusive
1 munmap(A, P) = 0`);
    expect(auditOf(given, behavioursOf('6.18'))).toEqual([]);
  });
  it('is among those tried, each of the catalogue', () => {
    expect([...new Set(WRONG_EVENTS.map(({ rule }) => rule))].toSorted()).toEqual(INVARIANT_NAMES.toSorted());
  });

  it('has one name, and says what it means, where it is from and when it must hold', () => {
    expect(new Set(INVARIANTS.flatMap(({ name, aliases }) => [name, ...aliases])).size).toBe(
      INVARIANTS.length + INVARIANTS.reduce((sum, { aliases }) => sum + aliases.length, 0),
    );
    for (const { formula, source, since } of INVARIANTS) {
      expect(formula.length).toBeGreaterThan(10);
      expect(source.length).toBeGreaterThan(5);
      expect(since).toMatch(/^(all|\d+\.(\d+(\.\d+)?|x))$/);
    }
  });
});

/** Its line in the table of docs/invariants.md. */
function rowOf({ name, aliases, formula, source, severity, since, needs, at }: Invariant): string {
  const names = aliases.length === 0 ? `\`${name}\`` : `\`${name}\` (${aliases.join(', ')})`;
  const cells = [
    names,
    formula,
    source,
    String(severity),
    [since, ...needs].join(', '),
    at === 'quiescent' ? 'rest' : at,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

describe('docs/invariants.md', () => {
  it('has the catalogue as a table (UPDATE_DOCS=1 writes it anew)', () => {
    const document = new URL('../../docs/invariants.md', import.meta.url);
    const text = readFileSync(document, 'utf8');
    const [before, after] = text.split(/(?<=^## Catalogue\n\n)(?:\|.*\n)+/m) as [string, string];
    const head = '| name | formula | source in Linux | severity | since, needs | when |\n|---|---|---|---|---|---|';
    const now = `${before}${head}\n${INVARIANTS.map(rowOf).join('\n')}\n${after}`;
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(document, now);
    else expect(text).toBe(now);
  });
});
