// Pages of the pool that get other frames: migrate_hugetlbs() and unmap_and_move_huge_page() of mm/migrate.c, alloc_hugetlb_folio_nodemask() of mm/hugetlb.c.
//
// The other frame is a page of the pool that nobody reserved, else one made for it (temporary): then the old one leaves the pool in its place, and the pool is as large as it was.
// Reservations and maps are not touched. Locks: the page's, the table's around each entry.
import { PTE_DIRTY, PTE_HUGE, PTE_SWP_EXCLUSIVE, PTE_UFFD_WP, PTE_WRITE } from '../../../reducers/pte.js';
import { isMigrationPte, leafAt, migrationPte, mkPte, pteFlags, ptePfn, ptePresent } from '../../../reducers/pte.js';
import type { VmaView } from '../../../reducers/state.js';
import { HPAGE_PMD_NR, PG_ANON, PG_ANON_EXCLUSIVE, PG_DIRTY, mmAt, pageAt } from '../../../reducers/state.js';
import { vmaLookup } from '../../../reducers/vma.js';
import { NotModelledError } from '../../lib/errors.js';
import { migrationKind } from '../folio-split.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { hugetlbMapcountChanged, maybePinned } from '../large-folio.js';
import { markDirty } from '../filemap.js';
import { vmPageProt } from '../memory/page-prot.js';
import type { Place } from '../rmap-walk.js';
import { rmapWalk } from '../rmap-walk.js';
import { allocTemporary, dequeue, putHugePage } from './pool.js';
import { NO_SUBPOOL, subpoolOfPage } from './subpool.js';

/** `NR_MAX_MIGRATE_PAGES_RETRY`: how often a page that stays is tried. */
const PASSES = 10;

/**
 * `folio_isolate_hugetlb()`: false if the page cannot be moved, or is isolated already (`isolated`); else who isolated it has a reference.
 * @throws NotModelledError before 4.16.
 */
export function isolateHugetlb(k: Kernel, pfn: number, isolated: readonly number[]): boolean {
  if (!k.behaviours['hugetlb-migrates-beyond-pool'])
    throw new NotModelledError('moving huge pages of the pool before 4.16');
  if (isolated.includes(pfn) || k.view.hugetlb.unmovable.includes(pfn)) return false;
  k.emit({ type: 'FolioGot', pfn, ref: 1 });
  return true;
}

/** `migrate_hugetlbs()`, and `folio_putback_hugetlb()` of what stayed. Returns how many did. */
export function* migrateHugetlbs(k: Kernel, pfns: readonly number[]): KernelThread<number> {
  let left = pfns;
  for (let pass = 0; pass < PASSES && left.length > 0; pass++) {
    const stayed: number[] = [];
    const before = k.view.hugetlb.surplus;
    for (const pfn of left) if (!(yield* unmapAndMove(k, pfn))) stayed.push(pfn);
    // Each try gives a page back to the pool, which pays off a surplus: only then is the next one another.
    if (stayed.length === left.length && k.view.hugetlb.surplus === before) pass = PASSES;
    left = stayed;
  }
  for (const pfn of left) putHugePage(k, pfn);
  return left.length;
}

/** `unmap_and_move_huge_page()`: false if the page stays. */
function* unmapAndMove(k: Kernel, from: number): KernelThread<boolean> {
  // Freed meanwhile: nothing had it but who isolated it.
  if (pageAt(k.view, from).ref === 1) {
    putHugePage(k, from);
    return true;
  }
  const own = dequeue(k, false);
  const temporary = own < 0;
  const to = temporary ? allocTemporary(k) : own;
  if (k.interleaved) yield { op: 'acquire', lock: `folio(${from})` };
  // Only a page of a file can take the mount that it is charged to along (-EBUSY).
  const busy = subpoolOfPage(k, from) !== NO_SUBPOOL && (pageAt(k.view, from).flags & PG_ANON) !== 0;
  const moved = !busy && (yield* tryToMigrate(k, from)) && movePage(k, from, to, temporary);
  if (!busy) yield* removeMigrationEntries(k, from, moved ? to : from);
  // `move_hugetlb_state()`: whichever goes is the temporary one.
  if (moved) putHugePage(k, from, 1, temporary);
  putHugePage(k, to, 1, temporary && !moved);
  return moved;
}

/** `try_to_migrate()`: false if an entry must stay, of a page that is exclusive and may be pinned (`hugetlb_try_share_anon_rmap()`). */
function* tryToMigrate(k: Kernel, pfn: number): KernelThread<boolean> {
  for (const { mm, vpn } of rmapWalk(k, pageAt(k.view, pfn))) {
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
    const leaf = leafAt(mmAt(k.view, mm), vpn);
    if (leaf === 0 || !ptePresent(leaf) || ptePfn(leaf) !== pfn) continue;
    const { flags } = pageAt(k.view, pfn);
    const exclusive = (flags & (PG_ANON | PG_ANON_EXCLUSIVE)) === (PG_ANON | PG_ANON_EXCLUSIVE);
    const dirty = (leaf & PTE_DIRTY) !== 0;
    if (exclusive && maybePinned(k, pfn)) {
      if (dirty) markDirty(k, pfn);
      return false;
    }
    k.emit({
      type: 'PmdMigrationSet',
      mm,
      vpn,
      pfn,
      entry: migrationPte(pfn, migrationKind(leaf, exclusive) | (pteFlags(leaf) & (PTE_DIRTY | PTE_UFFD_WP))),
      ref: -1,
      entireMapcount: -1,
      exclusive: exclusive ? 0 : -1,
      dirty: dirty && (flags & PG_DIRTY) === 0 ? 1 : 0,
    });
    hugetlbMapcountChanged(k, pfn, -1);
  }
  return true;
}

/** `move_to_new_folio()`: bytes and place, if nobody has a reference but who isolated the page, and its file. */
function movePage(k: Kernel, from: number, to: number, temporary: boolean): boolean {
  const { ref, flags, mapping, index } = pageAt(k.view, from);
  const anon = (flags & PG_ANON) !== 0;
  const cached = anon ? 0 : HPAGE_PMD_NR;
  if (ref !== cached + 1) return false;
  k.emit({ type: 'HugetlbPageCopied', pfn: to, from });
  k.emit({
    type: 'HugetlbPageMigrated',
    pfn: to,
    from,
    anonVma: anon ? mapping : 0,
    inode: anon ? 0 : mapping,
    index,
    ref: cached,
    fromRef: -cached,
    dirty: (flags & PG_DIRTY) !== 0 ? 1 : 0,
    // A fault makes pages migratable; one that was made here never is (6.18).
    movable: temporary ? 0 : 1,
  });
  return true;
}

/** `remove_migration_ptes()`: entries that wait for the page at `from` lead to the one at `to`, which is the same where it stays. */
function* removeMigrationEntries(k: Kernel, from: number, to: number): KernelThread {
  for (const place of rmapWalk(k, pageAt(k.view, to))) {
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${place.mm},${place.vpn})` };
    const entry = leafAt(mmAt(k.view, place.mm), place.vpn);
    if (entry !== 0 && isMigrationPte(entry) && ptePfn(entry) === from) removeMigrationEntry(k, place, entry, to);
  }
}

/** `remove_migration_pte()` of a hugetlb page: rights are those that the mapping gives, but for writing, which the entry remembers. */
function removeMigrationEntry(k: Kernel, { mm, vpn, start }: Place, old: number, to: number): void {
  const vma = vmaLookup(mmAt(k.view, mm), start) as VmaView;
  const { flags } = pageAt(k.view, to);
  const kinds = k.behaviours['migration-entry-exclusive'] ? PTE_WRITE | PTE_SWP_EXCLUSIVE : PTE_WRITE;
  const exclusive = k.behaviours['anon-exclusive'] && (flags & PG_ANON) !== 0 && (old & kinds) !== 0;
  const dirty = (flags & PG_DIRTY) !== 0 ? pteFlags(old) & PTE_DIRTY : 0;
  const rights = (old & PTE_WRITE) !== 0 ? PTE_WRITE : pteFlags(old) & PTE_UFFD_WP;
  k.emit({
    type: 'PmdMigrationRemoved',
    mm,
    vpn,
    pfn: to,
    entry: mkPte(to, vmPageProt(k, vma) | PTE_HUGE | dirty | rights),
    ref: 1,
    entireMapcount: 1,
    exclusive: exclusive ? 1 : 0,
  });
  hugetlbMapcountChanged(k, to, 1);
}
