// What is kept of a kernel's observations: differences from step to step, neighbouring pages that are alike written once.
import { describe, expect, it } from 'vitest';
import { printRecorded, recordObservations, recordedObservations } from '../../src/oracle/conform/corpus.js';
import type { Fields, Observation } from '../../src/oracle/conform/observation.js';
import { observationOf, subjectsOf } from '../../src/oracle/conform/observation.js';

const page = (task: number, n: number): string => `page ${task} 0x${(0x100000000000 + n * 4096).toString(16)}`;
const observation = (entries: readonly (readonly [string, Fields])[]): Observation => observationOf(new Map(entries));
const pages = (task: number, count: number, fields: (n: number) => Fields): [string, Fields][] =>
  Array.from({ length: count }, (_, n) => [page(task, n), fields(n)]);

const own = (n: number): Fields => ({ kind: 'present', frame: page(1, n), mapcount: 1 });
const STEPS: readonly Observation[] = [
  observation([['task 1', { faults: 0 }], ...pages(1, 512, own)]),
  observation([
    ['task 1', { faults: 1 }],
    ...pages(1, 512, (n) => (n === 7 ? { ...own(n), mapcount: 2 } : own(n))),
    ...pages(2, 512, (n) => own(n)),
    [page(2, 600), { kind: 'zero' }],
  ]),
  observation([['task 1', { faults: 1 }], ...pages(2, 3, () => ({ kind: 'present', frame: page(2, 0) }))]),
];

describe('kept observations', () => {
  const recorded = recordObservations('6.18', true, [3, 4, 5], STEPS);
  it('are the same when they are read again', () => {
    const { observations } = recordedObservations(printRecorded(recorded), 'x.observed.json');
    const sorted = (seen: Observation): unknown => [...subjectsOf(seen)].toSorted(([a], [b]) => (a < b ? -1 : 1));
    expect(observations.map(sorted)).toEqual(STEPS.map(sorted));
  });
  it('name pages once that are alike but for where they are', () => {
    expect(recorded.steps.map(({ changes }) => Object.keys(changes))).toEqual([
      ['task 1', `${page(1, 0)}+512`],
      ['task 1', page(1, 7), `${page(2, 0)}+512`, page(2, 600)],
      [page(2, 0), page(2, 1), page(2, 2), `${page(1, 0)}+512`, `${page(2, 3)}+509`, page(2, 600)],
    ]);
  });
});
