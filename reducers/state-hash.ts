// A hash of a whole state: equal for equal states, however they came to be. Keyframes carry it.
import { Hash64 } from '../src/lib/hash.js';
import { hugetlbNumbers, hugetlbUsed } from './hugetlb-state.js';
import type { KernelView, KsmView, MmView, PageView } from './state.js';
import { ascending } from './touched.js';

/** What hashing a page table costs, counted in frames. */
const TABLE_WEIGHT = 64;

export interface StateHash {
  /** 16 hexadecimal digits. */
  readonly hash: string;
  /** How large the state is: roughly its frames, with page tables counted as so many frames as they cost. */
  readonly weight: number;
}

/** The hash of `state`, from all of it. */
export const hashState = (state: KernelView): StateHash => new StateHasher().hash(state);

/**
 * Hashes a state again and again while it is folded. Sections of frames and page tables, which are most of it, have hashes
 * of their own that are kept until somebody says that they changed.
 */
export class StateHasher {
  readonly #kept = new WeakMap<object, Hash64>();

  /** A section of frames or a page table is not what it was. */
  changed(part: object): void {
    this.#kept.delete(part);
  }

  /** The hash of `state`, as if from all of it. */
  hash(state: KernelView): StateHash {
    const hash = new Hash64();
    restInto(hash, state);
    let tables = 0;
    for (const mm of state.mms) if (mm !== null) tables += this.#mm(hash, mm);
    for (const section of state.memMap) hash.take(this.#part(section, sectionHash));
    hash.settle();
    return { hash: hash.hex(), weight: state.maxPfn + TABLE_WEIGHT * tables };
  }

  #part<T extends object>(part: T, of: (part: T) => Hash64): Hash64 {
    let hash = this.#kept.get(part);
    if (hash === undefined) this.#kept.set(part, (hash = of(part)));
    return hash;
  }

  /** Returns the number of its page tables. */
  #mm(hash: Hash64, mm: MmView): number {
    for (const value of Object.values(mm)) if (typeof value === 'number') hash.number(value);
    numbersOf(hash, mm.rss, 7);
    numbersOf(hash, mm.gather, 8);
    hash.pair(mm.vmas.length, mm.pgd.length);
    for (const { start, end, flags, pgoff, inode, anonVma, chain, uffd } of mm.vmas) {
      numbersOf(hash, [start, end, flags, pgoff, inode, anonVma], 9);
      numbersOf(hash, chain, 10);
      if (uffd !== undefined) hash.pair(uffd, 24);
    }
    let tables = 0;
    for (let g = 0; g < mm.pgd.length; g++) {
      const pud = mm.pgd[g];
      if (!pud) continue;
      hash.pair(g, 11);
      for (let u = 0; u < 512; u++) {
        const pmd = pud[u];
        if (!pmd) continue;
        hash.pair(u, 12);
        for (let m = 0; m < 512; m++) {
          const table = pmd[m];
          if (!table) continue;
          tables++;
          hash.number(m);
          if (typeof table === 'number') hash.number(table);
          else hash.take(this.#part(table, tableHash));
        }
      }
    }
    return tables;
  }
}

/** All but address spaces and frames. */
function restInto(hash: Hash64, state: KernelView): void {
  hash.pair(state.maxPfn, state.freeHead);
  hash.pair(state.mms.length, state.anonVmas.length);
  hash.pair(state.inodes.length, state.cpus.length);
  hash.number(state.committed);
  for (const task of Object.values(state.tasks)) numbersOf(hash, Object.values(task), 1);
  for (const anonVma of state.anonVmas) numbersOf(hash, anonVma === null ? [] : Object.values(anonVma), 2);
  for (const { lruAdd, lruLazyfree, mlock } of state.cpus) {
    numbersOf(hash, lruAdd, 3);
    numbersOf(hash, lruLazyfree, 4);
    // Keyframes of before there were such batches have hashes without them.
    if (mlock.length > 0) numbersOf(hash, mlock, 15);
  }
  for (const name of Object.keys(state.inodeByName).sort()) {
    hash.text(name);
    hash.number(state.inodeByName[name] as number);
  }
  for (const [tgid, files] of Object.entries(state.files)) {
    hash.pair(Number(tgid), 5);
    for (const [fd, { inode, flags, file }] of Object.entries(files)) {
      hash.pair(Number(fd), inode);
      hash.pair(flags, file);
    }
  }
  numbersOf(hash, state.positions, 14);
  // Keyframes of before there were holders have hashes without them.
  if (state.holders.length > 1)
    for (const holder of state.holders) {
      if (holder === null) hash.pair(0, 16);
      else {
        numbersOf(hash, [holder.id, holder.kind, holder.owner, holder.flags], 16);
        numbersOf(hash, holder.pages, 17);
      }
    }
  if (state.hasPinned.length > 0) numbersOf(hash, state.hasPinned, 18);
  for (const [mm, seq] of Object.entries(state.writeProtectSeq)) numbersOf(hash, [Number(mm), seq], 20);
  if (state.swap.length > 0) {
    hash.pair(state.swapFree, 19);
    for (const { count, pfn, content } of state.swap) {
      hash.pair(count, pfn);
      if (content !== null) contentInto(hash, content);
    }
    for (const pfn of ascending(Object.keys(state.swapCache).map(Number)))
      hash.pair(pfn, state.swapCache[pfn] as number);
  }
  ksmInto(hash, state.ksm);
  // Keyframes of before there were large folios have hashes without them.
  for (const head of ascending(Object.keys(state.largeFolios).map(Number)))
    numbersOf(hash, [head, ...Object.values(state.largeFolios[head]!)], 20);
  if (state.freeLarge.length > 0) numbersOf(hash, state.freeLarge, 21);
  // Nor of these.
  for (const inode of ascending(Object.keys(state.shmem).map(Number)))
    numbersOf(hash, [inode, ...Object.values(state.shmem[inode]!)], 24);
  for (const { name, maxBlocks, usedBlocks } of state.tmpfs) {
    hash.text(name);
    hash.pair(maxBlocks, usedBlocks);
  }
  for (const name of Object.keys(state.settings).sort()) {
    hash.text(name);
    hash.text(state.settings[name] as string);
  }
  if (hugetlbUsed(state)) numbersOf(hash, hugetlbNumbers(state), 24);
  for (const inode of ascending(Object.keys(state.disks).map(Number)))
    for (const index of ascending(Object.keys(state.disks[inode]!).map(Number))) {
      numbersOf(hash, [inode, index], 25);
      const content = state.disks[inode]![index] ?? null;
      if (content !== null) contentInto(hash, content);
    }
  for (const uffd of state.uffds) {
    if (uffd === null) continue;
    const { id, inode, mm, flags, features, released, pending, read, events, changing, readers } = uffd;
    numbersOf(hash, [id, inode, mm, flags, features, released], 26);
    numbersOf(hash, pending, 27);
    numbersOf(hash, read, 28);
    for (const each of [events, changing, readers]) numbersOf(hash, each, 28);
  }
  for (const inode of state.inodes) {
    if (inode === null) continue;
    hash.text(inode.name);
    numbersOf(hash, [inode.id, inode.kind, inode.size, inode.data, inode.resident, inode.pages.length], 6);
    inode.pages.forEach((leaf, i) => {
      if (leaf === null) return;
      hash.number(i);
      sparse(hash, leaf);
    });
  }
}

/** KSM, if it was ever heard of. */
function ksmInto(hash: Hash64, ksm: KsmView): void {
  const { useZeroPages, scans, slots, nodes, lastNode, counters } = ksm;
  const { pagesShared, pagesSharing, pagesUnshared, zeroPages } = ksm;
  const root = [useZeroPages, scans, slots.length, nodes.length, lastNode, pagesShared, pagesSharing, pagesUnshared];
  const known = ascending(Object.keys(counters).map(Number));
  if (root.every((each) => each === 0) && known.length === 0 && zeroPages === 0) return;
  numbersOf(hash, [...root, zeroPages], 20);
  for (const { mm, exited, items } of slots) {
    numbersOf(hash, [mm, exited, items.length], 21);
    for (const { vpn, node, anonVma, unstable, checked, content } of items) {
      numbersOf(hash, [vpn, node, anonVma, unstable, checked], 22);
      if (content !== null) contentInto(hash, content);
    }
  }
  for (const { id, pfn } of nodes) hash.pair(id, pfn);
  for (const mm of known) numbersOf(hash, [mm, ...(counters[mm] as readonly number[])], 23);
}

function tableHash(table: readonly number[]): Hash64 {
  const hash = new Hash64();
  sparse(hash, table);
  return hash;
}

function sectionHash(section: readonly PageView[]): Hash64 {
  const hash = new Hash64();
  for (const page of section) pageInto(hash, page);
  return hash;
}

function numbersOf(hash: Hash64, values: readonly number[], kind: number): void {
  hash.pair(values.length, kind);
  for (const value of values) hash.number(value);
}

/** A wide list of numbers, most of them 0. */
function sparse(hash: Hash64, values: readonly number[]): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value === 0) continue;
    hash.pair(i, 0x1b873593);
    hash.number(value);
  }
}

function pageInto(hash: Hash64, page: PageView): void {
  hash.pair(page.flags, page.ref);
  hash.pair(page.mapcount, page.lruCpu);
  hash.number(page.mapping);
  hash.number(page.index);
  if (page.order !== 0) hash.pair(page.order, 22);
  const { content } = page;
  if (content !== null) contentInto(hash, content);
}

function contentInto(hash: Hash64, { fill, inode, index, runs }: NonNullable<PageView['content']>): void {
  hash.pair(fill, inode);
  hash.number(index);
  numbersOf(hash, runs, 13);
}
