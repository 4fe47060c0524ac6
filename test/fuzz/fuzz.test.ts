// A short campaign of each kind; `scripts/fuzz.mjs` runs long ones. And what campaigns found.
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/lib/random.js';
import { askLog } from './ask-log.js';
import { baseLogs, recordingText } from './base-logs.js';
import { newTally, runCase } from './campaign.js';
import { damagedLog } from './log-mutator.js';
import { TARGETS } from './targets.js';

const CASES = 4000;
/** Far more than a case takes, far less than one that hangs. */
const CASE_MAX = 5000;

describe.each(Object.keys(TARGETS))('%s', (name) => {
  it('get an answer or one clear error, whatever is in them', () => {
    const target = TARGETS[name]!();
    const tally = newTally();
    for (let number = 0; number < CASES; number++) runCase(target, 7, number, tally);
    expect(tally.failures).toEqual([]);
    expect(tally.slowest.milliseconds).toBeLessThan(CASE_MAX);
    // Damage of all depths: for each question some inputs were answered and some refused. --lenient is there to refuse little.
    for (const [question, outcomes] of Object.entries(tally.outcomes))
      if (!question.endsWith('--lenient')) expect(Object.keys(outcomes).length, question).toBeGreaterThan(1);
  });
});

describe('the fuzzer of logs', () => {
  const logs = baseLogs(recordingText('cow.strace.txt.gz'));

  it('begins with logs that answer every question', () => {
    for (const { bytes } of logs)
      expect(askLog(bytes, new Random(1)).map(([question, outcome]) => `${question}: ${outcome}`)).toEqual(
        expect.arrayContaining(['info: answered', 'fold: answered', 'verify --deep: answered', 'recover: answered']),
      );
  });

  it('makes the same damage of the same numbers', () => {
    const [a, b] = logs;
    const made = (): Uint8Array => damagedLog(new Random(3, 14), a!, b!);
    expect(made()).toEqual(made());
  });
});
