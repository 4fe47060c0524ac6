// Pipes: their buffers hold pages, own ones that write(2) filled or those of processes that vmsplice(2) gave them. fs/pipe.c and the part of
// fs/splice.c that feeds user pages. What is read are the bytes of the page as they are then.
import type { OpenFile } from '../../reducers/state.js';
import { HolderKind, InodeKind } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { cIntArg, fromKernel, intArg } from './call.js';
import { createInode, fileArg, installFd, isReadable, isWritable } from './files.js';
import { FOLL_GET, getUserPagesFast } from './get-user-pages.js';
import { createHolder, hasEnd, heldAt, heldCount, holderOf, keepAllocated, releaseAt } from './holders.js';
import { iovecs } from './iovec.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EAGAIN, EBADF, EFAULT, EINVAL, EPIPE, PAGE_SIZE, TASK_SIZE, currentTask } from './kernel.js';
import { allocPage, putPage } from './page-alloc.js';
import { progress } from './read-write.js';
import { copyFromUserFaulting, copyToUser } from './uaccess.js';

const O_RDONLY = 0;
const O_WRONLY = 1;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
/** `PIPE_DEF_BUFFERS`. */
const PIPE_BUFFERS = 16;
const SPLICE_F_NONBLOCK = 2;
const SPLICE_F_ALL = 0xf;
/** Pages that `iov_iter_get_pages2()` is asked for at a time. */
const PAGES_AT_ONCE = 16;

/** pipe2(2): two descriptors, the reading end first. A workload that writes `pipe2([3, 4], 0)` is told which by the model all the same. */
export function* doPipe2(k: Kernel, call: Call, flagsAt: number): KernelThread<Got> {
  const flags = cIntArg(call, flagsAt, 0);
  if ((flags & ~(O_NONBLOCK | O_CLOEXEC)) !== 0) return fromKernel(-EINVAL);
  const inode = createInode(k, `pipe:[${k.view.inodes.length}]`, InodeKind.pipe, 0, 0);
  createHolder(k, HolderKind.pipe, inode, 0);
  const reading = yield* installFd(k, call.tid, inode, flags | O_RDONLY);
  const writing = yield* installFd(k, call.tid, inode, flags | O_WRONLY);
  return { value: 0, several: [reading, writing] };
}

/** Who holds the buffers of the pipe behind `file`; 0 if it is none. */
export const pipeOf = (k: Kernel, { inode }: OpenFile): number =>
  k.view.inodes[inode]?.kind === InodeKind.pipe ? holderOf(k, HolderKind.pipe, inode) : 0;

/** The call waits for somebody else to act. What it moved before stays moved. */
const wouldBlock = (call: Call): NotModelledError =>
  new NotModelledError(`${call.name} that waits for the other end of a pipe`);

/** `pipe_poll()`: is there nothing to read, or no room to write, and somebody at the other end who may change that? */
export function wouldWait(k: Kernel, file: OpenFile, write: boolean): boolean {
  const buffers = heldCount(k, pipeOf(k, file));
  if (write) return buffers >= PIPE_BUFFERS && hasEnd(k, file.inode, isReadable);
  return buffers === 0 && hasEnd(k, file.inode, isWritable);
}

/** Where bytes for a pipe come from: `copy_page_from_iter()`. Gives how many of `length` bytes, from byte `at` on, came to `pfn`. */
export type FillPage = (at: number, length: number, pfn: number, offset: number) => KernelThread<number>;

/** Where bytes of a pipe go: `copy_page_to_iter()`. Gives how many of them arrived. */
export type TakePage = (at: number, length: number, pfn: number, offset: number) => KernelThread<number>;

/** `anon_pipe_write()` of `length` bytes. @returns how many, or an errno. */
export function* pipeWrite(
  k: Kernel,
  call: Call,
  file: OpenFile,
  length: number,
  fill: FillPage,
): KernelThread<number> {
  const pipe = pipeOf(k, file);
  if (length === 0) return 0;
  // SIGPIPE, and what the program makes of it, is a line of its own.
  if (!hasEnd(k, file.inode, isReadable)) return -EPIPE;
  let done = 0;
  const last = heldCount(k, pipe) - 1;
  const tail = length % PAGE_SIZE;
  // The rest that fills no page goes behind what the last write left, if that was a write.
  if (last >= 0 && tail > 0) {
    const { pfn, mm, offset, length: has } = heldAt(k, pipe, last);
    if (mm === 0 && offset + has + tail <= PAGE_SIZE) {
      if ((yield* fill(0, tail, pfn, offset + has)) < tail) return -EFAULT;
      k.emit({ type: 'HeldBytesChanged', holder: pipe, at: last, offset, length: has + tail });
      done = tail;
    }
  }
  while (done < length) {
    if (heldCount(k, pipe) >= PIPE_BUFFERS) {
      if ((file.flags & O_NONBLOCK) !== 0) return done === 0 ? -EAGAIN : done;
      throw wouldBlock(call);
    }
    const bytes = Math.min(PAGE_SIZE, length - done);
    const pfn = allocPage(k);
    if ((yield* fill(done, bytes, pfn, 0)) < bytes) {
      putPage(k, pfn);
      return done === 0 ? -EFAULT : done;
    }
    keepAllocated(k, pipe, pfn, bytes);
    done += bytes;
  }
  return done;
}

/** `anon_pipe_read()` of at most `length` bytes. @returns how many, 0 at the end, or an errno. */
export function* pipeRead(k: Kernel, call: Call, file: OpenFile, length: number, take: TakePage): KernelThread<number> {
  const pipe = pipeOf(k, file);
  let done = 0;
  while (done < length) {
    if (heldCount(k, pipe) === 0) {
      if (done > 0 || !hasEnd(k, file.inode, isWritable)) return done;
      if ((file.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      throw wouldBlock(call);
    }
    const { pfn, offset, length: has } = heldAt(k, pipe, 0);
    const bytes = Math.min(has, length - done);
    if ((yield* take(done, bytes, pfn, offset)) < bytes) return done === 0 ? -EFAULT : done;
    done += bytes;
    if (bytes === has) releaseAt(k, pipe, 0);
    else k.emit({ type: 'HeldBytesChanged', holder: pipe, at: 0, offset: offset + bytes, length: has - bytes });
  }
  return done;
}

/** write(2) to a pipe. */
export function* writePipe(k: Kernel, call: Call, file: OpenFile): KernelThread<Got> {
  if (!isWritable(file)) return fromKernel(-EBADF);
  const [addr, length] = [intArg(call, 1), intArg(call, 2, 0)];
  if (addr + length > TASK_SIZE) return fromKernel(-EFAULT);
  const fill: FillPage = (at, bytes, pfn, offset) =>
    copyFromUserFaulting(k, call.tid, addr + at, bytes, { pfn, offset });
  return fromKernel(yield* pipeWrite(k, call, file, length, fill));
}

/** read(2) from a pipe. */
export function* readPipe(k: Kernel, call: Call, file: OpenFile): KernelThread<Got> {
  if (!isReadable(file)) return fromKernel(-EBADF);
  const [addr, length] = [intArg(call, 1), intArg(call, 2, 0)];
  if (addr + length > TASK_SIZE) return fromKernel(-EFAULT);
  return fromKernel(yield* pipeRead(k, call, file, length, toUser(k, call.tid, addr)));
}

/** Bytes of a pipe go to [addr, ...). */
function toUser(k: Kernel, tid: number, addr: number): TakePage {
  return function* take(at, length, from, offset) {
    return progress(yield* copyToUser(k, tid, addr + at, length, { from, offset }), addr + at, length);
  };
}

/**
 * vmsplice(2): `vmsplice_to_pipe()` puts the pages themselves into the pipe (FOLL_GET), no bytes are copied; from the reading end
 * `vmsplice_to_user()` is readv(2). A full pipe ends it with what was put in, or -EAGAIN.
 */
export function* doVmsplice(k: Kernel, call: Call): KernelThread<Got> {
  const flags = cIntArg(call, 3, 0);
  if ((flags & ~SPLICE_F_ALL) !== 0) return fromKernel(-EINVAL);
  const file = fileArg(k, call, 0);
  if (file === null) return fromKernel(-EBADF);
  const vectors = iovecs(call, 1, 2);
  if (typeof vectors === 'number') return fromKernel(vectors);
  if (vectors.every(({ length }) => length === 0)) return { value: 0 };
  if (pipeOf(k, file) === 0) return fromKernel(-EBADF);
  if (isReadable(file)) {
    let total = 0;
    for (const { base, length } of vectors) {
      if (total > 0 && heldCount(k, pipeOf(k, file)) === 0) break;
      const got = yield* pipeRead(k, call, file, length, toUser(k, call.tid, base));
      if (got < 0) return total > 0 ? { value: total } : fromKernel(got);
      total += got;
      if (got < length) break;
    }
    return { value: total };
  }
  return fromKernel(yield* vmspliceToPipe(k, call, file, flags));
}

function* vmspliceToPipe(k: Kernel, call: Call, file: OpenFile, flags: number): KernelThread<number> {
  const { tid } = call;
  const pipe = pipeOf(k, file);
  if (!hasEnd(k, file.inode, isReadable)) return -EPIPE;
  if (heldCount(k, pipe) >= PIPE_BUFFERS) {
    if ((flags & SPLICE_F_NONBLOCK) !== 0) return -EAGAIN;
    throw wouldBlock(call);
  }
  const { mm } = currentTask(k, tid);
  const gup = { tid, mm, flags: FOLL_GET, holder: pipe };
  let total = 0;
  for (const { base, length } of iovecs(call, 1, 2) as readonly { base: number; length: number }[])
    for (let at = base; at < base + length;) {
      const had = heldCount(k, pipe);
      const end = Math.min(base + length, (Math.floor(at / PAGE_SIZE) + PAGES_AT_ONCE) * PAGE_SIZE);
      const got = yield* getUserPagesFast(k, gup, at, end - at);
      if (got < 0) return total > 0 ? total : got;
      // What the pipe has no room for is given back.
      while (heldCount(k, pipe) > PIPE_BUFFERS) releaseAt(k, pipe, heldCount(k, pipe) - 1);
      const fit = heldCount(k, pipe) - had;
      for (let i = 0; i < fit; i++) {
        const bytes = heldAt(k, pipe, had + i).length;
        total += bytes;
        at += bytes;
      }
      if (fit < got) return total > 0 ? total : -EAGAIN;
    }
  return total;
}
