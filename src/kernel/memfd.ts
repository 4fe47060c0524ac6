// memfd_create(2) and seals: mm/memfd.c.
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { InodeKind, pageAt } from '../../reducers/state.js';
import { VM_MAYWRITE, VM_SHARED, VM_WRITE } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { isWritable } from './files.js';
import { hugetlbFileSetup, isHugetlbfs } from './hugetlb/file.js';
import type { Kernel } from './kernel.js';
import { EBUSY, EINVAL, EPERM } from './kernel.js';
import { createShmemInode, shmemInfo } from './shmem.js';
import { lruAddDrainAll } from './swap.js';

/** F_SEAL_* of fcntl(2). */
export const F_SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 16, EXEC: 32 } as const;
const F_ALL_SEALS = 63;

/** MFD_* of memfd_create(2). */
const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2, HUGETLB: 4, NOEXEC_SEAL: 8, EXEC: 16 } as const;
const MFD_ALL_FLAGS = 31;
const MFD_HUGE_SHIFT = 26;
const MFD_HUGE_MASK = 0x3f;
/** Of 2 MiB, as a power of two. */
const HUGE_2MB = 21;
/** Longest name, bytes: NAME_MAX without `memfd:`. */
const NAME_MAX = 249;
/** Everybody's right to execute. */
const MODE_EXEC = 0o111;

/**
 * `memfd_create(2)` up to its descriptor: vm.memfd_noexec 0. @returns the new file, or a negative errno.
 * @throws NotModelledError with MFD_HUGETLB and a size other than 2 MiB.
 */
export function memfdCreate(k: Kernel, name: string, flags: number): number {
  const huge = (flags & MFD.HUGETLB) !== 0;
  const size = (flags >>> MFD_HUGE_SHIFT) & MFD_HUGE_MASK;
  const known = huge ? MFD_ALL_FLAGS | (MFD_HUGE_MASK << MFD_HUGE_SHIFT) : MFD_ALL_FLAGS;
  if ((flags & ~known) !== 0) return -EINVAL;
  if ((flags & MFD.EXEC) !== 0 && (flags & MFD.NOEXEC_SEAL) !== 0) return -EINVAL;
  if (new TextEncoder().encode(name).length > NAME_MAX) return -EINVAL;
  if (huge && size !== 0 && size !== HUGE_2MB) throw new NotModelledError('huge pages of other sizes than 2 MiB');
  if (huge) return hugetlbFileSetup(k, `/memfd:${name} ${k.view.inodes.length}`, 0);
  const noexec = (flags & MFD.NOEXEC_SEAL) !== 0;
  const sealable = noexec || (flags & MFD.ALLOW_SEALING) !== 0;
  return createShmemInode(k, `/memfd:${name} ${k.view.inodes.length}`, 0, {
    noreserve: true,
    seals: (sealable ? 0 : F_SEAL.SEAL) | (noexec ? F_SEAL.EXEC : 0),
    mode: noexec ? 0 : MODE_EXEC,
  });
}

/** Is there a shared mapping of the file that is or may become writable? `mapping_deny_writable()` is refused then. */
const mappedWritable = (k: Kernel, inode: number): boolean =>
  k.view.mms.some((mm) =>
    mm?.vmas.some((vma) => vma.inode === inode && (vma.flags & VM_SHARED) !== 0 && (vma.flags & VM_MAYWRITE) !== 0),
  );

/** Has somebody references to a page of the file besides its mappings and the cache? `memfd_folio_has_extra_refs()`. */
function hasExtraRefs(k: Kernel, id: number): boolean {
  const inode = k.view.inodes[id] as InodeView;
  const held = (slot: number): boolean =>
    slot > 0 && pageAt(k.view, slot - 1).ref !== pageAt(k.view, slot - 1).mapcount + 1;
  return inode.pages.some((leaf) => leaf?.some(held));
}

/** `memfd_wait_for_pins()`: batches are emptied, and whoever then still has a page is taken to pin it for longer than anybody waits. */
function waitForPins(k: Kernel, inode: number): number {
  if (!hasExtraRefs(k, inode)) return 0;
  lruAddDrainAll(k);
  return hasExtraRefs(k, inode) ? -EBUSY : 0;
}

/** fcntl(F_ADD_SEALS): `memfd_add_seals()`. Returns 0 or a negative errno. */
export function memfdAddSeals(k: Kernel, file: OpenFile, wanted: number): number {
  if (!isWritable(file)) return -EPERM;
  if ((wanted & ~F_ALL_SEALS) !== 0) return -EINVAL;
  const info = shmemInfo(k, file.inode);
  if (info === undefined) return notShmem(k, file);
  const { seals: old, mode } = info;
  if ((old & F_SEAL.SEAL) !== 0) return -EPERM;
  const implied =
    (wanted & F_SEAL.EXEC) !== 0 && mode !== 0 ? F_SEAL.SHRINK | F_SEAL.GROW | F_SEAL.WRITE | F_SEAL.FUTURE_WRITE : 0;
  const checked = k.behaviours['seal-exec-checks-mappings'] ? wanted | implied : wanted;
  if ((checked & F_SEAL.WRITE) !== 0 && (old & F_SEAL.WRITE) === 0) {
    const error = mappedWritable(k, file.inode) ? -EBUSY : waitForPins(k, file.inode);
    if (error !== 0) return error;
  }
  const seals = old | wanted | implied;
  if (seals !== old) k.emit({ type: 'SealsAdded', inode: file.inode, seals });
  return 0;
}

/** fcntl(F_GET_SEALS). */
export const memfdGetSeals = (k: Kernel, file: OpenFile): number =>
  shmemInfo(k, file.inode)?.seals ?? notShmem(k, file);

/** Only files in memory can be sealed. @throws NotModelledError for one of a recording, whose seals nobody knows. */
function notShmem(k: Kernel, { inode }: OpenFile): number {
  if (isHugetlbfs(k.view, inode)) throw new NotModelledError('seals of files of hugetlbfs');
  if (k.view.inodes[inode]?.kind === InodeKind.shmem) throw new NotModelledError('seals of a file that others made');
  return -EINVAL;
}

/**
 * `memfd_check_seals_mmap()`: may the file be mapped with `flags`? A shared mapping of one sealed against writing may not be writable, nor ever become so.
 * @returns the flags that it gets, or a negative errno.
 */
export function memfdCheckSealsMmap(k: Kernel, inode: number, flags: number): number {
  const seals = shmemInfo(k, inode)?.seals ?? 0;
  if ((seals & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) === 0) return flags;
  const spared = k.behaviours['future-write-seal-spares-private'] || (seals & F_SEAL.FUTURE_WRITE) === 0;
  if ((flags & VM_SHARED) === 0) return spared ? flags : flags & ~VM_MAYWRITE;
  return (flags & VM_WRITE) !== 0 ? -EPERM : flags & ~VM_MAYWRITE;
}
