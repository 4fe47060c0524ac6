// Sessions over random logs: moves lead to the states they should, stops are the same from both sides, watches miss nothing.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { parseExpression } from '../../projections/query/parse.js';
import { apply } from '../../reducers/index.js';
import { hashState } from '../../reducers/state-hash.js';
import type { KernelState, KernelView } from '../../reducers/state.js';
import type { LogReader } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';
import { valueAt, wholeText } from '../../src/debug/probe.js';
import { Interrupted } from '../../src/debug/session.js';
import { truth } from '../../projections/query/evaluate.js';
import { ARENA, arbitrarySteps } from '../support/arbitrary-workload.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { logOfEvents, readerOf } from '../support/logs.js';
import { answers, debuggerOn, logOfOperations, logOfText, withMemory } from './support.js';

const SMALL = { keyframeEvents: 40, chunkEvents: 16 };

/** Logs of random workloads, with keyframes so near that searches cross many. */
const workloadLog = arbitrarySteps(25).map((steps) => logOfOperations(withMemory(steps), { writer: SMALL }));
/** Logs of events that no kernel emits. */
const wildLog = foldableEvents(120).map((events) => readerOf(logOfEvents(events, 3, SMALL)));

const NAMES = { nameOf: () => undefined, pid: 1 };
const page = (n: number): string => `0x${(ARENA + n * 4096).toString(16)}`;
const EXPRESSIONS = [
  `page(1, ${page(4)})`,
  `page(1, ${page(5)}).anon_exclusive`,
  `page(2, ${page(6)}).mapcount`,
  `page(${page(4)}).content`,
  `vma(1, ${page(5)})`,
  `vma(2, ${page(5)}).end`,
  'mm(1)',
  'mm(2).rss_anon',
  'task(1)',
  'task(2).exited',
  'folio(3)',
  'folio(300).refcount',
  'meminfo.Committed_AS',
  'mm(1).rss_anon + mm(1).rss_file > 3',
  `page(1, ${page(4)}).mapcount == 2 or not page(2, ${page(5)}).present`,
  'page(1, 0x7f1200000000)',
  'page(2, 0x7f1200000000).mapcount',
  'vma(1, 0x7f1200000000).start',
];

const STOPS = [
  `watch page(1, ${page(4)}).mapcount`,
  `break on page(1, ${page(5)}).present`,
  'watch mm(1).rss_anon',
  'break event FaultAccounted',
  'break event VmaInserted if mm(1).map_count > 1',
  'break syscall mmap',
  'break invariant',
];

/** `visit` sees the state of every position, from the first. */
function eachState(reader: LogReader, visit: (state: KernelView, position: number) => void): void {
  const state: KernelState = stateAt(reader, reader.firstEvent);
  visit(state, reader.firstEvent);
  for (const { number, event } of reader.events()) {
    apply(state, event);
    visit(state, number + 1);
  }
}

/** Positions at which `value` is another than one before. */
function changesByScan(reader: LogReader, value: (state: KernelView) => string): number[] {
  const found: number[] = [];
  let last: string | null = null;
  eachState(reader, (state, position) => {
    const now = value(state);
    if (last !== null && now !== last) found.push(position);
    last = now;
  });
  return found;
}

/** Where `continue` stops from the beginning on, and `reverse-continue` from the end. */
async function stopsOf(reader: LogReader, ...stops: string[]): Promise<{ forward: number[]; backward: number[] }> {
  const repl = debuggerOn(reader);
  expect(await answers(repl, ...stops)).toMatch(/^stop 1: /);
  /** Each answer that is no end must have led on: an error would be one for ever. */
  const gone = async (command: string, places: number[]): Promise<void> => {
    for (let last = -1; ; last = repl.session.position) {
      const answer = await answers(repl, command);
      if (answer.startsWith('no stop')) return;
      expect(repl.session.position, answer).not.toBe(last);
      places.push(repl.session.position);
    }
  };
  const forward: number[] = [];
  await gone('continue', forward);
  expect(repl.session.position).toBe(reader.eventCount);
  const backward: number[] = [];
  // The end itself may be a stop, which going back from it does not find.
  if (forward.at(-1) === reader.eventCount) backward.push(reader.eventCount);
  await gone('reverse-continue', backward);
  expect(repl.session.position).toBe(reader.firstEvent);
  return { forward, backward };
}

describe('moves', () => {
  const move = fc.oneof(
    fc.constantFrom('step', 'back', 'stepi', 'backi', 'step 2', 'back 3', 'stepi 17', 'backi 30', 'undo', 'redo'),
    fc.integer({ min: 0, max: 100 }).map((share) => `goto ${share}%`),
    fc.constantFrom('goto end', 'goto start', 'continue', 'reverse-continue'),
  );
  it('lead to the state of the position that they tell, whatever came before', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(workloadLog, wildLog), fc.array(move, { maxLength: 25 }), async (reader, moves) => {
        const repl = debuggerOn(reader);
        await answers(repl, 'break event FolioAllocated');
        for (const each of moves) {
          await answers(repl, each);
          expect(hashState(repl.session.state).hash).toBe(hashState(stateAt(reader, repl.session.position)).hash);
        }
      }),
      { numRuns: 40 },
    );
  });
  it('are taken back one by one, and again', async () => {
    const repl = debuggerOn(logOfText(COW));
    const places = ['goto 5', 'step', 'stepi', 'goto end'];
    const went: number[] = [repl.session.position];
    for (const each of places) {
      await answers(repl, each);
      went.push(repl.session.position);
    }
    const undone: number[] = [repl.session.position];
    for (const _ of places) {
      await answers(repl, 'undo');
      undone.unshift(repl.session.position);
    }
    expect(undone).toEqual(went);
    expect(await answers(repl, 'undo')).toBe('nothing to undo');
    await answers(repl, 'redo', 'redo');
    expect(repl.session.position).toBe(went[2]);
    await answers(repl, 'goto 1');
    expect(await answers(repl, 'redo')).toBe('nothing to redo');
  });
  it('know every form of a position', async () => {
    const reader = logOfText(COW);
    const { session } = debuggerOn(reader);
    const fork = [...reader.operations()].find(({ name }) => name === 'fork')!;
    session.move(7);
    session.marks.set('here', 9);
    const forms = ['3', '+2', '-7', `op:${fork.id}`, `line:${fork.line}`, 'start', 'end', '0%', '100%', '@here'];
    expect(forms.map((form) => session.positionOf(form))).toEqual([
      3,
      9,
      0,
      fork.firstEvent + fork.events,
      fork.firstEvent + fork.events,
      0,
      reader.eventCount,
      0,
      reader.eventCount,
      9,
    ]);
    for (const wrong of ['', 'x', '-8', '9999', 'op:99', 'line:99', '@nowhere', '150%', '1.5'])
      expect(() => session.positionOf(wrong), wrong).toThrow();
  });
});

describe('stops', () => {
  it('watches find every change that a look at each state finds, from both sides', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(workloadLog, wildLog), fc.constantFrom(...EXPRESSIONS), async (reader, text) => {
        const expression = parseExpression(text);
        const wanted = changesByScan(reader, (state) => wholeText(valueAt(expression, NAMES, state)));
        const { forward, backward } = await stopsOf(reader, `watch ${text}`);
        expect(forward).toEqual(wanted);
        expect(backward).toEqual(wanted.toReversed());
      }),
      { numRuns: 120 },
    );
  });
  it('breaks on expressions stop where they turn true, from both sides', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(workloadLog, wildLog), fc.constantFrom(...EXPRESSIONS), async (reader, text) => {
        const expression = parseExpression(text);
        const wanted: number[] = [];
        let held = true;
        eachState(reader, (state, position) => {
          const holds = truth(valueAt(expression, NAMES, state));
          if (holds && !held && position > reader.firstEvent) wanted.push(position);
          held = holds;
        });
        const { forward, backward } = await stopsOf(reader, `break on ${text}`);
        expect(forward).toEqual(wanted);
        expect(backward).toEqual(wanted.toReversed());
      }),
      { numRuns: 80 },
    );
  });
  it('breaks on events stop behind each of them, with a condition where it holds', async () => {
    await fc.assert(
      fc.asyncProperty(workloadLog, fc.boolean(), async (reader, conditional) => {
        const wanted: number[] = [];
        const events: KernelEvent[] = [...reader.events()].map(({ event }) => event);
        eachState(reader, (state, position) => {
          if (position === 0 || events[position - 1]!.type !== 'FaultAccounted') return;
          if (!conditional || (state.tasks[1]?.minFlt ?? 0) > 2) wanted.push(position);
        });
        const condition = conditional ? ' if task(1).min_flt > 2' : '';
        const { forward, backward } = await stopsOf(reader, `break event FaultAccounted${condition}`);
        expect(forward).toEqual(wanted);
        expect(backward).toEqual(wanted.toReversed());
      }),
      { numRuns: 40 },
    );
  });
  it('together stop wherever one of them does, from both sides', async () => {
    const several = fc.uniqueArray(fc.constantFrom(...STOPS), { minLength: 2, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(workloadLog, several, async (reader, stops) => {
        const wanted = new Set<number>();
        for (const stop of stops) for (const position of (await stopsOf(reader, stop)).forward) wanted.add(position);
        const { forward, backward } = await stopsOf(reader, ...stops);
        const inOrder = [...wanted].sort((a, b) => a - b);
        expect(forward).toEqual(inOrder);
        expect(backward).toEqual(inOrder.toReversed());
      }),
      { numRuns: 40 },
    );
  });
  it('of several kinds come in the order of their positions', async () => {
    const repl = debuggerOn(logOfText(COW));
    await answers(repl, 'watch page(1, A).mapcount', 'break event CowPageMapped', 'break syscall fork');
    const seen: string[] = [];
    for (let text = ''; !text.startsWith('no stop');) {
      text = await answers(repl, 'continue');
      seen.push(...text.split('\n').filter((line) => line.startsWith('stop ')));
    }
    expect(seen.map((line) => line.slice(0, 7))).toEqual(['stop 1:', 'stop 3:', 'stop 1:', 'stop 1:', 'stop 2:']);
  });
  it('can be deleted, one or all', async () => {
    const repl = debuggerOn(logOfText(COW));
    await answers(repl, 'break event FaultAccounted', 'break event PageReused', 'delete 1');
    expect(await answers(repl, 'info breakpoints')).toBe('  2  break event PageReused');
    expect(await answers(repl, 'delete', 'info br')).toBe('1 stop deleted\nno breakpoints and no watches');
  });
});

describe('an interrupted search', () => {
  it('leaves the session where it is, and the next command works', async () => {
    let left = 2;
    const breathe = async (): Promise<void> => {
      if (left-- === 0) throw new Interrupted();
    };
    const reader = logOfText(COW, { writer: SMALL });
    const repl = debuggerOn(reader, new Map(), breathe);
    await answers(repl, 'goto 3', 'break on mm(1).rss == 1000');
    expect(await answers(repl, 'continue')).toBe('interrupted; still at 3');
    expect(await answers(repl, 'continue')).toMatch(/^no stop; the log ends here/);
    expect(repl.exitCode).toBe(0);
  });
});

const COW = `1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A
1 store(A, 0x11)
1 fork() = 2
1 store(A, 0x22)
2 store(A, 0x33)
`;
