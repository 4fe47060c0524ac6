// What programs may rely on when they read memory: an account of bytes that knows mappings and fork, but neither pages nor faults.
import { ARENA, FILE_FD, MEMFD_FD } from './arbitrary-workload.js';
import type { Got } from '../../src/kernel/call.js';
import type { Operation } from '../../src/workload/operation.js';

const PAGE = 4096;
/** A byte that nobody promises anything about. */
export const UNKNOWN = -1;

/** Bytes by offset; `rest` is what all others are. */
interface Bytes {
  readonly written: Map<number, number>;
  readonly rest: number;
}

/** What mappings share: a file, a memfd, shared anonymous memory. */
interface Shared {
  readonly pages: Map<number, Bytes>;
  readonly rest: number;
}

/** One mapped page of one process. */
interface Mapped {
  readonly object: Shared | null;
  readonly index: number;
  readonly isPrivate: boolean;
  readonly growsDown: boolean;
  /** The process's own bytes, once it has any. */
  own: Bytes | null;
  /** The kernel may or may not have given it a page of its own already. */
  unsure: boolean;
  dontFork: boolean;
  wipeOnFork: boolean;
}

type Space = Map<number, Mapped>;

const copyOf = (bytes: Bytes): Bytes => ({ written: new Map(bytes.written), rest: bytes.rest });
const byteOf = (bytes: Bytes, offset: number): number => bytes.written.get(offset) ?? bytes.rest;

const MAP_SHARED = 1;
const MAP_ANONYMOUS = 0x20;
const MAP_GROWSDOWN = 0x100;
/** MAP_LOCKED, MAP_POPULATE. */
const MAP_FAULTS_IN = 0xa000;
const MREMAP_FIXED = 2;
const MREMAP_DONTUNMAP = 4;
const MADV = { DONTNEED: 4, FREE: 8, DONTFORK: 10, DOFORK: 11, WIPEONFORK: 18, KEEPONFORK: 19, POPULATE_WRITE: 23 };
const MADV_DONTNEED_LOCKED = 24;

/** The bytes of several processes, told operation by operation what succeeded. */
export class ExpectedMemory {
  readonly #spaces = new Map<number, Space>([[1, new Map()]]);
  readonly #memfd: Shared = { pages: new Map(), rest: 0 };
  readonly #file: Shared = { pages: new Map(), rest: UNKNOWN };

  /** What a load at `addr` gives: a byte, UNKNOWN, or null where nothing is mapped. */
  load(pid: number, addr: number): number | null {
    const page = this.#space(pid).get(Math.floor(addr / PAGE));
    if (page === undefined) return null;
    const offset = addr % PAGE;
    if (page.own !== null) return byteOf(page.own, offset);
    if (page.unsure) return UNKNOWN;
    return page.object === null ? 0 : byteOf(bytesAt(page.object, page.index), offset);
  }

  /** Takes note of `operation`, which ended with `got`. */
  after(operation: Operation, got: Got): void {
    const { name } = operation;
    const pid = operation.pid as number;
    const space = this.#space(pid);
    const args = (operation.args as readonly (number | bigint)[]).map(Number);
    const ok = got !== null && 'value' in got;
    const [addr = 0, length = 0] = args;
    const vpn = Math.floor(addr / PAGE);
    const pages = Math.min(Math.ceil(length / PAGE), 2 ** 30);
    if (name === 'exit_group') this.#spaces.delete(pid);
    else if (name === 'fork' && ok) this.#spaces.set(got.value, forked(space));
    else if (name === 'mmap' && ok) this.#mmap(space, vpn, pages, args);
    else if (name === 'munmap' && ok) removePages(space, vpn, pages);
    else if (name === 'mremap') this.#mremap(space, vpn, pages, args, got);
    else if (name === 'madvise') madvise(space, vpn, pages, args[2] as number, ok);
    else if (name.startsWith('mlock') || name === 'mprotect') makeUnsure(space, vpn, pages + 1);
    else if (name === 'ftruncate' && ok) this.#truncate(addr === MEMFD_FD ? this.#memfd : this.#file, length);
    else if ((name === 'store' || name === 'load') && (ok || (got !== null && 'word' in got))) {
      if (!space.has(vpn)) growDown(space, vpn);
      if (name === 'store') store(space.get(vpn) as Mapped, addr % PAGE, args[1] as number);
    }
  }

  #space(pid: number): Space {
    return this.#spaces.get(pid) as Space;
  }

  #mmap(space: Space, vpn: number, pages: number, args: readonly number[]): void {
    const flags = args[3] as number;
    const anonymous = (flags & MAP_ANONYMOUS) !== 0;
    const isPrivate = (flags & MAP_SHARED) === 0;
    const shared: Shared = { pages: new Map(), rest: 0 };
    const fd = args[4] as number;
    const byFd = fd === MEMFD_FD ? this.#memfd : fd === FILE_FD ? this.#file : { pages: new Map(), rest: UNKNOWN };
    const object = anonymous ? (isPrivate ? null : shared) : byFd;
    const first = anonymous ? 0 : (args[5] as number) / PAGE;
    removePages(space, vpn, pages);
    // Sparse: nobody looks further than the workload's own pages.
    for (let i = 0; i < Math.min(pages, 4096); i++)
      space.set(vpn + i, {
        object,
        index: first + i,
        isPrivate,
        growsDown: (flags & MAP_GROWSDOWN) !== 0,
        own: null,
        unsure: isPrivate && object !== null && (flags & MAP_FAULTS_IN) !== 0,
        dontFork: false,
        wipeOnFork: false,
      });
  }

  #mremap(space: Space, vpn: number, oldPages: number, args: readonly number[], got: Got): void {
    const [, , newBytes = 0, flags = 0, newAddr = 0] = args;
    const newPages = Math.ceil(newBytes / PAGE);
    if (got === null || !('value' in got)) {
      // Some of several VMAs may have moved, and what was at the target be gone.
      forget(space, vpn, oldPages);
      if ((flags & MREMAP_FIXED) !== 0) forget(space, Math.floor(newAddr / PAGE), newPages);
      return;
    }
    const to = got.value / PAGE;
    const kept = Math.min(oldPages, newPages);
    if (!space.has(vpn)) growDown(space, vpn);
    const first = space.get(vpn) as Mapped;
    if (to === vpn) {
      removePages(space, vpn + newPages, oldPages - newPages);
      for (let i = kept; i < newPages; i++) space.set(vpn + i, grownFrom(space.get(vpn + i - 1) as Mapped, 1));
      return;
    }
    const moved = Array.from({ length: kept }, (_, i) => space.get(vpn + i));
    const keepsSource = (flags & MREMAP_DONTUNMAP) !== 0 || oldPages === 0;
    removePages(space, vpn + kept, oldPages - kept);
    for (let i = 0; i < newPages; i++) if (i >= kept || moved[i] !== undefined) space.delete(to + i);
    moved.forEach((page, i) => {
      if (page === undefined) return;
      space.set(to + i, page);
      if (keepsSource) space.set(vpn + i, { ...page, own: null, unsure: false });
      else space.delete(vpn + i);
    });
    if (newPages > kept && kept === 0) space.set(to, { ...first, own: null });
    for (let i = Math.max(kept, 1); i < newPages; i++) space.set(to + i, grownFrom(space.get(to + i - 1) as Mapped, 1));
  }

  #truncate(object: Shared, size: number): void {
    const pages = Math.ceil(size / PAGE);
    for (const index of [...object.pages.keys()]) if (index >= pages) object.pages.delete(index);
    for (const space of this.#spaces.values())
      for (const page of space.values()) if (page.object === object && page.index >= pages) page.own = null;
    if (size % PAGE === 0) return;
    const last = bytesAt(object, pages - 1);
    for (const offset of [0, 16, 4095]) if (offset >= size % PAGE) last.written.set(offset, object.rest);
  }
}

function bytesAt(object: Shared, index: number): Bytes {
  let found = object.pages.get(index);
  if (found === undefined) object.pages.set(index, (found = { written: new Map(), rest: object.rest }));
  return found;
}

const grownFrom = (page: Mapped, by: number): Mapped => ({
  ...page,
  index: page.index + by,
  own: null,
  unsure: page.isPrivate && page.object !== null,
});

function removePages(space: Space, vpn: number, pages: number): void {
  for (const each of [...space.keys()]) if (each >= vpn && each < vpn + pages) space.delete(each);
}

function inRange(space: Space, vpn: number, pages: number): Mapped[] {
  return [...space].filter(([each]) => each >= vpn && each < vpn + pages).map(([, page]) => page);
}

/** Nothing is promised about these pages any more, not even that they are there. */
function forget(space: Space, vpn: number, pages: number): void {
  for (const page of inRange(space, vpn, pages)) page.own = { written: new Map(), rest: UNKNOWN };
}

/** Private pages of files may have been copied by the kernel on its own account. */
function makeUnsure(space: Space, vpn: number, pages: number): void {
  for (const page of inRange(space, vpn, pages)) if (page.isPrivate && page.object !== null) page.unsure = true;
}

function store(page: Mapped, offset: number, byte: number): void {
  if (!page.isPrivate) return void bytesAt(page.object as Shared, page.index).written.set(offset, byte);
  if (page.own === null) {
    if (page.unsure) page.own = { written: new Map(), rest: UNKNOWN };
    else page.own = page.object === null ? { written: new Map(), rest: 0 } : copyOf(bytesAt(page.object, page.index));
  }
  page.own.written.set(offset, byte);
}

function madvise(space: Space, vpn: number, pages: number, advice: number, ok: boolean): void {
  if (advice === MADV.POPULATE_WRITE) return makeUnsure(space, vpn, pages);
  for (const page of inRange(space, vpn, pages)) {
    if (advice === MADV.DONTNEED || advice === MADV_DONTNEED_LOCKED) {
      if (!ok) page.own = { written: new Map(), rest: UNKNOWN };
      else if (page.isPrivate) {
        page.own = null;
        page.unsure = false;
      }
    } else if (!ok && advice >= MADV.DONTFORK) {
      // It stopped somewhere; what a child gets is open.
      page.unsure = true;
      if (page.own !== null) page.own = { written: new Map(), rest: UNKNOWN };
      else if (page.isPrivate) page.own = { written: new Map(), rest: UNKNOWN };
    } else if (advice === MADV.DONTFORK) page.dontFork = true;
    else if (advice === MADV.DOFORK) page.dontFork = false;
    else if (advice === MADV.WIPEONFORK) page.wipeOnFork = true;
    else if (advice === MADV.KEEPONFORK) page.wipeOnFork = false;
  }
}

function forked(parent: Space): Space {
  const child: Space = new Map();
  for (const [vpn, page] of parent) {
    if (page.dontFork) continue;
    const own = page.own === null || page.wipeOnFork ? null : copyOf(page.own);
    child.set(vpn, { ...page, own, unsure: page.unsure && !page.wipeOnFork });
  }
  return child;
}

/** An access below a mapping that grows down succeeded: it now begins there. */
function growDown(space: Space, vpn: number): void {
  let above = vpn;
  while (!space.has(above)) {
    above++;
    if (above > ARENA / PAGE + 4096) throw new Error(`page ${vpn} is accessible, but nothing maps it`);
  }
  const from = space.get(above) as Mapped;
  for (let each = vpn; each < above; each++) space.set(each, { ...from, own: null });
}
