// The kernel's own COW self-test (tools/testing/selftests/mm/cow.c), base and huge pages, resident and swapped out: who may see whose bytes
// after fork, through mappings, pipes and pins. docs/cow-matrix.md is the table of how model and running kernel answer.

/** One case. Its loads say what must be read. */
export interface CowCase {
  readonly group: string;
  readonly name: string;
  /** Why the running kernel cannot be asked, or null. */
  readonly notObservable: string | null;
  readonly text: string;
}

const RW = 'PROT_READ|PROT_WRITE';
const NO_INTERFACE = 'nothing in user space takes such a pin';

/** Memory under test, and a buffer for what is read: not neighbours, so that they stay two mappings. */
const RESIDENT = [
  `1 mmap(0x100000200000, 4096, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A`,
  `1 mmap(0x100000400000, 4096, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = BUF`,
  '1 store(A, 0x01, 4096)',
];
/** Swapped out where the self-test does it: filled, and before anything else. Its page stays in the swap cache. */
const SWAPPED_OUT = [...RESIDENT, '1 madvise(A, 4096, MADV_PAGEOUT) = 0'];
const PIPE = '1 pipe2(O_NONBLOCK) = [R, W]';
const FORK = '1 fork() = 2';
const PROTECT = ['1 mprotect(A, 4096, PROT_READ) = 0', `1 mprotect(A, 4096, ${RW}) = 0`];
const vmsplice = (pid: number): string => `${pid} vmsplice(W, [{iov_base=A, iov_len=4096}], 1, 0) = 4096`;
const readPipe = (pid: number, byte: string): string[] => [
  `${pid} read(R, BUF, 4096) = 4096`,
  `${pid} load(BUF, 4096) = ${byte}`,
];
const RING = [
  '1 io_uring_setup(8) = U',
  '1 io_uring_register(U, IORING_REGISTER_BUFFERS, [{iov_base=A, iov_len=4096}], 1) = 0',
];
const ringSees = (byte: string): string[] => [
  '1 io_uring_write_fixed(U, W, A, 4096) = 4096',
  ...readPipe(1, byte),
  '1 io_uring_register(U, IORING_UNREGISTER_BUFFERS, NULL, 0) = 0',
];

type Variant = readonly [name: string, lines: readonly string[]];

/** Between fork and what follows: nothing, or mprotect to read-only and back, which could give the write bit too early. */
const PROTECTIONS: readonly Variant[] = [
  ['', []],
  [' with mprotect', PROTECT],
];

function observed(group: string, name: string, ...parts: readonly (string | readonly string[])[]): CowCase {
  return { group, name, notObservable: null, text: parts.flat().join('\n') };
}

/** Who stores after fork, the other reads. */
function basic(anon: readonly string[]): CowCase[] {
  const group = 'Basic COW after fork';
  return PROTECTIONS.flatMap(([with_, lines]) => [
    observed(
      group,
      `parent stores, child reads${with_}`,
      anon,
      FORK,
      lines,
      '1 store(A, 0x02, 4096)',
      '2 load(A, 4096) = 0x01',
    ),
    observed(
      group,
      `child stores, parent reads${with_}`,
      anon,
      FORK,
      lines,
      '2 store(A, 0x02, 4096)',
      '1 load(A, 4096) = 0x01',
    ),
    observed(
      group,
      `child stores, then parent${with_}`,
      [...anon, FORK, ...lines, '2 store(A, 0x02, 4096)', '1 store(A, 0x03, 4096)'],
      ['2 load(A, 4096) = 0x02', '1 load(A, 4096) = 0x03'],
    ),
    observed(group, `child exits, parent stores${with_}`, [
      ...anon,
      FORK,
      '2 exit_group(0)',
      ...lines,
      '1 store(A, 0x02, 4096)',
      '1 load(A, 4096) = 0x02',
    ]),
  ]);
}

/** A pipe holds the page while a mapping of it goes. */
function splices(anon: readonly string[]): CowCase[] {
  const group = 'vmsplice';
  return PROTECTIONS.flatMap(([with_, lines]) => [
    observed(
      group,
      `in the child, which unmaps; parent stores${with_}`,
      [...anon, PIPE, FORK, ...lines, vmsplice(2), '2 munmap(A, 4096) = 0', '1 store(A, 0x02, 4096)'],
      readPipe(2, '0x01'),
    ),
    observed(
      group,
      `in the parent before fork, which unmaps; child stores${with_}`,
      [...anon, PIPE, vmsplice(1), FORK, ...lines, '1 munmap(A, 4096) = 0', '2 store(A, 0x02, 4096)'],
      readPipe(1, '0x01'),
    ),
    observed(
      group,
      `in the parent after fork, which unmaps; child stores${with_}`,
      [...anon, PIPE, FORK, ...lines, vmsplice(1), '1 munmap(A, 4096) = 0', '2 store(A, 0x02, 4096)'],
      readPipe(1, '0x01'),
    ),
    observed(
      group,
      `in the child, which exits; parent stores${with_}`,
      [...anon, PIPE, FORK, ...lines, vmsplice(2), '2 exit_group(0)', '1 store(A, 0x02, 4096)'],
      readPipe(1, '0x01'),
    ),
  ]);
}

/** What the page is when it is pinned. */
const SHARING: readonly Variant[] = [
  ['exclusive', []],
  ['shared', [FORK]],
  ['previously shared', [FORK, '2 exit_group(0)']],
];

/** Pins for writing, by buffers of io_uring. */
function writingPins(anon: readonly string[]): CowCase[] {
  const group = 'R/W pin (io_uring fixed buffer)';
  const cases = SHARING.flatMap(([what, shared]) => [
    observed(group, `${what} page, then a store`, anon, PIPE, shared, RING, '1 store(A, 0x02, 4096)', ringSees('0x02')),
    observed(
      group,
      `${what} page, mprotect to read-only and back, then a store`,
      [...anon, PIPE, ...shared, ...RING, ...PROTECT, '1 store(A, 0x02, 4096)'],
      ringSees('0x02'),
    ),
    observed(
      group,
      `${what} page, then fork, parent stores`,
      [...anon, PIPE, ...shared, ...RING, '1 fork() = 3', '1 store(A, 0x02, 4096)', '3 load(A, 4096) = 0x01'],
      ringSees('0x02'),
    ),
    observed(
      group,
      `${what} page, then fork, child stores`,
      [...anon, PIPE, ...shared, ...RING, '1 fork() = 3', '3 store(A, 0x02, 4096)', '1 load(A, 4096) = 0x01'],
      ringSees('0x01'),
    ),
    observed(
      group,
      `${what} page, then the mapping goes`,
      [...anon, PIPE, ...shared, ...RING, '1 madvise(A, 4096, MADV_DONTNEED) = 0', '1 store(A, 0x02, 4096)'],
      ringSees('0x01'),
    ),
  ]);
  const readOnly = [...anon, '1 mprotect(A, 4096, PROT_READ) = 0', '1 io_uring_setup(8) = U'];
  const refused = '1 io_uring_register(U, IORING_REGISTER_BUFFERS, [{iov_base=A, iov_len=4096}], 1) = -1 EFAULT';
  return [...cases, observed(group, 'read-only mapping is refused', readOnly, refused)];
}

/** Reading pins that end with the call. */
function shortPins(anon: readonly string[]): CowCase[] {
  const group = 'R/O pin (process_vm_readv)';
  const read = '1 process_vm_readv(1, [{iov_base=BUF, iov_len=4096}], 1, [{iov_base=A, iov_len=4096}], 1, 0) = 4096';
  return SHARING.flatMap(([what, shared]) => [
    observed(group, `${what} page, then a store`, [
      ...anon,
      ...shared,
      read,
      '1 store(A, 0x02, 4096)',
      '1 load(BUF, 4096) = 0x01',
      '1 load(A, 4096) = 0x02',
    ]),
    observed(
      group,
      `${what} page, read-only mapping`,
      [...anon, ...shared, '1 mprotect(A, 4096, PROT_READ) = 0', read, `1 mprotect(A, 4096, ${RW}) = 0`],
      ['1 store(A, 0x02, 4096)', '1 load(BUF, 4096) = 0x01'],
    ),
  ]);
}

/** Reading pins that stay: only a test module of the kernel takes them. */
function readingPins(anon: readonly string[]): CowCase[] {
  const group = 'R/O pin (gup_test)';
  const cases: CowCase[] = [];
  for (const [what, shared] of SHARING)
    for (const fast of [false, true])
      for (const longterm of [false, true]) {
        const flags = `FOLL_PIN${longterm ? '|FOLL_LONGTERM' : ''}${fast ? '|FOLL_FAST' : ''}`;
        cases.push({
          group,
          name: `${what} page, read-only mapping, ${fast ? 'fast' : 'slow'}${longterm ? ', longterm' : ''}`,
          notObservable: NO_INTERFACE,
          text: [
            ...[...anon, ...shared, '1 mprotect(A, 4096, PROT_READ) = 0', `1 pin(A, 4096, ${flags}) = D`],
            ...[
              `1 mprotect(A, 4096, ${RW}) = 0`,
              '1 store(A, 0x02, 4096)',
              '1 pin_load(D, 0, 4096) = 0x02',
              '1 unpin(D) = 0',
            ],
          ].join('\n'),
        });
      }
  return cases;
}

/** Private mappings of what is not anonymous yet. */
const BACKINGS: readonly Variant[] = [
  ['zero page', [`1 mmap(0x100000200000, 4096, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A`]],
  [
    'memfd',
    [
      '1 memfd_create("m", 0) = F',
      '1 ftruncate(F, 4096) = 0',
      `1 mmap(0x100000200000, 4096, ${RW}, MAP_PRIVATE|MAP_FIXED, F, 0) = A`,
    ],
  ],
  [
    'file',
    [
      'inode("/data", 0, 4096)',
      '1 openat(AT_FDCWD, "/data", O_RDWR) = F',
      `1 mmap(0x100000200000, 4096, ${RW}, MAP_PRIVATE|MAP_FIXED, F, 0) = A`,
    ],
  ],
];

function nonAnonymous(): CowCase[] {
  const group = 'Private mapping of';
  const buffer = RESIDENT[1] as string;
  return BACKINGS.flatMap(([what, map]) => {
    const begin = [...map, buffer, '1 load(A)'];
    const own = '1 mmap(0x100000600000, 4096, PROT_READ, MAP_SHARED|MAP_FIXED, F, 0) = S';
    const kept = what === 'zero page' ? [] : [own, '1 load(S)'];
    const cases = [
      observed(group, `${what}: basic COW`, begin, '1 store(A, 0x02, 4096)', kept, '1 load(A, 4096) = 0x02'),
      observed(group, `${what}: R/W pin, then a store`, begin, PIPE, RING, '1 store(A, 0x02, 4096)', ringSees('0x02')),
    ];
    const pins = [false, true].map((fast): CowCase => {
      const pin = `1 pin(A, 4096, FOLL_PIN|FOLL_LONGTERM${fast ? '|FOLL_FAST' : ''}) = D`;
      const store = ['1 store(A, 0x02, 4096)', '1 pin_load(D, 0, 4096) = 0x02', '1 unpin(D) = 0'];
      const name = `${what}: R/O longterm pin, ${fast ? 'fast' : 'slow'}`;
      return { group, name, notObservable: NO_INTERFACE, text: [...begin, pin, ...store].join('\n') };
    });
    return [...cases, ...pins];
  });
}

/** What is done to anonymous memory that begins with `anon`. */
const anonymous = (anon: readonly string[]): CowCase[] => [
  ...[...basic(anon), ...splices(anon), ...writingPins(anon)],
  ...[...shortPins(anon), ...readingPins(anon)],
];

/** A huge page, mapped by 512 entries because one of them had other rights for a moment. */
const SPLIT_HUGE = [
  `1 mmap(0x100000200000, 2097152, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A`,
  '1 madvise(A, 2097152, MADV_HUGEPAGE) = 0',
  '1 store(A, 0x01, 2097152)',
  '1 mprotect(A+0x1000, 4096, PROT_READ) = 0',
  `1 mprotect(A+0x1000, 4096, ${RW}) = 0`,
];
const COLLAPSE = '1 madvise(A, 2097152, MADV_COLLAPSE) = 0';

/** Cases of collapse: what the mail says came of them, and what is now. */
const COLLAPSE_RESULTS: readonly (readonly [name: string, then: string, now: string])[] = [
  ['collapse before fork', 'ok: no leak from parent into child', 'the same: a copy, exclusive, and fork shares it'],
  [
    'collapse after fork (fully shared)',
    'skipped: MADV_COLLAPSE fails, as no entry is writable',
    'succeeds: shared entries are enough since 6.18; the child keeps the old page',
  ],
  [
    'collapse after fork (lower shared)',
    'ok: no leak from parent into child',
    'the same: the shared half is copied too',
  ],
  [
    'collapse after fork (upper shared)',
    'ok: no leak from parent into child',
    'the same: the shared half is copied too',
  ],
];

/** do_test_anon_thp_collapse(): collapse before fork, or after it, when all or one half is shared. */
function collapses(): CowCase[] {
  const group = 'Basic COW of a huge page after fork';
  const store = '1 store(A, 0xff, 2097152)';
  const half = (name: string, own: string, shared: string): CowCase =>
    observed(group, `collapse after fork (${name} shared)`, SPLIT_HUGE, [
      `1 madvise(${own}, 1048576, MADV_DONTFORK) = 0`,
      FORK,
      `1 madvise(${own}, 1048576, MADV_DOFORK) = 0`,
      ...[COLLAPSE, store, `2 load(${shared}, 1048576) = 0x01`],
    ]);
  return [
    observed(group, 'collapse before fork', SPLIT_HUGE, [COLLAPSE, FORK, store, '2 load(A, 2097152) = 0x01']),
    observed(group, 'collapse after fork (fully shared)', SPLIT_HUGE, [
      ...[FORK, COLLAPSE, store, '2 load(A, 2097152) = 0x01'],
    ]),
    half('lower', 'A+0x100000', 'A'),
    half('upper', 'A', 'A+0x100000'),
  ];
}

const HUGE_SIZE = 2 * 1024 * 1024;

/** A huge page, filled: mapped by one huge entry. */
const HUGE = [
  `1 mmap(0x100000200000, ${HUGE_SIZE}, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A`,
  `1 mmap(0x100000a00000, 4096, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = BUF`,
  `1 madvise(A, ${HUGE_SIZE}, MADV_HUGEPAGE) = 0`,
  `1 store(A, 0x01, ${HUGE_SIZE})`,
  'check page(1, A).level == "pmd"',
];
/** The same mapped by 512 entries: one page was read-only for a moment. */
const HUGE_BY_PAGES = [
  ...[...HUGE, '1 mprotect(A+0x1000, 4096, PROT_READ) = 0', `1 mprotect(A+0x1000, 4096, ${RW}) = 0`],
  'check page(1, A).level == "pte" and page(1, A).order == 9',
];

/** What a large folio became before a case begins, how many bytes of it the case is about, and the lines that do it: THP_RUN_* of the self-test. */
type Become = readonly [name: string, size: number, lines: readonly string[]];

/** What may become of a folio of `bytes` that `begin` makes and entries of single pages map; `what` it is called. */
function becomes(what: string, bytes: number, begin: readonly string[]): readonly Become[] {
  const [half, rest] = [bytes / 2, bytes - 4096];
  const moved = `1 mremap(A+${half}, ${half}, ${half}, MREMAP_MAYMOVE|MREMAP_FIXED, 0x100000600000) = M`;
  const shared = [`1 madvise(A+0x1000, ${rest}, MADV_DONTFORK) = 0`, '1 fork() = 9', '9 exit_group(0)'];
  return [
    [`PTE-mapped ${what}`, bytes, begin],
    [`single PTE of ${what}`, 4096, [...begin, `1 madvise(A+0x1000, ${rest}, MADV_DONTNEED) = 0`]],
    [`partially mremapped ${what}`, half, [...begin, moved]],
    [`partially shared ${what}`, bytes, [...begin, ...shared, `1 madvise(A+0x1000, ${rest}, MADV_DOFORK) = 0`]],
  ];
}

const HUGE_PAGES: readonly Become[] = [['THP', HUGE_SIZE, HUGE], ...becomes('THP', HUGE_SIZE, HUGE_BY_PAGES)];

/** Sizes of large folios below 2 MiB that this kernel has a setting for, in kB. */
export const FOLIO_SIZES: readonly number[] = [16, 32, 64, 128, 256, 512, 1024];

/** A folio of `kilobytes`, filled. */
const sized = (kilobytes: number): readonly string[] => [
  `sysfs("transparent_hugepage/hugepages-${kilobytes}kB/enabled", "madvise")`,
  `1 mmap(0x100000200000, ${kilobytes * 1024}, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A`,
  ...HUGE.slice(1, 2),
  `1 madvise(A, ${kilobytes * 1024}, MADV_HUGEPAGE) = 0`,
  `1 store(A, 0x01, ${kilobytes * 1024})`,
  `check page(1, A).order == ${Math.log2(kilobytes / 4)}`,
];

/** The case about `size` bytes of a huge page instead of one page; what goes through pipes stays one page. */
const widened = (each: CowCase, group: string, size: number): CowCase => ({
  ...each,
  group: `${each.group}, ${group}`,
  text: each.text
    .replaceAll('(A, 4096', `(A, ${size}`)
    .replaceAll('BUFFERS, [{iov_base=A, iov_len=4096', `BUFFERS, [{iov_base=A, iov_len=${size}`)
    .replaceAll(/ (store|load)\(A, (0x\w+, )?4096/g, ` $1(A, $2${size}`),
});

/** The cases on large folios: resident, and swapped out to areas of each kind, a file, which splits them, or a block device, which has room for them as they are. */
function large(folios: readonly Become[], areas: readonly ('file' | 'block')[]): CowCase[] {
  return folios.flatMap(([name, size, lines]) => {
    const pageout = `1 madvise(A, ${size}, MADV_PAGEOUT) = 0`;
    const swappedOut = areas.map((area) =>
      area === 'file'
        ? [`swapped-out ${name}`, [...lines, pageout]]
        : [`${name} swapped out to a block device`, ['swapon("block")', ...lines, pageout]],
    );
    return [[name, lines], ...swappedOut].flatMap(([group, anon]) => {
      const begin = anon as readonly string[];
      const cases = anonymous(begin);
      // What made the memory what it is has its sizes already.
      const prefix = begin.join('\n');
      return cases.map((each) => {
        const rest = widened({ ...each, text: each.text.slice(prefix.length) }, group as string, size);
        return { ...rest, text: prefix + rest.text };
      });
    });
  });
}

/** Every case, in the order of the table. */
export const cowMatrix = (): readonly CowCase[] => [
  ...anonymous(RESIDENT),
  ...anonymous(SWAPPED_OUT).map((each) => ({ ...each, group: `${each.group}, swapped out` })),
  ...nonAnonymous(),
  ...collapses(),
  ...large(HUGE_PAGES, ['file', 'block']),
];

/** A case on a folio smaller than 2 MiB. */
export interface SizedCase extends CowCase {
  readonly kilobytes: number;
}

/** Every case on large folios of `kilobytes`, in the order of the table. */
export const sizedMatrix = (kilobytes: number): readonly SizedCase[] =>
  large(becomes('folio', kilobytes * 1024, sized(kilobytes)), ['file']).map((each) => ({ ...each, kilobytes }));

/** How one case came out. */
export interface CowRow {
  readonly group: string;
  readonly name: string;
  /** Do the results of the model say that it passes? */
  readonly model: boolean;
  /** Does the kernel agree with the model in everything compared? In words where it cannot be asked. */
  readonly kernel: boolean | string;
}

const word = (value: boolean | string): string =>
  value === true ? 'agrees' : value === false ? '**differs**' : `not observable: ${value}`;

/** How one case on a folio of `kilobytes` came out. */
export interface SizedRow extends CowRow {
  readonly kilobytes: number;
}

/** The cases by what they are about, each size a column: how many agree of those that can be observed, or pass on the model of those that cannot. */
function sizedTable(rows: readonly SizedRow[]): string[] {
  const groups = [...new Set(rows.map(({ group }) => group))];
  const cell = (group: string, kilobytes: number): string => {
    const cases = rows.filter((each) => each.group === group && each.kilobytes === kilobytes);
    const seen = cases.filter(({ kernel }) => typeof kernel === 'boolean');
    return seen.length === 0
      ? `${cases.filter(({ model }) => model).length}/${cases.length} pass`
      : `${seen.filter(({ kernel, model }) => kernel === true && model).length}/${seen.length}`;
  };
  return [
    `| what | ${FOLIO_SIZES.map((size) => `${size} kB`).join(' | ')} |`,
    `|---|${FOLIO_SIZES.map(() => '---').join('|')}|`,
    ...groups.map((group) => `| ${group} | ${FOLIO_SIZES.map((size) => cell(group, size)).join(' | ')} |`),
  ];
}

/** What came of one of the cases of collapse. */
const collapsed = (rows: readonly CowRow[], name: string): string => {
  const row = rows.find((each) => each.name === name);
  if (row === undefined) throw new Error(`no case ${name}`);
  return `${row.model ? 'passes' : '**fails**'}, ${word(row.kernel)}`;
};

/** The cases of collapse beside what the mail that brought them said of the kernel of its time. */
const collapseTable = (rows: readonly CowRow[]): string[] => [
  '| case | result in the mail | Linux 6.18 | case on the model, kernel |',
  '|---|---|---|---|',
  ...COLLAPSE_RESULTS.map(([name, then, now]) => `| ${name} | ${then} | ${now} | ${collapsed(rows, name)} |`),
];

/** docs/cow-matrix.md for `rows`, and `sizes` of smaller folios, of the kernel that calls itself `release`. */
export function cowMatrixText(rows: readonly CowRow[], sizes: readonly SizedRow[], release: string): string {
  const seen = rows.filter(({ kernel }) => typeof kernel === 'boolean');
  const agree = seen.filter(({ kernel }) => kernel === true).length;
  const passed = rows.filter(({ model }) => model).length;
  const lines = rows.map(
    ({ group, name, model, kernel }) => `| ${group} | ${name} | ${model ? 'passes' : '**fails**'} | ${word(kernel)} |`,
  );
  return [
    '# COW matrix',
    '',
    'The cases of the kernel’s own COW self-test (`tools/testing/selftests/mm/cow.c`) on base and huge pages, resident and swapped out (to a file, or to a block device that takes large folios whole), and those of collapse, as workloads',
    '(`src/oracle/conform/cow-matrix.ts`). “Model” says whether every load of the case reads what it must; “kernel” whether the running',
    'kernel showed the same as the model after every operation: bytes, sharing, PG_anon_exclusive, references, counters.',
    '`node scripts/cow-matrix.mjs` writes this page.',
    '',
    `Linux ${release}, model 6.18: ${rows.length} cases, ${passed} pass on the model; ${agree} of ${seen.length} that can be observed agree.`,
    '',
    '| what | case | model | kernel |',
    '|---|---|---|---|',
    ...lines,
    '',
    '## Large folios below 2 MiB',
    '',
    `The same cases on folios of every size that has a setting (\`hugepages-SIZEkB/enabled\`): ${sizes.length} cases, ${sizes.filter(({ model }) => model).length} pass on the model. A cell`,
    'counts those that agree with the kernel of those that can be observed, else those that pass on the model.',
    '',
    ...sizedTable(sizes),
    '',
    '## Collapse',
    '',
    'The mail that brought these cases into the self-test feared collapse in place: of a huge page that 512 entries map, each with a flag of its own. Linux copies, so that the flag',
    'is that of a fresh page; `examples/bugs/thp-inplace-collapse-*.fsw` show what would be without ([kernel-notes.md](kernel-notes.md#collapse)).',
    '',
    ...collapseTable(rows),
    '',
  ].join('\n');
}
