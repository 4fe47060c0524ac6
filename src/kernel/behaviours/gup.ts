// References and pins taken by others: get_user_pages and its callers.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const GUP_BEHAVIOURS = {
  'gup-foll-cow': {
    description:
      'A forced write remembers that it broke COW and looks for a dirty entry; before, it looked again as a reader and took whatever was there.',
    commit: '19be0eaffa3a',
    since: '4.9',
    requires: [],
    aliases: ['T-05'],
  },
  'gup-read-breaks-cow': {
    description: 'Whoever takes a reference to a page of a private mapping gets a copy that is its own, also to read.',
    commit: '17839856fd58',
    since: '5.8',
    until: '5.9',
    requires: ['gup-foll-cow'],
    aliases: ['T-02'],
  },
  'write-protect-seq': {
    description:
      'fork raises a sequence count around what it write-protects; GUP-fast gives pins back that were taken meanwhile, and takes them slowly.',
    commit: '57efa1fe5957',
    since: '5.11',
    requires: ['fork-copies-pinned'],
    aliases: ['T-04'],
  },
  'gup-unshare': {
    description:
      'FOLL_PIN without FOLL_WRITE first takes a copy of an anonymous page that may be shared (FAULT_FLAG_UNSHARE).',
    commit: 'a7f226604170',
    since: '5.19',
    requires: ['anon-exclusive'],
    aliases: ['T-02'],
  },
  'foll-force-needs-exclusive': {
    description:
      'A forced write follows an entry that is not writable if its page is exclusive; before, if it broke COW itself and the entry is dirty.',
    commit: '5535be309971',
    since: '6.0',
    requires: ['anon-exclusive', 'gup-foll-cow'],
    aliases: ['T-05'],
  },
  'longterm-pin-unshares-files': {
    description:
      'Reading pins for long take a copy of the zero page and of pages of files that are mapped privately as well.',
    commit: '84209e87c696',
    since: '6.2',
    requires: ['gup-unshare'],
    aliases: ['T-02'],
  },
  'iouring-coalesces-buffers': {
    description: 'A registered buffer whose pages all belong to one folio is kept as one segment, with one pin.',
    commit: '57bebf807e2a',
    since: '6.3',
    requires: [],
    aliases: [],
  },
  'iouring-coalesce-needs-consecutive': {
    description:
      'Only pages of a folio that follow each other become one segment of a registered buffer; before, one page mapped many times did as well.',
    commit: '776617db78c6',
    since: '6.4',
    requires: [],
    aliases: [],
  },
  'direct-io-pins': {
    description:
      'Direct reads and writes take pins (FOLL_PIN), which fork and reclaim respect; before, plain references (FOLL_GET).',
    commit: null,
    since: '6.5',
    requires: [],
    aliases: ['T-19'],
  },
  'iouring-coalesces-several-folios': {
    description:
      'A registered buffer in several large folios of one size is kept as one segment for each; before, only one that lies in a single folio.',
    commit: null,
    since: '6.12',
    requires: ['iouring-coalesce-needs-consecutive'],
    aliases: [],
  },
  'iouring-ring-freed-after-unmap': {
    description:
      'The memory of a ring of provided buffers stays as long as it may be mapped; before, it was freed when the ring was unregistered.',
    commit: 'c392cbecd8ec',
    since: '6.8',
    requires: [],
    aliases: ['iouring-buffer-ring-uaf'],
  },
  'iouring-ring-mapped-by-reference': {
    description:
      'Memory of io_uring is mapped page by page, each mapping with a reference; before, by frame number, and kept until the instance was closed.',
    commit: null,
    since: '6.10',
    requires: ['iouring-ring-freed-after-unmap'],
    aliases: [],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
