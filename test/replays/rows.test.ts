// Tables of numbers in keyframes: a few bytes must not claim to be many rows.
import { describe, expect, it } from 'vitest';
import { MalformedError } from '../../replays/log/columns.js';
import { Stretches, numbersIn, rowsOf } from '../../replays/log/rows.js';

describe('rows of a keyframe', () => {
  it('that are all alike are refused beyond how often they may be', () => {
    expect(() => rowsOf([2 ** 24, 7, 7], 2, 2 ** 24, 'rows')).toThrow(MalformedError);
    expect(rowsOf([3, 7, 7], 2, 2 ** 24, 'rows', 3).n).toBe(3);
    expect(() => numbersIn([2 ** 24, 5], 2 ** 24, 'numbers')).toThrow(MalformedError);
    expect(numbersIn([1, 5], 10, 'numbers')).toEqual([5]);
  });

  it('lists of one number over and over take room only where they are used', () => {
    const list = new Stretches([2 ** 24, 9], 2 ** 24, 'list');
    expect(list.take(3, 'list')).toEqual([9, 9, 9]);
    expect(() => list.take(2 ** 24, 'list')).toThrow(MalformedError);
    expect(() => list.end('list')).toThrow(MalformedError);
    expect(list.take(2 ** 24 - 3, 'list')).toHaveLength(2 ** 24 - 3);
    list.end('list');
  });
});
