// debug, why and diff as users call them: through a pipe, with exit codes and JSON.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundledProgram } from '../support/command-line.js';

let folder = '';
let program = '';

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
function folioscope(args: readonly string[], input = ''): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: folder,
    encoding: 'utf8',
    input,
  });
  return { code: status, out: stdout, err: stderr };
}

beforeAll(async () => {
  ({ folder, program } = await bundledProgram());
  writeFileSync(
    join(folder, 'cow.fsw'),
    '1 mmap(NULL, 4096, RW, PRIV|ANON, -1, 0) = A\n1 store(A, 0x11)\n1 fork() = 2\n1 store(A, 0x22)\n',
  );
  for (const [name, ...options] of [['new.fsl'], ['old.fsl', '--without', 'anon-exclusive']])
    expect(folioscope(['run', 'cow.fsw', '-q', '-o', name!, ...options]).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('debug', () => {
  it('takes commands from a pipe and echoes them behind the prompt', () => {
    const { code, out, err } = folioscope(
      ['debug', 'new.fsl', '--at', 'op:2'],
      'print page(1, A).mapcount\n\nquit\nprint 1\n',
    );
    expect([code, err]).toEqual([0, '']);
    expect(out.split('\n').slice(3)).toEqual([
      expect.stringMatching(/^ {2}next /),
      '(folio) print page(1, A).mapcount',
      'page(1, A).mapcount = 2',
      '(folio)',
      'page(1, A).mapcount = 2',
      '(folio) quit',
      '',
    ]);
  });
  it('ends with the pipe, with the code of what went wrong in it', () => {
    expect(folioscope(['debug', 'new.fsl'], 'step').code).toBe(0);
    expect(folioscope(['debug', 'new.fsl', '--at', 'end'], 'assert mm(1).rss == 5\n').code).toBe(1);
    expect(folioscope(['debug', 'new.fsl'], 'frobnicate\n').code).toBe(2);
  });
  it('writes a test, but never over a file', () => {
    const script = 'print page(1, A).mapcount\nexport-test t.fsw\n';
    expect(folioscope(['debug', 'new.fsl', '--at', 'end'], script).out).toContain('t.fsw: 4 operations, 1 check');
    expect(folioscope(['run', 't.fsw', '--no-log']).code).toBe(0);
    const { code, out } = folioscope(['debug', 'new.fsl', '--at', 'end'], script);
    expect([code, out.includes('t.fsw is there already')]).toEqual([2, true]);
    expect(existsSync(join(folder, 't.fsw'))).toBe(true);
    expect(readFileSync(join(folder, 't.fsw'), 'utf8')).toContain('check page(1, A).mapcount == 1\n');
  });
  it('refuses what is no log, and positions outside of it', () => {
    expect(folioscope(['debug', 'cow.fsw'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('not a folioscope log'),
    });
    expect(folioscope(['debug', 'new.fsl', '--at', '9999'])).toMatchObject({ code: 2, out: '' });
    expect(folioscope(['debug', 'nothing.fsl']).code).toBe(5);
  });
});

describe('why', () => {
  it('prints the chain, and as JSON what stands in it', () => {
    const { code, out } = folioscope(['why', 'new.fsl', 'page(1, A).frame']);
    expect(code).toBe(0);
    expect(out).toContain('cow.fsw:4  1 store(A, 34)\n     0 -> 1\n     CowPageMapped:');
    const json = JSON.parse(folioscope(['why', 'new.fsl', 'page(1, A).frame', '--json']).out);
    expect(json).toMatchObject({ log: 'new.fsl', expression: 'page(1, A).frame', value: '1', before: '0' });
    expect(json.chain.map(({ line }: { line: number }) => line)).toEqual([4, 3, 2, 1]);
  });
  it('asks at the position that --at names', () => {
    const json = JSON.parse(folioscope(['why', 'new.fsl', 'page(1, A).mapcount', '--at', 'op:2', '--json']).out);
    expect(json).toMatchObject({ value: '2', before: '1' });
  });
  it('ends with 1 where nothing is behind a value, and 2 where it makes no sense', () => {
    expect(folioscope(['why', 'new.fsl', 'page(1, 0x5000).present', '--at', '2']).code).toBe(1);
    expect(folioscope(['why', 'new.fsl', 'page(1, A).nix'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^folioscope: EXPR:12: .*no field 'nix'/),
    });
  });
});

describe('diff', () => {
  it('ends with 0 for the same run, and with 1 for another', () => {
    expect(folioscope(['diff', 'new.fsl', 'new.fsl'])).toMatchObject({
      code: 0,
      out: 'new.fsl | new.fsl: the same events, one by one\n',
    });
    const { code, out } = folioscope(['diff', 'new.fsl', 'old.fsl']);
    expect(code).toBe(1);
    expect(out).toContain('behaviour anon-exclusive: true | false\n');
    expect(out).toContain('first divergence: event 10, op 1, line 2: 1 store(A, 17)\n');
  });
  it('prints JSON with the names other tools rely on', () => {
    const json = JSON.parse(folioscope(['diff', 'new.fsl', 'old.fsl', '--json']).out);
    expect(json).toMatchObject({
      a: 'new.fsl',
      b: 'old.fsl',
      same: false,
      otherwiseCount: 0,
      onlyACount: 0,
      onlyBCount: 0,
    });
    expect(json.divergence).toMatchObject({ eventA: 10, eventB: 10, was: { exclusive: 1 }, now: { exclusive: 0 } });
    expect(json.state).toEqual([
      {
        subject: 'page(1, 0x7ffff7ffe000)',
        pages: 1,
        fields: [{ field: 'anon_exclusive', before: 'true', after: 'false' }],
      },
    ]);
  });
});
