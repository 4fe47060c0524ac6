// Soft-dirty tracking, CONFIG_MEM_SOFT_DIRTY: which pages were written to since /proc/PID/clear_refs was told 4. Entries know it (pte_soft_dirty()), and
// mappings that are new since then (VM_SOFTDIRTY), of which all pages count as written to.
import { PTE_DIRTY, PTE_SOFT_DIRTY, pteSoftDirty } from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import { VM_SOFTDIRTY, vmaLookup } from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';

/** `pte_mkdirty()`: the flags that it sets, on x86 soft-dirty as well. What hardware sets is PTE_DIRTY alone. */
export const dirtyFlags = (k: Kernel): number => PTE_DIRTY | (k.behaviours['soft-dirty'] ? PTE_SOFT_DIRTY : 0);

/** Flag of every mapping that mmap, brk or execve made: VM_SOFTDIRTY, which is 0 where the configuration is off. */
export const newVmaFlag = (k: Kernel): number => (k.behaviours['soft-dirty'] ? VM_SOFTDIRTY : 0);

/** `vma_soft_dirty_enabled()`: were the writes to a mapping with VM_* `flags` asked for? VM_SOFTDIRTY says that they were not. */
export const vmaSoftDirtyEnabled = (k: Kernel, flags: number): boolean =>
  k.behaviours['soft-dirty'] && (flags & VM_SOFTDIRTY) === 0;

/** `pte_needs_soft_dirty_wp()`: must `entry`, in a mapping with `flags`, stay read-only for its first write to be seen? */
export const pteNeedsSoftDirtyWp = (k: Kernel, flags: number, entry: number): boolean =>
  vmaSoftDirtyEnabled(k, flags) && !pteSoftDirty(entry);

/** The mapping at `addr` was made or grew by mmap or brk: all of it counts as written to, also what it merged with. */
export function markNewVma(k: Kernel, mm: number, addr: number): void {
  const { start, flags } = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  const wanted = flags | newVmaFlag(k);
  if (wanted !== flags) k.emit({ type: 'VmaFlagsChanged', mm, start, flags: wanted });
}
