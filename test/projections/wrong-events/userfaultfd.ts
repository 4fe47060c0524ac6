// Wrong events of userfaultfd: markers, waiters, moves.
import type { EventType } from '../../../events/index.js';
import {
  PTE_DIRTY,
  PTE_MARKER_UFFD_WP,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  makePteMarker,
  pteFlags,
} from '../../../reducers/pte.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

/** Entry flags at place `at` of the first run with WRITE set. */
const WRITE = 2;
const writable = (runs: readonly number[], at: number): number[] => runs.map((n, i) => (i === at ? n | WRITE : n));
const THREAD = 'clone(flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM)';
const WATCHED = `
1 mmap(0x100000000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = S
1 store(S, 1, 2*P)
1 mmap(0x100040000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 2)
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, A, 4*P, MISSING|WP) = 0
1 ioctl(U, UFFDIO_WRITEPROTECT, A, 2*P, WP) = 0
1 ${THREAD} = 2
2 load(A+2*P) <unfinished ...>
1 ioctl(U, UFFDIO_COPY, A+2*P, S, P, 0) = 0
2 <... load resumed>) = 1
1 ioctl(U, UFFDIO_MOVE, A+3*P, S+P, P, 0) = 0
1 fork() = 3`;

const MEMORY = `
1 memfd_create("m", 0) = 3
1 ftruncate(3, 4*P) = 0
1 mmap(0x100030000000, 4*P, RW, SH|FIXED, 3, 0) = F
1 store(F, 1, 2*P)
1 mmap(0x100040000000, 4*P, RW, PRIV|FIXED, 3, 0) = A
1 userfaultfd() = U
1 ioctl(U, UFFDIO_REGISTER, A, 4*P, MISSING|MINOR) = 0
1 ${THREAD} = 2
2 load(A) <unfinished ...>
1 ioctl(U, UFFDIO_CONTINUE, A, P, 0) = 0
2 <... load resumed>) = 1
1 ioctl(U, UFFDIO_COPY, A+2*P, F, P, 0) = 0
1 ioctl(U, UFFDIO_POISON, A+3*P, P, 0) = 0
1 load(A+3*P) = SIGBUS`;

const FORKED = `
1 mmap(0x100040000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 userfaultfd(EVENT_FORK) = U
1 ioctl(U, UFFDIO_REGISTER, A, 4*P, MISSING) = 0
1 ${THREAD} = 2
2 fork() <unfinished ...>`;
const HEARD = `
1 mmap(0x100040000000, 4*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 userfaultfd(EVENT_UNMAP) = U
1 ioctl(U, UFFDIO_REGISTER, A, 4*P, MISSING) = 0
1 ${THREAD} = 2
2 munmap(A, P) <unfinished ...>`;

export const USERFAULTFD: readonly WrongEvent<EventType>[] = [
  wrong(
    'uffd-wp-entry-not-writable',
    WATCHED,
    'UffdWpChanged',
    but<'UffdWpChanged'>(({ runs }) => ({ runs: writable(runs, 3) })),
  ),
  wrong(
    'uffd-marker-anon',
    WATCHED,
    'UffdWpChanged',
    (event) => [
      event,
      { type: 'UffdMarkersSet', mm: event.mm, runs: [event.runs[0]! + 1, 1], entry: makePteMarker(PTE_MARKER_UFFD_WP) },
    ],
    { cause: 'UffdMarkersSet' },
  ),
  wrong(
    'uffd-missing-reported',
    WATCHED,
    'UffdFaultQueued',
    ({ addr }) => [{ type: 'ZeroPageMapped', mm: 1, vpn: addr / 4096, entry: 1 + PTE_SPECIAL }],
    { cause: 'ZeroPageMapped' },
  ),
  wrong('uffd-wp-blocks-writes', WATCHED, 'UffdWpChanged', nothing, { cause: 'UffdRangeProtected' }),
  wrong(
    'uffd-wp-not-stale',
    WATCHED,
    'PtesCopied',
    but<'PtesCopied'>(({ anon }) => ({ anon: anon.map((n, i) => (i % 5 === 3 ? n | PTE_UFFD_WP : n)) })),
    { nth: -1 },
  ),
  wrong('waiter-has-waker', WATCHED, 'UffdFaultQueued', (event) => [{ ...event, tid: 1 }, event], {
    cause: 'UffdFaultQueued',
  }),
  wrong(
    'uffd-ctx-flags',
    WATCHED,
    'UffdVmaSet',
    but<'UffdVmaSet'>(() => ({ flags: 0x73 })),
  ),
  wrong(
    'uffd-maywrite',
    WATCHED,
    'UffdVmaSet',
    but<'UffdVmaSet'>(({ flags }) => ({ flags: flags - 0x20 })),
  ),
  wrong(
    'uffd-wait-needed',
    WATCHED,
    'UffdFaultQueued',
    but<'UffdFaultQueued'>(({ addr }) => ({ addr: addr - 2 * 4096 })),
  ),
  wrong(
    'uffd-fill-fresh',
    MEMORY,
    'AnonPageMapped',
    ({ mm, vpn, pfn, entry }) => [
      {
        type: 'FilePagesMapped',
        ...{ mm, runs: [vpn, pfn, 1], flags: pteFlags(entry) & ~WRITE, ref: 0, mapcount: 1, rssFile: 1, rssShmem: 0 },
      },
    ],
    { cause: 'FilePagesMapped' },
  ),
  wrong(
    'uffd-fill-dirty',
    MEMORY,
    'FilePagesMapped',
    but<'FilePagesMapped'>(({ flags }) => ({ flags: flags & ~PTE_DIRTY })),
    { nth: -1 },
  ),
  wrong(
    'uffd-minor-has-page',
    MEMORY,
    'UffdFaultQueued',
    but<'UffdFaultQueued'>(({ addr }) => ({ addr: addr + 2 * 4096 })),
  ),
  wrong(
    'uffd-poison-stays',
    MEMORY,
    'SignalSent',
    ({ addr }) => [{ type: 'ZeroPageMapped', mm: 1, vpn: Math.floor(addr / 4096), entry: 1 + PTE_SPECIAL }],
    { cause: 'ZeroPageMapped' },
  ),
  wrong(
    'event-implies-live-mm',
    FORKED,
    'UffdEventQueued',
    but<'UffdEventQueued'>(() => ({ from: 9 })),
  ),
  wrong(
    'uffd-changing-count',
    HEARD,
    'UffdEventQueued',
    but<'UffdEventQueued'>(({ tid }) => ({ tid: tid + 1 })),
  ),
  wrong(
    'uffd-move-conserves',
    WATCHED,
    'UffdEntryMoved',
    but<'UffdEntryMoved'>(({ vpn }) => ({ newVpn: vpn })),
  ),
];
