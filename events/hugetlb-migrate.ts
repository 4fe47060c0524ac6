// What happened to pages of the hugetlb pool that were moved to other frames: unmap_and_move_huge_page() of mm/migrate.c. Their entries become huge migration
// entries and come back as those of large folios do (events/large-migrate.ts).
import type { ShapesOf } from './shapes.js';

/**
 * `__folio_migrate_mapping()`, `migrate_huge_page_move_mapping()`: what the page at `from` was, the one at `pfn` is; its bytes are there already. Anonymous memory has its `anonVma`, a
 * page of a file its `inode`, whose references (`ref`, `fromRef`) go along, and so does the mount that it
 * is charged to. `index` counts pages of 4 KiB. `dirty` 1: it is dirty, as the old one was.
 * `movable` 0: it cannot be moved again until it was free.
 */
export interface HugetlbPageMigrated {
  readonly type: 'HugetlbPageMigrated';
  readonly pfn: number;
  readonly from: number;
  readonly anonVma: number;
  readonly inode: number;
  readonly index: number;
  readonly ref: number;
  readonly fromRef: number;
  readonly dirty: number;
  readonly movable: number;
}

export type HugetlbMigrateEvent = HugetlbPageMigrated;

/** Opcodes and kinds of fields. */
export const HUGETLB_MIGRATE_SHAPES: ShapesOf<HugetlbMigrateEvent> = {
  HugetlbPageMigrated: {
    opcode: 186,
    fields: {
      pfn: 'pfn',
      from: 'pfn',
      anonVma: 'anonVma',
      inode: 'inode',
      index: 'int',
      ref: 'int',
      fromRef: 'int',
      dirty: 'int',
      movable: 'int',
    },
  },
};
