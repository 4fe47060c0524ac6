import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { runWorkload } from '../support/workload.js';

const SHARED = `
1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 0x11, 0x4000)
1 fork() = 2
`;

describe('a private page after fork', () => {
  it('is shared, write-protected and no longer exclusive', () => {
    const ran = runWorkload(SHARED);
    const a = ran.addr('A');
    expect(ran.pfn(1, a)).toBe(ran.pfn(2, a));
    expect(ran.page(1, a)).toMatchObject({ mapcount: 2 });
    expect(ran.exclusive(1, a)).toBe(false);
    expect(accountingErrors(ran.run.view)).toEqual([]);
  });
  it('is copied for the writer while the other maps it, and each reads its own bytes', () => {
    const ran = runWorkload(`${SHARED}
1 store(A, 0x22)
1 load(A) = 0x22
2 load(A) = 0x11
2 store(A, 0x33)
1 load(A) = 0x22
2 load(A) = 0x33
`);
    expect(ran.failed).toEqual([]);
    const a = ran.addr('A');
    expect(ran.pfn(1, a)).not.toBe(ran.pfn(2, a));
    expect([ran.exclusive(1, a), ran.exclusive(2, a)]).toEqual([true, true]);
    expect(accountingErrors(ran.run.view)).toEqual([]);
  });
});
