// /proc/PID/mem: mem_rw() of fs/proc/base.c over __access_remote_vm() of mm/memory.c. Pages are found with FOLL_FORCE, which reads what is
// not readable and writes to private copies of what is not writable.
import type { OpenFile } from '../../reducers/state.js';
import { HolderKind, InodeKind, mmAt } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { fromKernel, intArg } from './call.js';
import { createInode, isReadable, isWritable, offsetArg, setPosition } from './files.js';
import { FOLL_FORCE, FOLL_GET, FOLL_TOUCH, FOLL_WRITE, getUserPages } from './get-user-pages.js';
import type { Held } from './holders.js';
import { createHolder, heldAt, removeHolder } from './holders.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EBADF, EFAULT, EINVAL, EIO, ENOENT, PAGE_SIZE, TASK_SIZE, currentMm, currentTask } from './kernel.js';
import { markDirty } from './filemap.js';
import { vmaLookup } from '../../reducers/vma.js';
import { pteAt, ptePfn, ptePresent, pteSpecial, pteWrite } from '../../reducers/pte.js';
import { expandStack } from './vma.js';
import { copyToUser, emitCopy, touch } from './uaccess.js';

const PROC_MEM = /^\/proc\/(self|\d+)\/mem$/;
const OF_MM = /^\/proc\/\[mm (\d+)\]\/mem$/;

/** The inode that `name` opens if it is a /proc/PID/mem: that of the address space as it is now. 0 for another name, or an errno. */
export function openMem(k: Kernel, call: Call, name: string): number {
  const pid = PROC_MEM.exec(name)?.[1];
  if (pid === undefined) return 0;
  const task = k.view.tasks[pid === 'self' ? currentTask(k, call.tid).tgid : Number(pid)];
  if (task === undefined || task.mm === 0) return -ENOENT;
  const own = `/proc/[mm ${task.mm}]/mem`;
  return k.view.inodeByName[own] ?? createInode(k, own, InodeKind.mem, 0, 0);
}

/** The address space behind `file`, 0 if it is gone. */
function mmOf(k: Kernel, { inode }: OpenFile): number {
  const mm = Number(OF_MM.exec(k.view.inodes[inode]?.name ?? '')?.[1] ?? 0);
  return (k.view.mms[mm]?.users ?? 0) > 0 ? mm : 0;
}

interface Access {
  readonly tid: number;
  readonly mm: number;
  readonly write: boolean;
}

/** Bytes that stand in a page, on their way through the kernel's own buffer. */
type Piece = Pick<Held, 'pfn' | 'offset' | 'length'>;

/**
 * `__access_remote_vm()`: visits the pages of [addr, addr + length) one after the other, each held only meanwhile.
 * @returns bytes up to the first page that cannot be had.
 */
export function* accessRemoteVm(
  k: Kernel,
  { tid, mm, write }: Access,
  addr: number,
  length: number,
  visit: (held: Piece, at: number) => void,
): KernelThread<number> {
  // Only here, not in get_user_pages(): a stack grows that is accessed below its end.
  if (vmaLookup(mmAt(k.view, mm), addr) === null && !expandStack(k, mm, addr)) return 0;
  const flags = FOLL_GET | FOLL_FORCE | FOLL_TOUCH | (write ? FOLL_WRITE : 0);
  for (let at = addr; at < addr + length;) {
    const stop = Math.min(addr + length, (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE);
    const holder = createHolder(k, HolderKind.pin, tid, flags);
    const got = yield* getUserPages(k, { tid, mm, flags, holder }, at, stop - at);
    if (got > 0) visit(heldAt(k, holder, 0), at - addr);
    removeHolder(k, holder);
    if (got < 0) return at - addr;
    at = stop;
  }
  return length;
}

/** What both directions check before any byte is moved. */
function transferOf(k: Kernel, call: Call, file: OpenFile): { addr: number; buffer: number; length: number } | number {
  const positioned = call.name === 'read' || call.name === 'write';
  const addr = positioned ? (k.view.positions[file.file] ?? 0) : offsetArg(call, 3);
  if (addr < 0) return -EINVAL;
  const [buffer, length] = [intArg(call, 1), intArg(call, 2, 0)];
  return buffer + length > TASK_SIZE ? -EFAULT : { addr, buffer, length };
}

/** The call moved `done` bytes, or failed. */
function moved(k: Kernel, call: Call, file: OpenFile, addr: number, done: number): Got {
  if ((call.name === 'read' || call.name === 'write') && done > 0) setPosition(k, file, addr + done);
  return fromKernel(done);
}

/** Moves one portion: `bytes` between address `addr` of the file's address space and the caller's `buffer`. Bytes moved, or -EFAULT. */
type Move = (mm: number, addr: number, buffer: number, bytes: number) => KernelThread<number>;

/** `mem_rw()`: a page's worth at a time goes through the kernel's buffer; -EIO where nothing can be had. */
function* memRw(k: Kernel, call: Call, file: OpenFile, move: Move): KernelThread<Got> {
  const wanted = transferOf(k, call, file);
  if (typeof wanted === 'number') return fromKernel(wanted);
  const { addr, buffer, length } = wanted;
  const mm = mmOf(k, file);
  if (mm === 0) return { value: 0 };
  let done = 0;
  while (done < length) {
    const bytes = Math.min(PAGE_SIZE, length - done);
    refuseOverlap(addr + done, buffer + done, bytes);
    const got = yield* move(mm, addr + done, buffer + done, bytes);
    if (got < 0) return fromKernel(got);
    if (got === 0) return done === 0 ? fromKernel(-EIO) : moved(k, call, file, addr, done);
    done += got;
  }
  return moved(k, call, file, addr, done);
}

/** The model has no buffer in between: bytes that are overwritten before they are copied would be lost. */
function refuseOverlap(addr: number, buffer: number, bytes: number): void {
  const overlaps = buffer < addr + bytes && addr < buffer + bytes;
  const inOnePage = (at: number): boolean => Math.floor(at / PAGE_SIZE) === Math.floor((at + bytes - 1) / PAGE_SIZE);
  if (overlaps && !(inOnePage(addr) && inOnePage(buffer)))
    throw new NotModelledError('copying between /proc/PID/mem and a buffer that overlaps');
}

/**
 * A page that is read onto itself and may be shared: whether the write fault copies it depends on whether reading it just moved it to the active
 * list (`folio_mark_accessed()`), whose batch then holds a reference. Which list a page is on is not modelled.
 */
function refuseOntoItself(k: Kernel, tid: number, buffer: number, pfn: number): void {
  const entry = pteAt(currentMm(k, tid), Math.floor(buffer / PAGE_SIZE));
  if (pfn >= 0 && ptePresent(entry) && !pteSpecial(entry) && ptePfn(entry) === pfn && !pteWrite(entry))
    throw new NotModelledError('reading a page that may be shared onto itself by /proc/PID/mem');
}

/** read(2), pread64(2). */
export function* readMem(k: Kernel, call: Call, file: OpenFile): KernelThread<Got> {
  if (!isReadable(file)) return fromKernel(-EBADF);
  return yield* memRw(k, call, file, function* (mm, addr, buffer, bytes) {
    const pieces: (readonly [Piece, number])[] = [];
    const access = { tid: call.tid, mm, write: false };
    const got = yield* accessRemoteVm(k, access, addr, bytes, (held, at) => pieces.push([held, at]));
    for (const [{ pfn, offset, length }, at] of pieces) {
      refuseOntoItself(k, call.tid, buffer + at, pfn);
      const result = yield* copyToUser(k, call.tid, buffer + at, length, { from: pfn, offset });
      if (result.kind === 'signal') return -EFAULT;
    }
    return got;
  });
}

/** write(2), pwrite64(2): the buffer is read first; the pages written to are dirty. */
export function* writeMem(k: Kernel, call: Call, file: OpenFile): KernelThread<Got> {
  if (!isWritable(file)) return fromKernel(-EBADF);
  return yield* memRw(k, call, file, function* (mm, addr, buffer, bytes) {
    const pieces = yield* readBuffer(k, call.tid, buffer, bytes);
    if (pieces === null) return -EFAULT;
    const access = { tid: call.tid, mm, write: true };
    return yield* accessRemoteVm(k, access, addr, bytes, (held, at) => {
      fillFrom(k, call.tid, held, pieces, at);
      if (held.pfn >= 0) markDirty(k, held.pfn);
    });
  });
}

/** Bytes of the caller's buffer: in which page they stood when they were read, and at which address. */
interface BufferPiece extends Piece {
  readonly addr: number;
}

/** `copy_from_user()`: where the bytes of the buffer stand; null if not all can be read. */
function* readBuffer(
  k: Kernel,
  tid: number,
  addr: number,
  length: number,
): KernelThread<readonly BufferPiece[] | null> {
  const pieces: BufferPiece[] = [];
  for (let at = addr; at < addr + length;) {
    const stop = Math.min(addr + length, (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE);
    const result = yield* touch(k, tid, at, 'read', false);
    if (result.kind === 'signal') return null;
    const entry = pteAt(currentMm(k, tid), Math.floor(at / PAGE_SIZE));
    pieces.push({ addr: at, pfn: pteSpecial(entry) ? -1 : ptePfn(entry), offset: at % PAGE_SIZE, length: stop - at });
    at = stop;
  }
  return pieces;
}

/** The page with the bytes of `piece`: a write fault on the way may have put a copy in its place, and the page itself be gone. */
function sourceOf(k: Kernel, tid: number, { addr, pfn }: BufferPiece): number {
  const entry = pteAt(currentMm(k, tid), Math.floor(addr / PAGE_SIZE));
  return ptePresent(entry) && !pteSpecial(entry) ? ptePfn(entry) : pfn;
}

/** Bytes from `at` on of what stands in `pieces` come to the held page. */
function fillFrom(k: Kernel, tid: number, held: Piece, pieces: readonly BufferPiece[], at: number): void {
  let start = 0;
  for (const piece of pieces) {
    const { offset, length } = piece;
    const from = Math.max(at, start);
    const to = Math.min(at + held.length, start + length);
    if (from < to && held.pfn >= 0)
      emitCopy(k, held.pfn, held.offset + from - at, sourceOf(k, tid, piece), offset + from - start, to - from);
    start += length;
  }
}
