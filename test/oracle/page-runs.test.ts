// Rows of pages that show the same are compared as page after page is.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counts, compareObservations } from '../../src/oracle/conform/compare.js';
import type { Fields, Observation } from '../../src/oracle/conform/observation.js';
import { fieldsAt, observationOf, subjectsOf, withKept } from '../../src/oracle/conform/observation.js';
import type { PageRun } from '../../src/oracle/conform/page-runs.js';
import { NAMED, PageRuns, pageKey } from '../../src/oracle/conform/page-runs.js';

const START = 0x100000000000;
const PAGE = 4096;

/** What a page may show, and the number of its frame or slot. */
interface Seen {
  readonly fields: Fields;
  readonly number: number;
}
const KINDS: readonly Fields[] = [
  { kind: 'present', frame: NAMED, mapcount: 1, refcount: undefined },
  { kind: 'present', frame: NAMED, mapcount: 2, refcount: 3 },
  { kind: 'swap', slot: NAMED },
  { kind: 'zero', writable: false },
];
/** Rows of [kind, first number, pages]: numbers near each other, so that rows lead to the same frames, and across blocks of 512. */
const space = fc.array(
  fc.tuple(fc.nat(KINDS.length - 1), fc.integer({ min: 505, max: 520 }), fc.integer({ min: 0, max: 6 })),
  { maxLength: 6 },
);

/** Pages of one task in order; a row of a kind that is followed by a hole where `pages` is even. */
const pagesOf = (rows: readonly (readonly [number, number, number])[]): (Seen | null)[] =>
  rows.flatMap(([kind, first, pages]) => [
    ...Array.from({ length: pages }, (_, i) => ({ fields: KINDS[kind] as Fields, number: first + i })),
    ...(pages % 2 === 0 ? [null] : []),
  ]);

/** Two tasks' pages; `row` says how many pages from a place on are told at once. */
function observe(
  tasks: readonly (readonly (Seen | null)[])[],
  row: (pages: readonly (Seen | null)[], at: number) => number,
) {
  const runs = new PageRuns();
  tasks.forEach((pages, t) => {
    for (let at = 0; at < pages.length;) {
      const seen = pages[at] as Seen | null;
      const count = seen === null ? 1 : row(pages, at);
      if (seen !== null) runs.add(t + 1, START + at * PAGE, count, seen.fields, seen.number);
      at += count;
    }
  });
  return { subjects: new Map<string, Fields>([['operation', { ret: 0 }]]), pages: runs.runs };
}
const one = (): number => 1;
/** As many as there are alike. */
function alike(pages: readonly (Seen | null)[], at: number): number {
  const first = pages[at] as Seen;
  let n = 1;
  while (pages[at + n]?.fields === first.fields && pages[at + n]?.number === first.number + n) n++;
  return n;
}
const total = (pages: readonly PageRun[]): number => pages.reduce((sum, run) => sum + run.pages, 0);
const all = (counts: Counts): unknown => [[...counts.compared], [...counts.unseen]];

describe('pages in rows', () => {
  it('are named, kept and compared as they are one by one', () => {
    const spaces = fc.tuple(fc.tuple(space, space), fc.tuple(space, space), fc.tuple(space, space));
    fc.assert(
      fc.property(spaces, ([before, model, kernel]) => {
        const both = (row: typeof alike): readonly [Observation, Observation] => {
          const earlier = observe(before.map(pagesOf), row);
          const made = [model, kernel].map((tasks) => withKept(earlier, observe(tasks.map(pagesOf), row), 'store'));
          return made as unknown as readonly [Observation, Observation];
        };
        const [rows, singles] = [both(alike), both(one)];
        for (const side of [0, 1] as const) {
          expect([...subjectsOf(rows[side])]).toEqual([...subjectsOf(singles[side])]);
          expect(total(rows[side].pages)).toBe(total(singles[side].pages));
          for (const [subject, fields] of subjectsOf(rows[side])) expect(fieldsAt(rows[side], subject)).toEqual(fields);
          // What is written down and read again differs in nothing.
          const again = observationOf(subjectsOf(rows[side]));
          expect(compareObservations(rows[side], again, new Counts())).toEqual([]);
        }
        const [inRows, byOne] = [new Counts(), new Counts()];
        const differences = compareObservations(...rows, inRows);
        expect(differences).toEqual(compareObservations(...singles, byOne));
        expect(all(inRows)).toEqual(all(byOne));
        // Page by page, as text: no knowledge of rows is left.
        const [ours, theirs] = [subjectsOf(rows[0]), subjectsOf(rows[1])];
        const differing = [...new Set([...ours.keys(), ...theirs.keys()])].filter((subject) => {
          const [a, b] = [ours.get(subject), theirs.get(subject)];
          if (a === undefined || b === undefined) return true;
          return Object.keys(a).some(
            (field) => a[field] !== undefined && b[field] !== undefined && a[field] !== b[field],
          );
        });
        expect([...new Set(differences.map(({ subject }) => subject))].toSorted()).toEqual(differing.toSorted());
      }),
    );
  });

  it('say of every page of a row which frame is whose, and what differs', () => {
    const present = KINDS[0] as Fields;
    const of = (second: number): Observation =>
      observe(
        [100, second].map((first) => Array.from({ length: 3 }, (_, i) => ({ fields: present, number: first + i }))),
        alike,
      );
    expect(of(101).pages.map(({ addr, pages, name }) => [addr, pages, name])).toEqual([
      [START, 3, { task: 1, addr: START }],
      [START, 2, { task: 1, addr: START + PAGE }],
      [START + 2 * PAGE, 1, { task: 2, addr: START + 2 * PAGE }],
    ]);
    expect(compareObservations(of(101), of(100), new Counts())).toEqual(
      [0, 1, 2].map((i) => ({
        subject: pageKey(2, START + i * PAGE),
        field: 'frame',
        model: i < 2 ? pageKey(1, START + (i + 1) * PAGE) : pageKey(2, START + 2 * PAGE),
        kernel: pageKey(1, START + i * PAGE),
      })),
    );
  });
});
