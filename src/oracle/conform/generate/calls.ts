// Calls on mappings with what they do to the picture: what areas build their steps from.
import type { Value } from '../../../workload/operation.js';
import type { Draft, Range, Task } from './picture.js';
import { ARENA_END, PAGE } from './places.js';
import type { Mapped } from './space.js';
import { accessibleEnd } from './space.js';

export const READ = 1;
export const WRITE = 2;
export const EXEC = 4;
export const RW = READ | WRITE;

export const MAP = {
  SHARED: 0x1,
  PRIVATE: 0x2,
  SHARED_VALIDATE: 0x3,
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  GROWSDOWN: 0x100,
  LOCKED: 0x2000,
  NORESERVE: 0x4000,
  POPULATE: 0x8000,
  NONBLOCK: 0x10000,
  STACK: 0x20000,
  FIXED_NOREPLACE: 0x100000,
} as const;
const MAP_TYPE = 0xf;

export { MADV } from '../../../kernel/madvise.js';
export const MREMAP = { MAYMOVE: 1, FIXED: 2, DONTUNMAP: 4 } as const;

const isAnonymous = ({ backing }: Mapped): boolean => backing === null;
export const isPrivate = ({ shared }: Mapped): boolean => !shared;
export const isReadable = (each: Mapped): boolean => (each.prot & READ) !== 0 && accessibleEnd(each) > each.start;
export const isWritable = (each: Mapped): boolean => (each.prot & WRITE) !== 0 && accessibleEnd(each) > each.start;
export const isUnlocked = ({ locked }: Mapped): boolean => !locked;
export const isLocked = ({ locked }: Mapped): boolean => locked;
export const isPrivateAnonymous = (each: Mapped): boolean => isPrivate(each) && isAnonymous(each);

/** Arguments of mmap(2). `length` beyond 2^53 is a bigint and never maps anything. */
export interface MmapArguments {
  /** 0 for NULL. */
  readonly addr: number;
  readonly length: number;
  readonly prot: number;
  readonly flags: number;
  /** -1 for none. */
  readonly fd: number;
  readonly offset: number;
}

/** mmap(2). The picture has it where the arguments make sense. */
export function mmap(draft: Draft, task: Task, call: MmapArguments): void {
  const { addr, length, prot, flags, fd, offset } = call;
  draft.add(task, 'mmap', addr === 0 ? null : addr, length, prot, flags, fd, offset);
  const anonymous = (flags & MAP.ANONYMOUS) !== 0;
  const opened = anonymous ? undefined : task.files.get(fd);
  if (!anonymous && opened === undefined) return;
  const shared = (flags & MAP_TYPE) !== MAP.PRIVATE;
  const mayWrite = !shared || opened === undefined || opened.writable;
  const fixed = (flags & (MAP.FIXED | MAP.FIXED_NOREPLACE)) !== 0;
  if (length === 0 || addr % PAGE !== 0 || offset % PAGE !== 0 || (!mayWrite && (prot & WRITE) !== 0)) return;
  const bytes = Math.ceil(length / PAGE) * PAGE;
  const { space } = task;
  const isFree = addr !== 0 && space.isFree(addr, addr + bytes);
  if ((flags & MAP.FIXED_NOREPLACE) !== 0 && !isFree) return;
  const start = fixed || isFree ? addr : space.topDown(bytes);
  space.map({
    start,
    end: start + bytes,
    prot: prot & (RW | EXEC),
    shared,
    mayWrite,
    backing: opened?.backing ?? null,
    offset,
    locked: (flags & MAP.LOCKED) !== 0,
    growsDown: (flags & MAP.GROWSDOWN) !== 0,
  });
}

/** Anonymous memory at a fixed place. */
export const mapFixed = (draft: Draft, task: Task, { start, length }: Range, prot: number, type: number): void =>
  mmap(draft, task, { addr: start, length, prot, flags: type | MAP.FIXED | MAP.ANONYMOUS, fd: -1, offset: 0 });

export function munmap(draft: Draft, task: Task, { start, length }: Range): void {
  draft.add(task, 'munmap', start, length);
  if (start % PAGE === 0) task.space.unmap(start, Math.ceil((start + length) / PAGE) * PAGE);
}

/** mprotect(2). The picture does not know of a protection that the mapping may not have. */
export function mprotect(draft: Draft, task: Task, { start, length }: Range, prot: number): void {
  draft.add(task, 'mprotect', start, length, prot);
  const end = Math.ceil((start + length) / PAGE) * PAGE;
  if (start % PAGE !== 0 || (prot & ~(RW | EXEC)) !== 0) return;
  for (const each of task.space.within(start, end)) {
    if ((prot & WRITE) !== 0 && !each.mayWrite) return;
    task.space.change(each.start, each.end, { prot });
  }
}

export const madvise = (draft: Draft, task: Task, { start, length }: Range, advice: number): void =>
  draft.add(task, 'madvise', start, length, advice);

/** mlock, mlock2 (with flags) and munlock. */
export function mlock(draft: Draft, task: Task, { start, length }: Range, locked: boolean, flags?: number): void {
  if (flags === undefined) draft.add(task, locked ? 'mlock' : 'munlock', start, length);
  else draft.add(task, 'mlock2', start, length, flags);
  task.space.change(Math.floor(start / PAGE) * PAGE, Math.ceil((start + length) / PAGE) * PAGE, { locked });
}

/** Arguments of mremap(2); `to` only where the flags name a place. */
export interface MremapArguments {
  readonly from: number;
  readonly oldLength: number;
  readonly newLength: number;
  readonly flags: number;
  readonly to?: number;
}

/** mremap(2) with page-aligned arguments. Never grows beyond the arena: what lies there may be the real process itself. */
export function mremap(draft: Draft, task: Task, call: MremapArguments): void {
  const { from, flags, to } = call;
  const oldLength = Math.min(call.oldLength, ARENA_END - from);
  const newLength = Math.min(call.newLength, ARENA_END - from);
  const args: readonly Value[] = to === undefined ? [] : [to];
  draft.add(task, 'mremap', from, oldLength, newLength, flags, ...args);
  const { space } = task;
  const mapped = space.at(from);
  if (mapped === undefined) return;
  const end = from + oldLength;
  const named = (flags & (MREMAP.FIXED | MREMAP.DONTUNMAP)) !== 0;
  if (!named && newLength <= oldLength) return newLength === 0 ? undefined : space.unmap(from + newLength, end);
  if (!named && mapped.end === end && space.isFree(end, from + newLength)) {
    space.map({ ...mapped, start: end, end: from + newLength, offset: mapped.offset + end - mapped.start });
    return;
  }
  const mayMove = (flags & MREMAP.MAYMOVE) !== 0;
  const keepsOld = (flags & MREMAP.DONTUNMAP) !== 0 || oldLength === 0;
  if (!mayMove || newLength === 0 || (oldLength === 0 && !mapped.shared)) return;
  const target = (flags & MREMAP.FIXED) !== 0 && to !== undefined ? to : space.topDown(newLength);
  if (target < from + Math.max(oldLength, newLength) && from < target + newLength) return;
  space.move(from, Math.min(oldLength, newLength), target, keepsOld);
  if (newLength < oldLength) space.unmap(from, end);
  if (newLength > oldLength) {
    const offset = mapped.offset + (end - mapped.start);
    space.map({ ...mapped, start: target + oldLength, end: target + newLength, offset });
  }
}
