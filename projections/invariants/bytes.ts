// Rules on what programs read: the semantic oracles. They hold on every kernel and need no mechanism.
import { contentText } from '../../reducers/content.js';
import { isMigrationPte, isZeroPte, ptePfn } from '../../reducers/pte.js';
import type { Content, KernelView } from '../../reducers/state.js';
import { HPAGE_PMD_NR, cachedPfn, pageAt } from '../../reducers/state.js';
import { VM_SHARED } from '../../reducers/vma.js';
import { FrameKind } from '../facts/frames.js';
import { mappedPfn } from '../facts/mappings.js';
import type { Audited, EventInvariant, Report } from './invariant.js';
import { byIoctl } from './userfaultfd.js';

const rule = {
  about: 'event',
  since: 'all',
  aliases: [],
  needs: [],
  knownBroken: [],
  at: 'event',
  severity: 1,
} as const;

const FOLL_WRITE = 1;

type Bytes = Content | null;

/** Bytes of a frame; undefined if there is no such frame. */
function bytesOf(view: KernelView, pfn: number): Bytes | undefined {
  return pfn >= 0 && pfn < view.maxPfn ? pageAt(view, pfn).content : undefined;
}

const sameBytes = (a: Bytes, b: Bytes): boolean => a === b || contentText(a) === contentText(b);

/** The page at (mm, vpn) is `pfn` now; its bytes must be `expected`. */
function expectBytes(
  { view }: Audited,
  report: Report,
  at: { readonly mm: number; readonly vpn: number },
  pfn: number,
  expected: Bytes | undefined,
): void {
  const found = bytesOf(view, pfn);
  if (expected === undefined || found === undefined || sameBytes(expected, found)) return;
  report(
    { kind: 'entry', mm: at.mm, vpn: at.vpn },
    { expected: `bytes ${contentText(expected)}`, found: `bytes ${contentText(found)}` },
  );
}

/** Frame `pfn` takes the place of a migration entry at (mm, vpn), and has the bytes of the frame in it. */
function expectMoved(audited: Audited, report: Report, mm: number, vpn: number, pfn: number): void {
  const space = audited.facts.mappings.of(mm);
  const old = space === undefined ? 0 : audited.facts.mappings.at(space, vpn);
  if (isMigrationPte(old)) expectBytes(audited, report, { mm, vpn }, pfn, bytesOf(audited.view, ptePfn(old)));
}

/** The page that the forking task has at `vpn`, where `mm` is the child's in the making: nobody uses it yet. Null where nobody forks. */
function parentsPfn({ view, facts, operation }: Audited, mm: number, vpn: number): number | null {
  const task = operation?.pid === null || operation === null ? undefined : view.tasks[operation.pid];
  if (task === undefined || Object.values(view.tasks).some((each) => each.mm === mm || each.execMm === mm)) return null;
  const space = facts.mappings.of(task.mm);
  return space === undefined ? null : mappedPfn(facts.mappings.at(space, vpn));
}

/** Bytes of a mapped page became other ones without anybody storing them. */
function replaced(audited: Audited, report: Report, pfn: number): void {
  if ((audited.facts.frames.mappers[pfn] ?? 0) === 0) return;
  audited.facts.mappings.forEachMapper(pfn, (mm, vpn) =>
    report({ kind: 'entry', mm, vpn }, { expected: 'bytes as last stored', found: 'the frame given other bytes' }),
  );
}

export const byteInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    name: 'load-returns-last-store',
    aliases: ['child-content'],
    formula:
      'a page copied on write or by collapse, or migrated, has the bytes that stood there before; a fresh one those of its file, or zeros; bytes of a mapped page change by stores only',
    source: 'the COW contract',
    before: {
      CowPageMapped({ mm, vpn, pfn }, audited, report) {
        const { facts, view } = audited;
        const space = facts.mappings.of(mm);
        const old = space === undefined ? 0 : facts.mappings.at(space, vpn);
        if (old === 0) return;
        expectBytes(audited, report, { mm, vpn }, pfn, isZeroPte(old) ? null : bytesOf(view, mappedPfn(old)));
      },
      AnonPageMapped({ mm, vpn, pfn }, audited, report) {
        const { facts, view } = audited;
        const vma = facts.vmas.at(mm, vpn * 4096);
        // What a monitor copies there are its own bytes.
        if (vma === undefined || (vma.uffd !== undefined && byIoctl(audited))) return;
        const inode = vma.inode === 0 ? undefined : view.inodes[vma.inode];
        const index = vma.pgoff + vpn - vma.start / 4096;
        const parents = parentsPfn(audited, mm, vpn);
        const first = (): Bytes | undefined => (inode ? bytesOf(view, cachedPfn(inode, index)) : null);
        expectBytes(audited, report, { mm, vpn }, pfn, parents === null ? first() : bytesOf(view, parents));
      },
      MigrationPteRemoved({ mm, vpn, pfn }, audited, report) {
        expectMoved(audited, report, mm, vpn, pfn);
      },
      MigrationPtesRemoved({ mm, runs }, audited, report) {
        for (let i = 0; i + 3 < runs.length; i += 4)
          for (let j = 0; j < (runs[i + 2] as number); j++)
            expectMoved(audited, report, mm, (runs[i] as number) + j, (runs[i + 1] as number) + j);
      },
      PmdMigrationRemoved({ mm, vpn, pfn }, audited, report) {
        for (let i = 0; i < HPAGE_PMD_NR; i++) expectMoved(audited, report, mm, vpn + i, pfn + i);
      },
      HugePageMapped({ mm, vpn, pfn }, audited, report) {
        for (let i = 0; i < HPAGE_PMD_NR; i++) expectBytes(audited, report, { mm, vpn: vpn + i }, pfn + i, null);
      },
      HugePageCollapsed({ mm, vpn, pfn }, audited, report) {
        const { facts, view } = audited;
        const space = facts.mappings.of(mm);
        if (space === undefined) return;
        for (let at = vpn; at < vpn + HPAGE_PMD_NR; at++) {
          const old = facts.mappings.at(space, at);
          const expected = old === 0 || isZeroPte(old) ? null : bytesOf(view, mappedPfn(old));
          expectBytes(audited, report, { mm, vpn: at }, pfn + at - vpn, expected);
        }
      },
      CowPagesMapped({ mm, runs, pfn }, audited, report) {
        const [vpn = 0, old = 0, pages = 0] = runs;
        for (let i = 0; i < pages; i++)
          expectBytes(audited, report, { mm, vpn: vpn + i }, pfn + i, bytesOf(audited.view, old + i));
      },
      CowHugePageMapped({ mm, vpn, oldPfn, pfn }, audited, report) {
        for (let i = 0; i < HPAGE_PMD_NR; i++)
          expectBytes(audited, report, { mm, vpn: vpn + i }, pfn + i, bytesOf(audited.view, oldPfn + i));
      },
      AnonPagesMapped({ mm, runs }, audited, report) {
        const [vpn = 0, pfn = 0, pages = 0] = runs;
        for (let i = 0; i < pages; i++) expectBytes(audited, report, { mm, vpn: vpn + i }, pfn + i, null);
      },
      PageCopied: ({ pfn }, audited, report) => replaced(audited, report, pfn),
    },
  },
  {
    ...rule,
    name: 'leak-oracle',
    aliases: ['no-leak'],
    formula:
      'bytes that a process stores into its own private memory show in no other address space, nor to who holds the page through one',
    source: 'CVE-2020-29374; the COW contract',
    after: {
      PageWritten: ({ pfn }, audited, report) => storedElsewhere(audited, report, pfn),
      BytesCopied: ({ pfn }, audited, report) => storedElsewhere(audited, report, pfn),
      DirectRead: ({ pfn }, audited, report) => storedElsewhere(audited, report, pfn),
    },
  },
];

/** The task of the operation stored to an anonymous page: who else maps it privately sees bytes that are not its own. */
function storedElsewhere(audited: Audited, report: Report, pfn: number): void {
  const { facts, view, operation } = audited;
  const { frames } = facts;
  if (pfn >= frames.size || frames.kind[pfn] !== FrameKind.anon) return;
  const own = operation?.pid === null || operation === null ? undefined : view.tasks[operation.pid]?.mm;
  if (own === undefined) return;
  const writer = writtenThrough(audited, pfn, own);
  facts.mappings.forEachMapper(pfn, (mm, vpn) => {
    if (mm === writer || isShared(audited, mm, vpn)) return;
    report({ kind: 'entry', mm, vpn }, { expected: 'its own bytes', found: `bytes stored by mm ${writer}` });
  });
  for (const [id, , page] of facts.holdersOf(pfn))
    if (page.mm !== 0 && page.mm !== writer)
      report(
        { kind: 'frame', pfn },
        { expected: `what mm ${page.mm} gave holder ${id}`, found: `bytes stored by mm ${writer}` },
      );
}

/**
 * Whose bytes they are: a task, or a device on its behalf, that has not mapped the page writes through what holds it for writing, and that
 * through the address space where it was found.
 */
function writtenThrough({ facts }: Audited, pfn: number, own: number): number {
  if (facts.mappings.timesMapped(pfn, own) > 0) return own;
  for (const [, { flags }, page] of facts.holdersOf(pfn)) if ((flags & FOLL_WRITE) !== 0) return page.mm;
  return own;
}

function isShared({ facts }: Audited, mm: number, vpn: number): boolean {
  const vma = facts.vmas.at(mm, vpn * 4096);
  return vma !== undefined && (vma.flags & VM_SHARED) !== 0;
}
