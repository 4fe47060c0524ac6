// userfaultfd: contexts, which mappings they watch, who waits for whom, and what the ioctls do to entries.
// `uffd` is a context's number, counted from 1. Addresses are bytes; `vpn` is address / 4096.
import type { ShapesOf } from './shapes.js';

/**
 * `new_userfaultfd()`, and `dup_userfaultfd()` for the child of a fork: a context of address space `mm`. `flags` are those of userfaultfd(2);
 * `features` are -1 until the handshake, a child's are its parent's. `inode` is what descriptors lead to; 0 until a monitor reads of the fork.
 */
export interface UffdCreated {
  readonly type: 'UffdCreated';
  readonly uffd: number;
  readonly inode: number;
  readonly mm: number;
  readonly flags: number;
  readonly features: number;
}
/** `userfaultfd_api()`: the handshake; UFFD_FEATURE_* that were asked for. */
export interface UffdFeaturesSet {
  readonly type: 'UffdFeaturesSet';
  readonly uffd: number;
  readonly features: number;
}
/** `userfaultfd_set_ctx()`, `userfaultfd_reset_ctx()`: the VMA at `start` belongs to context `uffd` (0: to none), with these VM_* flags. */
export interface UffdVmaSet {
  readonly type: 'UffdVmaSet';
  readonly mm: number;
  readonly start: number;
  readonly uffd: number;
  readonly flags: number;
}
/** `handle_userfault()`: task `tid` waits for somebody to resolve its fault. The other fields are those of the message. */
export interface UffdFaultQueued {
  readonly type: 'UffdFaultQueued';
  readonly uffd: number;
  readonly tid: number;
  readonly addr: number;
  /** UFFD_PAGEFAULT_FLAG_*. */
  readonly flags: number;
  /** The task's number as the message has it: 0 without UFFD_FEATURE_THREAD_ID. */
  readonly ptid: number;
}
/** `userfaultfd_ctx_read()`: the oldest message of those who wait and were not read of was read. It was that of task `tid`. */
export interface UffdFaultRead {
  readonly type: 'UffdFaultRead';
  readonly uffd: number;
  readonly tid: number;
}
/** `userfaultfd_wake_function()`: these tasks wait no more, and try again. A task that was killed while it waited is one as well. */
export interface UffdFaultsWoken {
  readonly type: 'UffdFaultsWoken';
  readonly uffd: number;
  readonly tids: readonly number[];
}
/** `userfaultfd_release()`: no descriptor leads to the context any more, and its mappings no longer belong to it. */
export interface UffdReleased {
  readonly type: 'UffdReleased';
  readonly uffd: number;
}
/** `mwriteprotect_range()`: entries of one table became write-protected, or no longer are. Runs are [vpn, pfn, n, new flags]*. */
export interface UffdWpChanged {
  readonly type: 'UffdWpChanged';
  readonly mm: number;
  readonly runs: readonly number[];
}
/** `uffd_wp_range()`: all of [addr, end) bytes was gone over, to protect it (`enable` 1) or to end that, and the TLB flushed. */
export interface UffdRangeProtected {
  readonly type: 'UffdRangeProtected';
  readonly mm: number;
  readonly addr: number;
  readonly end: number;
  readonly enable: number;
}
/** Entries of one table became markers (`make_pte_marker()`), or (`entry` 0) markers empty entries. Runs are [vpn, n]*. */
export interface UffdMarkersSet {
  readonly type: 'UffdMarkersSet';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly entry: number;
}
/**
 * `move_present_pte()`, `move_swap_pte()`, `move_zeropage_pte()`: what stood at `vpn` stands at `newVpn` as `entry`. A page's frame `pfn` belongs to
 * `anonVma` from then on, at `index`; -1 for entries without a page.
 */
export interface UffdEntryMoved {
  readonly type: 'UffdEntryMoved';
  readonly mm: number;
  readonly vpn: number;
  readonly newVpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
}

/** `inc_mm_counter()` beside any entry: `pages` more count as one of reducers/state.ts MM_*. Kernels without uffd-install-asks-folio do, and the one of uffd-install-counts-first. */
export interface MmCounterChanged {
  readonly type: 'MmCounterChanged';
  readonly mm: number;
  readonly counter: number;
  readonly pages: number;
}
/**
 * `move_pages_huge_pmd()`: the huge entry of the 512 pages from `vpn` on stands at `newVpn` as `entry`. The huge page of frame `pfn` belongs to `anonVma`
 * from then on, its first page at `index`; -1 for the huge zero page.
 */
export interface UffdPmdMoved {
  readonly type: 'UffdPmdMoved';
  readonly mm: number;
  readonly vpn: number;
  readonly newVpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
}
/**
 * `dup_userfaultfd()`, `mremap_userfaultfd_prep()`, `userfaultfd_remove()`, `userfaultfd_unmap_prep()`: task `tid` changes what the context watches
 * (`count` 1), and is done with it (-1). While anybody does, nobody fills.
 */
export interface UffdMmapChanging {
  readonly type: 'UffdMmapChanging';
  readonly uffd: number;
  readonly tid: number;
  readonly count: number;
}
/**
 * `userfaultfd_event_wait_completion()`: task `tid` waits for somebody to read of what it does. `event` is UFFD_EVENT_*; the rest as in its message:
 * REMAP from, to and length; REMOVE and UNMAP start and end; FORK the child's context and number.
 */
export interface UffdEventQueued {
  readonly type: 'UffdEventQueued';
  readonly uffd: number;
  readonly tid: number;
  readonly event: number;
  readonly from: number;
  readonly to: number;
  readonly length: number;
}
/** `userfaultfd_event_complete()`: the message of task `tid` was read, or (`read` 0) nobody is there any more to read it. */
export interface UffdEventRemoved {
  readonly type: 'UffdEventRemoved';
  readonly uffd: number;
  readonly tid: number;
  readonly read: number;
}
/** `resolve_userfault_fork()`: the context of a child gets something that descriptors lead to. */
export interface UffdInodeSet {
  readonly type: 'UffdInodeSet';
  readonly uffd: number;
  readonly inode: number;
}
/** `userfaultfd_ctx_read()`, `userfaultfd_poll()`: task `tid` waits for messages (`count` 1), and no longer (-1). */
export interface UffdReaderWaits {
  readonly type: 'UffdReaderWaits';
  readonly uffd: number;
  readonly tid: number;
  readonly count: number;
}

export type UserfaultfdEvent =
  | UffdCreated
  | UffdFeaturesSet
  | UffdVmaSet
  | UffdFaultQueued
  | UffdFaultRead
  | UffdFaultsWoken
  | UffdReleased
  | UffdWpChanged
  | UffdRangeProtected
  | UffdMarkersSet
  | UffdEntryMoved
  | UffdPmdMoved
  | MmCounterChanged
  | UffdMmapChanging
  | UffdEventQueued
  | UffdEventRemoved
  | UffdInodeSet
  | UffdReaderWaits;

/** Their part of the catalogue. */
export const USERFAULTFD_SHAPES: ShapesOf<UserfaultfdEvent> = {
  UffdCreated: { opcode: 251, fields: { uffd: 'int', inode: 'inode', mm: 'mm', flags: 'int', features: 'int' } },
  UffdFeaturesSet: { opcode: 252, fields: { uffd: 'int', features: 'int' } },
  UffdVmaSet: { opcode: 242, fields: { mm: 'mm', start: 'addr', uffd: 'int', flags: 'int' } },
  UffdFaultQueued: {
    opcode: 243,
    fields: { uffd: 'int', tid: 'tid', addr: 'addr', flags: 'int', ptid: 'int' },
  },
  UffdFaultRead: { opcode: 244, fields: { uffd: 'int', tid: 'tid' } },
  UffdFaultsWoken: { opcode: 245, fields: { uffd: 'int', tids: 'ints' } },
  UffdReleased: { opcode: 246, fields: { uffd: 'int' } },
  UffdWpChanged: { opcode: 247, fields: { mm: 'mm', runs: 'pteRuns4' } },
  UffdRangeProtected: { opcode: 250, fields: { mm: 'mm', addr: 'addr', end: 'int', enable: 'int' } },
  UffdMarkersSet: { opcode: 248, fields: { mm: 'mm', runs: 'vpnRuns', entry: 'int' } },
  MmCounterChanged: { opcode: 118, fields: { mm: 'mm', counter: 'int', pages: 'int' } },
  UffdEntryMoved: {
    opcode: 249,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      newVpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
    },
  },
  UffdPmdMoved: {
    opcode: 135,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      newVpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
    },
  },
  UffdMmapChanging: { opcode: 130, fields: { uffd: 'int', tid: 'tid', count: 'int' } },
  UffdEventQueued: {
    opcode: 131,
    fields: { uffd: 'int', tid: 'tid', event: 'int', from: 'int', to: 'int', length: 'int' },
  },
  UffdEventRemoved: { opcode: 132, fields: { uffd: 'int', tid: 'tid', read: 'int' } },
  UffdInodeSet: { opcode: 133, fields: { uffd: 'int', inode: 'inode' } },
  UffdReaderWaits: { opcode: 134, fields: { uffd: 'int', tid: 'tid', count: 'int' } },
};
