// Rings of provided buffers whose memory io_uring allocates, and their mappings: io_uring/kbuf.c and memmap.c. The instance holds the page; since 6.10 each
// mapping has a reference of its own, before it was mapped by its frame number.
import { PTE_PRESENT, PTE_SPECIAL, PTE_WRITE, isZeroPte, mkPte, ptePfn, pteSpecial } from '../../reducers/pte.js';
import type { OpenFile, VmaView } from '../../reducers/state.js';
import { HolderKind, InodeKind, mmAt } from '../../reducers/state.js';
import { VM_DONTDUMP, VM_DONTEXPAND, VM_IO, VM_MIXEDMAP, VM_PFNMAP, vmaLookup } from '../../reducers/vma.js';
import { isStruct } from '../workload/operation.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call } from './call.js';
import { badArgument, cIntArg } from './call.js';
import { createHolder, heldAt, heldCount, keepAllocated, removeHolder } from './holders.js';
import type { Kernel } from './kernel.js';
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, PAGE_SIZE } from './kernel.js';
import { vmPageProt } from './memory/page-prot.js';
import { pteAlloc } from './memory/tables.js';
import { allocPage } from './page-alloc.js';

const IORING_OFF_PBUF_RING = 0x80000000;
const IORING_OFF_MMAP_MASK = 0xf8000000;
const IORING_OFF_PBUF_SHIFT = 16;
const IOU_PBUF_RING_MMAP = 1;
const IOU_PBUF_RING_INC = 2;
const ENTRY_BYTES = 16;
const ENTRIES_MAX = 65536;

/** Fields of `struct io_uring_buf_reg`, argument 2. */
interface Registration {
  readonly address: number;
  readonly entries: number;
  readonly group: number;
  readonly flags: number;
}

function registrationArg(call: Call): Registration | number {
  const value = call.args[2] ?? null;
  if (value === null || cIntArg(call, 3, 1) !== 1) return -EINVAL;
  if (typeof value !== 'object' || !isStruct(value)) throw badArgument(call, 2, '{ring_entries=.., bgid=.., flags=..}');
  const [address, entries, group, flags] = ['ring_addr', 'ring_entries', 'bgid', 'flags'].map((name) => {
    const field = value.fields[name] ?? 0;
    if (typeof field !== 'number') throw badArgument(call, 2, '{ring_entries=.., bgid=.., flags=..} with numbers');
    return field;
  }) as [number, number, number, number];
  return { address, entries, group, flags };
}

/** Where the group's ring lies in the instance's file, in pages: the page that the instance holds has that for its place. */
const pgoffOf = (group: number): number => (IORING_OFF_PBUF_RING + group * 2 ** IORING_OFF_PBUF_SHIFT) / PAGE_SIZE;
/** The same of memory that belongs to no group any more. */
const NO_GROUP = 0;

/** The holder of the ring's page of `instance` that is mapped at `pgoff`; 0 for none. */
function ringAt(k: Kernel, instance: number, pgoff: number): number {
  return k.view.holders.findIndex(
    (holder, id) =>
      holder?.kind === HolderKind.bufferRing &&
      holder.owner === instance &&
      heldCount(k, id) > 0 &&
      heldAt(k, id, 0).vpn === pgoff,
  );
}

/**
 * `io_register_pbuf_ring()` with IOU_PBUF_RING_MMAP: a page of zeros for the ring, which programs may map.
 * @throws NotModelledError for a ring in the program's memory or of more than a page.
 */
export function registerRing(k: Kernel, call: Call, instance: number): number {
  const wanted = registrationArg(call);
  if (typeof wanted === 'number') return wanted;
  const { address, entries, group, flags } = wanted;
  if ((flags & ~(IOU_PBUF_RING_MMAP | IOU_PBUF_RING_INC)) !== 0) return -EINVAL;
  if (entries === 0 || !Number.isInteger(Math.log2(entries)) || entries >= ENTRIES_MAX) return -EINVAL;
  if (ringAt(k, instance, pgoffOf(group)) > 0) return -EEXIST;
  if ((flags & IOU_PBUF_RING_MMAP) === 0) {
    if (address === 0) return -EFAULT;
    throw new NotModelledError('rings of provided buffers in memory of the program');
  }
  if (address !== 0) throw new NotModelledError('IOU_PBUF_RING_MMAP with an address');
  if (entries * ENTRY_BYTES > PAGE_SIZE) throw new NotModelledError('rings of provided buffers of several pages');
  // From 6.8 to 6.9 the memory of a ring that is gone was used again.
  if (ringAt(k, instance, NO_GROUP) > 0) throw new NotModelledError('memory of rings that is used again, 6.8 and 6.9');
  const holder = createHolder(k, HolderKind.bufferRing, instance, 0);
  keepAllocated(k, holder, allocPage(k), PAGE_SIZE, pgoffOf(group));
  return 0;
}

/** `io_unregister_pbuf_ring()`: the instance gives the page back. Before 6.8 it was freed whoever had mapped it; in 6.8 and 6.9 the instance kept it. */
export function unregisterRing(k: Kernel, call: Call, instance: number): number {
  const wanted = registrationArg(call);
  if (typeof wanted === 'number') return wanted;
  if (wanted.flags !== 0) return -EINVAL;
  const holder = ringAt(k, instance, pgoffOf(wanted.group));
  if (holder <= 0) return -ENOENT;
  if (k.behaviours['iouring-ring-freed-after-unmap'] && !k.behaviours['iouring-ring-mapped-by-reference']) {
    const { pfn } = heldAt(k, holder, 0);
    const kept = createHolder(k, HolderKind.bufferRing, instance, 0);
    const page = { pfn, mm: 0, vpn: NO_GROUP, offset: 0, length: PAGE_SIZE };
    k.emit({ type: 'PageGrabbed', holder: kept, ...page, ref: 1, bias: 1 });
  }
  removeHolder(k, holder);
  return 0;
}

/**
 * `io_uring_get_unmapped_area()`: what speaks against mapping `length` bytes at `addr` of the instance that `file` leads to; 0 for nothing.
 * @throws NotModelledError for its queues.
 */
export function ringMapError(k: Kernel, file: OpenFile | null, offset: number, addr: number): number {
  if (file === null || k.view.inodes[file.inode]?.kind !== InodeKind.ring) return 0;
  if (addr !== 0) return -EINVAL;
  const area = Math.floor((offset % 2 ** 32) / 2 ** 27) * 2 ** 27;
  if (area !== IORING_OFF_PBUF_RING) {
    if (area <= IORING_OFF_MMAP_MASK / 2) throw new NotModelledError('mapping the queues of io_uring');
    return -ENOMEM;
  }
  return ringAt(k, file.inode, offset / PAGE_SIZE) > 0 ? 0 : -ENOMEM;
}

/** VM_* that a mapping of a ring has besides what was asked for. */
export const ringVmFlags = (k: Kernel): number =>
  k.behaviours['iouring-ring-mapped-by-reference']
    ? VM_DONTEXPAND | VM_MIXEDMAP
    : VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP;

/** `io_uring_mmap()`: the ring's page is mapped at once, by `vm_insert_pages()` or `remap_pfn_range()`. */
export function mapRing(k: Kernel, mm: number, addr: number): void {
  const vma = vmaLookup(mmAt(k.view, mm), addr) as VmaView;
  const { pfn } = heldAt(k, ringAt(k, vma.inode, vma.pgoff), 0);
  const vpn = addr / PAGE_SIZE;
  pteAlloc(k, mm, vpn);
  const flags = vmPageProt(k, vma);
  if (k.behaviours['iouring-ring-mapped-by-reference'])
    k.emit({ type: 'FilePagesMapped', mm, runs: [vpn, pfn, 1], flags, ref: 1, mapcount: 1, rssFile: 1, rssShmem: 0 });
  else k.emit({ type: 'SpecialPfnMapped', mm, vpn, entry: mkPte(pfn, flags | PTE_SPECIAL) });
}

/** The frame behind `entry` of a mapping of a ring that has it by number; -1 for any other entry. */
export function pfnByNumber(k: Kernel, mm: number, vpn: number, entry: number): number {
  if (!pteSpecial(entry) || isZeroPte(entry) || (entry & (PTE_PRESENT | PTE_WRITE)) === 0) return -1;
  const vma = vmaLookup(mmAt(k.view, mm), vpn * PAGE_SIZE);
  return vma !== null && k.view.inodes[vma.inode]?.kind === InodeKind.ring ? ptePfn(entry) : -1;
}
