// Calls of syzkaller programs that touch memory management, and which of their arguments matter.

/** How an argument is handed on: a number or address; the text, the first number of the struct, or the list of buffers it points to. */
export type Passing = 'value' | 'text' | 'first' | 'iovec';

export interface CallShape {
  /** What it is called in a workload. */
  readonly name: string;
  /** Which arguments are handed on, in the order of the workload's call. */
  readonly args: readonly (readonly [at: number, passing: Passing])[];
  /** It makes a task; flags stand first. */
  readonly fork?: boolean;
  /** It gives two descriptors, and writes them to where its first argument leads. */
  readonly pipe?: boolean;
}

const values = (count: number): CallShape['args'] => Array.from({ length: count }, (_, i) => [i, 'value']);

function same(count: number, names: string): [string, CallShape][] {
  return names.split(' ').map((name) => [name, { name, args: values(count) }]);
}

const buffers = (name: string, passing: readonly Passing[]): CallShape => ({
  name,
  args: passing.map((each, i) => [i, each]),
});

/** Every call that is run. What is not here is counted by name. */
export const SYZ_CALLS: ReadonlyMap<string, CallShape> = new Map<string, CallShape>([
  ...same(6, 'mmap'),
  ...same(5, 'mremap'),
  ...same(4, 'pkey_mprotect fallocate pread64 pwrite64'),
  ...same(3, 'mprotect madvise mlock2 msync mincore dup3 fcntl read write lseek'),
  ...same(2, 'munmap mlock munlock ftruncate dup2'),
  ...same(1, 'mlockall brk close dup exit_group'),
  ...same(0, 'munlockall'),
  [
    'memfd_create',
    {
      name: 'memfd_create',
      args: [
        [0, 'text'],
        [1, 'value'],
      ],
    },
  ],
  ['pipe', { name: 'pipe2', args: [], pipe: true }],
  ['pipe2', { name: 'pipe2', args: [[1, 'value']], pipe: true }],
  ['vmsplice', buffers('vmsplice', ['value', 'iovec', 'value', 'value'])],
  ['process_vm_readv', buffers('process_vm_readv', ['value', 'iovec', 'value', 'iovec', 'value', 'value'])],
  ['process_vm_writev', buffers('process_vm_writev', ['value', 'iovec', 'value', 'iovec', 'value', 'value'])],
  ['fork', { name: 'clone', args: [], fork: true }],
  ['clone', { name: 'clone', args: [[0, 'value']], fork: true }],
  ['syz_clone', { name: 'clone', args: [[0, 'value']], fork: true }],
  ['clone3', { name: 'clone', args: [[0, 'first']], fork: true }],
  ['syz_clone3', { name: 'clone', args: [[0, 'first']], fork: true }],
]);
