// The kernel's own unit tests of userfaultfd (tools/testing/selftests/mm/uffd-unit-tests.c): workloads of our own for their cases on anonymous and shared
// memory, on a few pages each, and why the others cannot run here. docs/uffd-matrix.md is the table of what came of them.

/** One case. Its checks and results say what must be. */
export interface UffdCase {
  /** Name of the case in the self-test. */
  readonly test: string;
  readonly memory: Memory;
  readonly text: string;
}

type Memory = 'anon' | 'shmem' | 'shmem-private';

const PAGES = 4;
const SOURCE = '0x100000000000';
const TARGET = '0x100040000000';
const ALIAS = '0x100080000000';
const RANGE = `${PAGES}*P`;
const ALL: readonly Memory[] = ['anon', 'shmem', 'shmem-private'];
const pages = Array.from({ length: PAGES }, (_, i) => i);
/** Byte of page `i` of the source. */
const byteOf = (i: number): string => `0x${(0x11 * (i + 1)).toString(16)}`;
const at = (name: string, i: number): string => (i === 0 ? name : `${name}+${i}*P`);

/** The source, filled, and the target, empty: S and A. Of shared memory also X, the target's pages mapped once more. */
function areas(memory: Memory): readonly string[] {
  const map = (addr: string, page: number, name: string, kind: string): string =>
    `1 mmap(${addr}, ${RANGE}, RW, ${kind}|FIXED, ${memory === 'anon' ? '-1, 0' : `3, ${page}*P`}) = ${name}`;
  const kind = { anon: 'PRIV|ANON', shmem: 'SH', 'shmem-private': 'PRIV' }[memory];
  return [
    ...(memory === 'anon' ? [] : ['1 memfd_create("m", 0) = 3', `1 ftruncate(3, ${2 * PAGES}*P) = 0`]),
    map(SOURCE, 0, 'S', kind),
    map(TARGET, PAGES, 'A', kind),
    ...(memory === 'shmem' ? [map(ALIAS, PAGES, 'X', kind)] : []),
    ...pages.map((i) => `1 store(${at('S', i)}, ${byteOf(i)}, P)`),
  ];
}

const ioctl = (name: string, rest: string, result = '0', fd: string | number = 'U'): string =>
  `1 ioctl(${fd}, UFFDIO_${name}, ${rest}) = ${result}`;
const open = (features = ''): string => `1 userfaultfd(${features}) = U`;
const register = (mode: string, what = 'A'): string => ioctl('REGISTER', `${what}, ${RANGE}, ${mode}`);
/** The thread that touches memory, or forks; task 1 watches. */
const THREAD = '1 clone(flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM) = 2';
const copy = (i: number, to = at('A', i), fd: string | number = 'U', mode = '0'): string =>
  ioctl('COPY', `{dst=${to}, src=${at('S', i)}, len=P, mode=${mode}, copy=P}`, '0', fd);
const heard = (address: string, flags = 0, fd: string | number = 'U'): string =>
  `1 read(${fd}, {event=UFFD_EVENT_PAGEFAULT, flags=${flags}, address=${address}}, 32) = 32`;
const waits = (task: number, what: string): string => `${task} ${what} <unfinished ...>`;
const goesOn = (task: number, what: string, result = ''): string => `${task} <... ${what} resumed>)${result}`;
/** A fork that the monitor reads of: descriptor of the child's memory behind those that there are. */
const childFd = (memory: Memory): number => (memory === 'anon' ? 4 : 5);
const forkHeard = (memory: Memory, child: number, fd = childFd(memory)): readonly string[] => [
  waits(2, 'fork()'),
  `1 read(U, {event=UFFD_EVENT_FORK, ufd=${fd}}, 32) = 32`,
  goesOn(2, 'fork', ` = ${child}`),
];
/** Every page of A becomes as if nobody had touched it. */
const release = (task: number, memory: Memory, what = 'A'): string =>
  `${task} madvise(${what}, ${RANGE}, ${memory === 'shmem' ? 'MADV_REMOVE' : 'MADV_DONTNEED'})`;

/** What a registered range may be asked for, by mode. */
const IOCTLS: Readonly<Record<number, string>> = {
  ...{ 1: '0x13c', 2: '0x17c', 3: '0x17c' },
  ...{ 4: '0x1bc', 5: '0x1bc', 6: '0x1fc', 7: '0x1fc' },
};

function registerIoctls(memory: Memory): readonly string[] {
  const one = (mode: number): readonly string[] => {
    if (mode === 0 || (memory === 'anon' && mode > 3))
      return [ioctl('REGISTER', `{range={start=A, len=P}, mode=${mode}}`, '-1 EINVAL')];
    return [
      ioctl('REGISTER', `{range={start=A, len=P}, mode=${mode}, ioctls=${IOCTLS[mode]}}`),
      ioctl('UNREGISTER', 'A, P'),
    ];
  };
  return [...areas(memory), open(), ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap(one)];
}

const zeropage = (memory: Memory): readonly string[] => [
  ...areas(memory),
  open(),
  register('MISSING'),
  ...(memory === 'shmem' ? [register('MISSING', 'X')] : []),
  ioctl('ZEROPAGE', '{range={start=A, len=P}, mode=0, zeropage=P}'),
  ioctl('ZEROPAGE', `{range={start=${memory === 'shmem' ? 'X' : 'A'}, len=P}, mode=0, zeropage=-17}`, '-1 EEXIST'),
  '1 load(A, P) = 0',
];

function move(): readonly string[] {
  return [
    ...areas('anon'),
    `1 madvise(S, ${RANGE}, MADV_DONTFORK) = 0`,
    open(),
    register('MISSING'),
    THREAD,
    ...pages.flatMap((i) => [
      waits(2, `load(${at('A', i)})`),
      heard(at('A', i)),
      ioctl('MOVE', `{dst=${at('A', i)}, src=${at('S', i)}, len=P, mode=0, move=P}`),
      goesOn(2, 'load', ` = ${byteOf(i)}`),
    ]),
    `1 load(S, ${RANGE}) = 0`,
  ];
}

/** By whole huge pages; `target` is the advice on where they go. */
const moveHuge = (target: string): readonly string[] => [
  `1 mmap(${SOURCE}, 2*H, RW, PRIV|ANON|FIXED, -1, 0) = S`,
  `1 mmap(${TARGET}, 2*H, RW, PRIV|ANON|FIXED, -1, 0) = A`,
  '1 madvise(S, 2*H, MADV_DONTFORK) = 0',
  '1 madvise(S, 2*H, MADV_HUGEPAGE) = 0',
  `1 madvise(A, 2*H, ${target}) = 0`,
  '1 store(S, 0x11, H)',
  '1 store(S+H, 0x22, H)',
  open(),
  ioctl('REGISTER', 'A, 2*H, MISSING'),
  THREAD,
  ...['A', 'A+H'].flatMap((to, i) => [
    waits(2, `load(${to})`),
    heard(to),
    ioctl('MOVE', `{dst=${to}, src=${to.replace('A', 'S')}, len=H, mode=0, move=H}`),
    goesOn(2, 'load', ` = ${byteOf(i)}`),
    // Where no huge page may be the fault that waited has put a table already.
    `check page(1, ${to}).level == "${target === 'MADV_HUGEPAGE' ? 'pmd' : 'pte'}"`,
  ]),
  '1 load(S) = 0',
];

const noBit = (task: number): string => `check not page(${task}, A).uffd_wp`;
const bit = (task: number): string => `check page(${task}, A).uffd_wp`;

function wpFork(memory: Memory, event: boolean): readonly string[] {
  const fork = (child: number): readonly string[] => [
    ...(event ? forkHeard(memory, child, childFd(memory) + child - 3) : [`2 fork() = ${child}`]),
    event ? bit(child) : noBit(child),
    bit(1),
    `${child} exit_group(0)`,
  ];
  return [
    ...areas(memory),
    open(event ? 'EVENT_FORK' : ''),
    register('WP'),
    THREAD,
    '1 store(A, 0x11)',
    ioctl('WRITEPROTECT', 'A, P, WP'),
    bit(1),
    ...fork(3),
    memory === 'shmem' ? '1 madvise(A, P, MADV_DONTNEED) = 0' : '1 madvise(A, P, MADV_PAGEOUT) = 0',
    bit(1),
    ...fork(4),
    ioctl('WRITEPROTECT', 'A, P, 0'),
    noBit(1),
    '1 store(A, 0x22) = 0',
    noBit(1),
  ];
}

const wpUnpopulated = (): readonly string[] => [
  ...areas('anon'),
  open('WP_UNPOPULATED'),
  register('WP'),
  ioctl('WRITEPROTECT', 'A, P, WP'),
  bit(1),
  ioctl('WRITEPROTECT', 'A, P, 0'),
  noBit(1),
  ioctl('WRITEPROTECT', 'A, P, WP'),
  bit(1),
  '1 madvise(A, P, MADV_DONTNEED) = 0',
  noBit(1),
  '1 store(A, 0x11) = 0',
  noBit(1),
  '1 madvise(A, P, MADV_DONTNEED) = 0',
  ioctl('WRITEPROTECT', 'A, P, WP'),
  bit(1),
  '1 load(A) = 0',
  bit(1),
];

const minor = (protects: boolean): readonly string[] => [
  ...areas('shmem'),
  open(),
  register(protects ? 'MINOR|WP' : 'MINOR', 'X'),
  ...pages.map((i) => `1 store(${at('A', i)}, ${byteOf(i)}, P)`),
  THREAD,
  ...pages.flatMap((i) => [
    waits(2, `load(${at('X', i)})`),
    heard(at('X', i), 4),
    `1 store(${at('A', i)}, 0xee, P)`,
    ioctl('CONTINUE', `{range={start=${at('X', i)}, len=P}, mode=${protects ? 2 : 0}, mapped=P}`),
    goesOn(2, 'load', ' = 0xee'),
    ioctl('CONTINUE', `{range={start=${at('X', i)}, len=P}, mode=${protects ? 2 : 0}, mapped=-17}`, '-1 EEXIST'),
    ...(protects ? [`check page(1, ${at('X', i)}).uffd_wp`] : []),
  ]),
];

function sigbus(memory: Memory, protects: boolean): readonly string[] {
  const unprotect = (i: number): readonly string[] => [
    `1 store(${at('A', i)}, 1) = SIGBUS`,
    ioctl('WRITEPROTECT', `${at('A', i)}, P, 0`),
    `1 store(${at('A', i)}, 1) = 0`,
  ];
  return [
    ...areas(memory),
    open('SIGBUS|EVENT_FORK'),
    register(protects ? 'MISSING|WP' : 'MISSING'),
    THREAD,
    ...pages.flatMap((i) => [
      `1 load(${at('A', i)}) = SIGBUS`,
      copy(i, at('A', i), 'U', protects ? '2' : '0'),
      `1 load(${at('A', i)}) = ${byteOf(i)}`,
      ...(protects ? unprotect(i) : []),
    ]),
    release(1, memory),
    ...forkHeard(memory, 3),
    ...pages.map((i) => `3 load(${at('A', i)}) = SIGBUS`),
    '1 read(U, {}, 32) = -1 EAGAIN',
  ];
}

/** The child reads half, moves the target over the source, reads the rest, and gives up all of it; the monitor goes along. */
function events(memory: Memory, protects: boolean): readonly string[] {
  const fd = childFd(memory);
  const half = PAGES / 2;
  const served = (i: number, name: string): readonly string[] => [
    waits(3, `load(${at(name, i)})`),
    heard(at(name, i), 0, fd),
    copy(i, at(name, i), fd, protects ? '2' : '0'),
    goesOn(3, 'load', ` = ${byteOf(i)}`),
    ...(protects
      ? [
          waits(3, `store(${at(name, i)}, ${byteOf(i)})`),
          heard(at(name, i), 3, fd),
          ioctl('WRITEPROTECT', `${at(name, i)}, P, 0`, '0', fd),
          goesOn(3, 'store'),
        ]
      : []),
  ];
  return [
    ...areas(memory),
    open('EVENT_FORK|EVENT_REMAP|EVENT_REMOVE'),
    register(protects ? 'MISSING|WP' : 'MISSING'),
    THREAD,
    ...forkHeard(memory, 3),
    ...pages.slice(0, half).flatMap((i) => served(i, 'A')),
    waits(3, `mremap(A, ${RANGE}, ${RANGE}, MREMAP_MAYMOVE|MREMAP_FIXED, S)`),
    `1 read(${fd}, {event=UFFD_EVENT_REMAP, from=A, to=S, len=${RANGE}}, 32) = 32`,
    goesOn(3, 'mremap', ' = S'),
    ...pages.slice(0, half).map((i) => `3 load(${at('S', i)}) = ${byteOf(i)}`),
    ...pages.slice(half).flatMap((i) => served(i, 'S')),
    waits(3, release(3, memory, 'S').slice(2)),
    `1 read(${fd}, {event=UFFD_EVENT_REMOVE, start=S, end=S+${RANGE}}, 32) = 32`,
    goesOn(3, 'madvise', ' = 0'),
    ioctl('UNREGISTER', `S, ${RANGE}`, '0', fd),
    `3 load(S, ${RANGE}) = 0`,
  ];
}

const poison = (memory: Memory): readonly string[] => [
  ...areas(memory),
  open(),
  register('MISSING'),
  THREAD,
  ...pages.flatMap((i) => [
    waits(2, `load(${at('A', i)})`),
    heard(at('A', i)),
    i % 2 === 0 ? ioctl('POISON', `{range={start=${at('A', i)}, len=P}, mode=0, updated=P}`) : copy(i),
    goesOn(2, 'load', i % 2 === 0 ? ' = SIGBUS' : ` = ${byteOf(i)}`),
  ]),
];

const handshake = (): readonly string[] => [
  '1 userfaultfd(O_NONBLOCK|O_CLOEXEC) = U',
  ioctl('API', '{api=0xab, features=0}', '-1 EINVAL'),
  ioctl('API', '{api=0xaa, features=0x8000000000000000}', '-1 EINVAL'),
  ioctl('API', '{api=0xaa, features=0}'),
  ioctl('API', '{api=0xaa, features=1}', '-1 EINVAL'),
];

const made = (test: string, memory: Memory, lines: readonly string[]): UffdCase => ({
  test,
  memory,
  text: lines.join('\n'),
});
const forEach = (test: string, of: (memory: Memory) => readonly string[]): UffdCase[] =>
  ALL.map((memory) => made(test, memory, of(memory)));

/** Every case that can run here, in the order of the table. */
export const uffdMatrix = (): readonly UffdCase[] => [
  made('UFFDIO_API (syscall)', 'anon', handshake()),
  ...forEach('register-ioctls', registerIoctls),
  ...forEach('zeropage', zeropage),
  made('move', 'anon', move()),
  made('move-pmd', 'anon', moveHuge('MADV_HUGEPAGE')),
  made('move-pmd-split', 'anon', moveHuge('MADV_NOHUGEPAGE')),
  ...forEach('wp-fork', (memory) => wpFork(memory, false)),
  ...forEach('wp-fork-with-event', (memory) => wpFork(memory, true)),
  made('wp-unpopulated', 'anon', wpUnpopulated()),
  made('minor', 'shmem', minor(false)),
  made('minor-wp', 'shmem', minor(true)),
  ...forEach('sigbus', (memory) => sigbus(memory, false)),
  ...forEach('sigbus-wp', (memory) => sigbus(memory, true)),
  ...forEach('events', (memory) => events(memory, false)),
  ...forEach('events-wp', (memory) => events(memory, true)),
  ...forEach('poison', poison),
];

/** The self-test's cases that are not among them, and why. */
export const UFFD_NOT_HERE: readonly (readonly [cases: string, reason: string])[] = [
  ['UFFDIO_API (/dev/userfaultfd)', 'the device is not modelled; behind its open it is the same handshake'],
  [
    'wp-fork-pin, wp-fork-pin-with-event',
    'the self-test pins by a debugging device (gup_test) that this kernel does not have',
  ],
  ['minor-collapse on shmem', 'a collapse of shared memory to a huge page is to come'],
  [
    'register-ioctls, zeropage, wp-fork, wp-fork-with-event, minor, minor-wp, sigbus, sigbus-wp, events, events-wp, poison on hugetlb and hugetlb-private',
    'userfaultfd on huge pages of the pool is to come (refused by name)',
  ],
];

/** How one case came out. */
export interface UffdRow {
  readonly test: string;
  readonly memory: string;
  /** Do all its results and checks hold on the model? */
  readonly model: boolean;
  /** Does the kernel agree in everything compared? */
  readonly kernel: boolean;
}

/** docs/uffd-matrix.md for `rows`, of the kernel that calls itself `release`. */
export function uffdMatrixText(rows: readonly UffdRow[], release: string): string {
  const passed = rows.filter(({ model }) => model).length;
  const agree = rows.filter(({ kernel }) => kernel).length;
  return [
    '# userfaultfd: the kernel’s self-tests',
    '',
    'The cases of `tools/testing/selftests/mm/uffd-unit-tests.c` (Linux 6.12) as workloads of our own (`src/oracle/conform/uffd-matrix.ts`), on a few pages each.',
    '“Model” says whether every result and check of the case holds, “kernel” whether the running kernel showed the same as the model after every operation,',
    'messages and errno included. `node scripts/uffd-matrix.mjs` writes this page.',
    '',
    `Linux ${release}, model 6.18: ${rows.length} cases, ${passed} pass on the model, ${agree} agree.`,
    '',
    '| case | memory | model | kernel |',
    '|---|---|---|---|',
    ...rows.map(
      ({ test, memory, model, kernel }) =>
        `| \`${test}\` | ${memory} | ${model ? 'passes' : '**fails**'} | ${kernel ? 'agrees' : '**differs**'} |`,
    ),
    '',
    'Memory of the self-test that may be mapped shared is a memfd, mapped a second time where the case needs that.',
    '',
    '## Not here',
    '',
    '| cases | why |',
    '|---|---|',
    ...UFFD_NOT_HERE.map(([cases, reason]) => `| ${cases} | ${reason} |`),
    '',
  ].join('\n');
}
