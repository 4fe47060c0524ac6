// From a call to kernel code: one table of handlers, by the name the call has in a workload.
import { InputError, NotModelledError } from '../lib/errors.js';
import { isNameRef } from '../workload/operation.js';
import type { Call, Got, Handler } from './call.js';
import { badArgument, cIntArg, fieldArg, fromKernel, intArg, listArg, textArg } from './call.js';
import { doExit, doGroupExit, finishExit, reap } from './exit.js';
import { abandonExec, beginNewExec, bprmMmInit, elfMap, execWithoutLayout, setupArgPages } from './exec.js';
import {
  closeFd,
  createInode,
  dupFd,
  extendFile,
  fileArg,
  inodeNamed,
  installFd,
  removeCachedPages,
  truncateInode,
} from './files.js';
import { CLONE_VFORK, CLONE_VM, copyProcess } from './fork.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EBADF, ECHILD, EFAULT, currentMm, currentTask } from './kernel.js';
import { doMadvise } from './madvise.js';
import type { Access } from './memory/fault.js';
import { userFault } from './memory/fault.js';
import { doMincore, doMlock, doMlockall, doMsync, doMunlock, doMunlockall } from './mlock.js';
import { doBrk, doMmap, vmMunmap } from './mmap.js';
import { doMprotect } from './mprotect.js';
import { doMremap } from './mremap.js';
import { drainLruAdd, lruAddDrainAll, lruAddDrainCpu } from './swap.js';
import { loadUser, storeUser, touch } from './uaccess.js';
import type { AccessResult } from './memory/fault.js';
import { InodeKind } from '../../reducers/state.js';

const ACCESS: Readonly<Record<string, Access>> = { R: 'read', W: 'write', X: 'exec', U: 'unshare' };

function accessArg(call: Call, i: number): Access {
  const access = ACCESS[textArg(call, i)];
  if (access === undefined) throw badArgument(call, i, 'R, W, X or U');
  return access;
}

const afterAccess = (result: AccessResult): Got =>
  result.kind === 'done' ? { value: 0 } : { signal: result.signal, code: result.code, addr: result.addr };

const loadedText = (byte: number): Got => (byte >= 0 ? { value: byte } : { word: byte === -1 ? 'unknown' : 'mixed' });

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
  copyProcess(k, call.tid, child, flags);
  return { value: child };
}

/** clone(flags=..), clone(flags, ...), clone3({flags=..}): strace names the argument, other recorders give it first. */
function cloneFlags(call: Call): number {
  const named = fieldArg(call, 'flags');
  if (typeof named === 'number') return named;
  return intArg(call, 0, 0);
}

/** Calls that write to or read from a user buffer (`addr`, `length` at arguments 1 and 2): the kernel touches its pages. */
function* bufferCall(k: Kernel, call: Call, write: boolean): KernelThread<Got> {
  const addr = call.args[1];
  if (typeof addr !== 'number') return null;
  const length = intArg(call, 2, 0);
  if (length === 0) return { value: 0 };
  const result = write
    ? yield* storeUser(k, call.tid, addr, -1, length, false)
    : yield* loadUser(k, call.tid, addr, length, false);
  return result.kind === 'signal' ? fromKernel(-EFAULT) : { value: length };
}

function* writeCall(k: Kernel, call: Call): KernelThread<Got> {
  const got = yield* bufferCall(k, call, false);
  const file = fileArg(k, call, 0);
  const length = intArg(call, 2, 0);
  if (file !== null && k.view.inodes[file.inode]?.kind === InodeKind.shmem)
    extendFile(k, file.inode, intArg(call, 3, 0), length, currentTask(k, call.tid).cpu, true);
  return got;
}

function mlockArgs(call: Call): readonly [number, number] {
  return [intArg(call, 0), intArg(call, 1)];
}

const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;

/** Every call the model knows. A name that is not here is not modelled. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  *mmap(k, call) {
    const flags = cIntArg(call, 3);
    const anonymous = (flags & 0x20) !== 0;
    const file = anonymous ? null : fileArg(k, call, 4);
    const zero = file !== null && k.view.inodes[file.inode]?.name === '/dev/zero' && (flags & 0xf) === 2;
    return fromKernel(
      yield* doMmap(k, call.tid, {
        addr: intArg(call, 0),
        length: intArg(call, 1),
        prot: cIntArg(call, 2),
        flags: zero ? flags | 0x20 : flags,
        file: zero ? null : file,
        offset: intArg(call, 5, 0),
      }),
    );
  },
  *munmap(k, call) {
    return fromKernel(vmMunmap(k, call.tid, intArg(call, 0), intArg(call, 1)));
  },
  *mprotect(k, call) {
    return fromKernel(yield* doMprotect(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *pkey_mprotect(k, call) {
    if (cIntArg(call, 3) !== -1) throw new NotModelledError('protection keys');
    return fromKernel(yield* doMprotect(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *mremap(k, call) {
    return fromKernel(
      yield* doMremap(k, call.tid, {
        addr: intArg(call, 0),
        oldLength: intArg(call, 1),
        newLength: intArg(call, 2),
        flags: cIntArg(call, 3, 0),
        newAddr: intArg(call, 4, 0),
      }),
    );
  },
  *brk(k, call) {
    return fromKernel(yield* doBrk(k, call.tid, intArg(call, 0)));
  },
  *madvise(k, call) {
    return fromKernel(yield* doMadvise(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *mlock(k, call) {
    return fromKernel(yield* doMlock(k, call.tid, ...mlockArgs(call), 0));
  },
  *mlock2(k, call) {
    return fromKernel(yield* doMlock(k, call.tid, ...mlockArgs(call), cIntArg(call, 2)));
  },
  *munlock(k, call) {
    return fromKernel(doMunlock(k, call.tid, ...mlockArgs(call)));
  },
  *mlockall(k, call) {
    return fromKernel(yield* doMlockall(k, call.tid, cIntArg(call, 0)));
  },
  *munlockall(k, call) {
    return fromKernel(doMunlockall(k, call.tid));
  },
  *msync(k, call) {
    return fromKernel(doMsync(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *mincore(k, call) {
    return fromKernel(doMincore(k, call.tid, intArg(call, 0), intArg(call, 1)));
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
    return yield* HANDLERS['wait4']!(k, call);
  },
  *reap(k, call) {
    reap(k, intArg(call, 0));
    return null;
  },

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
    if (currentTask(k, call.tid).cpu !== cpu) k.emit({ type: 'TaskMoved', tid: call.tid, cpu });
    return null;
  },
  *lru_add_drain(k, call) {
    // Without a CPU a task drains its own; the machine drains all.
    if (call.args.length > 0) drainLruAdd(k, intArg(call, 0));
    else if (call.tid !== 0) lruAddDrainCpu(k, currentTask(k, call.tid).cpu);
    else lruAddDrainAll(k);
    return null;
  },

  *open(k, call) {
    return yield* open(k, call, 0);
  },
  *creat(k, call) {
    return yield* open(k, call, 0);
  },
  *openat(k, call) {
    return yield* open(k, call, 1);
  },
  *memfd_create(k, call) {
    const inode = createInode(k, `/memfd:${textArg(call, 0)} ${k.view.inodes.length}`, InodeKind.shmem, 0, 0);
    return { value: yield* installFd(k, call.tid, inode, 2) };
  },
  *close(k, call) {
    const result = closeFd(k, call);
    return result === null ? null : fromKernel(result);
  },
  *dup(k, call) {
    return fromKernel(yield* dupFd(k, call, -1));
  },
  *dup2(k, call) {
    return fromKernel(yield* dupFd(k, call, cIntArg(call, 1)));
  },
  *dup3(k, call) {
    return fromKernel(yield* dupFd(k, call, cIntArg(call, 1)));
  },
  *fcntl(k, call) {
    const command = cIntArg(call, 1);
    if (command !== F_DUPFD && command !== F_DUPFD_CLOEXEC) return null;
    return fromKernel(yield* dupFd(k, call, -1, cIntArg(call, 2, 0)));
  },
  *ftruncate(k, call) {
    const file = fileArg(k, call, 0);
    if (file === null) return fromKernel(-EBADF);
    truncateInode(k, file.inode, intArg(call, 1));
    return { value: 0 };
  },
  *fallocate(k, call) {
    const file = fileArg(k, call, 0);
    if (file === null) return fromKernel(-EBADF);
    if (cIntArg(call, 1) !== 0) throw new NotModelledError('fallocate with a mode');
    const { cpu } = currentTask(k, call.tid);
    return fromKernel(extendFile(k, file.inode, intArg(call, 2), intArg(call, 3), cpu, true));
  },
  *read(k, call) {
    return yield* bufferCall(k, call, true);
  },
  *pread64(k, call) {
    return yield* bufferCall(k, call, true);
  },
  *write(k, call) {
    return yield* writeCall(k, call);
  },
  *pwrite64(k, call) {
    return yield* writeCall(k, call);
  },

  // The kernel remembers addresses that it writes to later; those writes show as faults of their own.
  *set_tid_address() {
    return null;
  },
  *set_robust_list() {
    return null;
  },
  *rseq() {
    return null;
  },
  *pipe() {
    return null;
  },
  *pipe2() {
    return null;
  },
  *prlimit64(_k, call) {
    if (call.args[2] === null || call.args[2] === undefined) return null;
    throw new NotModelledError('changing resource limits (prlimit64)');
  },
  *ioctl(_k, call) {
    // Terminals and sockets are told by their command's name; the commands of userfaultfd are numbers.
    const command = call.args[1];
    if (command === undefined || command === null || typeof command === 'object') return null;
    throw new NotModelledError('ioctl of userfaultfd or pagemap');
  },
  *lseek() {
    return null;
  },

  *inode(k, call) {
    const name = textArg(call, 0);
    if (k.view.inodeByName[name] === undefined)
      createInode(k, name, intArg(call, 1), cIntArg(call, 2), intArg(call, 3, 1));
    return null;
  },
  *inode_size(k, call) {
    const inode = inodeNamed(k, textArg(call, 0));
    const size = intArg(call, 1);
    if (k.view.inodes[inode]?.size !== size) k.emit({ type: 'InodeResized', inode, size });
    return null;
  },
  *cache_holes(k, call) {
    k.emit({ type: 'PageCacheHolesNoted', inode: inodeNamed(k, textArg(call, 0)), runs: [...listArg(call, 1)] });
    return null;
  },
  *cache_add(k, call) {
    // Content the recording does not follow (write, readahead): the pages count as cached from here on.
    const inode = inodeNamed(k, textArg(call, 0));
    const [index, count] = [intArg(call, 1), intArg(call, 2)];
    const { cpu } = call.tid === 0 ? { cpu: 0 } : currentTask(k, call.tid);
    addCachedPages(k, inode, index, count, cpu);
    return null;
  },
  *cache_remove(k, call) {
    const index = intArg(call, 1);
    removeCachedPages(k, inodeNamed(k, textArg(call, 0)), index, index + intArg(call, 2));
    return null;
  },
};

function* open(k: Kernel, call: Call, at: number): KernelThread<Got> {
  const { result } = call.operation;
  if (call.recorded && result.kind === 'errno') return { errno: result.errno };
  const inode = inodeNamed(k, textArg(call, at));
  return { value: yield* installFd(k, call.tid, inode, cIntArg(call, at + 1, 0)) };
}

function addCachedPages(k: Kernel, inode: number, index: number, count: number, cpu: number): void {
  if (k.view.inodes[inode]?.kind === InodeKind.shmem) {
    extendFile(k, inode, index * 4096, count * 4096, cpu, true);
    return;
  }
  // Forgetting a known hole makes the page cached again; its frame comes with the first mapping.
  k.emit({ type: 'PageCacheHolesForgotten', inode, runs: [index, count] });
}

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
  return yield* handler(k, call);
}

/** Does task `tid` have an address space that lost part of its layout to the recorder? */
export const hasForeignLayout = (k: Kernel, tid: number): boolean =>
  (k.view.tasks[tid]?.mm ?? 0) !== 0 && currentMm(k, tid).foreignLayout === 1;
