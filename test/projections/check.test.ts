import { describe, expect, it } from 'vitest';
import { parseExpression } from '../../projections/query/parse.js';
import { runWorkload } from '../support/workload.js';

const FORKED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 0x2000)
1 fork() = 2
`;
const failed = (checks: string): readonly string[] => runWorkload(`${FORKED}${checks}\n`).failed;

describe('check', () => {
  it('holds for what is so', () => {
    expect(
      failed(`check page(1, A).mapcount == 2
check page(1, A).frame == page(2, A).frame and not page(A).anon_exclusive
check page(2, A+P).content == "0x11"
check mm(1).rss_anon == 2 and mm(2).rss_anon == 2
check vma(1, A).perms == "rw-p" and vma(1, A).end - vma(1, A).start == 2*P
check vma(1, A+2*P) == none
check page(1, A+2*P).present == false and page(1, A+2*P).mapcount == none
check task(1).min_flt >= 2 or false
check meminfo.Committed_AS == 16`),
    ).toEqual([]);
  });
  it('fails for what is not, and tells what is', () => {
    expect(failed('check page(1, A).mapcount == 1')).toEqual(['5: check page(1, A).mapcount == 1 gave 2, not true']);
    expect(failed('check page(1, A).anon_exclusive')).toEqual([
      '5: check page(1, A).anon_exclusive gave false, not true',
    ]);
  });
  it('refuses what cannot be asked, with the column', () => {
    expect(() => failed('check page(1, A).colour')).toThrow(/has no field 'colour'/);
    expect(() => failed('check page(9, A).mapcount')).toThrow(/no task 9/);
    expect(() => failed('check mm(1).rss_anon ==')).toThrow(/a value was expected, not the end/);
    expect(() => failed('check meminfo.AnonPages == 0')).toThrow(/not modelled: meminfo.AnonPages/);
    expect(() => failed('check uffd(3).features')).toThrow(/descriptor 3 of task 1/);
  });
  it('binds as one expects: not over comparisons, and over or, * over +', () => {
    expect(parseExpression('not 1 == 2')).toEqual(parseExpression('not (1 == 2)'));
    expect(parseExpression('1 or 0 and 0')).toEqual(parseExpression('1 or (0 and 0)'));
    expect(parseExpression('1 + 2 * 3 == 7')).toEqual(parseExpression('(1 + (2 * 3)) == 7'));
  });
});
