// Generated workloads without what sleeping tasks were to do: who waits for a monitor, and for how long, only a run tells.
import type { Behaviours } from '../../kernel/behaviours.js';
import type { MachineSettings } from '../../kernel/kernel.js';
import { InputError } from '../../lib/errors.js';
import { Run } from '../../sched/run.js';
import type { Operation } from '../../workload/operation.js';
import { ARENA_END } from './generate/places.js';

/** `operations` but for those that make no sense: of tasks that sleep, and what needs one of these. All of a workload without a userfaultfd. */
export function awake(
  operations: readonly Operation[],
  behaviours: Behaviours,
  machine: MachineSettings,
): readonly Operation[] {
  if (!operations.some(({ name }) => name === 'userfaultfd')) return operations;
  const run = new Run({ behaviours, machine: { ...machine, mmapBase: ARENA_END }, recorded: false, lenient: true });
  return operations.filter((operation) => {
    try {
      run.execute(operation);
      return true;
    } catch (error) {
      if (error instanceof InputError) return false;
      throw error;
    }
  });
}
