import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Operation, Result, Value } from '../../../src/workload/operation.js';
import { FEATURE_SHORT_NAMES, wordArguments } from '../../../src/workload/text/arguments.js';
import { CALLS } from '../../../src/workload/text/calls.js';
import { CONSTANTS, SHORT_FORMS } from '../../../src/workload/text/constants.js';
import { ERRNOS, SIGNALS, isErrnoName } from '../../../src/lib/errno.js';
import { printOperation } from '../../../src/workload/text/print.js';
import { one, parse, parseRecording, parseWorkload } from './support.js';

const isPlainName = (name: string): boolean =>
  !FEATURE_SHORT_NAMES.has(name) &&
  !CONSTANTS.has(name) &&
  !SHORT_FORMS.has(name) &&
  !SIGNALS.has(name) &&
  !isErrnoName(name) &&
  name !== 'NULL';

const name = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,3}$/).filter(isPlainName);
const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,6}$/).filter((text) => text !== 'mixed');
const integer = fc.oneof(
  fc.integer({ min: -200, max: 70_000 }),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 64n) + 1n, max: -(2n ** 53n) }),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
);
const text = fc.string({ unit: 'binary', maxLength: 12 });
const nameRef = fc.record({ ref: name, add: fc.oneof(fc.constant(0), fc.maxSafeInteger()) });

const { value: anyValue } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    integer,
    fc.constant(null),
    text.map((content) => ({ text: content })),
    fc.record({ fd: fc.integer({ min: -100, max: 1000 }), path: text }),
    word.map((content) => ({ word: content })),
    nameRef,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(word, tie('value'), { maxKeys: 3, noNullPrototype: true }).map((fields) => ({ fields })),
  ),
}));

const result: fc.Arbitrary<Result> = fc.oneof(
  fc.constant<Result>({ kind: 'none' }),
  integer.map((value): Result => ({ kind: 'value', value })),
  fc.array(name, { minLength: 1, maxLength: 3 }).map((names): Result => ({ kind: 'bind', names })),
  nameRef.map((ref): Result => ({ kind: 'ref', ref })),
  fc.constantFrom(...ERRNOS.keys()).map((errno): Result => ({ kind: 'errno', errno })),
  fc.constantFrom(...SIGNALS.keys()).map((signal): Result => ({ kind: 'signal', signal })),
  fc.constant<Result>({ kind: 'word', word: 'mixed' }),
);

// Calls with letters for arguments have their own test below.
const callName = fc.constantFrom(...[...CALLS.keys()].filter((call) => wordArguments(call) === undefined));
const pid = fc.integer({ min: 1, max: 4_194_304 });
const args = fc.array(anyValue, { maxLength: 6 });

const handWrittenCall: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ line: fc.constant(1), pid, name: callName, args, result }),
  fc.record({
    line: fc.constant(1),
    pid,
    name: callName,
    args,
    result: fc.constant<Result>({ kind: 'none' }),
    unfinished: fc.constant(true),
  }),
);

/** What a recording may hold: no names; the result of a system call is a number, an error or nothing. */
const recordedValue = fc.oneof(
  integer,
  fc.constant(null),
  text.map((content) => ({ text: content })),
  fc.record({ fd: fc.integer({ min: 0, max: 1000 }), path: text }),
  fc
    .stringMatching(/^[A-Z]{3,8}$/)
    .filter((content) => isPlainName(content))
    .map((content) => ({ word: content })),
  fc.dictionary(word, integer, { maxKeys: 3, noNullPrototype: true }).map((fields) => ({ fields })),
);
const recordedCall: fc.Arbitrary<Operation> = fc.record({
  line: fc.constant(1),
  pid,
  name: callName.filter((call) => CALLS.get(call)?.handWrittenOnly !== true),
  args: fc.array(recordedValue, { maxLength: 6 }),
  result: fc.oneof(
    fc.constant<Result>({ kind: 'none' }),
    integer.map((value): Result => ({ kind: 'value', value })),
    fc.constantFrom(...ERRNOS.keys()).map((errno): Result => ({ kind: 'errno', errno })),
  ),
});

describe('a printed operation', () => {
  it('reads back equal in a hand-written workload', () => {
    fc.assert(
      fc.property(handWrittenCall, (operation) => {
        expect(parseWorkload(printOperation(operation))).toEqual([operation]);
      }),
      { numRuns: 2000 },
    );
  });

  it('reads back equal in a recording', () => {
    fc.assert(
      fc.property(recordedCall, (operation) => {
        expect(parseRecording(printOperation(operation)).operations).toEqual([operation]);
      }),
      { numRuns: 1000 },
    );
  });

  it('reads back equal when it is no call', () => {
    const line = 1;
    const none: Result = { kind: 'none' };
    const word_ = (content: string): Value => ({ word: content });
    const operations: Operation[] = [
      { line, pid: 5, name: 'signal', args: [word_('SIGSEGV'), word_('SEGV_MAPERR'), 0x7fff0000], result: none },
      { line, pid: 5, name: 'signal', args: [word_('SIGSEGV'), word_('SEGV_MAPERR'), 0], result: none },
      { line, pid: 5, name: 'signal', args: [word_('SIGCHLD'), null, null], result: none },
      { line, pid: 5, name: 'signal', args: [word_('SIGBUS'), 4, 2n ** 63n], result: none },
      { line, pid: 5, name: 'exited', args: [3], result: none },
      { line, pid: 5, name: 'killed', args: [word_('SIGKILL')], result: none },
      { line, pid: 5, name: 'superseded', args: [7], result: none },
    ];
    for (const operation of operations) {
      expect(parseRecording(printOperation(operation)).operations).toEqual([operation]);
      expect(parseWorkload(printOperation(operation))).toEqual([operation]);
    }
    const handWritten: Operation[] = [
      { line, pid: 5, name: 'resumed', args: [word_('load')], result: { kind: 'value', value: 1 } },
      { line, pid: null, name: 'check', args: [{ text: 'page(1,A..A+H).present == 4' }], result: none },
      { line, pid: 2, name: 'check', args: [{ text: 'a' }], result: none },
      { line, pid: null, name: 'sysctl', args: [{ text: 'vm.nr_hugepages' }, 8], result: none },
    ];
    for (const operation of handWritten) expect(parseWorkload(printOperation(operation))).toEqual([operation]);
    const block = [
      'parallel {',
      '1 steps a b=gup-fast:G5',
      '1 store(A, 1)',
      '2 steps c',
      '2 load(A)',
      '}',
      'schedule a c b',
    ];
    expect(parseWorkload(block.join('\n')).map(printOperation)).toEqual(block);
  });

  it('reads back equal in every operation of the perf importer', () => {
    const text = [
      '5 bprm_mm_init(1)',
      '5 begin_new_exec()',
      '5 setup_arg_pages(0x7ffe00000000, 135168)',
      '5 elf_map(0x400000, 8192, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_FIXED, "/bin/true", 4096)',
      '5 free_bprm()',
      '5 kernel_fault(0x7ffe00001000, W)',
      '5 fault(0x7ffe00001000, X)',
      '5 exit_mm()',
      'tlb_finish_mmu(5)',
      '5 cpu(3)',
      'inode("/bin/true", FILE, 35000, 9)',
      'cache_holes("/bin/true", [3, 2, 7, 1])',
      'cache_remove("/bin/true", 3, 2)',
      '5 new_task(6, CLONE_VM|CLONE_THREAD)',
      '6 load(0x1000) = 0x2a',
      '5 reap(6)',
    ];
    const { operations, skipped } = parse(text.join('\n'), { recorded: true });
    expect(skipped).toEqual([]);
    expect(operations.map(({ args: [, second] }) => second).slice(5, 7)).toEqual([{ word: 'W' }, { word: 'X' }]);
    const printed = operations.map(printOperation);
    expect(printed.slice(0, 14)).toEqual(text.slice(0, 14));
    expect(parse(printed.join('\n'), { recorded: true }).operations).toEqual(operations);
    expect(parse(printed.join('\n'), { recorded: false }).operations).toEqual(operations);
  });
});

describe('flags', () => {
  it.each([
    [
      '1 mmap(NULL, H, RW, PRIV|ANON|HUGE|21<<MAP_HUGE_SHIFT, -1, 0) = A',
      '1 mmap(NULL, 2097152, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1, 0) = A',
    ],
    [
      '1 mmap(0x10000, P, NONE, SH|FIXED, 3, 0) = 0x10000',
      '1 mmap(0x10000, 4096, PROT_NONE, MAP_SHARED|MAP_FIXED, 3, 0) = 0x10000',
    ],
    ['1 mremap(A, P, 2*P, 0) = A+P', '1 mremap(A, 4096, 8192, 0) = A+0x1000'],
    ['1 madvise(A-P, H, MADV_COLLAPSE) = -1 EINVAL', '1 madvise(A-0x1000, 2097152, MADV_COLLAPSE) = -1 EINVAL'],
    ['1 madvise(A, H, 0x66)', '1 madvise(A, 2097152, MADV_GUARD_INSTALL) = ?'],
    ['1 madvise(A, H, 77777)', '1 madvise(A, 2097152, 0x12fd1) = ?'],
    ['1 clone(CLONE_VM|CLONE_THREAD) = 2', '1 clone(CLONE_VM|CLONE_THREAD) = 2'],
    [
      '1 clone(child_stack=NULL, flags=CLONE_IO|SIGCHLD|0x40) = 2',
      '1 clone(child_stack=NULL, flags=CLONE_IO|0x51) = 2',
    ],
    [
      '1 openat(AT_FDCWD, "f", O_RDONLY|O_SYNC|O_TMPFILE) = 3',
      '1 openat(AT_FDCWD, "f", O_RDONLY|O_TMPFILE|O_SYNC) = 3',
    ],
    ['1 pipe2([3, 4], 0) = 0', '1 pipe2([3, 4], 0) = 0'],
    ['1 pin(A, P, FOLL_PIN|FOLL_WRITE) = p', '1 pin(A, 4096, FOLL_WRITE|FOLL_PIN) = p'],
    ['1 userfaultfd(WP_ASYNC|SIGBUS) = U', '1 userfaultfd({features=UFFD_FEATURE_SIGBUS|UFFD_FEATURE_WP_ASYNC}) = U'],
    ['1 ioctl(U, UFFDIO_COPY, dst=A, src=S, P)', '1 ioctl(U, UFFDIO_COPY, {dst=A, src=S}, 4096) = ?'],
    ['1 vfork( <unfinished ...>', '1 vfork( <unfinished ...>'],
    ['1 load(A) <unfinished ...>', '1 load(A <unfinished ...>'],
  ])('print by name: %s', (line, printed) => {
    expect(printOperation(one(line))).toBe(printed);
    expect(parseWorkload(printed)).toEqual([one(line)]);
  });
});
