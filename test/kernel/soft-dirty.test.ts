// Soft-dirty tracking: what clear_refs takes, and what sets it again or keeps it. No kernel that was measured has it; the rules are those of 6.12's source.
import { describe, expect, it } from 'vitest';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const TRACKED = withBehaviours(behavioursOf('6.18'), ['soft-dirty'], []);

/** Runs a workload with tracking on: all its expectations hold, and no invariant is broken. */
function holds(text: string, behaviours = TRACKED): void {
  const ran = runOperations(parseWorkload(`# folioscope workload\n${text}`), behaviours);
  expect(ran.run.mismatches.map(({ line, got }) => [line, got])).toEqual([]);
  expect(auditOf(ran, behaviours)).toEqual([]);
}

const MAPPED = '1 mmap(NULL, 4*P, RW, PRIV|ANON, -1, 0) = A';
const SHARED = `1 memfd_create("m", 0) = 3
1 ftruncate(3, 4*P) = 0
1 mmap(NULL, 4*P, RW, SH, 3, 0) = A`;
const CLEAR = '1 clear_refs(1, 4) = 1';

describe('clear_refs', () => {
  it('is taken and does nothing where soft-dirty is not configured', () => {
    holds(
      `${MAPPED}
1 store(A, 1)
check not page(1, A).soft_dirty
${CLEAR}
check page(1, A).writable and not page(1, A).soft_dirty`,
      behavioursOf('6.18'),
    );
  });
  it('write-protects what it clears; the next write faults and sets it', () => {
    holds(`${MAPPED}
1 store(A, 1)
1 store(A+P, 1)
${CLEAR}
check not page(1, A).writable and page(1, A).dirty and not page(1, A).soft_dirty
check not page(1, A+P).soft_dirty
1 load(A) = 1
check not page(1, A).soft_dirty
1 store(A, 2)
check page(1, A).writable and page(1, A).soft_dirty and page(1, A).anon_exclusive
check not page(1, A+P).soft_dirty and not page(1, A+2*P).soft_dirty`);
  });
  it('clears the address space of another task', () => {
    holds(`${MAPPED}
1 store(A, 1)
1 fork() = 2
1 clear_refs(2, 4) = 1
check page(1, A).soft_dirty and not page(2, A).soft_dirty`);
  });
  it('refuses other numbers than 1 to 5, and tasks that are not there', () => {
    holds(`1 clear_refs(1, 0) = EINVAL
1 clear_refs(1, 6) = EINVAL
1 clear_refs(9, 4) = ENOENT`);
  });
  it.each([1, 2, 3, 5])('is not modelled with %d', (type) => {
    expect(() => holds(`1 clear_refs(1, ${type})`)).toThrow(`clear_refs with ${type}`);
  });
  it('leaves a page alone that may be pinned, since 5.11', () => {
    const pinned = `${MAPPED}
1 store(A, 1)
1 pin(A, P, FOLL_PIN|FOLL_WRITE|FOLL_LONGTERM) = D
${CLEAR}`;
    holds(`${pinned}
check page(1, A).writable and page(1, A).soft_dirty`);
    holds(
      `${pinned}
check not page(1, A).writable and not page(1, A).soft_dirty`,
      withBehaviours(TRACKED, [], ['clear-refs-skips-pinned']),
    );
  });
  it('loses a pin in 5.10, which counts references when the page is written to', () => {
    const text = `# folioscope workload
${MAPPED}
1 store(A, 1)
1 pin(A, P, FOLL_PIN|FOLL_WRITE|FOLL_LONGTERM) = D
${CLEAR}
1 store(A, 2)
1 pin_load(D, 0) = 2`;
    const lost = (version: string): readonly string[] => {
      const behaviours = withBehaviours(behavioursOf(version), ['soft-dirty'], []);
      return auditOf(runOperations(parseWorkload(text), behaviours), behaviours).map(({ invariant }) => invariant);
    };
    expect(lost('5.10')).toEqual(['pin-oracle']);
    expect(lost('5.11')).toEqual([]);
  });
});

describe('what is new counts as written to', () => {
  it('a mapping as a whole, whether a page is there or not', () => {
    holds(`${MAPPED}
check page(1, A).soft_dirty and page(1, A+3*P).soft_dirty
${CLEAR}
check not page(1, A).soft_dirty
1 munmap(A, 4*P) = 0
1 mmap(A, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
check page(1, A).soft_dirty`);
  });
  it('and what it merges with', () => {
    holds(`${MAPPED}
${CLEAR}
1 mmap(A+4*P, P, RW, PRIV|ANON|FIXED, -1, 0)
check vma(1, A).end == A+5*P and page(1, A).soft_dirty`);
  });
  it('the heap as it grows', () => {
    holds(`1 brk(0) = B
1 brk(B+P)
${CLEAR}
check not page(1, B).soft_dirty
1 brk(B+2*P)
check page(1, B).soft_dirty`);
  });
  it('but not the zero page that a read maps where writes are tracked', () => {
    holds(`${MAPPED}
${CLEAR}
1 load(A) = 0
check page(1, A).kind == "zero" and not page(1, A).soft_dirty
1 store(A, 1)
check page(1, A).soft_dirty`);
  });
});

describe('an entry keeps it', () => {
  const written = `${MAPPED}
${CLEAR}
1 store(A, 1)
1 store(A+P, 1)
${CLEAR}
1 store(A, 2)`;
  const CHECK = 'check page(1, A).soft_dirty and not page(1, A+P).soft_dirty';

  it('through fork, on both sides', () => {
    holds(`${written}
1 fork() = 2
${CHECK}
check page(2, A).soft_dirty and not page(2, A+P).soft_dirty
2 store(A+P, 3)
check page(2, A+P).soft_dirty and not page(1, A+P).soft_dirty`);
  });
  it('through fork of a swapped page', () => {
    holds(`${written}
1 lru_add_drain()
1 madvise(A, 2*P, MADV_PAGEOUT) = 0
1 fork() = 2
check page(2, A).kind == "swap" and page(2, A).soft_dirty and not page(2, A+P).soft_dirty`);
  });
  it('through mprotect, which gives no write bit to what is to fault', () => {
    holds(`${written}
1 mprotect(A, 4*P, PROT_READ) = 0
1 mprotect(A, 4*P, PROT_READ|PROT_WRITE) = 0
${CHECK}
check page(1, A).writable and not page(1, A+P).writable`);
  });
  it('through swap: a write brings the page back with it, a read does not, nor a writable entry', () => {
    holds(`${written}
1 store(A+2*P, 1)
${CLEAR}
1 store(A, 3)
1 lru_add_drain()
1 madvise(A, 4*P, MADV_PAGEOUT) = 0
check page(1, A).kind == "swap" and page(1, A).excl_entry
${CHECK}
1 load(A) = 3
1 load(A+P) = 1
1 store(A+2*P, 4)
${CHECK}
check page(1, A).writable and not page(1, A+P).writable
check page(1, A+2*P).soft_dirty and page(1, A+2*P).writable`);
  });
  it('in the swap area until it is cleared there', () => {
    holds(`${written}
1 lru_add_drain()
1 madvise(A, 2*P, MADV_PAGEOUT) = 0
check page(1, A).soft_dirty
${CLEAR}
check page(1, A).kind == "swap" and page(1, A).excl_entry and not page(1, A).soft_dirty
1 load(A) = 2
check not page(1, A).soft_dirty and not page(1, A).writable and page(1, A).anon_exclusive`);
  });
  it('through migration', () => {
    holds(`${written}
1 lru_add_drain()
1 migrate(A, 2*P) = 0
${CHECK}
check page(1, A).writable and not page(1, A+P).writable`);
  });
  it('through MADV_FREE, which takes the dirty bit alone', () => {
    holds(`${written}
1 lru_add_drain()
1 madvise(A, 2*P, MADV_FREE) = 0
${CHECK}`);
  });
  it('in a copy that is taken without a write', () => {
    holds(`${written}
1 fork() = 2
1 fault(A, U)
1 fault(A+P, U)
check page(1, A).mapcount == 1
${CHECK}`);
  });
  it('no longer than the page is there', () => {
    holds(`${written}
1 madvise(A, 2*P, MADV_DONTNEED) = 0
check not page(1, A).soft_dirty`);
  });
  it('not where KSM merged its page', () => {
    holds(`${written}
1 store(A+P, 2)
1 madvise(A, 4*P, MADV_MERGEABLE) = 0
ksm_scan()
check page(1, A).backing == "ksm" and page(1, A).frame == page(1, A+P).frame
check not page(1, A).soft_dirty and page(1, A+P).soft_dirty`);
  });
});

describe('mremap', () => {
  it('marks what it moves entry by entry, also in the swap area', () => {
    holds(`${MAPPED}
1 store(A, 1)
1 store(A+P, 1)
1 lru_add_drain()
1 madvise(A+P, P, MADV_PAGEOUT) = 0
${CLEAR}
1 mremap(A, 2*P, 2*P, MREMAP_MAYMOVE|MREMAP_FIXED, A-16*P) = B
check page(1, B).soft_dirty and page(1, B+P).soft_dirty and page(1, B+P).kind == "swap"
check not page(1, B).writable
1 store(B, 2)`);
  });
  it('marks nothing of a table that it takes over whole', () => {
    holds(`1 mmap(0x10000000, H, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 1)
${CLEAR}
1 mremap(A, H, H, MREMAP_MAYMOVE|MREMAP_FIXED, 0x50000000) = B
check page(1, B).kind == "present" and not page(1, B).soft_dirty`);
  });
  it('leaves guard markers what they are', () => {
    holds(`${MAPPED}
1 madvise(A, P, MADV_GUARD_INSTALL) = 0
${CLEAR}
1 mremap(A, P, P, MREMAP_MAYMOVE|MREMAP_FIXED, A-16*P) = B
check page(1, B).guard and not page(1, B).soft_dirty
1 load(B) = SIGSEGV`);
  });
});

describe('mappings merge whatever their VM_SOFTDIRTY', () => {
  const two = `${MAPPED}
1 mprotect(A, 2*P, PROT_READ) = 0
${CLEAR}
1 mmap(A+2*P, 2*P, RW, PRIV|ANON|FIXED, -1, 0)
check not page(1, A).soft_dirty and page(1, A+2*P).soft_dirty`;

  it('and are then what the one was whose flags changed', () => {
    holds(`${two}
1 mprotect(A, 2*P, PROT_READ|PROT_WRITE) = 0
check vma(1, A).end == A+4*P and not page(1, A+2*P).soft_dirty`);
    holds(`${two}
1 mprotect(A+2*P, 2*P, PROT_READ) = 0
check vma(1, A).end == A+4*P and page(1, A).soft_dirty`);
  });
  it('but for mseal, after which they are what the one was that stays', () => {
    holds(`${MAPPED}
1 mseal(A, 2*P, 0) = 0
${CLEAR}
1 mmap(A+2*P, 2*P, RW, PRIV|ANON|FIXED, -1, 0)
check page(1, A+2*P).soft_dirty
1 mseal(A+2*P, 2*P, 0) = 0
check vma(1, A).end == A+4*P and not page(1, A+2*P).soft_dirty`);
  });
});

describe('shared memory', () => {
  it('is mapped read-only by reads where writes are tracked, and writable where not', () => {
    holds(`${SHARED}
1 load(A) = 0
check page(1, A).writable
${CLEAR}
check not page(1, A).writable
1 store(A, 1)
check page(1, A).writable and page(1, A).soft_dirty and not page(1, A+P).soft_dirty`);
  });
  it('is given no write bit by mprotect then', () => {
    holds(`${SHARED}
1 store(A, 1)
1 store(A+P, 1)
${CLEAR}
1 store(A, 2)
1 mprotect(A, 4*P, PROT_READ) = 0
1 mprotect(A, 4*P, PROT_READ|PROT_WRITE) = 0
check page(1, A).writable and not page(1, A+P).writable`);
  });
});

describe('who writes by force', () => {
  it('sets it, too', () => {
    holds(`${MAPPED}
1 store(A, 1)
1 openat(AT_FDCWD, "/proc/self/mem", O_RDWR) = M
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = B
1 store(B, 7)
1 mprotect(A, P, PROT_READ) = 0
${CLEAR}
1 pwrite64(M, B, 1, A) = 1
check page(1, A).soft_dirty and not page(1, A).writable
1 load(A) = 7`);
  });
});
