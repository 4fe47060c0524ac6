// The machine's pool of huge pages made ready: what it waits for, and what it says where it cannot be had.
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/lib/errors.js';
import { fillPool, lostHugePages } from '../../src/oracle/conform/huge-pool.js';

const PATH = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages';

/** A reader of the pool that sees `states`, the last one for ever. */
function seeing(...states: readonly (readonly [total: number, free: number, reserved: number])[]) {
  let at = 0;
  return () => {
    const [total, free, reserved] = states[Math.min(at++, states.length - 1)]!;
    return { total, free, reserved };
  };
}

describe('the pool of the machine', () => {
  it('is at rest when nobody uses it, but for what Linux lost', async () => {
    expect(await lostHugePages(seeing([0, 0, 0]))).toBe(0);
    expect(await lostHugePages(seeing([1, 1, 1]))).toBe(1);
    // The page that was there for it left with a surplus.
    expect(await lostHugePages(seeing([0, 0, 1]))).toBe(1);
  });
  it('is waited for where a page comes back late', async () => {
    expect(await lostHugePages(seeing([2, 1, 1], [2, 1, 1], [1, 1, 1]))).toBe(1);
  });
  it('is not taken away from others', async () => {
    const others = lostHugePages(seeing([3, 1, 1]), 10);
    await expect(others).rejects.toThrow(UserError);
    await expect(lostHugePages(seeing([1, 1, 2 ** 64]), 10)).rejects.toThrow('fewer huge pages than none');
    await expect(others).rejects.toThrow('2 huge pages are in use by somebody else');
  });
  it('is filled at the second try where memory was compacted, and else said to be too small in one line', async () => {
    const told: number[] = [];
    let compacted = 0;
    const settings = (gives: (wanted: number) => number) => ({
      set: (_path: string, value: string | number) => {
        told.push(Number(value));
        return Promise.resolve(String(gives(Number(value))));
      },
    });
    await fillPool(
      settings((wanted) => (compacted > 0 ? wanted : wanted - 1)),
      PATH,
      5,
      () => compacted++,
    );
    expect(told).toEqual([5, 5]);
    const few = fillPool(
      settings(() => 3),
      PATH,
      8,
      () => {},
    );
    await expect(few).rejects.toThrow('memory is too fragmented, it has 3 huge pages where 8 are asked for');
  });
});
