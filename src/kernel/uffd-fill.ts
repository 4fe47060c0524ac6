// What monitors put where nothing is: the mcopy_atomic family of mm/userfaultfd.c on anonymous memory (COPY, ZEROPAGE, POISON).
import {
  PTE_MARKER_POISON,
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_UFFD_WP,
  PTE_WRITE,
  isPteMarker,
  leafAt,
  makePteMarker,
  mkPte,
  pteAt,
  withFlags,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import { mmAt } from '../../reducers/state.js';
import {
  VM_ACCESS,
  VM_SHARED,
  VM_WRITE,
  linearPageIndex,
  userfaultfdWp,
  vmaIsAnonymous,
  vmaLookup,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EEXIST, EFAULT, EINVAL, ENOENT, PAGE_SIZE, currentTask } from './kernel.js';
import { ZERO_PTE, presentFlag } from './memory/anonymous.js';
import { folioAddedLruVma, locksPages } from './memory/mlocked.js';
import { pteAlloc } from './memory/tables.js';
import { allocPage, putPage } from './page-alloc.js';
import { anonVmaPrepare } from './rmap.js';
import { dirtyFlags } from './soft-dirty.js';
import { copyFromUser, copyFromUserFaulting, readableAtOnce } from './uaccess.js';

const POISON = makePteMarker(PTE_MARKER_POISON);

/** What is put there. */
export type FillMode = 'copy' | 'zeropage' | 'poison' | 'continue';

/** One call: [start, start + length) bytes of the context's address space, page aligned. */
export interface Fill {
  readonly mode: FillMode;
  readonly start: number;
  readonly length: number;
  /** COPY: where the bytes come from, in the address space of the caller. */
  readonly source: number;
  /** MODE_WP: what is installed is write-protected. */
  readonly protect: boolean;
}

/**
 * `mfill_atomic()`: page by page, until one cannot be had. Who fills an address space need not belong to it: `tid` gives the bytes. Where those are not at
 * hand the locks are dropped, they are fetched with faults, and everything is looked at anew.
 * @returns bytes done, or an errno if none were.
 */
export function* mfillAtomic(k: Kernel, tid: number, context: UffdView, fill: Fill): KernelThread<number> {
  const { mm } = context;
  let done = 0;
  let fetched = -1;
  for (;;) {
    const error = yield* fillPages(k, tid, mm, fill, done, fetched, (bytes) => (done = bytes));
    fetched = -1;
    if (error <= 0) return done > 0 ? done : error;
    // A frame to be filled outside of the locks.
    fetched = error - 1;
    const got = yield* copyFromUserFaulting(k, tid, fill.source + done, PAGE_SIZE, { pfn: fetched, offset: 0 });
    if (got < PAGE_SIZE) {
      putPage(k, fetched);
      return done > 0 ? done : -EFAULT;
    }
  }
}

/** What stands in the way of filling [start, end), or the VMA: `uffd_mfill_lock()`, `validate_dst_vma()`. */
function lockDestination(k: Kernel, mm: number, { mode, start, length, protect }: Fill): VmaView | number {
  const vma = k.view.mms[mm] ? vmaLookup(mmAt(k.view, mm), start) : null;
  if (vma === null) return -ENOENT;
  // Before anybody asks whose the mapping is.
  if ((vma.flags & VM_SHARED) === 0) anonVmaPrepare(k, mmAt(k.view, mm), vma);
  if (start + length > vma.end || vma.uffd === undefined) return -ENOENT;
  if (protect && !userfaultfdWp(vma)) return -EINVAL;
  if (!vmaIsAnonymous(vma)) throw new NotModelledError('userfaultfd on files and shared memory');
  return mode === 'continue' ? -EINVAL : vma;
}

/**
 * From byte `from` of the range on; `fetched` is a frame with the bytes of the first page, or -1.
 * @returns 0, an errno, or frame + 1 whose bytes must be fetched with the locks dropped.
 */
function* fillPages(
  k: Kernel,
  tid: number,
  mm: number,
  fill: Fill,
  from: number,
  fetched: number,
  progress: (bytes: number) => void,
): KernelThread<number> {
  let frame = fetched;
  const found = lockDestination(k, mm, fill);
  if (typeof found === 'number') {
    if (frame >= 0) putPage(k, frame);
    return found;
  }
  for (let at = from; at < fill.length; at += PAGE_SIZE) {
    const vpn = (fill.start + at) / PAGE_SIZE;
    if (leafAt(mmAt(k.view, mm), vpn) !== 0) {
      if (frame >= 0) putPage(k, frame);
      return -EEXIST;
    }
    pteAlloc(k, mm, vpn);
    if (fill.mode === 'copy' && frame < 0) {
      frame = allocPage(k);
      if (readableAtOnce(k, tid, fill.source + at, PAGE_SIZE) < PAGE_SIZE) return frame + 1;
      copyFromUser(k, tid, fill.source + at, PAGE_SIZE, frame, 0);
    }
    if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
    const error = installPage(k, tid, mm, vpn, fill, frame);
    frame = -1;
    if (error !== 0) return error;
    progress(at + PAGE_SIZE);
  }
  return 0;
}

/** One page, under the table's lock: 0 or -EEXIST. A marker gives way to a copy, and to nothing else. */
function installPage(k: Kernel, tid: number, mm: number, vpn: number, fill: Fill, pfn: number): number {
  const now = mmAt(k.view, mm);
  const entry = pteAt(now, vpn);
  const vma = vmaLookup(now, vpn * PAGE_SIZE) as VmaView;
  const free = entry === 0 || (fill.mode === 'copy' && isPteMarker(entry));
  if (!free) {
    if (pfn >= 0) putPage(k, pfn);
    return -EEXIST;
  }
  if (fill.mode === 'zeropage')
    k.emit({ type: 'ZeroPageMapped', mm, vpn, entry: withFlags(ZERO_PTE, presentFlag(vma), PTE_PRESENT) });
  else if (fill.mode === 'poison') k.emit({ type: 'UffdMarkersSet', mm, runs: [vpn, 1], entry: POISON });
  else mfillAtomicInstallPte(k, { tid, mm, vpn, pfn, vma, protect: fill.protect });
  return 0;
}

/**
 * `mfill_atomic_install_pte()` of a fresh page in private memory: the process's own and dirty, writable where the VMA is, unless it is to be
 * write-protected.
 */
function mfillAtomicInstallPte(
  k: Kernel,
  {
    tid,
    mm,
    vpn,
    pfn,
    vma,
    protect,
  }: {
    readonly tid: number;
    readonly mm: number;
    readonly vpn: number;
    readonly pfn: number;
    readonly vma: VmaView;
    readonly protect: boolean;
  },
): void {
  const locked = locksPages(vma.flags);
  const { cpu } = currentTask(k, tid);
  const accessible = (vma.flags & VM_ACCESS) !== 0 ? PTE_PRESENT : PTE_PROTNONE;
  const writable = (vma.flags & VM_WRITE) !== 0;
  // Up to 5.18 only what may be written to was protected.
  const protects = protect && (writable || k.behaviours['uffd-wp-marks-readonly']);
  const rights = protects ? PTE_UFFD_WP : writable && !protect ? PTE_WRITE : 0;
  k.emit({
    type: 'AnonPageMapped',
    mm,
    vpn,
    pfn,
    entry: mkPte(pfn, accessible | dirtyFlags(k) | rights),
    anonVma: vma.anonVma,
    index: linearPageIndex(vma, vpn * PAGE_SIZE),
    ref: locked ? 0 : 1,
    mapcount: 1,
    exclusive: k.behaviours['anon-exclusive'] ? 1 : 0,
    rssAnon: 1,
    lruCpu: locked ? -1 : cpu,
  });
  folioAddedLruVma(k, locked, pfn, cpu);
}
