// A whole campaign in a worker, watched from outside: `scripts/fuzz.mjs` runs it. A case that takes too long, or memory that
// grows beyond the bound, ends it with the number of the case.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { Tally } from './campaign.js';
import { newTally, runCase } from './campaign.js';
import { TARGETS } from './targets.js';

/** Milliseconds that one case may take. */
const CASE_MAX = 10_000;
/** Bytes that the whole process may hold. */
const MEMORY_MAX = 1.5 * 2 ** 30;
/** Cases between looks at the clock by the worker. */
const REPORT = 5000;

interface Job {
  readonly target: string;
  readonly seed: number;
  readonly from: number;
  readonly cases: number;
  /** [0]: the case under way. */
  readonly progress: Int32Array;
}

function work({ target, seed, from, cases, progress }: Job): void {
  const tally = newTally();
  const found = TARGETS[target]!();
  for (let number = from; number < from + cases; number++) {
    Atomics.store(progress, 0, number);
    runCase(found, seed, number, tally);
    if ((number - from) % REPORT === REPORT - 1) parentPort?.postMessage({ tally, done: false }, []);
  }
  parentPort?.postMessage({ tally, done: true }, []);
}

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

function watch(target: string, cases: number, seed: number, from: number): void {
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const job: Job = { target, seed, from, cases, progress };
  const worker = new Worker(new URL(import.meta.url), { workerData: job });
  const begun = performance.now();
  let last = { number: -1, since: begun };
  let peak = 0;
  let tally: Tally | null = null;

  const end = (problem: string | null): never => {
    const seconds = (performance.now() - begun) / 1000;
    process.stdout.write(
      `${JSON.stringify({ target, seed, from, problem, seconds: Math.round(seconds), peakMiB: mib(peak), ...tally }, null, 2)}\n`,
    );
    process.exit(problem === null && tally?.failures.length === 0 ? 0 : 1);
  };
  const timer = setInterval(() => {
    const number = Atomics.load(progress, 0);
    const now = performance.now();
    if (number !== last.number) last = { number, since: now };
    else if (now - last.since > CASE_MAX) end(`case ${number} takes more than ${CASE_MAX / 1000} s`);
    const { rss } = process.memoryUsage();
    peak = Math.max(peak, rss);
    if (rss > MEMORY_MAX) end(`about case ${number}, ${mib(rss)} MiB are in use`);
  }, 50);
  worker.on('message', (message: { tally: Tally; done: boolean }) => {
    ({ tally } = message);
    if (!message.done) {
      process.stderr.write(`\r${target}: ${tally.cases} cases, ${tally.failures.length} failures`);
      return;
    }
    clearInterval(timer);
    process.stderr.write('\n');
    end(null);
  });
  worker.on('error', (error) => end(`about case ${Atomics.load(progress, 0)}: ${error.message}`));
}

if (isMainThread) {
  const [target = '', cases = '1000000', seed = '1', from = '0'] = process.argv.slice(2);
  if (!Object.hasOwn(TARGETS, target)) {
    process.stderr.write(
      `usage: node scripts/fuzz.mjs ${Object.keys(TARGETS).join('|')} [cases] [seed] [first case]\n`,
    );
    process.exit(2);
  }
  watch(target, Number(cases), Number(seed), Number(from));
} else work(workerData as Job);
