// What of a workload's memory KSM may have merged, and whether bytes of files are among it. Calls may fail, and mappings go again: what a call ever named
// counts, so that the answer errs on one side only.
import { MADV, MAP, MREMAP } from './calls.js';
import type { Draft, Range } from './picture.js';
import { ARENA_END, PAGE, REGIONS, REGION_PAGES } from './places.js';

/** Where the kernel places what names no place. */
const ELSEWHERE: Range = {
  start: REGIONS[1] + REGION_PAGES * PAGE,
  length: ARENA_END - REGIONS[1] - REGION_PAGES * PAGE,
};
/** Reads whose buffers then hold what a file held. */
const READS: ReadonlySet<string> = new Set(['read', 'pread64']);
/** Copies from one piece of memory to another. */
const COPIES: ReadonlySet<string> = new Set([
  'process_vm_readv',
  'process_vm_writev',
  'io_uring_read_fixed',
  'pwrite64',
]);

const overlaps = (a: Range, b: Range): boolean => a.start < b.start + b.length && b.start < a.start + a.length;

interface Memory {
  /** Advised MADV_MERGEABLE, or moved from there. */
  readonly mergeable: readonly Range[];
  /** May hold bytes that came from a file. */
  readonly foreign: readonly Range[];
}

function memoryOf({ operations }: Draft): Memory {
  const mergeable: Range[] = [];
  const foreign: Range[] = [];
  for (const { name, args } of operations) {
    const [start = 0, length = 0, third = 0, flags = 0, target = 0] = args.map((each) =>
      typeof each === 'number' ? each : 0,
    );
    const range = { start, length: Math.max(length, 1) + PAGE };
    if (name === 'madvise' && third === MADV.MERGEABLE) mergeable.push(range);
    if (name === 'mmap' && (flags & (MAP.ANONYMOUS | MAP.SHARED)) === 0) foreign.push(start === 0 ? ELSEWHERE : range);
    if (READS.has(name)) foreign.push({ start: length, length: Math.max(third, 1) });
    if (COPIES.has(name) && foreign.length > 0) foreign.push({ start: 0, length: ARENA_END });
    if (name !== 'mremap') continue;
    const to = (flags & MREMAP.FIXED) === 0 ? ELSEWHERE : { start: target, length: Math.max(third, 1) + PAGE };
    // A move leaves the old place as it was, or grows in place.
    const grown = { start, length: Math.max(length, third) + PAGE };
    if (mergeable.some((each) => overlaps(each, range))) mergeable.push(to, grown);
    if (foreign.some((each) => overlaps(each, range))) foreign.push(to, grown);
  }
  return { mergeable, foreign };
}

/** Would a scan meet bytes of files, which the model does not know? */
export function scanMeetsFiles(draft: Draft): boolean {
  const { mergeable, foreign } = memoryOf(draft);
  return mergeable.some((each) => foreign.some((other) => overlaps(each, other)));
}
