// Pages of the hugetlb pool: who is promised some, and who goes without.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const HUGETLB_BEHAVIOURS = {
  'hugetlb-private-reserve': {
    description:
      'A private mapping of huge pages reserves its pages in the pool, for the process that made it, or is refused; before, nothing was promised, and any fault could find the pool empty.',
    commit: 'a1e78772d72b',
    since: '2.6.27',
    requires: [],
    aliases: ['private-reserve', 'B02'],
  },
  'hugetlb-private-resv-map': {
    description:
      'What a private mapping of huge pages has reserved is kept by page in a map that its parts share; before (within 2.6.27), as a number in the mapping, which both parts had after it was cut.',
    commit: '84afd99b8398',
    since: '2.6.27',
    requires: ['hugetlb-private-reserve'],
    aliases: ['B03'],
  },
  'hugetlb-owner-steals': {
    description:
      'Where no page is left to copy a shared huge page, the process that made the mapping takes it away from its children, which get a signal where they miss it; before, whoever wrote was killed.',
    commit: '04f2cbe35699',
    since: '2.6.27',
    requires: ['hugetlb-private-reserve'],
    aliases: ['cow-steal', 'B01'],
  },
  'hugetlb-sigbus-on-shortage': {
    description: 'A fault that finds no huge page gets SIGBUS; before, the process was killed.',
    commit: '4a6018f7f4f1',
    since: '2.6.34',
    requires: [],
    aliases: ['sigbus-on-shortage', 'B06'],
  },
  'hugetlb-reuse-by-mapcount': {
    description:
      'A write to a huge page keeps it if nobody else maps it, whoever holds it otherwise; before, nobody else might hold it.',
    commit: '0fe6e20b9c4c',
    since: '2.6.36',
    requires: [],
    aliases: ['B04'],
  },
  'hugetlb-reuse-anon-only': {
    description:
      'A private write never keeps a huge page of the file; before (since hugetlb-reuse-by-mapcount), one that nobody else mapped was written to.',
    commit: null,
    since: '3.12',
    requires: ['hugetlb-reuse-by-mapcount'],
    aliases: ['B07'],
  },
  'hugetlb-fallocate': {
    description:
      'fallocate makes pages of a file of hugetlbfs ahead of their use, and holes in it, as MADV_REMOVE does; before, all of it was refused.',
    commit: '70c3547e36f5',
    since: '4.3',
    requires: [],
    aliases: [],
  },
  'hugetlb-migrates-beyond-pool': {
    description:
      'A huge page that is moved gets a page that nobody reserved, or a temporary one beyond the pool; how it was before is not modelled.',
    commit: null,
    since: '4.16',
    requires: [],
    aliases: [],
  },
  'hugetlb-fork-copies-pinned': {
    description:
      'fork gives the child a copy of a huge page that the parent has pinned, or fails where the pool has none; before, it was shared, and the next write of the parent moved it away from the pin.',
    commit: '4eae4efa2c29',
    since: '5.12',
    requires: ['fork-copies-pinned'],
    aliases: ['fork-copies-pinned-hugetlb'],
  },
  'hugetlb-honours-future-write': {
    description:
      'A file of huge pages that is sealed with F_SEAL_FUTURE_WRITE gets no new mapping that may write; before (since 5.1), only files of shared memory minded the seal.',
    commit: '22247efd822e',
    since: '5.13',
    requires: [],
    aliases: [],
  },
  'hugetlb-refuses-forced-writes': {
    description:
      'Huge pages of mappings that may not be written to are not written to by force (FOLL_FORCE) either; before, that made their entries writable, for the program as well.',
    commit: '1d8d14641fd9',
    since: '6.0',
    until: '6.15',
    requires: [],
    aliases: [],
  },
  'hugetlb-forced-writes-keep-rights': {
    description:
      'Huge pages of private mappings that may not be written to are written to by force (FOLL_FORCE) as other memory is: a copy of their own, whose entry stays read-only.',
    commit: null,
    since: '6.15',
    requires: [],
    aliases: [],
  },
  'hugetlb-pte-minds-vm-write': {
    description:
      'What fork copies of pinned huge pages (since hugetlb-fork-copies-pinned) the child may write to only if its mapping says so; before, its entry was writable.',
    commit: null,
    since: '6.14',
    requires: [],
    aliases: [],
  },
  'hugetlb-mremap': {
    description:
      'mremap moves and shrinks mappings of huge pages of the pool; before, it was refused. Where only a part moves, the rest loses its reservations.',
    commit: null,
    since: '5.16',
    requires: [],
    aliases: [],
  },
  'hugetlb-dontneed': {
    description: 'MADV_DONTNEED takes huge pages of the pool; before, it was refused.',
    commit: '90e7e7f5ef3f',
    since: '5.18',
    requires: [],
    aliases: [],
  },
  'hugetlb-dontneed-rounds-down': {
    description:
      'MADV_DONTNEED leaves a huge page alone of which it was given a part; before (since hugetlb-dontneed), it was thrown away.',
    commit: '8ebe0a5eaaeb',
    since: '6.1',
    requires: ['hugetlb-dontneed'],
    aliases: [],
  },
  'hugetlb-restore-on-unmap': {
    description:
      'A huge page of its own that the owner of a reservation unmaps gives the reservation back; before, it was spent, and memory thrown away could not be had again.',
    commit: 'df7a6d1f6405',
    since: '6.9',
    requires: ['hugetlb-private-resv-map'],
    aliases: ['restore-on-owner-unmap', 'B16'],
  },
  'hugetlb-restore-on-last-unmap': {
    description:
      'It does so only if nobody else maps the page: else the reservation would be there before the page is free. Stable updates have it, 6.18 as modelled does not.',
    commit: null,
    since: null,
    requires: ['hugetlb-restore-on-unmap'],
    aliases: ['restore-only-last-unmap', 'B17'],
  },
  'hugetlb-mount-reserves-for-all': {
    description:
      'What a mount of hugetlbfs has reserved (min_size) is spent as such by every page of it; before (since 4.1), copies and pages of children took it from the mount, and left it reserved in the pool for ever.',
    commit: '58db7c5fbe7d',
    since: '6.14',
    requires: [],
    aliases: ['cow-may-use-subpool', 'resv-by-gbl-chg', 'B15'],
  },
  'hugetlb-subpool-put-if-reserved': {
    description:
      'What a mount of hugetlbfs was asked for in vain is given back to it as far as it had it reserved: a mapping refused by the pool leaves no reservation behind. A page refused costs the mount one of its quota for good.',
    commit: 'a833a693a490',
    since: '6.15',
    requires: [],
    aliases: ['subpool-put-only-if-reserved', 'B20', 'B21'],
  },
  'hugetlb-steal-finds-moved': {
    description:
      'The owner finds the page that it takes away where others have it; all kernels look at the owner’s address, and where a mapping was moved they try for ever. No kernel does.',
    commit: null,
    since: null,
    requires: ['hugetlb-owner-steals', 'hugetlb-mremap'],
    aliases: ['steal-translates-address', 'B22'],
  },
  'hugetlb-mremap-spares-rest': {
    description:
      'Where a part of a mapping moves, the rest keeps its reservations and goes on owning what it has. No kernel does.',
    commit: null,
    since: null,
    requires: ['hugetlb-mremap'],
    aliases: ['mremap-keeps-owner-of-rest', 'B23'],
  },
  'hugetlb-fork-keeps-unmapped': {
    description:
      'A child of a mapping that lost a page gets SIGBUS where its parent does, and no page of zeros. No kernel does.',
    commit: null,
    since: null,
    requires: ['hugetlb-owner-steals'],
    aliases: ['fork-keeps-unmapped', 'B24'],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
