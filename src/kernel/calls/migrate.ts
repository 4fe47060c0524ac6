// Calls that move pages to other frames, or take them: mbind(2), and what the machine does on its own.
import { NotModelledError } from '../../lib/errors.js';
import type { Handler } from '../call.js';
import { badArgument, cIntArg, fromKernel, intArg } from '../call.js';
import { PAGE_SIZE, currentTask } from '../kernel.js';
import { MPOL_MF_MOVE_ALL, doMbind } from '../mempolicy.js';
import { doMovePages } from '../move-pages.js';
import { reclaimRange } from '../vmscan.js';

/** Handlers by name. */
export const MIGRATE_CALLS: Readonly<Record<string, Handler>> = {
  *mbind(k, call) {
    const [addr, length, mode] = [intArg(call, 0), intArg(call, 1), cIntArg(call, 2)];
    const nodemask = intArg(call, 3, 0);
    return fromKernel(yield* doMbind(k, call.tid, { addr, length, mode, nodemask, flags: cIntArg(call, 5, 0) }));
  },
  *move_pages(k, call) {
    return doMovePages(k, call);
  },
  *migrate(k, call) {
    const [addr, length] = [intArg(call, 0), intArg(call, 1, PAGE_SIZE)];
    return fromKernel(yield* doMbind(k, call.tid, { addr, length, mode: 0, nodemask: 0, flags: MPOL_MF_MOVE_ALL }));
  },
  *reclaim(k, call) {
    const [addr, length] = [intArg(call, 0), intArg(call, 1, PAGE_SIZE)];
    if (addr % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0) throw badArgument(call, 0, 'whole pages');
    if (call.tid === 0)
      throw new NotModelledError('reclaim by nobody: begin the line with the task whose memory it is');
    const { mm, cpu } = currentTask(k, call.tid);
    yield* reclaimRange(k, mm, addr, addr + length, cpu);
    return null;
  },
};
