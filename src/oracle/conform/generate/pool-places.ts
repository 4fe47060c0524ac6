// Where workloads about the hugetlb pool work: a row of huge pages, of which mappings have a few each, and meet.
import type { Draft, Range, Task } from './picture.js';
import { ARENA_START, TABLE } from './places.js';
import type { Mapped } from './space.js';

const GIB = 2 ** 30;
export const FIRST = ARENA_START + 6 * GIB;
export const PLACES = 10;
const LAST = FIRST + PLACES * TABLE;

const isHere = ({ start, end }: Mapped): boolean => start >= FIRST && end <= LAST;

/** One to four huge pages somewhere in the row. */
export function anyPlaces({ random }: Draft): Range {
  const pages = random.between(1, 4);
  return { start: FIRST + TABLE * random.below(PLACES - pages + 1), length: pages * TABLE };
}

/** A huge page of one of these mappings. */
export function pageOf(draft: Draft, task: Task, fits: (mapped: Mapped) => boolean): number | null {
  const { random } = draft;
  if (random.chance(4)) return FIRST + TABLE * random.below(PLACES);
  const found = task.space.mapped.filter((each) => isHere(each) && fits(each));
  if (found.length === 0) return null;
  const { start, end } = random.pick(found);
  const first = start - (start % TABLE);
  return first + TABLE * random.below(Math.ceil((end - first) / TABLE));
}
