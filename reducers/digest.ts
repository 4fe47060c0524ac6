// A rolling digest of what events did to the state. It is caught when reducers write something else than they did when a
// log was made, at the chunk where it happens. It reads only the subjects that the events name, never the whole state.
import type { EventShape, EventType, FieldKind, KernelEvent } from '../events/index.js';
import { SHAPES } from '../events/index.js';
import { compile, property } from '../src/lib/compile.js';
import { Hash64 } from '../src/lib/hash.js';
import { leafAt, leafPart, missingTableBytes, pteTable } from './pte.js';
import { slotIn } from './cache-slot.js';
import type { Step } from './digest-steps.js';
import { EXTRA_STEPS } from './digest-steps.js';
import { COUNTED } from './huge.js';
import { hugetlbNumbers } from './hugetlb-state.js';
import type { KernelView, MmView, PageView } from './state.js';
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER, SECTION, initialState } from './state.js';
import type { TableBits, Touched } from './touched.js';
import { vmaLookup } from './vma.js';

const ABSENT = 0x0ddba11;

/**
 * Takes into a hash what stands in the state under the ids that events name. Within one batch an object is taken once
 * (`startBatch()` forgets), so that a fault costs what its own page and entry cost. Called by the code made from the catalogue.
 */
export class SubjectHash {
  readonly hash: Hash64;
  #state: KernelView = initialState();
  #batch = 0;
  #framesSeen = new Int32Array(1024);
  readonly #mmsSeen: number[] = [];
  readonly #anonVmasSeen: number[] = [];
  readonly #inodesSeen: number[] = [];
  readonly #cpusSeen: number[] = [];
  readonly #tasksSeen = new Map<number, number>();
  #lastTid = -1;
  // The table of the entry asked for last: neighbouring pages come one after the other.
  #tableMm = -1;
  #tableNumber = -1;
  #table: readonly number[] | null = null;
  readonly #touched: Touched | null;
  #touchedFrames: Uint8Array = new Uint8Array(0);
  #touchedEntries: TableBits | null = null;

  /** `touched` is told of everything that is visited. */
  constructor(hash: Hash64, touched: Touched | null = null) {
    this.hash = hash;
    this.#touched = touched;
  }

  /** Begins a batch of events that `state` now holds the results of. */
  startBatch(state: KernelView): void {
    this.#state = state;
    this.#batch++;
    this.#tasksSeen.clear();
    this.#lastTid = -1;
    this.#tableMm = -1;
    this.#tableNumber = -1;
    if (this.#framesSeen.length < state.maxPfn) {
      const wider = new Int32Array(2 * state.maxPfn);
      wider.set(this.#framesSeen);
      this.#framesSeen = wider;
    }
    if (this.#touched !== null) this.#touchedFrames = this.#touched.framesOf(state);
    const { hash } = this;
    hash.pair(state.maxPfn, state.freeHead);
    hash.pair(state.mms.length, state.anonVmas.length);
    hash.pair(state.inodes.length, state.cpus.length);
    hash.number(state.committed);
  }

  number(value: number): void {
    this.hash.number(value);
  }
  /** Two at once, which mostly takes one round. */
  twoNumbers(x: number, y: number): void {
    const { hash } = this;
    if ((x | 0) === x && (y | 0) === y) return hash.pair(x, y);
    hash.number(x);
    hash.number(y);
  }
  /** The name that an inode gets. */
  text(value: string): void {
    this.hash.text(value);
    this.#touched?.names.add(value);
  }
  numbers(values: readonly number[]): void {
    this.hash.pair(values.length, 0x3c6ef372);
    for (const value of values) this.hash.number(value);
  }

  task(tid: number): void {
    this.hash.number(tid);
    if (tid === this.#lastTid) return;
    this.#lastTid = tid;
    if (this.#tasksSeen.get(tid) === this.#batch) return;
    this.#tasksSeen.set(tid, this.#batch);
    this.#touched?.tids.add(tid);
    this.#object(this.#state.tasks[tid], 1);
  }

  mm(id: number): void {
    this.hash.number(id);
    if (this.#mmsSeen[id] === this.#batch) return;
    this.#touched?.mms.add(id);
    this.#indexed(this.#state.mms, this.#mmsSeen, id, 2);
  }
  anonVma(id: number): void {
    this.hash.number(id);
    if (this.#anonVmasSeen[id] === this.#batch) return;
    this.#touched?.anonVmas.add(id);
    this.#indexed(this.#state.anonVmas, this.#anonVmasSeen, id, 3);
  }
  inode(id: number): void {
    this.hash.number(id);
    if (this.#inodesSeen[id] === this.#batch) return;
    this.#touched?.inodes.add(id);
    this.#indexed(this.#state.inodes, this.#inodesSeen, id, 4);
    this.hash.number(this.#state.inodeByName[this.#state.inodes[id]?.name ?? ''] ?? -1);
  }
  cpu(id: number): void {
    this.hash.number(id);
    // -1 stands for no CPU; asking an array for it is slow.
    if (id < 0 || this.#cpusSeen[id] === this.#batch) return;
    const cpu = this.#state.cpus[id];
    if (!cpu) return this.hash.pair(ABSENT, 5);
    while (this.#cpusSeen.length < id) this.#cpusSeen.push(0);
    this.#cpusSeen[id] = this.#batch;
    this.#list(cpu.lruAdd, 5);
    this.#list(cpu.lruLazyfree, 5);
    // Digests of before there were such batches are without them.
    if (cpu.mlock.length > 0) this.#list(cpu.mlock, 5);
  }
  #list(values: readonly number[], kind: number): void {
    if (values.length > 0) this.numbers(values);
    else this.hash.pair(0, kind);
  }

  #indexed(objects: readonly (object | null)[], seen: number[], id: number, kind: number): void {
    const object = objects[id];
    if (object) {
      while (seen.length < id) seen.push(0);
      seen[id] = this.#batch;
    }
    this.#object(object, kind);
  }

  /** Every number, text and list of numbers that `object` holds; of other lists the length. */
  #object(object: object | null | undefined, kind: number): void {
    const { hash } = this;
    if (!object) return hash.pair(ABSENT, kind);
    for (const value of Object.values(object) as unknown[]) {
      if (typeof value === 'number') hash.number(value);
      else if (typeof value === 'string') hash.text(value);
      else if (!Array.isArray(value)) hash.pair(ABSENT, kind);
      else if (typeof value[0] === 'number') this.numbers(value as number[]);
      else hash.pair(value.length, kind);
    }
  }

  /** A frame: flags, counts, mapping and bytes. */
  frame(pfn: number): void {
    const { hash } = this;
    hash.number(pfn);
    if (!(pfn >= 0 && pfn < this.#state.maxPfn) || this.#framesSeen[pfn] === this.#batch) return;
    this.#framesSeen[pfn] = this.#batch;
    if (this.#touched !== null) this.#touchedFrames[pfn] = 1;
    const page = this.#state.memMap[Math.floor(pfn / SECTION)]?.[pfn % SECTION];
    if (!page) return hash.pair(ABSENT, 6);
    hash.pair(page.flags, page.ref);
    hash.pair(page.mapcount, page.lruCpu);
    hash.number(page.mapping);
    hash.number(page.index);
    if (page.order !== 0) this.#ofLarge(pfn, page.order);
    const { content } = page;
    if (content === null) return;
    hash.pair(content.fill, content.inode);
    hash.number(content.index);
    this.numbers(content.runs);
  }

  /** The entry at `vpn`; where it is empty, also how deep the tables reach. */
  entry(mmId: number, vpn: number): void {
    const { hash } = this;
    const mm = this.#state.mms[mmId];
    if (!mm) return hash.pair(ABSENT, 7);
    const tableNumber = Math.floor(vpn / 512);
    if (tableNumber !== this.#tableNumber || mmId !== this.#tableMm) {
      this.#tableNumber = tableNumber;
      this.#tableMm = mmId;
      this.#table = pteTable(mm, vpn);
      if (this.#touched !== null) this.#touchedEntries = this.#touched.bits(mmId, tableNumber);
    }
    const index = vpn - tableNumber * 512;
    if (this.#touchedEntries !== null) this.#touchedEntries[index >> 5]! |= 1 << (index & 31);
    if (this.#table === null) this.#noTable(mm, vpn, index);
    else hash.number(this.#table[index] as number);
  }

  #noTable(mm: MmView, vpn: number, index: number): void {
    const leaf = leafAt(mm, vpn);
    if (leaf === 0) this.hash.pair(missingTableBytes(mm, vpn), 0x1b873593);
    else this.hash.number(leafPart(leaf, index));
  }

  /** All entries of the 2 MiB around `vpn`. */
  block(mmId: number, vpn: number): void {
    const mm = this.#state.mms[mmId];
    if (!mm) return this.hash.pair(ABSENT, 7);
    this.#touched?.bits(mmId, Math.floor(vpn / HPAGE_PMD_NR)).fill(-1);
    const table = pteTable(mm, vpn);
    if (table !== null) for (const entry of table) this.hash.number(entry);
    else this.#noTable(mm, vpn, 0);
  }

  /** Frame `pfn` is one of a large folio's: what happens to one may change all. */
  #ofLarge(pfn: number, order: number): void {
    const pages = 2 ** order;
    const head = pfn - (pfn % pages);
    this.hash.pair(order, head);
    if (this.#touched !== null) this.#touchedFrames.fill(1, head, head + pages);
  }

  /** The 512 pages from `pfn` on, and what they count as a folio. */
  hugePage(pfn: number): void {
    if (pfn >= 0) this.largeFolio(pfn, HPAGE_PMD_NR);
  }

  /** The same of `pages` pages. */
  largeFolio(pfn: number, pages: number): void {
    this.#object(this.#state.largeFolios[pfn], 14);
    for (let i = 0; i < pages; i++) this.frame(pfn + i);
  }

  /** A folio of `order` as the allocator gives it. */
  freshFolio(pfn: number, order: number): void {
    if (pfn >= 0 && order > 0 && order <= HPAGE_PMD_ORDER) this.largeFolio(pfn, 2 ** order);
  }

  /** The folio at `pfn` that takes the place of the pages of one run [vpn, pfn, n]. */
  copiedFolio(pfn: number, [, , pages = 0]: readonly number[]): void {
    this.largeFolio(pfn, pages);
  }

  /** What the large folios that begin at the frames of [vpn, pfn, n]* count; the frames are taken for themselves. */
  foliosOf(runs: readonly number[]): void {
    for (let i = 1; i < runs.length; i += 3) this.#object(this.#state.largeFolios[runs[i] as number], 14);
  }

  /** The 2^order pages from `pfn` on, which were one folio. */
  splitPages(pfn: number, order: number): void {
    if (pfn < 0 || !(order >= 0 && order <= HPAGE_PMD_ORDER)) return;
    this.#object(this.#state.largeFolios[pfn], 14);
    for (let i = 0; i < 2 ** order; i++) this.frame(pfn + i);
  }

  /** What the large folios count that begin each stretch of COUNTED numbers. */
  counted(folios: readonly number[]): void {
    for (let i = 0; i + COUNTED <= folios.length; i += COUNTED) this.#object(this.#state.largeFolios[folios[i]!], 14);
  }

  /** A tmpfs. */
  tmpfs(sb: number): void {
    this.#object(this.#state.tmpfs[sb], 16);
  }

  /** What is accounted of a file in memory. */
  shmem(inode: number): void {
    const info = this.#state.shmem[inode];
    this.#object(info, 15);
    if (info !== undefined && info.sb >= 0) this.tmpfs(info.sb);
  }

  /** What stands in a file of settings. */
  setting(name: string): void {
    this.hash.text(this.#state.settings[name] ?? '');
  }

  /** The VMA that contains `addr`. */
  vma(mmId: number, addr: number): void {
    const mm = this.#state.mms[mmId];
    this.#object(mm ? vmaLookup(mm, addr) : null, 8);
  }

  /** What a descriptor leads to. */
  file(tgid: number, fd: number): void {
    this.#touched?.tgids.add(tgid);
    this.#object(this.#state.files[tgid]?.[fd], 10);
  }
  /** A whole table of descriptors. */
  files(tgid: number): void {
    this.#touched?.tgids.add(tgid);
    const table = this.#state.files[tgid];
    if (!table) return this.hash.pair(ABSENT, 11);
    for (const [fd, file] of Object.entries(table)) {
      this.hash.number(Number(fd));
      this.#object(file, 10);
    }
  }

  /** Where an open file description is read and written next. */
  position(file: number): void {
    this.hash.number(this.#state.positions[file] ?? ABSENT);
  }

  /** At which slot frame `pfn` is in the swap cache. */
  cachedAt(pfn: number): void {
    this.hash.number(this.#state.swapCache[pfn] ?? ABSENT);
  }

  /** What the disk has of a page of a file. */
  onDisk(inode: number, index: number): void {
    this.hash.pair(inode, index);
    this.#content(this.#state.disks[inode]?.[index] ?? null);
  }
  /** What KSM knows of the page at `vpn`, and counts of its process. */
  ksmItem(mmId: number, vpn: number): void {
    const { slots, counters } = this.#state.ksm;
    const at = slots.findIndex((each) => each.mm === mmId);
    this.hash.number(at);
    this.numbers(counters[mmId] ?? []);
    const item = slots[at]?.items.find((each) => each.vpn === vpn);
    if (!item) return this.hash.pair(ABSENT, 13);
    this.hash.pair(item.node, item.unstable);
    this.hash.pair(item.checked, item.anonVma);
    if (item.content === null) return;
    this.hash.pair(item.content.fill, item.content.inode);
    this.numbers(item.content.runs);
  }
  /** KSM as a whole: who is scanned, and the counters. */
  ksm(): void {
    const { useZeroPages, scans, slots, nodes, lastNode, pagesShared, pagesSharing, pagesUnshared, zeroPages } =
      this.#state.ksm;
    this.numbers([useZeroPages, scans, lastNode, pagesShared, pagesSharing, pagesUnshared, zeroPages]);
    for (const { mm, exited, items } of slots) this.numbers([mm, exited, items.length]);
    for (const { id, pfn } of nodes) this.numbers([id, pfn]);
  }

  /** The pool of hugetlb pages, reservation maps, and whose they are. */
  hugetlb(): void {
    this.numbers(hugetlbNumbers(this.#state));
  }

  /** Page-cache slots of the huge page at page `index`. */
  hugeSlots(inodeId: number, index: number): void {
    this.slots(inodeId, [index, HPAGE_PMD_NR], 2);
  }

  /** A context of userfaultfd, and who waits for it. */
  uffd(id: number): void {
    this.#object(this.#state.uffds[id], 16);
  }

  /** Who holds pages, and which. */
  holder(id: number): void {
    this.#object(this.#state.holders[id], 12);
  }
  /** Address spaces with MMF_HAS_PINNED. */
  hasPinned(): void {
    this.numbers(this.#state.hasPinned);
  }
  /** How often fork began and ended to write-protect an address space. */
  writeProtectSeq(mm: number): void {
    this.hash.pair(mm, this.#state.writeProtectSeq[mm] ?? ABSENT);
  }

  /** The 2^order slots from `slot` on, and where the folio from `pfn` on is in the swap cache. */
  slotRow(slot: number, pfn: number, order: number): void {
    if (slot < 0 || !(order >= 0 && order <= HPAGE_PMD_ORDER)) return;
    for (let i = 0; i < 2 ** order; i++) {
      this.slot(slot + i);
      this.cachedAt(pfn + i);
    }
  }

  /** The slots of pages [vpn, pfn, n, flags]* of the folio that begins at `head` and has those from `slot` on. */
  slotsOfPages(slot: number, head: number, runs: readonly number[]): void {
    for (let i = 0; i + 3 < runs.length; i += 4)
      for (let j = 0; j < (runs[i + 2] as number); j++) this.slot(slot + (runs[i + 1] as number) + j - head);
  }

  /** A slot of the swap area, and which is the next free one. */
  slot(slot: number): void {
    const { swap, swapFree } = this.#state;
    const found = swap[slot];
    this.hash.number(swapFree);
    if (found === undefined) return this.hash.pair(ABSENT, 13);
    this.hash.pair(found.count, found.pfn);
    this.#content(found.content);
  }
  #content(content: PageView['content']): void {
    if (content === null) return;
    this.hash.pair(content.fill, content.inode);
    this.hash.number(content.index);
    this.numbers(content.runs);
  }

  /** Frames of [pfn, n]* that stand at `at` in every `stride` numbers; the count comes behind. */
  frames(runs: readonly number[], stride: number, at: number): void {
    this.numbers(runs);
    for (let i = 0; i + stride <= runs.length; i += stride) {
      const pfn = runs[i + at] as number;
      const n = runs[i + at + 1] as number;
      for (let j = 0; j < n; j++) this.frame(pfn + j);
    }
  }

  /** Frames of [pfn, number]*. */
  framesOfPairs(pairs: readonly number[]): void {
    for (let i = 0; i + 2 <= pairs.length; i += 2) this.frame(pairs[i] as number);
  }

  /** Entries of [vpn, ..., n, ...]*, with the count `at` numbers behind the vpn. */
  entries(mmId: number, runs: readonly number[], stride: number, at: number): void {
    for (let i = 0; i + stride <= runs.length; i += stride) {
      const vpn = runs[i] as number;
      const n = runs[i + at] as number;
      for (let j = 0; j < n; j++) this.entry(mmId, vpn + j);
    }
  }

  /** Entries of [offset, n]* counted from `vpn`. */
  entriesFrom(mmId: number, vpn: number, runs: readonly number[]): void {
    for (let i = 0; i + 2 <= runs.length; i += 2)
      for (let j = 0; j < (runs[i + 1] as number); j++) this.entry(mmId, vpn + (runs[i] as number) + j);
  }

  /** Page-cache slots of [index, ..., n]*. */
  slots(inodeId: number, runs: readonly number[], stride: number): void {
    const inode = this.#state.inodes[inodeId];
    if (!inode) return this.hash.pair(ABSENT, 9);
    if (this.#touched !== null) this.#touchLeaves(this.#touched, inodeId, runs, stride);
    for (let i = 0; i + stride <= runs.length; i += stride)
      for (let j = 0; j < (runs[i + stride - 1] as number); j++)
        this.hash.number(slotIn(inode, (runs[i] as number) + j));
  }

  #touchLeaves(touched: Touched, inodeId: number, runs: readonly number[], stride: number): void {
    for (let i = 0; i + stride <= runs.length; i += stride) {
      const end = (runs[i] as number) + (runs[i + stride - 1] as number);
      for (let leaf = Math.floor((runs[i] as number) / 512); leaf * 512 < end; leaf++) touched.leaf(inodeId, leaf);
    }
  }

  /** Page tables of an address space went or may be others than before; adds nothing to the hash. */
  tablesRemade(mm: number): void {
    this.#touched?.remade(mm);
  }
}

/** What a field adds to the digest. `mms` and `inodes` are the event's fields of those kinds. */
function stepsOfField(field: string, kind: FieldKind, mms: readonly string[], inodes: readonly string[]): Step[] {
  const step = (method: Step['method'], ...args: (string | number)[]): Step => ({ method, args });
  const entries = (stride: number, at: number): Step[] => mms.map((mm) => step('entries', mm, field, stride, at));
  switch (kind) {
    case 'mm':
    case 'inode':
    case 'anonVma':
    case 'cpu':
      return [step(kind, field)];
    case 'tid':
      return [step('task', field)];
    case 'pfn':
      return [step('frame', field)];
    case 'int':
      return [step('number', field)];
    case 'vpn':
      return [step('number', field), ...mms.map((mm) => step('entry', mm, field))];
    case 'addr':
      return [step('number', field), ...mms.map((mm) => step('vma', mm, field))];
    case 'pfnRuns':
      return [step('frames', field, 2, 0)];
    case 'vpnRuns':
      return [step('numbers', field), ...entries(2, 1)];
    case 'pteRuns3':
      return [step('frames', field, 3, 1), ...entries(3, 2)];
    case 'pteRuns4':
      return [step('frames', field, 4, 1), ...entries(4, 2)];
    case 'pteRuns5':
      return [step('frames', field, 5, 1), ...entries(5, 2)];
    case 'cacheRuns':
      return [step('frames', field, 3, 1), ...inodes.map((inode) => step('slots', inode, field, 3))];
    case 'ints':
      return [step('numbers', field)];
    case 'text':
      return [step('text', field)];
  }
}

function stepsOf(type: EventType, shape: EventShape): readonly Step[] {
  const fields = Object.entries(shape.fields);
  const named = (kind: FieldKind): string[] => fields.filter((field) => field[1] === kind).map(([name]) => name);
  const mms = named('mm');
  const inodes = named('inode');
  const steps: Step[] = [];
  for (const [field, kind] of fields) {
    for (const step of stepsOfField(field, kind, mms, inodes)) {
      const last = steps.at(-1);
      if (step.method === 'number' && last?.method === 'number')
        steps[steps.length - 1] = { method: 'twoNumbers', args: [...last.args, ...step.args] };
      else steps.push(step);
    }
  }
  return [...steps, ...(EXTRA_STEPS[type] ?? [])];
}

type Taker = (subjects: SubjectHash, event: KernelEvent) => void;

/** The steps as one function; `general` takes the path of platforms that forbid making code. */
export function takerOf(type: EventType, general = false): Taker {
  const { opcode } = SHAPES[type];
  const steps = stepsOf(type, SHAPES[type]);
  const calls = steps.map(
    ({ method, args }) =>
      `s${property(method)}(${args.map((arg) => (typeof arg === 'number' ? arg : `e${property(arg)}`)).join(',')});`,
  );
  const compiled = general ? null : compile(['s', 'e'], `s.number(${opcode}); ${calls.join(' ')}`);
  if (compiled !== null) return compiled as Taker;
  return (subjects, event) => {
    const values = event as unknown as Readonly<Record<string, never>>;
    subjects.number(opcode);
    for (const { method, args } of steps) {
      const call = subjects[method] as (...args: unknown[]) => void;
      call.apply(
        subjects,
        args.map((arg) => (typeof arg === 'number' ? arg : values[arg])),
      );
    }
  };
}

const takers = Object.fromEntries((Object.keys(SHAPES) as EventType[]).map((type) => [type, takerOf(type)])) as Record<
  EventType,
  Taker
>;

/** The digest of a run so far. It goes on from the hexadecimal value of an earlier one. */
export class Digest {
  readonly #hash: Hash64;
  readonly #subjects: SubjectHash;

  /** `touched` notes what the events touched, on the way. */
  constructor(hex?: string, touched: Touched | null = null) {
    this.#hash = new Hash64(hex);
    this.#subjects = new SubjectHash(this.#hash, touched);
  }

  /** Takes in `events`, all of which were applied to `state` (and none after them). Batches matter: two of 5 are not one of 10. */
  update(state: KernelView, events: readonly KernelEvent[]): void {
    this.#subjects.startBatch(state);
    this.#hash.pair(events.length, 0x51ed270b);
    for (const event of events) takers[event.type](this.#subjects, event);
    this.#hash.settle();
  }

  /** 16 hexadecimal digits. */
  hex(): string {
    return this.#hash.hex();
  }
}
