// Huge pages and large folios: faults, copies, splits, collapse.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const HUGE_BEHAVIOURS = {
  'huge-cow-splits': {
    description:
      'A write to a shared huge page splits its huge entry and copies the one page; before, the huge page was copied whole.',
    commit: '3917c80280c9',
    since: '5.8',
    requires: [],
    aliases: ['T-10'],
  },
  'thp-cow-reuse-by-refcount': {
    description:
      'A write to a huge page that is not known to be exclusive keeps it only if nobody else holds a reference; before, no other mapping was enough.',
    commit: '3bff7e3f1f16',
    since: '5.18',
    requires: [],
    aliases: [],
  },
  'madv-collapse': {
    description: 'MADV_COLLAPSE makes huge pages of a range at once, whatever the settings say.',
    commit: '7d8faaf15545',
    since: '6.1',
    requires: [],
    aliases: [],
  },
  'collapse-respects-uffd-missing': {
    description:
      'Collapse of shared memory fills no holes where a mapping of them is watched by a userfaultfd, which would not hear of them any more.',
    commit: null,
    since: '6.4',
    requires: [],
    aliases: [],
  },
  'anon-large-folios': {
    description:
      'Page faults in anonymous memory may get folios of 4 to 256 pages, each size with a setting of its own; before, single pages or 2 MiB.',
    commit: '19eaf44954df',
    since: '6.8',
    requires: [],
    aliases: [],
  },
  'swap-out-large-folios': {
    description:
      'A large folio goes to a block device whole, also if single entries map it; before, only a huge page with its huge entry did, others were split.',
    commit: null,
    since: '6.10',
    requires: [],
    aliases: [],
  },
  'swapin-maps-large-folio': {
    description:
      'A fault on a page of a large folio that is still in the swap cache maps all of it, where all entries are there; before, the one page.',
    commit: null,
    since: '6.11',
    requires: [],
    aliases: [],
  },
  'split-maps-zero-pages': {
    description:
      'When a large folio is split, pages that hold nothing but zeros give way to the zero page and are freed; before, they were kept.',
    commit: 'b1f202060afe',
    since: '6.12',
    requires: [],
    aliases: ['T-11'],
  },
  'shrinker-splits-underused': {
    description:
      'When memory runs short huge pages are split that have more pages of zeros than khugepaged would fill in; before, only those of which a part was given up.',
    commit: 'dafff3f4c850',
    since: '6.12',
    requires: ['split-maps-zero-pages'],
    aliases: [],
  },
  'huge-zero-write-allocates': {
    description:
      'A write to the huge zero page gets a huge page of its own; before (since huge-cow-splits), the zero page was split, and one page copied.',
    commit: null,
    since: '6.13',
    requires: [],
    aliases: ['T-09'],
  },
  'large-folio-owner-slots': {
    description:
      'A large folio knows up to two address spaces that map it: a write fault keeps its page if one maps the folio and nobody else holds it; before, single pages of a large folio were always copied.',
    commit: null,
    since: '6.15',
    requires: ['anon-exclusive'],
    aliases: ['T-07'],
  },
  'collapse-without-writable-pte': {
    description:
      'Collapse takes memory of which no page is writable through its entry; before, it was refused, and all that fork had just shared with it.',
    commit: null,
    since: '6.18',
    requires: [],
    aliases: ['T-08'],
  },
  'mlock-large-when-mapped': {
    description:
      'A large folio that was there is locked with the mapping that comes to map all of it at once; before, only when reclaim met it.',
    commit: null,
    since: '6.18',
    requires: [],
    aliases: [],
  },
  'mprotect-batches-folios': {
    description:
      'mprotect gives a row of entries to pages of one large folio, all writable or none, their rights in one go: if one was dirty all are. Before, each kept its own.',
    commit: null,
    since: '6.17',
    requires: [],
    aliases: [],
  },
  'zeropage-remap-keeps-bits': {
    description:
      'The zero page that a split puts in the place of a page of zeros is soft-dirty and write-protected for userfaultfd as that was; before, it was neither.',
    commit: '9658d698a8a8',
    since: '6.18',
    requires: ['split-maps-zero-pages'],
    aliases: ['zerofilled-split-loses-bits'],
  },
  'migration-requeues-folio': {
    description:
      'A large folio that waited to be split waits for it at its new place as well, also if only its own migration unmapped it in parts; before, the new folio was on no queue. In stable updates of 6.18.',
    commit: null,
    since: '6.18',
    requires: [],
    aliases: [],
  },
  'unmap-in-batches': {
    description:
      'Reclaim unmaps the pages of a large folio that was given up in one go, as far as their entries follow each other; before, one by one.',
    commit: '354dffd29575',
    since: '6.16',
    requires: ['anon-large-folios'],
    aliases: [],
  },
  'unmap-batch-capped-at-pmd': {
    description:
      'Such a row of entries ends with its table; before, its length came from the folio alone, and what stands behind the table was read. No release was without it.',
    commit: 'ddd05742b45b',
    since: '6.16',
    requires: ['unmap-in-batches'],
    aliases: [],
  },
  'collapse-in-place': {
    description:
      'Where 512 entries map one huge page, collapse puts a huge entry in their place instead of copying, and says of the page what it says of a fresh one: its own. No kernel does.',
    commit: null,
    since: null,
    requires: ['anon-exclusive'],
    aliases: ['thp-inplace-collapse'],
  },
  'collapse-in-place-minds-exclusive': {
    description:
      'Collapse in place folds what the 512 pages know of being exclusive into one flag: all are, then only the first page says so; none is, then nothing does; some are, then it is refused. No kernel does.',
    commit: null,
    since: null,
    requires: ['collapse-in-place'],
    aliases: ['thp-inplace-collapse'],
  },
  'wp-reuse-range': {
    description:
      'A write fault that may keep a page of a large folio makes the whole row of pages around it that are the process’s own writable. No kernel does.',
    commit: null,
    since: null,
    requires: ['anon-large-folios'],
    aliases: [],
  },
  'wp-copy-range': {
    description:
      'A write fault that must copy a page of a large folio copies the aligned block around it that the folio still fills, whatever is known of the other pages. No kernel does.',
    commit: null,
    since: null,
    requires: ['anon-large-folios'],
    aliases: ['large-folio-wp-copy-exclusive'],
  },
  'wp-copy-range-minds-exclusive': {
    description:
      'Such a copy leaves pages alone that are exclusive: one of them may be pinned, and must not be replaced. No kernel does.',
    commit: null,
    since: null,
    requires: ['wp-copy-range', 'anon-exclusive'],
    aliases: ['large-folio-wp-copy-exclusive'],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
