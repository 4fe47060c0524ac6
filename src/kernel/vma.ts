// VMAs: split, merge, unmap, stack growth. mm/vma.c. mmap_lock held for write throughout.
import type { MmView, VmaView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_SHARED,
  VM_SPECIAL,
  VM_WRITE,
  VM_ACCESS,
  findVmaIndex,
  vmaPages,
  vmasIn,
} from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';
import { ENOMEM, PAGE_SIZE } from './kernel.js';
import { flushGather, freePgtables, updateHiwaterRss, zapPageRange } from './memory/zap.js';
import { anonVmaClone, anonVmaPrepare, unlinkAnonVmas } from './rmap.js';

/** What a new mapping is to be, before it may melt into a neighbour. */
export interface NewVma {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly pgoff: number;
  readonly inode: number;
  readonly anonVma: number;
  readonly chain: readonly number[];
}

/** `vm_stat_account()` and `vm_acct_memory()`: `sign` 1 for a mapping that came, -1 for one that went; in pages. */
export function accountVma(k: Kernel, mm: number, flags: number, pages: number, sign: 1 | -1): void {
  const n = sign * pages;
  const isStack = (flags & VM_GROWSDOWN) !== 0;
  k.emit({
    type: 'VmAccounted',
    mm,
    total: n,
    exec: (flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) === VM_EXEC ? n : 0,
    stack: isStack ? n : 0,
    data: (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE ? n : 0,
    locked: (flags & VM_LOCKED) !== 0 ? n : 0,
    committed: (flags & VM_ACCOUNT) !== 0 ? n : 0,
  });
}

/** `is_mergeable_vma()` and the two offsets: could `low` and `high` be one VMA, leaving anon_vmas aside? */
function sameMapping(low: NewVma | VmaView, high: NewVma | VmaView): boolean {
  return (
    low.end === high.start &&
    low.flags === high.flags &&
    (low.flags & VM_SPECIAL) === 0 &&
    low.inode === high.inode &&
    high.pgoff === low.pgoff + (low.end - low.start) / PAGE_SIZE
  );
}

/**
 * `is_mergeable_anon_vma()`: may `target` take in `other`? Equal anon_vmas may; with only one side set, it must not have come by fork
 * (6.16); before, both sides' chains had to be single.
 */
function anonVmasMerge(k: Kernel, target: NewVma | VmaView, other: NewVma | VmaView): boolean {
  if (target.anonVma === other.anonVma) return true;
  if (target.anonVma !== 0 && other.anonVma !== 0) return false;
  const owner = target.anonVma !== 0 ? target : other;
  if (k.behaviours['merge-refuses-fork-child']) return owner.chain.length <= 1;
  return owner === target || owner.chain.length <= 1;
}

/** `vma_merge_new_range()` and `vma_link()`: the mapping joins its neighbours where it may, or becomes a VMA. */
export function insertVma(k: Kernel, mm: number, wanted: NewVma): void {
  const now = mmAt(k.view, mm);
  const at = findVmaIndex(now, wanted.start);
  const prev = now.vmas[at - 1];
  const next = now.vmas[at];
  const left = prev !== undefined && sameMapping(prev, wanted) && anonVmasMerge(k, prev, wanted);
  const right = next !== undefined && sameMapping(wanted, next) && anonVmasMerge(k, next, wanted);
  if (left) {
    const { start, pgoff } = prev;
    const bridge = right && (prev.anonVma === next.anonVma || prev.anonVma === 0 || next.anonVma === 0);
    const absorbed = bridge ? next.start : 0;
    k.emit({ type: 'VmaResized', mm, start, newStart: start, newEnd: wanted.end, newPgoff: pgoff });
    if (bridge) mergeWithNext(k, mm, start, absorbed);
  } else if (right) {
    const { start, end } = next;
    k.emit({ type: 'VmaResized', mm, start, newStart: wanted.start, newEnd: end, newPgoff: wanted.pgoff });
  } else {
    k.emit({ type: 'VmaInserted', mm, ...wanted });
    if (wanted.anonVma !== 0) anonVmaClone(k, wanted.anonVma, wanted.chain);
  }
}

/** `commit_merge()` of the VMA at `start` with the one behind it. */
function mergeWithNext(k: Kernel, mm: number, start: number, absorbed: number): void {
  const now = mmAt(k.view, mm);
  const at = findVmaIndex(now, start);
  const low = now.vmas[at] as VmaView;
  const high = now.vmas[at + 1] as VmaView;
  const keep = low.anonVma !== 0 ? low : high;
  const gone = low.anonVma !== 0 ? high : null;
  const { anonVma, chain } = keep;
  const goneAnonVma = gone?.anonVma ?? 0;
  const goneChain = gone?.chain ?? [];
  k.emit({ type: 'VmaMerged', mm, start, absorbed, anonVma, chain: [...chain] });
  if (goneAnonVma !== 0) unlinkAnonVmas(k, goneAnonVma, goneChain);
}

/** `vma_merge_existing_range()` after flags changed: the VMA at `start` joins its neighbours where it may. Returns its start then. */
export function mergeVma(k: Kernel, mm: number, start: number): number {
  let now = mmAt(k.view, mm);
  let at = findVmaIndex(now, start);
  const vma = now.vmas[at] as VmaView;
  const next = now.vmas[at + 1];
  if (next !== undefined && sameMapping(vma, next) && anonVmasMerge(k, vma, next))
    mergeWithNext(k, mm, start, next.start);
  now = mmAt(k.view, mm);
  at = findVmaIndex(now, start);
  const prev = now.vmas[at - 1];
  const self = now.vmas[at] as VmaView;
  if (prev === undefined || !sameMapping(prev, self) || !anonVmasMerge(k, prev, self)) return start;
  const { start: merged } = prev;
  mergeWithNext(k, mm, merged, start);
  return merged;
}

/** `__split_vma()`: the VMA containing `at` (bytes) ends there, a second one begins. */
export function splitVma(k: Kernel, mm: number, at: number): void {
  const now = mmAt(k.view, mm);
  const vma = now.vmas[findVmaIndex(now, at)];
  if (vma === undefined || vma.start >= at) return;
  const { start, anonVma, chain } = vma;
  k.emit({ type: 'VmaSplit', mm, start, at });
  if (anonVma !== 0) anonVmaClone(k, anonVma, chain);
}

/**
 * Splits at the borders of [start, end), then lets `change` work on each VMA inside, given its start, and merges each with its
 * neighbours: `vma_modify()` for every VMA of a range.
 */
export function modifyVmas(k: Kernel, mm: number, start: number, end: number, change: (vma: VmaView) => void): void {
  splitVma(k, mm, start);
  splitVma(k, mm, end);
  for (const { start: each } of [...vmasIn(mmAt(k.view, mm), start, end)]) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, each)] as VmaView;
    change(vma);
    mergeVma(k, mm, each);
  }
}

/** Would unmapping [start, end) leave more VMAs than vm.max_map_count allows? Only a hole in the middle of one adds any. */
export function splitExceedsMapCount(k: Kernel, mm: number, start: number, end: number): boolean {
  const now = mmAt(k.view, mm);
  const vma = now.vmas[findVmaIndex(now, start)];
  return vma !== undefined && vma.start < start && vma.end > end && now.vmas.length >= k.machine.maxMapCount;
}

/**
 * `do_vmi_align_munmap()`: unmaps [start, end) bytes, page aligned: entries, VMAs, tables. Holes are fine.
 * Returns 0 or -ENOMEM. References of the pages go at the end, when the gather is flushed.
 */
export function doMunmap(k: Kernel, mm: number, start: number, end: number): number {
  if (vmasIn(mmAt(k.view, mm), start, end).length === 0) return 0;
  if (splitExceedsMapCount(k, mm, start, end)) return -ENOMEM;
  splitVma(k, mm, start);
  splitVma(k, mm, end);
  updateHiwaterRss(k, mm);
  const gone = vmasIn(mmAt(k.view, mm), start, end).map((vma) => ({ ...vma }));
  for (const vma of gone) zapPageRange(k, mm, vma.start, vma.end);
  for (const vma of gone) {
    k.emit({ type: 'VmaRemoved', mm, start: vma.start });
    if (vma.anonVma !== 0) unlinkAnonVmas(k, vma.anonVma, vma.chain);
  }
  freePgtables(k, mm, start, end);
  flushGather(k, mm);
  for (const vma of gone) accountVma(k, mm, vma.flags, vmaPages(vma), -1);
  return 0;
}

/** `stack_guard_gap` in bytes. */
const STACK_GUARD_GAP = 256 * PAGE_SIZE;
/** vm.mmap_min_addr. */
const MMAP_MIN_ADDR = 65_536;

/**
 * `expand_stack()`, `expand_downwards()`: lowers the start of a growing VMA to page address `addr`. False if it may not:
 * RLIMIT_STACK, or an accessible mapping closer than the guard gap. There is no distance-from-SP check.
 */
export function expandDownwards(k: Kernel, mm: MmView, vma: VmaView, addr: number): boolean {
  if (addr < MMAP_MIN_ADDR) return false;
  const at = findVmaIndex(mm, vma.start);
  const prev = mm.vmas[at - 1];
  if (prev !== undefined && (prev.flags & VM_GROWSDOWN) === 0 && (prev.flags & VM_ACCESS) !== 0) {
    if (addr - prev.end < STACK_GUARD_GAP) return false;
  }
  if (vma.end - addr > k.machine.stackLimit) return false;
  const grown = (vma.start - addr) / PAGE_SIZE;
  if (vma.pgoff < grown) return false;
  const { start, end, pgoff, flags } = vma;
  const id = mm.id;
  anonVmaPrepare(k, mm, vma);
  k.emit({ type: 'VmaResized', mm: id, start, newStart: addr, newEnd: end, newPgoff: pgoff - grown });
  accountVma(k, id, flags, grown, 1);
  return true;
}

/** Page offset that a private anonymous mapping at `addr` starts with. */
export const anonPgoff = (addr: number): number => addr / PAGE_SIZE;
