// Wrong events of shared memory: accounting, size, seals.
import type { EventType } from '../../../events/index.js';
import { VM_MAYWRITE } from '../../../reducers/vma.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

const MEMFD = `
1 memfd_create("m", 0) = 3
1 ftruncate(3, 0x3000)
1 mmap(NULL, 0x3000, RW, SH, 3, 0) = A
1 store(A, 1, 0x3000)
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = B
1 munmap(B, P)
1 ftruncate(3, P)`;
const TMPFS = `
1 mount("tmpfs", "t", "tmpfs", 0, "size=8k")
1 openat(AT_FDCWD, "t/f", O_RDWR|O_CREAT, 0600) = 3
1 ftruncate(3, 0x2000)
1 mmap(NULL, 0x2000, RW, SH, 3, 0) = A
1 store(A, 1, 0x2000)`;
const SEALED_FILE = `
1 memfd_create("m", MFD_ALLOW_SEALING) = 3
1 ftruncate(3, P)
1 fcntl(3, F_ADD_SEALS, F_SEAL_WRITE)
1 mmap(NULL, P, PROT_READ, SH, 3, 0) = A`;

const COLLAPSED = `
1 memfd_create("m", 0) = F
1 ftruncate(F, H) = 0
1 mmap(0x100000000000, H, RW, SH|FIXED, F, 0) = A
1 mmap(0x100000800000, H, RW, SH|FIXED, F, 0) = B
1 store(B, 1, H)
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, A, H, MISSING) = 0
1 madvise(B, H, MADV_COLLAPSE) = 0`;

export const SHMEM: readonly WrongEvent<EventType>[] = [
  wrong('removed-page-is-unmapped', MEMFD, 'PtesZapped', nothing, { cause: 'PageCacheRemoved' }),
  wrong(
    'no-page-beyond-eof',
    MEMFD,
    'PageCacheAdded',
    but<'PageCacheAdded'>(({ runs }) => ({ runs: [99, runs[1]!, 1] })),
  ),
  wrong(
    'shmem-blocks-equal-pages',
    MEMFD,
    'ShmemAccounted',
    but<'ShmemAccounted'>(({ blocks }) => ({ blocks: blocks - 1 })),
    { nth: -1 },
  ),
  wrong(
    'tmpfs-blocks-equal-files',
    TMPFS,
    'ShmemAccounted',
    but<'ShmemAccounted'>(({ used }) => ({ used: used - 2 })),
    { nth: -1 },
  ),
  wrong(
    'tmpfs-within-its-size',
    TMPFS,
    'ShmemAccounted',
    but<'ShmemAccounted'>(({ used }) => ({ used: used + 1 })),
    { nth: -1 },
  ),
  wrong('no-entry-beyond-eof', MEMFD, 'PtesZapped', nothing, { cause: 'InodeResized' }),
  wrong(
    'seal-holds',
    SEALED_FILE,
    'VmaInserted',
    but<'VmaInserted'>(({ flags }) => ({ flags: flags | VM_MAYWRITE })),
  ),
  wrong(
    'collapse-spares-watched-holes',
    COLLAPSED,
    'FileCollapsed',
    but<'FileCollapsed'>(({ index, runs }) => ({ runs: [index, runs[1] as number, 1] })),
  ),
];
