// Processes: fork, execve, exit and wait, also in the steps that a recording tells apart.
import { InputError } from '../../lib/errors.js';
import { doClearRefs } from '../clear-refs.js';
import type { Call, Got, Handler } from '../call.js';
import { cIntArg, fieldArg, fromKernel, intArg, textArg } from '../call.js';
import { abandonExec, beginNewExec, bprmMmInit, elfMap, execWithoutLayout, setupArgPages } from '../exec.js';
import { doExit, doGroupExit, finishExit, reap } from '../exit.js';
import { inodeNamed } from '../files.js';
import { CLONE_VFORK, CLONE_VM, copyProcess } from '../fork.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { ECHILD, currentTask } from '../kernel.js';

/** Child of a fork-like call: what the recording tells, else the next number. */
function* childTid(k: Kernel): KernelThread<number> {
  const told = yield { op: 'place', what: 'tid' };
  if (told > 0) return told;
  return Math.max(0, ...Object.keys(k.view.tasks).map(Number)) + 1;
}

function* fork(k: Kernel, call: Call, flags: number): KernelThread<Got> {
  const child = yield* childTid(k);
  const living = k.view.tasks[child];
  if (living !== undefined && living.exited === 0)
    throw new InputError({ line: call.operation.line }, `${call.name} creates task ${child}, which is alive already`);
  if (living !== undefined) reap(k, child);
  const error = yield* copyProcess(k, call.tid, child, flags);
  return error < 0 ? fromKernel(error) : { value: child };
}

/** clone(flags=..), clone(flags, ...), clone3({flags=..}): strace names the argument, other recorders give it first. */
function cloneFlags(call: Call): number {
  const named = fieldArg(call, 'flags');
  if (typeof named === 'number') return named;
  return intArg(call, 0, 0);
}

/** Handlers by name. */
export const PROCESS_CALLS: Readonly<Record<string, Handler>> = {
  *clear_refs(k, call) {
    return fromKernel(yield* doClearRefs(k, cIntArg(call, 0), cIntArg(call, 1)));
  },
  *fork(k, call) {
    return yield* fork(k, call, 0);
  },
  *vfork(k, call) {
    return yield* fork(k, call, CLONE_VM | CLONE_VFORK);
  },
  *clone(k, call) {
    return yield* fork(k, call, cloneFlags(call));
  },
  *clone3(k, call) {
    return yield* fork(k, call, cloneFlags(call));
  },
  *new_task(k, call) {
    return yield* fork(k, call, intArg(call, 1));
  },
  *execve(k, call) {
    if (call.operation.result.kind === 'errno') return { errno: call.operation.result.errno };
    yield* execWithoutLayout(k, call.tid, call.recorded);
    return { value: 0 };
  },
  *bprm_mm_init(k, call) {
    yield* bprmMmInit(k, call.tid, intArg(call, 0), false);
    return null;
  },
  *begin_new_exec(k, call) {
    beginNewExec(k, call.tid);
    return null;
  },
  *free_bprm(k, call) {
    abandonExec(k, call.tid);
    return null;
  },
  *setup_arg_pages(k, call) {
    setupArgPages(k, call.tid, intArg(call, 0), intArg(call, 1));
    return null;
  },
  *elf_map(k, call) {
    const name = textArg(call, 4);
    const inode = name === '' ? 0 : inodeNamed(k, name);
    const [addr, length] = [intArg(call, 0), intArg(call, 1)];
    return fromKernel(
      yield* elfMap(k, call.tid, addr, length, cIntArg(call, 2), cIntArg(call, 3), inode, intArg(call, 5, 0)),
    );
  },
  *exit(k, call) {
    doExit(k, call.tid);
    return null;
  },
  *exit_group(k, call) {
    doGroupExit(k, call.tid);
    return null;
  },
  *exit_mm(k, call) {
    doExit(k, call.tid, true);
    return null;
  },
  *tlb_finish_mmu(k, call) {
    const exitMm = k.view.tasks[intArg(call, 0)]?.exitMm ?? 0;
    const mm = exitMm === 0 ? null : k.view.mms[exitMm];
    if (mm && mm.users === 0) finishExit(k, exitMm);
    return null;
  },
  *exited(k, call) {
    if (currentTask(k, call.tid).exited === 0) doExit(k, call.tid);
    return null;
  },
  *killed(k, call) {
    if (currentTask(k, call.tid).exited === 0) doExit(k, call.tid);
    return null;
  },
  *signal() {
    return null;
  },
  *wait4(k, call) {
    const { result } = call.operation;
    const wanted = cIntArg(call, 0, -1);
    const told = call.recorded && result.kind === 'value' ? Number(result.value) : 0;
    const children = Object.values(k.view.tasks).filter((each) => each.parent === call.tid);
    const zombie =
      told > 0 ? told : children.find((each) => each.exited === 1 && (wanted <= 0 || each.tid === wanted))?.tid;
    if (zombie !== undefined) {
      reap(k, zombie);
      return { value: zombie };
    }
    if (call.recorded) return null;
    if (!children.some((each) => wanted <= 0 || each.tid === wanted)) return fromKernel(-ECHILD);
    throw new InputError(
      { line: call.operation.line },
      `${call.name} would block: no child has exited; write it <unfinished ...>`,
    );
  },
  *waitid(k, call) {
    return yield* PROCESS_CALLS['wait4']!(k, call);
  },
  *reap(k, call) {
    reap(k, intArg(call, 0));
    return null;
  },
};
