// Wrong events of mappings: their entries, protection, locking, guards and seals.
import type { EventType } from '../../../events/index.js';
import { PTE_MARKER_GUARD, PTE_SPECIAL } from '../../../reducers/pte.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

const PARTLY_UNMAPPED = `
1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x3000)
1 munmap(A+0x1000, P)`;
const PROTECTED = `
1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x3000)
1 mprotect(A+0x1000, P, RO)
1 mprotect(A+0x1000, P, RW)`;
const LOCKED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 mlock(A, 0x2000)`;
const GUARDED = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 madvise(A+0x1000, P, MADV_GUARD_INSTALL)
1 madvise(A, 0x2000, MADV_DONTNEED)`;
const SEALED = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1)
1 mseal(A, P, 0)
1 madvise(A, P, MADV_DONTNEED)
1 madvise(A, P, MADV_RANDOM)
1 mmap(0x10000000, P, RW, PRIV|ANON|FIXED, -1, 0) = B
1 munmap(B, P)`;
const GROWING = `
1 mmap(0x20000000, P, RW, PRIV|ANON|FIXED, -1, 0) = L
1 mmap(0x20180000, P, RW, PRIV|ANON|FIXED|MAP_GROWSDOWN, -1, 0) = S
1 store(0x20101000, 1)`;
const DUPLICATED = `
1 mmap(NULL, P, RW, SH|ANON, -1, 0) = S
1 mremap(S, 0, P, MREMAP_MAYMOVE|MREMAP_FIXED, 0x10000000)`;

export const MAPPINGS: readonly WrongEvent<EventType>[] = [
  wrong(
    'guard-stays',
    GUARDED,
    'PtesZapped',
    but<'PtesZapped'>(({ runs }) => ({ special: [(runs[0] as number) + 1, PTE_MARKER_GUARD, 1, PTE_SPECIAL] })),
  ),
  wrong(
    'guard-copied-by-fork',
    GUARDED,
    'GuardMarkersInstalled',
    ({ mm, runs: [vpn = 0], ...rest }) => [
      { type: 'VmaFlagsChanged', mm, start: (vpn - 1) * 4096, flags: 3 },
      { type: 'VmaAnonVmaSet', mm, start: (vpn - 1) * 4096, anonVma: 0, chain: [] },
      { ...rest, mm, runs: [vpn, 1] },
    ],
    { cause: 'GuardMarkersInstalled' },
  ),
  wrong(
    'growsdown-keeps-gap',
    GROWING,
    'VmaResized',
    but<'VmaResized'>(() => ({ newStart: 0x20100000 })),
  ),
  wrong(
    'no-growth-below-min-addr',
    GROWING,
    'VmaResized',
    but<'VmaResized'>(() => ({ newStart: 0xf000 })),
  ),
  wrong(
    'moved-mapping-shows-old-contents',
    DUPLICATED,
    'VmaInserted',
    but<'VmaInserted'>(() => ({ flags: 3 })),
    { nth: 1 },
  ),
  wrong(
    'sealed-mapping-stays',
    SEALED,
    'VmaFlagsChanged',
    but<'VmaFlagsChanged'>(() => ({ flags: 3 })),
    { nth: 1 },
  ),
  wrong('sealed-mapping-stays', SEALED, 'VmaRemoved', ({ mm }, { events }) => {
    const sealed = events.find((each) => each.type === 'VmaInserted');
    return [{ type: 'VmaRemoved', mm, start: sealed?.start ?? 0 }];
  }),
  wrong(
    'sealed-contents-stay',
    SEALED,
    'PtesZapped',
    (event, { events }) => {
      const sealed = events.find((each) => each.type === 'VmaFlagsChanged');
      return [
        { type: 'VmaFlagsChanged', mm: event.mm, start: sealed?.start ?? 0, flags: (sealed?.flags ?? 0) & ~2 },
        event,
      ];
    },
    { cause: 'PtesZapped' },
  ),
  wrong('vma-permission', PROTECTED, 'PtesProtected', nothing, { cause: 'VmaFlagsChanged' }),
  wrong(
    'index-address',
    PROTECTED,
    'VmaMerged',
    (event) => [
      event,
      {
        type: 'VmaResized',
        mm: event.mm,
        start: event.start,
        newStart: event.start,
        newEnd: event.absorbed,
        newPgoff: 7,
      },
    ],
    { nth: -1, cause: 'VmaResized' },
  ),
  wrong('entry-inside-vma', PARTLY_UNMAPPED, 'PtesZapped', nothing, { cause: 'VmaRemoved' }),
  wrong(
    'merge-anon_vma',
    PROTECTED,
    'VmaMerged',
    but<'VmaMerged'>(() => ({ anonVma: 99 })),
  ),
  wrong(
    'locked-vm-equals-vmas',
    LOCKED,
    'VmAccounted',
    but<'VmAccounted'>(({ locked }) => ({ locked: locked + 1 })),
    { nth: -1 },
  ),
];
