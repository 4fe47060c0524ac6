// Lines of syzkaller programs, one by one: what they become, and what is wrong with them.
import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/lib/errors.js';
import { detectFormat } from '../../../src/workload/detect.js';
import { SyzParser } from '../../../src/workload/syz/program.js';
import type { Operation } from '../../../src/workload/operation.js';
import { printOperation } from '../../../src/workload/text/print.js';

/** A program expects no results. */
const printed = (operation: Operation): string => printOperation(operation).replace(/ = \?$/, '');

/** What a program becomes, without the executor's mappings; every call gives 3. */
function read(text: string, lenient = false): { operations: string[]; skipped: string[] } {
  const operations: string[] = [];
  const skipped: string[] = [];
  const parser = new SyzParser(
    {
      operation: (operation) => {
        operations.push(printed(operation));
        return operation.name.startsWith('pipe') ? [3, 4] : [3];
      },
      skipped: (reason) => void skipped.push(reason),
    },
    { lenient },
  );
  text.split('\n').forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  return { operations: operations.slice(3), skipped };
}
const operations = (text: string): string[] => read(text).operations;

function problem(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'none';
}

describe('the executor', () => {
  it('maps its data area, with a page on either side, before the first call', () => {
    const found: string[] = [];
    const parser = new SyzParser(
      {
        operation: (operation) => {
          found.push(printed(operation));
          return [0];
        },
        skipped: () => undefined,
      },
      { lenient: false },
    );
    parser.line('# {Threaded:true}', 1);
    expect(found).toEqual([]);
    parser.line('munlockall()', 2);
    expect(found).toEqual([
      '1 mmap(0x1ffff000, 4096, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)',
      '1 mmap(0x20000000, 16777216, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)',
      '1 mmap(0x21000000, 4096, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)',
      '1 munlockall()',
    ]);
  });
  it('survives a fault of its own stores: the rest of them is not done, the call is', () => {
    const found: string[] = [];
    const parser = new SyzParser(
      {
        operation: (operation) => {
          found.push(printed(operation));
          return operation.name === 'store' ? null : [0];
        },
        skipped: () => undefined,
      },
      { lenient: false },
    );
    parser.line("memfd_create(&(0x7f0000000000)='ab\\x00', 0x0)", 1);
    expect(found.slice(3)).toEqual(['1 store(0x20000000, 97)', '1 memfd_create("ab", 0)']);
  });
});

describe('a call', () => {
  it.each([
    [
      'mmap(&(0x7f0000001000/0x1000)=nil, 0x1000, 0x3, 0x32, 0xffffffffffffffff, 0x0)',
      ['1 mmap(0x20001000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, 0xffffffffffffffff, 0)'],
    ],
    ['mlock(&(0x7f0000002000-0x1000)=nil, (0x1000))', ['1 mlock(0x20001000, 4096)']],
    ['mlock(&(0x400000000000)=nil, 0x1000)', ['1 mlock(0x400000000000, 4096)']],
    ['munmap(nil, 0x1000) # EINVAL', ['1 munmap(0, 4096)']],
    ['mlockall$x(0x1) (async)', ['1 mlockall(MCL_CURRENT)']],
    ['munlockall() (rerun: 2, async)', ['1 munlockall()', '1 munlockall()', '1 munlockall()']],
    ['r0 = dup(0x1)\nclose(r0)\ndup2(r0/2+0x4, 0x7)', ['1 dup(1)', '1 close(3)', '1 dup2(5, 7)']],
    ['syz_clone(0x111, 0x0, 0x0, 0x0, 0x0, 0x0)', ['1 clone(flags=SIGCHLD)', '3 exit(0)']],
    [
      'syz_clone3(&(0x7f0000000000)={0x200, 0x0}, 0x58)',
      ['1 store(0x20000000, 0)', '1 clone(flags=CLONE_FS)', '3 exit(0)'],
    ],
    ['exit_group(0x0)\nclose(0x3)', ['1 exit_group(0)']],
  ])('%s', (text, expected) => {
    expect(operations(text)).toEqual(expected);
  });

  it.each([
    [
      "open(&(0x7f0000000040)='./f\\x00', 0x0)",
      ['store(0x20000040, 46)', 'store(0x20000041, 47)', 'store(0x20000042, 102)', 'store(0x20000043, 0)'],
    ],
    ['x(&(0x7f0000000040)="aaaaaabb")', ['store(0x20000040, 170, 3)', 'store(0x20000043, 187)']],
    ["x(&(0x7f0000000040)='a'/4)", ['store(0x20000040, 97)', 'store(0x20000041, 0, 3)']],
    ['x(&(0x7f0000000040)=""/4096)', []],
    ['x(&(0x7f0000000040)={0x11223344, 0x2})', ['store(0x20000040, 68)']],
    ['x(&(0x7f0000000040)=@u={0x5})', ['store(0x20000040, 5)']],
    [
      'x(&(0x7f0000000040)=[{&(0x7f0000000080)="ff", 0x1}])',
      [
        'store(0x20000040, 128)',
        'store(0x20000041, 0, 2)',
        'store(0x20000043, 32)',
        'store(0x20000044, 0, 4)',
        'store(0x20000080, 255)',
      ],
    ],
    ['x(&(0x7f0000000040)={<r0=>0xffffffffffffffff, <r1=>0xffffffffffffffff})', []],
    ["x(&AUTO='a', AUTO)", []],
    ['x(&(0x7f0000000040)="$eJwBAAD//wAAAAE=")', []],
  ])('stores what its arguments point to: %s', (text, expected) => {
    expect(operations(text)).toEqual(expected.map((each) => `1 ${each}`));
  });

  it('that gives two descriptors has them written to memory, and goes on with them', () => {
    expect(
      operations(
        'pipe2(&(0x7f0000000ffc)={<r0=>0xffffffffffffffff, <r1=>0xffffffffffffffff}, 0x800)\nclose(r1)\npipe(&(0x7f0000000000))\npipe(&AUTO)',
      ),
    ).toEqual([
      ...['1 kernel_fault(0x20000ffc, W)', '1 kernel_fault(0x20001003, W)', '1 pipe2(2048)'],
      ...['1 store(0x20000ffc, 3)', '1 store(0x20000ffd, 0, 3)', '1 store(0x20001000, 4)', '1 store(0x20001001, 0, 3)'],
      '1 close(4)',
      ...['1 kernel_fault(0x20000000, W)', '1 kernel_fault(0x20000007, W)', '1 pipe2(0)'],
      ...['1 store(0x20000000, 3)', '1 store(0x20000001, 0, 3)', '1 store(0x20000004, 4)', '1 store(0x20000005, 0, 3)'],
    ]);
    // What cannot be written to gets no pipe; its resources are -1.
    const none: string[] = [];
    const parser = new SyzParser(
      {
        operation: (operation) => {
          none.push(printed(operation));
          return operation.name === 'kernel_fault' ? null : [3];
        },
        skipped: () => undefined,
      },
      { lenient: false },
    );
    parser.line('pipe(&(0x10000)={<r0=>0xffffffffffffffff, <r1=>0xffffffffffffffff})', 1);
    parser.line('close(r0)', 2);
    expect(none.slice(3)).toEqual(['1 kernel_fault(0x10000, W)', '1 close(0xffffffffffffffff)']);
  });
  it('with lists of buffers hands them on', () => {
    const list = '&(0x7f0000000040)=[{&(0x7f0000000080)="ff", 0x1}, {&(0x7f0000001000/0x1000)=nil, 0x1000}]';
    const printedList = '[{iov_base=536871040, iov_len=1}, {iov_base=536875008, iov_len=4096}]';
    expect(operations(`vmsplice(0x4, ${list}, 0x2, 0x2)`).at(-1)).toBe(
      `1 vmsplice(4, ${printedList}, 2, SPLICE_F_NONBLOCK)`,
    );
    expect(operations(`process_vm_readv(0x1, ${list}, 0x2, ${list}, 0x2, 0x0)`).at(-1)).toBe(
      `1 process_vm_readv(1, ${printedList}, 2, ${printedList}, 2, 0)`,
    );
    expect(operations('vmsplice(0x4, 0x0, 0x2, 0x0)')).toEqual(['1 vmsplice(4, NULL, 2, 0)']);
    expect(read('vmsplice(0x4, &(0x7f0000000040)=[0x1], 0x1, 0x0)').skipped).toEqual([
      'vmsplice: a buffer is not told',
    ]);
  });
  it('that is not about memory, or whose arguments nobody knows, is counted by name', () => {
    const text = [
      'r0 = socket$inet(0x2, 0x1, 0x0)',
      'close(r0)',
      'mlock(AUTO, 0x1000)',
      'munlock(&AUTO, 0x1000)',
      'munmap(&(0x7f0000000000/0x1000)=nil, 0x1000) (fail_nth: 7)',
      'memfd_create(&(0x7f0000000000), 0x0)',
    ].join('\n');
    expect(read(text)).toEqual({
      operations: [],
      skipped: [
        'socket$inet',
        'close: needs what another call gave that was not done',
        'mlock: AUTO',
        'munlock: &AUTO',
        'munmap with fail_nth',
        'memfd_create: the text is not told',
      ],
    });
  });
});

describe('what is wrong has line and column', () => {
  it.each([
    ['close(0x3', '<input>:1:10: expected "," or ")"'],
    ['\nclose(zz)', '<input>:2:7: zz is no argument'],
    ['close(r7)', '<input>:1:7: no call above gives r7'],
    ['close()', '<input>:1: close lacks argument 1'],
    ['close(0x3) (sync)', '<input>:1:13: sync is no property of a call'],
    ['close(0x3) (rerun: 1000)', '<input>:1:13: rerun from 0 to 128'],
    ['close(0x3) 0x4', '<input>:1:12: something follows the call'],
    ['close(0x10000000000000000)', '<input>:1:7: a number of more than 64 bits'],
    ["x('\\q')", '<input>:1:5: an escape that is not known'],
    ['x("abc")', '<input>:1:6: expected """ at the end of the string'],
    ['x(r0/0)', '<input>:1:7: divided by zero'],
    [`x(${'{'.repeat(100)}`, '<input>:1:67: arguments nest too deep'],
    ['Close(0x3)', '<input>:1:1: expected the name of a call'],
    ['r0 close(0x3)', '<input>:1:4: expected "=" behind r0'],
    ['close({0x1})', '<input>:1:7: expected a number, an address or a resource'],
    ['x(&(0x7f0000000000)=ANY=0x1)', '<input>:1:25: ANY is a list in brackets'],
  ])('%s', (text, expected) => {
    expect(problem(text)).toBe(expected);
  });
  it('and is counted where that is asked for', () => {
    expect(read('close(\nmunlockall()', true)).toEqual({ operations: ['1 munlockall()'], skipped: ['not understood'] });
  });
});

describe('a text is a syzkaller program', () => {
  it.each([
    ['# {Threaded:true Repeat:true}\nmunlockall()', 'syz'],
    ['#{"threaded":true,"procs":1}\nmunlockall()', 'syz'],
    ['# comment\n\nmmap(&(0x7f0000000000/0x1000)=nil, 0x1000, 0x3, 0x32, 0xffffffffffffffff, 0x0)', 'syz'],
    ['r0 = dup(0x1)', 'syz'],
    ['munmap$x(0x0, 0x0)', 'syz'],
    ['# folioscope workload\n1 munlockall()', 'workload'],
    ['1 mmap(NULL, 4096, RW, PRIV|ANON, -1, 0) = A', 'workload'],
    ['100 munmap(0x7f0000000000, 4096) = 0', 'strace'],
  ])('%s: %s', (text, format) => {
    expect(detectFormat(text)).toBe(format);
  });
});
