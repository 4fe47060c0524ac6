// Rules that hold whatever programs do, on random calls by several processes.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventType, KernelEvent } from '../../events/index.js';
import { accountingErrors } from '../../projections/accounting.js';
import { appliedAll } from '../../reducers/index.js';
import { forEachPte, isHugePte, ptePfn, pteSpecial, pteWrite } from '../../reducers/pte.js';
import type { KernelView } from '../../reducers/state.js';
import { PG_ANON, PG_ANON_EXCLUSIVE, folioAt, initialState, pageAt, pageMapcount } from '../../reducers/state.js';
import { VM_SHARED, VM_WRITE, vmaLookup } from '../../reducers/vma.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { Got } from '../../src/kernel/call.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { Run } from '../../src/sched/run.js';
import type { Operation } from '../../src/workload/operation.js';
import type { Step } from '../support/arbitrary-workload.js';
import { arbitrarySteps, operationsOf, prologue } from '../support/arbitrary-workload.js';
import { ExpectedMemory, UNKNOWN } from '../support/expected-memory.js';

const ERAS = ['5.8', '5.9', '5.17', '5.18', '6.0', '6.18'];
const RUNS = { numRuns: 150 };

interface Observer {
  readonly after?: (operation: Operation, got: Got) => void;
}

/** Runs the prologue, then `steps`; the observer sees only the latter. */
function runSteps(steps: readonly Step[], kernel: string, observe: (run: Run) => Observer): KernelEvent[] {
  const events: KernelEvent[] = [];
  const run = new Run({ behaviours: behavioursOf(kernel), machine: DEFAULT_MACHINE, recorded: false, lenient: false }, [
    { event: (event) => events.push(event) },
  ]);
  for (const operation of prologue()) run.execute(operation);
  const observer = observe(run);
  for (const operation of operationsOf(steps)) {
    const got = run.execute(operation);
    observer.after?.(operation, got);
  }
  return events;
}

const text = ({ pid, name, args }: Operation): string =>
  `${pid} ${name}(${args.map((arg) => (typeof arg === 'number' ? `0x${arg.toString(16)}` : '')).join(', ')})`;

const MREMAP_DONTUNMAP = 4;

/** What an address space must never look like. */
function insane(state: KernelView, exclusiveEra: boolean): string[] {
  const found: string[] = [];
  for (const mm of state.mms) {
    if (!mm) continue;
    mm.vmas.forEach((vma, i) => {
      if (vma.start >= vma.end) found.push(`empty VMA at ${vma.start}`);
      const next = mm.vmas[i + 1];
      if (next !== undefined && next.start < vma.end) found.push(`VMAs overlap at ${next.start}`);
      if ((vma.anonVma === 0) !== (vma.chain.length === 0)) found.push(`anon_vma and chain differ at ${vma.start}`);
      if (vma.anonVma !== 0 && vma.chain[0] !== vma.anonVma) found.push(`own anon_vma is not first at ${vma.start}`);
      for (const each of vma.chain) if (!state.anonVmas[each]) found.push(`anon_vma ${each} is gone at ${vma.start}`);
    });
    forEachPte(mm, 0, 2 ** 35, (vpn, entry) => {
      const vma = vmaLookup(mm, vpn * 4096);
      if (vma === null) return void found.push(`entry ${vpn} outside of any VMA`);
      if (pteWrite(entry) && (vma.flags & VM_WRITE) === 0) found.push(`entry ${vpn} is writable, its VMA is not`);
      if (pteSpecial(entry)) {
        if (pteWrite(entry)) found.push(`special entry ${vpn} is writable`);
        return;
      }
      const page = pageAt(state, ptePfn(entry));
      const anon = (page.flags & PG_ANON) !== 0;
      const marked = isHugePte(entry) ? folioAt(state, ptePfn(entry)) : page;
      const exclusive = (marked.flags & PG_ANON_EXCLUSIVE) !== 0;
      const mapcount = pageMapcount(state, ptePfn(entry));
      const isPrivate = (vma.flags & VM_SHARED) === 0;
      if (anon && vma.anonVma === 0) found.push(`anonymous page ${vpn} in a VMA without anon_vma`);
      if (anon && !state.anonVmas[page.mapping]) found.push(`page ${vpn} belongs to an anon_vma that is gone`);
      if (isPrivate && pteWrite(entry) && !anon) found.push(`file page ${vpn} is privately writable`);
      if (isPrivate && pteWrite(entry) && mapcount > 1) found.push(`page ${vpn} is shared and writable`);
      if (exclusive && mapcount > 1) found.push(`page ${vpn} is exclusive and mapped ${mapcount} times`);
      if (exclusiveEra && anon && pteWrite(entry) && !exclusive) found.push(`page ${vpn} is writable, not exclusive`);
      if (!exclusiveEra && exclusive) found.push(`page ${vpn} is exclusive before its time`);
    });
  }
  for (const each of state.anonVmas) {
    if (!each) continue;
    const users = state.mms.flatMap((mm) => mm?.vmas.filter((vma) => vma.chain.includes(each.id)) ?? []);
    const active = users.filter((vma) => vma.anonVma === each.id);
    if (users.length !== each.links) found.push(`anon_vma ${each.id} has ${users.length} links, says ${each.links}`);
    if (active.length !== each.activeVmas)
      found.push(`anon_vma ${each.id} has ${active.length} VMAs, says ${each.activeVmas}`);
  }
  return found;
}

describe('whatever processes do', () => {
  it('counters are what entries, VMAs and caches add up to, after every operation', () => {
    fc.assert(
      fc.property(arbitrarySteps(), fc.constantFrom(...ERAS), (steps, kernel) => {
        let leaked = false;
        runSteps(steps, kernel, (run) => ({
          after(operation) {
            // Linux counts locked memory that DONTUNMAP moved twice, and so does the model.
            if (operation.name === 'mremap' && ((operation.args[3] as number) & MREMAP_DONTUNMAP) !== 0) leaked = true;
            const errors = accountingErrors(run.view).filter((error) => !leaked || error.counter !== 'locked_vm');
            expect(errors, text(operation)).toEqual([]);
          },
        }));
      }),
      RUNS,
    );
  });

  it('address spaces stay sound, after every operation', () => {
    fc.assert(
      fc.property(arbitrarySteps(), fc.constantFrom(...ERAS), (steps, kernel) => {
        runSteps(steps, kernel, (run) => ({
          after: (operation) => expect(insane(run.view, run.behaviours['anon-exclusive']), text(operation)).toEqual([]),
        }));
      }),
      RUNS,
    );
  });

  it('loads give what was stored: copied at fork, shared where shared, gone where given back', () => {
    fc.assert(
      fc.property(arbitrarySteps(60), fc.constantFrom(...ERAS), (steps, kernel) => {
        const expected = new ExpectedMemory();
        runSteps(steps, kernel, () => ({
          after(operation, got) {
            if (operation.name === 'load' && got !== null && !('signal' in got)) {
              const wanted = expected.load(operation.pid as number, operation.args[0] as number);
              const seen = 'value' in got ? got.value : UNKNOWN;
              if (wanted !== null && wanted !== UNKNOWN) expect(seen, text(operation)).toBe(wanted);
            }
            expected.after(operation, got);
          },
        }));
      }),
      { numRuns: 400 },
    );
  });

  it('the events alone lead to the same state, folded by Immer over frozen states', () => {
    fc.assert(
      fc.property(arbitrarySteps(25), fc.constantFrom(...ERAS), (steps, kernel) => {
        const runs: Run[] = [];
        const events = runSteps(steps, kernel, (run) => {
          runs.push(run);
          return {};
        });
        let state: KernelView = initialState();
        for (let i = 0; i < events.length; i += 7) state = appliedAll(state, events.slice(i, i + 7));
        expect(state).toEqual(runs[0]?.view);
      }),
      { numRuns: 60 },
    );
  });

  it('everything is given back when the last process exits', () => {
    fc.assert(
      fc.property(arbitrarySteps(), fc.constantFrom(...ERAS), (steps, kernel) => {
        const runs: Run[] = [];
        runSteps(steps, kernel, (run) => {
          runs.push(run);
          return {};
        });
        const [run] = runs as [Run];
        const result = { kind: 'none' } as const;
        for (const task of Object.values(run.view.tasks))
          if (task.exited === 0) run.execute({ line: 0, pid: task.tid, name: 'exit_group', args: [0], result });
        run.execute({ line: 0, pid: null, name: 'lru_add_drain', args: [], result });
        expect(run.view.mms.filter((mm) => mm !== null)).toEqual([]);
        expect(run.view.anonVmas.filter((each) => each !== null)).toEqual([]);
        expect(run.view.largeFolios).toEqual({});
        expect(run.view.committed).toBe(0);
        expect(run.view.memMap.flat().filter((page) => (page.flags & PG_ANON) !== 0)).toEqual([]);
      }),
      RUNS,
    );
  });

  it('comes across every way a page and a VMA can change', () => {
    const seen = new Set<EventType>();
    for (const steps of fc.sample(arbitrarySteps(60), { seed: 1, numRuns: 600 }))
      for (const event of runSteps(steps, '6.18', () => ({}))) seen.add(event.type);
    const wanted: EventType[] = [
      'AnonPageMapped',
      'CowPageMapped',
      'PageReused',
      'ZeroPageMapped',
      'FilePagesMapped',
      'PtesCopied',
      'PtesMoved',
      'PtesProtected',
      'PtesZapped',
      'PagesLazyfreed',
      'PageTablesFreed',
      'PageCacheRemoved',
      'VmaSplit',
      'VmaMerged',
      'VmaResized',
      'SignalSent',
      'HugePageMapped',
      'HugeZeroMapped',
      'AnonPagesMapped',
      'LargeFoliosCounted',
      'PmdSplit',
      'PmdZapped',
      'PmdCopied',
      'PmdProtected',
      'PmdMoved',
      'PmdReused',
    ];
    expect(wanted.filter((type) => !seen.has(type))).toEqual([]);
  });
});
