// Page-table entries and the radix tree that holds them.
//
// An entry is a number: payload * 1024 + flags, as hardware packs it, so that a table of 512 is a flat array of numbers.
// Zero is an empty entry. Payload is the frame number of a present entry, the slot of a swap entry. Vpns exceed 32 bits: divide before you shift.
import type { Mm, MmView } from './state.js';

/** Hardware would let the access through to the page. */
export const PTE_PRESENT = 1;
export const PTE_WRITE = 2;
/** Dirty in hardware or saved-dirty (x86 bits 6 and 58). */
export const PTE_DIRTY = 4;
/** With PTE_PRESENT or PTE_PROTNONE, `pmd_leaf()`: not an entry of its own, but the part that a huge entry one level higher has in it. */
export const PTE_HUGE = 8;
export const PTE_UFFD_WP = 16;
/** No struct page is counted behind it: zero page, raw pfn, or (neither present nor PTE_PROTNONE) a marker. */
export const PTE_SPECIAL = 32;
/** With PTE_SPECIAL: the shared zero page. */
export const PTE_ZERO = 64;
/** PROT_NONE: hardware does not see the page, the kernel does. PTE_PRESENT is clear. */
export const PTE_PROTNONE = 128;
/** A swap entry: no page is there, the payload is a slot of the swap area. PTE_UFFD_WP and PTE_SWP_EXCLUSIVE may stand beside it. */
export const PTE_SWAP = 256;
/** With PTE_SWAP: the page belonged to this process alone when it was swapped out. */
export const PTE_SWP_EXCLUSIVE = 512;
/** With PTE_PRESENT or PTE_PROTNONE, `_PAGE_SOFT_DIRTY`: written to since /proc/PID/clear_refs was. Shares the bit of PTE_SWP_EXCLUSIVE. */
export const PTE_SOFT_DIRTY = 512;
/** The same of an entry that is not present, `_PAGE_SWP_SOFT_DIRTY`. Shares the bit of PTE_ZERO, which only present entries have. */
export const PTE_SWP_SOFT_DIRTY = 64;

/** With none of PTE_PRESENT and PTE_PROTNONE, a migration entry: the page is being moved, the payload is its frame still. */
export const PTE_MIGRATION = 8;

/** `pte_marker` bits: what an entry that leads nowhere says of its page. */
export const PTE_MARKER_UFFD_WP = 1;
export const PTE_MARKER_POISON = 2;
export const PTE_MARKER_GUARD = 4;

const FLAGS = 1024;
/** Entries in one table. */
export const PTRS_PER_PTE = 512;
/** Pages below one entry of a level-3 table: a vpn is split here into two halves that fit in 32 bits and can be shifted. */
const HALF = 2 ** 18;
const PMD_PAGES = PTRS_PER_PTE;
const PUD_PAGES = PMD_PAGES * 512;
const PGD_PAGES = PUD_PAGES * 512;
/** Levels of tables below the top one. */
const LEVELS = 3;
/** Bytes of one table. */
export const TABLE_BYTES = 4096;

/** Entry for frame `pfn` with `flags`. */
export const mkPte = (pfn: number, flags: number): number => pfn * FLAGS + flags;
export const pteFlags = (entry: number): number => entry & (FLAGS - 1);
export const ptePfn = (entry: number): number => Math.floor(entry / FLAGS);
/** `pte_present()`: a page is there for the kernel, PROT_NONE included. */
export const ptePresent = (entry: number): boolean => (entry & (PTE_PRESENT | PTE_PROTNONE)) !== 0;
export const pteWrite = (entry: number): boolean => (entry & PTE_WRITE) !== 0;
export const pteSpecial = (entry: number): boolean => (entry & PTE_SPECIAL) !== 0;
export const isZeroPte = (entry: number): boolean => (entry & PTE_ZERO) !== 0 && ptePresent(entry);
/** `is_ksm_zero_pte()`: a zero page that KSM placed is marked dirty. */
export const isKsmZeroPte = (entry: number): boolean => isZeroPte(entry) && (entry & PTE_DIRTY) !== 0;
/** `is_swap_pte()` of an entry that leads to a slot. */
export const isSwapPte = (entry: number): boolean => (entry & PTE_SWAP) !== 0;
/** What tells a marker from the other entries without a page: a raw pfn and the zero page are there for the kernel. */
const MARKER_MASK = PTE_PRESENT | PTE_PROTNONE | PTE_SWAP | PTE_SPECIAL;
/** `make_pte_marker()`: an entry that leads nowhere, with PTE_MARKER_*. */
export const makePteMarker = (marker: number): number => mkPte(marker, PTE_SPECIAL);
/** `make_pte_marker(PTE_MARKER_UFFD_WP)`. */
export const UFFD_WP_MARKER = makePteMarker(PTE_MARKER_UFFD_WP);
/** `is_pte_marker()`. */
export const isPteMarker = (entry: number): boolean => (entry & MARKER_MASK) === PTE_SPECIAL;
/** `is_guard_pte_marker()`: whoever touches the page gets a signal. */
export const isGuardPteMarker = (entry: number): boolean =>
  isPteMarker(entry) && (ptePfn(entry) & PTE_MARKER_GUARD) !== 0;
/** `pte_marker_uffd_wp()`: nothing is there, and what comes is write-protected for a userfaultfd. */
export const isUffdWpPteMarker = (entry: number): boolean =>
  isPteMarker(entry) && (ptePfn(entry) & PTE_MARKER_UFFD_WP) !== 0;
/** `is_poisoned_pte_marker()`: whoever touches the page gets a SIGBUS. */
export const isPoisonedPteMarker = (entry: number): boolean =>
  isPteMarker(entry) && (ptePfn(entry) & PTE_MARKER_POISON) !== 0;
/** Is the page mapped by a huge entry? */
export const isHugePte = (entry: number): boolean => (entry & PTE_HUGE) !== 0 && ptePresent(entry);
/** `pte_swp_exclusive()`, of entries that are not present. */
export const pteSwpExclusive = (entry: number): boolean => (entry & PTE_SWP_EXCLUSIVE) !== 0;
/** The flag that says soft-dirty in `entry`, which is not empty. */
const softDirtyBit = (entry: number): number => (ptePresent(entry) ? PTE_SOFT_DIRTY : PTE_SWP_SOFT_DIRTY);
/** `pte_soft_dirty()`, `pte_swp_soft_dirty()`. */
export const pteSoftDirty = (entry: number): boolean => entry !== 0 && (entry & softDirtyBit(entry)) !== 0;
/** `pte_mksoft_dirty()`, `pte_swp_mksoft_dirty()` of an entry that is not empty. */
export const pteMksoftDirty = (entry: number): number => withFlags(entry, softDirtyBit(entry), 0);
/** `pte_clear_soft_dirty()`, `pte_swp_clear_soft_dirty()`. */
export const pteClearSoftDirty = (entry: number): number => withFlags(entry, 0, softDirtyBit(entry));
/** `swp_offset()`: the slot that a swap entry leads to. */
export const swpOffset = (entry: number): number => Math.floor(entry / FLAGS);
/**
 * `is_migration_entry()`: no page is there while frame `ptePfn()` is moved. PTE_WRITE: writable before, and so exclusive if anonymous;
 * PTE_SWP_EXCLUSIVE: readable-exclusive; neither: readable. PTE_DIRTY and PTE_UFFD_WP are kept for when it is restored.
 */
export const isMigrationPte = (entry: number): boolean => (entry & PTE_MIGRATION) !== 0 && !ptePresent(entry);
/** `make_writable_migration_entry()` and its kin: `flags` are PTE_WRITE or PTE_SWP_EXCLUSIVE, PTE_DIRTY, PTE_UFFD_WP. */
export const migrationPte = (pfn: number, flags: number): number => mkPte(pfn, PTE_MIGRATION | flags);
export const withFlags = (entry: number, set: number, clear: number): number =>
  entry - pteFlags(entry) + ((pteFlags(entry) & ~clear) | set);

/** Level-1 table: 512 entries. */
export type PteTable = number[];
/** Level 2: below each entry a table, nothing, or 2 MiB mapped at once by a huge entry (`pmd_leaf()`), which leads to the first of its pages. */
export type PmdTable = (PteTable | number | null)[];
export type PudTable = (PmdTable | null)[];
export type PgdTable = (PudTable | null)[];

/** What stands in the level-2 table for `vpn`: a table, a huge entry, or null. */
function pmdAt(mm: MmView, vpn: number): readonly number[] | number | null {
  const high = Math.floor(vpn / HALF);
  const low = vpn - high * HALF;
  const pud = mm.pgd[high >> 9];
  if (!pud) return null;
  const pmd = pud[high & 511];
  if (!pmd) return null;
  return pmd[low >> 9] ?? null;
}

/** The table holding `vpn`'s entry; null where there is none, or a huge entry in its place (`leafAt()`). */
export function pteTable(mm: MmView, vpn: number): readonly number[] | null {
  const found = pmdAt(mm, vpn);
  return typeof found === 'number' ? null : found;
}

/** The huge entry that maps the 2 MiB around `vpn`; 0 where there is none. */
export function leafAt(mm: MmView, vpn: number): number {
  const found = pmdAt(mm, vpn);
  return typeof found === 'number' ? found : 0;
}

/** `pmd_none()`: neither a table nor a huge entry around `vpn`. */
export const pmdNone = (mm: MmView, vpn: number): boolean => pmdAt(mm, vpn) === null;

/** Index of `vpn`'s entry in its table. */
export const pteIndex = (vpn: number): number => vpn - Math.floor(vpn / PTRS_PER_PTE) * PTRS_PER_PTE;

/** What the huge entry `leaf` makes of page `index` of its 512: an entry to that very page. The zero page has no parts. */
export const leafPart = (leaf: number, index: number): number => (pteSpecial(leaf) ? leaf : leaf + index * FLAGS);

/** The entry at `vpn`, 0 where nothing is. Below a huge entry, the part of it (PTE_HUGE). */
export function pteAt(mm: MmView, vpn: number): number {
  const high = Math.floor(vpn / HALF);
  const low = vpn - high * HALF;
  const pud = mm.pgd[high >> 9];
  if (!pud) return 0;
  const pmd = pud[high & 511];
  if (!pmd) return 0;
  const table = pmd[low >> 9];
  if (!table) return 0;
  return typeof table === 'number' ? leafPart(table, low & 511) : (table[low & 511] as number);
}

/** Bytes of tables that a walk to `vpn` would have to add (the top level belongs to the mm). */
export function missingTableBytes(mm: MmView, vpn: number): number {
  const high = Math.floor(vpn / HALF);
  const pud = mm.pgd[high >> 9];
  if (!pud) return 3 * TABLE_BYTES;
  const pmd = pud[high & 511];
  if (!pmd) return 2 * TABLE_BYTES;
  return pmd[(vpn - high * HALF) >> 9] ? 0 : TABLE_BYTES;
}

const emptyTable = <T>(fill: T): T[] => new Array<T>(512).fill(fill);

/** Adds `count` of the tables that a walk to `vpn` lacks, the highest first. For reducers. */
export function addMissingTables(mm: Mm, vpn: number, count: number): void {
  let left = count;
  const g = Math.floor(vpn / PGD_PAGES);
  if (!mm.pgd[g] && left-- <= 0) return;
  const pud = (mm.pgd[g] ??= emptyTable<PmdTable | null>(null));
  const u = Math.floor(vpn / PUD_PAGES) % 512;
  if (!pud[u] && left-- <= 0) return;
  const pmd = (pud[u] ??= emptyTable<PteTable | number | null>(null));
  const m = Math.floor(vpn / PMD_PAGES) % 512;
  if (!pmd[m] && left-- <= 0) return;
  pmd[m] ??= emptyTable(0);
}

/** Puts a huge entry, a table, or nothing (null) below the level-2 table's entry for `vpn`, whatever is there. For reducers. */
export function setPmd(mm: Mm, vpn: number, value: PteTable | number | null): void {
  const present = value !== null && value !== 0;
  if (present) addMissingTables(mm, vpn, LEVELS - 1);
  const pmd = mm.pgd[Math.floor(vpn / PGD_PAGES)]?.[Math.floor(vpn / PUD_PAGES) % 512];
  if (pmd) pmd[Math.floor(vpn / PMD_PAGES) % 512] = present ? value : null;
}

/** Adds the tables that a walk to `vpn` needs; a huge entry, which no kernel has where an event names one page, falls apart. For reducers. */
export function addTables(mm: Mm, vpn: number): PteTable {
  const leaf = leafAt(mm, vpn);
  if (leaf !== 0)
    setPmd(
      mm,
      vpn,
      emptyTable(0).map((_, i) => leafPart(leaf, i)),
    );
  addMissingTables(mm, vpn, LEVELS);
  return pteTable(mm, vpn) as PteTable;
}

/** Writes one entry, adding tables if an event did not. For reducers, which never throw. */
export function setPte(mm: Mm, vpn: number, entry: number): void {
  const high = Math.floor(vpn / HALF);
  const low = vpn - high * HALF;
  const pmd = mm.pgd[high >> 9]?.[high & 511];
  const table = pmd?.[low >> 9];
  if (table && typeof table !== 'number') table[low & 511] = entry;
  else addTables(mm, vpn)[low & 511] = entry;
}

/** Where the table of `vpn` ends: first vpn of the next one. */
export const tableEnd = (vpn: number): number => (Math.floor(vpn / PTRS_PER_PTE) + 1) * PTRS_PER_PTE;

/** First vpn at or after `from` and before `to` that a table or a huge entry covers; -1 if there is none. Skips empty upper levels at once. */
export function nextTable(mm: MmView, from: number, to: number): number {
  let vpn = from;
  while (vpn < to) {
    const pud = mm.pgd[Math.floor(vpn / PGD_PAGES)];
    if (!pud) {
      vpn = (Math.floor(vpn / PGD_PAGES) + 1) * PGD_PAGES;
      continue;
    }
    const pmd = pud[Math.floor(vpn / PUD_PAGES) % 512];
    if (!pmd) {
      vpn = (Math.floor(vpn / PUD_PAGES) + 1) * PUD_PAGES;
      continue;
    }
    if (pmd[Math.floor(vpn / PMD_PAGES) % 512]) return vpn;
    vpn = tableEnd(vpn);
  }
  return -1;
}

/** Calls `visit` for every non-empty entry in [from, to), in ascending order; for each page of a huge entry with its part of it. */
export function forEachPte(mm: MmView, from: number, to: number, visit: (vpn: number, entry: number) => void): void {
  let vpn = nextTable(mm, from, to);
  while (vpn >= 0) {
    const table = pteTable(mm, vpn);
    const leaf = table === null ? leafAt(mm, vpn) : 0;
    const end = Math.min(tableEnd(vpn), to);
    for (let i = pteIndex(vpn); vpn < end; vpn++, i++) {
      const entry = table === null ? leafPart(leaf, i) : (table[i] as number);
      if (entry !== 0) visit(vpn, entry);
    }
    vpn = nextTable(mm, end, to);
  }
}

/**
 * Tables of every level that lie wholly in [from, to), which no VMA touches: dropped. Returns the bytes freed. For reducers.
 * `free_pgd_range()` with floor and ceiling.
 */
export function dropTables(mm: Mm, from: number, to: number): number {
  return walkTables(mm, from, to, (table, index) => {
    table[index] = null;
  });
}

/** What dropTables() would free, without doing it. */
export function droppableTableBytes(mm: MmView, from: number, to: number): number {
  return walkTables(mm as Mm, from, to, () => {});
}

function walkTables(mm: Mm, from: number, to: number, drop: (table: unknown[], index: number) => void): number {
  let bytes = 0;
  const last = Math.min(mm.pgd.length, Math.ceil(to / PGD_PAGES));
  for (let g = Math.floor(from / PGD_PAGES); g < last; g++) {
    const pud = mm.pgd[g];
    if (!pud) continue;
    const pgdStart = g * PGD_PAGES;
    for (let u = 0; u < 512; u++) {
      const pmd = pud[u];
      if (!pmd) continue;
      const pudStart = pgdStart + u * PUD_PAGES;
      if (pudStart >= to || pudStart + PUD_PAGES <= from) continue;
      for (let m = 0; m < 512; m++) {
        const start = pudStart + m * PMD_PAGES;
        if (!pmd[m] || start < from || start + PMD_PAGES > to) continue;
        drop(pmd, m);
        bytes += TABLE_BYTES;
      }
      if (pudStart >= from && pudStart + PUD_PAGES <= to) {
        drop(pud, u);
        bytes += TABLE_BYTES;
      }
    }
    if (pgdStart >= from && pgdStart + PGD_PAGES <= to) {
      drop(mm.pgd, g);
      bytes += TABLE_BYTES;
    }
  }
  return bytes;
}
