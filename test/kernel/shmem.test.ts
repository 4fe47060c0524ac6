// Files in memory: what is accounted of them, when they go, and what of a fallocate that fails stays. The rest is in test/conformance/shmem-*.
import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { PG_NOT_UPTODATE, pageAt } from '../../reducers/state.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Sgp } from '../../src/kernel/shmem.js';
import { shmemGetFolio } from '../../src/kernel/shmem.js';
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

describe('shmem_get_folio()', () => {
  // Pages 0 to 3: filled, swapped out, made by fallocate, a hole; page 4 is behind the end.
  const MIXED = `1 memfd_create("m", 0) = 3
1 ftruncate(3, 4*P) = 0
1 mmap(NULL, 4*P, RW, SH, 3, 0) = A
1 store(A, 1, 2*P)
1 madvise(A+P, P, MADV_PAGEOUT) = 0
1 fallocate(3, 0, 2*P, P) = 0
`;
  const EINVAL = -22;
  const ENOENT = -2;
  const CASES: readonly (readonly [Sgp, readonly string[]])[] = [
    ['read', ['page', 'page, swapped in', '0', '0', `${EINVAL}`]],
    ['noalloc', ['page', 'page, swapped in', 'page, filled', `${ENOENT}`, `${EINVAL}`]],
    ['cache', ['page', 'page, swapped in', 'page, filled', 'page, new', `${EINVAL}`]],
    ['write', ['page', 'page, swapped in', 'page, unfilled', 'page, new', 'page, new']],
    ['falloc', ['page', 'page, swapped in', 'page, filled', 'page, new, unfilled', 'page, new, unfilled']],
  ];
  it.each(CASES)('gives for %s what each kind of page is to it', (sgp, expected) => {
    const found = expected.map((_, index) => {
      const { run } = runWorkload(MIXED);
      const cached = run.view.shmem[1]!.nrpages;
      const swapped = run.view.shmem[1]!.swapped;
      const unfilled = (): number =>
        run.view.memMap.flat().filter(({ flags }) => (flags & PG_NOT_UPTODATE) !== 0).length;
      const before = unfilled();
      const got = shmemGetFolio(run, 1, index, sgp, 0);
      expect(accountingErrors(run.view).filter(({ counter }) => counter !== 'ref')).toEqual([]);
      if (typeof got === 'number') return String(got);
      const is = (what: string, held: boolean): string => (held ? `, ${what}` : '');
      const now = run.view.shmem[1]!;
      const page = pageAt(run.view, got.pfn);
      const notYet = (page.flags & PG_NOT_UPTODATE) !== 0;
      return `page${is('swapped in', now.swapped < swapped)}${is('new', now.swapped === swapped && now.nrpages > cached)}${is('filled', unfilled() < before)}${is('unfilled', notYet)}`;
    });
    expect(found).toEqual(expected);
  });
});

describe('tmpfs', () => {
  const FILE = `1 mount("tmpfs", "t", "tmpfs", 0, "size=8k,mode=700,huge=never") = 0
1 openat(AT_FDCWD, "t/f", O_RDWR|O_CREAT, 0600) = 3
`;
  it('keeps a file that has a name, with its blocks', () => {
    const ran = ranWell(`${FILE}1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = B
1 store(B, 1)
1 pwrite64(3, B, P, 0) = 4096
1 close(3) = 0
1 openat(AT_FDCWD, "t/f", O_RDWR) = 3
1 pread64(3, B, 1, 0) = 1
1 load(B) = 1
check sb(3).max_blocks == 2 and sb(3).used_blocks == 1
1 openat(AT_FDCWD, "t/f", O_RDWR|O_TRUNC) = 4
check sb(3).free_blocks == 2
`);
    expect(ran.count('ShmemInodeEvicted')).toBe(0);
  });
  it.each([
    ['no size', 'mode=700', 'tmpfs without a size'],
    ['a share of memory', 'size=50%', 'tmpfs with a share of all memory'],
    ['other options', 'size=8k,nr_inodes=3', 'tmpfs with nr_inodes=3'],
  ])('with %s is named', (_what, options, error) => {
    expect(() => runWorkload(`1 mount("tmpfs", "t", "tmpfs", 0, "${options}")\n`)).toThrow(error);
  });
  it('refuses a size that is none, and other file systems are named', () => {
    ranWell('1 mount("tmpfs", "t", "tmpfs", 0, "size=x") = -1 EINVAL\n');
    ranWell('1 mount("tmpfs", "t", "tmpfs", 0, "size=8k,huge=mostly") = -1 EINVAL\n');
    expect(() => runWorkload('1 mount("/dev/a", "t", "ext4", 0, "")\n')).toThrow('mount of ext4');
    expect(() => runWorkload(`${FILE}1 openat(AT_FDCWD, "t/d/f", O_RDWR)\n`)).toThrow('folders in tmpfs');
    expect(() => runWorkload(`${FILE}1 mount("tmpfs", "t", "tmpfs", 0, "size=8k")\n`)).toThrow('two mounts');
  });
});

describe('large folios of files in memory', () => {
  const MEMFD = `1 memfd_create("m", 0) = F
1 ftruncate(F, 2*H) = 0
1 mmap(0x100000000000, 2*H, RW, SH|FIXED, F, 0) = A
`;
  const enabled = (value: string): string => `sysfs("transparent_hugepage/shmem_enabled", "${value}")\n`;
  it.each([
    ['always', 512],
    ['force', 512],
    ['within_size', 512],
    ['advise', 1],
    ['never', 1],
    ['deny', 1],
  ])('come with shmem_enabled %s', (value, pages) => {
    ranWell(`${enabled(value)}${MEMFD}1 load(A) = 0\ncheck inode(F).nrpages == ${pages}\n`);
  });
  it('come with advice, and not against it', () => {
    ranWell(`${enabled('advise')}${MEMFD}1 madvise(A, H, MADV_HUGEPAGE) = 0
1 load(A) = 0
1 load(A+H) = 0
check page(1, A).level == "pmd" and page(1, A+H).order == 0
`);
    ranWell(`${enabled('always')}${MEMFD}1 madvise(A, H, MADV_NOHUGEPAGE) = 0
1 load(A) = 0
check page(1, A).order == 0
1 pread64(F, A, 1, H) = 1
1 load(A+H) = 0
check page(1, A+H).level == "pmd"
`);
  });
  it('are refused where force would decide their sizes', () => {
    const small = 'sysfs("transparent_hugepage/hugepages-64kB/shmem_enabled", "inherit")\n';
    expect(() => runWorkload(small + enabled('force'))).toThrow('which the kernel refuses');
    expect(() => runWorkload(enabled('force') + small)).toThrow('which the kernel refuses');
  });
  it('stand nowhere but where they are aligned in file and address space', () => {
    const ran = ranWell(`${enabled('always')}1 memfd_create("m", 0) = F
1 ftruncate(F, 2*H) = 0
1 mmap(0x100000001000, 2*H, RW, SH|FIXED, F, 0) = A
1 store(A, 7)
check page(1, A).order == 0
`);
    expect(ran.count('FilePmdMapped')).toBe(0);
  });
  it('are zeroed around what a write brings, and left unfilled by fallocate', () => {
    const ran = ranWell(`${enabled('always')}${MEMFD}1 fallocate(F, 0, 0, H) = 0
1 load(A+5*P) = 0
check page(1, A).level == "pmd" and inode(F).blocks == 4096
`);
    expect(ran.count('FolioUptodateSet')).toBe(2);
  });
  it.each([
    ['a swap area', '1 store(A, 1)\n1 madvise(A, H, MADV_PAGEOUT)', 'large folios of shared memory in a swap area'],
    ['migration', '1 migrate(A, P)', 'migration of large folios of files'],
    ['a place', '1 mmap(NULL, H, RW, SH|ANON, -1, 0)', 'the place of a mapping of a file in memory'],
    ['pages behind the end', '1 fallocate(F, 1, 2*H, H)', 'behind the end of a file that may have large folios'],
  ])('name %s, which is not modelled', (_what, line, error) => {
    const area = 'swapon("block")\n';
    expect(() => runWorkload(`${area}${enabled('always')}${MEMFD}1 load(A) = 0\n${line}\n`)).toThrow(error);
  });
});
