// What happened to large folios and to the huge entries that map 2 MiB at once. Mirrors mm/huge_memory.c and the large half of mm/rmap.c.
// `vpn` is that of the first of the 512 pages, `entry` a huge entry (PTE_HUGE) as it stands one level above those of pages.
// `ref`, `mapcount`, `entireMapcount` and `rss*` are differences; `bytes` are those of the table that lies ready for a split.
import type { ShapesOf } from './shapes.js';

/** 2^order frames from `pfn` on, which divides by as much, left the free lists as one folio with one reference: `folio_alloc()`. */
export interface LargeFolioAllocated {
  readonly type: 'LargeFolioAllocated';
  readonly pfn: number;
  readonly order: number;
}
/**
 * What large folios count as a whole, after an event changed by whom they are mapped or pinned: `folio_add_return_large_mapcount()`,
 * `folio_sub_return_large_mapcount()`, `deferred_split_folio()`, and `_pincount`. `folios` are
 * [first page, largeMapcount, mm0, count0, mm1, count1, mappedShared, partiallyMapped, pincount]*, see LargeFolio.
 */
export interface LargeFoliosCounted {
  readonly type: 'LargeFoliosCounted';
  readonly folios: readonly number[];
}
/** `map_anon_folio_pmd()`: a fresh huge page became visible, on the LRU at once where `lru` is 1. Only its first page is exclusive. */
export interface HugePageMapped {
  readonly type: 'HugePageMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly anonVma: number;
  readonly index: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly rssAnon: number;
  readonly bytes: number;
  readonly lru: number;
}
/** `set_huge_zero_folio()`: the huge zero page, no rmap, no rss. */
export interface HugeZeroMapped {
  readonly type: 'HugeZeroMapped';
  readonly mm: number;
  readonly vpn: number;
  readonly entry: number;
  readonly bytes: number;
}
/**
 * `__split_huge_pmd_locked()` without freezing: the huge entry became 512 entries, `entry` the first of them; the folio stays large.
 * `pfn` -1: the huge zero page, whose entries are all the same. `exclusive` 1: what the first page was all are now. `dirty` 1: the
 * folio is dirty now.
 */
export interface PmdSplit {
  readonly type: 'PmdSplit';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly dirty: number;
}
/** `zap_huge_pmd()`: the huge entry is gone, and the table in store with it; its one reference waits in the mm's gather. `pfn` -1: the zero page. */
export interface PmdZapped {
  readonly type: 'PmdZapped';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entireMapcount: number;
  readonly rssAnon: number;
  readonly bytes: number;
}
/** `copy_huge_pmd()`: fork gave the child the huge entry; the parent's is now `entry`. `pfn` -1: the zero page. `exclusive` 0 clears the flag. */
export interface PmdCopied {
  readonly type: 'PmdCopied';
  readonly mm: number;
  readonly child: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly childEntry: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly rssAnon: number;
  readonly bytes: number;
}
/** `change_huge_pmd()`: mprotect gave the huge entry other flags. */
export interface PmdProtected {
  readonly type: 'PmdProtected';
  readonly mm: number;
  readonly vpn: number;
  readonly entry: number;
}
/** `touch_pmd()`, or a store by the program itself: the huge entry is dirty. */
export interface PmdFlagsSet {
  readonly type: 'PmdFlagsSet';
  readonly mm: number;
  readonly vpn: number;
  readonly entry: number;
}
/** `move_huge_pmd()`: the huge entry `entry` moved as it is to `newVpn`, and the table in store with it. */
export interface PmdMoved {
  readonly type: 'PmdMoved';
  readonly mm: number;
  readonly vpn: number;
  readonly newVpn: number;
  readonly entry: number;
}
/** `do_huge_pmd_wp_page()`: the huge page stays. `exclusive` 1 sets its first page's flag; `anonVma` as in PageReused. */
export interface PmdReused {
  readonly type: 'PmdReused';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly exclusive: number;
  readonly anonVma: number;
}
/** A file below /sys/kernel/mm was written: `value` is what stands there from now on. */
export interface SettingWritten {
  readonly type: 'SettingWritten';
  readonly name: string;
  readonly value: string;
}

export type HugeEvent =
  | LargeFolioAllocated
  | LargeFoliosCounted
  | HugePageMapped
  | HugeZeroMapped
  | PmdSplit
  | PmdZapped
  | PmdCopied
  | PmdProtected
  | PmdFlagsSet
  | PmdMoved
  | PmdReused
  | SettingWritten;

/** Types that write a huge entry, or put a table in its place: their `vpn` is the first of its 512 pages. */
export const HUGE_ENTRY_EVENTS = [
  'HugePageMapped',
  'HugeZeroMapped',
  'PmdSplit',
  'PmdZapped',
  'PmdCopied',
  'PmdProtected',
  'PmdFlagsSet',
  'PmdMoved',
  'UffdPmdMoved',
  'PmdReused',
  'CowHugePageMapped',
  'HugePageCollapsed',
  'PmdCollapsedInPlace',
  'PmdSplitFrozen',
  'PmdMigrationSet',
  'PmdMigrationRemoved',
  'FilePmdMapped',
  'FilePmdCleared',
] as const;

/** Opcodes and kinds of fields. */
export const HUGE_SHAPES: ShapesOf<HugeEvent> = {
  LargeFolioAllocated: { opcode: 170, fields: { pfn: 'pfn', order: 'int' } },
  LargeFoliosCounted: { opcode: 171, fields: { folios: 'ints' } },
  HugePageMapped: {
    opcode: 172,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      bytes: 'int',
      lru: 'int',
    },
  },
  HugeZeroMapped: { opcode: 173, fields: { mm: 'mm', vpn: 'vpn', entry: 'int', bytes: 'int' } },
  PmdSplit: {
    opcode: 174,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      mapcount: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
    },
  },
  PmdZapped: {
    opcode: 175,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entireMapcount: 'int', rssAnon: 'int', bytes: 'int' },
  },
  PmdCopied: {
    opcode: 176,
    fields: {
      mm: 'mm',
      child: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      childEntry: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      bytes: 'int',
    },
  },
  PmdProtected: { opcode: 177, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  PmdFlagsSet: { opcode: 178, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  PmdMoved: { opcode: 179, fields: { mm: 'mm', vpn: 'vpn', newVpn: 'vpn', entry: 'int' } },
  PmdReused: {
    opcode: 180,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', exclusive: 'int', anonVma: 'anonVma' },
  },
  SettingWritten: { opcode: 181, fields: { name: 'text', value: 'text' } },
};
