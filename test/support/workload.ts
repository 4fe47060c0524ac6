// Running workload text in tests.
import { expect } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { accountingErrors } from '../../projections/accounting.js';
import { pteAt, ptePfn, pteSpecial, pteWrite } from '../../reducers/pte.js';
import type { MmView, PageView, VmaView } from '../../reducers/state.js';
import { PG_ANON_EXCLUSIVE, mmAt, pageAt } from '../../reducers/state.js';
import { check } from '../../projections/query/check.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Got } from '../../src/kernel/call.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import type { MachineSettings } from '../../src/kernel/kernel.js';
import { Run } from '../../src/sched/run.js';
import type { Operation } from '../../src/workload/operation.js';
import { TextParser } from '../../src/workload/text/workload.js';

export interface WorkloadOptions {
  readonly kernel?: string;
  readonly with?: readonly string[];
  readonly without?: readonly string[];
  readonly recorded?: boolean;
  /** Counts what is not modelled instead of throwing. */
  readonly lenient?: boolean;
  readonly machine?: Partial<MachineSettings>;
}

/** Operations of a workload text. */
export function parseWorkload(text: string, recorded = false): Operation[] {
  const operations: Operation[] = [];
  const parser = new TextParser(
    {
      operation: (operation) => operations.push(operation),
      skipped: () => {},
    },
    { recorded, lenient: false },
  );
  text.split('\n').forEach((line, i) => parser.line(line, i + 1));
  parser.end();
  return operations;
}

/** A workload that has run, with questions that tests ask of it. */
export class Ran {
  readonly run: Run;
  readonly events: readonly KernelEvent[];
  readonly gots: readonly Got[];
  constructor(run: Run, events: readonly KernelEvent[], gots: readonly Got[]) {
    this.run = run;
    this.events = events;
    this.gots = gots;
  }
  /** Results that were not as the workload says. */
  get failed(): readonly string[] {
    return this.run.mismatches.map((each) => `${each.line}: ${each.operation} gave ${each.got}, not ${each.expected}`);
  }
  mm(pid: number): MmView {
    return mmAt(this.run.view, this.run.view.tasks[pid]!.mm);
  }
  vmas(pid: number): readonly VmaView[] {
    return this.mm(pid).vmas;
  }
  /** The address bound to `name`. */
  addr(name: string): number {
    const found = this.run.boundTo(name);
    if (found === undefined) throw new Error(`nothing is called ${name}`);
    return found;
  }
  entry(pid: number, addr: number): number {
    return pteAt(this.mm(pid), Math.floor(addr / 4096));
  }
  /** Frame mapped at `addr`, -1 for none or the zero page. */
  pfn(pid: number, addr: number): number {
    const entry = this.entry(pid, addr);
    return entry === 0 || pteSpecial(entry) ? -1 : ptePfn(entry);
  }
  page(pid: number, addr: number): PageView {
    return pageAt(this.run.view, this.pfn(pid, addr));
  }
  /** Faults of task `pid` that were handled. */
  faults(pid: number): number {
    const task = this.run.view.tasks[pid]!;
    return task.minFlt + task.majFlt;
  }
  /** The signals sent, as `signal/code`. */
  get signals(): readonly string[] {
    return this.events.flatMap((event) => (event.type === 'SignalSent' ? [`${event.signal}/${event.code}`] : []));
  }
  /** May task `pid` write to `addr` without a fault? */
  writable(pid: number, addr: number): boolean {
    return pteWrite(this.entry(pid, addr));
  }
  /** Events of one kind. */
  count(type: KernelEvent['type']): number {
    return this.events.filter((event) => event.type === type).length;
  }
  exclusive(pid: number, addr: number): boolean {
    return (this.page(pid, addr).flags & PG_ANON_EXCLUSIVE) !== 0;
  }
}

/** Runs `text` to its end. */
export function runWorkload(text: string, options: WorkloadOptions = {}): Ran {
  const events: KernelEvent[] = [];
  const gots: Got[] = [];
  const behaviours = withBehaviours(behavioursOf(options.kernel ?? '6.18'), options.with ?? [], options.without ?? []);
  const run = new Run(
    {
      behaviours,
      machine: { ...DEFAULT_MACHINE, ...options.machine },
      recorded: options.recorded ?? false,
      lenient: options.lenient ?? false,
      check,
    },
    [{ event: (event) => events.push(event), endOperation: (_operation, got) => gots.push(got) }],
  );
  for (const operation of parseWorkload(text, options.recorded ?? false)) run.execute(operation);
  run.settle();
  return new Ran(run, events, gots);
}

/** Runs `text` and checks what every workload must leave: results as it says, and counters that add up. */
export function ranWell(text: string, options: WorkloadOptions = {}): Ran {
  const ran = runWorkload(text, options);
  expect(ran.failed).toEqual([]);
  expect(accountingErrors(ran.run.view)).toEqual([]);
  return ran;
}
