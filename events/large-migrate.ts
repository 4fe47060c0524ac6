// What happened to large folios that were moved to other frames as a whole: mm/migrate.c, set_pmd_migration_entry() and
// remove_migration_pmd() of mm/huge_memory.c. Entries of their pages become migration entries as when a folio is split (events/split.ts); a
// huge entry becomes one huge migration entry. `ref` and `entireMapcount` are differences.
import type { ShapesOf } from './shapes.js';

/**
 * `set_pmd_migration_entry()`: one migration entry stands in the place of the huge entry. `exclusive` 0: PG_anon_exclusive of the first page is
 * cleared (-1: it had none). `dirty` 1: the old entry was dirty, now the folio is.
 */
export interface PmdMigrationSet {
  readonly type: 'PmdMigrationSet';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
  readonly dirty: number;
}
/**
 * `remove_migration_pmd()`: the huge entry leads to a folio again, the new one that begins at `pfn` or, where migration failed, the old one.
 * `exclusive` 1 sets PG_anon_exclusive of its first page.
 */
export interface PmdMigrationRemoved {
  readonly type: 'PmdMigrationRemoved';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly entireMapcount: number;
  readonly exclusive: number;
}
/**
 * `__migrate_folio()` of 2^order pages of anonymous memory: what the folio that begins at `from` was, the new one from `pfn` on is, with its bytes.
 * `flags` and `fromFlags` are those of both first pages afterwards; `slot` is the first one's in the swap cache, -1 for none, whose references
 * (`ref`, `fromRef`) go along.
 */
export interface LargeFolioMigrated {
  readonly type: 'LargeFolioMigrated';
  readonly pfn: number;
  readonly from: number;
  readonly order: number;
  readonly flags: number;
  readonly fromFlags: number;
  readonly anonVma: number;
  readonly index: number;
  readonly slot: number;
  readonly ref: number;
  readonly fromRef: number;
}

/** `folio_get()` by who is about to split a folio. */
export interface FolioGot {
  readonly type: 'FolioGot';
  readonly pfn: number;
  readonly ref: number;
}

export type LargeMigrateEvent = FolioGot | PmdMigrationSet | PmdMigrationRemoved | LargeFolioMigrated;

/** Opcodes and kinds of fields. */
export const LARGE_MIGRATE_SHAPES: ShapesOf<LargeMigrateEvent> = {
  FolioGot: { opcode: 225, fields: { pfn: 'pfn', ref: 'int' } },
  PmdMigrationSet: {
    opcode: 226,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
    },
  },
  PmdMigrationRemoved: {
    opcode: 227,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
    },
  },
  LargeFolioMigrated: {
    opcode: 228,
    fields: {
      pfn: 'pfn',
      from: 'pfn',
      order: 'int',
      flags: 'int',
      fromFlags: 'int',
      anonVma: 'anonVma',
      index: 'int',
      slot: 'int',
      ref: 'int',
      fromRef: 'int',
    },
  },
};
