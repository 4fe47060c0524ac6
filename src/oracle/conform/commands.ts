// Operations of a workload as commands of the native agent.
import type { Operation, Value } from '../../workload/operation.js';
import { isFd, isNameRef, isStruct, isText } from '../../workload/operation.js';
import { KSM_SCANS } from '../../kernel/calls/ksm.js';
import { hugetlbfsBounds } from '../../kernel/hugetlb/mount.js';
import { POOL_SETTINGS } from '../../kernel/hugetlb/pool.js';
import { HUGE_WORDS, tmpfsBytes } from '../../kernel/tmpfs.js';
import { ARENA_END, ARENA_START } from './generate/places.js';

const PAGE = 4096;
const MBIND = 237;
const MPOL_MF_MOVE_ALL = 4;
/** Numbers of system calls, x86-64, whose arguments are plain numbers or texts. */
const SYSCALLS: Readonly<Record<string, number>> = {
  read: 0,
  write: 1,
  close: 3,
  lseek: 8,
  mmap: 9,
  mprotect: 10,
  munmap: 11,
  pread64: 17,
  pwrite64: 18,
  mremap: 25,
  msync: 26,
  mincore: 27,
  madvise: 28,
  dup: 32,
  dup2: 33,
  fcntl: 72,
  ftruncate: 77,
  mlock: 149,
  munlock: 150,
  openat: 257,
  mbind: MBIND,
  fallocate: 285,
  dup3: 292,
  memfd_create: 319,
  mlock2: 325,
  pkey_mprotect: 329,
  mseal: 462,
};

/** Arguments that a call may leave out. */
const DEFAULTS: Readonly<Record<string, readonly number[]>> = {
  mmap: [0, 0, 0, 0, -1, 0],
  mremap: [0, 0, 0, 0, 0],
  mbind: [0, 0, 0, 0, 0, 0],
};

const TASK_SIZE = 0x7ffffffff000;
/** vm.mmap_min_addr: nothing is below. */
const LOWEST_MAPPED = 0x10000;
/** Of `move_pages` as the agent takes it: pages, and the node that asks where they are. */
const MOVED_AT_ONCE = 4;
const ASK_ONLY = 0x100000;
const SIGCHLD = 17;
const WORD = 8;
const CLONE_VM = 0x100;
const CLONE_VFORK = 0x4000;

/** In the word that the kernel is to fill: it has not. */
export const UNTOUCHED = 0x5a5a_5a5a_5a5a_5a5an;
/** O_CLOEXEC|O_NONBLOCK, of the short form with features. */
const SHORT_FLAGS = 0o2004000;
const RANGE = ['start', 'len', 'mode', 'out'] as const;
const PAIR = ['dst', 'src', 'len', 'mode', 'out'] as const;
/** Words of the structures of userfaultfd, by ioctl; `out` is what the kernel answers with. */
const UFFD_STRUCTURES: ReadonlyMap<number, readonly string[]> = new Map<number, readonly string[]>([
  [0xc018aa3f, ['api', 'features']],
  [0xc020aa00, RANGE],
  [0x8010aa01, ['start', 'len']],
  [0x8010aa02, ['start', 'len']],
  [0xc028aa03, PAIR],
  [0xc020aa04, RANGE],
  [0xc028aa05, PAIR],
  [0xc018aa06, ['start', 'len', 'mode']],
  [0xc020aa07, RANGE],
  [0xc020aa08, RANGE],
]);
const isNumber = (value: Value): boolean =>
  typeof value === 'number' ||
  typeof value === 'bigint' ||
  (value !== null && typeof value === 'object' && isNameRef(value));

/** What an operation is on the real side. */
export type Command =
  | { readonly kind: 'command'; readonly line: string }
  /** Nothing to do there: a check, a fact that the agent sees to itself. */
  | { readonly kind: 'none' }
  /** The agent cannot do it, and why. */
  | { readonly kind: 'impossible'; readonly reason: string };

/** The only file outside of the scratch directory. */
const PROC_MEM = /^\/proc\/self\/mem$/;

const impossible = (reason: string): Command => ({ kind: 'impossible', reason });
const NONE: Command = { kind: 'none' };

const hexText = (text: string): string => `@${Buffer.from(text, 'utf8').toString('hex')}`;

/** What the translation needs to know of the run. */
export interface Names {
  /** Value bound to a name. */
  boundTo(name: string): number | undefined;
  /** Number of the task that a fork will have created. */
  child(operation: Operation): number;
}

/** The settings [name, value] that a workload begins with. */
export function leadingSettings(operations: readonly Operation[]): (readonly [string, string])[] {
  const settings: (readonly [string, string])[] = [];
  for (const { name, args } of operations) {
    if (name === 'check') continue;
    if (name === 'swapon') continue;
    if (name !== 'sysfs') break;
    const [file, value] = args;
    if (typeof file === 'object' && file !== null && isText(file) && typeof value === 'object' && value !== null)
      if (isText(value)) settings.push([file.text, value.text]);
  }
  return settings;
}

/** Does the workload begin by saying that the swap area is a block device? */
export function wantsBlockDevice(operations: readonly Operation[]): boolean {
  let area = 'file';
  for (const { name, args } of operations) {
    if (name === 'swapon' && typeof args[0] === 'object' && args[0] !== null && isText(args[0])) area = args[0].text;
    else if (name !== 'sysfs' && name !== 'check') break;
  }
  return area === 'block';
}

/** Translates one workload's operations. Files are named in `directory` on the real side. */
export class Translator {
  readonly #directory: string;
  readonly #names: Names;
  readonly #seeds = new Map<string, number>();
  readonly #mounts = new Set<string>();
  /** Was a file of a task's memory opened? */
  #procMem = false;
  #rings = 0;
  /** Did anything but settings come? */
  #begun = false;

  constructor(directory: string, names: Names) {
    this.#directory = directory;
    this.#names = names;
  }

  /** Seed of the bytes of file `name`, if the workload made it. */
  seedOf(name: string): number | undefined {
    return this.#seeds.get(name);
  }

  /** The command for `operation`; asked before the model runs it (`before`), but that names it binds are known only after. */
  translate(operation: Operation): Command {
    const { name, pid } = operation;
    if (name === 'inode') return this.#file(operation);
    if (name === 'check' || name === 'lru_add_drain' || name === 'resumed') return NONE;
    if (name === 'read' && !isNumber(operation.args[1] ?? null)) return this.#readMessages(operation);
    if (name === 'ksm_scan' || name === 'ksm_use_zero_pages')
      return { kind: 'command', line: `${name} ${this.#number(operation.args[0] ?? KSM_SCANS)}` };
    if (name === 'drop_caches') return { kind: 'command', line: 'drop_caches 2' };
    if (name === 'khugepaged_scan') return { kind: 'command', line: 'khugepaged_scan 1' };
    if (name === 'sysfs' && this.#begun) return this.#poolSetting(operation);
    if (name === 'sysfs' || name === 'swapon')
      return this.#begun ? impossible(`${name} behind other operations`) : NONE;
    this.#begun = true;
    if (pid === null) return impossible(`${name} without a task`);
    const number = SYSCALLS[name];
    if (number !== undefined) return this.#call(operation, number);
    switch (name) {
      case 'mount':
        return this.#mount(operation);
      case 'umount2':
        return this.#umount(operation);
      case 'migrate':
        return this.#migrate(operation);
      case 'move_pages':
        return this.#movePages(operation);
      case 'open':
      case 'creat':
        return impossible(`${name} (write openat)`);
      case 'load':
      case 'store':
        return this.#access(operation);
      case 'cpu':
        return this.#line(operation, name, []);
      case 'fault':
        return this.#touch(operation);
      case 'fork':
        return this.#clone(operation, SIGCHLD);
      case 'clone':
      case 'clone3':
        return this.#clone(operation, this.#cloneFlags(operation));
      case 'exit':
        return this.#plain(operation, `exit 0 ${this.#number(operation.args[0] ?? 0)}`);
      case 'exit_group':
        return this.#plain(operation, `exit 1 ${this.#number(operation.args[0] ?? 0)}`);
      case 'pipe':
      case 'pipe2':
        return this.#plain(operation, `pipe ${name === 'pipe' ? 0 : this.#number(operation.args.at(-1) ?? 0)}`);
      case 'vmsplice':
        return this.#vectors(operation, 'vmsplice', [0, 'v1', 3]);
      case 'process_vm_readv':
        return this.#vectors(operation, 'vm_readv', [0, 'v1', 'v3', 5]);
      case 'process_vm_writev':
        return this.#vectors(operation, 'vm_writev', [0, 'v1', 'v3', 5]);
      case 'clear_refs':
        return this.#line(operation, name, [4]);
      case 'ptrace':
        return this.#ptrace(operation);
      case 'userfaultfd':
        return this.#userfaultfd(operation);
      case 'ioctl':
        return this.#ioctl(operation);
      case 'poll':
        return this.#poll(operation);
      case 'io_uring_setup':
        if (this.#rings++ > 0) return impossible('a second io_uring instance');
        return this.#plain(operation, `ring_setup ${this.#number(operation.args[0] ?? 8)}`);
      case 'io_uring_register':
        if (RING_OPERATIONS.has(Number(this.#number(operation.args[1] ?? 0)))) return this.#bufferRing(operation);
        return this.#vectors(operation, 'ring_register', [0, 1, 'v2', 3]);
      case 'io_uring_write_fixed':
      case 'io_uring_read_fixed':
        return this.#fixed(operation, name === 'io_uring_write_fixed');
      case 'wait4':
        return this.#plain(operation, `wait ${this.#number(operation.args[0] ?? -1)}`);
      default:
        return impossible(name);
    }
  }

  /** Of the settings only those of the pool of huge pages are written while tasks run. */
  #poolSetting({ args: [file, value] }: Operation): Command {
    const texts = [file, value].map((each) => (each !== undefined && each !== null && isText(each) ? each.text : ''));
    const [name = '', number = ''] = texts;
    if (POOL_SETTINGS[name] === undefined || !/^\d+$/.test(number)) return impossible('sysfs behind other operations');
    return { kind: 'command', line: `${name.slice(name.lastIndexOf('/') + 1)} ${number}` };
  }

  #plain(operation: Operation, text: string): Command {
    return { kind: 'command', line: `${operation.pid} ${text}` };
  }

  /** Operation `name` with its arguments, `defaults` in place of those left out behind the first. */
  #line(operation: Operation, name: string, defaults: readonly number[]): Command {
    const { args } = operation;
    const given = [...args, ...defaults.slice(Math.max(0, args.length - 1))];
    return this.#plain(operation, [name, ...given.map((value) => this.#argument(value))].join(' '));
  }

  #access(operation: Operation): Command {
    const { name } = operation;
    const command = this.#line(operation, name, name === 'load' ? [1] : [0, 1]);
    if (command.kind !== 'command') return command;
    const [, , addr = '0', ...rest] = command.line.split(' ');
    const [start, bytes] = [Number(addr), Number(rest.at(-1))];
    return isHarmless(start, bytes) ? command : impossible(outsideText(name));
  }

  #file({ args: [name, kind, size, resident] }: Operation): Command {
    if (name === undefined || name === null || !isText(name)) return impossible('inode without a name');
    if (this.#number(kind ?? 0) !== '0') return impossible('an inode that is no ordinary file');
    if (this.#seeds.has(name.text)) return NONE;
    const seed = this.#seeds.size + 1;
    this.#seeds.set(name.text, seed);
    const path = hexText(fileName(name.text));
    return {
      kind: 'command',
      line: `file ${path} ${this.#number(size ?? 0)} ${seed} ${this.#number(resident ?? 1)}`,
    };
  }

  /** A tmpfs in the scratch directory, of the size that the options say. */
  #mount({ args: [, target = null, type = null, , data = null] }: Operation): Command {
    const name = target !== null && isText(target) ? target.text : '';
    const options = data !== null && isText(data) ? data.text : '';
    if (type !== null && isText(type) && type.text === 'hugetlbfs') return this.#mountHuge(name, options);
    const size = tmpfsBytes(options);
    const huge = HUGE_WORDS.indexOf(/(?:^|,)huge=(\w+)/.exec(options)?.[1] ?? 'never');
    if (name === '' || name.includes('/') || size === null || huge < 0)
      return impossible('mount of other than a tmpfs with a size, at a plain name');
    this.#mounts.add(name);
    return { kind: 'command', line: `mount ${hexText(name)} ${size} ${huge}` };
  }

  #mountHuge(name: string, options: string): Command {
    const bounds = hugetlbfsBounds(options);
    if (name === '' || name.includes('/') || bounds === null || bounds.percent.length > 0)
      return impossible('mount of a hugetlbfs with a share of the pool, or at other than a plain name');
    this.#mounts.add(name);
    return { kind: 'command', line: `mount_huge ${hexText(name)} ${bounds.size} ${bounds.min}` };
  }

  /** Of what the workload mounted. */
  #umount({ args: [target = null] }: Operation): Command {
    const name = target !== null && isText(target) ? target.text : '';
    if (!this.#mounts.has(name)) return impossible('umount2 of what the workload did not mount');
    return { kind: 'command', line: `umount ${hexText(name)}` };
  }

  /** Where the real side has the file `path`. */
  #path(path: string): string {
    if (PROC_MEM.test(path)) return path;
    const [first = '', ...rest] = path.split('/');
    const inside = this.#mounts.has(first) && rest.length === 1;
    return `${this.#directory}/${inside ? path : fileName(path)}`;
  }

  #call(operation: Operation, number: number): Command {
    const { name, args } = operation;
    const all = [...args, ...(DEFAULTS[name] ?? []).slice(args.length)];
    const texts = all.map((value, i) =>
      name === 'openat' && i === 1 && value !== null && isText(value)
        ? hexText(this.#path(value.text))
        : this.#argument(value),
    );
    const wrong = all.find(
      (value) => value !== null && isNameRef(value) && this.#names.boundTo(value.ref) === undefined,
    );
    if (wrong !== undefined) return impossible(`${name} with an unbound name`);
    const outside = leavesArena(name, texts.slice(0, 2).map(Number), texts);
    if (outside !== null) return impossible(outside);
    this.#procMem ||=
      name === 'openat' && args.some((value) => value !== null && isText(value) && PROC_MEM.test(value.text));
    if (TRANSFERS.has(name)) {
      const [, addr = 0, length = 0, offset = 0] = texts.map(Number);
      if (!isHarmless(addr, length)) return impossible(outsideText(name));
      // A position in a task's memory is an address.
      if (this.#procMem && offset >= LOWEST_MAPPED && !isHarmless(offset, length)) return impossible(outsideText(name));
    }
    if (texts.includes('?')) return impossible(`${name} with an argument that is no number`);
    return this.#plain(operation, ['call', number, ...texts].join(' '));
  }

  /** The kernel moves pages at a task's wish: to the only node, which the empty set of nodes leaves out. */
  #migrate(operation: Operation): Command {
    const [addr = 0, length = PAGE] = operation.args;
    return this.#call({ ...operation, name: 'mbind', args: [addr, length, 0, null, 0, MPOL_MF_MOVE_ALL] }, MBIND);
  }

  /** Of up to four pages, all to one node. */
  #movePages(operation: Operation): Command {
    const [pid = 0, count = 0, pages = null, nodes = null, , flags = 0] = operation.args;
    const [addresses, wanted] = [pages, nodes].map((list): readonly Value[] => (Array.isArray(list) ? list : []));
    if (addresses === undefined || addresses.length !== count || addresses.length > MOVED_AT_ONCE)
      return impossible(`move_pages of other than one to ${MOVED_AT_ONCE} pages`);
    const [node = ASK_ONLY] = wanted ?? [];
    if (wanted?.some((each) => each !== node)) return impossible('move_pages to several nodes');
    if (!addresses.every((each) => isHarmless(Number(this.#number(each)), 1)))
      return impossible(outsideText('move_pages'));
    const words = [pid, node, flags, count, ...addresses].map((each) => this.#number(each));
    return this.#plain(operation, `move_pages ${words.join(' ')}`);
  }

  #touch(operation: Operation): Command {
    const [addr, access] = operation.args;
    const word =
      access !== undefined && access !== null && typeof access === 'object' && 'word' in access ? access.word : '';
    if (word !== 'R' && word !== 'W') return impossible(`fault(${word || '?'})`);
    return this.#plain(operation, `touch ${this.#argument(addr ?? 0)} ${word === 'W' ? 1 : 0}`);
  }

  /** A call on lists of buffers, of which the agent takes one each: places of arguments in its order, `v` before lists. */
  #vectors({ pid, name, args }: Operation, command: string, places: readonly (number | string)[]): Command {
    const words: string[] = [];
    for (const place of places) {
      const value = args[Number(String(place).replace('v', ''))] ?? null;
      if (typeof place === 'number') words.push(this.#number(value));
      else if (value === null) words.push('0', '0');
      else {
        const vectors: readonly Value[] = Array.isArray(value) ? value : [];
        const [only] = vectors;
        if (vectors.length !== 1 || only === undefined || only === null || !isStruct(only))
          return impossible(`${name} of several buffers`);
        const [base, length] = ['iov_base', 'iov_len'].map((field) => this.#number(only.fields[field] ?? null));
        if (!isHarmless(Number(base), Number(length))) return impossible(outsideText(name));
        words.push(base as string, length as string);
      }
    }
    return words.includes('?')
      ? impossible(`${name} with an argument that is no number`)
      : { kind: 'command', line: `${pid} ${command} ${words.join(' ')}` };
  }

  /** ptrace(request, task, address, data): the word at the address, and where PEEKDATA puts it. */
  #ptrace(operation: Operation): Command {
    const [request, task, addr, data] = [0, 1, 2, 3].map((i) => this.#argument(operation.args[i] ?? 0));
    const peeks = request === '1' || request === '2';
    if (!isHarmless(Number(addr), WORD) || (peeks && !isHarmless(Number(data), WORD)))
      return impossible(outsideText(operation.name));
    return this.#plain(operation, `ptrace ${task} ${request} ${addr} ${data}`);
  }

  /** A ring of provided buffers comes or goes. */
  #bufferRing(operation: Operation): Command {
    const [ring = 0, what = 0, registration = null, count = 1] = operation.args;
    if (registration === null || !isStruct(registration) || count !== 1)
      return impossible('io_uring_register without one ring');
    const { fields } = registration;
    const words = [ring, what, ...['ring_addr', 'ring_entries', 'bgid', 'flags'].map((name) => fields[name] ?? 0)];
    return this.#plain(operation, `ring_buffers ${words.map((each) => this.#number(each)).join(' ')}`);
  }

  #fixed(operation: Operation, write: boolean): Command {
    const [ring = 0, fd = 0, addr = 0, length = 0, index = 0] = operation.args;
    const words = [ring, write ? 1 : 0, fd, addr, length, index].map((each) => this.#number(each));
    if (!isHarmless(Number(words[3]), Number(words[4]))) return impossible(outsideText(operation.name));
    return this.#plain(operation, `ring_fixed ${words.join(' ')}`);
  }

  #cloneFlags({ args }: Operation): number {
    for (const value of args)
      if (value !== null && isStruct(value) && typeof value.fields['flags'] === 'number') return value.fields['flags'];
    return typeof args[0] === 'number' ? args[0] : 0;
  }

  #clone(operation: Operation, flags: number): Command {
    if ((flags & CLONE_VFORK) !== 0) return impossible('vfork: the parent waits until its child execs or exits');
    // Numbers to write for the C library belong to memory that is not the workload's.
    const plain = flags & ~(0x80000 | 0x100000 | 0x200000 | 0x1000000);
    const signal = (plain & CLONE_VM) === 0 && (plain & 0xff) === 0 ? plain | SIGCHLD : plain;
    return this.#plain(operation, `clone ${this.#names.child(operation)} ${signal}`);
  }

  #userfaultfd(operation: Operation): Command {
    const [first = 0] = operation.args;
    const named = first !== null && isStruct(first) ? first.fields['features'] : undefined;
    const features = operation.args.length === 0 ? 0 : named;
    if (features === undefined) return this.#plain(operation, `uffd_open ${this.#number(first)} 0 0`);
    return this.#plain(operation, `uffd_open ${SHORT_FLAGS} 1 ${this.#number(features)}`);
  }

  #ioctl(operation: Operation): Command {
    const [fd = 0, command = 0, ...rest] = operation.args;
    const shape = UFFD_STRUCTURES.get(Number(this.#number(command)));
    if (shape === undefined) return impossible('ioctl of other than a userfaultfd');
    const words = new Array<string>(5).fill('0');
    const out = shape.indexOf('out');
    if (out >= 0) words[out] = String(UNTOUCHED);
    const given = new Set<string>();
    const take = (fields: Readonly<Record<string, Value>>): void => {
      for (const [field, value] of Object.entries(fields)) {
        const at = shape.indexOf(field);
        if (value !== null && isStruct(value)) take(value.fields);
        else if (at >= 0) {
          words[at] = this.#number(value);
          given.add(field);
        }
      }
    };
    for (const value of rest) if (value !== null && isStruct(value)) take(value.fields);
    const open = shape.filter((name) => name !== 'out' && !given.has(name));
    const plain = rest.filter((value) => value === null || !isStruct(value));
    if (plain.length === 1 && rest.length === 1 && plain[0] === null)
      return this.#plain(operation, ['uffd_ioctl', this.#number(fd), this.#number(command), ...words, 0xfe].join(' '));
    plain.forEach((value, i) => (words[shape.indexOf(open[i] ?? '')] = this.#number(value)));
    if (words.includes('?')) return impossible('ioctl with an argument that is no number');
    // The handshake answers where it was asked.
    const mark = out >= 0 ? out : shape[0] === 'api' ? 1 : 0xff;
    return this.#plain(operation, ['uffd_ioctl', this.#number(fd), this.#number(command), ...words, mark].join(' '));
  }

  #readMessages(operation: Operation): Command {
    const [fd = 0, , length = 0] = operation.args;
    return this.#plain(operation, `uffd_read ${this.#number(fd)} ${this.#number(length)}`);
  }

  #poll(operation: Operation): Command {
    const [list] = operation.args;
    const [only] = Array.isArray(list) ? (list as readonly Value[]) : [];
    if (only === undefined || only === null || !isStruct(only)) return impossible('poll of other than one descriptor');
    const words = [only.fields['fd'] ?? 0, only.fields['events'] ?? 0, operation.args[2] ?? 0];
    return this.#plain(operation, `poll ${words.map((each) => this.#number(each)).join(' ')}`);
  }

  #number(value: Value): string {
    return this.#argument(value);
  }

  #argument(value: Value): string {
    if (value === null) return '0';
    // As text a number beyond 2^53 is rounded to shorter digits.
    if (typeof value === 'number') return BigInt.asUintN(64, BigInt(value)).toString();
    if (typeof value === 'bigint') return BigInt.asUintN(64, value).toString();
    if (isNameRef(value)) return String((this.#names.boundTo(value.ref) ?? 0) + value.add);
    if (isText(value)) return hexText(value.text);
    if (isFd(value)) return String(value.fd);
    return '?';
  }
}

/** IORING_REGISTER_PBUF_RING and IORING_UNREGISTER_PBUF_RING. */
const RING_OPERATIONS: ReadonlySet<number> = new Set([22, 23]);

/** Calls that change what is mapped in a range, or its pages. */
const RANGE_CALLS: ReadonlySet<string> = new Set([
  ...[
    'munmap',
    'mprotect',
    'pkey_mprotect',
    'mremap',
    'madvise',
    'mlock',
    'mlock2',
    'munlock',
    'msync',
    'mbind',
    'mseal',
  ],
]);
const MAP_FIXED = 0x10;
const MREMAP_FIXED = 2;

/** Calls with a buffer at arguments 1 and 2, and perhaps a position. */
const TRANSFERS: ReadonlySet<string> = new Set(['read', 'write', 'pread64', 'pwrite64']);

/** Can an access there not touch the agent's own memory? */
const isHarmless = (from: number, bytes: number): boolean => from + bytes <= LOWEST_MAPPED || insideArena(from, bytes);
const insideArena = (from: number, bytes: number): boolean =>
  (from >= ARENA_START && from + bytes <= ARENA_END) || from + bytes > TASK_SIZE || bytes === 0;
const outsideText = (name: string): string =>
  `${name} outside the addresses of workloads (0x${ARENA_START.toString(16)} to 0x${ARENA_END.toString(16)})`;

/** Why a call would reach memory of the agent itself, or null. Ranges that no kernel accepts are let through: they fail. */
function leavesArena(name: string, [start = 0, length = 0]: readonly number[], args: readonly string[]): string | null {
  const fixed = name === 'mmap' && (Number(args[3]) & MAP_FIXED) !== 0;
  if ((fixed || RANGE_CALLS.has(name)) && !insideArena(start, length)) return outsideText(name);
  const moves = name === 'mremap' && (Number(args[3]) & MREMAP_FIXED) !== 0;
  if (moves && !insideArena(Number(args[4]), Number(args[2]))) return outsideText(name);
  return null;
}

/** A file's name as one component: files of a workload lie in one scratch directory. */
const fileName = (path: string): string => path.replace(/^\/+/, '').replaceAll('/', '_') || '_';
