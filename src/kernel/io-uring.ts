// io_uring as far as it pins user pages: registered buffers, and reads and writes of pipes through them. io_uring/rsrc.c, rw.c.
import { HolderKind, InodeKind, folioAt, folioHead, pageAt } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { cIntArg, fromKernel, intArg } from './call.js';
import { createInode, fileArg, installFd, isReadable, isWritable } from './files.js';
import { FOLL_LONGTERM, FOLL_PIN, FOLL_WRITE, getUserPagesFast, pagesIn } from './get-user-pages.js';
import { createHolder, heldAt, heldCount, releaseAt, removeHolder } from './holders.js';
import { iovecs } from './iovec.js';
import { registerRing, unregisterRing } from './io-uring-rings.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EAGAIN, EBADF, EBUSY, EFAULT, EINVAL, ENXIO, EOPNOTSUPP, PAGE_SIZE, currentTask } from './kernel.js';
import type { FillPage, TakePage } from './pipe.js';
import { pipeOf, pipeRead, pipeWrite, wouldWait } from './pipe.js';
import { emitCopy } from './uaccess.js';

const O_NONBLOCK = 0o4000;
const O_RDWR_CLOEXEC = 0o2000002;
const IORING_REGISTER_BUFFERS = 0;
const IORING_UNREGISTER_BUFFERS = 1;
const IORING_REGISTER_PBUF_RING = 22;
const IORING_UNREGISTER_PBUF_RING = 23;
const BUFFERS_MAX = 16384;
const BUFFER_BYTES_MAX = 2 ** 30;
const ENTRIES_MAX = 32768;

/** io_uring_setup(2) without flags. */
export function* doSetup(k: Kernel, call: Call): KernelThread<Got> {
  const entries = intArg(call, 0, 8);
  if (entries === 0 || entries > ENTRIES_MAX) return fromKernel(-EINVAL);
  const inode = createInode(k, `anon_inode:[io_uring ${k.view.inodes.length}]`, InodeKind.ring, 0, 0);
  return { value: yield* installFd(k, call.tid, inode, O_RDWR_CLOEXEC) };
}

/** The inode of the instance behind argument 0, or an errno. */
function ringArg(k: Kernel, call: Call): number {
  const file = fileArg(k, call, 0);
  if (file === null) return -EBADF;
  return k.view.inodes[file.inode]?.kind === InodeKind.ring ? file.inode : -EOPNOTSUPP;
}

/** The holders of the instance's buffers, in order. */
function buffersOf(k: Kernel, ring: number): number[] {
  const found: number[] = [];
  k.view.holders.forEach((holder, id) => {
    if (holder?.kind === HolderKind.buffer && holder.owner === ring) found.push(id);
  });
  return found;
}

/**
 * io_uring_register(2) of rings of provided buffers, and of buffers: `io_sqe_buffers_register()` pins each (FOLL_PIN, FOLL_LONGTERM, FOLL_WRITE), all or none;
 * unregistering gives them back.
 */
export function* doRegister(k: Kernel, call: Call): KernelThread<Got> {
  const ring = ringArg(k, call);
  if (ring < 0) return fromKernel(ring);
  const operation = cIntArg(call, 1);
  if (operation === IORING_REGISTER_PBUF_RING) return fromKernel(registerRing(k, call, ring));
  if (operation === IORING_UNREGISTER_PBUF_RING) return fromKernel(unregisterRing(k, call, ring));
  const known = buffersOf(k, ring);
  if (operation === IORING_UNREGISTER_BUFFERS) {
    if (known.length === 0) return fromKernel(-ENXIO);
    for (const each of known) removeHolder(k, each);
    return { value: 0 };
  }
  if (operation !== IORING_REGISTER_BUFFERS)
    throw new NotModelledError('io_uring_register of other things than buffers and rings of buffers');
  if (known.length > 0) return fromKernel(-EBUSY);
  const count = cIntArg(call, 3, Array.isArray(call.args[2]) ? call.args[2].length : 0);
  if (count <= 0 || count > BUFFERS_MAX) return fromKernel(-EINVAL);
  const vectors = iovecs(call, 2, 3, true);
  if (typeof vectors === 'number') return fromKernel(vectors);
  for (const { base, length } of vectors) {
    const error = yield* registerBuffer(k, call.tid, ring, base, length);
    if (error === 0) continue;
    for (const each of buffersOf(k, ring)) removeHolder(k, each);
    return fromKernel(error);
  }
  return { value: 0 };
}

function* registerBuffer(k: Kernel, tid: number, ring: number, base: number, length: number): KernelThread<number> {
  if (base === 0 || length === 0 || length > BUFFER_BYTES_MAX) return -EFAULT;
  const flags = FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE;
  const holder = createHolder(k, HolderKind.buffer, ring, flags);
  const { mm } = currentTask(k, tid);
  const got = yield* getUserPagesFast(k, { tid, mm, flags, holder }, base, length);
  if (got === pagesIn(base, length)) {
    coalesceBuffer(k, holder);
    return 0;
  }
  removeHolder(k, holder);
  return -EFAULT;
}

/**
 * `io_coalesce_buffer()`: pages of one large folio that follow each other become one segment, with the pin of the first; the other pins are given back,
 * since one keeps the folio. All segments must be of folios of one size, whole but for the first and the last.
 */
function coalesceBuffer(k: Kernel, holder: number): void {
  const segments = segmentsOf(k, holder);
  for (const [at, pages] of segments.entries()) {
    if (pages === 1) continue;
    const first = heldAt(k, holder, at);
    let { length } = first;
    for (let i = 1; i < pages; i++) {
      length += heldAt(k, holder, at + 1).length;
      releaseAt(k, holder, at + 1);
    }
    k.emit({ type: 'HeldBytesChanged', holder, at, offset: first.offset, length });
  }
}

/** `io_check_coalesce_buffer()`: how many pages each segment will have; nothing where all stay as they are. */
function segmentsOf(k: Kernel, holder: number): number[] {
  const { behaviours } = k;
  const count = heldCount(k, holder);
  if (!behaviours['iouring-coalesces-buffers'] || count === 1) return [];
  const pfns = Array.from({ length: count }, (_, i) => heldAt(k, holder, i).pfn);
  const heads = pfns.map((pfn) => folioHead(k.view, pfn));
  const [head, first] = [heads[0] as number, pfns[0] as number];
  if (!behaviours['iouring-coalesce-needs-consecutive']) return heads.every((each) => each === head) ? [count] : [];
  const { order } = pageAt(k.view, head);
  const segments: number[] = [1];
  for (let i = 1; i < count; i++) {
    const pfn = pfns[i] as number;
    const last = segments.length - 1;
    if (heads[i] === heads[i - 1] && pfn === (pfns[i - 1] as number) + 1) {
      segments[last]!++;
      continue;
    }
    // The folio before must have been used up to its end, and this one from its beginning.
    const whole = 2 ** order - (last === 0 ? first - head : 0);
    if (segments[last] !== whole || pfn !== heads[i] || pageAt(k.view, pfn).order !== order) return [];
    segments.push(1);
  }
  return segments.length === 1 || behaviours['iouring-coalesces-several-folios'] ? segments : [];
}

/** Where a byte of a buffer lies in physical memory, and how many of its page follow. */
interface Spot {
  readonly pfn: number;
  readonly offset: number;
  readonly length: number;
}

/** Where `addr` stands in the buffer's segments, each of which is taken to be one piece of physical memory. */
function spotOf(k: Kernel, buffer: number, addr: number): Spot {
  const first = heldAt(k, buffer, 0);
  let skipped = addr - (first.vpn * PAGE_SIZE + first.offset);
  for (let i = 0; ; i++) {
    const { pfn, offset, length } = heldAt(k, buffer, i);
    if (skipped >= length) {
      skipped -= length;
      continue;
    }
    const at = offset + skipped;
    const within = at % PAGE_SIZE;
    const left = Math.min(length - skipped, PAGE_SIZE - within);
    return { pfn: pfn + Math.floor(at / PAGE_SIZE), offset: within, length: left };
  }
}

/** Does somebody have the frame? What a segment reaches beyond its page may be anything. */
const isInUse = (k: Kernel, pfn: number): boolean => pfn < k.view.maxPfn && folioAt(k.view, pfn).ref > 0;

/** `io_import_fixed()`: is [addr, addr + length) inside of the buffer? */
function inside(k: Kernel, buffer: number, addr: number, length: number): boolean {
  const first = heldAt(k, buffer, 0);
  const start = first.vpn * PAGE_SIZE + first.offset;
  let bytes = 0;
  for (let i = 0; i < heldCount(k, buffer); i++) bytes += heldAt(k, buffer, i).length;
  return addr >= start && addr + length <= start + bytes;
}

/**
 * IORING_OP_WRITE_FIXED or READ_FIXED of a pipe, submitted where it need not wait (else -EAGAIN; io_uring waits for pipes, O_NONBLOCK or not): io_uring_write_fixed(U, fd, addr, len, index). The bytes are those
 * of the pinned pages, whatever the page table says.
 */
export function* doFixed(k: Kernel, call: Call, write: boolean): KernelThread<Got> {
  const ring = ringArg(k, call);
  if (ring < 0) return fromKernel(ring);
  const opened = fileArg(k, call, 1);
  // What was begun does not wait for the rest.
  const file = opened === null ? null : { ...opened, flags: opened.flags | O_NONBLOCK };
  const [addr, length, index] = [intArg(call, 2), intArg(call, 3), intArg(call, 4, 0)];
  if (file === null) return fromKernel(-EBADF);
  if (pipeOf(k, file) === 0) throw new NotModelledError(`${call.name} of anything but a pipe`);
  if (!(write ? isWritable(file) : isReadable(file))) return fromKernel(-EBADF);
  if (wouldWait(k, file, write)) return fromKernel(-EAGAIN);
  const buffer = buffersOf(k, ring)[index];
  if (buffer === undefined || !inside(k, buffer, addr, length)) return fromKernel(-EFAULT);
  if (length === 0) return { value: 0 };
  const move = (at: number, bytes: number, pfn: number, offset: number): void => {
    for (let done = 0; done < bytes;) {
      const spot = spotOf(k, buffer, addr + at + done);
      const part = Math.min(spot.length, bytes - done);
      if (!isInUse(k, spot.pfn)) {
        // What is in a free frame nobody knows, and nobody will see what is written there.
        if (write) k.emit({ type: 'PageWritten', pfn, offset: offset + done, length: part, byte: -1 });
      } else if (write) emitCopy(k, pfn, offset + done, spot.pfn, spot.offset, part);
      else emitCopy(k, spot.pfn, spot.offset, pfn, offset + done, part);
      done += part;
    }
  };
  // oxlint-disable-next-line require-yield -- nothing is waited for: the pages are there.
  const through: FillPage & TakePage = function* through(at, bytes, pfn, offset) {
    move(at, bytes, pfn, offset);
    return bytes;
  };
  return fromKernel(
    write ? yield* pipeWrite(k, call, file, length, through) : yield* pipeRead(k, call, file, length, through),
  );
}
