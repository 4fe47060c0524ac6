// read(2) and write(2) between files and user buffers: mm/filemap.c and mm/shmem.c, as far as pages see them.
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { InodeKind, cachedPfn, pageAt } from '../../reducers/state.js';
import { uniformByte } from '../../reducers/content.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { fromKernel, intArg } from './call.js';
import { filemapGetFolio } from './filemap.js';
import { addShmemPage, extendFile, fileArg } from './files.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EBADF, EFAULT, PAGE_SIZE, TASK_SIZE, currentTask } from './kernel.js';
import { markDirty } from './memory/file.js';
import type { AccessResult } from './memory/fault.js';
import { loadUser, storeUser } from './uaccess.js';

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;

/** Bytes whose value the model does not know. */
const UNKNOWN = -1;

/** Bytes of [addr, addr + length) that the kernel had dealt with when it met an address that is none; all of them if it met none. */
function progress(result: AccessResult | { readonly kind: 'byte' }, addr: number, length: number): number {
  if (result.kind !== 'signal') return length;
  const good = result.addr - addr;
  return good > 0 && good < length ? good : 0;
}

/** The pieces of [offset, offset + length) that lie in one page each: `visit` is given page index, offset in it and length. */
function* pieces(offset: number, length: number): Generator<readonly [number, number, number]> {
  for (let at = offset; at < offset + length;) {
    const index = Math.floor(at / PAGE_SIZE);
    const stop = Math.min(offset + length, (index + 1) * PAGE_SIZE);
    yield [index, at % PAGE_SIZE, stop - at];
    at = stop;
  }
}

/** The one byte that a piece of a page of the cache holds, or UNKNOWN. What shared memory has no page for is zeros. */
function cachedByte(k: Kernel, inode: InodeView, index: number, offset: number, length: number): number {
  const pfn = cachedPfn(inode, index);
  if (pfn < 0) return inode.kind === InodeKind.shmem ? 0 : UNKNOWN;
  return Math.max(uniformByte(pageAt(k.view, pfn).content, offset, length), UNKNOWN);
}

/** Does the call say where its buffer is? strace prints what is in it instead. */
function isAddress({ args: [, buffer], recorded }: Call): boolean {
  return typeof buffer === 'number' || typeof buffer === 'bigint' || (buffer === null && !recorded);
}

/** Where a hand-written workload reads or writes: only calls that say it are followed. */
function positionOf(call: Call): number {
  if (call.args[3] === undefined)
    throw new NotModelledError(`${call.name} at the file's position (say it: p${call.name}64)`);
  return intArg(call, 3);
}

/** The file behind the descriptor of a hand-written workload, -EBADF if `refused` is how it was opened. */
function openFile(k: Kernel, call: Call, refused: number): OpenFile | null {
  const file = fileArg(k, call, 0);
  return file === null || (file.flags & O_ACCMODE) === refused ? null : file;
}

/**
 * read(2), pread64(2): the kernel writes to the buffer, page of the file by page, and stops at the end of the file or where the buffer
 * cannot be written to; -EFAULT if that is at once. Of a recording only that the buffer was written to is followed.
 */
export function* doRead(k: Kernel, call: Call): KernelThread<Got> {
  const wanted = intArg(call, 2, 0);
  if (call.recorded) {
    if (!isAddress(call)) return null;
    if (wanted === 0) return { value: 0 };
    const addr = intArg(call, 1);
    const result = yield* storeUser(k, call.tid, addr, UNKNOWN, wanted, false);
    return count(progress(result, addr, wanted), wanted);
  }
  const file = openFile(k, call, O_WRONLY);
  if (file === null) return fromKernel(-EBADF);
  const position = positionOf(call);
  const start = intArg(call, 1);
  if (!accessOk(start, wanted)) return fromKernel(-EFAULT);
  const { size } = k.view.inodes[file.inode] as InodeView;
  const length = size < 0 ? wanted : Math.max(0, Math.min(wanted, size - position));
  let done = 0;
  for (const [index, offset, bytes] of pieces(position, length)) {
    const byte = cachedByte(k, k.view.inodes[file.inode] as InodeView, index, offset, bytes);
    const result = yield* storeUser(k, call.tid, start + done, byte, bytes, false);
    const good = progress(result, start + done, bytes);
    done += good;
    if (good < bytes) break;
  }
  return count(done, length);
}

/**
 * write(2), pwrite64(2): the kernel reads the buffer as far as it can, -EFAULT if that is not at all; the file grows to hold it, the
 * pages of the cache change. Of a recording the size of ordinary files is told by other records.
 */
export function* doWrite(k: Kernel, call: Call): KernelThread<Got> {
  const known = isAddress(call);
  const addr = known ? intArg(call, 1) : -1;
  const wanted = intArg(call, 2, 0);
  const file = call.recorded ? fileArg(k, call, 0) : openFile(k, call, O_RDONLY);
  if (file === null && !call.recorded) return fromKernel(-EBADF);
  const position = call.recorded ? intArg(call, 3, 0) : positionOf(call);
  if (known && !accessOk(addr, wanted)) return fromKernel(-EFAULT);
  let done = wanted;
  if (known && wanted > 0) done = progress(yield* loadUser(k, call.tid, addr, wanted, false), addr, wanted);
  const shmem = file !== null && k.view.inodes[file.inode]?.kind === InodeKind.shmem;
  if (file !== null && done > 0 && (shmem || !call.recorded)) {
    const { cpu } = currentTask(k, call.tid);
    const { size } = k.view.inodes[file.inode] as InodeView;
    extendFile(k, file.inode, position, done, cpu, true);
    if (!shmem) cacheForWriting(k, file.inode, position, done, size, cpu);
    yield* fillCache(k, call.tid, file.inode, position, addr, done);
  }
  if (file !== null && shmem && done < wanted) rejected(k, call.tid, file.inode, position + done);
  return known ? count(done, wanted) : null;
}

/** `->write_begin()` of an ordinary file: the pages to be written are cached; those beyond its old size (bytes) begin as zeros. */
function cacheForWriting(k: Kernel, id: number, position: number, length: number, size: number, cpu: number): void {
  for (const [index] of pieces(position, length)) {
    const before = cachedPfn(k.view.inodes[id] as InodeView, index);
    const found = filemapGetFolio(k, k.view.inodes[id] as InodeView, index, cpu);
    if (found === 'beyond-eof' || before >= 0 || size < 0 || index * PAGE_SIZE < size) continue;
    k.emit({ type: 'PageWritten', pfn: found.pfn, offset: 0, length: PAGE_SIZE, byte: 0 });
  }
}

/**
 * `shmem_write_begin()` and `shmem_write_end()` of nothing: the page for the bytes that could not be had is there, dirty, and the file
 * reaches up to where they would have begun.
 */
function rejected(k: Kernel, tid: number, inode: number, position: number): void {
  const index = Math.floor(position / PAGE_SIZE);
  const { size } = k.view.inodes[inode] as InodeView;
  if (size >= 0 && position > size) k.emit({ type: 'InodeResized', inode, size: position });
  addShmemPage(k, inode, index, currentTask(k, tid).cpu);
  markDirty(k, cachedPfn(k.view.inodes[inode] as InodeView, index));
}

/** `access_ok()`: do all bytes of the buffer lie where user memory may be? */
const accessOk = (addr: number, length: number): boolean => addr + length <= TASK_SIZE;

const count = (done: number, wanted: number): Got => fromKernel(done === 0 && wanted > 0 ? -EFAULT : done);

/** What was written goes to the pages of the cache that have a frame; `addr` is where it came from, -1 if nobody knows. */
function* fillCache(
  k: Kernel,
  tid: number,
  inode: number,
  position: number,
  addr: number,
  length: number,
): KernelThread<void> {
  let at = addr;
  for (const [index, offset, bytes] of pieces(position, length)) {
    const pfn = cachedPfn(k.view.inodes[inode] as InodeView, index);
    let byte = UNKNOWN;
    if (addr >= 0) {
      const loaded = yield* loadUser(k, tid, at, bytes, false);
      if (loaded.kind === 'byte') byte = Math.max(loaded.byte, UNKNOWN);
      at += bytes;
    }
    if (pfn < 0) continue;
    k.emit({ type: 'PageWritten', pfn, offset, length: bytes, byte });
    markDirty(k, pfn);
  }
}
