// Kills `run` at random moments and looks at what is left: no log, a whole one, or one that `recover` saves.
// Usage: node scripts/kill-runs.mjs [times=200] [seed=1]. Exits with 1 if anything else was left.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const tool = fileURLToPath(new URL('../dist/folioscope.js', import.meta.url));
const times = Number(process.argv[2] ?? 200);
let seed = Number(process.argv[3] ?? 1);
/** A number in [0, 1): the moments are random, but the same for the same seed. */
const random = () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};

const folder = mkdtempSync(join(tmpdir(), 'folioscope-kill-'));
const bytes = 40_000 * 4096;
const lines = [`1 mmap(NULL, ${bytes}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A`];
for (let i = 0; i < 6; i++) lines.push(`1 store(A, ${i}, ${bytes})`, `1 madvise(A, ${bytes}, MADV_DONTNEED) = 0`);
writeFileSync(join(folder, 'long.fsw'), `${lines.join('\n')}\n`);

const folioscope = (...args) => spawnSync(process.execPath, [tool, ...args], { cwd: folder, encoding: 'utf8' });
const seen = { 'no log': 0, 'whole log': 0, 'recovered in part': 0, 'nothing to recover': 0, wrong: 0 };

/** What is there after one kill. */
function left() {
  if (existsSync(join(folder, 'long.fsl')))
    return folioscope('verify', 'long.fsl').status === 0 ? 'whole log' : 'wrong';
  if (!existsSync(join(folder, 'long.fsl.partial'))) return 'no log';
  const { status } = folioscope('recover', 'long.fsl.partial', '-o', 'saved.fsl', '--json');
  if (status === 1) return existsSync(join(folder, 'saved.fsl')) ? 'wrong' : 'nothing to recover';
  if (status !== 0 && status !== 3) return 'wrong';
  return folioscope('verify', '--deep', 'saved.fsl').status === 0 ? 'recovered in part' : 'wrong';
}

for (let i = 0; i < times; i++) {
  const child = spawn(process.execPath, [tool, 'run', 'long.fsw', '-o', 'long.fsl', '--json'], {
    cwd: folder,
    stdio: 'ignore',
  });
  const ended = new Promise((done) => child.on('exit', done));
  const timer = setTimeout(() => child.kill('SIGKILL'), 60 + random() * 1500);
  await ended;
  clearTimeout(timer);
  seen[left()]++;
  for (const name of ['long.fsl', 'long.fsl.partial', 'saved.fsl', 'saved.fsl.partial'])
    rmSync(join(folder, name), { force: true });
}
rmSync(folder, { recursive: true, force: true });
process.stdout.write(
  `${times} kills: ${Object.entries(seen)
    .map(([what, n]) => `${what} ${n}`)
    .join(', ')}\n`,
);
process.exitCode = seen.wrong === 0 ? 0 : 1;
