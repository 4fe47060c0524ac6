// The books of reference counts: what each frame's should be, with the references that a running operation holds for a moment.
import type { KernelEvent } from '../../events/index.js';
import type { KernelView, PageView } from '../../reducers/state.js';
import { HPAGE_PMD_NR, PG_FREE, SECTION } from '../../reducers/state.js';
import type { FrameTable } from '../facts/frames.js';
import { wider } from '../facts/frames.js';

/** A frame's count and what it should be. */
export interface ReferenceError {
  readonly pfn: number;
  /** Event after which it was first so. */
  readonly event: number;
  readonly expected: number;
  readonly found: number;
}

export class References {
  readonly #frames: FrameTable;
  /** References that no mapping, cache, batch or gather explains: taken by folio_alloc() or left by a mapping that went, not yet given back. */
  #held = new Int32Array(1024);
  /** Frames that had such a reference in this operation, each with the event. */
  readonly #inFlight: number[] = [];
  /** Frames that were off and are no more. */
  #mended: number[] = [];
  /** Frames whose count is off even so, with the event since which. */
  readonly #off = new Map<number, number>();

  /** What `view` has more references than holders of belongs to an operation under way. */
  constructor(frames: FrameTable, view: KernelView) {
    this.#frames = frames;
    view.memMap.forEach((section, s) =>
      section.forEach((page, i) => {
        const pfn = s * SECTION + i;
        if ((page.flags & PG_FREE) === 0 && frames.has(pfn) && page.ref > frames.holders(pfn))
          this.#add(pfn, page.ref - frames.holders(pfn), 0);
      }),
    );
  }

  /** Books what `event`, number `number`, takes and gives back. The facts have it already. */
  note(event: KernelEvent, number: number): void {
    switch (event.type) {
      case 'FolioAllocated':
      case 'LargeFolioAllocated':
        this.#set(event.pfn, 1, number);
        break;
      case 'HugePageMapped':
      case 'HugePageCollapsed':
        this.#add(event.pfn, -1, number);
        break;
      case 'AnonPagesMapped':
        this.#add(event.runs[1] ?? -1, -1, number);
        break;
      case 'AnonPageMapped':
        this.#add(event.pfn, -1, number);
        break;
      case 'FilePagesMapped':
        // Of a page that was just filled the reference of its allocation becomes the mapping's.
        for (let i = 0; event.ref !== 1 && i + 2 < event.runs.length; i += 3)
          for (let j = 0; j < event.runs[i + 2]!; j++) this.#add(event.runs[i + 1]! + j, event.ref - 1, number);
        break;
      case 'SwapRead':
        this.#add(event.pfn, -1, number);
        break;
      case 'PageSwappedIn':
        // Of a copy the allocation's reference becomes the mapping's.
        this.#add(event.pfn, event.ref + event.uncached - 1, number);
        break;
      case 'FolioIsolated':
      case 'FolioGot':
        this.#add(event.pfn, event.ref, number);
        break;
      case 'FolioLruAdded':
        // The batch has one; what the event does not bring was isolation's.
        this.#add(event.pfn, event.ref - (event.lruCpu < 0 ? 0 : 1), number);
        break;
      case 'CowPageMapped':
        this.#add(event.pfn, -1, number);
        if (event.oldPfn >= 0) this.#add(event.oldPfn, 1, number);
        break;
      case 'CowHugePageMapped':
        this.#add(event.pfn, -1, number);
        this.#add(event.oldPfn, 1, number);
        break;
      case 'CowPagesMapped':
        this.#add(event.pfn, -1, number);
        this.#add(this.#frames.head(event.runs[1] ?? -1), event.runs[2] ?? 0, number);
        break;
      case 'KsmPageReplaced':
        this.#add(event.pfn, 1, number);
        break;
      case 'HugetlbPageAdded':
      case 'HugetlbPageDequeued':
        this.#set(event.pfn, event.ref, number);
        break;
      case 'HugetlbPageMapped':
        this.#add(event.pfn, event.ref - 1, number);
        break;
      case 'HugetlbCowMapped':
        this.#add(event.pfn, -1, number);
        this.#add(event.oldPfn, 1, number);
        break;
      case 'HugetlbPageUncached':
        this.#add(event.pfn, HPAGE_PMD_NR + event.ref, number);
        break;
      case 'HugetlbPageReleased':
        this.#add(event.pfn, event.ref, number);
        break;
      case 'FolioReleased':
        if (event.freed === 1) this.#set(event.pfn, 0, number);
        else this.#add(event.pfn, -1, number);
        break;
      case 'PageGrabbed':
        // The reference that an allocation gave passes to the holder.
        this.#add(event.pfn, event.ref - event.bias, number);
        break;
      case 'HeldPageReleased':
        if (event.freed === 1) this.#set(event.pfn, 0, number);
        break;
      case 'PageCacheAdded':
        for (let i = 0; i + 2 < event.runs.length; i += 3)
          for (let j = 0; j < event.runs[i + 2]!; j++) this.#set(event.runs[i + 1]! + j, 0, number);
        break;
      default:
    }
  }

  /** Compares `page`'s count after event `number`. Less than its holders is an error at once; more may be one when the operation ends. */
  compare(pfn: number, page: PageView, number: number): ReferenceError | null {
    const free = (page.flags & PG_FREE) !== 0;
    const expected = this.#frames.holders(pfn) + (this.#held[pfn] ?? 0);
    if (free || page.ref === expected) {
      if (this.#off.size > 0 && this.#off.has(pfn)) this.#mended.push(pfn);
      return null;
    }
    if (!this.#off.has(pfn)) this.#off.set(pfn, number);
    return page.ref < expected ? { pfn, event: number, expected, found: page.ref } : null;
  }

  /** No operation is under way: counts must be exact now. Frames that are off stay known until they are mended, which is told as null. */
  atRest(pageAt: (pfn: number) => PageView | null, report: (pfn: number, error: ReferenceError | null) => void): void {
    this.#land();
    for (const pfn of this.#mended) report(pfn, null);
    this.#mended = [];
    for (const [pfn, event] of this.#off) {
      const page = pageAt(pfn);
      const expected = this.#frames.holders(pfn);
      if (page !== null && (page.flags & PG_FREE) === 0 && page.ref !== expected)
        report(pfn, { pfn, event, expected, found: page.ref });
      else this.#off.delete(pfn);
    }
  }

  /** References that are still held at an operation's end were forgotten. */
  #land(): void {
    const flying = this.#inFlight;
    if (flying.length === 0) return;
    for (let i = 0; i < flying.length; i += 2) {
      const pfn = flying[i] as number;
      if (this.#held[pfn] !== 0 && !this.#off.has(pfn)) this.#off.set(pfn, flying[i + 1] as number);
      this.#held[pfn] = 0;
    }
    flying.length = 0;
  }

  #set(page: number, held: number, number: number): void {
    const pfn = this.#frames.head(page);
    this.#add(pfn, held - (this.#held[pfn] ?? 0), number);
  }

  #add(page: number, difference: number, number: number): void {
    if (!this.#frames.has(page)) return;
    const pfn = this.#frames.head(page);
    if (pfn >= this.#held.length) this.#held = wider(this.#held, this.#frames.kind.length);
    this.#held[pfn]! += difference;
    if (difference <= 0) return;
    this.#inFlight.push(pfn, number);
  }
}
