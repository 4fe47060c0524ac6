// Large folios that move to other frames where today's kernel cannot be asked: older kernels, pins. The rest is in
// test/conformance/migrate-large-* and migrate-huge-*.
import { describe, expect, it } from 'vitest';
import type { EventType } from '../../events/index.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload } from '../support/workload.js';

const folio = (pages: number): string => `sysfs("transparent_hugepage/hugepages-64kB/enabled", "madvise")
1 mmap(0x100000000000, ${pages}*P, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, ${pages}*P, MADV_HUGEPAGE) = 0
1 store(A, 0x11, ${pages}*P)
`;

/** Runs `text`, whose checks must hold with no invariant broken; how often each of `types` happened. */
function counted(text: string, types: readonly EventType[], kernel = '6.18'): number[] {
  const behaviours = behavioursOf(kernel);
  const ran = runOperations(parseWorkload(text), behaviours);
  expect(ran.run.mismatches).toEqual([]);
  expect(auditOf(ran, behaviours)).toEqual([]);
  return types.map((type) => ran.events.filter((event) => event.type === type).length);
}

describe('a large folio with entries of its own', () => {
  const twice = `${folio(16)}1 migrate(A, 16*P) = 0\n1 migrate(A, 16*P) = 0\n`;
  it('moves whole again and again, where the new folio is on no queue', () => {
    expect(counted(`${twice}check page(1, A).order == 4\n`, ['LargeFolioMigrated', 'FolioSplit'], '6.17')).toEqual([
      2, 0,
    ]);
  });
  it('is split the second time since', () => {
    expect(counted(`${twice}check page(1, A).order == 0\n`, ['LargeFolioMigrated', 'FolioSplit'])).toEqual([1, 1]);
  });
  it('stays while it is pinned: all of it, or behind the pages that may be shared', () => {
    const pinned = `${folio(16)}1 pin(A+3*P, P, FOLL_PIN|FOLL_WRITE) = D\n1 migrate(A, 16*P) = 0\n1 pin_store(D, 0, 0x77)\n1 load(A+3*P) = 0x77\n`;
    expect(counted(pinned, ['MigrationPtesSet', 'LargeFolioMigrated'])).toEqual([0, 0]);
    // A page that fork shared is not the process' own, and its entry goes before the pinned one is met.
    const mixed = `${folio(16)}1 madvise(A+P, 15*P, MADV_DONTFORK) = 0\n1 fork() = 2\n2 exit_group(0)\n1 pin(A+3*P, P, FOLL_PIN|FOLL_WRITE) = D
1 migrate(A, P) = 0\n1 unpin(D)\ncheck page(1, A).order == 4 and not page(1, A).anon_exclusive and page(1, A+P).anon_exclusive\n`;
    expect(counted(mixed, ['MigrationPtesSet', 'MigrationPtesRemoved', 'LargeFolioMigrated'])).toEqual([1, 1, 0]);
  });
});

describe('a huge page with its huge entry', () => {
  const huge = folio(512);
  it('stays while it is pinned, whole', () => {
    const pinned = `${huge}1 pin(A+3*P, P, FOLL_PIN|FOLL_WRITE) = D\n1 migrate(A, H) = 0\n1 pin_store(D, 0, 0x77)\n1 load(A+3*P) = 0x77
check page(1, A).level == "pmd" and page(1, A).anon_exclusive\n`;
    expect(counted(pinned, ['PmdMigrationSet', 'PmdSplit', 'LargeFolioMigrated'])).toEqual([0, 0, 0]);
  });
  it('forgets what was exclusive and not writable until 5.18', () => {
    const read = `${huge}1 mprotect(A, H, PROT_READ) = 0\n1 migrate(A, H) = 0\n`;
    expect(counted(`${read}check page(1, A).anon_exclusive\n`, ['PmdMigrationSet', 'PmdMigrationRemoved'])).toEqual([
      1, 1,
    ]);
    expect(counted(`${read}check not page(1, A).anon_exclusive\n`, ['PmdMigrationRemoved'], '5.18')).toEqual([1]);
  });
  it('is locked at its new place since 6.18', () => {
    const locked = `${huge}1 mlock(A, H) = 0\n1 migrate(A, H) = 0\n`;
    const batched = (kernel: string): number => counted(locked, ['MlockBatched'], kernel)[0] as number;
    expect(batched('6.18') - batched('6.17')).toBe(1);
  });
});
