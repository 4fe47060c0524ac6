// Who sleeps for a userfaultfd, in a fault that it watches for or until somebody reads of what it does, since when, and what would end it. A view of
// history: no state tells since when.
import { UFFD_EVENT, UFFD_WAITER } from '../reducers/uffd-state.js';
import type { HistoryProjection, OperationInfo } from './projection.js';

const UFFD_EVENT_FORK = 0x13;
const FLAG_WRITE = 1;
const FLAG_WP = 2;
const FLAG_MINOR = 4;

/** Calls that end a wait, if they reach its page: of a page that is not there, and of one that is protected. */
const ENDS_MISSING = ['UFFDIO_COPY', 'UFFDIO_ZEROPAGE', 'UFFDIO_POISON', 'UFFDIO_MOVE', 'UFFDIO_UNREGISTER'];
/** Of a page that its file has and that is not mapped. */
const ENDS_MINOR = ['UFFDIO_CONTINUE', 'UFFDIO_POISON'];
const ENDS_WP = ['UFFDIO_WRITEPROTECT with mode 0'];
const ENDS_EVENT = ['read of its message', 'close of the last descriptor'];
const ENDS_ALL = ['UFFDIO_WAKE', 'close of the last descriptor'];

/** What a task does that sleeps until somebody has read of it, by UFFD_EVENT_*. */
const DOES: Readonly<Record<number, string>> = {
  0x13: 'fork',
  0x14: 'move of a mapping',
  0x15: 'discarding of memory',
  0x16: 'unmapping',
};

/** A task that sleeps. */
export interface Userfault {
  readonly task: number;
  /** Of the page, or where what it changes begins. */
  readonly addr: number;
  /** UFFD_PAGEFAULT_FLAG_*. */
  readonly flags: number;
  /** UFFD_EVENT_* that it waits with; 0 in a fault. */
  readonly event: number;
  /** Number of the event that put it to sleep, and what it was doing; null if that was before the history begins. */
  readonly since: { readonly event: number; readonly line: number; readonly operation: string } | null;
  /** Did the monitor read of it? */
  read: boolean;
}

/** A context; those who were read of last come last. */
export interface UserfaultQueue {
  readonly uffd: number;
  readonly mm: number;
  inode: number;
  waits: Userfault[];
}

/** The live view. */
export interface Userfaults {
  readonly queues: Map<number, UserfaultQueue>;
  /** Inode behind each descriptor, by task group. */
  readonly fds: Map<number, Map<number, number>>;
  operation: OperationInfo | null;
}

/** Where tasks sleep, as it is printed. */
export interface UserfaultView {
  readonly uffd: number;
  readonly mm: number;
  /** Descriptors that lead to it: who can end the waits. */
  readonly monitors: readonly { readonly tgid: number; readonly fd: number }[];
  readonly waits: readonly {
    readonly task: number;
    readonly addr: number;
    readonly access: string;
    readonly since: Userfault['since'];
    readonly read: boolean;
    readonly endedBy: readonly string[];
  }[];
}

/** What a task waits with. */
function accessOf({ flags, event }: Userfault): string {
  if (event !== 0) return DOES[event] ?? `event ${event}`;
  if ((flags & FLAG_WP) !== 0) return 'write to a protected page';
  const what = (flags & FLAG_MINOR) === 0 ? 'a missing page' : 'a page that is not mapped';
  return (flags & FLAG_WRITE) === 0 ? `read of ${what}` : `write to ${what}`;
}

/** What ends such a wait. */
function endsOf({ flags, event }: Userfault): readonly string[] {
  if (event !== 0) return ENDS_EVENT;
  const own = (flags & FLAG_WP) !== 0 ? ENDS_WP : (flags & FLAG_MINOR) !== 0 ? ENDS_MINOR : ENDS_MISSING;
  return [...own, ...ENDS_ALL];
}

/** Where tasks sleep, in the order in which contexts were made. */
export function viewOf({ queues, fds }: Userfaults): UserfaultView[] {
  return [...queues.values()].map(({ uffd, mm, inode, waits }) => {
    const monitors: { tgid: number; fd: number }[] = [];
    for (const [tgid, table] of fds) for (const [fd, to] of table) if (to === inode) monitors.push({ tgid, fd });
    monitors.sort((a, b) => a.tgid - b.tgid || a.fd - b.fd);
    return {
      uffd,
      mm,
      monitors,
      waits: waits.map((wait) => ({
        task: wait.task,
        addr: wait.addr,
        access: accessOf(wait),
        since: wait.since,
        read: wait.read,
        endedBy: endsOf(wait),
      })),
    };
  });
}

function waitsIn(queue: readonly number[], read: boolean): Userfault[] {
  const waits: Userfault[] = [];
  for (let i = 0; i + UFFD_WAITER <= queue.length; i += UFFD_WAITER)
    waits.push({ task: queue[i]!, addr: queue[i + 1]!, flags: queue[i + 2]!, event: 0, since: null, read });
  return waits;
}

function eventsIn(queue: readonly number[]): Userfault[] {
  const waits: Userfault[] = [];
  for (let i = 0; i + UFFD_EVENT <= queue.length; i += UFFD_EVENT)
    waits.push(eventWait(queue[i]!, queue[i + 1]!, queue[i + 2]!, null));
  return waits;
}

/** A fork begins nowhere. */
const eventWait = (task: number, event: number, from: number, since: Userfault['since']): Userfault => ({
  ...{ task, addr: event === UFFD_EVENT_FORK ? 0 : from },
  ...{ flags: 0, event, since, read: false },
});

interface Saved {
  readonly queues: readonly UserfaultQueue[];
  readonly fds: readonly (readonly [tgid: number, table: readonly (readonly [fd: number, inode: number])[]])[];
  readonly operation: OperationInfo | null;
}

/** Faults that wait, by context. */
export const userfaults: HistoryProjection<Userfaults> = {
  name: 'userfaults',
  init: () => ({ queues: new Map(), fds: new Map(), operation: null }),
  begin(state) {
    const view = userfaults.init();
    for (const uffd of state.uffds) {
      if (uffd === null || uffd.released === 1) continue;
      const waits = [...waitsIn(uffd.pending, false), ...waitsIn(uffd.read, true), ...eventsIn(uffd.events)];
      view.queues.set(uffd.id, { uffd: uffd.id, mm: uffd.mm, inode: uffd.inode, waits });
    }
    for (const [tgid, table] of Object.entries(state.files))
      view.fds.set(Number(tgid), new Map(Object.entries(table).map(([fd, { inode }]) => [Number(fd), inode])));
    return view;
  },
  operation: (view, operation) => void (view.operation = operation),
  on: {
    UffdCreated: ({ queues }, { uffd, mm, inode }) => void queues.set(uffd, { uffd, mm, inode, waits: [] }),
    UffdFaultQueued({ queues, operation }, { uffd, tid, addr, flags }, number) {
      const since = { event: number, line: operation?.line ?? 0, operation: operation?.name ?? '?' };
      queues.get(uffd)?.waits.push({ task: tid, addr, flags, event: 0, since, read: false });
    },
    UffdEventQueued({ queues, operation }, { uffd, tid, event, from }, number) {
      const since = { event: number, line: operation?.line ?? 0, operation: operation?.name ?? '?' };
      queues.get(uffd)?.waits.push(eventWait(tid, event, from, since));
    },
    UffdEventRemoved({ queues }, { uffd, tid }) {
      const queue = queues.get(uffd);
      if (queue !== undefined) queue.waits = queue.waits.filter(({ task, event }) => task !== tid || event === 0);
    },
    UffdInodeSet({ queues }, { uffd, inode }) {
      const queue = queues.get(uffd);
      if (queue !== undefined) queue.inode = inode;
    },
    UffdFaultRead({ queues }, { uffd, tid }) {
      const queue = queues.get(uffd);
      const wait = queue?.waits.find(({ task }) => task === tid);
      if (queue === undefined || wait === undefined) return;
      wait.read = true;
      queue.waits = [...queue.waits.filter((each) => each !== wait), wait];
    },
    UffdFaultsWoken({ queues }, { uffd, tids }) {
      const queue = queues.get(uffd);
      if (queue !== undefined) queue.waits = queue.waits.filter(({ task }) => !tids.includes(task));
    },
    UffdReleased: ({ queues }, { uffd }) => void queues.delete(uffd),
    FdInstalled({ fds }, { tgid, fd, inode }) {
      const table = fds.get(tgid);
      if (table === undefined) fds.set(tgid, new Map([[fd, inode]]));
      else table.set(fd, inode);
    },
    FdClosed: ({ fds }, { tgid, fd }) => void fds.get(tgid)?.delete(fd),
    FdTableCopied: ({ fds }, { tgid, from }) => void fds.set(tgid, new Map(fds.get(from) ?? [])),
  },
  read: viewOf,
  save: ({ queues, fds, operation }): Saved => ({
    queues: [...queues.values()],
    fds: [...fds].map(([tgid, table]) => [tgid, [...table]]),
    operation,
  }),
  load(saved) {
    const { queues, fds, operation } = structuredClone(saved) as Saved;
    return {
      queues: new Map(queues.map((queue) => [queue.uffd, queue])),
      fds: new Map(fds.map(([tgid, table]) => [tgid, new Map(table)])),
      operation,
    };
  },
};
