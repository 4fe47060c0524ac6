// References to user pages: get_user_pages() and pin_user_pages(), slow and fast, of mm/gup.c.
//
// A caller reads or writes a process's pages without going through its page tables: with FOLL_GET (a reference) or FOLL_PIN (1024 of
// them, which others can see). What may be handed out is decided here, page by page: a pin must see what its mapping sees from now on.
import {
  PTE_DIRTY,
  PTE_PRESENT,
  isHugePte,
  isZeroPte,
  pteAt,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
} from '../../reducers/pte.js';
import type { PageView, VmaView } from '../../reducers/state.js';
import { InodeKind, PG_ANON, PG_ANON_EXCLUSIVE, folioAt, mmAt, pageAt } from '../../reducers/state.js';
import {
  VM_IO,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  isCowMapping,
  isHugetlb,
  vmaLookup,
} from '../../reducers/vma.js';
import { grab, heldCount, releaseAt } from './holders.js';
import { isHugetlbPage } from './hugetlb/pool.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EFAULT, GUP_PIN_COUNTING_BIAS, PAGE_SIZE, TASK_SIZE, currentTask } from './kernel.js';
import type { Access } from './memory/fault.js';
import { handleMmFault, isFaultError } from './memory/fault.js';
import { markDirty } from './filemap.js';
import { pteNeedsSoftDirtyWp } from './soft-dirty.js';
import { touchPmd } from './memory/huge.js';
import { userfaultfdPteWp } from './userfault.js';

export const FOLL_WRITE = 0x1;
export const FOLL_GET = 0x2;
export const FOLL_FORCE = 0x8;
export const FOLL_LONGTERM = 0x100;
export const FOLL_TOUCH = 0x10000;
export const FOLL_PIN = 0x80000;
export const FOLL_FAST = 0x100000;
/** The lock may be dropped while a page is read, and the fault then begins anew. */
export const FOLL_UNLOCKABLE = 0x200000;

/** Whose pages, how, and for whom. */
export interface Gup {
  /** Who asks: faults are accounted to it. */
  readonly tid: number;
  /** Whose pages. */
  readonly mm: number;
  /** FOLL_*, with FOLL_GET or FOLL_PIN. */
  readonly flags: number;
  /** Keeps the pages. */
  readonly holder: number;
}

/** References that one page costs. */
const biasOf = (flags: number): number => ((flags & FOLL_PIN) !== 0 ? GUP_PIN_COUNTING_BIAS : 1);

/** Pages that [start, start + length) touches. */
export const pagesIn = (start: number, length: number): number =>
  length === 0 ? 0 : Math.floor((start + length - 1) / PAGE_SIZE) - Math.floor(start / PAGE_SIZE) + 1;

/** `mm_set_has_pinned_flag()`: before any pin is taken, so that fork cannot miss it. */
function setHasPinned(k: Kernel, { mm, flags }: Gup): void {
  if ((flags & FOLL_PIN) !== 0 && !k.view.hasPinned.includes(mm)) k.emit({ type: 'MmHasPinnedSet', mm });
}

/**
 * `__get_user_pages()`: the pages of [start, start + length), in order, up to one that cannot be had. mmap_lock held for read.
 * @returns how many, or -EFAULT if none could be had.
 */
export function* getUserPages(k: Kernel, gup: Gup, start: number, length: number): KernelThread<number> {
  setHasPinned(k, gup);
  const count = pagesIn(start, length);
  for (let i = 0; i < count; i++) {
    const vpn = Math.floor(start / PAGE_SIZE) + i;
    const from = i === 0 ? start % PAGE_SIZE : 0;
    const bytes = Math.min(PAGE_SIZE, start + length - vpn * PAGE_SIZE) - from;
    if (!(yield* followOrFault(k, gup, vpn, from, bytes))) return i === 0 ? -EFAULT : i;
  }
  return count;
}

/**
 * `gup_fast_fallback()`: first without locks, straight from the page table; from the first page on that this cannot decide, with
 * faults, and then FOLL_TOUCH notes what will be written.
 * @returns how many pages were had, or -EFAULT if none.
 */
export function* getUserPagesFast(k: Kernel, gup: Gup, start: number, length: number): KernelThread<number> {
  if (start + length > TASK_SIZE) return -EFAULT;
  setHasPinned(k, gup);
  const end = start + length;
  const done = yield* gupFast(k, gup, start, end);
  const at = done === 0 ? start : (Math.floor(start / PAGE_SIZE) + done) * PAGE_SIZE;
  if (at >= end) return done;
  if (k.interleaved) yield { op: 'acquire', lock: `mmap_lock(${gup.mm}):read` };
  const rest = yield* getUserPages(k, { ...gup, flags: gup.flags | FOLL_TOUCH | FOLL_UNLOCKABLE }, at, end - at);
  return rest < 0 && done > 0 ? done : done + rest;
}

/**
 * `gup_fast()`: the pages of [start, end) up to the first that cannot be had without locks. Pins are taken only while no fork write-protects, and all
 * given back if one began meanwhile: it may have looked for pins before they were there.
 * @returns how many.
 */
function* gupFast(k: Kernel, gup: Gup, start: number, end: number): KernelThread<number> {
  const counted = k.interleaved && k.behaviours['write-protect-seq'] && (gup.flags & FOLL_PIN) !== 0;
  if (k.interleaved) yield { op: 'preempt', at: 'gup-fast:G1' };
  const seq = k.view.writeProtectSeq[gup.mm] ?? 0;
  if (counted && seq % 2 === 1) return 0;
  let done = 0;
  for (let at = start; at < end;) {
    const stop = Math.min(end, (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE);
    if (!(yield* gupFastPte(k, gup, at, stop - at))) break;
    done++;
    at = stop;
  }
  if (k.interleaved) yield { op: 'preempt', at: 'gup-fast:G10' };
  if (!counted || (k.view.writeProtectSeq[gup.mm] ?? 0) === seq) return done;
  for (; done > 0; done--) releaseAt(k, gup.holder, heldCount(k, gup.holder) - 1);
  return 0;
}

/**
 * `gup_fast_pte_range()` for one entry, with interrupts off and no lock: the entry is read, the page taken, and the entry read again, as
 * it may have changed between the two.
 */
function* gupFastPte(k: Kernel, gup: Gup, addr: number, length: number): KernelThread<boolean> {
  const vpn = Math.floor(addr / PAGE_SIZE);
  if (k.interleaved) yield { op: 'preempt', at: 'gup-fast:G3' };
  const entry = pteAt(mmAt(k.view, gup.mm), vpn);
  const { flags } = gup;
  // Whether the mapping is private nobody knows here, so that all but writable entries are left to the slow path.
  const mayCow = k.behaviours['gup-read-breaks-cow'];
  if ((entry & PTE_PRESENT) === 0 || pteSpecial(entry)) return false;
  if (((flags & FOLL_WRITE) !== 0 || mayCow) && !pteWrite(entry)) return false;
  const pfn = ptePfn(entry);
  const marked = exclusivePage(k, entry);
  if (!fastFolioAllowed(k, pfn, flags)) return false;
  // Linux asks only once it has the page, as it may be shared in between; where it is already the answer is the same.
  if (!pteWrite(entry) && mustUnshare(k, flags, marked, null)) return false;
  if (k.interleaved) yield { op: 'preempt', at: 'gup-fast:G5' };
  // Nobody there any more to take a reference from.
  if (folioAt(k.view, pfn).ref === 0) return false;
  const { mm, holder } = gup;
  grab(k, holder, { pfn, mm, vpn, offset: addr % PAGE_SIZE, length }, biasOf(flags));
  if (k.interleaved) yield { op: 'preempt', at: 'gup-fast:G7' };
  const same = pteAt(mmAt(k.view, gup.mm), vpn) === entry;
  if (same && (pteWrite(entry) || !mustUnshare(k, flags, exclusivePage(k, entry), null))) return true;
  releaseAt(k, holder, heldCount(k, holder) - 1);
  return false;
}

/** `gup_fast_folio_allowed()`: who writes to a file's pages for long must not bypass the file system. */
function fastFolioAllowed(k: Kernel, pfn: number, flags: number): boolean {
  const page = pageAt(k.view, pfn);
  const forLong = FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE;
  if ((flags & forLong) !== forLong || (page.flags & PG_ANON) !== 0 || isHugetlbPage(k, pfn)) return true;
  return k.view.inodes[page.mapping]?.kind === InodeKind.shmem;
}

/**
 * `gup_must_unshare()`: must a reading pin first get a copy that is exclusive? `vma` null where it is not known, without locks.
 * Asked of pages whose entry is not writable.
 */
function mustUnshare(k: Kernel, flags: number, page: PageView | null, vma: VmaView | null): boolean {
  if (!k.behaviours['gup-unshare'] || (flags & (FOLL_WRITE | FOLL_PIN)) !== FOLL_PIN) return false;
  if (page !== null && (page.flags & PG_ANON) !== 0) return (page.flags & PG_ANON_EXCLUSIVE) === 0;
  if (!k.behaviours['longterm-pin-unshares-files'] || (flags & FOLL_LONGTERM) === 0) return false;
  return vma === null || isCowMapping(vma.flags);
}

/** The page whose PG_anon_exclusive speaks for what `entry` maps: below a huge entry the first one of the folio. */
const exclusivePage = (k: Kernel, entry: number): PageView =>
  isHugePte(entry) ? folioAt(k.view, ptePfn(entry)) : pageAt(k.view, ptePfn(entry));

/** `check_vma_flags()`: may this VMA be asked so? */
function checkVmaFlags(k: Kernel, vma: VmaView, flags: number): boolean {
  const { flags: vm } = vma;
  const forced = (flags & FOLL_FORCE) !== 0;
  if ((vm & (VM_IO | VM_PFNMAP)) !== 0) return false;
  if ((flags & FOLL_WRITE) === 0) return (vm & VM_READ) !== 0 || (forced && (vm & VM_MAYREAD) !== 0);
  const forLong = (flags & FOLL_PIN) !== 0 && (flags & FOLL_LONGTERM) !== 0;
  // writable_file_mapping_allowed(): file systems that keep account of dirty pages would not hear of the writes.
  const sharedWritable = (vm & (VM_SHARED | VM_WRITE)) === (VM_SHARED | VM_WRITE);
  const kind = k.view.inodes[vma.inode]?.kind;
  const heard = kind === InodeKind.shmem || kind === InodeKind.ring || kind === InodeKind.hugetlbfs;
  if (forLong && sharedWritable && vma.inode !== 0 && !heard) return false;
  if (isHugetlb(vma) && k.behaviours['hugetlb-refuses-forced-writes']) return (vm & VM_WRITE) !== 0;
  return (vm & VM_WRITE) !== 0 || (forced && isCowMapping(vm));
}

/** One page with faults as it takes: `follow_page_mask()` and `faultin_page()`, again and again. False: -EFAULT. */
function* followOrFault(k: Kernel, gup: Gup, vpn: number, offset: number, length: number): KernelThread<boolean> {
  const { tid, mm, holder } = gup;
  const addr = vpn * PAGE_SIZE;
  const { cpu } = currentTask(k, tid);
  const mayRetry = (gup.flags & FOLL_UNLOCKABLE) !== 0;
  let broken = false;
  let tried = false;
  for (;;) {
    // While its monitor slept the process may have gone.
    if (!k.view.mms[mm]) return false;
    const vma = vmaLookup(mmAt(k.view, mm), addr);
    if (vma === null || !checkVmaFlags(k, vma, gup.flags)) return false;
    if (k.interleaved) yield { op: 'preempt', at: 'gup:look' };
    const flags = wantedOf(k, vma, gup.flags, broken);
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
    const found = followPagePte(k, flags === gup.flags ? gup : { ...gup, flags }, vma, vpn, broken);
    if (typeof found === 'number') {
      grab(k, holder, { pfn: found, mm, vpn, offset, length }, biasOf(flags));
      return true;
    }
    const result = yield* handleMmFault(k, { tid, cpu, mm, addr, vpn, access: found, mayRetry });
    if (isFaultError(result)) return false;
    if (result === 'retry') {
      tried = true;
      continue;
    }
    k.emit({ type: 'FaultAccounted', tid, major: result === 'major' || tried ? 1 : 0 });
    broken = found === 'write';
  }
}

/**
 * What the lookup asks for. In 5.8 whoever takes a reference in a private mapping writes (`should_force_cow_break()`); to 4.8 who broke COW
 * where it may not write goes on as a reader, not to fault for ever.
 */
function wantedOf(k: Kernel, vma: VmaView, flags: number, broken: boolean): number {
  if (k.behaviours['gup-read-breaks-cow'] && isCowMapping(vma.flags)) return flags | FOLL_WRITE;
  const forgets = broken && !k.behaviours['gup-foll-cow'] && (vma.flags & VM_WRITE) === 0;
  return forgets ? flags & ~FOLL_WRITE : flags;
}

/**
 * `follow_page_pte()`, under the table's lock: the frame (-1: the zero page), or the fault that must come first. `broken`: a write fault
 * came before, which is all that kernels without PG_anon_exclusive have to tell that the page is the mapping's own (FOLL_COW).
 */
function followPagePte(k: Kernel, { mm, flags }: Gup, vma: VmaView, vpn: number, broken: boolean): number | Access {
  const entry = pteAt(mmAt(k.view, mm), vpn);
  const write = (flags & FOLL_WRITE) !== 0;
  if (!ptePresent(entry)) return write ? 'write' : 'read';
  const page = pteSpecial(entry) ? null : exclusivePage(k, entry);
  if (write && !canFollowWritePte(k, vma, entry, flags, broken)) return 'write';
  if (!pteWrite(entry) && mustUnshare(k, flags, page, vma)) return 'unshare';
  if (isZeroPte(entry)) return -1;
  const pfn = ptePfn(entry);
  if ((flags & FOLL_TOUCH) !== 0 && write && (entry & PTE_DIRTY) === 0) {
    if (isHugePte(entry)) touchPmd(k, mm, vpn);
    else markDirty(k, pfn);
  }
  return pfn;
}

/** `can_follow_write_pte()`: may be written through as it is? With FOLL_FORCE also what is not writable, if it is the mapping's own. */
function canFollowWritePte(k: Kernel, vma: VmaView, entry: number, flags: number, broken: boolean): boolean {
  if (pteWrite(entry)) return true;
  // Who may not write at all gets a copy of its own all the same.
  if (k.behaviours['gup-read-breaks-cow']) return broken && (entry & PTE_DIRTY) !== 0;
  // FOLL_COW: until 5.19 whoever broke COW took a dirty entry for what came of it.
  if (!k.behaviours['foll-force-needs-exclusive'])
    return (flags & FOLL_FORCE) !== 0 && (vma.flags & VM_WRITE) === 0 && broken && (entry & PTE_DIRTY) !== 0;
  const mayForce = (vma.flags & (VM_SHARED | VM_MAYSHARE | VM_MAYWRITE | VM_WRITE)) === VM_MAYWRITE;
  if ((flags & FOLL_FORCE) === 0 || !mayForce || pteSpecial(entry)) return false;
  const page = exclusivePage(k, entry);
  if ((page.flags & PG_ANON) === 0) return false;
  const exclusive = (page.flags & PG_ANON_EXCLUSIVE) !== 0;
  return exclusive && !pteNeedsSoftDirtyWp(k, vma.flags, entry) && !userfaultfdPteWp(vma, entry);
}
