// Wrong models that `conform --fuzz` must find: hand-made mutants (test/mutants/mutants.json) and the behaviours of older kernels
// (test/mutants/behaviours.json). Each must be caught within the workloads, be shrunk to at most 8 operations (or what the list says of it), and be its own doing: the model as it is agrees with the
// kernel on the shrunk workload. Needs what `conform` needs. Usage: node scripts/mutants.mjs [--only NAME,..] [--workloads N] [--json].
// Exits with 1 if one survives, with 4 where the kernel cannot be asked.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const OPERATIONS_MAX = 8;
const EXIT_UNABLE = 4;
const AREAS = 'cow,mmap';

/** Which areas show a behaviour of older kernels, which workload of the corpus does, and what no workload of conform can show, and why. */
const BEHAVIOURS = JSON.parse(readFileSync(join(root, 'test/mutants/behaviours.json'), 'utf8'));
const turned = ({ behaviour, turn = 'without' }) => ({
  name: `${turn} ${behaviour}`,
  args: [`--${turn}`, behaviour],
  wrong: `Behaviour ${behaviour} as ${turn === 'with' ? 'it was for a time' : 'before it came'}.`,
});
const OLDER = BEHAVIOURS.found.map((each) => ({ ...turned(each), areas: each.areas, most: each.operations }));
const IN_CORPUS = BEHAVIOURS.corpus.map((each) => ({ ...turned(each), wrong: each.why, file: each.workload }));
/** Held by a run that must find nothing. */
const HIDDEN = BEHAVIOURS.hidden.map((each) => ({ ...turned(each), wrong: each.why, areas: each.areas }));
const ERAS = ['5.8', '5.15', '5.18', '6.1', '6.12'].map((version) => ({
  name: `kernel ${version}`,
  wrong: `The model of Linux ${version}.`,
  args: ['--kernel', version],
}));

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, workloads: { type: 'string' }, json: { type: 'boolean' } },
});
const workloads = options.workloads ?? '2000';
const mutants = JSON.parse(readFileSync(join(root, 'test/mutants/mutants.json'), 'utf8'));
const all = [
  ...mutants.map((mutant) => ({ ...mutant, kind: 'mutant', args: [], most: mutant.operations })),
  ...[...OLDER, ...ERAS].map((each) => ({ ...each, kind: 'older' })),
  ...IN_CORPUS.map((each) => ({ ...each, kind: 'corpus' })),
  ...HIDDEN.map((each) => ({ ...each, kind: 'hidden' })),
];
const wanted = options.only?.split(',');
for (const name of wanted ?? []) if (!all.some((each) => each.name === name)) throw new Error(`no mutant '${name}'`);
const chosen = all.filter(({ name }) => wanted === undefined || wanted.includes(name));

const folder = mkdtempSync(join(tmpdir(), 'folioscope-mutants-'));
let code = 0;
try {
  code = await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = code;

/** The command line with one text of one source replaced; null: as it is. */
async function bundle(mutant) {
  const outdir = mkdtempSync(join(folder, 'dist-'));
  let replaced = mutant === null;
  const replace = {
    name: 'mutant',
    setup(builder) {
      builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (mutant === null || path !== join(root, mutant.file)) return null;
        const parts = readFileSync(path, 'utf8').split(mutant.find);
        if (parts.length !== 2)
          throw new Error(
            `${mutant.name}: '${mutant.find}' occurs ${parts.length - 1} times in ${mutant.file}, not once`,
          );
        replaced = true;
        return { contents: parts.join(mutant.replace), loader: 'ts' };
      });
    },
  };
  await build({
    absWorkingDir: root,
    entryPoints: { folioscope: 'src/cli/main.ts' },
    outdir,
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'silent',
    external: ['msgpackr-extract'],
    banner: { js: "import { createRequire as __c } from 'node:module'; const require = __c(import.meta.url);" },
    plugins: [replace],
  });
  if (!replaced) throw new Error(`${mutant.name}: ${mutant.file} is not part of the program`);
  mkdirSync(join(outdir, 'agent'));
  for (const name of readdirSync(join(root, 'src/oracle/agent')).filter((each) => /\.[ch]$/.test(each)))
    copyFileSync(join(root, 'src/oracle/agent', name), join(outdir, 'agent', name));
  return join(outdir, 'folioscope.js');
}

/** `conform` with `args`: [exit code, what --json printed]. */
function conform(program, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'conform', '--json', '-q', ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status === EXIT_UNABLE) {
    process.stderr.write(stderr);
    rmSync(folder, { recursive: true, force: true });
    process.exit(EXIT_UNABLE);
  }
  if ((status !== 0 && status !== 1) || stdout === '')
    throw new Error(`conform ended with ${status}: ${stderr.trim()}`);
  return [status, JSON.parse(stdout)];
}

/** What a wrong model came to: `{name, kind, wrong, workload, operations, seconds, survived}`; `survived` is null if it was caught. */
async function judge(subject, plain) {
  if (subject.kind === 'corpus') return judgeByCorpus(subject, plain);
  const program = subject.kind === 'mutant' ? await bundle(subject) : plain;
  const out = mkdtempSync(join(folder, 'out-'));
  const fuzz = ['--fuzz', workloads, '--seed', '1', '--areas', subject.areas ?? AREAS, '-o', out, ...subject.args];
  const [, report] = conform(program, fuzz);
  const [found] = report.mismatches;
  const { name, kind, wrong } = subject;
  const result = { name, kind, wrong, workload: found?.number ?? null, operations: found?.operations ?? null };
  return { ...result, seconds: report.seconds, survived: survival(subject, found, program, plain) };
}

/** A workload of the corpus must tell the two apart. */
function judgeByCorpus({ name, kind, wrong, file, args }, plain) {
  const path = join(root, file);
  const [status, report] = conform(plain, [path, ...args]);
  const survived = status !== 1 ? `${file} does not show it` : conform(plain, [path])[0] !== 0 ? `${file} fails` : null;
  return { name, kind, wrong, workload: null, operations: report.operations ?? null, seconds: 0, survived };
}

/** Why a model counts as not caught, or null. */
function survival({ kind, args, most = OPERATIONS_MAX }, found, program, plain) {
  if (kind === 'hidden' && found === undefined) return null;
  if (found === undefined) return `survives ${workloads} workloads`;
  if (found.operations > most) return `shrinks only to ${found.operations} operations`;
  if (conform(plain, [found.file])[0] !== 0) return 'what was found is not its doing: the model as it is differs there';
  if (kind === 'hidden') return 'is seen after all: take it out of HIDDEN';
  const isAssertion = found.differences[0]?.subject === 'model';
  if (!isAssertion && conform(program, [found.file, ...args])[0] !== 1)
    return 'the shrunk workload does not show it alone';
  return null;
}

async function main() {
  const plain = await bundle(null);
  const results = [];
  const line = (name, workload, operations, seconds, wrong) => {
    const cells = [name.padEnd(36), workload.padStart(8), operations.padStart(10), seconds.padStart(8), ` ${wrong}`];
    if (!options.json) process.stdout.write(`${cells.join(' ')}\n`);
  };
  line('wrong model', 'workload', 'operations', 'seconds', '');
  for (const subject of chosen) {
    const result = await judge(subject, plain);
    results.push(result);
    const { name, kind, wrong, workload, operations, seconds, survived } = result;
    const text =
      survived === null
        ? kind === 'hidden'
          ? `cannot be shown: ${wrong}`
          : wrong
        : `NOT AS IT SHOULD BE: ${survived}`;
    line(name, String(workload ?? '-'), String(operations ?? '-'), seconds.toFixed(1), text);
  }
  const survivors = results.filter(({ survived }) => survived !== null);
  if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
  else process.stdout.write(`${results.length - survivors.length} of ${results.length} as they should be\n`);
  return survivors.length === 0 ? 0 : 1;
}
