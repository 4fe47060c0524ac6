// Pages as letters: kinds agree with the canonical state, cells with a count page by page, and touched cells with what events write.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalState } from '../../projections/canonical.js';
import type { CanonicalPage } from '../../projections/canonical.js';
import { forEachPte, pteAt } from '../../reducers/pte.js';
import type { KernelView, MmView } from '../../reducers/state.js';
import { PG_ANON } from '../../reducers/state.js';
import { stateAt } from '../../replays/timeline.js';
import { entriesWritten, writesEntry } from '../../src/debug/names-of-events.js';
import type { Touched } from '../../src/tui/page-map.js';
import { PAGE_KINDS, cellsOf, kindOf, mapRows, spanOf, touchedBy } from '../../src/tui/page-map.js';
import { arbitrarySteps } from '../support/arbitrary-workload.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { logOfOperations, logOfText, withMemory } from '../debug/support.js';

const NOTHING: Touched = { runs: [], frames: new Set() };
const stateOf = (text: string): KernelView => {
  const reader = logOfText(text);
  return stateAt(reader, reader.eventCount);
};
/** The letters of all pages of a task's first mapping. */
function letters(state: KernelView, pid: number, touched = NOTHING): string {
  const mm = state.mms[state.tasks[pid]!.mm]!;
  const [vma] = mm.vmas;
  const pages = (vma!.end - vma!.start) / 4096;
  return cellsOf(state, mm, spanOf(vma!.start / 4096, pages, pages, false, 0), touched)
    .map(({ letter }) => letter)
    .join('');
}

const ABSENT = { zero: 'z', swap: 'o', marker: 'g', migration: 'w', special: 'x' } as const;

/** What the letter of a page must be, from its canonical record. */
function expected(page: CanonicalPage): string {
  const { kind, backing, anon_exclusive: exclusive, mapcount = 0 } = page;
  if (kind !== 'present') return ABSENT[kind];
  if (backing !== 'anon') return backing === 'shmem' ? 'm' : 'f';
  if (exclusive === true) return 'e';
  return mapcount > 1 ? 's' : 'a';
}

describe('the kind of a page', () => {
  it('is what its canonical record says, in states of random workloads', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(arbitrarySteps(30), (steps) => {
        const reader = logOfOperations(withMemory(steps));
        const state = stateAt(reader, reader.eventCount);
        for (const { mm, pages } of canonicalState(state))
          for (const page of pages) {
            const letter = PAGE_KINDS[kindOf(state, pteAt(state.mms[mm]!, page.addr / 4096))]!.letter;
            expect(letter).toBe(expected(page));
            seen.add(letter);
          }
      }),
      { numRuns: 60 },
    );
    expect([...seen]).toEqual(expect.arrayContaining(['s', 'e', 'a']));
  });
  it('is pinned from as many references on as the kernel takes for a pin', () => {
    const state = structuredClone(stateOf('1 mmap(NULL, 4096, RW, PRIV|ANON, -1, 0) = A\n1 store(A, 1)'));
    const page = state.memMap.flat().find(({ flags }) => (flags & PG_ANON) !== 0)! as { ref: number };
    page.ref = 1023;
    expect(letters(state, 1)).toBe('E');
    page.ref = 1024;
    expect(letters(state, 1)).toBe('P');
  });
});

describe('cells', () => {
  const BASE = '1 mmap(NULL, 0x8000, RW, PRIV|ANON, -1, 0) = A\n1 store(A, 1, 0x4000)\n1 load(A+0x5000) = 0\n';
  it('show exclusive pages become shared at a fork, and one of them copied behind it', () => {
    expect(letters(stateOf(BASE), 1)).toBe('EEEE.z..');
    const forked = stateOf(`${BASE}1 fork() = 2\n`);
    expect([letters(forked, 1), letters(forked, 2)]).toEqual(['ssss.z..', 'ssss.z..']);
    const written = stateOf(`${BASE}1 fork() = 2\n1 store(A, 2)\n`);
    expect([letters(written, 1), letters(written, 2)]).toEqual(['Esss.z..', 'asss.z..']);
  });
  it('show pages that are swapped out, and come back', () => {
    const out = `${BASE}1 madvise(A, 0x2000, MADV_PAGEOUT) = 0\n`;
    expect(letters(stateOf(out), 1)).toBe('ooEE.z..');
    expect(letters(stateOf(`${out}1 load(A) = 1\n`), 1)).toBe('EoEE.z..');
  });
  it('show guards', () => {
    expect(letters(stateOf(`${BASE}1 madvise(A, 0x1000, 102) = 0\n`), 1)).toBe('gEEE.z..');
  });
  it('are the most frequent kind of their pages, whatever the scale', () => {
    fc.assert(
      fc.property(
        arbitrarySteps(30),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        fc.nat(),
        (steps, width, zoom, n) => {
          const reader = logOfOperations(withMemory(steps));
          const state = stateAt(reader, reader.eventCount);
          for (const row of mapRows(state)) {
            if (row.kind === 'process') continue;
            const start = row.vma.start / 4096;
            const pages = (row.vma.end - row.vma.start) / 4096;
            const span = spanOf(start, pages, width, zoom, start + (n % pages));
            const cells = cellsOf(state, row.mm, span, NOTHING);
            expect(cells.length).toBe(span.cells);
            cells.forEach(({ letter, mixed }, i) => {
              const first = span.vpn + i * span.perCell;
              const end = Math.min(first + span.perCell, span.vpn + span.pages);
              const counts = lettersIn(state, row.mm, first, end);
              const most = Math.max(0, ...[...counts].filter(([each]) => each !== '.').map(([, count]) => count));
              if (most === 0) expect([letter, mixed]).toEqual(['.', false]);
              else expect([counts.get(letter), mixed]).toEqual([most, most !== end - first]);
            });
          }
        },
      ),
      { numRuns: 60 },
    );
  });
  it('of a span hold all of a mapping, or with zoom a window with the selected page', () => {
    const number = fc.integer({ min: 1, max: 5000 });
    fc.assert(
      fc.property(number, fc.integer({ min: 1, max: 300 }), fc.nat(), (pages, width, n) => {
        const whole = spanOf(1000, pages, width, false, 0);
        expect([whole.vpn, whole.pages]).toEqual([1000, pages]);
        expect(whole.cells).toBeLessThanOrEqual(width);
        expect(whole.cells * whole.perCell).toBeGreaterThanOrEqual(pages);
        expect((whole.cells - 1) * whole.perCell).toBeLessThan(pages);
        const near = 1000 + (n % pages);
        const window = spanOf(1000, pages, width, true, near);
        expect([window.perCell, window.cells]).toEqual([1, Math.min(width, pages)]);
        expect(near).toBeGreaterThanOrEqual(window.vpn);
        expect(near).toBeLessThan(window.vpn + window.cells);
        expect(window.vpn + window.cells).toBeLessThanOrEqual(1000 + pages);
      }),
    );
  });
});

/** Pages in [first, end) by letter. */
function lettersIn(state: KernelView, mm: MmView, first: number, end: number): Map<string, number> {
  const counts = new Map([['.', end - first]]);
  const add = (letter: string, n: number): void => void counts.set(letter, (counts.get(letter) ?? 0) + n);
  forEachPte(mm, first, end, (_vpn, entry) => {
    const { letter } = PAGE_KINDS[kindOf(state, entry)]!;
    add(Math.floor(entry / 2) % 2 === 1 ? letter.toUpperCase() : letter, 1);
    add('.', -1);
  });
  return counts;
}

describe('what an event touched', () => {
  it('are the entries that it writes, no more and no fewer', () => {
    let written = 0;
    fc.assert(
      fc.property(foldableEvents(60), (events) => {
        for (const event of events) {
          const runs = entriesWritten(event);
          const pages = runs.flatMap(({ mm, vpn, pages: n }) => [[mm, vpn] as const, [mm, vpn + n - 1] as const]);
          for (const [mm, vpn] of pages) {
            expect(writesEntry(event, mm, vpn), event.type).toBe(true);
            for (const near of [vpn - 1, vpn + 1])
              expect(
                runs.some((run) => run.mm === mm && near >= run.vpn && near < run.vpn + run.pages),
                event.type,
              ).toBe(writesEntry(event, mm, near));
            written++;
          }
        }
      }),
      { numRuns: 40 },
    );
    expect(written).toBeGreaterThan(100);
  });
  it('is marked in both address spaces of a fork, and where a frame is mapped', () => {
    const reader = logOfText(
      '1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A\n1 store(A+0x1000, 1, 0x2000)\n1 fork() = 2',
    );
    const state = stateAt(reader, reader.eventCount);
    const events = [...reader.events()];
    const touched = (type: string): string[] => {
      const { event } = events.find((each) => each.event.type === type)!;
      return state.mms.flatMap((mm) => {
        if (!mm) return [];
        const span = spanOf(mm.vmas[0]!.start / 4096, 4, 4, false, 0);
        return [
          cellsOf(state, mm, span, touchedBy(event))
            .map((cell) => (cell.touched ? '^' : ' '))
            .join(''),
        ];
      });
    };
    expect(touched('PtesCopied')).toEqual([' ^^ ', ' ^^ ']);
    // The first frame, which both map.
    expect(touched('PageWritten')).toEqual([' ^  ', ' ^  ']);
    expect(touched('TaskCreated')).toEqual(['    ', '    ']);
  });
});
