// read(2) and write(2) between files and user buffers: mm/filemap.c and mm/shmem.c, as far as pages see them.
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { InodeKind, PG_NOT_UPTODATE, cachedPfn, folioHead, pageAt } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { fromKernel, intArg } from './call.js';
import { filePages, grabPage, isTakenAsCached, markDirty, markUptodate, readAheadOfMarked } from './filemap.js';
import { fileArg, isReadable, isWritable, maxBytes, offsetArg, setPosition } from './files.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EBADF, EFAULT, EFBIG, EINVAL, EPERM, PAGE_SIZE, TASK_SIZE, currentTask } from './kernel.js';
import { putPage } from './page-alloc.js';
import { F_SEAL } from './seals.js';
import type { AccessResult } from './memory/fault.js';
import { shmemGetFolio, shmemInfo } from './shmem.js';
import { growTo, isHole, zeroBlock } from './truncate.js';
import {
  copyFromUser,
  copyToUser,
  faultInReadable,
  loadUser,
  meetsMonitor,
  readableAtOnce,
  storeUser,
} from './uaccess.js';

const O_APPEND = 0o2000;
/** `MAX_RW_COUNT`: bytes that one call moves at most. */
const MAX_RW_COUNT = 0x7ffff000;
/** Where pages of a file are not kept track of any more: 1 TiB. */
export const TRACKED_BYTES = 2 ** 40;

/** Bytes whose value the model does not know. */
const UNKNOWN = -1;

/** Bytes of [addr, addr + length) that the kernel had dealt with when it met an address that is none; all of them if it met none. */
export function progress(result: AccessResult | { readonly kind: 'byte' }, addr: number, length: number): number {
  if (result.kind !== 'signal') return length;
  const good = result.addr - addr;
  return good > 0 && good < length ? good : 0;
}

/** The pieces of [offset, offset + length) that lie in one page each: `visit` is given page index, offset in it and length. */
export function* pieces(offset: number, length: number): Generator<readonly [number, number, number]> {
  for (let at = offset; at < offset + length;) {
    const index = Math.floor(at / PAGE_SIZE);
    const stop = Math.min(offset + length, (index + 1) * PAGE_SIZE);
    yield [index, at % PAGE_SIZE, stop - at];
    at = stop;
  }
}

/** Does the call say where its buffer is? strace prints what is in it instead. */
export function isAddress({ args: [, buffer], recorded }: Call): boolean {
  return typeof buffer === 'number' || typeof buffer === 'bigint' || (buffer === null && !recorded);
}

/** A read or write of a hand-written workload that passed the checks that come before any byte is moved. */
export interface Transfer {
  readonly file: OpenFile;
  /** Does the call go on from the file's position, and leave it behind what it moved? */
  readonly positioned: boolean;
  readonly position: number;
  readonly addr: number;
  readonly length: number;
}

/**
 * `ksys_pread64()`, `vfs_read()` and their likes for writing: a negative position, then the descriptor, how it was opened, then the
 * buffer. @returns an errno, negative, if one of them refuses.
 */
export function checkTransfer(k: Kernel, call: Call, allowed: (file: OpenFile) => boolean): Transfer | number {
  const positioned = call.name === 'read' || call.name === 'write';
  const told = positioned ? 0 : offsetArg(call, 3);
  if (told < 0) return -EINVAL;
  const file = fileArg(k, call, 0);
  if (file === null || !allowed(file)) return -EBADF;
  const [addr, wanted] = [intArg(call, 1), intArg(call, 2, 0)];
  if (addr + wanted > TASK_SIZE) return -EFAULT;
  const position = positioned ? (k.view.positions[file.file] ?? 0) : told;
  if (position + wanted >= 2 ** 63) return -EINVAL;
  return { file, positioned, position, addr, length: Math.min(wanted, MAX_RW_COUNT) };
}

/** The call moved `done` of its bytes from `position` on. */
export function moved(k: Kernel, { file, positioned, length }: Transfer, position: number, done: number): Got {
  if (done === 0 && length > 0) return fromKernel(-EFAULT);
  if (positioned) setPosition(k, file, position + done);
  return { value: done };
}

/**
 * read(2), pread64(2): `filemap_read()`, `shmem_file_read_iter()`. The kernel writes to the buffer, page of the file by page, and stops
 * at the end of the file or where the buffer cannot be written to; -EFAULT if that is at once. Holes of shared memory stay holes. Of a
 * recording only that the buffer was written to is followed.
 */
export function* doRead(k: Kernel, call: Call): KernelThread<Got> {
  if (call.recorded) return yield* recordedRead(k, call);
  const transfer = checkTransfer(k, call, isReadable);
  if (typeof transfer === 'number') return fromKernel(transfer);
  const { file, position, addr } = transfer;
  const { size, kind } = k.view.inodes[file.inode] as InodeView;
  const length = size < 0 ? transfer.length : Math.max(0, Math.min(transfer.length, size - position));
  let done = 0;
  for (const [index, offset, bytes] of pieces(position, length)) {
    const from = pageToRead(k, file.inode, index, currentTask(k, call.tid).cpu);
    // The reader has the page meanwhile: seen only where it can sleep.
    const held = from >= 0 && meetsMonitor(k, call.tid, addr + done, bytes);
    if (held && bytes < length && kind === InodeKind.file)
      throw new NotModelledError('read(2) of several pages of a file of a disk into memory that a userfaultfd watches');
    if (held) k.emit({ type: 'FolioGot', pfn: folioHead(k.view, from), ref: 1 });
    const result = yield* copyToUser(k, call.tid, addr + done, bytes, { from, offset });
    if (held) putPage(k, from);
    const good = progress(result, addr + done, bytes);
    done += good;
    if (good < bytes) break;
  }
  return moved(k, { ...transfer, length }, position, done);
}

/** The frame that bytes of page `index` are read from; -1 where shared memory has none that is filled: zeros. */
function pageToRead(k: Kernel, id: number, index: number, cpu: number): number {
  const inode = k.view.inodes[id] as InodeView;
  // `hugetlbfs_read_iter()` makes no pages either.
  if (inode.kind === InodeKind.hugetlbfs) return cachedPfn(inode, index);
  if (inode.kind === InodeKind.shmem) {
    const found = shmemGetFolio(k, id, index, 'read', cpu);
    return typeof found === 'number' ? -1 : found.pfn;
  }
  if (readsAhead(inode, index)) throw new NotModelledError('read-ahead of read(2)');
  readAheadOfMarked(k, id, index);
  const read = grabPage(k, id, index, cpu);
  markUptodate(k, read);
  return read;
}

/** Would reading page `index` bring in others as well? `page_cache_sync_ra()` reads up to so many pages from one that is absent on. */
const READ_AHEAD = 32;
function readsAhead(inode: InodeView, index: number): boolean {
  const isAbsent = (at: number): boolean => cachedPfn(inode, at) < 0 && !isTakenAsCached(inode, at);
  if (inode.size < 0 || !isAbsent(index)) return false;
  for (let at = index + 1; at < Math.min(filePages(inode), index + READ_AHEAD); at++) if (isAbsent(at)) return true;
  return false;
}

function* recordedRead(k: Kernel, call: Call): KernelThread<Got> {
  const wanted = intArg(call, 2, 0);
  if (!isAddress(call)) return null;
  if (wanted === 0) return { value: 0 };
  const addr = intArg(call, 1);
  const done = progress(yield* storeUser(k, call.tid, addr, UNKNOWN, wanted, false), addr, wanted);
  return fromKernel(done === 0 ? -EFAULT : done);
}

/** `generic_write_checks()`: where a write begins. */
export const writePosition = ({ size }: InodeView, { file, position }: Transfer): number =>
  (file.flags & O_APPEND) !== 0 && size >= 0 ? size : position;

/**
 * write(2), pwrite64(2): `generic_file_write_iter()`. The kernel reads the buffer as far as it can, -EFAULT if that is not at all; the
 * file grows to hold it, the pages of the cache change and are dirty.
 */
export function* doWrite(k: Kernel, call: Call): KernelThread<Got> {
  if (call.recorded) return yield* recordedWrite(k, call);
  const transfer = checkTransfer(k, call, isWritable);
  if (typeof transfer === 'number') return fromKernel(transfer);
  const { file, addr, length } = transfer;
  if (length === 0) return { value: 0 };
  const inode = k.view.inodes[file.inode] as InodeView;
  const position = writePosition(inode, transfer);
  const limit = maxBytes(inode);
  if (position >= limit) return fromKernel(-EFBIG);
  if (position + length > TRACKED_BYTES) throw new NotModelledError('pages of a file beyond 1 TiB');
  let done = 0;
  for (const [index, offset, bytes] of pieces(position, Math.min(length, limit - position))) {
    const good = yield* performWrite(k, call.tid, file.inode, { index, offset, bytes, addr: addr + done });
    if (good < 0 && done === 0) return fromKernel(good);
    done += Math.max(good, 0);
    if (good < bytes) break;
  }
  return moved(k, transfer, position, done);
}

/**
 * `generic_perform_write()` for bytes of one page: the page is got ready, what of the buffer is there is copied with faults off, the page
 * committed; then the rest of the buffer is faulted in. A page for which no byte could be had stays, and the file reaches up to it.
 * @returns bytes written; a negative errno if the page cannot be had and none was.
 */
export function* performWrite(
  k: Kernel,
  tid: number,
  inode: number,
  {
    index,
    offset,
    bytes,
    addr,
  }: { readonly index: number; readonly offset: number; readonly bytes: number; readonly addr: number },
): KernelThread<number> {
  for (let done = 0; done < bytes;) {
    const copied = readableAtOnce(k, tid, addr + done, bytes - done);
    const error = commitWrite(k, tid, inode, {
      ...{ index, offset: offset + done, copied, addr: addr + done },
      length: bytes - done,
    });
    if (error !== 0) return done > 0 ? done : error;
    done += copied;
    if (copied === 0 && (yield* faultInReadable(k, tid, addr + done, bytes - done)) === bytes - done) return done;
  }
  return bytes;
}

/** `shmem_write_begin()` and `shmem_write_end()`, `ext4_da_write_begin()` and `ext4_da_write_end()`. Returns 0 or a negative errno. */
function commitWrite(
  k: Kernel,
  tid: number,
  inode: number,
  {
    index,
    offset,
    length,
    copied,
    addr,
  }: {
    readonly index: number;
    readonly offset: number;
    /** What was wanted; `copied` of it could be had. */
    readonly length: number;
    readonly copied: number;
    readonly addr: number;
  },
): number {
  const { size, kind } = k.view.inodes[inode] as InodeView;
  const from = index * PAGE_SIZE + offset;
  const { cpu } = currentTask(k, tid);
  if (kind === InodeKind.shmem) {
    const pfn = shmemWriteBegin(k, inode, index, from + length, cpu);
    if (pfn < 0) return pfn;
    growTo(k, inode, from + copied);
    markUptodate(k, pfn);
    if (copied > 0) copyFromUser(k, tid, addr, copied, pfn, offset);
    markDirty(k, pfn);
    return 0;
  }
  if (from > size) zeroBlock(k, inode, size, cpu, from);
  // A block that is new is zeroed and dirty even so (folio_zero_new_buffers).
  const fresh = isHole(k, k.view.inodes[inode] as InodeView, index);
  growTo(k, inode, from + copied);
  const now = k.view.inodes[inode] as InodeView;
  const absent = cachedPfn(now, index) < 0 && !isTakenAsCached(now, index);
  const pfn = grabPage(k, inode, index, cpu);
  // block_commit_write() of no bytes finds the block that they would have begun in the middle of: it is uptodate, and dirty.
  if (copied > 0 || offset > 0 || !isNotRead(k, pfn, absent, fresh || length === PAGE_SIZE)) markUptodate(k, pfn);
  else if (absent) k.emit({ type: 'FolioUptodateSet', pfn, uptodate: 0 });
  if (copied > 0) copyFromUser(k, tid, addr, copied, pfn, offset);
  if (copied > 0 || offset > 0 || fresh) markDirty(k, pfn);
  return 0;
}

/**
 * Is a page that a write got ready without its bytes still? What is to be overwritten as a whole is not read first, nor is what the disk has nothing
 * of; until bytes come nobody maps it unasked.
 */
const isNotRead = (k: Kernel, pfn: number, absent: boolean, unread: boolean): boolean =>
  unread && (absent || (pageAt(k.view, pfn).flags & PG_NOT_UPTODATE) !== 0);

/** `shmem_write_begin()` of bytes up to `end`, in page `index`: its frame, or a negative errno. Seals are looked at page by page. */
function shmemWriteBegin(k: Kernel, id: number, index: number, end: number, cpu: number): number {
  const seals = shmemInfo(k, id)?.seals ?? 0;
  if ((seals & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) !== 0) return -EPERM;
  if ((seals & F_SEAL.GROW) !== 0 && end > (k.view.inodes[id] as InodeView).size) return -EPERM;
  const found = shmemGetFolio(k, id, index, 'write', cpu, { writeEnd: end });
  return typeof found === 'number' ? found : found.pfn;
}

/** Of a recording the sizes of ordinary files are told by other records, and only shared memory's bytes are followed. */
function* recordedWrite(k: Kernel, call: Call): KernelThread<Got> {
  const known = isAddress(call);
  const addr = known ? intArg(call, 1) : -1;
  const wanted = intArg(call, 2, 0);
  const file = fileArg(k, call, 0);
  if (known && addr + wanted > TASK_SIZE) return fromKernel(-EFAULT);
  let done = wanted;
  if (known && wanted > 0) done = progress(yield* loadUser(k, call.tid, addr, wanted, false), addr, wanted);
  if (file !== null && done > 0 && k.view.inodes[file.inode]?.kind === InodeKind.shmem)
    fillShmem(k, call.tid, file.inode, { position: intArg(call, 3, 0), addr, length: done });
  if (!known) return null;
  return fromKernel(done === 0 && wanted > 0 ? -EFAULT : done);
}

/** What was written goes to the pages of shared memory; `addr` is where it came from, -1 if nobody knows. */
function fillShmem(
  k: Kernel,
  tid: number,
  inode: number,
  { position, addr, length }: { readonly position: number; readonly addr: number; readonly length: number },
): void {
  growTo(k, inode, position + length);
  let at = addr;
  for (const [index, offset, bytes] of pieces(position, length)) {
    const pfn = grabPage(k, inode, index, currentTask(k, tid).cpu);
    if (addr < 0) k.emit({ type: 'PageWritten', pfn, offset, length: bytes, byte: UNKNOWN });
    else copyFromUser(k, tid, at, bytes, pfn, offset);
    markDirty(k, pfn);
    at += bytes;
  }
}
