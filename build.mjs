// Bundles the command line, the library and the benchmark into dist/. Commands stay separate chunks, loaded when called.
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));
const dist = `${root}dist`;
rmSync(dist, { recursive: true, force: true });

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  logLevel: 'warning',
};
// Packages written as CommonJS ask for `require` of Node's own modules. What runs makes many objects that die young: with more room for
// them a run takes a fifth less time.
const banner = {
  js:
    '#!/usr/bin/env -S node --max-semi-space-size=32\n' +
    "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
};
await build({
  ...common,
  entryPoints: { folioscope: 'src/cli/main.ts', index: 'src/index.ts', bench: 'bench/main.ts' },
  outdir: 'dist',
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  banner,
  external: ['msgpackr-extract'],
});

chmodSync(`${dist}/folioscope.js`, 0o755);

// Compiled by `record` where it runs.
copyFileSync(`${root}src/oracle/record/page-cache.c`, `${dist}/page-cache.c`);
// Compiled by `conform` where it runs.
mkdirSync(`${dist}/agent`);
for (const name of readdirSync(`${root}src/oracle/agent`).filter((each) => /\.[ch]$/.test(each)))
  copyFileSync(`${root}src/oracle/agent/${name}`, `${dist}/agent/${name}`);

// Declarations for users of the library.
const tsc = createRequire(import.meta.url)
  .resolve('typescript/package.json')
  .replace(/package\.json$/, 'bin/tsc');
const types = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.types.json'], { cwd: root, stdio: 'inherit' });
process.exitCode = types.status ?? 1;
