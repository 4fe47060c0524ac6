// Keyframes: the state, or what changed in it since the keyframe before, as columns. See keyframe.ts for reading.
//
//   keyframe := [at, previous, hash, root, tasks, anonVmas, inodes, mms, frames, rest]
//
// Frames and page-table entries are taken one by one, all other objects whole. Lists of names and places are ascending.
import { hugetlbUsed } from '../../reducers/hugetlb-state.js';
import type { PteTable } from '../../reducers/pte.js';
import type { KernelView, MmView, PageView } from '../../reducers/state.js';
import { pageAt } from '../../reducers/state.js';
import type { TableBits } from '../../reducers/touched.js';
import { ascending } from '../../reducers/touched.js';
import { PAYLOAD_MAX, pack } from './format.js';
import type { Numbers, Rows } from './rows.js';
import { RowsPool } from './rows.js';

const pool = new RowsPool();

/** Which objects of a state go into a keyframe. */
export interface Selection {
  readonly tids: Iterable<number>;
  readonly tgids: Iterable<number>;
  readonly mms: Iterable<number>;
  readonly anonVmas: Iterable<number>;
  readonly inodes: Iterable<number>;
  readonly names: Iterable<string>;
  /** Page tables of an address space with the entries to take; null: all. May name tables that are not there. */
  tables(mm: number): Iterable<readonly [number: number, entries: TableBits | null]>;
  /** Leaves of an inode's pages. */
  leaves(inode: number): Iterable<number>;
  /** The first frame from `pfn` on and before `end`; -1 for none. */
  nextFrame(pfn: number, end: number): number;
}

/** Numbers in a row of each kind. */
export const WIDTH = {
  task: 10,
  anonVma: 6,
  inode: 7,
  mm: 23,
  vma: 8,
  table: 4,
  entry: 3,
  frame: 8,
  content: 4,
  holder: 5,
  held: 6,
  slot: 7,
  seq: 2,
  ksmItem: 10,
  written: 7,
  large: 11,
  shmem: 9,
  resvMap: 3,
  region: 3,
  hugetlbVma: 5,
  uffd: 11,
} as const;
/** Where the keyframe before stands, for one that holds the whole state. */
export const WHOLE = -1;

/** What is told of a table: some entries, all that are not empty, or that a huge entry stands in its place. */
export const SOME_ENTRIES = 0;
export const WHOLE_TABLE = 1;
export const HUGE_ENTRY = 2;

/** What a state may hold to be put into a keyframe; a larger one is folded. Bounds what a reader allocates. */
export const LIMIT = {
  ids: 1 << 20,
  /** 64 GiB of memory. */
  frames: 1 << 24,
  cpus: 8192,
  slots: 1 << 20,
  upperTables: 1 << 16,
  tables: 1 << 17,
  /** Numbers in all lists of one kind. */
  numbers: 1 << 24,
} as const;

/** Everything in `state`. */
export function wholeOf(state: KernelView): Selection {
  const indices = (list: readonly unknown[]): number[] => [...list.keys()].filter((i) => list[i] !== null);
  return {
    tids: Object.keys(state.tasks).map(Number),
    tgids: Object.keys(state.files).map(Number),
    mms: indices(state.mms),
    anonVmas: indices(state.anonVmas),
    inodes: indices(state.inodes),
    names: Object.keys(state.inodeByName),
    *tables(mm) {
      for (const number of tableNumbers(state.mms[mm] as MmView).tables) yield [number, null];
    },
    leaves: (inode) => indices(state.inodes[inode]!.pages),
    nextFrame: (pfn, end) => (pfn < end ? pfn : -1),
  };
}

/**
 * The payload of a keyframe of `state` after `at` events; `previous` is where the keyframe it builds on stands, or WHOLE.
 * Null if the state is larger than a keyframe may be.
 */
export function encodeKeyframe(
  state: KernelView,
  at: number,
  previous: number,
  hash: string,
  selection: Selection,
): Uint8Array | null {
  const { maxPfn, freeHead, committed, mms, anonVmas, inodes, cpus } = state;
  if (maxPfn > LIMIT.frames || Math.max(mms.length, anonVmas.length, inodes.length) > LIMIT.ids) return null;
  pool.restart();
  const spaces = mmsOf(state, selection);
  if (spaces === null) return null;
  const payload = pack([
    at,
    previous,
    hash,
    [maxPfn, freeHead, committed, mms.length, anonVmas.length, inodes.length, cpus.length],
    tasksOf(state, selection),
    anonVmasOf(state, selection),
    inodesOf(state, selection),
    spaces,
    framesOf(state, selection),
    [
      ...[cpusOf(state), filesOf(state, selection), gupOf(state), slotsOf(state)],
      ...[
        ksmOf(state),
        largeFoliosOf(state),
        settingsOf(state),
        shmemOf(state),
        hugetlbOf(state),
        disksOf(state),
        uffdsOf(state),
      ],
    ],
  ]);
  return payload.length <= PAYLOAD_MAX ? payload : null;
}

function listOf(values: Iterable<number>): unknown {
  const rows = pool.rows(1);
  for (const value of values) rows.columns[0]!.push(value);
  return rows.encode();
}

function tasksOf(state: KernelView, { tids }: Selection): unknown {
  const gone: number[] = [];
  const rows = pool.rows(WIDTH.task);
  for (const tid of ascending(tids)) {
    const t = state.tasks[tid];
    if (t === undefined) gone.push(tid);
    else rows.add(tid, t.tgid, t.parent, t.mm, t.cpu, t.execMm, t.exitMm, t.exited, t.minFlt, t.majFlt);
  }
  return [listOf(gone), rows.encode()];
}

function anonVmasOf(state: KernelView, { anonVmas }: Selection): unknown {
  const gone: number[] = [];
  const rows = pool.rows(WIDTH.anonVma);
  for (const id of ascending(anonVmas)) {
    const a = state.anonVmas[id];
    if (a === undefined) continue;
    if (a === null) gone.push(id);
    else rows.add(id, a.root, a.parent, a.activeVmas, a.children, a.links);
  }
  return [listOf(gone), rows.encode()];
}

function inodesOf(state: KernelView, selection: Selection): unknown {
  const rows = pool.rows(WIDTH.inode);
  const names: string[] = [];
  const present = pool.rows(1);
  const leaves = pool.rows(2);
  const slots = pool.rows(1);
  for (const id of ascending(selection.inodes)) {
    const inode = state.inodes[id];
    if (!inode) continue;
    names.push(inode.name);
    const there = [...inode.pages.keys()].filter((leaf) => inode.pages[leaf] !== null);
    rows.add(id, inode.kind, inode.size, inode.data, inode.resident, inode.pages.length, there.length);
    for (const leaf of there) present.add(leaf);
    for (const leaf of selection.leaves(id)) {
      const values = inode.pages[leaf];
      if (!values) continue;
      leaves.add(id, leaf);
      for (const slot of values) slots.columns[0]!.push(slot);
    }
  }
  const named = [...selection.names].filter((name) => Object.hasOwn(state.inodeByName, name)).sort();
  const byName = named.map((name) => [name, state.inodeByName[name] as number]);
  return [rows.encode(), names, present.encode(), leaves.encode(), slots.encode(), byName];
}

/** Which tables of every level an address space has. */
function tableNumbers(mm: MmView): { puds: number[]; pmds: number[]; tables: number[] } {
  const puds: number[] = [];
  const pmds: number[] = [];
  const tables: number[] = [];
  mm.pgd.forEach((pud, g) => {
    if (!pud) return;
    puds.push(g);
    pud.forEach((pmd, u) => {
      if (!pmd) return;
      const upper = g * 512 + u;
      pmds.push(upper);
      for (let m = 0; m < pmd.length; m++) if (pmd[m]) tables.push(upper * 512 + m);
    });
  });
  return { puds, pmds, tables };
}

function tableAt(mm: MmView, number: number): Readonly<PteTable> | number | null {
  const upper = Math.floor(number / 512);
  return mm.pgd[Math.floor(upper / 512)]?.[upper % 512]?.[number % 512] ?? null;
}

/** Null if there are more tables or entries than a keyframe may hold. */
function mmsOf(state: KernelView, selection: Selection): unknown {
  const gone: number[] = [];
  const rows = pool.rows(WIDTH.mm);
  const vmas = pool.rows(WIDTH.vma);
  const lists = { chains: pool.numbers(), gathers: pool.numbers(), puds: pool.numbers(), pmds: pool.numbers() };
  const present = pool.numbers();
  const tables = pool.rows(WIDTH.table);
  const entries = pool.rows(WIDTH.entry);
  for (const id of ascending(selection.mms)) {
    const mm = state.mms[id];
    if (mm === undefined) continue;
    if (mm === null) {
      gone.push(id);
      continue;
    }
    const numbers = tableNumbers(mm);
    const { users, rss, hiwaterRss, totalVm, dataVm, stackVm, execVm, lockedVm, tableBytes } = mm;
    const counters = [users, ...rss, hiwaterRss, totalVm, dataVm, stackVm, execVm, lockedVm, tableBytes];
    const layout = [mm.startBrk, mm.brk, mm.mmapBase, mm.defFlags, mm.foreignLayout, mm.pgd.length];
    rows.add(id, ...counters, ...layout, mm.vmas.length, mm.gather.length, numbers.puds.length, numbers.pmds.length);
    for (const v of mm.vmas) {
      vmas.add(v.start, v.end, v.flags, v.pgoff, v.inode, v.file, v.anonVma, v.chain.length);
      for (const link of v.chain) lists.chains.push(link);
    }
    for (const pfn of mm.gather) lists.gathers.push(pfn);
    for (const pud of numbers.puds) lists.puds.push(pud);
    for (const pmd of numbers.pmds) lists.pmds.push(pmd);
    // A count first: rows of address spaces are wide enough.
    present.push(numbers.tables.length);
    for (const number of numbers.tables) present.push(number);
    for (const [number, bits] of selection.tables(id)) tableInto(tables, entries, id, mm, number, bits);
  }
  if (present.length > LIMIT.tables || lists.pmds.length > LIMIT.upperTables || lists.puds.length > LIMIT.upperTables)
    return null;
  if (entries.columns[0]!.length > LIMIT.numbers || lists.gathers.length > LIMIT.numbers) return null;
  const single = [lists.chains, lists.gathers, lists.puds, lists.pmds, present];
  return [
    listOf(gone),
    rows.encode(),
    vmas.encode(),
    ...single.map((numbers) => [numbers.length, numbers.encode()]),
    tables.encode(),
    entries.encode(),
  ];
}

function tableInto(
  tables: Rows,
  entries: Rows,
  mmId: number,
  mm: MmView,
  number: number,
  bits: TableBits | null,
): void {
  const table = tableAt(mm, number);
  if (table === null) return;
  const [indices, pfns, flags] = entries.columns as [Numbers, Numbers, Numbers];
  if (typeof table === 'number') {
    const pfn = Math.floor(table / 1024);
    entries.add(0, pfn, table - pfn * 1024);
    tables.add(mmId, number, HUGE_ENTRY, 1);
    return;
  }
  let n = 0;
  for (let i = 0; i < 512; i++) {
    const entry = table[i] as number;
    // A table that is written whole is empty before.
    if (bits === null ? entry === 0 : (bits[i >> 5]! & (1 << (i & 31))) === 0) continue;
    const pfn = Math.floor(entry / 1024);
    indices.push(i);
    pfns.push(pfn);
    flags.push(entry - pfn * 1024);
    n++;
  }
  tables.add(mmId, number, bits === null ? WHOLE_TABLE : SOME_ENTRIES, n);
}

function framesOf(state: KernelView, selection: Selection): unknown {
  const { maxPfn } = state;
  const rows = pool.rows(WIDTH.frame);
  const contents = new ContentTable();
  const [pfns, flags, refs, mapcounts, mappings, indices, lruCpus, filled] = rows.columns as [Numbers, ...Numbers[]];
  for (let pfn = selection.nextFrame(0, maxPfn); pfn >= 0; pfn = selection.nextFrame(pfn + 1, maxPfn)) {
    const page: PageView = pageAt(state, pfn);
    pfns.push(pfn);
    flags!.push(page.flags);
    refs!.push(page.ref);
    mapcounts!.push(page.mapcount);
    mappings!.push(page.mapping);
    indices!.push(page.index);
    lruCpus!.push(page.lruCpu);
    filled!.push(page.content === null ? 0 : contents.number(page.content));
  }
  return [rows.encode(), ...contents.encode()];
}

type ContentView = NonNullable<PageView['content']>;

/** Bytes of pages, counted from 1; equal ones are kept once. */
class ContentTable {
  readonly #rows = pool.rows(WIDTH.content);
  readonly #runs = pool.numbers();
  readonly #kept = new Map<number, { readonly content: ContentView; readonly number: number }>();

  number(content: ContentView): number {
    // Pages of files are all different.
    if (content.inode !== 0) return this.#add(content);
    let key = content.fill;
    for (const part of content.runs) key = Math.imul(key ^ part, 0x9e3779b1) + part;
    const kept = this.#kept.get(key);
    if (kept !== undefined && sameFill(kept.content, content)) return kept.number;
    const number = this.#add(content);
    if (kept === undefined) this.#kept.set(key, { content, number });
    return number;
  }

  #add({ fill, inode, index, runs }: ContentView): number {
    const [fills, inodes, indices, lengths] = this.#rows.columns as [Numbers, Numbers, Numbers, Numbers];
    fills.push(fill);
    inodes.push(inode);
    indices.push(index);
    lengths.push(runs.length);
    for (const part of runs) this.#runs.push(part);
    return fills.length;
  }

  encode(): unknown[] {
    return [this.#rows.encode(), [this.#runs.length, this.#runs.encode()]];
  }
}

function sameFill(a: ContentView, b: ContentView): boolean {
  if (a === b) return true;
  if (a.fill !== b.fill || a.index !== b.index || a.runs.length !== b.runs.length) return false;
  for (let i = 0; i < a.runs.length; i++) if (a.runs[i] !== b.runs[i]) return false;
  return true;
}

const cpusOf = (state: KernelView): unknown =>
  state.cpus.map(({ lruAdd, lruLazyfree, mlock }) => [lruAdd, lruLazyfree, mlock].map(listOf));

/** All of them: they are few. */
function gupOf(state: KernelView): unknown {
  const rows = pool.rows(WIDTH.holder);
  const pages = pool.rows(WIDTH.held);
  for (const holder of state.holders) {
    if (holder === null) continue;
    rows.add(holder.id, holder.kind, holder.owner, holder.flags, holder.pages.length / WIDTH.held);
    for (let i = 0; i < holder.pages.length; i += WIDTH.held)
      pages.add(...(holder.pages.slice(i, i + WIDTH.held) as [number, ...number[]]));
  }
  const seqs = pool.rows(WIDTH.seq);
  for (const [mm, seq] of Object.entries(state.writeProtectSeq)) seqs.add(Number(mm), seq);
  return [state.holders.length, rows.encode(), pages.encode(), listOf(state.hasPinned), seqs.encode()];
}

/** All slots: swapped memory is seldom. `content` 0: zeros, else the base and how many numbers of runs follow. */
function slotsOf(state: KernelView): unknown {
  const rows = pool.rows(WIDTH.slot);
  const runs = pool.numbers();
  for (const { count, pfn, content } of state.swap) {
    if (content === null) rows.add(count, pfn, 0, 0, 0, 0, 0);
    else rows.add(count, pfn, 1, content.fill, content.inode, content.index, content.runs.length);
    for (const number of content?.runs ?? []) runs.push(number);
  }
  const cache = pool.rows(2);
  for (const pfn of ascending(Object.keys(state.swapCache).map(Number))) cache.add(pfn, state.swapCache[pfn] as number);
  return [state.swapFree, rows.encode(), listOfNumbers(runs), cache.encode()];
}

/** All that KSM knows; null where it never ran. */
function ksmOf({ ksm }: KernelView): unknown {
  const { useZeroPages, scans, slots, nodes, lastNode, counters, pagesShared, pagesSharing } = ksm;
  const known = ascending(Object.keys(counters).map(Number));
  const root = [useZeroPages, scans, lastNode, pagesShared, pagesSharing, ksm.pagesUnshared, ksm.zeroPages];
  if (root.every((each) => each === 0) && slots.length + nodes.length + known.length === 0) return null;
  const slotRows = pool.rows(3);
  const items = pool.rows(WIDTH.ksmItem);
  const runs = pool.numbers();
  for (const slot of slots) {
    slotRows.add(slot.mm, slot.exited, slot.items.length);
    for (const { vpn, node, anonVma, unstable, checked, content } of slot.items) {
      const { fill, inode, index } = content ?? { fill: 0, inode: 0, index: 0 };
      const length = content?.runs.length ?? 0;
      items.add(vpn, node, anonVma, unstable, checked, content === null ? 0 : 1, fill, inode, index, length);
      for (const number of content?.runs ?? []) runs.push(number);
    }
  }
  const nodeRows = pool.rows(2);
  for (const { id, pfn } of nodes) nodeRows.add(id, pfn);
  const counted = pool.rows(4);
  for (const mm of known) {
    const [merging = 0, rmapItems = 0, zeroPages = 0] = counters[mm] as readonly number[];
    counted.add(mm, merging, rmapItems, zeroPages);
  }
  return [listOf(root), slotRows.encode(), items.encode(), listOfNumbers(runs), nodeRows.encode(), counted.encode()];
}

/** All of them, the free blocks, and which pages are of what order: [pfn, n, order]*. */
function largeFoliosOf(state: KernelView): unknown {
  const rows = pool.rows(WIDTH.large);
  for (const head of ascending(Object.keys(state.largeFolios).map(Number))) {
    const { order, entireMapcount, largeMapcount, ...rest } = state.largeFolios[head]!;
    const { mm0, count0, mm1, count1, mappedShared, pincount, partiallyMapped } = rest;
    const owners = [mm0, count0, mm1, count1, mappedShared];
    rows.add(head, order, entireMapcount, largeMapcount, ...owners, pincount, partiallyMapped);
  }
  return [rows.encode(), listOf(state.freeLarge), ordersOf(state)];
}

function ordersOf(state: KernelView): unknown {
  const rows = pool.rows(3);
  const some = state.freeLarge.length > 0 || Object.keys(state.largeFolios).length > 0;
  for (let pfn = some ? 0 : state.maxPfn; pfn < state.maxPfn;) {
    const { order } = pageAt(state, pfn);
    const first = pfn++;
    if (order === 0) continue;
    while (pfn < state.maxPfn && pageAt(state, pfn).order === order) pfn++;
    rows.add(first, pfn - first, order);
  }
  return rows.encode();
}

/** All of it; null where there never was any. Regions of all maps stand in one list, [map, from, to]*. */
function hugetlbOf(state: KernelView): unknown {
  if (!hugetlbUsed(state)) return null;
  const {
    total,
    free,
    resv,
    surplus,
    max,
    overcommit,
    freeList,
    restore,
    unmovable,
    maps,
    vmas,
    files,
    subpools,
    charged,
  } = state.hugetlb;
  const counters = [total, free, resv, surplus, max, overcommit, maps.length];
  const mapRows = pool.rows(WIDTH.resvMap);
  const regions = pool.rows(WIDTH.region);
  for (const map of maps) {
    if (map === null) continue;
    mapRows.add(map.id, map.inode, map.refs);
    for (let i = 0; i + 1 < map.regions.length; i += 2)
      regions.add(map.id, map.regions[i] as number, map.regions[i + 1] as number);
  }
  const vmaRows = pool.rows(WIDTH.hugetlbVma);
  for (const { mm, start, map, flags, reserved } of vmas) vmaRows.add(mm, start, map, flags, reserved);
  const rows = [mapRows.encode(), regions.encode(), vmaRows.encode()];
  const fileNumbers = files.flatMap(({ inode, sb, seals, mode }) => [inode, sb, seals, mode]);
  const mounts = subpools.map(({ name, max: most, min, used, rsv }) => [name, most, min, used, rsv]);
  const chargedNumbers = charged.flatMap(({ pfn, sb }) => [pfn, sb]);
  const lists = [listOf(fileNumbers), mounts, listOf(chargedNumbers), listOf(unmovable)];
  return [listOf(counters), listOf(freeList), listOf(restore), ...rows, ...lists];
}

const settingsOf = (state: KernelView): unknown =>
  Object.keys(state.settings)
    .sort()
    .map((name) => [name, state.settings[name]]);

/** Files in memory whose blocks are accounted. */
function shmemOf(state: KernelView): unknown {
  const rows = pool.rows(WIDTH.shmem);
  for (const id of ascending(Object.keys(state.shmem).map(Number))) {
    const { sb, nrpages, alloced, swapped, blocks, seals, noreserve, mode } = state.shmem[id]!;
    rows.add(id, sb, nrpages, alloced, swapped, blocks, seals, noreserve, mode);
  }
  return [rows.encode(), state.tmpfs.map(({ name, maxBlocks, usedBlocks }) => [name, maxBlocks, usedBlocks])];
}

/** What was written to disks: [inode, index, 0 for zeros, else the base and how many numbers of runs follow]*. */
function disksOf({ disks }: KernelView): unknown {
  const rows = pool.rows(WIDTH.written);
  const runs = pool.numbers();
  for (const inode of ascending(Object.keys(disks).map(Number)))
    for (const index of ascending(Object.keys(disks[inode]!).map(Number))) {
      const content = disks[inode]![index] ?? null;
      if (content === null) rows.add(inode, index, 0, 0, 0, 0, 0);
      else rows.add(inode, index, 1, content.fill, content.inode, content.index, content.runs.length);
      for (const number of content?.runs ?? []) runs.push(number);
    }
  return [rows.encode(), listOfNumbers(runs)];
}

/** Lists of numbers of a context, in the order in which they are written. */
export const UFFD_QUEUES = ['pending', 'read', 'events', 'changing', 'readers'] as const;

/** All contexts, how many numbers ever, and the mappings that belong to them: [mm, which of its VMAs, context]*; null where there was none. */
function uffdsOf(state: KernelView): unknown {
  const rows = pool.rows(WIDTH.uffd);
  const waiters = pool.numbers();
  for (const uffd of state.uffds) {
    if (uffd === null) continue;
    const { id, inode, mm, flags, features, released, ...queues } = uffd;
    const lists = UFFD_QUEUES.map((name) => queues[name]);
    rows.add(id, inode, mm, flags, features, released, ...lists.map(({ length }) => length));
    for (const number of lists.flat()) waiters.push(number);
  }
  const vmas = pool.rows(3);
  for (const mm of state.mms)
    mm?.vmas.forEach(({ uffd }, at) => {
      if (uffd !== undefined) vmas.add(mm.id, at, uffd);
    });
  if (state.uffds.length <= 1 && vmas.columns[0]!.length === 0) return null;
  return [state.uffds.length, rows.encode(), listOfNumbers(waiters), vmas.encode()];
}

const listOfNumbers = (numbers: Numbers): unknown => [numbers.length, numbers.encode()];

function filesOf(state: KernelView, { tgids }: Selection): unknown {
  const rows = pool.rows(5);
  const tables: number[] = [];
  const gone: number[] = [];
  for (const tgid of ascending(tgids)) {
    const table = state.files[tgid];
    if (table === undefined) {
      gone.push(tgid);
      continue;
    }
    tables.push(tgid);
    for (const [fd, { inode, flags, file }] of Object.entries(table)) rows.add(tgid, Number(fd), inode, flags, file);
  }
  return [listOf(gone), listOf(tables), rows.encode(), listOf(state.positions)];
}
