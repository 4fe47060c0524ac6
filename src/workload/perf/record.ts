// One line of `perf script`: parsed into a record. Both field layouts are accepted, the recommended and perf's default one.
import { InputError } from '../../lib/errors.js';

/** Kinds of lines that mean something to the model or to its judge. */
export const Kind = {
  other: 0,
  userFault: 1,
  kernelFault: 2,
  rssStat: 3,
  pageAlloc: 4,
  pageFree: 5,
  lruInsertion: 6,
  mapPages: 7,
  cacheAdd: 8,
  cacheDelete: 9,
  sysEnter: 10,
  sysExit: 11,
  newTask: 12,
  fork: 13,
  exit: 14,
  mmap2: 15,
  commExec: 16,
  lost: 17,
  /** A page of the cache was looked up, which clears a readahead mark. */
  cacheTouch: 18,
} as const;

/** A line, decoded. Which fields carry what depends on `kind`; all records have the same shape, which keeps reading fast. */
export interface PerfRecord {
  readonly line: number;
  readonly kind: number;
  readonly comm: string;
  readonly tid: number;
  readonly cpu: number;
  /** Nanoseconds. */
  readonly time: number;
  /** Fault: address. rss_stat: mm_id. Page and LRU events: pfn. Page cache: inode number. Syscall: number. Tasks: pid. */
  readonly a: number;
  /** Fault: ip (0 for a kernel symbol). rss_stat: type. map_pages: first index. Cache: index. Tasks: clone flags or parent. */
  readonly b: number;
  /** Fault: error code. rss_stat: bytes. map_pages: last index. Cache: pages. Syscall exit: result. */
  readonly c: number;
  /** rss_stat: curr. Device of page-cache events, as major * 2^20 + minor. */
  readonly d: number;
  /** Arguments of a syscall; [addr, length, page offset, device, inode, rights, shared] of a mapping. */
  readonly args: readonly number[];
  /** gfp flags, mapping name, syscall name. */
  readonly text: string;
  /** The task's next line, as far as read. */
  next: PerfRecord | null;
}

const LINE = /^\s*(.{1,16}?)\s+(-?\d+)(?:\/(-?\d+))?\s+\[(\d+)\]\s+(\d+)\.(\d+):\s+(\S+?):?(?:\s(.*))?$/;

const RSS_TYPES: Readonly<Record<string, number>> = {
  MM_FILEPAGES: 0,
  MM_ANONPAGES: 1,
  MM_SWAPENTS: 2,
  MM_SHMEMPAGES: 3,
};

/** Page-fault error code bits. The present bit (1) belongs to the judge. */
export const ERROR_PRESENT = 1;
export const ERROR_WRITE = 2;
export const ERROR_USER = 4;
export const ERROR_FETCH = 16;

const PAGE_SHIFT_BYTES = 4096;
const device = (major: number, minor: number): number => major * 2 ** 20 + minor;

/** The value of `key=` or `key: ` in a payload, as text up to a blank or comma. */
function field(payload: string, key: string): string {
  const at = payload.indexOf(key);
  if (at < 0) return '';
  let from = at + key.length;
  while (payload[from] === ' ') from++;
  let to = from;
  while (to < payload.length && payload[to] !== ' ' && payload[to] !== ',') to++;
  return payload.slice(from, to);
}

function num(text: string, line: number): number {
  const value = Number(text);
  if (text === '' || Number.isNaN(value))
    throw new InputError({ line }, `a number was expected, not '${text.slice(0, 40)}'`);
  return value;
}

/** How the recordings of `record` begin; many comment lines follow. */
export const RECORDING_HEAD = '# folioscope perf recording ';

/** Does the text begin as `perf script` output does? */
export function looksLikePerf(head: string): boolean {
  if (head.startsWith(RECORDING_HEAD)) return true;
  let seen = 0;
  for (const line of head.split('\n', 200)) {
    const match = LINE.exec(line);
    if (match && /^(PERF_RECORD_|[a-z_]+:[a-z_0-9]+$)/.test(match[7] as string)) seen++;
  }
  return seen > 0;
}

interface Decoded {
  kind: number;
  a?: number;
  b?: number;
  c?: number;
  d?: number;
  args?: readonly number[];
  text?: string;
}

const NO_ARGS: readonly number[] = [];

const DECODERS: Readonly<Record<string, (payload: string, line: number) => Decoded>> = {
  'exceptions:page_fault_user': (payload, line) => fault(Kind.userFault, payload, line),
  'exceptions:page_fault_kernel': (payload, line) => fault(Kind.kernelFault, payload, line),
  'kmem:rss_stat': (payload, line) => ({
    kind: Kind.rssStat,
    a: num(field(payload, 'mm_id='), line),
    b: RSS_TYPES[field(payload, 'type=')] ?? -1,
    c: num(field(payload, 'size=').replace(/B$/, ''), line),
    d: num(field(payload, 'curr='), line),
  }),
  'kmem:mm_page_alloc': (payload, line) => ({
    kind: Kind.pageAlloc,
    a: num(field(payload, 'pfn='), line),
    b: num(field(payload, 'order='), line),
    text: field(payload, 'gfp_flags='),
  }),
  'kmem:mm_page_free': (payload, line) => ({
    kind: Kind.pageFree,
    a: num(field(payload, 'pfn='), line),
    b: num(field(payload, 'order='), line),
  }),
  'pagemap:mm_lru_insertion': (payload, line) => ({ kind: Kind.lruInsertion, a: num(field(payload, 'pfn='), line) }),
  'filemap:mm_filemap_map_pages': (payload, line) => pageRange(Kind.mapPages, payload, line),
  'filemap:mm_filemap_fault': (payload, line) => pageRange(Kind.cacheTouch, payload, line),
  'filemap:mm_filemap_get_pages': (payload, line) => pageRange(Kind.cacheTouch, payload, line),
  'filemap:mm_filemap_add_to_page_cache': (payload, line) => cacheEvent(Kind.cacheAdd, payload, line),
  'filemap:mm_filemap_delete_from_page_cache': (payload, line) => cacheEvent(Kind.cacheDelete, payload, line),
  'task:task_newtask': (payload, line) => ({
    kind: Kind.newTask,
    a: num(field(payload, 'pid='), line),
    b: parseInt(field(payload, 'clone_flags='), 16),
  }),
  'sched:sched_process_fork': (payload, line) => ({
    kind: Kind.fork,
    a: num(field(payload, 'child_pid='), line),
    b: num(field(payload, ' pid='), line),
  }),
  'sched:sched_process_exit': (payload, line) => ({ kind: Kind.exit, a: num(field(payload, ' pid='), line) }),
  'raw_syscalls:sys_enter': (payload, line) => {
    const match = /^NR (\d+) \(([^)]*)\)/.exec(payload);
    if (!match) throw new InputError({ line }, `not a raw syscall: '${payload.slice(0, 60)}'`);
    return {
      kind: Kind.sysEnter,
      text: SYSCALL_NAMES[Number(match[1])] ?? '',
      args: (match[2] as string).split(',').map((each) => parseInt(each, 16)),
    };
  },
  'raw_syscalls:sys_exit': (payload, line) => {
    const match = /^NR (-?\d+) = (-?\d+)/.exec(payload);
    if (!match) throw new InputError({ line }, `not a raw syscall: '${payload.slice(0, 60)}'`);
    return { kind: Kind.sysExit, text: SYSCALL_NAMES[Number(match[1])] ?? '', c: Number(match[2]) };
  },
  PERF_RECORD_MMAP2: (payload, line) => {
    const match =
      /\[(0x[0-9a-f]+)\((0x[0-9a-f]+)\) @ (0x[0-9a-f]+|0) ([0-9a-f]+):([0-9a-f]+) (\d+) (\d+)\]: (\S+) (.*)$/.exec(
        payload,
      );
    if (!match) return { kind: Kind.other };
    const rights = match[8] as string;
    return {
      kind: Kind.mmap2,
      text: (match[9] as string).trim(),
      args: [
        num(match[1] as string, line),
        num(match[2] as string, line),
        Math.floor(num(match[3] as string, line) / PAGE_SHIFT_BYTES),
        device(parseInt(match[4] as string, 16), parseInt(match[5] as string, 16)),
        num(match[6] as string, line),
        (rights[0] === 'r' ? 1 : 0) | (rights[1] === 'w' ? 2 : 0) | (rights[2] === 'x' ? 4 : 0),
        rights[3] === 's' ? 1 : 0,
      ],
    };
  },
  PERF_RECORD_COMM: (payload) => ({ kind: payload.startsWith('exec:') ? Kind.commExec : Kind.other }),
  PERF_RECORD_LOST: () => ({ kind: Kind.lost }),
};

function fault(kind: number, payload: string, line: number): Decoded {
  const ip = field(payload, ' ip=');
  return {
    kind,
    a: num(field(payload, 'address='), line),
    b: ip.startsWith('0x') ? Number(ip) : 0,
    c: num(field(payload, 'error_code='), line),
  };
}

/** Pages of a file, told by the byte offsets of the first one and of the end of the last one, or of one page. */
function pageRange(kind: number, payload: string, line: number): Decoded {
  const [from, to] = field(payload, 'ofs=').split('-');
  const [major, minor] = field(payload, 'dev=').split(':');
  return {
    kind,
    a: parseInt(field(payload, 'ino='), 16),
    b: Math.floor(num(from ?? '', line) / PAGE_SHIFT_BYTES),
    c: Math.floor(num(to ?? from ?? '', line) / PAGE_SHIFT_BYTES),
    d: device(num(major ?? '', line), num(minor ?? '', line)),
  };
}

function cacheEvent(kind: number, payload: string, line: number): Decoded {
  const [major, minor] = field(payload, 'dev ').split(':');
  const order = field(payload, 'order=');
  return {
    kind,
    a: parseInt(field(payload, 'ino '), 16),
    b: Math.floor(num(field(payload, 'ofs='), line) / PAGE_SHIFT_BYTES),
    c: 2 ** (order === '' ? 0 : num(order, line)),
    d: device(num(major ?? '', line), num(minor ?? '', line)),
    args: [num(field(payload, 'pfn='), line)],
  };
}

/**
 * Parses line `number`; null for a blank one.
 * @throws InputError where the line is not perf script output.
 */
export function parseRecord(text: string, number: number): PerfRecord | null {
  const match = LINE.exec(text);
  if (match === null) {
    if (text.trim() === '') return null;
    throw new InputError({ line: number }, `not a line of perf script: '${text.slice(0, 60)}'`);
  }
  const event = match[7] as string;
  const payload = match[8] ?? '';
  let decoded: Decoded;
  if (event.startsWith('syscalls:sys_enter_')) decoded = namedEnter(event.slice(19), payload);
  else if (event.startsWith('syscalls:sys_exit_'))
    decoded = { kind: Kind.sysExit, text: event.slice(18), c: exitValue(payload, number) };
  else if (event.startsWith('PERF_RECORD_LOST')) decoded = { kind: Kind.lost };
  else if (Object.hasOwn(DECODERS, event))
    decoded = (DECODERS[event] as (typeof DECODERS)[string])(` ${payload}`.trimStart(), number);
  else decoded = { kind: Kind.other };
  const fraction = match[6] as string;
  return {
    line: number,
    kind: decoded.kind,
    comm: match[1] as string,
    tid: Number(match[3] ?? match[2]),
    cpu: Number(match[4]),
    time: Number(match[5]) * 1e9 + Number(fraction) * 10 ** (9 - fraction.length),
    a: decoded.a ?? 0,
    b: decoded.b ?? 0,
    c: decoded.c ?? 0,
    d: decoded.d ?? 0,
    args: decoded.args ?? NO_ARGS,
    text: decoded.text ?? '',
    next: null,
  };
}

function namedEnter(name: string, payload: string): Decoded {
  const args: number[] = [];
  for (const match of payload.matchAll(/: (0x[0-9a-f]+)/g)) args.push(Number(match[1]));
  return { kind: Kind.sysEnter, text: name, args };
}

/** A syscall's result, negative for an errno: perf prints it as an unsigned 64-bit hexadecimal number. */
function exitValue(payload: string, line: number): number {
  const text = payload.trim();
  if (!text.startsWith('0x')) return num(text, line);
  if (!/^0x[0-9a-f]{1,16}$/.test(text))
    throw new InputError({ line }, `not the result of a call: ${text.slice(0, 40)}`);
  const value = BigInt(text);
  return Number(BigInt.asIntN(64, value));
}

/** x86-64 numbers of the calls that matter here. */
const SYSCALL_NAMES: Readonly<Record<number, string>> = {
  0: 'read',
  1: 'write',
  2: 'open',
  3: 'close',
  9: 'mmap',
  10: 'mprotect',
  11: 'munmap',
  12: 'brk',
  17: 'pread64',
  18: 'pwrite64',
  25: 'mremap',
  26: 'msync',
  27: 'mincore',
  28: 'madvise',
  30: 'shmat',
  56: 'clone',
  57: 'fork',
  58: 'vfork',
  59: 'execve',
  60: 'exit',
  61: 'wait4',
  67: 'shmdt',
  77: 'ftruncate',
  149: 'mlock',
  150: 'munlock',
  151: 'mlockall',
  152: 'munlockall',
  216: 'remap_file_pages',
  231: 'exit_group',
  247: 'waitid',
  257: 'openat',
  285: 'fallocate',
  319: 'memfd_create',
  322: 'execveat',
  325: 'mlock2',
  329: 'pkey_mprotect',
  435: 'clone3',
  440: 'process_madvise',
};
