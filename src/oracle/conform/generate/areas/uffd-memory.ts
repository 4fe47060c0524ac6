// What area uffd does with files in memory: mapped shared and privately, watched in every mode, filled by the monitor or by somebody else's mapping.
import { load, store } from '../access.js';
import type { Step } from '../area.js';
import { MAP, RW, isPrivateAnonymous, mmap } from '../calls.js';
import { mapFileShared } from '../mapping-steps.js';
import type { Draft, Range } from '../picture.js';
import { PAGE, anyPage } from '../places.js';
import type { Mapped } from '../space.js';
import { DESCRIPTOR_STEPS } from './mmap-descriptors.js';
import { allocate, mapSharedAnonymous, pageout } from './shmem.js';

/** Is it of a file in memory, or shared anonymous memory? */
const isMemory = ({ backing, shared }: Mapped): boolean =>
  backing === null ? shared : backing.kind === 'memfd' && backing.pool !== true;

/** What a userfaultfd may be asked to watch without being refused. */
export const isWatchable = (each: Mapped): boolean => isPrivateAnonymous(each) || isMemory(each);

/** Modes to register with: MISSING 1, WP 2, MINOR 4, which anonymous memory knows not. */
export function anyMode({ random, first }: Draft, start: number): number {
  const found = first.space.at(start);
  return found !== undefined && isMemory(found)
    ? random.pick([1, 1, 2, 3, 4, 4, 5, 6, 7])
    : random.pick([1, 1, 2, 3, 3]);
}

/** The same pages mapped twice. */
export interface Twice {
  /** Whole pages of the file, filled through here. */
  readonly plain: Range;
  /** Nothing of it is there yet. */
  readonly watched: Range;
  readonly fd: number;
}

/** One mapping nobody watches, through which pages are filled, and another one; null where there is no file for it. */
export function mapTwice(draft: Draft): Twice | null {
  const { random, first } = draft;
  const found = draft.fd(first, ({ backing, writable }) => backing.kind === 'memfd' && backing.bytes > 0 && writable);
  if (found === null) return null;
  const [fd, { backing }] = found;
  const length = PAGE * Math.min(4, Math.ceil(backing.bytes / PAGE));
  const [plain, watched] = [anyPage(random), anyPage(random)];
  mmap(draft, first, { addr: plain, length, prot: RW, flags: MAP.FIXED | MAP.SHARED, fd, offset: 0 });
  if (random.chance(70)) draft.add(first, 'store', plain, random.between(1, 255), random.pick([1, PAGE + 1, length]));
  const flags = MAP.FIXED | (random.chance(65) ? MAP.SHARED : MAP.PRIVATE);
  mmap(draft, first, { addr: watched, length, prot: RW, flags, fd, offset: 0 });
  return { plain: { start: plain, length }, watched: { start: watched, length }, fd };
}

export const MEMORY_STEPS: Readonly<Record<string, readonly [number, Step]>> = {
  mapMemory: [4, mapFileShared(65)],
  mapSharedAnonymous: [2, mapSharedAnonymous],
  mapTwice: [3, (draft) => mapTwice(draft) !== null],
  allocate: [2, allocate],
  pageout: [3, pageout],
  truncate: [2, (DESCRIPTOR_STEPS['truncateMemory'] as readonly [number, Step])[1]],
  storeMore: [3, store],
  loadMore: [3, load],
};
