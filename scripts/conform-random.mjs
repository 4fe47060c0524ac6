// Three fuzzing runs with seeds nobody chose: node scripts/conform-random.mjs [--workloads N] [--areas LIST]
// Prints each seed before its run, so that a mismatch can be had again. Exits with 1 if any run differs.
import { randomInt } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { workloads: { type: 'string', default: '2000' }, areas: { type: 'string', default: 'cow,mmap' } },
});
const command = fileURLToPath(new URL('../dist/folioscope.js', import.meta.url));
let worst = 0;
for (let run = 0; run < 3; run++) {
  const seed = randomInt(2 ** 31);
  process.stdout.write(`seed ${seed}\n`);
  const args = [command, 'conform', '--fuzz', values.workloads, '--seed', String(seed), '--areas', values.areas, '-q'];
  // Observations of huge pages are many small objects that live for one operation: the young generation is to hold them.
  const { status } = spawnSync(process.execPath, ['--max-semi-space-size=32', ...args], { stdio: 'inherit' });
  worst = Math.max(worst, status ?? 1);
}
process.exitCode = worst;
