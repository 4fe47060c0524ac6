// Reducers for events/hugetlb-migrate.ts.
import type { HugetlbMigrateEvent } from '../events/index.js';
import type { Reducers } from './index.js';
import { HPAGE_PMD_NR, PG_ANON, PG_DIRTY, folioOf, pageOf, setCacheSlot } from './state.js';

export const hugetlbMigrateReducers: Reducers<HugetlbMigrateEvent['type']> = {
  HugetlbPageMigrated(state, { pfn, from, anonVma, inode, index, ref, fromRef, dirty, movable }) {
    const file = anonVma === 0 ? state.inodes[inode] : undefined;
    const charged = file === undefined ? undefined : state.hugetlb.charged.find((each) => each.pfn === from);
    if (charged) charged.pfn = pfn;
    if (movable === 0 && !state.hugetlb.unmovable.includes(pfn)) state.hugetlb.unmovable.push(pfn);
    for (let i = 0; i < HPAGE_PMD_NR; i++) {
      const [page, old] = [pageOf(state, pfn + i), pageOf(state, from + i)];
      if (page) {
        page.mapping = anonVma === 0 ? inode : anonVma;
        page.index = index + i;
        if (anonVma !== 0) page.flags |= PG_ANON;
      }
      if (!file || index < 0) continue;
      setCacheSlot(file, index + i, pfn + i + 1);
      // Of anonymous memory the old page keeps it until it is free.
      if (old) old.mapping = 0;
    }
    const [head, oldHead] = [folioOf(state, pfn), folioOf(state, from)];
    if (head) {
      head.ref += ref;
      if (dirty === 1) head.flags |= PG_DIRTY;
    }
    if (oldHead) oldHead.ref += fromRef;
  },
};
