// Three fuzzing runs with seeds nobody chose: node scripts/conform-random.mjs [--workloads N] [--areas LIST] [--piece N] [--seeds S,S,..]
// Prints each seed before its run, so that a mismatch can be had again, and what all pieces of it came to. A run goes in pieces, between which others may have
// the machine's settings. Exits with 1 if any run differs.
import { randomInt } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const RUNS = 3;
const { values } = parseArgs({
  options: {
    workloads: { type: 'string', default: '2000' },
    areas: { type: 'string', default: 'cow,mmap' },
    piece: { type: 'string', default: '500' },
    seeds: { type: 'string' },
  },
});
const command = fileURLToPath(new URL('../dist/folioscope.js', import.meta.url));
const workloads = Number(values.workloads);
const piece = Number(values.piece);
const seeds = values.seeds?.split(',').map(Number) ?? Array.from({ length: RUNS }, () => randomInt(2 ** 31));
if (![workloads, piece, ...seeds].every((each) => Number.isSafeInteger(each) && each > 0))
  throw new Error('--workloads, --piece and --seeds take whole numbers');

/** What `conform` found of `count` workloads of the seed, from number `from` on; ends with its exit code if it could not run. */
function run(seed, from, count) {
  const args = ['--fuzz', count, '--seed', seed, '--from', from, '--areas', values.areas, '--json', '-q'].map(String);
  // Observations of huge pages are many small objects that live for one operation: the young generation is to hold them.
  const { status, stdout } = spawnSync(process.execPath, ['--max-semi-space-size=32', command, 'conform', ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0 && status !== 1) process.exit(status ?? 1);
  return JSON.parse(stdout);
}

const add = (sums, counts) => {
  for (const [name, n] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + n;
};
const shown = (n) => Math.round(n).toLocaleString('en-US');

let differs = false;
for (const seed of seeds) {
  process.stdout.write(`seed ${seed}\n`);
  const sums = { workloads: 0, operations: 0, comparisons: 0, seconds: 0 };
  const refused = {};
  let mismatches = 0;
  for (let from = 0; from < workloads && mismatches === 0; from += piece) {
    const report = run(seed, from, Math.min(piece, workloads - from));
    for (const name of Object.keys(sums)) sums[name] += report[name];
    add(refused, report.notModelled);
    mismatches += report.mismatches.length;
    for (const { file, number, differences } of report.mismatches)
      process.stdout.write(`  workload ${number}: ${file}: ${JSON.stringify(differences[0])}\n`);
    const [varying, ...like] = report.varying;
    if (varying !== undefined)
      process.stdout.write(`  varies on the kernel: ${JSON.stringify(varying)} and ${like.length} more\n`);
  }
  process.stdout.write(
    `  areas ${values.areas}: ${shown(sums.workloads)} workloads, ${shown(sums.operations)} operations, ` +
      `${shown(sums.comparisons)} comparisons, ${mismatches} mismatches, ${shown(sums.seconds)} s\n`,
  );
  for (const [what, n] of Object.entries(refused)) process.stdout.write(`  refused, not modelled: ${what}: ${n}\n`);
  differs ||= mismatches > 0;
}
process.exitCode = differs ? 1 : 0;
