// Guard markers on kernels that had less of them than today's. What today's do is in test/conformance/guard-*.
import { describe, expect, it } from 'vitest';
import { ranWell } from '../support/workload.js';

const A = '1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A\n';
const FILE = `
1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x2000) = 0
1 mmap(NULL, 0x2000, RW, SH, 3, 0) = S
1 store(S, 1, 0x2000)
`;

describe('guard markers', () => {
  it('are unknown advice before 6.13', () => {
    ranWell(`${A}1 madvise(A, P, MADV_GUARD_INSTALL) = -1 EINVAL\n1 madvise(A, P, MADV_GUARD_REMOVE) = -1 EINVAL`, {
      kernel: '6.12',
    });
  });
  it('are for anonymous memory that may be written to, before 6.15', () => {
    ranWell(
      `${A}${FILE}
1 madvise(S, P, MADV_GUARD_INSTALL) = -1 EINVAL
1 madvise(S, P, MADV_GUARD_REMOVE) = -1 EINVAL
1 madvise(A, P, MADV_GUARD_INSTALL) = 0
1 load(A) = SIGSEGV`,
      { kernel: '6.14' },
    );
  });
  it('give a mapping of a file an anon_vma to be copied by, before VM_MAYBE_GUARD', () => {
    const ran = ranWell(
      `${FILE}
1 madvise(S, P, MADV_GUARD_INSTALL) = 0
1 fork() = 2
2 load(S) = SIGSEGV`,
      { kernel: '6.17' },
    );
    expect(ran.vmas(2)[0]).toMatchObject({ flags: ran.vmas(1)[0]!.flags });
    expect(ran.vmas(1)[0]!.anonVma).toBeGreaterThan(0);
    const now = ranWell(`${FILE}1 madvise(S, P, MADV_GUARD_INSTALL) = 0`);
    expect(now.vmas(1)[0]!.anonVma).toBe(0);
  });
  it('are set up to the first page that is there, and then anew', () => {
    const ran = ranWell(`${A}1 store(A+P, 1)\n1 madvise(A, 0x2000, MADV_GUARD_INSTALL) = 0`);
    const installed = ran.events.flatMap((event) => (event.type === 'GuardMarkersInstalled' ? [event.runs] : []));
    const vpn = ran.addr('A') / 4096;
    expect(installed).toEqual([
      [vpn, 1],
      [vpn + 1, 1],
    ]);
  });
});
