// The programs in examples/syz, run as `run` does.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../../events/index.js';
import { invariantsFor } from '../../../projections/invariants/catalogue.js';
import { Checker } from '../../../projections/invariants/checker.js';
import { behavioursOf } from '../../../src/kernel/behaviours.js';
import type { RunListener } from '../../../src/sched/run.js';
import { Run, gotText, resultOf } from '../../../src/sched/run.js';
import { DEFAULT_MACHINE } from '../../../src/kernel/kernel.js';
import { detectFormat } from '../../../src/workload/detect.js';
import type { Operation } from '../../../src/workload/operation.js';
import { SyzParser } from '../../../src/workload/syz/program.js';
import { printWorkload } from '../../../src/workload/text/print.js';
import { TextParser } from '../../../src/workload/text/workload.js';

const folder = new URL('../../../examples/syz/', import.meta.url);
const NAMES = readdirSync(folder).map((name) => name.replace(/\.syz$/, ''));

interface Ran {
  readonly run: Run;
  readonly operations: readonly Operation[];
  readonly events: readonly KernelEvent[];
  /** `name = result` of every operation behind the three mappings of the executor. */
  readonly told: readonly string[];
  readonly skipped: Readonly<Record<string, number>>;
  readonly violations: number;
}

/** A run whose events are kept and checked, and whose results are told. */
function newRun(events: KernelEvent[], told: string[]): { run: Run; checker: Checker } {
  const behaviours = behavioursOf('6.18');
  const listeners: RunListener[] = [];
  const run = new Run({ behaviours, machine: DEFAULT_MACHINE, recorded: false, lenient: true }, listeners);
  const checker = new Checker(run.view, invariantsFor(behaviours));
  listeners.push({
    beginOperation: ({ line, pid, name, args }, id) => checker.beginOperation({ id, line, pid, name, args }),
    event: (event) => checker.event(event, events.push(event) - 1),
    endOperation: ({ name }, got) => {
      checker.endOperation();
      told.push(`${name} = ${gotText(got)}`);
    },
  });
  return { run, checker };
}

function ran(name: string): Ran {
  const text = readFileSync(new URL(`${name}.syz`, folder), 'utf8');
  expect(detectFormat(text)).toBe('syz');
  const [events, told, operations]: [KernelEvent[], string[], Operation[]] = [[], [], []];
  const skipped: Record<string, number> = {};
  const { run, checker } = newRun(events, told);
  const parser = new SyzParser(
    {
      operation: (operation) => {
        operations.push(operation);
        return resultOf(run.execute(operation));
      },
      skipped: (reason) => (skipped[reason] = (skipped[reason] ?? 0) + 1),
    },
    { lenient: false },
  );
  text.split('\n').forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  return { run, operations, events, told: told.slice(3), skipped, violations: checker.found };
}

const count = ({ events }: Ran, type: KernelEvent['type']): number =>
  events.filter((event) => event.type === type).length;
const results = (found: Ran, name: string): string[] =>
  found.told.filter((each) => each.startsWith(`${name} = `)).map((each) => each.slice(name.length + 3));

describe('examples/syz', () => {
  it('are ten and the structure of a reproducer', () => {
    expect(NAMES).toContain('reproducer');
    expect(NAMES.length).toBeGreaterThanOrEqual(11);
  });

  it.each(NAMES)('%s runs, breaks no invariant, and prints as a workload that does the same', (name) => {
    const found = ran(name);
    expect(found.violations).toBe(0);
    expect(found.events.length).toBeGreaterThan(20);
    const events: KernelEvent[] = [];
    const { run } = newRun(events, []);
    const parser = new TextParser(
      { operation: (operation) => void run.execute(operation), skipped: () => undefined },
      { recorded: false, lenient: false },
    );
    const text = printWorkload(found.operations);
    expect(detectFormat(text)).toBe('workload');
    text.split('\n').forEach((line, i) => parser.line(line, i + 1));
    parser.end();
    expect(events).toEqual(found.events);
  });

  it('fork-cow copies the page that it wrote before', () => {
    const found = ran('fork-cow');
    expect(count(found, 'CowPageMapped')).toBe(1);
    expect(Object.values(found.run.view.tasks).filter(({ exited }) => exited === 1)).toHaveLength(1);
  });
  it('fork-twice copies after each fork', () => {
    expect(count(ran('fork-twice'), 'CowPageMapped')).toBe(2);
  });
  it('mremap-overlap is refused where ranges overlap and moves where they do not', () => {
    expect(results(ran('mremap-overlap'), 'mremap')).toEqual(['EINVAL', '0x20020000', '0x7ffff7ffb000', '0x20ffd000']);
  });
  it('mremap-dontunmap hands the address on as a resource', () => {
    const found = ran('mremap-dontunmap');
    expect(results(found, 'mremap')).toEqual(['0x20040000']);
    expect(found.operations.findLast(({ name }) => name === 'munmap')?.args).toEqual([0x20040000, 0x3000]);
    expect(results(found, 'munmap')).toEqual(['0x0']);
  });
  it('mlock-munlock refuses MADV_DONTNEED while pages are locked', () => {
    expect(results(ran('mlock-munlock'), 'madvise')).toEqual(['EINVAL', '0x0']);
  });
  it('madvise-race does a call as often as rerun says', () => {
    expect(results(ran('madvise-race'), 'madvise')).toHaveLength(5 + 1 + 1);
  });
  it('memfd-shared faults where the file was cut off', () => {
    const found = ran('memfd-shared');
    expect(results(found, 'store').at(-1)).toBe('SIGBUS');
    expect(results(found, 'close')).toEqual(['0x0']);
    expect(found.skipped).toEqual({});
  });
  it('mprotect-split survives the store that is refused', () => {
    const found = ran('mprotect-split');
    expect(results(found, 'store').filter((each) => each === 'SIGSEGV')).toHaveLength(1);
    expect(results(found, 'msync')).toEqual(['0x0']);
  });
  it('any-blob lays out squashed arguments byte by byte', () => {
    const found = ran('any-blob');
    expect(found.skipped).toEqual({ ioctl$sock_SIOCGIFINDEX: 1 });
    const bytes = new Map<number, number>();
    for (const { name, args } of found.operations)
      if (name === 'store')
        for (let i = 0; i < Number(args[2] ?? 1); i++) bytes.set(Number(args[0]) + i, args[1] as number);
    const at = (address: number, n: number): (number | undefined)[] =>
      Array.from({ length: n }, (_, i) => bytes.get(address + i));
    // r0 is descriptor 3; the pointer is where the data area really lies.
    expect(at(0x20003ff8, 24)).toEqual([
      ...[3, 0, 0, 0, 255, 255, 255, 255],
      ...[3, 0, 0, 0, 0, 0, 0, 0],
      ...[0, 0x60, 0, 0x20, 0, 0, 0, 0],
    ]);
    expect(at(0x20006000, 5)).toEqual([...Buffer.from('deep\0')]);
    expect(results(found, 'write')).toEqual(['0x10']);
  });
  it('leaves-and-comes-back faults on its own arguments while the data area is away', () => {
    expect(results(ran('leaves-and-comes-back'), 'store').filter((each) => each === 'SIGSEGV')).toHaveLength(1);
  });
  it('reproducer: options and races are read, what is not about memory is counted by name', () => {
    const found = ran('reproducer');
    expect(found.skipped).toEqual({
      openat$kvm: 1,
      ioctl$KVM_CREATE_VM: 1,
      ioctl$KVM_SET_USER_MEMORY_REGION: 1,
      'mlock with fail_nth': 1,
    });
    // The page of the memfd that the program spliced into the pipe is held by it to the end.
    expect(results(found, 'vmsplice')).toEqual(['0x1']);
    expect(found.run.view.holders.filter((holder) => (holder?.pages.length ?? 0) > 0)).toHaveLength(1);
    expect(results(found, 'madvise')).toEqual(['0x0', '0x0', '0x0']);
    expect(results(found, 'clone')).toHaveLength(1);
  });
});
