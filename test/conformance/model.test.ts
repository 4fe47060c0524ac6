// The conformance corpus on the model alone: what the files say of the kernel holds, and they are what README.md asks for.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { accountingErrors } from '../../projections/accounting.js';
import { check } from '../../projections/query/check.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { Run } from '../../src/sched/run.js';
import type { Operation } from '../../src/workload/operation.js';
import { NO_RESULT, isNameRef } from '../../src/workload/operation.js';
import { auditOf } from '../support/audited.js';
import { parseWorkload } from '../support/workload.js';

const folder = new URL('./', import.meta.url);
const NAMES = readdirSync(folder).filter((name) => name.endsWith('.strace'));
const textOf = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

/** Where Linux itself breaks an invariant (`knownBroken`): the file, and what is wrong. */
const BROKEN_BY_LINUX: Readonly<Record<string, string>> = {
  // Reservations below zero, and what follows.
  'hugetlb-mount-loses-its-quota.strace': 'subpool-used',
  'hugetlb-moved-in-part.strace': '"invariant":"res',
  'hugetlb-owner-drops-and-refills.strace': '"invariant":"res',
  'hugetlb-owner-exits-first.strace': '"invariant":"res',
  'hugetlb-owner-steals-the-last-page.strace': '"invariant":"res',
  'hugetlb-owner-unmaps-a-part.strace': '"invariant":"res',
  'hugetlb-oversold.strace': '"invariant":"res',
  // The page stays with whoever maps it alone, though a pipe has it.
  'hugetlb-spliced-page-shows-what-is-written-later.strace': 'reuse-has-no-foreign-reference',
  'ksm-dontfork-zero-pages-count-for-the-child.strace': 'zero',
  'mlock-counts-mlocks-of-a-page.strace': 'locked',
  'mremap-dontunmap-counts-locked-twice.strace': 'locked',
};

/** Where the watched kernel places mappings, too. */
const ARENA_START = 0x100000000000;
const ARENA_END = 0x110000000000;

const drain = (line: number): Operation => ({ line, pid: null, name: 'lru_add_drain', args: [], result: NO_RESULT });

/** Calls on a range of addresses, which they look at from its start on. */
const RANGED = new Set('munmap mprotect madvise mlock mlock2 munlock msync mincore load store'.split(' '));

/** An operation that does reach beyond the arena, where the watched process has memory of its own. */
function outsideOf({ name, args, line }: Operation, run: Run): string[] {
  const [first, length = 1] = name === 'store' ? [args[0], args[2]] : args;
  if (!RANGED.has(name) || first === undefined || first === null || typeof length !== 'number') return [];
  const start = isNameRef(first) ? (run.boundTo(first.ref) ?? 0) + first.add : Number(first);
  // What wraps around is refused before anything is looked at.
  if (length < 0 || (start >= ARENA_START && start + length <= ARENA_END)) return [];
  return [`line ${line}: ${name} reaches outside of the arena`];
}

/** What is wrong with a run of the workload: results and checks, counters, invariants, mappings outside of the arena. */
function problems(text: string, drained: boolean): string[] {
  const events: KernelEvent[] = [];
  const owners: number[] = [];
  const operations: Operation[] = [];
  const behaviours = behavioursOf('6.18');
  const run = new Run(
    { behaviours, machine: { ...DEFAULT_MACHINE, mmapBase: ARENA_END }, recorded: false, lenient: false, check },
    [
      {
        beginOperation: (operation) => operations.push(operation),
        event(event) {
          events.push(event);
          owners.push(operations.length - 1);
        },
      },
    ],
  );
  const found: string[] = [];
  for (const operation of parseWorkload(text)) {
    const got = run.execute(operation);
    if (got === null || !('errno' in got) || got.errno === 'ENOMEM') found.push(...outsideOf(operation, run));
    if (drained) run.execute(drain(operation.line));
    for (const mm of run.view.mms)
      for (const vma of mm?.vmas ?? [])
        if (vma.start < ARENA_START || vma.end > ARENA_END)
          found.push(`line ${operation.line}: mapped outside of the arena`);
  }
  for (const { line, operation, got, expected } of run.mismatches)
    found.push(`line ${line}: ${operation} gave ${got}, not ${expected}`);
  for (const error of accountingErrors(run.view)) found.push(JSON.stringify(error));
  found.push(...auditOf({ events, owners, operations }, behaviours).map((violation) => JSON.stringify(violation)));
  return found;
}

function expectNone(name: string, found: readonly string[]): void {
  const known = BROKEN_BY_LINUX[name];
  expect(found.filter((problem) => known === undefined || !problem.includes(known))).toEqual([]);
  if (known !== undefined) expect(found).not.toEqual([]);
}

describe('each workload of the corpus', () => {
  it.each(NAMES)('%s holds on the model', (name) => {
    expectNone(name, problems(textOf(name), false));
  });
  it.each(NAMES)('%s holds with LRU batches emptied after each operation', (name) => {
    expectNone(name, problems(textOf(name), true));
  });
  it.each(NAMES)('%s begins with its rule and is of reasonable length', (name) => {
    const lines = textOf(name).trimEnd().split('\n');
    expect(lines[0]).toBe('# folioscope workload');
    expect(lines[1]).toMatch(/^# \S.{40,}/);
    const operations = parseWorkload(textOf(name)).filter((operation) => operation.name !== 'check');
    expect(operations.length).toBeGreaterThanOrEqual(3);
    expect(operations.length).toBeLessThanOrEqual(25);
  });
});

describe('the corpus', () => {
  it('has at least 150 workloads', () => {
    expect(NAMES.length).toBeGreaterThanOrEqual(150);
  });
  it('has no two that do the same', () => {
    const byOperations = new Map<string, string[]>();
    for (const name of NAMES) {
      const bare = textOf(name)
        .split('\n')
        .filter((line) => !line.startsWith('#') && !line.startsWith('check'))
        .join('\n');
      byOperations.set(bare, [...(byOperations.get(bare) ?? []), name]);
    }
    expect([...byOperations.values()].filter((names) => names.length > 1)).toEqual([]);
  });
});
