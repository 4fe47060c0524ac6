// Where generated workloads work: the arena, and the few pages of it on which operations collide.
import type { Random } from '../../../lib/random.js';

export const PAGE = 4096;
/** Bytes that one page table maps. */
export const TABLE = 2 * 1024 * 1024;
/** The addresses that workloads may touch, [start, end): a TiB that nothing else of the real process uses. */
export const ARENA_START = 0x100000000000;
/** Also where mappings without a wish for an address are placed, from here downwards. */
export const ARENA_END = 0x110000000000;

const GIB = 2 ** 30;
/** Pages of a region, six of them before the end of a page table. */
export const REGION_PAGES = 14;
const BEFORE_TABLE_END = 6;
const region = (tableEnd: number): number => tableEnd - BEFORE_TABLE_END * PAGE;
/** Two stretches of pages a GiB apart, so that they share no table below the third level. */
export const REGIONS: readonly [number, number] = [
  region(ARENA_START + GIB + TABLE),
  region(ARENA_START + 2 * GIB + TABLE),
];
/** Places for mappings of two whole page tables. */
export const WIDE_PLACES: readonly number[] = [0, 4, 8].map((tables) => ARENA_START + 4 * GIB + tables * TABLE);
export const WIDE_BYTES = 2 * TABLE;

/** The region that most operations are about. */
export const anyRegion = (random: Random): number => REGIONS[random.chance(88) ? 0 : 1];

/** Start of a page of a region; those around the table's end more often. */
export function anyPage(random: Random): number {
  const index = random.chance(45)
    ? random.between(BEFORE_TABLE_END - 2, BEFORE_TABLE_END + 1)
    : random.below(REGION_PAGES);
  return anyRegion(random) + index * PAGE;
}

/** A few pages, in bytes. */
export const someBytes = (random: Random): number =>
  PAGE * (random.chance(80) ? random.between(1, 4) : random.between(5, 9));
