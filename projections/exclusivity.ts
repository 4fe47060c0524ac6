// The audit of PG_anon_exclusive: who is known to own a page alone, and does the page tables' word agree?
import { FRAME_EXCLUSIVE, FRAME_KSM, FrameKind } from './facts/frames.js';
import { Facts } from './facts/facts.js';
import { factsOf } from './facts/from-state.js';
import { factHandlers } from './facts/handlers.js';
import type { StateProjection } from './projection.js';

export interface ExclusivityAudit {
  readonly exclusive: readonly { readonly pfn: number; readonly mappers: number }[];
  /** Exclusive, yet mapped more than once. */
  readonly shared: readonly number[];
  /** Merged by KSM: nobody's, however many map them. */
  readonly merged: readonly { readonly pfn: number; readonly mappers: number }[];
  /** Anonymous, mapped writable, and not exclusive. */
  readonly writableNotExclusive: readonly number[];
}

export const exclusivity: StateProjection<Facts> = {
  name: 'exclusivity',
  init: () => new Facts(),
  on: factHandlers,
  fromState: factsOf,
  read({ frames }): ExclusivityAudit {
    const exclusive: { pfn: number; mappers: number }[] = [];
    const merged: { pfn: number; mappers: number }[] = [];
    const shared: number[] = [];
    const writableNotExclusive: number[] = [];
    for (let pfn = 0; pfn < frames.size; pfn++) {
      if (frames.kind[pfn] !== FrameKind.anon) continue;
      const mappers = frames.mappers[pfn] as number;
      if ((frames.flags[pfn]! & FRAME_KSM) !== 0) merged.push({ pfn, mappers });
      if ((frames.flags[pfn]! & FRAME_EXCLUSIVE) !== 0) {
        exclusive.push({ pfn, mappers });
        if (mappers > 1) shared.push(pfn);
      } else if (frames.writers[pfn]! > 0) writableNotExclusive.push(pfn);
    }
    return { exclusive, merged, shared, writableNotExclusive };
  },
};
