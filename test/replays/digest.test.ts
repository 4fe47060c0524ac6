import fc from 'fast-check';
import { setAutoFreeze } from 'immer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { Digest, SubjectHash, takerOf } from '../../reducers/digest.js';
import { apply, appliedAll } from '../../reducers/index.js';
import { setPte } from '../../reducers/pte.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState, own } from '../../reducers/state.js';
import { Hash64 } from '../../src/lib/hash.js';
import { EVENT_TYPES, foldableEvents } from '../support/arbitrary-events.js';
import { touching } from '../support/logs.js';

const folded = (events: readonly KernelEvent[]): KernelState => {
  const state = initialState();
  for (const event of events) apply(state, event);
  return state;
};
const digestOf = (state: KernelState, events: readonly KernelEvent[], from?: string): string => {
  const digest = new Digest(from);
  digest.update(state, events);
  return digest.hex();
};

describe('folding in place', () => {
  beforeAll(() => setAutoFreeze(true));
  afterAll(() => setAutoFreeze(false));
  it('leads to the state that Immer leads to', () => {
    fc.assert(
      fc.property(foldableEvents(120), fc.nat(120), (events, at) => {
        const half = appliedAll(initialState(), events.slice(0, at));
        const whole = appliedAll(half, events.slice(at));
        expect(whole).toEqual(folded(events));
        expect(half).toEqual(folded(events.slice(0, at)));
      }),
      { numRuns: 200 },
    );
  });
  it('does not write into events', () => {
    const freeze = (event: KernelEvent): KernelEvent => {
      for (const value of Object.values(event)) Object.freeze(value);
      return Object.freeze(event);
    };
    fc.assert(
      fc.property(foldableEvents(), (events) => void folded(events.map(freeze))),
      { numRuns: 50 },
    );
  });
});

describe('the digest', () => {
  const events = [...touching(40)];
  it('is the same for the same events and states, wherever the state came from', () => {
    fc.assert(
      fc.property(foldableEvents(), (made) => {
        const state = folded(made);
        expect(digestOf(own(state), made)).toBe(digestOf(state, made));
      }),
      { numRuns: 50 },
    );
  });
  it('goes on from its value', () => {
    const state = folded(events);
    const digest = new Digest();
    digest.update(state, events);
    const middle = digest.hex();
    digest.update(state, events);
    expect(digest.hex()).toBe(digestOf(state, events, middle));
    expect(digest.hex()).not.toBe(middle);
    expect(digest.hex()).toMatch(/^[0-9a-f]{16}$/);
  });
  it('differs when an event has another field, or stands elsewhere', () => {
    fc.assert(
      fc.property(foldableEvents(), fc.nat(), (made, pick) => {
        fc.pre(made.length > 1);
        const state = folded(made);
        const i = pick % made.length;
        const [name, value] = Object.entries(made[i]!).findLast(([field]) => field !== 'type') as [
          string,
          number | string | number[],
        ];
        const other =
          typeof value === 'number' ? value + 1 : typeof value === 'string' ? `${value}x` : [...value, 3, 1];
        const changed = made.with(i, { ...made[i]!, [name]: other });
        expect(digestOf(state, changed)).not.toBe(digestOf(state, made));
      }),
    );
    const state = folded(events);
    expect(digestOf(state, [events[4]!, events[3]!])).not.toBe(digestOf(state, [events[3]!, events[4]!]));
  });
  const all: KernelEvent[] = [
    ...events,
    { type: 'InodeCreated', inode: 1, name: 'a', kind: 0, size: 8192, resident: 0 },
    { type: 'PageCacheAdded', inode: 1, runs: [0, 50, 2], swapbacked: 0, ref: 1, lruCpu: -1 },
    {
      type: 'VmaInserted',
      mm: 1,
      start: 4096,
      end: 8192,
      flags: 3,
      pgoff: 1,
      inode: 1,
      file: 2,
      anonVma: 1,
      chain: [1, 2],
    },
    { type: 'FdInstalled', tgid: 7, fd: 3, inode: 1, flags: 0, file: 0 },
    { type: 'PageWritten', pfn: 5, offset: 1, length: 2, byte: 3 },
    {
      type: 'PtesZapped',
      mm: 1,
      runs: [0x7f1200000, 0, 1, 7],
      special: [],
      mapcount: -1,
      rssFile: 0,
      rssAnon: -1,
      rssShmem: 0,
    },
  ];
  it.each<[string, (state: KernelState) => void]>([
    ['a flag of a page', (s) => (s.memMap[0]![3]!.flags ^= 2)],
    ['a reference', (s) => s.memMap[0]![3]!.ref++],
    ['a mapcount', (s) => s.memMap[0]![3]!.mapcount--],
    ['where a page is mapped from', (s) => (s.memMap[0]![3]!.mapping = 2)],
    ['the index of a page', (s) => (s.memMap[0]![3]!.index += 2 ** 34)],
    ['a batch a page waits in', (s) => (s.memMap[0]![39]!.lruCpu = 1)],
    ['the bytes of a page', (s) => (s.memMap[0]![5]!.content = null)],
    ['the base of a file page', (s) => (s.memMap[0]![50]!.content = { fill: 0, inode: 1, index: 1, runs: [] })],
    ['an entry', (s) => setPte(s.mms[1]!, 0x7f1200003, 9)],
    ['an rss counter', (s) => s.mms[1]!.rss[1]!++],
    ['the gather', (s) => s.mms[1]!.gather.push(3)],
    ['a task', (s) => s.tasks[7]!.minFlt++],
    ['a VMA', (s) => (s.mms[1]!.vmas[0]!.flags = 1)],
    ['the chain of a VMA', (s) => s.mms[1]!.vmas[0]!.chain.pop()],
    ['an anon_vma', (s) => s.anonVmas[1]!.links++],
    ['an inode', (s) => (s.inodes[1]!.size = 1)],
    ['a slot of the page cache', (s) => (s.inodes[1]!.pages[0]![1] = 9)],
    ['a batch', (s) => s.cpus[0]!.lruAdd.push(3)],
    ['the free list', (s) => (s.freeHead = 3)],
    ['the commit charge', (s) => s.committed++],
    ['a descriptor', (s) => (s.files[7]![3]!.flags = 1)],
    ['the position of an open file', (s) => (s.positions[0] = 9)],
    ['the name of an inode', (s) => (s.inodeByName['a'] = 2)],
    ['that an address space is gone', (s) => (s.mms[1] = null)],
  ])('tells %s', (_, change) => {
    const state = folded(all);
    const before = digestOf(state, all);
    change(state);
    expect(digestOf(state, all)).not.toBe(before);
  });
  it.each<[string, (state: KernelState) => object]>([
    ['a page', (s) => s.memMap[0]![5]!],
    ['an address space', (s) => s.mms[1]!],
    ['a task', (s) => s.tasks[7]!],
    ['a VMA', (s) => s.mms[1]!.vmas[0]!],
    ['an anon_vma', (s) => s.anonVmas[1]!],
    ['an inode', (s) => s.inodes[1]!],
    ['a CPU', (s) => s.cpus[0]!],
    ['a descriptor', (s) => s.files[7]![3]!],
  ])('takes every field of %s', (_, of) => {
    const state = folded(all);
    const fields = of(state) as Record<string, unknown>;
    const before = digestOf(state, all);
    for (const [name, value] of Object.entries(fields)) {
      if (typeof value === 'number') fields[name] = value + 1;
      else if (typeof value === 'string') fields[name] = `${value}x`;
      else fields[name] = name === 'content' ? null : [...(value as unknown[]), 1];
      expect(digestOf(state, all), name).not.toBe(before);
      fields[name] = value;
    }
  });
  it.each(EVENT_TYPES)('is the same for %s where code cannot be made from the catalogue', (type) => {
    const general = takerOf(type, true);
    const compiled = takerOf(type);
    fc.assert(
      fc.property(foldableEvents(6, [type]), (made) => {
        const state = folded(made);
        const [a, b] = [general, compiled].map((taker) => {
          const hash = new Hash64();
          const subjects = new SubjectHash(hash);
          subjects.startBatch(state);
          for (const event of made) if (event.type === type) taker(subjects, event);
          return hash.hex();
        });
        expect(a).toBe(b);
      }),
      { numRuns: 20 },
    );
  });
});
