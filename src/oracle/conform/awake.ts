// Generated workloads without what tasks were to do that sleep, or that a fork did not make: only a run tells who waits for a monitor and for how long, and
// whether the pool had a page to copy.
import type { Behaviours } from '../../kernel/behaviours.js';
import type { MachineSettings } from '../../kernel/kernel.js';
import { InputError } from '../../lib/errors.js';
import { Run } from '../../sched/run.js';
import type { Operation } from '../../workload/operation.js';
import { isText } from '../../workload/operation.js';
import { ARENA_END } from './generate/places.js';

/** May tasks sleep, or forks fail for want of a huge page? */
function mayStop(operations: readonly Operation[]): boolean {
  const pool = operations.some(({ name, args: [file = null] }) => {
    return name === 'sysfs' && file !== null && isText(file) && file.text.startsWith('hugepages/');
  });
  return operations.some(({ name }) => name === 'userfaultfd' || (pool && name === 'io_uring_register'));
}

/**
 * `operations` but for those that make no sense: of tasks that sleep or were never made, and what needs one of these. All of a workload where neither can
 * happen.
 */
export function awake(
  operations: readonly Operation[],
  behaviours: Behaviours,
  machine: MachineSettings,
): readonly Operation[] {
  if (!mayStop(operations)) return operations;
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
