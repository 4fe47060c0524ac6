// Anonymous pages: who may keep one at a write fault, and what fork, swap, migration and reclaim remember of it.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const ANONYMOUS_BEHAVIOURS = {
  'madv-free-skips-shared': {
    description:
      'MADV_FREE leaves a page alone that somebody else maps, if it is dirty itself or in the swap cache: nothing else would keep its bytes.',
    commit: null,
    since: '4.5',
    requires: [],
    aliases: [],
  },
  'cow-reuse-by-refcount': {
    description:
      'A write fault reuses an anonymous page only if nothing else holds a reference; before, one mapping was enough.',
    commit: '09854ba94c6a',
    since: '5.9',
    requires: [],
    aliases: ['T-01'],
  },
  'fork-copies-pinned': {
    description: 'fork copies pages that the parent may have pinned for the child at once, instead of sharing them.',
    commit: '70e806e4e645',
    since: '5.9',
    requires: [],
    aliases: ['T-03'],
  },
  'wp-reuse-drains-lru': {
    description: 'Before counting references a write fault empties its own CPU’s batch of new pages.',
    commit: null,
    since: '5.18',
    requires: ['cow-reuse-by-refcount'],
    aliases: ['T-01'],
  },
  'lazyfree-checks-refs': {
    description:
      'Reclaim drops a page that MADV_FREE gave up only if nobody holds a reference; before, direct reads into it were lost.',
    commit: '6c8e2a256915',
    since: '5.18',
    requires: [],
    aliases: [],
  },
  'swapin-reuse-by-refcount': {
    description:
      'A write that swaps a page in keeps it only if nothing else holds a reference; before, no other mapping and no entry to its slot was enough.',
    commit: 'c145e0b47c77',
    since: '5.18',
    requires: ['cow-reuse-by-refcount'],
    aliases: ['T-01'],
  },
  'anon-exclusive': {
    description: 'PG_anon_exclusive: a page known to belong to one process is reused without counting references.',
    commit: '6c287605fd56',
    since: '5.19',
    requires: ['cow-reuse-by-refcount'],
    aliases: ['T-01', 'T-03'],
  },
  'swap-exclusive-bit': {
    description:
      'A swap entry remembers that its page belonged to one process alone; before, swapping out lost it, and references were counted again.',
    commit: '1493a1913e34',
    since: '5.19',
    requires: ['anon-exclusive', 'swapin-reuse-by-refcount'],
    aliases: ['T-06'],
  },
  'migration-entry-exclusive': {
    description:
      'A migration entry remembers that its page, though not writable, belonged to one process alone; without, it comes back as possibly shared.',
    commit: '6c287605fd56',
    since: '5.19',
    requires: ['anon-exclusive'],
    aliases: [],
  },
  'mprotect-upgrades-exclusive': {
    description: 'mprotect to writable gives exclusive pages the write bit at once instead of by a fault.',
    commit: null,
    since: '6.0',
    requires: ['anon-exclusive'],
    aliases: ['T-13'],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
