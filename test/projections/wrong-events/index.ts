// All wrong events, by what they are about.
import type { EventType } from '../../../events/index.js';
import { HUGETLB } from './hugetlb.js';
import { LARGE } from './large.js';
import { MAPPINGS } from './mappings.js';
import { PAGES } from './pages.js';
import { PROCESSES } from './processes.js';
import { SHMEM } from './shmem.js';
import { SOFT_DIRTY } from './soft-dirty.js';
import { SWAP_MIGRATE } from './swap-migrate.js';
import { USERFAULTFD } from './userfaultfd.js';
import type { WrongEvent } from './wrong-event.js';

export const WRONG_EVENTS: readonly WrongEvent<EventType>[] = [
  ...PROCESSES,
  ...MAPPINGS,
  ...PAGES,
  ...SWAP_MIGRATE,
  ...SOFT_DIRTY,
  ...LARGE,
  ...SHMEM,
  ...HUGETLB,
  ...USERFAULTFD,
];
