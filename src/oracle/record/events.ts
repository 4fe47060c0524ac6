// Which events a recording needs, and what is lost without each.

interface WantedEvent {
  readonly name: string;
  /** Without it there is nothing to run. */
  readonly essential: boolean;
  /** perf's own are noise: it would record its writing of the recording, without end. */
  readonly withoutPerf: boolean;
  /** What a recording without it cannot tell. */
  readonly lost: string;
}

const event = (name: string, lost: string, essential = false, withoutPerf = true): WantedEvent => ({
  name,
  essential,
  withoutPerf,
  lost,
});

/** In the order in which perf is asked for them. */
export const WANTED_EVENTS: readonly WantedEvent[] = [
  event('exceptions:page_fault_user', 'faults of the program', true),
  event('exceptions:page_fault_kernel', 'faults of the kernel on the program’s memory', true),
  event('raw_syscalls:sys_enter', 'system calls', true),
  event('raw_syscalls:sys_exit', 'results of system calls', true),
  event('task:task_newtask', 'whether a new task shares its memory', true),
  event('sched:sched_process_exit', 'when tasks exit', true),
  event('sched:sched_process_fork', 'a second witness of forks'),
  event('sched:sched_process_exec', 'a second witness of execs'),
  // Also by perf, whose pages share the CPU's batches with those of the program.
  event(
    'pagemap:mm_lru_insertion',
    'when a page leaves its CPU’s batch (some reuses will be run as copies)',
    false,
    false,
  ),
  event('filemap:mm_filemap_map_pages', 'how far fault-around reached'),
  event('filemap:mm_filemap_add_to_page_cache', 'which file pages were read while recording'),
  event('filemap:mm_filemap_delete_from_page_cache', 'which file pages were dropped while recording', false, false),
  event('filemap:mm_filemap_fault', 'which faults cleared a readahead mark'),
  event('filemap:mm_filemap_get_pages', 'which reads cleared a readahead mark'),
  event('kmem:rss_stat', 'a judge of memory counters'),
  event('kmem:mm_page_alloc', 'a judge of frames taken'),
  event('kmem:mm_page_free', 'a judge of frames freed', false, false),
];

/** Divides the wanted events into those that `available` names and those it does not. */
export function chooseEvents(available: ReadonlySet<string>): {
  readonly chosen: readonly WantedEvent[];
  readonly missing: readonly WantedEvent[];
} {
  return {
    chosen: WANTED_EVENTS.filter(({ name }) => available.has(name)),
    missing: WANTED_EVENTS.filter(({ name }) => !available.has(name)),
  };
}

/** perf's arguments for `events`. */
export function eventArguments(events: readonly WantedEvent[]): string[] {
  return events.flatMap(({ name, withoutPerf }) => ['-e', name, ...(withoutPerf ? ['--exclude-perf'] : [])]);
}

/** Changes of the page cache alone: they are watched until the cache has been looked at, which is after everything else. */
export const cacheEventsOf = (events: readonly WantedEvent[]): readonly WantedEvent[] =>
  events.filter(({ name }) => /mm_filemap_(add_to|delete_from)_page_cache$/.test(name));
