// Behaviours: each historical change that matters is a named switch. A kernel version is a set of values.
import { EXIT, UserError } from '../lib/errors.js';

/** How one historical change of the kernel is told apart. */
interface BehaviourDefinition {
  readonly description: string;
  /** Mainline commit; null where none was read in a source. */
  readonly commit: string | null;
  /** First mainline version that has it; null where none has it unasked: a configuration, or a change that was not made. */
  readonly since: string | null;
  /** First mainline version that has it no more, of what was taken back or replaced. */
  readonly until?: string;
  /** Switches without which it makes no sense. */
  readonly requires: readonly BehaviourName[];
  /** Names the reference documents use for it. */
  readonly aliases: readonly string[];
}

export const BEHAVIOUR_NAMES = [
  'softdirty-enables-writenotify',
  'madv-free-skips-shared',
  'gup-foll-cow',
  'stack-guard-gap',
  'mremap-duplicates-shared-only',
  'growth-keeps-min-addr',
  'gup-read-breaks-cow',
  'huge-cow-splits',
  'cow-reuse-by-refcount',
  'fork-copies-pinned',
  'write-protect-seq',
  'clear-refs-skips-pinned',
  'wp-reuse-drains-lru',
  'lazyfree-checks-refs',
  'swapin-reuse-by-refcount',
  'thp-cow-reuse-by-refcount',
  'anon-exclusive',
  'gup-unshare',
  'swap-exclusive-bit',
  'migration-entry-exclusive',
  'mprotect-upgrades-exclusive',
  'mprotect-checks-soft-dirty',
  'foll-force-needs-exclusive',
  'longterm-pin-unshares-files',
  'ksm-breaks-by-unshare',
  'iouring-coalesces-buffers',
  'iouring-coalesce-needs-consecutive',
  'map-stack-nohugepage',
  'madv-collapse',
  'anon-large-folios',
  'mseal',
  'split-maps-zero-pages',
  'guard-markers',
  'huge-zero-write-allocates',
  'dontneed-frees-page-tables',
  'guard-markers-of-files',
  'large-folio-owner-slots',
  'merge-refuses-fork-child',
  'mremap-moves-several',
  'fault-around-spares-eof',
  'guard-vma-flag',
  'ksm-fork-resets-counters',
  'collapse-without-writable-pte',
  'mseal-covers-private-file',
  'soft-dirty',
  'collapse-in-place',
  'collapse-in-place-minds-exclusive',
  'wp-reuse-range',
  'wp-copy-range',
  'wp-copy-range-minds-exclusive',
] as const;
export type BehaviourName = (typeof BEHAVIOUR_NAMES)[number];

/** Every switch, oldest first. */
export const BEHAVIOURS: Readonly<Record<BehaviourName, BehaviourDefinition>> = {
  'softdirty-enables-writenotify': {
    description:
      'Where soft-dirty tracks writes, shared memory that is read first is mapped read-only; before, writes after the first read went unseen.',
    commit: '64e455079e1b',
    since: '3.18',
    requires: [],
    aliases: [],
  },
  'madv-free-skips-shared': {
    description:
      'MADV_FREE leaves a page alone that somebody else maps, if it is dirty itself or in the swap cache: nothing else would keep its bytes.',
    commit: null,
    since: '4.5',
    requires: [],
    aliases: [],
  },
  'gup-foll-cow': {
    description:
      'A forced write remembers that it broke COW and looks for a dirty entry; before, it looked again as a reader and took whatever was there.',
    commit: '19be0eaffa3a',
    since: '4.9',
    requires: [],
    aliases: ['T-05'],
  },
  'stack-guard-gap': {
    description:
      'A mapping that grows down stays 256 pages away from what is below it, and so does what is placed there; before, its lowest page was the guard.',
    commit: '1be7107fbe18',
    since: '4.12',
    requires: [],
    aliases: [],
  },
  'mremap-duplicates-shared-only': {
    description: 'mremap with old size 0 is refused for private memory, of which it made no copy but an empty mapping.',
    commit: 'dba58d3b8c50',
    since: '4.14',
    requires: [],
    aliases: ['mremap-dup-shared-only'],
  },
  'growth-keeps-min-addr': {
    description:
      'No mapping grows below vm.mmap_min_addr, whoever asks; before, a writer with CAP_SYS_RAWIO could make another process do so.',
    commit: '0a1d52994d44',
    since: '5.0',
    requires: [],
    aliases: ['growsdown-absolute-min-addr'],
  },
  'gup-read-breaks-cow': {
    description: 'Whoever takes a reference to a page of a private mapping gets a copy that is its own, also to read.',
    commit: '17839856fd58',
    since: '5.8',
    until: '5.9',
    requires: ['gup-foll-cow'],
    aliases: ['T-02'],
  },
  'huge-cow-splits': {
    description:
      'A write to a shared huge page splits its huge entry and copies the one page; before, the huge page was copied whole.',
    commit: '3917c80280c9',
    since: '5.8',
    requires: [],
    aliases: ['T-10'],
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
  'write-protect-seq': {
    description:
      'fork raises a sequence count around what it write-protects; GUP-fast gives pins back that were taken meanwhile, and takes them slowly.',
    commit: '57efa1fe5957',
    since: '5.11',
    requires: ['fork-copies-pinned'],
    aliases: ['T-04'],
  },
  'clear-refs-skips-pinned': {
    description: 'Clearing soft-dirty leaves pages alone that may be pinned, instead of write-protecting them.',
    commit: '9348b73c2e1b',
    since: '5.11',
    requires: [],
    aliases: [],
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
  'thp-cow-reuse-by-refcount': {
    description:
      'A write to a huge page that is not known to be exclusive keeps it only if nobody else holds a reference; before, no other mapping was enough.',
    commit: '3bff7e3f1f16',
    since: '5.18',
    requires: [],
    aliases: [],
  },
  'anon-exclusive': {
    description: 'PG_anon_exclusive: a page known to belong to one process is reused without counting references.',
    commit: '6c287605fd56',
    since: '5.19',
    requires: ['cow-reuse-by-refcount'],
    aliases: ['T-01', 'T-03'],
  },
  'gup-unshare': {
    description:
      'FOLL_PIN without FOLL_WRITE first takes a copy of an anonymous page that may be shared (FAULT_FLAG_UNSHARE).',
    commit: 'a7f226604170',
    since: '5.19',
    requires: ['anon-exclusive'],
    aliases: ['T-02'],
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
  'mprotect-checks-soft-dirty': {
    description:
      'mprotect to writable leaves entries read-only whose first write soft-dirty is to see; before, it spared those that nobody tracks.',
    commit: '76aefad628aa',
    since: '6.0',
    requires: [],
    aliases: [],
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
  'ksm-breaks-by-unshare': {
    description:
      'Pages that KSM merged are taken apart without a write (FAULT_FLAG_UNSHARE): the copies are clean and not writable.',
    commit: null,
    since: '6.2',
    requires: ['gup-unshare'],
    aliases: [],
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
  'map-stack-nohugepage': {
    description: 'MAP_STACK keeps huge pages out of the mapping, and it from merging with others.',
    commit: null,
    since: '6.7',
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
  'anon-large-folios': {
    description:
      'Page faults in anonymous memory may get folios of 4 to 256 pages, each size with a setting of its own; before, single pages or 2 MiB.',
    commit: '19eaf44954df',
    since: '6.8',
    requires: [],
    aliases: [],
  },
  mseal: {
    description:
      'mseal(2): what is mapped can be sealed against being unmapped, moved, replaced or given other rights.',
    commit: null,
    since: '6.10',
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
  'guard-markers': {
    description: 'MADV_GUARD_INSTALL and MADV_GUARD_REMOVE, on anonymous memory that may be written to.',
    commit: null,
    since: '6.13',
    requires: [],
    aliases: ['T-17'],
  },
  'huge-zero-write-allocates': {
    description:
      'A write to the huge zero page gets a huge page of its own; before (since huge-cow-splits), the zero page was split, and one page copied.',
    commit: null,
    since: '6.13',
    requires: [],
    aliases: ['T-09'],
  },
  'dontneed-frees-page-tables': {
    description: 'MADV_DONTNEED frees the page tables that its range covers as a whole, at once instead of at munmap.',
    commit: null,
    since: '6.14',
    requires: [],
    aliases: [],
  },
  'guard-markers-of-files': {
    description: 'Guard markers in mappings of files and in memory that may only be read, too.',
    commit: null,
    since: '6.15',
    requires: ['guard-markers'],
    aliases: ['T-17'],
  },
  'large-folio-owner-slots': {
    description:
      'A large folio knows up to two address spaces that map it: a write fault keeps its page if one maps the folio and nobody else holds it; before, single pages of a large folio were always copied.',
    commit: null,
    since: '6.15',
    requires: ['anon-exclusive'],
    aliases: ['T-07'],
  },
  'merge-refuses-fork-child': {
    description:
      'VMAs merge where only one has an anon_vma, unless that one came by fork; before, other pairs were refused as well.',
    commit: null,
    since: '6.16',
    requires: [],
    aliases: ['T-12'],
  },
  'mremap-moves-several': {
    description: 'mremap moves a range of several VMAs if it keeps its size; before, it was refused with EFAULT.',
    commit: null,
    since: '6.17',
    requires: [],
    aliases: ['T-18'],
  },
  'fault-around-spares-eof': {
    description:
      'To keep SIGBUS beyond the end of a file, fault-around maps nothing where no page table is and its first page is the file’s last.',
    commit: null,
    since: '6.18',
    requires: [],
    aliases: [],
  },
  'guard-vma-flag': {
    description:
      'VM_MAYBE_GUARD says that a mapping may have guard markers: fork copies its entries, and merging minds no difference in it. Before, mappings of files got an anon_vma to be copied.',
    commit: null,
    since: '6.18',
    requires: ['guard-markers-of-files'],
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
  'collapse-without-writable-pte': {
    description:
      'Collapse takes memory of which no page is writable through its entry; before, it was refused, and all that fork had just shared with it.',
    commit: null,
    since: '6.18',
    requires: [],
    aliases: ['T-08'],
  },
  'mseal-covers-private-file': {
    description:
      'Advice that would discard pages of a sealed read-only mapping is refused for private mappings of files as well. No kernel does.',
    commit: null,
    since: null,
    requires: ['mseal'],
    aliases: [],
  },
  'soft-dirty': {
    description:
      'CONFIG_MEM_SOFT_DIRTY: which pages were written to since /proc/PID/clear_refs was told so. A configuration; off in the kernel measured.',
    commit: null,
    since: null,
    requires: [],
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
};

/** Where a switch comes from, in words: `since 5.19, commit a7f226604170`. */
export function originOf(name: BehaviourName): string {
  const { since, commit } = BEHAVIOURS[name];
  return [
    since === null ? 'in no kernel unasked' : `since ${since}`,
    ...(commit === null ? [] : [`commit ${commit}`]),
  ].join(', ');
}

/** The value of every switch. */
export type Behaviours = Readonly<Record<BehaviourName, boolean>>;

/** The version modelled unless told otherwise: what the machines this was measured on run. */
export const DEFAULT_KERNEL = '6.18';
const OLDEST: readonly [number, number, number] = [2, 6, 26];

function parseVersion(text: string): readonly [number, number, number] {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw new UserError(`'${text}' is no kernel version; write it as 5.18 or 2.6.26`, EXIT.input);
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

function compare(a: readonly [number, number, number], b: readonly [number, number, number]): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/**
 * The behaviours of mainline kernel `version` ("5.18"), 2.6.26 to 6.18.
 * @throws UserError for a version outside that range.
 */
export function behavioursOf(version: string): Behaviours {
  const wanted = parseVersion(version);
  const newest = parseVersion(DEFAULT_KERNEL);
  // Stable updates (6.18.44) count as their mainline version.
  const known = compare(wanted, OLDEST) >= 0 && compare([wanted[0], wanted[1], 0], newest) <= 0;
  if (!known) throw new UserError(`kernel ${version} is not modelled; 2.6.26 to ${DEFAULT_KERNEL} are`, EXIT.input);
  const has = ({ since, until }: BehaviourDefinition): boolean =>
    since !== null &&
    compare(wanted, parseVersion(since)) >= 0 &&
    (until === undefined || compare(wanted, parseVersion(until)) < 0);
  const entries = BEHAVIOUR_NAMES.map((name) => [name, has(BEHAVIOURS[name])]);
  return Object.fromEntries(entries) as Behaviours;
}

/**
 * `base` with some switches turned: names of BEHAVIOURS. A switch turned on brings what it requires; one turned off takes along
 * what requires it.
 * @throws UserError for an unknown name, or one both on and off.
 */
export function withBehaviours(base: Behaviours, on: readonly string[], off: readonly string[]): Behaviours {
  const result: Record<BehaviourName, boolean> = { ...base };
  for (const name of on)
    if (off.includes(name)) throw new UserError(`behaviour '${name}' is both with and without`, EXIT.input);
  const turnOn = (name: BehaviourName): void => {
    result[name] = true;
    BEHAVIOURS[name].requires.forEach(turnOn);
  };
  const turnOff = (name: BehaviourName): void => {
    result[name] = false;
    for (const other of BEHAVIOUR_NAMES) if (result[other] && BEHAVIOURS[other].requires.includes(name)) turnOff(other);
  };
  on.map(behaviourName).forEach(turnOn);
  off.map(behaviourName).forEach(turnOff);
  return result;
}

function behaviourName(text: string): BehaviourName {
  const name = BEHAVIOUR_NAMES.find((each) => each === text);
  if (name === undefined)
    throw new UserError(`no behaviour '${text}'; known are ${BEHAVIOUR_NAMES.join(', ')}`, EXIT.input);
  return name;
}
