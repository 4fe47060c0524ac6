// What a large folio counts before anything maps it.
import type { LargeFolio } from './state.js';

/** What a folio of `order` counts that nothing maps. */
export const noLargeFolio = (order: number): LargeFolio => ({
  order,
  entireMapcount: 0,
  largeMapcount: 0,
  mm0: 0,
  count0: 0,
  mm1: 0,
  count1: 0,
  mappedShared: 0,
  pincount: 0,
  partiallyMapped: 0,
});
