// Scenarios of the hugetlb pool as tables: each step, and what it gives on three kernels. They become workloads with a check of the pool's counters
// behind every step; the files test/conformance/hugetlb-* are what the column of 6.18 becomes.
//
//   A map X 4 noreserve | ok 4 0 0 | = | ok 4 0 0
//
// Tasks are A, B, C; pages are numbered. `w` stores the task's own byte, `W` another one, `r` loads: the outcome of a load is whose byte it is (A, a for the other, 0).
// Then come HugePages_Free, Rsvd and Surp, before them Total where it changes (T5). `=`: as on 6.18; `-`: the step is not done there.

/** The kernels of the columns. */
export const SCENARIO_KERNELS = ['6.18', '2.6.27', '2.6.26'] as const;

export interface Scenario {
  readonly name: string;
  /** The rule it shows, for the head of its workload. */
  readonly rule: string;
  readonly pool: number;
  readonly overcommit?: number;
  /** What the model says of the last step on 6.18, which never ends there. */
  readonly loops?: RegExp;
  /** It would leave something behind on a real machine: a reservation that nobody can give back. */
  readonly modelOnly?: true;
  readonly steps: string;
}

const HUGE_PAGE = 0x200000;
const TASKS = 'ABC';
const pidOf = (task: string): number => TASKS.indexOf(task) + 1;
/** Mappings X, Y, Z, apart. */
const baseOf = (mapping: string): number => 0x100000000000 + ('XYZ'.indexOf(mapping) + 1) * 0x10000000;
const hex = (n: number): string => `0x${n.toString(16)}`;
const addr = (mapping: string, page: number): string => hex(baseOf(mapping) + page * HUGE_PAGE);

const byteOf = (who: string, page: number): string => {
  if (who === '0') return '0x0';
  const task = pidOf(who.toUpperCase());
  return hex(task * 16 + page + (who === who.toUpperCase() ? 0 : 0x80));
};

function pagesOf(text: string): number[] {
  const [from = 0, to = from] = text.split('-').map(Number);
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

const FILE = { memfd: 3 } as const;

/** The calls of one step, with their results but for `outcome`'s. */
function callsOf(words: readonly string[], outcome: string): string[] {
  const [who = '', verb = '', mapping = '', what = '', ...flags] = words;
  const pid = pidOf(who);
  const result = outcome === 'ok' ? '0' : outcome;
  switch (verb) {
    case 'map': {
      const length = hex(Number(what) * HUGE_PAGE);
      const shared = flags.includes('shared') ? 'SH' : 'PRIV';
      const more = flags.includes('noreserve') ? '|MAP_NORESERVE' : '';
      const at = flags.find((each) => each.startsWith('@'))?.slice(1) ?? '0';
      const file = flags.includes('file');
      const source = file ? `|FIXED, ${FILE.memfd}, ${hex(Number(at) * HUGE_PAGE)}` : '|ANON|HUGE|FIXED, -1, 0';
      const gives = outcome === 'ok' ? addr(mapping, 0) : outcome;
      return [`${pid} mmap(${addr(mapping, 0)}, ${length}, RW, ${shared}${more}${source}) = ${gives}`];
    }
    case 'memfd':
      return [`${pid} memfd_create("m", MFD_HUGETLB) = ${FILE.memfd}`];
    case 'truncate':
      return [`${pid} ftruncate(${FILE.memfd}, ${hex(Number(mapping) * HUGE_PAGE)}) = ${result}`];
    case 'mount': {
      const options = [`size=${Number(mapping) * 2}M`, `min_size=${Number(what) * 2}M`];
      const given = options.filter((_, i) => [mapping, what][i] !== '-').join();
      return [`${pid} mount("none", "h", "hugetlbfs", 0, "${given}") = ${result}`];
    }
    case 'umount':
      return [`${pid} umount2("h", 0) = ${result}`];
    case 'open':
      return [`${pid} openat(AT_FDCWD, "h/f", O_RDWR|O_CREAT, 384) = ${FILE.memfd}`];
    case 'close':
      return [`${pid} close(${FILE.memfd}) = ${result}`];
    case 'punch':
    case 'fallocate': {
      const pages = pagesOf(mapping);
      const range = `${hex((pages[0] as number) * HUGE_PAGE)}, ${hex(pages.length * HUGE_PAGE)}`;
      return [`${pid} fallocate(${FILE.memfd}, ${verb === 'punch' ? 3 : 0}, ${range}) = ${result}`];
    }
    case 'w':
    case 'W':
      return pagesOf(what).map(
        (page) =>
          `${pid} store(${addr(mapping, page)}, ${byteOf(verb === 'w' ? who : who.toLowerCase(), page)}) = ${result}`,
      );
    case 'r':
      return pagesOf(what).map((page) => {
        const gives = outcome.startsWith('SIG') ? outcome : byteOf(outcome, page);
        return `${pid} load(${addr(mapping, page)}) = ${gives}`;
      });
    case 'fork':
      return [`${pid} fork() = ${pidOf(mapping)}`];
    case 'exit':
      return [`${pid} exit_group(0)`];
    case 'munmap':
    case 'dontneed':
    case 'readonly': {
      const pages = pagesOf(what);
      const range = `${addr(mapping, pages[0] as number)}, ${hex(pages.length * HUGE_PAGE)}`;
      if (verb === 'readonly') return [`${pid} mprotect(${range}, PROT_READ) = ${result}`];
      return [
        verb === 'munmap'
          ? `${pid} munmap(${range}) = ${result}`
          : `${pid} madvise(${range}, MADV_DONTNEED) = ${result}`,
      ];
    }
    case 'move': {
      const pages = pagesOf(what);
      const length = hex(pages.length * HUGE_PAGE);
      const [to = ''] = flags;
      const gives = outcome === 'ok' ? addr(to, 0) : outcome;
      const from = addr(mapping, pages[0] as number);
      return [`${pid} mremap(${from}, ${length}, ${length}, MREMAP_MAYMOVE|MREMAP_FIXED, ${addr(to, 0)}) = ${gives}`];
    }
    case 'pool':
    case 'overcommit':
      return [`sysfs("hugepages/hugepages-2048kB/nr_${verb === 'pool' ? '' : 'overcommit_'}hugepages", "${mapping}")`];
    default:
      throw new Error(`no step is called ${verb}`);
  }
}

/** The scenario as a workload for the kernel of `column`. */
export function workloadOf({ rule, pool, overcommit = 0, steps }: Scenario, column = 0): string {
  const lines = ['# folioscope workload', ...rule.split('\n').map((line) => `# ${line}`)];
  lines.push(`sysfs("hugepages/hugepages-2048kB/nr_hugepages", "${pool}")`);
  if (overcommit > 0) lines.push(`sysfs("hugepages/hugepages-2048kB/nr_overcommit_hugepages", "${overcommit}")`);
  for (const row of steps.trim().split('\n')) {
    const [step = '', ...columns] = row.split('|').map((cell) => cell.trim());
    const own = columns[column] ?? '=';
    if (own === '-') continue;
    const [outcome = '', ...counters] = (own === '=' ? (columns[0] as string) : own).split(/\s+/);
    lines.push(...callsOf(step.split(/\s+/), outcome));
    if (counters.length === 0) continue;
    const total = counters[0]?.startsWith('T') ? Number(counters.shift()?.slice(1)) : null;
    const [free, rsvd, surp] = counters.map((each) => (each.startsWith('-') ? `0-${each.slice(1)}` : each));
    const pools = [
      `Free == ${free}`,
      `Rsvd == ${rsvd}`,
      `Surp == ${surp}`,
      ...(total === null ? [] : [`Total == ${total}`]),
    ];
    lines.push(`check ${pools.map((each) => `meminfo.HugePages_${each}`).join(' and ')}`);
  }
  return `${lines.join('\n')}\n`;
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'owner-steals-the-last-page',
    rule: 'hugetlb_wp(): where no page is left, the owner of the reservation takes its page away from the child, which gets SIGBUS where it misses it.\nWhat the child still maps when the owner exits leaves the pool with fewer reservations than none, until it is given back.',
    pool: 4,
    steps: `
A map X 4     | ok 4 4 0        | = | ok 4 0 0
A w X 0-3     | ok 0 0 0        | = | =
A fork B      | ok 0 0 0        | = | =
A W X 0       | ok 0 0 0        | = | SIGKILL 0 0 0
B r X 1       | A 0 0 0         | = | =
B r X 0       | SIGBUS 0 0 0    | = | A 0 0 0
B w X 1       | SIGBUS 0 0 0    | - | ok 0 0 0
B r X 1       | A 0 0 0         | = | B 0 0 0
A W X 1       | ok 0 0 0        | = | -
A exit        | ok 2 -2 0       | ok 2 0 0 | -
B r X 2       | A 2 -2 0        | A 2 0 0  | A 0 0 0
B w X 2       | ok 2 -2 0       | ok 2 0 0 | ok 0 0 0
B exit        | ok 4 0 0        | = | =`,
  },
  {
    name: 'child-writes-first',
    rule: 'hugetlb_wp(): a child that finds no page for its copy gets SIGBUS and keeps what it has; the owner is not touched.',
    pool: 4,
    steps: `
A map X 4     | ok 4 4 0        | = | ok 4 0 0
A w X 0-3     | ok 0 0 0        | = | =
A fork B      | ok 0 0 0        | = | =
B w X 0       | SIGBUS 0 0 0    | SIGKILL 0 0 0 | SIGKILL 0 0 0
B r X 0       | A 0 0 0         | - | -
A W X 0       | ok 0 0 0        | = | =
B r X 0       | SIGBUS 0 0 0    | - | -
B r X 1       | A 0 0 0         | - | -`,
  },
  {
    name: 'owner-copies-while-there-is-one',
    rule: 'hugetlb_wp(): the owner copies outside of its reservation as long as a page is free, and takes one away when none is.',
    pool: 5,
    steps: `
A map X 4     | ok 5 4 0        | = | ok 5 0 0
A w X 0-3     | ok 1 0 0        | = | =
A fork B      | ok 1 0 0        | = | =
A W X 0       | ok 0 0 0        | = | =
A W X 1       | ok 0 0 0        | = | SIGKILL 1 0 0
B r X 0       | A 0 0 0         | = | A 1 0 0
B r X 1       | SIGBUS 0 0 0    | = | A 1 0 0
B w X 0       | ok 0 0 0        | = | ok 1 0 0`,
  },
  {
    name: 'child-copies-while-there-is-one',
    rule: 'hugetlb_wp(): the child copies as long as a page is free that nobody reserved; the owner keeps the page that is its own then.',
    pool: 5,
    steps: `
A map X 4     | ok 5 4 0        | = | ok 5 0 0
A w X 0-3     | ok 1 0 0        | = | =
A fork B      | ok 1 0 0        | = | =
B w X 0       | ok 0 0 0        | = | =
B w X 1       | SIGBUS 0 0 0    | SIGKILL 1 0 0 | SIGKILL 1 0 0
A W X 0       | ok 0 0 0        | ok 1 0 0 | ok 1 0 0
A W X 1       | ok 0 0 0        | ok 1 0 0 | ok 1 0 0
B r X 1       | SIGBUS 0 0 0    | - | -
B r X 0       | B 0 0 0         | - | -`,
  },
  {
    name: 'partial-fault-before-fork',
    rule: 'hugetlb_no_page(): what the owner reserved and has not touched yet stays its own; a child gets none of it.',
    pool: 4,
    steps: `
A map X 4     | ok 4 4 0        | = | ok 4 0 0
A w X 0-1     | ok 2 2 0        | = | ok 2 0 0
A fork B      | ok 2 2 0        | = | ok 2 0 0
B r X 2       | SIGBUS 2 2 0    | SIGKILL 2 2 0 | 0 1 0 0
A w X 2       | ok 1 1 0        | = | ok 0 0 0
A w X 3       | ok 0 0 0        | = | SIGKILL
A W X 0       | ok 0 0 0        | = | -
B r X 0       | SIGBUS 0 0 0    | - | A
B r X 1       | A 0 0 0         | - | A
B r X 2       | SIGBUS 0 0 0    | - | 0`,
  },
  {
    name: 'partial-fault-with-pages-to-spare',
    rule: 'hugetlb_no_page(): with pages to spare a child gets pages of zeros of its own, and the owner still has those it reserved.',
    pool: 6,
    steps: `
A map X 4     | ok 6 4 0        | = | ok 6 0 0
A w X 0-1     | ok 4 2 0        | = | ok 4 0 0
A fork B      | ok 4 2 0        | = | ok 4 0 0
B r X 2       | 0 3 2 0         | = | 0 3 0 0
B w X 3       | ok 2 2 0        | = | ok 2 0 0
A r X 2-3     | 0 0 0 0         | = | =
B w X 0       | SIGBUS 0 0 0    | SIGKILL 2 0 0 | SIGKILL 2 0 0
A W X 0       | ok 0 0 0        | ok 2 0 0 | ok 2 0 0
A W X 1       | ok 0 0 0        | ok 2 0 0 | ok 2 0 0
B exit        | ok 2 0 0        | - | -`,
  },
  {
    name: 'shared-anonymous',
    rule: 'hugetlb_reserve_pages(): a shared mapping reserves in the map of its file; parent and child use the reservations together.',
    pool: 4,
    steps: `
A map X 4 shared | ok 4 4 0     | = | =
A w X 0-1     | ok 2 2 0        | = | =
A fork B      | ok 2 2 0        | = | =
B w X 0       | ok 2 2 0        | = | =
A r X 0       | B 2 2 0         | = | =
B w X 2-3     | ok 0 0 0        | = | =
A exit        | ok 0 0 0        | = | =
B munmap X 0-3 | ok 4 0 0       | = | =`,
  },
  {
    name: 'noreserve-runs-dry',
    rule: 'alloc_hugetlb_folio(): a mapping with MAP_NORESERVE has what is free, then SIGBUS; it owns nothing, and takes nothing away from its child.',
    pool: 4,
    steps: `
A map X 6 noreserve | ok 4 0 0  | = | =
A w X 0-3     | ok 0 0 0        | = | =
A w X 4       | SIGBUS 0 0 0    | SIGKILL 4 0 0 | SIGKILL 4 0 0
A fork B      | ok 0 0 0        | - | -
A W X 0       | SIGBUS 0 0 0    | - | -
B W X 0       | SIGBUS 0 0 0    | - | -
B exit        | ok 0 0 0        | - | -
A W X 0       | ok 0 0 0        | - | -`,
  },
  {
    name: 'noreserve-beside-a-reservation',
    rule: 'dequeue_hugetlb_folio_vma(): pages that somebody reserved are not free for others.',
    pool: 4,
    steps: `
A map Y 3     | ok 4 3 0        | = | ok 4 0 0
A map X 6 noreserve | ok 4 3 0  | = | ok 4 0 0
A w X 0       | ok 3 3 0        | = | ok 3 0 0
A w X 1       | SIGBUS 3 3 0    | SIGKILL 4 0 0 | ok 2 0 0
A w Y 0-2     | ok 0 0 0        | - | -`,
  },
  {
    name: 'overcommit-copies',
    rule: 'alloc_surplus_hugetlb_folio(): copies come from beyond the pool while nr_overcommit_hugepages allows; the next pages freed pay that off.',
    pool: 4,
    overcommit: 4,
    steps: `
A map X 4     | ok T4 4 4 0     | = | ok T4 4 0 0
A w X 0-3     | ok T4 0 0 0     | = | =
A fork B      | ok T4 0 0 0     | = | =
A W X 0       | ok T5 0 0 1     | = | =
B w X 1       | ok T6 0 0 2     | = | =
A W X 1       | ok T6 0 0 2     | = | =
A W X 2-3     | ok T8 0 0 4     | = | =
B r X 2-3     | A T8 0 0 4      | = | =
B exit        | ok T4 0 0 0     | = | =
A exit        | ok T4 4 0 0     | = | =`,
  },
  {
    name: 'overcommit-reserves',
    rule: 'gather_surplus_pages(): a reservation beyond the pool makes surplus pages at once; return_unused_surplus_pages() gives them up with it.',
    pool: 4,
    overcommit: 4,
    steps: `
A map X 6     | ok T6 6 6 2     | = | ok T4 4 0 0
A map Y 3     | ENOMEM T6 6 6 2 | = | -
A map Y 2     | ok T8 8 8 4     | = | ok T4 4 0 0
A w X 0-5     | ok T8 2 2 4     | = | ok T6 0 0 2
A munmap X 0-5 | ok T4 4 2 0    | = | ok T4 4 0 0
A munmap Y 0-1 | ok T4 4 0 0    | = | =`,
  },
  {
    name: 'robbed-mapping-gets-nothing-new',
    rule: 'hugetlb_no_page(): a mapping that lost a page gets SIGBUS wherever nothing is mapped, whatever is free; what it has it can still copy.',
    pool: 6,
    steps: `
A map X 6     | ok 6 6 0        | = | -
A w X 0-3     | ok 2 2 0        | = | -
A fork B      | ok 2 2 0        | = | -
A W X 0       | ok 2 2 0        | = | -
B r X 0       | SIGBUS 2 2 0    | = | -
B r X 4       | SIGBUS 2 2 0    | = | -
A pool 8      | ok 4 2 0        | = | -
B r X 4       | SIGBUS 4 2 0    | = | -
B map Y 1     | ok 4 3 0        | = | -
B w X 1       | ok 3 3 0        | = | -
B dontneed X 0 | ok 3 3 0       | - | -
B r X 0       | SIGBUS 3 3 0    | = | -`,
  },
  {
    name: 'grandchild-forgets',
    rule: 'hugetlb_dup_vma_private(): fork does not tell the grandchild that a page was taken away; it reads zeros where its parent gets SIGBUS.',
    pool: 6,
    steps: `
A map X 4     | ok 6 4 0        | = | -
A map Y 2     | ok 6 6 0        | = | -
A w X 0-2     | ok 3 3 0        | = | -
A fork B      | ok 3 3 0        | = | -
A W X 0       | ok 3 3 0        | = | -
A munmap Y 0-1 | ok 3 1 0       | = | -
B r X 0       | SIGBUS 3 1 0    | = | -
B fork C      | ok 3 1 0        | = | -
C r X 0       | 0 2 1 0         | = | -
C r X 1       | A 2 1 0         | = | -`,
  },
  {
    name: 'owner-exits-first',
    rule: '__unmap_hugepage_range(): the owner that exits has its reservations back while a child maps the pages: HugePages_Rsvd is below zero until they are free.',
    pool: 5,
    steps: `
A map X 4     | ok 5 4 0        | = | ok 5 0 0
A w X 0-3     | ok 1 0 0        | = | =
A fork B      | ok 1 0 0        | = | =
A exit        | ok 1 -4 0       | ok 1 0 0 | ok 1 0 0
B w X 0-1     | ok 1 -4 0       | ok 1 0 0 | ok 1 0 0
B fork C      | ok 1 -4 0       | ok 1 0 0 | ok 1 0 0
B W X 0       | ok 0 -4 0       | ok 0 0 0 | ok 0 0 0
C w X 1       | SIGBUS 0 -4 0   | SIGKILL | SIGKILL
B exit        | ok              | = | =
C exit        | ok 5 0 0        | - | -`,
  },
  {
    name: 'oversold',
    rule: 'hugetlb_acct_memory(): with HugePages_Rsvd below zero mmap promises more pages than there are, and who was promised them gets SIGBUS.',
    pool: 8,
    steps: `
A map X 4     | ok 8 4 0        | = | -
A w X 0-3     | ok 4 0 0        | = | -
A fork B      | ok 4 0 0        | = | -
B fork C      | ok 4 0 0        | = | -
A exit        | ok 4 -4 0       | ok 4 0 0 | -
C map Y 4     | ok 4 0 0        | ok 4 4 0 | -
C map Z 4     | ok 4 4 0        | ENOMEM 4 4 0 | -
C w Y 0-3     | ok 0 0 0        | = | -
C w Z 0       | SIGBUS 0 0 0    | - | -
B munmap X 0-3 | ok 0 0 0       | = | -
C munmap X 0-3 | ok 4 4 0       | ok 4 0 0 | -
C w Z 0-3     | ok 0 0 0        | - | -`,
  },
  {
    name: 'owner-unmaps-a-part',
    rule: '__unmap_hugepage_range(): an owner that unmaps pages a child still maps has the reservations back before the pages are.',
    pool: 8,
    steps: `
A map X 4     | ok 8 4 0        | = | ok 8 0 0
A w X 0-3     | ok 4 0 0        | = | =
A fork B      | ok 4 0 0        | = | =
A munmap X 0-1 | ok 4 -2 0      | ok 4 0 0 | ok 4 0 0
B munmap X 0-3 | ok 6 0 0       | = | =`,
  },
  {
    name: 'owner-drops-and-refills',
    rule: '__unmap_hugepage_range(): memory that the owner throws away while a child maps it is had anew from a reservation that is not there yet.',
    pool: 8,
    steps: `
A map X 4     | ok 8 4 0        | - | -
A w X 0-3     | ok 4 0 0        | - | -
A fork B      | ok 4 0 0        | - | -
A dontneed X 0-3 | ok 4 0 0     | - | -
A w X 0-3     | ok 0 -4 0       | - | -
B munmap X 0-3 | ok 4 0 0       | - | -`,
  },
  {
    name: 'two-children-lose-it',
    rule: 'unmap_ref_private(): the page is taken away from every mapping without reservations at once; the other pages stay shared.',
    pool: 4,
    steps: `
A map X 4     | ok 4 4 0        | = | -
A w X 0-3     | ok 0 0 0        | = | -
A fork B      | ok 0 0 0        | = | -
A fork C      | ok 0 0 0        | = | -
A W X 0       | ok 0 0 0        | = | -
B r X 0       | SIGBUS 0 0 0    | = | -
C r X 0       | SIGBUS 0 0 0    | = | -
B r X 1-3     | A 0 0 0         | = | -
C r X 1-3     | A 0 0 0         | = | -
B exit        | ok 0 0 0        | = | -
A W X 1       | ok 0 0 0        | = | -
C r X 1       | SIGBUS 0 0 0    | = | -`,
  },
  {
    name: 'private-over-the-page-cache',
    rule: 'hugetlb_wp(): a private mapping of a file’s page shares it until it writes; the owner’s copy comes from its reservation.',
    pool: 3,
    steps: `
A memfd       | ok              | = | =
A truncate 2  | ok              | = | =
A map X 2 file shared | ok 3 2 0 | = | -
A w X 0       | ok 2 1 0        | = | -
A munmap X 0-1 | ok 2 1 0       | = | -
A truncate 1  | ok 2 0 0        | = | -
A truncate 2  | ok 2 0 0        | = | -
A map Y 2 file | ok 2 2 0       | = | -
A r Y 0       | A 2 2 0         | = | -
A fork B      | ok 2 2 0        | = | -
B w Y 0       | SIGBUS 2 2 0    | SIGKILL 2 2 0 | -
A W Y 0       | ok 1 1 0        | = | -
A map Z 1 file shared | ok 1 1 0 | = | -
A r Z 0       | A 1 1 0         | = | -`,
  },
  {
    name: 'truncated-under-its-owner',
    rule: 'hugetlb_vmtruncate(): private pages beyond the new end go as well; their reservations come back, and are used anew.',
    pool: 6,
    steps: `
A memfd       | ok              | - | -
A truncate 4  | ok              | - | -
A map X 4 file | ok 6 4 0       | - | -
A w X 0-2     | ok 3 1 0        | - | -
A truncate 2  | ok 4 2 0        | - | -
A r X 2       | SIGBUS 4 2 0    | - | -
A truncate 4  | ok 4 2 0        | - | -
A r X 2-3     | 0 2 0 0         | - | -
A munmap X 0-3 | ok 6 0 0       | - | -`,
  },
  {
    name: 'two-private-mappings-of-one-file',
    rule: 'hugetlb_wp(): two private mappings of one file in one process have nothing to do with each other, nor has what fork made of them.',
    pool: 6,
    steps: `
A memfd       | ok              | = | =
A truncate 2  | ok              | = | =
A map X 2 file | ok 6 2 0       | = | ok 6 0 0
A map Y 2 file | ok 6 4 0       | = | ok 6 0 0
A w X 0-1     | ok 4 2 0        | = | ok 4 0 0
A W Y 0-1     | ok 2 0 0        | = | =
A fork B      | ok 2 0 0        | = | =
A W X 0       | ok 1 0 0        | = | =
A r Y 0       | a 1 0 0         | = | =
B r X 0       | A 1 0 0         | = | =
B r Y 0       | a 1 0 0         | = | =`,
  },
  {
    name: 'holes-in-a-shared-file',
    rule: 'hugetlbfs_punch_hole(): a page that is there takes its entry in the file’s map along, so the next fault there has no reservation; a page that was only reserved stays so.',
    pool: 6,
    steps: `
A memfd       | ok              | - | -
A truncate 4  | ok              | - | -
A map X 4 file shared | ok 6 4 0 | - | -
A w X 0-2     | ok 3 1 0        | - | -
A punch 1     | ok 4 1 0        | - | -
A r X 1       | 0 3 1 0         | - | -
A punch 3     | ok 3 1 0        | - | -
A r X 3       | 0 2 0 0         | - | -
A truncate 0  | ok 6 0 0        | - | -`,
  },
  {
    name: 'hole-under-its-owner',
    rule: 'hugetlbfs_punch_hole(): the private copies over the hole go as well, and their owner has the reservations again.',
    pool: 6,
    steps: `
A memfd       | ok              | - | -
A truncate 4  | ok              | - | -
A map X 4 file | ok 6 4 0       | - | -
A w X 0-3     | ok 2 0 0        | - | -
A punch 1-2   | ok 4 2 0        | - | -
A r X 1       | 0 3 1 0         | - | -
A munmap X 0-3 | ok 6 0 0       | - | -`,
  },
  {
    name: 'pages-made-ahead-of-use',
    rule: 'hugetlbfs_fallocate(): pages come from the file’s reservations where it has any, and else from what nobody reserved; those made before the pool runs dry stay.',
    pool: 4,
    steps: `
A memfd       | ok              | - | -
A map X 2 file shared | ok 4 2 0 | - | -
A fallocate 0 | ok 3 1 0        | - | -
A fallocate 2 | ok 2 1 0        | - | -
A fallocate 3-5 | ENOSPC 1 1 0  | - | -
A w X 0-1     | ok 0 0 0        | - | -
A truncate 0  | ok 4 0 0        | - | -`,
  },
  {
    name: 'surplus-becomes-the-pool',
    rule: 'set_max_huge_pages(): a pool that is to grow first makes its surplus pages its own, and one that shrinks makes surplus of what is in use.',
    pool: 2,
    overcommit: 4,
    steps: `
A map X 4     | ok T4 4 4 2     | - | -
A w X 0-3     | ok T4 0 0 2     | - | -
A pool 3      | ok T4 0 0 1     | - | -
A pool 5      | ok T5 1 0 0     | - | -
A pool 2      | ok T4 0 0 2     | - | -
A overcommit 1 | ok T4 0 0 2    | - | -
A munmap X 0-3 | ok T2 2 0 0    | - | -`,
  },
  {
    name: 'mounted-with-bounds',
    rule: 'hugepage_subpool_get_pages(), hugepage_subpool_put_pages(): a mount has its minimum reserved from the beginning, spends that first, and refuses what is more than its size, whatever is free.',
    pool: 8,
    steps: `
A mount 4 2   | ok 8 2 0        | - | -
A open        | ok              | - | -
A map X 1 file shared | ok 8 2 0 | - | -
A w X 0       | ok 7 1 0        | - | -
A map Y 3 file | ok 7 3 0       | - | -
A w Y 0-2     | ok 4 0 0        | - | -
A map Z 1 file | ENOMEM 4 0 0   | - | -
A munmap Y 0-2 | ok 7 2 0       | - | -
A munmap X 0  | ok 7 2 0        | - | -
A truncate 0  | ok 8 2 0        | - | -
A umount      | EBUSY 8 2 0     | - | -
A close       | ok 8 2 0        | - | -
A umount      | ok 8 0 0        | - | -`,
  },
  {
    name: 'mount-wants-too-much',
    rule: 'hugetlbfs_fill_super(): the minimum of a mount is reserved at once, or it is not mounted.',
    pool: 3,
    steps: `
A mount 2 3   | EINVAL 3 0 0    | - | -
A mount 6 4   | ENOMEM 3 0 0    | - | -
A mount - 3   | ok 3 3 0        | - | -
A map X 1     | ENOMEM 3 3 0    | - | -
A umount      | ok 3 0 0        | - | -
A map X 1     | ok 3 1 0        | - | -`,
  },
  {
    name: 'limit-of-the-mount-steals',
    rule: 'alloc_hugetlb_folio(): a mount that is full is as good as an empty pool: the owner takes its page away from the child, though pages are free.',
    pool: 8,
    steps: `
A mount 2 -   | ok 8 0 0        | - | -
A open        | ok              | - | -
A map X 2 file | ok 8 2 0       | - | -
A w X 0-1     | ok 6 0 0        | - | -
A fork B      | ok 6 0 0        | - | -
B w X 0       | SIGBUS 6 0 0    | - | -
A W X 0       | ok 6 0 0        | - | -
B r X 0       | SIGBUS 6 0 0    | - | -
B r X 1       | A 6 0 0         | - | -`,
  },
  {
    name: 'mount-loses-its-quota',
    rule: 'alloc_hugetlb_folio(): of a page that the pool refuses the mount thinks, since 6.15, that it is used: of four pages two are left.',
    pool: 2,
    steps: `
A mount 4 -   | ok 2 0 0        | - | -
A open        | ok              | - | -
A map X 2 file | ok 2 2 0       | - | -
A w X 0-1     | ok 0 0 0        | - | -
A fork B      | ok 0 0 0        | - | -
A W X 0       | ok 0 0 0        | - | -
B w X 1       | SIGBUS 0 0 0    | - | -
B exit        | ok 0 0 0        | - | -
A munmap X 0-1 | ok 2 0 0       | - | -
A pool 4      | ok 4 0 0        | - | -
A map X 3 file | ENOMEM 4 0 0   | - | -
A map X 2 file | ok 4 2 0       | - | -`,
  },
  {
    name: 'refused-mapping-takes-the-minimum',
    rule: 'hugetlb_reserve_pages(): a mapping that the pool refuses gives back what the mount had reserved while it still counts as used, so that goes to the pool; when the mount is gone the pool has fewer reservations than none.',
    pool: 3,
    modelOnly: true,
    steps: `
A mount 16 2  | ok 3 2 0        | - | -
A open        | ok              | - | -
A map X 1 file shared | ok 3 2 0 | - | -
A w X 0       | ok 2 1 0        | - | -
A map Y 4 file | ENOMEM 2 0 0   | - | -
A map Z 2     | ok 2 2 0        | - | -
A map Y 1 file | ENOMEM 2 2 0   | - | -
A munmap Z 0-1 | ok 2 0 0       | - | -
A munmap X 0  | ok 2 0 0        | - | -
A truncate 0  | ok 3 1 0        | - | -
A close       | ok 3 1 0        | - | -
A umount      | ok 3 -1 0       | - | -`,
  },
  {
    name: 'minimum-of-a-mount-is-lost',
    rule: 'unlock_or_release_subpool(): a mount that counts a page as used that is not keeps what it reserved after it is gone, until the machine starts anew.',
    pool: 3,
    modelOnly: true,
    steps: `
A mount 4 2   | ok 3 2 0        | - | -
A open        | ok              | - | -
A map X 2 file | ok 3 2 0       | - | -
A w X 0-1     | ok 1 0 0        | - | -
A fork B      | ok 1 0 0        | - | -
A W X 0       | ok 0 0 0        | - | -
A W X 1       | ok 0 0 0        | - | -
A munmap X 0-1 | ok 2 0 0       | - | -
B exit        | ok 3 1 0        | - | -
A close       | ok 3 1 0        | - | -
A umount      | ok 3 1 0        | - | -`,
  },
  {
    name: 'overlapping-shared-mappings',
    rule: 'hugetlb_reserve_pages(): shared mappings of the same pages reserve them once; unmapping gives nothing back, the end of the file does.',
    pool: 6,
    steps: `
A memfd       | ok              | = | =
A map X 4 file shared | ok 6 4 0 | = | =
A map Y 4 file shared @2 | ok 6 6 0 | = | =
A map Z 2 file shared @6 | ENOMEM 6 6 0 | = | =
A munmap X 0-3 | ok 6 6 0       | = | =
A munmap Y 0-3 | ok 6 6 0       | = | =
A truncate 3  | ok 6 3 0        | = | =
A close       | ok 6 0 0        | = | =`,
  },
  {
    name: 'fork-of-an-untouched-mapping',
    rule: 'hugetlb_no_page(): a child of a mapping that nobody touched is promised nothing; what it reads is a page of zeros of its own.',
    pool: 5,
    steps: `
A map X 4     | ok 5 4 0        | = | ok 5 0 0
A fork B      | ok 5 4 0        | = | ok 5 0 0
B r X 0       | 0 4 4 0         | = | 0 4 0 0
B r X 1       | SIGBUS 4 4 0    | SIGKILL 5 4 0 | 0 3 0 0
A w X 0-2     | ok 1 1 0        | ok 2 1 0 | ok 0 0 0
A w X 3       | ok 0 0 0        | ok 1 0 0 | SIGKILL`,
  },
  {
    name: 'fork-of-an-untouched-mapping-exact',
    rule: 'hugetlb_no_page(): where all that is free is reserved, a child of an untouched mapping gets nothing, and its parent all of it.',
    pool: 4,
    steps: `
A map X 4     | ok 4 4 0        | = | ok 4 0 0
A fork B      | ok 4 4 0        | = | ok 4 0 0
B r X 0       | SIGBUS 4 4 0    | SIGKILL 4 4 0 | 0 3 0 0
A w X 0-2     | ok 1 1 0        | = | ok 0 0 0
A w X 3       | ok 0 0 0        | = | SIGKILL`,
  },
  {
    name: 'moved-and-looked-for',
    rule: 'unmap_ref_private(): the owner looks for its page where it has it itself; in a child of a mapping that moved it is elsewhere, and Linux looks for ever. On 6.18 only up to there.',
    pool: 4,
    modelOnly: true,
    loops: /Linux loops for ever/,
    steps: `
A map X 4     | ok 4 4 0        | = | ok 4 0 0
A w X 0-1     | ok 2 2 0        | = | ok 2 0 0
A fork B      | ok 2 2 0        | = | ok 2 0 0
A move X 0-3 Y | ok 2 2 0       | EINVAL 2 2 0 | EINVAL 2 0 0
A w Y 2-3     | ok 0 0 0        | - | -
A W Y 0       | ok 0 0 0        | - | -`,
  },
  {
    name: 'pool-shrinks-below-what-is-used',
    rule: 'set_max_huge_pages(): what is used or reserved stays when the pool is to shrink, as surplus, and goes when it is given back.',
    pool: 6,
    steps: `
A map X 4     | ok T6 6 4 0     | - | -
A w X 0-1     | ok T6 4 2 0     | - | -
A pool 3      | ok T4 2 2 1     | - | -
A pool 0      | ok T4 2 2 4     | - | -
A pool 5      | ok T5 3 2 0     | - | -
A pool 0      | ok T4 2 2 4     | - | -
A munmap X 0-3 | ok T0 0 0 0    | - | -`,
  },
  {
    name: 'moved-with-its-reservations',
    rule: 'move_vma(): a mapping that moves takes its reservations along; what is cut off behind it gives back those it did not use.',
    pool: 6,
    steps: `
A map X 4     | ok 6 4 0        | = | -
A w X 0-1     | ok 4 2 0        | = | -
A move X 0-3 Y | ok 4 2 0       | EINVAL 4 2 0 | -
A r Y 0-1     | A 4 2 0         | - | -
A w Y 2       | ok 3 1 0        | - | -
A munmap Y 3  | ok 3 0 0        | - | -
A munmap Y 0-2 | ok 6 0 0       | - | -`,
  },
  {
    name: 'moved-in-part',
    rule: 'clear_vma_resv_huge_pages(): of a mapping of which a part moves the rest owns nothing any more, and its maker gets SIGBUS for its copy.',
    pool: 4,
    steps: `
A map X 4     | ok 4 4 0        | - | -
A w X 0-3     | ok 0 0 0        | - | -
A move X 0-1 Y | ok 0 0 0       | - | -
A fork B      | ok 0 0 0        | - | -
A W X 2       | SIGBUS 0 0 0    | - | -
B r X 2       | A 0 0 0         | - | -
B munmap X 2-3 | ok 0 0 0       | - | -
A W X 2       | ok 0 0 0        | - | -`,
  },
  {
    name: 'parts-share-their-map',
    rule: 'hugetlb_vm_op_open(): parts of a mapping that was cut share its reservation map, so that each gives back what it did not use.',
    pool: 4,
    steps: `
A map X 4     | ok 4 4 0        | = | -
A w X 0       | ok 3 3 0        | = | -
A munmap X 1  | ok 3 2 0        | = | -
A readonly X 2 | ok 3 2 0       | = | -
A munmap X 0-3 | ok 4 0 0       | = | -`,
  },
];

/**
 * The scenarios of the specification that this project follows (scenarios S1 to S28, each a sequence with the pool's counters on three kernels), by the names they have here. Those about
 * references to pages are workloads of their own. S20 is about a control group's limit, which is not modelled; that of a mount does the same.
 */
export const NUMBERED: Readonly<Record<string, readonly string[]>> = {
  S1: ['owner-steals-the-last-page'],
  S2: ['child-writes-first'],
  S3: ['owner-copies-while-there-is-one'],
  S4: ['child-copies-while-there-is-one'],
  S5: ['partial-fault-before-fork'],
  S6: ['partial-fault-with-pages-to-spare'],
  S7: ['shared-anonymous'],
  S8: ['noreserve-runs-dry', 'noreserve-beside-a-reservation'],
  S9: ['overcommit-copies'],
  S10: ['overcommit-reserves'],
  S11: ['robbed-mapping-gets-nothing-new'],
  S12: ['grandchild-forgets'],
  S13: ['owner-exits-first'],
  S14: ['oversold'],
  S15: ['owner-unmaps-a-part', 'owner-drops-and-refills'],
  S16: ['moved-and-looked-for'],
  S17: ['two-children-lose-it'],
  S18: ['private-over-the-page-cache'],
  S19: ['two-private-mappings-of-one-file'],
  S20: ['limit-of-the-mount-steals'],
  S21: ['pinned-page-is-copied-by-fork', 'fork-fails-for-want-of-a-copy', 'fork-leaves-reserved-pages-alone'],
  S22: ['reading-takes-the-page-away'],
  S23: ['truncated-under-its-owner'],
  S24: ['holes-in-a-shared-file'],
  S25: ['overlapping-shared-mappings'],
  S26: ['moved-in-part'],
  S27: ['fork-of-an-untouched-mapping', 'fork-of-an-untouched-mapping-exact'],
  S28: ['minimum-of-a-mount-is-lost'],
};
