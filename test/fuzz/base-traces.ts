// Small sound texts of every format to damage.
import { readFileSync, readdirSync } from 'node:fs';
import { recordingText } from './base-logs.js';
import type { SoundTrace } from './trace-mutator.js';

const folder = (path: string): URL => new URL(`../../${path}/`, import.meta.url);

/** Every `step`th of the files in `path` that end so. */
function files(path: string, ending: string, step: number): SoundTrace[] {
  return readdirSync(folder(path))
    .filter((name) => name.endsWith(ending))
    .toSorted()
    .filter((_, i) => i % step === 0)
    .map((name) => ({
      name: path,
      lines: readFileSync(new URL(name, folder(path)), 'utf8')
        .trimEnd()
        .split('\n'),
    }));
}

/** A recording up to each of `ends` lines. */
function beginnings(name: string, recording: string, ends: readonly number[]): SoundTrace[] {
  const lines = recordingText(recording).trimEnd().split('\n');
  return ends.map((end) => ({ name, lines: lines.slice(0, end) }));
}

/** The texts, the same each time. */
export function baseTraces(): readonly SoundTrace[] {
  return [
    ...beginnings('perf', 'cow-1cpu.perf.txt.gz', [80, 120, 160, 200, 240, 300]),
    ...beginnings('perf', 'cow-raw-syscalls.perf.txt.gz', [120, 240]),
    ...beginnings('perf', 'cow-default-format.perf.txt.gz', [120, 240]),
    ...beginnings('strace', 'cow.strace.txt.gz', [30, 51]),
    ...beginnings('strace', 'python-fork.strace.txt.gz', [20, 40, 60, 80, 100, 120]),
    ...files('test/conformance', '.strace', 10),
    ...files('examples/syz', '.syz', 1),
    ...files('examples/syz', '.syz', 1),
  ];
}
