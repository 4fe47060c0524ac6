// What expressions can speak of: page(pid, addr), vma(pid, addr), mm(pid), task(pid), inode(pid, fd), sb(pid, fd), folio(pfn), meminfo, ksm.
import { pteAt } from '../../reducers/pte.js';
import { HPAGE_RESV_OWNER, HPAGE_RESV_UNMAPPED, hugetlbFileAt, hugetlbVmaAt } from '../../reducers/hugetlb-state.js';
import type { KernelView, MmView, VmaView } from '../../reducers/state.js';
import {
  HPAGE_PMD_NR,
  PG_FREE,
  PG_LRU,
  folioAt,
  folioHead,
  largeFolioAt,
  pageAt,
  pageMapcount,
  rssPages,
} from '../../reducers/state.js';
import { UFFD_EVENT, UFFD_WAITER } from '../../reducers/uffd-state.js';
import { vmaLookup } from '../../reducers/vma.js';
import { InputError } from '../../src/lib/errors.js';
import { canonicalPage, canonicalVma, pageSoftDirty } from '../canonical.js';
import { coveredPages } from '../facts/hugetlb.js';
import type { QueryScope, QueryValue } from './evaluate.js';

/** Something with fields. */
export interface Subject {
  /** How it is called in messages. */
  readonly name: string;
  readonly fields: Readonly<Record<string, QueryValue>>;
  /** Fields that it could have and has not: they are none. */
  readonly absent?: readonly string[];
}

type Finder = (scope: QueryScope, args: readonly number[], at: number) => QueryValue;

const PAGE_FIELDS = [
  'frame',
  'order',
  'sub',
  'backing',
  'anon_exclusive',
  'single_map',
  'dirty',
  'mapcount',
  'refcount',
  'content',
  'swapcache',
  'slot',
  'excl_entry',
  'guard',
  'poison',
  'ksm_zero',
];

const VMA_FIELDS = ['uffd', 'uffd_id', 'resv', 'resv_left'];

/** Arguments of a subject: pid and address, or the address alone. */
function pidAndAddr(scope: QueryScope, args: readonly number[], name: string, at: number): readonly [number, number] {
  if (args.length === 1) return [scope.pid, args[0] as number];
  if (args.length === 2) return [args[0] as number, args[1] as number];
  throw new InputError({ column: at + 1 }, `${name} takes (pid, address) or (address)`);
}

function addressSpace(state: KernelView, pid: number, at: number): MmView {
  const task = state.tasks[pid];
  if (task === undefined) throw new InputError({ column: at + 1 }, `there is no task ${pid}`);
  if (task.mm === 0) throw new InputError({ column: at + 1 }, `task ${pid} has exited`);
  const mm = state.mms[task.mm];
  // Only in a log that somebody made up.
  if (!mm) throw new InputError({ column: at + 1 }, `there is no address space ${task.mm}`);
  return mm;
}

/** Is task `tid` one of a queue of waiting faults? */
const sleepsIn = (queue: readonly number[], tid: number): boolean =>
  queue.some((each, i) => i % UFFD_WAITER === 0 && each === tid);

/** What a private mapping of huge pages was promised, as long as it has anything there: HPAGE_RESV_* and the pages that it has not had yet. */
function reservationOf(
  state: KernelView,
  mm: MmView,
  { start, end, pgoff }: VmaView,
): { readonly resv?: string; readonly resv_left?: number } {
  const own = hugetlbVmaAt(state, mm.id, start);
  if (own === null) return {};
  const owner = (own.flags & HPAGE_RESV_OWNER) !== 0;
  const names = [...(owner ? ['owner'] : []), ...((own.flags & HPAGE_RESV_UNMAPPED) !== 0 ? ['unmapped'] : [])];
  const [from, pages] = [pgoff / HPAGE_PMD_NR, (end - start) / HPAGE_PMD_NR / 4096];
  const map = state.hugetlb.maps[own.map];
  const left = map ? pages - coveredPages(map.regions, from, from + pages) : own.reserved;
  return { resv: names.join(' '), ...(owner ? { resv_left: left } : {}) };
}

/** Finders by name. */
export const SUBJECTS: Readonly<Record<string, Finder>> = {
  page(scope, args, at) {
    const [pid, addr] = pidAndAddr(scope, args, 'page', at);
    const mm = addressSpace(scope.state, pid, at);
    const entry = pteAt(mm, Math.floor(addr / 4096));
    const soft_dirty = pageSoftDirty(mm, addr, entry);
    const name = `page(${pid}, 0x${addr.toString(16)})`;
    if (entry === 0)
      return {
        name,
        fields: { present: false, kind: 'none', writable: false, uffd_wp: false, soft_dirty },
        absent: PAGE_FIELDS,
      };
    const page = canonicalPage(scope.state, addr, entry, (pfn) => pfn);
    const fields = { ...page, present: page.kind === 'present', soft_dirty };
    return { name, fields: fields as unknown as Subject['fields'], absent: PAGE_FIELDS };
  },
  vma(scope, args, at) {
    const [pid, addr] = pidAndAddr(scope, args, 'vma', at);
    const vma = vmaLookup(addressSpace(scope.state, pid, at), addr);
    if (vma === null) return null;
    return {
      name: `vma(${pid}, 0x${addr.toString(16)})`,
      fields: {
        ...canonicalVma(scope.state, vma),
        ...reservationOf(scope.state, addressSpace(scope.state, pid, at), vma),
      },
      absent: VMA_FIELDS,
    };
  },
  mm(scope, args, at) {
    const pid = args[0] ?? scope.pid;
    const mm = addressSpace(scope.state, pid, at);
    const [file = 0, anon = 0, swap = 0, shmem = 0] = mm.rss;
    const [merging = 0, items = 0, zeroPages = 0] = scope.state.ksm.counters[mm.id] ?? [];
    return {
      name: `mm(${pid})`,
      fields: {
        rss: rssPages(mm),
        rss_file: file,
        rss_anon: anon,
        rss_shmem: shmem,
        swap,
        hiwater_rss: Math.max(mm.hiwaterRss, rssPages(mm)),
        total_vm: mm.totalVm,
        data_vm: mm.dataVm,
        stack_vm: mm.stackVm,
        exec_vm: mm.execVm,
        locked_vm: mm.lockedVm,
        page_tables: mm.tableBytes,
        map_count: mm.vmas.length,
        brk: mm.brk,
        users: mm.users,
        ksm_merging_pages: merging,
        ksm_rmap_items: items,
        ksm_zero_pages: zeroPages,
      },
    };
  },
  task(scope, args, at) {
    const pid = args[0] ?? scope.pid;
    const task = scope.state.tasks[pid];
    if (task === undefined) throw new InputError({ column: at + 1 }, `there is no task ${pid}`);
    const { tid, tgid, parent, cpu, exited, minFlt, majFlt } = task;
    return {
      name: `task(${pid})`,
      fields: {
        ...{ tid, tgid, parent, cpu, exited: exited === 1, min_flt: minFlt, maj_flt: majFlt },
        asleep: scope.state.uffds.some(
          (each) =>
            each !== null &&
            ([each.pending, each.read].some((q) => sleepsIn(q, tid)) ||
              each.events.some((of, i) => i % UFFD_EVENT === 0 && of === tid)),
        ),
      },
    };
  },
  uffd(scope, args, at) {
    const [pid, fd] = args.length === 2 ? args : [scope.pid, args[0]];
    const inode = scope.state.files[scope.state.tasks[pid ?? 0]?.tgid ?? 0]?.[fd ?? -1]?.inode;
    const context = scope.state.uffds.find((each) => each !== null && each.inode === inode);
    if (!context) throw new InputError({ column: at + 1 }, `descriptor ${fd ?? ''} of task ${pid} is no userfaultfd`);
    const { features, pending, read, events, changing } = context;
    return {
      name: `uffd(${pid}, ${fd})`,
      fields: {
        features: Math.max(0, features),
        pending: pending.length / UFFD_WAITER,
        total: (pending.length + read.length) / UFFD_WAITER,
        events: events.length / UFFD_EVENT,
        mmap_changing: changing.length,
      },
    };
  },
  inode(scope, args, at) {
    const [pid, fd] = args.length === 1 ? [scope.pid, args[0]] : args;
    const tgid = scope.state.tasks[pid ?? -1]?.tgid ?? -1;
    const file = scope.state.files[tgid]?.[fd ?? -1];
    const inode = file === undefined ? null : scope.state.inodes[file.inode];
    if (!inode) throw new InputError({ column: at + 1 }, `task ${pid} has no descriptor ${fd ?? ''}`);
    const info = scope.state.shmem[inode.id];
    // As stat(2) says it, in sectors; the others in pages.
    const fields: Readonly<Record<string, number>> =
      info === undefined
        ? {}
        : {
            blocks: info.blocks * 8,
            alloced: info.alloced,
            swapped: info.swapped,
            nrpages: info.nrpages,
            seals: info.seals,
          };
    return {
      name: `inode(${pid}, ${fd})`,
      fields: { size: inode.size, ...fields },
      absent: ['blocks', 'alloced', 'swapped', 'nrpages', 'seals'],
    };
  },
  sb(scope, args, at) {
    const [pid, fd] = args.length === 1 ? [scope.pid, args[0]] : args;
    const tgid = scope.state.tasks[pid ?? -1]?.tgid ?? -1;
    const file = scope.state.files[tgid]?.[fd ?? -1];
    const sb = scope.state.tmpfs[scope.state.shmem[file?.inode ?? -1]?.sb ?? -1];
    const huge = scope.state.hugetlb.subpools[hugetlbFileAt(scope.state, file?.inode ?? -1)?.sb ?? -1];
    if (sb === undefined && huge === undefined)
      throw new InputError({ column: at + 1 }, `descriptor ${fd ?? ''} of ${pid} is of no tmpfs or hugetlbfs`);
    // Of hugetlbfs in huge pages.
    const [maxBlocks, usedBlocks] = sb ? [sb.maxBlocks, sb.usedBlocks] : [huge?.max ?? 0, huge?.used ?? 0];
    return {
      name: `sb(${pid}, ${fd})`,
      fields: { max_blocks: maxBlocks, used_blocks: usedBlocks, free_blocks: maxBlocks - usedBlocks },
    };
  },
  folio(scope, args, at) {
    const [pfn] = args;
    if (pfn === undefined || pfn >= scope.state.maxPfn)
      throw new InputError({ column: at + 1 }, `there is no frame ${pfn ?? ''}`);
    const page = pageAt(scope.state, pfn);
    const large = largeFolioAt(scope.state, folioHead(scope.state, pfn));
    return {
      name: `folio(${pfn})`,
      fields: {
        free: (page.flags & PG_FREE) !== 0,
        order: page.order,
        mapcount: pageMapcount(scope.state, pfn),
        refcount: folioAt(scope.state, pfn).ref,
        large_mapcount: large?.largeMapcount ?? page.mapcount,
        entire_mapcount: large?.entireMapcount ?? 0,
        pincount: large?.pincount ?? 0,
        mapped_shared: large === null ? page.mapcount > 1 : large.largeMapcount > 1 && large.mappedShared !== 0,
        partially_mapped: large?.partiallyMapped === 1,
        lru: (folioAt(scope.state, pfn).flags & PG_LRU) !== 0,
        batch_cpu: page.lruCpu,
      },
    };
  },
};

/** `meminfo`, `ksm` and what else the machine as a whole has; null for a name that is none of it. Values as /proc/meminfo and /sys/kernel/mm/ksm print them. */
export function machineSubject(state: KernelView, name: string): Subject | null {
  if (name === 'meminfo') {
    const { total, free, resv, surplus } = state.hugetlb;
    const pool = { HugePages_Total: total, HugePages_Free: free, HugePages_Rsvd: resv, HugePages_Surp: surplus };
    return { name, fields: { Committed_AS: state.committed * 4, ...pool } };
  }
  if (name !== 'ksm') return null;
  const { pagesShared, pagesSharing, pagesUnshared, zeroPages, scans } = state.ksm;
  return {
    name,
    fields: {
      pages_shared: pagesShared,
      pages_sharing: pagesSharing,
      pages_unshared: pagesUnshared,
      ksm_zero_pages: zeroPages,
      full_scans: scans,
    },
  };
}
