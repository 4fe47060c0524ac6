import { describe, expect, it } from 'vitest';
import { printOperation } from '../../../src/workload/text/print.js';
import { one, parse, parseWorkload, sequence } from './support.js';

const LEAK = `
# The child keeps a reference through a pipe.
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A      # one page
1 store(A, 0x01, P)
1 pipe() = [R, W]
1 fork() = 2
2 vmsplice(W, [{A, P}], 1, 0) = 4096
2 munmap(A, P) = 0
1 store(A, 0x02, P)
2 read(R, BUF, P) = 4096
2 load(BUF) = 0x01
check page(2, BUF).present and not page(1, A).swapped   # both
`;

describe('a hand-written workload', () => {
  it('is read line by line, with names bound and used', () => {
    const operations = parseWorkload(LEAK);
    expect(operations.map((operation) => `${operation.line}: ${printOperation(operation)}`)).toEqual([
      '3: 1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A',
      '4: 1 store(A, 1, 4096)',
      '5: 1 pipe() = [R, W]',
      '6: 1 fork() = 2',
      '7: 2 vmsplice(W, [[A, 4096]], 1, 0) = 4096',
      '8: 2 munmap(A, 4096) = 0',
      '9: 1 store(A, 2, 4096)',
      '10: 2 read(R, BUF, 4096) = 4096',
      '11: 2 load(BUF) = 1',
      '12: check page(2, BUF).present and not page(1, A).swapped',
    ]);
    expect(operations[7]?.args[0]).toEqual({ ref: 'R', add: 0 });
    expect(parseWorkload(operations.map(printOperation).join('\n')).map(({ args }) => args)).toEqual(
      operations.map(({ args }) => args),
    );
  });

  it('lets the machine act on lines without PID', () => {
    const text =
      '1 brk(0) = 1\nsysctl("vm.nr_hugepages", 8)\nksm_scan()\nreclaim(A, 16*P)\nfail_next("dup_mmap", vma=A, ENOMEM)\n1 cpu(3)';
    const operations = parseWorkload(text);
    expect(sequence(operations)).toEqual([
      '1 brk',
      'machine sysctl',
      'machine ksm_scan',
      'machine reclaim',
      'machine fail_next',
      '1 cpu',
    ]);
    expect(operations[4]?.args).toEqual([
      { text: 'dup_mmap' },
      { fields: { vma: { ref: 'A', add: 0 } } },
      { word: 'ENOMEM' },
    ]);
  });

  it('is all done by task 1 where no line has a PID', () => {
    const operations = parseWorkload('mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A\nstore(A, 1)\nlru_add_drain()');
    expect(sequence(operations)).toEqual(['1 mmap', '1 store', 'machine lru_add_drain']);
  });

  it('must name tasks on every line or on none', () => {
    expect(() => parseWorkload('1 brk(0)\nbrk(0)')).toThrow('<input>:2:1: no PID here, but earlier lines have one');
    expect(() => parseWorkload('brk(0)\n1 brk(0)')).toThrow('<input>:2:1: a PID here, but earlier lines have none');
  });

  it('may check, run in parallel and schedule', () => {
    const text = [
      'check rsvd == rsvd@start',
      '1 check a == 1 # one',
      'parallel {',
      '1  steps  s1 s2=gup-fast:G5   # two steps',
      '1 store(A, 1)',
      '2 g1: load(A)',
      'steps r1',
      'reclaim(A, P)',
      '}',
      'schedule 1@s1  g1 s2 r1',
    ];
    const operations = parseWorkload(text.join('\n'));
    expect(operations.map(({ pid, name, args }) => [pid, name, args])).toEqual([
      [null, 'check', [{ text: 'rsvd == rsvd@start' }]],
      [1, 'check', [{ text: 'a == 1' }]],
      [null, 'parallel', []],
      [1, 'steps', [{ text: 's1 s2=gup-fast:G5' }]],
      [1, 'store', [{ ref: 'A', add: 0 }, 1]],
      [2, 'steps', [{ text: 'g1' }]],
      [2, 'load', [{ ref: 'A', add: 0 }]],
      [null, 'steps', [{ text: 'r1' }]],
      [null, 'reclaim', [{ ref: 'A', add: 0 }, 4096]],
      [null, 'end_parallel', []],
      [null, 'schedule', [{ text: 's1 g1 s2 r1' }]],
    ]);
  });

  it('delivers a call that blocks at once, and its end as "resumed"', () => {
    const operations = parseWorkload('2 load(A+P) <unfinished ...>   # waits\n1 brk(0)\n2 <... load resumed>) = 0x07');
    expect(operations.map(({ pid, name, args, result, unfinished }) => [pid, name, args, result, unfinished])).toEqual([
      [2, 'load', [{ ref: 'A', add: 4096 }], { kind: 'none' }, true],
      [1, 'brk', [0], { kind: 'none' }, undefined],
      [2, 'resumed', [{ word: 'load' }], { kind: 'value', value: 7 }, undefined],
    ]);
  });

  it('keeps what stands in quotes, comment signs too', () => {
    expect(one(`1 open("a#b", O_RDWR) = 3 # c`).args[0]).toEqual({ text: 'a#b' });
    expect(one(`1 store(A, '#', 1) # c`).args[1]).toBe(35);
  });
});

describe('results', () => {
  it.each([
    ['', { kind: 'none' }],
    ['= ?', { kind: 'none' }],
    ['= 0x01', { kind: 'value', value: 1 }],
    ['= 4*P', { kind: 'value', value: 16384 }],
    ['= P', { kind: 'value', value: 4096 }],
    ["= 'A'", { kind: 'value', value: 65 }],
    ['= -1', { kind: 'value', value: -1 }],
    ['= 0 (Timeout)', { kind: 'value', value: 0 }],
    ['= -1 EFAULT (Bad address)', { kind: 'errno', errno: 'EFAULT' }],
    ['= -1 EEXIST', { kind: 'errno', errno: 'EEXIST' }],
    ['= ENOMEM', { kind: 'errno', errno: 'ENOMEM' }],
    ['= SIGBUS', { kind: 'signal', signal: 'SIGBUS' }],
    ['= mixed', { kind: 'word', word: 'mixed' }],
    ['= A', { kind: 'bind', names: ['A'] }],
    ['= p', { kind: 'bind', names: ['p'] }],
    ['= [R, W]', { kind: 'bind', names: ['R', 'W'] }],
    ['= 0 as q', { kind: 'bind', names: ['q'] }],
    ['= A+0x1000', { kind: 'ref', ref: { ref: 'A', add: 4096 } }],
    ['= A-P   # below', { kind: 'ref', ref: { ref: 'A', add: -4096 } }],
  ])('are read: %s', (text, result) => {
    expect(one(`1 mremap(A, P) ${text}`).result).toEqual(result);
  });
});

describe('bad workloads', () => {
  it.each([
    ['1 mnap(NULL, P)', '<input>:1:3: unknown call mnap; did you mean mmap?'],
    ['1 frobnicate_everything()', '<input>:1:3: unknown call frobnicate_everything'],
    ['0 brk(0)', '<input>:1:1: not a PID'],
    ['1', '<input>:1:1: expected a call, check, steps, parallel or schedule'],
    ['1 brk', '<input>:1:6: expected "(" behind brk'],
    ['1 brk(0', '<input>:1:8: expected "," or ")"'],
    ['1 brk(0,', '<input>:1:9: the line ends where a value should stand'],
    ['1 brk(0) = 1 junk', '<input>:1:14: unexpected "junk"'],
    ['1 brk(0) 1', '<input>:1:10: unexpected "1"'],
    ['1 brk(0) = FORK(U)', '<input>:1:12: a result FORK(...) is not understood'],
    ['1 brk(12abc)', '<input>:1:9: a letter inside a number'],
    ['1 swap_out(shmem page)', '<input>:1:18: unexpected "page)"'],
    ['1 open("x', '<input>:1:10: string without end'],
    ['1 g1: store(A, 1)', '<input>:1:3: steps are named inside parallel blocks'],
    ['g1: 1 store(A, 1)', '<input>:1:1: steps are named inside parallel blocks'],
    ['parallel {\n1 steps', '<input>:2:9: expected the names of steps'],
    ['parallel {\n1 steps  ', '<input>:2:9: expected the names of steps'],
    ['parallel {\n1 steps g1 G2', "<input>:2:12: 'G2' is no step: write g1, or g1=gup-fast:G3"],
    ['parallel {\n1 steps g1 g2=5', "<input>:2:12: 'g2=5' is no step: write g1, or g1=gup-fast:G3"],
    ['parallel {\n1 steps g1\n1 store(A, 1)\n2 g1: store(A, 1)', '<input>:4:3: step g1 is named twice'],
    ['parallel {\n1 steps g1\n1 steps g2', '<input>:3:9: task 1 has not done what was named before'],
    ['parallel {\n1 steps g1\n2 store(A, 1)\n}', '<input>:2: steps of task 1 without a line that does them'],
    ['parallel {\nstore(A, 1)', '<input>:2:1: a line of a parallel block names its task'],
    ['schedule g1', '<input>:1:10: a schedule stands right behind its parallel block'],
    ['parallel {\n}\n1 brk(0)\nschedule g1', '<input>:4:10: a schedule stands right behind its parallel block'],
    ['parallel {\n}\nschedule g1', "<input>:3:10: no step of the block is called 'g1'"],
    ['parallel {\n1 g1: brk(0)\n}\nschedule 2@g1', '<input>:4:10: step g1 is one of task 1'],
    ['parallel {\n1 g1: brk(0)\n1 g2: brk(0)\n}\nschedule g2 g1', '<input>:5:13: task 1 takes step g1 before g2'],
    ['parallel {\n1 g1: brk(0)\n}\nschedule g1 g1', '<input>:4:13: task 1 takes step g1 before g1'],
    ['}', '<input>:1:1: "}" without a parallel block'],
    ['parallel {', '<input>:1: parallel block without "}"'],
    ['parallel {\nparallel {\n}', '<input>:2:1: parallel blocks do not nest'],
  ])('are refused: %s', (text, message) => {
    expect(() => parseWorkload(text)).toThrow(message);
  });

  it('are counted instead when the reader is lenient', () => {
    const dangling = parse('parallel {\n1 steps g1\n}\n1 brk(0)', { recorded: false, lenient: true });
    expect(dangling.operations.map(({ name }) => name)).toEqual(['parallel', 'steps', 'end_parallel', 'brk']);
    expect(dangling.skipped).toEqual(['not understood:3']);
    const { operations, skipped } = parse('1 mnap()\n1 brk(0)\n1 brk(', { recorded: false, lenient: true });
    expect(sequence(operations)).toEqual(['1 brk']);
    expect(skipped).toEqual(['not understood:1', 'not understood:3']);
  });
});
