// What happened to pages that were moved to other frames: mm/migrate.c, and the half of mm/rmap.c that it calls. While a page is moved
// its entries are migration entries: they hold the frame's number and what is to be restored, and rss goes on counting them.
import type { ShapesOf } from './shapes.js';

/** `folio_isolate_lru()`: the page left the LRU, which forgets how many mlocks it counted; who isolated it has a reference (`ref`). */
export interface FolioIsolated {
  readonly type: 'FolioIsolated';
  readonly pfn: number;
  readonly ref: number;
}
/**
 * `try_to_migrate_one()`: a migration entry stands in the place of the one that led to the page. `entry` says of what kind: writable,
 * readable-exclusive, or readable. `exclusive` 0: PG_anon_exclusive is cleared (-1: the page or the kernel has no such flag).
 * `dirty` 1: the old entry was dirty, now the page is.
 */
export interface MigrationPteSet {
  readonly type: 'MigrationPteSet';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
  readonly dirty: number;
}
/**
 * `__folio_migrate_mapping()` and `folio_migrate_flags()`: what frame `from` was, the new frame `pfn` is; its bytes are there already.
 * `flags` and `fromFlags` are the flags of both afterwards. Anonymous memory has its `anonVma`, a page of a file its `inode` and the place
 * in the cache that is now the new frame's (`cache`: [index, pfn, 1] or empty); `slot` is that in the swap cache, -1 for none. A cache's reference
 * goes along: `ref` and `fromRef`.
 */
export interface FolioMigrated {
  readonly type: 'FolioMigrated';
  readonly pfn: number;
  readonly from: number;
  readonly flags: number;
  readonly fromFlags: number;
  readonly anonVma: number;
  readonly inode: number;
  readonly index: number;
  readonly cache: readonly number[];
  readonly slot: number;
  readonly ref: number;
  readonly fromRef: number;
}
/**
 * `folio_add_lru()` of a page that is on no LRU: it waits in `lruCpu`'s batch of new pages. `ref` 0: the batch's reference is the one that
 * isolation had (`folio_putback_lru()`). `flags` are the page's afterwards: what keeps it from reclaim is settled anew with the batch.
 */
export interface FolioLruAdded {
  readonly type: 'FolioLruAdded';
  readonly pfn: number;
  readonly flags: number;
  readonly ref: number;
  readonly lruCpu: number;
}
/**
 * `remove_migration_pte()`: the entry leads to a page again, the new frame or, where migration failed, the old one. `exclusive` 1 sets
 * PG_anon_exclusive, as the migration entry told.
 */
export interface MigrationPteRemoved {
  readonly type: 'MigrationPteRemoved';
  readonly mm: number;
  readonly vpn: number;
  readonly pfn: number;
  readonly entry: number;
  readonly ref: number;
  readonly mapcount: number;
  readonly exclusive: number;
}

export type MigrateEvent = FolioIsolated | MigrationPteSet | FolioMigrated | FolioLruAdded | MigrationPteRemoved;

/** Opcodes and kinds of fields. */
export const MIGRATE_SHAPES: ShapesOf<MigrateEvent> = {
  FolioIsolated: { opcode: 120, fields: { pfn: 'pfn', ref: 'int' } },
  MigrationPteSet: {
    opcode: 121,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
    },
  },
  FolioMigrated: {
    opcode: 122,
    fields: {
      pfn: 'pfn',
      from: 'pfn',
      flags: 'int',
      fromFlags: 'int',
      anonVma: 'anonVma',
      inode: 'inode',
      index: 'int',
      cache: 'cacheRuns',
      slot: 'int',
      ref: 'int',
      fromRef: 'int',
    },
  },
  FolioLruAdded: { opcode: 123, fields: { pfn: 'pfn', flags: 'int', ref: 'int', lruCpu: 'cpu' } },
  MigrationPteRemoved: {
    opcode: 124,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', ref: 'int', mapcount: 'int', exclusive: 'int' },
  },
};
