// Which pages of the mapped files were cached when recording began. The files are known only afterwards, so the state afterwards is
// taken and what happened in between is taken back.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MappedFile } from './cutter.js';

/** The program that looks, built for one recording. */
export interface PageCacheProbe {
  readonly program: string;
  /** Frames that carried the readahead mark when the recording began. */
  readonly marked: string;
}

const COMPILE_MS_MAX = 60_000;
const LOOK_MS_MAX = 300_000;

/** The source, beside this file or in the folder of the bundle. */
function source(): string | null {
  for (const place of ['./page-cache.c', '../page-cache.c']) {
    const path = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(path)) return path;
  }
  return null;
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
}

function runTool(command: string, args: readonly string[], input: string, timeout: number): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], timeout });
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.stdin.on('error', () => undefined);
    child.once('error', () => resolve({ status: null, stdout: '' }));
    child.once('close', (status) => resolve({ status, stdout: Buffer.concat(parts).toString('latin1') }));
    child.stdin.end(input, 'latin1');
  });
}

/** Builds the probe in `directory` and takes down the readahead marks of the moment; a text instead says why that cannot be. */
export async function preparePageCacheProbe(directory: string): Promise<PageCacheProbe | string> {
  const from = source();
  if (from === null) return 'residency of mapped files not recorded: page-cache.c is not installed beside the program';
  const program = join(directory, 'page-cache');
  const built = await runTool('cc', ['-O2', '-o', program, from], '', COMPILE_MS_MAX);
  if (built.status !== 0)
    return existsSync('/usr/bin/cc')
      ? 'residency of mapped files not recorded: cc cannot compile page-cache.c (C library headers missing?)'
      : 'residency of mapped files not recorded: no C compiler (cc)';
  const marked = join(directory, 'marked');
  const marks = await runTool(program, ['marked'], '', LOOK_MS_MAX);
  await writeFile(marked, marks.stdout);
  return { program, marked };
}

/** The lines that the importer reads: one per file that could be looked at. */
export interface ResidencyLines {
  readonly lines: readonly string[];
  readonly unknown: number;
}

/** What was found out about files: fields of the probe's answer, by file. */
export type FilesFound = ReadonlyMap<string, RegExpExecArray>;

/** Looks at the page cache of `files` as it is now. */
export async function lookAtFiles(probe: PageCacheProbe, files: readonly MappedFile[]): Promise<FilesFound> {
  // eslint-disable-next-line no-control-regex
  const askable = files.filter(({ path }) => !/[\x00-\x1f]/.test(path));
  const question = askable.map((file) => `${keyOf(file)} ${file.path}\n`).join('');
  const { stdout } = await runTool(probe.program, ['files', probe.marked], question, LOOK_MS_MAX);
  const found = new Map<string, RegExpExecArray>();
  for (const line of stdout.split('\n')) {
    const match = /^(\S+ \d+) (\d+) \[([^\]]*)\] \[([^\]]*)\] \[([^\]]*)\]$/.exec(line);
    if (match) found.set(match[1] as string, match);
  }
  return found;
}

/** What `# folioscope residency` tells of each of `files`: what was found, with everything since the beginning taken back. */
export function residencyLines(
  files: readonly MappedFile[],
  found: FilesFound,
  changes: (file: MappedFile) => ReadonlyMap<number, boolean>,
): ResidencyLines {
  const lines: string[] = [];
  for (const file of files) {
    const match = found.get(keyOf(file));
    if (match === undefined) continue;
    const changed = changes(file);
    const holes = holesBefore(pagesOf(rangesOf(match[3] as string)), changed);
    lines.push(`# folioscope residency ${keyOf(file)} ${match[2]} [${pairs(holes)}] ${file.path}`);
    const marked = marksDuring(rangesOf(match[4] as string), rangesOf(match[5] as string), changed);
    if (marked.length > 0)
      lines.push(`# folioscope readahead ${keyOf(file)} [${marked.map(String).join(' ')}] ${file.path}`);
  }
  return { lines, unknown: files.length - found.size };
}

const keyOf = ({ major, minor, inode }: MappedFile): string => `${major.toString(16)}:${minor.toString(16)} ${inode}`;

/** Page indices that were not cached when recording began, ascending: what is so now, and what changed first. */
export function holesBefore(absentAfter: Iterable<number>, changes: ReadonlyMap<number, boolean>): number[] {
  const holes = new Set(absentAfter);
  for (const [index, added] of changes)
    if (added) holes.add(index);
    else holes.delete(index);
  return [...holes].toSorted((a, b) => a - b);
}

/** First page and number of pages of a range. */
type PageRange = readonly [number, number];

/**
 * Folios that fault-around passed over until somebody looked them up: marked when recording began (known by their frames, so only
 * if they stayed), or read while recording and marked ever since.
 */
export function marksDuring(
  before: readonly PageRange[],
  after: readonly PageRange[],
  changes: ReadonlyMap<number, boolean>,
): PageRange[] {
  const marked = [
    ...before.filter(([index]) => !changes.has(index)),
    ...after.filter(([index]) => changes.get(index) === true),
  ];
  return marked.toSorted(([a], [b]) => a - b);
}

function rangesOf(text: string): PageRange[] {
  const numbers = text.split(/[ ,]/).filter(Boolean).map(Number);
  const ranges: PageRange[] = [];
  for (let i = 0; i + 1 < numbers.length; i += 2) ranges.push([numbers[i] as number, numbers[i + 1] as number]);
  return ranges;
}

function* pagesOf(ranges: readonly PageRange[]): Generator<number> {
  for (const [first, n] of ranges) for (let index = first; index < first + n; index++) yield index;
}

/** Ascending indices as `index,n index,n`. */
function pairs(indices: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const index of indices) {
    const last = ranges.at(-1);
    if (last && last[0] + last[1] === index) last[1]++;
    else ranges.push([index, 1]);
  }
  return ranges.map(([index, n]) => `${index},${n}`).join(' ');
}
