import { describe, expect, it } from 'vitest';
import type { Operation } from '../../../src/workload/operation.js';
import { PerfParser } from '../../../src/workload/perf/translate.js';

/** Lines of one recording; the time moves on by a microsecond with each. */
class Script {
  readonly lines: string[] = [];
  #at = 0;

  add(tid: number, event: string, cpu = 0, comm = 'prog'): this {
    this.#at++;
    this.lines.push(`${comm} ${tid}/${tid} [00${cpu}] 1.${String(this.#at * 1000).padStart(9, '0')}: ${event}`);
    return this;
  }

  enter(tid: number, nr: number, args: readonly number[] = [], cpu = 0): this {
    return this.add(tid, `raw_syscalls:sys_enter: NR ${nr} (${args.map((each) => each.toString(16)).join(', ')})`, cpu);
  }

  leave(tid: number, nr: number, result: number, cpu = 0): this {
    return this.add(tid, `raw_syscalls:sys_exit: NR ${nr} = ${result}`, cpu);
  }

  fault(tid: number, address: number, code: number, kernel = false, cpu = 0): this {
    const ip = kernel ? '__put_user_4' : '0x401000';
    return this.add(
      tid,
      `exceptions:page_fault_${kernel ? 'kernel' : 'user'}: address=0x${address.toString(16)} ip=${ip} error_code=0x${code.toString(16)}`,
      cpu,
    );
  }

  /** The execve that a recording begins with; its arguments take `pages` pages. */
  exec(tid: number, pages = 1): this {
    this.enter(tid, 59, [1, 2, 3]).add(tid, `PERF_RECORD_COMM exec: prog:${tid}/${tid}`);
    const size = ((32 + pages) * 4096).toString(16);
    this.add(
      tid,
      `PERF_RECORD_MMAP2 ${tid}/${tid}: [0x7ffc00000000(0x${size}) @ 0x7ffffffde000 00:00 0 0]: rw-p [stack]`,
    );
    this.add(tid, `PERF_RECORD_MMAP2 ${tid}/${tid}: [0x400000(0x2000) @ 0 fe:00 77 0]: r-xp /bin/prog`);
    return this.leave(tid, 59, 0);
  }
}

function translated(script: Script | string, lenient = false) {
  const operations: Operation[] = [];
  const skipped: string[] = [];
  const faults: boolean[] = [];
  let lost = 0;
  const parser = new PerfParser(
    {
      operation: (operation) => void operations.push(operation),
      skipped: (reason) => void skipped.push(reason),
      boundary: () => undefined,
      fault: (_record, effective) => void faults.push(effective),
      fact: () => undefined,
      lost: () => void lost++,
      foreign: () => undefined,
    },
    { lenient },
  );
  const text = typeof script === 'string' ? script : script.lines.join('\n');
  text.split('\n').forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  const named = (name: string) => operations.filter((each) => each.name === name);
  return { operations, names: operations.map(({ name }) => name), named, skipped, faults, lost };
}

describe('an execve', () => {
  it('puts the arguments’ pages, known from the size of the stack, into a new address space before it switches', () => {
    const { names, named } = translated(new Script().exec(10, 3));
    expect(names.filter((name) => name !== 'cpu')).toEqual([
      'bprm_mm_init',
      'begin_new_exec',
      'setup_arg_pages',
      'inode',
      'elf_map',
    ]);
    expect(named('bprm_mm_init')[0]?.args).toEqual([3]);
    expect(named('setup_arg_pages')[0]?.args).toEqual([0x7ffc00000000, 35 * 4096]);
    expect(named('elf_map')[0]?.args.slice(0, 4)).toEqual([0x400000, 0x2000, 5, 2]);
  });
  it('that fails is not the beginning', () => {
    const script = new Script().enter(10, 59, [1, 2, 3]).leave(10, 59, -2).exec(10);
    expect(translated(script).named('bprm_mm_init')).toHaveLength(1);
  });
});

describe('a fault', () => {
  it('has its kind of access and the end of fault-around, and never the present bit', () => {
    const script = new Script().exec(10).fault(10, 0x401000, 0x14);
    script.add(10, 'filemap:mm_filemap_map_pages: dev=254:0 ino=4d ofs=0-8191').fault(10, 0x7ffc00001000, 7);
    const [first, second] = translated(script).named('fault');
    expect(first?.args).toEqual([0x401000, { word: 'X' }, 1]);
    expect(second?.args).toEqual([0x7ffc00001000, { word: 'W' }]);
  });
  it('of the kernel that comes twice at once did nothing the first time', () => {
    const script = new Script()
      .exec(10)
      .fault(10, 0x5000, 2, true)
      .fault(10, 0x5000, 3, true)
      .fault(10, 0x6000, 2, true);
    const { named, faults } = translated(script);
    expect(named('kernel_fault').map(({ args }) => args[0])).toEqual([0x5000, 0x6000]);
    expect(faults).toEqual([false, true, true]);
  });
});

describe('tasks', () => {
  it('are born at task_newtask, with its clone flags', () => {
    const script = new Script().exec(10).enter(10, 435, [0, 0]);
    script.add(10, 'task:task_newtask: pid=11 comm=prog clone_flags=3d0f00 oom_score_adj=0');
    script.add(10, 'sched:sched_process_fork: comm=prog pid=10 child_comm=prog child_pid=11');
    const { named } = translated(script.fault(11, 0x1000, 6, false, 1));
    expect(named('new_task')).toMatchObject([{ pid: 10, args: [11, 0x3d0f00], result: { kind: 'value', value: 11 } }]);
    expect(named('cpu').at(-1)).toMatchObject({ pid: 11, args: [1] });
  });
  it('are taken for processes where only sched_process_fork was recorded, and that is said', () => {
    const script = new Script().exec(10);
    script.add(10, 'sched:sched_process_fork: comm=prog pid=10 child_comm=prog child_pid=11');
    const { named, skipped } = translated(script);
    expect(named('new_task')[0]?.args).toEqual([11, 0]);
    expect(skipped).toContain('fork without task_newtask: taken as a new process');
  });
  it('let go of their memory after the kernel’s last write to it (clear_child_tid), and of its pages later', () => {
    const script = new Script().exec(10);
    script.add(10, 'sched:sched_process_exit: comm=prog pid=10 prio=120 group_dead=true').fault(10, 0x5000, 7, true);
    expect(translated(script).names.slice(-3)).toEqual(['kernel_fault', 'exit_mm', 'tlb_finish_mmu']);
  });
  it('do not act after that', () => {
    const script = new Script().exec(10);
    script.add(10, 'sched:sched_process_exit: comm=prog pid=10 prio=120').enter(10, 12, [0]);
    expect(() => translated(script)).toThrow(/task 10 acts \(brk\) after its exit/);
  });
  it('have parents that are known', () => {
    const script = new Script().exec(10);
    script.add(10, 'sched:sched_process_fork: comm=prog pid=99 child_comm=prog child_pid=11');
    expect(() => translated(script)).toThrow(/task 11 has the unknown parent 99/);
  });
  it('are not created while they live', () => {
    const script = new Script().exec(10);
    for (let i = 0; i < 2; i++) script.add(10, 'task:task_newtask: pid=11 comm=prog clone_flags=0 oom_score_adj=0');
    expect(() => translated(script)).toThrow(/task 11 is created while it is alive/);
  });
});

describe('LRU insertions', () => {
  const insertion = 'pagemap:mm_lru_insertion: folio=0x1 pfn=0x455dc7 lru=2 flags= f   B';
  it('mean that the CPU’s batch was drained, whoever did it, once for each burst', () => {
    const script = new Script()
      .exec(10)
      .add(99, insertion, 1)
      .add(99, insertion, 1)
      .add(99, insertion, 0)
      .fault(10, 0x1000, 6);
    expect(
      translated(script.add(99, insertion, 0))
        .named('lru_add_drain')
        .map(({ args }) => args[0]),
    ).toEqual([1, 0, 0]);
  });
});

describe('settings of the machine', () => {
  it('that `record` took down are written before anything else', () => {
    const head = '# folioscope perf recording 1\n# folioscope setting transparent_hugepage/enabled always';
    const { operations } = translated(`${head}\n${new Script().exec(10).lines.join('\n')}`);
    expect(operations[0]).toMatchObject({
      line: 2,
      pid: null,
      name: 'sysfs',
      args: [{ text: 'transparent_hugepage/enabled' }, { text: 'always' }],
    });
  });
});

describe('the page cache', () => {
  const cached = (head: string, tail: (script: Script) => Script = (script) => script) =>
    translated(`${head}\n${tail(new Script().exec(10)).lines.join('\n')}`);

  it('has the size and the holes that `record` took down, and passes over marked folios', () => {
    const { named } = cached(
      '# folioscope perf recording 1\n# folioscope residency fe:0 77 40960 [3,2] /bin/prog\n# folioscope readahead fe:0 77 [5,1 8,2] /bin/prog',
    );
    expect(named('inode')[0]?.args.slice(1)).toEqual([0, 40960, 1]);
    expect(named('cache_holes')[0]?.args[1]).toEqual([3, 3, 8, 2]);
  });
  it('gets a marked folio back when somebody looks one of its pages up', () => {
    const { named } = cached(
      '# folioscope residency fe:0 77 40960 [] x\n# folioscope readahead fe:0 77 [8,2] x',
      (script) =>
        script
          .add(10, 'filemap:mm_filemap_fault: dev=254:0 ino=4d ofs=36864')
          .add(99, 'filemap:mm_filemap_get_pages: dev=254:0 ino=4d ofs=32768-36863'),
    );
    expect(named('cache_add').map(({ args }) => args.slice(1))).toEqual([[8, 2]]);
  });
  it('remembers what was read of a file before anybody mapped it', () => {
    const early = new Script().add(
      99,
      'filemap:mm_filemap_add_to_page_cache: dev 254:0 ino 4d pfn=0x5 ofs=12288 order=0',
    );
    early.add(99, 'filemap:mm_filemap_delete_from_page_cache: dev 254:0 ino 4d pfn=0x6 ofs=0 order=0');
    const { named } = cached(`# folioscope residency fe:0 77 40960 [3,2] x\n${early.lines.join('\n')}`);
    expect(named('cache_holes')[0]?.args[1]).toEqual([0, 1, 4, 1]);
  });
  it('is an error where a line of it cannot be read', () => {
    expect(() => cached('# folioscope residency fe:0 seven')).toThrow(
      '<input>:1: a residency line that cannot be read',
    );
  });
});

describe('a recording', () => {
  it('without an execve has no beginning', () => {
    expect(() => translated(new Script().fault(10, 0x1000, 6))).toThrow(/no execve in this recording/);
  });
  it('that lost events says so', () => {
    expect(translated(new Script().exec(10).add(0, 'PERF_RECORD_LOST lost 12')).lost).toBe(1);
  });
  it('with a torn line is refused, or the line is counted', () => {
    const text = `${new Script().exec(10).lines.join('\n')}\nprog 10/10 [0`;
    expect(() => translated(text)).toThrow(/:6: not a line of perf script/);
    expect(translated(text, true).skipped).toEqual(['not understood']);
  });
});
