// The calls that the text language knows. Adding a name is one line.

/** A system call of a task; a form that a task does in workloads; something the machine does on its own. */
export type CallKind = 'syscall' | 'workload' | 'machine';

export interface Call {
  readonly kind: CallKind;
  /** Known in hand-written workloads, skipped in recordings. */
  readonly handWrittenOnly?: boolean;
}

function named(kind: CallKind, names: string, handWrittenOnly = false): [string, Call][] {
  return names.split(' ').map((name) => [name, handWrittenOnly ? { kind, handWrittenOnly } : { kind }]);
}

/** Every known call by name. What is not here is skipped in recordings and an error in workloads. */
export const CALLS: ReadonlyMap<string, Call> = new Map<string, Call>([
  ...named('syscall', 'mmap munmap mprotect pkey_mprotect mremap brk madvise process_madvise mseal map_shadow_stack'),
  ...named('syscall', 'mlock mlock2 munlock mlockall munlockall msync mincore remap_file_pages'),
  ...named('syscall', 'shmget shmat shmdt shmctl'),
  ...named('syscall', 'clone clone3 fork vfork execve execveat exit exit_group wait4 waitid'),
  ...named('syscall', 'open openat openat2 creat close close_range dup dup2 dup3 fcntl pidfd_open pipe pipe2'),
  ...named('syscall', 'memfd_create memfd_secret ftruncate truncate fallocate'),
  ...named('syscall', 'read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 vmsplice splice tee'),
  ...named('syscall', 'process_vm_readv process_vm_writev userfaultfd ioctl prctl prlimit64 setrlimit'),
  ...named('syscall', 'mbind set_mempolicy set_mempolicy_home_node move_pages migrate_pages'),
  ...named('syscall', 'io_uring_setup io_uring_enter io_uring_register'),
  ...named('syscall', 'rseq set_tid_address set_robust_list'),
  ...named('syscall', 'lseek mount umount2 poll ptrace', true),

  // What a task does in a hand-written workload.
  ...named(
    'workload',
    'load store fetch fault pin pin_load pin_store unpin io_uring_read_fixed io_uring_write_fixed memfd_pin unshare pread pwrite cpu clear_refs',
  ),
  // What the machine does when a workload says so.
  ...named(
    'machine',
    'swap_out migrate ksm_scan ksm_use_zero_pages khugepaged_scan reclaim drop_caches memory_failure numa_hint_scan',
  ),
  ...named(
    'machine',
    'shmem_getattr lru_add_drain fail_next split_huge_page drop_swap_cache swapon swapoff sysctl sysfs',
  ),
  // Facts that a perf recording tells beside its system calls.
  ...named('workload', 'bprm_mm_init begin_new_exec setup_arg_pages elf_map kernel_fault exit_mm'),
  ...named('workload', 'free_bprm new_task reap'),
  ...named('machine', 'inode inode_size cache_holes cache_add cache_remove tlb_finish_mmu'),
]);

const FORK_CALLS: ReadonlySet<string> = new Set(['fork', 'vfork', 'clone', 'clone3']);

/** Whether a call makes a task and results in its number. */
export const isForkCall = (name: string): boolean => FORK_CALLS.has(name);

/** The known name nearest to a misspelt one, or null if none is near. */
export function nearestCall(name: string): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const known of CALLS.keys()) {
    const distance = editDistance(name, known, bestDistance);
    if (distance < bestDistance) {
      best = known;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, or `limit` when it is at least that. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const change = a[row - 1] === b[column - 1] ? 0 : 1;
      current.push(
        Math.min(
          (above[column] ?? limit) + 1,
          (current[column - 1] ?? limit) + 1,
          (above[column - 1] ?? limit) + change,
        ),
      );
    }
    above = current;
  }
  return Math.min(limit, above[b.length] ?? limit);
}
