// Which folios files in memory get: shmem_allowable_huge_orders() and shmem_suitable_orders() of mm/shmem.c.
//
// A tmpfs says it with its mount option huge=, files without a name (memfd, shared anonymous memory) have shmem_enabled for that. Shared anonymous memory
// asks the settings of each size besides.
import type { InodeView, ShmemInodeView, VmaView } from '../../reducers/state.js';
import { HPAGE_PMD_ORDER, PG_ANON, cachedPfn, pageAt, swapSlot } from '../../reducers/state.js';
import { VM_HUGEPAGE, VM_NOHUGEPAGE } from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';
import { FILE_ORDERS, SHMEM_ENABLED, settingOf, shmemSizeFile } from './thp.js';

const infoOf = (k: Kernel, id: number): ShmemInodeView | undefined => k.view.shmem[id];
/** A set of orders, a bit each. */
const bit = (order: number): number => 1 << order;
/** THP_ORDERS_ALL_FILE_DEFAULT. */
const ALL_ORDERS = FILE_ORDERS.reduce((set, order) => set | bit(order), 0);
const PMD_BIT = bit(HPAGE_PMD_ORDER);

/** Under which name the option huge= of the tmpfs at `name` is kept with the settings. */
export const tmpfsHugeOption = (name: string): string => `huge of tmpfs ${name}`;

/**
 * The kernel refuses a setting that would have `force` decide sizes other than that of a huge entry.
 * @throws NotModelledError for one that it refuses: writing a setting has no result.
 */
export function checkShmemSetting(k: Kernel, name: string, value: string): void {
  const inherits = (order: number): boolean => settingOf(k, shmemSizeFile(order)) === 'inherit';
  const others = FILE_ORDERS.some((order) => (order === HPAGE_PMD_ORDER ? !inherits(order) : inherits(order)));
  const forced = settingOf(k, SHMEM_ENABLED) === 'force';
  const small = FILE_ORDERS.find((order) => shmemSizeFile(order) === name);
  const refused =
    (name === SHMEM_ENABLED && value === 'force' && others) ||
    (forced && small !== undefined && small !== HPAGE_PMD_ORDER && value === 'inherit');
  if (refused) throw new NotModelledError(`writing ${value} to ${name}, which the kernel refuses`);
}

/** What decides over file `inode` where nothing is said for all: `SHMEM_SB(sb)->huge`. */
function hugeOf(k: Kernel, inode: number): string {
  const sb = k.view.tmpfs[infoOf(k, inode)?.sb ?? -1];
  const word = sb === undefined ? settingOf(k, SHMEM_ENABLED) : k.view.settings[tmpfsHugeOption(sb.name)];
  return word ?? 'never';
}

/** `vma_is_anon_shmem()`: shared anonymous memory, and what else had no name when it was mapped, as memfd. */
const isAnonShmem = (k: Kernel, vma: VmaView): boolean => infoOf(k, vma.inode)?.sb === -1;

/** `shmem_get_orders_within_size()`: all of `orders` if the largest of them that ends inside the file from page `index` on does, else what is left below it. */
function withinSize({ size }: InodeView, orders: number, index: number, writeEnd: number): number {
  const pages = Math.ceil(Math.max(size, writeEnd) / PAGE_SIZE);
  let left = orders;
  for (const order of FILE_ORDERS.toReversed()) {
    if ((left & bit(order)) === 0) continue;
    const end = Math.ceil((index + 1) / 2 ** order) * 2 ** order;
    if (pages >= end) return left;
    left &= ~bit(order);
  }
  return 0;
}

/** `shmem_huge_global_enabled()`: a fault asks for huge pages alone, who writes takes any size (measured on 6.18.44). */
function globalOrders(k: Kernel, inode: InodeView, vma: VmaView | null, index: number, writeEnd: number): number {
  const all = settingOf(k, SHMEM_ENABLED);
  if (all === 'deny') return 0;
  const orders = vma === null && all !== 'force' ? ALL_ORDERS : PMD_BIT;
  const huge = hugeOf(k, inode.id);
  if (all === 'force' || huge === 'always') return orders;
  const advised = vma !== null && (vma.flags & VM_HUGEPAGE) !== 0 && huge !== 'never' ? orders : 0;
  return huge === 'within_size' ? withinSize(inode, orders, index, writeEnd) || advised : advised;
}

/**
 * `shmem_allowable_huge_orders()`: of a fault in `vma`, or without one of a write or fallocate that ends at byte `writeEnd`. `forced`: MADV_COLLAPSE asks, which minds
 * only what is forbidden.
 */
export function shmemAllowableOrders(
  k: Kernel,
  inode: InodeView,
  vma: VmaView | null,
  index: number,
  writeEnd: number,
  forced = false,
): number {
  if (infoOf(k, inode.id) === undefined) return 0;
  const flags = vma?.flags ?? 0;
  if ((flags & VM_NOHUGEPAGE) !== 0) return 0;
  const denied = settingOf(k, SHMEM_ENABLED) === 'deny';
  const global = forced && !denied ? PMD_BIT : globalOrders(k, inode, vma, index, writeEnd);
  if (vma === null || !isAnonShmem(k, vma)) return global;
  const all = settingOf(k, SHMEM_ENABLED);
  if (all === 'deny') return 0;
  const saying = (word: string): number =>
    FILE_ORDERS.reduce((set, order) => (settingOf(k, shmemSizeFile(order)) === word ? set | bit(order) : set), 0);
  if (all === 'force') return saying('inherit');
  const inside = withinSize(inode, saying('within_size'), index, 0);
  const advised = (flags & VM_HUGEPAGE) !== 0 ? saying('advise') : 0;
  return saying('always') | inside | advised | (global === 0 ? 0 : saying('inherit'));
}

/**
 * `shmem_suitable_orders()`: the largest of `orders` of which a folio with page `index` lies whole in the VMA, in the same way aligned, and in whose place the file has nothing
 * yet; 0 for a page of its own.
 */
export function shmemSuitableOrder(k: Kernel, id: number, vma: VmaView | null, index: number, orders: number): number {
  return (
    FILE_ORDERS.toReversed().find((order) => {
      if ((orders & bit(order)) === 0) return false;
      const first = index - (index % 2 ** order);
      return (vma === null || fitsIn(vma, first, order)) && isHole(k.view.inodes[id] as InodeView, first, 2 ** order);
    }) ?? 0
  );
}

/** `thp_vma_suitable_order()` of the pages from `first` on of the file. */
function fitsIn({ start, end, pgoff }: VmaView, first: number, order: number): boolean {
  if ((start / PAGE_SIZE - pgoff) % 2 ** order !== 0 || first < pgoff) return false;
  return start / PAGE_SIZE + first - pgoff + 2 ** order <= end / PAGE_SIZE;
}

/** Is none of `n` pages from `first` on cached or swapped out? */
function isHole(inode: InodeView, first: number, n: number): boolean {
  for (let index = first; index < first + n; index++)
    if (cachedPfn(inode, index) >= 0 || swapSlot(inode, index) >= 0) return false;
  return true;
}

/** May a page of the file `id` come in a large folio, whoever asks for it? */
export function mayHaveLargeFolios(k: Kernel, id: number): boolean {
  const all = settingOf(k, SHMEM_ENABLED);
  if (all === 'deny') return false;
  const sizes = FILE_ORDERS.some((order) => !['never', 'inherit'].includes(settingOf(k, shmemSizeFile(order))));
  return all === 'force' || sizes || hugeOf(k, id) !== 'never' || hasLargeFolios(k, id);
}

const hasLargeFolios = (k: Kernel, id: number): boolean =>
  Object.keys(k.view.largeFolios).some((pfn) => {
    const { mapping, flags } = pageAt(k.view, Number(pfn));
    return id > 0 && mapping === id && (flags & PG_ANON) === 0;
  });
