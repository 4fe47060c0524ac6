// What programs do to memory, and where they run: loads, stores, faults, CPUs, settings.
import { NotModelledError } from '../../lib/errors.js';
import type { Call, Got, Handler } from '../call.js';
import { badArgument, fromKernel, intArg, textArg } from '../call.js';
import { POOL_SETTINGS } from '../hugetlb/pool.js';
import { EFAULT, currentTask } from '../kernel.js';
import type { Access, AccessResult } from '../memory/fault.js';
import { userFault } from '../memory/fault.js';
import { drainLruAdd, lruAddDrainAll, lruAddDrainCpu } from '../swap.js';
import { SWAP_AREA, SWAP_AREAS } from '../swapfile.js';
import { SETTINGS } from '../thp.js';
import { checkShmemSetting } from '../shmem-huge.js';
import { loadUser, storeUser, touch } from '../uaccess.js';

const ACCESS: Readonly<Record<string, Access>> = { R: 'read', W: 'write', X: 'exec', U: 'unshare' };

function accessArg(call: Call, i: number): Access {
  const access = ACCESS[textArg(call, i)];
  if (access === undefined) throw badArgument(call, i, 'R, W, X or U');
  return access;
}

const afterAccess = (result: AccessResult): Got =>
  result.kind === 'done' ? { value: 0 } : { signal: result.signal, code: result.code, addr: result.addr };

const loadedText = (byte: number): Got => (byte >= 0 ? { value: byte } : { word: byte === -1 ? 'unknown' : 'mixed' });

/** CPUs that Linux supports on x86 (NR_CPUS_RANGE_END). */
const CPUS_MAX = 8192;

/** Handlers by name. */
export const ACCESS_CALLS: Readonly<Record<string, Handler>> = {
  *load(k, call) {
    const result = yield* loadUser(k, call.tid, intArg(call, 0), intArg(call, 1, 1));
    return result.kind === 'byte' ? loadedText(result.byte) : afterAccess(result);
  },
  *store(k, call) {
    return afterAccess(yield* storeUser(k, call.tid, intArg(call, 0), intArg(call, 1), intArg(call, 2, 1)));
  },
  *fetch(k, call) {
    return afterAccess(yield* touch(k, call.tid, intArg(call, 0), 'exec', true));
  },
  *fault(k, call) {
    return afterAccess(yield* userFault(k, call.tid, intArg(call, 0), accessArg(call, 1), true));
  },
  *kernel_fault(k, call) {
    const result = yield* userFault(k, call.tid, intArg(call, 0), accessArg(call, 1), false);
    return result.kind === 'done' ? { value: 0 } : fromKernel(-EFAULT);
  },
  *cpu(k, call) {
    const cpu = intArg(call, 0);
    if (cpu >= CPUS_MAX) throw badArgument(call, 0, `a CPU below ${CPUS_MAX}`);
    if (currentTask(k, call.tid).cpu !== cpu) k.emit({ type: 'TaskMoved', tid: call.tid, cpu });
    return null;
  },
  *sysfs(k, call) {
    const [name, value] = [textArg(call, 0), textArg(call, 1)];
    const pool = POOL_SETTINGS[name];
    if (pool !== undefined) {
      if (!/^\d{1,9}$/.test(value)) throw badArgument(call, 1, 'a number of pages');
      pool(k, Number(value));
      return null;
    }
    const setting = SETTINGS[name];
    if (setting === undefined) throw new NotModelledError(`the setting /sys/kernel/mm/${name}`);
    if (!setting.values.includes(value)) throw badArgument(call, 1, `one of ${setting.values.join(', ')}`);
    checkShmemSetting(k, name, value);
    k.emit({ type: 'SettingWritten', name, value });
    return null;
  },
  *swapon(k, call) {
    const area = textArg(call, 0);
    if (!SWAP_AREAS.includes(area)) throw badArgument(call, 0, `one of ${SWAP_AREAS.join(', ')}`);
    if (k.view.swap.length > 0) throw new NotModelledError('another swap area once memory was swapped out');
    k.emit({ type: 'SettingWritten', name: SWAP_AREA, value: area });
    return null;
  },
  *lru_add_drain(k, call) {
    // Without a CPU a task drains its own; the machine drains all.
    if (call.args.length > 0) drainLruAdd(k, intArg(call, 0));
    else if (call.tid !== 0) lruAddDrainCpu(k, currentTask(k, call.tid).cpu);
    else lruAddDrainAll(k);
    return null;
  },
};
