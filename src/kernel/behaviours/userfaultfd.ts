// userfaultfd on anonymous memory.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const USERFAULTFD_BEHAVIOURS = {
  'uffd-wp-handles-swap-entries': {
    description:
      'UFFDIO_WRITEPROTECT protects pages that are swapped out as well; else their protection was forgotten.',
    commit: null,
    since: '5.7',
    requires: [],
    aliases: [],
  },
  'uffd-wp-marks-readonly': {
    description:
      'UFFDIO_WRITEPROTECT, and UFFDIO_COPY with it, protects pages of mappings that may not be written to at the moment as well.',
    commit: null,
    since: '5.18',
    requires: [],
    aliases: ['seedWpLost'],
  },
  'zero-pmd-split-keeps-uffd-wp': {
    description: 'When the huge zero page gives way to 512 entries they are as protected by userfaultfd as it was.',
    commit: null,
    since: '6.3',
    requires: [],
    aliases: [],
  },
  'uffd-move-sets-soft-dirty': {
    description:
      'UFFDIO_MOVE makes entries soft-dirty, swapped ones too; before, it made present ones dirty altogether and swapped ones neither.',
    commit: null,
    since: '6.15',
    requires: [],
    aliases: [],
  },
  'uffd-unregister-own-only': {
    description: 'UFFDIO_UNREGISTER refuses mappings that another userfaultfd watches.',
    commit: null,
    since: '6.17',
    requires: [],
    aliases: ['unregisterForeignCtx'],
  },
  'uffd-move-swap-clears-wp': {
    description:
      'UFFDIO_MOVE takes the protection of a page that is swapped out away, as that of a page that is there.',
    commit: null,
    since: null,
    requires: [],
    aliases: ['moveKeepsWp'],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
