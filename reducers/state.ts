// The shape of the folded state. Plain objects and arrays only, so that Immer, msgpack and a browser take it as it is.
// `KernelState` is writable and only reducers see it so; everyone else gets `KernelView`.
import type { Hugetlb } from './hugetlb-state.js';
import { noHugetlb } from './hugetlb-state.js';
import type { Ksm, KsmItem } from './ksm-state.js';
import { noKsm } from './ksm-state.js';
import type { PgdTable } from './pte.js';
import type { Uffds } from './uffd-state.js';

/** Kinds of file behind a mapping. */
export const InodeKind = {
  /** A file of a file system with page_mkwrite (ext4, xfs, ...). */
  file: 0,
  /** tmpfs, memfd, shared anonymous memory. */
  shmem: 1,
  /** [vdso]: ordinary pages of the kernel. */
  vdso: 2,
  /** [vvar]: raw pfns without pages. */
  vvar: 3,
  /** A pipe. */
  pipe: 4,
  /** An io_uring instance. */
  ring: 5,
  /** /proc/PID/mem: the address space with that id in the name. */
  mem: 6,
  /** hugetlbfs: memfd with MFD_HUGETLB, what is behind a mapping with MAP_HUGETLB. */
  hugetlbfs: 8,
  /** A userfaultfd. */
  uffd: 7,
} as const;

/** Indices of the rss counters, in the order in which the kernel adds them. */
export const MM_FILEPAGES = 0;
export const MM_ANONPAGES = 1;
export const MM_SWAPENTS = 2;
export const MM_SHMEMPAGES = 3;

/** Flags of a page frame. */
export const PG_ANON = 1;
export const PG_ANON_EXCLUSIVE = 2;
export const PG_SWAPBACKED = 4;
export const PG_DIRTY = 8;
export const PG_LRU = 16;
export const PG_FREE = 32;
/** A locked VMA maps it, or did so when that was last counted: reclaim leaves it alone. */
export const PG_MLOCKED = 128;
/** On the LRU, in the list of what reclaim does not look at; how many mlocks keep it there is counted from bit MLOCK_COUNT_SHIFT on. */
export const PG_UNEVICTABLE = 256;
export const MLOCK_COUNT_SHIFT = 12;
/** What working off an mlock batch may change of a page's flags: three flags, and the count above them. */
export const MLOCK_FLAGS = PG_LRU | PG_MLOCKED | PG_UNEVICTABLE | (-1 << MLOCK_COUNT_SHIFT);
/** Reclaim met it dirty. The same bit is PG_readahead: fault-around passes the page over, and who finds it reads ahead. */
export const PG_RECLAIM = 1024;
/** In the swap cache, which has a reference; `swapCache` says at which slot. */
export const PG_SWAPCACHE = 512;
/** The opposite of PG_uptodate: the page is in the cache and nobody filled it. */
export const PG_NOT_UPTODATE = 64;
/** One of the 512 pages of a hugetlb page, in the pool or in use. */
export const PG_HUGETLB = 2048;

/** What is to be done with a page of an mlock batch: `mlock_folio()`, `mlock_new_folio()` and `munlock_folio()` put it there. */
export const MlockKind = { munlock: 0, mlock: 1, mlockNew: 2 } as const;

/** Bytes of a page: zeros (null), or a base (a fill byte or a page of a file) with runs written over it: [offset, length, byte]*. */
export interface Content {
  readonly fill: number;
  /** Inode whose page `index` is the base; 0: the base is `fill`. */
  readonly inode: number;
  readonly index: number;
  readonly runs: readonly number[];
}

/** Pages of what one huge entry maps, and the order of a folio so large. */
export const HPAGE_PMD_NR = 512;
export const HPAGE_PMD_ORDER = 9;

/** One page frame. Of a large folio each page has flags, mapcount, mapping, index and bytes; the rest, and PG_LRU and what follows, is its head's. */
export interface Page {
  flags: number;
  /** 0 for a large folio's pages but the first. */
  ref: number;
  /** Page-table entries that map it, huge ones not counted; from 0. */
  mapcount: number;
  /** anon_vma of an anonymous page, inode of a page-cache page, 0 for neither; of a KSM page as `ksmMapping()` says. */
  mapping: number;
  /** Page index in the file or anon_vma's address space; of a free frame, the next free one. */
  index: number;
  /** CPU in whose LRU batch of new pages it waits (one reference), -1 for none. */
  lruCpu: number;
  content: Content | null;
  /** It is one of 2^order pages of a folio, the first of which has a frame number divisible by as much. */
  order: number;
}

/** What is known of a large folio as a whole: the fields that stand in its second and third struct page. */
export interface LargeFolio {
  order: number;
  /** `_entire_mapcount`, from 0: huge entries that map it. */
  entireMapcount: number;
  /** `_large_mapcount`, from 0: mappings of its pages, and huge entries. */
  largeMapcount: number;
  /** `_mm_id[0]`, `_mm_id_mapcount[0]`, and of slot 1: two address spaces that map it, and how often; address space 0 is none. */
  mm0: number;
  count0: number;
  mm1: number;
  count1: number;
  /** FOLIO_MM_IDS_SHARED: others than one address space may map it. */
  mappedShared: number;
  /** `_pincount`: FOLL_PINs, each of which is one reference. */
  pincount: number;
  /**
   * Its place on the queue of those to be split when memory runs short. 1: there, PG_partially_mapped. 0: there, if it is a huge page, in case few of
   * its pages are used; else nowhere. 2: nowhere.
   */
  partiallyMapped: number;
}

/** A mapping: [start, end) in bytes, page aligned. */
export interface Vma {
  start: number;
  end: number;
  /** VM_* of reducers/vma.ts. */
  flags: number;
  /** Page offset of `start` in the file, or address / 4096 where it was first mapped. */
  pgoff: number;
  inode: number;
  /** Open file description behind the mapping (`vm_file`), -1 for none or where that is not known. */
  file: number;
  anonVma: number;
  /** anon_vmas it is linked to, own first. */
  chain: number[];
  /** `vm_userfaultfd_ctx`: the context that watches it. Absent: none. */
  uffd?: number;
}

export interface Mm {
  id: number;
  users: number;
  /** Sorted by start, disjoint. */
  vmas: Vma[];
  pgd: PgdTable;
  /** Indexed by MM_*; pages. */
  rss: number[];
  hiwaterRss: number;
  totalVm: number;
  dataVm: number;
  stackVm: number;
  execVm: number;
  lockedVm: number;
  /** Bytes of page tables below the top level. */
  tableBytes: number;
  startBrk: number;
  brk: number;
  mmapBase: number;
  defFlags: number;
  foreignLayout: number;
  /** Frames unmapped whose references an mmu_gather still holds: one entry per reference. */
  gather: number[];
}

export interface Task {
  tid: number;
  tgid: number;
  parent: number;
  /** 0 once it exited. */
  mm: number;
  cpu: number;
  /** Address space that execve is building, 0 for none. */
  execMm: number;
  /** Address space it had when it exited, 0 before. */
  exitMm: number;
  exited: number;
  minFlt: number;
  majFlt: number;
}

export interface AnonVma {
  id: number;
  root: number;
  parent: number;
  activeVmas: number;
  children: number;
  /** VMAs whose chain holds it. */
  links: number;
}

export interface Inode {
  id: number;
  name: string;
  kind: number;
  /** Bytes, -1 unknown. */
  size: number;
  /** Bytes up to which its disk holds what it held at first; -1 not known to have an end. */
  data: number;
  resident: number;
  /** Frame + 1 of each cached page, in leaves of 512 by page index; 0 not known, -1 known to be absent, RECLAIMED. */
  pages: (number[] | null)[];
}

export interface Cpu {
  lruAdd: number[];
  lruLazyfree: number[];
  /** [pfn, MlockKind]*, in the order in which they came. */
  mlock: number[];
}

/** A mounted tmpfs: `struct shmem_sb_info`. */
export interface Tmpfs {
  /** Where it is mounted, as the workload says it. */
  name: string;
  /** Pages that have room, 0: no limit. */
  maxBlocks: number;
  usedBlocks: number;
}

/** A file in memory whose blocks are accounted: `struct shmem_inode_info`, and what else of its inode counts pages. */
export interface ShmemInode {
  /** The tmpfs that it lies in; -1: the kernel's own, where nothing has a name. */
  sb: number;
  /** Cached pages: `mapping->nrpages`. */
  nrpages: number;
  /** Pages accounted, cached or swapped out. */
  alloced: number;
  /** Pages swapped out. */
  swapped: number;
  /** i_blocks, in pages of 8 sectors. */
  blocks: number;
  /** F_SEAL_*. */
  seals: number;
  /** VM_NORESERVE: it pays for each page, not for its size. */
  noreserve: number;
  /** Rights to execute it. */
  mode: number;
}

/** Who holds references to user pages. */
export const HolderKind = {
  /** `pin_user_pages()`, `get_user_pages()`: a driver, until it lets go. */
  pin: 0,
  /** Buffers of a pipe, oldest first. */
  pipe: 1,
  /** One registered buffer of an io_uring instance. */
  buffer: 2,
  /** A ring of provided buffers of an io_uring instance, in memory of the kernel. */
  bufferRing: 3,
} as const;

/** Holds references to pages beside entries, the page cache and batches. */
export interface Holder {
  id: number;
  /** One of HolderKind. */
  kind: number;
  /** Task that took a pin; inode of a pipe or an io_uring instance. */
  owner: number;
  /** FOLL_*. */
  flags: number;
  /** [pfn, mm, vpn, offset, length, bias]*, see PageGrabbed. */
  pages: number[];
}

/** `count` of a slot that nothing leads to. */
export const FREE_SLOT = -1;

/** A slot of the swap area: `swap_map` and the swap cache. */
export interface SwapSlot {
  /** Entries that lead to it; FREE_SLOT if it is free. */
  count: number;
  /** Frame in the swap cache, -1 for none; of a free slot, the next free one. */
  pfn: number;
  /** Bytes written; null for zeros that were noted and not written (zeromap). */
  content: Content | null;
}

/** What a file descriptor leads to. */
export interface OpenFile {
  inode: number;
  /** O_* of open(2). */
  flags: number;
  /** Number of the open file description, index in `positions`. */
  file: number;
}

export interface KernelState extends Uffds {
  /** By tid. */
  tasks: Record<number, Task>;
  /** By id; ids start at 1 and are never used again. */
  mms: (Mm | null)[];
  anonVmas: (AnonVma | null)[];
  inodes: (Inode | null)[];
  /** Ids by name. */
  inodeByName: Record<string, number>;
  /** Frames in sections of 256. */
  memMap: Page[][];
  /** Large folios by the frame number of their first page. */
  largeFolios: Record<number, LargeFolio>;
  /** By order: first page of the first of the free blocks that were large folios, each with the next one as its index; -1 for none. */
  freeLarge: number[];
  /** Frames ever used. */
  maxPfn: number;
  /** Head of the free list, -1 if empty. */
  freeHead: number;
  cpus: Cpu[];
  /** Descriptors by tgid and number. */
  files: Record<number, Record<number, OpenFile>>;
  /** Where each open file description is read and written next, bytes; numbers are never used again. */
  positions: number[];
  /** Pages charged against the commit limit. */
  committed: number;
  /** By id; ids start at 1 and are never used again. */
  holders: (Holder | null)[];
  /** Address spaces with MMF_HAS_PINNED, in the order in which they got it. */
  hasPinned: number[];
  /** `mm->write_protect_seq` of address spaces that forked while other CPUs ran, by id; odd while one does. */
  writeProtectSeq: Record<number, number>;
  /** Slots of the swap area that were ever used. */
  swap: SwapSlot[];
  /** Head of the list of free slots, -1 if empty. */
  swapFree: number;
  /** Slots by the frames that are in the swap cache. */
  swapCache: Record<number, number>;
  ksm: Ksm;
  /** By inode: files in memory that a workload made. */
  shmem: Record<number, ShmemInode>;
  /** By number. */
  tmpfs: Tmpfs[];
  /** Bytes that the disks hold of pages of files that were written there since, by inode and page. */
  disks: Record<number, Record<number, Content | null>>;
  /** Files below /sys/kernel/mm that were written, and what stands there; the others say what they do at boot. */
  settings: Record<string, string>;
  hugetlb: Hugetlb;
}

type DeepReadonly<T> = T extends (infer U)[]
  ? readonly DeepReadonly<U>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;
export type KernelView = DeepReadonly<KernelState>;
export type MmView = DeepReadonly<Mm>;
export type VmaView = DeepReadonly<Vma>;
export type PageView = DeepReadonly<Page>;
export type TaskView = DeepReadonly<Task>;
export type SwapSlotView = DeepReadonly<SwapSlot>;
export type InodeView = DeepReadonly<Inode>;
export type HolderView = DeepReadonly<Holder>;
export type KsmItemView = DeepReadonly<KsmItem>;
export type KsmView = DeepReadonly<Ksm>;
export type LargeFolioView = DeepReadonly<LargeFolio>;
export type ShmemInodeView = DeepReadonly<ShmemInode>;

/** Frames in one section of the memory map. */
export const SECTION = 256;
/** Frame numbers stay below 2^31 (8 TiB), so these may be shifted. */
const SECTION_SHIFT = 8;

/** The state before the first event. */
export function initialState(): KernelState {
  return {
    tasks: {},
    mms: [null],
    anonVmas: [null],
    inodes: [null],
    inodeByName: {},
    memMap: [],
    largeFolios: {},
    freeLarge: [],
    maxPfn: 0,
    freeHead: -1,
    cpus: [],
    files: {},
    positions: [],
    committed: 0,
    holders: [null],
    hasPinned: [],
    writeProtectSeq: {},
    swap: [],
    swapFree: -1,
    swapCache: {},
    ksm: noKsm(),
    shmem: {},
    tmpfs: [],
    disks: {},
    settings: {},
    hugetlb: noHugetlb(),
    uffds: [null],
  };
}

/** `mapping` of the KSM page of stable node `node`; 0: of none, as that of a page whose second half could not be merged. */
export const ksmMapping = (node: number): number => -1 - node;
/** `folio_test_ksm()`. */
export const isKsm = ({ flags, mapping }: { readonly flags: number; readonly mapping: number }): boolean =>
  (flags & PG_ANON) !== 0 && mapping < 0;
/** `folio_stable_node()`: of any page, 0 for none. */
export const stableNode = (page: { readonly flags: number; readonly mapping: number }): number =>
  isKsm(page) ? -1 - page.mapping : 0;

/** A deep copy that reducers may change in place; `state` itself may be frozen or shared. */
export function own(state: KernelView): KernelState {
  return structuredClone(state) as KernelState;
}

/** The frame `pfn`; it must have been allocated once. */
export function pageAt(state: KernelView, pfn: number): PageView {
  return (state.memMap[pfn >>> SECTION_SHIFT] as readonly PageView[])[pfn & (SECTION - 1)] as PageView;
}

/** The frame `pfn`, for reducers; undefined if an event names one that never was. */
export function pageOf(state: KernelState, pfn: number): Page | undefined {
  return state.memMap[pfn >>> SECTION_SHIFT]?.[pfn & (SECTION - 1)];
}

/** The frame that `folio_alloc()` gives next. */
export const nextFreePfn = (state: KernelView): number => (state.freeHead >= 0 ? state.freeHead : state.maxPfn);

/** The first page of the folio of `order` that frame `pfn` is in: folios lie at multiples of their size. Frame numbers are below 2^32. */
export const folioStart = (pfn: number, order: number): number => ((pfn >>> order) << order) >>> 0;

/** `page_folio()`: the first page of the folio that frame `pfn` belongs to. */
export function folioHead(state: KernelView, pfn: number): number {
  return folioStart(pfn, pageAt(state, pfn).order);
}

/** The first page of the folio that frame `pfn` belongs to: what reference counts and flags of the whole stand in. */
export function folioAt(state: KernelView, pfn: number): PageView {
  const page = pageAt(state, pfn);
  return page.order === 0 ? page : pageAt(state, folioStart(pfn, page.order));
}

/** The same for reducers. */
export function folioOf(state: KernelState, pfn: number): Page | undefined {
  const page = pageOf(state, pfn);
  if (page === undefined || page.order === 0) return page;
  return pageOf(state, folioStart(pfn, page.order));
}

/** The large folio whose first page is `head`; null for a page of its own. */
export const largeFolioAt = (state: KernelView, head: number): LargeFolioView | null => state.largeFolios[head] ?? null;

/** `folio_precise_page_mapcount()`: entries of any size that map frame `pfn`. */
export function pageMapcount(state: KernelView, pfn: number): number {
  const page = pageAt(state, pfn);
  return page.order === 0
    ? page.mapcount
    : page.mapcount + (state.largeFolios[folioHead(state, pfn)]?.entireMapcount ?? 0);
}

/** The first page that `folio_alloc()` gives next of a folio of `order`, 1 to 9. */
export function nextFreeLarge(state: KernelView, order: number): number {
  const free = state.freeLarge[order] ?? -1;
  if (free >= 0) return free;
  const pages = 2 ** order;
  return Math.ceil(state.maxPfn / pages) * pages;
}

/** Address space `id`, which must exist. */
export const mmAt = (state: KernelView, id: number): MmView => state.mms[id] as MmView;

/** VmRSS in pages. */
export const rssPages = (mm: MmView): number =>
  (mm.rss[MM_FILEPAGES] as number) + (mm.rss[MM_ANONPAGES] as number) + (mm.rss[MM_SHMEMPAGES] as number);

/** Cache slot of a page that was reclaimed: absent, and read again with its neighbours. */
export const RECLAIMED = -2;

/** Cache slot of a page that is in slot `slot` of the swap area: the values below RECLAIMED. */
export const swappedAt = (slot: number): number => RECLAIMED - 1 - slot;

/** Slot of the swap area that a file's cache slot of value `value` leads to, -1 for none. */
export const slotOfValue = (value: number): number => (value < RECLAIMED ? RECLAIMED - 1 - value : -1);

/** Slot of the swap area that page `index` of a file is in, -1 for none. */
export const swapSlot = (inode: InodeView, index: number): number =>
  slotOfValue(inode.pages[Math.floor(index / 512)]?.[index % 512] ?? 0);

/** Cached frame of page `index`: the frame, -1 known absent, -2 not known, -3 reclaimed, -4 swapped out. */
export function cachedPfn(inode: InodeView, index: number): number {
  const entry = inode.pages[Math.floor(index / 512)]?.[index % 512] ?? 0;
  if (entry > 0) return entry - 1;
  if (entry < RECLAIMED) return -4;
  return entry === 0 ? -2 : entry === RECLAIMED ? -3 : -1;
}

/** For reducers: writes the cache slot of page `index`. */
export function setCacheSlot(inode: Inode, index: number, value: number): void {
  const leaf = Math.floor(index / 512);
  while (inode.pages.length <= leaf) inode.pages.push(null);
  const slots = (inode.pages[leaf] ??= new Array<number>(512).fill(0));
  slots[index % 512] = value;
}

/** The batches of a CPU that has none filled. */
export function newCpu(): Cpu {
  return { lruAdd: [], lruLazyfree: [], mlock: [] };
}

/** CPU `cpu`'s batches; empty ones for a CPU not seen yet. */
export const cpuAt = (state: KernelView, cpu: number): DeepReadonly<Cpu> => state.cpus[cpu] ?? NO_BATCHES;
const NO_BATCHES: DeepReadonly<Cpu> = newCpu();
