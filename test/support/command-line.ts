// The command line as a program of its own in a temporary folder: tests of it do not disturb each other or what is in dist/.
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = new URL('../../', import.meta.url).pathname;
const AGENT = join(root, 'src/oracle/agent');

/** A folder that everybody may read, with the program in it; the caller removes it. */
export async function bundledProgram(): Promise<{ readonly folder: string; readonly program: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'folioscope-program-'));
  chmodSync(folder, 0o755);
  await build({
    absWorkingDir: root,
    entryPoints: { folioscope: 'src/cli/main.ts' },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'error',
    external: ['msgpackr-extract'],
    banner: { js: "import { createRequire as __c } from 'node:module'; const require = __c(import.meta.url);" },
  });
  mkdirSync(join(folder, 'agent'));
  for (const name of readdirSync(AGENT).filter((each) => /\.[ch]$/.test(each)))
    copyFileSync(join(AGENT, name), join(folder, 'agent', name));
  return { folder, program: join(folder, 'folioscope.mjs') };
}
