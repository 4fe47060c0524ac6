// Generated workloads without what tasks were to do that sleep, or that a fork did not make: only a run tells who waits for a monitor and for how long, and
// whether the pool had a page to copy.
import type { Behaviours } from '../../kernel/behaviours.js';
import { SLEEPS_WITH_PAGES } from '../../kernel/madvise.js';
import type { MachineSettings } from '../../kernel/kernel.js';
import { InputError } from '../../lib/errors.js';
import { Run } from '../../sched/run.js';
import type { Operation } from '../../workload/operation.js';
import { NO_RESULT, isStruct, isText } from '../../workload/operation.js';
import { ARENA_END } from './generate/places.js';

/** May tasks sleep, or forks fail for want of a huge page? */
function mayStop(operations: readonly Operation[]): boolean {
  const pool = operations.some(({ name, args: [file = null] }) => {
    return name === 'sysfs' && file !== null && isText(file) && file.text.startsWith('hugepages/');
  });
  return operations.some(({ name }) => name === 'userfaultfd' || (pool && name === 'io_uring_register'));
}

/**
 * `operations` but for those that make no sense: of tasks that sleep or were never made, what needs one of these, and discarding in the one way that is
 * refused. All of a workload where neither can
 * happen.
 */
export function awake(
  operations: readonly Operation[],
  behaviours: Behaviours,
  machine: MachineSettings,
): readonly Operation[] {
  if (!mayStop(operations)) return operations;
  const forks = operations.some(hearsOfForks);
  const run = new Run({ behaviours, machine: { ...machine, mmapBase: ARENA_END }, recorded: false, lenient: true });
  return operations.flatMap((each) => {
    // A fork that a monitor is told of tells its number when it has come to its end.
    const operation = forks && isFork(each) ? { ...each, result: NO_RESULT } : each;
    try {
      const refused = run.notModelled.get(SLEEPS_WITH_PAGES) ?? 0;
      const got = run.execute(operation);
      if ((run.notModelled.get(SLEEPS_WITH_PAGES) ?? 0) > refused) return [];
      return [operation === each || got === null || !('waits' in got) ? operation : { ...operation, unfinished: true }];
    } catch (error) {
      if (error instanceof InputError) return [];
      throw error;
    }
  });
}

const UFFD_FEATURE_EVENT_FORK = 2;
const isFork = ({ name }: Operation): boolean => name === 'fork' || name.startsWith('clone');

/** Is it a handshake of a userfaultfd that is to hear of forks? */
function hearsOfForks({ name, args: [, , api = null] }: Operation): boolean {
  if (name !== 'ioctl' || api === null || !isStruct(api)) return false;
  const { features } = api.fields;
  return typeof features === 'number' && (features & UFFD_FEATURE_EVENT_FORK) !== 0;
}
