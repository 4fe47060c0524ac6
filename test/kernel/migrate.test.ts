// Migration: which pages get another frame, what their entries remember meanwhile, and what stays.
import { describe, expect, it } from 'vitest';
import type { EventOf, KernelEvent } from '../../events/index.js';
import { canonicalState } from '../../projections/canonical.js';
import { accounting, accountingErrors } from '../../projections/accounting.js';
import { apply } from '../../reducers/index.js';
import { PTE_SWP_EXCLUSIVE, PTE_WRITE, isMigrationPte, pteAt } from '../../reducers/pte.js';
import {
  MLOCK_COUNT_SHIFT,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_LRU,
  PG_MLOCKED,
  PG_UNEVICTABLE,
  initialState,
  mmAt,
} from '../../reducers/state.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { handleMmFault } from '../../src/kernel/memory/fault.js';
import { NotModelledError } from '../../src/lib/errors.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload, ranWell, runWorkload } from '../support/workload.js';

const A = '1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A\n';
const STORED = `${A}1 store(A, 0x11, 0x4000)\n`;
type Ran = ReturnType<typeof ranWell>;

const entriesSet = (ran: Ran): readonly EventOf<'MigrationPteSet'>[] =>
  ran.events.filter((event) => event.type === 'MigrationPteSet');
const kind = (entry: number): string =>
  (entry & PTE_WRITE) !== 0 ? 'writable' : (entry & PTE_SWP_EXCLUSIVE) !== 0 ? 'readable-exclusive' : 'readable';

describe('migrate', () => {
  it('gives each page another frame, with bytes, flags, entry and counters as they were', () => {
    const before = ranWell(STORED);
    const ran = ranWell(`${STORED}1 migrate(A, 0x4000) = 0\n1 load(A, 0x4000) = 0x11`);
    for (let i = 0; i < 4; i++) {
      const addr = ran.addr('A') + i * 4096;
      expect(ran.pfn(1, addr)).not.toBe(before.pfn(1, addr));
      expect(ran.page(1, addr)).toMatchObject({ ref: 1, mapcount: 1, mapping: before.page(1, addr).mapping });
      expect(ran.page(1, addr).flags & (PG_ANON_EXCLUSIVE | PG_LRU | PG_DIRTY)).toBe(
        PG_ANON_EXCLUSIVE | PG_LRU | PG_DIRTY,
      );
    }
    expect(ran.mm(1).rss).toEqual(before.mm(1).rss);
    expect(ran.count('FolioMigrated')).toBe(4);
    expect(ran.faults(1)).toBe(before.faults(1));
  });

  it('writes entries of three kinds', () => {
    const ran = ranWell(`${STORED}
1 mprotect(A+P, P, RO)
1 madvise(A, 0x2000, MADV_DONTFORK)
1 fork() = 2
1 migrate(A, 0x3000) = 0`);
    expect(entriesSet(ran).map(({ entry }) => kind(entry))).toEqual([
      'writable',
      'readable-exclusive',
      'readable',
      'readable',
    ]);
    expect(entriesSet(ran).map(({ exclusive }) => exclusive)).toEqual([0, 0, -1, -1]);
    expect(ran.exclusive(1, ran.addr('A'))).toBe(true);
    expect(ran.exclusive(1, ran.addr('A') + 4096)).toBe(true);
    expect(ran.exclusive(1, ran.addr('A') + 8192)).toBe(false);
  });

  it('shows migration entries at the events in between, which count as resident', () => {
    const { events } = ranWell(`${STORED}1 migrate(A, 0x4000) = 0`);
    const state = initialState();
    const last = events.findLastIndex(({ type }: KernelEvent) => type === 'MigrationPteSet');
    for (const event of events.slice(0, last + 1)) apply(state, event);
    const [process] = canonicalState(state);
    expect(process?.pages.map((page) => `${page.kind} ${page.excl_entry}`)).toEqual(Array(4).fill('migration true'));
    expect(process?.rss.anon).toBe(4);
    const { mms } = accounting.read(accounting.fromState(state)) as {
      mms: { vmas: { Rss: number; Shared_Dirty: number }[] }[];
    };
    expect(mms[0]?.vmas[0]).toMatchObject({ Rss: 16, Pss: 16, Shared_Dirty: 16 });
    expect(accountingErrors(state).filter(({ counter }) => counter.startsWith('rss'))).toEqual([]);
    const set = events[last] as EventOf<'MigrationPteSet'>;
    expect(isMigrationPte(pteAt(mmAt(state, set.mm), set.vpn))).toBe(true);
  });

  it('loses what a page was known to be where entries know no third kind', () => {
    const text = `${STORED}1 mprotect(A, P, RO)\n1 migrate(A, P) = 0\n1 mprotect(A, P, RW)`;
    const now = ranWell(text);
    expect([now.exclusive(1, now.addr('A')), now.writable(1, now.addr('A'))]).toEqual([true, true]);
    const old = withBehaviours(behavioursOf('6.18'), [], ['migration-entry-exclusive']);
    const broken = auditOf(runOperations(parseWorkload(text), old), old);
    expect(broken.map(({ invariant, line }) => [invariant, line])).toEqual([['migration-keeps-exclusive', 4]]);
    const without = runWorkload(text, { without: ['migration-entry-exclusive'] });
    expect([without.exclusive(1, without.addr('A')), without.writable(1, without.addr('A'))]).toEqual([false, false]);
  });

  it('leaves a page that somebody holds, and gives its entries back', () => {
    for (const flags of ['FOLL_PIN|FOLL_WRITE', 'FOLL_GET']) {
      const ran = ranWell(`${STORED}1 pin(A, P, ${flags}) = p\n1 migrate(A, 0x2000) = 0\n1 pin_load(p, 0) = 0x11`);
      expect(ran.count('FolioMigrated')).toBe(1);
      expect(ran.exclusive(1, ran.addr('A'))).toBe(true);
      expect(ran.writable(1, ran.addr('A'))).toBe(true);
      const grabbed = ran.events.find(({ type }) => type === 'PageGrabbed') as EventOf<'PageGrabbed'>;
      expect(ran.pfn(1, ran.addr('A'))).toBe(grabbed.pfn);
      // A pin is seen at the entry, any other reference once all are gone.
      expect(entriesSet(ran)).toHaveLength(flags === 'FOLL_GET' ? 2 : 1);
    }
  });
  it('of a pinned page without PG_anon_exclusive finds the pin when it counts references', () => {
    const ran = ranWell(`${STORED}1 pin(A, P, FOLL_PIN|FOLL_WRITE) = p\n1 migrate(A, P) = 0`, { kernel: '5.18' });
    expect(entriesSet(ran).map(({ exclusive }) => exclusive)).toEqual([-1]);
    expect(ran.count('FolioMigrated')).toBe(0);
    expect(ran.writable(1, ran.addr('A'))).toBe(true);
  });

  it('empties the batches of new pages first, whose references would keep them', () => {
    const ran = ranWell(`${STORED}1 migrate(A, P) = 0`);
    expect(ran.count('FolioMigrated')).toBe(1);
    expect(ran.page(1, ran.addr('A') + 4096).flags & PG_LRU).toBe(PG_LRU);
  });

  it('counts the mlocks of a page anew', () => {
    const ran = ranWell(`
1 memfd_create("m", 0) = 3
1 ftruncate(3, P)
1 mmap(NULL, P, RW, SH, 3, 0) = A
1 mmap(NULL, P, RW, SH, 3, 0) = B
1 mlock(A, P)
1 mlock(B, P)
1 migrate(A, P) = 0`);
    expect(ran.count('FolioMigrated')).toBe(1);
    const { flags } = ran.page(1, ran.addr('A'));
    expect(flags & (PG_MLOCKED | PG_UNEVICTABLE)).toBe(PG_MLOCKED | PG_UNEVICTABLE);
    expect(flags >>> MLOCK_COUNT_SHIFT).toBe(2);
    expect(ran.pfn(1, ran.addr('B'))).toBe(ran.pfn(1, ran.addr('A')));
  });

  it('of a whole page table and more goes in batches', () => {
    const ran = ranWell(`
1 mmap(NULL, 0x300000, RW, PRIV|ANON, -1, 0) = B
1 store(B, 1, 0x300000)
1 migrate(B, 0x300000) = 0`);
    expect(ran.count('FolioMigrated')).toBe(768);
    const types = ran.events
      .map(({ type }) => type)
      .filter((type) => type === 'MigrationPteSet' || type === 'FolioMigrated');
    expect(types.indexOf('FolioMigrated')).toBe(512);
  });
});

describe('mbind', () => {
  it('moves what nothing else maps, or with MPOL_MF_MOVE_ALL all', () => {
    const text = `${STORED}1 fork() = 2\n1 store(A, 0x22)\n`;
    const some = ranWell(`${text}1 mbind(A, 0x4000, MPOL_DEFAULT, NULL, 0, MPOL_MF_MOVE) = 0`);
    expect(some.count('FolioMigrated')).toBe(1);
    expect(
      ranWell(`${text}1 mbind(A, 0x4000, MPOL_DEFAULT, NULL, 0, MPOL_MF_MOVE_ALL) = 0`).count('FolioMigrated'),
    ).toBe(4);
    expect(ranWell(`${text}1 mbind(A, 0x4000, MPOL_DEFAULT, NULL, 0, 0) = 0`).count('FolioIsolated')).toBe(0);
  });
  it('refuses policies and sets of nodes by name', () => {
    expect(() => runWorkload(`${A}1 mbind(A, P, MPOL_LOCAL, NULL, 0, MPOL_MF_MOVE)`)).toThrow(NotModelledError);
    expect(() => runWorkload(`${A}1 mbind(A, P, MPOL_DEFAULT, A, 1, MPOL_MF_MOVE)`)).toThrow(NotModelledError);
  });
});

describe('move_pages', () => {
  it('tells of a zombie EINVAL, and ESRCH once it is gone', () => {
    ranWell(`${STORED}1 fork() = 2
2 exit_group(0)
1 move_pages(2, 1, [A], NULL, [], 0) = -1 EINVAL
1 wait4(2, NULL, 0, NULL) = 2
1 move_pages(2, 1, [A], NULL, [], 0) = -1 ESRCH`);
  });
  it('needs a list of as many pages as it says', () => {
    expect(() => runWorkload(`${A}1 move_pages(0, 2, [A], NULL, [], 0)`)).toThrow('how many pages');
    expect(() => runWorkload(`${A}1 move_pages(0, 1, [A], [0, 0], [], 0)`)).toThrow('a node for each page');
  });
});

describe('a fault on a migration entry', () => {
  it('waits for the lock of the page that is moved, and begins anew', () => {
    const { events } = ranWell(`${STORED}1 migrate(A, P) = 0`);
    const state = initialState();
    const at = events.findIndex(({ type }) => type === 'MigrationPteSet');
    for (const event of events.slice(0, at + 1)) apply(state, event);
    const { mm, vpn, pfn } = events[at] as EventOf<'MigrationPteSet'>;
    const k: Kernel = {
      view: state,
      behaviours: behavioursOf('6.18'),
      machine: DEFAULT_MACHINE,
      interleaved: true,
      batchMax: 1,
      emit: (event) => apply(state, event),
    };
    const fault = handleMmFault(k, { tid: 1, cpu: 0, mm, addr: vpn * 4096, vpn, access: 'write' });
    expect(fault.next(0).value).toEqual({ op: 'preempt', at: 'fault:F2' });
    expect(fault.next(0).value).toEqual({ op: 'acquire', lock: `folio(${pfn})` });
    expect(fault.next(0)).toEqual({ done: true, value: 'done' });
    expect(isMigrationPte(pteAt(mmAt(state, mm), vpn))).toBe(true);
  });
});
