// VM_* flags and readers of a sorted list of VMAs, named as in include/linux/mm.h and mm/mmap.c.
import type { MmView, VmaView } from './state.js';

export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
export const VM_MAYREAD = 0x10;
export const VM_MAYWRITE = 0x20;
export const VM_MAYEXEC = 0x40;
export const VM_MAYSHARE = 0x80;
export const VM_GROWSDOWN = 0x100;
/** Faults on pages that are not there go to a userfaultfd. */
export const VM_UFFD_MISSING = 0x200;
export const VM_PFNMAP = 0x400;
/** Guard markers were set in it, and may be there still. */
export const VM_MAYBE_GUARD = 0x800;
/** Writes to pages with PTE_UFFD_WP go to a userfaultfd. */
export const VM_UFFD_WP = 0x1000;
export const VM_LOCKED = 0x2000;
export const VM_IO = 0x4000;
export const VM_SEQ_READ = 0x8000;
export const VM_RAND_READ = 0x10000;
export const VM_DONTCOPY = 0x20000;
export const VM_DONTEXPAND = 0x40000;
export const VM_LOCKONFAULT = 0x80000;
export const VM_ACCOUNT = 0x100000;
export const VM_NORESERVE = 0x200000;
/** Of hugetlbfs. */
export const VM_HUGETLB = 0x400000;
/** mseal(2). Linux has it above bit 31. */
export const VM_SEALED = 0x1000000;
/** Pages and frame numbers side by side. Linux has it where VM_SOFTDIRTY is here. */
export const VM_MIXEDMAP = 0x800000;
export const VM_WIPEONFORK = 0x2000000;
export const VM_DONTDUMP = 0x4000000;
export const VM_MERGEABLE = 0x8000000;
/** CONFIG_MEM_SOFT_DIRTY: all of the mapping counts as written to. Linux has it where VM_MERGEABLE is here. */
export const VM_SOFTDIRTY = 0x10000000;
export const VM_HUGEPAGE = 0x20000000;
export const VM_NOHUGEPAGE = 0x40000000;
/** Faults on pages that their file has, and that are not mapped, go to a userfaultfd. The last bit there is: flags with it are negative numbers. */
export const VM_UFFD_MINOR = 1 << 31;

/** `VM_SPECIAL`: never merged, never locked. */
export const VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;
/** `VM_STICKY`: VMAs merge whether they have it or not, and what came of them has it if one had. */
export const VM_STICKY = VM_MAYBE_GUARD;
/** `__VM_UFFD_FLAGS`. */
export const VM_UFFD = VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR;
export const VM_ACCESS = VM_READ | VM_WRITE | VM_EXEC;

/** `is_cow_mapping()`: private and may become writable. */
export const isCowMapping = (flags: number): boolean => (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;
/** `vma_is_anonymous()`. */
export const vmaIsAnonymous = (vma: VmaView): boolean => vma.inode === 0;
/** `is_vm_hugetlb_page()`. */
export const isHugetlb = ({ flags }: { readonly flags: number }): boolean => (flags & VM_HUGETLB) !== 0;
/** `vma_is_sealed()`. */
export const vmaIsSealed = (vma: VmaView): boolean => (vma.flags & VM_SEALED) !== 0;
/** `vma_pages()`. */
export const vmaPages = (vma: VmaView): number => (vma.end - vma.start) / 4096;
/** `linear_page_index()` of address `addr`. */
export const linearPageIndex = (vma: VmaView, addr: number): number =>
  vma.pgoff + Math.floor((addr - vma.start) / 4096);

/** Index of the first VMA that ends above `addr` (`find_vma()`), or the number of VMAs. */
export function findVmaIndex(mm: MmView, addr: number): number {
  const { vmas } = mm;
  let low = 0;
  let high = vmas.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if ((vmas[mid] as VmaView).end > addr) high = mid;
    else low = mid + 1;
  }
  return low;
}

/** The VMA that contains `addr`, or null: `vma_lookup()`. */
export function vmaLookup(mm: MmView, addr: number): VmaView | null {
  const vma = mm.vmas[findVmaIndex(mm, addr)];
  return vma !== undefined && vma.start <= addr ? vma : null;
}

/** The VMAs that touch [start, end). */
export function vmasIn(mm: MmView, start: number, end: number): readonly VmaView[] {
  const first = findVmaIndex(mm, start);
  let last = first;
  while (last < mm.vmas.length && (mm.vmas[last] as VmaView).start < end) last++;
  return mm.vmas.slice(first, last);
}

/** `userfaultfd_missing()`, `userfaultfd_wp()`, `userfaultfd_minor()`, `userfaultfd_armed()`. */
export const userfaultfdMissing = (vma: VmaView): boolean => (vma.flags & VM_UFFD_MISSING) !== 0;
export const userfaultfdWp = (vma: VmaView): boolean => (vma.flags & VM_UFFD_WP) !== 0;
export const userfaultfdMinor = (vma: VmaView): boolean => (vma.flags & VM_UFFD_MINOR) !== 0;
export const userfaultfdArmed = (vma: VmaView): boolean => (vma.flags & VM_UFFD) !== 0;
