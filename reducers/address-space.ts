// Reducers for events/address-space.ts.
import type { AddressSpaceEvent } from '../events/index.js';
import type { Reducers } from './index.js';
import type { KernelState, Mm, Vma } from './state.js';
import { MM_ANONPAGES } from './state.js';
import { findVmaIndex } from './vma.js';

const mmOf = (state: KernelState, id: number): Mm | null => state.mms[id] ?? null;

/** The VMA that starts at `start`, with its index. */
function vmaStarting(mm: Mm, start: number): { vma: Vma; at: number } | null {
  const at = findVmaIndex(mm, start);
  const vma = mm.vmas[at];
  return vma !== undefined && vma.start === start ? { vma, at } : null;
}

export const addressSpaceReducers: Reducers<AddressSpaceEvent['type']> = {
  MmCreated(state, { mm, mmapBase, startBrk, brk, defFlags, foreignLayout }) {
    while (state.mms.length <= mm) state.mms.push(null);
    state.mms[mm] = {
      id: mm,
      users: 1,
      vmas: [],
      pgd: new Array<null>(256).fill(null),
      rss: [0, 0, 0, 0],
      hiwaterRss: 0,
      totalVm: 0,
      dataVm: 0,
      stackVm: 0,
      execVm: 0,
      lockedVm: 0,
      tableBytes: 0,
      startBrk,
      brk,
      mmapBase,
      defFlags,
      foreignLayout,
      gather: [],
    };
  },
  MmUsersChanged(state, { mm, users }) {
    const target = mmOf(state, mm);
    if (target) target.users += users;
  },
  MmFreed(state, { mm }) {
    if (mm < state.mms.length) state.mms[mm] = null;
  },
  BrkSet(state, { mm, startBrk, brk }) {
    const target = mmOf(state, mm);
    if (!target) return;
    target.startBrk = startBrk;
    target.brk = brk;
  },
  DefFlagsSet(state, { mm, defFlags }) {
    const target = mmOf(state, mm);
    if (target) target.defFlags = defFlags;
  },
  HiwaterRssRaised(state, { mm, pages }) {
    const target = mmOf(state, mm);
    if (target) target.hiwaterRss = pages;
  },
  ArgPagesAccounted(state, { mm, rssAnon }) {
    const target = mmOf(state, mm);
    if (target) target.rss[MM_ANONPAGES]! += rssAnon;
  },
  VmAccounted(state, { mm, total, data, stack, exec, locked, committed }) {
    state.committed += committed;
    const target = mmOf(state, mm);
    if (!target) return;
    target.totalVm += total;
    target.dataVm += data;
    target.stackVm += stack;
    target.execVm += exec;
    target.lockedVm += locked;
  },
  VmaInserted(state, { mm, start, end, flags, pgoff, inode, file, anonVma, chain }) {
    const target = mmOf(state, mm);
    if (!target) return;
    const vma: Vma = { start, end, flags, pgoff, inode, file, anonVma, chain: [...chain] };
    target.vmas.splice(findVmaIndex(target, start), 0, vma);
  },
  VmaRemoved(state, { mm, start }) {
    const target = mmOf(state, mm);
    const found = target && vmaStarting(target, start);
    if (found) target.vmas.splice(found.at, 1);
  },
  VmaSplit(state, { mm, start, at }) {
    const target = mmOf(state, mm);
    const found = target && vmaStarting(target, start);
    if (!found) return;
    const { vma } = found;
    const rest: Vma = {
      start: at,
      end: vma.end,
      flags: vma.flags,
      pgoff: vma.pgoff + (at - vma.start) / 4096,
      inode: vma.inode,
      file: vma.file,
      anonVma: vma.anonVma,
      chain: [...vma.chain],
      ...(vma.uffd === undefined ? {} : { uffd: vma.uffd }),
    };
    vma.end = at;
    target.vmas.splice(found.at + 1, 0, rest);
  },
  VmaResized(state, { mm, start, newStart, newEnd, newPgoff }) {
    const target = mmOf(state, mm);
    const found = target && vmaStarting(target, start);
    if (!found) return;
    found.vma.start = newStart;
    found.vma.end = newEnd;
    found.vma.pgoff = newPgoff;
  },
  VmaMerged(state, { mm, start, absorbed, anonVma, chain }) {
    const target = mmOf(state, mm);
    const found = target && vmaStarting(target, start);
    if (!found) return;
    const next = target.vmas[found.at + 1];
    if (!next || next.start !== absorbed) return;
    found.vma.end = next.end;
    found.vma.anonVma = anonVma;
    found.vma.chain = [...chain];
    target.vmas.splice(found.at + 1, 1);
  },
  VmaFlagsChanged(state, { mm, start, flags }) {
    const target = mmOf(state, mm);
    const found = target && vmaStarting(target, start);
    if (found) found.vma.flags = flags;
  },
  VmaAnonVmaSet(state, { mm, start, anonVma, chain }) {
    const target = mmOf(state, mm);
    const found = target && vmaStarting(target, start);
    if (!found) return;
    found.vma.anonVma = anonVma;
    found.vma.chain = [...chain];
  },
  AnonVmaCreated(state, { anonVma, root, parent }) {
    while (state.anonVmas.length <= anonVma) state.anonVmas.push(null);
    state.anonVmas[anonVma] = { id: anonVma, root, parent, activeVmas: 0, children: 0, links: 0 };
  },
  AnonVmaLinked(state, { anonVma, activeVmas, children, links }) {
    const target = state.anonVmas[anonVma];
    if (!target) return;
    target.activeVmas += activeVmas;
    target.children += children;
    target.links += links;
  },
  AnonVmaFreed(state, { anonVma }) {
    if (anonVma < state.anonVmas.length) state.anonVmas[anonVma] = null;
  },
};
