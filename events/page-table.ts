// What happened to page-table entries, with everything that changed under the same lock hold.
// `vpn` is address / 4096, `pfn` the model's frame number. Entries are numbers, see reducers/pte.ts; flags are their low bits.
// `ref`, `mapcount` and `rss*` are differences that apply to every page the event names; `rss*` are totals of the event.
import type { ShapesOf } from './shapes.js';

/** `__pte_alloc()` and the levels above it: page tables that a walk to `vpn` had to add (`bytes` of tables). */
export interface PageTableAllocated {
  readonly type: 'PageTableAllocated';
  readonly mm: number;
  readonly vpn: number;
  readonly bytes: number;
}
/** `free_pgtables()`: the tables covering [vpn, vpnEnd) are gone; all their entries were empty. */
export interface PageTablesFreed {
  readonly type: 'PageTablesFreed';
  readonly mm: number;
  readonly vpn: number;
  readonly vpnEnd: number;
  readonly bytes: number;
}
/** `do_anonymous_page()`, read fault: the shared zero page, no rmap, no reference, no rss. */
export interface ZeroPageMapped {
  readonly type: 'ZeroPageMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly entry: number;
}
/** A pfn mapping without a page behind it (vvar): `vmf_insert_pfn()`. */
export interface SpecialPfnMapped {
  readonly type: 'SpecialPfnMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly entry: number;
}
/**
 * A fresh anonymous page became visible: `do_anonymous_page()`, `do_cow_fault()`, arguments of execve.
 * `lruCpu` is the CPU whose LRU batch took it (one more reference, contained in `ref`).
 */
export interface AnonPageMapped {
  readonly type: 'AnonPageMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly rssAnon: number;
  readonly lruCpu: number;
}
/**
 * `wp_page_copy()`, the commit: the entry now leads to the private copy, and the old page lost this mapping.
 * `oldPfn` is -1 for the zero page. References to the old page go with a FoliosReleased afterwards.
 */
export interface CowPageMapped {
  readonly type: 'CowPageMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly oldPfn: number;
  readonly oldMapcount: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly rssFile: number;
  readonly rssAnon: number;
  readonly rssShmem: number;
  readonly lruCpu: number;
}
/**
 * `wp_page_reuse()` and the decision before it: the page stays. `exclusive` 1 sets the flag; `anonVma` is what
 * `folio_move_anon_rmap()` attached the page to, 0 if it stayed where it was.
 */
export interface PageReused {
  readonly type: 'PageReused';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly exclusive: number;
  readonly anonVma: number;
}
/** An entry got other flags in a fault (dirty, writable in a shared mapping), by a store of the program itself, or (swapped out) another soft-dirty bit. */
export interface PteFlagsSet {
  readonly type: 'PteFlagsSet';
  readonly mm: number;
  readonly vpn: number;
  readonly entry: number;
}
/** `filemap_map_pages()`, `finish_fault()`: page-cache pages became visible. `runs` is [vpn, pfn, n]*, `flags` those of each new entry. */
export interface FilePagesMapped {
  readonly type: 'FilePagesMapped';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly flags: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly rssFile: number;
  readonly rssShmem: number;
}
/**
 * `copy_pte_range()`: entries of one table that fork gave to the child. Runs are [vpn, pfn, n, child's flags, parent's new flags]*;
 * `anon` pages also lose PG_anon_exclusive (`exclusive` 0), `special` ones (zero page) have no page to count.
 */
export interface PtesCopied {
  readonly type: 'PtesCopied';
  readonly mm: number;
  readonly child: number;
  readonly anon: readonly number[];
  readonly file: readonly number[];
  readonly special: readonly number[];
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly rssFile: number;
  readonly rssAnon: number;
  readonly rssShmem: number;
}
/**
 * `change_pte_range()`: entries of one table whose flags mprotect changed. Runs are [vpn, pfn, n, new flags]*.
 */
export interface PtesProtected {
  readonly type: 'PtesProtected';
  readonly mm: number;
  readonly runs: readonly number[];
}
/**
 * `clear_soft_dirty()`: entries of one table that /proc/PID/clear_refs made neither soft-dirty nor writable; `move_soft_dirty_pte()`: that became soft-dirty as
 * mremap moved them. Runs are [vpn, pfn, n, new flags]*. Entries without a page have a PteFlagsSet each.
 */
export interface SoftDirtyChanged {
  readonly type: 'SoftDirtyChanged';
  readonly mm: number;
  readonly runs: readonly number[];
}
/**
 * `zap_pte_range()`: entries of one table were cleared. `runs` is [vpn, pfn, n, old flags]* for pages (mapcount changes, the
 * reference waits in the mm's gather until GatherFlushed), `special` the same for entries without a page.
 */
export interface PtesZapped {
  readonly type: 'PtesZapped';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly special: readonly number[];
  readonly mapcount: number;
  readonly rssFile: number;
  readonly rssAnon: number;
  readonly rssShmem: number;
}
/** `tlb_finish_mmu()`: references of gathered pages dropped ([pfn, n]*); `freed` ([pfn, n]*) are those that had no other. */
export interface GatherFlushed {
  readonly type: 'GatherFlushed';
  readonly mm: number;
  readonly ref: number;
  readonly runs: readonly number[];
  readonly freed: readonly number[];
}
/** `move_ptes()`: entries moved as they are from `vpn` on to `newVpn` on. Runs are [offset, n]* in pages. */
export interface PtesMoved {
  readonly type: 'PtesMoved';
  readonly mm: number;
  readonly vpn: number;
  readonly newVpn: number;
  readonly runs: readonly number[];
}
/**
 * `madvise_free_pte_range()`: entries and pages became clean. Runs are [vpn, pfn, n, new flags]*. Where `lruCpu` is not -1 its
 * batch of lazily freed pages took them off the LRU with a reference (`ref`); swapbacked goes when that batch drains.
 */
export interface PagesLazyfreed {
  readonly type: 'PagesLazyfreed';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly ref: number;
  readonly lruCpu: number;
}
/** `guard_install_set_pte()`: empty entries of one table became guard markers, `entry` each. Runs are [vpn, n]*. */
export interface GuardMarkersInstalled {
  readonly type: 'GuardMarkersInstalled';
  readonly mm: number;
  readonly runs: readonly number[];
  readonly entry: number;
}
/** `guard_remove_pte_entry()`: guard markers of one table are empty entries again. Runs are [vpn, n]*. */
export interface GuardMarkersRemoved {
  readonly type: 'GuardMarkersRemoved';
  readonly mm: number;
  readonly runs: readonly number[];
}

export type PageTableEvent =
  | PageTableAllocated
  | PageTablesFreed
  | ZeroPageMapped
  | SpecialPfnMapped
  | AnonPageMapped
  | CowPageMapped
  | PageReused
  | PteFlagsSet
  | FilePagesMapped
  | PtesCopied
  | PtesProtected
  | SoftDirtyChanged
  | PtesZapped
  | GatherFlushed
  | PtesMoved
  | PagesLazyfreed
  | GuardMarkersInstalled
  | GuardMarkersRemoved;

/** Opcodes and kinds of fields. */
export const PAGE_TABLE_SHAPES: ShapesOf<PageTableEvent> = {
  PageTableAllocated: { opcode: 26, fields: { mm: 'mm', vpn: 'vpn', bytes: 'int' } },
  PageTablesFreed: { opcode: 27, fields: { mm: 'mm', vpn: 'vpn', vpnEnd: 'vpn', bytes: 'int' } },
  ZeroPageMapped: { opcode: 28, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  SpecialPfnMapped: { opcode: 29, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  AnonPageMapped: {
    opcode: 30,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      lruCpu: 'cpu',
    },
  },
  CowPageMapped: {
    opcode: 31,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      oldPfn: 'pfn',
      oldMapcount: 'int',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssFile: 'int',
      rssAnon: 'int',
      rssShmem: 'int',
      lruCpu: 'cpu',
    },
  },
  PageReused: {
    opcode: 32,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', exclusive: 'int', anonVma: 'anonVma' },
  },
  PteFlagsSet: { opcode: 33, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  FilePagesMapped: {
    opcode: 34,
    fields: {
      mm: 'mm',
      runs: 'pteRuns3',
      flags: 'int',
      ref: 'int',
      mapcount: 'int',
      rssFile: 'int',
      rssShmem: 'int',
    },
  },
  PtesCopied: {
    opcode: 35,
    fields: {
      mm: 'mm',
      child: 'mm',
      anon: 'pteRuns5',
      file: 'pteRuns5',
      special: 'pteRuns5',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssFile: 'int',
      rssAnon: 'int',
      rssShmem: 'int',
    },
  },
  PtesProtected: { opcode: 36, fields: { mm: 'mm', runs: 'pteRuns4' } },
  PtesZapped: {
    opcode: 37,
    fields: {
      mm: 'mm',
      runs: 'pteRuns4',
      special: 'pteRuns4',
      mapcount: 'int',
      rssFile: 'int',
      rssAnon: 'int',
      rssShmem: 'int',
    },
  },
  GatherFlushed: { opcode: 38, fields: { mm: 'mm', ref: 'int', runs: 'pfnRuns', freed: 'pfnRuns' } },
  PtesMoved: { opcode: 39, fields: { mm: 'mm', vpn: 'vpn', newVpn: 'vpn', runs: 'ints' } },
  PagesLazyfreed: { opcode: 40, fields: { mm: 'mm', runs: 'pteRuns4', ref: 'int', lruCpu: 'cpu' } },
  GuardMarkersInstalled: { opcode: 110, fields: { mm: 'mm', runs: 'vpnRuns', entry: 'int' } },
  GuardMarkersRemoved: { opcode: 111, fields: { mm: 'mm', runs: 'vpnRuns' } },
  SoftDirtyChanged: { opcode: 195, fields: { mm: 'mm', runs: 'pteRuns4' } },
};
