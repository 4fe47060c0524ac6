// audit, bisect, report and projection on logs in files: what they print, and the codes they return.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { auditCommand } from '../../src/cli/commands/audit.js';
import { bisectCommand } from '../../src/cli/commands/bisect.js';
import { projectionCommand } from '../../src/cli/commands/projection.js';
import { reportCommand } from '../../src/cli/commands/report.js';
import { runCommand } from '../../src/cli/commands/run.js';
import { apply } from '../../reducers/index.js';
import { logOf } from '../support/logs.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { planted } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const WORKLOAD = `1 mmap(0x20000000, 0x2000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 0x11, 0x2000)
1 fork() = 2
1 store(A, 0x22)
2 load(A) = 0x11
`;
let folder = '';
let log = '';
let wrongLog = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'folioscope-'));
  const input = join(folder, 'cow.fsw');
  log = join(folder, 'cow.fsl');
  writeFileSync(input, WORKLOAD);
  const options = {
    output: log,
    log: true,
    audit: true,
    kernel: '6.18',
    with: [],
    without: [],
    lenient: false,
    quiet: true,
    json: true,
  };
  await printed(() => runCommand(input, options));
  wrongLog = join(folder, 'wrong.fsl');
  writeFileSync(wrongLog, leakingLog());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

/** The workload’s log, but that fork left the parent’s entries writable. */
function leakingLog(): Uint8Array {
  const ran = runOperations(parseWorkload(WORKLOAD), behavioursOf('6.18'));
  const at = ran.events.findIndex(({ type }) => type === 'PtesCopied');
  const event = ran.events[at];
  if (event?.type !== 'PtesCopied') throw new Error('no fork');
  const { events, owners, operations } = planted(ran, at, [
    { ...event, anon: event.anon.map((n, i) => (i === 4 ? n | 2 : n)) },
  ]);
  return logOf((writer, state) => {
    events.forEach((each, i) => {
      const begins = owners[i] !== owners[i - 1];
      if (begins && i > 0) writer.endOperation(null);
      if (begins) writer.beginOperation(operations[owners[i] as number]!);
      apply(state, each);
      writer.event(each);
    });
    writer.endOperation(null);
  });
}

/** What an action prints, and its code. */
async function printed(action: () => Promise<number>): Promise<{ code: number; text: string }> {
  let text = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  const code = await action();
  spy.mockRestore();
  return { code, text };
}

describe('audit', () => {
  it('is content with a run of the model', async () => {
    const { code, text } = await printed(() => auditCommand(log, { json: true }));
    expect(code).toBe(0);
    expect(JSON.parse(text)).toMatchObject({ found: 0, violations: [] });
  });
  it('returns 1 and lists what was broken, by which event and line', async () => {
    const { code, text } = await printed(() => auditCommand(wrongLog, { json: true }));
    expect(code).toBe(1);
    const { violations } = JSON.parse(text) as { violations: { invariant: string; line: number; subject: string }[] };
    expect(violations.map(({ invariant }) => invariant)).toEqual(
      expect.arrayContaining(['fork-both-RO', 'W-single-owner']),
    );
    expect(violations.find(({ invariant }) => invariant === 'writable-anon-is-exclusive')).toMatchObject({
      invariant: 'writable-anon-is-exclusive',
      line: 3,
      subject: 'page(1, 0x20000000)',
    });
  });
  it('reads well on a terminal', async () => {
    const { text } = await printed(() => auditCommand(wrongLog, { json: false }));
    expect(text).toMatch(
      /^ {2}line 3, event \d+: writable-anon-is-exclusive, page\(1, 0x20000000\): expected an exclusive page, found/m,
    );
  });
});

describe('bisect', () => {
  it('names event, operation, line and method', async () => {
    const { code, text } = await printed(() =>
      bisectCommand(wrongLog, { invariant: 'fork-both-RO', json: true, scan: false }),
    );
    expect(code).toBe(0);
    expect(JSON.parse(text)).toMatchObject({ operation: 2, line: 3, method: 'linear scan' });
  });
  it('tells what an expression was before and after, with the names of the workload', async () => {
    const { code, text } = await printed(() =>
      bisectCommand(log, { when: 'page(2, A).mapcount == 1', json: true, scan: false }),
    );
    expect(code).toBe(0);
    expect(JSON.parse(text)).toMatchObject({ line: 4, before: '2', after: '1' });
  });
  it('returns 1 where nothing turned', async () => {
    const { code, text } = await printed(() =>
      bisectCommand(log, { invariant: 'leak-oracle', json: true, scan: false }),
    );
    expect([code, JSON.parse(text).event]).toEqual([1, null]);
  });
  it('refuses what it cannot know', async () => {
    await expect(bisectCommand(log, { json: true, scan: false })).rejects.toThrow('--invariant NAME or --when EXPR');
    await expect(bisectCommand(log, { invariant: 'no-such', json: true, scan: false })).rejects.toThrow(
      "no invariant 'no-such'",
    );
    await expect(bisectCommand(log, { when: 'mm(1', json: true, scan: false })).rejects.toThrow(/^--when:/);
  });
});

describe('report cow', () => {
  it('tells per fork what was shared and who copied', async () => {
    const { text } = await printed(() => reportCommand('cow', log, { json: true }));
    expect(JSON.parse(text)).toMatchObject({
      forks: [{ parent: 1, child: 2, line: 3, shared: 2, copied: 1, copiedBytes: 4096, by: [{ pid: 1, copied: 1 }] }],
    });
  });
  it('reads well on a terminal', async () => {
    const { text } = await printed(() => reportCommand('cow', log, { json: false }));
    expect(text).toMatch(/fork of 1 to 2 \(line 3, event \d+\): 2 pages shared \(8 KiB\)/);
    expect(text).toMatch(/parent 1, anonymous at 0x20000000, by store +1 copied +4 KiB/);
  });
});

describe('projection', () => {
  it.each(['rmap', 'accounting', 'exclusivity', 'cow-cost', 'activity'])('prints %s', async (name) => {
    const { code, text } = await printed(() => projectionCommand(name, log, { json: true }));
    expect(code).toBe(0);
    expect(JSON.parse(text)).toMatchObject({ projection: name });
  });
  it('at a position', async () => {
    const { text } = await printed(() => projectionCommand('rmap', log, { at: '0', json: true }));
    expect(JSON.parse(text)).toMatchObject({ at: 0, view: [] });
    await expect(projectionCommand('smells', log, { json: true })).rejects.toThrow('there are rmap, accounting');
  });
});
