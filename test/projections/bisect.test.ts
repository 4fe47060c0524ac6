// Bisection names the very event: by invariant and by expression, by halving and by scanning.
import { describe, expect, it } from 'vitest';
import { invariantNamed } from '../../projections/invariants/catalogue.js';
import type { Invariant } from '../../projections/invariants/invariant.js';
import { Watched, staysTrue } from '../../projections/query/turning.js';
import { parseExpression } from '../../projections/query/parse.js';
import { apply } from '../../reducers/index.js';
import { isBrokenIn, isSeenInStates } from '../../projections/invariants/whole-state.js';
import { faultBetween, firstTurn } from '../../replays/bisect.js';
import type { LogReader } from '../../replays/log/reader.js';
import { auditLog } from '../../src/cli/audit-log.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { Recorded } from '../support/audited.js';
import { planted } from '../support/audited.js';
import { logOf, readerOf } from '../support/logs.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const PAGES = 1500;
const BASE = 0x20000000;
/** Thousands of events: every page is touched on its own. */
const TOUCHED = [
  `1 mmap(0x20000000, ${PAGES * 4096}, RW, PRIV|ANON|FIXED, -1, 0) = A`,
  ...Array.from({ length: PAGES }, (_, i) => `1 store(A+${i * 4096}, 0x11)`),
].join('\n');

/** A log of events that no kernel need have emitted. */
function logged({ events, owners, operations }: Recorded): LogReader {
  return readerOf(
    logOf(
      (log, state) => {
        let current = -1;
        events.forEach((event, i) => {
          const owner = owners[i] as number;
          if (owner !== current) {
            if (current >= 0) log.endOperation(null);
            log.beginOperation(operations[owner]!);
            current = owner;
          }
          apply(state, event);
          log.event(event);
        });
        log.endOperation(null);
      },
      { chunkEvents: 512 },
    ),
  );
}

const RAN = runOperations(parseWorkload(TOUCHED), behavioursOf('6.18'));
const TURNED_PAGE = 1234;
const AT = RAN.events.findIndex((event) => event.type === 'AnonPageMapped' && event.vpn === BASE / 4096 + TURNED_PAGE);
const PLANTED = planted(RAN, AT, [{ ...RAN.events[AT]!, mapcount: 2 } as (typeof RAN.events)[number]]);

const watched = (text: string): Watched =>
  new Watched(text, { nameOf: (name) => (name === 'A' ? BASE : undefined), pid: 1 });
const turn = (reader: LogReader, text: string): unknown => {
  const question = watched(text);
  return firstTurn(reader, (state) => question.holds(state), staysTrue(question.expression));
};

describe('bisect', () => {
  const reader = logged(PLANTED);

  it('names the one wrong event of thousands by the invariant that it breaks', () => {
    const { violations } = auditLog(reader, [invariantNamed('mapcount-equals-rmap') as Invariant], true);
    expect(violations).toMatchObject([{ cause: AT, line: TURNED_PAGE + 2, expected: 1, found: 2 }]);
  });
  it('takes an invariant’s other names', () => {
    expect(invariantNamed('mapcount-from-tables')).toBe(invariantNamed('mapcount-equals-rmap'));
  });
  it('names the same event by an expression, with a scan where the expression may flicker', () => {
    expect(turn(reader, `page(A+${TURNED_PAGE * 4096}).mapcount == 2`)).toEqual({ event: AT, method: 'linear scan' });
  });
  it('halves where an expression holds for good, and finds what a scan finds', () => {
    for (const faults of [1, 2, 777, PAGES]) {
      const scanned = watched(`task(1).min_flt == ${faults}`);
      expect(turn(reader, `task(1).min_flt >= ${faults}`)).toEqual({
        event: firstTurn(reader, (state) => scanned.holds(state), false)?.event,
        method: 'binary search',
      });
    }
  });
  it('tells that nothing turned, and that it was so from the start', () => {
    expect(turn(reader, 'task(1).min_flt > 1000000')).toBeNull();
    expect(turn(reader, 'meminfo.Committed_AS == 0')).toEqual({ event: -1, method: 'linear scan' });
  });
});

describe('an expression over a whole run', () => {
  it('does not hold before its task is there, and says so where it never was', () => {
    const question = watched('task(9).min_flt > 0');
    expect(firstTurn(logged(RAN), (state) => question.holds(state), false)).toBeNull();
    expect(() => question.requireAnswer()).toThrow(/there is no task 9/);
  });
  it('says what is wrong with a field rather than that its subject is gone', () => {
    const question = watched('mm(1).colour > 0');
    firstTurn(logged(RAN), (state) => question.holds(state), false);
    expect(() => question.requireAnswer()).toThrow(/no field 'colour'/);
  });
  it.each([
    ['task(1).min_flt >= 3', true],
    ['task(1).exited', true],
    ['mm(1).hiwater_rss > 7 and task(1).maj_flt > 2', true],
    ['mm(1).rss >= 3', false],
    ['task(1).min_flt == 3', false],
    ['not task(1).exited', false],
    ['task(1).min_flt >= mm(1).rss', false],
  ])('%s stays so: %s', (text, stays) => {
    expect(staysTrue(parseExpression(text))).toBe(stays);
  });
});

describe('an invariant that is broken at the end', () => {
  const rule = (name: string): Invariant => invariantNamed(name) as Invariant;
  const halved = (reader: LogReader, invariant: Invariant) =>
    faultBetween(reader, (state) => isBrokenIn(state, invariant));

  it('is found between two states, the same event as by looking at all', () => {
    const reader = logged(PLANTED);
    const invariant = rule('mapcount-equals-rmap');
    const between = halved(reader, invariant);
    expect(between!.low).toBeLessThanOrEqual(AT);
    expect(between!.high).toBeGreaterThan(AT);
    const [near] = auditLog(reader, [invariant], true, between!.low).violations;
    const [far] = auditLog(reader, [invariant], true).violations;
    expect(near).toEqual(far);
    expect(near?.cause).toBe(AT);
  });
  it('is told from one that holds', () => {
    const reader = logged(PLANTED);
    for (const name of ['rss-equals-ptes', 'page-tables-accounted', 'writable-anon-is-exclusive', 'refcount-accounted'])
      expect([name, halved(reader, rule(name))]).toEqual([name, null]);
  });
  it('cannot be asked of a state if it speaks of events', () => {
    expect(isSeenInStates(rule('fork-both-RO'))).toBe(false);
    expect(isSeenInStates(rule('mapcount-equals-rmap'))).toBe(true);
  });
});
