// Applying events. One table of reducers; each changes the state it is given, a draft or one its caller owns.
import { produce, setAutoFreeze } from 'immer';
import type { EventOf, EventType, KernelEvent } from '../events/index.js';
import { addressSpaceReducers } from './address-space.js';
import { folioReducers } from './folio.js';
import { gupReducers } from './gup.js';
import { migrateReducers } from './migrate.js';
import { largeMigrateReducers } from './large-migrate.js';
import { diskReducers } from './disk.js';
import { ksmReducers } from './ksm.js';
import { collapseReducers } from './collapse.js';
import { hugeReducers } from './huge.js';
import { fileHugeReducers } from './file-huge.js';
import { hugetlbReducers } from './hugetlb.js';
import { hugetlbMigrateReducers } from './hugetlb-migrate.js';
import { largeSwapReducers } from './large-swap.js';
import { largeFolioReducers } from './large-folio.js';
import { pageTableReducers } from './page-table.js';
import { shmemReducers } from './shmem.js';
import { splitReducers } from './split.js';
import type { KernelState, KernelView } from './state.js';
import { swapReducers } from './swap.js';
import { taskReducers } from './task.js';
import { userfaultfdReducers } from './userfaultfd.js';

/** Handlers for some event types. They never throw on an event that a kernel emitted, and store no part of it. */
export type Reducers<T extends EventType> = { readonly [K in T]: (state: KernelState, event: EventOf<K>) => void };

const reducers: Reducers<EventType> = {
  ...taskReducers,
  ...addressSpaceReducers,
  ...pageTableReducers,
  ...folioReducers,
  ...gupReducers,
  ...swapReducers,
  ...largeSwapReducers,
  ...migrateReducers,
  ...largeMigrateReducers,
  ...diskReducers,
  ...ksmReducers,
  ...collapseReducers,
  ...hugeReducers,
  ...fileHugeReducers,
  ...hugetlbReducers,
  ...hugetlbMigrateReducers,
  ...largeFolioReducers,
  ...splitReducers,
  ...shmemReducers,
  ...userfaultfdReducers,
};
const dispatch = reducers as unknown as Readonly<Record<EventType, (state: KernelState, event: KernelEvent) => void>>;

/** Applies `event` to `state` in place. `state` must belong to the caller: made by initialState(), decoding or own(). */
export function apply(state: KernelState, event: KernelEvent): void {
  dispatch[event.type](state, event);
}

/** The state after `event`, sharing structure with `state`, which stays as it was. */
export function applied(state: KernelView, event: KernelEvent): KernelView {
  return produce(state as KernelState, (draft) => dispatch[event.type](draft, event));
}

/** The state after all `events`, in one Immer recipe. */
export function appliedAll(state: KernelView, events: Iterable<KernelEvent>): KernelView {
  return produce(state as KernelState, (draft) => {
    for (const event of events) dispatch[event.type](draft, event);
  });
}

// Freezing finds reducers that write where they must not, at a cost of ten times; tests turn it on.
setAutoFreeze(false);
