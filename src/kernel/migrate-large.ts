// The large half of mm/migrate.c: folios of anonymous memory that get other frames as a whole, whether a huge entry or entries of their own map them,
// here or there. Where a folio was left partially mapped it is split first (migrate.ts), and moved page by page.
import { PTE_DIRTY, PTE_HUGE, PTE_SWP_EXCLUSIVE, PTE_UFFD_WP, PTE_WRITE } from '../../reducers/pte.js';
import { isMigrationPte, leafAt, migrationPte, mkPte, pteFlags, ptePfn, ptePresent } from '../../reducers/pte.js';
import type { LargeFolioView } from '../../reducers/state.js';
import { PG_ANON, PG_ANON_EXCLUSIVE, PG_DIRTY, PG_SWAPBACKED } from '../../reducers/state.js';
import { PG_SWAPCACHE, PG_UNEVICTABLE, mmAt, pageAt } from '../../reducers/state.js';
import { VM_LOCKED } from '../../reducers/vma.js';
import type { Stretch } from './folio-split.js';
import { migrationKind, removeMigrationPtes, stretches, tryToMigrate } from './folio-split.js';
import type { Kernel, KernelThread } from './kernel.js';
import { folioMappingsChanged, maybePinned } from './large-folio.js';
import { vmPageProt } from './memory/page-prot.js';
import { blockStart } from './memory/huge.js';
import { mlockVmaPages, munlockVmaPages } from './memory/mlocked.js';
import { cacheReferences, slotOf } from './swapfile.js';

const mappings = (k: Kernel, head: number): number => (k.view.largeFolios[head] as LargeFolioView).largeMapcount;

/**
 * `try_to_migrate()` of the large folio that begins at `head`, whose lock is held: migration entries in the place of all entries, up to the first
 * that must stay. True if none is left.
 */
export function* tryToMigrateFolio(k: Kernel, head: number, cpu: number): KernelThread<boolean> {
  for (const stretch of stretches(k, head, 2 ** pageAt(k.view, head).order)) {
    if (mappings(k, head) === 0) return true;
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${stretch.mm},${stretch.vpn})` };
    const leaf = leafAt(mmAt(k.view, stretch.mm), stretch.vpn);
    if (leaf === 0) {
      if (!(yield* tryToMigrate(k, head, stretch, cpu))) return false;
    } else if (ptePresent(leaf) && ptePfn(leaf) === head && !setPmdMigrationEntry(k, stretch, leaf, cpu)) return false;
  }
  return mappings(k, head) === 0;
}

/** `set_pmd_migration_entry()`. False if the folio is exclusive and may be pinned: the huge entry stays. */
function setPmdMigrationEntry(k: Kernel, { mm, vpn, vma }: Stretch, leaf: number, cpu: number): boolean {
  const pfn = ptePfn(leaf);
  const { flags } = pageAt(k.view, pfn);
  const exclusive = (flags & PG_ANON_EXCLUSIVE) !== 0;
  if (exclusive && maybePinned(k, pfn)) return false;
  k.emit({
    type: 'PmdMigrationSet',
    mm,
    vpn: blockStart(vpn),
    pfn,
    entry: migrationPte(pfn, migrationKind(leaf, exclusive) | (pteFlags(leaf) & (PTE_DIRTY | PTE_UFFD_WP))),
    ref: -1,
    entireMapcount: -1,
    exclusive: exclusive ? 0 : -1,
    dirty: (leaf & PTE_DIRTY) !== 0 && (flags & PG_DIRTY) === 0 ? 1 : 0,
  });
  folioMappingsChanged(k, mm, [[pfn, -1]]);
  munlockVmaPages(k, vma.flags, [pfn], cpu);
  return true;
}

/** `remove_migration_ptes()`: entries that wait for the folio at `from` lead to the one at `to`, which is the same where migration failed. */
export function* removeMigrationEntries(k: Kernel, from: number, to: number, cpu: number): KernelThread {
  // The one that is anonymous has the VMAs; its pages stand for those of `from`.
  for (const found of stretches(k, to, 2 ** pageAt(k.view, to).order)) {
    const stretch = { ...found, pfn: found.pfn - to + from };
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${stretch.mm},${stretch.vpn})` };
    const leaf = leafAt(mmAt(k.view, stretch.mm), stretch.vpn);
    if (leaf === 0) removeMigrationPtes(k, from, stretch, false, to);
    else if (isMigrationPte(leaf) && ptePfn(leaf) === from) removeMigrationPmd(k, stretch, leaf, to, cpu);
  }
}

/** `remove_migration_pmd()`. */
function removeMigrationPmd(k: Kernel, { mm, vma, vpn }: Stretch, old: number, to: number, cpu: number): void {
  const kinds = k.behaviours['migration-entry-exclusive'] ? PTE_WRITE | PTE_SWP_EXCLUSIVE : PTE_WRITE;
  const exclusive = k.behaviours['anon-exclusive'] && (old & kinds) !== 0;
  const dirty = (pageAt(k.view, to).flags & PG_DIRTY) !== 0 ? pteFlags(old) & PTE_DIRTY : 0;
  const rights = (old & PTE_WRITE) !== 0 ? PTE_WRITE : 0;
  k.emit({
    type: 'PmdMigrationRemoved',
    mm,
    vpn: blockStart(vpn),
    pfn: to,
    entry: mkPte(to, vmPageProt(k, vma) | PTE_HUGE | dirty | rights | (pteFlags(old) & PTE_UFFD_WP)),
    ref: 1,
    entireMapcount: 1,
    exclusive: exclusive ? 1 : 0,
  });
  folioMappingsChanged(k, mm, [[to, 1]]);
  if ((vma.flags & VM_LOCKED) !== 0 && k.behaviours['mlock-large-when-mapped']) mlockVmaPages(k, vma, [to], cpu);
}

/** `move_to_new_folio()`: bytes, flags and the place in the swap cache, if nobody has a reference but who isolated the folio. */
export function moveLargeFolio(k: Kernel, from: number, to: number): boolean {
  const { ref, flags, mapping, index, order } = pageAt(k.view, from);
  const cached = cacheReferences(k, from);
  if (ref !== mappings(k, from) + cached + 1) return false;
  k.emit({
    type: 'LargeFolioMigrated',
    pfn: to,
    from,
    order,
    // Whether it is unevictable lru_add() finds out anew.
    flags: flags & (PG_ANON | PG_SWAPBACKED | PG_DIRTY | PG_SWAPCACHE),
    fromFlags: flags & ~(PG_SWAPCACHE | PG_UNEVICTABLE | (cached > 0 ? PG_DIRTY : 0)),
    anonVma: mapping,
    index,
    slot: cached > 0 ? slotOf(k, from) : -1,
    ref: cached,
    fromRef: -cached,
  });
  return true;
}
