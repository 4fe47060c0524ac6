// What goes with the last descriptor that leads to it: fs/file_table.c, and exit_files() of fs/file.c.
import { HolderKind, InodeKind } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import { hasEnd, holderOf, removeHolder } from './holders.js';
import { evictUnreachable } from './hugetlb/file.js';
import type { Kernel } from './kernel.js';
import { shmemInfo } from './shmem.js';
import { shmemPut } from './shmem-truncate.js';
import { userfaultfdRelease } from './userfaultfd.js';

/**
 * `fput()` on `cpu`: a descriptor that led to `inode` is gone. A pipe or an io_uring instance that none leads to gives back all pages; so does a file in
 * memory that nothing maps either.
 * @throws NotModelledError for an instance whose memory is mapped still, which keeps it until the last mapping goes.
 */
export function releaseUnreachable(k: Kernel, inode: number, cpu: number): void {
  const kind = k.view.inodes[inode]?.kind;
  if (kind === InodeKind.shmem) return shmemPut(k, inode, cpu);
  if (kind === InodeKind.hugetlbfs) return evictUnreachable(k, inode);
  if (kind === InodeKind.uffd) return uffdPut(k, inode);
  if ((kind !== InodeKind.pipe && kind !== InodeKind.ring) || hasEnd(k, inode, () => true)) return;
  if (kind === InodeKind.ring && k.view.mms.some((mm) => mm?.vmas.some((vma) => vma.inode === inode)))
    throw new NotModelledError('closing an io_uring instance whose memory is mapped');
  const kinds = kind === InodeKind.pipe ? [HolderKind.pipe] : [HolderKind.buffer, HolderKind.bufferRing];
  for (const each of kinds)
    for (let holder = holderOf(k, each, inode); holder !== 0; holder = holderOf(k, each, inode))
      removeHolder(k, holder);
}

/** A userfaultfd that no descriptor leads to watches nothing any more, once nobody reads of it. */
function uffdPut(k: Kernel, inode: number): void {
  const context = k.view.uffds.find((each) => each !== null && each.inode === inode);
  if (!context || context.released === 1 || context.readers.length > 0) return;
  if (!hasEnd(k, inode, () => true)) userfaultfdRelease(k, context);
}

/** `exit_files()`: what the group's descriptors kept open goes with them. Others hold no pages and are left in the table. */
export function exitFiles(k: Kernel, tgid: number, cpu: number): void {
  for (const [fd, { inode }] of Object.entries(k.view.files[tgid] ?? {})) {
    const kind = k.view.inodes[inode]?.kind;
    const keeps =
      kind === InodeKind.pipe || kind === InodeKind.ring || kind === InodeKind.hugetlbfs || kind === InodeKind.uffd;
    if (!keeps && shmemInfo(k, inode) === undefined) continue;
    k.emit({ type: 'FdClosed', tgid, fd: Number(fd) });
    releaseUnreachable(k, inode, cpu);
  }
}
