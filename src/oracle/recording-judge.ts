// How true a run was: the model's events against the lines of the recording that the model never saw.
import type { KernelEvent } from '../../events/index.js';
import { PTE_PRESENT, pteAt } from '../../reducers/pte.js';
import { VM_EXEC, vmaLookup } from '../../reducers/vma.js';
import type { Run } from '../sched/run.js';
import type { PerfRecord } from '../workload/perf/record.js';
import { ERROR_FETCH, ERROR_PRESENT, ERROR_WRITE, Kind } from '../workload/perf/record.js';
import { accessPermitted, accessError } from '../kernel/memory/fault.js';
import { RssJudge, addressSpaceOf } from './rss-judge.js';
import type { RssLine } from './rss-judge.js';
import type { SharedMoment } from './shared-counter.js';
import { appendRssPoints } from './rss-points.js';
import type { RssPoint } from './rss-points.js';

/** The agreement of a run with its recording: the `fidelity` object of `run --json`. */
export interface Fidelity {
  readonly faults: { readonly recorded: number; readonly predicted: number; readonly unpredicted: number };
  readonly frames: { readonly recorded: number; readonly agreed: number };
  readonly freed: { readonly recorded: number; readonly agreed: number };
  readonly present: { readonly checked: number; readonly agreed: number };
  readonly results: { readonly checked: number; readonly agreed: number };
  readonly rss: { readonly points: number; readonly agreed: number };
  readonly skipped: Readonly<Record<string, number>>;
  /** Line from which events were lost, null if none were. */
  readonly lostFrom: number | null;
  readonly disagreements: readonly Disagreement[];
}

/** One line on which model and kernel differ. */
export interface Disagreement {
  readonly line: number;
  readonly measure: 'faults' | 'frames' | 'freed' | 'present' | 'rss';
  readonly model: string;
  readonly kernel: string;
}

/** What happened to frames in one fault. */
type FrameUse = 'none' | 'zeroed' | 'copied';

/** All that a task did, and all that was recorded of it, since its last fault or call began. */
interface TaskWindow {
  readonly tid: number;
  /** The fault that began it, null for a call. */
  fault: PerfRecord | null;
  allocs: PerfRecord[];
  rss: RssLine[];
  /** mm_id to address space, as long as the window lasts. */
  ids: Map<number, number>;
  /** The address space a fork made. */
  child: number;
  /** Counter changes before it. */
  since: number;
  points: RssPoint[];
  complete: boolean;
  use: FrameUse;
  /** Frames the model took, as allocation ids. */
  frames: number[];
  shmem: boolean;
}

/** How gfp flags of large folios of anonymous memory begin. */
const HUGE_PAGES = 'GFP_TRANSHUGE';
/** How those of all memory begin that faults take for programs. */
const USER_PAGES: readonly string[] = ['GFP_HIGHUSER_MOVABLE', HUGE_PAGES];
const DISAGREEMENTS_KEPT = 100_000;

/** Collects both sides and compares. Listens to a Run for events and gets the recording's facts. */
export class RecordingJudge {
  #run: Run | null = null;
  readonly #windows = new Map<number, TaskWindow>();
  readonly #rss = new RssJudge((line, model, kernel) => this.#differ(line, 'rss', model, kernel));
  readonly #disagreements: Disagreement[] = [];
  readonly #skipped = new Map<string, number>();
  /** Model's pfn to the id of its present allocation. */
  readonly #allocation = new Map<number, number>();
  /** Recorded pfn to the model's allocation that it stands for. */
  readonly #frameOf = new Map<number, number>();
  readonly #freed = new Set<number>();
  /** Recorded frees whose frame the model has not freed yet: allocation to line and task. */
  readonly #waiting = new Map<number, { readonly line: number; readonly tid: number }>();
  #allocations = 0;
  #current: TaskWindow | null = null;
  #lostFrom: number | null = null;
  #faults = 0;
  #predicted = 0;
  #frames = 0;
  #framesAgreed = 0;
  #freedRecorded = 0;
  #freedAgreed = 0;
  #present = 0;
  #presentAgreed = 0;

  /** The run to judge. Call once, before the first line. */
  attach(run: Run): void {
    this.#run = run;
  }

  /** The operation of task `pid` begins: its events belong to the task's window. */
  beginOperation(pid: number | null): void {
    this.#current = pid === null ? null : this.#window(pid);
  }

  event(event: KernelEvent): void {
    this.#trackFrames(event);
    const window = this.#current;
    if (window === null) return;
    const before = window.points.length;
    appendRssPoints(window.points, event);
    for (let i = before; i < window.points.length; i++) {
      const { mm, type } = window.points[i] as RssPoint;
      this.#rss.changed(mm, type, (this.#run as Run).view.mms[mm]?.rss[type] ?? 0);
    }
    if (event.type === 'MmCreated' && event.parent !== 0) window.child = event.mm;
    if (event.type === 'FolioAllocated' || event.type === 'LargeFolioAllocated') {
      window.use = 'zeroed';
      window.frames.push(this.#allocations);
    } else if (event.type === 'PageCopied') window.use = 'copied';
    else if (event.type === 'PageCacheAdded' && event.swapbacked === 1 && event.lruCpu >= 0) {
      window.shmem = true;
      if (window.use === 'none') window.use = 'zeroed';
      window.frames.push(this.#allocations);
    }
  }

  /** Before a fault is handled: does the model fault here too, and in the same way? */
  fault(record: PerfRecord, effective: boolean): void {
    this.#faults++;
    const window = this.#window(record.tid);
    window.fault = record;
    const run = this.#run as Run;
    const task = run.view.tasks[record.tid];
    const mm = task === undefined || task.mm === 0 ? null : run.view.mms[task.mm];
    if (!mm) {
      this.#differ(record.line, 'faults', 'no address space', 'fault');
      return;
    }
    const vpn = Math.floor(record.a / 4096);
    const entry = pteAt(mm, vpn);
    const present = (entry & PTE_PRESENT) !== 0;
    const access = (record.c & ERROR_WRITE) !== 0 ? 'write' : (record.c & ERROR_FETCH) !== 0 ? 'exec' : 'read';
    const recorded = (record.c & ERROR_PRESENT) !== 0;
    const lacks = !accessPermitted(mm, vpn, access) || this.#forbidden(record, access);
    // A fault that changed nothing leaves the entry as it is for the next one, which is judged by the same state.
    if (present === recorded && lacks) this.#predicted++;
    else
      this.#differ(
        record.line,
        'faults',
        lacks ? (present ? 'present, without the right' : 'absent') : `present, ${access} permitted`,
        `${recorded ? 'present' : 'absent'}, ${access}${effective ? '' : ', given up'}`,
      );
    if (record.kind === Kind.userFault && record.b !== 0) this.#checkIp(record, access === 'exec');
  }

  #forbidden(record: PerfRecord, access: 'read' | 'write' | 'exec'): boolean {
    const run = this.#run as Run;
    const mm = run.view.mms[run.view.tasks[record.tid]?.mm ?? 0];
    const vma = mm ? vmaLookup(mm, record.a) : null;
    return vma !== null && accessError(vma, access, (record.c & ERROR_PRESENT) !== 0);
  }

  /** The instruction that faulted was fetched, so its page is mapped and executable, unless fetching it is the fault. */
  #checkIp(record: PerfRecord, fetch: boolean): void {
    const run = this.#run as Run;
    const mm = run.view.mms[run.view.tasks[record.tid]?.mm ?? 0];
    this.#present++;
    const vma = mm ? vmaLookup(mm, record.b) : null;
    const executable = vma !== null && (vma.flags & VM_EXEC) !== 0;
    const vpn = Math.floor(record.b / 4096);
    const mapped = mm ? (pteAt(mm, vpn) & PTE_PRESENT) !== 0 : false;
    const ownPage = fetch && vpn === Math.floor(record.a / 4096);
    if (executable && (mapped || ownPage)) this.#presentAgreed++;
    else this.#differ(record.line, 'present', executable ? 'ip page absent' : 'ip not executable', 'ip executed');
  }

  /** An allocation, free or counter line. */
  fact(record: PerfRecord): void {
    switch (record.kind) {
      case Kind.pageAlloc:
        this.#recordedAlloc(record);
        return;
      case Kind.pageFree:
        this.#recordedFree(record);
        return;
      case Kind.cacheAdd:
        this.#cachePage(record);
        return;
      default:
        this.#counter(record);
    }
  }

  #counter(record: PerfRecord): void {
    const window = this.#window(record.tid);
    const mm = addressSpaceOf((this.#run as Run).view, record, window.ids);
    window.rss.push({ record, mm, shared: this.#sharedMoment(window, mm, record.b) });
  }

  /** The model's counter and what threads are doing, where threads share the address space. */
  #sharedMoment(window: TaskWindow, mm: number, type: number): SharedMoment | null {
    const { mms, tasks } = (this.#run as Run).view;
    if (mm <= 0 || (mms[mm]?.users ?? 0) <= 1) return null;
    const others = [...this.#windows.values()].filter((each) => each !== window && tasks[each.tid]?.mm === mm);
    return {
      model: mms[mm]?.rss[type] ?? 0,
      threads: [window, ...others].map((work) => ({ work, done: work.points.length })),
    };
  }

  skipped(reason: string): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
  }

  lost(record: PerfRecord): void {
    this.#lostFrom ??= record.line;
  }

  #recordedAlloc(record: PerfRecord): void {
    this.#frameOf.delete(record.a);
    if (USER_PAGES.some((flags) => record.text.startsWith(flags))) this.#window(record.tid).allocs.push(record);
  }

  #recordedFree(record: PerfRecord): void {
    const allocation = this.#frameOf.get(record.a);
    if (allocation === undefined) return;
    this.#frameOf.delete(record.a);
    this.#freedRecorded++;
    if (this.#freed.has(allocation)) this.#freedAgreed++;
    else this.#waiting.set(allocation, { line: record.line, tid: record.tid });
  }

  /** A page-cache event took the page just allocated: it was no user page of the fault. */
  #cachePage(record: PerfRecord): void {
    const window = this.#windows.get(record.tid);
    const pfn = record.args[0];
    if (window) window.allocs = window.allocs.filter((each) => each.a !== pfn);
  }

  #trackFrames(event: KernelEvent): void {
    switch (event.type) {
      case 'FolioAllocated':
      case 'LargeFolioAllocated':
        this.#allocation.set(event.pfn, ++this.#allocations);
        return;
      case 'PageCacheAdded':
        for (let i = 0; i + 2 < event.runs.length; i += 3)
          for (let j = 0; j < (event.runs[i + 2] as number); j++)
            this.#allocation.set((event.runs[i + 1] as number) + j, ++this.#allocations);
        return;
      case 'FolioReleased':
      case 'SwapCacheRemoved':
      case 'LazyfreeDiscarded':
        if (event.freed === 1) this.#modelFreed(event.pfn);
        return;
      case 'FoliosReleased':
      case 'GatherFlushed':
      case 'LruAddDrained':
      case 'LruLazyfreeDrained':
      case 'MlockBatchDrained':
      case 'PageCacheRemoved':
      case 'PageCacheReclaimed':
        for (let i = 0; i + 1 < event.freed.length; i += 2)
          for (let j = 0; j < (event.freed[i + 1] as number); j++) this.#modelFreed((event.freed[i] as number) + j);
        return;
      default:
        return;
    }
  }

  #modelFreed(pfn: number): void {
    const allocation = this.#allocation.get(pfn);
    if (allocation === undefined) return;
    this.#allocation.delete(pfn);
    if (this.#waiting.delete(allocation)) this.#freedAgreed++;
    else this.#freed.add(allocation);
  }

  /** What those tasks freed in what is over now, the model must have freed as well. */
  #stillWaiting(of: (tid: number) => boolean): void {
    for (const [allocation, { line, tid }] of this.#waiting) {
      if (!of(tid)) continue;
      this.#waiting.delete(allocation);
      this.#differ(line, 'freed', 'still in use', 'freed');
    }
  }

  #window(tid: number): TaskWindow {
    let window = this.#windows.get(tid);
    if (window === undefined) {
      window = {
        tid,
        fault: null,
        allocs: [],
        rss: [],
        ids: new Map(),
        child: 0,
        since: this.#rss.changes,
        points: [],
        complete: false,
        use: 'none',
        frames: [],
        shmem: false,
      };
      this.#windows.set(tid, window);
    }
    return window;
  }

  /** The task's window is complete: what the model did in it against what was recorded. */
  boundary(tid: number): void {
    const window = this.#windows.get(tid);
    if (window === undefined) return;
    this.#windows.delete(tid);
    window.complete = true;
    this.#stillWaiting((each) => each === tid);
    if (this.#current === window) this.#current = null;
    if (window.fault !== null) this.#judgeFrames(window, window.fault);
    this.#bindFrames(window);
    const run = this.#run as Run;
    this.#rss.judge(run.view, window.rss, window.points, window.child, window.since);
    this.#rss.settle();
  }

  #judgeFrames(window: TaskWindow, fault: PerfRecord): void {
    this.#frames++;
    const last = window.allocs.at(-1);
    const recorded: FrameUse = last === undefined ? 'none' : last.text.includes('__GFP_ZERO') ? 'zeroed' : 'copied';
    // Shared memory and huge pages clear their memory themselves, without asking the allocator to.
    const clears = window.shmem || last?.text.startsWith(HUGE_PAGES) === true;
    const agreed = recorded === window.use || (clears && (recorded !== 'none') === (window.use !== 'none'));
    if (agreed) this.#framesAgreed++;
    else this.#differ(fault.line, 'frames', window.use, recorded);
  }

  /** Recorded and modelled frames of a window stand for each other where their numbers agree. */
  #bindFrames(window: TaskWindow): void {
    if (window.allocs.length !== window.frames.length) return;
    window.allocs.forEach((record, i) => this.#frameOf.set(record.a, window.frames[i] as number));
  }

  #differ(line: number, measure: Disagreement['measure'], model: string, kernel: string): void {
    if (this.#disagreements.length < DISAGREEMENTS_KEPT) this.#disagreements.push({ line, measure, model, kernel });
  }

  /** The verdict. Call when all is run. */
  fidelity(): Fidelity {
    for (const tid of [...this.#windows.keys()]) this.boundary(tid);
    this.#stillWaiting(() => true);
    const run = this.#run as Run;
    for (const [reason, n] of run.notModelled) this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + n);
    return {
      faults: { recorded: this.#faults, predicted: this.#predicted, unpredicted: this.#faults - this.#predicted },
      frames: { recorded: this.#frames, agreed: this.#framesAgreed },
      freed: { recorded: this.#freedRecorded, agreed: this.#freedAgreed },
      present: { checked: this.#present, agreed: this.#presentAgreed },
      results: { checked: run.checked, agreed: run.checked - run.mismatches.length },
      rss: { points: this.#rss.points, agreed: this.#rss.agreed },
      skipped: Object.fromEntries(this.#skipped),
      lostFrom: this.#lostFrom,
      disagreements: this.#disagreements.toSorted((a, b) => a.line - b.line),
    };
  }
}
