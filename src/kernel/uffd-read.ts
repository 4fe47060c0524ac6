// What is read of a userfaultfd: messages of those who wait, and who waits for messages. read(2) and poll(2) of fs/userfaultfd.c.
import type { OpenFile } from '../../reducers/state.js';
import { InodeKind } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import type { Call, Got } from './call.js';
import { fromKernel } from './call.js';
import { createInode, installFd } from './files.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EAGAIN, EINVAL } from './kernel.js';
import { UFFD_EVENT_FORK } from './uffd-events.js';
import { UFFD_USER_MODE_ONLY, uffdAt } from './userfault.js';
import { isInitialized, uffdOf } from './userfaultfd.js';

const O_NONBLOCK = 0o4000;
const UFFD_EVENT_PAGEFAULT = 0x12;
/** Bytes of a message. */
const MESSAGE_BYTES = 32;
const POLLIN = 1;
const POLLERR = 8;

/**
 * read(2) of `length` bytes: messages of those who wait, the oldest first, faults before events. Each is four numbers: of a fault event, flags, address and
 * task; of others event and what goes with it.
 */
export function* readMessages(k: Kernel, call: Call, file: OpenFile, length: number): KernelThread<Got> {
  const context = uffdOf(k, file) as UffdView;
  if (!isInitialized(context)) return fromKernel(-EINVAL);
  if (length < MESSAGE_BYTES) return fromKernel(-EINVAL);
  const messages: number[] = [];
  let bytes = 0;
  while (bytes + MESSAGE_BYTES <= length) {
    const message = yield* readMessage(k, call.tid, context.id);
    if (message !== null) {
      messages.push(...message);
      bytes += MESSAGE_BYTES;
    } else if (bytes > 0 || (file.flags & O_NONBLOCK) !== 0) break;
    else yield* waitForMessage(k, call.tid, file);
  }
  return bytes > 0 ? { value: bytes, several: messages } : fromKernel(-EAGAIN);
}

/** `userfaultfd_ctx_read()`: the oldest message; null for none. */
function* readMessage(k: Kernel, tid: number, uffd: number): KernelThread<readonly number[] | null> {
  const [waiter, addr = 0, flags = 0, ptid = 0] = uffdAt(k, uffd).pending;
  if (waiter !== undefined) {
    k.emit({ type: 'UffdFaultRead', uffd, tid: waiter });
    return [UFFD_EVENT_PAGEFAULT, flags, addr, ptid];
  }
  const [changer, event = 0, from = 0, to = 0, len = 0] = uffdAt(k, uffd).events;
  if (changer === undefined) return null;
  const words = event === UFFD_EVENT_FORK ? [yield* resolveUserfaultFork(k, tid, from), 0, 0] : [from, to, len];
  k.emit({ type: 'UffdEventRemoved', uffd, tid: changer, read: 1 });
  return [event, ...words];
}

/** `resolve_userfault_fork()`: whoever reads of the fork gets a descriptor of the child's context, with the flags of the parent's. */
function* resolveUserfaultFork(k: Kernel, tid: number, uffd: number): KernelThread<number> {
  const inode = createInode(k, `anon_inode:[userfaultfd] ${k.view.inodes.length}`, InodeKind.uffd, 0, 0);
  k.emit({ type: 'UffdInodeSet', uffd, inode });
  return yield* installFd(k, tid, inode, uffdAt(k, uffd).flags & ~UFFD_USER_MODE_ONLY);
}

/** Until there is something to read: of several that wait all are woken, and the first takes it. */
export function* waitForMessage(k: Kernel, tid: number, file: OpenFile): KernelThread {
  const { id } = uffdOf(k, file) as UffdView;
  k.emit({ type: 'UffdReaderWaits', uffd: id, tid, count: 1 });
  yield { op: 'wait', tid };
  k.emit({ type: 'UffdReaderWaits', uffd: id, tid, count: -1 });
}

/** poll(2) for POLLIN: what is to be told of it. */
export function pollUserfaultfd(k: Kernel, file: OpenFile): number {
  const context = uffdOf(k, file) as UffdView;
  // Who may sleep in read() cannot rely on what poll() says, and is told so.
  if (!isInitialized(context) || (file.flags & O_NONBLOCK) === 0) return POLLERR;
  return context.pending.length + context.events.length > 0 ? POLLIN : 0;
}
