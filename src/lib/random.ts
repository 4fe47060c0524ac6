// A small seeded generator of random numbers, for what must come out the same everywhere: xoshiro128** on 32-bit words.

const GOLDEN = 0x9e3779b9;
const WORD = 2 ** 32;

/** `splitmix32`: scatters a counter over 32 bits; it seeds the generator proper. */
function scatter(counter: number): number {
  let z = counter | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return z ^ (z >>> 16);
}

const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

/**
 * Random numbers that depend on the seeds alone. Two generators whose seeds differ in one of them are independent of each other
 * for every purpose of a test; neither resists an attacker.
 */
export class Random {
  readonly #words: [number, number, number, number];

  /** Takes any number of seeds, each a safe integer; their order matters. */
  constructor(...seeds: readonly number[]) {
    let mixed = seeds.length;
    for (const seed of seeds) {
      for (const half of [seed % WORD, Math.floor(seed / WORD)]) mixed = scatter((mixed ^ half) + GOLDEN);
    }
    const word = (i: number): number => scatter(mixed + Math.imul(i, GOLDEN));
    this.#words = [word(1), word(2), word(3), word(4)];
    // The one state that never leaves itself.
    if (this.#words.every((each) => each === 0)) this.#words[0] = 1;
  }

  /** 32 random bits as a number from 0 to 2^32 - 1. */
  next(): number {
    const words = this.#words;
    const [a, b, c, d] = words;
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const c1 = c ^ a;
    const d1 = d ^ b;
    words[0] = a ^ d1;
    words[1] = b ^ c1;
    words[2] = c1 ^ (b << 9);
    words[3] = rotate(d1, 11);
    return result;
  }

  /** A whole number from 0 to `limit` - 1; `limit` is from 1 to 2^32. */
  below(limit: number): number {
    return Math.floor((this.next() / WORD) * limit);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** One of `items`, each as likely as the others. Throws RangeError if there is none. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('nothing to pick from');
    return items[this.below(items.length)] as T;
  }

  /** One of `items` by weight: [weight, item]. Throws RangeError if no weight is positive. */
  weighted<T>(items: readonly (readonly [number, T])[]): T {
    const total = items.reduce((sum, [weight]) => sum + weight, 0);
    if (total <= 0) throw new RangeError('no weight to pick by');
    let at = this.below(total);
    for (const [weight, item] of items) {
      if (at < weight) return item;
      at -= weight;
    }
    throw new RangeError('weights must be whole numbers');
  }
}
