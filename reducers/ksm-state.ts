// The part of the state that mm/ksm.c has for itself: what it knows of each page, and the stable tree.
import type { Content } from './state.js';

/** What KSM knows of a page of a process: `struct ksm_rmap_item`. */
export interface KsmItem {
  vpn: number;
  /** Node of the stable tree to which it is linked, 0 for none. */
  node: number;
  /** anon_vma of its mapping when it was linked, 0 without a node. */
  anonVma: number;
  /** 1: in the unstable tree, or left over from that of the last scan. */
  unstable: number;
  /** 1: `content` are the bytes at the last scan that looked (`oldchecksum`). */
  checked: number;
  content: Content | null;
}

/** An address space that KSM scans: `struct ksm_mm_slot`. */
export interface KsmSlot {
  mm: number;
  /** 1: it is gone; the next scan takes this down. */
  exited: number;
  /** Sorted by page. */
  items: KsmItem[];
}

/** A node of the stable tree: a KSM page, found by its bytes. */
export interface KsmNode {
  id: number;
  pfn: number;
}

/** State of mm/ksm.c. */
export interface Ksm {
  useZeroPages: number;
  /** full_scans. */
  scans: number;
  /** In the order in which they are scanned. */
  slots: KsmSlot[];
  /** The latest first. */
  nodes: KsmNode[];
  /** Nodes ever made: ids are never used again. */
  lastNode: number;
  /** ksm_merging_pages, ksm_rmap_items, ksm_zero_pages by address space, of those where one is not 0. */
  counters: Record<number, number[]>;
  pagesShared: number;
  pagesSharing: number;
  pagesUnshared: number;
  zeroPages: number;
}

/** KSM before it ever ran. */
export function noKsm(): Ksm {
  return {
    useZeroPages: 0,
    scans: 0,
    slots: [],
    nodes: [],
    lastNode: 0,
    counters: {},
    pagesShared: 0,
    pagesSharing: 0,
    pagesUnshared: 0,
    zeroPages: 0,
  };
}
