// What programs and the kernel do to user memory byte by byte: loads, stores, instruction fetches, copy_to_user.
import { PTE_DIRTY, isZeroPte, pteAt, ptePfn, pteSpecial, withFlags } from '../../reducers/pte.js';
import { uniformByte } from '../../reducers/content.js';
import { pageAt } from '../../reducers/state.js';
import type { Kernel, KernelThread } from './kernel.js';
import { PAGE_SIZE, currentMm, currentTask } from './kernel.js';
import type { Access, AccessResult } from './memory/fault.js';
import { accessPermitted, userFault } from './memory/fault.js';

const DONE: AccessResult = { kind: 'done' };

/** Makes `addr` accessible to the task, faulting as often as hardware would. */
export function* touch(
  k: Kernel,
  tid: number,
  addr: number,
  access: Access,
  user: boolean,
): KernelThread<AccessResult> {
  const vpn = Math.floor(addr / PAGE_SIZE);
  // An instruction fetch from a readable page first maps it, then faults again on the NX bit.
  while (addr >= 2 ** 47 || !accessPermitted(currentMm(k, tid), vpn, access)) {
    const result = yield* userFault(k, tid, addr, access, user);
    if (result.kind === 'signal') return result;
  }
  if (access === 'write') {
    const mm = currentMm(k, tid);
    const entry = pteAt(mm, vpn);
    if ((entry & PTE_DIRTY) === 0)
      k.emit({ type: 'PteFlagsSet', mm: currentTask(k, tid).mm, vpn, entry: withFlags(entry, PTE_DIRTY, 0) });
  }
  return DONE;
}

/** Pages of [addr, addr + length) with the part of each that lies inside. */
function* pieces(addr: number, length: number): Generator<{ addr: number; length: number }> {
  const end = addr + Math.max(length, 1);
  for (let at = addr; at < end;) {
    const stop = Math.min(end, (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE);
    yield { addr: at, length: stop - at };
    at = stop;
  }
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
  for (const piece of pieces(addr, length)) {
    const result = yield* touch(k, tid, piece.addr, 'write', user);
    if (result.kind === 'signal') return result;
    const entry = pteAt(currentMm(k, tid), Math.floor(piece.addr / PAGE_SIZE));
    if (pteSpecial(entry)) continue;
    k.emit({ type: 'PageWritten', pfn: ptePfn(entry), offset: piece.addr % PAGE_SIZE, length: piece.length, byte });
  }
  return DONE;
}

/** What a load saw: one byte value, -1 for bytes the model does not know, -2 where the bytes differ. */
export type Loaded = { readonly kind: 'byte'; readonly byte: number } | Exclude<AccessResult, { kind: 'done' }>;

/** Reads [addr, addr + length). */
export function* loadUser(k: Kernel, tid: number, addr: number, length: number, user = true): KernelThread<Loaded> {
  let seen: number | null = null;
  for (const piece of pieces(addr, length)) {
    const result = yield* touch(k, tid, piece.addr, 'read', user);
    if (result.kind === 'signal') return result;
    const entry = pteAt(currentMm(k, tid), Math.floor(piece.addr / PAGE_SIZE));
    const byte = isZeroPte(entry)
      ? 0
      : pteSpecial(entry)
        ? -1
        : uniformByte(pageAt(k.view, ptePfn(entry)).content, piece.addr % PAGE_SIZE, piece.length);
    seen = seen === null || seen === byte ? byte : -2;
  }
  return { kind: 'byte', byte: seen ?? -1 };
}
