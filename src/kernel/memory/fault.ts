// Page faults from the exception to the page-table entry: arch/x86/mm/fault.c and the dispatch half of mm/memory.c.
//
// Lock order: mmap_lock > VMA lock > folio lock > i_mmap_rwsem > anon_vma root > page-table lock > LRU lock.
// User faults run under the VMA's read lock, kernel faults under mmap_lock for read; entries change under the table's lock.
import {
  PTE_DIRTY,
  isHugePte,
  isMigrationPte,
  isPoisonedPteMarker,
  isPteMarker,
  isSwapPte,
  isUffdWpPteMarker,
  pmdNone,
  pteAt,
  ptePresent,
  pteWrite,
  withFlags,
} from '../../../reducers/pte.js';
import type { MmView, VmaView } from '../../../reducers/state.js';
import { mmAt } from '../../../reducers/state.js';
import {
  VM_ACCESS,
  VM_EXEC,
  VM_SHARED,
  VM_WRITE,
  isCowMapping,
  isHugetlb,
  userfaultfdWp,
  vmaIsAnonymous,
  vmaLookup,
} from '../../../reducers/vma.js';
import { hugetlbFault } from '../hugetlb/fault.js';
import type { Kernel, KernelThread } from '../kernel.js';
import {
  BUS_ADRERR,
  PAGE_SIZE,
  SEGV_ACCERR,
  SEGV_MAPERR,
  SIGBUS,
  SIGKILL,
  SIGSEGV,
  SI_KERNEL,
  TASK_SIZE,
  currentTask,
} from '../kernel.js';
import { migrationEntryWait } from '../migrate.js';
import { dirtyFlags } from '../soft-dirty.js';
import { hugePageWanted } from '../thp.js';
import { checkStackGuardPage, expandStack } from '../vma.js';
import { doAnonymousPage } from './anonymous.js';
import { doFault } from './file.js';
import { doHugePmdAnonymousPage, handleHugeFault } from './huge.js';
import { doSwapPage } from './swapin.js';
import { pmdAlloc } from './tables.js';
import { doWpPage } from './wp.js';

/** What an access wants. `unshare` is FAULT_FLAG_UNSHARE: a private copy, but no write. */
export type Access = 'read' | 'write' | 'exec' | 'unshare';

/** A fault being handled: `struct vm_fault`. */
export interface Fault {
  readonly tid: number;
  readonly cpu: number;
  readonly mm: number;
  readonly addr: number;
  readonly vpn: number;
  readonly access: Access;
  /** FAULT_FLAG_USER: the program itself made the access. */
  readonly user?: boolean;
  /** FAULT_FLAG_ALLOW_RETRY, which only some users of GUP do without: after a page was read the fault begins anew. */
  readonly mayRetry?: boolean;
}

/**
 * `vm_fault_t`, as far as the model gets: handled, or what the task is sent; `retry` where the locks were dropped and everything may be another by now;
 * `hwpoison` of a page that is not to be read.
 */
export type FaultResult = 'done' | 'major' | 'sigbus' | 'sigsegv' | 'oom' | 'retry' | 'hwpoison';

/** Did the fault get the task nowhere? */
export const isFaultError = (result: FaultResult): boolean =>
  result === 'sigbus' || result === 'sigsegv' || result === 'oom' || result === 'hwpoison';

/** How an access by a task ended. */
export type AccessResult =
  | { readonly kind: 'done' }
  | { readonly kind: 'signal'; readonly signal: number; readonly code: number; readonly addr: number };

const DONE: AccessResult = { kind: 'done' };

/** Would hardware let the access through? */
export function accessPermitted(mm: MmView, vpn: number, access: Access): boolean {
  const entry = pteAt(mm, vpn);
  if ((entry & 1) === 0) return false;
  if (access === 'write') return pteWrite(entry);
  if (access === 'exec') {
    const vma = vmaLookup(mm, vpn * PAGE_SIZE);
    return vma !== null && (vma.flags & VM_EXEC) !== 0;
  }
  return true;
}

/** `access_error()`: the VMA itself forbids the access. `present` is the error code's protection bit. */
export function accessError(vma: VmaView, access: Access, present: boolean): boolean {
  if (access === 'write') return (vma.flags & VM_WRITE) === 0;
  if (present) return true;
  return (vma.flags & VM_ACCESS) === 0;
}

/** What a task gets instead of the access; sent to it if it made the access itself. */
function refused(k: Kernel, tid: number, user: boolean, signal: number, code: number, addr: number): AccessResult {
  if (user) k.emit({ type: 'SignalSent', tid, signal, code, addr });
  return { kind: 'signal', signal, code, addr };
}

/**
 * An exception by task `tid` at `addr`: `do_user_addr_fault()`. With `user` false it was the kernel that touched user memory, which gets
 * no signal but a fixup (the result still says what a program would have got).
 */
export function* userFault(
  k: Kernel,
  tid: number,
  addr: number,
  access: Access,
  user: boolean,
): KernelThread<AccessResult> {
  const { mm: mmId, cpu } = currentTask(k, tid);
  if (addr >= TASK_SIZE) {
    // Non-canonical addresses raise #GP, without an address; the kernel's half is just not mapped for users.
    const canonical = addr < 0x800000000000 || addr >= 2 ** 64 - 0x800000000000;
    if (!canonical) return refused(k, tid, user, SIGSEGV, SI_KERNEL, 0);
    return refused(k, tid, user, SIGSEGV, SEGV_MAPERR, addr);
  }
  const vpn = Math.floor(addr / PAGE_SIZE);
  for (let tries = 0; ; tries++) {
    if (k.interleaved) yield { op: 'acquire', lock: `vma(${mmId},${addr}):read` };
    let mm = mmAt(k.view, mmId);
    let vma = vmaLookup(mm, addr);
    if (vma === null) {
      if (!expandStack(k, mmId, addr)) return refused(k, tid, user, SIGSEGV, SEGV_MAPERR, addr);
      mm = mmAt(k.view, mmId);
      vma = vmaLookup(mm, addr) as VmaView;
    }
    if (accessError(vma, access, (pteAt(mm, vpn) & 1) !== 0 && !accessPermitted(mm, vpn, access)))
      return refused(k, tid, user, SIGSEGV, SEGV_ACCERR, addr);
    const result = yield* handleMmFault(k, { tid, cpu, mm: mmId, addr, vpn, access, user });
    if (result === 'retry') continue;
    if (result === 'sigsegv') return refused(k, tid, user, SIGSEGV, SEGV_MAPERR, addr);
    if (result === 'sigbus' || result === 'hwpoison') return refused(k, tid, user, SIGBUS, BUS_ADRERR, addr);
    if (result === 'oom') return refused(k, tid, user, SIGKILL, SI_KERNEL, addr);
    // FAULT_FLAG_TRIED: under the VMA's lock, which the first try of a program has, it is not set yet.
    const tried = tries > (user ? 1 : 0);
    k.emit({ type: 'FaultAccounted', tid, major: result === 'major' || tried ? 1 : 0 });
    return DONE;
  }
}

/** Does `create_huge_pmd()` have a say where nothing is mapped? */
const mayBecomeHuge = (k: Kernel, mm: MmView, vma: VmaView, vpn: number): boolean =>
  vma.inode === 0 && (vma.flags & VM_SHARED) === 0 && hugePageWanted(k, vma) && pmdNone(mm, vpn);

/**
 * `handle_mm_fault()`, `__handle_mm_fault()`, `handle_pte_fault()`: adds the upper tables the walk needs, then handles the entry.
 * Enter and return with the VMA or mmap_lock held for read. The entry is read without the table's lock; every handler rechecks it
 * under the lock.
 */
export function* handleMmFault(k: Kernel, fault: Fault): KernelThread<FaultResult> {
  const hugetlb = vmaLookup(mmAt(k.view, fault.mm), fault.addr);
  if (hugetlb !== null && isHugetlb(hugetlb)) return yield* hugetlbFault(k, fault);
  pmdAlloc(k, fault.mm, fault.vpn);
  if (k.interleaved) yield { op: 'preempt', at: 'fault:F2' };
  const mm = mmAt(k.view, fault.mm);
  let entry = pteAt(mm, fault.vpn);
  const vma = vmaLookup(mm, fault.addr);
  if (vma === null) return 'sigsegv';
  const wantsWrite = fault.access === 'write' || (fault.access === 'unshare' && isCowMapping(vma.flags));
  if (isHugePte(entry)) {
    const result = yield* handleHugeFault(k, fault, wantsWrite);
    if (result !== 'fallback') return result;
    entry = pteAt(mmAt(k.view, fault.mm), fault.vpn);
  } else if (entry === 0 && mayBecomeHuge(k, mm, vma, fault.vpn)) {
    const result = yield* doHugePmdAnonymousPage(k, fault);
    if (result !== 'fallback') return result;
  }
  if (isSwapPte(entry)) return yield* doSwapPage(k, fault);
  if (isPteMarker(entry)) return yield* handlePteMarker(k, fault, vma, entry);
  if (isMigrationPte(entry)) {
    yield* migrationEntryWait(k, entry);
    return 'done';
  }
  if (!ptePresent(entry) && vmaIsAnonymous(vma)) {
    if (!k.behaviours['stack-guard-gap'] && !checkStackGuardPage(k, mm, vma, fault.addr)) return 'sigsegv';
    return yield* doAnonymousPage(k, fault);
  }
  if (!ptePresent(entry)) return yield* doFault(k, fault);
  if (wantsWrite && !pteWrite(entry)) return yield* doWpPage(k, fault);
  // Spurious, or hardware left setting the dirty bit to us.
  if (fault.access === 'write' && (entry & PTE_DIRTY) === 0)
    k.emit({ type: 'PteFlagsSet', mm: fault.mm, vpn: fault.vpn, entry: withFlags(entry, dirtyFlags(k), 0) });
  return 'done';
}

/** `handle_pte_marker()`: what nothing is there for. A marker left behind by a userfaultfd that no longer watches is cleared, and the fault begins anew. */
function* handlePteMarker(k: Kernel, fault: Fault, vma: VmaView, entry: number): KernelThread<FaultResult> {
  if (isPoisonedPteMarker(entry)) return 'hwpoison';
  if (!isUffdWpPteMarker(entry)) return 'sigsegv';
  if (userfaultfdWp(vma)) return vmaIsAnonymous(vma) ? yield* doAnonymousPage(k, fault) : yield* doFault(k, fault);
  k.emit({ type: 'UffdMarkersSet', mm: fault.mm, runs: [fault.vpn, 1], entry: 0 });
  return 'done';
}
