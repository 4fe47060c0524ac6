// The native agent is compiled once for a source and a compiler, by any number of programs at the same time.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildAgent } from '../../src/oracle/agent/build.js';
import { EXIT } from '../../src/lib/errors.js';

const hasCompiler = spawnSync('cc', ['--version']).status === 0;
if (!hasCompiler) process.stderr.write('build.test.ts: compiling skipped, no C compiler (cc)\n');

const base = mkdtempSync(join(tmpdir(), 'folioscope-build-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const path = process.env['PATH'] ?? '';
afterEach(() => void (process.env['PATH'] = path));

let source = '';
let cache = '';
let told: string[] = [];
const build = (): Promise<string> => buildAgent({ source, cache, tell: (line) => void told.push(line) });
beforeEach(() => {
  source = mkdtempSync(join(base, 'source-'));
  cache = join(base, 'cache', source.slice(-6));
  told = [];
  writeFileSync(join(source, 'agent.c'), '#include "answer.h"\nint main(void) { return ANSWER; }\n');
  writeFileSync(join(source, 'answer.h'), '#define ANSWER 7\n');
});

/** A compiler of our own, by its script. */
function fakeCompiler(script: string): void {
  const folder = mkdtempSync(join(base, 'bin-'));
  writeFileSync(join(folder, 'cc'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'cc'), 0o755);
  process.env['PATH'] = `${folder}:${path}`;
}

describe.skipIf(!hasCompiler)('the agent', () => {
  it('is built once, also by several at once, and nothing else stays', async () => {
    const [first, second, third] = await Promise.all([build(), build(), build()]);
    expect([second, third]).toEqual([first, first]);
    expect(spawnSync(first).status).toBe(7);
    expect(readdirSync(cache)).toHaveLength(1);
    expect(told).toEqual([]);
  });
  it('is built anew when a header changes', async () => {
    const before = await build();
    writeFileSync(join(source, 'answer.h'), '#define ANSWER 8\n');
    const after = await build();
    expect(after).not.toBe(before);
    expect(spawnSync(after).status).toBe(8);
  });
  it('that does not compile is an error with its line, and nothing stays', async () => {
    writeFileSync(join(source, 'answer.h'), '#define ANSWER unknown\n');
    await expect(build()).rejects.toMatchObject({
      exitCode: EXIT.unable,
      message: expect.stringMatching(/answer\.h:1:.*unknown/) as string,
    });
    expect(readdirSync(cache)).toEqual([]);
  });
  it('is linked dynamically where it cannot be otherwise, and that is told', async () => {
    const compiler = spawnSync('which', ['cc'], { encoding: 'utf8' }).stdout.trim();
    fakeCompiler(`case " $* " in *" -static "*) echo "ld: cannot find -lc" >&2; exit 1;; esac\nexec ${compiler} "$@"`);
    expect(spawnSync(await build()).status).toBe(7);
    expect(told).toEqual(['native agent not linked statically: ld: cannot find -lc']);
  });
});

describe('without a compiler', () => {
  it('says what to install', async () => {
    process.env['PATH'] = join(base, 'nothing');
    await expect(build()).rejects.toMatchObject({
      exitCode: EXIT.unable,
      message: expect.stringMatching(/no C compiler \(cc\).*install gcc/) as string,
    });
    expect(existsSync(cache)).toBe(false);
  });
});
