// What each fork cost: pages it shared, and who later paid for a copy of them, where and by what. A view of history: no state tells it.
import type { EventOf } from '../events/index.js';
import { PTRS_PER_PTE, pteWrite } from '../reducers/pte.js';
import { HPAGE_PMD_NR } from '../reducers/state.js';
import { VM_GROWSDOWN } from '../reducers/vma.js';
import { Vmas } from './facts/vmas.js';
import type { VmaFacts } from './facts/vmas.js';
import { vmaHandlers } from './facts/vma-handlers.js';
import type { HistoryProjection, OperationInfo } from './projection.js';

/** Copies and reuses by one process in one mapping by one kind of operation. */
export interface CowWriter {
  readonly pid: number;
  /** `[heap]`, `[stack]`, a file's name, or the address where an anonymous mapping began. */
  readonly mapping: string;
  readonly operation: string;
  /** Pages copied, and pages kept because nobody else had them any more. */
  copied: number;
  reused: number;
  /** Source lines of the first and last operation. */
  readonly firstLine: number;
  lastLine: number;
}

/** One fork. */
export interface ForkCost {
  /** Number of the event that began the child's address space. */
  readonly event: number;
  readonly line: number;
  readonly parentMm: number;
  readonly childMm: number;
  parent: number;
  child: number;
  /** Anonymous pages that both had afterwards, in memory or swapped out. */
  shared: number;
  copied: number;
  reused: number;
  readonly by: CowWriter[];
}

/** Which fork last made each entry shared: its index plus one, by table. */
type Tags = Map<number, Int32Array>;

/** The live view. */
export interface CowCost {
  readonly forks: ForkCost[];
  readonly vmas: Vmas;
  readonly tags: Map<number, Tags>;
  /** [start_brk, brk] by mm. */
  readonly heaps: Map<number, readonly [number, number]>;
  readonly inodes: Map<number, string>;
  /** Some task of each mm. */
  readonly tasks: Map<number, number>;
  operation: OperationInfo | null;
}

function tagAt({ tags }: CowCost, mm: number, vpn: number): number {
  const index = Math.floor(vpn / PTRS_PER_PTE);
  return tags.get(mm)?.get(index)?.[vpn - index * PTRS_PER_PTE] ?? 0;
}

function setTag({ tags }: CowCost, mm: number, vpn: number, tag: number): void {
  const index = Math.floor(vpn / PTRS_PER_PTE);
  let table = tags.get(mm)?.get(index);
  if (table === undefined) {
    if (tag === 0) return;
    table = new Int32Array(PTRS_PER_PTE);
    const ofMm = tags.get(mm) ?? new Map<number, Int32Array>();
    ofMm.set(index, table);
    tags.set(mm, ofMm);
  }
  table[vpn - index * PTRS_PER_PTE] = tag;
}

/** What a person calls the mapping at `addr`. */
function mappingName(view: CowCost, mm: number, addr: number): string {
  const vma: VmaFacts | undefined = view.vmas.at(mm, addr);
  if (vma === undefined) return '?';
  // Recordings put device and inode number before the path.
  if (vma.inode !== 0) return (view.inodes.get(vma.inode) ?? `file ${vma.inode}`).replace(/^\S+ (?=\/)/, '');
  const [startBrk, brk] = view.heaps.get(mm) ?? [0, 0];
  if (brk > startBrk && vma.start < brk && vma.end > startBrk) return '[heap]';
  if ((vma.flags & VM_GROWSDOWN) !== 0) return '[stack]';
  return `anonymous at 0x${vma.start.toString(16)}`;
}

/** A write fault ended the sharing of one page: booked on the fork that began it. */
function book(view: CowCost, mm: number, vpn: number, what: 'copied' | 'reused'): void {
  const fork = view.forks[tagAt(view, mm, vpn) - 1];
  if (fork === undefined) return;
  setTag(view, mm, vpn, 0);
  fork[what]++;
  const pid = view.operation?.pid ?? view.tasks.get(mm) ?? 0;
  const operation = view.operation?.name ?? '?';
  const line = view.operation?.line ?? 0;
  const mapping = mappingName(view, mm, vpn * 4096);
  let writer = fork.by.find((each) => each.pid === pid && each.mapping === mapping && each.operation === operation);
  if (writer === undefined) {
    writer = { pid, mapping, operation, copied: 0, reused: 0, firstLine: line, lastLine: line };
    fork.by.push(writer);
  }
  writer[what]++;
  writer.lastLine = line;
}

/** Anonymous entries of one table became shared. */
function shared(view: CowCost, { mm, child, anon }: EventOf<'PtesCopied'>): void {
  const at = view.forks.findLastIndex((fork) => fork.childMm === child);
  const fork = view.forks[at];
  if (fork === undefined) return;
  for (let i = 0; i + 4 < anon.length; i += 5) {
    const n = anon[i + 2] as number;
    fork.shared += n;
    for (let j = 0; j < n; j++) {
      setTag(view, mm, (anon[i] as number) + j, at + 1);
      setTag(view, child, (anon[i] as number) + j, at + 1);
    }
  }
}

/** A swap entry that fork copied: the page behind it is as shared as one in memory. */
function swapShared(view: CowCost, { mm, child, vpn }: EventOf<'SwapEntryCopied'>): void {
  const at = view.forks.findLastIndex((fork) => fork.childMm === child);
  const fork = view.forks[at];
  if (fork === undefined) return;
  fork.shared++;
  setTag(view, mm, vpn, at + 1);
  setTag(view, child, vpn, at + 1);
}

function clear(view: CowCost, mm: number, runs: readonly number[]): void {
  if (!view.tags.has(mm)) return;
  for (let i = 0; i + 3 < runs.length; i += 4)
    for (let j = 0; j < (runs[i + 2] as number); j++) setTag(view, mm, (runs[i] as number) + j, 0);
}

function moved(view: CowCost, { mm, vpn, newVpn, runs }: EventOf<'PtesMoved'>): void {
  if (!view.tags.has(mm)) return;
  const taken: [number, number][] = [];
  for (let i = 0; i + 1 < runs.length; i += 2)
    for (let j = 0; j < (runs[i + 1] as number); j++) {
      const offset = (runs[i] as number) + j;
      taken.push([newVpn + offset, tagAt(view, mm, vpn + offset)]);
      setTag(view, mm, vpn + offset, 0);
    }
  for (const [to, tag] of taken) setTag(view, mm, to, tag);
}

export const cowCost: HistoryProjection<CowCost> = {
  name: 'cow-cost',
  init: () => ({
    forks: [],
    vmas: new Vmas(),
    tags: new Map(),
    heaps: new Map(),
    inodes: new Map(),
    tasks: new Map(),
    operation: null,
  }),
  begin(state): CowCost {
    const view = cowCost.init();
    for (const mm of state.mms) {
      if (!mm) continue;
      view.vmas.create(mm.id);
      for (const vma of mm.vmas) view.vmas.insert(mm.id, vma);
      view.heaps.set(mm.id, [mm.startBrk, mm.brk]);
    }
    state.inodes.forEach((inode, id) => inode && view.inodes.set(id, inode.name));
    for (const { tid, mm } of Object.values(state.tasks)) if (!view.tasks.has(mm)) view.tasks.set(mm, tid);
    return view;
  },
  operation: (view, operation) => void (view.operation = operation),
  on: {
    ...vmaHandlers,
    MmCreated(view, { mm, parent, startBrk, brk }, number) {
      view.vmas.create(mm);
      view.heaps.set(mm, [startBrk, brk]);
      if (parent === 0) return;
      view.forks.push({
        event: number,
        line: view.operation?.line ?? 0,
        parentMm: parent,
        childMm: mm,
        parent: view.operation?.pid ?? view.tasks.get(parent) ?? 0,
        child: 0,
        shared: 0,
        copied: 0,
        reused: 0,
        by: [],
      });
    },
    MmFreed(view, { mm }) {
      view.vmas.drop(mm);
      for (const facts of [view.tags, view.heaps, view.tasks]) facts.delete(mm);
    },
    BrkSet: (view, { mm, startBrk, brk }) => void view.heaps.set(mm, [startBrk, brk]),
    InodeCreated: (view, { inode, name }) => void view.inodes.set(inode, name),
    TaskCreated(view, { tid, parent, mm }) {
      if (!view.tasks.has(mm)) view.tasks.set(mm, tid);
      const fork = view.forks.findLast((each) => each.childMm === mm);
      if (fork === undefined || fork.child !== 0) return;
      fork.child = tid;
      fork.parent = parent;
    },
    TaskMmSwitched: (view, { tid, mm }) => void view.tasks.set(mm, tid),
    PtesCopied: shared,
    CowPageMapped: (view, { mm, vpn }) => book(view, mm, vpn, 'copied'),
    PageReused: (view, { mm, vpn }) => book(view, mm, vpn, 'reused'),
    CowPagesMapped(view, { mm, runs: [vpn = 0, , pages = 0] }) {
      for (let i = 0; i < pages; i++) book(view, mm, vpn + i, 'copied');
    },
    CowHugePageMapped(view, { mm, vpn }) {
      for (let i = 0; i < HPAGE_PMD_NR; i++) book(view, mm, vpn + i, 'copied');
    },
    PagesReused(view, { mm, runs }) {
      for (let i = 0; i + 3 < runs.length; i += 4)
        for (let j = 0; j < runs[i + 2]!; j++) book(view, mm, runs[i]! + j, 'reused');
    },
    PtesZapped(view, { mm, runs, special }) {
      clear(view, mm, runs);
      clear(view, mm, special);
    },
    PtesMoved: moved,
    SwapEntryCopied: swapShared,
    // Swapped in as this process's own page: nobody has to copy it any more.
    PageSwappedIn(view, { mm, vpn, entry, exclusive }) {
      if (exclusive === 1 || pteWrite(entry)) book(view, mm, vpn, 'reused');
    },
    SwapEntryFreed: (view, { mm, vpn }) => setTag(view, mm, vpn, 0),
    LazyfreeDiscarded: (view, { mm, vpn }) => setTag(view, mm, vpn, 0),
  },
  read: (view) => ({ forks: forkReport(view) }),
  save(view): Saved {
    return {
      forks: structuredClone(view.forks),
      vmas: [...view.vmas.mms].map(([mm, { list }]) => [mm, structuredClone(list)]),
      tags: [...view.tags].map(([mm, tables]) => [mm, [...tables].map(([index, tags]) => [index, [...tags]])]),
      heaps: [...view.heaps].map(([mm, [startBrk, brk]]) => [mm, startBrk, brk]),
      inodes: [...view.inodes],
      tasks: [...view.tasks],
    };
  },
  load(plain): CowCost {
    const saved = plain as Saved;
    const vmas = new Vmas();
    for (const [mm, list] of saved.vmas) {
      vmas.create(mm);
      for (const vma of list) vmas.insert(mm, vma);
    }
    return {
      forks: structuredClone(saved.forks),
      vmas,
      tags: new Map(
        saved.tags.map(([mm, tables]) => [mm, new Map(tables.map(([index, tags]) => [index, Int32Array.from(tags)]))]),
      ),
      heaps: new Map(saved.heaps.map(([mm, startBrk, brk]) => [mm, [startBrk, brk]])),
      inodes: new Map(saved.inodes),
      tasks: new Map(saved.tasks),
      operation: null,
    };
  },
};

interface Saved {
  readonly forks: ForkCost[];
  readonly vmas: [number, VmaFacts[]][];
  readonly tags: [number, [number, number[]][]][];
  readonly heaps: [number, number, number][];
  readonly inodes: [number, string][];
  readonly tasks: [number, number][];
}

/** What `report cow --json` prints of each fork. */
export interface ForkReport extends Omit<ForkCost, 'by' | 'parentMm' | 'childMm'> {
  readonly copiedBytes: number;
  /** Who, the dearest first. */
  readonly by: readonly (CowWriter & { readonly bytes: number })[];
}

/** The forks in order. */
export function forkReport(view: CowCost): ForkReport[] {
  return view.forks.map(({ event, line, parent, child, shared: pages, copied, reused, by }) => ({
    parent,
    child,
    event,
    line,
    shared: pages,
    copied,
    reused,
    copiedBytes: copied * 4096,
    by: by
      .map((writer) => ({ ...writer, bytes: writer.copied * 4096 }))
      .sort((a, b) => b.copied - a.copied || b.reused - a.reused || a.firstLine - b.firstLine),
  }));
}
