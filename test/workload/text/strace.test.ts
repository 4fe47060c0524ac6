import { describe, expect, it } from 'vitest';
import { parse, parseRecording, sequence } from './support.js';

const CLONE = 'clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD';

describe('heads of lines', () => {
  it.each([
    ['5883  brk(NULL) = 0x1000', 5883],
    ['5883 brk(NULL)                         = 0x1000', 5883],
    ['3210<my sh> brk(NULL) = 0x1000', 3210],
    ['[pid  5884] brk(NULL) = 0x1000', 5884],
    ['[pid 5884<a]b>] 11:12:19 brk(NULL) = 0x1000', 5884],
    ['5883 11:12:19 brk(NULL) = 0x1000', 5883],
    ['5883 11:12:19.723683 brk(NULL) = 0x1000 <0.000048>', 5883],
    ['5883 1700000000.723683 brk(NULL) = 0x1000 <0.000048>', 5883],
    ['5883      0.000099 brk(NULL) = 0x1000', 5883],
    ['5883 11:12:19.723683 (+     0.000012) [  12] [00007f6df02c6000] brk(NULL) = 0x1000', 5883],
    ['brk(NULL) = 0x1000', 1],
    ['     0.000496 brk(NULL) = 0x1000', 1],
    ['11:12:19 brk(NULL) = 0x1000', 1],
    ['\x1b[33m5883\x1b[0m brk(NULL) = 0x1000', 5883],
  ])('are read: %s', (line, pid) => {
    const { operations } = parseRecording(line);
    expect(operations).toEqual([{ line: 1, pid, name: 'brk', args: [null], result: { kind: 'value', value: 0x1000 } }]);
  });
});

describe('results', () => {
  it.each([
    ['0x7f0000000000', { kind: 'value', value: 0x7f0000000000 }],
    ['0xfffffffffffff000', { kind: 'value', value: 0xfffffffffffff000n }],
    ['-1 EFAULT (Bad address)', { kind: 'errno', errno: 'EFAULT' }],
    ['-1 (errno 14)', { kind: 'errno', errno: 'EFAULT' }],
    ['3</etc/passwd>', { kind: 'value', value: 3 }],
    ['3210<sh> <0.000157>', { kind: 'value', value: 3210 }],
    ['0 (Timeout)', { kind: 'value', value: 0 }],
    ['0x1 (flags FD_CLOEXEC)', { kind: 'value', value: 1 }],
    ['-1 ENOSYS (Function not implemented) (INJECTED) <0.1>', { kind: 'errno', errno: 'ENOSYS' }],
    ['?', { kind: 'none' }],
    ['? ERESTARTSYS (To be restarted if SA_RESTART is set)', { kind: 'none' }],
    ['? <unavailable>', { kind: 'none' }],
  ])('are read: %s', (text, result) => {
    expect(parseRecording(`1 mmap(0) = ${text}`).operations[0]?.result).toEqual(result);
  });
});

describe('interrupted calls', () => {
  it('are joined and delivered when they end, with the line where they began', () => {
    const { operations } = parseRecording(
      ['1 clone() = 2', '1 mmap(NULL, 4096, PROT_READ, <unfinished ...>', '2 munmap(0x1000, 4096) = 0']
        .concat('1 <... mmap resumed>MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7000')
        .join('\n'),
    );
    expect(sequence(operations)).toEqual(['1 clone', '2 munmap', '1 mmap']);
    expect(operations[2]).toEqual({
      line: 2,
      pid: 1,
      name: 'mmap',
      args: [null, 4096, 1, 0x22, -1, 0],
      result: { kind: 'value', value: 0x7000 },
    });
  });

  it('are joined in the forms of old and new versions of strace', () => {
    const text =
      '1 close(3 <unfinished #89 ...>\n1 <... close resumed #89>) = 0\n1 close(4 <unfinished ...>\n1 <... close resumed> ) = 0';
    expect(parseRecording(text).operations.map(({ args }) => args)).toEqual([[3], [4]]);
  });

  it('stay unfinished when nothing ends them', () => {
    const { operations } = parseRecording('1 wait4(-1,  <unfinished ...>');
    expect(operations).toEqual([
      { line: 1, pid: 1, name: 'wait4', args: [-1], result: { kind: 'none' }, unfinished: true },
    ]);
  });

  it('stay unfinished when the task exits in them', () => {
    const { operations } = parseRecording('1 exit_group(0 <unfinished ...>\n1 +++ exited with 0 +++');
    expect(sequence(operations)).toEqual(['1 exit_group', '1 exited']);
    expect(operations[0]?.unfinished).toBe(true);
  });

  it('are counted when their beginning or end is missing', () => {
    const { operations, skipped } = parseRecording('1 <... mmap resumed>) = 0\n1 munmap(0x1000, 1 <detached ...>');
    expect(operations).toEqual([]);
    expect(skipped).toEqual(['resumed without its beginning:1', 'detached:2']);
  });
});

describe('births', () => {
  it('come before the deeds of a child whose lines strace printed first', () => {
    const { operations } = parseRecording(
      [`1 ${CLONE} <unfinished ...>`, '2 munmap(0x1000, 4096) = 0', '2 munmap(0x2000, 4096 <unfinished ...>']
        .concat('1 <... clone resumed>, child_tidptr=0x10) = 2', '2 <... munmap resumed>) = 0')
        .join('\n'),
    );
    expect(operations.map(({ line, name }) => `${line} ${name}`)).toEqual(['1 clone', '2 munmap', '3 munmap']);
    expect(operations[0]?.args).toEqual([{ fields: { child_stack: null, flags: 0x1200011, child_tidptr: 0x10 } }]);
  });

  it('release grandchildren in the order of lines', () => {
    const { operations } = parseRecording(
      ['1 fork( <unfinished ...>', '2 fork() = 3', '3 brk(0) = 1', '2 brk(0) = 2', '3 brk(0) = 3']
        .concat('1 <... fork resumed>) = 2', '1 brk(0) = 4')
        .join('\n'),
    );
    expect(sequence(operations)).toEqual(['1 fork', '2 fork', '3 brk', '2 brk', '3 brk', '1 brk']);
  });

  it('of a vfork are known from the first line of the child, for its parent waits until it execs', () => {
    const { operations } = parseRecording(
      [
        '1 brk(0) = 1',
        '1 vfork( <unfinished ...>',
        '2 close(3) = 0',
        '2 execve("/bin/true", ["true"], 0x10 <unfinished ...>',
      ]
        .concat('1 <... vfork resumed>) = 2', '1 close(4) = 0', '2 <... execve resumed>) = 0')
        .join('\n'),
    );
    expect(sequence(operations)).toEqual(['1 brk', '1 vfork', '2 close', '1 close', '2 execve']);
    expect(operations[1]).toEqual({ line: 2, pid: 1, name: 'vfork', args: [], result: { kind: 'value', value: 2 } });
  });

  it('of a clone with CLONE_VFORK too', () => {
    const { operations } = parseRecording(
      ['1 clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88 <unfinished ...>', '2 brk(0) = 1']
        .concat('1 <... clone3 resumed>) = 2')
        .join('\n'),
    );
    expect(sequence(operations)).toEqual(['1 clone3', '2 brk']);
    expect(operations[0]?.args).toEqual([{ fields: { flags: 0x4100, exit_signal: 17 } }, 88]);
  });

  it('wait for the result while two tasks are forking', () => {
    const { operations } = parseRecording(
      ['1 fork() = 2', '1 vfork( <unfinished ...>', '2 fork( <unfinished ...>', '4 brk(0) = 1', '3 brk(0) = 1']
        .concat('2 <... fork resumed>) = 4', '3 execve("x", [], 0) = 0', '1 <... vfork resumed>) = 3')
        .join('\n'),
    );
    expect(sequence(operations)).toEqual(['1 fork', '2 fork', '1 vfork', '4 brk', '3 brk', '3 execve']);
  });

  it('are refused when a vfork names another child than the one that acted', () => {
    const text = '1 vfork( <unfinished ...>\n2 brk(0) = 1\n1 <... vfork resumed>) = 3';
    expect(() => parseRecording(text)).toThrow('<input>:3: vfork gives 3, but task 2 acted as its child');
  });

  it('may reuse a PID', () => {
    const { operations } = parseRecording(
      [
        '1 fork() = 2',
        '2 +++ exited with 0 +++',
        '1 fork( <unfinished ...>',
        '2 brk(0) = 1',
        '1 <... fork resumed>) = 2',
      ].join('\n'),
    );
    expect(sequence(operations)).toEqual(['1 fork', '2 exited', '1 fork', '2 brk']);
  });

  it('are also told by new_task', () => {
    const { operations } = parseRecording('1 new_task(2, CLONE_VM)\n2 brk(0) = 1');
    expect(sequence(operations)).toEqual(['1 new_task', '2 brk']);
  });

  it('must be told by somebody', () => {
    expect(() => parseRecording('1 brk(0) = 1\n7 brk(0) = 1\n7 brk(0) = 1')).toThrow(
      '<input>:2:1: task 7 acts but nothing created it (line 2)',
    );
  });

  it('do not follow an exit', () => {
    const text = '1 brk(0) = 1\n1 +++ exited with 0 +++\n1 brk(0) = 1';
    expect(() => parseRecording(text)).toThrow('<input>:3:1: task 1 acts after it exited');
  });

  it('must be told before too many lines wait', () => {
    const text = `1 brk(0) = 1\n${'2 brk(0) = 1\n'.repeat(100_001)}`;
    expect(() => parseRecording(text)).toThrow(
      '<input>:100002:1: more than 100000 lines of tasks that nothing created',
    );
  });
});

describe('signals and exits', () => {
  it('become operations', () => {
    const { operations } = parseRecording(
      [
        '1 --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x8} ---',
        '1 --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_ACCERR, si_addr=NULL} ---',
      ]
        .concat('1 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=2, si_stime=2 /* 0.02 s */} ---')
        .concat('1 +++ killed by SIGSEGV (core dumped) +++')
        .join('\n'),
    );
    expect(operations.map(({ name, args }) => [name, ...args])).toEqual([
      ['signal', { word: 'SIGSEGV' }, { word: 'SEGV_MAPERR' }, 8],
      ['signal', { word: 'SIGSEGV' }, { word: 'SEGV_ACCERR' }, 0],
      ['signal', { word: 'SIGCHLD' }, { word: 'CLD_EXITED' }, null],
      ['killed', { word: 'SIGSEGV' }],
    ]);
  });

  it('count stops, which change no memory', () => {
    expect(parseRecording('1 --- stopped by SIGSTOP ---').skipped).toEqual(['stopped:1']);
  });

  it('give a thread that execs the number of its leader', () => {
    const { operations } = parseRecording(
      ['1 clone() = 2', '1 wait4(-1,  <unfinished ...>', '2 execve("/bin/true", ["true"], 0x10 <unfinished ...>']
        .concat('1 <... wait4 resumed>) = ?', '1 +++ superseded by execve in pid 2 +++', '1 <... execve resumed>) = 0')
        .join('\n'),
    );
    expect(sequence(operations)).toEqual(['1 clone', '1 wait4', '1 superseded', '1 execve']);
    expect(operations[2]?.args).toEqual([2]);
    expect(() => parseRecording('1 clone() = 2\n1 +++ superseded by execve in pid 2 +++\n2 brk(0) = 1')).toThrow(
      'task 2 acts after it exited',
    );
  });
});

describe('strace on its error output', () => {
  it('is rejoined where a message tears a line, and its first task gets one number', () => {
    const { operations, skipped } = parseRecording(
      [
        'brk(NULL) = 0x1000',
        `${CLONE}strace: Process 3219 attached`,
        ', child_tidptr=0x10) = 3219',
        '[pid  3219] brk(NULL) = 1',
      ]
        .concat('[pid  3218] brk(NULL) = 2', 'strace: Process 3220 attached', '[pid  3219] +++ exited with 0 +++')
        .concat('brk(NULL) = 3', '+++ exited with 0 +++')
        .join('\n'),
    );
    const expected = ['1 brk', '1 clone', '3219 brk', '1 brk', '3219 exited', '1 brk', '1 exited'];
    expect(sequence(operations)).toEqual(expected);
    expect(skipped).toEqual(['note of strace:6']);
  });

  it('gives lines without PID to the one task that is left', () => {
    const { operations } = parseRecording(['fork() = 8', '[pid 7] +++ exited with 0 +++', 'brk(NULL) = 1'].join('\n'));
    expect(sequence(operations)).toEqual(['1 fork', '1 exited', '8 brk']);
  });
});

describe('what is skipped', () => {
  it('is every call that does not concern memory, whatever its arguments look like', () => {
    const { operations, skipped } = parseRecording(
      [
        '1 futex(]]] = 0',
        '1 rt_sigprocmask(SIG_BLOCK,  <unfinished ...>',
        '1 <... rt_sigprocmask resumed>[CHLD], 8) = 0',
      ]
        .concat('1 syscall_0x1b3(1, 2) = -1 ENOSYS', '1 lseek(3, 0, SEEK_SET) = 0')
        .join('\n'),
    );
    expect(operations).toEqual([]);
    expect(skipped).toEqual(['futex:1', 'rt_sigprocmask:2', 'rt_sigprocmask:3', 'syscall_0x1b3:4', 'lseek:5']);
  });

  it('is what strace says of itself', () => {
    const text =
      'strace: Process 1 attached\nbrk(0) = 1\n > /lib/libc.so.6(brk+0x1) [0x2]\n[ Process PID=5 runs in 32 bit mode. ]\n# note\n';
    expect(parseRecording(text).skipped).toEqual(['note of strace:1', 'note of strace:3', 'note of strace:4']);
  });
});

describe('bad recordings', () => {
  it('are refused at the place where they stop making sense', () => {
    expect(() => parseRecording('cow  5883 [001] 12.5: page-faults:u: 7f')).toThrow(
      '<input>:1:1: not a line of strace',
    );
    expect(() => parseRecording('\x7fELF\x02\x01\x01')).toThrow('<input>:1:1: not a line of strace');
    expect(() => parseRecording('5 \0\0')).toThrow('<input>:1:3: not a line of strace');
    expect(() => parseRecording('% time     seconds')).toThrow('<input>:1:1: this is a summary of strace -c');
    expect(() => parseRecording('1 munmap(0x1000 4096) = 0\n1 brk(0) = 0')).toThrow('<input>:1:17: unexpected "4096)');
  });

  it('tell the line of a joined call that holds the problem', () => {
    const begun = '1 munmap(0x1000, <unfinished ...>';
    expect(() => parseRecording(`${begun}\n1 <... munmap resumed>1] = 0\n`)).toThrow(
      '<input>:2:24: expected "," or ")"',
    );
  });

  it('may end with a line that was cut off, which is counted', () => {
    const whole = '1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3</a>, "x") = 0x1000';
    for (const text of [
      '1 mm',
      '1 mmap(',
      '1 mmap(NULL, 4096, PROT',
      '1 mmap(NULL, 4096, 3</a',
      '1 mmap(NULL, "x',
      '1 mmap(NULL)',
      '1 mmap(NULL) =',
      '1 --- SIGSE',
      '1 +++ exited w',
      '1 <... mm',
      '1 munmap(1, 1 <unfin',
    ]) {
      const { operations, skipped } = parseRecording(`${whole}\n${text}`);
      expect(operations.length, text).toBe(1);
      expect(skipped, text).toEqual(['cut off:2']);
      expect(() => parseRecording(`${whole}\n${text}\n${whole}`), text).toThrow('<input>:2');
    }
  });

  it('are counted instead when the reader is lenient', () => {
    const text = '1 brk(0) = 0\n1 munmap(0x1000 4096) = 0\ngarbage here\n9 brk(0) = 0\n1 brk(0) = 1';
    const { operations, skipped } = parse(text, { recorded: true, lenient: true });
    expect(sequence(operations)).toEqual(['1 brk', '1 brk']);
    expect(skipped).toEqual(['not understood:2', 'not understood:3', 'not understood:4']);
  });
});
