import { describe, expect, it } from 'vitest';
import { detectFormat } from '../../src/workload/detect.js';
import { RECORDING_HEAD } from '../../src/workload/perf/record.js';
import { RECORDING_HEADER } from '../../src/workload/text/print.js';
import { recordingText } from '../support/recordings.js';

describe('the format of an input', () => {
  it.each([
    ['perf', recordingText('cow.perf.txt.gz')],
    ['perf', recordingText('cow-default-format.perf.txt.gz')],
    ['perf', `${RECORDING_HEAD}1: Linux 6.18\n# folioscope residency fe:0 1 2 [] /bin/x\n`],
    ['strace', recordingText('cow.strace.txt.gz')],
    ['printed', `${RECORDING_HEADER}\n1 bprm_mm_init(1)\n`],
    ['workload', '1 store(0x1000, 1) = SIGSEGV\n'],
  ])('is told from its content: %s', (format, text) => {
    expect(detectFormat(text.slice(0, 65_536))).toBe(format);
  });
  it('is refused where it is none', () => {
    expect(() => detectFormat('hello\n')).toThrow(/neither perf script output/);
  });
});
