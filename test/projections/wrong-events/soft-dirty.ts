// Wrong events of soft-dirty bits.
import type { EventType } from '../../../events/index.js';
import { PTE_SOFT_DIRTY } from '../../../reducers/pte.js';
import { but, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

const FOLIO = 'sysfs("transparent_hugepage/hugepages-16kB/enabled", "madvise")';
const TRACKED = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 clear_refs(1, 4) = 1
1 store(A, 2)`;
/** A large folio whose pages are soft-dirty is split, all but the first page being zero. */
const TRACKED_SPLIT = `${FOLIO}
1 mmap(0x100200000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, 4*P, MADV_HUGEPAGE) = 0
1 store(A, 1)
1 madvise(A, P, MADV_COLD) = 0`;
const TRACKED_MOVE = `
1 mmap(0x100000000000, P, RW, PRIV|ANON|FIXED, -1, 0) = S
1 mmap(0x100040000000, P, RW, PRIV|ANON|FIXED, -1, 0) = D
1 store(S, 1)
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, D, P, MISSING) = 0
1 clear_refs(1, 4) = 1
1 ioctl(U, UFFDIO_MOVE, D, S, P, 0) = 0`;

export const SOFT_DIRTY: readonly WrongEvent<EventType>[] = [
  wrong(
    'soft-dirty-covers-writes',
    TRACKED,
    'PageReused',
    but<'PageReused'>(({ entry }) => ({ entry: entry - PTE_SOFT_DIRTY })),
  ),
  wrong(
    'soft-dirty-covers-moves',
    TRACKED_MOVE,
    'UffdEntryMoved',
    but<'UffdEntryMoved'>(({ entry }) => ({ entry: entry - PTE_SOFT_DIRTY })),
  ),
  wrong(
    'split-keeps-tracking-bits',
    TRACKED_SPLIT,
    'MigrationPtesRemoved',
    but<'MigrationPtesRemoved'>(({ special }) => ({ special: special.with(3, special[3]! - PTE_SOFT_DIRTY) })),
  ),
];

/** The runs that need bits tracked. */
export const TRACKING: readonly string[] = [TRACKED, TRACKED_SPLIT, TRACKED_MOVE];
