// Writes docs/uffd-matrix.md: node scripts/uffd-matrix.mjs. Asks the running kernel (root, Linux on x86-64); exits with 1 if it differs.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { status } = spawnSync('npx', ['vitest', 'run', 'test/oracle/uffd-matrix.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, UPDATE_DOCS: '1' },
});
process.exitCode = status ?? 1;
