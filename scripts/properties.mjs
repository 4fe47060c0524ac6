// Runs the property tests again and again, each round with a seed of its own: node scripts/properties.mjs [ROUNDS]
// Prints each round's seed; the first round that fails ends it, and FAST_CHECK_SEED=... npx vitest run repeats it.
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const rounds = Number(process.argv[2] ?? 10);
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  process.stderr.write(`properties: ROUNDS must be a whole number from 1 on, not "${process.argv[2]}"\n`);
  process.exit(2);
}
const files = readdirSync('test', { recursive: true })
  .map((name) => join('test', String(name)))
  .filter((name) => name.endsWith('.test.ts') && readFileSync(name, 'utf8').includes('fc.assert'));

for (let round = 1; round <= rounds; round++) {
  const seed = randomInt(2 ** 31);
  const { status, stdout } = spawnSync('npx', ['vitest', 'run', '--reporter=dot', ...files], {
    env: { ...process.env, NO_COLOR: '1', FAST_CHECK_SEED: String(seed) },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.stdout.write(`round ${round} of ${rounds}, seed ${seed}: ${status === 0 ? 'passed' : 'FAILED'}\n`);
  if (status === 0) continue;
  process.stdout.write(stdout.replaceAll(/^[·x-]+$/gm, ''));
  process.exit(1);
}
