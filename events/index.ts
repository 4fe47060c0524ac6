// The catalogue: every event type with its opcode and the kinds of its fields. Opcodes are append-only.
import type { TaskEvent } from './task.js';
import { TASK_SHAPES } from './task.js';
import type { AddressSpaceEvent } from './address-space.js';
import { ADDRESS_SPACE_SHAPES } from './address-space.js';
import type { PageTableEvent } from './page-table.js';
import { PAGE_TABLE_SHAPES } from './page-table.js';
import type { FolioEvent } from './folio.js';
import { FOLIO_SHAPES } from './folio.js';
import type { GupEvent } from './gup.js';
import { GUP_SHAPES } from './gup.js';
import type { SwapEvent } from './swap.js';
import { SWAP_SHAPES } from './swap.js';
import type { LargeSwapEvent } from './large-swap.js';
import { LARGE_SWAP_SHAPES } from './large-swap.js';
import type { MigrateEvent } from './migrate.js';
import { MIGRATE_SHAPES } from './migrate.js';
import type { LargeMigrateEvent } from './large-migrate.js';
import { LARGE_MIGRATE_SHAPES } from './large-migrate.js';
import type { DiskEvent } from './disk.js';
import { DISK_SHAPES } from './disk.js';
import type { KsmEvent } from './ksm.js';
import { KSM_SHAPES } from './ksm.js';
import type { HugeEvent } from './huge.js';
import { HUGE_SHAPES } from './huge.js';
import type { FileHugeEvent } from './file-huge.js';
import { FILE_HUGE_SHAPES } from './file-huge.js';
import type { HugetlbEvent } from './hugetlb.js';
import { HUGETLB_SHAPES } from './hugetlb.js';
import type { HugetlbMigrateEvent } from './hugetlb-migrate.js';
import { HUGETLB_MIGRATE_SHAPES } from './hugetlb-migrate.js';
import type { LargeFolioEvent } from './large-folio.js';
import { LARGE_FOLIO_SHAPES } from './large-folio.js';
import type { CollapseEvent } from './collapse.js';
import { COLLAPSE_SHAPES } from './collapse.js';
import type { SplitEvent } from './split.js';
import { SPLIT_SHAPES } from './split.js';
import type { ShmemEvent } from './shmem.js';
import { SHMEM_SHAPES } from './shmem.js';
import type { UserfaultfdEvent } from './userfaultfd.js';
import { USERFAULTFD_SHAPES } from './userfaultfd.js';
import type { EventShape, ShapesOf } from './shapes.js';

export type * from './task.js';
export type * from './address-space.js';
export type * from './page-table.js';
export type * from './folio.js';
export type * from './gup.js';
export type * from './swap.js';
export type * from './large-swap.js';
export type * from './migrate.js';
export type * from './large-migrate.js';
export type * from './disk.js';
export type * from './ksm.js';
export type * from './huge.js';
export type * from './file-huge.js';
export type * from './hugetlb.js';
export type * from './hugetlb-migrate.js';
export type * from './large-folio.js';
export type * from './collapse.js';
export type * from './split.js';
export type * from './shmem.js';
export type * from './userfaultfd.js';
export { LIST_KINDS } from './shapes.js';
export type { EventShape, FieldKind } from './shapes.js';

/** Everything that can happen. */
export type KernelEvent =
  | TaskEvent
  | AddressSpaceEvent
  | PageTableEvent
  | FolioEvent
  | GupEvent
  | SwapEvent
  | LargeSwapEvent
  | MigrateEvent
  | LargeMigrateEvent
  | DiskEvent
  | KsmEvent
  | CollapseEvent
  | HugeEvent
  | FileHugeEvent
  | HugetlbEvent
  | HugetlbMigrateEvent
  | LargeFolioEvent
  | SplitEvent
  | ShmemEvent
  | UserfaultfdEvent;
export type EventType = KernelEvent['type'];
/** The event with that `type`. */
export type EventOf<T extends EventType> = Extract<KernelEvent, { type: T }>;

/**
 * Raised whenever the meaning of a field or the set of types changes after logs were written for others: the catalogue as it was goes to
 * history.ts, with the upcasters that older logs then pass through.
 */
export const CATALOGUE_VERSION = 2;

/** Shape of every event type. */
export const CATALOGUE: ShapesOf<KernelEvent> = {
  ...TASK_SHAPES,
  ...ADDRESS_SPACE_SHAPES,
  ...PAGE_TABLE_SHAPES,
  ...FOLIO_SHAPES,
  ...GUP_SHAPES,
  ...SWAP_SHAPES,
  ...LARGE_SWAP_SHAPES,
  ...MIGRATE_SHAPES,
  ...LARGE_MIGRATE_SHAPES,
  ...DISK_SHAPES,
  ...KSM_SHAPES,
  ...HUGE_SHAPES,
  ...FILE_HUGE_SHAPES,
  ...HUGETLB_SHAPES,
  ...HUGETLB_MIGRATE_SHAPES,
  ...LARGE_FOLIO_SHAPES,
  ...COLLAPSE_SHAPES,
  ...SPLIT_SHAPES,
  ...SHMEM_SHAPES,
  ...USERFAULTFD_SHAPES,
};

export { HUGE_ENTRY_EVENTS } from './huge.js';
export { HUGETLB_POOL_EVENTS } from './hugetlb.js';

/** Event types by opcode. */
export const TYPE_BY_OPCODE: readonly (EventType | undefined)[] = (() => {
  const types: (EventType | undefined)[] = [];
  for (const type of Object.keys(CATALOGUE) as EventType[]) types[CATALOGUE[type].opcode] = type;
  return types;
})();

/** The catalogue seen without the types, for code that treats all events alike. */
export const SHAPES = CATALOGUE as Readonly<Record<EventType, EventShape>>;
