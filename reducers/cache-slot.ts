// What a file's cache slot holds, as one number.
import type { InodeView } from './state.js';
import { cachedPfn, swapSlot } from './state.js';

/** What stands in a file's cache slot: the frame, or below -4 the slot of the swap area. */
export const slotIn = (inode: InodeView, index: number): number => {
  const slot = swapSlot(inode, index);
  return slot < 0 ? cachedPfn(inode, index) : -5 - slot;
};
