// What monitors put where nothing is: mfill_atomic() of mm/userfaultfd.c (COPY, ZEROPAGE, POISON, CONTINUE) on anonymous memory and on files in memory,
// with shmem_mfill_atomic_pte() of mm/shmem.c. The entry itself: uffd-install.ts.
import { PTE_MARKER_POISON, PTE_PRESENT, leafAt, makePteMarker, pteAt, withFlags } from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import { InodeKind, mmAt } from '../../reducers/state.js';
import { VM_SHARED, VM_WRITE, linearPageIndex, userfaultfdWp, vmaIsAnonymous, vmaLookup } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EAGAIN, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, PAGE_SIZE, currentTask } from './kernel.js';
import { ZERO_PTE, presentFlag } from './memory/anonymous.js';
import { markDirty } from './filemap.js';
import { pteAlloc } from './memory/tables.js';
import { allocPage, putPage } from './page-alloc.js';
import { anonVmaPrepare } from './rmap.js';
import {
  shmemAddToPageCache,
  shmemGetFolio,
  shmemInodeAcctBlock,
  shmemInodeUnacctBlock,
  shmemRecalcInode,
  shmemRemoveFromCache,
  shmemUncharge,
} from './shmem.js';
import { isChanging } from './uffd-events.js';
import { copyFromUser, copyFromUserFaulting, readableAtOnce } from './uaccess.js';
import { mfillAtomicInstallPte, mfillFileOverSize } from './uffd-install.js';

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
  let done = 0;
  let fetched = -1;
  for (;;) {
    const error = yield* fillPages(k, tid, context, fill, done, fetched, (bytes) => (done = bytes));
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
function lockDestination(k: Kernel, context: UffdView, { mode, start, length, protect }: Fill): VmaView | number {
  const { mm } = context;
  const vma = k.view.mms[mm] ? vmaLookup(mmAt(k.view, mm), start) : null;
  if (vma === null) return -ENOENT;
  // Before anybody asks whose the mapping is.
  if ((vma.flags & VM_SHARED) === 0) anonVmaPrepare(k, mmAt(k.view, mm), vma);
  if (start + length > vma.end || vma.uffd === undefined) return -ENOENT;
  // Somebody may have begun to change the mappings while the bytes were fetched.
  if (isChanging(k, context)) return -EAGAIN;
  if (protect && !userfaultfdWp(vma)) return -EINVAL;
  if (vmaIsAnonymous(vma)) return mode === 'continue' ? -EINVAL : vma;
  if (k.view.inodes[vma.inode]?.kind !== InodeKind.shmem) throw new NotModelledError('userfaultfd on files');
  return vma;
}

/**
 * From byte `from` of the range on; `fetched` is a frame with the bytes of the first page, or -1.
 * @returns 0, an errno, or frame + 1 whose bytes must be fetched with the locks dropped.
 */
function* fillPages(
  k: Kernel,
  tid: number,
  context: UffdView,
  fill: Fill,
  from: number,
  fetched: number,
  progress: (bytes: number) => void,
): KernelThread<number> {
  let frame = fetched;
  const { mm } = context;
  const found = lockDestination(k, context, fill);
  if (typeof found === 'number') {
    if (frame >= 0) putPage(k, frame);
    return found;
  }
  const { cpu } = currentTask(k, tid);
  for (let at = from; at < fill.length; at += PAGE_SIZE) {
    const vpn = (fill.start + at) / PAGE_SIZE;
    if (leafAt(mmAt(k.view, mm), vpn) !== 0) {
      if (frame >= 0) putPage(k, frame);
      return -EEXIST;
    }
    pteAlloc(k, mm, vpn);
    const error = yield* mfillAtomicPte(k, { tid, cpu, mm, vpn, fill, source: fill.source + at, frame });
    frame = -1;
    if (error !== 0) return error;
    progress(at + PAGE_SIZE);
  }
  return 0;
}

/** One page of a call. */
interface FillPage {
  readonly tid: number;
  readonly cpu: number;
  readonly mm: number;
  readonly vpn: number;
  readonly fill: Fill;
  /** COPY: where its bytes are. */
  readonly source: number;
  /** A frame that has them already, or -1. */
  readonly frame: number;
}

const destination = (k: Kernel, { mm, vpn }: FillPage): VmaView =>
  vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE) as VmaView;

/** `mfill_atomic_pte()`: private mappings of files get pages of their own, shared ones get the file's. Returns what fillPages() does. */
function* mfillAtomicPte(k: Kernel, page: FillPage): KernelThread<number> {
  const { mode } = page.fill;
  const shared = (destination(k, page).flags & VM_SHARED) !== 0;
  if (mode === 'continue') return yield* mfillAtomicPteContinue(k, page);
  if (mode === 'poison' || (mode === 'zeropage' && !shared)) return yield* mfillAtomicPteSpecial(k, page);
  return shared ? yield* shmemMfillAtomicPte(k, page) : yield* mfillAtomicPteCopy(k, page);
}

function* lockTable(k: Kernel, { mm, vpn }: FillPage): KernelThread {
  if (k.interleaved) yield { op: 'acquire', lock: `ptl(${mm},${vpn})` };
}

/** `mfill_atomic_pte_zeropage()`, `mfill_atomic_pte_poison()`: entries without a page, which take no marker's place. */
function* mfillAtomicPteSpecial(k: Kernel, page: FillPage): KernelThread<number> {
  const { mm, vpn, fill } = page;
  yield* lockTable(k, page);
  const vma = destination(k, page);
  if (mfillFileOverSize(k, vma, vpn)) return -EFAULT;
  if (pteAt(mmAt(k.view, mm), vpn) !== 0) return -EEXIST;
  if (fill.mode === 'poison') k.emit({ type: 'UffdMarkersSet', mm, runs: [vpn, 1], entry: POISON });
  else k.emit({ type: 'ZeroPageMapped', mm, vpn, entry: withFlags(ZERO_PTE, presentFlag(vma), PTE_PRESENT) });
  return 0;
}

/** The bytes of the source come to frame `pfn`; false where they can be had with a fault only, which the locks forbid. */
function copiedAtOnce(k: Kernel, { tid, source }: FillPage, pfn: number): boolean {
  if (readableAtOnce(k, tid, source, PAGE_SIZE) < PAGE_SIZE) return false;
  copyFromUser(k, tid, source, PAGE_SIZE, pfn, 0);
  return true;
}

/** `mfill_atomic_pte_copy()`: a page of the process's own; the file behind the mapping, if any, has nothing to do with it. */
function* mfillAtomicPteCopy(k: Kernel, page: FillPage): KernelThread<number> {
  const { mm, vpn, fill, cpu } = page;
  const pfn = page.frame >= 0 ? page.frame : allocPage(k);
  if (page.frame < 0 && !copiedAtOnce(k, page, pfn)) return pfn + 1;
  yield* lockTable(k, page);
  const vma = destination(k, page);
  const error = mfillAtomicInstallPte(k, { mm, vpn, vma, pfn, fresh: true, protect: fill.protect, cpu });
  if (error !== 0) putPage(k, pfn);
  return error;
}

/**
 * `mfill_atomic_pte_continue()`: the page that the file has. -EINVAL behind its end, -EFAULT where it has none. Until 5.18 a page that fallocate made and
 * nobody filled was none: who waited for it could not be helped.
 */
function* mfillAtomicPteContinue(k: Kernel, page: FillPage): KernelThread<number> {
  const { mm, vpn, fill, cpu } = page;
  const index = linearPageIndex(destination(k, page), vpn * PAGE_SIZE);
  const sgp = k.behaviours['uffd-continue-takes-fallocated'] ? 'noalloc' : 'read';
  const found = shmemGetFolio(k, destination(k, page).inode, index, sgp, cpu);
  if (typeof found === 'number') return found === 0 || found === -ENOENT ? -EFAULT : found;
  yield* lockTable(k, page);
  const vma = destination(k, page);
  return mfillAtomicInstallPte(k, { mm, vpn, vma, pfn: found.pfn, fresh: false, protect: fill.protect, cpu });
}

/**
 * `shmem_mfill_atomic_pte()`: a fresh page enters the file, and the mapping. What it is charged with is given back if it cannot: -ENOMEM where the
 * tmpfs is full, -EFAULT behind the end of the file, -EEXIST where the file has a page, or the mapping.
 */
function* shmemMfillAtomicPte(k: Kernel, page: FillPage): KernelThread<number> {
  const { mm, vpn, fill, cpu, frame } = page;
  const { inode } = destination(k, page);
  const index = linearPageIndex(destination(k, page), vpn * PAGE_SIZE);
  if (!shmemInodeAcctBlock(k, inode)) {
    // Until 5.12 the page that was filled in the meantime was forgotten.
    if (frame >= 0 && k.behaviours['uffd-copy-releases-retry-page']) putPage(k, frame);
    return -ENOMEM;
  }
  const pfn = frame >= 0 ? frame : allocPage(k);
  if (frame < 0 && fill.mode === 'copy' && !copiedAtOnce(k, page, pfn)) {
    shmemInodeUnacctBlock(k, inode);
    return pfn + 1;
  }
  const error = mfillFileOverSize(k, destination(k, page), vpn) ? -EFAULT : shmemAddToPageCache(k, inode, index, pfn);
  if (error !== 0) {
    putPage(k, pfn);
    unacctAsPosted(k, inode);
    return error;
  }
  yield* lockTable(k, page);
  const vma = destination(k, page);
  const failed = mfillAtomicInstallPte(k, { mm, vpn, vma, pfn, fresh: true, protect: fill.protect, cpu });
  if (failed !== 0) {
    shmemRemoveFromCache(k, inode, index, pfn);
    putPage(k, pfn);
    shmemInodeUnacctBlock(k, inode);
    return failed;
  }
  shmemRecalcInode(k, inode, 1, 0);
  if (marksPageDirty(k, vma)) markDirty(k, pfn);
  return 0;
}

/** The page itself counted as dirty until 5.15; before 5.14 only where the entry could not. As posted the install step saw to that. */
function marksPageDirty(k: Kernel, { flags }: VmaView): boolean {
  if (k.behaviours['uffd-install-pte-dirty'] || k.behaviours['uffd-install-asks-vma']) return false;
  return k.behaviours['uffd-install-one-step'] || (flags & VM_WRITE) === 0;
}

/** A fill fails before the file counts its page. The series as posted gave nothing back; with `shmem_uncharge()` in its place the file counted one too few. */
function unacctAsPosted(k: Kernel, inode: number): void {
  if (k.behaviours['uffd-copy-uncharges-uncounted']) shmemUncharge(k, inode);
  else if (!k.behaviours['uffd-copy-keeps-charge']) shmemInodeUnacctBlock(k, inode);
}
