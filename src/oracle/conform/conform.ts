// One workload on the model and on the running kernel, compared after every operation.
import type { KernelEvent } from '../../../events/index.js';
import { check } from '../../../projections/query/check.js';
import type { Behaviours } from '../../kernel/behaviours.js';
import type { Got } from '../../kernel/call.js';
import type { MachineSettings } from '../../kernel/kernel.js';
import { Run } from '../../sched/run.js';
import type { Operation } from '../../workload/operation.js';
import { isText } from '../../workload/operation.js';
import { printOperation } from '../../workload/text/print.js';
import type { Agent } from '../agent/agent.js';
import { Translator } from './commands.js';
import type { Difference } from './compare.js';
import { compareObservations } from './compare.js';
import type { Counts } from './compare.js';
import { ARENA_END } from './generate/places.js';
import { KernelSide } from './kernel-side.js';
import { ModelSide } from './model-side.js';
import type { Observation } from './observation.js';
import { withKept } from './observation.js';

/** A step of a workload that both sides can do. */
export interface ModelStep {
  readonly operation: Operation;
  /** The command for the agent. */
  readonly command: string;
  readonly seen: Observation;
  readonly events: readonly KernelEvent[];
}

/** The model's half: everything it shows, and what the agent is to be asked. */
export interface ModelHalf {
  readonly steps: readonly ModelStep[];
  /** Operations that the agent cannot do, by reason: nothing after the first of them is compared. */
  readonly impossible: string | null;
  /** Were there ever fewer reservations of huge pages than none, or some that a page in use still owes? */
  readonly oversold: boolean;
  /** Expectations of the workload that the model does not meet. */
  readonly failed: readonly {
    readonly line: number;
    readonly operation: string;
    readonly expected: string;
    readonly got: string;
  }[];
}

export interface ModelOptions {
  readonly behaviours: Behaviours;
  readonly machine: MachineSettings;
  /** Scratch directory of the agent. */
  readonly directory: string;
}

/** Runs `operations` on the model. @throws InputError, NotModelledError as `run` does. */
export function runModel(operations: readonly Operation[], options: ModelOptions): ModelHalf {
  let events: KernelEvent[] = [];
  let asks = false;
  const side = new ModelSide(() => run.view, usesKsm(operations));
  const run: Run = new Run(
    {
      behaviours: options.behaviours,
      machine: { ...options.machine, mmapBase: ARENA_END },
      recorded: false,
      lenient: false,
      check,
    },
    [
      {
        event: (event) => {
          events.push(event);
          side.event(event);
        },
        endOperation: ({ name, pid, args: [of] }, got) => {
          const slept = of !== undefined && of !== null && typeof of === 'object' && 'word' in of ? of.word : '';
          // A line that asks how it ended is not the end.
          if (name === 'resumed' && !asks) side.resumed(pid ?? 0, slept, got);
        },
      },
    ],
  );
  const translator = new Translator(options.directory, {
    boundTo: (name) => run.boundTo(name),
    child: (operation) => childOf(run, operation),
  });
  const steps: ModelStep[] = [];
  let impossible: string | null = null;
  let before: Observation | null = null;
  let begun = false;
  let oversold = false;
  for (const operation of operations) {
    const command = translator.translate(operation);
    if (command.kind === 'impossible') {
      impossible ??= `line ${operation.line}: ${command.reason}`;
      break;
    }
    events = [];
    if (command.kind === 'command' && !begun) side.begin();
    begun ||= command.kind === 'command';
    asks = operation.name === 'resumed';
    const got = run.execute(operation);
    asks = false;
    oversold ||= run.view.hugetlb.resv < 0 || run.view.hugetlb.restore.length > 0;
    if (side.losesReservations()) {
      impossible ??= `line ${operation.line}: it would leave huge pages reserved for nobody until the machine starts anew`;
      break;
    }
    if (command.kind === 'none') continue;
    if (operation.name === 'inode') noteFile(operation, side, translator);
    // The agent empties all batches after each operation, and looks at all descriptors.
    for (const each of ['lru_add_drain', 'shmem_getattr'])
      run.execute({ line: operation.line, pid: null, name: each, args: [], result: { kind: 'none' } });
    const name = familyOf(operation);
    const known = loaded(operation, got, side, run);
    const seen = withKept(before, side.observe(name, operation.pid ?? 0, known), name);
    steps.push({ operation, command: command.line, seen, events });
    before = seen;
  }
  return { steps, impossible, oversold, failed: run.mismatches };
}

/** Is the workload about KSM? Then it begins anew on the real side, and its counters are compared. */
export const usesKsm = (operations: readonly Operation[]): boolean =>
  operations.some(({ name }) => name === 'ksm_scan' || name === 'ksm_use_zero_pages');

/** Forks are one family however they are called; so are exits, and several scans in one operation (`ksm_scans`). */
function familyOf({ name, args }: Operation): string {
  if (name.startsWith('clone')) return 'fork';
  if (name === 'exit_group') return 'exit';
  return name === 'ksm_scan' && args[0] !== 1 ? 'ksm_scans' : name;
}

function childOf(run: Run, { result }: Operation): number {
  if (result.kind === 'value') return Number(result.value);
  return run.nextTid();
}

function noteFile({ args: [name] }: Operation, side: ModelSide, translator: Translator): void {
  if (name === undefined || name === null || !isText(name)) return;
  const seed = translator.seedOf(name.text);
  if (seed !== undefined) side.madeFile(name.text, seed);
}

/** A load of a file's bytes: the model does not know them, we do. */
function loaded(operation: Operation, got: Got, side: ModelSide, run: Run): Got {
  if (got === null || !('word' in got) || got.word !== 'unknown') return got;
  const [addr = null, length] = operation.args;
  const at =
    typeof addr === 'number'
      ? addr
      : addr !== null && typeof addr === 'object' && 'ref' in addr
        ? (run.boundTo(addr.ref) ?? 0) + addr.add
        : -1;
  const byte = side.loaded(operation.pid ?? 0, at, typeof length === 'number' ? length : 1);
  return byte === -1 ? null : byte === -2 ? { word: 'mixed' } : { value: byte };
}

/** A difference with the place where it arose. */
export interface Mismatch extends Difference {
  readonly line: number;
  readonly operation: string;
  /** Events of the operation on the model. */
  readonly events: readonly KernelEvent[];
}

/** What the kernel showed after each step, up to where its answers end. */
export async function runKernel(half: ModelHalf, agent: Agent): Promise<Observation[]> {
  const commands = half.steps.map(({ command }) => command);
  const start = usesKsm(half.steps.map(({ operation }) => operation)) ? 'start 1' : 'start';
  const [started, ...answers] = await agent.ask([start, ...commands, 'end']);
  const side = new KernelSide();
  side.read(started ?? [], 'start');
  let before: Observation | null = null;
  return half.steps.map(({ operation }, i) => {
    const name = familyOf(operation);
    const seen = withKept(before, side.read(answers[i] ?? [], name), name);
    before = seen;
    return seen;
  });
}

/** The differences of the first step that has any. What comes later follows from it. */
export function firstMismatch(half: ModelHalf, kernel: readonly Observation[], counts: Counts): Mismatch[] {
  let begun = false;
  for (let i = 0; i < half.steps.length; i++) {
    const step = half.steps[i] as ModelStep;
    begun ||= step.operation.pid !== null;
    // On the model the first task is there once it does something.
    if (step.operation.name === 'inode' || !begun) continue;
    const differences = compareObservations(step.seen, kernel[i] as Observation, counts);
    if (differences.length > 0)
      return differences.map((each) => ({
        line: step.operation.line,
        operation: printOperation(step.operation),
        ...each,
        events: step.events,
      }));
  }
  return [];
}
