// UFFDIO_MOVE: move_pages() of mm/userfaultfd.c. Anonymous pages change their place in an address space without a copy.
import {
  PTE_DIRTY,
  PTE_HUGE,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_SPECIAL,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_ZERO,
  PTRS_PER_PTE,
  isSwapPte,
  isZeroPte,
  leafAt,
  mkPte,
  pmdNone,
  pteAt,
  pteFlags,
  pteMksoftDirty,
  ptePfn,
  ptePresent,
  pteSwpExclusive,
  withFlags,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import { PG_ANON_EXCLUSIVE, mmAt, pageAt } from '../../reducers/state.js';
import {
  VM_ACCESS,
  VM_IO,
  VM_LOCKED,
  VM_PFNMAP,
  VM_SHARED,
  VM_WRITE,
  linearPageIndex,
  vmaIsAnonymous,
  vmaLookup,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import { splitFolio } from './folio-split.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, PAGE_SIZE } from './kernel.js';
import { maybePinned } from './large-folio.js';
import { splitHugePmd } from './memory/huge.js';
import { pmdAlloc, pteAlloc } from './memory/tables.js';
import { anonVmaPrepare } from './rmap.js';
import { slotAt } from './swapfile.js';

const VM_UNMOVABLE = VM_PFNMAP | VM_IO;

/** One call: `length` bytes from `source` to `target`. */
export interface Move {
  readonly target: number;
  readonly source: number;
  readonly length: number;
  /** UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES: what is not there counts as moved. */
  readonly allowHoles: boolean;
  /** CPU of the caller. */
  readonly cpu: number;
}

/**
 * `move_pages()`: page by page, until one cannot be moved. Locks: both VMAs for read, the folio's and its anon_vma's for each page, both tables' around
 * the two entries.
 * @returns bytes done, or an errno if none were.
 */
export function* movePages(k: Kernel, context: UffdView, move: Move): KernelThread<number> {
  const { mm } = context;
  const error = validateMove(k, context, move);
  if (error !== 0) return error;
  let done = 0;
  while (done < move.length) {
    const [from, to] = [move.source + done, move.target + done];
    const moved = yield* movePage(k, mm, from / PAGE_SIZE, to / PAGE_SIZE, move, move.length - done);
    if (moved < 0) return done > 0 ? done : moved;
    done += moved * PAGE_SIZE;
  }
  return done;
}

/** `uffd_move_lock()`, `validate_move_areas()`: 0 or an errno. */
function validateMove(k: Kernel, { id, mm }: UffdView, { target, source, length }: Move): number {
  const to = vmaLookup(mmAt(k.view, mm), target);
  if (to === null) return -ENOENT;
  if ((to.flags & VM_SHARED) === 0) anonVmaPrepare(k, mmAt(k.view, mm), to);
  const from = vmaLookup(mmAt(k.view, mm), source);
  if (from === null) return -ENOENT;
  const beyond = source + length > from.end || target + length > to.end;
  if (beyond || ((from.flags | to.flags) & VM_SHARED) !== 0) return -EINVAL;
  // Equal flags give equal protection bits.
  if (((from.flags ^ to.flags) & (VM_ACCESS | VM_LOCKED)) !== 0 || (from.flags & VM_WRITE) === 0) return -EINVAL;
  if (((from.flags | to.flags) & VM_UNMOVABLE) !== 0 || to.uffd !== id) return -EINVAL;
  return vmaIsAnonymous(from) && vmaIsAnonymous(to) ? 0 : -EINVAL;
}

/** What stands at a page, or a huge page: how many pages moved, or an errno. `left`: bytes to go, which a huge page may be moved at once for. */
function* movePage(
  k: Kernel,
  mm: number,
  from: number,
  to: number,
  move: Pick<Move, 'allowHoles' | 'cpu'>,
  left: number,
): KernelThread<number> {
  const { allowHoles, cpu } = move;
  const now = mmAt(k.view, mm);
  if (pmdNone(now, from) && !allowHoles) return -ENOENT;
  if (leafAt(now, to) !== 0) return -EEXIST;
  const leaf = leafAt(now, from);
  if (leaf !== 0) {
    const whole = from % PTRS_PER_PTE === 0 && to % PTRS_PER_PTE === 0 && left >= PTRS_PER_PTE * PAGE_SIZE;
    if (whole && pmdNone(now, to)) return moveHugePage(k, mm, from, to, leaf);
    if (!isZeroPte(leaf) && (pageAt(k.view, ptePfn(leaf)).flags & PG_ANON_EXCLUSIVE) === 0) return -EBUSY;
    splitHugePmd(k, mm, from);
  }
  pteAlloc(k, mm, from);
  pteAlloc(k, mm, to);
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${to})` };
  if (pteAt(mmAt(k.view, mm), to) !== 0) return -EEXIST;
  const entry = pteAt(mmAt(k.view, mm), from);
  if (entry === 0) return allowHoles ? 1 : -ENOENT;
  if (isSwapPte(entry)) return moveSwapPte(k, mm, from, to, entry) || 1;
  // A marker, whatever the mode says.
  if (!ptePresent(entry)) return -EFAULT;
  if (isZeroPte(entry)) {
    const zero = mkPte(0, PTE_PRESENT | PTE_SPECIAL | PTE_ZERO);
    k.emit({ type: 'UffdEntryMoved', mm, vpn: from, newVpn: to, pfn: -1, entry: zero, anonVma: 0, index: 0 });
    return 1;
  }
  const moved = yield* movePresentPte(k, cpu, mm, from, to);
  // Split, a page of zeros may have given way to the zero page.
  if (moved === 'split') return yield* movePage(k, mm, from, to, move, left);
  return moved || 1;
}

/**
 * `move_pages_huge_pmd()`: the huge page goes as it is, if it is the process's own and nobody may have pinned it. Pages moved, or -EBUSY. What was
 * write-protected at the old place is not at the new one.
 */
function moveHugePage(k: Kernel, mm: number, from: number, to: number, leaf: number): number {
  const vma = vmaLookup(mmAt(k.view, mm), to * PAGE_SIZE) as VmaView;
  const event = { type: 'UffdPmdMoved', mm, vpn: from, newVpn: to } as const;
  pmdAlloc(k, mm, to);
  if (isZeroPte(leaf)) {
    const zero = mkPte(0, PTE_PRESENT | PTE_SPECIAL | PTE_ZERO | PTE_HUGE);
    k.emit({ ...event, pfn: -1, entry: zero, anonVma: 0, index: 0 });
    return PTRS_PER_PTE;
  }
  const pfn = ptePfn(leaf);
  if ((pageAt(k.view, pfn).flags & PG_ANON_EXCLUSIVE) === 0 || maybePinned(k, pfn)) return -EBUSY;
  const entry = mkPte(pfn, PTE_PRESENT | PTE_HUGE | PTE_WRITE | PTE_DIRTY);
  k.emit({ ...event, pfn, entry, anonVma: vma.anonVma, index: linearPageIndex(vma, to * PAGE_SIZE) });
  return PTRS_PER_PTE;
}

/** `move_present_pte()`: the page must be the process's own, and nobody may have pinned it. A large folio is split before: `split`, and all begins anew. */
function* movePresentPte(k: Kernel, cpu: number, mm: number, from: number, to: number): KernelThread<number | 'split'> {
  const pfn = ptePfn(pteAt(mmAt(k.view, mm), from));
  const isOwn = (): boolean => (pageAt(k.view, pfn).flags & PG_ANON_EXCLUSIVE) !== 0;
  if (!isOwn()) return -EBUSY;
  if (pageAt(k.view, pfn).order !== 0) {
    const error = yield* splitFolio(k, pfn, cpu);
    // It tries again for as long as somebody holds the folio.
    if (error !== 0)
      throw new NotModelledError('UFFDIO_MOVE of a page whose folio cannot be split, which does not end');
    return 'split';
  }
  if (maybePinned(k, pfn) || !isOwn()) return -EBUSY;
  const vma = vmaLookup(mmAt(k.view, mm), to * PAGE_SIZE) as VmaView;
  const kept = pteFlags(pteAt(mmAt(k.view, mm), from)) & PTE_DIRTY;
  const softDirty = k.behaviours['soft-dirty'] ? PTE_SOFT_DIRTY : 0;
  // Up to 6.14 the page counted as written to altogether.
  const dirty = softDirty | (k.behaviours['uffd-move-sets-soft-dirty'] ? kept : PTE_DIRTY);
  k.emit({
    type: 'UffdEntryMoved',
    mm,
    vpn: from,
    newVpn: to,
    pfn,
    // The protection of the old place is forgotten.
    entry: mkPte(pfn, PTE_PRESENT | PTE_WRITE | dirty),
    anonVma: vma.anonVma,
    index: linearPageIndex(vma, to * PAGE_SIZE),
  });
  return 0;
}

/** `move_swap_pte()`: the entry goes as it is; a page in the swap cache belongs to the new place. */
function moveSwapPte(k: Kernel, mm: number, from: number, to: number, entry: number): number {
  if (!pteSwpExclusive(entry)) return -EBUSY;
  const { pfn } = slotAt(k, ptePfn(entry));
  const vma = vmaLookup(mmAt(k.view, mm), to * PAGE_SIZE) as VmaView;
  const keeps = !k.behaviours['uffd-move-swap-clears-wp'];
  const marks = k.behaviours['soft-dirty'] && k.behaviours['uffd-move-sets-soft-dirty'];
  const moved = marks ? pteMksoftDirty(entry) : entry;
  k.emit({
    type: 'UffdEntryMoved',
    mm,
    vpn: from,
    newVpn: to,
    pfn,
    entry: keeps ? moved : withFlags(moved, 0, PTE_UFFD_WP),
    anonVma: pfn < 0 ? 0 : vma.anonVma,
    index: pfn < 0 ? 0 : linearPageIndex(vma, to * PAGE_SIZE),
  });
  return 0;
}
