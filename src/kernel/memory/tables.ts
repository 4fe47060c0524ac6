// Page tables on the way to an entry: p4d_alloc() to pte_alloc() of mm/memory.c.
import { TABLE_BYTES, missingTableBytes } from '../../../reducers/pte.js';
import { mmAt } from '../../../reducers/state.js';
import type { Kernel } from '../kernel.js';

/** `pte_alloc()`: adds every table that is missing on the way to `vpn`. */
export function pteAlloc(k: Kernel, mm: number, vpn: number): void {
  const bytes = missingTableBytes(mmAt(k.view, mm), vpn);
  if (bytes > 0) k.emit({ type: 'PageTableAllocated', mm, vpn, bytes });
}

/** `pmd_alloc()`: adds what is missing above the lowest level. */
export function pmdAlloc(k: Kernel, mm: number, vpn: number): void {
  allocAbove(k, mm, vpn, 1);
}

/** `pud_alloc()`: adds the highest level if it is missing. */
export function pudAlloc(k: Kernel, mm: number, vpn: number): void {
  allocAbove(k, mm, vpn, 2);
}

/** Adds what is missing on the way to `vpn`, but for the lowest `levels`. */
function allocAbove(k: Kernel, mm: number, vpn: number, levels: number): void {
  const bytes = missingTableBytes(mmAt(k.view, mm), vpn) - levels * TABLE_BYTES;
  if (bytes > 0) k.emit({ type: 'PageTableAllocated', mm, vpn, bytes });
}
