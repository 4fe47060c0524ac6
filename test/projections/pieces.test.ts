// Logs that begin in the middle: views and audits take what was there as given, and tell the rest right.
import { describe, expect, it } from 'vitest';
import { cowCost, forkReport } from '../../projections/cow-cost.js';
import { invariantsFor } from '../../projections/invariants/catalogue.js';
import { rmap } from '../../projections/rmap.js';
import { apply } from '../../reducers/index.js';
import { cutLog } from '../../replays/cut.js';
import { firstTurn } from '../../replays/bisect.js';
import type { LogReader } from '../../replays/log/reader.js';
import { auditLog } from '../../src/cli/audit-log.js';
import { foldProjection } from '../../src/cli/fold-projection.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { MemorySink } from '../../src/lib/bytes.js';
import type { Recorded } from '../support/audited.js';
import { planted } from '../support/audited.js';
import { logOf, readerOf } from '../support/logs.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const RAN = runOperations(
  parseWorkload(`
1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 0x4000)
1 fork() = 2
1 store(A, 0x22, 0x2000)
2 store(A+0x2000, 0x33)
2 exit_group(0)
1 store(A, 0x44, 0x4000)
1 munmap(A, 0x4000)`),
  behavioursOf('6.18'),
);

function logged({ events, owners, operations }: Recorded): LogReader {
  return readerOf(
    logOf((log, state) => {
      events.forEach((event, i) => {
        const begins = owners[i] !== owners[i - 1];
        if (begins && i > 0) log.endOperation(null);
        if (begins) log.beginOperation(operations[owners[i] as number]!);
        apply(state, event);
        log.event(event);
      });
      log.endOperation(null);
    }),
  );
}

function piece(reader: LogReader, from: number): LogReader {
  const sink = new MemorySink();
  cutLog(reader, from, reader.eventCount, sink, nodeTools);
  return readerOf(sink.bytes());
}

const ALL = invariantsFor(behavioursOf('6.18'));
const LAST = RAN.events.length - 1;

describe('a piece of a log, cut anywhere, even inside an operation', () => {
  const reader = logged(RAN);
  it('breaks no invariant where the whole does not', () => {
    for (let from = 1; from < LAST; from++)
      expect(auditLog(piece(reader, from), ALL).violations, `from event ${from}`).toEqual([]);
  });
  it('has the projections of the whole', () => {
    const whole = rmap.read(foldProjection(reader, rmap));
    for (const from of [1, 20, LAST - 1]) expect(rmap.read(foldProjection(piece(reader, from), rmap))).toEqual(whole);
  });
  it('names the same wrong event, by its number in the whole', () => {
    const at = RAN.events.findIndex(({ type }) => type === 'CowPageMapped');
    const wrong = logged(planted(RAN, at, [{ ...RAN.events[at]!, rssAnon: 5 } as (typeof RAN.events)[number]]));
    for (const from of [1, at - 5, at])
      expect(auditLog(piece(wrong, from), ALL).violations[0]).toMatchObject({
        invariant: 'rss-equals-ptes',
        cause: at,
        line: 5,
      });
  });
  it('is bisected from where it begins', () => {
    const holds = {
      holds: (n: number) => (state: { readonly tasks: Readonly<Record<number, { readonly minFlt: number }>> }) =>
        (state.tasks[1]?.minFlt ?? 0) >= n,
    };
    for (const n of [6, 7, 8])
      expect(firstTurn(piece(reader, 30), holds.holds(n), true)?.event).toBe(
        firstTurn(reader, holds.holds(n), false)?.event,
      );
  });
  it('knows the processes and mappings of forks that it shows', () => {
    const fork = RAN.events.findIndex((event) => event.type === 'MmCreated' && event.parent !== 0);
    const whole = forkReport(foldProjection(reader, cowCost));
    expect(forkReport(foldProjection(piece(reader, fork), cowCost))).toEqual(whole);
    expect(whole).toMatchObject([{ parent: 1, child: 2, shared: 4, copied: 3 }]);
  });
});
