// memfd_create(2) and seals: mm/memfd.c.
import { hugetlbFileAt } from '../../reducers/hugetlb-state.js';
import type { InodeView, OpenFile } from '../../reducers/state.js';
import { HPAGE_PMD_NR, InodeKind, folioAt, folioHead, largeFolioAt, pageAt } from '../../reducers/state.js';
import { VM_MAYWRITE, VM_SHARED, VM_WRITE } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { isWritable } from './files.js';
import { hugetlbFileSetup, isHugetlbfs } from './hugetlb/file.js';
import type { Kernel } from './kernel.js';
import { EBUSY, EINVAL, EPERM } from './kernel.js';
import { F_SEAL } from './seals.js';
import { createShmemInode, shmemInfo } from './shmem.js';
import { lruAddDrainAll } from './swap.js';

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
  const noexec = (flags & MFD.NOEXEC_SEAL) !== 0;
  const sealable = noexec || (flags & MFD.ALLOW_SEALING) !== 0;
  const path = `/memfd:${name} ${k.view.inodes.length}`;
  const seals = (sealable ? 0 : F_SEAL.SEAL) | (noexec ? F_SEAL.EXEC : 0);
  const mode = noexec ? 0 : MODE_EXEC;
  if (!huge) return createShmemInode(k, path, 0, { noreserve: true, seals, mode });
  const inode = hugetlbFileSetup(k, path, 0);
  if (sealable) k.emit({ type: 'HugetlbFileSet', inode, sb: -1, seals, mode });
  return inode;
}

/** Is there a shared mapping of the file that is or may become writable? `mapping_deny_writable()` is refused then. */
const mappedWritable = (k: Kernel, inode: number): boolean =>
  k.view.mms.some((mm) =>
    mm?.vmas.some((vma) => vma.inode === inode && (vma.flags & VM_SHARED) !== 0 && (vma.flags & VM_MAYWRITE) !== 0),
  );

/** Has somebody references to a page of the file besides its mappings and the cache? `memfd_folio_has_extra_refs()`. */
function hasExtraRefs(k: Kernel, id: number): boolean {
  const inode = k.view.inodes[id] as InodeView;
  if (inode.kind === InodeKind.hugetlbfs) return inode.pages.some((leaf) => hasExtraHugeRefs(k, (leaf?.[0] ?? 0) - 1));
  const held = (slot: number): boolean => {
    if (slot <= 0) return false;
    const { ref, mapcount, order } = folioAt(k.view, slot - 1);
    const mappings = order === 0 ? mapcount : (k.view.largeFolios[folioHead(k.view, slot - 1)]?.largeMapcount ?? 0);
    return ref !== mappings + 2 ** order;
  };
  return inode.pages.some((leaf) => leaf?.some(held));
}

/** The same of the huge page at `pfn`; of none if that is -1. */
const hasExtraHugeRefs = (k: Kernel, pfn: number): boolean =>
  pfn >= 0 && pageAt(k.view, pfn).ref !== (largeFolioAt(k.view, pfn)?.largeMapcount ?? 0) + HPAGE_PMD_NR;

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
  const info = sealableInfo(k, file.inode);
  if (info === undefined) return notSealable(k, file);
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
  const huge = hugetlbFileAt(k.view, file.inode);
  if (seals !== old && huge !== undefined) k.emit({ type: 'HugetlbFileSet', ...huge, seals });
  else if (seals !== old) k.emit({ type: 'SealsAdded', inode: file.inode, seals });
  return 0;
}

/** What a file that can be sealed has of that: F_SEAL_*, and rights to execute. */
interface Sealable {
  readonly seals: number;
  readonly mode: number;
}

/** `memfd_file_seals_ptr()`: undefined for a file that is not in memory. One of hugetlbfs that nothing was said of has what it was made with. */
function sealableInfo(k: Kernel, inode: number): Sealable | undefined {
  const made = isHugetlbfs(k.view, inode) ? { seals: F_SEAL.SEAL, mode: MODE_EXEC } : undefined;
  return shmemInfo(k, inode) ?? hugetlbFileAt(k.view, inode) ?? made;
}

/** fcntl(F_GET_SEALS). */
export const memfdGetSeals = (k: Kernel, file: OpenFile): number =>
  sealableInfo(k, file.inode)?.seals ?? notSealable(k, file);

/** Only files in memory can be sealed. @throws NotModelledError for one of a recording, whose seals nobody knows. */
function notSealable(k: Kernel, { inode }: OpenFile): number {
  if (k.view.inodes[inode]?.kind === InodeKind.shmem) throw new NotModelledError('seals of a file that others made');
  return -EINVAL;
}

/**
 * `memfd_check_seals_mmap()`: may the file be mapped with `flags`? A shared mapping of one sealed against writing may not be writable, nor ever become so.
 * @returns the flags that it gets, or a negative errno.
 */
export function memfdCheckSealsMmap(k: Kernel, inode: number, flags: number): number {
  const known = sealableInfo(k, inode)?.seals ?? 0;
  const ignored = isHugetlbfs(k.view, inode) && !k.behaviours['hugetlb-honours-future-write'];
  const seals = ignored ? known & ~F_SEAL.FUTURE_WRITE : known;
  if ((seals & (F_SEAL.WRITE | F_SEAL.FUTURE_WRITE)) === 0) return flags;
  const spared = k.behaviours['future-write-seal-spares-private'] || (seals & F_SEAL.FUTURE_WRITE) === 0;
  if ((flags & VM_SHARED) === 0) return spared ? flags : flags & ~VM_MAYWRITE;
  return (flags & VM_WRITE) !== 0 ? -EPERM : flags & ~VM_MAYWRITE;
}
