// anon_vma: which family of address spaces an anonymous page belongs to. mm/rmap.c.
// Locks: mmap_lock held, for write except in anonVmaPrepare(), which faults call under the read or VMA lock.
import type { MmView, VmaView } from '../../reducers/state.js';
import { VM_ACCESS, VM_SOFTDIRTY, VM_STICKY, findVmaIndex } from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';

/** `__anon_vma_prepare()`: gives the VMA at `start` an anon_vma, a compatible neighbour's if there is one. */
export function anonVmaPrepare(k: Kernel, mm: MmView, vma: VmaView): number {
  if (vma.anonVma !== 0) return vma.anonVma;
  const shared = findMergeableAnonVma(mm, vma);
  const anonVma = shared === 0 ? k.view.anonVmas.length : shared;
  const { start } = vma;
  const id = mm.id;
  if (shared === 0) k.emit({ type: 'AnonVmaCreated', anonVma, root: anonVma, parent: anonVma });
  // A root counts itself as a child, so that it is never taken for reusable.
  k.emit({ type: 'AnonVmaLinked', anonVma, activeVmas: 1, children: shared === 0 ? 1 : 0, links: 1 });
  k.emit({ type: 'VmaAnonVmaSet', mm: id, start, anonVma, chain: [anonVma] });
  return anonVma;
}

/** `find_mergeable_anon_vma()`: the next VMA's, then the previous one's. */
function findMergeableAnonVma(mm: MmView, vma: VmaView): number {
  const at = findVmaIndex(mm, vma.start);
  const next = mm.vmas[at + 1];
  if (next !== undefined && reusable(vma, next, next)) return next.anonVma;
  const prev = mm.vmas[at - 1];
  if (prev !== undefined && reusable(prev, vma, prev)) return prev.anonVma;
  return 0;
}

/** `anon_vma_compatible()` and `reusable_anon_vma()`: they could become one VMA but for access rights, and `old` did not come by fork. */
function reusable(low: VmaView, high: VmaView, old: VmaView): boolean {
  return (
    old.anonVma !== 0 &&
    old.chain.length === 1 &&
    low.end === high.start &&
    low.inode === high.inode &&
    low.file === high.file &&
    ((low.flags ^ high.flags) & ~(VM_ACCESS | VM_STICKY | VM_SOFTDIRTY)) === 0 &&
    high.pgoff === low.pgoff + (low.end - low.start) / 4096
  );
}

/** `anon_vma_clone()` for a split, move or merge: another VMA is linked to every anon_vma of `chain`. */
export function anonVmaClone(k: Kernel, anonVma: number, chain: readonly number[]): void {
  for (const each of chain)
    k.emit({ type: 'AnonVmaLinked', anonVma: each, activeVmas: each === anonVma ? 1 : 0, children: 0, links: 1 });
}

/**
 * `anon_vma_fork()`: the child's VMA is linked to all of the parent's anon_vmas, and gets an own one: an ancestor that nobody uses
 * any more, or a new one below the parent's. Returns what the child's VMA gets.
 */
export function anonVmaFork(k: Kernel, parent: VmaView): { anonVma: number; chain: number[] } {
  if (parent.anonVma === 0) return { anonVma: 0, chain: [] };
  const { chain: links, anonVma: parentAnonVma } = parent;
  let reused = 0;
  // anon_vma_clone() walks from the oldest link, so the oldest reusable ancestor wins.
  for (let i = links.length - 1; i >= 0 && reused === 0; i--) {
    const each = k.view.anonVmas[links[i] as number];
    if (each && each.root !== each.id && each.activeVmas === 0 && each.children < 2) reused = each.id;
  }
  for (const each of links)
    k.emit({ type: 'AnonVmaLinked', anonVma: each, activeVmas: each === reused ? 1 : 0, children: 0, links: 1 });
  if (reused !== 0) return { anonVma: reused, chain: [reused, ...links.filter((each) => each !== reused)] };
  const root = k.view.anonVmas[parentAnonVma]?.root ?? parentAnonVma;
  const anonVma = k.view.anonVmas.length;
  k.emit({ type: 'AnonVmaCreated', anonVma, root, parent: parentAnonVma });
  k.emit({ type: 'AnonVmaLinked', anonVma: parentAnonVma, activeVmas: 0, children: 1, links: 0 });
  k.emit({ type: 'AnonVmaLinked', anonVma, activeVmas: 1, children: 0, links: 1 });
  return { anonVma, chain: [anonVma, ...links] };
}

/** `unlink_anon_vmas()`: a VMA with that chain went away; anon_vmas without links or children go as well. */
export function unlinkAnonVmas(k: Kernel, anonVma: number, chain: readonly number[]): void {
  for (const each of chain)
    k.emit({ type: 'AnonVmaLinked', anonVma: each, activeVmas: each === anonVma ? -1 : 0, children: 0, links: -1 });
  // Youngest first, so that a child's death lets its parent go too.
  for (const id of chain) {
    const each = k.view.anonVmas[id];
    if (!each || each.links > 0) continue;
    const { parent } = each;
    k.emit({ type: 'AnonVmaLinked', anonVma: parent, activeVmas: 0, children: -1, links: 0 });
    k.emit({ type: 'AnonVmaFreed', anonVma: id });
  }
}
