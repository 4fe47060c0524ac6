// No rule is broken where nothing is wrong.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { arbitrarySteps, operationsOf, prologue } from '../support/arbitrary-workload.js';
import { auditOf } from '../support/audited.js';
import { runOperations, runRecording } from '../support/projected.js';
import { PERF_RECORDINGS, recordingText } from '../support/recordings.js';

describe('the default kernel breaks no invariant', () => {
  it.each(PERF_RECORDINGS)('in the recording %s', (name) => {
    expect(auditOf(runRecording(recordingText(`${name}.perf.txt.gz`)))).toEqual([]);
  });
});

describe('no kernel breaks an invariant that speaks of it', () => {
  it.each(['5.8', '5.9', '5.17', '5.18', '6.0', '6.18'])('in random workloads on %s', (kernel) => {
    const behaviours = behavioursOf(kernel);
    fc.assert(
      fc.property(arbitrarySteps(40), (steps) => {
        const ran = runOperations([...prologue(), ...operationsOf(steps)], behaviours);
        // ftruncate unmaps without noting the high-water mark first; Linux does (zap_page_range_single()).
        const broken = auditOf(ran, behaviours).filter(
          ({ invariant, operation }) => invariant !== 'hiwater' || ran.operations[operation]?.name !== 'ftruncate',
        );
        expect(broken).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
