// Calls of area mmap that make no sense. Each fails before it does anything, or stays inside the arena; so none can hurt the real process.
import type { Random } from '../../../../lib/random.js';
import type { Value } from '../../../../workload/operation.js';
import type { Step } from '../area.js';
import { MAP, RW } from '../calls.js';
import type { Opened } from '../picture.js';
import { FD_MAX } from '../picture.js';
import { PAGE, REGIONS, anyPage, someBytes } from '../places.js';

/** Lengths that reach beyond every address a program has. */
const TOO_LONG: readonly (number | bigint)[] = [2 ** 47, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 4096n];
const ANONYMOUS = MAP.PRIVATE | MAP.ANONYMOUS;

/** What a form may ask: chance, and the task's descriptors. */
interface Means {
  readonly random: Random;
  readonly files: ReadonlyMap<number, Opened>;
}
type Senseless = (means: Means, addr: number, bytes: number) => readonly [string, ...Value[]];

/** Half a TiB of writable private memory: no machine that runs this has it, and it would still lie in the arena. */
const TOO_MUCH = 2 ** 39;

const FORMS: readonly Senseless[] = [
  // Nothing at all.
  (_, addr) => ['mmap', addr, 0, RW, ANONYMOUS | MAP.FIXED, -1, 0],
  (_, addr) => ['munmap', addr, 0],
  (_, addr) => ['mprotect', addr, 0, RW],
  (_, addr) => ['mremap', addr, PAGE, 0, 1],
  (_, addr) => ['madvise', addr, 0, 4],
  (_, addr) => ['mlock', addr, 0],
  (_, addr) => ['msync', addr, 0, 4],
  // Not on a page.
  (_, addr, bytes) => ['mmap', addr + 8, bytes, RW, ANONYMOUS | MAP.FIXED, -1, 0],
  (_, addr, bytes) => ['munmap', addr + 8, bytes],
  (_, addr, bytes) => ['mprotect', addr + 8, bytes, RW],
  (_, addr, bytes) => ['mremap', addr + 8, bytes, bytes, 1],
  (_, addr, bytes) => ['mremap', addr, bytes, bytes, 3, anyAddress(addr) + 8],
  (_, addr, bytes) => ['madvise', addr + 8, bytes, 4],
  (_, addr, bytes) => ['msync', addr + 8, bytes, 4],
  (_, addr, bytes) => ['mincore', addr + 8, bytes],
  ({ files }, addr, bytes) => ['mmap', addr, bytes, RW, MAP.PRIVATE | MAP.FIXED, lowestFd(files), 100],
  // Parts of a page count as a whole one.
  (_, addr, bytes) => ['munmap', addr, bytes - 100],
  (_, addr, bytes) => ['madvise', addr, bytes - 4095, 4],
  (_, addr, bytes) => ['mremap', addr, bytes - 100, bytes, 1],
  // Beyond the end of addresses.
  ({ random }, addr) => ['mmap', addr, random.pick(TOO_LONG), RW, ANONYMOUS | MAP.FIXED, -1, 0],
  ({ random }) => ['mmap', null, random.pick(TOO_LONG), RW, ANONYMOUS, -1, 0],
  ({ random }, addr) => ['munmap', addr, random.pick(TOO_LONG)],
  ({ random }, addr, bytes) => ['mremap', addr, bytes, random.pick(TOO_LONG), 1],
  ({ random }, addr) => ['mprotect', addr, random.pick(TOO_LONG.slice(2)), RW],
  ({ random }, addr) => ['madvise', addr, random.pick(TOO_LONG.slice(2)), 4],
  ({ random }, addr) => ['msync', addr, random.pick(TOO_LONG.slice(2)), 4],
  // More than there is. What lay there is cut off or gone by then.
  () => ['mmap', REGIONS[0], TOO_MUCH, RW, ANONYMOUS | MAP.FIXED, -1, 0],
  () => ['mmap', REGIONS[0], TOO_MUCH, RW, MAP.SHARED | MAP.ANONYMOUS | MAP.FIXED, -1, 0],
  // Flags that do not exist or do not go together.
  (_, addr, bytes) => ['mmap', addr, bytes, RW, MAP.ANONYMOUS | MAP.FIXED, -1, 0],
  (_, addr, bytes) => ['mmap', addr, bytes, RW, MAP.SHARED | MAP.ANONYMOUS | MAP.FIXED | MAP.GROWSDOWN, -1, 0],
  ({ random }, addr, bytes) => ['madvise', addr, bytes, random.pick([5, 6, 7, 77, 1000])],
  ({ random }, addr, bytes) => ['msync', addr, bytes, random.pick([3, 7, 8, 5])],
  ({ random }, addr, bytes) => ['mlock2', addr, bytes, random.pick([2, 3, 256])],
  ({ random }, addr, bytes) => ['mremap', addr, bytes, bytes, random.pick([2, 4, 6, 8, 16]), anyAddress(addr)],
  // Onto itself.
  (_, addr, bytes) => ['mremap', addr, bytes, bytes, 3, addr],
  () => ['mremap', REGIONS[0], 2 * PAGE, 2 * PAGE, 3, REGIONS[0] + PAGE],
  // Nothing behind the descriptor.
  ({ random }, addr, bytes) => ['mmap', addr, bytes, RW, MAP.PRIVATE | MAP.FIXED, random.pick([-1, FD_MAX + 1]), 0],
  () => ['close', FD_MAX + 1],
  () => ['dup', FD_MAX + 1],
  () => ['ftruncate', FD_MAX + 1, PAGE],
  () => ['fallocate', FD_MAX + 1, 0, 0, PAGE],
  ({ files }) => ['fallocate', lowestFd(files), 0, 0, 0],
  ({ files }) => ['fallocate', lowestFd(files), 0, -PAGE, PAGE],
  ({ files }) => ['ftruncate', lowestFd(files), -1],
  ({ files }) => ['dup2', lowestFd(files), -1],
  ({ files }) => ['dup3', lowestFd(files), lowestFd(files), 0],
  // Open, but not for that.
  ({ files }) => ['ftruncate', readOnlyFd(files), PAGE],
  ({ files }) => ['fallocate', readOnlyFd(files), 0, 0, PAGE],
  ({ files }, addr, bytes) => ['mmap', addr, bytes, RW, MAP.SHARED | MAP.FIXED, readOnlyFd(files), 0],
];

const anyAddress = (addr: number): number => (addr >= REGIONS[1] ? REGIONS[0] : REGIONS[1]);
/** A descriptor that may only read; one that leads nowhere if there is none. */
const readOnlyFd = (files: ReadonlyMap<number, Opened>): number =>
  [...files].find(([, { writable }]) => !writable)?.[0] ?? FD_MAX + 1;
const lowestFd = (files: ReadonlyMap<number, unknown>): number => Math.min(FD_MAX + 1, ...files.keys());

/** One call that makes no sense, on something mapped if there is any. */
export const senseless: Step = (draft) => {
  const { random } = draft;
  const task = draft.anyTask();
  const range = draft.pages(task) ?? { start: anyPage(random), length: someBytes(random) };
  const [name, ...args] = random.pick(FORMS)({ random, files: task.files }, range.start, range.length);
  draft.add(task, name, ...args);
  return true;
};
