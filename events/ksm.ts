// What KSM did: mm/ksm.c. Processes on its list, what it knows of their pages (rmap items), merged pages and the nodes of the stable tree
// that stand for them. `merging`, `items`, `zeroPages` are differences of a process's ksm_merging_pages, ksm_rmap_items, ksm_zero_pages;
// `shared`, `sharing`, `unshared`, `allZeroPages` those of pages_shared, pages_sharing, pages_unshared and ksm_zero_pages of the machine.
import type { ShapesOf } from './shapes.js';

/** `__ksm_enter()`: the process has mergeable memory (MMF_VM_MERGEABLE) and will be scanned, after all others. */
export interface KsmMmEntered {
  readonly type: 'KsmMmEntered';
  readonly mm: number;
}
/** `__ksm_exit()` of a process that was scanned: it is the next to be scanned, which takes down what is known of it. */
export interface KsmMmExited {
  readonly type: 'KsmMmExited';
  readonly mm: number;
}
/** The process is no longer scanned: it has no mergeable memory any more, or is gone. */
export interface KsmMmLeft {
  readonly type: 'KsmMmLeft';
  readonly mm: number;
}
/** `dup_mm()` and `ksm_fork()`: what a child has of its parent's counters. */
export interface KsmCountersInherited {
  readonly type: 'KsmCountersInherited';
  readonly mm: number;
  readonly merging: number;
  readonly items: number;
  readonly zeroPages: number;
  readonly allZeroPages: number;
}
/** `get_next_rmap_item()`: the scan met an anonymous page at `vpn` for the first time. */
export interface KsmItemAdded {
  readonly type: 'KsmItemAdded';
  readonly mm: number;
  readonly vpn: number;
  readonly items: number;
}
/** `free_rmap_item()`: there is no such page any more. */
export interface KsmItemRemoved {
  readonly type: 'KsmItemRemoved';
  readonly mm: number;
  readonly vpn: number;
  readonly items: number;
}
/** `cmp_and_merge_page()`: the bytes of page `pfn` are others than at the last scan; their checksum is kept. */
export interface KsmItemChecked {
  readonly type: 'KsmItemChecked';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
}
/** `unstable_tree_search_insert()` (`unstable` 1) and `remove_rmap_item_from_tree()` (0): in the tree of pages that nothing equals yet. */
export interface KsmItemUnstable {
  readonly type: 'KsmItemUnstable';
  readonly mm: number;
  readonly vpn: number;
  readonly unstable: number;
  readonly unshared: number;
}
/**
 * `stable_tree_append()`: the process maps the page of `node` at `vpn`. `anonVma` is that of the mapping (`try_to_merge_with_ksm_page()`): who has
 * it by fork is found through it.
 */
export interface KsmItemLinked {
  readonly type: 'KsmItemLinked';
  readonly mm: number;
  readonly vpn: number;
  readonly node: number;
  readonly anonVma: number;
  readonly merging: number;
  readonly shared: number;
  readonly sharing: number;
}
/** `remove_rmap_item_from_tree()`, `remove_node_from_stable_tree()`: it no longer does. */
export interface KsmItemUnlinked {
  readonly type: 'KsmItemUnlinked';
  readonly mm: number;
  readonly vpn: number;
  readonly node: number;
  readonly merging: number;
  readonly shared: number;
  readonly sharing: number;
}
/** `stable_tree_insert()`: merged page `pfn` is found by its bytes from now on. */
export interface KsmNodeInserted {
  readonly type: 'KsmNodeInserted';
  readonly node: number;
  readonly pfn: number;
}
/** `folio_migrate_ksm()`: frame `pfn` has become the page of `node` in the place of `from`, which is of none any more. */
export interface KsmNodeMoved {
  readonly type: 'KsmNodeMoved';
  readonly node: number;
  readonly pfn: number;
  readonly from: number;
}
/** `remove_node_from_stable_tree()`: its page is gone, or nothing maps it any more. */
export interface KsmNodeRemoved {
  readonly type: 'KsmNodeRemoved';
  readonly node: number;
}
/**
 * `write_protect_page()`: the entry is clean and not writable, so that the bytes stay as they are. `exclusive` 0 takes PG_anon_exclusive away (-1: there
 * was none); `dirty` 1: the entry was dirty, now the page is.
 */
export interface KsmPageProtected {
  readonly type: 'KsmPageProtected';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly exclusive: number;
  readonly dirty: number;
}
/** `try_to_merge_one_page()` of the first of two: anonymous page `pfn` becomes a KSM page where it is, dirty. It belongs to no anon_vma any more. */
export interface KsmPageMade {
  readonly type: 'KsmPageMade';
  readonly pfn: number;
}
/** `replace_page()`: the entry leads to KSM page `kpfn` (-1: the zero page) with the same bytes instead of page `pfn`, which keeps a reference for a moment. */
export interface KsmPageReplaced {
  readonly type: 'KsmPageReplaced';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly mapcount: number;
  readonly kpfn: number;
  readonly kref: number;
  readonly kmapcount: number;
  readonly entry: number;
  readonly rssAnon: number;
}
/** `ksm_map_zero_page()`, `ksm_might_unmap_zero_page()`: zero pages that KSM placed came or went. */
export interface KsmZeroPagesChanged {
  readonly type: 'KsmZeroPagesChanged';
  readonly mm: number;
  readonly zeroPages: number;
  readonly allZeroPages: number;
}
/** A full scan of all processes has ended. */
export interface KsmScanEnded {
  readonly type: 'KsmScanEnded';
  readonly scans: number;
}
/** /sys/kernel/mm/ksm/use_zero_pages: pages of zeros are replaced by the zero page. */
export interface KsmUseZeroPagesSet {
  readonly type: 'KsmUseZeroPagesSet';
  readonly on: number;
}

export type KsmEvent =
  | KsmMmEntered
  | KsmMmExited
  | KsmMmLeft
  | KsmCountersInherited
  | KsmItemAdded
  | KsmItemRemoved
  | KsmItemChecked
  | KsmItemUnstable
  | KsmItemLinked
  | KsmItemUnlinked
  | KsmNodeInserted
  | KsmNodeMoved
  | KsmNodeRemoved
  | KsmPageProtected
  | KsmPageMade
  | KsmPageReplaced
  | KsmZeroPagesChanged
  | KsmScanEnded
  | KsmUseZeroPagesSet;

/** Opcodes and kinds of fields. */
export const KSM_SHAPES: ShapesOf<KsmEvent> = {
  KsmMmEntered: { opcode: 140, fields: { mm: 'mm' } },
  KsmMmExited: { opcode: 141, fields: { mm: 'mm' } },
  KsmMmLeft: { opcode: 142, fields: { mm: 'mm' } },
  KsmCountersInherited: {
    opcode: 143,
    fields: { mm: 'mm', merging: 'int', items: 'int', zeroPages: 'int', allZeroPages: 'int' },
  },
  KsmItemAdded: { opcode: 144, fields: { mm: 'mm', vpn: 'vpn', items: 'int' } },
  KsmItemRemoved: { opcode: 145, fields: { mm: 'mm', vpn: 'vpn', items: 'int' } },
  KsmItemChecked: { opcode: 146, fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn' } },
  KsmItemUnstable: { opcode: 147, fields: { mm: 'mm', vpn: 'vpn', unstable: 'int', unshared: 'int' } },
  KsmItemLinked: {
    opcode: 148,
    fields: { mm: 'mm', vpn: 'vpn', node: 'int', anonVma: 'anonVma', merging: 'int', shared: 'int', sharing: 'int' },
  },
  KsmItemUnlinked: {
    opcode: 149,
    fields: { mm: 'mm', vpn: 'vpn', node: 'int', merging: 'int', shared: 'int', sharing: 'int' },
  },
  KsmNodeInserted: { opcode: 150, fields: { node: 'int', pfn: 'pfn' } },
  KsmNodeRemoved: { opcode: 151, fields: { node: 'int' } },
  KsmPageProtected: {
    opcode: 152,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', exclusive: 'int', dirty: 'int' },
  },
  KsmPageMade: { opcode: 153, fields: { pfn: 'pfn' } },
  KsmPageReplaced: {
    opcode: 154,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      mapcount: 'int',
      kpfn: 'pfn',
      kref: 'int',
      kmapcount: 'int',
      entry: 'int',
      rssAnon: 'int',
    },
  },
  KsmZeroPagesChanged: { opcode: 155, fields: { mm: 'mm', zeroPages: 'int', allZeroPages: 'int' } },
  KsmScanEnded: { opcode: 156, fields: { scans: 'int' } },
  KsmUseZeroPagesSet: { opcode: 157, fields: { on: 'int' } },
  KsmNodeMoved: { opcode: 158, fields: { node: 'int', pfn: 'pfn', from: 'pfn' } },
};
