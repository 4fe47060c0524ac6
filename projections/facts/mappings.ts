// Page-table entries of all address spaces and, the other way round, who maps each frame. Kept apart from the folded state, so that it
// can contradict it: counts come from entries, never from what events say about counts.
import {
  PTE_HUGE,
  PTE_SPECIAL,
  PTE_WRITE,
  PTRS_PER_PTE,
  TABLE_BYTES,
  isHugePte,
  isMigrationPte,
  isKsmZeroPte,
  isSwapPte,
  leafPart,
  ptePfn,
  ptePresent,
  pteSwpExclusive,
  swpOffset,
} from '../../reducers/pte.js';
import type { FrameKind, FrameTable } from './frames.js';
import { wider } from './frames.js';

/** Pages below one entry of the upper levels. */
const PMD_SPAN = PTRS_PER_PTE * PTRS_PER_PTE;
const PUD_SPAN = PMD_SPAN * PTRS_PER_PTE;

/** One table's entries. */
export interface Table {
  readonly entries: Float64Array;
  /** Entries that are not empty. */
  used: number;
}

/** The entries of one address space. */
export interface MmEntries {
  readonly mm: number;
  /** Tables of the lowest level by vpn / 512. */
  readonly tables: Map<number, Table>;
  /** Tables above, by vpn / 512^2 and vpn / 512^3. */
  readonly pmds: Set<number>;
  readonly puds: Set<number>;
  /** Pages mapped, by FrameKind. */
  readonly rss: Int32Array;
  /** Tables of the lowest level that are none: a hugetlb entry stands there, and nothing in store for a split. By vpn / 512. */
  readonly bare: Set<number>;
  /** Swap entries. */
  swapped: number;
  /** Migration entries; `rss` counts them as pages of the frame's kind. */
  migrating: number;
  /** Entries to zero pages that KSM placed. */
  ksmZeroPages: number;
  lastIndex: number;
  lastTable: Table | null;
}

/** Told of every entry that an event writes, after it was written. */
export interface EntryWatcher {
  entryWritten(mm: number, vpn: number, old: number, entry: number): void;
}

/** The frame that `entry` maps, -1 for none: empty, zero page, raw pfn. */
export function mappedPfn(entry: number): number {
  if (entry === 0 || (entry & PTE_SPECIAL) !== 0 || !ptePresent(entry)) return -1;
  return ptePfn(entry);
}

const NODES = 1024;
/** A log may be made up. */
const ANON_VMAS_MAX = 2 ** 26;

export class Mappings {
  readonly frames: FrameTable;
  /** By mm. */
  readonly mms = new Map<number, MmEntries>();
  watcher: EntryWatcher | null = null;
  /** Entries to zero pages that KSM placed, of all address spaces. */
  ksmZeroPages = 0;
  /** Mapped frames that belong to each anon_vma. */
  anonMapped = new Int32Array(NODES);
  /** Mappings as singly linked lists, one per frame; node 0 is none. */
  #mm = new Int32Array(NODES);
  #vpn = new Float64Array(NODES);
  #next = new Int32Array(NODES);
  #nodes = 1;
  readonly #slots = new Map<number, { readonly entries: number; readonly exclusive: number }>();
  #free = 0;

  constructor(frames: FrameTable) {
    this.frames = frames;
  }

  /** The address space `mm`; entries of one that never began are kept nowhere. */
  of(mm: number): MmEntries | undefined {
    return this.mms.get(mm);
  }

  create(mm: number): MmEntries {
    this.drop(mm);
    const made: MmEntries = {
      mm,
      tables: new Map(),
      pmds: new Set(),
      puds: new Set(),
      rss: new Int32Array(4),
      bare: new Set(),
      swapped: 0,
      migrating: 0,
      ksmZeroPages: 0,
      lastIndex: -1,
      lastTable: null,
    };
    this.mms.set(mm, made);
    return made;
  }

  /** The address space is gone, with whatever entries it had. */
  drop(mm: number): void {
    const gone = this.mms.get(mm);
    if (gone === undefined) return;
    for (const index of [...gone.tables.keys()]) this.#dropTable(gone, index);
    this.mms.delete(mm);
  }

  /** The entry at `vpn`, 0 where nothing is. */
  at(space: MmEntries, vpn: number): number {
    const index = Math.floor(vpn / PTRS_PER_PTE);
    const table = index === space.lastIndex ? space.lastTable : space.tables.get(index);
    return table ? (table.entries[vpn - index * PTRS_PER_PTE] as number) : 0;
  }

  /** Writes one entry, with the tables above it. */
  write(space: MmEntries, vpn: number, entry: number): void {
    const index = Math.floor(vpn / PTRS_PER_PTE);
    const table = index === space.lastIndex ? (space.lastTable as Table) : this.#table(space, index);
    const at = vpn - index * PTRS_PER_PTE;
    const old = table.entries[at] as number;
    table.entries[at] = entry;
    if (old === 0) {
      if (entry !== 0) table.used++;
    } else if (entry === 0) table.used--;
    if (isKsmZeroPte(old)) this.#countKsmZero(space, -1);
    if (isKsmZeroPte(entry)) this.#countKsmZero(space, 1);
    if (isSwapPte(old)) this.#countSlot(space, old, -1);
    if (isSwapPte(entry)) this.#countSlot(space, entry, 1);
    if (isMigrationPte(old)) this.#countMigrating(space, old, -1);
    if (isMigrationPte(entry)) this.#countMigrating(space, entry, 1);
    const oldPfn = mappedPfn(old);
    const pfn = mappedPfn(entry);
    if (oldPfn !== pfn) {
      if (oldPfn >= 0) this.#unmap(space, vpn, oldPfn);
      if (pfn >= 0) this.#map(space, vpn, pfn);
    }
    const { frames } = this;
    if (((old | entry) & PTE_HUGE) !== 0) {
      if (oldPfn >= 0 && isHugePte(old) && oldPfn < frames.size) frames.leaves[oldPfn]!--;
      if (pfn >= 0 && isHugePte(entry) && pfn < frames.size) frames.leaves[pfn]!++;
    }
    if (oldPfn >= 0 && (old & PTE_WRITE) !== 0 && oldPfn < frames.size) frames.writers[oldPfn]!--;
    if (pfn >= 0 && (entry & PTE_WRITE) !== 0 && pfn < frames.size) frames.writers[pfn]!++;
    this.watcher?.entryWritten(space.mm, vpn, old, entry);
  }

  /** Writes what the huge entry `leaf` makes of the 512 entries around `vpn`; 0: they are gone, and their table. */
  writeBlock(space: MmEntries, vpn: number, leaf: number): void {
    const index = Math.floor(vpn / PTRS_PER_PTE);
    if (leaf === 0) {
      if (space.tables.has(index)) this.#dropTable(space, index);
      return;
    }
    for (let i = 0; i < PTRS_PER_PTE; i++) this.write(space, index * PTRS_PER_PTE + i, leafPart(leaf, i));
  }

  /** The same of a hugetlb entry: no table goes with it. */
  writeBare(space: MmEntries, vpn: number, leaf: number): void {
    const index = Math.floor(vpn / PTRS_PER_PTE);
    this.writeBlock(space, vpn, leaf);
    if (leaf === 0) space.bare.delete(index);
    else space.bare.add(index);
  }

  /** The huge entry at `vpn` is `entry` at `newVpn` now; the table in store goes with it, if there is one. */
  moveBlock(space: MmEntries, vpn: number, newVpn: number, entry: number): void {
    const bare = space.bare.has(Math.floor(vpn / PTRS_PER_PTE));
    this.writeBlock(space, vpn, 0);
    if (bare) this.writeBare(space, newVpn, entry);
    else this.writeBlock(space, newVpn, entry);
  }

  /** How many entries lead to `slot` of the swap area, and how many of them are exclusive. */
  slotUse(slot: number): { readonly entries: number; readonly exclusive: number } {
    return this.#slots.get(slot) ?? { entries: 0, exclusive: 0 };
  }

  #countKsmZero(space: MmEntries, n: number): void {
    space.ksmZeroPages += n;
    this.ksmZeroPages += n;
  }

  #countSlot(space: MmEntries, entry: number, n: number): void {
    space.swapped += n;
    const slot = swpOffset(entry);
    const use = this.slotUse(slot);
    const entries = use.entries + n;
    const exclusive = use.exclusive + (pteSwpExclusive(entry) ? n : 0);
    if (entries === 0) this.#slots.delete(slot);
    else this.#slots.set(slot, { entries, exclusive });
  }

  #countMigrating(space: MmEntries, entry: number, n: number): void {
    const pfn = ptePfn(entry);
    space.migrating += n;
    if (this.frames.has(pfn)) space.rss[this.frames.kind[pfn] as number]! += n;
  }

  /** `count` of the tables that a walk to `vpn` lacks, the highest first. */
  addTables(space: MmEntries, vpn: number, count: number): void {
    let left = count;
    for (const [tables, span] of [
      [space.puds, PUD_SPAN],
      [space.pmds, PMD_SPAN],
    ] as const) {
      const index = Math.floor(vpn / span);
      if (tables.has(index)) continue;
      if (left-- <= 0) return;
      tables.add(index);
    }
    if (left > 0) this.#table(space, Math.floor(vpn / PTRS_PER_PTE));
  }

  /** Tables of every level that lie wholly in [from, to) are gone. */
  dropTables(space: MmEntries, from: number, to: number): void {
    const inside = (index: number, span: number): boolean => index * span >= from && (index + 1) * span <= to;
    for (const index of [...space.tables.keys()]) if (inside(index, PTRS_PER_PTE)) this.#dropTable(space, index);
    for (const index of [...space.pmds]) if (inside(index, PMD_SPAN)) space.pmds.delete(index);
    for (const index of [...space.puds]) if (inside(index, PUD_SPAN)) space.puds.delete(index);
  }

  tableBytes(space: MmEntries): number {
    return (space.tables.size - space.bare.size + space.pmds.size + space.puds.size) * TABLE_BYTES;
  }

  /** Calls `visit` for each non-empty entry in [from, to), ascending; until it returns false. */
  forEachEntry(
    space: MmEntries,
    from: number,
    to: number,
    visit: (vpn: number, entry: number) => boolean | void,
  ): void {
    const first = Math.floor(from / PTRS_PER_PTE);
    const last = Math.ceil(to / PTRS_PER_PTE);
    const indices =
      last - first < space.tables.size
        ? Array.from({ length: last - first }, (_, i) => first + i)
        : [...space.tables.keys()].filter((index) => index >= first && index < last).sort((a, b) => a - b);
    for (const index of indices) {
      const table = space.tables.get(index);
      if (table === undefined || table.used === 0) continue;
      const base = index * PTRS_PER_PTE;
      const end = Math.min(PTRS_PER_PTE, to - base);
      for (let i = Math.max(0, from - base); i < end; i++) {
        const entry = table.entries[i] as number;
        if (entry !== 0 && visit(base + i, entry) === false) return;
      }
    }
  }

  /** Calls `visit` for each mapping of `pfn`, in no order. */
  forEachMapper(pfn: number, visit: (mm: number, vpn: number) => void): void {
    if (pfn >= this.frames.size) return;
    for (let node = this.frames.firstNode[pfn] as number; node !== 0; node = this.#next[node] as number)
      visit(this.#mm[node] as number, this.#vpn[node] as number);
  }

  /** How often address space `mm` maps `pfn`. */
  timesMapped(pfn: number, mm: number): number {
    let times = 0;
    for (let node = this.frames.firstNode[pfn] as number; node !== 0; node = this.#next[node] as number)
      if (this.#mm[node] === mm) times++;
    return times;
  }

  #table(space: MmEntries, index: number): Table {
    let table = space.tables.get(index);
    if (table === undefined) {
      table = { entries: new Float64Array(PTRS_PER_PTE), used: 0 };
      space.tables.set(index, table);
      space.pmds.add(Math.floor(index / PTRS_PER_PTE));
      space.puds.add(Math.floor(index / (PTRS_PER_PTE * PTRS_PER_PTE)));
    }
    space.lastIndex = index;
    space.lastTable = table;
    return table;
  }

  #dropTable(space: MmEntries, index: number): void {
    const table = space.tables.get(index) as Table;
    if (table.used > 0)
      table.entries.forEach((entry, i) => {
        if (entry !== 0) this.write(space, index * PTRS_PER_PTE + i, 0);
      });
    space.tables.delete(index);
    space.bare.delete(index);
    space.lastIndex = -1;
    space.lastTable = null;
  }

  #map(space: MmEntries, vpn: number, pfn: number): void {
    const { frames } = this;
    if (!frames.has(pfn)) return;
    if (frames.mappers[pfn]!++ === 0) this.anonMapped[frames.anonVma[pfn] as number]!++;
    space.rss[frames.kind[pfn] as number]!++;
    let node = this.#free;
    if (node !== 0) this.#free = this.#next[node] as number;
    else node = this.#newNode();
    this.#mm[node] = space.mm;
    this.#vpn[node] = vpn;
    this.#next[node] = frames.firstNode[pfn] as number;
    frames.firstNode[pfn] = node;
  }

  #unmap(space: MmEntries, vpn: number, pfn: number): void {
    const { frames } = this;
    if (pfn >= frames.size) return;
    if (--frames.mappers[pfn]! === 0) this.anonMapped[frames.anonVma[pfn] as number]!--;
    space.rss[frames.kind[pfn] as number]!--;
    let before = 0;
    let node = frames.firstNode[pfn] as number;
    while (node !== 0 && (this.#vpn[node] !== vpn || this.#mm[node] !== space.mm)) {
      before = node;
      node = this.#next[node] as number;
    }
    if (node === 0) return;
    const next = this.#next[node] as number;
    if (before === 0) frames.firstNode[pfn] = next;
    else this.#next[before] = next;
    this.#next[node] = this.#free;
    this.#free = node;
  }

  /** Frame `pfn` is now of another kind; what maps it already counts anew. */
  setKind(pfn: number, kind: FrameKind): void {
    const { frames } = this;
    const old = frames.kind[pfn] as number;
    if (old === kind) return;
    frames.kind[pfn] = kind;
    if (frames.mappers[pfn] === 0) return;
    this.forEachMapper(pfn, (mm) => {
      const space = this.mms.get(mm) as MmEntries;
      space.rss[old]!--;
      space.rss[kind]!++;
    });
  }

  /** Frame `pfn` now belongs to `anonVma` (0: to none). */
  setAnonVma(pfn: number, anonVma: number): void {
    const { frames } = this;
    const old = frames.anonVma[pfn] as number;
    if (old === anonVma || !(anonVma >= 0 && anonVma < ANON_VMAS_MAX)) return;
    while (anonVma >= this.anonMapped.length) this.anonMapped = wider(this.anonMapped, this.anonMapped.length * 2);
    frames.anonVma[pfn] = anonVma;
    if (frames.mappers[pfn] === 0) return;
    this.anonMapped[old]!--;
    this.anonMapped[anonVma]!++;
  }

  #newNode(): number {
    if (this.#nodes === this.#mm.length) {
      const size = this.#nodes * 2;
      this.#mm = wider(this.#mm, size);
      this.#next = wider(this.#next, size);
      const vpn = new Float64Array(size);
      vpn.set(this.#vpn);
      this.#vpn = vpn;
    }
    return this.#nodes++;
  }
}
