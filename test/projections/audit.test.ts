// No rule is broken where nothing is wrong.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { invariantNamed } from '../../projections/invariants/catalogue.js';
import type { Violation } from '../../projections/invariants/invariant.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { generateWorkload } from '../../src/oracle/conform/generate/index.js';
import { arbitrarySteps, operationsOf, prologue } from '../support/arbitrary-workload.js';
import { auditOf } from '../support/audited.js';
import type { RanOperations } from '../support/projected.js';
import { runOperations, runRecording } from '../support/projected.js';
import { PERF_RECORDINGS, recordingText } from '../support/recordings.js';
import { parseWorkload } from '../support/workload.js';

describe('the default kernel breaks no invariant', () => {
  it.each(PERF_RECORDINGS)('in the recording %s', (name) => {
    expect(auditOf(runRecording(recordingText(`${name}.perf.txt.gz`)))).toEqual([]);
  });
});

const MREMAP_DONTUNMAP = 4;

/** Zero pages that a child is counted for without having them. */
const BROKEN_BY_KSM: ReadonlySet<string> = new Set(['ksm-counters-equal-items', 'ksm-totals']);

/** What Linux breaks itself (knownBroken). */
function isExpected({ invariant, operation }: Violation, { operations }: RanOperations): boolean {
  // From the first such mremap on locked_vm is too large.
  return (
    invariant === 'locked-vm-equals-vmas' &&
    operations
      .slice(0, operation + 1)
      .some(({ name, args }) => name === 'mremap' && (Number(args[3]) & MREMAP_DONTUNMAP) !== 0)
  );
}

describe('no kernel breaks an invariant that speaks of it', () => {
  it.each(['5.8', '5.9', '5.17', '5.18', '6.0', '6.18'])('in random workloads on %s', (kernel) => {
    const behaviours = behavioursOf(kernel);
    fc.assert(
      fc.property(arbitrarySteps(40), (steps) => {
        const ran = runOperations([...prologue(), ...operationsOf(steps)], behaviours);
        expect(auditOf(ran, behaviours).filter((violation) => !isExpected(violation, ran))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it.each(['5.10', '5.17', '5.18', '6.18'])(
    'in generated workloads on merged pages that are swapped and moved, on %s',
    (kernel) => {
      const behaviours = behavioursOf(kernel);
      const seen = new Set<string>();
      for (let number = 0; number < 60; number++) {
        const operations = generateWorkload({ seed: 6, number, areas: ['ksm', 'swap', 'migrate'], length: 40 });
        const ran = runOperations(operations, behaviours);
        for (const { type } of ran.events) seen.add(type);
        const broken = auditOf(ran, behaviours).filter(
          ({ invariant, ...rest }) => !BROKEN_BY_KSM.has(invariant) && !isExpected({ invariant, ...rest }, ran),
        );
        expect(broken, `workload ${number}`).toEqual([]);
      }
      expect([...seen]).toEqual(expect.arrayContaining(['KsmNodeMoved', 'PageSwappedOut', 'KsmItemLinked']));
    },
  );
});

describe('a rule that Linux itself breaks', () => {
  it('is told: MREMAP_DONTUNMAP of locked memory counts it twice', () => {
    const ran = runOperations(
      parseWorkload(`
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 mlock(A, 0x2000)
1 mremap(A, 0x2000, 0x2000, 5, 0) = B`),
      behavioursOf('6.18'),
    );
    expect(auditOf(ran)).toMatchObject([{ invariant: 'locked-vm-equals-vmas', line: 4, expected: 2, found: 4 }]);
    expect(invariantNamed('locked-vm-equals-vmas')?.knownBroken).toHaveLength(1);
  });
});
