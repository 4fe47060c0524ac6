// Footprints: where one says that nothing changed, no field of any subject did. On random workloads, and on events that no kernel emits.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { QueryScope } from '../../projections/query/evaluate.js';
import { evaluate } from '../../projections/query/evaluate.js';
import { Footprint, constantOf } from '../../projections/query/footprint.js';
import type { Expression } from '../../projections/query/parse.js';
import { parseExpression } from '../../projections/query/parse.js';
import { apply } from '../../reducers/index.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import { InputError } from '../../src/lib/errors.js';
import type { KernelEvent } from '../../events/index.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { ARENA, ARENA_PAGES, arbitrarySteps } from '../support/arbitrary-workload.js';
import { runOperations } from '../support/projected.js';
import { withMemory } from '../debug/support.js';

const NAMES: Pick<QueryScope, 'nameOf' | 'pid'> = { nameOf: (name) => (name === 'A' ? ARENA : undefined), pid: 1 };
const PIDS = [1, 2, 3];
const PLACES = [...Array.from({ length: ARENA_PAGES }, (_, n) => `A + ${n}*P`), '0x7f1200000000', '0x7f12001ff000'];
const SUBJECTS = [
  ...PIDS.flatMap((pid) => PLACES.flatMap((addr) => [`page(${pid}, ${addr})`, `vma(${pid}, ${addr})`])),
  ...PIDS.flatMap((pid) => [`mm(${pid})`, `task(${pid})`]),
  ...[0, 1, 2, 5, 300].map((pfn) => `folio(${pfn})`),
  ...PIDS.flatMap((pid) => [3, 4].map((fd) => `inode(${pid}, ${fd})`)),
  'meminfo',
];

/** All of a subject's fields, or why it is not there. */
function everything(expression: Expression, state: KernelState): string {
  try {
    return JSON.stringify(evaluate(expression, { ...NAMES, state }));
  } catch (error) {
    if (error instanceof InputError) return error.problem;
    throw error;
  }
}

/** Folds `events` and asks for every subject after each. */
function follow(events: readonly KernelEvent[]): { readonly quiet: number; readonly changed: Set<string> } {
  const state = initialState();
  const watched = SUBJECTS.map((text) => {
    const expression = parseExpression(text);
    return { text, expression, footprint: new Footprint(expression, NAMES), last: '' };
  });
  const changed = new Set<string>();
  let quiet = 0;
  for (const event of events) {
    apply(state, event);
    for (const each of watched) {
      const now = everything(each.expression, state);
      if (each.footprint.changed(state)) {
        if (each.last !== '' && now !== each.last) changed.add(each.text.replace(/\(.*/, ''));
        each.last = now;
      } else {
        quiet++;
        if (now !== each.last) expect(now, `${each.text} after ${JSON.stringify(event)}`).toBe(each.last);
      }
    }
  }
  return { quiet, changed };
}

describe('a footprint that is the same', () => {
  it('means the same value, over random workloads', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(arbitrarySteps(20), (steps) => {
        const { quiet, changed } = follow(runOperations(withMemory(steps), behavioursOf('6.18')).events);
        expect(quiet).toBeGreaterThan(0);
        changed.forEach((kind) => kinds.add(kind));
      }),
      { numRuns: 25 },
    );
    expect([...kinds].sort()).toEqual(['folio', 'inode', 'meminfo', 'mm', 'page', 'task', 'vma']);
  });
  it('means the same value, over events that no kernel emits', () => {
    fc.assert(
      fc.property(foldableEvents(80), (events) => void follow(events)),
      { numRuns: 60 },
    );
  });
});

describe('a footprint', () => {
  const state = initialState();
  const changed = (text: string): boolean[] => {
    const footprint = new Footprint(parseExpression(text), NAMES);
    return [footprint.changed(state), footprint.changed(state)];
  };
  it('that is not known counts as changed each time', () => {
    expect(changed('page(1, vma(1, A).start)')).toEqual([true, true]);
    expect(changed('hstate(1).free')).toEqual([true, true]);
    expect(changed('meminfo.AnonPages')).toEqual([true, true]);
  });
  it('of a constant changes only the first time', () => {
    expect(changed('1 + 2 == 3')).toEqual([true, false]);
  });
  it('knows what arguments are without a state', () => {
    const value = (text: string): number | null => constantOf(parseExpression(text), NAMES.nameOf);
    expect([value('A + 2*P'), value('H - 2'), value('B'), value('mm(1).rss')]).toEqual([
      ARENA + 8192,
      2097150,
      null,
      null,
    ]);
  });
});
