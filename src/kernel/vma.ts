// VMAs: split, merge, unmap, stack growth. mm/vma.c. mmap_lock held for write throughout.
import type { MmView, VmaView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_SHARED,
  VM_SOFTDIRTY,
  VM_SPECIAL,
  VM_STICKY,
  VM_WRITE,
  VM_ACCESS,
  findVmaIndex,
  isHugetlb,
  vmaIsSealed,
  vmaPages,
  vmasIn,
} from '../../reducers/vma.js';
import { hugetlbClose } from './hugetlb/file.js';
import { isHugeAligned } from './hugetlb/pool.js';
import { vmaWasSplit } from './hugetlb/reservations.js';
import type { Kernel } from './kernel.js';
import { EINVAL, ENOMEM, EPERM, PAGE_SIZE, pageDown } from './kernel.js';
import { splitHugePmdAt } from './memory/huge.js';
import { flushGather, freePgtables, updateHiwaterRss, zapPageRange } from './memory/zap.js';
import { anonVmaClone, anonVmaPrepare, unlinkAnonVmas } from './rmap.js';
import { shmemPut } from './shmem-truncate.js';
import type { UnmapNotices } from './uffd-events.js';
import { userfaultfdUnmapPrep } from './uffd-events.js';

/** What a new mapping is to be, before it may melt into a neighbour. */
export interface NewVma {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly pgoff: number;
  readonly inode: number;
  readonly file: number;
  readonly anonVma: number;
  readonly chain: readonly number[];
  /** Context of userfaultfd that watches it; none as a rule. */
  readonly uffd?: number;
}

/** Which sums `pages` pages with these flags count in: `vm_stat_account()`. */
export function vmaSums(flags: number, pages: number): { total: number; exec: number; stack: number; data: number } {
  return {
    total: pages,
    exec: (flags & (VM_EXEC | VM_WRITE | VM_GROWSDOWN)) === VM_EXEC ? pages : 0,
    stack: (flags & VM_GROWSDOWN) !== 0 ? pages : 0,
    data: (flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE ? pages : 0,
  };
}

/** `vm_stat_account()` and `vm_acct_memory()`: `sign` 1 for a mapping that came, -1 for one that went; in pages. */
export function accountVma(k: Kernel, mm: number, flags: number, pages: number, sign: 1 | -1): void {
  const n = sign * pages;
  k.emit({
    type: 'VmAccounted',
    mm,
    ...vmaSums(flags, n),
    locked: (flags & VM_LOCKED) !== 0 ? n : 0,
    committed: (flags & VM_ACCOUNT) !== 0 ? n : 0,
  });
}

/** `is_mergeable_vma()` and the two offsets: could `low` and `high` be one VMA, leaving anon_vmas aside? */
function sameMapping(low: NewVma | VmaView, high: NewVma | VmaView): boolean {
  return (
    low.end === high.start &&
    ((low.flags ^ high.flags) & ~(VM_STICKY | VM_SOFTDIRTY)) === 0 &&
    (low.flags & VM_SPECIAL) === 0 &&
    low.inode === high.inode &&
    low.file === high.file &&
    low.uffd === high.uffd &&
    high.pgoff === low.pgoff + (low.end - low.start) / PAGE_SIZE
  );
}

/**
 * `is_mergeable_anon_vma()`: may `target`, which stays, take in `other`? Equal anon_vmas may. With only one side set that one must not
 * have come by fork (6.16); before, it had to be the target's own.
 */
function anonVmasMerge(k: Kernel, target: NewVma | VmaView, other: NewVma | VmaView): boolean {
  if (target.anonVma === other.anonVma) return true;
  if (target.anonVma !== 0 && other.anonVma !== 0) return false;
  if (!k.behaviours['merge-refuses-fork-child']) return target.chain.length === 1;
  return (target.anonVma !== 0 ? target : other).chain.length <= 1;
}

/** `are_anon_vmas_compatible()`: what may join on both sides need not fit together. */
const bothMerge = (prev: VmaView, next: VmaView): boolean =>
  prev.anonVma === next.anonVma || prev.anonVma === 0 || next.anonVma === 0;

/** `vma_merge_new_range()` and `vma_link()`: the mapping joins its neighbours where it may, or becomes a VMA. */
export function insertVma(k: Kernel, mm: number, wanted: NewVma): void {
  const now = mmAt(k.view, mm);
  const at = findVmaIndex(now, wanted.start);
  const prev = now.vmas[at - 1];
  const next = now.vmas[at];
  const left = prev !== undefined && sameMapping(prev, wanted) && anonVmasMerge(k, prev, wanted);
  const right = next !== undefined && sameMapping(wanted, next) && anonVmasMerge(k, next, wanted);
  if (left) {
    const { start, pgoff, anonVma } = prev;
    const absorbed = right && bothMerge(prev, next) ? next.start : -1;
    const adopts = wanted.anonVma !== 0 && anonVma === 0 && (absorbed < 0 || next?.anonVma === 0);
    k.emit({ type: 'VmaResized', mm, start, newStart: start, newEnd: wanted.end, newPgoff: pgoff });
    stick(k, mm, start, wanted.flags);
    if (absorbed >= 0) mergeWithNext(k, mm, start, absorbed);
    if (adopts) adoptAnonVma(k, mm, start, wanted);
  } else if (right) {
    const { start, end, anonVma } = next;
    k.emit({ type: 'VmaResized', mm, start, newStart: wanted.start, newEnd: end, newPgoff: wanted.pgoff });
    stick(k, mm, wanted.start, wanted.flags);
    if (wanted.anonVma !== 0 && anonVma === 0) adoptAnonVma(k, mm, wanted.start, wanted);
  } else {
    const { uffd = 0, ...vma } = wanted;
    k.emit({ type: 'VmaInserted', mm, ...vma });
    if (uffd !== 0) k.emit({ type: 'UffdVmaSet', mm, start: vma.start, uffd, flags: vma.flags });
    if (wanted.anonVma !== 0) anonVmaClone(k, wanted.anonVma, wanted.chain);
  }
}

/** The VMA at `start` took in one with `flags`, of which those stay that stick. */
function stick(k: Kernel, mm: number, start: number, flags: number): void {
  const now = mmAt(k.view, mm);
  const { flags: own } = now.vmas[findVmaIndex(now, start)] as VmaView;
  if ((flags & ~own & VM_STICKY) !== 0)
    k.emit({ type: 'VmaFlagsChanged', mm, start, flags: own | (flags & VM_STICKY) });
}

/** `dup_anon_vma()`: the VMA at `start`, never faulted, took in one that was. */
function adoptAnonVma(k: Kernel, mm: number, start: number, from: NewVma): void {
  k.emit({ type: 'VmaAnonVmaSet', mm, start, anonVma: from.anonVma, chain: [...from.chain] });
  anonVmaClone(k, from.anonVma, from.chain);
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
  const { flags } = high;
  k.emit({ type: 'VmaMerged', mm, start, absorbed, anonVma, chain: [...chain] });
  stick(k, mm, start, flags);
  if (goneAnonVma !== 0) unlinkAnonVmas(k, goneAnonVma, goneChain);
}

/**
 * `vma_merge_existing_range()` after flags changed: the VMA at `start` joins its neighbours where it may, the one before it first if
 * they do not fit together. Returns its start then. Most who change flags write them all (`vm_flags_reset()`), and so the whole VMA is soft-dirty if
 * the changed part was; without `resets` it is if the one that stays was.
 */
export function mergeVma(k: Kernel, mm: number, start: number, resets = true): number {
  const now = mmAt(k.view, mm);
  const at = findVmaIndex(now, start);
  const prev = now.vmas[at - 1];
  const vma = now.vmas[at] as VmaView;
  const next = now.vmas[at + 1];
  const left = prev !== undefined && sameMapping(prev, vma) && anonVmasMerge(k, prev, vma);
  const right =
    next !== undefined && sameMapping(vma, next) && anonVmasMerge(k, next, vma) && (!left || bothMerge(prev, next));
  const merged = left ? prev.start : start;
  const { flags } = resets ? vma : left ? prev : right ? next : vma;
  if (right) mergeWithNext(k, mm, start, next.start);
  if (left) mergeWithNext(k, mm, merged, start);
  if (left || right) setSoftDirty(k, mm, merged, flags);
  return merged;
}

/** The VMA at `start` is as soft-dirty as `from` says. */
function setSoftDirty(k: Kernel, mm: number, start: number, from: number): void {
  const now = mmAt(k.view, mm);
  const { flags } = now.vmas[findVmaIndex(now, start)] as VmaView;
  const differs = (flags ^ from) & VM_SOFTDIRTY;
  if (differs !== 0) k.emit({ type: 'VmaFlagsChanged', mm, start, flags: flags ^ differs });
}

/** `vma_merge_extend()`: the VMA at `start`, which just grew, joins the one behind it where it may. */
export function mergeWithFollowing(k: Kernel, mm: number, start: number): void {
  const now = mmAt(k.view, mm);
  const at = findVmaIndex(now, start);
  const vma = now.vmas[at] as VmaView;
  const next = now.vmas[at + 1];
  // What joins is the range that was added, which has the VMA's anon_vma but is no VMA that could have come by fork.
  if (next !== undefined && sameMapping(vma, next) && anonVmasMerge(k, next, { ...vma, chain: [] }))
    mergeWithNext(k, mm, start, next.start);
}

/** `__split_vma()`: the VMA containing `at` (bytes) ends there, a second one begins. */
export function splitVma(k: Kernel, mm: number, at: number): void {
  const now = mmAt(k.view, mm);
  const vma = now.vmas[findVmaIndex(now, at)];
  if (vma === undefined || vma.start >= at) return;
  splitHugePmdAt(k, mm, at);
  const { start, anonVma, chain } = mmAt(k.view, mm).vmas[findVmaIndex(mmAt(k.view, mm), at)] as VmaView;
  k.emit({ type: 'VmaSplit', mm, start, at });
  if (isHugetlb(vma)) vmaWasSplit(k, mm, start, at);
  if (anonVma !== 0) anonVmaClone(k, anonVma, chain);
}

/** `hugetlb_vm_op_split()`: would the mapping be cut at byte `at` in the middle of a page? */
const cutsHugePage = (vma: VmaView | undefined, at: number): boolean =>
  vma !== undefined && vma.start < at && isHugetlb(vma) && !isHugeAligned(at);

/** `split_vma()`: splits unless vm.max_map_count is reached. Returns 0 or -ENOMEM. */
function trySplitVma(k: Kernel, mm: number, at: number): number {
  const now = mmAt(k.view, mm);
  const vma = now.vmas[findVmaIndex(now, at)];
  if (vma === undefined || vma.start >= at) return 0;
  if (now.vmas.length >= k.machine.maxMapCount) return -ENOMEM;
  if (cutsHugePage(vma, at)) return -EINVAL;
  splitVma(k, mm, at);
  return 0;
}

/** Splits a VMA at both borders of [start, end), first the lower one, which stays if the second is refused. Returns 0 or -ENOMEM. */
export const isolateRange = (k: Kernel, mm: number, start: number, end: number): number =>
  trySplitVma(k, mm, start) || trySplitVma(k, mm, end);

/**
 * Splits at the borders of [start, end), then lets `change` work on each VMA inside, given its start, and merges each with its
 * neighbours: `vma_modify()` for every VMA of a range (`resets`: see mergeVma()). Returns 0, or -ENOMEM if a split would exceed vm.max_map_count.
 */
export function modifyVmas(
  k: Kernel,
  mm: number,
  start: number,
  end: number,
  change: (vma: VmaView) => void,
  resets = true,
): number {
  const error = isolateRange(k, mm, start, end);
  if (error !== 0) return error;
  for (const { start: each } of [...vmasIn(mmAt(k.view, mm), start, end)]) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, each)] as VmaView;
    change(vma);
    mergeVma(k, mm, each, resets);
  }
  return 0;
}

/** Would unmapping [start, end) leave more VMAs than vm.max_map_count allows? Only a hole in the middle of one adds any. */
function splitExceedsMapCount(k: Kernel, mm: number, start: number, end: number): boolean {
  const now = mmAt(k.view, mm);
  const vma = now.vmas[findVmaIndex(now, start)];
  return vma !== undefined && vma.start < start && vma.end > end && now.vmas.length >= k.machine.maxMapCount;
}

/**
 * `vms_gather_munmap_vmas()`: cuts off at the borders of [start, end) what is to be unmapped. Returns 0, -ENOMEM if that makes too many VMAs, or
 * -EPERM at the first that is sealed; what was cut by then stays so, and monitors in `notices` are told.
 */
export function gatherMunmap(
  k: Kernel,
  mm: number,
  start: number,
  end: number,
  notices: UnmapNotices | null = null,
): number {
  if (splitExceedsMapCount(k, mm, start, end)) return -ENOMEM;
  const [first] = vmasIn(mmAt(k.view, mm), start, end);
  if (first !== undefined && first.start < start && vmaIsSealed(first)) return -EPERM;
  if (cutsHugePage(first, start)) return -EINVAL;
  splitVma(k, mm, start);
  for (const vma of vmasIn(mmAt(k.view, mm), start, end)) {
    if (vmaIsSealed(vma)) return -EPERM;
    if (vma.end > end) {
      if (cutsHugePage(vma, end)) return -EINVAL;
      splitVma(k, mm, end);
    }
    if (notices !== null) userfaultfdUnmapPrep(k, vma, start, end, notices);
  }
  return 0;
}

/**
 * `do_vmi_align_munmap()`: unmaps [start, end) bytes, page aligned: entries, VMAs, tables. Holes are fine.
 * Returns 0, -ENOMEM, or -EPERM where something is sealed. References of the pages go at the end, when the gather is flushed. With `replacing` files of
 * hugetlbfs are left to the caller to put: mmap(2) does so only once the new mapping is there. Monitors of what goes are in `notices` then.
 */
export function doMunmap(
  k: Kernel,
  mm: number,
  start: number,
  end: number,
  cpu: number,
  { notices = null, replacing = false }: { readonly notices?: UnmapNotices | null; readonly replacing?: boolean } = {},
): number {
  if (vmasIn(mmAt(k.view, mm), start, end).length === 0) return 0;
  const error = gatherMunmap(k, mm, start, end, notices);
  if (error !== 0) return error;
  updateHiwaterRss(k, mm);
  const gone = vmasIn(mmAt(k.view, mm), start, end).map((vma) => ({ ...vma }));
  for (const vma of gone) zapPageRange(k, mm, vma.flags, vma.start, vma.end, cpu, 'drop');
  for (const vma of gone) {
    k.emit({ type: 'VmaRemoved', mm, start: vma.start });
    if (vma.anonVma !== 0) unlinkAnonVmas(k, vma.anonVma, vma.chain);
  }
  freePgtables(k, mm, start);
  flushGather(k, mm);
  for (const vma of gone) accountVma(k, mm, vma.flags, vmaPages(vma), -1);
  for (const inode of new Set(gone.map((vma) => vma.inode))) shmemPut(k, inode, cpu);
  for (const vma of gone) if (isHugetlb(vma)) hugetlbClose(k, mm, vma, replacing);
  return 0;
}

/** `stack_guard_gap` in bytes: what stays free below a mapping that grows down. */
export const STACK_GUARD_GAP = 256 * PAGE_SIZE;
/** vm.mmap_min_addr, bytes. */
export const MMAP_MIN_ADDR = 65_536;

/** `expand_stack()`: the mapping above `addr`, where nothing is, grows down to it. False if none does. */
export function expandStack(k: Kernel, mm: number, addr: number): boolean {
  const now = mmAt(k.view, mm);
  const above = now.vmas[findVmaIndex(now, addr)];
  return above !== undefined && (above.flags & VM_GROWSDOWN) !== 0 && expandDownwards(k, now, above, pageDown(addr));
}

/**
 * `check_stack_guard_page()`, before 4.12: whoever touches the lowest page of a growing mapping makes it one page longer. False if there is no room, but
 * for a piece of the same stack.
 */
export function checkStackGuardPage(k: Kernel, mm: MmView, vma: VmaView, addr: number): boolean {
  const page = pageDown(addr);
  if ((vma.flags & VM_GROWSDOWN) === 0 || page !== vma.start) return true;
  const prev = mm.vmas[findVmaIndex(mm, page) - 1];
  if (prev !== undefined && prev.end === page) return (prev.flags & VM_GROWSDOWN) !== 0;
  return expandDownwards(k, mm, vma, page - PAGE_SIZE);
}

/**
 * `expand_downwards()`: lowers the start of a growing VMA to page address `addr`. False if it may not:
 * RLIMIT_STACK, or an accessible mapping closer than the guard gap. There is no distance-from-SP check.
 */
function expandDownwards(k: Kernel, mm: MmView, vma: VmaView, addr: number): boolean {
  if (addr < MMAP_MIN_ADDR && k.behaviours['growth-keeps-min-addr']) return false;
  const at = findVmaIndex(mm, vma.start);
  const prev = mm.vmas[at - 1];
  if (prev !== undefined && (prev.flags & VM_GROWSDOWN) === 0 && (prev.flags & VM_ACCESS) !== 0) {
    if (k.behaviours['stack-guard-gap'] && addr - prev.end < STACK_GUARD_GAP) return false;
  }
  // For its lock the anon_vma is made before anybody knows whether the mapping may grow.
  anonVmaPrepare(k, mm, vma);
  if (vma.end - addr > k.machine.stackLimit) return false;
  const grown = (vma.start - addr) / PAGE_SIZE;
  if (vma.pgoff < grown) return false;
  const { start, end, pgoff, flags } = vma;
  const id = mm.id;
  k.emit({ type: 'VmaResized', mm: id, start, newStart: addr, newEnd: end, newPgoff: pgoff - grown });
  accountVma(k, id, flags, grown, 1);
  return true;
}

/** Page offset that a private anonymous mapping at `addr` starts with. */
export const anonPgoff = (addr: number): number => addr / PAGE_SIZE;
