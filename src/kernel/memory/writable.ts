// When an entry may become writable without a fault: can_change_pte_writable() of mm/mprotect.c.
import { PTE_DIRTY, PTE_UFFD_WP, pteSoftDirty, ptePfn, pteSpecial } from '../../../reducers/pte.js';
import { InodeKind, PG_ANON, PG_ANON_EXCLUSIVE, pageAt } from '../../../reducers/state.js';
import { VM_SHARED, VM_SOFTDIRTY, VM_UFFD_WP, VM_WRITE } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { pteNeedsSoftDirtyWp } from '../soft-dirty.js';
import { vmaWantsWritenotify } from './page-prot.js';

/**
 * `can_change_pte_writable()`: private pages that are exclusive, shared pages that are dirty already (or that nobody needs to hear of)
 * may be written at once. Before 6.0 a private page always faulted first.
 */
export function canChangePteWritable(k: Kernel, entry: number, vmFlags: number, inode: number): boolean {
  if ((vmFlags & VM_WRITE) === 0) return false;
  if ((vmFlags & VM_SHARED) !== 0) {
    if (pteSpecial(entry)) return false;
    const file = k.view.inodes[inode] ?? undefined;
    if (!vmaWantsWritenotify(k, vmFlags, file)) return true;
    // Where the file system asks for nothing, `vma_wants_writenotify()` takes a page protection without the right to write for its driver's wish.
    if (file?.kind === InodeKind.shmem && (vmFlags & VM_UFFD_WP) !== 0) return false;
    if (userfaultfdPteWp(vmFlags, entry)) return false;
    return (entry & PTE_DIRTY) !== 0 && !mustFaultForSoftDirty(k, vmFlags, entry);
  }
  if (userfaultfdPteWp(vmFlags, entry) || mustFaultForSoftDirty(k, vmFlags, entry)) return false;
  if (!k.behaviours['mprotect-upgrades-exclusive'] || pteSpecial(entry)) return false;
  const page = pageAt(k.view, ptePfn(entry));
  return (page.flags & PG_ANON) !== 0 && (page.flags & PG_ANON_EXCLUSIVE) !== 0;
}

/** `userfaultfd_pte_wp()`. */
const userfaultfdPteWp = (vmFlags: number, entry: number): boolean =>
  (vmFlags & VM_UFFD_WP) !== 0 && (entry & PTE_UFFD_WP) !== 0;

/**
 * Must the next write fault for soft-dirty's sake? From 3.18 to 5.19 mappings that nobody tracked were spared instead of those that are; before, nobody
 * asked.
 */
function mustFaultForSoftDirty(k: Kernel, vmFlags: number, entry: number): boolean {
  if (k.behaviours['mprotect-checks-soft-dirty']) return pteNeedsSoftDirtyWp(k, vmFlags, entry);
  if (!k.behaviours['softdirty-enables-writenotify']) return false;
  return (vmFlags & VM_SOFTDIRTY) !== 0 && !pteSoftDirty(entry);
}
