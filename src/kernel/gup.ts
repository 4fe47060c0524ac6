// Faulting pages in on behalf of the kernel: the populate half of mm/gup.c. No exception, no signal; failures are errno values.
import { mmAt } from '../../reducers/state.js';
import {
  VM_ACCESS,
  VM_PFNMAP,
  VM_IO,
  VM_LOCKONFAULT,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  findVmaIndex,
  userfaultfdWp,
  vmaLookup,
} from '../../reducers/vma.js';
import type { VmaView } from '../../reducers/state.js';
import { PTE_DIRTY, PTE_UFFD_WP, isHugePte, pteAt, ptePfn, ptePresent, pteWrite } from '../../reducers/pte.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EFAULT, EHWPOISON, EINVAL, ENOMEM, PAGE_SIZE, currentTask } from './kernel.js';
import type { Access } from './memory/fault.js';
import { handleMmFault, isFaultError } from './memory/fault.js';
import { markDirty } from './filemap.js';
import { touchPmd } from './memory/huge.js';
import { lruAddDrainIfMlock } from './swap.js';

/**
 * `faultin_page()` for one page: 0, -EFAULT where a program would have got a signal, -EHWPOISON where it must not read. `retry` where the locks were
 * dropped: the mapping is to be looked up anew. `tried`: that was so before; `mayRetry` false: they must not be.
 */
export function* faultinPage(
  k: Kernel,
  tid: number,
  mm: number,
  vpn: number,
  access: Access,
  { tried = false, mayRetry = true }: { readonly tried?: boolean; readonly mayRetry?: boolean } = {},
): KernelThread<number | 'retry'> {
  const { cpu } = currentTask(k, tid);
  const entry = pteAt(mmAt(k.view, mm), vpn);
  if (ptePresent(entry) && (access !== 'write' || pteWrite(entry))) {
    // FOLL_TOUCH: a page found writable counts as written to, though its entry stays clean.
    if (access === 'write' && (entry & PTE_DIRTY) === 0) {
      if (isHugePte(entry)) touchPmd(k, mm, vpn);
      else markDirty(k, ptePfn(entry));
    }
    return 0;
  }
  const result = yield* handleMmFault(k, { tid, cpu, mm, addr: vpn * PAGE_SIZE, vpn, access, mayRetry });
  if (result === 'retry') return 'retry';
  if (isFaultError(result)) return result === 'hwpoison' ? -EHWPOISON : -EFAULT;
  // `mm_account_fault()`: faults without an exception count as well.
  k.emit({ type: 'FaultAccounted', tid, major: result === 'major' || tried ? 1 : 0 });
  // A page that came write-protected for a userfaultfd is not what was asked for yet.
  const got = pteAt(mmAt(k.view, mm), vpn);
  const isProtected = access === 'write' && ptePresent(got) && !pteWrite(got) && (got & PTE_UFFD_WP) !== 0;
  if (isProtected && userfaultfdWp(vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE) as VmaView))
    return yield* faultinPage(k, tid, mm, vpn, access, { mayRetry });
  return 0;
}

/**
 * `mm_populate()`: faults in [start, end) of an address space, VMA by VMA; errors are ignored, as mmap and mlockall do.
 * Writable private mappings are written to (breaking COW), shared ones only read, so that files stay clean.
 */
export function* mmPopulate(k: Kernel, tid: number, start: number, end: number): KernelThread<number> {
  const mm = currentTask(k, tid).mm;
  let addr = start;
  while (addr < end) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, addr)];
    if (vma === undefined || vma.start >= end) break;
    const from = Math.max(addr, vma.start);
    const to = Math.min(end, vma.end);
    addr = to;
    if ((vma.flags & (VM_IO | VM_PFNMAP)) !== 0) continue;
    const error = yield* populateVmaPageRange(k, tid, mm, vma.flags, from, to);
    if (error !== 0) return error;
  }
  return 0;
}

/**
 * `populate_vma_page_range()`. -ENOMEM where the VMA cannot be accessed at all; nothing to do where pages are locked on fault. With `mayWait` false the
 * mmap_lock is held for write, and is not dropped.
 */
export function* populateVmaPageRange(
  k: Kernel,
  tid: number,
  mm: number,
  flags: number,
  from: number,
  to: number,
  mayWait = true,
): KernelThread<number> {
  if ((flags & VM_LOCKONFAULT) !== 0) return 0;
  const write = (flags & (VM_WRITE | VM_SHARED)) === VM_WRITE;
  if ((flags & VM_ACCESS) === 0) return -ENOMEM;
  const access: Access = write ? 'write' : 'read';
  let error: number = 0;
  for (let vpn = from / PAGE_SIZE; vpn < to / PAGE_SIZE && error === 0; vpn++)
    for (let tried = false; ; tried = true) {
      const result = yield* faultinPage(k, tid, mm, vpn, access, { tried, mayRetry: mayWait });
      if (result !== 'retry') {
        error = result;
        break;
      }
      const vma = vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE);
      if (vma === null || (write && (vma.flags & VM_WRITE) === 0) || (vma.flags & VM_ACCESS) === 0) {
        error = -EFAULT;
        break;
      }
    }
  lruAddDrainIfMlock(k, currentTask(k, tid).cpu);
  return error;
}

/** `faultin_page_range()` behind MADV_POPULATE_READ and _WRITE: stops at the first error and says which. */
export function* faultinPageRange(
  k: Kernel,
  tid: number,
  start: number,
  end: number,
  write: boolean,
): KernelThread<number> {
  const error = yield* getUserPages(k, tid, start, end, write);
  lruAddDrainIfMlock(k, currentTask(k, tid).cpu);
  return error;
}

/** `__get_user_pages()` over any VMAs. */
function* getUserPages(k: Kernel, tid: number, start: number, end: number, write: boolean): KernelThread<number> {
  const mm = currentTask(k, tid).mm;
  for (let addr = start, tried = false; addr < end;) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, addr)];
    if (vma === undefined || vma.start > addr) return -ENOMEM;
    // GUP goes by the VMA's flags, not by what hardware can tell apart: writable alone is not readable here.
    if ((vma.flags & (write ? VM_WRITE : VM_READ)) === 0) return -EINVAL;
    if ((vma.flags & (VM_IO | VM_PFNMAP)) !== 0) return -EINVAL;
    const error: number | 'retry' = yield* faultinPage(k, tid, mm, addr / PAGE_SIZE, write ? 'write' : 'read', {
      tried,
    });
    tried = error === 'retry';
    if (error === 'retry') continue;
    if (error !== 0) return error;
    addr += PAGE_SIZE;
  }
  return 0;
}
