// Pins as drivers take, use and drop them: the calls pin, pin_load, pin_store and unpin of workloads.
import { sameByte, uniformByte } from '../../reducers/content.js';
import type { HolderView } from '../../reducers/state.js';
import { HolderKind, pageAt } from '../../reducers/state.js';
import { InputError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { cIntArg, fromKernel, intArg } from './call.js';
import {
  FOLL_FAST,
  FOLL_GET,
  FOLL_LONGTERM,
  FOLL_PIN,
  FOLL_TOUCH,
  FOLL_WRITE,
  getUserPages,
  getUserPagesFast,
  pagesIn,
} from './get-user-pages.js';
import type { Held } from './holders.js';
import { createHolder, heldAt, heldCount, removeHolder } from './holders.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EFAULT, EINVAL, TASK_SIZE, currentTask } from './kernel.js';
import { markDirty } from './filemap.js';

/**
 * `pin_user_pages()`, `get_user_pages()` and their fast forms, for all of [addr, addr + length) or not at all, as drivers have it.
 * The result is the number of the pin.
 */
export function* doPin(k: Kernel, call: Call): KernelThread<Got> {
  const [addr, length, flags] = [intArg(call, 0), intArg(call, 1), cIntArg(call, 2, FOLL_PIN)];
  const { tid } = call;
  const { mm } = currentTask(k, tid);
  const both = flags & (FOLL_GET | FOLL_PIN);
  const longWithoutPin = (flags & FOLL_LONGTERM) !== 0 && both !== FOLL_PIN;
  if ((both !== FOLL_GET && both !== FOLL_PIN) || longWithoutPin || length === 0) return fromKernel(-EINVAL);
  if (addr + length > TASK_SIZE) return fromKernel(-EFAULT);
  const fast = (flags & FOLL_FAST) !== 0;
  const how = flags & ~FOLL_FAST;
  const holder = createHolder(k, HolderKind.pin, tid, how);
  // get_user_pages() notes accesses, pin_user_pages() leaves that to unpin_user_pages_dirty_lock().
  const gup = { tid, mm, holder, flags: !fast && both === FOLL_GET ? how | FOLL_TOUCH : how };
  if (k.interleaved && !fast) yield { op: 'acquire', lock: `mmap_lock(${mm}):read` };
  const got = fast ? yield* getUserPagesFast(k, gup, addr, length) : yield* getUserPages(k, gup, addr, length);
  if (got === pagesIn(addr, length)) return { value: holder };
  removeHolder(k, holder);
  return fromKernel(-EFAULT);
}

/** The pin that argument 0 names. @throws InputError if there is none. */
function pinArg(k: Kernel, call: Call): number {
  const id = intArg(call, 0);
  if (k.view.holders[id]?.kind === HolderKind.pin) return id;
  throw new InputError({ line: call.operation.line }, `${call.name}: there is no pin ${id}`);
}

/** The pieces of [offset, offset + length) of what a pin covers, page by page. @throws InputError beyond its end. */
function* piecesOf(k: Kernel, call: Call, pin: number, offset: number, length: number): Generator<Held> {
  let at = 0;
  const end = offset + length;
  for (let i = 0; i < heldCount(k, pin) && at < end; i++) {
    const held = heldAt(k, pin, i);
    const from = Math.max(offset, at);
    const to = Math.min(end, at + held.length);
    if (from < to) yield { ...held, offset: held.offset + from - at, length: to - from };
    at += held.length;
  }
  if (at < end) throw new InputError({ line: call.operation.line }, `${call.name}: the pin covers ${at} bytes only`);
}

/** What a device reads through the pin: one byte, `mixed`, or `unknown`. */
export function doPinLoad(k: Kernel, call: Call): Got {
  let seen: number | null = null;
  for (const { pfn, offset, length } of piecesOf(k, call, pinArg(k, call), intArg(call, 1), intArg(call, 2, 1))) {
    const byte = pfn < 0 ? 0 : uniformByte(pageAt(k.view, pfn).content, offset, length);
    seen = seen === null ? byte : sameByte(seen, byte);
  }
  return seen !== null && seen >= 0 ? { value: seen } : { word: seen === -2 ? 'mixed' : 'unknown' };
}

/** A device writes through the pin. @throws InputError if it was not taken with FOLL_WRITE. */
export function doPinStore(k: Kernel, call: Call): Got {
  const pin = pinArg(k, call);
  if (((k.view.holders[pin] as HolderView).flags & FOLL_WRITE) === 0)
    throw new InputError({ line: call.operation.line }, `${call.name}: the pin was taken without FOLL_WRITE`);
  for (const { pfn, offset, length } of piecesOf(k, call, pin, intArg(call, 1), intArg(call, 3, 1)))
    if (pfn >= 0) k.emit({ type: 'PageWritten', pfn, offset, length, byte: intArg(call, 2) });
  return { value: 0 };
}

/** `unpin_user_pages_dirty_lock()`: pages that may have been written to are dirty from now on; then they go. */
export function doUnpin(k: Kernel, call: Call): Got {
  const pin = pinArg(k, call);
  releasePin(k, pin, ((k.view.holders[pin] as HolderView).flags & FOLL_WRITE) !== 0);
  return { value: 0 };
}

/** Gives back all pages of `pin`, with `dirty` after they were marked. */
export function releasePin(k: Kernel, pin: number, dirty: boolean): void {
  const written = dirty ? heldCount(k, pin) : 0;
  for (let i = 0; i < written; i++) {
    const { pfn } = heldAt(k, pin, i);
    if (pfn >= 0) markDirty(k, pfn);
  }
  removeHolder(k, pin);
}
