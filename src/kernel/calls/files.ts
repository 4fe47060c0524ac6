// Descriptors and files, and calls that touch user buffers.
import { InodeKind } from '../../../reducers/state.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Call, Got, Handler } from '../call.js';
import { cIntArg, fromKernel, textArg } from '../call.js';
import { closeFd, createInode, doLseek, dupFd, inodeNamed, installFd } from '../files.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { EBADF, EINVAL, currentTask } from '../kernel.js';
import { doRead, doWrite } from '../read-write.js';
import { doFallocate, doFtruncate, truncateInode } from '../truncate.js';

const O_TRUNC = 0o1000;
const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;

function* open(k: Kernel, call: Call, at: number): KernelThread<Got> {
  const { result } = call.operation;
  if (call.recorded && result.kind === 'errno') return { errno: result.errno };
  const inode = inodeNamed(k, textArg(call, at));
  const flags = cIntArg(call, at + 1, 0);
  // `handle_truncate()`. What a recording opens so is told by the sizes that it sees.
  if (!call.recorded && (flags & O_TRUNC) !== 0 && (k.view.inodes[inode]?.size ?? 0) >= 0)
    truncateInode(k, inode, 0, currentTask(k, call.tid).cpu, false);
  return { value: yield* installFd(k, call.tid, inode, flags) };
}

/** Handlers by name. */
export const FILE_CALLS: Readonly<Record<string, Handler>> = {
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
    const target = cIntArg(call, 1);
    return fromKernel(target < 0 ? -EBADF : yield* dupFd(k, call, target));
  },
  *dup3(k, call) {
    const target = cIntArg(call, 1);
    if (target === cIntArg(call, 0)) return fromKernel(-EINVAL);
    return fromKernel(target < 0 ? -EBADF : yield* dupFd(k, call, target));
  },
  *fcntl(k, call) {
    const command = cIntArg(call, 1);
    if (command !== F_DUPFD && command !== F_DUPFD_CLOEXEC) return null;
    return fromKernel(yield* dupFd(k, call, -1, cIntArg(call, 2, 0)));
  },
  *ftruncate(k, call) {
    return fromKernel(doFtruncate(k, call));
  },
  *fallocate(k, call) {
    return fromKernel(doFallocate(k, call));
  },
  *read(k, call) {
    return yield* doRead(k, call);
  },
  *pread64(k, call) {
    return yield* doRead(k, call);
  },
  *write(k, call) {
    return yield* doWrite(k, call);
  },
  *pwrite64(k, call) {
    return yield* doWrite(k, call);
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
  *lseek(k, call) {
    return call.recorded ? null : fromKernel(doLseek(k, call));
  },
};
