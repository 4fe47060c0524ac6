import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cutCommand } from '../../src/cli/commands/cut.js';
import { recoverCommand, recoveredName } from '../../src/cli/commands/recover.js';
import { UserError } from '../../src/lib/errors.js';
import { logOfEvents, readerOf, touching } from '../support/logs.js';

const SMALL = logOfEvents([...touching(20)], 3, { chunkEvents: 7, keyframeEvents: 14 });
const { chunks } = readerOf(SMALL).footer;

let folder = '';
let printed = '';
const path = (name: string): string => join(folder, name);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folioscope-'));
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

describe('recover', () => {
  it('names the new log as the crashed run would have, or beside the damaged one', () => {
    expect(recoveredName('a/x.fsl.partial')).toBe('a/x.fsl');
    expect(recoveredName('a/x.fsl')).toBe('a/x.recovered.fsl');
  });
  it('exits with 3 where something is lost, and says what and where', async () => {
    writeFileSync(path('x.fsl.partial'), SMALL.subarray(0, chunks[2]![0] + 9));
    expect(await recoverCommand(path('x.fsl.partial'), { json: false })).toBe(3);
    expect(printed).toContain(`byte ${chunks[2]![0]}: stopped here: truncated`);
    expect(printed).toContain('lost: events from 14 on, if there were any');
    expect(printed).toContain('x.fsl: 14 events, 0 operations, a part');
    expect(readerOf(readFileSync(path('x.fsl'))).eventCount).toBe(14);
    expect(readdirSync(folder)).toEqual(['x.fsl', 'x.fsl.partial']);
  });
  it('exits with 0 where all could be saved', async () => {
    writeFileSync(path('x.fsl'), SMALL.subarray(0, SMALL.length - 3));
    expect(await recoverCommand(path('x.fsl'), { json: true })).toBe(0);
    expect(JSON.parse(printed)).toMatchObject({ output: path('x.recovered.fsl'), complete: true, lostEvents: null });
  });
  it('exits with 1 and writes nothing where there is nothing to save', async () => {
    for (const bytes of [SMALL.subarray(0, 100), SMALL.subarray(0, chunks[0]![0] + 5), Buffer.from('hello')]) {
      writeFileSync(path('x.fsl'), bytes);
      expect(await recoverCommand(path('x.fsl'), { json: false })).toBe(1);
      expect(printed).toContain('nothing can be recovered');
      expect(readdirSync(folder)).toEqual(['x.fsl']);
    }
  });
  it('does not replace a log unless told its name', async () => {
    writeFileSync(path('x.fsl.partial'), SMALL);
    writeFileSync(path('x.fsl'), 'old');
    await expect(recoverCommand(path('x.fsl.partial'), { json: false })).rejects.toThrow('is there already');
    expect(readFileSync(path('x.fsl'), 'utf8')).toBe('old');
    expect(await recoverCommand(path('x.fsl.partial'), { json: false, output: path('y.fsl') })).toBe(0);
    expect(existsSync(path('y.fsl'))).toBe(true);
  });
});

describe('cut', () => {
  it('writes the piece under its name and says what it holds', async () => {
    writeFileSync(path('x.fsl'), SMALL);
    const output = path('y.fsl');
    expect(await cutCommand(path('x.fsl'), { from: '10', to: '20', output, json: true })).toBe(0);
    expect(JSON.parse(printed)).toMatchObject({ output, from: 10, to: 20, events: 10, operations: 4 });
    expect([...readerOf(readFileSync(output)).events()].map(({ number }) => number).at(0)).toBe(10);
  });
  it('leaves nothing behind where it cannot', async () => {
    writeFileSync(path('x.fsl'), SMALL);
    for (const [from, to] of [
      ['9', '9'],
      ['x', '9'],
      ['0', '9999'],
    ] as const)
      await expect(cutCommand(path('x.fsl'), { from, to, output: path('y.fsl'), json: false })).rejects.toThrow(
        UserError,
      );
    expect(readdirSync(folder)).toEqual(['x.fsl']);
  });
});
