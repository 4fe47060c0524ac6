// Descriptors and files, as far as memory management sees them: open, close, dup, memfd_create, positions.
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { InodeKind } from '../../reducers/state.js';
import { isFd } from '../workload/operation.js';
import type { Call } from './call.js';
import { NotModelledError } from '../lib/errors.js';
import { cIntArg, intArg } from './call.js';
import type { Kernel, KernelThread } from './kernel.js';
import { releaseUnreachable } from './fput.js';
import { shmemSeekHoleData } from './shmem.js';
import { EBADF, EINVAL, ENXIO, ESPIPE, currentTask } from './kernel.js';

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;

/** Names under which shared memory objects appear in recordings. */
const SHMEM_NAME = /^\/(memfd:|dev\/shm\/|dev\/zero \(deleted\)|SYSV)/;

/** The inode called `name`, created on first sight: shared memory by its name, else a file whose pages are taken as cached. */
export function inodeNamed(k: Kernel, name: string): number {
  const known = k.view.inodeByName[name];
  if (known !== undefined) return known;
  const shmem = SHMEM_NAME.test(name);
  return createInode(k, name, shmem ? InodeKind.shmem : InodeKind.file, -1, shmem ? 0 : 1);
}

/** A new inode. `size` bytes, -1 unknown. */
export function createInode(k: Kernel, name: string, kind: number, size: number, resident: number): number {
  const inode = k.view.inodes.length;
  k.emit({ type: 'InodeCreated', inode, name, kind, size, resident });
  return inode;
}

/**
 * What argument `i`, a descriptor, leads to; null if to nothing. A recording may use descriptors whose origin it does not show
 * (inherited, received, opened by calls that were not traced): those get a file of their own.
 */
export function fileArg(k: Kernel, call: Call, i: number): OpenFile | null {
  const value = call.args[i];
  if (value !== undefined && value !== null && isFd(value))
    return { inode: inodeNamed(k, value.path), flags: O_RDWR, file: NO_FILE };
  const fd = intArg(call, i) | 0;
  const { tgid } = currentTask(k, call.tid);
  const file = k.view.files[tgid]?.[fd];
  if (file) return { ...file };
  if (!call.recorded || fd < 0) return null;
  const inode = createInode(k, `fd ${fd} of ${tgid}, file ${k.view.inodes.length}`, InodeKind.file, -1, 1);
  const opened = { inode, flags: O_RDWR, file: newFile(k) };
  k.emit({ type: 'FdInstalled', tgid, fd, ...opened });
  return opened;
}

/** Number of an open file description that no descriptor leads to: execve maps through one, recordings name files. */
export const NO_FILE = -1;

/** `alloc_empty_file()`: the number of a new open file description. */
const newFile = (k: Kernel): number => k.view.positions.length;

/** May the file be read, or written, through this descriptor? FMODE_READ, FMODE_WRITE. */
export const isReadable = (file: OpenFile): boolean => (file.flags & O_ACCMODE) !== O_WRONLY;
export const isWritable = (file: OpenFile): boolean => (file.flags & O_ACCMODE) !== O_RDONLY;

/** Argument `i` as an loff_t, 64 bits and signed. As an unsigned number -1 would lose its last bits. */
export function offsetArg(call: Call, i: number): number {
  const value = call.args[i];
  if (typeof value === 'bigint') return Number(BigInt.asIntN(64, value));
  return typeof value === 'number' ? value : intArg(call, i);
}

/**
 * Installs `inode` at the descriptor that the recording tells, or the lowest free one from 3 up; `file` is the open file description
 * that it shares, a new one if none is given.
 */
export function* installFd(
  k: Kernel,
  tid: number,
  inode: number,
  flags: number,
  { atLeast = 3, file }: { readonly atLeast?: number; readonly file?: number } = {},
): KernelThread<number> {
  const { tgid } = currentTask(k, tid);
  let fd = yield { op: 'place', what: 'fd' };
  if (fd < 0) for (fd = atLeast; k.view.files[tgid]?.[fd] !== undefined;) fd++;
  k.emit({ type: 'FdInstalled', tgid, fd, inode, flags, file: file ?? newFile(k) });
  return fd;
}

/** close(2). Null for a descriptor that a recording does not show the origin of: nothing can be said of it. */
export function closeFd(k: Kernel, call: Call): number | null {
  const fd = intArg(call, 0) | 0;
  const { tgid, cpu } = currentTask(k, call.tid);
  const inode = k.view.files[tgid]?.[fd]?.inode;
  if (inode === undefined) return call.recorded ? null : -EBADF;
  k.emit({ type: 'FdClosed', tgid, fd });
  releaseUnreachable(k, inode, cpu);
  return 0;
}

/** dup, dup2, dup3, fcntl(F_DUPFD): `target` -1 for the lowest free descriptor from `atLeast` up. */
export function* dupFd(k: Kernel, call: Call, target: number, atLeast = 0): KernelThread<number> {
  const { tgid, cpu } = currentTask(k, call.tid);
  const fd = intArg(call, 0) | 0;
  const known = k.view.files[tgid]?.[fd];
  if (known === undefined && !call.recorded) return -EBADF;
  if (known === undefined) {
    const told = yield { op: 'place', what: 'fd' };
    return target >= 0 ? target : Math.max(told, 0);
  }
  const { inode, flags, file } = known;
  if (target < 0) return yield* installFd(k, call.tid, inode, flags, { atLeast: Math.max(atLeast, 3), file });
  const replaced = k.view.files[tgid]?.[target]?.inode;
  k.emit({ type: 'FdInstalled', tgid, fd: target, inode, flags, file });
  if (replaced !== undefined) releaseUnreachable(k, replaced, cpu);
  return target;
}

const SEEK_SET = 0;
const SEEK_CUR = 1;
const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** lseek(2): `generic_file_llseek_size()`. @throws NotModelledError for SEEK_DATA and SEEK_HOLE of files of disks. */
export function doLseek(k: Kernel, call: Call): number {
  const file = fileArg(k, call, 0);
  if (file === null) return -EBADF;
  if (isStream(k, file)) return -ESPIPE;
  const [offset, whence] = [offsetArg(call, 1), cIntArg(call, 2)];
  if (whence < SEEK_SET || whence > SEEK_HOLE) return -EINVAL;
  const inode = k.view.inodes[file.inode] as InodeView;
  if (whence > SEEK_END) {
    if (inode.kind === InodeKind.hugetlbfs) return defaultSeek(k, file, inode, offset, whence === SEEK_DATA);
    if (inode.kind !== InodeKind.shmem) throw new NotModelledError('lseek to data and holes of a file of a disk');
    const found = shmemSeekHoleData(k, file.inode, offset, whence === SEEK_DATA);
    if (found >= 0) setPosition(k, file, found);
    return found;
  }
  const now = k.view.positions[file.file] ?? 0;
  const position = offset + (whence === SEEK_CUR ? now : whence === SEEK_END ? inode.size : 0);
  if (position < 0 || position > maxBytes(inode)) return -EINVAL;
  if (position > Number.MAX_SAFE_INTEGER) throw new NotModelledError('files of 2^53 bytes and more');
  setPosition(k, file, position);
  return position;
}

/** `default_llseek()`: all of the file is data, up to its end. */
function defaultSeek(k: Kernel, file: OpenFile, { size }: InodeView, offset: number, data: boolean): number {
  if (offset >= size) return -ENXIO;
  const found = data ? offset : size;
  if (found < 0) return -EINVAL;
  setPosition(k, file, found);
  return found;
}

/** Has the file no position? Pipes and io_uring instances have none. */
export function isStream(k: Kernel, { inode }: OpenFile): boolean {
  const kind = k.view.inodes[inode]?.kind;
  return kind === InodeKind.pipe || kind === InodeKind.ring;
}

/** `file->f_pos = position`. */
export function setPosition(k: Kernel, { file }: OpenFile, position: number): void {
  if (k.view.positions[file] !== position) k.emit({ type: 'FilePositionSet', file, position });
}

/** Largest size of ext4's files with blocks of 4096 bytes. */
const EXT4_MAX_BYTES = (2 ** 32 - 1) * 4096;

/** `s_maxbytes`: where files end at the latest, bytes. */
export const maxBytes = ({ kind }: InodeView): number =>
  kind === InodeKind.shmem || kind === InodeKind.hugetlbfs ? 2 ** 63 - 1 : EXT4_MAX_BYTES;
