// The seeded generator: the same everywhere, even, and independent between seeds.
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/lib/random.js';

const draws = (random: Random, n: number): number[] => Array.from({ length: n }, () => random.next());

describe('random numbers', () => {
  it('depend on the seeds alone, for ever', () => {
    expect(draws(new Random(1, 0), 4)).toEqual(draws(new Random(1, 0), 4));
    // A workload is known by its seed and number: these must not change between versions.
    expect(draws(new Random(1, 0), 4)).toEqual([910_425_997, 1_402_962_789, 2_051_751_508, 4_182_153_663]);
  });

  it('differ with every seed, their order, and beyond 32 bits', () => {
    const seeds = [[], [0], [0, 0], [0, 1], [1, 0], [1], [2 ** 32], [2 ** 32 + 1], [2 ** 52], [1, 2, 3]];
    const firsts = seeds.map((each) => draws(new Random(...each), 2).join(' '));
    expect(new Set(firsts).size).toBe(seeds.length);
  });

  it('are even in every bit, also between neighbouring seeds', () => {
    const ones = Array.from({ length: 32 }, () => 0);
    for (let seed = 0; seed < 4000; seed++) {
      const drawn = new Random(seed, 7).next();
      for (let bit = 0; bit < 32; bit++) ones[bit] = (ones[bit] as number) + ((drawn >>> bit) & 1);
    }
    // Six standard deviations of 4,000 fair coins are 190.
    for (const count of ones) expect(Math.abs(count - 2000)).toBeLessThan(190);
  });

  it('fall within what is asked, and everywhere in it', () => {
    const random = new Random(5);
    const seen = new Set(Array.from({ length: 1000 }, () => random.between(3, 9)));
    expect(seen).toEqual(new Set([3, 4, 5, 6, 7, 8, 9]));
    const picks = Array.from({ length: 4000 }, () =>
      random.weighted([
        [1, 'rare'],
        [0, 'never'],
        [3, 'often'],
      ]),
    );
    expect(picks).not.toContain('never');
    expect(picks.filter((each) => each === 'rare').length).toBeGreaterThan(800);
    expect(picks.filter((each) => each === 'rare').length).toBeLessThan(1200);
    expect(() => random.pick([])).toThrow(RangeError);
    expect(() => random.weighted([[0, 1]])).toThrow(RangeError);
  });
});
