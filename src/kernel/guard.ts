// MADV_GUARD_INSTALL and MADV_GUARD_REMOVE: the guard regions of mm/madvise.c. mmap_lock held for read, each table's lock around its entries.
//
// A guard marker is an entry that leads nowhere: whoever touches the page gets a signal. It belongs to the page table and not to the
// memory, so giving memory up leaves it where it is; only unmapping and MADV_GUARD_REMOVE take it away.
import {
  PTE_MARKER_GUARD,
  PTRS_PER_PTE,
  isGuardPteMarker,
  makePteMarker,
  leafAt,
  nextTable,
  pteIndex,
  pteTable,
  tableEnd,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import {
  VM_LOCKED,
  VM_MAYBE_GUARD,
  VM_MAYWRITE,
  VM_SPECIAL,
  findVmaIndex,
  vmaIsAnonymous,
} from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';
import { EINVAL, PAGE_SIZE } from './kernel.js';
import { pteAlloc } from './memory/tables.js';
import { flushGather, updateHiwaterRss, zapPageRange } from './memory/zap.js';
import { appendRun } from './page-alloc.js';
import { anonVmaPrepare } from './rmap.js';

const GUARD = makePteMarker(PTE_MARKER_GUARD);

/** `is_valid_guard_vma()`: may guard markers be in this VMA? */
function isValidGuardVma(k: Kernel, vma: VmaView, allowLocked: boolean): boolean {
  if ((vma.flags & (allowLocked ? VM_SPECIAL : VM_SPECIAL | VM_LOCKED)) !== 0) return false;
  if (k.behaviours['guard-markers-of-files']) return true;
  return vmaIsAnonymous(vma) && (vma.flags & VM_MAYWRITE) !== 0;
}

/**
 * `madvise_guard_install()` on [start, end) bytes inside one VMA: every page becomes a guard, and what was there is zapped. Returns 0 or
 * -EINVAL.
 */
export function madviseGuardInstall(
  k: Kernel,
  mm: number,
  vma: VmaView,
  start: number,
  end: number,
  cpu: number,
): number {
  if (!isValidGuardVma(k, vma, false)) return -EINVAL;
  noteGuards(k, mm, vma);
  // The markers are set where nothing is; at the first page that is there the range is zapped, and they are set anew.
  if (installMarkers(k, mm, start, end)) return 0;
  updateHiwaterRss(k, mm);
  zapPageRange(k, mm, vma.flags, start, end, cpu, 'keep');
  flushGather(k, mm);
  installMarkers(k, mm, start, end);
  return 0;
}

/** Sees to it that fork copies the page tables of `vma`, which is no longer empty. */
function noteGuards(k: Kernel, mm: number, { start, flags }: VmaView): void {
  const byFlag = k.behaviours['guard-vma-flag'];
  // All of the VMA, and without a lock that would let it be split.
  if (byFlag && (flags & VM_MAYBE_GUARD) === 0)
    k.emit({ type: 'VmaFlagsChanged', mm, start, flags: flags | VM_MAYBE_GUARD });
  const now = mmAt(k.view, mm);
  const vma = now.vmas[findVmaIndex(now, start)] as VmaView;
  if (!byFlag || vmaIsAnonymous(vma)) anonVmaPrepare(k, now, vma);
}

/** `guard_install_walk_ops`: makes empty entries guards, table by table. False at the first that is neither empty nor a guard. */
function installMarkers(k: Kernel, mm: number, start: number, end: number): boolean {
  const last = end / PAGE_SIZE;
  for (let vpn = start / PAGE_SIZE; vpn < last; vpn = tableEnd(vpn)) {
    // A huge entry is not empty, whole or not.
    if (leafAt(mmAt(k.view, mm), vpn) !== 0) return false;
    pteAlloc(k, mm, vpn);
    const { runs, stopped } = emptyEntries(k, mm, vpn, Math.min(tableEnd(vpn), last));
    if (runs.length > 0) k.emit({ type: 'GuardMarkersInstalled', mm, runs, entry: GUARD });
    if (stopped) return false;
  }
  return true;
}

/** Empty entries of one table, up to the first that is no guard. */
function emptyEntries(
  k: Kernel,
  mm: number,
  from: number,
  to: number,
): { readonly runs: readonly number[]; readonly stopped: boolean } {
  const table = pteTable(mmAt(k.view, mm), from) as readonly number[];
  const runs: number[] = [];
  const base = from - pteIndex(from);
  for (let vpn = from; vpn < to; vpn++) {
    const entry = table[vpn - base] as number;
    if (entry === 0) appendRun(runs, vpn);
    else if (!isGuardPteMarker(entry)) return { runs, stopped: true };
  }
  return { runs, stopped: false };
}

/** `madvise_guard_remove()` on [start, end) bytes inside one VMA: guards are empty entries again, all else stays. Returns 0 or -EINVAL. */
export function madviseGuardRemove(k: Kernel, mm: number, vma: VmaView, start: number, end: number): number {
  if (!isValidGuardVma(k, vma, true)) return -EINVAL;
  const last = end / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    const table = pteTable(mmAt(k.view, mm), vpn);
    const runs: number[] = [];
    // There is none below a huge entry.
    if (table !== null)
      for (; vpn < stop; vpn++) if (isGuardPteMarker(table[vpn % PTRS_PER_PTE] as number)) appendRun(runs, vpn);
    if (runs.length > 0) k.emit({ type: 'GuardMarkersRemoved', mm, runs });
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
  return 0;
}
