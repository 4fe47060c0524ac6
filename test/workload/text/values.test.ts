import { describe, expect, it } from 'vitest';
import type { Value } from '../../../src/workload/operation.js';
import { one, parse, parseRecording } from './support.js';

/** The arguments of `madvise(...)`, a call without names of its own. */
const handWritten = (text: string): readonly Value[] => one(`1 set_robust_list(${text})`).args;
const recorded = (text: string): readonly Value[] =>
  parseRecording(`1 set_robust_list(${text}) = 0`).operations[0]?.args ?? [];

describe('numbers', () => {
  it('reads decimal, hexadecimal, octal and negative ones', () => {
    expect(recorded('0, 4096, 0x7ffc00001000, 0644, -100, -0x10')).toEqual([0, 4096, 0x7ffc00001000, 0o644, -100, -16]);
  });

  it('keeps integers beyond 2^53 exact as bigints, and others as numbers', () => {
    expect(recorded('9007199254740991, 9007199254740992, 0xffffffffffffffff, RLIM64_INFINITY')).toEqual([
      9007199254740991,
      9007199254740992n,
      0xffffffffffffffffn,
      0xffffffffffffffffn,
    ]);
    expect(handWritten('-0x8000000000000000')).toEqual([-0x8000000000000000n]);
  });

  it('refuses what does not fit 64 bits', () => {
    expect(() => handWritten('0x10000000000000000')).toThrow('<input>:1:19: the number does not fit 64 bits');
    expect(() => handWritten('0xffffffffffffffff * 2')).toThrow('does not fit 64 bits');
    expect(() => handWritten('1 << 64')).toThrow('does not fit 64 bits');
    expect(() => handWritten('9'.repeat(1000))).toThrow('does not fit 64 bits');
  });

  it('calculates with the usual precedence', () => {
    expect(recorded('8192*1024, 21<<26, 1+2*3')).toEqual([8388608, 21 * 2 ** 26, 7]);
    expect(handWritten('8*P, H + P, 2*H-P, H/2, IORING_OFF_PBUF_RING|1<<16, 4k, 2M')).toEqual([
      32768, 2101248, 4190208, 1048576, 0x80010000, 4096, 2097152,
    ]);
  });

  it('reads a character between apostrophes as its byte', () => {
    expect(handWritten(String.raw`'B', '\n', '\x7f', '#'`)).toEqual([66, 10, 127, 35]);
  });
});

describe('flags', () => {
  it('combines names to a number', () => {
    expect(recorded('PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|0x40000, PROT_NONE')).toEqual([3, 0x40022, 0]);
    expect(recorded('21<<MAP_HUGE_SHIFT|MAP_HUGETLB')).toEqual([21 * 2 ** 26 + 0x40000]);
  });

  it('combines bits beyond 31 without changing sign', () => {
    expect(recorded('CLONE_VM|CLONE_IO|CLONE_CLEAR_SIGHAND|SIGCHLD')).toEqual([0x180000111]);
  });

  it('reads the short forms in hand-written workloads', () => {
    const { args } = one('1 mmap(NULL, H, RW, PRIV|ANON|HUGE, -1, 0) = A');
    expect(args).toEqual([null, 2 ** 21, 3, 0x40022, -1, 0]);
  });

  it('lets a comment stand for the name of a number', () => {
    expect(recorded('0x66 /* MADV_??? */, 0x7ffd06323e68 /* 3 vars */')).toEqual([0x66, 0x7ffd06323e68]);
  });

  it('computes ioctl numbers that strace could not name', () => {
    expect(recorded('_IOC(_IOC_READ|_IOC_WRITE, 0xaa, 0x5, 0x28)')).toEqual([0xc028aa05]);
    expect(one('1 ioctl(3, UFFDIO_MOVE, 0x1000)').args[1]).toBe(0xc028aa05);
  });

  it('takes modes of userfaultfd in short from the command before them', () => {
    expect(one('1 ioctl(U, UFFDIO_REGISTER, A, H, WP)').args[4]).toBe(2);
    expect(one('1 ioctl(U, UFFDIO_WRITEPROTECT, A, H, WP)').args[4]).toBe(1);
    expect(one('1 ioctl(PAGEMAP_SCAN, A, P, category_mask=WRITTEN)').args[3]).toEqual({ fields: { category_mask: 2 } });
  });

  it('tells features of userfaultfd from its open flags', () => {
    expect(one('1 userfaultfd(PAGEFAULT_FLAG_WP|SIGBUS) = U').args).toEqual([{ fields: { features: 0x81 } }]);
    expect(one('1 userfaultfd(O_CLOEXEC) = U').args).toEqual([0x80000]);
    expect(one('1 userfaultfd() = U').args).toEqual([]);
  });
});

describe('texts and descriptors', () => {
  it('takes escapes out and drops the mark of a shortened string', () => {
    expect(recorded(String.raw`"a\"b\\", "\177ELF\2\1\n"..., "\x41\x00"`)).toEqual([
      { text: 'a"b\\' },
      { text: '\x7fELF\x02\x01\n' },
      { text: 'A\0' },
    ]);
  });

  it('reads descriptors with their paths', () => {
    expect(
      recorded('3</etc/ld.so.cache>, 4</memfd:huge>(deleted), 5<anon_inode:[userfaultfd]>, AT_FDCWD</tmp>'),
    ).toEqual([
      { fd: 3, path: '/etc/ld.so.cache' },
      { fd: 4, path: '/memfd:huge' },
      { fd: 5, path: 'anon_inode:[userfaultfd]' },
      { fd: -100, path: '/tmp' },
    ]);
    expect(recorded('-100 /* AT_FDCWD */</tmp>')).toEqual([{ fd: -100, path: '/tmp' }]);
    expect(recorded('6<TCP:[127.0.0.1:1->127.0.0.1:2]>, 0</dev/null<char 1:3>>')).toEqual([
      { fd: 6, path: 'TCP:[127.0.0.1:1->127.0.0.1:2]' },
      { fd: 0, path: '/dev/null<char 1:3>' },
    ]);
  });
});

describe('structs and arrays', () => {
  it('reads fields and elements at any depth', () => {
    expect(recorded('{a=1, b={c="x"}, ...}, [{iov_base="y", iov_len=2}], [], {}')).toEqual([
      { fields: { a: 1, b: { fields: { c: { text: 'x' } } } } },
      [{ fields: { iov_base: { text: 'y' }, iov_len: 2 } }],
      [],
      { fields: {} },
    ]);
    expect(handWritten('[{A, P}]')).toEqual([[[{ ref: 'A', add: 0 }, 4096]]]);
  });

  it('keeps what went in where a call also tells what came out', () => {
    expect(recorded('{flags=CLONE_VM, parent_tid=0x10} => {parent_tid=[7], extra=1}')).toEqual([
      { fields: { flags: 0x100, parent_tid: 0x10, extra: 1 } },
    ]);
    expect(recorded('{features=0, features=0x7f}')).toEqual([{ fields: { features: 0 } }]);
  });

  it('keeps what it does not understand in a recording as a word', () => {
    expect(recorded('[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], ~[RTMIN RT_1], makedev(0x88, 0x1), MAP_X|1')).toEqual([
      [[{ word: 'WIFEXITED(s) && WEXITSTATUS(s) == 0' }]],
      { word: '~[RTMIN RT_1]' },
      { word: 'makedev(0x88, 0x1)' },
      { word: 'MAP_X|1' },
    ]);
  });

  it('refuses to nest without end', () => {
    expect(() => handWritten('['.repeat(100_000))).toThrow('nested more than 64 deep');
    expect(() => parseRecording(`1 brk(${'['.repeat(100_000)}) = 0\n1 brk(0) = 0`)).toThrow('ends inside a value');
  });

  it('makes no prototype of a field', () => {
    expect(() => handWritten('{__proto__=1}')).toThrow('__proto__ is not a field name');
  });
});

describe('names', () => {
  it('takes upper-case identifiers that are no constants for names, with offsets', () => {
    expect(handWritten('A, A+P, A + 2*P, A-0x10, P+A, A+7*P-1')).toEqual([
      { ref: 'A', add: 0 },
      { ref: 'A', add: 4096 },
      { ref: 'A', add: 8192 },
      { ref: 'A', add: -16 },
      { ref: 'A', add: 4096 },
      { ref: 'A', add: 28671 },
    ]);
  });

  it('takes them for words in a recording', () => {
    expect(recorded('TCGETS, SI_X')).toEqual([{ word: 'TCGETS' }, { word: 'SI_X' }]);
  });

  it('lets a bound name shadow a constant from its line on', () => {
    const text = '1 mprotect(A, P, RW)\n1 pipe2() = [R, RW]\n1 mprotect(A, P, RW)';
    const operations = parse(text, { recorded: false }).operations;
    expect(operations[0]?.args[2]).toBe(3);
    expect(operations[2]?.args[2]).toEqual({ ref: 'RW', add: 0 });
  });

  it('takes lower-case identifiers for names once they are bound', () => {
    const operations = parse('1 unpin(p)\n1 pin(A, P, FOLL_PIN) = p\n1 unpin(p)', { recorded: false }).operations;
    expect(operations[0]?.args).toEqual([{ word: 'p' }]);
    expect(operations[2]?.args).toEqual([{ ref: 'p', add: 0 }]);
  });

  it('takes the letters of a fault for words, bound or not', () => {
    const operations = parse('1 pipe2() = [R, W]\n1 fault(0x1000, W, KERNEL)', { recorded: false }).operations;
    expect(operations[1]?.args).toEqual([0x1000, { word: 'W' }, { word: 'KERNEL' }]);
  });

  it('refuses arithmetic that has no meaning', () => {
    expect(() => handWritten('2*A')).toThrow('<input>:1:20: cannot take 2 * A');
    expect(() => handWritten('A|1')).toThrow('cannot take A | 1');
    expect(() => handWritten('foo|1')).toThrow('cannot take "foo" | 1');
  });
});
