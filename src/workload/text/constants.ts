// Constants of the x86-64 user API by family, and the short forms of hand-written workloads.

/** Names of one argument: bits that combine, or values of which one holds. */
export interface Family {
  readonly kind: 'flags' | 'enum';
  readonly values: Readonly<Record<string, number>>;
  /** How 0 prints. */
  readonly zero?: string;
  /** Part of the number that is not bits: an access mode, a signal, a size. Printed first. */
  readonly field?: { readonly mask: number; readonly values: Readonly<Record<string, number>> };
  /** Part of the number that prints as `N<<NAME`. */
  readonly shift?: { readonly name: string; readonly bits: number };
}

/** `1, 2, 4, ...` for a list of names; `-` leaves a bit without name. */
function bits(first: number, names: string): Record<string, number> {
  const values: Record<string, number> = {};
  names.split(' ').forEach((name, index) => {
    if (name !== '-') values[name] = 2 ** (first + index);
  });
  return values;
}

/** `first, first + 1, ...` for a list of names; `-` leaves a number without name. */
function count(first: number, names: string): Record<string, number> {
  const values: Record<string, number> = {};
  names.split(' ').forEach((name, index) => {
    if (name !== '-') values[name] = first + index;
  });
  return values;
}

const SIGNAL_FIELD = { mask: 0xff, values: { SIGCHLD: 17, SIGUSR1: 10, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 } };

export const PROT: Family = {
  kind: 'flags',
  zero: 'PROT_NONE',
  values: {
    ...bits(0, 'PROT_READ PROT_WRITE PROT_EXEC PROT_SEM'),
    PROT_GROWSDOWN: 0x1000000,
    PROT_GROWSUP: 0x2000000,
  },
};
export const MAP: Family = {
  kind: 'flags',
  field: { mask: 0xf, values: { MAP_SHARED: 1, MAP_PRIVATE: 2, MAP_SHARED_VALIDATE: 3, MAP_DROPPABLE: 8 } },
  shift: { name: 'MAP_HUGE_SHIFT', bits: 26 },
  values: {
    ...bits(4, 'MAP_FIXED MAP_ANONYMOUS MAP_32BIT MAP_ABOVE4G MAP_GROWSDOWN'),
    ...bits(
      11,
      'MAP_DENYWRITE MAP_EXECUTABLE MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_NONBLOCK MAP_STACK MAP_HUGETLB',
    ),
    ...bits(19, 'MAP_SYNC MAP_FIXED_NOREPLACE'),
  },
};
export const MADV: Family = {
  kind: 'enum',
  values: {
    ...count(0, 'MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED'),
    ...count(8, 'MADV_FREE MADV_REMOVE MADV_DONTFORK MADV_DOFORK MADV_MERGEABLE MADV_UNMERGEABLE MADV_HUGEPAGE'),
    ...count(15, 'MADV_NOHUGEPAGE MADV_DONTDUMP MADV_DODUMP MADV_WIPEONFORK MADV_KEEPONFORK MADV_COLD MADV_PAGEOUT'),
    ...count(22, 'MADV_POPULATE_READ MADV_POPULATE_WRITE MADV_DONTNEED_LOCKED MADV_COLLAPSE'),
    ...count(100, 'MADV_HWPOISON MADV_SOFT_OFFLINE MADV_GUARD_INSTALL MADV_GUARD_REMOVE'),
  },
};
export const MREMAP: Family = { kind: 'flags', values: bits(0, 'MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP') };
export const CLONE: Family = {
  kind: 'flags',
  field: SIGNAL_FIELD,
  values: {
    ...bits(8, 'CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PIDFD CLONE_PTRACE CLONE_VFORK CLONE_PARENT'),
    ...bits(16, 'CLONE_THREAD CLONE_NEWNS CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID CLONE_CHILD_CLEARTID'),
    ...bits(22, 'CLONE_DETACHED CLONE_UNTRACED CLONE_CHILD_SETTID CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC'),
    ...bits(28, 'CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_IO CLONE_CLEAR_SIGHAND CLONE_INTO_CGROUP'),
  },
};
export const SIGNAL: Family = { kind: 'enum', values: SIGNAL_FIELD.values };
export const MS: Family = { kind: 'flags', values: bits(0, 'MS_ASYNC MS_INVALIDATE MS_SYNC') };
export const MLOCK: Family = { kind: 'flags', values: { MLOCK_ONFAULT: 1 } };
export const MCL: Family = { kind: 'flags', values: bits(0, 'MCL_CURRENT MCL_FUTURE MCL_ONFAULT') };
/** O_* bits of calls that open nothing: no access mode. */
export const DESCRIPTOR: Family = {
  kind: 'flags',
  values: {
    // Names that include others come first, so that printing takes them whole.
    O_TMPFILE: 0x410000,
    O_SYNC: 0x101000,
    ...bits(6, 'O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_DSYNC FASYNC O_DIRECT O_LARGEFILE O_DIRECTORY'),
    ...bits(17, 'O_NOFOLLOW O_NOATIME O_CLOEXEC - O_PATH'),
  },
};
export const OPEN: Family = {
  ...DESCRIPTOR,
  field: { mask: 3, values: { O_RDONLY: 0, O_WRONLY: 1, O_RDWR: 2, O_ACCMODE: 3 } },
};
export const MFD: Family = {
  kind: 'flags',
  shift: { name: 'MFD_HUGE_SHIFT', bits: 26 },
  values: bits(0, 'MFD_CLOEXEC MFD_ALLOW_SEALING MFD_HUGETLB MFD_NOEXEC_SEAL MFD_EXEC'),
};
export const FALLOC: Family = {
  kind: 'flags',
  values: bits(
    0,
    'FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE FALLOC_FL_NO_HIDE_STALE FALLOC_FL_COLLAPSE_RANGE FALLOC_FL_ZERO_RANGE ' +
      'FALLOC_FL_INSERT_RANGE FALLOC_FL_UNSHARE_RANGE FALLOC_FL_WRITE_ZEROES',
  ),
};
export const SEEK: Family = { kind: 'enum', values: count(0, 'SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE') };
export const AT_FDCWD = -100;
export const DIRFD: Family = { kind: 'enum', values: { AT_FDCWD } };
export const FCNTL: Family = {
  kind: 'enum',
  values: {
    ...count(0, 'F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN F_GETOWN F_SETSIG F_GETSIG'),
    ...count(1030, 'F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS F_GET_SEALS'),
    F_SETLEASE: 1024,
    F_GETLEASE: 1025,
    F_NOTIFY: 1026,
    F_DUPFD_QUERY: 1027,
    F_CREATED_QUERY: 1028,
  },
};
export const FOLL: Family = {
  kind: 'flags',
  values: {
    ...bits(
      0,
      'FOLL_WRITE FOLL_GET FOLL_DUMP FOLL_FORCE FOLL_NOWAIT FOLL_NOFAULT FOLL_HWPOISON FOLL_ANON FOLL_LONGTERM',
    ),
    ...bits(9, 'FOLL_SPLIT_PMD FOLL_PCI_P2PDMA FOLL_INTERRUPTIBLE FOLL_HONOR_NUMA_FAULT'),
    ...bits(16, 'FOLL_TOUCH FOLL_TRIED FOLL_REMOTE FOLL_PIN FOLL_FAST FOLL_UNLOCKABLE FOLL_MADV_POPULATE'),
  },
};
export const PRCTL: Family = {
  kind: 'enum',
  values: {
    PR_SET_PDEATHSIG: 1,
    PR_SET_DUMPABLE: 4,
    PR_SET_NAME: 15,
    PR_SET_MM: 35,
    PR_SET_CHILD_SUBREAPER: 36,
    PR_SET_NO_NEW_PRIVS: 38,
    PR_SET_THP_DISABLE: 41,
    PR_GET_THP_DISABLE: 42,
    PR_SET_MDWE: 65,
    PR_GET_MDWE: 66,
    PR_SET_MEMORY_MERGE: 67,
    PR_GET_MEMORY_MERGE: 68,
    PR_SET_VMA: 0x53564d41,
  },
};
export const RLIMIT: Family = {
  kind: 'enum',
  values: {
    ...count(0, 'RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC RLIMIT_NOFILE'),
    ...count(8, 'RLIMIT_MEMLOCK RLIMIT_AS RLIMIT_LOCKS RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO'),
    RLIMIT_RTTIME: 15,
  },
};
export const SHMGET: Family = {
  kind: 'flags',
  shift: { name: 'SHM_HUGE_SHIFT', bits: 26 },
  values: { IPC_CREAT: 0o1000, IPC_EXCL: 0o2000, SHM_HUGETLB: 0o4000, SHM_NORESERVE: 0o10000 },
};
export const SHMAT: Family = {
  kind: 'flags',
  values: { SHM_RDONLY: 0o10000, SHM_RND: 0o20000, SHM_REMAP: 0o40000, SHM_EXEC: 0o100000 },
};
export const SHMCTL: Family = {
  kind: 'enum',
  values: { ...count(0, 'IPC_RMID IPC_SET IPC_STAT IPC_INFO'), ...count(11, 'SHM_LOCK SHM_UNLOCK SHM_STAT SHM_INFO') },
};
export const MPOL: Family = {
  kind: 'enum',
  values: count(
    0,
    'MPOL_DEFAULT MPOL_PREFERRED MPOL_BIND MPOL_INTERLEAVE MPOL_LOCAL MPOL_PREFERRED_MANY MPOL_WEIGHTED_INTERLEAVE',
  ),
};
export const MPOL_MF: Family = {
  kind: 'flags',
  values: bits(0, 'MPOL_MF_STRICT MPOL_MF_MOVE MPOL_MF_MOVE_ALL MPOL_MF_LAZY'),
};
export const SPLICE: Family = {
  kind: 'flags',
  values: bits(0, 'SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT'),
};
export const PTRACE: Family = {
  kind: 'enum',
  values: { PTRACE_PEEKTEXT: 1, PTRACE_PEEKDATA: 2, PTRACE_POKETEXT: 4, PTRACE_POKEDATA: 5 },
};
export const WAIT: Family = {
  kind: 'flags',
  values: {
    ...bits(0, 'WNOHANG WUNTRACED WEXITED WCONTINUED'),
    WNOWAIT: 2 ** 24,
    ...bits(29, '__WNOTHREAD __WALL __WCLONE'),
  },
};
export const CLOSE_RANGE: Family = { kind: 'flags', values: { CLOSE_RANGE_UNSHARE: 2, CLOSE_RANGE_CLOEXEC: 4 } };
/** Commands of userfaultfd and PAGEMAP_SCAN; others stay words. */
export const IOCTL: Family = {
  kind: 'enum',
  values: {
    UFFDIO_API: 0xc018aa3f,
    UFFDIO_REGISTER: 0xc020aa00,
    UFFDIO_UNREGISTER: 0x8010aa01,
    UFFDIO_WAKE: 0x8010aa02,
    UFFDIO_COPY: 0xc028aa03,
    UFFDIO_ZEROPAGE: 0xc020aa04,
    UFFDIO_MOVE: 0xc028aa05,
    UFFDIO_WRITEPROTECT: 0xc018aa06,
    UFFDIO_CONTINUE: 0xc020aa07,
    UFFDIO_POISON: 0xc020aa08,
    USERFAULTFD_IOC_NEW: 0xaa00,
    PAGEMAP_SCAN: 0xc0606610,
  },
};
export const UFFD_FEATURE: Family = {
  kind: 'flags',
  values: bits(
    0,
    'UFFD_FEATURE_PAGEFAULT_FLAG_WP UFFD_FEATURE_EVENT_FORK UFFD_FEATURE_EVENT_REMAP UFFD_FEATURE_EVENT_REMOVE ' +
      'UFFD_FEATURE_MISSING_HUGETLBFS UFFD_FEATURE_MISSING_SHMEM UFFD_FEATURE_EVENT_UNMAP UFFD_FEATURE_SIGBUS ' +
      'UFFD_FEATURE_THREAD_ID UFFD_FEATURE_MINOR_HUGETLBFS UFFD_FEATURE_MINOR_SHMEM UFFD_FEATURE_EXACT_ADDRESS ' +
      'UFFD_FEATURE_WP_HUGETLBFS_SHMEM UFFD_FEATURE_WP_UNPOPULATED UFFD_FEATURE_POISON UFFD_FEATURE_WP_ASYNC ' +
      'UFFD_FEATURE_MOVE',
  ),
};

const FAMILIES: readonly Family[] = [
  PROT,
  MAP,
  MADV,
  MREMAP,
  CLONE,
  MS,
  MLOCK,
  MCL,
  OPEN,
  MFD,
  FALLOC,
  SEEK,
  DIRFD,
  FCNTL,
  FOLL,
  PRCTL,
  RLIMIT,
  SHMGET,
  SHMAT,
  SHMCTL,
  MPOL,
  MPOL_MF,
  SPLICE,
  PTRACE,
  WAIT,
  CLOSE_RANGE,
  IOCTL,
  UFFD_FEATURE,
];

const OTHERS: Readonly<Record<string, number | bigint>> = {
  MAP_FILE: 0,
  MAP_ANON: 0x20,
  MAP_UNINITIALIZED: 0x4000000,
  CLONE_NEWTIME: 0x80,
  WSTOPPED: 2,
  MAP_HUGE_SHIFT: 26,
  MAP_HUGE_2MB: 21 * 2 ** 26,
  MAP_HUGE_1GB: 30 * 2 ** 26,
  MFD_HUGE_SHIFT: 26,
  MFD_HUGE_2MB: 21 * 2 ** 26,
  MFD_HUGE_1GB: 30 * 2 ** 26,
  SHM_HUGE_SHIFT: 26,
  IPC_PRIVATE: 0,
  O_NDELAY: 0x800,
  O_ASYNC: 0x2000,
  FD_CLOEXEC: 1,
  AT_EMPTY_PATH: 0x1000,
  AT_SYMLINK_NOFOLLOW: 0x100,
  PR_SET_VMA_ANON_NAME: 0,
  PR_MDWE_REFUSE_EXEC_GAIN: 1,
  P_ALL: 0,
  P_PID: 1,
  P_PGID: 2,
  P_PIDFD: 3,
  RLIM_INFINITY: 2n ** 64n - 1n,
  RLIM64_INFINITY: 2n ** 64n - 1n,
  ...bits(0, 'F_SEAL_SEAL F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SEAL_FUTURE_WRITE F_SEAL_EXEC'),
  FOLL_FAST_ONLY: 2 ** 20,
  MPOL_F_NUMA_BALANCING: 0x2000,
  MPOL_F_RELATIVE_NODES: 0x4000,
  MPOL_F_STATIC_NODES: 0x8000,
  UFFD_API: 0xaa,
  UFFD_EVENT_PAGEFAULT: 0x12,
  UFFD_EVENT_FORK: 0x13,
  UFFD_EVENT_REMAP: 0x14,
  UFFD_EVENT_REMOVE: 0x15,
  UFFD_EVENT_UNMAP: 0x16,
  UFFD_PAGEFAULT_FLAG_WRITE: 1,
  UFFD_PAGEFAULT_FLAG_WP: 2,
  UFFD_PAGEFAULT_FLAG_MINOR: 4,
  POLLIN: 1,
  POLLERR: 8,
  UFFD_USER_MODE_ONLY: 1,
  ...bits(0, 'UFFDIO_REGISTER_MODE_MISSING UFFDIO_REGISTER_MODE_WP UFFDIO_REGISTER_MODE_MINOR'),
  ...bits(0, 'UFFDIO_COPY_MODE_DONTWAKE UFFDIO_COPY_MODE_WP'),
  UFFDIO_ZEROPAGE_MODE_DONTWAKE: 1,
  ...bits(0, 'UFFDIO_WRITEPROTECT_MODE_WP UFFDIO_WRITEPROTECT_MODE_DONTWAKE'),
  ...bits(0, 'UFFDIO_CONTINUE_MODE_DONTWAKE UFFDIO_CONTINUE_MODE_WP'),
  UFFDIO_POISON_MODE_DONTWAKE: 1,
  ...bits(0, 'UFFDIO_MOVE_MODE_DONTWAKE UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES'),
  ...count(0, '_UFFDIO_REGISTER _UFFDIO_UNREGISTER _UFFDIO_WAKE _UFFDIO_COPY _UFFDIO_ZEROPAGE _UFFDIO_MOVE'),
  ...count(6, '_UFFDIO_WRITEPROTECT _UFFDIO_CONTINUE _UFFDIO_POISON'),
  _UFFDIO_API: 0x3f,
  _IOC_NONE: 0,
  _IOC_WRITE: 1,
  _IOC_READ: 2,
  ...bits(0, 'PAGE_IS_WPALLOWED PAGE_IS_WRITTEN PAGE_IS_FILE PAGE_IS_PRESENT PAGE_IS_SWAPPED PAGE_IS_PFNZERO'),
  ...bits(6, 'PAGE_IS_HUGE PAGE_IS_SOFT_DIRTY PAGE_IS_GUARD'),
  ...bits(0, 'PM_SCAN_WP_MATCHING PM_SCAN_CHECK_WPASYNC'),
  IORING_OFF_SQ_RING: 0,
  IORING_OFF_CQ_RING: 0x8000000,
  IORING_OFF_SQES: 0x10000000,
  IORING_OFF_PBUF_RING: 0x80000000,
  IOU_PBUF_RING_MMAP: 1,
  IOU_PBUF_RING_INC: 2,
  ...count(0, 'IORING_REGISTER_BUFFERS IORING_UNREGISTER_BUFFERS IORING_REGISTER_FILES IORING_UNREGISTER_FILES'),
  ...count(22, 'IORING_REGISTER_PBUF_RING IORING_UNREGISTER_PBUF_RING'),
};

function allConstants(): ReadonlyMap<string, number | bigint> {
  const all = new Map<string, number | bigint>(Object.entries(OTHERS));
  for (const family of FAMILIES) {
    if (family.zero !== undefined) all.set(family.zero, 0);
    for (const [name, value] of Object.entries({ ...family.field?.values, ...family.values })) all.set(name, value);
  }
  return all;
}

/** Every constant that may stand as an argument, except signal and error names. */
export const CONSTANTS = allConstants();

/** Short forms that only hand-written workloads use. */
export const SHORT_FORMS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    P: 4096,
    H: 2 * 1024 * 1024,
    RW: 3,
    RO: 1,
    WO: 2,
    NONE: 0,
    EXEC: 4,
    SH: 1,
    PRIV: 2,
    FIXED: 0x10,
    ANON: 0x20,
    GROWSDOWN: 0x100,
    LOCKED: 0x2000,
    NORESERVE: 0x4000,
    POPULATE: 0x8000,
    HUGE: 0x40000,
  }),
);
