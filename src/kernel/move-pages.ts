// move_pages(2) on a machine of one node: do_pages_move() and do_pages_stat() of mm/migrate.c. Every page is where it may be wanted, so none moves;
// what can be learnt is which addresses have one.
import { isZeroPte, pteAt, ptePresent, pteSpecial } from '../../reducers/pte.js';
import { mmAt } from '../../reducers/state.js';
import { VM_IO, VM_PFNMAP, vmaLookup } from '../../reducers/vma.js';
import type { Value } from '../workload/operation.js';
import type { Call, Got } from './call.js';
import { badArgument, cIntArg, fromKernel, intArg } from './call.js';
import type { Kernel } from './kernel.js';
import { EFAULT, EINVAL, ENODEV, ENOENT, ESRCH, PAGE_SIZE, currentTask } from './kernel.js';
import { MPOL_MF_MOVE, MPOL_MF_MOVE_ALL } from './mempolicy.js';
import { lruAddDrainAll } from './swap.js';

/** The only node with memory. */
const NODE = 0;

/**
 * `kernel_move_pages()`. Without nodes the statuses say on which node pages are; with them, up to a node that there is not, the same.
 * A status is the node, -ENOENT where nothing is present, -EFAULT for the zero page and where nothing is mapped.
 */
export function doMovePages(k: Kernel, call: Call): Got {
  const [pid, flags] = [cIntArg(call, 0), cIntArg(call, 5, 0)];
  const pages = listOf(call, 2);
  const nodes = call.args[3] === null ? null : listOf(call, 3);
  if (intArg(call, 1) !== pages.length) throw badArgument(call, 1, 'how many pages the list behind it has');
  if (nodes !== null && nodes.length !== pages.length) throw badArgument(call, 3, 'a node for each page, or NULL');
  if ((flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) return fromKernel(-EINVAL);
  const task = pid === 0 ? currentTask(k, call.tid) : k.view.tasks[pid];
  if (task === undefined) return fromKernel(-ESRCH);
  // A zombie has no address space.
  if (task.mm === 0) return fromKernel(-EINVAL);
  // lru_cache_disable()
  if (nodes !== null) lruAddDrainAll(k);
  const statuses: number[] = [];
  for (const [i, addr] of pages.entries()) {
    if (nodes !== null && nodes[i] !== NODE) return fromKernel(-ENODEV);
    statuses.push(statusOf(k, task.mm, addr, nodes !== null));
  }
  return { value: 0, several: statuses };
}

/** Where the page at `addr` is, or a negative errno: `add_folio_for_migration()` (`moves`) or `do_pages_stat_array()`. */
function statusOf(k: Kernel, mm: number, addr: number, moves: boolean): number {
  const vma = vmaLookup(mmAt(k.view, mm), addr);
  if (vma === null || (moves && (vma.flags & (VM_IO | VM_PFNMAP)) !== 0)) return -EFAULT;
  const entry = pteAt(mmAt(k.view, mm), Math.floor(addr / PAGE_SIZE));
  if (isZeroPte(entry)) return -EFAULT;
  return ptePresent(entry) && !pteSpecial(entry) ? NODE : -ENOENT;
}

/** Argument `i` as a list of addresses or numbers, with those beyond 2^53 near enough to be outside of everything. */
function listOf(call: Call, i: number): readonly number[] {
  const value = call.args[i];
  if (!Array.isArray(value)) throw badArgument(call, i, 'a list');
  return value.map((each: Value) => {
    if (each === null) return 0;
    if (typeof each !== 'number' && typeof each !== 'bigint') throw badArgument(call, i, 'a list of numbers');
    return Number(each);
  });
}
