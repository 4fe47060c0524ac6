// Rows of the benchmark that need a long log: writing, folding, seeking, stepping back, bisecting.
import { join } from 'node:path';
import { statSync } from 'node:fs';
import { auditLog } from '../src/cli/audit-log.js';
import { fileSink, fileSource, nodeTools } from '../src/cli/node-io.js';
import { invariantNamed } from '../projections/invariants/catalogue.js';
import { isBrokenIn } from '../projections/invariants/whole-state.js';
import { faultBetween, firstTurn } from '../replays/bisect.js';
import { foldLog } from '../replays/fold.js';
import { LogReader } from '../replays/log/reader.js';
import { Timeline, stateAt } from '../replays/timeline.js';
import { writeLongLog } from './long-log.js';
import type { Row } from './row.js';

const EVENTS = 10_000_000;
const PAGES = 65_536;
const SEEKS = 40;
const STEPS = 2000;

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1] as number;
const timed = (work: () => unknown): number => {
  const start = performance.now();
  work();
  return performance.now() - start;
};

/** Measures on a generated log of 10,000,000 events with up to 65,536 live pages. */
export function benchHistory(folder: string): Row[] {
  const path = join(folder, 'long.fsl');
  const rows: Row[] = [];
  const seconds = writeLongLog(
    { events: EVENTS, pages: PAGES, random: true, wrongAt: EVENTS * WRONG_AT },
    fileSink(path),
  );
  const reader = new LogReader(fileSource(path), nodeTools);
  const n = reader.eventCount;
  rows.push({ what: 'reduce and write 10M events at random pages', value: n / seconds, unit: 'events/s' });
  rows.push({ what: 'log of 10M events', value: statSync(path).size / n, unit: 'bytes/event', target: '<= 3' });
  const fold = timed(() => foldLog(new LogReader(fileSource(path), nodeTools)));
  rows.push({ what: 'open and fold 10M events', value: n / (fold / 1000), unit: 'events/s', target: '>= 4,000,000' });

  let seed = 7;
  const anywhere = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const seeks = Array.from({ length: SEEKS }, () => timed(() => stateAt(reader, anywhere())));
  rows.push({ what: 'seek anywhere in it, median', value: median(seeks), unit: 'ms', target: '<= 50' });
  rows.push({ what: 'seek anywhere in it, slowest', value: Math.max(...seeks), unit: 'ms', target: '<= 50' });

  const timeline = new Timeline(reader);
  timeline.seek(Math.floor(n * 0.9));
  timeline.back();
  const steps = Array.from({ length: STEPS }, () => timed(() => timeline.back()));
  rows.push({
    what: 'a step back, mean of 2,000',
    value: steps.reduce((sum, each) => sum + each, 0) / STEPS,
    unit: 'ms',
    target: '<= 1',
  });

  const wanted = Math.floor(n * 0.6);
  const faults = stateAt(reader, wanted).tasks[7]?.minFlt ?? 0;
  const expression = timed(() => firstTurn(reader, (state) => (state.tasks[7]?.minFlt ?? 0) >= faults, true));
  rows.push({ what: 'bisect by an expression that stays turned', value: expression / 1000, unit: 's', target: '<= 2' });
  rows.push(...benchInvariant(reader, Math.floor(n * WRONG_AT)));
  reader.source.close();
  return rows;
}

/** One page is counted twice from there on. */
const WRONG_AT = 0.6;

function benchInvariant(reader: LogReader, wrongAt: number): Row[] {
  const rows: Row[] = [];
  const rss = invariantNamed('rss-equals-ptes');
  const exclusive = invariantNamed('writable-anon-is-exclusive');
  if (rss === undefined || exclusive === undefined)
    throw new Error('the catalogue lacks an invariant that the benchmark needs');
  let cause = -1;
  const halved = timed(() => {
    const between = faultBetween(reader, (state) => isBrokenIn(state, rss));
    cause = auditLog(reader, [rss], true, between?.low).violations[0]?.cause ?? -1;
  });
  if (Math.abs(cause - wrongAt) > 1000) throw new Error(`bisect names event ${cause}, not one near ${wrongAt}`);
  rows.push({ what: 'bisect one invariant over 10M events', value: halved / 1000, unit: 's', target: '<= 2' });
  const scan = timed(() => auditLog(reader, [exclusive], true));
  rows.push({ what: 'one unbroken invariant over 10M events, scanned', value: scan / 1000, unit: 's', target: '' });
  return rows;
}
