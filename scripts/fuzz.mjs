// Fuzzes what is read: node scripts/fuzz.mjs logs|traces [cases=1000000] [seed=1] [first case=0]. Each case depends on seed and number
// alone. Prints what became of the cases, the slowest one and the most memory held; exits with 1 if one got no clear answer.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
// As deep in the tree as the source, which reads examples beside itself.
const folder = join(root, 'dist', `fuzz-${process.pid}`);
mkdirSync(folder, { recursive: true });
const bundle = join(folder, 'main.mjs');
await build({
  absWorkingDir: root,
  entryPoints: ['test/fuzz/main.ts'],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  logLevel: 'warning',
  external: ['msgpackr-extract'],
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
const { status } = spawnSync(process.execPath, [bundle, ...process.argv.slice(2)], { stdio: 'inherit' });
rmSync(folder, { recursive: true, force: true });
process.exitCode = status ?? 1;
