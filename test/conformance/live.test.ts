// The corpus on the running kernel, where it may be asked.
import { readFileSync, readdirSync } from 'node:fs';
import { release } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { Counts } from '../../src/oracle/conform/compare.js';
import { judge } from '../../src/oracle/conform/judge.js';
import { Session, whyNot } from '../../src/oracle/conform/session.js';
import { parseWorkload } from '../support/workload.js';

const folder = new URL('./', import.meta.url);
const FILES = readdirSync(folder).filter((name) => name.endsWith('.strace'));
/** What the corpus was written for: elsewhere the files' expectations need not hold. */
const VERSION = '6.18';

const reason = whyNot() ?? (release().startsWith(`${VERSION}.`) ? null : `this is Linux ${release()}, not ${VERSION}`);
if (reason !== null) process.stderr.write(`live.test.ts: the corpus on the running kernel skipped: ${reason}\n`);

/** Another run may have the machine's settings first. */
const WAIT_MS_MAX = 600_000;

describe.skipIf(reason !== null)(`on Linux ${release()}`, () => {
  let session: Session;
  beforeAll(async () => {
    session = await Session.open({ deep: true, tell: () => undefined });
  }, WAIT_MS_MAX);
  afterAll(() => session.close());

  it('the kernel’s memory can be read', () => {
    expect(session.agent.blind).toBe('');
    expect(session.agent.deep).toBe(true);
  });
  it.each(FILES)('%s', async (name) => {
    const operations = parseWorkload(readFileSync(new URL(name, folder), 'utf8'));
    const verdict = await judge(session, operations, behavioursOf(VERSION), new Counts());
    expect(verdict.mismatches).toEqual([]);
    expect(verdict.failed).toEqual([]);
    // A machine that lost reservations of huge pages cannot be asked what fewer than none do.
    if (session.lostHugePages > 0 && verdict.half.oversold) expect(verdict.stopped).toMatch(/reservations Linux lost/);
    else expect(verdict.stopped).toBe(null);
  });
});
