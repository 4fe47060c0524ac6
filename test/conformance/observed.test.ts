// The corpus against what a kernel showed, kept beside each workload (`conform --record`): no root, no kernel needed.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { Counts } from '../../src/oracle/conform/compare.js';
import { firstMismatch, runModel } from '../../src/oracle/conform/conform.js';
import { recordedName, recordedObservations } from '../../src/oracle/conform/corpus.js';
import { parseWorkload } from '../support/workload.js';

const folder = new URL('./', import.meta.url).pathname;
const FILES = readdirSync(folder).filter((name) => name.endsWith('.strace'));
const read = (name: string): string => readFileSync(`${folder}${name}`, 'utf8');

/** The model's differences from the recording of `name`, and what was compared. */
function compare(name: string, behaviours: Behaviours) {
  const file = recordedName(name);
  const { recorded, observations } = recordedObservations(read(file), file);
  const half = runModel(parseWorkload(read(name)), { behaviours, machine: DEFAULT_MACHINE, directory: '/scratch' });
  const counts = new Counts();
  const lines = half.steps.map(({ operation }) => operation.line);
  return { recorded, half, lines, counts, mismatches: firstMismatch(half, observations, counts) };
}

describe('the model shows what the kernel showed', () => {
  it.each(FILES)('%s', (name) => {
    expect(existsSync(`${folder}${recordedName(name)}`)).toBe(true);
    const { recorded, half, lines, counts, mismatches } = compare(name, behavioursOf('6.18'));
    expect(recorded.kernel).toMatch(/^6\.18\./);
    expect(recorded.deep).toBe(true);
    expect(half.impossible).toBe(null);
    // A workload that was changed since has to be recorded again.
    expect(recorded.steps.map(({ line }) => line)).toEqual(lines);
    expect(mismatches).toEqual([]);
    expect(counts.total).toBeGreaterThan(10 * lines.length);
  });
});

describe('the recordings', () => {
  it('belong to a workload each', () => {
    const recorded = readdirSync(folder).filter((name) => name.endsWith('.observed.json'));
    expect(recorded).toEqual(FILES.map(recordedName));
  });
  it('show what an older kernel would have done otherwise', () => {
    const older = withBehaviours(behavioursOf('6.18'), [], ['anon-exclusive']);
    const { mismatches } = compare('cow-two-children-last-one-reuses.strace', older);
    expect(mismatches[0]).toMatchObject({ field: 'anon_exclusive', model: false, kernel: true });
  });
});
