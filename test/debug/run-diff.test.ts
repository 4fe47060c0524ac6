// Two runs compared: the same run, a line more or less, other behaviours; and the states they end in.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogReader } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';
import type { RunDifference } from '../../src/debug/run-diff.js';
import { compareRuns, isSame, loggedRun } from '../../src/debug/run-diff.js';
import { stateDifferences } from '../../src/debug/state-diff.js';
import { whatIf } from '../../src/debug/what-if.js';
import { arbitrarySteps } from '../support/arbitrary-workload.js';
import { logOfOperations, logOfText, withMemory } from './support.js';

const LINES = [
  '1 mmap(0x20000000, 0x2000, RW, PRIV|ANON|FIXED, -1, 0) = A',
  '1 store(A, 0x11, 0x2000)',
  '1 fork() = 2',
  '1 store(A, 0x22)',
  '2 store(A, 0x33)',
];
const rest = async (): Promise<void> => {};
const compare = (a: LogReader, b: LogReader): Promise<RunDifference> => compareRuns(loggedRun(a), loggedRun(b), rest);
const log = (lines: readonly string[], without: readonly string[] = []): LogReader =>
  logOfText(lines.join('\n'), { without });

describe('two runs', () => {
  it('of the same operations are the same, in chunks of any size', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrarySteps(25), fc.integer({ min: 1, max: 30 }), async (steps, chunkEvents) => {
        const operations = withMemory(steps);
        const [a, b] = [logOfOperations(operations), logOfOperations(operations, { writer: { chunkEvents } })];
        const difference = await compare(a, b);
        expect(isSame(difference)).toBe(true);
        expect(difference.divergence).toBeNull();
        expect(stateDifferences(stateAt(a, a.eventCount), stateAt(b, b.eventCount), { sameRun: true })).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });
  it('are aligned again behind lines that only one of them has', async () => {
    const [short, long] = [
      log(LINES),
      log([...LINES.slice(0, 2), '1 mlock(A, 0x1000) = 0', '1 load(A) = 0x11', ...LINES.slice(2)]),
    ];
    const { onlyA, onlyB, onlyACount, onlyBCount } = await compare(short, long);
    expect([onlyACount, onlyBCount]).toEqual([0, 2]);
    expect(onlyA).toEqual([]);
    expect(onlyB.map(({ id }) => id)).toEqual([2, 3]);
  });
  it('of which one ends early differ in the rest', async () => {
    const { divergence, onlyA, onlyBCount } = await compare(log(LINES), log(LINES.slice(0, 3)));
    expect(divergence).toBeNull();
    expect(onlyA.map(({ line }) => line)).toEqual([4, 5]);
    expect(onlyBCount).toBe(0);
  });
  it('of other behaviours part at the first event that differs, and differ in what that changes', async () => {
    const [a, b] = [log(LINES), log(LINES, ['anon-exclusive'])];
    const { divergence, otherwiseCount } = await compare(a, b);
    expect(divergence).toMatchObject({
      a: { line: 2 },
      was: { type: 'AnonPageMapped', exclusive: 1 },
      now: { type: 'AnonPageMapped', exclusive: 0 },
    });
    expect(otherwiseCount).toBe(0);
    const state = stateDifferences(stateAt(a, a.eventCount), stateAt(b, b.eventCount), { sameRun: false });
    // The pages that were written after the fork; the others are shared, and exclusive in neither.
    expect(state).toEqual(
      [1, 2].map((pid) => ({
        subject: `page(${pid}, 0x20000000)`,
        pages: 1,
        fields: [{ field: 'anon_exclusive', before: 'true', after: 'false' }],
      })),
    );
  });
});

describe('what-if', () => {
  const nothing = { drop: new Set<number>(), with: [], without: [] };
  const searched = (reader: LogReader): { reader: LogReader; breathe: typeof rest } => ({ reader, breathe: rest });
  it('of no change gives the same events, whatever the workload', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrarySteps(25), async (steps) => {
        const { runs, state, unrunnable } = await whatIf(searched(logOfOperations(withMemory(steps))), nothing);
        expect([isSame(runs), state, unrunnable]).toEqual([true, [], []]);
      }),
      { numRuns: 25 },
    );
  });
  it('of a behaviour is the difference to a run with it', async () => {
    const changed = await whatIf(searched(log(LINES)), { ...nothing, without: ['anon-exclusive'] });
    expect(changed.runs).toEqual(await compare(log(LINES), log(LINES, ['anon-exclusive'])));
  });
  it('of a dropped line is the difference to a run without that line, up to the numbers of lines', async () => {
    const changed = await whatIf(searched(log(LINES)), { ...nothing, drop: new Set([3]) });
    const without = await compare(log(LINES), log(LINES.filter((_, i) => i !== 3)));
    expect(changed.runs.onlyA).toEqual(without.onlyA);
    expect(changed.runs.otherwise.map(({ typesA, typesB }) => [typesA, typesB])).toEqual(
      without.otherwise.map(({ typesA, typesB }) => [typesA, typesB]),
    );
  });
  it('lists operations that make no sense any more, and goes on', async () => {
    const { unrunnable, runs } = await whatIf(searched(log(LINES)), { ...nothing, drop: new Set([2]) });
    expect(unrunnable).toEqual([{ id: 4, line: 5, problem: 'task 2 acts (store) but nothing created it' }]);
    expect(runs.onlyACount).toBe(1);
  });
});

describe('states', () => {
  it('differ in the runs of pages that a store changed, and in nothing else', () => {
    const reader = log([
      '1 mmap(0x20000000, 0x8000, RW, PRIV|ANON|FIXED, -1, 0) = A',
      '1 store(A, 1, 0x8000)',
      '1 store(A+0x2000, 2, 0x3000)',
    ]);
    const [, , last] = [...reader.operations()];
    const found = stateDifferences(stateAt(reader, last!.firstEvent), stateAt(reader, reader.eventCount), {
      sameRun: true,
    });
    expect(found).toEqual([
      { subject: 'page(1, 0x20002000)', pages: 3, fields: [{ field: 'content', before: '0x01', after: '0x02' }] },
    ]);
  });
});
