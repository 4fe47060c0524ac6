// The kernel's own self-tests of khugepaged, MADV_COLLAPSE and of splitting (tools/testing/selftests/mm/khugepaged.c, split_huge_page_test.c), as far as
// they can run here: workloads of our own for their cases, and why the others cannot. docs/thp-matrix.md is the table of what came of them.

/** One case. Its checks say what must be. */
export interface ThpCase {
  /** Name of the case in the self-test. */
  readonly test: string;
  /** Who collapses or splits, and what memory is like. */
  readonly how: string;
  readonly text: string;
}

const RW = 'PROT_READ|PROT_WRITE';
const PAGE = 4096;
const PAGES = 512;
const HUGE = PAGES * PAGE;
const BASE = 0x100000800000;
/** Above it, where pages wait to be moved back. */
const ASIDE = BASE + 2 * HUGE;

const map = (bytes: number): string =>
  `1 mmap(0x${BASE.toString(16)}, ${bytes}, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = A`;
const advise = (pid: number, what: string, from: string, bytes: number, result = '0'): string =>
  `${pid} madvise(${from}, ${bytes}, ${what}) = ${result}`;
const store = (pid: number, byte: string, bytes: number, from = 'A'): string =>
  `${pid} store(${from}, ${byte}, ${bytes})`;
const holds = (pid: number, byte: string, bytes: number, from = 'A'): string =>
  `${pid} load(${from}, ${bytes}) = ${byte}`;
const level = (pid: number, at: string, what: 'pmd' | 'pte'): string => `check page(${pid}, ${at}).level == "${what}"`;
const set = (file: string, value: string | number): string => `sysfs("transparent_hugepage/${file}", "${value}")`;

/** A way to collapse `blocks` blocks of `pid` from A on; khugepaged minds the limits on empty, swapped and shared entries. */
interface Collapser {
  readonly name: string;
  readonly minds: boolean;
  collapse(pid: number, blocks: number): readonly string[];
}

const KHUGEPAGED: Collapser = {
  name: 'khugepaged',
  minds: true,
  collapse: (pid, blocks) => [
    advise(pid, 'MADV_HUGEPAGE', 'A', blocks * HUGE),
    'khugepaged_scan()',
    advise(pid, 'MADV_NOHUGEPAGE', 'A', blocks * HUGE),
  ],
};
const MADVISE: Collapser = {
  name: 'MADV_COLLAPSE',
  minds: false,
  collapse: (pid, blocks) => [
    advise(pid, 'MADV_HUGEPAGE', 'A', blocks * HUGE),
    `${pid} madvise(A, ${blocks * HUGE}, MADV_COLLAPSE)`,
  ],
};

/** The whole block as one huge page, that entries of single pages map from then on (VMAs that differ for a moment split the huge entry). */
const ALLOCATED = [map(HUGE), advise(1, 'MADV_HUGEPAGE', 'A', HUGE), store(1, '0x11', HUGE), level(1, 'A', 'pmd')];
const splitEntry = (pid: number): readonly string[] => [
  advise(pid, 'MADV_NOHUGEPAGE', 'A', PAGE),
  advise(pid, 'MADV_NOHUGEPAGE', 'A', HUGE),
  level(pid, 'A', 'pte'),
];

/** Rounds that make one page table of several huge pages: of each the part `CHUNK` long, moved down by as much. The self-test takes single pages, 512 times. */
const ROUNDS = 8;
const CHUNK = HUGE / ROUNDS;

function compounds(): readonly string[] {
  const lines = [map(HUGE)];
  const hex = (at: number): string => `0x${at.toString(16)}`;
  for (let i = 0; i < ROUNDS; i++) {
    const [from, kept] = [BASE - i * CHUNK, (i + 1) * CHUNK];
    lines.push(
      advise(1, 'MADV_HUGEPAGE', hex(BASE), HUGE),
      store(1, `0x${(i + 1).toString(16)}`, HUGE, hex(BASE)),
      advise(1, 'MADV_NOHUGEPAGE', hex(BASE), HUGE),
      `1 mremap(${hex(from)}, ${i * CHUNK + HUGE}, ${kept}, MREMAP_MAYMOVE|MREMAP_FIXED, ${hex(ASIDE)})`,
      `1 mremap(${hex(ASIDE)}, ${kept}, ${kept + HUGE}, MREMAP_MAYMOVE|MREMAP_FIXED, ${hex(BASE - kept)}) = A`,
    );
  }
  return [...lines, `1 munmap(${hex(BASE)}, ${HUGE}) = 0`, level(1, 'A', 'pte')];
}

/** Pages that the limits of the cases are about. */
const MAX_NONE = PAGES / 2;
const MAX_SWAP = PAGES / 8;
const MAX_SHARED = PAGES / 2;

/** The cases on anonymous memory whose faults give folios of 2^`order` pages, done by `by`. */
function collapses(by: Collapser, order: number): ThpCase[] {
  const how = `${by.name}, ${order === 0 ? 'single pages' : `folios of ${2 ** order} pages`}`;
  const settings = [
    set('khugepaged/max_ptes_none', PAGES - 1),
    set('khugepaged/max_ptes_swap', MAX_SWAP),
    set('khugepaged/max_ptes_shared', MAX_SHARED),
    ...(order === 0 ? [] : [set(`hugepages-${2 ** order * 4}kB/enabled`, 'always')]),
  ];
  const made = (test: string, lines: readonly string[], own: readonly string[] = []): ThpCase => ({
    test,
    how,
    text: [...settings, ...own, ...lines].join('\n'),
  });
  const done = (pid: number, blocks = 1): readonly string[] => [
    ...by.collapse(pid, blocks),
    ...Array.from({ length: blocks }, (_, i) => level(pid, `A+${i * HUGE}`, 'pmd')),
  ];
  /** Beyond a limit only MADV_COLLAPSE does it, and then it is done; khugepaged does it once the limit is kept. */
  const beyond = (pid: number, mended: readonly string[]): readonly string[] =>
    by.minds ? [...by.collapse(pid, 1), level(pid, 'A', 'pte'), ...mended, ...done(pid)] : done(pid);
  const present = (PAGES - MAX_NONE) * PAGE;
  const short = present - 2 ** order * PAGE;
  return [
    made('collapse_full', [map(4 * HUGE), store(1, '0x11', 4 * HUGE), ...done(1, 4), holds(1, '0x11', 4 * HUGE)]),
    made('collapse_empty', [map(HUGE), ...by.collapse(1, 1), 'check not page(1, A).present']),
    made('collapse_single_pte_entry', [map(HUGE), store(1, '0x11', PAGE), ...done(1), holds(1, '0x11', PAGE)]),
    made(
      'collapse_max_ptes_none',
      [map(HUGE), store(1, '0x11', short), ...beyond(1, [store(1, '0x11', present)]), holds(1, '0x11', short)],
      [set('khugepaged/max_ptes_none', MAX_NONE)],
    ),
    made('collapse_single_pte_entry_compound', [
      ...[...ALLOCATED, advise(1, 'MADV_NOHUGEPAGE', 'A', HUGE), advise(1, 'MADV_DONTNEED', 'A+0x1000', HUGE - PAGE)],
      ...[level(1, 'A', 'pte'), ...done(1), holds(1, '0x11', PAGE)],
    ]),
    made('collapse_full_of_compound', [...ALLOCATED, ...splitEntry(1), ...done(1), holds(1, '0x11', HUGE)]),
    made('collapse_compound_extreme', [
      ...[...compounds(), ...done(1)],
      ...Array.from({ length: ROUNDS }, (_, i) => holds(1, `0x${(i + 1).toString(16)}`, CHUNK, `A+${i * CHUNK}`)),
    ]),
    made('collapse_swapin_single_pte', [
      ...[map(HUGE), store(1, '0x11', HUGE), advise(1, 'MADV_PAGEOUT', 'A', PAGE), 'check page(1, A).kind == "swap"'],
      ...[...done(1), holds(1, '0x11', HUGE)],
    ]),
    made('collapse_max_ptes_swap', [
      ...[map(HUGE), store(1, '0x11', HUGE), advise(1, 'MADV_PAGEOUT', 'A', (MAX_SWAP + 1) * PAGE)],
      ...beyond(1, [store(1, '0x11', HUGE), advise(1, 'MADV_PAGEOUT', 'A', MAX_SWAP * PAGE)]),
      holds(1, '0x11', HUGE),
    ]),
    made('collapse_fork', [
      ...[map(HUGE), store(1, '0x11', PAGE), '1 fork() = 2', store(2, '0x22', PAGE, 'A+0x1000'), ...done(2)],
      ...[holds(2, '0x11', PAGE), holds(2, '0x22', PAGE, 'A+0x1000'), '2 exit_group(0)', level(1, 'A', 'pte')],
      holds(1, '0x11', PAGE),
    ]),
    made(
      'collapse_fork_compound',
      [
        ...[...ALLOCATED, '1 fork() = 2', level(2, 'A', 'pmd'), ...splitEntry(2), store(2, '0x22', PAGE), ...done(2)],
        ...[holds(2, '0x22', PAGE), holds(2, '0x11', HUGE - PAGE, 'A+0x1000'), '2 exit_group(0)', level(1, 'A', 'pmd')],
        holds(1, '0x11', HUGE),
      ],
      [set('khugepaged/max_ptes_shared', PAGES - 1)],
    ),
    made('collapse_max_ptes_shared', [
      ...[...ALLOCATED, '1 fork() = 2', store(2, '0x22', (PAGES - MAX_SHARED - 1) * PAGE), level(2, 'A', 'pte')],
      ...beyond(2, [store(2, '0x22', (PAGES - MAX_SHARED) * PAGE)]),
      ...[holds(2, '0x11', MAX_SHARED * PAGE, `A+${HUGE - MAX_SHARED * PAGE}`), '2 exit_group(0)'],
      ...[level(1, 'A', 'pmd'), holds(1, '0x11', HUGE)],
    ]),
    ...(by === MADVISE
      ? [
          made('madvise_collapse_existing_thps', [
            ...[map(HUGE), store(1, '0x11', HUGE), ...done(1), advise(1, 'MADV_COLLAPSE', 'A', HUGE)],
            ...[level(1, 'A', 'pmd'), holds(1, '0x11', HUGE)],
          ]),
        ]
      : []),
  ];
}

const BLOCKS = 4;
const FOUR = [map(BLOCKS * HUGE), advise(1, 'MADV_HUGEPAGE', 'A', BLOCKS * HUGE)];
const each = (line: (block: number) => string): readonly string[] => Array.from({ length: BLOCKS }, (_, i) => line(i));

/** Splitting, by advice on a part of the folio: what the self-test writes to is closed here. */
function splits(): ThpCase[] {
  const how = 'MADV_COLD of one page';
  const cold = each((i) => advise(1, 'MADV_COLD', `A+${i * HUGE}`, PAGE));
  const small = each((i) => `check page(1, A+${i * HUGE + PAGE}).order == 0`);
  const moved = each((i) => {
    const from = i * (HUGE + PAGE);
    return `1 mremap(A+${from}, ${PAGE}, ${PAGE}, MREMAP_MAYMOVE|MREMAP_FIXED, 0x${(ASIDE + 4 * HUGE + i * PAGE).toString(16)}) = M${i}`;
  });
  return [
    {
      test: 'split_pmd_zero_pages',
      how,
      text: [
        ...[...FOUR, store(1, '0', BLOCKS * HUGE), ...each((i) => level(1, `A+${i * HUGE}`, 'pmd'))],
        ...[`check mm(1).rss_anon == ${BLOCKS * PAGES}`, ...cold],
        ...each((i) => `check page(1, A+${i * HUGE + PAGE}).kind == "zero"`),
        ...['check mm(1).rss_anon == 0', holds(1, '0', BLOCKS * HUGE)],
      ].join('\n'),
    },
    {
      test: 'split_pmd_thp',
      how,
      text: [
        ...[...FOUR, store(1, '0x11', BLOCKS * HUGE), ...each((i) => level(1, `A+${i * HUGE}`, 'pmd')), ...cold],
        ...[...small, holds(1, '0x11', BLOCKS * HUGE), `check mm(1).rss_anon == ${BLOCKS * PAGES}`],
      ].join('\n'),
    },
    {
      test: 'split_pte_mapped_thp',
      how,
      text: [
        ...[...FOUR, store(1, '0x11', BLOCKS * HUGE), ...moved, ...each((i) => `check page(1, M${i}).order == 9`)],
        ...each((i) => advise(1, 'MADV_COLD', `M${i}`, PAGE)),
        ...each((i) => `check page(1, M${i}).order == 0`),
        ...each((i) => holds(1, '0x11', PAGE, `M${i}`)),
      ].join('\n'),
    },
  ];
}

/** Memory that a file behind it is shared with: a memfd of four blocks. */
const SHARED = [
  '1 memfd_create("m", 0) = F',
  `1 ftruncate(F, ${4 * HUGE}) = 0`,
  `1 mmap(0x${BASE.toString(16)}, ${4 * HUGE}, ${RW}, MAP_SHARED|MAP_FIXED, F, 0) = A`,
];
/** khugepaged hears of the address space only by anonymous memory with huge pages, wherever that is (advice for a file comes too late for it). */
const HEARD = [
  `1 mmap(0x${(ASIDE + 8 * HUGE).toString(16)}, ${HUGE}, ${RW}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0) = N`,
  advise(1, 'MADV_HUGEPAGE', 'N', HUGE),
  store(1, '0x11', 1, 'N'),
];

/** The cases on shared memory, done by `by`. khugepaged leaves the huge entry to the next fault. */
function sharedCollapses(by: Collapser): ThpCase[] {
  const how = `${by.name}, shared memory`;
  const made = (test: string, lines: readonly string[]): ThpCase => ({
    test,
    how,
    text: [
      ...[
        set('shmem_enabled', 'advise'),
        set('khugepaged/max_ptes_none', PAGES - 1),
        set('khugepaged/max_ptes_swap', MAX_SWAP),
      ],
      ...[...SHARED, ...(by.minds ? HEARD : []), ...lines],
    ].join('\n'),
  });
  const done = (blocks: number): readonly string[] => [
    ...(by.minds ? [advise(1, 'MADV_HUGEPAGE', 'A', blocks * HUGE), 'khugepaged_scan()'] : by.collapse(1, blocks)),
    ...Array.from({ length: blocks }, (_, i) => [`1 load(A+${i * HUGE})`, level(1, `A+${i * HUGE}`, 'pmd')]).flat(),
  ];
  const huge = [advise(1, 'MADV_HUGEPAGE', 'A', HUGE), store(1, '0x11', HUGE), level(1, 'A', 'pmd')];
  return [
    made('collapse_full', [store(1, '0x11', 4 * HUGE), ...done(4), holds(1, '0x11', 4 * HUGE)]),
    made('collapse_single_pte_entry', [store(1, '0x11', PAGE), ...done(1), holds(1, '0x11', PAGE)]),
    made('collapse_swapin_single_pte', [
      ...[store(1, '0x11', HUGE), advise(1, 'MADV_PAGEOUT', 'A', PAGE), 'check page(1, A).kind == "none"'],
      ...[...done(1), holds(1, '0x11', HUGE)],
    ]),
    made('collapse_max_ptes_swap', [
      ...[store(1, '0x11', HUGE), advise(1, 'MADV_PAGEOUT', 'A', (MAX_SWAP + 1) * PAGE), ...by.collapse(1, 1)],
      ...(by.minds
        ? [holds(1, '0x11', HUGE), level(1, 'A', 'pte'), advise(1, 'MADV_PAGEOUT', 'A', MAX_SWAP * PAGE), ...done(1)]
        : [level(1, 'A', 'pmd')]),
      holds(1, '0x11', HUGE),
    ]),
    made('collapse_full_of_compound', [
      ...[...huge, advise(1, 'MADV_NOHUGEPAGE', 'A', PAGE), advise(1, 'MADV_NOHUGEPAGE', 'A', HUGE)],
      ...[`1 load(A)`, level(1, 'A', 'pte'), 'check page(1, A).order == 9', ...done(1), holds(1, '0x11', HUGE)],
    ]),
    ...(by === MADVISE
      ? [
          made('madvise_collapse_existing_thps', [
            ...[store(1, '0x11', HUGE), ...done(1), advise(1, 'MADV_COLLAPSE', 'A', HUGE), level(1, 'A', 'pmd')],
            holds(1, '0x11', HUGE),
          ]),
          made('madvise_retracted_page_tables', [
            ...[
              store(1, '0x11', HUGE),
              ...done(1),
              advise(1, 'MADV_DONTNEED', 'A', HUGE),
              'check page(1, A).kind == "none"',
            ],
            ...[advise(1, 'MADV_COLLAPSE', 'A', HUGE), level(1, 'A', 'pmd'), holds(1, '0x11', HUGE)],
          ]),
        ]
      : []),
  ];
}

/** A file of a tmpfs in huge pages, split where truncation and holes end. */
function fileSplits(): ThpCase[] {
  const file = [
    '1 mount("tmpfs", "t", "tmpfs", 0, "size=16m,huge=always") = 0',
    '1 openat(AT_FDCWD, "t/f", O_RDWR|O_CREAT, 0600) = F',
    `1 ftruncate(F, ${BLOCKS * HUGE}) = 0`,
    `1 mmap(0x${BASE.toString(16)}, ${BLOCKS * HUGE}, ${RW}, MAP_SHARED|MAP_FIXED, F, 0) = A`,
    ...[store(1, '0x11', BLOCKS * HUGE), ...each((i) => level(1, `A+${i * HUGE}`, 'pmd'))],
  ];
  return [
    {
      test: 'split_file_backed_thp',
      how: 'MADV_COLD of one page',
      text: [
        ...[...file, ...each((i) => advise(1, 'MADV_COLD', `A+${i * HUGE}`, PAGE))],
        ...[holds(1, '0x11', BLOCKS * HUGE), ...each((i) => `check page(1, A+${i * HUGE + PAGE}).order == 0`)],
        `check inode(F).nrpages == ${BLOCKS * PAGES}`,
      ].join('\n'),
    },
    {
      test: 'split_file_backed_thp',
      how: 'a hole of one page',
      text: [
        ...[...file, ...each((i) => `1 fallocate(F, 3, ${i * HUGE + 256 * PAGE}, ${PAGE}) = 0`)],
        ...[holds(1, '0x11', 256 * PAGE), holds(1, '0', PAGE, `A+${256 * PAGE}`)],
        ...each(
          (i) => `check page(1, A+${i * HUGE}).order == ${i === 0 ? 8 : 0} or page(1, A+${i * HUGE}).kind == "none"`,
        ),
      ].join('\n'),
    },
  ];
}

/** Orders of the folios that faults give: single pages, and the size that the kernel's script runs the self-test with besides. */
const ORDERS = [0, 2];

/** Every case that can run here, in the order of the table. */
export const thpMatrix = (): readonly ThpCase[] => [
  ...ORDERS.flatMap((order) => [KHUGEPAGED, MADVISE].flatMap((by) => collapses(by, order))),
  ...[KHUGEPAGED, MADVISE].flatMap(sharedCollapses),
  ...splits(),
  ...fileSplits(),
];

/** The self-tests' cases that cannot run here, and why. */
export const NOT_HERE: readonly (readonly [cases: string, reason: string])[] = [
  [
    'khugepaged.c on files: collapse_full, _single_pte_entry, _max_ptes_none, _single_pte_entry_compound, _full_of_compound, madvise_collapse_existing_thps, madvise_retracted_page_tables',
    'this kernel has no huge pages of files that are only read (CONFIG_READ_ONLY_THP_FOR_FS is off): MADV_COLLAPSE is EINVAL',
  ],
  [
    'khugepaged.c on shared memory: collapse_single_pte_entry_compound',
    'MADV_DONTNEED of the other pages takes the huge entry away and nothing of the file: what is left is madvise_retracted_page_tables',
  ],
  [
    'split_huge_page_test.c: split_thp_in_pagecache_to_order, orders 8 to 0',
    'a file system on a disk with large folios, which is not modelled; nothing but debugfs splits to an order above 0',
  ],
  [
    'split_huge_page_test.c by /sys/kernel/debug/split_huge_pages',
    'the kernel measured refuses to open it (EPERM: locked down); its cases on anonymous memory are run by advice instead, which splits by the same function',
  ],
];

/** How one case came out. */
export interface ThpRow {
  readonly test: string;
  readonly how: string;
  /** Do all its checks hold on the model? */
  readonly model: boolean;
  /** Does the kernel agree in everything compared? */
  readonly kernel: boolean;
}

/** docs/thp-matrix.md for `rows`, of the kernel that calls itself `release`. */
export function thpMatrixText(rows: readonly ThpRow[], release: string): string {
  const passed = rows.filter(({ model }) => model).length;
  const agree = rows.filter(({ kernel }) => kernel).length;
  return [
    '# Huge pages: the kernel’s self-tests',
    '',
    'The cases of `tools/testing/selftests/mm/khugepaged.c` and `split_huge_page_test.c` (Linux 6.12) as workloads of our own (`src/oracle/conform/thp-matrix.ts`).',
    '“Model” says whether every check of the case holds, “kernel” whether the running kernel showed the same as the model after every operation.',
    '`node scripts/thp-matrix.mjs` writes this page.',
    '',
    `Linux ${release}, model 6.18: ${rows.length} cases, ${passed} pass on the model, ${agree} agree.`,
    '',
    '| case | how | model | kernel |',
    '|---|---|---|---|',
    ...rows.map(
      ({ test, how, model, kernel }) =>
        `| \`${test}\` | ${how} | ${model ? 'passes' : '**fails**'} | ${kernel ? 'agrees' : '**differs**'} |`,
    ),
    '',
    `\`collapse_compound_extreme\` makes its page table of parts of ${ROUNDS} huge pages, where the self-test has one page each of 512.`,
    '',
    '## Not here',
    '',
    '| cases | why |',
    '|---|---|',
    ...NOT_HERE.map(([cases, reason]) => `| ${cases} | ${reason} |`),
    '',
  ].join('\n');
}
