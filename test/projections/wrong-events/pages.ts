// Wrong events of single anonymous pages: batches, zero page, pins, lazily freed.
import type { EventType } from '../../../events/index.js';
import { but, nothing, wrong } from './wrong-event.js';
import type { WrongEvent } from './wrong-event.js';

const WRITE = 2;
const MANY_PAGES = `
1 mmap(NULL, 0x40000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x40000)`;
const ZERO = `
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 load(A)`;
const PINNED = `
1 mmap(NULL, 0x3000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 load(A+0x2000)
1 pin(A, P, FOLL_PIN|FOLL_WRITE)
1 store(A+0x2000, 1)
1 fork() = 2
1 pin(A+0x1000, P, FOLL_PIN)`;
const FOREIGN = `
1 mmap(NULL, 0x2000, RW, PRIV|ANON, -1, 0) = A
1 store(A, 1, 0x2000)
1 fork() = 2
2 pin(A, P, FOLL_GET)
2 munmap(A, 0x2000)
1 store(A+0x1000, 2)`;

export const PAGES: readonly WrongEvent<EventType>[] = [
  wrong(
    'clean-page-equals-backing',
    '1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A\n1 store(A, 7)\n1 fork() = 2\n1 madvise(A, P, MADV_FREE) = 0',
    'PagesLazyfreed',
    (event) => [{ type: 'FolioDirtied', pfn: event.runs[1] as number }, event],
    { cause: 'PagesLazyfreed' },
  ),
  wrong(
    'zero-RO',
    ZERO,
    'ZeroPageMapped',
    but<'ZeroPageMapped'>(({ entry }) => ({ entry: entry + WRITE })),
  ),
  wrong(
    'pinned-anon-is-exclusive',
    PINNED,
    'PageGrabbed',
    but<'PageGrabbed'>(() => ({ pfn: 1 })),
    { nth: 1 },
  ),
  wrong(
    'pin-oracle',
    PINNED,
    'CowPageMapped',
    but<'CowPageMapped'>(() => ({ oldPfn: 0 })),
  ),
  wrong(
    'pin-covers-pinned-frames-only',
    PINNED,
    'PageGrabbed',
    but<'PageGrabbed'>(({ length }) => ({ length: length + 4096 })),
  ),
  wrong(
    'pinned-page-shared-by-fork',
    PINNED,
    'PtesCopied',
    but<'PtesCopied'>(({ anon }) => ({ anon: anon.map((each, i) => (i % 5 === 1 ? 0 : each)) })),
  ),
  wrong(
    'reuse-has-no-foreign-reference',
    FOREIGN,
    'PageReused',
    but<'PageReused'>(() => ({ pfn: 0 })),
  ),
  wrong('LRU-batch-size', MANY_PAGES, 'LruAddDrained', nothing, { cause: 'AnonPageMapped' }),
];
