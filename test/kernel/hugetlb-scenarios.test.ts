// The scenarios of the hugetlb pool on the kernels that they were told of: every result, every counter.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { NUMBERED, SCENARIOS, SCENARIO_KERNELS, workloadOf } from '../support/hugetlb-scenarios.js';
import { runWorkload } from '../support/workload.js';

describe('the scenarios of the specification', () => {
  it('are all there, and those that a kernel survives are asked of one', () => {
    expect(Object.keys(NUMBERED)).toEqual(Array.from({ length: 28 }, (_, i) => `S${i + 1}`));
    for (const name of Object.values(NUMBERED).flat()) {
      const scenario = SCENARIOS.find((each) => each.name === name);
      const asked = existsSync(`test/conformance/hugetlb-${name}.strace`);
      expect([name, asked]).toEqual([name, scenario?.modelOnly !== true]);
      if (asked && scenario !== undefined)
        expect(readFileSync(`test/conformance/hugetlb-${name}.strace`, 'utf8')).toBe(workloadOf(scenario));
    }
  });
});

/** What goes wrong on every kernel, and what a kernel would do that minded it. */
const IF_MENDED = [
  {
    without: 'hugetlb-steal-finds-moved',
    named: /Linux loops for ever/,
    text: `sysfs("hugepages/hugepages-2048kB/nr_hugepages", "2")
1 mmap(0x100000200000, 2*H, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 1) = 0
1 store(A+H, 1) = 0
1 fork() = 2
1 mremap(A, 2*H, 2*H, MREMAP_MAYMOVE|MREMAP_FIXED, 0x100010200000) = B
1 store(B, 2) = 0
2 load(A) = SIGBUS
2 load(A+H) = 1
check meminfo.HugePages_Free == 0 and meminfo.HugePages_Rsvd == 0
`,
  },
  {
    without: 'hugetlb-mremap-spares-rest',
    named: null,
    text: `sysfs("hugepages/hugepages-2048kB/nr_hugepages", "4")
1 mmap(0x100000200000, 4*H, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 1) = 0
1 store(A+2*H, 1) = 0
1 mremap(A, 2*H, 2*H, MREMAP_MAYMOVE|MREMAP_FIXED, 0x100010200000) = B
check meminfo.HugePages_Free == 2 and meminfo.HugePages_Rsvd == 2
1 store(A+3*H, 1) = 0
check meminfo.HugePages_Free == 1 and meminfo.HugePages_Rsvd == 1
1 fork() = 2
1 munmap(A+2*H, 2*H) = 0
2 exit_group(0)
1 munmap(B, 2*H) = 0
check meminfo.HugePages_Free == 4 and meminfo.HugePages_Rsvd == 0
`,
  },
  {
    without: 'hugetlb-fork-keeps-unmapped',
    named: null,
    text: `sysfs("hugepages/hugepages-2048kB/nr_hugepages", "1")
1 mmap(0x100000200000, H, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 1) = 0
1 fork() = 2
1 store(A, 2) = 0
sysfs("hugepages/hugepages-2048kB/nr_hugepages", "2")
2 fork() = 3
3 load(A) = SIGBUS
check meminfo.HugePages_Free == 1 and meminfo.HugePages_Rsvd == 0
`,
  },
] as const;

describe('a page that is taken away while somebody holds it', () => {
  const text = `sysfs("hugepages/hugepages-2048kB/nr_hugepages", "1")
1 mmap(0x100000200000, H, RW, PRIV|ANON|HUGE|FIXED, -1, 0) = A
1 store(A, 1) = 0
1 fork() = 2
2 pin(A, P, FOLL_GET) = p
1 store(A, 2) = 0
2 load(A) = SIGBUS
`;
  it('stopped the kernel up to 2.6.35', () => {
    expect(() => runWorkload(text, { kernel: '2.6.27' })).toThrow(/somebody holds besides its owner.*BUG_ON/);
    expect(() => runWorkload(text, { kernel: '2.6.34' })).toThrow(/BUG_ON/);
  });
  it('stays where it is since', () => {
    expect(runWorkload(text, { kernel: '2.6.36' }).failed).toEqual([]);
    expect(runWorkload(text).failed).toEqual([]);
  });
});

describe('page tables that mappings would share', () => {
  const text = (length: string): string => `sysfs("hugepages/hugepages-2048kB/nr_hugepages", "2")
1 mmap(0x100040000000, ${length}, RW, SH|ANON|HUGE|MAP_NORESERVE|FIXED, -1, 0) = A
1 store(A, 1) = 0
1 fork() = 2
2 load(A) = 1
2 store(A+H, 2) = 0
1 load(A+H) = 2
`;
  it('are refused by name', () => {
    expect(() => runWorkload(text('0x40000000'))).toThrow(/huge_pmd_share/);
  });
  it('are not there where a mapping is smaller than one of them', () => {
    expect(runWorkload(text('0x3fe00000')).failed).toEqual([]);
  });
});

describe('what no kernel minds', () => {
  it.each(IF_MENDED)('$without', ({ without, named, text }) => {
    const mended = runWorkload(text, { with: [without] });
    expect(mended.failed).toEqual([]);
    expect(accountingErrors(mended.run.view)).toEqual([]);
    if (named !== null) expect(() => runWorkload(text)).toThrow(named);
    else expect(runWorkload(text).failed).not.toEqual([]);
  });
});

describe.each(SCENARIO_KERNELS)('the hugetlb pool on %s', (kernel) => {
  const column = SCENARIO_KERNELS.indexOf(kernel);
  const told = SCENARIOS.filter((each) => workloadOf(each, column).includes('check'));
  it.each(told)('$name', (scenario) => {
    if (scenario.loops !== undefined && column === 0) {
      expect(() => runWorkload(workloadOf(scenario), { kernel })).toThrow(scenario.loops);
      return;
    }
    const ran = runWorkload(workloadOf(scenario, column), { kernel });
    expect(ran.failed).toEqual([]);
    expect(accountingErrors(ran.run.view)).toEqual([]);
  });
});
