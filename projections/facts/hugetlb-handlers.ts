// Folding events of hugetlb pages into Facts.
import { HPAGE_PMD_NR, HPAGE_PMD_ORDER } from '../../reducers/state.js';
import type { Projection } from '../projection.js';
import type { Facts } from './facts.js';
import { vmaHandlers } from './vma-handlers.js';
import { FRAME_DIRTY, FRAME_EXCLUSIVE, FrameKind } from './frames.js';

function setFlags({ frames }: Facts, pfn: number, set: number, clear: number): void {
  if (frames.has(pfn)) frames.flags[pfn] = (frames.flags[pfn]! & ~clear) | set;
}

/** The page became anonymous memory: only its first frame says that it is exclusive. */
function becomesAnon(
  facts: Facts,
  { pfn, anonVma, exclusive }: { readonly pfn: number; readonly anonVma: number; readonly exclusive: number },
): void {
  setFlags(facts, pfn, exclusive === 1 ? FRAME_EXCLUSIVE : 0, 0);
  for (let i = 0; i < HPAGE_PMD_NR; i++) if (facts.frames.has(pfn + i)) facts.mappings.setAnonVma(pfn + i, anonVma);
}

function writeBare(facts: Facts, event: { readonly mm: number; readonly vpn: number; readonly entry: number }): void {
  const space = facts.mappings.of(event.mm);
  if (space) facts.mappings.writeBare(space, event.vpn, event.entry);
}

function setRestore({ hugetlb }: Facts, { pfn, restore }: { readonly pfn: number; readonly restore: number }): void {
  if (restore === 1) hugetlb.restore.add(pfn);
  else hugetlb.restore.delete(pfn);
}

export const hugetlbHandlers: Projection<Facts>['on'] = {
  HugetlbPageAdded(facts, { pfn }) {
    facts.joins(pfn, HPAGE_PMD_ORDER);
    if ((facts.frames.order[pfn] ?? 0) !== HPAGE_PMD_ORDER) return;
    for (let i = 0; i < HPAGE_PMD_NR; i++) facts.mappings.setKind(pfn + i, FrameKind.hugetlb);
    facts.hugetlb.pages.add(pfn);
  },
  HugetlbPageEnqueued: ({ hugetlb }, { pfn }) => void hugetlb.free.add(pfn),
  HugetlbPageDequeued: ({ hugetlb }, { pfn }) => void hugetlb.free.delete(pfn),
  HugetlbPageRemoved(facts, { pfn }) {
    facts.hugetlb.free.delete(pfn);
    facts.hugetlb.pages.delete(pfn);
    facts.hugetlb.restore.delete(pfn);
    facts.free(pfn);
  },
  HugetlbRestoreSet: setRestore,
  HugetlbPageMapped(facts, event) {
    if (event.anonVma !== 0) becomesAnon(facts, event);
    setRestore(facts, event);
    writeBare(facts, event);
  },
  HugetlbCowMapped(facts, event) {
    becomesAnon(facts, event);
    setRestore(facts, event);
    writeBare(facts, event);
  },
  HugetlbEntryCopied(facts, event) {
    const { mm, child, vpn, pfn, childEntry, exclusive } = event;
    if (!facts.mappings.of(mm) || !facts.mappings.of(child)) return;
    if (exclusive === 0) setFlags(facts, pfn, 0, FRAME_EXCLUSIVE);
    writeBare(facts, { mm: child, vpn, entry: childEntry });
    writeBare(facts, event);
  },
  HugetlbEntryZapped(facts, { mm, vpn, pfn, dirty }) {
    const gather = facts.gathers.get(mm);
    if (!gather) return;
    if (facts.frames.has(pfn)) {
      gather.push(pfn);
      facts.frames.gathered[pfn]!++;
    }
    setFlags(facts, pfn, dirty === 1 ? FRAME_DIRTY : 0, 0);
    writeBare(facts, { mm, vpn, entry: 0 });
  },
  HugetlbPageFreed(facts, { pfn }) {
    facts.hugetlb.charged.delete(pfn);
    facts.hugetlb.restore.delete(pfn);
    becomesAnon(facts, { pfn, anonVma: 0, exclusive: 0 });
    setFlags(facts, pfn, 0, FRAME_EXCLUSIVE);
  },
  HugetlbPageCached(facts, { inode, index, pfn, restore }) {
    const target = facts.inodes.get(inode);
    setRestore(facts, { pfn, restore });
    if (!target || index < 0) return;
    for (let i = 0; i < HPAGE_PMD_NR; i++) facts.cache(target, index + i, pfn + i);
    setFlags(facts, pfn, FRAME_DIRTY, 0);
  },
  HugetlbPageUncached(facts, { inode, index, pfn }) {
    const target = facts.inodes.get(inode);
    if (!target || index < 0) return;
    for (let i = 0; i < HPAGE_PMD_NR; i++) facts.uncache(target, index + i);
    setFlags(facts, pfn, 0, FRAME_DIRTY);
  },
  HugetlbPageMigrated(facts, { pfn, anonVma, inode, index, dirty }) {
    setFlags(facts, pfn, dirty === 1 ? FRAME_DIRTY : 0, 0);
    if (anonVma !== 0) {
      becomesAnon(facts, { pfn, anonVma, exclusive: 0 });
      return;
    }
    const target = facts.inodes.get(inode);
    if (!target || index < 0) return;
    for (let i = 0; i < HPAGE_PMD_NR; i++) facts.cache(target, index + i, pfn + i);
  },
  ResvMapCreated({ hugetlb }, { map, inode }) {
    if (map > 0) hugetlb.maps.set(map, { inode, regions: [] });
  },
  ResvMapFreed({ hugetlb }, { map }) {
    hugetlb.mountOf.delete(hugetlb.maps.get(map)?.inode ?? 0);
    hugetlb.maps.delete(map);
  },
  HugetlbFileSet: ({ hugetlb }, { inode, sb }) => void hugetlb.mountOf.set(inode, sb),
  HugetlbfsMounted: ({ hugetlb }, { sb, name, max, min }) =>
    void hugetlb.mounts.set(sb, { name, max, min, rsv: Math.max(min, 0) }),
  HugetlbSubpoolCounted({ hugetlb }, { sb, rsv }) {
    const mount = hugetlb.mounts.get(sb);
    if (mount) mount.rsv += rsv;
  },
  HugetlbfsUnmounted: ({ hugetlb }, { sb }) => void hugetlb.mounts.delete(sb),
  HugetlbSubpoolSet: ({ hugetlb }, { pfn, sb }) => void hugetlb.charged.set(pfn, sb),
  ResvRegionsSet({ hugetlb }, { map, regions }) {
    const target = hugetlb.maps.get(map);
    if (target) target.regions = regions;
  },
  HugetlbVmaSet: ({ hugetlb }, event) => hugetlb.setVma(event),
  VmaInserted(facts, event) {
    vmaHandlers.VmaInserted(facts, event);
    facts.hugetlb.mapped(event.mm, event.start, event.flags);
  },
  VmaRemoved(facts, event) {
    vmaHandlers.VmaRemoved(facts, event);
    facts.hugetlb.unmapped(event.mm, event.start);
  },
  VmaSplit(facts, event) {
    vmaHandlers.VmaSplit(facts, event);
    facts.hugetlb.split(event.mm, event.start, event.at);
  },
  TaskCreated: ({ hugetlb }, { mm }) => hugetlb.begin(mm),
};
