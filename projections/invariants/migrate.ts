// Rules on pages that are moved to other frames: migration entries, and what they must bring back.
import { PTE_SWP_EXCLUSIVE, PTE_UFFD_WP, PTE_WRITE, isMigrationPte, ptePfn, pteSoftDirty } from '../../reducers/pte.js';
import { PG_LRU } from '../../reducers/state.js';
import type { FrameTable } from '../facts/frames.js';
import { FRAME_EXCLUSIVE, FrameKind } from '../facts/frames.js';
import { mappedPfn } from '../facts/mappings.js';
import type { Audited, CounterInvariant, EventInvariant, Report } from './invariant.js';
import { holdersText } from './frames.js';

const rule = { since: 'all', aliases: [], needs: [], knownBroken: [] } as const;

const saysExclusive = (entry: number): boolean => (entry & (PTE_WRITE | PTE_SWP_EXCLUSIVE)) !== 0;
const words = (exclusive: boolean): string => (exclusive ? 'an exclusive page' : 'a page that may be shared');

/** The entry at `vpn` before the event. */
function entryAt({ facts }: Audited, mm: number, vpn: number): number {
  const space = facts.mappings.of(mm);
  return space === undefined ? 0 : facts.mappings.at(space, vpn);
}

/** Calls `visit` for each entry of runs of [vpn, pfn, n, flags]. */
function forEachOfRuns(runs: readonly number[], visit: (vpn: number, pfn: number, flags: number) => void): void {
  for (let i = 0; i + 3 < runs.length; i += 4)
    for (let j = 0; j < (runs[i + 2] as number); j++)
      visit((runs[i] as number) + j, (runs[i + 1] as number) + j, runs[i + 3] as number);
}

/** Is frame `pfn` the one that `from` was, or the same page of a folio as large? That its bytes are the same another rule tells. */
function standsFor({ facts: { frames } }: Audited, from: number, pfn: number): boolean {
  const order = frames.order[pfn] ?? 0;
  return from === pfn || (order !== 0 && frames.order[from] === order && (from - pfn) % 2 ** order === 0);
}

/** Is `pfn` a page of the hugetlb pool that belongs to a file? */
const isFilesHugePage = (frames: FrameTable, pfn: number): boolean =>
  frames.kind[pfn] === FrameKind.hugetlb && frames.anonVma[pfn] === 0;

/** Frames from `from` on get another place as a whole. */
function movedWhole(frames: FrameTable, from: number, report: Report): void {
  if (from < frames.size && frames.holders(from) !== cachedPages(frames, from))
    report({ kind: 'frame', pfn: from }, { expected: 'nobody but its cache', found: holdersText(frames, from) });
}

/** Pages of the folio that begins at `pfn` which a cache has. */
function cachedPages(frames: FrameTable, pfn: number): number {
  let cached = 0;
  for (let i = 0; i < 2 ** (frames.order[pfn] ?? 0); i++) cached += frames.cached[pfn + i] ?? 0;
  return cached;
}

/** Frames of runs of [pfn, n]. */
function pagesOf(runs: readonly number[]): ReadonlySet<number> {
  const pages = new Set<number>();
  for (let i = 0; i + 1 < runs.length; i += 2)
    for (let j = 0; j < (runs[i + 1] as number); j++) pages.add((runs[i] as number) + j);
  return pages;
}

export const migrateEventInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    about: 'event',
    name: 'migration-keeps-exclusive',
    formula:
      'a migration entry is writable or readable-exclusive if the anonymous page was exclusive and readable if not, and what is restored is again',
    source: 'try_to_migrate_one(), remove_migration_pte()',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    at: 'event',
    before: {
      MigrationPteSet({ mm, vpn, pfn, entry }, { facts }, report) {
        if (facts.frames.kind[pfn] !== FrameKind.anon) return;
        const was = (facts.frames.flags[pfn]! & FRAME_EXCLUSIVE) !== 0;
        if (was !== saysExclusive(entry))
          report({ kind: 'entry', mm, vpn }, { expected: words(was), found: `an entry of ${words(!was)}` });
      },
      PmdMigrationSet({ mm, vpn, pfn, entry }, { facts }, report) {
        if (isFilesHugePage(facts.frames, pfn)) return;
        const was = (facts.frames.flags[pfn]! & FRAME_EXCLUSIVE) !== 0;
        if (was !== saysExclusive(entry))
          report({ kind: 'entry', mm, vpn }, { expected: words(was), found: `an entry of ${words(!was)}` });
      },
      PmdMigrationRemoved({ mm, vpn, pfn, exclusive }, audited, report) {
        if (isFilesHugePage(audited.facts.frames, pfn)) return;
        const said = saysExclusive(entryAt(audited, mm, vpn));
        if (said !== (exclusive === 1))
          report({ kind: 'entry', mm, vpn }, { expected: words(said), found: words(!said) });
      },
      PmdSplitFrozen({ mm, vpn, pfn, entry }, { facts }, report) {
        const was = (facts.frames.flags[pfn]! & FRAME_EXCLUSIVE) !== 0;
        if (was !== saysExclusive(entry))
          report({ kind: 'entry', mm, vpn }, { expected: words(was), found: `an entry of ${words(!was)}` });
      },
      MigrationPtesSet({ mm, runs }, { facts }, report) {
        forEachOfRuns(runs, (vpn, pfn, flags) => {
          const was = (facts.frames.flags[pfn]! & FRAME_EXCLUSIVE) !== 0;
          if (was !== saysExclusive(flags))
            report({ kind: 'entry', mm, vpn }, { expected: words(was), found: `an entry of ${words(!was)}` });
        });
      },
      MigrationPtesRemoved({ mm, runs, exclusivePages }, audited, report) {
        const exclusive = pagesOf(exclusivePages);
        forEachOfRuns(runs, (vpn, pfn) => {
          const said = saysExclusive(entryAt(audited, mm, vpn));
          if (said !== exclusive.has(pfn))
            report({ kind: 'entry', mm, vpn }, { expected: words(said), found: words(!said) });
        });
      },
      MigrationPteRemoved({ mm, vpn, pfn, exclusive }, audited, report) {
        const old = entryAt(audited, mm, vpn);
        if (!isMigrationPte(old) || audited.facts.frames.kind[pfn] !== FrameKind.anon) return;
        if (saysExclusive(old) !== (exclusive === 1))
          report({ kind: 'entry', mm, vpn }, { expected: words(saysExclusive(old)), found: words(exclusive === 1) });
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'migration-keeps-rights',
    formula: 'an entry is writable after migration if it was before, and its page is the one that was moved',
    source: 'remove_migration_pte()',
    severity: 1,
    at: 'event',
    before: {
      MigrationPteSet({ mm, vpn, pfn, entry }, audited, report) {
        const old = entryAt(audited, mm, vpn);
        if (mappedPfn(old) !== pfn || ptePfn(entry) !== pfn)
          report(
            { kind: 'entry', mm, vpn },
            { expected: `an entry to frame ${mappedPfn(old)}`, found: `frame ${pfn}` },
          );
        if ((old & PTE_WRITE) !== (entry & PTE_WRITE))
          report({ kind: 'entry', mm, vpn }, { expected: rights(old), found: rights(entry) });
      },
      MigrationPtesRemoved({ mm, runs }, audited, report) {
        forEachOfRuns(runs, (vpn, pfn, flags) => {
          const old = entryAt(audited, mm, vpn);
          if (!isMigrationPte(old) || !standsFor(audited, ptePfn(old), pfn))
            report({ kind: 'entry', mm, vpn }, { expected: `a migration entry of frame ${pfn}`, found: 'another' });
          else if ((old & PTE_WRITE) !== (flags & PTE_WRITE))
            report({ kind: 'entry', mm, vpn }, { expected: rights(old), found: rights(flags) });
        });
      },
      PmdMigrationRemoved({ mm, vpn, pfn, entry }, audited, report) {
        const old = entryAt(audited, mm, vpn);
        if (!isMigrationPte(old) || !standsFor(audited, ptePfn(old), pfn))
          report({ kind: 'entry', mm, vpn }, { expected: `a migration entry of frame ${pfn}`, found: 'another' });
        else if ((old & PTE_WRITE) !== (entry & PTE_WRITE))
          report({ kind: 'entry', mm, vpn }, { expected: rights(old), found: rights(entry) });
      },
      MigrationPteRemoved({ mm, vpn, entry }, audited, report) {
        const old = entryAt(audited, mm, vpn);
        if (!isMigrationPte(old)) {
          report({ kind: 'entry', mm, vpn }, { expected: 'a migration entry', found: 'another' });
          return;
        }
        if ((old & PTE_WRITE) !== (entry & PTE_WRITE))
          report({ kind: 'entry', mm, vpn }, { expected: rights(old), found: rights(entry) });
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'migrating-page-is-isolated',
    formula: 'a page has migration entries only while it is off the LRU',
    source: 'migrate_folio_unmap()',
    severity: 2,
    at: 'event',
    after: {
      MigrationPteSet({ pfn }, { view }, report) {
        const flags = view.memMap[pfn >>> 8]?.[pfn & 255]?.flags ?? 0;
        if ((flags & PG_LRU) !== 0) report({ kind: 'frame', pfn }, { expected: 'off the LRU', found: 'on it' });
      },
      PmdMigrationSet({ pfn }, { view }, report) {
        const flags = view.memMap[pfn >>> 8]?.[pfn & 255]?.flags ?? 0;
        if ((flags & PG_LRU) !== 0) report({ kind: 'frame', pfn }, { expected: 'off the LRU', found: 'on it' });
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'migrated-page-has-no-holder',
    formula: 'a page is moved only when no entry, batch, gather, pin or pipe has it',
    source: '__folio_migrate_mapping(), folio_expected_ref_count()',
    severity: 1,
    at: 'event',
    before: {
      FolioMigrated({ from }, { facts }, report) {
        const { frames } = facts;
        if (from >= frames.size) return;
        if (frames.holders(from) !== frames.cached[from])
          report({ kind: 'frame', pfn: from }, { expected: 'nobody but its cache', found: holdersText(frames, from) });
      },
      LargeFolioMigrated: ({ from }, { facts }, report) => movedWhole(facts.frames, from, report),
      HugetlbPageMigrated: ({ from }, { facts }, report) => movedWhole(facts.frames, from, report),
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'split-folio-has-no-holder',
    formula: 'a large folio is split only when nothing but the swap cache has any page of it',
    source: '__folio_split(): folio_ref_freeze()',
    severity: 1,
    at: 'event',
    before: {
      FolioSplit({ pfn }, { facts }, report) {
        const { frames } = facts;
        if (pfn < frames.size && frames.holders(pfn) !== cachedPages(frames, pfn))
          report({ kind: 'frame', pfn }, { expected: 'nobody but the swap cache', found: holdersText(frames, pfn) });
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'split-keeps-tracking-bits',
    formula:
      'what takes the place of a migration entry when a large folio is split or moved is soft-dirty, and write-protected for userfaultfd, as that was',
    source: 'try_to_map_unused_to_zeropage(), remove_migration_pte(); 9658d698a8a8',
    severity: 1,
    at: 'event',
    before: {
      MigrationPtesRemoved({ mm, runs, special }, audited, report) {
        const compare = (vpn: number, _pfn: number, flags: number): void => {
          const old = entryAt(audited, mm, vpn);
          if (pteSoftDirty(old) && !pteSoftDirty(flags))
            report({ kind: 'entry', mm, vpn }, { expected: 'a soft-dirty entry', found: 'one that is not' });
          // A writable one is not write-protected, whatever was asked for before it was moved.
          if ((old & PTE_UFFD_WP) !== 0 && (flags & (PTE_UFFD_WP | PTE_WRITE)) === 0)
            report({ kind: 'entry', mm, vpn }, { expected: 'a write-protected entry', found: 'one that is not' });
        };
        forEachOfRuns(runs, compare);
        forEachOfRuns(special, compare);
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'zero-page-only-for-zeros',
    formula: 'a split maps the zero page only in the place of a page that holds nothing but zeros',
    source: 'try_to_map_unused_to_zeropage()',
    severity: 1,
    since: '6.12',
    at: 'event',
    before: {
      MigrationPtesRemoved({ mm, special }, audited, report) {
        for (let i = 0; i + 3 < special.length; i += 4)
          for (let j = 0; j < (special[i + 2] as number); j++) {
            const vpn = (special[i] as number) + j;
            const pfn = ptePfn(entryAt(audited, mm, vpn));
            if ((audited.view.memMap[pfn >>> 8]?.[pfn & 255]?.content ?? null) !== null)
              report({ kind: 'entry', mm, vpn }, { expected: `frame ${pfn}, with its bytes`, found: 'the zero page' });
          }
      },
    },
  },
];

export const migrateCounterInvariants: readonly CounterInvariant[] = [
  {
    ...rule,
    about: 'mm',
    name: 'no-migration-entry-at-rest',
    formula: 'when an operation ends all migration entries are removed',
    source: 'remove_migration_ptes()',
    severity: 1,
    at: 'operation',
    changedBy: ['MigrationPteSet', 'MigrationPteRemoved', 'PmdSplitFrozen', 'MigrationPtesSet', 'MigrationPtesRemoved'],
    counters: [
      {
        what: 'migration entries',
        counter: () => 0,
        truth: (facts, mm) => facts.mappings.of(mm)?.migrating ?? 0,
      },
    ],
  },
];

function rights(entry: number): string {
  return (entry & PTE_WRITE) !== 0 ? 'a writable entry' : 'a read-only entry';
}
