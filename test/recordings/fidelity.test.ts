import { describe, expect, it } from 'vitest';
import { accountingErrors } from '../../projections/accounting.js';
import { PERF_RECORDINGS, recordingText, runPerf } from '../support/recordings.js';

describe.each(PERF_RECORDINGS)('the recording %s', (name) => {
  const ran = runPerf(recordingText(`${name}.perf.txt.gz`));
  const { faults, frames, freed, present, results, rss } = ran.fidelity;

  it('faults in the model where it faulted in the kernel', () => {
    expect(faults.recorded).toBeGreaterThan(200);
    expect(faults.predicted / faults.recorded).toBeGreaterThanOrEqual(0.999);
  });
  it('takes new frames, zeroed or copied, where the kernel did', () => {
    expect(frames.recorded).toBe(faults.recorded);
    expect(frames.agreed / frames.recorded).toBeGreaterThanOrEqual(0.995);
  });
  it('changes rss as the kernel did', () => {
    expect(rss.points).toBeGreaterThan(100);
    expect(rss.agreed / rss.points).toBeGreaterThanOrEqual(0.995);
  });
  it('frees the frames that the kernel freed', () => {
    expect(freed.recorded).toBeGreaterThan(50);
    expect(freed.agreed / freed.recorded).toBeGreaterThanOrEqual(0.995);
  });
  it('has the code of every faulting instruction mapped, and returns what was recorded', () => {
    expect(present).toEqual({ checked: present.checked, agreed: present.checked });
    expect(results).toEqual({ checked: results.checked, agreed: results.checked });
  });
  it('leaves counters that entries, caches and VMAs add up to', () => {
    expect(accountingErrors(ran.run.view)).toEqual([]);
  });
});

describe('recordings with huge pages', () => {
  it.each([
    ['thp-fork', 15],
    ['thp-sort', 5],
    ['thp-redis', 3],
  ])('%s has them, and without its settings the model would differ', (name, least) => {
    const text = recordingText(`${name}.perf.txt.gz`);
    const { events, fidelity } = runPerf(text);
    expect(events.filter(({ type }) => type === 'HugePageMapped').length).toBeGreaterThanOrEqual(least);
    const unset = runPerf(text.replaceAll(/^# folioscope setting .*\n/gm, '# a line for a line\n'));
    expect(unset.events.some(({ type }) => type === 'HugePageMapped')).toBe(false);
    expect(unset.fidelity.rss.agreed).toBeLessThan(fidelity.rss.agreed - least);
  });
});

describe('the judge', () => {
  // Everything that judges is taken out: allocations, frees, counters, and the present bit of faults.
  const withoutJudge = (text: string): string =>
    text
      .split('\n')
      .map((line) =>
        / kmem:(mm_page_alloc|mm_page_free|rss_stat):/.test(line)
          ? ''
          : line.replace(
              /error_code=0x([0-9a-f]+)/,
              (_all, code: string) => `error_code=0x${(parseInt(code, 16) & ~1).toString(16)}`,
            ),
      )
      .join('\n');

  it.each(['cow', 'bash-pipeline', 'python-fork', 'sort-compress', 'thp-fork'])(
    'tells the model nothing: %s',
    (name) => {
      const text = recordingText(`${name}.perf.txt.gz`);
      const judged = runPerf(text);
      const blind = runPerf(withoutJudge(text));
      expect(blind.events).toEqual(judged.events);
      expect(blind.fidelity.rss.points).toBe(0);
    },
  );

  it('sees a model that is wrong', () => {
    // The same recording with one call missing: the program unmaps memory that the model then still has.
    const text = recordingText('cow.perf.txt.gz')
      .split('\n')
      .filter((line) => !/sys_(enter|exit)_munmap/.test(line))
      .join('\n');
    const { fidelity } = runPerf(text);
    expect(fidelity.rss.agreed).toBeLessThan(fidelity.rss.points);
    expect(fidelity.freed.agreed).toBeLessThan(fidelity.freed.recorded);
    expect(fidelity.disagreements.length).toBeGreaterThan(0);
  });
});

describe('a recording whose events were lost', () => {
  it('says from which line on its fidelity is unknown', () => {
    const lines = recordingText('cow.perf.txt.gz').split('\n');
    lines.splice(400, 0, '             cow  2383/2383  [001]  5600.765900000: PERF_RECORD_LOST lost 17');
    expect(runPerf(lines.join('\n')).fidelity.lostFrom).toBe(401);
  });
});
