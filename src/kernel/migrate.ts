// Page migration: mm/migrate.c, try_to_migrate_one() of mm/rmap.c. Anonymous pages, of files and of shared memory; what large folios need is in
// migrate-large.ts.
//
// A page gets another frame in two steps, so that many can share one TLB flush: all entries become migration entries, on which faults
// wait; then, if nobody else holds a reference, bytes and flags go to the new frame and the entries lead there. Where somebody does
// they lead to the old frame again. LRU caches are off meanwhile (`lru_cache_disable()`): what enters a batch leaves it at once.
import {
  PTE_DIRTY,
  PTE_SOFT_DIRTY,
  PTE_SWP_EXCLUSIVE,
  PTE_SWP_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  isMigrationPte,
  migrationPte,
  mkPte,
  pteAt,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSoftDirty,
  pteSpecial,
  withFlags,
} from '../../reducers/pte.js';
import type { PageView, VmaView } from '../../reducers/state.js';
import {
  InodeKind,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_LRU,
  PG_NOT_UPTODATE,
  PG_RECLAIM,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_UNEVICTABLE,
  folioHead,
  mmAt,
  pageAt,
  stableNode,
} from '../../reducers/state.js';
import { VM_LOCKED, vmaLookup } from '../../reducers/vma.js';
import { splitFolio } from './folio-split.js';
import { migrateHugetlbs } from './hugetlb/migrate.js';
import { isHugetlbPage } from './hugetlb/pool.js';
import type { Kernel, KernelThread } from './kernel.js';
import { GUP_PIN_COUNTING_BIAS } from './kernel.js';
import { markDirty } from './filemap.js';
import { vmPageProt } from './memory/page-prot.js';
import { mlockVmaPages, munlockVmaPages } from './memory/mlocked.js';
import { updateHiwaterRss } from './memory/zap.js';
import { setQueued } from './large-folio.js';
import { moveLargeFolio, removeMigrationEntries, tryToMigrateFolio } from './migrate-large.js';
import { allocLargeFolio, allocPage, putPage } from './page-alloc.js';
import type { Place } from './rmap-walk.js';
import { rmapWalk } from './rmap-walk.js';
import { drainLruAdd, drainMlock } from './swap.js';
import { inSwapCache, slotOf } from './swapfile.js';

/** `NR_MAX_BATCHED_MIGRATION`: pages whose entries are all replaced before the first is copied. */
const NR_MAX_BATCHED_MIGRATION = 512;

/** A page all of whose entries are migration entries, and the frame made for it. */
interface Unmapped {
  readonly from: number;
  readonly to: number;
}

/** `folio_isolate_lru()` of the folio that begins at `pfn`: false if it is not on the LRU. Its lists' user has a reference from here on. */
export function folioIsolateLru(k: Kernel, pfn: number): boolean {
  const page = pageAt(k.view, pfn);
  const special = (page.flags & PG_ANON) === 0 && k.view.inodes[page.mapping]?.kind === InodeKind.vdso;
  if (special || (page.flags & PG_LRU) === 0) return false;
  k.emit({ type: 'FolioIsolated', pfn, ref: 1 });
  return true;
}

/**
 * `migrate_pages()` with MIGRATE_SYNC, and `putback_movable_pages()` of what stayed: the pages `isolated` get new frames, those of the hugetlb pool first. LRU caches are
 * disabled by the caller. Linux tries a page that stays ten times; as nothing else runs in between here, once tells as much. A large folio that waits to be
 * split is split now, and its pages come last.
 * @returns how many stayed.
 */
export function* migratePages(k: Kernel, isolated: readonly number[], cpu: number): KernelThread<number> {
  const isPools = (pfn: number): boolean => isHugetlbPage(k, pfn);
  const [huge, pfns] = [isolated.filter(isPools), isolated.filter((pfn) => !isPools(pfn))];
  const left = yield* migrateHugetlbs(k, huge);
  const stayed: number[] = [];
  for (let next = 0; next < pfns.length;) {
    const batch: number[] = [];
    for (let pages = 0; next < pfns.length && pages < NR_MAX_BATCHED_MIGRATION; next++) {
      batch.push(pfns[next] as number);
      pages += 2 ** pageAt(k.view, pfns[next] as number).order;
    }
    const split: number[] = [];
    stayed.push(...(yield* migratePagesBatch(k, batch, split, cpu)));
    if (split.length > 0) stayed.push(...(yield* migratePagesBatch(k, split, [], cpu)));
  }
  for (const pfn of stayed) folioPutbackLru(k, pfn, cpu);
  return left + stayed.length;
}

/** `migrate_pages_batch()`: first all are unmapped, then all that were are moved. Returns those that stay; `split` gets the pages of folios that were split. */
function* migratePagesBatch(k: Kernel, pfns: readonly number[], split: number[], cpu: number): KernelThread<number[]> {
  const stayed: number[] = [];
  const unmapped: Unmapped[] = [];
  for (const from of pfns) {
    const { order, ref } = pageAt(k.view, from);
    if (k.view.largeFolios[from]?.partiallyMapped === 1 && (yield* splitFolio(k, from, cpu, true)) === 0) {
      for (let i = 0; i < 2 ** order; i++) split.push(from + i);
      continue;
    }
    // Freed meanwhile: nothing had it but who isolated it.
    if (ref === 1) {
      putPage(k, from);
      continue;
    }
    const to = yield* migrateFolioUnmap(k, from, cpu);
    if (to < 0) stayed.push(from);
    else unmapped.push({ from, to });
  }
  if (k.interleaved) yield { op: 'preempt', at: 'migrate:m2' };
  const undone: Unmapped[] = [];
  for (const pair of unmapped) if (!(yield* migrateFolioMove(k, pair, cpu))) undone.push(pair);
  for (const { from, to } of undone) {
    yield* (pageAt(k.view, from).order === 0 ? removeMigrationPtes : removeMigrationEntries)(k, from, from, cpu);
    putPage(k, to);
    stayed.push(from);
  }
  return stayed;
}

/** `migrate_folio_unmap()`: a new frame, or as many as the folio has, and migration entries in the place of all entries. -1 if the page stays. */
function* migrateFolioUnmap(k: Kernel, from: number, cpu: number): KernelThread<number> {
  const { order } = pageAt(k.view, from);
  const to = order === 0 ? allocPage(k) : allocLargeFolio(k, order);
  if (k.interleaved) yield { op: 'acquire', lock: `folio(${from})` };
  if (order !== 0) {
    if (yield* tryToMigrateFolio(k, from, cpu)) return to;
    yield* removeMigrationEntries(k, from, from, cpu);
    putPage(k, to);
    return -1;
  }
  yield* tryToMigrate(k, from, cpu);
  if (pageAt(k.view, from).mapcount === 0) return to;
  yield* removeMigrationPtes(k, from, from, cpu);
  putPage(k, to);
  return -1;
}

/** `migrate_folio_move()`: false if somebody holds the page. */
function* migrateFolioMove(k: Kernel, { from, to }: Unmapped, cpu: number): KernelThread<boolean> {
  const large = pageAt(k.view, from).order !== 0;
  // Its entries went one by one, if they were single ones: that has put it on the queue of those to be split.
  const queued = k.behaviours['migration-requeues-folio'] ? (k.view.largeFolios[from]?.partiallyMapped ?? 0) : 2;
  if (!(large ? moveLargeFolio : moveToNewFolio)(k, from, to)) return false;
  k.emit({ type: 'FolioLruAdded', pfn: to, flags: pageAt(k.view, to).flags, ref: 1, lruCpu: cpu });
  drainLruAdd(k, cpu);
  yield* (large ? removeMigrationEntries : removeMigrationPtes)(k, from, to, cpu);
  // `deferred_split_folio()`: what is in the swap cache is left to reclaim.
  if (large) setQueued(k, to, inSwapCache(pageAt(k.view, to)) ? 2 : queued);
  putPage(k, to);
  putPage(k, from);
  return true;
}

/** `folio_expected_ref_count()`: of the caches and of entries. */
function folioExpectedRefCount({ flags, mapping, mapcount }: PageView): number {
  const inCache = (flags & PG_ANON) === 0 ? mapping !== 0 : (flags & PG_SWAPCACHE) !== 0;
  return mapcount + (inCache ? 1 : 0);
}

/** `move_to_new_folio()`, `__migrate_folio()`: bytes, place in the cache, and flags, if nobody has a reference but who isolated the page. */
function moveToNewFolio(k: Kernel, from: number, to: number): boolean {
  const page = pageAt(k.view, from);
  if (page.ref !== folioExpectedRefCount(page) + 1) return false;
  k.emit({ type: 'PageCopied', pfn: to, from });
  const { flags, mapping, index } = page;
  const anon = (flags & PG_ANON) !== 0;
  const slot = inSwapCache(page) ? slotOf(k, from) : -1;
  const node = stableNode(page);
  const cached = slot >= 0 || !anon;
  k.emit({
    type: 'FolioMigrated',
    pfn: to,
    from,
    // Whether it is unevictable lru_add() finds out anew.
    flags: flags & (PG_ANON | PG_SWAPBACKED | PG_DIRTY | PG_SWAPCACHE | PG_NOT_UPTODATE | PG_RECLAIM),
    // A cache's page moves its dirtiness, others copy it.
    fromFlags: flags & ~(PG_SWAPCACHE | PG_UNEVICTABLE | (cached ? PG_DIRTY : 0)),
    anonVma: anon && node === 0 ? mapping : 0,
    inode: anon ? 0 : mapping,
    index,
    cache: anon ? [] : [index, to, 1],
    slot,
    ref: cached ? 1 : 0,
    fromRef: cached ? -1 : 0,
  });
  // `folio_migrate_ksm()`
  if (node !== 0) k.emit({ type: 'KsmNodeMoved', node, pfn: to, from });
  return true;
}

/** `folio_putback_lru()` of a page that stayed. */
function folioPutbackLru(k: Kernel, pfn: number, cpu: number): void {
  const { flags } = pageAt(k.view, pfn);
  k.emit({ type: 'FolioLruAdded', pfn, flags: flags & ~PG_UNEVICTABLE, ref: 0, lruCpu: cpu });
  drainLruAdd(k, cpu);
}

/** `try_to_migrate()`: ends at the first entry that must stay. */
function* tryToMigrate(k: Kernel, pfn: number, cpu: number): KernelThread {
  for (const place of rmapWalk(k, pageAt(k.view, pfn))) {
    if (pageAt(k.view, pfn).mapcount === 0) return;
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${place.mm},${place.vpn})` };
    const entry = pteAt(mmAt(k.view, place.mm), place.vpn);
    if (!ptePresent(entry) || pteSpecial(entry) || ptePfn(entry) !== pfn) continue;
    if (!tryToMigrateOne(k, place, pfn, cpu)) return;
  }
}

/** `try_to_migrate_one()`. False if the page is exclusive and may be pinned (`folio_try_share_anon_rmap_pte()`): the entry stays. */
function tryToMigrateOne(k: Kernel, { mm, vpn, start }: Place, pfn: number, cpu: number): boolean {
  const old = pteAt(mmAt(k.view, mm), vpn);
  const dirty = (old & PTE_DIRTY) !== 0;
  const { flags, ref } = pageAt(k.view, pfn);
  const exclusive = (flags & (PG_ANON | PG_ANON_EXCLUSIVE)) === (PG_ANON | PG_ANON_EXCLUSIVE);
  updateHiwaterRss(k, mm);
  if (exclusive && ref >= GUP_PIN_COUNTING_BIAS) {
    // The entry was taken away before that is asked, and what it knew went to the page.
    if (dirty) markDirty(k, pfn);
    return false;
  }
  const kind = (old & PTE_WRITE) !== 0 ? PTE_WRITE : exclusive ? PTE_SWP_EXCLUSIVE : 0;
  const softDirty = pteSoftDirty(old) ? PTE_SWP_SOFT_DIRTY : 0;
  k.emit({
    type: 'MigrationPteSet',
    mm,
    vpn,
    pfn,
    entry: migrationPte(pfn, kind | softDirty | (pteFlags(old) & (PTE_DIRTY | PTE_UFFD_WP))),
    ref: -1,
    mapcount: -1,
    exclusive: exclusive ? 0 : -1,
    dirty: dirty ? 1 : 0,
  });
  const vma = vmaLookup(mmAt(k.view, mm), start) as VmaView;
  munlockVmaPages(k, vma.flags, [pfn], cpu);
  if ((vma.flags & VM_LOCKED) !== 0) drainMlock(k, cpu);
  return true;
}

/** `remove_migration_ptes()`: entries that wait for frame `from` lead to `to`, which is the same where migration failed. */
function* removeMigrationPtes(k: Kernel, from: number, to: number, cpu: number): KernelThread {
  for (const place of rmapWalk(k, pageAt(k.view, to))) {
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${place.mm},${place.vpn})` };
    const entry = pteAt(mmAt(k.view, place.mm), place.vpn);
    if (isMigrationPte(entry) && ptePfn(entry) === from) removeMigrationPte(k, place, entry, to, cpu);
  }
}

/** `remove_migration_pte()`: rights are those that the VMA gives, but for writing, which the entry remembers. */
function removeMigrationPte(k: Kernel, { mm, vpn, start }: Place, old: number, to: number, cpu: number): void {
  const vma = vmaLookup(mmAt(k.view, mm), start) as VmaView;
  const { flags } = pageAt(k.view, to);
  const writable = (old & PTE_WRITE) !== 0;
  // Before 5.19 there was no entry of an exclusive page that is not writable.
  const kinds = k.behaviours['migration-entry-exclusive'] ? PTE_WRITE | PTE_SWP_EXCLUSIVE : PTE_WRITE;
  const exclusive = k.behaviours['anon-exclusive'] && (flags & PG_ANON) !== 0 && (old & kinds) !== 0;
  const kept = ((flags & PG_DIRTY) !== 0 ? pteFlags(old) & PTE_DIRTY : 0) | (pteSoftDirty(old) ? PTE_SOFT_DIRTY : 0);
  const plain = mkPte(to, vmPageProt(k, vma) | kept);
  k.emit({
    type: 'MigrationPteRemoved',
    mm,
    vpn,
    pfn: to,
    entry: withFlags(plain, writable ? PTE_WRITE : pteFlags(old) & PTE_UFFD_WP, 0),
    ref: 1,
    mapcount: 1,
    exclusive: exclusive ? 1 : 0,
  });
  mlockVmaPages(k, vma, [to], cpu);
  if ((vma.flags & VM_LOCKED) !== 0) drainMlock(k, cpu);
}

/**
 * `migration_entry_wait()`: a fault met a migration entry. It waits until the page's lock is free, when no such entry is left, and begins
 * anew. Where one operation runs after the other no fault ever does.
 */
export function* migrationEntryWait(k: Kernel, entry: number): KernelThread {
  if (k.interleaved) yield { op: 'acquire', lock: `folio(${folioHead(k.view, ptePfn(entry))})` };
}
