import { describe, expect, it } from 'vitest';
import { BEHAVIOURS, BEHAVIOUR_NAMES, behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';

const on = (version: string): string[] => BEHAVIOUR_NAMES.filter((name) => behavioursOf(version)[name]);

describe('a kernel version', () => {
  it('has the behaviours that came with it or before', () => {
    expect(on('2.6.26')).toEqual([]);
    expect(on('5.8')).toEqual([]);
    expect(on('5.9')).toEqual(['cow-reuse-by-refcount', 'fork-copies-pinned']);
    expect(on('5.17.3')).toEqual(['cow-reuse-by-refcount', 'fork-copies-pinned']);
    expect(on('5.18')).toEqual(['cow-reuse-by-refcount', 'fork-copies-pinned', 'wp-reuse-drains-lru']);
    expect(on('6.18')).toEqual([...BEHAVIOUR_NAMES]);
  });
  it('must be one that is modelled', () => {
    for (const version of ['2.6.25', '7.0', 'six', '6.19']) expect(() => behavioursOf(version)).toThrow(/kernel/);
  });
  it('is a superset of the one before, in the order of the table', () => {
    const versions = BEHAVIOUR_NAMES.map((name) => BEHAVIOURS[name].since);
    for (const version of versions) for (const name of on(version)) expect(on('6.18')).toContain(name);
  });
});

describe('a behaviour', () => {
  it('turned on brings what it requires', () => {
    const result = withBehaviours(behavioursOf('5.8'), ['mprotect-upgrades-exclusive'], []);
    expect(result).toMatchObject({
      'anon-exclusive': true,
      'cow-reuse-by-refcount': true,
      'wp-reuse-drains-lru': false,
    });
  });
  it('turned off takes along what requires it', () => {
    const result = withBehaviours(behavioursOf('6.18'), [], ['cow-reuse-by-refcount']);
    expect(result).toMatchObject({
      'wp-reuse-drains-lru': false,
      'anon-exclusive': false,
      'mprotect-upgrades-exclusive': false,
      'merge-refuses-fork-child': true,
    });
  });
  it('cannot be unknown, or both on and off', () => {
    expect(() => withBehaviours(behavioursOf('6.18'), ['x'], [])).toThrow(/no behaviour 'x'/);
    expect(() => withBehaviours(behavioursOf('6.18'), ['anon-exclusive'], ['anon-exclusive'])).toThrow(/both/);
  });
});
