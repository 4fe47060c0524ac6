// What a mapping of a file gets unasked: `vm_page_prot`, and who needs to be told of first writes.
import { PTE_PRESENT, PTE_WRITE } from '../../../reducers/pte.js';
import type { InodeView, VmaView } from '../../../reducers/state.js';
import { InodeKind } from '../../../reducers/state.js';
import { VM_SHARED, VM_UFFD_WP, VM_WRITE } from '../../../reducers/vma.js';
import type { Kernel } from '../kernel.js';
import { vmaSoftDirtyEnabled } from '../soft-dirty.js';
import { presentFlag } from './anonymous.js';

/** The file behind a VMA that has one. */
export const inodeOf = (k: Kernel, vma: VmaView): InodeView => k.view.inodes[vma.inode] as InodeView;

/** File systems that want to know of the first write to a clean shared page (`->page_mkwrite`). */
const hasPageMkwrite = (inode: InodeView): boolean => inode.kind === InodeKind.file;

/**
 * `vma_wants_writenotify()` of a shared mapping with VM_* `flags` that may be written to: must first writes fault? For file systems they must, (since
 * 3.18) where they are tracked by soft-dirty, and (since 6.2) where a userfaultfd watches for writes.
 */
export function vmaWantsWritenotify(k: Kernel, flags: number, inode: InodeView | undefined): boolean {
  if (inode !== undefined && hasPageMkwrite(inode)) return true;
  if ((flags & VM_UFFD_WP) !== 0 && k.behaviours['uffd-wp-implies-writenotify']) return true;
  return k.behaviours['softdirty-enables-writenotify'] && vmaSoftDirtyEnabled(k, flags);
}

/** `vm_page_prot`, what a mapping of `vma` gets unasked: writable at once in shared mappings nobody needs to be told about. */
export function vmPageProt(k: Kernel, vma: VmaView): number {
  if ((vma.flags & (VM_SHARED | VM_WRITE)) !== (VM_SHARED | VM_WRITE)) return presentFlag(vma);
  return vmaWantsWritenotify(k, vma.flags, inodeOf(k, vma)) ? PTE_PRESENT : PTE_PRESENT | PTE_WRITE;
}
