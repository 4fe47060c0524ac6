// Descriptors and files, and calls that touch user buffers.
import { InodeKind } from '../../../reducers/state.js';
import type { OpenFile } from '../../../reducers/state.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Call, Got, Handler } from '../call.js';
import { cIntArg, fromKernel, intArg, textArg } from '../call.js';
import { directRead, directWrite, isDirect, isRecordedDirect, recordedDirect } from '../direct-io.js';
import { openMem, readMem, writeMem } from '../proc-mem.js';
import { doPipe2, readPipe, writePipe } from '../pipe.js';
import {
  closeFd,
  fileArg,
  createInode,
  doLseek,
  dupFd,
  inodeNamed,
  installFd,
  isWritable,
  offsetArg,
} from '../files.js';
import { releaseUnreachable } from '../fput.js';
import { hasEnd } from '../holders.js';
import { isHugetlbfs } from '../hugetlb/file.js';
import { hugetlbTruncate } from '../hugetlb/truncate.js';
import { hugetlbfsOf, mountHugetlbfs, openInHugetlbfs, umountHugetlbfs } from '../hugetlb/mount.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { memfdAddSeals, memfdCreate, memfdGetSeals } from '../memfd.js';
import { EBADF, EINVAL, ESPIPE, currentTask } from '../kernel.js';
import { doRead, doWrite } from '../read-write.js';
import { shmemRecalcInode } from '../shmem.js';
import { mountTmpfs, openInTmpfs, tmpfsOf } from '../tmpfs.js';
import { doFallocate, doFtruncate, truncateInode } from '../truncate.js';
import { readMessages } from '../uffd-read.js';

const O_TRUNC = 0o1000;
const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

function* open(k: Kernel, call: Call, at: number): KernelThread<Got> {
  const { result } = call.operation;
  if (call.recorded && result.kind === 'errno') return { errno: result.errno };
  const name = textArg(call, at);
  const flags = cIntArg(call, at + 1, 0);
  const mem = call.recorded ? 0 : openMem(k, call, name);
  if (mem !== 0) return mem < 0 ? fromKernel(mem) : { value: yield* installFd(k, call.tid, mem, flags) };
  const sb = call.recorded ? -1 : tmpfsOf(k, name);
  const huge = call.recorded ? -1 : hugetlbfsOf(k.view, name);
  if (huge >= 0) return yield* openHuge(k, call, openInHugetlbfs(k, name, huge, flags), flags);
  const inode = sb < 0 ? inodeNamed(k, name) : openInTmpfs(k, name, sb, flags);
  if (inode < 0) return fromKernel(inode);
  // `handle_truncate()`. What a recording opens so is told by the sizes that it sees.
  if (!call.recorded && (flags & O_TRUNC) !== 0 && (k.view.inodes[inode]?.size ?? 0) >= 0)
    truncateInode(k, inode, 0, currentTask(k, call.tid).cpu, false);
  return { value: yield* installFd(k, call.tid, inode, flags) };
}

/** A file of hugetlbfs, or the errno that opening it gave. */
function* openHuge(k: Kernel, call: Call, inode: number, flags: number): KernelThread<Got> {
  if (inode < 0) return fromKernel(inode);
  if ((flags & O_TRUNC) !== 0) hugetlbTruncate(k, inode, 0);
  return { value: yield* installFd(k, call.tid, inode, flags) };
}

/** What the descriptor of a read or write leads to decides who does it: `file->f_op`. */
function* transfer(k: Kernel, call: Call, write: boolean): KernelThread<Got> {
  if (isRecordedDirect(k, call)) return yield* recordedDirect(k, call, write);
  const file = call.recorded ? null : fileArg(k, call, 0);
  const kind = file === null ? undefined : k.view.inodes[file.inode]?.kind;
  const positioned = call.name.startsWith('p');
  if (file !== null && kind === InodeKind.pipe) {
    if (positioned) return fromKernel(-ESPIPE);
    return write ? yield* writePipe(k, call, file) : yield* readPipe(k, call, file);
  }
  // hugetlbfs has no write.
  if (file !== null && kind === InodeKind.hugetlbfs && write) return fromKernel(isWritable(file) ? -EINVAL : -EBADF);
  if (file !== null && kind === InodeKind.uffd) {
    if (positioned) return fromKernel(-ESPIPE);
    return write ? fromKernel(-EBADF) : yield* readUserfaultfd(k, call, file);
  }
  if (kind === InodeKind.ring) return fromKernel(positioned ? -ESPIPE : -EINVAL);
  if (file !== null && kind === InodeKind.mem)
    return write ? yield* writeMem(k, call, file) : yield* readMem(k, call, file);
  if (file !== null && isDirect(k, file)) return write ? yield* directWrite(k, call) : yield* directRead(k, call);
  return write ? yield* doWrite(k, call) : yield* doRead(k, call);
}

/** What is read is told as numbers; the buffer is not the workload's. @throws NotModelledError for a buffer that is. */
function* readUserfaultfd(k: Kernel, call: Call, file: OpenFile): KernelThread<Got> {
  if (typeof call.args[1] === 'number') throw new NotModelledError('messages of userfaultfd in memory of the workload');
  const got = yield* readMessages(k, call, file, intArg(call, 2, 0));
  // Somebody may have closed it meanwhile.
  releaseUnreachable(k, file.inode, currentTask(k, call.tid).cpu);
  return got;
}

/** @throws NotModelledError for a call on something that is no file with pages. */
function filesOnly(k: Kernel, call: Call): void {
  const file = call.recorded ? null : fileArg(k, call, 0);
  if (file !== null && (k.view.inodes[file.inode]?.kind ?? 0) >= InodeKind.pipe)
    throw new NotModelledError(`${call.name} of a pipe, an io_uring instance, a userfaultfd or /proc/PID/mem`);
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
    const name = textArg(call, 0);
    const inode = call.recorded
      ? createInode(k, `/memfd:${name} ${k.view.inodes.length}`, InodeKind.shmem, 0, 0)
      : memfdCreate(k, name, cIntArg(call, 1, 0));
    return inode < 0 ? fromKernel(inode) : { value: yield* installFd(k, call.tid, inode, 2) };
  },
  // Mounts: of tmpfs and hugetlbfs alone.
  *mount(k, call) {
    if (call.recorded) return null;
    const options = call.args[4] === undefined || call.args[4] === null ? '' : textArg(call, 4);
    if (textArg(call, 2) === 'hugetlbfs' && cIntArg(call, 3, 0) === 0)
      return fromKernel(mountHugetlbfs(k, textArg(call, 1), options));
    if (textArg(call, 2) !== 'tmpfs') throw new NotModelledError(`mount of ${textArg(call, 2)}`);
    if (cIntArg(call, 3, 0) !== 0) throw new NotModelledError('mount with flags');
    return fromKernel(mountTmpfs(k, textArg(call, 1), options));
  },
  *umount2(k, call) {
    if (call.recorded) return null;
    const name = textArg(call, 0);
    if (cIntArg(call, 1, 0) !== 0) throw new NotModelledError('umount2 with flags');
    if (k.view.tmpfs.some((each) => each.name === name)) throw new NotModelledError('umount2 of a tmpfs');
    return fromKernel(umountHugetlbfs(k, name));
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
    if (!call.recorded && (command === F_ADD_SEALS || command === F_GET_SEALS)) {
      const file = fileArg(k, call, 0);
      if (file === null) return fromKernel(-EBADF);
      return fromKernel(command === F_GET_SEALS ? memfdGetSeals(k, file) : memfdAddSeals(k, file, cIntArg(call, 2, 0)));
    }
    if (command !== F_DUPFD && command !== F_DUPFD_CLOEXEC) return null;
    return fromKernel(yield* dupFd(k, call, -1, cIntArg(call, 2, 0)));
  },
  *ftruncate(k, call) {
    const file = call.recorded ? null : fileArg(k, call, 0);
    if (file !== null && isHugetlbfs(k.view, file.inode)) {
      const size = offsetArg(call, 1);
      return fromKernel(size < 0 || !isWritable(file) ? -EINVAL : hugetlbTruncate(k, file.inode, size));
    }
    filesOnly(k, call);
    return fromKernel(doFtruncate(k, call));
  },
  *fallocate(k, call) {
    const file = call.recorded ? null : fileArg(k, call, 0);
    if (file === null || !isHugetlbfs(k.view, file.inode)) filesOnly(k, call);
    return fromKernel(doFallocate(k, call));
  },
  // stat(2) of whatever a descriptor leads to: what reclaim dropped of files in memory is counted.
  *shmem_getattr(k) {
    for (const id of Object.keys(k.view.shmem).map(Number))
      if (hasEnd(k, id, () => true)) shmemRecalcInode(k, id, 0, 0);
    return null;
  },
  *read(k, call) {
    return yield* transfer(k, call, false);
  },
  *pread64(k, call) {
    return yield* transfer(k, call, false);
  },
  *write(k, call) {
    return yield* transfer(k, call, true);
  },
  *pwrite64(k, call) {
    return yield* transfer(k, call, true);
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
  // Who writes into a pipe of a recording may not be in it: its bytes are not followed there.
  *pipe(k, call) {
    return call.recorded ? null : yield* doPipe2(k, call, call.args.length);
  },
  *pipe2(k, call) {
    return call.recorded ? null : yield* doPipe2(k, call, call.args.length - 1);
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
