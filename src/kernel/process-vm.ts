// process_vm_readv(2) and process_vm_writev(2): mm/process_vm_access.c. The other process's pages are pinned while bytes are moved.
import { HolderKind } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { cIntArg, fromKernel, intArg } from './call.js';
import { FOLL_PIN, FOLL_TOUCH, FOLL_UNLOCKABLE, FOLL_WRITE, getUserPages } from './get-user-pages.js';
import { createHolder, heldAt, heldCount } from './holders.js';
import type { Iovec } from './iovec.js';
import { iovecs } from './iovec.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EFAULT, EINVAL, ESRCH, PAGE_SIZE } from './kernel.js';
import { releasePin } from './pins.js';
import { progress } from './read-write.js';
import { copyFromUserFaulting, copyToUser } from './uaccess.js';

/** Pages pinned at a time: what two pages of pointers hold. */
const PAGES_AT_ONCE = 1024;

/** The caller's buffers, as a stream. */
class Local {
  readonly #vectors: readonly Iovec[];
  #at = 0;
  #offset = 0;

  constructor(vectors: readonly Iovec[]) {
    this.#vectors = vectors;
    this.#skipEmpty();
  }
  get done(): boolean {
    return this.#at >= this.#vectors.length;
  }
  /** The next stretch of at most `length` bytes. */
  next(length: number): Iovec {
    const { base, length: whole } = this.#vectors[this.#at] as Iovec;
    return { base: base + this.#offset, length: Math.min(length, whole - this.#offset) };
  }
  advance(bytes: number): void {
    this.#offset += bytes;
    this.#skipEmpty();
  }
  #skipEmpty(): void {
    while (!this.done && this.#offset >= (this.#vectors[this.#at] as Iovec).length) {
      this.#at++;
      this.#offset = 0;
    }
  }
}

/** `process_vm_rw()`: a process that is gone is -ESRCH; bytes moved before an error count. */
export function* doProcessVm(k: Kernel, call: Call, write: boolean): KernelThread<Got> {
  if (intArg(call, 5, 0) !== 0) return fromKernel(-EINVAL);
  const vectors = iovecs(call, 1, 2);
  if (typeof vectors === 'number') return fromKernel(vectors);
  const local = new Local(vectors);
  if (local.done) return { value: 0 };
  const remote = iovecs(call, 3, 4, true);
  if (typeof remote === 'number') return fromKernel(remote);
  if (remote.every(({ length }) => length === 0)) return { value: 0 };
  const task = k.view.tasks[cIntArg(call, 0)];
  if (task === undefined || task.mm === 0) return fromKernel(-ESRCH);
  const { mm } = task;
  let total = 0;
  for (const { base, length } of remote) {
    if (local.done) break;
    if (length > PAGES_AT_ONCE * PAGE_SIZE) throw new NotModelledError(`${call.name} of more than 4 MiB at a time`);
    const { bytes, failed } = yield* singleVec(k, call.tid, mm, local, { base, length, write });
    total += bytes;
    if (failed) return total > 0 ? { value: total } : fromKernel(-EFAULT);
  }
  return { value: total };
}

/** `process_vm_rw_single_vec()`: pins what can be pinned, moves it, and fails where the rest should be. */
function* singleVec(
  k: Kernel,
  tid: number,
  mm: number,
  local: Local,
  { base, length, write }: Iovec & { readonly write: boolean },
): KernelThread<{ readonly bytes: number; readonly failed: boolean }> {
  let bytes = 0;
  while (bytes < length && !local.done) {
    const flags = FOLL_PIN | FOLL_TOUCH | FOLL_UNLOCKABLE | (write ? FOLL_WRITE : 0);
    const holder = createHolder(k, HolderKind.pin, tid, flags);
    const got = yield* getUserPages(k, { tid, mm, flags, holder }, base + bytes, length - bytes);
    let failed = got < 0;
    for (let i = 0; i < heldCount(k, holder) && !failed && !local.done; i++) {
      const { pfn, offset, length: part } = heldAt(k, holder, i);
      const moved = yield* movePage(k, tid, local, { pfn, offset, length: part, write });
      bytes += moved;
      failed = moved < part && !local.done;
    }
    releasePin(k, holder, write);
    if (failed) return { bytes, failed };
  }
  return { bytes, failed: false };
}

/** `process_vm_rw_pages()` for one page: as much as the caller's buffers take or give. */
function* movePage(
  k: Kernel,
  tid: number,
  local: Local,
  {
    pfn,
    offset,
    length,
    write,
  }: { readonly pfn: number; readonly offset: number; readonly length: number; readonly write: boolean },
): KernelThread<number> {
  let done = 0;
  while (done < length && !local.done) {
    const { base, length: room } = local.next(length - done);
    const moved = write
      ? yield* copyFromUserFaulting(k, tid, base, room, { pfn, offset: offset + done })
      : progress(yield* copyToUser(k, tid, base, room, { from: pfn, offset: offset + done }), base, room);
    done += moved;
    local.advance(moved);
    if (moved < room) break;
  }
  return done;
}
