// What happened, in numbers: the summary of a run.
import { HPAGE_PMD_NR } from '../reducers/state.js';
import type { Projection } from './projection.js';

/** Counts over a whole run. */
export interface Activity {
  /** Faults handled without error; those that waited for I/O among them. */
  faults: number;
  majorFaults: number;
  signals: number;
  tasks: number;
  execs: number;
  exits: number;
  /** Pages of zeros given to write faults, and the zero page mapped for reads. */
  freshPages: number;
  zeroPages: number;
  /** Write faults on shared pages: copied, or kept because nobody else held them. */
  copied: number;
  reused: number;
  /** Page-cache pages mapped by faults. */
  filePages: number;
  /** Entries that forks shared between parent and child. */
  sharedByFork: number;
  framesAllocated: number;
  framesFreed: number;
}

const pagesOf = (runs: readonly number[], stride: number, at: number): number => {
  let pages = 0;
  for (let i = at; i < runs.length; i += stride) pages += runs[i] as number;
  return pages;
};

export const activity: Projection<Activity> = {
  name: 'activity',
  init: () => ({
    faults: 0,
    majorFaults: 0,
    signals: 0,
    tasks: 0,
    execs: 0,
    exits: 0,
    freshPages: 0,
    zeroPages: 0,
    copied: 0,
    reused: 0,
    filePages: 0,
    sharedByFork: 0,
    framesAllocated: 0,
    framesFreed: 0,
  }),
  on: {
    FaultAccounted(view, { major }) {
      view.faults++;
      if (major === 1) view.majorFaults++;
    },
    SignalSent: (view) => void view.signals++,
    TaskCreated: (view) => void view.tasks++,
    TaskMmSwitched: (view) => void view.execs++,
    TaskExited: (view) => void view.exits++,
    AnonPageMapped: (view) => void view.freshPages++,
    AnonPagesMapped: (view, { runs }) => void (view.freshPages += pagesOf(runs, 3, 2)),
    ZeroPageMapped: (view) => void view.zeroPages++,
    CowPageMapped: (view) => void view.copied++,
    CowPagesMapped: (view, { runs }) => void (view.copied += pagesOf(runs, 3, 2)),
    CowHugePageMapped: (view) => void (view.copied += HPAGE_PMD_NR),
    PagesReused: (view, { runs }) => void (view.reused += pagesOf(runs, 4, 2)),
    PageReused: (view) => void view.reused++,
    FilePagesMapped: (view, { runs }) => void (view.filePages += pagesOf(runs, 3, 2)),
    PtesCopied: (view, { anon, file }) => void (view.sharedByFork += pagesOf(anon, 5, 2) + pagesOf(file, 5, 2)),
    FolioAllocated: (view) => void view.framesAllocated++,
    PageCacheAdded: (view, { runs }) => void (view.framesAllocated += pagesOf(runs, 3, 2)),
    FolioReleased: (view, { freed }) => void (view.framesFreed += freed),
    GatherFlushed: (view, { freed }) => void (view.framesFreed += pagesOf(freed, 2, 1)),
    LruAddDrained: (view, { freed }) => void (view.framesFreed += pagesOf(freed, 2, 1)),
    LruLazyfreeDrained: (view, { freed }) => void (view.framesFreed += pagesOf(freed, 2, 1)),
    MlockBatchDrained: (view, { freed }) => void (view.framesFreed += pagesOf(freed, 2, 1)),
    HeldPageReleased: (view, { freed }) => void (view.framesFreed += freed),
    SwapCacheRemoved: (view, { freed }) => void (view.framesFreed += freed),
    LargeSwapCacheRemoved: (view, { order, freed }) => void (view.framesFreed += freed * 2 ** order),
    LazyfreeDiscarded: (view, { freed }) => void (view.framesFreed += freed),
    PageCacheReclaimed: (view, { freed }) => void (view.framesFreed += pagesOf(freed, 2, 1)),
    PageCacheRemoved: (view, { freed }) => void (view.framesFreed += pagesOf(freed, 2, 1)),
  },
};
