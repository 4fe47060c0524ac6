// Rules on collapse, and on whose flag says that a huge page is one process's own: mm/khugepaged.c, include/linux/rmap.h.
import { HPAGE_PMD_NR, PG_ANON_EXCLUSIVE } from '../../reducers/state.js';
import { VM_UFFD_MISSING } from '../../reducers/vma.js';
import type { Facts } from '../facts/facts.js';
import { holdersText } from './frames.js';
import type { EventInvariant, FrameInvariant } from './invariant.js';

const rule = { since: 'all', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;

/** Holders of the folio that begins at `pfn` which collapse does not expect. */
function strangers({ frames }: Facts, pfn: number): number {
  let sum = 0;
  for (let page = pfn; page < pfn + 2 ** (frames.order[pfn] ?? 0); page++)
    sum += (frames.batched[page] ?? 0) + (frames.gathered[page] ?? 0) + (frames.held[page] ?? 0);
  return sum;
}

export const collapseEventInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    about: 'event',
    name: 'collapse-needs-free',
    formula: 'pages are collapsed only when nothing holds them but entries and the swap cache',
    source: '__collapse_huge_page_isolate(): is_refcount_suitable()',
    severity: 1,
    before: {
      HugePageCollapsed({ runs }, { facts }, report) {
        const heads = new Set<number>();
        for (let i = 0; i + 3 < runs.length; i += 4)
          for (let j = 0; j < (runs[i + 2] as number); j++) heads.add(facts.frames.head((runs[i + 1] as number) + j));
        for (const pfn of heads)
          if (strangers(facts, pfn) > 0)
            report(
              { kind: 'frame', pfn },
              { expected: 'mappings and the swap cache', found: holdersText(facts.frames, pfn) },
            );
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'collapse-copies',
    aliases: ['no-exclusive-collapse-in-place'],
    formula: 'collapse maps a huge page that nothing mapped before',
    source: 'collapse_huge_page()',
    severity: 1,
    before: {
      HugePageCollapsed({ pfn }, { facts }, report) {
        for (let page = pfn; page < pfn + HPAGE_PMD_NR; page++) {
          const mappers = facts.frames.mappers[page] ?? 0;
          if (mappers > 0) report({ kind: 'frame', pfn: page }, { expected: 'no mapping', found: mappers });
        }
      },
    },
  },
  {
    ...rule,
    about: 'event',
    name: 'collapse-spares-watched-holes',
    formula: 'collapse of a file fills no hole of which a userfaultfd waits to hear',
    source: 'collapse_file(): userfaultfd_missing() of every VMA of the range',
    severity: 1,
    since: '6.4',
    before: {
      FileCollapsed({ inode, index, runs }, { facts }, report) {
        let pages = 0;
        for (let i = 2; i < runs.length; i += 3) pages += runs[i] as number;
        if (pages >= HPAGE_PMD_NR) return;
        for (const [mm, { list }] of facts.vmas.mms)
          for (const { start, end, flags, pgoff, inode: file } of list) {
            const reaches = pgoff < index + HPAGE_PMD_NR && pgoff + (end - start) / 4096 > index;
            if (file === inode && reaches && (flags & VM_UFFD_MISSING) !== 0)
              report(
                { kind: 'vma', mm, start },
                { expected: 'holes that stay', found: `${HPAGE_PMD_NR - pages} filled` },
              );
          }
      },
    },
  },
];

export const collapseFrameInvariants: readonly FrameInvariant[] = [
  {
    ...rule,
    about: 'frame',
    name: 'tails-clear-under-huge-entry',
    aliases: ['tails-clear-when-LEAF'],
    formula: 'of a huge page that huge entries alone map only the first page may have PG_anon_exclusive',
    source: '__split_huge_pmd_locked(), copy_huge_pmd(): they ask and clear that one',
    severity: 1,
    since: '5.19',
    needs: ['anon-exclusive'],
    check(pfn, page, free, { facts: { frames } }) {
      const leaves = frames.leaves[pfn] as number;
      if (free || (page.flags & PG_ANON_EXCLUSIVE) === 0 || leaves === 0 || leaves !== frames.mappers[pfn]) return null;
      return pfn === frames.head(pfn) ? null : { expected: 'no PG_anon_exclusive', found: 'PG_anon_exclusive' };
    },
  },
];
