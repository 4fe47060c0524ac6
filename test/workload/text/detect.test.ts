import { describe, expect, it } from 'vitest';
import { looksHandWritten, looksLikeStrace } from '../../../src/workload/text/detect.js';

describe('hand-written workloads', () => {
  it.each([
    '# folioscope workload\n1 munmap(0x1000, 4096) = 0',
    '1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A',
    '1 pipe() = [R, W]',
    '1 store(0x1000, 1)',
    '# what\n\nsysctl("vm.nr_hugepages", 8)',
    '1 brk(NULL) = 0x1000\ncheck rsvd == 0',
    '1 fork() = 2\nparallel {\n}',
    '1 madvise(0x1000, 4*P, MADV_FREE) = 0',
    '1 mprotect(0x1000, 4096, RO) = 0',
  ])('are known by a form that strace never prints: %s', (head) => {
    expect(looksHandWritten(head)).toBe(true);
  });
});

describe('recordings', () => {
  it.each([
    '5883  execve("./cow", ["./cow"], 0x7ffcb3401b98 /* 3 vars */) = 0',
    '5883 write(1, "f(x) = A", 8) = 8',
    '5883 write(1, "check this\\nload(A)", 18) = 18',
    '[pid  5883] 11:12:19.723683 brk(NULL) = 0x1000 <0.000048>',
    '     0.000000 execve("/usr/bin/sh", ["sh"], 0x7ffe6383bc90 /* 39 vars */) = 0',
    '3210<my sh> 11:12:19.723683 (+     0.000012) [  12] [00007f6df02c6000] brk(NULL) = 0x1000',
    '5888  <... clone resumed>, child_tidptr=0x7fcba03d5a10) = 5890',
    'strace: Process 7 attached\n[pid 7] unshare(CLONE_NEWNS) = 0',
    '7 swapon("/swapfile", 0) = 0',
  ])('are known by the shape of their lines: %s', (head) => {
    expect(looksHandWritten(head)).toBe(false);
    expect(looksLikeStrace(head)).toBe(true);
  });

  it('may say so in their first line, whatever follows', () => {
    const head = '# folioscope recording\n5 fault(0x1000, R)\ninode("x", FILE, 1, 1)';
    expect(looksHandWritten(head)).toBe(false);
    expect(looksLikeStrace(head)).toBe(true);
  });
});

describe('anything else', () => {
  it.each([
    '',
    'cow  5883 [001] 12.5: page-faults:u: 7f00',
    '\x7fELF\x02\x01\x01\0\0',
    '{"type": "x"}',
    '#include <stdio.h>\nint main(void) { return f(1); }',
    '% time     seconds  usecs/call     calls    errors syscall',
  ])('is neither: %s', (head) => {
    expect(looksHandWritten(head)).toBe(false);
    expect(looksLikeStrace(head)).toBe(false);
  });
});
