// Who maps each frame: what rmap walks find, from entries alone.
import { Facts } from './facts/facts.js';
import { factsOf } from './facts/from-state.js';
import { factHandlers } from './facts/handlers.js';
import type { StateProjection } from './projection.js';

export interface Mapper {
  readonly mm: number;
  /** Address / 4096. */
  readonly vpn: number;
}
export interface MappedFrame {
  readonly pfn: number;
  readonly mappers: readonly Mapper[];
}

/** The mappings of `pfn` by address space and address. */
export function mappersOf(facts: Facts, pfn: number): Mapper[] {
  const mappers: Mapper[] = [];
  facts.mappings.forEachMapper(pfn, (mm, vpn) => mappers.push({ mm, vpn }));
  return mappers.sort((a, b) => a.mm - b.mm || a.vpn - b.vpn);
}

export const rmap: StateProjection<Facts> = {
  name: 'rmap',
  init: () => new Facts(),
  on: factHandlers,
  fromState: factsOf,
  read(facts): readonly MappedFrame[] {
    const frames: MappedFrame[] = [];
    for (let pfn = 0; pfn < facts.frames.size; pfn++)
      if (facts.frames.mappers[pfn] !== 0) frames.push({ pfn, mappers: mappersOf(facts, pfn) });
    return frames;
  },
};
