// Where workloads about huge pages work: a few aligned blocks of 2 MiB, and in them the places of smaller large folios.
import type { Draft, Range, Task } from './picture.js';
import { ARENA_START, PAGE, TABLE } from './places.js';
import type { Mapped } from './space.js';

const GIB = 2 ** 30;
/** Three blocks, and one a GiB further, to move to. */
export const BLOCKS: readonly number[] = [0, 1, 2].map((n) => ARENA_START + 8 * GIB + n * TABLE);
export const FAR_BLOCK = ARENA_START + 10 * GIB;
/** The same few pages of each block, so that operations meet. */
export const PAGES: readonly number[] = [0, 0, 1, 2, 3, 255, 256, 510, 511];

/** Pages that a large folio below 2 MiB may have, smaller ones more often. */
const SIZES: readonly number[] = [4, 4, 4, 8, 8, 16, 16, 32, 64, 128, 256];
/** Where in a block they are, mostly: two folios of the same size are next to each other. */
const PLACES: readonly number[] = [0, 0, 1, 2];

const isIn = (block: number, { start, end }: Mapped): boolean => start < block + TABLE && end > block;
export const anyBlock = ({ random }: Draft): number => (random.chance(90) ? random.pick(BLOCKS) : FAR_BLOCK);

/** A block of which something is mapped that fits; null for none. */
export function mappedBlock(draft: Draft, task: Task, fits: (mapped: Mapped) => boolean = () => true): number | null {
  const found = [...BLOCKS, FAR_BLOCK].filter((block) =>
    task.space.mapped.some((each) => isIn(block, each) && fits(each)),
  );
  return found.length === 0 ? null : draft.random.pick(found);
}

/** What one large folio may fill, somewhere in the block. */
export function sizedPart({ random }: Draft, block: number): Range {
  const pages = random.pick(SIZES);
  const place = Math.min(random.pick(PLACES), 512 / pages - 1);
  return { start: block + place * pages * PAGE, length: pages * PAGE };
}

/** The whole block, the place of a large folio in it, or a few pages. */
export function partOf(draft: Draft, block: number, wholePercent: number): Range {
  const { random } = draft;
  if (random.chance(wholePercent)) return random.chance(65) ? { start: block, length: TABLE } : sizedPart(draft, block);
  const page = random.pick(PAGES);
  return { start: block + page * PAGE, length: PAGE * random.between(1, Math.min(4, 512 - page)) };
}
