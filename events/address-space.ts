// What happened to address spaces and their VMAs. Mirrors kernel/fork.c, mm/mmap.c, mm/vma.c, mm/rmap.c (anon_vma).
// Addresses are bytes, page aligned; VM_* flags are those of reducers/vma.ts.
import type { ShapesOf } from './shapes.js';

/** `mm_init()`: an empty address space. */
export interface MmCreated {
  readonly type: 'MmCreated';
  readonly mm: number;
  /** The address space `dup_mm()` copies from, 0 otherwise. */
  readonly parent: number;
  /** Where top-down placement begins, bytes. */
  readonly mmapBase: number;
  readonly startBrk: number;
  readonly brk: number;
  /** Flags every new mapping gets (mlockall). */
  readonly defFlags: number;
  /** 1 where part of the layout is unknown because the recording does not hold it (strace does not show what execve maps). */
  readonly foreignLayout: number;
}
/** `mmget()`/`mmput()`: how many tasks use the address space, as a difference. */
export interface MmUsersChanged {
  readonly type: 'MmUsersChanged';
  readonly mm: number;
  readonly users: number;
}
/** `__mmdrop()`: nothing refers to the address space any more. */
export interface MmFreed {
  readonly type: 'MmFreed';
  readonly mm: number;
}
/** `set_brk()`, `brk(2)`. */
export interface BrkSet {
  readonly type: 'BrkSet';
  readonly mm: number;
  readonly startBrk: number;
  readonly brk: number;
}
/** mlockall(MCL_FUTURE): flags that new mappings get. */
export interface DefFlagsSet {
  readonly type: 'DefFlagsSet';
  readonly mm: number;
  readonly defFlags: number;
}
/** `update_hiwater_rss()`: resident pages noted before a decrease. */
export interface HiwaterRssRaised {
  readonly type: 'HiwaterRssRaised';
  readonly mm: number;
  readonly pages: number;
}
/** `acct_arg_size()`: pages of arguments charged to (or taken back from) the address space that calls execve. */
export interface ArgPagesAccounted {
  readonly type: 'ArgPagesAccounted';
  readonly mm: number;
  readonly rssAnon: number;
}
/** Pages of VMAs by type, as differences: `vm_stat_account()`, `mm->locked_vm`, `vm_acct_memory()`. */
export interface VmAccounted {
  readonly type: 'VmAccounted';
  readonly mm: number;
  readonly total: number;
  readonly data: number;
  readonly stack: number;
  readonly exec: number;
  readonly locked: number;
  readonly committed: number;
}
/** A VMA was linked in: `vma_iter_store_new()`. */
export interface VmaInserted {
  readonly type: 'VmaInserted';
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly pgoff: number;
  /** File behind it, 0 for anonymous memory. */
  readonly inode: number;
  /** Open file description that it was mapped through, -1 for none or where that is not known: mappings of different ones do not merge. */
  readonly file: number;
  /** Its own anon_vma, 0 for none; and the whole chain, own first. */
  readonly anonVma: number;
  readonly chain: readonly number[];
}
/** `vma_iter_clear()`: the VMA starting there is gone; its entries were zapped before. */
export interface VmaRemoved {
  readonly type: 'VmaRemoved';
  readonly mm: number;
  readonly start: number;
}
/** `__split_vma()`: the VMA starting at `start` ends at `at`; the rest became a VMA of its own. */
export interface VmaSplit {
  readonly type: 'VmaSplit';
  readonly mm: number;
  readonly start: number;
  readonly at: number;
}
/** `vma_set_range()`: the VMA starting at `start` now covers other addresses (brk, mremap, stack growth, merge with a new mapping). */
export interface VmaResized {
  readonly type: 'VmaResized';
  readonly mm: number;
  readonly start: number;
  readonly newStart: number;
  readonly newEnd: number;
  readonly newPgoff: number;
}
/** `commit_merge()`: the VMA starting at `start` took over the one right behind it, with the anon_vma that survives. */
export interface VmaMerged {
  readonly type: 'VmaMerged';
  readonly mm: number;
  readonly start: number;
  readonly absorbed: number;
  readonly anonVma: number;
  readonly chain: readonly number[];
}
/** `vm_flags_reset()`: mprotect, mlock, madvise. */
export interface VmaFlagsChanged {
  readonly type: 'VmaFlagsChanged';
  readonly mm: number;
  readonly start: number;
  readonly flags: number;
}
/** `__anon_vma_prepare()`, `anon_vma_fork()`, `unlink_anon_vmas()`: which anon_vma a VMA's new pages belong to. */
export interface VmaAnonVmaSet {
  readonly type: 'VmaAnonVmaSet';
  readonly mm: number;
  readonly start: number;
  readonly anonVma: number;
  readonly chain: readonly number[];
}
/** `anon_vma_alloc()`. `root` and `parent` equal the id itself for a root. */
export interface AnonVmaCreated {
  readonly type: 'AnonVmaCreated';
  readonly anonVma: number;
  readonly root: number;
  readonly parent: number;
}
/** Differences of `num_active_vmas`, `num_children` and of the number of VMAs linked to it. */
export interface AnonVmaLinked {
  readonly type: 'AnonVmaLinked';
  readonly anonVma: number;
  readonly activeVmas: number;
  readonly children: number;
  readonly links: number;
}
/** `anon_vma_free()`. */
export interface AnonVmaFreed {
  readonly type: 'AnonVmaFreed';
  readonly anonVma: number;
}

export type AddressSpaceEvent =
  | MmCreated
  | MmUsersChanged
  | MmFreed
  | BrkSet
  | DefFlagsSet
  | HiwaterRssRaised
  | ArgPagesAccounted
  | VmAccounted
  | VmaInserted
  | VmaRemoved
  | VmaSplit
  | VmaResized
  | VmaMerged
  | VmaFlagsChanged
  | VmaAnonVmaSet
  | AnonVmaCreated
  | AnonVmaLinked
  | AnonVmaFreed;

/** Opcodes and kinds of fields. */
export const ADDRESS_SPACE_SHAPES: ShapesOf<AddressSpaceEvent> = {
  MmCreated: {
    opcode: 8,
    fields: {
      mm: 'mm',
      parent: 'mm',
      mmapBase: 'addr',
      startBrk: 'addr',
      brk: 'addr',
      defFlags: 'int',
      foreignLayout: 'int',
    },
  },
  MmUsersChanged: { opcode: 9, fields: { mm: 'mm', users: 'int' } },
  MmFreed: { opcode: 10, fields: { mm: 'mm' } },
  BrkSet: { opcode: 11, fields: { mm: 'mm', startBrk: 'addr', brk: 'addr' } },
  DefFlagsSet: { opcode: 12, fields: { mm: 'mm', defFlags: 'int' } },
  HiwaterRssRaised: { opcode: 13, fields: { mm: 'mm', pages: 'int' } },
  ArgPagesAccounted: { opcode: 14, fields: { mm: 'mm', rssAnon: 'int' } },
  VmAccounted: {
    opcode: 15,
    fields: {
      mm: 'mm',
      total: 'int',
      data: 'int',
      stack: 'int',
      exec: 'int',
      locked: 'int',
      committed: 'int',
    },
  },
  VmaInserted: {
    opcode: 16,
    fields: {
      mm: 'mm',
      start: 'addr',
      end: 'addr',
      flags: 'int',
      pgoff: 'int',
      inode: 'inode',
      file: 'int',
      anonVma: 'anonVma',
      chain: 'ints',
    },
  },
  VmaRemoved: { opcode: 17, fields: { mm: 'mm', start: 'addr' } },
  VmaSplit: { opcode: 18, fields: { mm: 'mm', start: 'addr', at: 'addr' } },
  VmaResized: {
    opcode: 19,
    fields: { mm: 'mm', start: 'addr', newStart: 'addr', newEnd: 'addr', newPgoff: 'int' },
  },
  VmaMerged: {
    opcode: 20,
    fields: { mm: 'mm', start: 'addr', absorbed: 'addr', anonVma: 'anonVma', chain: 'ints' },
  },
  VmaFlagsChanged: { opcode: 21, fields: { mm: 'mm', start: 'addr', flags: 'int' } },
  VmaAnonVmaSet: {
    opcode: 22,
    fields: { mm: 'mm', start: 'addr', anonVma: 'anonVma', chain: 'ints' },
  },
  AnonVmaCreated: { opcode: 23, fields: { anonVma: 'anonVma', root: 'anonVma', parent: 'anonVma' } },
  AnonVmaLinked: {
    opcode: 24,
    fields: { anonVma: 'anonVma', activeVmas: 'int', children: 'int', links: 'int' },
  },
  AnonVmaFreed: { opcode: 25, fields: { anonVma: 'anonVma' } },
};
