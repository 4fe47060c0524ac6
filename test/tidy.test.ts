// The rules of docs/architecture.md, held by a test: which folder may import which, and calls that would break determinism.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve, dirname } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;

function sources(folder: string): string[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(join(root, path)).isDirectory()) return sources(path);
    return name.endsWith('.ts') ? [path] : [];
  });
}

const FOLDERS = ['events', 'reducers', 'projections', 'replays', 'src'];
const FILES = FOLDERS.flatMap(sources);
const text = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Imports of a file as paths from the root; packages by name. */
function imports(path: string): { to: string; typeOnly: boolean }[] {
  return [...text(path).matchAll(/^(?:import|export)\s+(type\s+)?[^'";]*?from\s+'([^']+)';/gms)].map((match) => {
    const to = match[2] as string;
    const resolved = to.startsWith('.') ? relative(root, resolve(root, dirname(path), to)) : to;
    return { to: resolved, typeOnly: match[1] !== undefined };
  });
}

/** What each folder may import, besides itself and src/lib. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  events: [],
  reducers: ['events', 'immer'],
  projections: ['events', 'reducers', 'rxjs'],
  replays: ['events', 'reducers', 'msgpackr'],
  'src/lib': [],
  'src/kernel': ['events', 'reducers', 'src/workload/operation.js'],
  'src/workload': [],
  'src/sched': ['events', 'reducers', 'src/kernel', 'src/workload'],
  'src/debug': ['events', 'reducers', 'projections', 'replays', 'src/kernel', 'src/sched', 'src/workload'],
  'src/tui': ['events', 'reducers', 'projections', 'replays', 'src/debug', 'src/kernel'],
};

describe('imports', () => {
  it.each(Object.keys(MAY))('%s imports only what it may', (folder) => {
    const allowed = [folder, 'src/lib', ...(MAY[folder] as readonly string[])];
    const wrong = FILES.filter((path) => path.startsWith(`${folder}/`)).flatMap((path) =>
      imports(path)
        .filter(({ to }) => !allowed.some((each) => to === each || to.startsWith(`${each}/`)))
        .map(({ to }) => `${path} imports ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it('every source file is used', () => {
    const used = new Set(FILES.flatMap((path) => imports(path).map(({ to }) => to.replace(/\.js$/, '.ts'))));
    const lazily = [...text('src/cli/main.ts').matchAll(/import\('\.\/([^']+)\.js'\)/g)].map(
      (match) => `src/cli/${match[1]}.ts`,
    );
    // The matrices are run by scripts/*-matrix.mjs, through their tests.
    const matrices = ['cow', 'thp', 'uffd'].map((name) => `src/oracle/conform/${name}-matrix.ts`);
    const entries = new Set(['src/cli/main.ts', 'src/index.ts', ...matrices, ...lazily]);
    expect(FILES.filter((path) => !used.has(path) && !entries.has(path))).toEqual([]);
  });
});

describe('determinism', () => {
  const BANNED: readonly (readonly [RegExp, string])[] = [
    [/\bDate\.now\(|\bnew Date\(/, 'a clock'],
    [/\bMath\.random\(/, 'chance'],
    [/\bperformance\.now\(/, 'a clock'],
    [/\bconsole\./, 'console: results go through output.ts, the rest to stderr'],
  ];
  it('nothing that events depend on asks a clock or chance', () => {
    const wrong = FILES.filter((path) => path !== 'src/cli/progress.ts').flatMap((path) =>
      BANNED.filter(([pattern]) => pattern.test(text(path))).map(([, what]) => `${path}: ${what}`),
    );
    expect(wrong).toEqual([]);
  });
  it('the state holds no Map, Set or class', () => {
    expect(text('reducers/state.ts')).not.toMatch(/\bnew (Map|Set)\b|\b(Map|Set)<|^export class/m);
  });
});

describe('files', () => {
  it('stay small enough to hold in the head', () => {
    const long = FILES.filter((path) => text(path).split('\n').length > 560);
    expect(long).toEqual([]);
  });
  it('begin by saying what they own', () => {
    const silent = FILES.filter((path) => !text(path).startsWith('//'));
    expect(silent).toEqual([]);
  });
});
