// KSM: which processes are scanned, and taking merged pages apart again. mm/ksm.c, but for the scan itself (ksm-scan.ts).
import { isKsmZeroPte, pteAt, ptePfn, ptePresent, pteSpecial } from '../../reducers/pte.js';
import { isKsm, mmAt, pageAt } from '../../reducers/state.js';
import { vmaLookup } from '../../reducers/vma.js';
import type { Kernel, KernelThread } from './kernel.js';
import { PAGE_SIZE, currentTask } from './kernel.js';
import { handleMmFault, isFaultError } from './memory/fault.js';

/** Is the address space on KSM's list (MMF_VM_MERGEABLE)? */
const isMergeable = (k: Kernel, mm: number): boolean => k.view.ksm.slots.some((each) => each.mm === mm);

/** `__ksm_enter()`, for an address space that is not on the list: it has its first mergeable VMA. */
export function ksmEnter(k: Kernel, mm: number): void {
  if (!isMergeable(k, mm)) k.emit({ type: 'KsmMmEntered', mm });
}

/**
 * `ksm_fork()`: a child of a scanned process is scanned as well. What KSM knows of pages stays with the parent, zero pages are the child's too.
 * Before 6.18 the child kept the parent's counters, which came with the copy of its mm.
 */
export function ksmFork(k: Kernel, parent: number, child: number): void {
  const [merging = 0, items = 0, zeroPages = 0] = k.view.ksm.counters[parent] ?? [];
  const entered = isMergeable(k, parent);
  const resets = k.behaviours['ksm-fork-resets-counters'] && entered;
  const inherited = resets
    ? { merging: 0, items: 0, zeroPages, allZeroPages: zeroPages }
    : { merging, items, zeroPages, allZeroPages: 0 };
  if (inherited.merging !== 0 || inherited.items !== 0 || zeroPages !== 0)
    k.emit({ type: 'KsmCountersInherited', mm: child, ...inherited });
  if (entered) k.emit({ type: 'KsmMmEntered', mm: child });
}

/** `ksm_exit()`: the address space is about to be taken down. One that KSM knows pages of is left for the next scan to forget. */
export function ksmExit(k: Kernel, mm: number): void {
  const slot = k.view.ksm.slots.find((each) => each.mm === mm);
  if (slot === undefined) return;
  if (slot.items.length === 0) k.emit({ type: 'KsmMmLeft', mm });
  else k.emit({ type: 'KsmMmExited', mm });
}

/** `unmerge_ksm_pages()`: pages that KSM merged in [start, end) bytes of one VMA become the process's own again, by faults of task `tid`. */
export function* unmergeKsmPages(k: Kernel, tid: number, mm: number, start: number, end: number): KernelThread {
  if ((vmaLookup(mmAt(k.view, mm), start)?.anonVma ?? 0) === 0) return;
  const { cpu } = currentTask(k, tid);
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const faults = yield* breakKsm(k, { tid, cpu, mm }, addr / PAGE_SIZE);
    // `mm_account_fault()`: whoever asked has had the faults.
    for (let i = 0; i < faults; i++) k.emit({ type: 'FaultAccounted', tid, major: 0 });
  }
}

/** Who takes a merged page apart, and for which address space. */
interface Breaker {
  readonly tid: number;
  readonly cpu: number;
  readonly mm: number;
}

/** `break_ksm()`: faults until the entry at `vpn` leads to no page of KSM's. Returns how many. */
export function* breakKsm(k: Kernel, { tid, cpu, mm }: Breaker, vpn: number): KernelThread<number> {
  const access = k.behaviours['ksm-breaks-by-unshare'] ? 'unshare' : 'write';
  for (let faults = 0; ; faults++) {
    const entry = pteAt(mmAt(k.view, mm), vpn);
    const merged = isKsmZeroPte(entry) || (isMappedPage(entry) && isKsm(pageAt(k.view, ptePfn(entry))));
    if (!merged) return faults;
    const result = yield* handleMmFault(k, { tid, cpu, mm, addr: vpn * PAGE_SIZE, vpn, access });
    if (isFaultError(result)) return faults;
  }
}

/** Does `entry` lead to a frame: `vm_normal_page()`. */
export const isMappedPage = (entry: number): boolean => ptePresent(entry) && !pteSpecial(entry);
