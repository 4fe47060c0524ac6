// `why`: chains end at the line that made what is asked about, and every link is an event that wrote the page or its frame.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogReader } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';
import { forEachPte } from '../../reducers/pte.js';
import { Operations } from '../../src/debug/operations.js';
import type { Why } from '../../src/debug/why.js';
import { whyLines, whyOf } from '../../src/debug/why.js';
import { arbitrarySteps } from '../support/arbitrary-workload.js';
import { logOfOperations, logOfText, withMemory } from './support.js';

async function ask(reader: LogReader, text: string, at = reader.eventCount): Promise<Why> {
  const operations = new Operations(reader);
  const names = { nameOf: (name: string) => operations.nameAt(name, at), pid: operations.firstPid() };
  return whyOf({ reader, breathe: async () => {} }, operations, text, names, at);
}

const story = ({ chain }: Why): string[] => chain.map(({ line, type }) => `${line} ${type}`);

const FORKED = `1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, 0x3000)
1 fork() = 2
1 store(A, 0x22)
2 store(A, 0x33)
`;

describe('why', () => {
  it('goes from a page that was kept over the copy and the fork to the mapping', async () => {
    const why = await ask(logOfText(FORKED), 'page(2, A).anon_exclusive');
    expect(why.value).toBe('true');
    expect(why.before).toBe('false');
    expect(story(why)).toEqual([
      '5 PageReused',
      '4 CowPageMapped',
      '3 PtesCopied',
      '2 AnonPageMapped',
      '1 VmaInserted',
    ]);
    expect(why.chain[1]!.text).toContain('task 1 wrote at');
  });
  it('takes the left side of a comparison for what is asked about', async () => {
    const reader = logOfText(FORKED);
    const [whole, field] = [await ask(reader, 'page(2, A).mapcount == 1'), await ask(reader, 'page(2, A).mapcount')];
    expect({ ...whole, expression: '' }).toEqual({ ...field, expression: '' });
  });
  it('follows a page to where mremap took it from', async () => {
    const text = `1 mmap(0x20000000, 0x1000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 0x11)
1 mmap(0x30000000, 0x1000, RW, PRIV|ANON|FIXED, -1, 0) = B
1 mremap(A, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, B) = 0x30000000
`;
    const why = await ask(logOfText(text), 'page(1, B).present');
    expect(story(why)).toEqual(['4 PtesMoved', '2 AnonPageMapped', '1 VmaInserted']);
    expect(why.chain[0]!.text).toContain('0x20000000');
  });
  it('follows a page through its migration entry to the frame before', async () => {
    const text = `1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11)
1 migrate(A, P)
`;
    const why = await ask(logOfText(text), 'page(1, A).anon_exclusive');
    expect(story(why)).toEqual(['3 MigrationPteRemoved', '3 MigrationPteSet', '2 AnonPageMapped', '1 VmaInserted']);
    expect(why.chain[1]!.text).toContain('a migration entry, writable');
  });
  it('tells where bytes came from, and that a munmap took a page away', async () => {
    const bytes = await ask(logOfText(FORKED), 'page(1, A).content');
    expect(story(bytes)[0]).toBe('4 PageWritten');
    const gone = await ask(logOfText(`${FORKED}1 munmap(A, 0x1000)\n`), 'page(1, A).present');
    expect(story(gone).slice(0, 2)).toEqual(['6 PtesZapped', '4 CowPageMapped']);
    expect(gone.value).toBe('false');
  });
  it('tells of counters and frames which event changed them', async () => {
    const reader = logOfText(FORKED);
    const counter = await ask(reader, 'mm(1).rss_anon');
    expect(story(counter)).toEqual(['2 AnonPageMapped']);
    const frame = await ask(reader, 'folio(0).refcount');
    expect(frame.chain.at(-1)).toMatchObject({ type: 'FolioAllocated', line: 2 });
  });
  it('tells the last event that wrote the entry and changed nothing of what is asked', async () => {
    const why = await ask(logOfText(FORKED), 'page(1, A+0x1000).kind');
    expect(story(why)[0]).toBe('2 AnonPageMapped');
    expect(why.left).toMatchObject({ type: 'PtesCopied', line: 3 });
    expect(whyLines(why, 'x.fsw').join('\n')).toContain('left so by event');
  });
  it('says so where nothing is behind a value', async () => {
    const reader = logOfText(FORKED);
    const why = await ask(reader, 'page(1, 0x1000).present', 1);
    expect(why.chain).toEqual([]);
    expect(whyLines(why, 'x.fsw')).toEqual([
      'page(1, 0x1000).present at 1: none',
      '  so since the log begins: no event is behind it',
    ]);
  });
  it('refuses what makes no sense, with the column', async () => {
    const reader = logOfText(FORKED);
    await expect(ask(reader, 'page(1, A).nix')).rejects.toThrow(/:12: .*no field 'nix'/);
    await expect(ask(reader, 'page(1, Q)')).rejects.toThrow(/nothing is called 'Q'/);
  });

  it('begins every chain on random workloads with the event that made the value, and goes back in time to a beginning', async () => {
    const logs = arbitrarySteps(30).map((steps) =>
      logOfOperations(withMemory(steps), { writer: { keyframeEvents: 40, chunkEvents: 16 } }),
    );
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(logs, fc.nat(), async (reader, pick) => {
        const state = stateAt(reader, reader.eventCount);
        const pages: [number, number][] = [];
        for (const { tid, mm } of Object.values(state.tasks))
          if (mm !== 0) forEachPte(state.mms[mm]!, 0, 2 ** 35, (vpn) => pages.push([tid, vpn * 4096]));
        const page = pages[pick % Math.max(1, pages.length)];
        if (page === undefined) return;
        asked++;
        const why = await ask(reader, `page(${page[0]}, ${page[1]}).frame`);
        const [first] = why.chain;
        expect(first).toBeDefined();
        // Before the first link the value was another one, after it it is what it is.
        const mm = state.tasks[page[0]]!.mm;
        expect(why.before).not.toBe(why.value);
        expect(stateAt(reader, first!.event + 1).mms[mm]).toBeTruthy();
        const numbers = why.chain.map(({ event }) => event);
        expect(numbers).toEqual(numbers.toSorted((a, b) => b - a));
        expect(why.more || why.chain.at(-1)!.type === 'VmaInserted' || why.chain.at(-1)!.type === 'VmaResized').toBe(
          true,
        );
      }),
      { numRuns: 80 },
    );
    expect(asked).toBeGreaterThan(20);
  });
});
