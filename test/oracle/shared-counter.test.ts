import { describe, expect, it } from 'vitest';
import type { RssPoint } from '../../src/oracle/rss-points.js';
import { explainsShared } from '../../src/oracle/shared-counter.js';

const point = (delta: number, type = 1): RssPoint => ({ mm: 3, type, delta, vpn: 0, divisible: false });
const work = (...points: RssPoint[]) => ({ points, complete: true });

describe('a counter line of threads', () => {
  // Thread 1 faults (+1, made) while thread 2 unmaps 74 pages, which the model does when the call returns.
  const moment = {
    model: 100,
    threads: [
      { work: work(point(1)), done: 1 },
      { work: work(point(-74), point(5, 0)), done: 0 },
    ],
  };
  it.each([
    [100, 'what the model has'],
    [99, 'the value before the fault'],
    [26, 'the value after the munmap'],
    [25, 'both'],
  ])('may tell %i: %s', (value) => {
    expect(explainsShared(moment, 3, 1, value)).toBe(true);
  });
  it('may not tell what nothing under way leads to', () => {
    expect(explainsShared(moment, 3, 1, 27 + 74)).toBe(false);
    expect(explainsShared(moment, 3, 1, 105)).toBe(false);
    expect(explainsShared(moment, 4, 1, 26)).toBe(false);
  });
});
