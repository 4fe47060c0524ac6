// What no kernel emits is refused before a reducer works on it for minutes.
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { initialState } from '../../reducers/state.js';
import { unfoldable } from '../../replays/guard.js';
import { Timeline } from '../../replays/timeline.js';
import { canonicalState } from '../../projections/canonical.js';
import { logOfEvents, readerOf, touching } from '../support/logs.js';

const added = (pfn: number, n: number): KernelEvent => ({
  type: 'PageCacheAdded',
  inode: 1,
  runs: [0, pfn, n],
  swapbacked: 0,
  ref: 1,
  lruCpu: 0,
});

describe('events that cannot be folded', () => {
  it.each<[string, KernelEvent[]]>([
    ['a frame far beyond those there are', [{ type: 'FolioAllocated', pfn: 1 << 20 }]],
    ['frames of the page cache far beyond', [added(1 << 20, 1)]],
    ['more pages than a machine has', [added(0, 2 ** 25)]],
    ['a frame that is none', [{ type: 'FolioAllocated', pfn: -1 }]],
  ])('%s', (_, events) => {
    expect(unfoldable(initialState(), events)).toContain('names more than any machine has');
  });
  it('frames one behind the other are fine, however many', () => {
    const frames = Array.from({ length: 10_000 }, (_, pfn): KernelEvent => ({ type: 'FolioAllocated', pfn }));
    expect(unfoldable(initialState(), frames)).toBeNull();
    expect(unfoldable(initialState(), [added(0, 1 << 20), { type: 'FolioAllocated', pfn: 1 << 20 }])).toBeNull();
  });
});

describe('an event of very many pages', () => {
  const inode = { inode: 1, name: 'x', kind: 0, size: 2 ** 30, resident: 1 };
  it('is stepped over as any other', () => {
    const events: KernelEvent[] = [
      { type: 'InodeCreated', ...inode },
      ...touching(3),
      added(3, 100_000),
      ...[...touching(2)].slice(3, 5),
    ];
    const timeline = new Timeline(readerOf(logOfEvents(events)));
    const steps: unknown[] = [];
    do steps.push([timeline.state.maxPfn, canonicalState(timeline.state)]);
    while (timeline.step() !== null);
    expect(timeline.state.maxPfn).toBe(100_003);
    expect(timeline.seek(events.length - 3).maxPfn).toBe(3);
    for (let n = events.length - 3; n > 0; n--) {
      expect([timeline.state.maxPfn, canonicalState(timeline.state)]).toEqual(steps[n]);
      timeline.back();
    }
  });
});
