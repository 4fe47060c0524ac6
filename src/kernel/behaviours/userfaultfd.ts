// userfaultfd on anonymous memory and on files in memory.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const USERFAULTFD_BEHAVIOURS = {
  'uffd-copy-checks-isize': {
    description:
      'UFFDIO_COPY and UFFDIO_ZEROPAGE fail behind the end of the file; before, a page entered the file there that no truncation saw.',
    commit: 'e2a50c1f6414',
    since: '4.20',
    requires: [],
    aliases: [],
  },
  'uffd-wp-handles-swap-entries': {
    description:
      'UFFDIO_WRITEPROTECT protects pages that are swapped out as well; else their protection was forgotten.',
    commit: null,
    since: '5.7',
    requires: [],
    aliases: [],
  },
  'uffd-copy-releases-retry-page': {
    description:
      'UFFDIO_COPY that comes back with a page filled outside of the locks, and finds the tmpfs full, frees it; before, it was forgotten.',
    commit: '7ed9d238c7db',
    since: '5.13',
    requires: [],
    aliases: [],
  },
  'uffd-install-one-step': {
    description:
      'One install step for private and shared mappings, for pages that are new and pages of the file; before, UFFDIO_COPY to shared memory had its own, which marked the page dirty only where the mapping could not write.',
    commit: '7d64ae3ab648',
    since: '5.14',
    requires: [],
    aliases: ['installRule'],
  },
  'uffd-minor-shmem': {
    description:
      'A userfaultfd can watch for minor faults of shared memory, and UFFDIO_CONTINUE maps what the file has.',
    commit: null,
    since: '5.14',
    requires: ['uffd-install-one-step'],
    aliases: ['shmemMinor'],
  },
  'uffd-install-pte-dirty': {
    description:
      'The install step makes every entry dirty, the page itself no more; before, entries that may not write to a page of the file were clean. With forced writes as they were until 5.19: CVE-2022-2590.',
    commit: '9ae0f87d009c',
    since: '5.16',
    requires: ['uffd-install-one-step'],
    aliases: ['installRule'],
  },
  'uffd-wp-marks-readonly': {
    description:
      'UFFDIO_WRITEPROTECT, and UFFDIO_COPY with it, protects pages of mappings that may not be written to at the moment as well.',
    commit: null,
    since: '5.18',
    requires: [],
    aliases: ['seedWpLost'],
  },
  'uffd-wp-shmem': {
    description:
      'A userfaultfd can watch for writes to shared memory; entries without a page remember that by markers.',
    commit: null,
    since: '5.19',
    requires: ['uffd-wp-marks-readonly'],
    aliases: ['shmemWp'],
  },
  'uffd-continue-takes-fallocated': {
    description:
      'UFFDIO_CONTINUE maps a page that fallocate made and nobody filled, as zeros; before, it was none (-EFAULT), and who waited for it could not be helped.',
    commit: '73f37dbcfe17',
    since: '5.19',
    requires: ['uffd-minor-shmem'],
    aliases: ['continueFalloc', 'seedContinueFalloc'],
  },
  'uffd-install-asks-folio': {
    description:
      'The install step asks the folio whether a file has it; before, the page, and of a large folio only the first page knew: UFFDIO_CONTINUE of another one counted it as anonymous.',
    commit: '93b0d9178743',
    since: '6.1',
    requires: ['uffd-minor-shmem'],
    aliases: ['uffd-install-uses-folio-mapping'],
  },
  'uffd-wp-implies-writenotify': {
    description:
      'Where a userfaultfd watches for writes, what the mapping gives unasked is read-only; before, mprotect made protected pages of shared memory writable.',
    commit: '51d3d5eb74ff',
    since: '6.2',
    requires: ['uffd-wp-shmem'],
    aliases: ['wpAlwaysReadOnly'],
  },
  'zero-pmd-split-keeps-uffd-wp': {
    description: 'When the huge zero page gives way to 512 entries they are as protected by userfaultfd as it was.',
    commit: null,
    since: '6.3',
    requires: [],
    aliases: [],
  },
  'uffd-no-event-on-fork-error': {
    description:
      'A fork that fails tells no monitor of its child; before, UFFD_EVENT_FORK gave it a descriptor of what was made of it.',
    commit: 'f64e67e5d3a4',
    since: '6.12',
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
  'uffd-install-asks-vma': {
    description:
      'The install step as it was posted in April 2021: what the mapping is decides, not whose page it is. A copy in a private mapping of a file counts as the file’s, is neither writable nor dirty, and loses its protection. No kernel does.',
    commit: null,
    since: null,
    requires: [],
    aliases: ['seedRmapKind', 'seedPrivWrite', 'seedPrivDirty'],
  },
  'uffd-install-counts-first': {
    description:
      'The install step as it was posted in April 2021 counts a page before it knows that it is anonymous, as one of a file. No kernel does.',
    commit: null,
    since: null,
    requires: [],
    aliases: ['seedRssOrder'],
  },
  'uffd-copy-keeps-charge': {
    description:
      'UFFDIO_COPY to shared memory as it was posted in April 2021: one that fails before the file counts its page gives its block not back. No kernel does.',
    commit: null,
    since: null,
    requires: [],
    aliases: ['seedBlockLeak', 'uffd-copy-unaccounts'],
  },
  'uffd-copy-uncharges-uncounted': {
    description:
      'UFFDIO_COPY to shared memory that fails before the file counts its page is undone by shmem_uncharge(), which takes the page off that count. No kernel does.',
    commit: null,
    since: null,
    requires: [],
    aliases: ['uffd-copy-unaccounts'],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
