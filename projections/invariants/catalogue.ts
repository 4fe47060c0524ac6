// Every invariant. docs/invariants.md lists them for people; a test holds the two equal.
import { byteInvariants } from './bytes.js';
import { collapseEventInvariants, collapseFrameInvariants } from './collapse.js';
import { counterInvariants } from './counters.js';
import { entryInvariants } from './entries.js';
import { eventInvariants } from './events.js';
import { frameInvariants } from './frames.js';
import { gupInvariants } from './gup.js';
import { hugetlbCounterInvariants, hugetlbEventInvariants } from './hugetlb.js';
import { largeEntryInvariants, largeEventInvariants } from './large.js';
import { migrateCounterInvariants, migrateEventInvariants } from './migrate.js';
import { ksmCounterInvariants, ksmFrameInvariants } from './ksm.js';
import { shmemCounterInvariants, shmemEntryInvariants, shmemEventInvariants } from './shmem.js';
import { swapEntryInvariants, swapEventInvariants, swapFrameInvariants } from './swap.js';
import { uffdFillInvariants } from './uffd-fills.js';
import { userfaultfdEntryInvariants, userfaultfdEventInvariants } from './userfaultfd.js';
import { vmaInvariants } from './vmas.js';
import type { BookInvariant, Invariant } from './invariant.js';

const rule = { about: 'book', since: 'all', aliases: [], needs: [], knownBroken: [] } as const;

/** At every event, counting the references that kernel code holds between two steps. */
export const REF_LOWER_BOUND: BookInvariant = {
  ...rule,
  name: 'ref-lower-bound',
  formula:
    '_refcount >= mappings + page and swap cache + LRU batches + gathers + pins and pipes + what the running operation holds',
  source: 'references are taken before mappings count',
  severity: 1,
  at: 'event',
};
/** At rest nobody else holds any. */
export const REFCOUNT_ACCOUNTED: BookInvariant = {
  ...rule,
  name: 'refcount-accounted',
  aliases: ['ref-exact-quiescent'],
  formula: '_refcount == mappings + page and swap cache + LRU batches + gathers + pins and pipes',
  source: 'folio_expected_ref_count()',
  severity: 2,
  at: 'quiescent',
};

/** All, the semantic ones first. */
export const INVARIANTS: readonly Invariant[] = [
  ...byteInvariants,
  ...gupInvariants,
  ...entryInvariants,
  ...largeEntryInvariants,
  ...frameInvariants,
  ...collapseFrameInvariants,
  REF_LOWER_BOUND,
  REFCOUNT_ACCOUNTED,
  ...eventInvariants,
  ...largeEventInvariants,
  ...collapseEventInvariants,
  ...vmaInvariants,
  ...counterInvariants,
  ...swapEntryInvariants,
  ...swapFrameInvariants,
  ...swapEventInvariants,
  ...migrateEventInvariants,
  ...migrateCounterInvariants,
  ...ksmFrameInvariants,
  ...ksmCounterInvariants,
  ...shmemCounterInvariants,
  ...shmemEntryInvariants,
  ...shmemEventInvariants,
  ...hugetlbEventInvariants,
  ...hugetlbCounterInvariants,
  ...userfaultfdEntryInvariants,
  ...userfaultfdEventInvariants,
  ...uffdFillInvariants,
];

export const INVARIANT_NAMES: readonly string[] = INVARIANTS.map(({ name }) => name);

/** The invariant called `name`, by one of its names. */
export const invariantNamed = (name: string): Invariant | undefined =>
  INVARIANTS.find((each) => each.name === name || each.aliases.includes(name));

/** Those that say something of a kernel with these behaviours. */
export const invariantsFor = (behaviours: Readonly<Record<string, unknown>>): readonly Invariant[] =>
  INVARIANTS.filter(({ needs }) => needs.every((name) => behaviours[name] === true));
