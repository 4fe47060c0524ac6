// read(2) and write(2) of files opened with O_DIRECT: between user pages, taken by GUP, and the disk. fs/iomap/direct-io.c, ext4_dio_read_iter() and
// ext4_dio_write_iter(). The page cache is written back before, and given up where the disk is written to.
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { HolderKind, InodeKind, PG_DIRTY, cachedPfn, pageAt } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { fromKernel, intArg } from './call.js';
import { grabPage, isTakenAsCached } from './filemap.js';
import { isReadable, isWritable, maxBytes } from './files.js';
import { FOLL_GET, FOLL_PIN, FOLL_WRITE, getUserPagesFast, pagesIn } from './get-user-pages.js';
import { createHolder, heldAt, heldCount, removeHolder } from './holders.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EFAULT, EFBIG, EINVAL, PAGE_SIZE, TASK_SIZE, currentTask } from './kernel.js';
import { markDirty } from './filemap.js';
import { appendRun } from './page-alloc.js';
import type { Transfer } from './read-write.js';
import {
  TRACKED_BYTES,
  checkTransfer,
  isAddress,
  moved,
  performWrite,
  pieces,
  progress,
  writePosition,
} from './read-write.js';
import { growTo, isHole, unmapMappingRange, zeroBlock } from './truncate.js';
import { copyToUser } from './uaccess.js';
import { writeAndWait } from './writeback.js';

const O_DIRECT = 0o40000;
/** `bdev_logical_block_size()`, and `bdev_dma_alignment()` plus one: what places in the file, lengths and buffers must be multiples of. */
const SECTOR = 512;
/** `BIO_MAX_VECS`: pages that one bio takes at most. */
const BIO_MAX_VECS = 256;
/** Bytes whose value the model does not know. */
const UNKNOWN = -1;

/** Is the file read and written past the page cache? Shared memory takes the flag and goes on as ever. */
export const isDirect = (k: Kernel, file: OpenFile): boolean =>
  (file.flags & O_DIRECT) !== 0 && k.view.inodes[file.inode]?.kind === InodeKind.file;

/** One call: whose pages, and which way the bytes go. */
interface Dio {
  readonly tid: number;
  readonly inode: number;
  readonly write: boolean;
  /** Has the pages until the call ends. */
  readonly holder: number;
}

/** A stretch of the file that is on the disk, or is a hole: `struct iomap`. */
interface Extent {
  readonly position: number;
  readonly addr: number;
  readonly length: number;
  readonly hole: boolean;
}

/** A bio's part in one page of the file and one page of the buffer. */
interface Piece {
  readonly index: number;
  readonly offset: number;
  readonly length: number;
  /** -1: the zero page. */
  readonly pfn: number;
  readonly pfnOffset: number;
}

/**
 * `ext4_dio_read_iter()`, `__iomap_dio_rw()`: what is on the disk comes to pinned pages of the buffer, holes are zeroed through the page table, up to the
 * end of the buffer even where the file ends before.
 * @returns bytes read, up to the end of the file; -EINVAL where places are no multiples of 512; -EFAULT if some of the buffer cannot be had, though the
 * rest was read.
 * @throws NotModelledError where it depends on how the file lies on its disk.
 */
export function* directRead(k: Kernel, call: Call): KernelThread<Got> {
  const transfer = checkTransfer(k, call, isReadable);
  if (typeof transfer === 'number') return fromKernel(transfer);
  const { position, length, file } = transfer;
  const { size } = k.view.inodes[file.inode] as InodeView;
  if (length === 0 || (size >= 0 && position >= size)) return { value: 0 };
  writeAndWait(k, file.inode, Math.floor(position / PAGE_SIZE), Math.ceil((position + length) / PAGE_SIZE));
  const dio = startDio(k, call.tid, file.inode, false);
  let error = 0;
  for (const extent of extentsOf(k, transfer)) {
    if (extent.hole) {
      const zeros = { from: -1, offset: 0 };
      const cleared = yield* copyToUser(k, call.tid, extent.addr, extent.length, zeros);
      if (progress(cleared, extent.addr, extent.length) < extent.length) error = -EFAULT;
      if (cleared.kind === 'signal') break;
      continue;
    }
    const { errno, taken } = yield* bios(k, dio, extent);
    for (const piece of taken) emitRead(k, dio, piece);
    if (errno !== 0) error = errno;
    if (errno === -EFAULT || (errno !== 0 && !isMisplaced(extent))) break;
  }
  removeHolder(k, dio.holder);
  if (error !== 0) return fromKernel(error);
  return moved(k, transfer, position, size < 0 ? length : Math.min(length, size - position));
}

/**
 * `ext4_dio_write_iter()`, `__iomap_dio_rw()`: cached pages of the range are written back and leave the cache, with their mappings, before any check of
 * places; then the pinned pages of the buffer go to the disk. A hole that was to be filled stays one if the call fails.
 * @returns bytes written; errors as directRead().
 */
export function* directWrite(k: Kernel, call: Call): KernelThread<Got> {
  const asked = checkTransfer(k, call, isWritable);
  if (typeof asked === 'number') return fromKernel(asked);
  if (asked.length === 0) return { value: 0 };
  const inode = k.view.inodes[asked.file.inode] as InodeView;
  const position = writePosition(inode, asked);
  if (position >= maxBytes(inode)) return fromKernel(-EFBIG);
  if (position + asked.length > TRACKED_BYTES) throw new NotModelledError('pages of a file beyond 1 TiB');
  const transfer = { ...asked, position };
  const { length } = transfer;
  const range = [Math.floor(position / PAGE_SIZE), Math.ceil((position + length) / PAGE_SIZE)] as const;
  const { cpu } = currentTask(k, call.tid);
  writeAndWait(k, inode.id, ...range);
  invalidateInodePages2Range(k, inode.id, ...range, cpu);
  const dio = startDio(k, call.tid, inode.id, true);
  let error = 0;
  let done = 0;
  const fills: Piece[] = [];
  for (const extent of extentsOf(k, transfer)) {
    const { errno, taken } = yield* bios(k, dio, extent);
    if (extent.hole) fills.push(...taken);
    else for (const piece of taken) emitWritten(k, dio, piece);
    done += taken.reduce((sum, { length: bytes }) => sum + bytes, 0);
    const reached = position + done;
    const isNew = extent.hole || (inode.size >= 0 && reached >= inode.size);
    // Zeroing the rest of a new block (`zero_tail`) makes the error forgotten: what was done counts.
    error = errno === -EFAULT && isNew && reached % PAGE_SIZE !== 0 ? 0 : errno;
    if (errno !== 0) break;
  }
  // `ext4_dio_write_end_io()`: blocks that were new become written only now.
  if (error === 0) for (const piece of fills) emitWritten(k, dio, piece);
  removeHolder(k, dio.holder);
  if (error !== 0) {
    // `ext4_inode_extension_cleanup()`: blocks behind the end are given back, and with them the last one's rest.
    if (inode.size >= 0 && position + length > inode.size) zeroBlock(k, inode.id, inode.size, cpu);
    return fromKernel(error);
  }
  growTo(k, inode.id, position + done);
  // `kiocb_invalidate_post_direct_write()`: the buffer may be a mapping of the file.
  if (done > 0) invalidateInodePages2Range(k, inode.id, range[0], Math.ceil((position + done) / PAGE_SIZE), cpu);
  if (done === length) return moved(k, transfer, position, length);
  return yield* writeRest(k, call.tid, transfer, done);
}

/**
 * The end of `ext4_dio_write_iter()`: what is left after `done` bytes is written through the cache, as far as the buffer goes: not at all, mostly. Its page
 * goes to the disk, and stays in the cache, as the batch of new pages has a reference.
 */
function* writeRest(k: Kernel, tid: number, transfer: Transfer, done: number): KernelThread<Got> {
  const { position, length, addr, file } = transfer;
  let written = 0;
  for (const [index, offset, bytes] of pieces(position + done, length - done)) {
    const good = yield* performWrite(k, tid, file.inode, { index, offset, bytes, addr: addr + done + written });
    written += good;
    if (good < bytes) break;
  }
  if (written === 0) return fromKernel(-EFAULT);
  const end = position + done + written;
  writeAndWait(k, file.inode, Math.floor((position + done) / PAGE_SIZE), Math.ceil(end / PAGE_SIZE));
  return moved(k, transfer, position, done + written);
}

/**
 * The same of a recording, which tells where the buffer is and what becomes of the cache: only that pages were taken, and written to by a read.
 * Pages of the buffer that cannot be had end it.
 */
export function* recordedDirect(k: Kernel, call: Call, write: boolean): KernelThread<Got> {
  const [addr, length] = [intArg(call, 1), intArg(call, 2, 0)];
  if (length === 0 || addr + length > TASK_SIZE) return length === 0 ? { value: 0 } : fromKernel(-EFAULT);
  const dio = startDio(k, call.tid, 0, write);
  const got = yield* takePages(k, dio, addr, length);
  const read = write ? 0 : heldCount(k, dio.holder);
  for (let at = 0; at < read; at++) {
    const { pfn, offset, length: bytes } = heldAt(k, dio.holder, at);
    k.emit({ type: 'PageWritten', pfn, offset, length: bytes, byte: UNKNOWN });
  }
  removeHolder(k, dio.holder);
  return got < pagesIn(addr, length) ? fromKernel(-EFAULT) : null;
}

/** Is the call of a recording one of a file that was opened so, and is it known where its buffer is? */
export function isRecordedDirect(k: Kernel, call: Call): boolean {
  const fd = call.args[0];
  if (!call.recorded || typeof fd !== 'number' || !isAddress(call)) return false;
  const file = k.view.files[currentTask(k, call.tid).tgid]?.[fd];
  return file !== undefined && isDirect(k, file);
}

function startDio(k: Kernel, tid: number, inode: number, write: boolean): Dio {
  // Before 6.5 they took plain references.
  const flags = (k.behaviours['direct-io-pins'] ? FOLL_PIN : FOLL_GET) | (write ? 0 : FOLL_WRITE);
  return { tid, inode, write, holder: createHolder(k, HolderKind.pin, tid, flags) };
}

/** `iomap_iter()`: the range in stretches that are on the disk and such that are not. */
function extentsOf(k: Kernel, { file, position, addr, length }: Transfer): Extent[] {
  const inode = k.view.inodes[file.inode] as InodeView;
  const extents: Extent[] = [];
  for (const [index, offset, bytes] of pieces(position, length)) {
    const hole = isHole(k, inode, index);
    const last = extents.at(-1);
    const at = index * PAGE_SIZE + offset;
    if (last?.hole === hole) extents.push({ ...(extents.pop() as Extent), length: last.length + bytes });
    else extents.push({ position: at, addr: addr + at - position, length: bytes, hole });
  }
  return extents;
}

/**
 * Is the buffer, and nothing else, at no multiple of 512? That is found only when the pages were taken, by `bio_split_io_at()`, which does not look at what
 * lies in one page (`bio_may_need_split()`).
 */
const isMisplaced = ({ position, length, addr }: Extent): boolean =>
  position % SECTOR === 0 && length % SECTOR === 0 && addr % SECTOR !== 0 && (addr % PAGE_SIZE) + length > PAGE_SIZE;

/** What came of `iomap_dio_bio_iter()`: an errno or 0, and what of the buffer the disk had to do with. */
interface Bios {
  readonly errno: number;
  readonly taken: readonly Piece[];
}

/**
 * `iomap_dio_bio_iter()`: pages of the buffer for one extent, a bio at a time; those that will be written to are dirty (`bio_set_pages_dirty()`). What was
 * taken before a page that cannot be had is submitted.
 * @throws NotModelledError for places that are refused in a stretch of several blocks: it may be several extents on the disk, and some of it done.
 */
function* bios(k: Kernel, dio: Dio, extent: Extent): KernelThread<Bios> {
  const { position, addr, length } = extent;
  if (position % SECTOR !== 0) return { errno: -EINVAL, taken: [] };
  const wrong = length % SECTOR !== 0 || isMisplaced(extent);
  if (wrong && Math.floor(position / PAGE_SIZE) !== Math.floor((position + length - 1) / PAGE_SIZE))
    throw new NotModelledError('O_DIRECT of several blocks at places that are no multiples of 512');
  if (length % SECTOR !== 0) return { errno: -EINVAL, taken: [] };
  const before = heldCount(k, dio.holder);
  const got = yield* takePages(k, dio, addr, length);
  const all = got === pagesIn(addr, length);
  if (all && isMisplaced(extent)) return { errno: -EINVAL, taken: [] };
  const taken: Piece[] = [];
  // Of what ends in between only whole sectors go; a bio of one page is not looked at for its place.
  const had = heldBytes(k, dio.holder, before);
  const end = position + had - (had % SECTOR);
  let at = position;
  for (let i = before; i < heldCount(k, dio.holder); i++) {
    const { pfn, offset, length: held } = heldAt(k, dio.holder, i);
    const bytes = Math.max(0, Math.min(held, end - at));
    for (const [index, from, part] of pieces(at, bytes)) {
      taken.push({ index, offset: from, length: part, pfn, pfnOffset: offset + index * PAGE_SIZE + from - at });
    }
    at += bytes;
  }
  return { errno: all ? 0 : -EFAULT, taken };
}

/** Bytes of the buffer in the pages that `holder` has from number `from` on. */
function heldBytes(k: Kernel, holder: number, from: number): number {
  let bytes = 0;
  for (let i = from; i < heldCount(k, holder); i++) bytes += heldAt(k, holder, i).length;
  return bytes;
}

/** `bio_iov_iter_get_pages()` until all of [addr, addr + length) or a page that cannot be had. Returns how many pages were had. */
function* takePages(k: Kernel, { tid, holder, write }: Dio, addr: number, length: number): KernelThread<number> {
  const { mm } = currentTask(k, tid);
  const { flags } = k.view.holders[holder] as { readonly flags: number };
  const end = addr + length;
  let pages = 0;
  for (let at = addr; at < end;) {
    const stop = Math.min(end, (Math.floor(at / PAGE_SIZE) + BIO_MAX_VECS) * PAGE_SIZE);
    const first = heldCount(k, holder);
    const got = yield* getUserPagesFast(k, { tid, mm, holder, flags }, at, stop - at);
    const read = write ? 0 : heldCount(k, holder);
    // Only whole sectors are in the bio; pages that hold none of them are let go as they were.
    const had = heldBytes(k, holder, first);
    let left = had - (had % SECTOR);
    for (let i = first; i < read && left > 0; i++) {
      const { pfn, length: held } = heldAt(k, holder, i);
      if (pfn >= 0) markDirty(k, pfn);
      left -= held;
    }
    pages += Math.max(got, 0);
    if (got < pagesIn(at, stop - at)) break;
    at = stop;
  }
  return pages;
}

function emitRead(k: Kernel, { inode }: Dio, { pfn, ...piece }: Piece): void {
  if (pfn >= 0) k.emit({ type: 'DirectRead', inode, ...piece, pfn });
}

function emitWritten(k: Kernel, { inode }: Dio, { pfn, pfnOffset, ...piece }: Piece): void {
  k.emit({ type: 'DirectWritten', inode, ...piece, from: pfn, fromOffset: pfn < 0 ? 0 : pfnOffset });
}

/**
 * `invalidate_inode_pages2_range()`: clean pages [first, last) leave the cache, whoever has references to them, and all entries that map them. The next
 * use reads them anew.
 */
function invalidateInodePages2Range(k: Kernel, id: number, first: number, last: number, cpu: number): void {
  const view = (): InodeView => k.view.inodes[id] as InodeView;
  for (let index = first; index < last; index++) if (isTakenAsCached(view(), index)) grabPage(k, id, index, cpu);
  const indices: number[] = [];
  for (let index = first; index < last; index++) if (cachedPfn(view(), index) >= 0) indices.push(index);
  const pfnOf = (index: number): number => cachedPfn(view(), index);
  const mapped = indices.find((index) => pageAt(k.view, pfnOf(index)).mapcount > 0);
  if (mapped !== undefined) unmapMappingRange(k, id, mapped, last, false, cpu);
  const runs: number[] = [];
  const freed: number[] = [];
  for (const index of indices) {
    const pfn = pfnOf(index);
    const { flags, ref } = pageAt(k.view, pfn);
    if ((flags & PG_DIRTY) !== 0) continue;
    runs.push(index, pfn, 1);
    if (ref === 1) appendRun(freed, pfn);
  }
  if (runs.length > 0) k.emit({ type: 'PageCacheReclaimed', inode: id, runs, ref: -1, freed });
}
