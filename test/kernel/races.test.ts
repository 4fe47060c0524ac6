// Races of examples/races whose steps are points of the model, in the order that breaks and in all others.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { raceWorkload } from '../support/interleaved.js';

const FORK_RACE = readFileSync('examples/races/gup-fast-fork-race.fsw', 'utf8');
const PIN = ['s1', 'g1', 'g2', 'g3', 's2'];
const FORK = ['f0', 'f1', 'f2', 'f3'];

/** Rules that a pin may break which GUP-fast takes before it looks again, and then gives back. */
const OF_PASSING_PINS: ReadonlySet<string> = new Set(['pinned-page-shared-by-fork', 'pinned-anon-is-exclusive']);

/** All ways to take turns. */
function* orders(a: readonly string[], b: readonly string[]): Generator<readonly string[]> {
  if (a.length === 0 || b.length === 0) yield [...a, ...b];
  else {
    for (const rest of orders(a.slice(1), b)) yield [a[0] as string, ...rest];
    for (const rest of orders(a, b.slice(1))) yield [b[0] as string, ...rest];
  }
}

describe('GUP-fast against fork', () => {
  it('loses its pin in 5.9 and 5.10, in the order of the example', () => {
    for (const kernel of ['5.9', '5.10']) {
      const { broken, failed, missed } = raceWorkload(FORK_RACE, { kernel });
      expect(missed).toEqual([]);
      expect(broken).toEqual(['pinned-page-shared-by-fork', 'pin-oracle']);
      expect(failed).toEqual([expect.stringContaining('pin_load gave 0x1, not 0x2')]);
    }
  });
  it('keeps it since 5.11: what the sequence count tells sends it the slow way', () => {
    const { broken, failed, missed } = raceWorkload(FORK_RACE, { kernel: '5.11' });
    expect({ broken, failed, missed }).toEqual({ broken: [], failed: [], missed: ['g1', 'g2', 'g3', 's2'] });
  });
  it.each(['5.11', '5.18', '6.18'])('is right in every order on %s', (kernel) => {
    for (const order of orders(PIN, FORK)) {
      const { broken, failed } = raceWorkload(FORK_RACE, { kernel }, order);
      const lasting = broken.filter((name) => !OF_PASSING_PINS.has(name));
      expect({ order, lasting, failed }).toEqual({ order, lasting: [], failed: [] });
    }
  });
  it('breaks without the count in some orders, today as well', () => {
    const wrong = [...orders(PIN, FORK)].filter(
      (order) => raceWorkload(FORK_RACE, { without: ['write-protect-seq'] }, order).failed.length > 0,
    );
    // The page must be taken behind fork's question, and be looked at again before it is shared.
    for (const order of wrong) {
      const at = (step: string): number => order.indexOf(step);
      expect([at('g1') < at('f2'), at('f1') < at('g2'), at('g3') < at('f2')], order.join(' ')).toEqual([
        true,
        true,
        true,
      ]);
    }
    expect(wrong.length).toBeGreaterThan(0);
  });
  it('the count ends where it began to be even', () => {
    const { run } = raceWorkload(FORK_RACE);
    expect(Object.values(run.view.writeProtectSeq)).toEqual([2]);
  });
});

const SPLIT_RACE = readFileSync('examples/races/split-failing-unmap.fsw', 'utf8');
const SPLIT = ['b', 'c', 'e0', 'e1', 'e2', 'e3', 'e4', 'e5', 'r'];

describe('a pin against the split of its folio', () => {
  const split = (raced: ReturnType<typeof raceWorkload>): boolean =>
    Object.keys(raced.run.view.largeFolios).length === 0;

  it('has the split undone when it comes half-way, and nothing is lost', () => {
    const raced = raceWorkload(SPLIT_RACE);
    expect({ broken: raced.broken, failed: raced.failed, missed: raced.missed }).toEqual({
      broken: [],
      failed: [],
      missed: [],
    });
    expect(split(raced)).toBe(false);
  });
  it('has pages come back as shared without an entry for what is exclusive and not writable', () => {
    const { broken, failed } = raceWorkload(SPLIT_RACE, { without: ['migration-entry-exclusive'] });
    expect(new Set(broken)).toEqual(new Set(['migration-keeps-exclusive']));
    expect(failed.length).toBeGreaterThan(0);
  });
  it('is right in every order; the folio is split if the pin comes once its entry is converted, and waits', () => {
    for (const order of orders(SPLIT, ['p'])) {
      const raced = raceWorkload(SPLIT_RACE, {}, order);
      expect({ order, broken: raced.broken, failed: raced.failed }).toEqual({ order, broken: [], failed: [] });
      expect(split(raced), order.join(' ')).toBe(order.indexOf('p') > order.indexOf('e5'));
    }
  });
});

const CONTINUE_RACE = readFileSync('examples/races/shmem-dirty-cow-continue.fsw', 'utf8');
const FORCED = ['g0', 'g1', 'g2'];
const SUPPLIES = ['m1', 'c1'];

describe('a forced write against UFFDIO_CONTINUE (CVE-2022-2590)', () => {
  const changed = [expect.stringContaining('load gave 0x9, not 0x1')];
  it.each(['5.16', '5.19'])('changes the file on %s, in the order of the example', (kernel) => {
    const { failed, missed } = raceWorkload(CONTINUE_RACE, { kernel });
    expect({ failed, missed }).toEqual({ failed: changed, missed: [] });
  });
  it('does so today with both halves of it: forced writes that trust dirty entries, and dirty entries', () => {
    const trusting = { without: ['foll-force-needs-exclusive'] };
    expect(raceWorkload(CONTINUE_RACE, trusting).failed).toEqual(changed);
    const clean = { without: [...trusting.without, 'uffd-install-pte-dirty'] };
    expect(raceWorkload(CONTINUE_RACE, clean).failed).toEqual([]);
  });
  it.each(['5.15', '6.0', '6.18'])('changes nothing on %s, in any order', (kernel) => {
    for (const order of orders(FORCED, SUPPLIES)) {
      const { broken, failed } = raceWorkload(CONTINUE_RACE, { kernel }, order);
      // Continued before it was thrown away, the page is mapped already.
      const of = failed.filter((line) => line.includes('load'));
      expect({ order, broken, of }).toEqual({ order, broken: [], of: [] });
    }
  });
});
