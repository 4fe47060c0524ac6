// mprotect(2): mm/mprotect.c. mmap_lock held for write, each table's lock around its entries.
import {
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_PROTNONE,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
  leafAt,
  pteIndex,
  nextTable,
  pteAt,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteTable,
  tableEnd,
} from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import { mmAt, pageAt } from '../../reducers/state.js';
import {
  VM_ACCESS,
  VM_ACCOUNT,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_NORESERVE,
  VM_SHARED,
  VM_WRITE,
  findVmaIndex,
  vmaIsAnonymous,
  vmaIsSealed,
  vmaPages,
  vmasIn,
} from '../../reducers/vma.js';
import { hugetlbChangeProtection } from './hugetlb/unmap.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EACCES, EINVAL, ENOMEM, EPERM, PAGE_SIZE, currentTask, isPageAligned, pageAlignWrapped } from './kernel.js';
import { folioPteBatch } from './large-folio.js';
import { changeHugePmd } from './memory/huge.js';
import { canChangePteWritable } from './memory/writable.js';
import { append4 } from './memory/zap.js';
import { PROT_KNOWN, enoughMemory, protToVm } from './mmap.js';
import { populateVmaPageRange } from './gup.js';
import { accountVma, isolateRange, mergeVma } from './vma.js';

const PROT_GROWSDOWN = 0x01000000;
const PROT_GROWSUP = 0x02000000;

/** `do_mprotect_pkey()`. Stops at the first VMA that refuses; those before keep their new protection, as in Linux. */
export function* doMprotect(k: Kernel, tid: number, start: number, length: number, prot: number): KernelThread<number> {
  const grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
  if (!isPageAligned(start)) return -EINVAL;
  if (length === 0) return 0;
  const bytes = pageAlignWrapped(length);
  const end = start + bytes;
  if (bytes === 0 || end >= 2 ** 64) return -ENOMEM;
  if ((prot & ~PROT_KNOWN) !== 0) return -EINVAL;
  const mm = currentTask(k, tid).mm;
  const now = mmAt(k.view, mm);
  const first = now.vmas[findVmaIndex(now, start)];
  if (first === undefined) return -ENOMEM;
  let from = start;
  if ((grows & PROT_GROWSDOWN) !== 0) {
    if (first.start >= end) return -ENOMEM;
    from = first.start;
    if ((first.flags & VM_GROWSDOWN) === 0) return -EINVAL;
  } else if (first.start > start) return -ENOMEM;
  if ((grows & PROT_GROWSUP) !== 0) return -EINVAL;

  let next = from;
  for (const { start: each } of [...vmasIn(now, from, end)]) {
    if (Math.max(each, from) !== next) return -ENOMEM;
    const current = mmAt(k.view, mm);
    const vma = current.vmas[findVmaIndex(current, next)] as VmaView;
    const to = Math.min(vma.end, end);
    const flags = (vma.flags & ~VM_ACCESS) | protToVm(prot);
    // The rights a mapping may ever get stand four bits above those it has.
    if ((flags & ~(flags >> 4) & VM_ACCESS) !== 0) return -EACCES;
    // A locked private mapping that becomes writable gets its pages at once.
    const populates = (vma.flags & (VM_LOCKED | VM_SHARED | VM_WRITE)) === VM_LOCKED && (flags & VM_WRITE) !== 0;
    const error = mprotectFixup(k, mm, next, to, flags);
    if (error !== 0) return error;
    if (populates) yield* populateVmaPageRange(k, tid, mm, flags, next, to, false);
    next = to;
  }
  return next < end ? -ENOMEM : 0;
}

/** `mprotect_fixup()` for [start, end) inside one VMA. */
function mprotectFixup(k: Kernel, mm: number, start: number, end: number, wanted: number): number {
  let now = mmAt(k.view, mm);
  let vma = now.vmas[findVmaIndex(now, start)] as VmaView;
  const old = vma.flags;
  if (vmaIsSealed(vma)) return -EPERM;
  if (wanted === old) return 0;
  let flags = wanted;
  const pages = (end - start) / PAGE_SIZE;
  if ((flags & VM_WRITE) !== 0) {
    if ((old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE | VM_HUGETLB)) === 0) {
      if (!enoughMemory(k, pages)) return -ENOMEM;
      flags |= VM_ACCOUNT;
    }
  } else if ((old & VM_ACCOUNT) !== 0 && vmaIsAnonymous(vma) && vma.anonVma === 0) flags &= ~VM_ACCOUNT;
  const error = isolateRange(k, mm, start, end);
  if (error !== 0) return error;
  now = mmAt(k.view, mm);
  vma = now.vmas[findVmaIndex(now, start)] as VmaView;
  const count = vmaPages(vma);
  k.emit({ type: 'VmaFlagsChanged', mm, start, flags });
  accountVma(k, mm, old, count, -1);
  accountVma(k, mm, flags, count, 1);
  changeProtection(k, mm, start, end, flags, vma.inode);
  mergeVma(k, mm, start);
  return 0;
}

/** `change_protection()`: gives every entry the new rights. The write bit comes only where no fault could have anything to do. */
function changeProtection(k: Kernel, mm: number, start: number, end: number, flags: number, inode: number): void {
  if ((flags & VM_HUGETLB) !== 0) return hugetlbChangeProtection(k, mm, start, end, flags);
  const last = end / PAGE_SIZE;
  for (let vpn = nextTable(mmAt(k.view, mm), start / PAGE_SIZE, last); vpn >= 0;) {
    const stop = Math.min(tableEnd(vpn), last);
    if (leafAt(mmAt(k.view, mm), vpn) !== 0) {
      // The VMA was split at its borders, and any huge entry across them with it.
      changeHugePmd(k, mm, vpn, flags);
      vpn = nextTable(mmAt(k.view, mm), stop, last);
      continue;
    }
    for (let from = vpn; from < stop; from += k.batchMax)
      changePteRange(k, mm, from, Math.min(from + k.batchMax, stop), flags, inode);
    vpn = nextTable(mmAt(k.view, mm), stop, last);
  }
}

function changePteRange(k: Kernel, mm: number, from: number, to: number, vmFlags: number, inode: number): void {
  const table = pteTable(mmAt(k.view, mm), from) as readonly number[];
  const runs: number[] = [];
  const base = from - pteIndex(from);
  let [batchEnd, dirty] = [from, 0];
  for (let vpn = from; vpn < to; vpn++) {
    const entry = table[vpn - base] as number;
    if (!ptePresent(entry)) continue;
    const old = pteFlags(entry);
    if (vpn >= batchEnd) {
      batchEnd = vpn + mprotectFolioPteBatch(k, mm, vpn, to);
      dirty = 0;
      for (let i = vpn; i < batchEnd; i++) dirty |= (table[i - base] as number) & PTE_DIRTY;
    }
    const kept = (old & ~(PTE_PRESENT | PTE_PROTNONE | PTE_WRITE)) | dirty;
    const accessible = (vmFlags & VM_ACCESS) !== 0;
    let flags = kept | (accessible ? PTE_PRESENT : PTE_PROTNONE);
    if (accessible && canChangePteWritable(k, entry, vmFlags, inode)) flags |= PTE_WRITE;
    if (flags !== old) append4(runs, vpn, ptePfn(entry), flags, 1);
  }
  if (runs.length > 0) k.emit({ type: 'PtesProtected', mm, runs });
}

/** `mprotect_folio_pte_batch()`: how many entries from `vpn` on are changed as one; pages of their own and of files are alone. */
function mprotectFolioPteBatch(k: Kernel, mm: number, vpn: number, to: number): number {
  const entry = pteAt(mmAt(k.view, mm), vpn);
  if (!k.behaviours['mprotect-batches-folios'] || pteSpecial(entry)) return 1;
  return pageAt(k.view, ptePfn(entry)).order === 0 ? 1 : folioPteBatch(k, mm, vpn, to, PTE_SOFT_DIRTY | PTE_WRITE);
}
