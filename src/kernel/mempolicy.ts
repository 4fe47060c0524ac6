// Memory policies: mm/mempolicy.c, on a machine of one node. Policies of mappings are not modelled; what mbind(2) moves is.
import { leafAt, ptePfn, ptePresent, pteSpecial, pteTable, pteIndex, nextTable, tableEnd } from '../../reducers/pte.js';
import { PG_ANON, folioHead, mmAt, pageAt } from '../../reducers/state.js';
import { VM_IO, VM_PFNMAP, vmasIn } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { isolateHugetlb } from './hugetlb/migrate.js';
import { isHugetlbPage } from './hugetlb/pool.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EFAULT, EINVAL, PAGE_SIZE, currentTask, isPageAligned, pageAlignWrapped } from './kernel.js';
import { maybeMappedShared } from './large-folio.js';
import { folioIsolateLru, migratePages } from './migrate.js';
import { lruAddDrainAll } from './swap.js';

const MPOL_DEFAULT = 0;
/** `MPOL_MAX`: one more than the last mode. */
const MPOL_MAX = 7;
const MPOL_F_STATIC_NODES = 0x8000;
const MPOL_F_RELATIVE_NODES = 0x4000;
const MPOL_F_NUMA_BALANCING = 0x2000;
const MPOL_MODE_FLAGS = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING;
const MPOL_MF_STRICT = 1;
export const MPOL_MF_MOVE = 2;
export const MPOL_MF_MOVE_ALL = 4;
const MPOL_MF_VALID = MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL;

/** Arguments of mbind(2). */
export interface Mbind {
  readonly addr: number;
  readonly length: number;
  /** MPOL_*, with MPOL_F_* of a mode. */
  readonly mode: number;
  /** Where the set of nodes stands, 0 for none. */
  readonly nodemask: number;
  /** MPOL_MF_*. */
  readonly flags: number;
}

/**
 * `do_mbind()`. The default policy with an empty set of nodes and MPOL_MF_MOVE or MPOL_MF_MOVE_ALL moves every page of the range that can be
 * moved, to another frame of the only node there is: no node is in the set that pages may stay on.
 * @returns 0, however many pages stayed; -EFAULT where nothing is mapped.
 * @throws NotModelledError for other policies, and for a set of nodes.
 */
export function* doMbind(k: Kernel, tid: number, { addr, length, mode, nodemask, flags }: Mbind): KernelThread<number> {
  const modeFlags = mode & MPOL_MODE_FLAGS;
  const policy = mode & ~MPOL_MODE_FLAGS;
  if (policy < 0 || policy >= MPOL_MAX) return -EINVAL;
  const both = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;
  if ((modeFlags & both) === both) return -EINVAL;
  if (policy !== MPOL_DEFAULT) throw new NotModelledError('memory policies of mappings');
  if ((modeFlags & MPOL_F_NUMA_BALANCING) !== 0) return -EINVAL;
  if (nodemask !== 0) throw new NotModelledError('mbind with a set of nodes');
  if ((flags & ~MPOL_MF_VALID) !== 0 || !isPageAligned(addr)) return -EINVAL;
  const end = addr + pageAlignWrapped(length);
  if (end >= 2 ** 64) return -EINVAL;
  if (end === addr) return 0;
  const moves = (flags & (MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0;
  // lru_cache_disable()
  if (moves) lruAddDrainAll(k);
  const { mm, cpu } = currentTask(k, tid);
  if (k.interleaved) yield { op: 'acquire', lock: `mmap_lock(${mm}):write` };
  if (vmasIn(mmAt(k.view, mm), addr, end).length === 0) return -EFAULT;
  if (moves) yield* migratePages(k, queuePagesRange(k, mm, addr, end, (flags & MPOL_MF_MOVE_ALL) !== 0), cpu);
  return 0;
}

/** `queue_pages_range()`: isolates the folios that entries of [start, end) bytes map, each as a whole; without `all` only those that nothing else maps. */
function queuePagesRange(k: Kernel, mm: number, start: number, end: number, all: boolean): number[] {
  const isolated: number[] = [];
  for (const vma of vmasIn(mmAt(k.view, mm), start, end)) {
    // `vma_migratable()`
    if ((vma.flags & (VM_IO | VM_PFNMAP)) !== 0) continue;
    const [from, to] = [Math.max(vma.start, start) / PAGE_SIZE, Math.min(vma.end, end) / PAGE_SIZE];
    for (
      let vpn = nextTable(mmAt(k.view, mm), from, to);
      vpn >= 0;
      vpn = nextTable(mmAt(k.view, mm), tableEnd(vpn), to)
    )
      queueFoliosPteRange(k, mm, vpn, Math.min(tableEnd(vpn), to), all, isolated);
  }
  return isolated;
}

/** `queue_folios_pte_range()`: [from, to) vpns of one table. */
function queueFoliosPteRange(k: Kernel, mm: number, from: number, to: number, all: boolean, isolated: number[]): void {
  const table = pteTable(mmAt(k.view, mm), from) as readonly number[];
  const leaf = leafAt(mmAt(k.view, mm), from);
  if (leaf !== 0) {
    // `queue_folios_pmd()`: the huge zero page is passed over; a huge page moves though only a part of it lies in the range.
    if (!pteSpecial(leaf)) queueFolio(k, ptePfn(leaf), all, isolated);
    return;
  }
  let last = -1;
  const base = from - pteIndex(from);
  for (let vpn = from; vpn < to; vpn++) {
    const entry = table[vpn - base] as number;
    if (!ptePresent(entry) || pteSpecial(entry)) continue;
    const pfn = folioHead(k.view, ptePfn(entry));
    // A large folio is looked at once, however many of its pages follow.
    if (pfn === last) continue;
    if (pageAt(k.view, pfn).order !== 0) last = pfn;
    queueFolio(k, pfn, all, isolated);
  }
}

/** `migrate_folio_add()`. */
function queueFolio(k: Kernel, pfn: number, all: boolean, isolated: number[]): void {
  if (!all && maybeMappedShared(k, pfn)) return;
  if (isHugetlbPage(k, pfn)) {
    if (isolateHugetlb(k, pfn, isolated)) isolated.push(pfn);
    return;
  }
  const { order, flags } = pageAt(k.view, pfn);
  if (order !== 0 && (flags & PG_ANON) === 0) throw new NotModelledError('migration of large folios of files');
  if (folioIsolateLru(k, pfn)) isolated.push(pfn);
}
