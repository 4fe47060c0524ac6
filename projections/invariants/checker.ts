// Checks a run against the catalogue while it goes: after each event only what the event touched, and at the end of an operation what may
// be off inside one. It folds facts of its own, and reads the counters and flags of the run's state.
import type { EventType, KernelEvent } from '../../events/index.js';
import { PTRS_PER_PTE, isHugePte } from '../../reducers/pte.js';
import type { KernelView } from '../../reducers/state.js';
import { Facts } from '../facts/facts.js';
import { factsOf } from '../facts/from-state.js';
import { factHandlers } from '../facts/handlers.js';
import { mappedPfn } from '../facts/mappings.js';
import type { OperationInfo, Projection } from '../projection.js';
import { foldEvent } from '../projection.js';
import { CounterBooks } from './counter-books.js';
import { EntryChecks } from './entry-checks.js';
import { Findings } from './findings.js';
import { FrameChecks } from './frame-checks.js';
import type { BrokenHistory } from './history.js';
import type { Audited, CounterInvariant, EventInvariant, Invariant, Report, Violation } from './invariant.js';
import { forEachNamedFrame } from './named-frames.js';
import { RangesToCheck } from './ranges.js';

type EventCheck = (event: KernelEvent, audited: Audited, report: Report) => void;
type ChecksByType = Readonly<Partial<Record<EventType, readonly (readonly [Invariant, EventCheck])[]>>>;

const factsProjection: Projection<Facts> = { name: 'facts', init: () => new Facts(), on: factHandlers };

/** Which checks of `side` each type of event has. */
function byType(invariants: readonly EventInvariant[], side: 'before' | 'after'): ChecksByType {
  const checks: Partial<Record<EventType, (readonly [Invariant, EventCheck])[]>> = {};
  for (const invariant of invariants)
    for (const [type, check] of Object.entries(invariant[side] ?? {}))
      (checks[type as EventType] ??= []).push([invariant, check as EventCheck]);
  return checks;
}

/** Write faults that keep what is there. */
const REUSES: ReadonlySet<EventType> = new Set<EventType>(['PageReused', 'PagesReused', 'PmdReused']);

/** The last user page plus one. */
const END_VPN = 2 ** 35;

const isCounter = (each: Invariant): each is CounterInvariant =>
  each.about === 'mm' || each.about === 'machine' || each.about === 'inode';

/**
 * The audit of one run. Tell it each operation, then its events, each after the state had it applied, then the operation's end.
 * `view` is the run's live state.
 */
export class Checker {
  readonly #facts: Facts;
  readonly #audited: { readonly view: KernelView; readonly facts: Facts; operation: OperationInfo | null };
  readonly #findings: Findings;
  readonly #before: ChecksByType;
  readonly #after: ChecksByType;
  readonly #entries: EntryChecks;
  readonly #frames: FrameChecks;
  readonly #counters: CounterBooks;
  readonly #ranges: RangesToCheck;
  /** Entries that the event wrote: mm, vpn, the entry, and the one before. */
  #written = new Float64Array(4096);
  #writes = 0;
  /** Tasks that were woken in the middle of an operation and have not gone on. */
  readonly #woken = new Set<number>();

  /** `view` may have a past already (a piece cut out of a log): it is taken as sound. `history` is told what breaks and mends. */
  constructor(view: KernelView, invariants: readonly Invariant[], history: BrokenHistory | null = null) {
    this.#facts = factsOf(view);
    this.#ranges = new RangesToCheck(this.#facts);
    this.#audited = { view, facts: this.#facts, operation: null };
    this.#findings = new Findings(view, history);
    const events = invariants.filter((each) => each.about === 'event');
    this.#before = byType(events, 'before');
    this.#after = byType(events, 'after');
    this.#entries = new EntryChecks(
      this.#audited,
      invariants.filter((each) => each.about === 'entry'),
      this.#findings,
    );
    this.#frames = new FrameChecks(this.#audited, invariants, this.#findings);
    this.#counters = new CounterBooks(this.#audited, invariants.filter(isCounter), this.#findings);
    this.#facts.mappings.watcher = {
      entryWritten: this.#noteWrite.bind(this),
    };
  }

  /** Violations in the order in which they were found; no more than a thousand. */
  get violations(): readonly Violation[] {
    return this.#findings.violations;
  }

  /** How many were found, kept or not. */
  get found(): number {
    return this.#findings.found;
  }

  /** The events that follow belong to `operation` (null: to none). */
  beginOperation(operation: OperationInfo | null): void {
    this.#findings.operation = operation;
    this.#audited.operation = operation;
  }

  /** Event `number` happened; the state has it. */
  event(event: KernelEvent, number: number): void {
    this.#findings.event = number;
    const before = this.#before[event.type];
    if (before !== undefined) this.#runEventChecks(before, event, number);
    this.#ranges.note(event, number);
    const batch = this.#batchOf(event);
    foldEvent(factsProjection, this.#facts, event, number);
    this.#frames.begin(event, number);
    if (this.#writes > 0) this.#checkWritten(REUSES.has(event.type), number);
    forEachNamedFrame(event, this.#frames.one);
    batch?.forEach(this.#frames.one);
    const after = this.#after[event.type];
    if (after !== undefined) this.#runEventChecks(after, event, number);
    this.#counters.note(event, number);
    if (event.type === 'UffdFaultsWoken') for (const tid of event.tids) this.#woken.add(tid);
    if (event.type === 'TaskExited') this.#woken.delete(event.tid);
    if (event.type === 'MmFreed' && this.#findings.someOpen)
      this.#findings.gone((subject) => 'mm' in subject && subject.mm === event.mm);
  }

  /** The operation is done, and no other is under way. */
  endOperation(): void {
    this.#ranges.atRest((mm, from, to, cause) => this.#entries.range(mm, from, to, cause));
    this.#counters.atRest();
    if (this.#audited.operation?.name === 'resumed') this.#woken.delete(this.#audited.operation.pid ?? 0);
    // Who sleeps in the middle of an operation, or has not gone on yet, may hold references.
    const asleep = this.#audited.view.uffds.some((each) => each !== null && each.pending.length + each.read.length > 0);
    if (!asleep && this.#woken.size === 0) this.#frames.atRest();
  }

  /**
   * Checks all there is in the state, which must be at rest, as if event `number` had touched it. Rules on events say nothing of a state.
   */
  whole(number: number): void {
    const { view } = this.#audited;
    this.#findings.event = number;
    for (const mm of view.mms) if (mm) this.#entries.range(mm.id, 0, END_VPN, number);
    this.#frames.whole(view.maxPfn, number);
    for (const mm of view.mms) if (mm) this.#counters.whole('mm', mm.id, number);
    for (const id of Object.keys(view.shmem)) this.#counters.whole('inode', Number(id), number);
    this.#counters.whole('machine', 0, number);
    this.endOperation();
  }

  /** Frames that a drain, or a huge entry in the place of 512, concerns without naming them. */
  #batchOf(event: KernelEvent): readonly number[] | undefined {
    if (event.type === 'LruAddDrained') return this.#facts.lruAdd.get(event.cpu);
    if (event.type === 'PmdCollapsedInPlace') return Array.from({ length: PTRS_PER_PTE }, (_, i) => event.pfn + i);
    if (event.type === 'MlockBatchDrained') return this.#facts.mlock.get(event.cpu);
    return event.type === 'LruLazyfreeDrained' ? this.#facts.lruLazyfree.get(event.cpu) : undefined;
  }

  #runEventChecks(checks: readonly (readonly [Invariant, EventCheck])[], event: KernelEvent, number: number): void {
    for (const [invariant, check] of checks)
      check(event, this.#audited, (subject, finding) => this.#findings.once(invariant, subject, finding, number));
  }

  /** `rehomed`: the page itself may have changed as well, not only the entry. */
  #checkWritten(rehomed: boolean, number: number): void {
    const written = this.#written;
    const frames = this.#frames;
    const end = this.#writes;
    this.#writes = 0;
    this.#entries.begin();
    for (let i = 0; i < end; i += 4) {
      const entry = written[i + 2] as number;
      // A huge entry is looked at as one.
      const huge = isHugePte(entry === 0 ? (written[i + 3] as number) : entry);
      if (huge && (written[i + 1] as number) % PTRS_PER_PTE !== 0) continue;
      const pfn = mappedPfn(entry);
      const old = mappedPfn(written[i + 3] as number);
      if (entry !== 0)
        this.#entries.one(
          written[i] as number,
          written[i + 1] as number,
          entry,
          rehomed || pfn !== old || pfn < 0,
          number,
        );
      else if (this.#findings.someOpen) this.#entries.emptied(written[i] as number, written[i + 1] as number);
      if (pfn >= 0) frames.one(pfn);
      if (old >= 0 && old !== pfn) frames.one(old);
    }
  }

  #noteWrite(mm: number, vpn: number, old: number, entry: number): void {
    let at = this.#writes;
    if (at === this.#written.length) {
      const wide = new Float64Array(at * 2);
      wide.set(this.#written);
      this.#written = wide;
    }
    this.#written[at++] = mm;
    this.#written[at++] = vpn;
    this.#written[at++] = entry;
    this.#written[at++] = old;
    this.#writes = at;
  }
}
