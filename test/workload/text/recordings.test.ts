import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { looksHandWritten, looksLikeStrace } from '../../../src/workload/text/detect.js';
import { printOperation } from '../../../src/workload/text/print.js';
import { parseRecording } from './support.js';

const recording = (name: string): string =>
  gunzipSync(readFileSync(new URL(`../../../examples/recordings/${name}.strace.txt.gz`, import.meta.url))).toString(
    'latin1',
  );

describe.each([
  ['cow', 43, 2],
  ['bash-pipeline', 653, 17],
  ['gcc-hello', 997, 5],
  ['python-fork', 635, 7],
  ['uffd-pager', 73, 2],
])('the recording %s', (name, operationCount, taskCount) => {
  const text = recording(name);
  const { operations, skipped } = parseRecording(text);

  it('is read to its end', () => {
    expect(operations).toHaveLength(operationCount);
    expect(skipped.filter((reason) => / /.test(reason))).toEqual([]);
    expect(looksHandWritten(text.slice(0, 65536))).toBe(false);
    expect(looksLikeStrace(text.slice(0, 65536))).toBe(true);
  });

  it('has every task born before it acts, and exit once', () => {
    const born = new Set<number>();
    const exited = new Set<number>();
    for (const { pid, name: call, result } of operations) {
      if (pid === null) throw new Error('no machine operations in strace');
      if (born.size === 0) born.add(pid);
      expect(born).toContain(pid);
      expect(exited).not.toContain(pid);
      if (/^(v?fork|clone3?)$/.test(call) && result.kind === 'value') born.add(Number(result.value));
      if (call === 'exited') exited.add(pid);
    }
    expect(born.size).toBe(taskCount);
    expect(exited).toEqual(born);
  });

  it('reads back equal when printed', () => {
    const again = parseRecording(operations.map(printOperation).join('\n')).operations;
    expect(again.map((operation) => ({ ...operation, line: 0 }))).toEqual(
      operations.map((operation) => ({ ...operation, line: 0 })),
    );
  });
});
