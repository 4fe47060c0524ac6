// Rules on userfaultfd: what it watches is never filled or written unseen, and who sleeps can be woken.
import {
  PTE_UFFD_WP,
  PTRS_PER_PTE,
  isPteMarker,
  isSwapPte,
  isUffdWpPteMarker,
  ptePfn,
  ptePresent,
  pteSoftDirty,
  pteWrite,
} from '../../reducers/pte.js';
import type { KernelView } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import { PG_ANON_EXCLUSIVE, pageAt } from '../../reducers/state.js';
import { UFFD_EVENT, UFFD_WAITER } from '../../reducers/uffd-state.js';
import {
  VM_DONTCOPY,
  VM_MAYWRITE,
  VM_SOFTDIRTY,
  vmaLookup,
  VM_UFFD,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
} from '../../reducers/vma.js';
import type { VmaFacts } from '../facts/vmas.js';
import type { Audited, EntryInvariant, EventInvariant, Report } from './invariant.js';

const rule = { since: '4.3', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;
const eventRule = { ...rule, about: 'event' } as const;

const UFFD_EVENT_FORK = 0x13;
const UFFD_FEATURE_WP_UNPOPULATED = 1 << 13;
const UFFD_FEATURE_WP_ASYNC = 1 << 15;
const UFFD_PAGEFAULT_FLAG_WP = 2;

/** Is it an ioctl, or the rest of one, that is at work? Who fills by one is the monitor. */
export function byIoctl({ operation }: Audited): boolean {
  if (operation?.name === 'ioctl') return true;
  const of = operation?.name === 'resumed' ? operation.args[0] : null;
  return typeof of === 'object' && of !== null && 'word' in of && of.word === 'ioctl';
}

const contextOf = (view: KernelView, vma: VmaFacts): UffdView | null => view.uffds[vma.uffd ?? 0] ?? null;

const has = (view: KernelView, vma: VmaFacts, feature: number): boolean => {
  const context = contextOf(view, vma);
  return context !== null && context.features >= 0 && (context.features & feature) !== 0;
};

/** A child that is watched gets copies of pages that its parent has pinned. */
const FORKS: ReadonlySet<string> = new Set(['fork', 'vfork', 'clone', 'clone3']);

/** Something appeared at [vpn, vpn + pages) where nothing was, without a monitor's doing. */
function filled(mm: number, vpn: number, pages: number, audited: Audited, report: Report): void {
  if (byIoctl(audited) || FORKS.has(audited.operation?.name ?? '')) return;
  const vma = audited.facts.vmas.at(mm, vpn * 4096);
  // Of a file its page may be there, from which private mappings take a copy.
  if (vma === undefined || vma.inode !== 0 || (vma.flags & VM_UFFD_MISSING) === 0) return;
  const space = audited.facts.mappings.of(mm);
  if (space === undefined) return;
  for (let at = vpn; at < vpn + pages; at++) {
    const old = audited.facts.mappings.at(space, at);
    if (old === 0 || isPteMarker(old))
      return report(
        { kind: 'entry', mm, vpn: at },
        { expected: 'a message to the monitor', found: 'a page that nobody was asked for' },
      );
  }
}

/** The entry at (mm, vpn) was protected, and `entry` in its place is not. */
function unprotected(mm: number, vpn: number, entry: number, audited: Audited, report: Report): void {
  const vma = audited.facts.vmas.at(mm, vpn * 4096);
  const space = audited.facts.mappings.of(mm);
  if (vma === undefined || space === undefined || (vma.flags & VM_UFFD_WP) === 0) return;
  const old = audited.facts.mappings.at(space, vpn);
  const was = (old & PTE_UFFD_WP) !== 0 && (ptePresent(old) || isSwapPte(old));
  if (was && (entry & PTE_UFFD_WP) === 0 && !has(audited.view, vma, UFFD_FEATURE_WP_ASYNC))
    report({ kind: 'entry', mm, vpn }, { expected: 'a write-protected entry', found: 'one that is not' });
}

/** What stands at (mm, vpn) came to a mapping that nobody watches for writes, with its protection. */
function stale(mm: number, vpn: number, entry: number, { facts }: Audited, report: Report): void {
  const vma = facts.vmas.at(mm, vpn * 4096);
  if ((entry & PTE_UFFD_WP) === 0 || vma === undefined || (vma.flags & VM_UFFD_WP) !== 0) return;
  report(
    { kind: 'entry', mm, vpn },
    { expected: 'an entry without protection', found: 'a protected one that nobody watches' },
  );
}

/** Tasks of a queue. */
const waiters = (queue: readonly number[]): readonly number[] => queue.filter((_, i) => i % UFFD_WAITER === 0);

/** In faults, and with what they do until somebody has read of it. */
const sleepersOf = ({ pending, read, events }: UffdView): readonly number[] => [
  ...[...waiters(pending), ...waiters(read)],
  ...events.filter((_, i) => i % UFFD_EVENT === 0),
];

/** Tasks that sleep, and those who could do something about it: they run, and have a descriptor of a context. */
function withoutWaker({ view, operation }: Audited, report: Report): void {
  // Threads of a group that ends go with the caller.
  const ends = operation?.name === 'exit_group' ? view.tasks[operation.pid ?? 0]?.tgid : undefined;
  const asleep = new Set(view.uffds.flatMap((each) => (each === null ? [] : sleepersOf(each))));
  if (asleep.size === 0) return;
  const able = Object.values(view.tasks).filter((task) => task.exited === 0 && !asleep.has(task.tid));
  for (const context of view.uffds) {
    if (context === null) continue;
    const reaches = (tgid: number): boolean =>
      Object.values(view.files[tgid] ?? {}).some(({ inode }) => inode === context.inode);
    // Of the last descriptor that goes the release follows, which wakes all.
    const open = Object.values(view.tasks).some((task) => task.exited === 0 && reaches(task.tgid));
    if (!open || able.some((task) => reaches(task.tgid))) continue;
    for (const tid of sleepersOf(context).filter((each) => view.tasks[each]?.tgid !== ends || ends === undefined))
      report(
        { kind: 'machine', what: `task ${tid}, which sleeps` },
        { expected: `a task that runs and has a descriptor of userfaultfd ${context.id}`, found: 'none' },
      );
  }
}

/** The VMA at `start` of `mm` belongs to a context if, and only if, its flags say what for. */
function sameAsFlags(mm: number, start: number, { view, facts }: Audited, report: Report): void {
  const vma = facts.vmas.at(mm, start);
  if (vma === undefined) return;
  const context = contextOf(view, vma);
  const subject = { kind: 'vma', mm, start: vma.start } as const;
  if ((context !== null) !== ((vma.flags & VM_UFFD) !== 0))
    report(subject, {
      expected: 'a context where VM_UFFD_* are set, and nowhere else',
      found: `context ${vma.uffd ?? 0}`,
    });
  else if (context !== null && context.mm !== mm)
    report(subject, { expected: `a context of mm ${mm}`, found: `one of mm ${context.mm}` });
}

export const userfaultfdEntryInvariants: readonly EntryInvariant[] = [
  {
    ...rule,
    about: 'entry',
    name: 'uffd-wp-entry-not-writable',
    aliases: ['wp-not-writable'],
    formula: 'in a mapping that is watched for writes no entry is protected and writable at once',
    source: 'pte_mkuffd_wp()',
    severity: 1,
    since: '5.7',
    of: 'writable',
    check({ entry, vma }) {
      if ((entry & PTE_UFFD_WP) === 0 || vma === null || (vma.flags & VM_UFFD_WP) === 0) return null;
      return { expected: 'a read-only entry', found: 'a protected entry that may be written to' };
    },
  },
  {
    ...rule,
    about: 'entry',
    name: 'uffd-marker-anon',
    aliases: ['marker-anon'],
    formula: 'in anonymous memory empty entries are protected only where WP_UNPOPULATED or WP_ASYNC asks for it',
    source: 'userfaultfd_wp_use_markers()',
    severity: 2,
    since: '6.4',
    of: 'special',
    check({ entry, vma }, { view }) {
      if (!isUffdWpPteMarker(entry) || vma === null || vma.inode !== 0 || (vma.flags & VM_UFFD_WP) === 0) return null;
      const features = view.uffds[vma.uffd ?? 0]?.features ?? 0;
      if ((features & (UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC)) !== 0) return null;
      return { expected: 'an empty entry', found: 'a marker' };
    },
  },
];

export const userfaultfdEventInvariants: readonly EventInvariant[] = [
  {
    ...eventRule,
    name: 'uffd-missing-reported',
    formula: 'where a userfaultfd watches anonymous memory for missing pages none appears but by its monitor’s doing',
    source: 'do_anonymous_page(), do_huge_pmd_anonymous_page(): userfaultfd_missing()',
    severity: 1,
    before: {
      AnonPageMapped: ({ mm, vpn }, audited, report) => filled(mm, vpn, 1, audited, report),
      ZeroPageMapped: ({ mm, vpn }, audited, report) => filled(mm, vpn, 1, audited, report),
      AnonPagesMapped: ({ mm, runs }, audited, report) => filled(mm, runs[0] ?? 0, runs[2] ?? 0, audited, report),
      HugePageMapped: ({ mm, vpn }, audited, report) => filled(mm, vpn, PTRS_PER_PTE, audited, report),
      HugeZeroMapped: ({ mm, vpn }, audited, report) => filled(mm, vpn, PTRS_PER_PTE, audited, report),
      HugePageCollapsed: ({ mm, vpn }, audited, report) => filled(mm, vpn, PTRS_PER_PTE, audited, report),
    },
  },
  {
    ...eventRule,
    name: 'uffd-wp-blocks-writes',
    formula:
      'what UFFDIO_WRITEPROTECT went over is protected, and stays so until the monitor takes that back or the page goes: no write, split, swap or move ends it',
    source: 'userfaultfd_pte_wp(); __split_huge_pmd_locked(); do_swap_page()',
    severity: 1,
    since: '5.7',
    before: {
      CowPageMapped: ({ mm, vpn, entry }, audited, report) => unprotected(mm, vpn, entry, audited, report),
      PageReused: ({ mm, vpn, entry }, audited, report) => unprotected(mm, vpn, entry, audited, report),
      PageSwappedOut: ({ mm, vpn, entry }, audited, report) => unprotected(mm, vpn, entry, audited, report),
      PageSwappedIn: ({ mm, vpn, entry }, audited, report) => unprotected(mm, vpn, entry, audited, report),
      PmdSplit: ({ mm, vpn, entry }, audited, report) => unprotected(mm, vpn, entry, audited, report),
      HugePageCollapsed({ mm, vpn, entry }, audited, report) {
        for (let at = vpn; at < vpn + PTRS_PER_PTE; at++) unprotected(mm, at, entry, audited, report);
      },
    },
    after: {
      UffdRangeProtected({ mm, addr, end, enable }, { facts }, report) {
        const space = facts.mappings.of(mm);
        const vma = facts.vmas.at(mm, addr);
        if (enable === 0 || space === undefined || vma === undefined) return;
        facts.mappings.forEachEntry(space, addr / 4096, end / 4096, (vpn) => {
          const entry = facts.mappings.at(space, vpn);
          const asked = ptePresent(entry) || isSwapPte(entry);
          if (asked && (entry & PTE_UFFD_WP) === 0)
            report({ kind: 'entry', mm, vpn }, { expected: 'a write-protected entry', found: 'one that is not' });
          return true;
        });
      },
    },
  },
  {
    ...eventRule,
    name: 'uffd-wp-not-stale',
    aliases: ['wp-only-in-w-vma', 'child-wp'],
    formula: 'fork, mremap and UFFDIO_MOVE bring no protection to where nobody watches for writes',
    source: 'copy_present_ptes(), copy_nonpresent_pte(), move_ptes(), move_swap_pte()',
    severity: 2,
    since: '5.7',
    knownBroken: ['6.8 to 6.18: UFFDIO_MOVE of a page that is swapped out'],
    after: {
      PtesCopied({ child, anon, special }, audited, report) {
        for (const runs of [anon, special])
          for (let i = 0; i + 4 < runs.length; i += 5) stale(child, runs[i]!, runs[i + 3]!, audited, report);
      },
      UffdEntryMoved: ({ mm, newVpn, entry }, audited, report) => stale(mm, newVpn, entry, audited, report),
    },
  },
  {
    ...eventRule,
    name: 'waiter-has-waker',
    formula:
      'for every task that sleeps in a fault, or until somebody has read of what it does, there is another that runs and has a descriptor of the userfaultfd',
    source: 'handle_userfault(): only a monitor, or the end of all descriptors, ends the sleep',
    severity: 3,
    after: {
      UffdFaultQueued: (_event, audited, report) => withoutWaker(audited, report),
      UffdEventQueued: (_event, audited, report) => withoutWaker(audited, report),
      TaskExited: (_event, audited, report) => withoutWaker(audited, report),
      FdClosed: (_event, audited, report) => withoutWaker(audited, report),
    },
  },
  {
    ...eventRule,
    name: 'uffd-changing-count',
    aliases: ['changing-count', 'event-once'],
    formula:
      'nobody fills while a task changes what the userfaultfd watches: whoever waits with an event is one of those, each with one event at a time',
    source: 'userfaultfd_event_wait_completion()',
    severity: 1,
    since: '4.18',
    after: {
      UffdEventQueued({ uffd, tid }, { view }, report) {
        const context = view.uffds[uffd];
        const subject = { kind: 'machine', what: `task ${tid}, which waits with an event` } as const;
        if (context && !context.changing.includes(tid))
          report(subject, { expected: 'mmap_changing raised by it', found: 'no such task' });
        const queued = view.uffds.flatMap((each) => each?.events.filter((_, i) => i % UFFD_EVENT === 0) ?? []);
        if (queued.filter((each) => each === tid).length > 1)
          report(subject, { expected: 'one event', found: 'several' });
      },
    },
  },
  {
    ...eventRule,
    name: 'event-implies-live-mm',
    formula: 'a monitor is told of a fork only if the child has all that the parent gives it',
    source: 'dup_mmap(), dup_userfaultfd_fail(); CVE-2024-50220',
    severity: 1,
    since: '6.12',
    after: {
      UffdEventQueued({ uffd, event, from }, { view }, report) {
        const [parent, child] = [uffd, event === UFFD_EVENT_FORK ? from : 0].map(
          (id) => view.mms[view.uffds[id]?.mm ?? 0],
        );
        if (event !== UFFD_EVENT_FORK || !parent) return;
        const given = parent.vmas.filter(({ flags }) => (flags & VM_DONTCOPY) === 0);
        const missing = given.find(({ start }) => !child || vmaLookup(child, start) === null);
        if (missing !== undefined)
          report(
            { kind: 'vma', mm: parent.id, start: missing.start },
            { expected: 'a copy in the child', found: 'none' },
          );
      },
    },
  },
  {
    ...eventRule,
    name: 'soft-dirty-covers-moves',
    formula: 'what UFFDIO_MOVE brings to a place counts as written to there, whether it is swapped out or not',
    source: 'move_present_pte(), move_swap_pte()',
    severity: 2,
    since: '6.15',
    needs: ['soft-dirty'],
    after: {
      UffdEntryMoved({ mm, newVpn, pfn, entry }, { facts }, report) {
        const vma = facts.vmas.at(mm, newVpn * 4096);
        if (vma === undefined || (vma.flags & VM_SOFTDIRTY) !== 0 || pteSoftDirty(entry)) return;
        if (pfn >= 0 || isSwapPte(entry))
          report({ kind: 'entry', mm, vpn: newVpn }, { expected: 'a soft-dirty entry', found: 'one that is not' });
      },
    },
  },
  {
    ...eventRule,
    name: 'uffd-ctx-flags',
    aliases: ['uffd-one-owner'],
    formula: 'a VMA has VM_UFFD_* flags if and only if it belongs to a context, which is one of its address space',
    source: 'userfaultfd_register(), handle_userfault(): BUG_ON',
    severity: 1,
    after: {
      UffdVmaSet: ({ mm, start }, audited, report) => sameAsFlags(mm, start, audited, report),
      VmaFlagsChanged: ({ mm, start }, audited, report) => sameAsFlags(mm, start, audited, report),
      VmaSplit({ mm, start, at }, audited, report) {
        sameAsFlags(mm, start, audited, report);
        sameAsFlags(mm, at, audited, report);
      },
      VmaMerged: ({ mm, start }, audited, report) => sameAsFlags(mm, start, audited, report),
    },
  },
  {
    ...eventRule,
    name: 'uffd-maywrite',
    aliases: ['maywrite'],
    formula: 'only mappings that may become writable are watched',
    source: 'userfaultfd_register(); CVE-2018-18397',
    severity: 1,
    since: '4.20',
    after: {
      UffdVmaSet({ mm, start, uffd, flags }, _audited, report) {
        if (uffd !== 0 && (flags & VM_MAYWRITE) === 0)
          report(
            { kind: 'vma', mm, start },
            { expected: 'VM_MAYWRITE', found: 'a mapping that may never be written to' },
          );
      },
    },
  },
  {
    ...eventRule,
    name: 'uffd-wait-needed',
    aliases: ['no-wait-when-resolved', 'async-silent'],
    formula:
      'a task sleeps only where nothing is, or where it may not write, and never for a write that WP_ASYNC lets pass',
    source: 'userfaultfd_must_wait(); userfaultfd_wp_async()',
    severity: 2,
    after: {
      UffdFaultQueued({ uffd, tid, addr, flags }, { view, facts }, report) {
        const context = view.uffds[uffd];
        const space = facts.mappings.of(context?.mm ?? 0);
        if (!context || space === undefined) return;
        const entry = facts.mappings.at(space, Math.floor(addr / 4096));
        const subject = { kind: 'machine', what: `task ${tid}, which sleeps` } as const;
        const open = ptePresent(entry) && ((flags & UFFD_PAGEFAULT_FLAG_WP) === 0 || pteWrite(entry));
        if (open) report(subject, { expected: 'nothing there, or a protected page', found: 'a page it may have' });
        if ((flags & UFFD_PAGEFAULT_FLAG_WP) !== 0 && (context.features & UFFD_FEATURE_WP_ASYNC) !== 0)
          report(subject, { expected: 'no message of a write', found: 'one to a monitor that asked for none' });
      },
    },
  },
  {
    ...eventRule,
    name: 'uffd-move-conserves',
    aliases: ['move-conserve'],
    formula: 'UFFDIO_MOVE leaves an empty entry behind, and a page that is this process’s own at its new place',
    source: 'move_present_pte(), move_swap_pte()',
    severity: 1,
    since: '6.8',
    after: {
      UffdEntryMoved({ mm, vpn, newVpn, pfn, entry }, { view, facts }, report) {
        const space = facts.mappings.of(mm);
        if (space === undefined) return;
        if (facts.mappings.at(space, vpn) !== 0)
          report({ kind: 'entry', mm, vpn }, { expected: 'an empty entry', found: 'one that is not' });
        if (!ptePresent(entry) || pfn < 0 || pfn >= view.maxPfn) return;
        if ((pageAt(view, pfn).flags & PG_ANON_EXCLUSIVE) === 0 || ptePfn(entry) !== pfn)
          report(
            { kind: 'entry', mm, vpn: newVpn },
            { expected: 'an exclusive page', found: 'one that may be shared' },
          );
      },
    },
  },
];
