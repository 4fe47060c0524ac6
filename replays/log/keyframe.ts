// Reading keyframes: the state at one event, rebuilt from a whole keyframe and the changes of those after it.
import type { PmdTable } from '../../reducers/pte.js';
import { leafPart } from '../../reducers/pte.js';
import { SECTION } from '../../reducers/state.js';
import type { Content, KernelState, LargeFolio, Mm, Page, ShmemInode, Vma } from '../../reducers/state.js';
import type { Ksm, KsmItem } from '../../reducers/ksm-state.js';
import { noKsm } from '../../reducers/ksm-state.js';
import { noHugetlb } from '../../reducers/hugetlb-state.js';
import { MalformedError } from './columns.js';
import { arrayOf, isCount } from './event-codec.js';
import { hugetlbFrom } from './keyframe-hugetlb.js';
import { uffdsInto } from './keyframe-uffd.js';
import { HUGE_ENTRY, LIMIT, WHOLE, WHOLE_TABLE, WIDTH } from './keyframe-encode.js';
import { Stretches, eachRow, narrow, numbersIn, placeIn, rowsOf } from './rows.js';

/** How often one page may wait in a batch: MADV_FREE puts it there each time. */
const BATCH_ALIKE = 1024;

/** A keyframe whose contents are not decoded yet. */
export interface Keyframe {
  /** The state after so many events. */
  readonly at: number;
  /** Where the keyframe stands that it says the differences from; WHOLE if it holds everything. */
  readonly previous: number;
  /** Hash of the whole state. */
  readonly hash: string;
  readonly contents: readonly unknown[];
}

/** The keyframe in a frame's data. Throws MalformedError. */
export function keyframeOf(data: unknown): Keyframe {
  const [at, previous, hash, ...contents] = arrayOf(data, 'a keyframe');
  if (!isCount(at, Number.MAX_SAFE_INTEGER)) throw new MalformedError('a keyframe without its place');
  if (previous !== WHOLE && !(isCount(previous, at) && previous < at))
    throw new MalformedError('a keyframe that builds on one that is not before it');
  if (typeof hash !== 'string' || !/^[0-9a-f]{16}$/.test(hash)) throw new MalformedError('a keyframe without its hash');
  if (contents.length !== 7) throw new MalformedError('a keyframe with other parts than it should have');
  return { at, previous, hash, contents };
}

/** Makes of `state`, which is that of the keyframe before (or the initial one), the state of this one. Throws MalformedError. */
export function applyKeyframe(state: KernelState, keyframe: Keyframe): void {
  const [root, tasks, anonVmas, inodes, mms, frames, rest] = keyframe.contents;
  const [cpus, files, gup, slots, ksm, large, settings, shmem, hugetlb, disks, uffds] = arrayOf(
    rest,
    'the rest of a keyframe',
  );
  const cpuCount = rootInto(state, root);
  tasksInto(state, tasks);
  anonVmasInto(state, anonVmas);
  inodesInto(state, inodes);
  mmsInto(state, mms);
  framesInto(state, frames);
  state.cpus = arrayOf(cpus, 'the CPUs').map((cpu) => {
    const [lruAdd, lruLazyfree, mlock] = arrayOf(cpu, 'a CPU').map((list) =>
      numbersIn(list, LIMIT.numbers, 'a batch', BATCH_ALIKE),
    );
    // Of an older log there are two lists.
    return { lruAdd: lruAdd ?? [], lruLazyfree: lruLazyfree ?? [], mlock: mlock ?? [] };
  });
  if (state.cpus.length !== cpuCount) throw new MalformedError('another number of CPUs than the keyframe says');
  filesInto(state, files);
  // Of an older log there is none.
  if (gup !== undefined) gupInto(state, gup);
  // Of an older log there are none.
  if (slots !== undefined) slotsInto(state, slots);
  state.ksm = ksm === undefined || ksm === null ? noKsm() : ksmFrom(ksm);
  // Nor of these.
  if (large !== undefined) largeFoliosInto(state, large);
  if (settings !== undefined) settingsInto(state, settings);
  if (shmem !== undefined) shmemInto(state, shmem);
  state.hugetlb = hugetlb === undefined || hugetlb === null ? noHugetlb() : hugetlbFrom(hugetlb);
  if (disks !== undefined) disksInto(state, disks);
  uffdsInto(state, uffds ?? null);
}

function ksmFrom(data: unknown): Ksm {
  const [root, slotData, itemData, runData, nodeData, countData] = arrayOf(data, 'KSM');
  const numbers = numbersIn(root, LIMIT.numbers, 'the root of KSM', LIMIT.ids);
  const [useZeroPages = 0, scans = 0, lastNode = 0, pagesShared = 0, pagesSharing = 0] = numbers;
  const [pagesUnshared = 0, zeroPages = 0] = numbers.slice(5);
  const ksm = { ...noKsm(), useZeroPages, scans, lastNode, pagesShared, pagesSharing, pagesUnshared, zeroPages };
  const runs = new Stretches(runData, LIMIT.numbers, 'runs of checked pages');
  const items: KsmItem[] = [];
  eachRow(rowsOf(itemData, WIDTH.ksmItem, LIMIT.frames, 'rmap items', LIMIT.ids), (row) => {
    const [vpn, node, anonVma, unstable, checked] = row as [number, number, number, number, number];
    const [has, fill, inode, index, length] = row.slice(5) as [number, number, number, number, number];
    const content = has === 1 ? { fill, inode, index, runs: runs.take(length, 'runs of checked pages') } : null;
    items.push({ vpn, node, anonVma, unstable, checked, content });
  });
  runs.end('runs of checked pages');
  let at = 0;
  eachRow(rowsOf(slotData, 3, LIMIT.ids, 'scanned processes', LIMIT.ids), (row) => {
    const [mm, exited, count] = row as [number, number, number];
    if (!isCount(count, items.length - at)) throw new MalformedError('rmap items of nobody');
    ksm.slots.push({ mm, exited, items: items.slice(at, (at += count)) });
  });
  if (at !== items.length) throw new MalformedError('rmap items of nobody');
  eachRow(rowsOf(nodeData, 2, LIMIT.frames, 'stable nodes', LIMIT.ids), (row) => {
    const [id, pfn] = row as [number, number];
    ksm.nodes.push({ id, pfn });
  });
  eachRow(rowsOf(countData, 4, LIMIT.ids, 'counters of KSM'), ([mm, ...counters]) => {
    ksm.counters[mm as number] = counters;
  });
  return ksm;
}

function largeFoliosInto(state: KernelState, data: unknown): void {
  const [rowData, free, orders] = arrayOf(data, 'the large folios');
  const before = state.freeLarge.length > 0 || Object.keys(state.largeFolios).length > 0;
  if (before) for (const section of state.memMap) for (const page of section) if (page.order !== 0) page.order = 0;
  state.freeLarge = numbersIn(free, 64, 'free blocks', 64);
  let end = 0;
  eachRow(rowsOf(orders, 3, LIMIT.frames, 'orders'), ([first, n, order]) => {
    if (!isCount(first, state.maxPfn) || first < end || !isCount(n, state.maxPfn - first) || !isCount(order, 63))
      throw new MalformedError('orders of no frames');
    end = first + n;
    for (let pfn = first; pfn < end; pfn++) state.memMap[pfn >>> 8]![pfn & (SECTION - 1)]!.order = order;
  });
  state.largeFolios = {};
  eachRow(rowsOf(rowData, WIDTH.large, LIMIT.frames, 'large folios'), (row) => {
    const [head, order, entireMapcount, largeMapcount, mm0, count0, mm1, count1, ...more] = row as number[];
    const [mappedShared, pincount, partiallyMapped] = more;
    const owners = { mm0, count0, mm1, count1, mappedShared } as Pick<LargeFolio, 'mm0'>;
    state.largeFolios[head!] = {
      order,
      entireMapcount,
      largeMapcount,
      ...owners,
      pincount,
      partiallyMapped,
    } as LargeFolio;
  });
}

function settingsInto(state: KernelState, data: unknown): void {
  state.settings = {};
  for (const pair of arrayOf(data, 'the settings')) {
    const [name, value] = arrayOf(pair, 'a setting');
    if (typeof name !== 'string' || typeof value !== 'string') throw new MalformedError('a setting that is no text');
    state.settings[name] = value;
  }
}

function shmemInto(state: KernelState, data: unknown): void {
  state.shmem = {};
  const [rows, mounts] = arrayOf(data, 'files in memory');
  state.tmpfs = arrayOf(mounts, 'mounts').map((mount) => {
    const [name, maxBlocks, usedBlocks] = arrayOf(mount, 'a mount');
    if (typeof name !== 'string' || !Number.isSafeInteger(maxBlocks) || !Number.isSafeInteger(usedBlocks))
      throw new MalformedError('a mount that is none');
    return { name, maxBlocks: maxBlocks as number, usedBlocks: usedBlocks as number };
  });
  eachRow(rowsOf(rows, WIDTH.shmem, LIMIT.ids, 'files in memory', LIMIT.ids), (row) => {
    const [id, sb, nrpages, alloced, swapped, blocks, seals, noreserve, mode] = row as [number, ...number[]];
    state.shmem[id] = { sb, nrpages, alloced, swapped, blocks, seals, noreserve, mode } as ShmemInode;
  });
}

function disksInto(state: KernelState, data: unknown): void {
  const [rowData, runData] = arrayOf(data, 'what disks hold');
  const runs = new Stretches(runData, LIMIT.numbers, 'runs of disks');
  state.disks = {};
  eachRow(rowsOf(rowData, WIDTH.written, LIMIT.frames, 'pages on disks', LIMIT.ids), (row) => {
    const [inode, index, has, fill] = row as [number, number, number, number];
    const [base, baseIndex, length] = row.slice(4) as [number, number, number];
    const taken = has === 1 ? runs.take(length, 'runs of disks') : [];
    const content = has === 1 ? { fill, inode: base, index: baseIndex, runs: taken } : null;
    (state.disks[inode] ??= {})[index] = content;
  });
  runs.end('runs of disks');
}

function slotsInto(state: KernelState, data: unknown): void {
  const [free, rowData, runData, cache] = arrayOf(data, 'the swap area');
  const runs = new Stretches(runData, LIMIT.numbers, 'runs of slots');
  state.swap = [];
  state.swapCache = {};
  eachRow(rowsOf(rowData, WIDTH.slot, LIMIT.slots, 'slots', LIMIT.slots), (row) => {
    const [count, pfn, has, fill, inode, index, length] = row as [
      ...[number, number, number, number],
      ...[number, number, number],
    ];
    const content = has === 1 ? { fill, inode, index, runs: runs.take(length, 'runs of slots') } : null;
    state.swap.push({ count, pfn, content });
  });
  runs.end('runs of slots');
  eachRow(rowsOf(cache, 2, LIMIT.slots, 'the swap cache'), ([pfn, slot]) => {
    state.swapCache[pfn as number] = slot as number;
  });
  if (!Number.isSafeInteger(free)) throw new MalformedError('a free slot that is none');
  state.swapFree = free as number;
}

/** Sizes of the lists, which are filled up; returns the number of CPUs. */
function rootInto(state: KernelState, data: unknown): number {
  const [maxPfn, freeHead, committed, mms, anonVmas, inodes, cpus] = arrayOf(data, 'the root') as number[];
  const grow = (list: unknown[], length: unknown): void => {
    if (!isCount(length, LIMIT.ids) || length < list.length) throw new MalformedError('a list of an impossible length');
    while (list.length < length) list.push(null);
  };
  if (!isCount(maxPfn, LIMIT.frames) || maxPfn < state.maxPfn || !isCount(cpus, LIMIT.cpus))
    throw new MalformedError('more frames or CPUs than a machine has');
  if (!Number.isSafeInteger(freeHead) || !Number.isSafeInteger(committed))
    throw new MalformedError('a root that is not numbers');
  grow(state.mms, mms);
  grow(state.anonVmas, anonVmas);
  grow(state.inodes, inodes);
  state.maxPfn = maxPfn;
  state.freeHead = freeHead as number;
  state.committed = committed as number;
  return cpus;
}

function tasksInto(state: KernelState, data: unknown): void {
  const [gone, rows] = arrayOf(data, 'the tasks');
  for (const tid of numbersIn(gone, LIMIT.numbers, 'tasks')) delete state.tasks[tid];
  eachRow(rowsOf(rows, WIDTH.task, LIMIT.numbers, 'tasks'), (row) => {
    const [tid, tgid, parent, mm, cpu, execMm, exitMm, exited, minFlt, majFlt] = row as [number, ...number[]];
    state.tasks[tid] = {
      tid,
      tgid,
      parent,
      mm,
      cpu,
      execMm,
      exitMm,
      exited,
      minFlt,
      majFlt,
    } as KernelState['tasks'][0];
  });
}

function anonVmasInto(state: KernelState, data: unknown): void {
  const [gone, rows] = arrayOf(data, 'the anon_vmas');
  for (const id of numbersIn(gone, LIMIT.ids, 'anon_vmas'))
    state.anonVmas[placeIn(state.anonVmas, id, 'anon_vma')] = null;
  eachRow(rowsOf(rows, WIDTH.anonVma, LIMIT.ids, 'anon_vmas'), (row) => {
    const [id, root, parent, activeVmas, children, links] = row as [number, number, number, number, number, number];
    state.anonVmas[placeIn(state.anonVmas, id, 'anon_vma')] = { id, root, parent, activeVmas, children, links };
  });
}

function inodesInto(state: KernelState, data: unknown): void {
  const [rowData, nameData, presentData, leafData, slotData, byName] = arrayOf(data, 'the inodes');
  const names = arrayOf(nameData, 'the names of inodes');
  const present = new Stretches(presentData, LIMIT.tables, 'leaves');
  let next = 0;
  eachRow(rowsOf(rowData, WIDTH.inode, LIMIT.ids, 'inodes'), (row) => {
    const [id, kind, size, ownData, resident, length, leaves] = row as [
      ...[number, number, number, number],
      ...[number, number, number],
    ];
    const name = names[next++];
    if (typeof name !== 'string' || !isCount(length, LIMIT.tables))
      throw new MalformedError('an inode without name or length');
    const before = state.inodes[placeIn(state.inodes, id, 'inode')]?.pages ?? [];
    const pages = new Array<number[] | null>(length).fill(null);
    for (const leaf of present.take(leaves, 'leaves'))
      pages[placeIn(pages, leaf, 'leaf')] = before[leaf] ?? new Array<number>(512).fill(0);
    state.inodes[id] = { id, name, kind, size, data: ownData, resident, pages };
  });
  present.end('leaves');
  const slots = new Stretches(slotData, LIMIT.numbers, 'slots');
  eachRow(rowsOf(leafData, 2, LIMIT.tables, 'leaves'), (row) => {
    const pages = state.inodes[placeIn(state.inodes, row[0], 'inode')]?.pages ?? [];
    if (!pages[row[1] as number]) throw new MalformedError('a leaf that is not there');
    pages[row[1] as number] = slots.take(512, 'slots');
  });
  slots.end('slots');
  for (const pair of arrayOf(byName, 'the names')) {
    const [name, id] = arrayOf(pair, 'a name');
    if (typeof name !== 'string' || !isCount(id, LIMIT.ids)) throw new MalformedError('a name of nothing');
    state.inodeByName[name] = id;
  }
}

function mmsInto(state: KernelState, data: unknown): void {
  const [gone, rowData, vmaData, chainData, gatherData, pudData, pmdData, presentData, tableData, entryData] = arrayOf(
    data,
    'the address spaces',
  );
  const stretches = (list: unknown, max: number, what: string): Stretches => new Stretches(list, max, what);
  for (const id of numbersIn(gone, LIMIT.ids, 'address spaces'))
    state.mms[placeIn(state.mms, id, 'address space')] = null;
  const rows = rowsOf(rowData, WIDTH.mm, LIMIT.ids, 'address spaces');
  const vmas = vmasIn(vmaData, stretches(chainData, LIMIT.numbers, 'chains'), rows.n);
  const gathers = stretches(gatherData, LIMIT.numbers, 'gathers');
  const puds = stretches(pudData, LIMIT.upperTables, 'tables');
  const pmds = stretches(pmdData, LIMIT.upperTables, 'tables');
  const present = stretches(presentData, LIMIT.tables + LIMIT.ids, 'tables');
  let vmaAt = 0;
  eachRow(rows, (row) => {
    const [id, users, file, anon, swap, shmem, hiwaterRss, totalVm, dataVm, stackVm, execVm, ...more] = row as number[];
    const [lockedVm, tableBytes, startBrk, brk, mmapBase, defFlags, foreignLayout, pgdLength, vmaCount, ...counts] =
      more;
    const [gatherCount, pudCount, pmdCount] = counts as [number, number, number];
    if (!isCount(vmaCount, vmas.length - vmaAt) || !isCount(pgdLength, LIMIT.ids))
      throw new MalformedError('an address space with more than there is');
    const mm = {
      id,
      users,
      vmas: vmas.slice(vmaAt, vmaAt + vmaCount),
      pgd: new Array<null>(pgdLength).fill(null),
      rss: [file, anon, swap, shmem],
      hiwaterRss,
      totalVm,
      dataVm,
      stackVm,
      execVm,
      lockedVm,
      tableBytes,
      startBrk,
      brk,
      mmapBase,
      defFlags,
      foreignLayout,
      gather: gathers.take(gatherCount, 'gathers'),
    } as Mm;
    vmaAt += vmaCount;
    const [tableCount] = present.take(1, 'tables') as [number];
    const numbers = present.take(tableCount, 'tables');
    tablesInto(mm, state.mms[placeIn(state.mms, id, 'address space')] ?? null, [
      puds.take(pudCount, 'tables'),
      pmds.take(pmdCount, 'tables'),
      numbers,
    ]);
    state.mms[id as number] = mm;
  });
  for (const all of [gathers, puds, pmds, present]) all.end('lists of address spaces');
  entriesInto(state, tableData, entryData);
}

/** The VMAs of `spaces` address spaces; those of one begin at different addresses. */
function vmasIn(data: unknown, chains: Stretches, spaces: number): Vma[] {
  const vmas: Vma[] = [];
  eachRow(rowsOf(data, WIDTH.vma, LIMIT.numbers, 'VMAs', spaces), (row) => {
    const [start, end, flags, pgoff, inode, file, anonVma, links] = row as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    vmas.push({ start, end, flags, pgoff, inode, file, anonVma, chain: chains.take(links, 'chains') });
  });
  chains.end('chains');
  return vmas;
}

/** The tables of every level in `numbers`; those that `before` has keep their entries. */
function tablesInto(mm: Mm, before: Mm | null, numbers: readonly (readonly number[])[]): void {
  const [puds, pmds, tables] = numbers as [readonly number[], readonly number[], readonly number[]];
  const none = (): null[] => new Array<null>(512).fill(null);
  for (const g of puds) mm.pgd[placeIn(mm.pgd, g, 'table')] = none();
  for (const number of pmds) {
    const pud = mm.pgd[Math.floor(number / 512)];
    if (!pud) throw new MalformedError('a table without the one above it');
    pud[number % 512] = none();
  }
  let pmdNumber = -1;
  let pmd: PmdTable | null = null;
  let old: PmdTable | null = null;
  for (const number of tables) {
    const upper = Math.floor(number / 512);
    if (upper !== pmdNumber) {
      pmdNumber = upper;
      pmd = mm.pgd[Math.floor(upper / 512)]?.[upper % 512] ?? null;
      old = before?.pgd[Math.floor(upper / 512)]?.[upper % 512] ?? null;
    }
    if (pmd === null) throw new MalformedError('a table without the one above it');
    pmd[number % 512] = old?.[number % 512] ?? new Array<number>(512).fill(0);
  }
}

function entriesInto(state: KernelState, tableData: unknown, entryData: unknown): void {
  const tables = rowsOf(tableData, WIDTH.table, LIMIT.tables, 'tables');
  const { n: total, columns } = rowsOf(entryData, WIDTH.entry, LIMIT.numbers, 'entries', tables.n);
  const [indices, pfns, flags] = columns as [Float64Array, Float64Array, Float64Array];
  let at = 0;
  eachRow(tables, (row) => {
    const [mm, number, whole, count] = row as [number, number, number, number];
    const upper = Math.floor(number / 512);
    const pmd = state.mms[mm]?.pgd[Math.floor(upper / 512)]?.[upper % 512];
    const found = pmd?.[number % 512];
    if (!pmd || !found || !isCount(count, Math.min(512, total - at))) throw new MalformedError('entries of no table');
    if (whole === HUGE_ENTRY) {
      if (count !== 1) throw new MalformedError('a huge entry that is not one');
      pmd[number % 512] = narrow((pfns[at] as number) * 1024 + (flags[at] as number));
      at++;
      return;
    }
    // Where a huge entry was and now a table is, what is not told is as the huge entry had it.
    const table = typeof found === 'number' ? Array.from({ length: 512 }, (_, i) => leafPart(found, i)) : found;
    pmd[number % 512] = table;
    if (whole === WHOLE_TABLE) table.fill(0);
    for (const end = at + count; at < end; at++) {
      const index = indices[at] as number;
      if (!isCount(index, 511)) throw new MalformedError('an entry outside of its table');
      table[index] = narrow((pfns[at] as number) * 1024 + (flags[at] as number));
    }
  });
  if (at !== total) throw new MalformedError('entries of no table');
}

const NO_PAGE: Page = { flags: 0, ref: 0, mapcount: 0, mapping: 0, index: 0, lruCpu: -1, content: null, order: 0 };
const NEW_SECTION: readonly Page[] = Array.from({ length: SECTION }, () => NO_PAGE);

function framesInto(state: KernelState, data: unknown): void {
  const [rowData, contentData, runData] = arrayOf(data, 'the frames');
  const { n, columns } = rowsOf(rowData, WIDTH.frame, LIMIT.frames, 'frames');
  const [pfns, flags, refs, mapcounts, mappings, indices, lruCpus, filled] = columns as [
    Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array,
  ]; // prettier-ignore
  const contents = contentsIn(contentData, runData, n);
  const { memMap } = state;
  let count = frameCount(memMap);
  for (let i = 0; i < n; i++) {
    const pfn = pfns[i] as number;
    if (!isCount(pfn, Math.min(count, state.maxPfn - 1))) throw new MalformedError('a frame that has no place');
    const content = filled[i] === 0 ? null : contents[(filled[i] as number) - 1];
    if (content === undefined) throw new MalformedError('a frame with bytes that are not there');
    const page: Page = {
      flags: flags[i]! | 0,
      ref: refs[i]! | 0,
      mapcount: mapcounts[i]! | 0,
      mapping: mappings[i]! | 0,
      index: narrow(indices[i] as number),
      lruCpu: lruCpus[i]! | 0,
      content,
      order: 0,
    };
    if (pfn === count) {
      // A copy has the room it needs; one that grows leaves garbage behind.
      if (count % SECTION === 0) memMap.push(NEW_SECTION.slice(0, state.maxPfn - count));
      count++;
    }
    memMap[pfn >>> 8]![pfn & (SECTION - 1)] = page;
  }
  if (count !== state.maxPfn) throw new MalformedError('frames that are not there');
}

const frameCount = (memMap: KernelState['memMap']): number =>
  memMap.length === 0 ? 0 : (memMap.length - 1) * SECTION + memMap[memMap.length - 1]!.length;

/** The contents of `frames` frames. */
function contentsIn(data: unknown, runData: unknown, frames: number): Content[] {
  const { n, columns } = rowsOf(data, WIDTH.content, LIMIT.frames, 'contents', frames);
  const [fills, inodes, indices, lengths] = columns as [Float64Array, Float64Array, Float64Array, Float64Array];
  const runs = new Stretches(runData, LIMIT.numbers, 'runs of bytes');
  const contents: Content[] = [];
  for (let i = 0; i < n; i++) {
    const taken = runs.take(lengths[i] as number, 'runs of bytes');
    contents.push({ fill: fills[i]! | 0, inode: inodes[i]! | 0, index: narrow(indices[i] as number), runs: taken });
  }
  runs.end('runs of bytes');
  return contents;
}

function gupInto(state: KernelState, data: unknown): void {
  const [length, rowData, pageData, hasPinned, seqData] = arrayOf(data, 'the holders');
  if (!isCount(length, LIMIT.ids) || length < 1) throw new MalformedError('an impossible number of holders');
  const holders = new Array<KernelState['holders'][0]>(length).fill(null);
  // A page may be held as often as anybody likes.
  const { n, columns } = rowsOf(pageData, WIDTH.held, LIMIT.numbers / WIDTH.held, 'held pages', LIMIT.ids);
  let at = 0;
  eachRow(rowsOf(rowData, WIDTH.holder, LIMIT.ids, 'holders'), (row) => {
    const [id, kind, owner, flags, count] = row as [number, number, number, number, number];
    if (!isCount(count, n - at)) throw new MalformedError('held pages of nobody');
    const pages: number[] = [];
    for (const end = at + count; at < end; at++) for (const column of columns) pages.push(narrow(column[at] as number));
    holders[placeIn(holders, id, 'holder')] = { id, kind, owner, flags, pages };
  });
  if (at !== n) throw new MalformedError('held pages of nobody');
  state.holders = holders;
  state.hasPinned = numbersIn(hasPinned, LIMIT.ids, 'address spaces');
  // Keyframes of before there was one have none.
  state.writeProtectSeq = {};
  if (seqData === undefined) return;
  eachRow(rowsOf(seqData, WIDTH.seq, LIMIT.ids, 'sequence counts'), ([mm, seq]) => {
    state.writeProtectSeq[mm as number] = seq as number;
  });
}

function filesInto(state: KernelState, data: unknown): void {
  const [gone, tables, rows, positions] = arrayOf(data, 'the descriptors');
  for (const tgid of numbersIn(gone, LIMIT.numbers, 'descriptors')) delete state.files[tgid];
  for (const tgid of numbersIn(tables, LIMIT.numbers, 'descriptors')) state.files[tgid] = {};
  eachRow(rowsOf(rows, 5, LIMIT.numbers, 'descriptors'), (row) => {
    const [tgid, fd, inode, flags, file] = row as [number, number, number, number, number];
    const table = state.files[tgid];
    if (table === undefined) throw new MalformedError('a descriptor of nobody');
    table[fd] = { inode, flags, file };
  });
  state.positions = [...numbersIn(positions, LIMIT.numbers, 'positions', LIMIT.ids)];
}
