// The commented examples of userfaultfd on shared memory: the questions of a review, answered by the model; conform asks the kernel the same files.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Behaviours } from '../../src/kernel/behaviours.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const FOLDER = 'examples/workloads';
const FILES = readdirSync(FOLDER).filter((name) => name.startsWith('uffd-') && name.endsWith('.fsw'));
const LINUX = behavioursOf('6.18');

function answers(
  file: string,
  behaviours: Behaviours,
  lastLine = Infinity,
): { readonly broken: readonly string[]; readonly failed: readonly number[] } {
  const operations = parseWorkload(readFileSync(`${FOLDER}/${file}`, 'utf8')).filter(({ line }) => line <= lastLine);
  const ran = runOperations(operations, behaviours);
  const broken = auditOf(ran, behaviours).map(({ invariant }) => invariant);
  return { broken: [...new Set(broken)], failed: [...new Set(ran.run.mismatches.map(({ line }) => line))] };
}

describe('an example of userfaultfd on shared memory', () => {
  it('is there for each question', () => {
    expect(FILES.toSorted()).toEqual([
      'uffd-continue-after-truncate.fsw',
      'uffd-continue-fallocated-page.fsw',
      'uffd-continue-twice.fsw',
      'uffd-copy-fails-after-allocation.fsw',
    ]);
  });
  it.each(FILES)('holds on Linux 6.18: %s', (file) => {
    expect(answers(file, LINUX)).toEqual({ broken: [], failed: [] });
  });
  it('has another answer of the page that nobody wrote to on 5.18', () => {
    // CONTINUE fails, and the task that waits sleeps on: so would the next one that touches the page.
    const found = answers('uffd-continue-fallocated-page.fsw', behavioursOf('5.18'), 22);
    expect(found).toEqual({ broken: [], failed: [21, 22] });
  });
  it('has another answer of the failing copy as the series was posted', () => {
    const posted = withBehaviours(LINUX, ['uffd-copy-keeps-charge'], []);
    const { broken, failed } = answers('uffd-copy-fails-after-allocation.fsw', posted);
    expect(broken).toEqual(['commit-sum', 'shmem-blocks-equal-pages', 'tmpfs-blocks-equal-files']);
    expect(failed.length).toBeGreaterThan(3);
  });
});
