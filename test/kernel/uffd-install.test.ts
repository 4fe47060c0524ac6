// The install step of userfaultfd through the years: what COPY and CONTINUE make of an entry, and of the page, in each kind of mapping.
import { describe, expect, it } from 'vitest';
import { PTE_DIRTY, PTE_UFFD_WP, PTE_WRITE, pteAt, ptePfn } from '../../reducers/pte.js';
import { PG_ANON, PG_DIRTY, mmAt, pageAt } from '../../reducers/state.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

/** Mapping, rights and mode; the page of the file behind it is clean, if there is one. */
interface Case {
  readonly name: string;
  readonly flags: string;
  readonly prot: string;
  readonly fill: string;
}
const CASES: readonly Case[] = [
  { name: 'copy, anonymous', flags: 'PRIV|ANON', prot: 'RW', fill: 'COPY' },
  { name: 'copy, anonymous, read-only', flags: 'PRIV|ANON', prot: 'RO', fill: 'COPY' },
  { name: 'copy, private', flags: 'PRIV', prot: 'RW', fill: 'COPY' },
  { name: 'copy, private, read-only', flags: 'PRIV', prot: 'RO', fill: 'COPY' },
  { name: 'copy, shared', flags: 'SH', prot: 'RW', fill: 'COPY' },
  { name: 'copy, shared, read-only', flags: 'SH', prot: 'RO', fill: 'COPY' },
  { name: 'continue, private', flags: 'PRIV', prot: 'RW', fill: 'CONTINUE' },
  { name: 'continue, shared', flags: 'SH', prot: 'RW', fill: 'CONTINUE' },
  { name: 'continue, shared, read-only', flags: 'SH', prot: 'RO', fill: 'CONTINUE' },
];

/** W: the entry may be written to; d: it is dirty; D: the page itself is; a: it is anonymous. What no kernel of that age does is '-'. */
function installed({ flags, prot, fill }: Case, kernel: string, switches: readonly string[] = []): string {
  const behaviours = withBehaviours(behavioursOf(kernel), switches, []);
  const anonymous = flags.includes('ANON');
  const continues = fill === 'CONTINUE';
  if (continues && !behaviours['uffd-minor-shmem']) return '-';
  const { run } = runOperations(
    parseWorkload(`
1 memfd_create("m", 0) = 3
1 ftruncate(3, P) = 0
1 mmap(0x100070000000, P, RW, PRIV|ANON|FIXED, -1, 0) = S
1 store(S, 0x55)
${continues ? '1 mmap(0x100030000000, P, RO, SH|FIXED, 3, 0) = F\n1 load(F) = 0' : ''}
1 mmap(0x100040000000, P, ${prot}, ${flags}|FIXED, ${anonymous ? '-1' : '3'}, 0) = A
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, A, P, ${continues ? 'MINOR' : 'MISSING'}) = 0
1 ioctl(U, UFFDIO_${fill}, A, ${continues ? '' : 'S, '}P, 0) = 0`),
    behaviours,
  );
  expect(run.mismatches).toEqual([]);
  const entry = pteAt(mmAt(run.view, 1), 0x100040000000 / 4096);
  const page = pageAt(run.view, ptePfn(entry));
  expect(entry & PTE_UFFD_WP).toBe(0);
  return [
    (entry & PTE_WRITE) !== 0 ? 'W' : '',
    (entry & PTE_DIRTY) !== 0 ? 'd' : '',
    (page.flags & PG_DIRTY) !== 0 ? 'D' : '',
    (page.flags & PG_ANON) !== 0 ? 'a' : '',
  ].join('');
}

const POSTED = ['uffd-install-asks-vma'];

describe('the install step', () => {
  it.each([
    // Two functions: that of shared memory marks the page where the entry cannot be dirty.
    ['5.13', [], ['Wda', 'da', 'Wda', 'da', 'Wd', 'D', '-', '-', '-']],
    // A copy in a private mapping is taken for the file's; its page would be dropped as clean.
    ['5.14', POSTED, ['Wda', 'da', '', '', 'Wd', 'D', '', 'Wd', 'D']],
    ['5.14', [], ['Wda', 'da', 'Wda', 'da', 'WdD', 'D', '', 'Wd', '']],
    // CVE-2022-2590 comes of the seventh.
    ['5.16', [], ['Wda', 'da', 'Wda', 'da', 'Wd', 'd', 'd', 'Wd', 'd']],
    ['6.18', [], ['Wda', 'da', 'Wda', 'da', 'Wd', 'd', 'd', 'Wd', 'd']],
  ])('of %s %j', (kernel, switches, expected) => {
    const found = CASES.map((each) => [each.name, installed(each, kernel, switches)]);
    expect(found).toEqual(CASES.map(({ name }, i) => [name, expected[i]]));
  });
});
