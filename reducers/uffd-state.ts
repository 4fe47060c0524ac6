// The shape of what userfaultfd keeps: contexts, and who waits for them.
import type { KernelView } from './state.js';

/** Numbers of one waiting fault: task, address, UFFD_PAGEFAULT_FLAG_*, the task as its message has it. */
export const UFFD_WAITER = 4;

/** Numbers of one event that nobody read of: task, UFFD_EVENT_*, and its three numbers (events/userfaultfd.ts). */
export const UFFD_EVENT = 5;

/** `struct userfaultfd_ctx`. */
export interface Uffd {
  id: number;
  /** What its descriptors lead to. */
  inode: number;
  /** Address space that it watches. */
  mm: number;
  /** Of userfaultfd(2). */
  flags: number;
  /** UFFD_FEATURE_* asked for; -1 before the handshake. */
  features: number;
  /** 1: no descriptor leads to it any more. */
  released: number;
  /** Faults that wait and were not read of, the oldest first: UFFD_WAITER numbers each. */
  pending: number[];
  /** Faults that wait and were read of, in the order in which they were read. */
  read: number[];
  /** Events that tasks wait for somebody to read of, the oldest first: UFFD_EVENT numbers each. */
  events: number[];
  /** `mmap_changing`: tasks that change what it watches, one for each time. */
  changing: number[];
  /** Tasks that wait for something to read, in the order in which they came. */
  readers: number[];
}

/** Of a context that nobody waits for. */
export const emptyQueues = (): Pick<Uffd, 'pending' | 'read' | 'events' | 'changing' | 'readers'> => ({
  ...{ pending: [], read: [] },
  ...{ events: [], changing: [], readers: [] },
});

/** What is kept of all of them. */
export interface Uffds {
  /** Contexts by id; ids start at 1 and are never used again. */
  uffds: (Uffd | null)[];
}

export type UffdView = NonNullable<KernelView['uffds'][number]>;
