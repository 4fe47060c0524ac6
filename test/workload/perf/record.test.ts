import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/lib/errors.js';
import { ERROR_WRITE, Kind, looksLikePerf, parseRecord } from '../../../src/workload/perf/record.js';

const parsed = (text: string) => {
  const record = parseRecord(text, 7);
  if (record === null) throw new Error('blank');
  return record;
};

describe('a line of perf script', () => {
  it('is read in the recommended layout', () => {
    expect(
      parsed(
        '  cow 2383/2384  [001]  5600.765799462:  exceptions:page_fault_user: address=0x7f48ac331550 ip=0x7f48ac207ab6 error_code=0x6',
      ),
    ).toMatchObject({
      line: 7,
      kind: Kind.userFault,
      comm: 'cow',
      tid: 2384,
      cpu: 1,
      time: 5600765799462,
      a: 0x7f48ac331550,
      b: 0x7f48ac207ab6,
      c: 4 | ERROR_WRITE,
    });
  });
  it('is read in the default layout, which has the thread alone and microseconds', () => {
    expect(
      parsed('cow  2384 [000]  12.345678: kmem:rss_stat: mm_id=5 curr=1 type=MM_ANONPAGES size=8192B'),
    ).toMatchObject({
      kind: Kind.rssStat,
      tid: 2384,
      time: 12345678000,
      a: 5,
      b: 1,
      c: 8192,
      d: 1,
    });
  });
  it('may name a command with blanks, brackets and colons', () => {
    expect(
      parsed(
        'a b: [1] 2.0: 9/9 [000] 1.000000001: task:task_newtask: pid=10 comm=x clone_flags=3d0f00 oom_score_adj=0',
      ),
    ).toMatchObject({
      comm: 'a b: [1] 2.0:',
      tid: 9,
      kind: Kind.newTask,
      a: 10,
      b: 0x3d0f00,
    });
  });
  it('tells the same of a call by number and by name', () => {
    const prefix = 'cow 5/5 [000] 1.0:';
    const raw = parsed(`${prefix} raw_syscalls:sys_enter: NR 9 (0, 2000, 3, 22, ffffffff, 0)`);
    const named = parsed(
      `${prefix} syscalls:sys_enter_mmap: addr: 0x00000000, len: 0x00002000, prot: 0x00000003, flags: 0x00000022, fd: 0xffffffff, off: 0x00000000`,
    );
    expect(raw).toMatchObject({ kind: Kind.sysEnter, text: 'mmap', args: [0, 0x2000, 3, 0x22, 0xffffffff, 0] });
    expect(named).toMatchObject({ kind: raw.kind, text: raw.text, args: raw.args });
    expect(parsed(`${prefix} raw_syscalls:sys_exit: NR 9 = -12`)).toMatchObject({
      kind: Kind.sysExit,
      text: 'mmap',
      c: -12,
    });
    expect(parsed(`${prefix} syscalls:sys_exit_mmap: 0xfffffffffffffff4`)).toMatchObject({ text: 'mmap', c: -12 });
    expect(parsed(`${prefix} syscalls:sys_exit_mmap: 0x7f84b6a00000`)).toMatchObject({ c: 0x7f84b6a00000 });
  });
  it('tells a mapping with device, inode, offset in pages and rights', () => {
    const { kind, args, text } = parsed(
      'cow 5/5 [000] 1.0: PERF_RECORD_MMAP2 5/5: [0x7f0000000000(0x3000) @ 0x2000 fe:01 1234 0]: r-xs /a dir/lib.so',
    );
    expect(kind).toBe(Kind.mmap2);
    expect(args).toEqual([0x7f0000000000, 0x3000, 2, 0xfe * 2 ** 20 + 1, 1234, 5, 1]);
    expect(text).toBe('/a dir/lib.so');
  });
  it('tells pages of the cache, added and looked up', () => {
    const prefix = 'cow 5/5 [000] 1.0:';
    expect(
      parsed(`${prefix} filemap:mm_filemap_add_to_page_cache: dev 254:1 ino 52c00 pfn=0x1e19eb ofs=16384 order=2`),
    ).toMatchObject({ kind: Kind.cacheAdd, a: 0x52c00, b: 4, c: 4, d: 254 * 2 ** 20 + 1 });
    expect(parsed(`${prefix} filemap:mm_filemap_map_pages: dev=254:0 ino=52c00 ofs=159744-200703`)).toMatchObject({
      kind: Kind.mapPages,
      b: 39,
      c: 48,
    });
    expect(parsed(`${prefix} filemap:mm_filemap_fault: dev=254:0 ino=52c00 ofs=8192`)).toMatchObject({
      kind: Kind.cacheTouch,
      b: 2,
      c: 2,
    });
  });
  it('is passed over if it is blank or of an event that says nothing here', () => {
    expect(parseRecord('   ', 1)).toBeNull();
    expect(parsed('cow 5/5 [000] 1.0: sched:sched_switch: prev_comm=a prev_pid=1').kind).toBe(Kind.other);
  });
  it('is an error with its place if it is something else', () => {
    expect(() => parseRecord('hello', 12)).toThrow(InputError);
    expect(() => parseRecord('hello', 12)).toThrow("<input>:12: not a line of perf script: 'hello'");
    expect(() => parseRecord('cow 5/5 [000] 1.0: raw_syscalls:sys_enter: nonsense', 3)).toThrow(
      /:3: not a raw syscall/,
    );
    expect(() => parseRecord('cow 5/5 [000] 1.0: exceptions:page_fault_user: address=zz error_code=0x6', 4)).toThrow(
      /:4: a number was expected, not 'zz'/,
    );
  });
});

describe('the beginning of a text', () => {
  it('is known as perf’s after any number of comments of a recording', () => {
    expect(looksLikePerf(`# folioscope perf recording 1: Linux 6.18\n${'# folioscope residency\n'.repeat(300)}`)).toBe(
      true,
    );
  });
  it('is not taken for perf’s when it is strace’s', () => {
    expect(looksLikePerf('123 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000\n')).toBe(false);
  });
});
