// Rules on files in memory: what is accounted of them, where they end, and seals.
import type { EventType } from '../../events/index.js';
import type { KernelView, ShmemInode } from '../../reducers/state.js';
import { InodeKind } from '../../reducers/state.js';
import { VM_MAYWRITE, VM_SHARED, VM_WRITE, linearPageIndex } from '../../reducers/vma.js';
import { FrameKind } from '../facts/frames.js';
import type { Facts } from '../facts/facts.js';
import type { Audited, CounterInvariant, EntryInvariant, EventInvariant, Report } from './invariant.js';

const rule = { since: 'all', aliases: [], needs: [], knownBroken: [] } as const;

/** Events that change what files in memory count. */
export const SHMEM_EVENTS: readonly EventType[] = [
  ...(['ShmemInodeInitialised', 'ShmemAccounted', 'ShmemInodeEvicted', 'InodeResized'] as const),
  ...(['ShmemPageSwapped', 'ShmemPageSwappedIn', 'ShmemSwapFreed', 'ShmemFolioAdded'] as const),
  ...([
    'LargeFolioCached',
    'FileCollapsed',
    'PageCacheAdded',
    'PageCacheRemoved',
    'PageCacheReclaimed',
    'PageCacheHolesNoted',
  ] as const),
];

/** A counter of a file, 0 for one that has none. */
const counted = (
  what: keyof ShmemInode,
  truth: (facts: Facts, inode: number) => number,
): CounterInvariant['counters'][number] => ({
  what,
  counter: (view, _mm, id) => view.shmem[id]?.[what] ?? 0,
  truth: (facts, id) => (facts.shmem.has(id) ? truth(facts, id) : 0),
});

/** Blocks of all tmpfs together: which of them is off is told by the files. */
const tmpfsInvariant: CounterInvariant = {
  ...rule,
  about: 'machine',
  name: 'tmpfs-blocks-equal-files',
  aliases: ['shm-sb'],
  formula: 'used_blocks of tmpfs == the blocks of their files',
  source: 'shmem_inode_acct_blocks(); statfs(2)',
  severity: 2,
  at: 'operation',
  changedBy: SHMEM_EVENTS,
  counters: [
    {
      what: 'used_blocks of tmpfs',
      counter: (view) => view.tmpfs.reduce((sum, { usedBlocks }) => sum + usedBlocks, 0),
      truth(facts) {
        let sum = 0;
        for (const [id, { sb }] of facts.shmem) if (sb >= 0) sum += facts.shmemPages(id);
        return sum;
      },
    },
  ],
};

export const shmemCounterInvariants: readonly CounterInvariant[] = [
  {
    ...rule,
    about: 'inode',
    name: 'shmem-blocks-equal-pages',
    aliases: ['shm-accounting', 'shm-blocks'],
    formula:
      'alloced == i_blocks / 8 == pages of the file that are cached, or swapped out, or that reclaim dropped since the last count; nrpages == those that are cached',
    source: 'shmem_recalc_inode(), shmem_evict_inode(): WARN_ON(inode->i_blocks)',
    severity: 2,
    at: 'operation',
    changedBy: SHMEM_EVENTS,
    counters: [
      counted('alloced', (facts, id) => facts.shmemPages(id)),
      counted('blocks', (facts, id) => facts.shmemPages(id)),
      counted('nrpages', (facts, id) => facts.inodes.get(id)?.pages.size ?? 0),
      counted('swapped', (facts, id) => facts.shmem.get(id)?.swapped.size ?? 0),
    ],
  },
  tmpfsInvariant,
];

export const shmemEntryInvariants: readonly EntryInvariant[] = [
  {
    ...rule,
    about: 'entry',
    name: 'no-entry-beyond-eof',
    aliases: ['eof-ptes'],
    formula:
      'no entry maps a page of a file in memory beyond the end of the file, unless it is of a large folio that begins before',
    source: 'shmem_fault(): SIGBUS; the second unmap_mapping_range() of shmem_setattr()',
    severity: 1,
    at: 'operation',
    of: 'any',
    check({ vma, vpn, pfn, page }, { view, facts }) {
      const inode = vma === null ? null : view.inodes[vma.inode];
      if (vma === null || inode?.kind !== InodeKind.shmem || page === null) return null;
      // What a private mapping copied may stay, but for a truncation.
      if (facts.frames.kind[pfn] === FrameKind.anon) return null;
      const { size } = inode;
      const index = linearPageIndex(vma, vpn * 4096);
      // A large folio is mapped as a whole, whatever of it lies behind the end.
      const first = index - (page.order === 0 ? 0 : pfn % 2 ** page.order);
      if (size < 0 || first * 4096 < size) return null;
      return { expected: `pages below ${Math.ceil(size / 4096)}`, found: `page ${index}` };
    },
  },
];

const F_SEAL_WRITE = 8;
const F_SEAL_FUTURE_WRITE = 16;
const MAY_WRITE = VM_SHARED | VM_MAYWRITE;

/** F_SEAL_* of a file in memory. */
const sealsOf = ({ shmem, hugetlb }: KernelView, inode: number): number =>
  shmem[inode]?.seals ?? hugetlb.files.find((each) => each.inode === inode)?.seals ?? 0;

/** A shared mapping of a file sealed against writing may neither write nor ever be made to. */
function sealed(
  { mm, start, flags }: { readonly mm: number; readonly start: number; readonly flags: number },
  inode: number,
  { view }: Audited,
  report: Report,
): void {
  if ((sealsOf(view, inode) & F_SEAL_WRITE) === 0 || (flags & MAY_WRITE) !== MAY_WRITE) return;
  const found = (flags & VM_WRITE) !== 0 ? 'a shared mapping that writes' : 'a shared mapping that may come to write';
  report({ kind: 'vma', mm, start }, { expected: 'no writing to a file with F_SEAL_WRITE', found });
}

/** A new shared mapping of a file sealed against writing from now on may write only if it stands for one that could before. */
function sealedFromNow(
  {
    mm,
    start,
    flags,
    inode,
  }: { readonly mm: number; readonly start: number; readonly flags: number; readonly inode: number },
  { view, facts }: Audited,
  report: Report,
): void {
  if ((sealsOf(view, inode) & F_SEAL_FUTURE_WRITE) === 0 || (flags & MAY_WRITE) !== MAY_WRITE) return;
  for (const [id, { list }] of facts.vmas.mms)
    for (const vma of list) {
      const other = vma.inode === inode && !(id === mm && vma.start === start);
      if (other && (vma.flags & MAY_WRITE) === MAY_WRITE) return;
    }
  const expected = 'no new writing to a file with F_SEAL_FUTURE_WRITE';
  report({ kind: 'vma', mm, start }, { expected, found: 'a new shared mapping that may write' });
}

/** All mappings of a file that was just sealed. */
function sealedNow(inode: number, audited: Audited, report: Report): void {
  for (const [mm, { list }] of audited.facts.vmas.mms)
    for (const vma of list) if (vma.inode === inode) sealed({ mm, ...vma }, inode, audited, report);
}

export const shmemEventInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    about: 'event',
    name: 'tmpfs-within-its-size',
    formula: 'no more blocks of a tmpfs are used than it has',
    source: 'percpu_counter_limited_add()',
    severity: 2,
    at: 'event',
    after: {
      ShmemAccounted({ inode }, { view }, report) {
        const { sb = -1 } = view.shmem[inode] ?? {};
        const { name = '', maxBlocks = 0, usedBlocks = 0 } = view.tmpfs[sb] ?? {};
        if (maxBlocks > 0 && usedBlocks > maxBlocks)
          report({ kind: 'machine', what: `tmpfs ${name}` }, { expected: `at most ${maxBlocks}`, found: usedBlocks });
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'seal-holds',
    formula:
      'no shared mapping of a file with F_SEAL_WRITE is writable, or may become so; nor a new one of a file with F_SEAL_FUTURE_WRITE',
    source: 'memfd_add_seals(): mapping_deny_writable()',
    severity: 1,
    at: 'event',
    after: {
      SealsAdded: ({ inode }, audited, report) => sealedNow(inode, audited, report),
      HugetlbFileSet: ({ inode }, audited, report) => sealedNow(inode, audited, report),
      VmaInserted(event, audited, report) {
        sealed(event, event.inode, audited, report);
        sealedFromNow(event, audited, report);
      },
      VmaFlagsChanged(event, audited, report) {
        const { inode } = audited.facts.vmas.at(event.mm, event.start) ?? { inode: 0 };
        if (inode !== 0) sealed(event, inode, audited, report);
      },
    },
  },
];
