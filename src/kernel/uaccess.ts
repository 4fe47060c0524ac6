// What programs and the kernel do to user memory byte by byte: loads, stores, instruction fetches, copy_to_user.
import { PTE_DIRTY, isHugePte, isZeroPte, pteAt, ptePfn, pteSpecial, withFlags } from '../../reducers/pte.js';
import { sameByte, uniformByte } from '../../reducers/content.js';
import { mmAt, pageAt } from '../../reducers/state.js';
import { userfaultfdArmed, vmaLookup } from '../../reducers/vma.js';
import { pfnByNumber } from './io-uring-rings.js';
import type { Kernel, KernelThread } from './kernel.js';
import { PAGE_SIZE, TASK_SIZE, currentMm, currentTask } from './kernel.js';
import type { Access, AccessResult } from './memory/fault.js';
import { accessPermitted, userFault } from './memory/fault.js';
import { touchPmd } from './memory/huge.js';

const DONE: AccessResult = { kind: 'done' };

/** Would hardware raise an exception? */
function faults(k: Kernel, tid: number, addr: number, access: Access): boolean {
  return addr >= 2 ** 47 || !accessPermitted(currentMm(k, tid), Math.floor(addr / PAGE_SIZE), access);
}

/** What hardware notes of a store: the entry is dirty. */
function setDirty(k: Kernel, tid: number, addr: number): void {
  const { mm } = currentTask(k, tid);
  const vpn = Math.floor(addr / PAGE_SIZE);
  const entry = pteAt(mmAt(k.view, mm), vpn);
  if (isHugePte(entry)) touchPmd(k, mm, vpn);
  else if ((entry & PTE_DIRTY) === 0) k.emit({ type: 'PteFlagsSet', mm, vpn, entry: withFlags(entry, PTE_DIRTY, 0) });
}

/** Makes `addr` accessible to the task, faulting as often as hardware would. */
export function* touch(
  k: Kernel,
  tid: number,
  addr: number,
  access: Access,
  user: boolean,
): KernelThread<AccessResult> {
  // An instruction fetch from a readable page first maps it, then faults again on the NX bit.
  while (faults(k, tid, addr, access)) {
    const result = yield* userFault(k, tid, addr, access, user);
    if (result.kind === 'signal') return result;
  }
  if (access === 'write') setDirty(k, tid, addr);
  return DONE;
}

/** End of the piece of [addr, end) that lies in `addr`'s page. */
const pieceEnd = (addr: number, end: number): number => Math.min(end, (Math.floor(addr / PAGE_SIZE) + 1) * PAGE_SIZE);

/** Could writing [addr, addr + length) for the task make it wait for the monitor of a userfaultfd? */
export function meetsMonitor(k: Kernel, tid: number, addr: number, length: number): boolean {
  const mm = currentMm(k, tid);
  for (let at = addr; at < addr + length; at = pieceEnd(at, addr + length)) {
    const vma = at < TASK_SIZE ? vmaLookup(mm, at) : null;
    if (vma && userfaultfdArmed(vma) && faults(k, tid, at, 'write')) return true;
  }
  return false;
}

/** Stores `byte` (-1: bytes not known) to [addr, addr + length), page by page in ascending order. */
export function* storeUser(
  k: Kernel,
  tid: number,
  addr: number,
  byte: number,
  length: number,
  user = true,
): KernelThread<AccessResult> {
  const end = addr + Math.max(length, 1);
  // Where addresses lose their last bits the end is no larger, and the first access gets a signal anyway.
  for (let at = addr; at < end || at === addr;) {
    const stop = pieceEnd(at, end);
    while (faults(k, tid, at, 'write')) {
      const result = yield* userFault(k, tid, at, 'write', user);
      if (result.kind === 'signal') return result;
    }
    setDirty(k, tid, at);
    const pfn = pfnAt(k, tid, at);
    if (pfn >= 0) k.emit({ type: 'PageWritten', pfn, offset: at % PAGE_SIZE, length: stop - at, byte });
    at = stop;
  }
  return DONE;
}

/**
 * `copy_to_user()`: `length` bytes at `offset` of frame `from` (-1: zeros) go to `addr`, page of the buffer by page; faults as the kernel
 * takes them.
 */
export function* copyToUser(
  k: Kernel,
  tid: number,
  addr: number,
  length: number,
  { from, offset }: { readonly from: number; readonly offset: number },
): KernelThread<AccessResult> {
  const end = addr + length;
  // Where the copy has overwritten what it copies from, up to here.
  let overwritten = 0;
  for (let at = addr; at < end;) {
    const stop = pieceEnd(at, end);
    const result = yield* touch(k, tid, at, 'write', false);
    if (result.kind === 'signal') return result;
    const pfn = pfnAt(k, tid, at);
    const fromOffset = offset + at - addr;
    if (pfn >= 0 && fromOffset < overwritten) wroteUnknown(k, pfn, at % PAGE_SIZE, stop - at);
    else if (pfn >= 0) emitCopy(k, pfn, at % PAGE_SIZE, from, fromOffset, stop - at);
    if (pfn >= 0 && pfn === from) overwritten = Math.max(overwritten, (at % PAGE_SIZE) + stop - at);
    at = stop;
  }
  return DONE;
}

/** `copy_from_user_inatomic()`: how many bytes from `addr` on can be read without a fault; all lie in `length` bytes of the program. */
export function readableAtOnce(k: Kernel, tid: number, addr: number, length: number): number {
  const end = addr + length;
  let at = addr;
  while (at < end && !faults(k, tid, at, 'read')) at = pieceEnd(at, end);
  return at - addr;
}

/** Bytes at `addr` that `readableAtOnce()` found go to `offset` of frame `pfn`. */
export function copyFromUser(k: Kernel, tid: number, addr: number, length: number, pfn: number, offset: number): void {
  const end = addr + length;
  for (let at = addr; at < end;) {
    const stop = pieceEnd(at, end);
    const entry = pteAt(currentMm(k, tid), Math.floor(at / PAGE_SIZE));
    const to = offset + at - addr;
    const seen = pfnAt(k, tid, at);
    if (isZeroPte(entry)) emitCopy(k, pfn, to, -1, 0, stop - at);
    else if (seen < 0) wroteUnknown(k, pfn, to, stop - at);
    else if (seen === pfn && at % PAGE_SIZE < to && (at % PAGE_SIZE) + stop - at > offset && at > addr)
      // Some of it the copy itself may have overwritten.
      wroteUnknown(k, pfn, to, stop - at);
    else emitCopy(k, pfn, to, seen, at % PAGE_SIZE, stop - at);
    at = stop;
  }
}

/** Bytes that the model does not know come to frame `pfn`. */
const wroteUnknown = (k: Kernel, pfn: number, offset: number, length: number): void =>
  k.emit({ type: 'PageWritten', pfn, offset, length, byte: -1 });

/** `length` bytes at `fromOffset` of frame `from` (-1: zeros) come to `offset` of frame `pfn`. */
export function emitCopy(
  k: Kernel,
  pfn: number,
  offset: number,
  from: number,
  fromOffset: number,
  length: number,
): void {
  const overlaps = pfn === from && Math.abs(offset - fromOffset) < length;
  // Which byte of a page copied onto itself is read before it is overwritten is the processor's affair.
  if (overlaps && offset !== fromOffset && uniformByte(pageAt(k.view, pfn).content, fromOffset, length) < 0)
    wroteUnknown(k, pfn, offset, length);
  else k.emit({ type: 'BytesCopied', pfn, offset, from, fromOffset: from < 0 ? 0 : fromOffset, length });
}

/**
 * `copy_page_from_iter()`: bytes of [addr, addr + length) go to `offset` of frame `pfn`, with faults as the kernel takes them.
 * @returns how many could be had.
 */
export function* copyFromUserFaulting(
  k: Kernel,
  tid: number,
  addr: number,
  length: number,
  { pfn, offset }: { readonly pfn: number; readonly offset: number },
): KernelThread<number> {
  const end = addr + length;
  for (let at = addr; at < end;) {
    const stop = pieceEnd(at, end);
    const result = yield* touch(k, tid, at, 'read', false);
    if (result.kind === 'signal') return at - addr;
    copyFromUser(k, tid, at, stop - at, pfn, offset + at - addr);
    at = stop;
  }
  return length;
}

/** `fault_in_readable()`: faults as reading [addr, addr + length) takes; how many bytes could not be had. */
export function* faultInReadable(k: Kernel, tid: number, addr: number, length: number): KernelThread<number> {
  const end = addr + length;
  for (let at = addr; at < end; at = pieceEnd(at, end)) {
    const result = yield* touch(k, tid, at, 'read', false);
    if (result.kind === 'signal') return end - at;
  }
  return 0;
}

/** What a load saw: one byte value, -1 for bytes the model does not know, -2 where the bytes differ. */
export type Loaded = { readonly kind: 'byte'; readonly byte: number } | Exclude<AccessResult, { kind: 'done' }>;

/** Reads [addr, addr + length). */
export function* loadUser(k: Kernel, tid: number, addr: number, length: number, user = true): KernelThread<Loaded> {
  let seen: number | null = null;
  const end = addr + Math.max(length, 1);
  // Where addresses lose their last bits the end is no larger, and the first access gets a signal anyway.
  for (let at = addr; at < end || at === addr;) {
    const stop = pieceEnd(at, end);
    while (faults(k, tid, at, 'read')) {
      const result = yield* userFault(k, tid, at, 'read', user);
      if (result.kind === 'signal') return result;
    }
    const byte = loadedByte(k, tid, at, stop - at);
    seen = seen === null ? byte : sameByte(seen, byte);
    at = stop;
  }
  return { kind: 'byte', byte: seen ?? -1 };
}

/** The one byte that `length` bytes at `addr`, in one page, hold; -1 unknown, -2 if they differ. */
function loadedByte(k: Kernel, tid: number, addr: number, length: number): number {
  if (isZeroPte(pteAt(currentMm(k, tid), Math.floor(addr / PAGE_SIZE)))) return 0;
  const pfn = pfnAt(k, tid, addr);
  return pfn < 0 ? -1 : uniformByte(pageAt(k.view, pfn).content, addr % PAGE_SIZE, length);
}

/** The frame that an access of the task to `addr` reaches, -1 for none that is known: the zero page, memory of the kernel. */
function pfnAt(k: Kernel, tid: number, addr: number): number {
  const vpn = Math.floor(addr / PAGE_SIZE);
  const entry = pteAt(currentMm(k, tid), vpn);
  return pteSpecial(entry) ? pfnByNumber(k, currentTask(k, tid).mm, vpn, entry) : ptePfn(entry);
}
