// Which argument of which call has which names: for printing symbolically, and for short names valid only there.

import * as c from './constants.js';
import type { Family } from './constants.js';

/** What an argument is: a family of constants, an address, or nothing special. */
export type ArgumentKind = Family | 'address' | null;

const A = 'address';

/** Arguments by call, in order. */
const ARGUMENTS: Readonly<Record<string, readonly ArgumentKind[]>> = {
  mmap: [A, null, c.PROT, c.MAP, null, null],
  munmap: [A],
  mprotect: [A, null, c.PROT],
  pkey_mprotect: [A, null, c.PROT],
  mremap: [A, null, null, c.MREMAP, A],
  brk: [A],
  madvise: [A, null, c.MADV],
  process_madvise: [null, null, null, c.MADV],
  mseal: [A],
  mlock: [A],
  mlock2: [A, null, c.MLOCK],
  munlock: [A],
  mlockall: [c.MCL],
  msync: [A, null, c.MS],
  mincore: [A],
  remap_file_pages: [A, null, c.PROT, null, c.MAP],
  shmget: [null, null, c.SHMGET],
  shmat: [null, A, c.SHMAT],
  shmdt: [A],
  shmctl: [null, c.SHMCTL],
  clone: [c.CLONE],
  unshare: [A],
  wait4: [null, null, c.WAIT],
  waitid: [null, null, null, c.WAIT],
  open: [null, c.OPEN],
  openat: [c.DIRFD, null, c.OPEN],
  execveat: [c.DIRFD],
  pipe2: [null, c.DESCRIPTOR],
  dup3: [null, null, c.DESCRIPTOR],
  close_range: [null, null, c.CLOSE_RANGE],
  fcntl: [null, c.FCNTL],
  memfd_create: [null, c.MFD],
  fallocate: [null, c.FALLOC],
  lseek: [null, null, c.SEEK],
  vmsplice: [null, null, null, c.SPLICE],
  ptrace: [c.PTRACE, null, A],
  splice: [null, null, null, null, null, c.SPLICE],
  tee: [null, null, null, c.SPLICE],
  userfaultfd: [c.DESCRIPTOR],
  ioctl: [null, c.IOCTL],
  prctl: [c.PRCTL],
  prlimit64: [null, c.RLIMIT],
  setrlimit: [c.RLIMIT],
  mbind: [A, null, c.MPOL, null, null, c.MPOL_MF],
  set_mempolicy: [c.MPOL],
  rseq: [A],
  set_tid_address: [A],
  set_robust_list: [A],
  load: [A],
  store: [A],
  fetch: [A],
  fault: [A],
  kernel_fault: [A],
  pin: [A, null, c.FOLL],
  swap_out: [A],
  migrate: [A],
  memory_failure: [A],
  split_huge_page: [A],
  setup_arg_pages: [A],
  elf_map: [A, null, c.PROT, c.MAP],
  new_task: [null, c.CLONE],
};

/** Fields of struct arguments, by call and field. */
const FIELDS: Readonly<Record<string, Family>> = {
  'clone.flags': c.CLONE,
  'clone3.flags': c.CLONE,
  'clone3.exit_signal': c.SIGNAL,
  'userfaultfd.features': c.UFFD_FEATURE,
};

/** Arguments that are words even in upper case: access letters, kinds. */
const WORDS: Readonly<Record<string, ReadonlySet<number>>> = {
  fault: new Set([1, 2]),
  kernel_fault: new Set([1, 2]),
  inode: new Set([1]),
};

type ShortNames = ReadonlyMap<string, number>;

function withoutPrefix(prefix: string, family: Readonly<Record<string, number>>): ShortNames {
  return new Map(Object.entries(family).map(([name, value]) => [name.slice(prefix.length), value]));
}

/** Features in short, as hand-written `userfaultfd(FEATURES)` has them. */
export const FEATURE_SHORT_NAMES: ShortNames = new Map([
  ...withoutPrefix('UFFD_FEATURE_', c.UFFD_FEATURE.values),
  ...Object.entries(c.UFFD_FEATURE.values),
]);

const COPY_MODES: ShortNames = new Map([
  ['DONTWAKE', 1],
  ['WP', 2],
]);

const IOCTL_SHORT_NAMES: ReadonlyMap<number, ShortNames> = new Map<number, ShortNames>(
  Object.entries({
    UFFDIO_REGISTER: new Map(Object.entries({ MISSING: 1, WP: 2, MINOR: 4 })),
    UFFDIO_WRITEPROTECT: new Map(Object.entries({ WP: 1, DONTWAKE: 2 })),
    UFFDIO_COPY: COPY_MODES,
    UFFDIO_CONTINUE: COPY_MODES,
    UFFDIO_ZEROPAGE: COPY_MODES,
    UFFDIO_POISON: COPY_MODES,
    UFFDIO_MOVE: new Map(Object.entries({ DONTWAKE: 1, ALLOW_SRC_HOLES: 2 })),
    PAGEMAP_SCAN: withoutPrefix(
      'PAGE_IS_',
      Object.fromEntries(
        [...c.CONSTANTS].flatMap(([name, value]) =>
          name.startsWith('PAGE_IS_') && typeof value === 'number' ? [[name, value]] : [],
        ),
      ),
    ),
  }).map(([name, names]) => [c.IOCTL.values[name] ?? 0, names]),
);

const IO_URING_REGISTER_SHORT_NAMES: ShortNames = new Map(
  Object.entries({ BUFFERS: 0, UNREGISTER_BUFFERS: 1, PBUF_RING: 22, UNREGISTER_PBUF_RING: 23 }),
);

/** What argument `index` of a call is. */
export const argumentKind = (call: string, index: number): ArgumentKind => ARGUMENTS[call]?.[index] ?? null;

/** The family of a field of a struct argument, if it has one. */
export const fieldFamily = (call: string, field: string): Family | null => FIELDS[`${call}.${field}`] ?? null;

/** The arguments of a call whose identifiers are plain words, or undefined. */
export const wordArguments = (call: string): ReadonlySet<number> | undefined =>
  Object.hasOwn(WORDS, call) ? WORDS[call] : undefined;

/** Short names for the arguments that follow an ioctl command. */
export const ioctlShortNames = (command: number): ShortNames | undefined => IOCTL_SHORT_NAMES.get(command);

/** Short names that hold from the first argument of a call on. */
export function shortNames(call: string): ShortNames | undefined {
  if (call === 'userfaultfd') return FEATURE_SHORT_NAMES;
  if (call === 'io_uring_register') return IO_URING_REGISTER_SHORT_NAMES;
  return undefined;
}
