// Pages merged because they are alike.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const KSM_BEHAVIOURS = {
  'ksm-breaks-by-unshare': {
    description:
      'Pages that KSM merged are taken apart without a write (FAULT_FLAG_UNSHARE): the copies are clean and not writable.',
    commit: null,
    since: '6.2',
    requires: ['gup-unshare'],
    aliases: [],
  },
  'ksm-fork-resets-counters': {
    description:
      'A child does not inherit what KSM counted for its parent, except zero pages, which then count for the whole machine as well.',
    commit: '4d6fc29f3634',
    since: '6.18',
    requires: [],
    aliases: [],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
