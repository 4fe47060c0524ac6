// References to user pages: what get_user_pages() and pin_user_pages() hand out, and what becomes of pages that somebody holds.
import { describe, expect, it } from 'vitest';
import { contentText } from '../../reducers/content.js';
import { pageAt } from '../../reducers/state.js';
import { ranWell, runWorkload } from '../support/workload.js';

const ANON = '1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A';

/** How many references the page at the start of A has, batches emptied. */
const refOf = (text: string): number => {
  const ran = ranWell(`${ANON}\n${text}\nlru_add_drain()`);
  return pageAt(ran.run.view, ran.pfn(1, ran.addr('A'))).ref;
};

describe('a reference', () => {
  it('is one with FOLL_GET, 1024 with FOLL_PIN, and goes', () => {
    expect(refOf('1 store(A, 1)')).toBe(1);
    expect(refOf('1 store(A, 1)\n1 pin(A, P, FOLL_GET)')).toBe(2);
    expect(refOf('1 store(A, 1)\n1 pin(A, P, FOLL_PIN)')).toBe(1025);
    expect(refOf('1 pin(A, P, FOLL_PIN|FOLL_WRITE|FOLL_FAST)')).toBe(1025);
    expect(refOf('1 store(A, 1)\n1 pin(A, P, FOLL_PIN) = D\n1 pin(A, 1, FOLL_GET)\n1 unpin(D)')).toBe(2);
  });
  it('is not had of what the mapping does not allow', () => {
    ranWell(`
${ANON}
1 mprotect(A, P, RO) = 0
1 mprotect(A+0x1000, P, NONE) = 0
1 munmap(A+0x3000, P) = 0
1 pin(A, P, FOLL_PIN|FOLL_WRITE) = EFAULT
1 pin(A+0x1000, P, FOLL_PIN) = EFAULT
1 pin(A+0x2000, 2*P, FOLL_PIN) = EFAULT
1 pin(A, P, FOLL_PIN|FOLL_GET) = EINVAL
1 pin(A, P, FOLL_GET|FOLL_LONGTERM) = EINVAL
1 pin(A, P, FOLL_WRITE) = EINVAL
1 pin(A, P, FOLL_PIN|FOLL_FORCE|FOLL_WRITE) = D
check !page(1, A).writable
check page(1, A).anon_exclusive`);
  });
  it('for writing and for long is not had of a file’s shared mapping, but of shared memory', () => {
    ranWell(`
inode("/data", 0, 4096)
1 openat(AT_FDCWD, "/data", O_RDWR) = 3
1 memfd_create("m", 0) = 4
1 ftruncate(4, 4096) = 0
1 mmap(NULL, P, RW, SH, 3, 0) = F
1 mmap(NULL, P, RW, SH, 4, 0) = S
1 store(F, 1)
1 pin(F, P, FOLL_PIN|FOLL_WRITE|FOLL_LONGTERM) = EFAULT
1 pin(F, P, FOLL_PIN|FOLL_WRITE) = D
1 pin(S, P, FOLL_PIN|FOLL_WRITE|FOLL_LONGTERM) = G
1 pin_store(G, 0, 7)
1 load(S) = 7
1 unpin(D)
1 unpin(G)`);
  });
  it('keeps the page when its mapping goes, and lets it go with the last', () => {
    const ran = ranWell(`
${ANON}
1 store(A, 0x11, P)
1 pin(A, P, FOLL_PIN|FOLL_WRITE) = D
1 madvise(A, P, MADV_DONTNEED) = 0
1 load(A) = 0
1 pin_load(D, 0, P) = 0x11
1 munmap(A, 0x4000) = 0
1 pin_store(D, 8, 0x22)
1 pin_load(D, 8) = 0x22
lru_add_drain()
1 unpin(D)`);
    expect(ran.events.some((event) => event.type === 'HeldPageReleased' && event.freed === 1)).toBe(true);
  });
  it('outlives its process', () => {
    ranWell(`
${ANON}
1 store(A, 0x11)
1 fork() = 2
2 store(A, 0x22)
2 pin(A, P, FOLL_GET) = D
2 exit_group(0)
1 pin_load(D, 0) = 0x22
1 unpin(D)`);
  });
});

describe('fork', () => {
  it('copies each pinned page among others, and shares the rest', () => {
    ranWell(`
${ANON}
1 store(A, 0x11, 0x3000)
1 pin(A+0x1000, P, FOLL_PIN)
1 fork() = 2
check page(1, A).mapcount == 2
check page(1, A+0x1000).mapcount == 1
check page(1, A+0x1000).writable
check page(2, A+0x1000).writable
check page(2, A+0x1000).anon_exclusive
check page(1, A+0x2000).mapcount == 2
2 load(A+0x1000, P) = 0x11
2 store(A+0x1000, 0x22)
1 load(A+0x1000) = 0x11`);
  });
  it('shares what is only referenced, and the next store leaves the reference behind', () => {
    ranWell(`
${ANON}
1 store(A, 0x11)
1 pin(A, P, FOLL_GET) = D
1 fork() = 2
check page(1, A).mapcount == 2
2 exit_group(0)
1 store(A, 0x22)
1 pin_load(D, 0) = 0x11`);
  });
});

describe('a pipe', () => {
  it('gives bytes as they are when they are read: those that it holds by page change, those written to it do not', () => {
    ranWell(`
${ANON}
1 pipe2(0) = [R, W]
1 store(A, 0x11, P)
1 write(W, A, 100) = 100
1 vmsplice(W, [{iov_base=A, iov_len=100}], 1, 0) = 100
1 store(A, 0x22, P)
1 read(R, A+0x1000, 100) = 100
1 load(A+0x1000, 100) = 0x11
1 read(R, A+0x1000, 50) = 50
1 read(R, A+0x1032, 4096) = 50
1 load(A+0x1000, 100) = 0x22`);
  });
  it('holds sixteen buffers', () => {
    ranWell(`
${ANON}
1 pipe2(O_NONBLOCK) = [R, W]
1 read(R, A, 1) = EAGAIN
1 vmsplice(W, [{iov_base=A, iov_len=0x4000}], 1, SPLICE_F_NONBLOCK) = 0x4000
1 vmsplice(W, [{iov_base=A, iov_len=0x4000}], 1, SPLICE_F_NONBLOCK) = 0x4000
1 vmsplice(W, [{iov_base=A, iov_len=0x4000}], 1, SPLICE_F_NONBLOCK) = 0x4000
1 vmsplice(W, [{iov_base=A+0x800, iov_len=0x2000}], 1, SPLICE_F_NONBLOCK) = 0x2000
1 vmsplice(W, [{iov_base=A, iov_len=0x2000}], 1, SPLICE_F_NONBLOCK) = 0x1000
1 vmsplice(W, [{iov_base=A, iov_len=1}], 1, SPLICE_F_NONBLOCK) = EAGAIN
1 vmsplice(R, [{iov_base=A, iov_len=1}], 1, 0) = 1
1 vmsplice(1, [{iov_base=A, iov_len=1}], 1, 0) = EBADF
1 close(R) = 0
1 close(W) = 0`);
  });
  it('that would wait is refused by name; one that nobody reads is an error', () => {
    expect(() => runWorkload(`${ANON}\n1 pipe2(0) = [R, W]\n1 read(R, A, 1)`)).toThrow(
      'not modelled: read that waits for the other end of a pipe',
    );
    ranWell(`${ANON}\n1 pipe2(0) = [R, W]\n1 close(R)\n1 write(W, A, 1) = EPIPE`);
  });
});

describe('the callers', () => {
  it('process_vm_readv gets a copy where a page may be shared; process_vm_writev breaks COW', () => {
    ranWell(`
${ANON}
1 store(A, 0x11, 0x2000)
1 fork() = 2
2 process_vm_readv(1, [{iov_base=A+0x2000, iov_len=5000}], 1, [{iov_base=A, iov_len=8192}], 1, 0) = 5000
check page(1, A).anon_exclusive
check !page(1, A).writable
2 load(A+0x2000, 5000) = 0x11
2 process_vm_writev(1, [{iov_base=A+0x2000, iov_len=10}], 1, [{iov_base=A+0x1ffb, iov_len=10}], 1, 0) = 10
1 load(A+0x1ffb, 5) = 0x11
1 load(A+0x2000, 5) = 0x11
2 load(A+0x1fff) = 0x11
2 process_vm_readv(1, [{iov_base=A, iov_len=1}], 1, [{iov_base=0x1000, iov_len=1}], 1, 0) = EFAULT
2 process_vm_readv(9, [{iov_base=A, iov_len=1}], 1, [{iov_base=A, iov_len=1}], 1, 0) = ESRCH
2 process_vm_readv(1, [{iov_base=A, iov_len=1}], 1, [{iov_base=A, iov_len=1}], 1, 1) = EINVAL`);
  });
  it('/proc/self/mem makes a stack grow to where it reads', () => {
    const ran = ranWell(`
1 mmap(0x100000200000, 0x1000, RW, PRIV|ANON|FIXED|MAP_GROWSDOWN, -1, 0) = A
1 mmap(0x100000400000, 0x1000, RW, PRIV|ANON|FIXED, -1, 0) = BUF
1 openat(AT_FDCWD, "/proc/self/mem", O_RDWR) = M
1 pread64(M, BUF, 1, A-0x3000) = 1`);
    expect(ran.mm(1).vmas[0]).toMatchObject({ start: 0x1000001fd000, end: 0x100000201000 });
  });
  it('/proc/self/mem writes to what may not be written, privately', () => {
    ranWell(`
inode("/data", 0, 4096)
1 openat(AT_FDCWD, "/data", O_RDONLY) = 3
1 mmap(NULL, P, RO, PRIV, 3, 0) = F
${ANON}
1 store(A, 0x11)
1 openat(AT_FDCWD, "/proc/self/mem", O_RDWR) = M
1 pwrite64(M, A, 1, F) = 1
check page(1, F).backing == "anon"
check !page(1, F).writable
check page(1, F).dirty
1 load(F) = 0x11
1 pread64(M, A+1, 1, F) = 1
1 pread64(M, A+1, 1, 0x1000) = EIO`);
  });
  it('ptrace reads and writes a word of another process by force, as far as it can', () => {
    const ran = ranWell(`
${ANON}
1 store(A, 0x11, 0x2000)
1 fork() = 2
2 mprotect(A, 0x1000, PROT_READ) = 0
1 ptrace(PTRACE_POKEDATA, 2, A, 0x2233) = 0
check !page(2, A).writable
check page(2, A).dirty
check page(2, A).anon_exclusive
2 load(A) = 0x33
2 load(A+1) = 0x22
2 load(A+2, 6) = 0
2 load(A+8) = 0x11
1 load(A, 8) = 0x11
2 mprotect(A, 0x1000, PROT_NONE) = 0
1 ptrace(PTRACE_PEEKDATA, 2, A+1, A+0x1ffc) = 0
1 load(A+0x1ffc) = 0x22
1 load(A+0x2002, 1) = 0
1 load(A+0x2003, 1) = 0x11
2 munmap(A+0x1000, 0x1000) = 0
1 ptrace(PTRACE_POKEDATA, 2, A+0xffc, -1) = EIO
2 mprotect(A, 0x1000, RW) = 0
2 load(A+0xffc, 4) = 0xff
1 ptrace(PTRACE_PEEKDATA, 2, A+0xffc, A) = EIO
1 ptrace(PTRACE_PEEKDATA, 2, A, 0x1000) = EFAULT
1 ptrace(PTRACE_PEEKDATA, 1, A, A) = EPERM
1 ptrace(PTRACE_PEEKDATA, 7, A, A) = ESRCH`);
    expect(ran.run.view.holders.every((holder) => holder === null)).toBe(true);
    expect(() => runWorkload(`${ANON}\n1 ptrace(16, 2, 0, 0)`)).toThrow('ptrace but for PEEKDATA and POKEDATA');
  });
  it('a copy onto itself, further on, leaves bytes that only the processor knows: those it may have overwritten before', () => {
    const mapped =
      '1 mmap(0x10000000000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A\n';
    const fill = '1 store(A, 7, 8192)\n1 store(A+0xfff, 1)\n';
    const copy = (call: string, to: string, from: string): string =>
      `1 ${call}(1, [{iov_base=${to}, iov_len=4096}], 1, [{iov_base=${from}, iov_len=4096}], 1, 0) = 4096\n`;
    const whole = (text: string): string[] => {
      const ran = ranWell(mapped + fill + text);
      return [0, 1].map((n) => contentText(ran.page(1, 0x10000000000 + n * 4096).content));
    };
    // The page is read in one go: were its last bytes read before its first had come there, or behind?
    expect(whole(copy('process_vm_readv', 'A+16', 'A'))).toEqual(['0x07', '0x07+0:16=?']);
    // Written to, the second page is a copy of its own.
    expect(whole(copy('process_vm_writev', 'A', 'A+16'))).toEqual(['0x07', '0x07']);
  });
  it('a page that is shared is not read onto itself: what becomes of it is not modelled', () => {
    expect(() =>
      runWorkload(`
${ANON}
1 store(A, 0x11)
1 fork() = 2
1 openat(AT_FDCWD, "/proc/self/mem", O_RDWR) = M
1 pread64(M, A+8, 1, A)`),
    ).toThrow('onto itself');
  });
  it('io_uring keeps registered pages, whatever becomes of the mapping', () => {
    ranWell(`
${ANON}
1 pipe2(0) = [R, W]
1 io_uring_setup(8) = U
1 store(A, 0x11, 0x2000)
1 io_uring_register(U, IORING_REGISTER_BUFFERS, [{iov_base=A+0x800, iov_len=0x1000}], 1) = 0
1 io_uring_register(U, IORING_REGISTER_BUFFERS, [{iov_base=A, iov_len=1}], 1) = EBUSY
1 io_uring_write_fixed(U, W, A+0x900, 0x800) = 0x800
1 io_uring_write_fixed(U, W, A, 1) = EFAULT
1 madvise(A, 0x1000, MADV_DONTNEED) = 0
1 io_uring_read_fixed(U, R, A+0xff0, 0x20) = 0x20
1 load(A+0xff0, 0x10) = 0
1 load(A+0x1000, 0x10) = 0x11
1 io_uring_register(U, IORING_UNREGISTER_BUFFERS, NULL, 0) = 0
1 io_uring_register(U, IORING_UNREGISTER_BUFFERS, NULL, 0) = ENXIO
1 close(U) = 0`);
  });
});

describe('eras', () => {
  const READER = `
${ANON}
1 store(A, 0x11)
1 fork() = 2
1 pin(A, P, FOLL_GET) = D
`;
  it('5.8: who takes a reference in a private mapping gets its own copy, readers too', () => {
    // The copy of the parent; the child keeps the old page.
    const copied = ranWell(READER, { kernel: '5.8' });
    expect(copied.pfn(1, copied.addr('A'))).not.toBe(copied.pfn(2, copied.addr('A')));
    for (const kernel of ['5.7', '5.9']) {
      const shared = ranWell(READER, { kernel });
      expect(shared.pfn(1, shared.addr('A'))).toBe(shared.pfn(2, shared.addr('A')));
    }
  });
  it('5.8: of memory that may only be read, and of the zero page as well', () => {
    const ran = ranWell(
      `
1 mmap(NULL, P, RO, PRIV|ANON, -1, 0) = A
1 load(A) = 0
1 pin(A, P, FOLL_GET) = D
check page(1, A).kind == "present"
check !page(1, A).writable
1 pin(A, P, FOLL_PIN|FOLL_FAST) = F`,
      { kernel: '5.8' },
    );
    expect(ran.events.filter(({ type }) => type === 'FaultAccounted')).toHaveLength(2 + 1);
  });
  const FORCED = `
${ANON}
1 store(A, 0x11, P)
1 mprotect(A, P, RO) = 0
1 openat(AT_FDCWD, "/proc/self/mem", O_RDWR) = M
1 pwrite64(M, A+0x1000, 1, A) = 1
1 load(A) = 0
check !page(1, A).writable
check page(1, A).dirty
`;
  it('a forced write of an exclusive page needs no fault since 6.0; before, it must have broken COW itself', () => {
    const faults = (kernel: string): number => ranWell(FORCED, { kernel }).faults(1);
    const [now, exclusive, dirty, forgetful] = ['6.0', '5.19', '4.9', '4.8'].map(faults) as [
      ...[number, number, number, number],
    ];
    expect([exclusive - now, dirty - now, forgetful - now]).toEqual([1, 1, 1]);
  });
});
