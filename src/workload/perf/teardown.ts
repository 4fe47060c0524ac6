// When does a teardown let go of its pages? No line a model may read says so: unmapping an address space is silent, and its pages'
// references are dropped some time later in the same call. Meanwhile another task that writes to a shared page copies it where
// it could have reused it. These estimates were fitted to 150 teardowns of recordings made with the recipe of docs/recordings.md;
// they decide only which of two close events comes first.

const US = 1000;
/** From sched_process_exit to the first freed page: fixed part, per range of file pages mapped, per page written. */
const EXIT_FIXED = 35 * US;
const EXIT_PER_RANGE = 0.85 * US;
const EXIT_PER_PAGE = 0.05 * US;
/** Half of the time in which an ordinary process' pages are freed. */
const HALF_RELEASE = 12 * US;
/** From the last freed page to PERF_RECORD_COMM exec. */
const EXEC_FIXED = 4 * US;

/** What is known of an address space's size from its faults. */
export interface MmSize {
  /** Write faults: pages of its own. */
  writes: number;
  /** Ranges of file pages that faults mapped. */
  ranges: number;
}

/** Nanoseconds from sched_process_exit to the middle of the phase in which references are dropped. */
export function exitReleaseDelay(size: MmSize): number {
  return EXIT_FIXED + size.ranges * EXIT_PER_RANGE + size.writes * EXIT_PER_PAGE + HALF_RELEASE;
}

/** Nanoseconds from the middle of that phase to PERF_RECORD_COMM exec. */
export const EXEC_RELEASE_LEAD = EXEC_FIXED + 1.5 * HALF_RELEASE;

interface Due {
  readonly time: number;
  readonly act: () => void;
}

/** Things to do at recorded times that no record marks. */
export class Schedule {
  #due: Due[] = [];

  /** Does `act` before the first record at or after `time` (nanoseconds). */
  at(time: number, act: () => void): void {
    const before = this.#due.findIndex((each) => each.time > time);
    this.#due.splice(before < 0 ? this.#due.length : before, 0, { time, act });
  }

  /** Everything due by `time`, in order. */
  runUntil(time: number): void {
    while (this.#due.length > 0 && (this.#due[0] as Due).time <= time) (this.#due.shift() as Due).act();
  }
}
