// Rules on pages that are moved to other frames: migration entries, and what they must bring back.
import { PTE_SWP_EXCLUSIVE, PTE_WRITE, isMigrationPte, ptePfn } from '../../reducers/pte.js';
import { PG_LRU } from '../../reducers/state.js';
import { FRAME_EXCLUSIVE, FrameKind } from '../facts/frames.js';
import { mappedPfn } from '../facts/mappings.js';
import type { Audited, CounterInvariant, EventInvariant } from './invariant.js';
import { holdersText } from './frames.js';

const rule = { since: 'all', aliases: [], needs: [], knownBroken: [] } as const;

const saysExclusive = (entry: number): boolean => (entry & (PTE_WRITE | PTE_SWP_EXCLUSIVE)) !== 0;
const words = (exclusive: boolean): string => (exclusive ? 'an exclusive page' : 'a page that may be shared');

/** The entry at `vpn` before the event. */
function entryAt({ facts }: Audited, mm: number, vpn: number): number {
  const space = facts.mappings.of(mm);
  return space === undefined ? 0 : facts.mappings.at(space, vpn);
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
    changedBy: ['MigrationPteSet', 'MigrationPteRemoved'],
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
