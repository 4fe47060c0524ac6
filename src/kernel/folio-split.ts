// Splitting a large folio to pages of its own: split_folio(), __folio_split() of mm/huge_memory.c, and the half of try_to_migrate_one() and
// remove_migration_pte() that large folios need. Anonymous memory; what is of files goes on in file-split.ts.
//
// All entries become migration entries, which keep what is to be restored; then the references must be those of who splits and of nobody
// else; then the pages part, and the entries lead to them again. Whoever has the folio pinned is noticed first by the count of references,
// and, if the pin came later, by the flag of exclusivity that cannot be taken back, or by the references when they are frozen. Then the
// entries are restored as they were, and the folio stays large.
import {
  PTE_DIRTY,
  PTE_SOFT_DIRTY,
  PTE_SWP_EXCLUSIVE,
  PTE_SWP_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_ZERO,
  PTE_SPECIAL,
  isMigrationPte,
  leafAt,
  migrationPte,
  pteAt,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSoftDirty,
  pteSpecial,
  pteWrite,
  tableEnd,
} from '../../reducers/pte.js';
import type { LargeFolioView, VmaView } from '../../reducers/state.js';
import {
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_LRU,
  PG_MLOCKED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  folioHead,
  mmAt,
  pageAt,
} from '../../reducers/state.js';
import { VM_LOCKED, vmaPages } from '../../reducers/vma.js';
import { splitFileFolio } from './file-split.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EAGAIN, PAGE_SIZE } from './kernel.js';
import { folioMappingsChanged, mappedInParts, maybePinned } from './large-folio.js';
import { markDirty } from './filemap.js';
import { vmPageProt } from './memory/page-prot.js';
import { blockStart, splitHugePmd } from './memory/huge.js';
import { mlockVmaPages, munlockVmaPages } from './memory/mlocked.js';
import { append4, updateHiwaterRss } from './memory/zap.js';
import { appendRun } from './page-alloc.js';
import { anonVmaMappings } from './rmap-walk.js';
import { drainMlock } from './swap.js';
import { cacheReferences, freeSwapCache } from './swapfile.js';

/** Flags that the pages of a folio get from its first. */
const SHARED_FLAGS = PG_ANON | PG_SWAPBACKED | PG_SWAPCACHE | PG_DIRTY | PG_LRU | PG_MLOCKED | PG_UNEVICTABLE;

/** Part of a VMA in which pages of a folio may be mapped, all below one table: [vpn, vpn + n), beginning with page `pfn`. */
export interface Stretch {
  readonly mm: number;
  readonly vma: VmaView;
  readonly vpn: number;
  readonly pfn: number;
  readonly n: number;
}

/** The VMAs of the folio's anon_vma that have places for its pages, cut at the ends of tables: `rmap_walk_anon()`, in the order of the anon_vma's tree. */
export function stretches(k: Kernel, head: number, pages: number): Stretch[] {
  const { mapping, index } = pageAt(k.view, head);
  const found: Stretch[] = [];
  for (const { mm, vma } of anonVmaMappings(k, mapping)) {
    const from = Math.max(index, vma.pgoff);
    const to = Math.min(index + pages, vma.pgoff + vmaPages(vma));
    for (let at = from; at < to;) {
      const vpn = vma.start / PAGE_SIZE + at - vma.pgoff;
      const n = Math.min(to - at, tableEnd(vpn) - vpn);
      found.push({ mm, vma, vpn, pfn: head + at - index, n });
      at += n;
    }
  }
  return found;
}

/**
 * `split_folio()`: the large folio that page `pfn` belongs to becomes pages of their own. Its lock is taken here; the caller has no VMA lock to
 * give, only the mmap_lock or another hold on the folio. `isolated`: the caller isolated it from the LRU, and has all the pages so. Locked memory
 * is unlocked and locked again on the way.
 * @returns 0, or -EAGAIN if others hold references: then everything is as it was, except that a huge entry may have become 512 entries.
 */
export function* splitFolio(k: Kernel, pfn: number, cpu: number, isolated = false): KernelThread<number> {
  const head = folioHead(k.view, pfn);
  const { order, flags } = pageAt(k.view, head);
  if ((flags & PG_ANON) === 0) return splitFileFolio(k, head, -1, cpu);
  const cached = cacheReferences(k, head);
  if (k.interleaved) yield { op: 'acquire', lock: `folio(${head})` };
  if (!canSplitFolio(k, head, isolated ? 1 : 0)) return -EAGAIN;
  // The caller's reference is counted where the folio could be lost without it: when its last mapping is unlocked.
  const got = !isolated && stretches(k, head, 2 ** order).some(({ vma }) => (vma.flags & VM_LOCKED) !== 0);
  if (got) k.emit({ type: 'FolioGot', pfn: head, ref: 1 });
  const own = isolated || got ? 1 : 0;
  if (k.interleaved) yield { op: 'preempt', at: 'folio-split:t2' };
  yield* unmapFolio(k, head, cpu);
  if (k.interleaved) yield { op: 'preempt', at: 'folio-split:t4' };
  const done = largeAt(k, head).largeMapcount === 0 && pageAt(k.view, head).ref === cached + own;
  if (done) {
    const first = pageAt(k.view, head);
    const shared = first.flags & SHARED_FLAGS;
    k.emit({
      type: 'FolioSplit',
      pfn: head,
      order,
      flags: shared,
      anonVma: first.mapping,
      ref: 1,
      cacheRef: cached > 0 ? 1 : 0,
    });
  }
  yield* remapPage(k, head, 2 ** order, done, cpu);
  if (got) k.emit({ type: 'FolioReleased', pfn: head, ref: -1, freed: 0 });
  if (!done) return -EAGAIN;
  // `free_folio_and_swap_cache()` of all but the first, which the caller gave: those that were mapped nowhere are free, with their slots.
  for (let i = 1; i < 2 ** order; i++) freeSwapCache(k, head + i);
  // Of an isolated folio each page keeps a reference, as the first had it before.
  const runs = [head, isolated ? 1 : 2 ** order];
  const freed: number[] = [];
  if (!isolated)
    for (let i = 0; i < 2 ** order; i++) if (pageAt(k.view, head + i).ref === 1) appendRun(freed, head + i);
  k.emit({ type: 'FoliosReleased', runs, ref: -1, freed });
  return 0;
}

const largeAt = (k: Kernel, head: number): LargeFolioView => k.view.largeFolios[head] as LargeFolioView;

/** `can_split_folio()`: every reference is a mapping's or the swap cache's, but for the caller's, of which the state counts `own`. */
export function canSplitFolio(k: Kernel, head: number, own = 0): boolean {
  return largeAt(k, head).largeMapcount === pageAt(k.view, head).ref - cacheReferences(k, head) - own;
}

/** `unmap_folio()`: migration entries in the place of all entries; ends at the first that must stay, so that the folio is still mapped. */
function* unmapFolio(k: Kernel, head: number, cpu: number): KernelThread {
  const pages = 2 ** pageAt(k.view, head).order;
  for (const stretch of stretches(k, head, pages)) {
    if (largeAt(k, head).largeMapcount === 0) return;
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${stretch.mm},${stretch.vpn})` };
    const leaf = leafAt(mmAt(k.view, stretch.mm), stretch.vpn);
    if (leaf !== 0) {
      if (pteSpecial(leaf) || ptePfn(leaf) !== head) continue;
      if (splitHugePmdFreezing(k, stretch, cpu)) continue;
    }
    if (!(yield* tryToMigrate(k, head, stretch, cpu))) return;
  }
}

/**
 * `__split_huge_pmd()` with freezing. False if the page is exclusive and may be pinned: then the entry is split without it, and the
 * entries that come of it will not be taken away either.
 */
function splitHugePmdFreezing(k: Kernel, { mm, vma, vpn: at }: Stretch, cpu: number): boolean {
  const vpn = blockStart(at);
  const leaf = leafAt(mmAt(k.view, mm), vpn);
  const pfn = ptePfn(leaf);
  const { flags } = pageAt(k.view, pfn);
  const exclusive = (flags & PG_ANON_EXCLUSIVE) !== 0;
  updateHiwaterRss(k, mm);
  if (exclusive && maybePinned(k, pfn)) {
    splitHugePmd(k, mm, vpn);
    return false;
  }
  const kind = migrationKind(leaf, exclusive);
  k.emit({
    type: 'PmdSplitFrozen',
    mm,
    vpn,
    pfn,
    entry: migrationPte(pfn, kind | (pteFlags(leaf) & (PTE_DIRTY | PTE_UFFD_WP))),
    ref: -1,
    entireMapcount: -1,
    exclusive: exclusive ? 0 : -1,
    dirty: (leaf & PTE_DIRTY) !== 0 && (flags & PG_DIRTY) === 0 ? 1 : 0,
  });
  folioMappingsChanged(k, mm, [[pfn, -1]]);
  munlockVmaPages(k, vma.flags, [pfn], cpu);
  return true;
}

/** `make_writable_migration_entry()`, `make_readable_exclusive_migration_entry()`, or neither. */
export const migrationKind = (entry: number, exclusive: boolean): number =>
  pteWrite(entry) ? PTE_WRITE : exclusive ? PTE_SWP_EXCLUSIVE : 0;

/**
 * `try_to_migrate_one()` below one table. False at a page that is exclusive and may be pinned (`folio_try_share_anon_rmap_pte()`): its entry stays,
 * and those behind it. Where others run in between, each entry is a step of its own.
 */
export function* tryToMigrate(k: Kernel, head: number, stretch: Stretch, cpu: number): KernelThread<boolean> {
  const { mm, vma, vpn: from, pfn: first, n } = stretch;
  let runs: number[] = [];
  let unmapped: number[] = [];
  let dirty = false;
  const commit = (): void => {
    if (runs.length > 0) commitMigration(k, head, mm, runs, dirty);
    munlockVmaPages(k, vma.flags, unmapped, cpu);
    unmapped = [];
    runs = [];
    dirty = false;
  };
  updateHiwaterRss(k, mm);
  for (let i = 0; i < n; i++) {
    if (k.interleaved) yield { op: 'preempt', at: 'folio-split:t3' };
    const entry = pteAt(mmAt(k.view, mm), from + i);
    if (!ptePresent(entry) || pteSpecial(entry) || ptePfn(entry) !== first + i) continue;
    const exclusive = (pageAt(k.view, first + i).flags & PG_ANON_EXCLUSIVE) !== 0;
    if (exclusive && maybePinned(k, head)) {
      commit();
      // The entry was taken away before that is asked, and what it knew went to the folio.
      if ((entry & PTE_DIRTY) !== 0) markDirty(k, head);
      return false;
    }
    dirty ||= (entry & PTE_DIRTY) !== 0;
    const kept = (pteFlags(entry) & (PTE_DIRTY | PTE_UFFD_WP)) | (pteSoftDirty(entry) ? PTE_SWP_SOFT_DIRTY : 0);
    append4(runs, from + i, first + i, pteFlags(migrationPte(0, migrationKind(entry, exclusive) | kept)), 1);
    unmapped.push(first + i);
    if (k.interleaved) commit();
  }
  commit();
  return true;
}

/** Is one of the entries of runs [vpn, pfn, n, flags]* the last to its page? */
function lastEntriesIn(k: Kernel, runs: readonly number[]): boolean {
  for (let i = 0; i < runs.length; i += 4)
    for (let j = 0; j < (runs[i + 2] as number); j++)
      if (pageAt(k.view, (runs[i + 1] as number) + j).mapcount === 1) return true;
  return false;
}

function commitMigration(k: Kernel, head: number, mm: number, runs: readonly number[], dirty: boolean): void {
  let entries = 0;
  for (let i = 2; i < runs.length; i += 4) entries += runs[i] as number;
  const clean = (pageAt(k.view, head).flags & PG_DIRTY) === 0;
  const exclusive = k.behaviours['anon-exclusive'] ? 0 : -1;
  const event = { type: 'MigrationPtesSet', mm, pfn: head, runs, ref: -1, mapcount: -1, exclusive } as const;
  const inParts = mappedInParts(k, head) && lastEntriesIn(k, runs);
  k.emit({ ...event, dirty: dirty && clean ? 1 : 0 });
  folioMappingsChanged(k, mm, [[head, -entries]], inParts ? head : -1);
}

/**
 * `remap_page()`: all migration entries to pages of the folio, or, if it was split, of what it was, lead there again. Then pages that
 * hold nothing but zeros give way to the zero page (6.12), unless they are locked. What was locked is so again, if it is no large folio.
 */
function* remapPage(k: Kernel, head: number, pages: number, split: boolean, cpu: number): KernelThread {
  for (const stretch of stretches(k, head, pages)) {
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${stretch.mm},${stretch.vpn})` };
    const mapped = removeMigrationPtes(k, head, stretch, split);
    if (!split || (stretch.vma.flags & VM_LOCKED) === 0) continue;
    mlockVmaPages(k, stretch.vma, mapped, cpu);
    drainMlock(k, cpu);
  }
}

/**
 * `remove_migration_pte()` below one table. Rights are those that the VMA gives, but for writing, which the entry remembers. `to` is the folio that
 * took the place of that at `head`, or the same. Returns the pages that are mapped again.
 */
export function removeMigrationPtes(
  k: Kernel,
  head: number,
  stretch: Stretch,
  split: boolean,
  to = head,
): readonly number[] {
  const { mm, vma, vpn: from, pfn: first, n } = stretch;
  const protection = vmPageProt(k, vma);
  // Before 5.19 there was no entry of an exclusive page that is not writable.
  const kinds = k.behaviours['migration-entry-exclusive'] ? PTE_WRITE | PTE_SWP_EXCLUSIVE : PTE_WRITE;
  const runs: number[] = [];
  const special: number[] = [];
  const exclusivePages: number[] = [];
  const mapped: number[] = [];
  let zeros = 0;
  for (let i = 0; i < n; i++) {
    const old = pteAt(mmAt(k.view, mm), from + i);
    if (!isMigrationPte(old) || ptePfn(old) !== first + i) continue;
    const pfn = first + i - head + to;
    const { flags, content } = pageAt(k.view, pfn);
    const uffd = pteFlags(old) & PTE_UFFD_WP;
    const softDirty = pteSoftDirty(old) ? PTE_SOFT_DIRTY : 0;
    const locked = (flags & PG_MLOCKED) !== 0 || (vma.flags & VM_LOCKED) !== 0;
    if (split && k.behaviours['split-maps-zero-pages'] && content === null && !locked) {
      const seen = k.behaviours['zeropage-remap-keeps-bits'] ? uffd | softDirty : 0;
      append4(special, from + i, 0, protection | PTE_SPECIAL | PTE_ZERO | seen, 0);
      zeros++;
      continue;
    }
    const dirty = (pageAt(k.view, folioHead(k.view, pfn)).flags & PG_DIRTY) !== 0 ? pteFlags(old) & PTE_DIRTY : 0;
    const rights = (old & PTE_WRITE) !== 0 ? PTE_WRITE : uffd;
    append4(runs, from + i, pfn, protection | dirty | softDirty | rights, 1);
    mapped.push(pfn);
    if (k.behaviours['anon-exclusive'] && (old & kinds) !== 0) appendRun(exclusivePages, pfn);
  }
  if (mapped.length + zeros === 0) return mapped;
  const counts = { ref: 1, mapcount: 1, rssAnon: -zeros };
  k.emit({ type: 'MigrationPtesRemoved', mm, pfn: to, runs, special, exclusivePages, ...counts });
  if (!split && mapped.length > 0) folioMappingsChanged(k, mm, [[to, mapped.length]]);
  return mapped;
}
