// What the running kernel cannot be asked about collapse: older kernels, what is refused by name, what no kernel does.
import { describe, expect, it } from 'vitest';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const MAP = '1 mmap(0x10000000000, 0x400000, RW, PRIV|ANON|FIXED, -1, 0) = A\n';
const COLLAPSE = '1 madvise(A, 0x200000, MADV_COLLAPSE)';
const NOW = behavioursOf('6.18');

/** Expectations that were not met. */
function wrong(text: string, behaviours: Behaviours = NOW): readonly string[] {
  return runOperations(parseWorkload(text), behaviours).run.mismatches.map(({ expected, got }) => `${expected} ${got}`);
}
const types = (text: string, behaviours: Behaviours = NOW): readonly string[] =>
  runOperations(parseWorkload(text), behaviours).events.map(({ type }) => type);

describe('MADV_COLLAPSE', () => {
  it('is an advice since 6.1', () => {
    const text = `${MAP}1 store(A, 1)\n${COLLAPSE}`;
    expect(wrong(`${text} = -1 EINVAL`, behavioursOf('6.0'))).toEqual([]);
    expect(wrong(`${text} = 0`, behavioursOf('6.1'))).toEqual([]);
  });
  it('wants a writable entry up to 6.17', () => {
    const text = `${MAP}1 store(A, 1)\n1 fork() = 2\n${COLLAPSE}`;
    expect(wrong(`${text} = -1 EINVAL\n1 store(A, 2)\n${COLLAPSE} = 0`, behavioursOf('6.17'))).toEqual([]);
    expect(wrong(`${text} = 0`)).toEqual([]);
  });
  it('takes shared memory, but no file of a disk, and no block that is too small', () => {
    const shared = (bytes: number): string => `1 mmap(0x10000000000, ${bytes}, RW, MAP_SHARED|ANON|FIXED, -1, 0) = A\n`;
    expect(wrong(`${shared(0x200000)}1 store(A, 1)\n${COLLAPSE} = 0\ncheck page(1, A).level == "pmd"`)).toEqual([]);
    expect(wrong(`${shared(0x100000)}1 madvise(A, 0x100000, MADV_COLLAPSE) = -1 EINVAL`)).toEqual([]);
    const file = `inode("/data", 0, 2097152, 1)
1 openat(AT_FDCWD, "/data", O_RDONLY) = F
1 mmap(0x10000000000, H, PROT_READ, PRIV|FIXED, F, 0) = A
`;
    expect(wrong(`${file}1 madvise(A, H, MADV_COLLAPSE) = -1 EINVAL`)).toEqual([]);
  });
  it('fills holes that a userfaultfd watches up to 6.3', () => {
    const text = `1 memfd_create("m", 0) = F
1 ftruncate(F, H) = 0
1 mmap(0x10000000000, H, RW, SH|FIXED, F, 0) = A
1 mmap(0x10000800000, H, RW, SH|FIXED, F, 0) = B
1 store(B, 1)
1 userfaultfd(O_CLOEXEC) = U
1 ioctl(U, UFFDIO_API, {api=0xaa, features=0}) = 0
1 ioctl(U, UFFDIO_REGISTER, {range={start=A, len=H}, mode=UFFDIO_REGISTER_MODE_MISSING}) = 0
1 madvise(B, H, MADV_COLLAPSE)`;
    expect(wrong(`${text} = -1 EBUSY`)).toEqual([]);
    expect(wrong(`${text} = 0`, withBehaviours(NOW, [], ['collapse-respects-uffd-missing']))).toEqual([]);
  });
  it('is not asked for by khugepaged where it may not know of the address space', () => {
    const text = `sysfs("transparent_hugepage/shmem_enabled", "advise")
1 mmap(0x10000000000, H, RW, SH|ANON|FIXED, -1, 0) = A
1 store(A, 1)
1 madvise(A, H, MADV_HUGEPAGE) = 0
khugepaged_scan()`;
    expect(() => wrong(text)).toThrow('khugepaged in an address space that it may not have heard of');
  });
  it('gives the huge page back that it could not use', () => {
    const text = `${MAP}1 store(A, 1, 0x2000)\n1 madvise(A+P, P, MADV_GUARD_INSTALL)\n${COLLAPSE} = -1 EINVAL`;
    expect(wrong(text)).toEqual([]);
    const { run } = runOperations(parseWorkload(text), NOW);
    expect(Object.keys(run.view.largeFolios)).toEqual([]);
  });
});

describe('khugepaged_scan()', () => {
  const wanted = `${MAP}1 store(A, 1)\n1 madvise(A, 0x200000, MADV_HUGEPAGE)\n`;
  it('collapses what asks for huge pages, and nothing else', () => {
    expect(types(`${wanted}khugepaged_scan()`)).toContain('HugePageCollapsed');
    expect(types(`${MAP}1 store(A, 1)\nkhugepaged_scan()`)).not.toContain('HugePageCollapsed');
  });
  it('goes by sysfs', () => {
    const always = `sysfs("transparent_hugepage/enabled", "always")\n${MAP}1 madvise(A, 0x400000, MADV_NOHUGEPAGE)\n1 store(A, 1)\n`;
    expect(types(`${always}1 madvise(A, 0x200000, MADV_HUGEPAGE)\nkhugepaged_scan()`)).toContain('HugePageCollapsed');
    expect(types(`${always}khugepaged_scan()`)).not.toContain('HugePageCollapsed');
    const never = `sysfs("transparent_hugepage/enabled", "never")\n${wanted}khugepaged_scan()`;
    expect(types(never)).not.toContain('HugePageCollapsed');
  });
  it('leaves a block without any page alone, and one with few pages beside swapped ones', () => {
    const empty = `${MAP}1 store(A, 1)\n1 madvise(A, P, MADV_DONTNEED)\n1 load(A)\n1 madvise(A, 0x200000, MADV_HUGEPAGE)\n`;
    expect(types(`${empty}khugepaged_scan()`)).not.toContain('HugePageCollapsed');
    const swapped = (pages: number): string =>
      `${MAP}1 store(A, 1, ${pages}*P)\n1 madvise(A, P, MADV_PAGEOUT)\n1 madvise(A, 0x200000, MADV_HUGEPAGE)\nkhugepaged_scan()`;
    expect(types(swapped(256))).not.toContain('HugePageCollapsed');
    expect(types(swapped(257))).toContain('HugePageCollapsed');
  });
  it('is refused by name where a child may have used none of what fork gave it', () => {
    const forked = `${wanted}1 fork() = 2\n1 exit_group(0)\n`;
    expect(() => types(`${forked}khugepaged_scan()`)).toThrow('not modelled');
    expect(types(`${forked}2 store(A, 2)\nkhugepaged_scan()`)).toContain('HugePageCollapsed');
  });
  it('and where all that is there was given up by MADV_FREE', () => {
    const given = `${wanted}lru_add_drain()\n1 madvise(A, 0x200000, MADV_FREE)\n`;
    expect(() => types(`${given}khugepaged_scan()`)).toThrow('not modelled');
    expect(types(`${given}1 store(A+0x5000, 2)\nkhugepaged_scan()`)).toContain('HugePageCollapsed');
  });
});

describe('collapse in place', () => {
  const careful = withBehaviours(NOW, ['collapse-in-place-minds-exclusive'], []);
  const split = `${MAP}1 madvise(A, 0x200000, MADV_HUGEPAGE)\n1 store(A, 1)\n1 mprotect(A+P, P, PROT_READ)\n1 mprotect(A+P, P, RW)\n`;
  it('takes only a whole huge page in its place', () => {
    expect(types(split + COLLAPSE, careful)).toContain('PmdCollapsedInPlace');
    const holed = `${split}1 madvise(A+P, P, MADV_DONTNEED)\n${COLLAPSE}`;
    expect(types(holed, careful)).toContain('HugePageCollapsed');
    expect(types(split + COLLAPSE)).toContain('HugePageCollapsed');
  });
  it('refuses a huge page of which only some pages are exclusive', () => {
    const half = `${split}1 madvise(A, 0x100000, MADV_DONTFORK)\n1 fork() = 2\n1 madvise(A, 0x100000, MADV_DOFORK)\n${COLLAPSE} = -1 EINVAL`;
    expect(wrong(half, careful)).toEqual([]);
    expect(types(half, careful)).not.toContain('PmdCollapsedInPlace');
  });
});
