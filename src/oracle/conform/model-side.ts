// What the model shows after an operation, in the form of the real kernel's observation.
import type { KernelEvent } from '../../../events/index.js';
import { canonicalPage } from '../../../projections/canonical.js';
import type { CanonicalPage } from '../../../projections/canonical.js';
import { Facts } from '../../../projections/facts/facts.js';
import { factHandlers } from '../../../projections/facts/handlers.js';
import type { MmEntries } from '../../../projections/facts/mappings.js';
import { hugetlbReservesOf } from '../../../projections/hugetlb-reserves.js';
import { hugetlbFileAt } from '../../../reducers/hugetlb-state.js';
import { smapsOf } from '../../../projections/smaps.js';
import { sameByte, uniformByte } from '../../../reducers/content.js';
import {
  forEachPte,
  isPoisonedPteMarker,
  isSwapPte,
  isUffdWpPteMarker,
  isZeroPte,
  pteAt,
  pteFlags,
  ptePfn,
  ptePresent,
  pteSpecial,
  swpOffset,
} from '../../../reducers/pte.js';
import type { Content, KernelView, MmView, TaskView, VmaView } from '../../../reducers/state.js';
import {
  InodeKind,
  MM_ANONPAGES,
  MM_FILEPAGES,
  MM_SHMEMPAGES,
  MM_SWAPENTS,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_MLOCKED,
  PG_UNEVICTABLE,
  folioAt,
  folioHead,
  largeFolioAt,
  mmAt,
  pageAt,
  pageMapcount,
} from '../../../reducers/state.js';
import { UFFD_EVENT, UFFD_WAITER } from '../../../reducers/uffd-state.js';
import type { Got } from '../../kernel/call.js';
import { UFFD_EVENT_FORK } from '../../kernel/uffd-events.js';
import { contentDigest, fileByte } from './page-bytes.js';
import type { Fields, Observation, Scalar } from './observation.js';
import { MACHINE, Naming, OPERATION, fdKey, messagesText, resumedKey, taskKey, vmaKey } from './observation.js';
import { NAMED, PageRuns } from './page-runs.js';
import { flagCodes } from './vm-flags.js';

const END_VPN = 2 ** 35;
const PAGE = 4096;
const PAGE_KB = 4;
/** Sectors of a page of the hugetlb pool. */
const HUGE_PAGE_SECTORS = 4096;
const SECTOR_PAGES = 8;

/** Files of disks have no huge pages here. */
const NOT_THERE = {
  FilePmdMapped: 0,
} as const;

/** The pool of huge pages. */
type Pool = Pick<KernelView['hugetlb'], 'total' | 'free' | 'resv' | 'surplus'>;

/** The pool of huge pages, as differences from `start`. */
const poolFields = ({ hugetlb }: KernelView, start: Pool): Fields => ({
  huge_total: hugetlb.total - start.total,
  huge_free: hugetlb.free - start.free,
  huge_rsvd: hugetlb.resv - start.resv,
  huge_surp: hugetlb.surplus - start.surplus,
});

type Handlers = Readonly<Record<string, ((facts: Facts, event: KernelEvent) => void) | undefined>>;

/** Looks at one run of the model; told every event. */
export class ModelSide {
  readonly #state: () => KernelView;
  readonly #ksm: boolean;
  readonly #facts = new Facts();
  /** Seeds of the files that the workload made, by inode: they give the bytes of pages that came from the disk. */
  readonly #seeds = new Map<number, number>();
  readonly #faults = new Map<number, number>();
  #pool: Pool = { total: 0, free: 0, resv: 0, surplus: 0 };
  /** Is a fork under way? */
  #forks = false;
  #resumed: (readonly [tid: number, operation: string, got: Got])[] = [];

  /** `ksm`: the workload is about KSM, whose counters are shown. */
  constructor(state: () => KernelView, ksm: boolean) {
    this.#state = state;
    this.#ksm = ksm;
  }

  /** Settings are as they are to be: what the pool has from now on is told as difference. */
  begin(): void {
    const { total, free, resv, surplus } = this.#state().hugetlb;
    this.#pool = { total, free, resv, surplus };
  }

  /** Are pages of the pool reserved for nobody? Linux loses such reservations, and has them until the machine starts anew. */
  losesReservations(): boolean {
    const { hugetlb } = this.#state();
    return hugetlb.total !== 0 && hugetlb.resv !== hugetlbReservesOf(this.#facts).reserved;
  }

  event(event: KernelEvent): void {
    (factHandlers as Handlers)[event.type]?.(this.#facts, event);
  }

  /** A file whose pages hold what `fileByte(seed, index)` gives. */
  madeFile(name: string, seed: number): void {
    const inode = this.#state().inodeByName[name];
    if (inode !== undefined) this.#seeds.set(inode, seed);
  }

  /** What a load of [addr, addr + length) sees where the model knows less: one byte, -2 if they differ, -1 if nobody knows. */
  loaded(tid: number, addr: number, length: number): number {
    const state = this.#state();
    const task = state.tasks[tid];
    if (task === undefined || task.mm === 0) return -1;
    const mm = mmAt(state, task.mm);
    let seen: number | null = null;
    for (let at = addr; at < addr + length;) {
      const vpn = Math.floor(at / PAGE);
      const stop = Math.min(addr + length, (vpn + 1) * PAGE);
      const byte = this.#uniformByte(pteAt(mm, vpn), at % PAGE, stop - at);
      seen = seen === null ? byte : sameByte(seen, byte);
      at = stop;
    }
    return seen ?? -1;
  }

  #uniformByte(entry: number, offset: number, length: number): number {
    if (isZeroPte(entry)) return 0;
    if (!ptePresent(entry) || pteSpecial(entry)) return -1;
    const { content } = pageAt(this.#state(), ptePfn(entry));
    const base = content !== null && content.inode !== 0 ? this.#baseByte(content.inode, content.index) : null;
    return uniformByte(base === null ? content : { ...(content as Content), inode: 0, fill: base }, offset, length);
  }

  /** Task `tid`, which slept in `operation`, came to its end. Shown with the next observation. */
  resumed(tid: number, operation: string, got: Got): void {
    if (got === null || !('waits' in got)) this.#resumed.push([tid, operation, got]);
  }

  /** The state now, and how the operation of task `tid` ended. Where it slept only until others had gone on it counts as done. */
  observe(operation: string, tid: number, got: Got): Observation {
    const state = this.#state();
    const subjects = new Map<string, Fields>();
    subjects.set(OPERATION, this.#outcome(operation, got));
    for (const [task, name, ended] of this.#resumed)
      subjects.set(task === tid && isWaiting(got) ? OPERATION : resumedKey(task), this.#outcome(name, ended));
    // Until a fork has come to its end the agent's own memory faults as well.
    const forking = isFork(operation) || this.#forks || this.#resumed.some(([, name]) => isFork(name));
    this.#forks = state.uffds.some((each) => each !== null && forkWaits(each.events));
    this.#resumed = [];
    const pool = poolFields(state, this.#pool);
    subjects.set(MACHINE, this.#ksm ? { ...pool, ...ksmFields(state) } : pool);
    const files = new Naming<number>();
    const pages = new PageRuns();
    const seen = new Map<number, number>();
    for (const task of living(state)) {
      const owner = seen.get(task.mm);
      subjects.set(taskKey(task.tid), this.#task(state, task, owner, forking));
      this.#descriptors(state, task, files, subjects);
      if (owner !== undefined) continue;
      seen.set(task.mm, task.tid);
      this.#space(state, task, subjects, pages, files);
    }
    return { subjects, pages: pages.runs };
  }

  #outcome(operation: string, got: Got): Fields {
    if (got === null || (operation === 'exit' && got !== null)) return {};
    if ('value' in got && operation === 'move_pages')
      return { ret: got.value, statuses: statusText(got.several ?? []) };
    if ('value' in got && operation === 'read' && got.several !== undefined)
      return { ret: got.value, messages: messagesText(got.several) };
    const out = 'out' in got && got.out !== undefined ? { out: got.out } : {};
    if ('value' in got) return { ret: got.value, ...out };
    if ('errno' in got) return { errno: got.errno, ...out };
    if ('waits' in got) return { waits: true };
    if ('signal' in got) return { signal: got.signal, si_code: got.code, si_addr: got.addr };
    return { ret: got.word };
  }

  #task(state: KernelView, task: TaskView, owner: number | undefined, forked: boolean): Fields {
    const faults = task.minFlt + task.majFlt;
    const before = this.#faults.get(task.tid);
    this.#faults.set(task.tid, faults);
    // At a fork the runtime of parent and child faults as well.
    const delta = before === undefined || forked ? undefined : faults - before;
    if (owner !== undefined) return { shares_mm_of: taskKey(owner), faults: delta };
    const mm = mmAt(state, task.mm);
    const kb = (type: number): number => (mm.rss[type] ?? 0) * PAGE_KB;
    return {
      faults: delta,
      rss_anon: kb(MM_ANONPAGES),
      rss_file: kb(MM_FILEPAGES),
      rss_shmem: kb(MM_SHMEMPAGES),
      swap: kb(MM_SWAPENTS),
      locked_vm: mm.lockedVm * PAGE_KB,
      page_tables: mm.tableBytes / 1024,
      total_vm: mm.totalVm * PAGE_KB,
      ...(this.#ksm ? ksmCounters(state, mm.id) : {}),
    };
  }

  #descriptors(state: KernelView, task: TaskView, files: Naming<number>, subjects: Map<string, Fields>): void {
    const open = state.files[task.tgid] ?? {};
    for (const fd of Object.keys(open)
      .map(Number)
      .toSorted((a, b) => a - b)) {
      const inode = state.inodes[open[fd]?.inode ?? 0];
      if (!inode) continue;
      const key = fdKey(task.tid, fd);
      const fields: Record<string, Scalar | undefined> = { file: files.of(inode.id, key) };
      if (inode.size >= 0) fields['size'] = inode.size;
      const info = state.shmem[inode.id];
      if (info !== undefined) fields['blocks'] = info.blocks * SECTOR_PAGES;
      const sb = state.tmpfs[info?.sb ?? -1];
      if (sb !== undefined) fields['sb_free'] = sb.maxBlocks - sb.usedBlocks;
      const huge = state.hugetlb.subpools[hugetlbFileAt(state, inode.id)?.sb ?? -1];
      if (huge !== undefined && huge.max > 0) {
        fields['blocks'] = inode.pages.filter((leaf) => (leaf?.[0] ?? 0) > 0).length * HUGE_PAGE_SECTORS;
        fields['sb_free'] = huge.max - huge.used;
      }
      if (inode.kind === InodeKind.uffd) Object.assign(fields, uffdFields(state, inode.id));
      subjects.set(key, fields);
    }
  }

  #space(
    state: KernelView,
    task: TaskView,
    subjects: Map<string, Fields>,
    pages: PageRuns,
    files: Naming<number>,
  ): void {
    const mm = mmAt(state, task.mm);
    const space = this.#facts.mappings.mms.get(mm.id);
    for (const vma of mm.vmas) {
      const key = vmaKey(task.tid, vma.start);
      subjects.set(key, this.#vma(state, mm, vma, space, files, key));
    }
    let run: Row | null = null;
    const end = (): void => {
      if (run === null) return;
      const { vpn, entry, count } = run;
      const first = isSwapPte(entry) ? swpOffset(entry) : ptePfn(entry);
      pages.add(task.tid, vpn * PAGE, count, this.#page(state, vpn * PAGE, entry), first);
    };
    forEachPte(mm, 0, END_VPN, (vpn, entry) => {
      if (run !== null && continues(state, run, vpn, entry)) run.count++;
      else {
        end();
        run = { vpn, entry, count: 1 };
      }
    });
    end();
  }

  #vma(
    state: KernelView,
    mm: MmView,
    vma: VmaView,
    space: MmEntries | undefined,
    files: Naming<number>,
    key: string,
  ): Fields {
    const facts = this.#facts.vmas.mms.get(mm.id)?.list.find(({ start }) => start === vma.start);
    const {
      start: _start,
      end: _end,
      ...smaps
    } = facts && space ? smapsOf(this.#facts, space, facts) : { start: 0, end: 0 };
    const inode = state.inodes[vma.inode];
    return {
      end: vma.end,
      // smaps prints 0 for anonymous mappings.
      pgoff: inode ? vma.pgoff : undefined,
      file: inode ? files.of(inode.id, key) : 'none',
      flags: flagCodes(vma.flags),
      ...NOT_THERE,
      ...smaps,
    };
  }

  #page(state: KernelView, addr: number, entry: number): Fields {
    const page = canonicalPage(state, addr, entry, ptePfn);
    if (isSwapPte(entry)) return swapFields(page);
    const { kind, writable, uffd_wp, protnone } = page;
    if (kind === 'marker')
      return { kind, guard: page.guard, uffd_wp: isUffdWpPteMarker(entry), poison: isPoisonedPteMarker(entry) };
    if (kind === 'zero') return { kind, writable, uffd_wp, level: page.level };
    if (kind !== 'present') return { kind, writable, uffd_wp };
    const pfn = ptePfn(entry);
    const inMemory = page.anon_exclusive !== undefined || state.shmem[pageAt(state, pfn).mapping] !== undefined;
    const content = contentDigest(pageAt(state, pfn).content, (inode, index) => this.#baseByte(inode, index));
    return {
      kind,
      frame: NAMED,
      backing: page.backing,
      // Of the very page: below a huge entry only the first one has the flag.
      anon_exclusive: page.backing === 'anon' ? (pageAt(state, pfn).flags & PG_ANON_EXCLUSIVE) !== 0 : undefined,
      // pagemap asks of the first page that a huge entry maps, for all of them.
      single_map: page.level === 'pmd' ? pageMapcount(state, folioHead(state, pfn)) === 1 : page.single_map,
      mapcount: page.mapcount,
      writable,
      protnone: protnone ?? false,
      dirty: page.dirty,
      swapcache: page.anon_exclusive !== undefined ? page.swapcache === true : undefined,
      mlocked: (folioAt(state, pfn).flags & PG_MLOCKED) !== 0,
      unevictable: (folioAt(state, pfn).flags & PG_UNEVICTABLE) !== 0,
      uffd_wp,
      soft_dirty: page.soft_dirty === true,
      // What else holds a page of a disk's file (buffers) the model does not know.
      refcount: inMemory ? page.refcount : undefined,
      content: content ?? undefined,
      ...(inMemory ? folioFields(state, page, pfn) : {}),
    };
  }

  #baseByte(inode: number, index: number): number | null {
    const seed = this.#seeds.get(inode);
    return seed === undefined ? null : fileByte(seed, index);
  }
}

const isWaiting = (got: Got): boolean => got !== null && 'waits' in got;

/** Is one of these events a fork that nobody has read of? */
const forkWaits = (events: readonly number[]): boolean =>
  events.some((each, i) => i % UFFD_EVENT === 1 && each === UFFD_EVENT_FORK);

/** Forks, however they are called. */
const isFork = (name: string): boolean => name === 'fork' || name.startsWith('clone');

/** Statuses of up to four pages, as the agent gives them. */
const statusText = (statuses: readonly number[]): string =>
  Array.from({ length: 4 }, (_, i) => statuses[i] ?? 0).join();
/** Of the folio that page `pfn` belongs to, and of the entry that maps it. */
function folioFields(state: KernelView, { level, order }: CanonicalPage, pfn: number): Fields {
  const large = largeFolioAt(state, folioHead(state, pfn));
  return {
    level,
    order,
    large_mapcount: large?.largeMapcount,
    entire_mapcount: large?.entireMapcount,
    pincount: large?.pincount,
    mapped_shared: large === null ? undefined : large.mappedShared !== 0,
  };
}

/** What a userfaultfd tells of itself: faults that nobody read of, all that wait, and features. */
function uffdFields(state: KernelView, inode: number): Fields {
  const context = state.uffds.find((each) => each?.inode === inode);
  if (!context) return {};
  const pending = context.pending.length / UFFD_WAITER;
  return {
    uffd_pending: pending,
    uffd_total: pending + context.read.length / UFFD_WAITER,
    uffd_features: Math.max(0, context.features),
  };
}

/** What can be seen of a page that is swapped out. */
const swapFields = ({ kind, uffd_wp, excl_entry }: CanonicalPage): Fields => ({
  kind,
  uffd_wp,
  slot: NAMED,
  excl_entry,
});

/** Entries in a row that show the same: the first, and how many. */
interface Row {
  readonly vpn: number;
  readonly entry: number;
  count: number;
}

/** Flags of a page of a large folio that are its own; the others stand in the first page. */
const OWN_FLAGS = PG_ANON | PG_ANON_EXCLUSIVE;

/** Does page `vpn` show what those of `row` show, of the frame or slot behind theirs? Everything that #page() looks at is the same then. */
function continues(state: KernelView, { vpn: from, entry: first, count }: Row, vpn: number, entry: number): boolean {
  if (vpn !== from + count || pteFlags(entry) !== pteFlags(first)) return false;
  if (isSwapPte(entry)) return swpOffset(entry) === swpOffset(first) + count;
  if (!ptePresent(entry) || pteSpecial(entry)) return entry === first;
  const pfn = ptePfn(entry);
  if (pfn !== ptePfn(first) + count) return false;
  const a = pageAt(state, pfn - count);
  const b = pageAt(state, pfn);
  if (a.order !== b.order || a.mapcount !== b.mapcount || a.mapping !== b.mapping) return false;
  // A page of its own must be like the other in everything, one of a large folio be of the same.
  const alike =
    a.order === 0
      ? a.flags === b.flags && a.ref === b.ref
      : ((a.flags ^ b.flags) & OWN_FLAGS) === 0 && pfn % 2 ** b.order >= count;
  return alike && (a.content === b.content || sameBytes(a.content, b.content));
}

/** Are two pages' bytes written down alike? They may be the same and written otherwise: then they are two rows. */
const sameBytes = (a: Content | null, b: Content | null): boolean =>
  a !== null &&
  b !== null &&
  a.inode === 0 &&
  b.inode === 0 &&
  a.fill === b.fill &&
  a.runs.length === 0 &&
  b.runs.length === 0;

const ksmFields = ({ ksm }: KernelView): Fields => ({
  pages_shared: ksm.pagesShared,
  pages_sharing: ksm.pagesSharing,
  pages_unshared: ksm.pagesUnshared,
  ksm_zero_pages: ksm.zeroPages,
});

function ksmCounters({ ksm }: KernelView, mm: number): Fields {
  const [merging = 0, items = 0, zeroPages = 0] = ksm.counters[mm] ?? [];
  return { ksm_rmap_items: items, ksm_zero_pages: zeroPages, ksm_merging_pages: merging };
}

function living(state: KernelView): TaskView[] {
  return Object.values(state.tasks)
    .filter((task) => task.exited === 0 && task.mm !== 0)
    .toSorted((a, b) => a.tid - b.tid);
}
