// The history of invariants: what it says of every moment is what the state at that moment shows.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { invariantNamed, invariantsFor } from '../../projections/invariants/catalogue.js';
import { Checker } from '../../projections/invariants/checker.js';
import { BrokenHistory } from '../../projections/invariants/history.js';
import type { Invariant } from '../../projections/invariants/invariant.js';
import { isBrokenIn, isSeenInStates } from '../../projections/invariants/whole-state.js';
import { apply } from '../../reducers/index.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { Operation } from '../../src/workload/operation.js';
import { arbitrarySteps, operationsOf, prologue } from '../support/arbitrary-workload.js';
import type { Recorded } from '../support/audited.js';
import { planted } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const KERNEL = behavioursOf('6.18');

/** Follows a run; `atRest` sees the state after each operation, with the number of its last event. */
function historyOf(
  { events, owners, operations }: Recorded,
  atRest: (state: KernelState, event: number) => void = () => undefined,
): BrokenHistory {
  const state = initialState();
  const history = new BrokenHistory();
  const checker = new Checker(state, invariantsFor(KERNEL), history);
  events.forEach((event, number) => {
    const id = owners[number] as number;
    if (id !== owners[number - 1]) checker.beginOperation({ id, ...(operations[id] as (typeof operations)[number]) });
    apply(state, event);
    checker.event(event, number);
    if (owners[number + 1] === id) return;
    checker.endOperation();
    atRest(state, number);
  });
  return history;
}

const rule = (name: string): Invariant => invariantNamed(name) as Invariant;
const ran = (text: string): Recorded => runOperations(parseWorkload(text), KERNEL);
const endOf = ({ events }: Recorded): number => events.length;

describe('intervals', () => {
  const LOCKED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 mlock(A, 0x2000)
1 mremap(A, 0x2000, 0x2000, 5, 0) = B
1 store(B, 1)
1 munlockall()
1 store(B, 2)`;
  const LOCKED_RULE = rule('locked-vm-equals-vmas');

  it('begin with the event that broke the rule, not with the one that showed it', () => {
    const run = ran(LOCKED);
    const history = historyOf(run);
    const [spell] = history.spells(LOCKED_RULE);
    expect(spell).toMatchObject({ line: 4, expected: 2, found: 4, mendedBy: null });
    expect(history.intervals(LOCKED_RULE, 0, endOf(run))).toEqual([
      { from: 0, to: (spell?.from as number) - 1, holds: true },
      { from: spell?.from, to: endOf(run) - 1, holds: false },
    ]);
    expect(run.operations[run.owners[spell?.from as number] as number]?.name).toBe('mremap');
  });

  it('end when the address space goes', () => {
    const run = ran(`${LOCKED}\n1 exit_group(0)`);
    const history = historyOf(run);
    const freed = run.events.findIndex(({ type }) => type === 'MmFreed');
    expect(history.spells(LOCKED_RULE)).toMatchObject([{ mendedBy: freed, mendedLine: 8 }]);
    expect(history.intervals(LOCKED_RULE, 0, endOf(run)).at(-1)).toEqual({
      ...{ from: freed, to: endOf(run) - 1, holds: true },
    });
  });

  const FORK = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 0x2000)
1 fork() = 2
2 load(A)
1 mprotect(A, 0x2000, RO)
2 exit_group(0)`;
  /** Fork that leaves the parent's entry of the first page writable. */
  const leaking = (): Recorded => {
    const run = ran(FORK);
    const at = run.events.findIndex(({ type }) => type === 'PtesCopied');
    const event = run.events[at] as Extract<KernelEvent, { type: 'PtesCopied' }>;
    return planted(run, at, [{ ...event, anon: event.anon.map((n, i) => (i === 4 ? n | 2 : n)) }]);
  };

  it('end when the entry loses what the rule speaks of', () => {
    // The store maps a page that nobody says is exclusive; fork takes the right to write.
    const run = ran(FORK);
    const at = run.events.findIndex((event) => 'exclusive' in event && event.exclusive === 1);
    const wrong = planted(run, at, [{ ...run.events[at], exclusive: 0 } as KernelEvent]);
    const history = historyOf(wrong);
    const exclusive = rule('writable-anon-is-exclusive');
    const forked = run.events.findIndex(({ type }) => type === 'PtesCopied');
    expect(history.spells(exclusive)).toMatchObject([{ from: at, line: 3, mendedBy: forked, mendedLine: 4 }]);
    expect(history.intervals(exclusive, 0, endOf(run))).toEqual([
      { from: 0, to: at - 1, holds: true },
      { from: at, to: forked - 1, holds: false },
      { from: forked, to: endOf(run) - 1, holds: true },
    ]);
  });

  it('of rules on events are the event alone', () => {
    const run = leaking();
    const history = historyOf(run);
    const [spell] = history.spells(rule('fork-both-RO'));
    expect(spell?.mendedBy).toBe(spell?.from);
    expect(history.intervals(rule('fork-both-RO'), 0, endOf(run))).toContainEqual({
      ...{ from: spell?.from, to: spell?.from, holds: false },
    });
  });

  it('of what was never broken are one, and cover a piece of a log from its first event', () => {
    const history = new BrokenHistory();
    expect(history.intervals(LOCKED_RULE, 100, 200)).toEqual([{ from: 100, to: 199, holds: true }]);
    expect(history.intervals(LOCKED_RULE, 100, 100)).toEqual([]);
  });
});

/** Fields that count something: one too many of them is wrong. */
const COUNTING = ['mapcount', 'ref', 'rssAnon', 'rssFile', 'exclusive', 'pages', 'lockedVm'];

/** `run` with a counting field of one event off by one, and back again with a later event of the same type; itself where it has none. */
function withWrongs(run: Recorded, where: number, by: number, later: number): Recorded {
  const places = run.events.flatMap((event, at) =>
    COUNTING.filter((name) => typeof (event as never)[name] === 'number').map((name) => [at, name] as const),
  );
  const [at, name] = places[where % Math.max(1, places.length)] ?? [];
  if (at === undefined || name === undefined) return run;
  const wrong = (from: Recorded, index: number, difference: number): Recorded => {
    const event = from.events[index] as KernelEvent;
    const value = (event as unknown as Record<string, number>)[name] as number;
    const changed = name === 'exclusive' ? 1 - value : value + difference;
    return planted(from, index, [{ ...event, [name]: changed }]);
  };
  const { type } = run.events[at] as KernelEvent;
  const others = run.events.flatMap((event, index) => (index > at && event.type === type ? [index] : []));
  const back = others[later % Math.max(1, others.length)];
  const once = wrong(run, at, by);
  return back === undefined ? once : wrong(once, back, -by);
}

/** Runs `operations`, and then the exits of all tasks that are left. */
function ranAndExited(operations: readonly Operation[]): Recorded {
  const { run } = runOperations(operations, KERNEL);
  const left = Object.values(run.view.tasks).filter(({ exited }) => exited === 0);
  const exits = left.map(({ tid }) => ({ ...exit, pid: tid }));
  return runOperations([...operations, ...exits], KERNEL);
}
const exit: Operation = { line: 0, pid: 1, name: 'exit', args: [0], result: { kind: 'none' } };

describe('at rest', () => {
  it('history and state agree on which rules are broken, whatever went wrong before', () => {
    let broken = 0;
    let mended = 0;
    fc.assert(
      fc.property(arbitrarySteps(25), fc.nat(), fc.constantFrom(1, -1), fc.nat(), (steps, where, by, later) => {
        const run = withWrongs(ranAndExited([...prologue(), ...operationsOf(steps)]), where, by, later);
        const seen: { readonly event: number; readonly broken: ReadonlySet<Invariant> }[] = [];
        const states = invariantsFor(behavioursOf('6.18')).filter(isSeenInStates);
        const history = historyOf(run, (state, event) =>
          seen.push({ event, broken: new Set(states.filter((invariant) => isBrokenIn(state, invariant))) }),
        );
        for (const invariant of states) {
          const intervals = history.intervals(invariant, 0, endOf(run));
          if (intervals.some(({ holds }) => !holds)) broken++;
          if (intervals.some(({ holds }, i) => holds && i > 0)) mended++;
          for (const { event, broken: now } of seen) {
            const { holds } = intervals.find(({ from, to }) => from <= event && event <= to)!;
            expect([invariant.name, event, holds]).toEqual([invariant.name, event, !now.has(invariant)]);
          }
        }
      }),
      { numRuns: 80 },
    );
    // The test has seen both.
    expect(broken).toBeGreaterThan(10);
    expect(mended).toBeGreaterThan(0);
  });
});
