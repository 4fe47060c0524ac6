// What /proc/PID/smaps and /proc/meminfo would print, as far as the model can know it. From facts, in kB as the kernel prints them.
import {
  PTE_DIRTY,
  isHugePte,
  isMigrationPte,
  isSwapPte,
  ptePfn,
  ptePresent,
  pteSpecial,
  swpOffset,
} from '../reducers/pte.js';
import { InodeKind } from '../reducers/state.js';
import { VM_LOCKED, VM_SHARED, VM_WRITE } from '../reducers/vma.js';
import type { Facts } from './facts/facts.js';
import { FRAME_DIRTY, FRAME_KSM, FRAME_SWAPBACKED, FrameKind } from './facts/frames.js';
import type { MmEntries } from './facts/mappings.js';
import type { VmaFacts, VmaSums } from './facts/vmas.js';

/** One VMA's lines; kB. */
export interface Smaps {
  readonly start: number;
  readonly end: number;
  readonly Rss: number;
  readonly Pss: number;
  readonly Shared_Clean: number;
  readonly Shared_Dirty: number;
  readonly Private_Clean: number;
  readonly Private_Dirty: number;
  readonly Anonymous: number;
  readonly KSM: number;
  readonly LazyFree: number;
  readonly AnonHugePages: number;
  readonly ShmemPmdMapped: number;
  readonly Shared_Hugetlb: number;
  readonly Private_Hugetlb: number;
  readonly Swap: number;
  readonly SwapPss: number;
  readonly Locked: number;
}

const PAGE_KB = 4;
/** Pss is summed in 4096ths of a byte, cut at each page and at the end. */
const PSS_SCALE = 4096;

/**
 * `smap_gather_stats()` of a file in memory: pages of it in the swap area that the VMA would show, `shmem_swap_usage()`. Where private pages may stand in the
 * way only empty entries count; where the whole file is mapped what lies behind its end counts as well.
 */
function shmemSwapped(facts: Facts, space: MmEntries, vma: VmaFacts): number {
  const swapped = facts.shmem.get(vma.inode)?.swapped;
  if (swapped === undefined || swapped.size === 0) return 0;
  const pages = (vma.end - vma.start) / 4096;
  const inside = [...swapped.keys()].filter((index) => index >= vma.pgoff && index < vma.pgoff + pages);
  if ((vma.flags & VM_SHARED) === 0 && (vma.flags & VM_WRITE) !== 0) {
    const vpn = (index: number): number => vma.start / 4096 + index - vma.pgoff;
    return inside.filter((index) => facts.mappings.at(space, vpn(index)) === 0).length;
  }
  const whole = vma.pgoff === 0 && vma.end - vma.start >= (facts.inodes.get(vma.inode)?.size ?? 0);
  return whole ? swapped.size : inside.length;
}

/** `smaps_account()` over the entries of one VMA. */
export function smapsOf(facts: Facts, space: MmEntries, vma: VmaFacts): Smaps {
  const { frames } = facts;
  const pages = {
    sharedClean: 0,
    sharedDirty: 0,
    privateClean: 0,
    privateDirty: 0,
    anonymous: 0,
    ksm: 0,
    lazyFree: 0,
    huge: 0,
    shmemHuge: 0,
    hugetlbShared: 0,
    hugetlbPrivate: 0,
  };
  let pss = 0;
  let swap = shmemSwapped(facts, space, vma);
  let swapPss = 0;
  facts.mappings.forEachEntry(space, vma.start / 4096, vma.end / 4096, (_vpn, entry) => {
    if (isSwapPte(entry)) {
      swap++;
      swapPss += Math.floor((4096 * PSS_SCALE) / Math.max(facts.mappings.slotUse(swpOffset(entry)).entries, 1));
    }
    const migrating = isMigrationPte(entry);
    if (!migrating && (!ptePresent(entry) || pteSpecial(entry))) return;
    const pfn = ptePfn(entry);
    const flags = frames.flags[frames.head(pfn)] as number;
    // Who else maps a page that is being moved cannot be told: smaps takes it for shared, not sure how often, and its entry for clean.
    const mappers = migrating ? 1 : (frames.mappers[pfn] as number);
    if (frames.kind[pfn] === FrameKind.hugetlb) {
      pages[mappers > 1 ? 'hugetlbShared' : 'hugetlbPrivate']++;
      return;
    }
    const dirty = (!migrating && (entry & PTE_DIRTY) !== 0) || (flags & FRAME_DIRTY) !== 0;
    if (migrating || mappers > 1) pages[dirty ? 'sharedDirty' : 'sharedClean']++;
    else pages[dirty ? 'privateDirty' : 'privateClean']++;
    pss += Math.floor((4096 * PSS_SCALE) / Math.max(mappers, 1));
    if (frames.kind[pfn] === FrameKind.shmem && isHugePte(entry)) pages.shmemHuge++;
    if (frames.kind[pfn] !== FrameKind.anon) return;
    pages.anonymous++;
    if ((flags & FRAME_KSM) !== 0) pages.ksm++;
    if (isHugePte(entry)) pages.huge++;
    if ((flags & FRAME_SWAPBACKED) === 0 && !dirty) pages.lazyFree++;
  });
  const { sharedClean, sharedDirty, privateClean, privateDirty, anonymous, ksm, lazyFree, huge } = pages;
  const { hugetlbShared, hugetlbPrivate } = pages;
  const pssKb = Math.floor(pss / PSS_SCALE / 1024);
  return {
    start: vma.start,
    end: vma.end,
    Rss: (sharedClean + sharedDirty + privateClean + privateDirty) * PAGE_KB,
    Pss: pssKb,
    Shared_Clean: sharedClean * PAGE_KB,
    Shared_Dirty: sharedDirty * PAGE_KB,
    Private_Clean: privateClean * PAGE_KB,
    Private_Dirty: privateDirty * PAGE_KB,
    Anonymous: anonymous * PAGE_KB,
    KSM: ksm * PAGE_KB,
    LazyFree: lazyFree * PAGE_KB,
    AnonHugePages: huge * PAGE_KB,
    ShmemPmdMapped: pages.shmemHuge * PAGE_KB,
    Shared_Hugetlb: hugetlbShared * PAGE_KB,
    Private_Hugetlb: hugetlbPrivate * PAGE_KB,
    Swap: swap * PAGE_KB,
    SwapPss: Math.floor(swapPss / PSS_SCALE / 1024),
    Locked: (vma.flags & VM_LOCKED) !== 0 ? pssKb : 0,
  };
}

/** Lines of /proc/meminfo; kB. PageTables without the top level, which belongs to the address space itself. */
export interface Meminfo {
  readonly AnonPages: number;
  readonly Mapped: number;
  readonly Cached: number;
  readonly Shmem: number;
  readonly PageTables: number;
  readonly Committed_AS: number;
}

export function meminfoOf(facts: Facts): Meminfo {
  const { frames } = facts;
  let anon = 0;
  let mapped = 0;
  for (let pfn = 0; pfn < frames.size; pfn++) {
    if (frames.mappers[pfn] === 0) continue;
    if (frames.kind[pfn] === FrameKind.anon) anon++;
    else if (frames.kind[pfn] !== FrameKind.hugetlb) mapped++;
  }
  let cached = 0;
  let shmem = 0;
  for (const { kind, pages } of facts.inodes.values()) {
    // Not counted with other files.
    if (kind === InodeKind.hugetlbfs) continue;
    cached += pages.size;
    if (kind === InodeKind.shmem) shmem += pages.size;
  }
  let tables = 0;
  for (const space of facts.mappings.mms.values()) tables += facts.mappings.tableBytes(space);
  return {
    AnonPages: anon * PAGE_KB,
    Mapped: mapped * PAGE_KB,
    Cached: cached * PAGE_KB,
    Shmem: shmem * PAGE_KB,
    PageTables: tables / 1024,
    Committed_AS: facts.committed * PAGE_KB,
  };
}

/** One address space in numbers: pages, and bytes of page tables. */
export interface MmAccounts {
  readonly mm: number;
  readonly rss: { readonly file: number; readonly anon: number; readonly shmem: number };
  readonly sums: VmaSums;
  readonly page_tables: number;
  readonly vmas: readonly Smaps[];
}

/** Every address space, by id. */
export function accountsOf(facts: Facts): MmAccounts[] {
  return [...facts.mappings.mms.values()]
    .sort((a, b) => a.mm - b.mm)
    .map((space) => {
      const vmas = facts.vmas.mms.get(space.mm);
      return {
        mm: space.mm,
        rss: {
          file: space.rss[FrameKind.file] as number,
          anon: space.rss[FrameKind.anon] as number,
          shmem: space.rss[FrameKind.shmem] as number,
        },
        sums: { ...(vmas as { sums: VmaSums }).sums },
        page_tables: facts.mappings.tableBytes(space),
        vmas: (vmas?.list ?? []).map((vma) => smapsOf(facts, space, vma)),
      };
    });
}
