// Splitting large folios: what the entries remember meanwhile, what comes back, what is freed, and what stops it.
import { describe, expect, it } from 'vitest';
import type { EventOf } from '../../events/index.js';
import { PTE_SWP_EXCLUSIVE, PTE_WRITE } from '../../reducers/pte.js';
import { PG_ANON_EXCLUSIVE, PG_LRU } from '../../reducers/state.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload, ranWell } from '../support/workload.js';

const HUGE = `1 mmap(0x100200000000, H, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, H, MADV_HUGEPAGE) = 0
1 store(A, 0x11, H)
`;
const COLD = '1 madvise(A, P, MADV_COLD) = 0\n';
const kind = (flags: number): string =>
  (flags & PTE_WRITE) !== 0 ? 'writable' : (flags & PTE_SWP_EXCLUSIVE) !== 0 ? 'readable-exclusive' : 'readable';

function sound(text: string): ReturnType<typeof ranWell> {
  const ran = ranWell(text);
  expect(auditOf(runOperations(parseWorkload(text), behavioursOf('6.18')), behavioursOf('6.18'))).toEqual([]);
  return ran;
}
const frozen = (ran: ReturnType<typeof ranWell>): EventOf<'PmdSplitFrozen'>[] =>
  ran.events.filter((event) => event.type === 'PmdSplitFrozen');
const converted = (ran: ReturnType<typeof ranWell>): string[] =>
  ran.events
    .filter((event) => event.type === 'MigrationPtesSet')
    .flatMap(({ runs }) => runs.flatMap((flags, i) => (i % 4 === 3 ? [`${runs[i - 1]} ${kind(flags)}`] : [])));

describe('split_folio()', () => {
  it('makes pages of their own, each with its flags, on the LRU, and nobody else holds them', () => {
    const ran = sound(HUGE + COLD);
    expect(Object.keys(ran.run.view.largeFolios)).toEqual([]);
    for (const i of [0, 1, 511])
      expect(ran.page(1, ran.addr('A') + i * 4096)).toMatchObject({ order: 0, ref: 1, mapcount: 1 });
    const { flags } = ran.page(1, ran.addr('A') + 4096);
    expect(flags & (PG_ANON_EXCLUSIVE | PG_LRU)).toBe(PG_ANON_EXCLUSIVE | PG_LRU);
  });

  it('freezes a huge entry to migration entries of the kind it was', () => {
    expect(frozen(sound(HUGE + COLD)).map(({ entry }) => kind(entry))).toEqual(['writable']);
    expect(frozen(sound(`${HUGE}1 mprotect(A, H, RO)\n${COLD}`)).map(({ entry }) => kind(entry))).toEqual([
      'readable-exclusive',
    ]);
    const forked = sound(`${HUGE}1 fork() = 2\n2 exit_group(0)\n${COLD}`);
    expect(frozen(forked).map(({ entry }) => kind(entry))).toEqual(['readable']);
    expect(forked.page(1, forked.addr('A')).flags & PG_ANON_EXCLUSIVE).toBe(0);
  });

  it('converts entries one by one where the huge entry is split already, each to its kind', () => {
    const ran = sound(`${HUGE}1 madvise(A, 0x4000, MADV_DONTFORK)
1 fork() = 2
2 exit_group(0)
1 mprotect(A+0x2000, 0x2000, RO)
${COLD}`);
    expect(converted(ran)).toEqual(['2 writable', '2 readable-exclusive', '508 readable']);
  });

  it('frees what is mapped nowhere, and pages of zeros since 6.12', () => {
    const text = `1 mmap(0x100200000000, H, RW, PRIV|ANON|FIXED, -1, 0) = A
1 madvise(A, H, MADV_HUGEPAGE) = 0
1 store(A, 0x11, 0x3000)
1 munmap(A+0x1000, P)
${COLD}`;
    const ran = sound(text);
    expect(ran.mm(1).rss[1]).toBe(2);
    expect(ran.events.findLast((event) => event.type === 'FoliosReleased')?.freed).toEqual([1, 1, 3, 509]);
    const before = ranWell(text, { kernel: '6.11' });
    expect(before.mm(1).rss[1]).toBe(511);
    expect(before.events.findLast((event) => event.type === 'FoliosReleased')?.freed).toEqual([1, 1]);
  });

  it('is refused while somebody holds the folio: not one entry changes', () => {
    const pinned = `${HUGE}1 pin(A+0x3000, P, FOLL_PIN) = D\n`;
    const before = ranWell(pinned);
    const ran = sound(`${pinned}${COLD}1 madvise(A, P, MADV_FREE) = 0\n1 madvise(A, H, MADV_PAGEOUT) = 0`);
    expect(ran.events.slice(before.events.length).filter(({ type }) => type !== 'LruAddDrained')).toEqual([]);
    expect(sound(`${pinned}1 unpin(D)\n${COLD}`).count('FolioSplit')).toBe(1);
  });

  it('reaches every address space that the folio is mapped in, in both tables of what mremap left across two', () => {
    const ran = sound(`${HUGE}1 mmap(0x100400000000, 2*H, NONE, PRIV|ANON|FIXED, -1, 0) = G
1 mremap(A, H, H, MREMAP_MAYMOVE|MREMAP_FIXED, G+0x100000) = B
1 madvise(B, P, MADV_COLD) = 0
1 load(B, H) = 0x11`);
    expect(converted(ran)).toEqual(['256 writable', '256 writable']);
  });
});

describe('who splits', () => {
  it('MADV_PAGEOUT of a whole folio: no room for it in a swap file; entries remember what was exclusive', () => {
    const ran = sound(`${HUGE}1 madvise(A, H, MADV_PAGEOUT) = 0\n1 load(A, H) = 0x11`);
    expect([ran.count('FolioSplit'), ran.count('PageSwappedOut')]).toEqual([1, 512]);
  });
  it('nobody, where MADV_FREE and reclaim have the whole of it', () => {
    const ran = sound(`${HUGE}1 madvise(A, H, MADV_FREE) = 0\n1 madvise(A, H, MADV_PAGEOUT) = 0`);
    expect([ran.count('FolioSplit'), ran.count('LargeFolioDiscarded'), ran.mm(1).rss[1]]).toEqual([0, 1, 0]);
  });
  it('KSM; two equal pages of one folio are merged only by the next scan', () => {
    const text = `${HUGE}1 madvise(A, 2*P, MADV_MERGEABLE) = 0\n1 ksm_scan(2)\n`;
    expect([sound(text).count('FolioSplit'), sound(text).count('KsmPageMade')]).toEqual([1, 0]);
    expect(sound(`${text}1 ksm_scan(1)`).count('KsmPageMade')).toBe(1);
  });
});
