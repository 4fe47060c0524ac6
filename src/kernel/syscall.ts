// From a call to kernel code: one table of handlers, by the name the call has in a workload.
import { InputError, NotModelledError } from '../lib/errors.js';
import { isNameRef } from '../workload/operation.js';
import type { Call, Got, Handler } from './call.js';
import { ACCESS_CALLS } from './calls/access.js';
import { FILE_CALLS } from './calls/files.js';
import { GUP_CALLS } from './calls/gup.js';
import { KHUGEPAGED_CALLS } from './calls/khugepaged.js';
import { KSM_CALLS } from './calls/ksm.js';
import { MEMORY_CALLS } from './calls/memory.js';
import { MIGRATE_CALLS } from './calls/migrate.js';
import { PAGE_CACHE_CALLS } from './calls/page-cache.js';
import { PROCESS_CALLS } from './calls/process.js';
import { doGroupExit } from './exit.js';
import { USERFAULTFD_CALLS } from './calls/userfaultfd.js';
import type { Kernel, KernelThread } from './kernel.js';
import { SIGKILL, currentMm } from './kernel.js';

/** Every call the model knows. A name that is not here is not modelled. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  ...MEMORY_CALLS,
  ...PROCESS_CALLS,
  ...ACCESS_CALLS,
  ...FILE_CALLS,
  ...GUP_CALLS,
  ...MIGRATE_CALLS,
  ...PAGE_CACHE_CALLS,
  ...KHUGEPAGED_CALLS,
  ...KSM_CALLS,
  ...USERFAULTFD_CALLS,
};

/** Is `name` a call the model knows? */
export const isModelled = (name: string): boolean => Object.hasOwn(HANDLERS, name);

/**
 * Runs one call as a kernel thread.
 * @throws NotModelledError for a call or a use of one that is not modelled; InputError for arguments that make no sense.
 */
export function* runCall(k: Kernel, call: Call): KernelThread<Got> {
  const handler = Object.hasOwn(HANDLERS, call.name) ? HANDLERS[call.name] : undefined;
  if (handler === undefined) throw new NotModelledError(call.name);
  for (const value of call.args)
    if (isNameRef(value)) throw new InputError({ line: call.operation.line }, `nothing is called '${value.ref}' yet`);
  const got = yield* handler(k, call);
  // Nobody survives that to see it.
  if (got !== null && 'signal' in got && got.signal === SIGKILL) doGroupExit(k, call.tid);
  return got;
}

/** Does task `tid` have an address space that lost part of its layout to the recorder? */
export const hasForeignLayout = (k: Kernel, tid: number): boolean =>
  (k.view.tasks[tid]?.mm ?? 0) !== 0 && currentMm(k, tid).foreignLayout === 1;
