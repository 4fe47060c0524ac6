// What fuzzing found in the parsers, one example each: a clear error, never one of ours.
import { describe, expect, it } from 'vitest';
import { InputError, NotModelledError } from '../../src/lib/errors.js';
import { askTrace } from '../fuzz/ask-trace.js';
import { runWorkload } from '../support/workload.js';

const MAP = '1 mmap(0x10000000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A';

describe('a workload with', () => {
  it('control characters inside a hexadecimal number', () => {
    expect(() => runWorkload('1 munmap(0xffff8\u0010\u0011000000000, 4096) = 0')).toThrow(InputError);
  });
  it.each(['constructor(1)', 'toString(1).x', 'hasOwnProperty(A)'])('check %s, which is no subject', (expression) => {
    expect(() => runWorkload(`${MAP}\ncheck ${expression}`)).toThrow(NotModelledError);
  });
  it.each(['setup_arg_pages(0x7ffff0000000, 0x21000)', 'begin_new_exec()'])('%s and no execve before it', (call) => {
    expect(() => runWorkload(`${MAP}\n1 ${call}`)).toThrow(/no execve was begun/);
  });
  it('pages so far into a file that keeping account of them would fill the memory', () => {
    const far = 'memfd_create("m", 0) = 3\nfallocate(3, 0, 0x7ffffffff000, 0x2000)';
    expect(() => runWorkload(far)).toThrow(NotModelledError);
    expect(() => runWorkload('inode("x", 0, 4096, 1)\ncache_add("x", 99999999999, 1)')).toThrow(InputError);
    expect(() => runWorkload('inode("x", 0, 4096, 1)\ncache_holes("x", [0, 99999999999])')).toThrow(InputError);
  });
  it('a CPU that no machine has', () => {
    expect(() => runWorkload(`${MAP}\n1 cpu(9007199254740991)`)).toThrow(/a CPU below 8192/);
  });
  it('more pages of arguments than a stack may have', () => {
    expect(() => runWorkload(`${MAP}\n1 bprm_mm_init(1000000000000)`)).toThrow(/more than a stack may have/);
  });
});

describe('a recording of perf with', () => {
  const line = (value: string): string => `sh  22/22  [001]  5.494266751:   syscalls:sys_exit_mmap: ${value}`;
  it.each(['0x7fca(bfe1000', '0x0x0', '0x'])('the result %s', (value) => {
    expect(askTrace('perf', line(value), false)[1]).toBe('InputError');
  });
});
