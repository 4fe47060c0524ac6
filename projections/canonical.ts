// The canonical state: per process its VMAs, counters and non-empty entries, with frames numbered in order of (mm id, address).
import { contentText } from '../reducers/content.js';
import {
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_UFFD_WP,
  forEachPte,
  isGuardPteMarker,
  isMigrationPte,
  isPoisonedPteMarker,
  isPteMarker,
  isUffdWpPteMarker,
  isKsmZeroPte,
  isHugePte,
  isSwapPte,
  isZeroPte,
  ptePfn,
  ptePresent,
  pteSoftDirty,
  pteSpecial,
  pteSwpExclusive,
  pteWrite,
  swpOffset,
} from '../reducers/pte.js';
import type { KernelView, MmView, PageView, VmaView } from '../reducers/state.js';
import {
  InodeKind,
  MM_ANONPAGES,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  MM_SWAPENTS,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_SWAPCACHE,
  SECTION,
  isKsm,
  folioAt,
  pageMapcount,
} from '../reducers/state.js';
import {
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_MAYSHARE,
  VM_READ,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_SOFTDIRTY,
  VM_WRITE,
  vmaLookup,
} from '../reducers/vma.js';

/** One non-empty page-table entry. Fields that have no meaning for its kind are absent. */
export interface CanonicalPage {
  /** Bytes. */
  readonly addr: number;
  readonly kind: 'present' | 'zero' | 'special' | 'swap' | 'migration' | 'marker';
  /** `pmd`: a huge entry maps it, together with its 511 neighbours. */
  readonly level: 'pte' | 'pmd';
  /** Number in order of first appearance, `Z` for the zero page. */
  readonly frame?: number | 'Z';
  readonly order?: number;
  readonly sub?: number;
  readonly backing?: 'anon' | 'ksm' | 'file' | 'shmem';
  readonly anon_exclusive?: boolean;
  /** Mapped exactly once: bit 56 of pagemap. */
  readonly single_map?: boolean;
  readonly writable: boolean;
  /** PROT_NONE: there for the kernel, not for the program. */
  readonly protnone?: boolean;
  readonly dirty?: boolean;
  readonly uffd_wp: boolean;
  readonly mapcount?: number;
  readonly refcount?: number;
  readonly content?: string;
  /** A zero page that KSM placed. */
  readonly ksm_zero?: boolean;
  /** Of an entry written to since it was cleared, where that is tracked (behaviour `soft-dirty`). */
  readonly soft_dirty?: boolean;
  /** In the swap cache; only of pages that are. */
  readonly swapcache?: boolean;
  /** Of a swap entry: number of its slot in order of first appearance, and whether it is exclusive; so also of a migration entry. */
  readonly slot?: number;
  readonly excl_entry?: boolean;
  /** Of a marker: whoever touches the page gets a signal. */
  readonly guard?: boolean;
  /** The same, a SIGBUS, of a marker that a userfaultfd's monitor set. */
  readonly poison?: boolean;
}

export interface CanonicalVma {
  readonly start: number;
  readonly end: number;
  /** As /proc/PID/maps prints them: `rw-p`. */
  readonly perms: string;
  /** Pages. */
  readonly pgoff: number;
  /** `anon`, `[stack]`, or the file's name. */
  readonly backing: string;
  readonly locked: boolean;
  readonly growsdown: boolean;
  readonly anon_vma: number;
  /** What a userfaultfd watches it for (`missing`, `wp`), and the number of that; only where one does. */
  readonly uffd?: string;
  readonly uffd_id?: number;
}

/** An address space with its tasks. */
export interface CanonicalProcess {
  readonly mm: number;
  readonly pids: readonly number[];
  /** Pages. */
  readonly rss: { readonly anon: number; readonly file: number; readonly shmem: number; readonly swap: number };
  readonly total_vm: number;
  readonly locked_vm: number;
  /** Bytes. */
  readonly page_tables: number;
  readonly vmas: readonly CanonicalVma[];
  readonly pages: readonly CanonicalPage[];
}

const END_VPN = 2 ** 35;

/** The state in its canonical form; with `pid`, only the address space of that task (frames keep their numbers). */
export function canonicalState(state: KernelView, pid?: number): CanonicalProcess[] {
  const frames = new Map<number, number>();
  const slots = new Map<number, number>();
  const processes: CanonicalProcess[] = [];
  for (const mm of state.mms) {
    if (!mm) continue;
    const process = canonicalProcess(state, mm, frames, slots);
    if (pid === undefined || process.pids.includes(pid)) processes.push(process);
  }
  return processes;
}

/** Numbers things in order of first appearance. */
const numbering =
  (known: Map<number, number>) =>
  (thing: number): number => {
    let number = known.get(thing);
    if (number === undefined) known.set(thing, (number = known.size));
    return number;
  };

function canonicalProcess(
  state: KernelView,
  mm: MmView,
  frames: Map<number, number>,
  slots: Map<number, number>,
): CanonicalProcess {
  const pages: CanonicalPage[] = [];
  const frameOf = numbering(frames);
  const slotOf = numbering(slots);
  forEachPte(mm, 0, END_VPN, (vpn, entry) => pages.push(canonicalPage(state, vpn * 4096, entry, frameOf, slotOf)));
  const pids = Object.values(state.tasks)
    .filter((task) => task.mm === mm.id)
    .map((task) => task.tid);
  const rss = (type: number): number => mm.rss[type] ?? 0;
  return {
    mm: mm.id,
    pids,
    rss: { anon: rss(MM_ANONPAGES), file: rss(MM_FILEPAGES), shmem: rss(MM_SHMEMPAGES), swap: rss(MM_SWAPENTS) },
    total_vm: mm.totalVm,
    locked_vm: mm.lockedVm,
    page_tables: mm.tableBytes,
    vmas: mm.vmas.map((vma) => canonicalVma(state, vma)),
    pages,
  };
}

/** One VMA as it is printed. */
export function canonicalVma(state: KernelView, vma: VmaView): CanonicalVma {
  const { start, end, flags, pgoff, inode, anonVma } = vma;
  const has = (flag: number, letter: string): string => ((flags & flag) !== 0 ? letter : '-');
  const growsdown = (flags & VM_GROWSDOWN) !== 0;
  return {
    start,
    end,
    perms: has(VM_READ, 'r') + has(VM_WRITE, 'w') + has(VM_EXEC, 'x') + ((flags & VM_MAYSHARE) !== 0 ? 's' : 'p'),
    pgoff,
    backing: inode === 0 ? (growsdown ? '[stack]' : 'anon') : (state.inodes[inode]?.name ?? '?'),
    locked: (flags & VM_LOCKED) !== 0,
    growsdown,
    anon_vma: anonVma,
    ...(vma.uffd === undefined ? {} : { uffd: watchedFor(flags), uffd_id: vma.uffd }),
  };
}

/** Modes of registration, as workloads write them. */
const watchedFor = (flags: number): string =>
  WATCHED.filter(([flag]) => (flags & flag) !== 0)
    .map(([, name]) => name)
    .join('|');
const WATCHED = [
  [VM_UFFD_MISSING, 'missing'],
  [VM_UFFD_WP, 'wp'],
  [VM_UFFD_MINOR, 'minor'],
] as const;

function backingOf(state: KernelView, page: PageView): 'anon' | 'ksm' | 'file' | 'shmem' {
  if ((page.flags & PG_ANON) !== 0) return isKsm(page) ? 'ksm' : 'anon';
  return state.inodes[page.mapping]?.kind === InodeKind.shmem ? 'shmem' : 'file';
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Bit 55 of /proc/PID/pagemap: the entry says soft-dirty, or all of the mapping is (VM_SOFTDIRTY), whether a page is there or not. */
export const pageSoftDirty = (mm: MmView, addr: number, entry: number): boolean =>
  pteSoftDirty(entry) || ((vmaLookup(mm, addr)?.flags ?? 0) & VM_SOFTDIRTY) !== 0;

/** One entry, not empty, as it is printed; `frameOf` numbers frames, `slotOf` slots of the swap area. */
export function canonicalPage(
  state: KernelView,
  addr: number,
  entry: number,
  frameOf: (pfn: number) => number,
  slotOf: (slot: number) => number = (slot) => slot,
): CanonicalPage {
  // Assigned one by one: scans ask for millions of these, and spreading objects costs ten times as much.
  const printed: Writable<CanonicalPage> = {
    addr,
    level: isHugePte(entry) ? 'pmd' : 'pte',
    writable: pteWrite(entry),
    uffd_wp: (entry & PTE_UFFD_WP) !== 0,
    kind: 'present',
  };
  if (pteSoftDirty(entry)) printed.soft_dirty = true;
  if (isZeroPte(entry)) {
    printed.kind = 'zero';
    printed.frame = 'Z';
    if (isKsmZeroPte(entry)) printed.ksm_zero = true;
    return printed;
  }
  if (isSwapPte(entry)) {
    printed.kind = 'swap';
    printed.slot = slotOf(swpOffset(entry));
    printed.excl_entry = pteSwpExclusive(entry);
    return printed;
  }
  if (isPteMarker(entry)) {
    printed.kind = 'marker';
    printed.guard = isGuardPteMarker(entry);
    printed.uffd_wp = isUffdWpPteMarker(entry);
    if (isPoisonedPteMarker(entry)) printed.poison = true;
    return printed;
  }
  if (isMigrationPte(entry)) {
    printed.kind = 'migration';
    printed.frame = frameOf(ptePfn(entry));
    printed.dirty = (entry & PTE_DIRTY) !== 0;
    printed.excl_entry = pteSwpExclusive(entry) || pteWrite(entry);
    return printed;
  }
  if (pteSpecial(entry) || !ptePresent(entry)) {
    printed.kind = 'special';
    return printed;
  }
  const pfn = ptePfn(entry);
  const page: PageView | undefined = state.memMap[Math.floor(pfn / SECTION)]?.[pfn % SECTION];
  // Only in a log that somebody made up does an entry lead to no frame.
  if (page === undefined) return printed;
  const backing = backingOf(state, page);
  printed.frame = frameOf(pfn);
  const { order } = page;
  const folio = order === 0 ? page : folioAt(state, pfn);
  const mapcount = order === 0 ? page.mapcount : pageMapcount(state, pfn);
  printed.order = order;
  printed.sub = order === 0 ? 0 : pfn % 2 ** order;
  printed.backing = backing;
  // Below a huge entry the flag of its first page speaks for all.
  const marked = isHugePte(entry) ? folio : page;
  if ((page.flags & PG_ANON) !== 0) printed.anon_exclusive = (marked.flags & PG_ANON_EXCLUSIVE) !== 0;
  printed.single_map = mapcount === 1;
  if ((entry & PTE_PRESENT) === 0) printed.protnone = true;
  printed.dirty = (entry & PTE_DIRTY) !== 0 || (folio.flags & PG_DIRTY) !== 0;
  printed.mapcount = mapcount;
  printed.refcount = folio.ref;
  printed.content = contentText(page.content);
  if ((folio.flags & PG_SWAPCACHE) !== 0) printed.swapcache = true;
  return printed;
}
