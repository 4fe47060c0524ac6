// Files in memory: what is accounted of them, when they go, and what of a fallocate that fails stays. The rest is in test/conformance/shmem-*.
import { describe, expect, it } from 'vitest';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import { NotModelledError } from '../../src/lib/errors.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload, ranWell, runWorkload } from '../support/workload.js';

const MEMFD = `1 memfd_create("m", MFD_ALLOW_SEALING) = F
1 ftruncate(F, 4*P) = 0
1 mmap(NULL, 4*P, RW, SH, F, 0) = A
1 store(A, 1, 2*P)
lru_add_drain()
`;

describe('shared anonymous memory', () => {
  it('is charged with its size at once, and given back when nothing maps it', () => {
    const ran = ranWell(`1 mmap(NULL, 16*P, RW, SH|ANON, -1, 0) = A
check meminfo.Committed_AS == 64
1 store(A, 1, 2*P)
check meminfo.Committed_AS == 64
1 fork() = 2
1 munmap(A, 16*P) = 0
check meminfo.Committed_AS == 64
2 exit_group(0)
check meminfo.Committed_AS == 0
`);
    expect(ran.count('ShmemInodeEvicted')).toBe(1);
  });
  it('pays for each page with MAP_NORESERVE', () => {
    ranWell(`1 mmap(NULL, 16*P, RW, SH|ANON|NORESERVE, -1, 0) = A
check meminfo.Committed_AS == 0
1 store(A, 1, 2*P)
check meminfo.Committed_AS == 8
1 madvise(A, P, MADV_REMOVE) = 0
check meminfo.Committed_AS == 4
`);
  });
});

describe('a memfd', () => {
  it('goes with the last descriptor or mapping, whichever that is', () => {
    const closed = `${MEMFD}1 close(F) = 0\n`;
    expect(ranWell(closed).count('ShmemInodeEvicted')).toBe(0);
    const gone = ranWell(`${closed}1 munmap(A, 4*P) = 0\n`);
    expect(gone.count('ShmemInodeEvicted')).toBe(1);
    expect(gone.run.view.committed).toBe(0);
    expect(ranWell(`${MEMFD}1 munmap(A, 4*P) = 0\n1 dup(F) = G\n1 close(F) = 0\n`).count('ShmemInodeEvicted')).toBe(0);
    expect(ranWell(`${MEMFD}1 fork() = 2\n1 exit_group(0)\n`).count('ShmemInodeEvicted')).toBe(0);
    expect(ranWell(`${MEMFD}1 fork() = 2\n2 exit_group(0)\n1 exit_group(0)\n`).count('ShmemInodeEvicted')).toBe(1);
  });
  it('gives back its pages when it goes, and a page that a pipe still has when the pipe does', () => {
    const held = ranWell(`${MEMFD}1 pipe2(0) = [R, W]
1 vmsplice(W, [{iov_base=A, iov_len=P}], 1, 0) = 4096
1 munmap(A, 4*P) = 0
1 close(F) = 0
`);
    expect(held.run.view.shmem).toEqual({});
    const free = (ran: typeof held): number =>
      ran.run.view.memMap.flat().filter(({ flags }) => (flags & 32) !== 0).length;
    const later = ranWell(`${MEMFD}1 pipe2(0) = [R, W]
1 vmsplice(W, [{iov_base=A, iov_len=P}], 1, 0) = 4096
1 munmap(A, 4*P) = 0
1 close(F) = 0
1 close(R) = 0
1 close(W) = 0
`);
    expect(free(later)).toBe(free(held) + 1);
  });
  it('is what huge pages and sealing need to be told: hugetlb is named', () => {
    expect(() => runWorkload('1 memfd_create("m", MFD_HUGETLB)\n')).toThrow(NotModelledError);
  });
});

describe('in a recording', () => {
  it('nothing is accounted: what others do to a file is not known', () => {
    const text =
      '1 memfd_create("m", 0) = 3\n1 mmap(NULL, 4096, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n1 fcntl(3, F_GET_SEALS) = 1\n';
    const ran = runWorkload(text, { recorded: true });
    expect(ran.count('InodeCreated')).toBe(2);
    expect(ran.count('ShmemInodeInitialised')).toBe(0);
  });
});

describe('F_SEAL_EXEC', () => {
  it('brought in seals behind a mapping that writes, until that was mended', () => {
    const text = `${MEMFD}1 fcntl(F, F_ADD_SEALS, F_SEAL_EXEC)\n`;
    const rules = (behaviours: ReturnType<typeof behavioursOf>): string[] =>
      auditOf(runOperations(parseWorkload(text), behaviours)).map(({ invariant }) => invariant);
    const today = behavioursOf('6.18');
    expect(rules(today)).toEqual([]);
    expect(rules(withBehaviours(today, [], ['seal-exec-checks-mappings']))).toEqual(['seal-holds']);
  });
});
