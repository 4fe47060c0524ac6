// Reading Facts from a state.
import { forEachPte, ptePfn, pteSpecial } from '../../reducers/pte.js';
import type { InodeView, KernelView, MmView, ShmemInodeView } from '../../reducers/state.js';
import {
  FREE_SLOT,
  InodeKind,
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_DIRTY,
  PG_FREE,
  PG_HUGETLB,
  PG_SWAPBACKED,
  RECLAIMED,
  isKsm,
  slotOfValue,
} from '../../reducers/state.js';
import type { InodeFacts } from './facts.js';
import { Facts, heldPages } from './facts.js';
import { FRAME_DIRTY, FRAME_KSM, FRAME_SWAPBACKED, FrameKind } from './frames.js';
import type { MmEntries } from './mappings.js';

/** The facts as they stand in `state`: entries, VMAs, page flags, caches, batches and gathers, never a counter. */
export function factsOf(state: KernelView): Facts {
  const facts = new Facts();
  state.inodes.forEach((inode, id) => {
    if (!inode) return;
    facts.addInode(id, inode.name, inode.kind, inode.size);
    forEachSlot(inode, (index, pfn) => facts.cache(facts.inodes.get(id) as InodeFacts, index, pfn));
  });
  for (const [id, info] of Object.entries(state.shmem)) readShmem(facts, state, Number(id), info);
  state.memMap.forEach((section, s) => section.forEach((page, i) => readFrame(facts, state, s * 256 + i, page)));
  for (const mm of state.mms) if (mm) readMm(facts, mm);
  state.cpus.forEach(({ lruAdd, lruLazyfree, mlock }, cpu) => {
    for (const pfn of lruAdd) facts.enterBatch(facts.lruAdd, cpu, pfn);
    for (const pfn of lruLazyfree) facts.enterBatch(facts.lruLazyfree, cpu, pfn);
    for (let i = 0; i < mlock.length; i += 2) facts.enterBatch(facts.mlock, cpu, mlock[i] as number);
  });
  state.holders.forEach((holder, id) => {
    if (holder === null) return;
    facts.holders.set(id, { kind: holder.kind, flags: holder.flags, pages: [] });
    for (let i = 0; i + 5 < holder.pages.length; i += 6) {
      const [pfn, mm, vpn, offset, length, bias] = holder.pages.slice(i, i + 6) as [
        ...[number, number, number],
        ...[number, number, number],
      ];
      facts.hold(id, { pfn, mm, vpn, bias, pages: heldPages(offset, length) });
    }
  });
  state.swap.forEach(({ count, pfn }, slot) => {
    if (count !== FREE_SLOT && pfn >= 0) facts.cacheSwap(slot, pfn);
  });
  facts.ksm.read(state);
  facts.hugetlb.read(state);
  return facts;
}

function readShmem(facts: Facts, state: KernelView, id: number, { sb, noreserve }: ShmemInodeView): void {
  const dropped = new Set<number>();
  state.inodes[id]?.pages.forEach((leaf, l) =>
    leaf?.forEach((slot, i) => {
      if (slot === RECLAIMED) dropped.add(l * 512 + i);
    }),
  );
  facts.shmem.set(id, { sb, noreserve: noreserve === 1, dropped, swapped: new Map() });
  state.inodes[id]?.pages.forEach((leaf, l) =>
    leaf?.forEach((slot, i) => {
      if (slot < RECLAIMED) facts.setSwapped(id, l * 512 + i, slotOfValue(slot));
    }),
  );
}

function forEachSlot(inode: InodeView, visit: (index: number, pfn: number) => void): void {
  inode.pages.forEach((leaf, l) =>
    leaf?.forEach((slot, i) => {
      if (slot > 0) visit(l * 512 + i, slot - 1);
    }),
  );
}

function readFrame(
  facts: Facts,
  state: KernelView,
  pfn: number,
  page: { readonly flags: number; readonly mapping: number; readonly order: number },
): void {
  const { flags, mapping } = page;
  if ((flags & PG_FREE) !== 0 || !facts.frames.has(pfn)) return;
  facts.frames.order[pfn] = page.order;
  if ((flags & PG_ANON) !== 0) {
    facts.becomesAnon(pfn, isKsm(page) ? 0 : mapping, (flags & PG_ANON_EXCLUSIVE) !== 0);
    facts.frames.flags[pfn]! &= ~FRAME_SWAPBACKED;
    if (isKsm(page)) facts.frames.flags[pfn]! |= FRAME_KSM;
  } else if (state.inodes[mapping]?.kind === InodeKind.shmem) facts.mappings.setKind(pfn, FrameKind.shmem);
  if ((flags & PG_HUGETLB) !== 0) {
    facts.mappings.setKind(pfn, FrameKind.hugetlb);
    facts.frames.flags[pfn]! &= ~FRAME_SWAPBACKED;
  }
  if ((flags & PG_SWAPBACKED) !== 0) facts.frames.flags[pfn]! |= FRAME_SWAPBACKED;
  if ((flags & PG_DIRTY) !== 0) facts.frames.flags[pfn]! |= FRAME_DIRTY;
}

function readMm(facts: Facts, mm: MmView): void {
  const space = facts.mappings.create(mm.id);
  facts.vmas.create(mm.id);
  for (const vma of mm.vmas) facts.vmas.insert(mm.id, { ...vma, chain: [...vma.chain] });
  readTables(facts, space, mm);
  forEachPte(mm, 0, 2 ** 35, (vpn, entry) => facts.mappings.write(space, vpn, entry));
  const gather: number[] = [];
  for (const pfn of mm.gather) {
    if (!facts.frames.has(pfn)) continue;
    gather.push(pfn);
    facts.frames.gathered[pfn]!++;
  }
  facts.gathers.set(mm.id, gather);
}

/** Does no table lie in store where a huge entry maps the frame? Only anonymous memory has one. */
const isBare = ({ frames }: Facts, pfn: number): boolean => frames.has(pfn) && frames.kind[pfn] !== FrameKind.anon;

/** Tables count even where they are empty; there is none where a hugetlb entry stands, or that of a file. */
function readTables(facts: Facts, space: MmEntries, mm: MmView): void {
  mm.pgd.forEach((pud, g) => {
    if (pud) space.puds.add(g);
    pud?.forEach((pmd, u) => {
      const base = (g * 512 + u) * 2 ** 18;
      if (!pmd) return;
      facts.mappings.addTables(space, base, 1);
      for (let m = 0; m < 512; m++) {
        const below = pmd[m];
        if (!below) continue;
        facts.mappings.addTables(space, base + m * 512, 1);
        if (typeof below === 'number' && !pteSpecial(below) && isBare(facts, ptePfn(below)))
          space.bare.add(base / 512 + m);
      }
    });
  });
}
