// Mappings: placing, growing, moving, merging, sealing, guarding, and what tells their writes.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const MAPPINGS_BEHAVIOURS = {
  'softdirty-enables-writenotify': {
    description:
      'Where soft-dirty tracks writes, shared memory that is read first is mapped read-only; before, writes after the first read went unseen.',
    commit: '64e455079e1b',
    since: '3.18',
    requires: [],
    aliases: [],
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
  'clear-refs-skips-pinned': {
    description: 'Clearing soft-dirty leaves pages alone that may be pinned, instead of write-protecting them.',
    commit: '9348b73c2e1b',
    since: '5.11',
    requires: [],
    aliases: [],
  },
  'mprotect-checks-soft-dirty': {
    description:
      'mprotect to writable leaves entries read-only whose first write soft-dirty is to see; before, it spared those that nobody tracks.',
    commit: '76aefad628aa',
    since: '6.0',
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
  mseal: {
    description:
      'mseal(2): what is mapped can be sealed against being unmapped, moved, replaced or given other rights.',
    commit: null,
    since: '6.10',
    requires: [],
    aliases: [],
  },
  'guard-markers': {
    description: 'MADV_GUARD_INSTALL and MADV_GUARD_REMOVE, on anonymous memory that may be written to.',
    commit: null,
    since: '6.13',
    requires: [],
    aliases: ['T-17'],
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
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
