// What events did to a page, in words that a reviewer can paste into a mail.
import type { EventOf, KernelEvent } from '../../events/index.js';
import { PTE_WRITE, pteSwpExclusive } from '../../reducers/pte.js';
import { MlockKind } from '../../reducers/state.js';
import { namesFrame, writesEntry } from './names-of-events.js';
import { hex, plural } from './words.js';

/** The page-table entry whose story is told. */
export interface Focus {
  readonly mm: number;
  /** Address / 4096. */
  readonly vpn: number;
}

/** How an address space is called. */
export type Who = (mm: number) => string;

const rights = (flags: number): string => ((flags & PTE_WRITE) !== 0 ? 'writable' : 'read-only');

/** The run of `runs` ([vpn, pfn, n, ...] of `stride` numbers) that holds `vpn`: its place, and the frame there. */
function runAt(runs: readonly number[], stride: number, vpn: number): { at: number; pfn: number; n: number } | null {
  for (let at = 0; at + stride <= runs.length; at += stride) {
    const [first, pfn, n] = [runs[at] as number, runs[at + 1] as number, runs[at + 2] as number];
    if (vpn >= first && vpn < first + n) return { at, pfn: pfn + vpn - first, n };
  }
  return null;
}

function forkWords(event: EventOf<'PtesCopied'>, { vpn }: Focus, who: Who): string {
  const [parent, child] = [who(event.mm), who(event.child)];
  const special = runAt(event.special, 5, vpn);
  if (special !== null) return `fork copied the entry without a page from ${parent} to ${child}`;
  const anon = runAt(event.anon, 5, vpn);
  const run = anon ?? runAt(event.file, 5, vpn);
  const list = anon === null ? event.file : event.anon;
  if (run === null) return `fork copied entries from ${parent} to ${child}`;
  const [childs, parents] = [list[run.at + 3] as number, list[run.at + 4] as number];
  const entries =
    rights(childs) === rights(parents)
      ? `${rights(childs)} for both`
      : `${rights(parents)} for ${parent}, ${rights(childs)} for ${child}`;
  const flag =
    anon === null ? 'a page of the page cache' : event.exclusive === 0 ? 'no longer exclusive' : 'still exclusive';
  const others = run.n > 1 ? ` (with ${plural(run.n - 1, 'neighbour')})` : '';
  return `fork shared frame ${run.pfn} of ${parent} with ${child}${others}: ${entries}, ${flag}`;
}

function copyWords(event: EventOf<'CowPageMapped'>, focus: Focus, who: Who): string {
  const { mm, vpn, oldPfn, pfn, exclusive } = event;
  const own = `frame ${pfn} of its own${exclusive === 1 ? ', exclusive' : ''}`;
  if (mm !== focus.mm || vpn !== focus.vpn)
    return `${who(mm)} wrote at ${hex(vpn * 4096)} and got a copy, ${own}: one mapping of frame ${oldPfn} less`;
  return oldPfn < 0
    ? `${who(mm)} wrote where the zero page was and got ${own}`
    : `${who(mm)} wrote to frame ${oldPfn}, which was not its alone, and got a copy, ${own} (wp_page_copy)`;
}

const changedEntries = (what: string, event: { readonly mm: number }, focus: Focus, who: Who): string =>
  event.mm === focus.mm ? `${what} of ${who(event.mm)}` : `${what} of ${who(event.mm)}, which had the frame too`;

/** What `event` did to the page that `focus` leads to, or to the frame there. */
export function storyOf(event: KernelEvent, focus: Focus, who: Who): string {
  switch (event.type) {
    case 'AnonPageMapped':
      return `${who(event.mm)} touched the page first: fresh frame ${event.pfn}, ${rights(event.entry)}${event.exclusive === 1 ? ', exclusive' : ''}`;
    case 'AnonPagesMapped': {
      const run = runAt(event.runs, 3, focus.vpn);
      const rows = `${plural(event.runs[2] ?? 0, 'page')} of a large folio`;
      return `${who(event.mm)} touched one of ${rows} first: fresh frame ${run?.pfn ?? event.runs[1]}, ${rights(event.flags)}${event.exclusive === 1 ? ', exclusive' : ''}`;
    }
    case 'ZeroPageMapped':
      return `${who(event.mm)} read the page first: the zero page`;
    case 'CowPageMapped':
      return copyWords(event, focus, who);
    case 'PageReused':
      return `${who(event.mm)} wrote to frame ${event.pfn}, which no other entry led to, and kept it${event.exclusive === 1 ? ', exclusive' : ''} (wp_page_reuse)`;
    case 'PagesReused':
      return `${who(event.mm)} wrote to a large folio of its own and kept a row of its pages (behaviour wp-reuse-range)`;
    case 'CowHugePageMapped':
      return `${who(event.mm)} wrote to a huge page that was not its alone and got a copy of all of it, from frame ${event.pfn} on`;
    case 'CowPagesMapped':
      return `${who(event.mm)} wrote to a large folio that was not its alone and got copies of ${plural(event.runs[2] ?? 0, 'page')} at once, from frame ${event.pfn} on (behaviour wp-copy-range)`;
    case 'PtesCopied':
      return forkWords(event, focus, who);
    case 'FilePagesMapped': {
      const run = runAt(event.runs, 3, focus.vpn);
      return `${who(event.mm)} got ${run === null ? 'pages' : `frame ${run.pfn}`} of the page cache, ${rights(event.flags)}`;
    }
    case 'SpecialPfnMapped':
      return `${who(event.mm)} got a raw frame without a page`;
    case 'PteFlagsSet':
      return changedEntries('a fault changed the flags of the entry', event, focus, who);
    case 'PtesProtected':
      return changedEntries('mprotect changed the flags of the entry', event, focus, who);
    case 'SoftDirtyChanged':
      return changedEntries('clear_refs took the soft-dirty bit of the entry, or mremap set it', event, focus, who);
    case 'PagesLazyfreed':
      return changedEntries('MADV_FREE cleaned the entry', event, focus, who);
    case 'GuardMarkersInstalled':
      return `${who(event.mm)} set a guard marker with MADV_GUARD_INSTALL: touching the page is a signal`;
    case 'GuardMarkersRemoved':
      return `${who(event.mm)} took the guard marker away with MADV_GUARD_REMOVE`;
    case 'PtesZapped':
      return changedEntries('the entry was cleared', event, focus, who);
    case 'PtesMoved':
      return `mremap moved the entry${writesEntry(event, focus.mm, focus.vpn) && inRange(event, focus.vpn) ? ` here from ${hex((event.vpn + focus.vpn - event.newVpn) * 4096)}` : ' away'}`;
    case 'PageCopied':
      return `the bytes of frame ${event.from} were copied to frame ${event.pfn}`;
    case 'PageWritten':
      return `${plural(event.length, 'byte')} of frame ${event.pfn} ${event.length === 1 ? 'was' : 'were'} written at offset ${event.offset}${event.byte < 0 ? '' : `: ${hex(event.byte)}`}`;
    case 'DirectRead':
      return `${plural(event.length, 'byte')} of frame ${event.pfn} came from the disk at offset ${event.pfnOffset}: a direct read of page ${event.index} of the file`;
    case 'HugePageCollapsed':
      return `${who(event.mm)} collapsed 2 MiB: the bytes went to fresh huge page ${event.pfn}, ${rights(event.entry)}${event.exclusive === 1 ? ', exclusive' : ''} (collapse_huge_page)`;
    case 'PmdCollapsedInPlace':
      return `${who(event.mm)} collapsed 2 MiB in place: a huge entry, ${rights(event.entry)}, leads to huge page ${event.pfn} now`;
    case 'LargeFolioCached':
      return `the page came into the page cache with ${plural((event.runs[2] ?? 1) - 1, 'other')}, as one folio`;
    case 'FilePmdMapped':
      return `${who(event.mm)} got huge page ${event.pfn} of the page cache by a huge entry, ${rights(event.entry)}`;
    case 'FilePmdCleared':
      return changedEntries('the huge entry, which has no table in store, went as a whole', event, focus, who);
    case 'FilePtesUnmapped':
      return changedEntries('the entry of the page of a file was taken away', event, focus, who);
    case 'FileFolioSplit':
      return `the folio of ${plural(2 ** event.order, 'page')} in the page cache was split`;
    case 'FileCollapsed':
      return `collapse put fresh huge page ${event.pfn} into the page cache, with the bytes of the pages there (collapse_file)`;
    case 'FoliosPutBack':
      return `collapse put the page back: it waits in CPU ${event.cpu}'s batch of new pages, which holds a reference`;
    case 'FolioReleased':
      return `a reference to frame ${event.pfn} was dropped${event.freed === 1 ? ', the last one' : ''}`;
    case 'GatherFlushed':
      return `references that the unmapping of ${who(event.mm)} had gathered were dropped after the TLB flush`;
    case 'LruAddDrained':
      return `CPU ${event.cpu} emptied its batch of new pages, which held a reference`;
    case 'LruLazyfreeDrained':
      return `CPU ${event.cpu} emptied its batch of lazily freed pages`;
    case 'MlockBatched':
      return `the page waits in CPU ${event.cpu}'s mlock batch, which holds a reference, to be ${event.kind === MlockKind.munlock ? 'unlocked' : 'locked'}`;
    case 'MlockBatchDrained':
      return `CPU ${event.cpu} emptied its mlock batch`;
    case 'PageGrabbed':
      return `holder ${event.holder} took ${event.bias === 1 ? 'a reference' : 'a pin'} to the page, found in ${who(event.mm)}`;
    case 'HeldPageReleased':
      return `holder ${event.holder} let the page go${event.freed === 1 ? ', the last one who had it' : ''}`;
    case 'FoliosUnevictable':
      return 'the page came to the LRU mlocked: unevictable';
    case 'FolioSwapAllocated':
      return `frame ${event.pfn} got slot ${event.slot} of the swap area, and is in the swap cache`;
    case 'PageSwappedOut':
      return `frame ${event.pfn} of ${who(event.mm)} was swapped out: the entry leads to slot ${event.slot}${isExclusive(event.entry)}`;
    case 'LargeFolioSwapAllocated':
      return `the large folio of ${plural(2 ** event.order, 'page')} from frame ${event.pfn} on got slots from ${event.slot} on, and is in the swap cache`;
    case 'PagesSwappedOut': {
      const run = runAt(event.runs, 4, focus.vpn);
      return `a large folio of ${who(event.mm)} was swapped out whole: the entry leads to slot ${event.slot + (run?.pfn ?? event.pfn) - event.pfn}`;
    }
    case 'LargeSwapWritten':
      return event.zeros === 1
        ? `the large folio from frame ${event.pfn} on is all zeros, which its slots note`
        : `the bytes of the large folio from frame ${event.pfn} on were written to its slots`;
    case 'LargeSwapCacheRemoved':
      return `the large folio from frame ${event.pfn} on left the swap cache${event.freed === 1 ? ' and was freed' : ''}`;
    case 'PagesSwappedIn': {
      const run = runAt(event.runs, 4, focus.vpn);
      return `${who(event.mm)} touched a swapped large folio that was in the swap cache still, and got ${run === null ? 'pages' : `frame ${run.pfn}`} of it${event.exclusive === 1 ? ', exclusive' : ''} (do_swap_page)`;
    }
    case 'SwapWritten':
      return `the bytes of frame ${event.pfn} were written to slot ${event.slot}`;
    case 'SwapRead':
      return `slot ${event.slot} was read into frame ${event.pfn}, which is in the swap cache`;
    case 'SwapCacheRemoved':
      return `frame ${event.pfn} left the swap cache${event.freed === 1 ? ' and was freed' : ''}`;
    case 'PageSwappedIn':
      return `${who(event.mm)} touched the swapped page of slot ${event.slot} and got frame ${event.pfn}, ${rights(event.entry)}${event.exclusive === 1 ? ', exclusive' : ''} (do_swap_page)`;
    case 'SwapEntryCopied':
      return `fork gave ${who(event.child)} the swap entry of ${who(event.mm)} as well: exclusive on neither side`;
    case 'SwapEntryFreed':
      return changedEntries('the swap entry was cleared', event, focus, who);
    case 'LazyfreeDiscarded':
      return `frame ${event.pfn} of ${who(event.mm)}, given up by MADV_FREE and not written to since, was dropped`;
    case 'FilePageUnmapped':
      return `reclaim unmapped frame ${event.pfn}, a page of a file, from ${who(event.mm)}`;
    case 'ShmemFolioAdded':
      return `the page, filled by a userfaultfd's monitor, became page ${event.runs[0]} of its file (shmem_mfill_atomic_pte)`;
    case 'MmCounterChanged':
      return `a counter of ${who(event.mm)} changed beside any entry`;
    case 'FolioReclaimSet':
      return event.reclaim === 1 ? 'reclaim found the page dirty and left it' : 'the mark that reclaim had left went';
    case 'PageCacheReclaimed':
      return 'the page was reclaimed from the page cache';
    case 'LazyfreeRevoked':
      return `frame ${event.pfn}, given up by MADV_FREE, had been written to since: it stays`;
    case 'FolioIsolated':
      return `frame ${event.pfn} was taken off the LRU to be moved`;
    case 'MigrationPteSet':
      return `the entry of ${who(event.mm)} to frame ${event.pfn} became a migration entry, ${migrationKind(event.entry)} (try_to_migrate)`;
    case 'FolioMigrated':
      return `what was frame ${event.from} is now frame ${event.pfn}`;
    case 'LargeFolioMigrated':
      return `what was the large folio from frame ${event.from} on is now the one from frame ${event.pfn} on`;
    case 'HugetlbPageMigrated':
      return `what was the page of the pool from frame ${event.from} on is now the one from frame ${event.pfn} on`;
    case 'PmdMigrationSet':
      return `the huge entry of ${who(event.mm)} became a migration entry, ${migrationKind(event.entry)} (set_pmd_migration_entry)`;
    case 'PmdMigrationRemoved':
      return `${who(event.mm)} got the huge page from frame ${event.pfn} on for its migration entry, ${rights(event.entry)}${event.exclusive === 1 ? ', exclusive' : ''} (remove_migration_pmd)`;
    case 'FolioLruAdded':
      return `frame ${event.pfn} went to CPU ${event.lruCpu}'s batch of new pages`;
    case 'MigrationPteRemoved':
      return `${who(event.mm)} got frame ${event.pfn} for its migration entry, ${rights(event.entry)}${event.exclusive === 1 ? ', exclusive' : ''} (remove_migration_pte)`;
    case 'HugetlbPageMapped':
      return event.anonVma === 0
        ? `${who(event.mm)} got the huge page of the file, from frame ${event.pfn} on, ${rights(event.entry)}`
        : `${who(event.mm)} touched the huge page first: one of the pool, from frame ${event.pfn} on${event.exclusive === 1 ? ', exclusive' : ''} (hugetlb_no_page)`;
    case 'HugetlbCowMapped':
      return `${who(event.mm)} got a copy of the huge page from frame ${event.oldPfn} on, of its own, from frame ${event.pfn} on (hugetlb_wp)`;
    case 'HugetlbEntryCopied':
      return `fork shared the huge page from frame ${event.pfn} on of ${who(event.mm)} with ${who(event.child)}: ${rights(event.entry)} for both${event.exclusive === 0 ? ', no longer exclusive' : ''}`;
    case 'HugetlbEntryZapped':
      return `${who(event.mm)} lost the huge page from frame ${event.pfn} on (__unmap_hugepage_range)`;
    case 'TaskCreated':
      return `task ${event.tid} came into being${event.parent === 0 ? '' : `, child of ${event.parent}`}`;
    case 'TaskMmSwitched':
      return `execve gave task ${event.tid} a new address space`;
    case 'TaskExited':
      return `task ${event.tid} gave up its address space`;
    default:
      return 'changed by this event';
  }
}

const migrationKind = (entry: number): string =>
  (entry & PTE_WRITE) !== 0 ? 'writable' : pteSwpExclusive(entry) ? 'readable-exclusive' : 'readable';

const isExclusive = (entry: number): string => (pteSwpExclusive(entry) ? ', exclusive' : '');

/** Does a move bring entries to `vpn`? */
const inRange = ({ newVpn, runs }: EventOf<'PtesMoved'>, vpn: number): boolean => {
  for (let i = 0; i + 1 < runs.length; i += 2) {
    const first = newVpn + (runs[i] as number);
    if (vpn >= first && vpn < first + (runs[i + 1] as number)) return true;
  }
  return false;
};

/** What the event tells comes from somewhere else: the entry to go on with. Null where the story begins here. */
export function originOf(event: KernelEvent, focus: Focus): Focus | null {
  switch (event.type) {
    case 'AnonPageMapped':
    case 'AnonPagesMapped':
    case 'ZeroPageMapped':
    case 'FilePagesMapped':
    case 'SpecialPfnMapped':
      return event.mm === focus.mm ? null : focus;
    case 'SwapEntryCopied':
    case 'PtesCopied':
      return event.child === focus.mm ? { mm: event.mm, vpn: focus.vpn } : focus;
    case 'PtesMoved':
      return inRange(event, focus.vpn) ? { mm: focus.mm, vpn: event.vpn + focus.vpn - event.newVpn } : focus;
    default:
      return focus;
  }
}

const UNMAPPING: ReadonlySet<string> = new Set<KernelEvent['type']>([
  'PageSwappedOut',
  'LazyfreeDiscarded',
  'MigrationPteSet',
  'FilePageUnmapped',
]);

/** Is frame `pfn` in runs of [vpn, pfn, n, flags]? */
const holdsFrame = (runs: readonly number[], pfn: number): boolean =>
  runs.some((first, i) => i % 4 === 1 && pfn >= first && pfn < first + (runs[i + 1] as number));

/** Does the one run [vpn, pfn, n] hold frame `pfn`? */
const runAtFrame = ([, first = 0, n = 0]: readonly number[], pfn: number): boolean => pfn >= first && pfn < first + n;

/** Whether `event` took a mapping of frame `pfn` away from somebody. */
export function givesUp(event: KernelEvent, pfn: number): boolean {
  if (event.type === 'CowPageMapped') return event.oldPfn === pfn;
  if (event.type === 'CowPagesMapped') return runAtFrame(event.runs, pfn);
  if (UNMAPPING.has(event.type)) return (event as EventOf<'FilePageUnmapped'>).pfn === pfn;
  if (event.type === 'HugePageCollapsed' || event.type === 'PagesSwappedOut') return holdsFrame(event.runs, pfn);
  return event.type === 'PtesZapped' && namesFrame(event, pfn);
}

/** Whether `event` made, or last enlarged, the mapping at `vpn` of `mm`. */
export function makesMapping(event: KernelEvent, { mm, vpn }: Focus): boolean {
  const addr = vpn * 4096;
  if (event.type === 'VmaInserted') return event.mm === mm && event.start <= addr && addr < event.end;
  return event.type === 'VmaResized' && event.mm === mm && event.newStart <= addr && addr < event.newEnd;
}
