// What an invariant is, what it sees, and what a violation tells.
import type { EventOf, EventType } from '../../events/index.js';
import type { KernelView, MmView, PageView, VmaView } from '../../reducers/state.js';
import type { Facts } from '../facts/facts.js';
import type { OperationInfo } from '../projection.js';

/** When a rule must hold: after every event, when the subject's lock is released, when no operation is under way on it, when the machine rests. */
export type When = 'event' | 'unlock' | 'operation' | 'quiescent';

/** What every invariant says of itself. */
export interface InvariantInfo {
  readonly name: string;
  /** Other names that references use. */
  readonly aliases: readonly string[];
  readonly formula: string;
  /** Where Linux relies on it or checks it. */
  readonly source: string;
  /** 1 memory corruption or security, 2 accounting or rmap, 3 warning or policy. */
  readonly severity: 1 | 2 | 3;
  /** First kernel in which it must hold. */
  readonly since: string;
  /** Behaviours without which it says nothing. */
  readonly needs: readonly string[];
  /** Real kernels that break it, and by what: a violation there is the kernel's own. */
  readonly knownBroken: readonly string[];
  readonly at: When;
}

/** Expected and found, in words or numbers. */
export interface Finding {
  readonly expected: string | number;
  readonly found: string | number;
}

/** What checks may look at: the state with its counters, the facts without, and who is at work. */
export interface Audited {
  readonly view: KernelView;
  readonly facts: Facts;
  readonly operation: OperationInfo | null;
}

/** One page-table entry, not empty, with what is around it. Reused: read it, do not keep it. */
export interface EntrySite {
  mm: number;
  vpn: number;
  entry: number;
  /** Frame that it maps, -1 for none. */
  pfn: number;
  page: PageView | null;
  vma: VmaView | null;
}

/** Which entries a rule speaks of: all that are not empty, writable ones, ones without a page, ones that map anonymous pages, swap entries. */
export type EntryClass = 'any' | 'writable' | 'special' | 'anon' | 'swap';

/** A rule on single entries, checked when they are written and when what they are checked against changes. */
export interface EntryInvariant extends InvariantInfo {
  readonly about: 'entry';
  readonly of: EntryClass;
  check(site: EntrySite, audited: Audited): Finding | null;
}

/** A rule on single frames, checked after each event that names one or writes an entry that leads to it. `free`: it is on the free list. */
export interface FrameInvariant extends InvariantInfo {
  readonly about: 'frame';
  check(pfn: number, page: PageView, free: boolean, audited: Audited): Finding | null;
}

/** A counter and what it should be. Between the steps of an operation it may be off; at its end not. */
export interface CounterInvariant extends InvariantInfo {
  readonly about: 'mm' | 'machine' | 'inode';
  /** Events that change the counter or what it counts. */
  readonly changedBy: readonly EventType[];
  readonly counters: readonly {
    readonly what: string;
    /** `id`: of the address space, which may be gone (`mm` null), or of the file; 0 for the machine. */
    counter(view: KernelView, mm: MmView | null, id: number): number;
    truth(facts: Facts, mm: number): number;
  }[];
}

/** Where a finding goes. */
export type Report = (subject: Subject, finding: Finding) => void;

/** A rule on an event and what it meets. `before` sees the facts as they were (the state has the event applied), `after` as they are. */
export interface EventInvariant extends InvariantInfo {
  readonly about: 'event';
  readonly before?: { readonly [T in EventType]?: (event: EventOf<T>, audited: Audited, report: Report) => void };
  readonly after?: { readonly [T in EventType]?: (event: EventOf<T>, audited: Audited, report: Report) => void };
}

/** A rule that the checker itself keeps the books for: reference counts, and ranges to look through when an operation ends. */
export interface BookInvariant extends InvariantInfo {
  readonly about: 'book';
}

export type Invariant = EntryInvariant | FrameInvariant | CounterInvariant | EventInvariant | BookInvariant;

/** What a violation is about. */
export type Subject =
  | { readonly kind: 'entry'; readonly mm: number; readonly vpn: number }
  | { readonly kind: 'vma'; readonly mm: number; readonly start: number }
  | { readonly kind: 'mm'; readonly mm: number; readonly what?: string }
  | { readonly kind: 'frame'; readonly pfn: number }
  | { readonly kind: 'anon_vma'; readonly id: number }
  | { readonly kind: 'inode'; readonly id: number; readonly index: number }
  | { readonly kind: 'file'; readonly id: number; readonly what: string }
  | { readonly kind: 'cpu'; readonly cpu: number }
  | { readonly kind: 'machine'; readonly what: string };

/** A broken rule. */
export interface Violation {
  readonly invariant: string;
  /** Number of the event after which it was found. */
  readonly event: number;
  /** The event that last changed the subject: the one to look at. */
  readonly cause: number;
  /** Id and source line of the operation that the cause belongs to; -1 and 0 for none. */
  readonly operation: number;
  readonly line: number;
  /** In the words of expressions where they have one. */
  readonly subject: string;
  readonly expected: string | number;
  readonly found: string | number;
}

/** How a subject is called: as in expressions, by a task that shows it; by number where none does. */
export function subjectText(view: KernelView, subject: Subject): string {
  switch (subject.kind) {
    case 'entry':
      return within(view, subject.mm, 'page', subject.vpn * 4096);
    case 'vma':
      return within(view, subject.mm, 'vma', subject.start);
    case 'mm': {
      const pid = taskOf(view, subject.mm);
      return `${pid === null ? `mm ${subject.mm}` : `mm(${pid})`}${subject.what === undefined ? '' : `.${subject.what}`}`;
    }
    case 'frame':
      return `folio(${subject.pfn})`;
    case 'anon_vma':
      return `anon_vma ${subject.id}`;
    case 'inode':
      return `inode ${subject.id} page ${subject.index}`;
    case 'file':
      return `inode ${subject.id} ${subject.what}`;
    case 'cpu':
      return `cpu ${subject.cpu}`;
    case 'machine':
      return subject.what;
  }
}

function within(view: KernelView, mm: number, what: string, addr: number): string {
  const pid = taskOf(view, mm);
  const at = `0x${addr.toString(16)}`;
  return pid === null ? `${what} ${at} of mm ${mm}` : `${what}(${pid}, ${at})`;
}

function taskOf(view: KernelView, mm: number): number | null {
  const task = Object.values(view.tasks).find((each) => each.mm === mm && mm !== 0);
  return task?.tid ?? null;
}
