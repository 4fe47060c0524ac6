// The primary facts of memory management: entries, VMAs, what each frame is and who holds it. No counter of the state is read and no
// difference of a counter in an event is believed: that is what lets projections and invariants contradict them.
import { isZeroPte, mkPte, ptePfn, pteSpecial } from '../../reducers/pte.js';
import { HPAGE_PMD_ORDER, InodeKind } from '../../reducers/state.js';
import { VM_PFNMAP } from '../../reducers/vma.js';
import { FRAME_EXCLUSIVE, FRAME_SWAPBACKED, FrameKind, FrameTable } from './frames.js';
import { HugetlbFacts } from './hugetlb.js';
import { KsmFacts } from './ksm.js';
import type { ShmemFile } from './shmem.js';
import { shmemCommitted, shmemPages } from './shmem.js';
import type { MmEntries } from './mappings.js';
import { Mappings } from './mappings.js';
import { Vmas } from './vmas.js';

/** A file as the page cache sees it. */
export interface InodeFacts {
  readonly name: string;
  readonly kind: number;
  /** Bytes, -1 unknown. */
  size: number;
  /** Cached frames by page index. */
  readonly pages: Map<number, number>;
}

/**
 * A page that somebody holds: looked up at (`mm`, `vpn`), with `bias` references. `pfn` -1 is the zero page. `pages` are had with these references:
 * more than one where the holder's bytes go on into the pages behind it.
 */
export interface HeldPage {
  readonly pfn: number;
  readonly mm: number;
  readonly vpn: number;
  readonly bias: number;
  readonly pages: number;
}

/** How many pages `length` bytes from `offset` of the first one on lie in. */
export const heldPages = (offset: number, length: number): number => Math.max(1, Math.ceil((offset + length) / 4096));

/** Who holds pages, in the order in which they came. */
export interface HolderFacts {
  readonly kind: number;
  /** FOLL_*. */
  readonly flags: number;
  readonly pages: HeldPage[];
}

export class Facts {
  readonly frames = new FrameTable();
  readonly mappings = new Mappings(this.frames);
  readonly vmas = new Vmas();
  readonly inodes = new Map<number, InodeFacts>();
  /** By inode: files in memory whose blocks are accounted. */
  readonly shmem = new Map<number, ShmemFile>();
  /** Was there an io_uring instance? */
  hasRings = false;
  /** Slots of the swap area that files in memory lead to. */
  readonly shmemSlots = new Set<number>();
  /** Frames unmapped whose references still wait, by mm. */
  readonly gathers = new Map<number, number[]>();
  readonly lruAdd = new Map<number, number[]>();
  readonly lruLazyfree = new Map<number, number[]>();
  /** Frames of the swap cache by slot, and the other way round. */
  readonly swapCache = new Map<number, number>();
  readonly slotOfFrame = new Map<number, number>();
  /** A page may be in it more than once. */
  readonly mlock = new Map<number, number[]>();
  readonly holders = new Map<number, HolderFacts>();
  readonly ksm = new KsmFacts();
  readonly hugetlb = new HugetlbFacts();

  /** A file came into being. */
  addInode(inode: number, name: string, kind: number, size: number): void {
    this.inodes.set(inode, { name, kind, size, pages: new Map() });
    if (kind === InodeKind.ring) this.hasRings = true;
  }

  /** Writes `n` entries from `vpn` on; frames count up with them where `step` is 1. */
  writeRun(space: MmEntries, vpn: number, pfn: number, n: number, flags: number, step: number): void {
    for (let j = 0; j < n; j++) this.mappings.write(space, vpn + j, mkPte(pfn + j * step, flags));
  }

  /** A frame became anonymous memory of `anonVma`. */
  becomesAnon(pfn: number, anonVma: number, exclusive: boolean): void {
    if (!this.frames.has(pfn)) return;
    if (this.frames.kind[pfn] !== FrameKind.hugetlb) this.mappings.setKind(pfn, FrameKind.anon);
    this.frames.flags[pfn]! |= FRAME_SWAPBACKED | (exclusive ? FRAME_EXCLUSIVE : 0);
    this.mappings.setAnonVma(pfn, anonVma);
  }

  /** Frames from `pfn` on became one folio. */
  joins(pfn: number, order: number): void {
    const sound = Number.isInteger(order) && order >= 1 && order <= HPAGE_PMD_ORDER && pfn >= 0;
    if (!sound || pfn % 2 ** order !== 0 || !this.frames.has(pfn + 2 ** order - 1)) return;
    for (let page = pfn; page < pfn + 2 ** order; page++) {
      this.#freeOne(page);
      this.frames.order[page] = order;
    }
  }

  /** A frame is free; the first of a large folio with all of it. */
  free(pfn: number): void {
    if (!this.frames.has(pfn)) return;
    const order = this.frames.order[pfn] as number;
    if (order === 0) return this.#freeOne(pfn);
    const head = this.frames.head(pfn);
    for (let page = head; page < head + 2 ** order; page++) {
      this.#freeOne(page);
      this.frames.order[page] = 0;
    }
  }

  #freeOne(pfn: number): void {
    this.mappings.setKind(pfn, FrameKind.file);
    this.mappings.setAnonVma(pfn, 0);
    this.frames.flags[pfn] = 0;
  }

  freeRuns(runs: readonly number[]): void {
    for (let i = 0; i + 1 < runs.length; i += 2)
      for (let j = 0; j < (runs[i + 1] as number); j++) this.free((runs[i] as number) + j);
  }

  enterBatch(batches: Map<number, number[]>, cpu: number, pfn: number): void {
    if (cpu < 0 || !this.frames.has(pfn)) return;
    const batch = batches.get(cpu);
    if (batch === undefined) batches.set(cpu, [pfn]);
    else batch.push(pfn);
    this.frames.batched[pfn]!++;
  }

  drainBatch(batches: Map<number, number[]>, cpu: number, visit?: (pfn: number) => void): void {
    for (const pfn of batches.get(cpu) ?? []) {
      this.frames.batched[pfn]!--;
      visit?.(pfn);
    }
    batches.set(cpu, []);
  }

  hold(holder: number, page: HeldPage): void {
    const pages = this.holders.get(holder)?.pages;
    if (!pages) return;
    pages.push(page);
    if (this.frames.has(page.pfn)) this.frames.held[page.pfn]! += page.bias;
  }

  /** Lets go of page number `at` of the holder. */
  release(holder: number, at: number): void {
    const [page] = at < 0 ? [] : (this.holders.get(holder)?.pages.splice(at, 1) ?? []);
    if (page !== undefined && this.frames.has(page.pfn)) this.frames.held[page.pfn]! -= page.bias;
  }

  /** Entries that have frame `pfn` by its number only, without a mapping of the page: those of io_uring's memory before 6.10. */
  mappedByNumber(pfn: number): number {
    let found = 0;
    if (!this.hasRings) return found;
    for (const [mm, { list }] of this.vmas.mms)
      for (const { start, end, flags, inode } of list) {
        if ((flags & VM_PFNMAP) === 0 || this.inodes.get(inode)?.kind !== InodeKind.ring) continue;
        const space = this.mappings.of(mm);
        if (space === undefined) continue;
        this.mappings.forEachEntry(space, start / 4096, end / 4096, (_, entry) => {
          if (pteSpecial(entry) && !isZeroPte(entry) && ptePfn(entry) === pfn) found++;
        });
      }
    return found;
  }

  /** Page number `at` of the holder now stands for `pages` pages. */
  widen(holder: number, at: number, pages: number): void {
    const list = this.holders.get(holder)?.pages;
    const page = list?.[at];
    if (list !== undefined && page !== undefined) list[at] = { ...page, pages };
  }

  /** Who holds frame `pfn`, and how: with a reference for the page itself, or for one before it in the same folio. */
  *holdersOf(pfn: number): Generator<readonly [id: number, holder: HolderFacts, page: HeldPage]> {
    const { frames } = this;
    if (!frames.has(pfn) || (frames.held[pfn] === 0 && frames.order[pfn] === 0)) return;
    const head = frames.head(pfn);
    for (const [id, holder] of this.holders)
      for (const page of holder.pages)
        if (page.pfn <= pfn && pfn < page.pfn + page.pages && frames.head(page.pfn) === head) yield [id, holder, page];
  }

  cacheSwap(slot: number, pfn: number): void {
    this.uncacheSwap(slot);
    if (!this.frames.has(pfn)) return;
    this.swapCache.set(slot, pfn);
    this.slotOfFrame.set(pfn, slot);
    this.frames.cached[pfn]!++;
  }

  uncacheSwap(slot: number): void {
    const pfn = this.swapCache.get(slot);
    if (pfn === undefined) return;
    this.swapCache.delete(slot);
    this.slotOfFrame.delete(pfn);
    this.frames.cached[pfn]!--;
  }

  /** Pages of file `id` that are accounted; 0 for one that is not. */
  shmemPages(id: number): number {
    const [file, inode] = [this.shmem.get(id), this.inodes.get(id)];
    return file === undefined || inode === undefined ? 0 : shmemPages(file, inode);
  }

  /** Page `index` of file `id` is in `slot` of the swap area, -1: no more. */
  setSwapped(id: number, index: number, slot: number): void {
    const file = this.shmem.get(id);
    if (file === undefined) return;
    this.shmemSlots.delete(file.swapped.get(index) ?? -1);
    file.swapped.delete(index);
    if (slot < 0) return;
    file.swapped.set(index, slot);
    this.shmemSlots.add(slot);
  }

  /** Entries, and places in files, that lead to `slot`. */
  slotCount(slot: number): number {
    return this.mappings.slotUse(slot).entries + (this.shmemSlots.has(slot) ? 1 : 0);
  }

  /** Pages charged against the commit limit, by VMAs and files in memory. */
  get committed(): number {
    let sum = this.vmas.committed;
    for (const [id, file] of this.shmem) {
      const inode = this.inodes.get(id);
      if (inode !== undefined) sum += shmemCommitted(file, inode);
    }
    return sum;
  }

  cache(inode: InodeFacts, index: number, pfn: number): void {
    this.uncache(inode, index);
    if (!this.frames.has(pfn)) return;
    inode.pages.set(index, pfn);
    this.frames.cached[pfn]!++;
  }

  uncache(inode: InodeFacts, index: number): void {
    const pfn = inode.pages.get(index);
    if (pfn === undefined) return;
    inode.pages.delete(index);
    this.frames.cached[pfn]!--;
  }
}
