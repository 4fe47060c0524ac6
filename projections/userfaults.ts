// Who sleeps in a fault that a userfaultfd watches for, since when, and what would end it. A view of history: no state tells since when.
import { UFFD_WAITER } from '../reducers/uffd-state.js';
import type { HistoryProjection, OperationInfo } from './projection.js';

const FLAG_WRITE = 1;
const FLAG_WP = 2;
const FLAG_MINOR = 4;

/** Calls that end a wait, if they reach its page: of a page that is not there, and of one that is protected. */
const ENDS_MISSING = ['UFFDIO_COPY', 'UFFDIO_ZEROPAGE', 'UFFDIO_POISON', 'UFFDIO_MOVE', 'UFFDIO_UNREGISTER'];
/** Of a page that its file has and that is not mapped. */
const ENDS_MINOR = ['UFFDIO_CONTINUE', 'UFFDIO_POISON'];
const ENDS_WP = ['UFFDIO_WRITEPROTECT with mode 0'];
const ENDS_ALL = ['UFFDIO_WAKE', 'close of the last descriptor'];

/** A task that sleeps. */
export interface Userfault {
  readonly task: number;
  readonly addr: number;
  /** UFFD_PAGEFAULT_FLAG_*. */
  readonly flags: number;
  /** Number of the event that put it to sleep, and what it was doing; null if that was before the history begins. */
  readonly since: { readonly event: number; readonly line: number; readonly operation: string } | null;
  /** Did the monitor read of it? */
  read: boolean;
}

/** A context; those who were read of last come last. */
export interface UserfaultQueue {
  readonly uffd: number;
  readonly mm: number;
  readonly inode: number;
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

/** What a fault with these UFFD_PAGEFAULT_FLAG_* waits for. */
function accessOf(flags: number): string {
  if ((flags & FLAG_WP) !== 0) return 'write to a protected page';
  const what = (flags & FLAG_MINOR) === 0 ? 'a missing page' : 'a page that is not mapped';
  return (flags & FLAG_WRITE) === 0 ? `read of ${what}` : `write to ${what}`;
}

/** Calls that end such a wait. */
function endedBy(flags: number): readonly string[] {
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
      waits: waits.map(({ task, addr, flags, since, read }) => ({
        task,
        addr,
        access: accessOf(flags),
        since,
        read,
        endedBy: endedBy(flags),
      })),
    };
  });
}

function waitsIn(queue: readonly number[], read: boolean): Userfault[] {
  const waits: Userfault[] = [];
  for (let i = 0; i + UFFD_WAITER <= queue.length; i += UFFD_WAITER)
    waits.push({ task: queue[i]!, addr: queue[i + 1]!, flags: queue[i + 2]!, since: null, read });
  return waits;
}

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
      const waits = [...waitsIn(uffd.pending, false), ...waitsIn(uffd.read, true)];
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
      queues.get(uffd)?.waits.push({ task: tid, addr, flags, since, read: false });
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
